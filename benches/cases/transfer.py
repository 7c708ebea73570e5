"""A large image to and from a registry on this machine."""

from measure.images import large
from measure.run import faster, run, timed


def cases(bench):
    bench.attempt("pull and push", lambda: transfer(bench))


def transfer(bench):
    machine = bench.machine
    address = machine.start_registry()
    programs = {"motet": [machine.motet, "image"]}
    if machine.engine:
        programs["docker"] = [machine.docker]
    size = bench.megabytes
    references = {tool: f"{address}/{tool}/large:1" for tool in programs}
    for tool, words in programs.items():
        archive = large(bench.scratch, references[tool], size)
        run([*words, "load", "-q", "-i", archive], env=bench.environment)
        archive.unlink()
    push = {tool: timed([*words, "push", "-q", references[tool]], env=bench.environment) for tool, words in programs.items()}
    # A second push finds everything there: it is timed once.
    bench.board.paired(f"push of {size} MB", push, rounds=1, warm=False)

    def forget(tool):
        run([*programs[tool], "rmi" if tool == "docker" else "rm", references[tool]], env=bench.environment)
        if tool == "motet":
            run([machine.motet, "image", "prune", "-f"], env=bench.environment)

    # Both pull what ours pushed: the same bytes.
    if machine.engine:
        forget("docker")
        references["docker"] = references["motet"]
        run([machine.docker, "pull", "-q", references["docker"]], env=bench.environment)
    pull = {tool: timed([*words, "pull", "-q", references[tool]], env=bench.environment) for tool, words in programs.items()}
    rounds = min(bench.board.rounds, 3)
    bench.board.paired(f"pull of {size} MB", pull, rounds=rounds, before=forget, warm=False, aims=[faster("docker", 3)])
    for tool in programs:
        forget(tool)
