"""The same Docker Engine driven by both: projects of 1 to 50 services through `motet --engine docker` and Docker Compose.

Beside them the bare requests that nobody can do without, all at once: what the engine itself takes.
"""

import concurrent.futures
import http.client
import json
import os
import socket
import time

from cases.projects import PEER, write
from measure.images import SMALL
from measure.run import Failed, faster, timed

# Ours is to take at most 0.8 of what Docker Compose takes.
AIM = faster(PEER, 1.25)
BARE = "bare requests"


def cases(bench):
    if not bench.machine.engine:
        bench.board.leave_out("projects through a Docker Engine", "there is no engine")
        return
    for size in [size for size in bench.sizes if size <= 50]:
        bench.attempt(f"a project of {size} through the engine", lambda size=size: project(bench, size))


def project(bench, size):
    line = "command: sh -c 'echo here; exec sleep 1000'"
    services = "".join(f"  s{n}: {{ image: '{SMALL}', {line}, init: true }}\n" for n in range(size))
    folder = write(bench.scratch / f"engine{size}", "services:\n" + services)
    verbs = [
        ("up -d", ["up", "-d"]),
        ("up -d, no change", ["up", "-d"]),
        ("ps", ["ps"]),
        ("logs", ["logs"]),
        ("down", ["down", "-t", "1"]),
    ]
    tools = {"motet": [bench.motet, "--engine", "docker"], PEER: bench.machine.tools()[PEER]}
    bare = Bare(bench.environment, size)
    times = {verb: {tool: [] for tool in [*tools, BARE]} for verb, _ in verbs}
    for number in range(bench.board.rounds + 1):
        # Whoever comes first finds the engine as the other left it: in turn, so that neither has always the better place.
        for tool, program in sorted(tools.items(), reverse=number % 2 == 1):
            for verb, words in verbs:
                seconds = timed([*program, *words], cwd=folder, env=bench.environment)()
                if number:
                    times[verb][tool].append(seconds * 1000)
        for verb, act in [("up -d", bare.up), ("down", bare.down)]:
            begin = time.perf_counter()
            act()
            if number:
                times[verb][BARE].append((time.perf_counter() - begin) * 1000)
    for verb, _ in verbs:
        bench.board.row(f"{verb} of {size} through Docker Engine", times[verb], aims=[AIM])


class Connection(http.client.HTTPConnection):
    """HTTP over the engine's socket."""

    def __init__(self, path):
        super().__init__("localhost")
        self.path = path

    def connect(self):
        self.sock = socket.socket(socket.AF_UNIX)
        self.sock.connect(self.path)


class Bare:
    """The same containers by the fewest requests: a network, then create and start each; stop and remove each."""

    def __init__(self, environment, size):
        host = environment.get("DOCKER_HOST", os.environ.get("DOCKER_HOST", "unix:///var/run/docker.sock"))
        self.path, self.size, self.ids = host.removeprefix("unix://"), size, []

    def ask(self, method, path, body=None):
        connection = Connection(self.path)
        text = None if body is None else json.dumps(body)
        connection.request(method, path, text, {"Content-Type": "application/json"})
        answer = connection.getresponse()
        said = answer.read()
        connection.close()
        if answer.status >= 400:
            raise Failed(f"{method} {path}: {answer.status} {said.decode(errors='replace')}")
        return json.loads(said) if said else None

    def all(self, act, arguments):
        with concurrent.futures.ThreadPoolExecutor(max_workers=self.size) as pool:
            return list(pool.map(act, arguments))

    def start(self, number):
        config = {
            "Image": SMALL,
            "Cmd": ["sh", "-c", "echo here; exec sleep 1000"],
            "HostConfig": {"NetworkMode": "bench-bare", "Init": True},
        }
        made = self.ask("POST", f"/containers/create?name=bench-bare-{number}", config)
        self.ask("POST", f"/containers/{made['Id']}/start")
        return made["Id"]

    def end(self, identifier):
        self.ask("POST", f"/containers/{identifier}/stop?t=1")
        self.ask("DELETE", f"/containers/{identifier}?v=1")

    def up(self):
        self.ask("POST", "/networks/create", {"Name": "bench-bare", "CheckDuplicate": True})
        self.ids = self.all(self.start, range(self.size))

    def down(self):
        self.all(self.end, self.ids)
        self.ask("DELETE", "/networks/bench-bare")
