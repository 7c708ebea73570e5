"""Images of the benchmark, as docker archives: a static busybox with our own tool, and a large one."""

import hashlib
import io
import json
import os
import platform
import random
import tarfile

from measure.run import Failed

SMALL = "bench-small:1"


def small(scratch, wire):
    """An archive with one layer: busybox, its names, and the tool that serves, asks and writes."""
    if not os.path.exists("/bin/busybox"):
        raise Failed("a static /bin/busybox is missing (Debian's package busybox-static)")
    layer = io.BytesIO()
    with tarfile.open(fileobj=layer, mode="w") as tar:
        for folder in ("bin", "tmp", "out", "app"):
            entry = tarfile.TarInfo(folder)
            entry.type, entry.mode = tarfile.DIRTYPE, 0o755
            tar.addfile(entry)
        tar.add("/bin/busybox", "bin/busybox", filter=owned_by_root)
        tar.add(wire, "bin/wire", filter=owned_by_root)
        for name in ("sh", "sleep", "true", "cat", "echo", "mkdir", "cp", "dd", "sha256sum"):
            link = tarfile.TarInfo(f"bin/{name}")
            link.type, link.linkname = tarfile.SYMTYPE, "busybox"
            tar.addfile(link)
    return archive(scratch / "small.tar", SMALL, [layer.getvalue()])


def large(scratch, reference, megabytes):
    """An archive with five layers of files, half of whose bytes are noise: it packs about as real images do."""
    dice = random.Random(1)
    layers = []
    for number in range(5):
        layer = io.BytesIO()
        with tarfile.open(fileobj=layer, mode="w") as tar:
            for index in range(megabytes // 5 * 10):
                noise = dice.randbytes(50_000)
                text = (f"line {index} of a file that repeats itself\n" * 1400)[:50_000].encode()
                entry = tarfile.TarInfo(f"data{number}/{index // 100}/file{index}")
                entry.size = len(noise) + len(text)
                tar.addfile(entry, io.BytesIO(noise + text))
        layers.append(layer.getvalue())
    return archive(scratch / "large.tar", reference, layers)


def owned_by_root(entry):
    entry.uid = entry.gid = 0
    entry.uname = entry.gname = ""
    return entry


def archive(path, reference, layers):
    """Packs layers, config and manifest as `docker save` of old did."""
    digests = [hashlib.sha256(layer).hexdigest() for layer in layers]
    machine = {"x86_64": "amd64", "aarch64": "arm64"}.get(platform.machine(), platform.machine())
    config = json.dumps({
        "architecture": machine,
        "os": "linux",
        "config": {"Env": ["PATH=/bin"], "Cmd": ["sh"]},
        "rootfs": {"type": "layers", "diff_ids": [f"sha256:{digest}" for digest in digests]},
    }).encode()
    names = [f"{digest}/layer.tar" for digest in digests]
    name = hashlib.sha256(config).hexdigest() + ".json"
    manifest = json.dumps([{"Config": name, "RepoTags": [reference], "Layers": names}]).encode()
    with tarfile.open(path, "w") as tar:
        for member, data in [(name, config), *zip(names, layers), ("manifest.json", manifest)]:
            entry = tarfile.TarInfo(member)
            entry.size = len(data)
            tar.addfile(entry, io.BytesIO(data))
    return path
