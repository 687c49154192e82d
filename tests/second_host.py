"""A second machine on this one: namespaces of its own, with its own sshd and Docker daemon, and a cable to it.

Everything over there runs in a process namespace: when its first process ends, by whatever signal, the kernel ends
sshd, Docker and its containers, and takes mounts and cable away. It sees the system's programs and nothing that belongs
to this machine's user, and reaches no network but the cable's.
"""

from __future__ import annotations

import os
import secrets
import shutil
import subprocess
import time
from contextlib import contextmanager
from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING

from deployers.lab.arm64 import KEYS_ALONE, free_network
from deployers.lab.programs import end_of, find_program
from deployers.processes import bound
from tests.programs import CHECKOUT
from tests.sshd import make_key

if TYPE_CHECKING:
    from collections.abc import Callable, Iterator

LOGIN, UID = "edgeloop", 61234
DOCKER_GROUP = 61235
SECONDS_TO_START = 60
CGROUPS = Path("/sys/fs/cgroup")
# The places of this machine that hold what belongs to its user.
HIDDEN = ("/run", "/tmp", "/home", "/root", "/mnt", "/media", "/var/tmp")  # noqa: S108 - emptied over there
# bash is the first process over there, and buries whatever loses its parent.
INIT = r"""
set -euo pipefail
disk=$1 address=$2 group=$3; shift 3
mount --make-rprivate /
hostname second
mount --bind "$disk" /srv
# Accounts of its own, above those of the system: a file that is mounted alone would go when the system's is renewed.
mount -t overlay overlay -o "lowerdir=/etc,upperdir=/srv/etc,workdir=/srv/work" /etc
for folder in "$@"; do [ ! -d "$folder" ] || mount -t tmpfs -o mode=755 tmpfs "$folder"; done
chmod 1777 /tmp
mkdir -p /run/sshd
until ip link show eth0 > /dev/null 2>&1; do sleep 0.05; done
ip link set lo up
ip address add "$address/30" dev eth0
ip link set eth0 up
# The containers share the host's network: Docker need not make one.
dockerd --data-root /srv/docker --group docker --cgroup-parent "/$group" \
    --bridge none --iptables=false --ip6tables=false --log-level warn &
/usr/sbin/sshd -D -e -f /srv/ssh/config &
wait -n
echo "sshd or dockerd has ended"
exit 1
"""
SSHD = f"""
HostKey /srv/ssh/host
AuthorizedKeysFile /srv/ssh/authorized
AllowUsers {LOGIN}
{KEYS_ALONE}"""


@dataclass(frozen=True)
class SecondHost:
    """Where the second machine is, and what opens it."""

    folder: Path
    here: str
    address: str
    mark: str

    @property
    def key(self) -> Path:
        """Its login's private key."""
        return self.folder / "keys" / "client"

    @property
    def known_hosts(self) -> Path:
        """A file that pins its host key."""
        return self.folder / "keys" / "known_hosts"

    def run(self, command: str, *, accepted: tuple[int, ...] = (0,)) -> str:
        """What a command of the login prints over there."""
        told = subprocess.run(self.ssh(command), capture_output=True, text=True, timeout=300, check=False)
        assert told.returncode in accepted, (command, told.returncode, told.stderr[-2000:])
        return told.stdout

    def give_image(self, docker_host: str, image: str) -> None:
        """`docker save | ssh HOST docker load`, from a Docker daemon of this machine."""
        environment = {**os.environ, "DOCKER_HOST": docker_host}
        with subprocess.Popen(["docker", "save", image], env=environment, stdout=subprocess.PIPE) as saved:
            subprocess.run(self.ssh("docker load"), stdin=saved.stdout, check=True, capture_output=True, timeout=1800)
        assert saved.returncode == 0

    def ssh(self, command: str) -> list[str]:
        """The client's words for a command over there."""
        options = [f"UserKnownHostsFile={self.known_hosts}", "StrictHostKeyChecking=yes", "IdentitiesOnly=yes"]
        words = [word for option in options for word in ("-o", option)]
        return ["ssh", "-F", "none", "-q", *words, "-i", str(self.key), f"{LOGIN}@{self.address}", command]


@contextmanager
def second_host(folder: Path, compose: Path) -> Iterator[SecondHost]:
    """Start it, and end it with everything that runs there; its disk goes as well.

    Args:
        folder: for its keys, its log and its disk.
        compose: Docker's Compose plugin.
    """
    network, mark = free_network(), f"edgeloop-{secrets.token_hex(4)}"
    here, address = f"{network}.1", f"{network}.2"
    disk, log = folder / "disk", folder / "second.log"
    try:
        _prepare(folder, disk, compose, address)
        process = _start(disk, log, address, mark)
        try:
            host = SecondHost(folder, here, address, mark)
            _plug(cable_of(mark), here, process)
            _until(process, log, lambda: _answers(host))
            yield host
        finally:
            process.kill()
            process.wait(30)
    finally:
        _remove(disk, mark)


