"""The loop from a saved file to the service: visible in the container, restarted, and what 100,000 files cost."""

import os
import signal
import subprocess
import time

from cases.projects import write
from measure.images import SMALL
from measure.run import at_most, faster, poll, run

PEER = "docker compose"


def cases(bench):
    bench.attempt("watch", lambda: loop(bench))
    bench.attempt(f"watch over {bench.watched:,} files", lambda: large_tree(bench))


def project(bench, tool, name, rules):
    """What is synced lands in a bind mount, so the host sees it in the moment when the container does."""
    folder = bench.scratch / "watch" / tool.replace(" ", "-") / name
    text = (
        f"services:\n  s:\n    build: .\n    image: bench-{name}\n    init: true\n    command: wire started /out/started\n"
        f"    volumes: ['./out:/out']\n    develop:\n      watch:\n{rules}"
    )
    write(folder, text)
    (folder / "Dockerfile").write_text(f"FROM {SMALL}\n")
    for part in ("src", "conf", "out/src", "out/conf"):
        (folder / part).mkdir(parents=True, exist_ok=True)
    return folder


class Watching:
    """A `watch` in the background that has shown that it sees changes."""

    def __init__(self, bench, words, folder):
        self.bench, self.words, self.folder, self.number = bench, words, folder, 0
        run([*words, "up", "-d", "--build"], cwd=folder, env=bench.environment)
        self.log = (folder / "watch.log").open("w")
        command = [*words, "watch", "--no-up"]
        self.child = subprocess.Popen(
            command, cwd=folder, env=bench.environment, stdin=subprocess.DEVNULL, stdout=self.log, stderr=self.log
        )
        for attempt in range(60):
            # Files that are written before it looks are no changes: another one is written until one arrives.
            path = folder / f"src/ready{attempt}"
            path.write_text("ready")
            try:
                poll("a first change", lambda: (folder / "out/src" / path.name).exists(), limit=2)
                return
            except Exception:
                if self.child.poll() is not None:
                    break
        raise Exception(f"watch sees nothing: {(folder / 'watch.log').read_text()[-300:]}")

    def save(self):
        """Seconds from the save to the same bytes where the container sees them."""
        self.number += 1
        text, seen = f"save {self.number}\n", self.folder / "out/src/saved"
        (self.folder / "src/saved").write_text(text)
        begin = os.stat(self.folder / "src/saved").st_mtime_ns
        poll("a saved file", lambda: content(seen) == text, limit=30)
        return (time.time_ns() - begin) / 1e9

    def restart(self):
        """Seconds from the save to the program's first act after it."""
        self.number += 1
        started = self.folder / "out/started"
        before = content(started)
        (self.folder / "conf/setting").write_text(f"save {self.number}\n")
        begin = os.stat(self.folder / "conf/setting").st_mtime_ns
        poll("a restart", lambda: content(started) not in ("", before), limit=60)
        return (time.time_ns() - begin) / 1e9

    def resident(self):
        with open(f"/proc/{self.child.pid}/status") as status:
            return next(int(line.split()[1]) for line in status if line.startswith("VmRSS:")) / 1024

    def end(self):
        self.child.send_signal(signal.SIGINT)
        self.child.wait()
        run([*self.words, "down", "-t", "0"], cwd=self.folder, env=self.bench.environment)


def content(path):
    try:
        return path.read_text()
    except OSError:
        return ""


def loop(bench):
    rules = (
        "        - { action: sync, path: ./src, target: /out/src }\n"
        "        - { action: sync+restart, path: ./conf, target: /out/conf }\n"
    )
    seen, restarted = {}, {}
    for tool, words in bench.machine.tools().items():
        watching = Watching(bench, words, project(bench, tool, "loop", rules))
        try:
            seen[tool] = [watching.save() * 1000 for _ in range(bench.board.rounds * 4)]
            restarted[tool] = [watching.restart() * 1000 for _ in range(bench.board.rounds)]
        finally:
            watching.end()
    bench.board.row("save to visible", seen, "ms", aims=[faster(PEER, 30), at_most(15, "ms")])
    bench.board.row("save to restarted", restarted, "ms", aims=[at_most(60, "ms")])


def large_tree(bench):
    rules = "        - { action: sync, path: ./src, target: /out/src, ignore: [unseen/] }\n"
    resident, seen = {}, {}
    for tool, words in bench.machine.tools().items():
        folder = project(bench, tool, "tree", rules)
        for number in range(bench.watched):
            path = folder / f"src/{number // 1000}/{number // 100 % 10}/file{number}"
            path.parent.mkdir(parents=True, exist_ok=True)
            path.write_text("x")
        watching = Watching(bench, words, folder)
        try:
            seen[tool] = [watching.save() * 1000 for _ in range(bench.board.rounds)]
            resident[tool] = [watching.resident()]
        finally:
            watching.end()
    count = f"{bench.watched:,} files"
    bench.board.row(f"save to visible, {count}", seen, "ms", aims=[at_most(15, "ms")])
    bench.board.row(f"memory of watch, {count} (RSS)", resident, "MB", aims=[at_most(30, "MB")])
