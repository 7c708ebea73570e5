"""A container that writes lines: how fast it may write, how fast they are read back, and the last ten."""

import subprocess
import time

from cases.projects import write
from measure.images import SMALL
from measure.run import at_most, faster, poll, run


def cases(bench):
    bench.attempt("logs", lambda: logs(bench))


def logs(bench):
    count = bench.lines
    body = f"image: '{SMALL}', command: wire lines {count} /out/took, init: true, volumes: ['./out:/out']"
    tools = bench.machine.tools()
    folders, wrote, rates = {}, {}, {}
    for tool, words in tools.items():
        folder = write(bench.scratch / "logs" / tool.replace(" ", "-") / "lines", f"services: {{ s: {{ {body} }} }}\n")
        folders[tool] = folder
        rates[tool] = []
        for _ in range(min(bench.board.rounds, 3)):
            run([*words, "down", "-t", "0"], cwd=folder, env=bench.environment)
            (folder / "out/took").unlink(missing_ok=True)
            run([*words, "up", "-d"], cwd=folder, env=bench.environment)
            poll("the last line", (folder / "out/took").exists, limit=120, pause=0.01)
            wrote[tool] = float((folder / "out/took").read_text())
            rates[tool].append(count / wrote[tool])
    bench.board.row("lines a container writes, a write each", rates, unit="lines/s", more_is_better=True)

    def reading(words, folder, *flags):
        def act():
            with open("/dev/null", "w") as nowhere:
                begin = time.perf_counter()
                command = [*words, "logs", "--no-color", *flags, "s"]
                subprocess.run(command, cwd=folder, env=bench.environment, stdout=nowhere, stderr=nowhere, check=True)
                return time.perf_counter() - begin

        return act

    acts = {tool: reading(words, folders[tool]) for tool, words in tools.items()}
    bench.board.paired(f"logs of {count:,} lines", acts, rounds=min(bench.board.rounds, 3), aims=[faster("docker compose", 5)])
    acts = {tool: reading(words, folders[tool], "--tail", "10") for tool, words in tools.items()}
    bench.board.paired(f"logs --tail 10 of {count:,}", acts, aims=[at_most(15, "ms")])
    for tool, words in tools.items():
        run([*words, "down", "-t", "0"], cwd=folders[tool], env=bench.environment)
