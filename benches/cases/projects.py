"""Projects of 1 to 100 services: `up -d`, `ps`, an `up -d` that changes nothing, `down`; readiness; memory; `exec`."""

import statistics

from measure.images import SMALL
from measure.machine import memory
from measure.run import Aim, at_most, faster, run, timed

PEER = "docker compose"


def cases(bench):
    for size in bench.sizes:
        bench.attempt(f"a project of {size}", lambda size=size: project(bench, size))
    bench.attempt("a chain of healthy services", lambda: chain(bench))
    bench.attempt("exec", lambda: execs(bench))


def write(folder, text):
    folder.mkdir(parents=True, exist_ok=True)
    (folder / "compose.yaml").write_text(text)
    return folder


def project(bench, size):
    services = "".join(f"  s{n}: {{ image: '{SMALL}', command: sleep 1000, init: true }}\n" for n in range(size))
    folder = write(bench.scratch / f"bench{size}", "services:\n" + services)
    verbs = [("up -d", ["up", "-d"]), ("up -d, no change", ["up", "-d"]), ("ps", ["ps"]), ("down", ["down", "-t", "1"])]
    tools = bench.machine.tools()
    times = {verb: {tool: [] for tool in tools} for verb, _ in verbs}
    resident = {tool: [] for tool in tools}
    rounds = bench.board.rounds if size <= 10 else min(bench.board.rounds, 5 if size <= 50 else 3)
    for number in range(rounds + 1):
        for tool, program in tools.items():
            processes = bench.machine.keepers if tool == "motet" else bench.machine.engine_processes
            for verb, words in verbs:
                seconds = timed(program + words, cwd=folder, env=bench.environment)()
                # The first round warms the files of both.
                if number:
                    times[verb][tool].append(seconds * 1000)
                    if verb == "up -d":
                        resident[tool].append(memory(processes()) / size)
    aims = {
        "up -d": faster(PEER, 20) if size <= 10 else faster(PEER, 25),
        "up -d, no change": faster(PEER, 20),
        "ps": faster(PEER, 20),
        "down": faster(PEER, 10),
    }
    for verb, _ in verbs:
        bench.board.row(f"{verb} of {size}", times[verb], aims=[aims[verb]])
    bench.board.row(f"memory of {size} running (PSS)", resident, unit="MB a container", aims=[faster(PEER, 10)])


HEALTHY = "healthcheck: { test: [CMD, 'true'], interval: 1s, retries: 3 }"


def chain(bench):
    """Five services, each waiting for the one before to be healthy, against the same five that don't wait."""
    names = [f"s{number}" for number in range(5)]
    waiting = services = "services:\n"
    for before, name in zip([None, *names], names):
        body = f"image: '{SMALL}', command: sleep 1000, init: true, {HEALTHY}"
        after = f", depends_on: {{ {before}: {{ condition: service_healthy }} }}" if before else ""
        waiting += f"  {name}: {{ {body}{after} }}\n"
        services += f"  {name}: {{ {body}{f', depends_on: [{before}]' if before else ''} }}\n"
    tools = bench.machine.tools()
    down = {}
    for case, text in [("chain5", waiting), ("plain5", services)]:
        down[case] = write(bench.scratch / case, text)
    wait = {tool: timed([*words, "up", "-d"], cwd=down["chain5"], env=bench.environment) for tool, words in tools.items()}
    free = {"motet": timed([*tools["motet"], "up", "-d"], cwd=down["plain5"], env=bench.environment)}
    end = lambda case: lambda tool: run([*tools[tool], "down", "-t", "1"], cwd=down[case], env=bench.environment)
    plain = bench.board.paired("five in a row, not waiting", free, after=end("plain5"))
    base = plain.figures["motet"]["median"]
    aim = Aim("at most 100 ms above not waiting", lambda row: row.figures["motet"]["median"] <= base + 100)
    bench.board.paired("five in a row, each when the last is healthy", wait, after=end("chain5"), aims=[aim])


def execs(bench):
    """`exec` of a program that ends at once in a running container; docker's own exec beside Compose's."""
    folder = write(bench.scratch / "exec", f"services: {{ s: {{ image: '{SMALL}', command: sleep 1000, init: true }} }}\n")
    tools = bench.machine.tools()
    for words in tools.values():
        run([*words, "up", "-d"], cwd=folder, env=bench.environment)
    acts = {tool: timed([*words, "exec", "-T", "s", "true"], cwd=folder, env=bench.environment) for tool, words in tools.items()}
    if bench.machine.engine:
        acts["docker exec"] = timed([bench.machine.docker, "exec", "exec-s-1", "true"], env=bench.environment)
    minimum = bench.limit("minexec.c")
    if minimum:
        form = "{{.State.Pid}}"
        command = [*tools["motet"], "container", "inspect", "-f", form, "exec-s-1"]
        pid = run(command, env=bench.environment).strip()
        acts["bare system calls"] = timed([minimum, pid, "/bin/true"])
    bench.board.paired("exec of `true`", acts, rounds=bench.board.rounds * 4, aims=[faster(PEER, 20), at_most(4, "ms")])
    for words in tools.values():
        run([*words, "down", "-t", "1"], cwd=folder, env=bench.environment)


def growth(bench):
    """`up -d` and memory of ours over 1 to 300 containers; the points of a chart."""
    points = []
    for size in bench.growth_sizes:
        services = "".join(f"  s{n}: {{ image: '{SMALL}', command: sleep 1000, init: true }}\n" for n in range(size))
        folder = write(bench.scratch / f"grow{size}", "services:\n" + services)
        times, resident = [], 0.0
        program = bench.machine.tools()["motet"]
        for _ in range(3):
            times.append(timed([*program, "up", "-d"], cwd=folder, env=bench.environment)() * 1000)
            resident = memory(bench.machine.keepers())
            run([*program, "down", "-t", "1"], cwd=folder, env=bench.environment)
        points.append({"containers": size, "up_ms": statistics.median(times), "memory_mb": resident})
    return points
