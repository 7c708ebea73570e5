"""Builds through Compose files: nothing to do, one line changed, cold, a large context, six stages at once."""

import itertools

from cases.projects import write
from measure.images import SMALL
from measure.run import faster, run, timed

PEER = "docker compose"
#: A number that no other build has had: what it is written into has changed.
FRESH = itertools.count()


def cases(bench):
    for name, act in [("build of an application", application), ("20,000 files", many_files), ("six stages", stages)]:
        bench.attempt(name, lambda act=act: act(bench))


def project(bench, name, dockerfile, tool):
    """A project of one built service, a copy for each tool: none sees what another one touched."""
    folder = bench.scratch / "builds" / tool.replace(" ", "-") / name
    write(folder, f"services: {{ s: {{ build: ., image: 'bench-{name}', command: sleep 1000 }} }}\n")
    (folder / "Dockerfile").write_text(dockerfile)
    return folder


def building(bench, tools, folders, *flags):
    return {tool: timed([*words, "build", "-q", *flags], cwd=folders[tool], env=bench.environment) for tool, words in tools.items()}


def application(bench):
    """A step that installs, with a cache mount, and then the sources: as applications are built."""
    dockerfile = (
        f"FROM {SMALL}\nWORKDIR /app\nCOPY requirements.txt .\n"
        "RUN --mount=type=cache,target=/cache [ -e /cache/lib ] || dd if=/dev/zero of=/cache/lib bs=1M count=8; cp /cache/lib /app/lib\n"
        "COPY . .\nCMD [\"sleep\", \"1000\"]\n"
    )
    tools = bench.machine.tools()
    folders = {tool: project(bench, "app", dockerfile, tool) for tool in tools}
    for folder in folders.values():
        (folder / "requirements.txt").write_text("one\n")
        for number in range(20):
            (folder / f"module{number}.py").write_text(f"print({number})\n" * 50)
    acts = building(bench, tools, folders)

    def change(name):
        return lambda tool: (folders[tool] / name).write_text(f"changed {next(FRESH)}\n")

    bench.board.paired("build, nothing to do", acts, aims=[faster(PEER, 20)])
    bench.board.paired("build, one line changed", acts, before=change("module0.py"), aims=[faster(PEER, 8)])
    bench.board.paired("build, cold but for the cache mount", acts, before=change("requirements.txt"))


def many_files(bench):
    """A context of 20,000 files: nothing changed, then one."""
    tools = bench.machine.tools()
    folders = {tool: project(bench, "many", f"FROM {SMALL}\nCOPY . /app\n", tool) for tool in tools}
    for folder in folders.values():
        for number in range(bench.files):
            path = folder / f"src/{number // 100}/file{number}.txt"
            path.parent.mkdir(parents=True, exist_ok=True)
            path.write_text(f"file {number}\n" * 20)
    acts = building(bench, tools, folders)
    rounds = min(bench.board.rounds, 3)

    def change(tool):
        (folders[tool] / "src/0/file0.txt").write_text(f"changed {next(FRESH)}\n")

    count = f"{bench.files:,} files"
    bench.board.paired(f"build of {count}, cold", building(bench, tools, folders, "--no-cache"), rounds=1, warm=False)
    bench.board.paired(f"build of {count}, nothing to do", acts, rounds=rounds, aims=[faster(PEER, 4)])
    bench.board.paired(f"build of {count}, one changed", acts, rounds=rounds, before=change, aims=[faster(PEER, 4)])


def stages(bench):
    """Six stages that each take a third of a second, and a last one that takes from all."""
    lines = [f"FROM {SMALL} AS base\nARG ROUND"]
    lines += [f"FROM base AS s{n}\nRUN echo $ROUND {n} && sleep 0.3 && echo {n} > /out/{n}" for n in range(6)]
    lines += [f"FROM {SMALL}"] + [f"COPY --from=s{n} /out/{n} /out/" for n in range(6)]
    tools = bench.machine.tools()
    folders = {tool: project(bench, "stages", "\n".join(lines) + "\n", tool) for tool in tools}

    def act(words, folder):
        return lambda: timed([*words, "build", "-q", "--build-arg", f"ROUND={next(FRESH)}"], cwd=folder, env=bench.environment)()

    acts = {tool: act(words, folders[tool]) for tool, words in tools.items()}
    bench.board.paired("build of six stages of 0.3 s", acts, rounds=min(bench.board.rounds, 3))
    for tool, words in tools.items():
        run([*words, "down", "-t", "0"], cwd=folders[tool], env=bench.environment)
