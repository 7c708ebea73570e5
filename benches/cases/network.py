"""A published port and a container's own address: requests, latency, bulk; and the look-up of a name."""

import socket

from cases.projects import write
from measure.images import SMALL
from measure.run import Aim, at_most, faster, poll, run


def cases(bench):
    bench.attempt("published ports", lambda: ports(bench))
    bench.attempt("names", lambda: names(bench))


def free_port():
    with socket.socket() as probe:
        probe.bind(("127.0.0.1", 0))
        return probe.getsockname()[1]


def ports(bench):
    tools, places = bench.machine.tools(), {}
    for tool, words in tools.items():
        port = free_port()
        body = f"image: '{SMALL}', command: wire serve 8080, init: true, ports: ['127.0.0.1:{port}:8080']"
        folder = write(bench.scratch / "ports" / tool.replace(" ", "-") / "served", f"services: {{ s: {{ {body} }} }}\n")
        run([*words, "up", "-d"], cwd=folder, env=bench.environment)
        form = "{{range .NetworkSettings.Networks}}{{.IPAddress}}{{end}}"
        inspect = [*words, "container", "inspect"] if tool == "motet" else [bench.machine.docker, "inspect"]
        address = run([*inspect, "-f", form, "served-s-1"], env=bench.environment).strip()
        places[tool] = {"published": f"127.0.0.1:{port}", "own address": f"{address}:8080"}
        for place in places[tool].values():
            poll(f"an answer at {place}", lambda place=place: connects(place))
    rounds, seconds = min(bench.board.rounds, 5), bench.seconds
    keys = [(f"{tool}, {kind}" if kind != "published" else tool) for tool in tools for kind in ("published", "own address")]
    many, slow, bulk = ({key: [] for key in keys} for _ in range(3))
    for _ in range(rounds):
        for tool in tools:
            for kind, place in places[tool].items():
                key = tool if kind == "published" else f"{tool}, {kind}"
                many[key].append(float(run([bench.wire, "load", place, 32, seconds]).split()[0]))
                slow[key].append(float(run([bench.wire, "load", place, 1, seconds]).split()[1]))
                bulk[key].append(float(run([bench.wire, "bulk", place, seconds])))
    own = Aim("0.8 of motet, own address", lambda row: row.ratio["motet, own address"] >= 0.8)
    bench.board.row("localhost, 32 connections", many, "requests/s", True, [faster("docker compose", 1.5), own])
    bench.board.row("localhost, 1 connection, median", slow, "us")
    bench.board.row("localhost, one stream", bulk, "MB/s", True, [own])
    for tool, words in tools.items():
        folder = bench.scratch / "ports" / tool.replace(" ", "-") / "served"
        run([*words, "down", "-t", "0"], cwd=folder, env=bench.environment)


def connects(place):
    host, port = place.split(":")
    with socket.socket() as probe:
        probe.settimeout(1)
        return probe.connect_ex((host, int(port))) == 0


def names(bench):
    tools = bench.machine.tools()
    services = "".join(f"  {name}: {{ image: '{SMALL}', command: sleep 1000, init: true }}\n" for name in ("s", "other"))
    folder = write(bench.scratch / "names", "services:\n" + services)
    one, many = {tool: [] for tool in tools}, {tool: [] for tool in tools}
    for words in tools.values():
        run([*words, "up", "-d"], cwd=folder, env=bench.environment)
    for _ in range(min(bench.board.rounds, 5)):
        for tool, words in tools.items():
            command = [*words, "exec", "-T", "s", "wire", "names", "other", 2000, 50]
            single, full = run(command, cwd=folder, env=bench.environment).split()
            one[tool].append(float(single))
            many[tool].append(float(full))
    bench.board.row("look-up of a service's name", one, "us", aims=[at_most(60, "us")])
    least = Aim("at most 20 us each", lambda row: row.figures["motet"]["median"] >= 50_000)
    bench.board.row("look-ups, 50 outstanding", many, "look-ups/s", True, [least])
    for words in tools.values():
        run([*words, "down", "-t", "1"], cwd=folder, env=bench.environment)
