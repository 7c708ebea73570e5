"""The program without any container: how long it takes to start, and to read a Compose file of any size."""

import os
import runpy
import statistics

from measure.run import at_most, faster, timed


def cases(bench):
    bench.attempt("cold start", lambda: cold(bench))
    bench.attempt("config", lambda: config(bench))


def cold(bench):
    acts = {tool: timed([*words, "version"], env=bench.environment) for tool, words in bench.machine.tools().items()}
    if bench.machine.docker:
        acts["docker"] = timed([bench.machine.docker, "--version"], env=bench.environment)
    bench.board.paired("`version`", acts, rounds=bench.board.rounds * 4)


def projects():
    """What `benches/config` measures, made by its own functions."""
    return runpy.run_path(str(os.path.join(os.path.dirname(__file__), "..", "config")))


def config(bench):
    made = projects()
    base = bench.scratch / "config"
    base.mkdir()
    texts = {"small": made["SMALL"], "1,000 services": made["HEAD"] + made["services"](1000) + "volumes: {data: {}}\n"}
    for name, text in texts.items():
        folder = made["project"](base / name.split()[0].replace(",", ""), text)
        tools = bench.machine.tools()
        acts = {tool: timed([*words, "config", "-q"], cwd=folder, env=bench.environment) for tool, words in tools.items()}
        aims = [faster("docker compose", 20)] + ([at_most(60, "ms")] if name != "small" else [])
        rounds = bench.board.rounds * (4 if name == "small" else 1)
        bench.board.paired(f"config -q, {name}", acts, rounds=rounds, aims=aims)


def growth(bench):
    """`config -q` of ours over 10 to 10,000 services; the points of a chart."""
    made = projects()
    base = bench.scratch / "growing-config"
    base.mkdir()
    points = []
    for count in bench.config_sizes:
        text = made["HEAD"] + made["services"](count) + "volumes: {data: {}}\n"
        folder = made["project"](base / str(count), text)
        act = timed([bench.machine.motet, "config", "-q"], cwd=folder, env=bench.environment)
        act()
        points.append({"services": count, "config_ms": statistics.median([act() for _ in range(5)]) * 1000})
    return points