def cable_of(mark: str) -> str:
    """The name of this machine's end of the cable."""
    return f"e{mark[-8:]}"


def _prepare(folder: Path, disk: Path, compose: Path, address: str) -> None:
    for name in ("keys", "disk/etc", "disk/work", "disk/ssh", "disk/home/.docker/cli-plugins"):
        (folder / name).mkdir(parents=True)
    folder.chmod(0o755)
    keys, ssh = folder / "keys", disk / "ssh"
    make_key(ssh / "host")
    make_key(keys / "client")
    shutil.copyfile(keys / "client.pub", ssh / "authorized")
    kind, public = (ssh / "host.pub").read_text(encoding="ascii").split()[:2]
    (keys / "known_hosts").write_text(f"{address} {kind} {public}\n", encoding="ascii")
    (ssh / "config").write_text(SSHD, encoding="ascii")
    shutil.copy(compose, disk / "home/.docker/cli-plugins/docker-compose")
    _accounts(disk / "etc")
    for name in ("home", "home/.docker"):
        os.chown(disk / name, UID, UID)


def _accounts(etc: Path) -> None:
    """The system's accounts with one more, which may use Docker."""
    users = Path("/etc/passwd").read_text(encoding="utf-8")
    groups = [line for line in Path("/etc/group").read_text(encoding="utf-8").splitlines() if line[:7] != "docker:"]
    (etc / "passwd").write_text(f"{users}{LOGIN}:*:{UID}:{UID}::/srv/home:/bin/bash\n", encoding="utf-8")
    added = [f"{LOGIN}:x:{UID}:", f"docker:x:{DOCKER_GROUP}:{LOGIN}"]
    (etc / "group").write_text("\n".join([*groups, *added, ""]), encoding="utf-8")


def _start(disk: Path, log: Path, address: str, mark: str) -> subprocess.Popen[bytes]:
    spaces = ["--mount", "--uts", "--ipc", "--net", "--pid", "--fork", "--kill-child=SIGKILL", "--mount-proc"]
    words = [str(disk), address, mark, *HIDDEN, str(CHECKOUT)]
    command = [find_program("unshare", "Debian's util-linux has it"), *spaces, "bash", "-c", INIT, "init", *words]
    environment = {"PATH": "/usr/sbin:/usr/bin:/sbin:/bin"}
    with log.open("ab") as out:
        return subprocess.Popen(
            bound(command, os.getpid()), stdin=subprocess.DEVNULL, stdout=out, stderr=out, env=environment
        )


def _plug(cable: str, here: str, process: subprocess.Popen[bytes]) -> None:
    """A cable from here into its network namespace, which exists once it differs from this one."""
    own, theirs = Path("/proc/self/ns/net"), Path(f"/proc/{process.pid}/ns/net")
    end = time.monotonic() + SECONDS_TO_START
    while theirs.readlink() == own.readlink():
        assert time.monotonic() < end, "it made no network of its own"
        time.sleep(0.05)
    _ip("link", "add", cable, "type", "veth", "peer", "name", "eth0", "netns", str(process.pid))
    _ip("address", "add", f"{here}/30", "dev", cable)
    _ip("link", "set", cable, "up")


def _ip(*words: str) -> None:
    subprocess.run([find_program("ip", "Debian's iproute2 has it"), *words], check=True, capture_output=True)


def _answers(host: SecondHost) -> bool:
    done = subprocess.run(host.ssh("docker info"), capture_output=True, timeout=30, check=False)
    return done.returncode == 0


def _until(process: subprocess.Popen[bytes], log: Path, holds: Callable[[], bool]) -> None:
    end = time.monotonic() + SECONDS_TO_START
    while not holds():
        assert process.poll() is None, end_of(log, 2000)
        assert time.monotonic() < end, end_of(log, 2000)
        time.sleep(0.2)


def _remove(disk: Path, mark: str) -> None:
    """Take its disk, and the empty groups its containers leave with the kernel."""
    end = time.monotonic() + 30
    for group in CGROUPS.glob(f"*/{mark}"):
        for each in sorted(group.rglob("*"), reverse=True):
            while each.is_dir():
                try:
                    each.rmdir()
                except OSError:
                    assert time.monotonic() < end, f"{each} is still in use"
                    time.sleep(0.1)
        group.rmdir()
    while disk.exists():
        try:
            shutil.rmtree(disk)
        except FileNotFoundError:  # what the kernel has killed was about to remove it, too
            assert time.monotonic() < end, f"{disk} is still in use"
