"""One container from start to exit, without and with a network, against every runtime there is and the bare calls."""

import json
import subprocess
import tarfile

from measure.images import SMALL
from measure.run import Aim, faster, run, timed


def cases(bench):
    bench.attempt("start to exit, no network", lambda: start_to_exit(bench, "none"))
    bench.attempt("start to exit, bridge network", lambda: start_to_exit(bench, "bridge"))


def twice(limit):
    return Aim(f"within 2 times {limit}", lambda row: row.ratio.get(limit, 0) >= 0.5)


def start_to_exit(bench, network):
    machine, environment = bench.machine, bench.environment
    words = ["--rm", "--network", network, SMALL, "true"]
    acts = {"motet": timed([machine.motet, "container", "run", *words], env=environment)}
    if machine.engine:
        acts["docker run"] = timed([machine.docker, "run", *words], env=environment)
    if machine.podman and loaded_by_podman(bench):
        acts["podman run"] = timed([machine.podman, *podman(bench), "run", *words], env=environment)
    if network == "none":
        bundle = make_bundle(bench)
        if bundle and machine.runc:
            acts["runc"] = numbered([machine.runc, "run", "--bundle", bundle], "motet-bench-runc")
        if bundle and machine.crun:
            # Debian's crun refuses a hybrid hierarchy of control groups: it goes without them.
            acts["crun, no cgroup"] = numbered([machine.crun, "--cgroup-manager=disabled", "run", "--bundle", bundle], "motet-bench-crun")
        works(bench, acts, "crun, no cgroup")
    minimum = bench.limit("minc.c")
    if minimum:
        rootfs = unpacked(bench)
        kind = "v1" if network == "none" and is_v1() else "both" if is_v1() else "v2"
        common = ["--cg", kind, "--v1n", "2", "-n", "1", "-w", "0", "--work", bench.scratch / "minimum-work"]
        link = ["--net", "lo"] if network == "none" else ["--net", "veth", "--bridge", "mt-bench"]
        acts["bare system calls"] = timed([minimum, *common, *link, rootfs, "/bin/true"], cwd=bench.scratch)
    if minimum and network == "bridge":
        run(["ip", "link", "add", "mt-bench", "type", "bridge"])
    try:
        works(bench, acts, "bare system calls")
        aims = [twice("bare system calls"), faster("runc", 1) if network == "none" else None]
        bench.board.paired(f"start to exit of `true`, network {network}", acts, rounds=bench.board.rounds * 4, aims=aims)
    finally:
        if minimum and network == "bridge":
            subprocess.run(["ip", "link", "delete", "mt-bench"], capture_output=True)
        run([machine.motet, "network", "prune", "-f"], env=environment)


def works(bench, acts, tool):
    """Leaves out a peer that can't do it on this machine, and says why."""
    if tool not in acts:
        return
    try:
        acts[tool]()
    except Exception as failure:
        del acts[tool]
        bench.board.leave_out(tool, str(failure)[:200])


def numbered(command, name):
    counter = iter(range(1_000_000))

    def act():
        return timed([*command, f"{name}-{next(counter)}"])()

    return act


def is_v1():
    with open("/proc/self/mountinfo") as mounts:
        return any(" - cgroup " in line for line in mounts)


def podman(bench):
    return ["--root", bench.scratch / "podman", "--runroot", bench.scratch / "podman-run", "--cgroup-manager", "cgroupfs"]


def loaded_by_podman(bench):
    try:
        if not (bench.scratch / "podman").is_dir():
            run(["podman", *podman(bench), "load", "-q", "-i", bench.archive], env=bench.environment)
        run(["podman", *podman(bench), "run", "--rm", "--network", "none", SMALL, "true"], env=bench.environment)
        return True
    except Exception as failure:
        bench.board.leave_out("podman run", str(failure)[:200])
        return False


def unpacked(bench):
    rootfs = bench.scratch / "bundle/rootfs"
    if not rootfs.is_dir():
        rootfs.mkdir(parents=True)
        with tarfile.open(bench.archive) as outer:
            layer = next(member for member in outer.getmembers() if member.name.endswith("layer.tar"))
            with tarfile.open(fileobj=outer.extractfile(layer)) as inner:
                inner.extractall(rootfs)
        for folder in ("proc", "dev", "sys", "etc"):
            (rootfs / folder).mkdir(exist_ok=True)
    return rootfs


def make_bundle(bench):
    """A bundle as `runc spec` makes it, with `true` in it."""
    if not bench.machine.runc:
        return None
    bundle = unpacked(bench).parent
    if not (bundle / "config.json").is_file():
        run([bench.machine.runc, "spec"], cwd=bundle)
        config = json.loads((bundle / "config.json").read_text())
        config["process"].update(terminal=False, args=["/bin/true"])
        (bundle / "config.json").write_text(json.dumps(config))
    return bundle
