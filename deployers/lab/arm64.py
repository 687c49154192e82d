"""The emulated Jetson: an aarch64 Debian in namespaces of its own, reached by its own SSH server over a virtual cable.

Everything is inside namespaces of one process: when that process ends, by whatever signal, the kernel ends what runs
in them and takes mounts and cable away. Only the registration of the emulator with the kernel is left, and `down`
removes it.
"""

from __future__ import annotations

import contextlib
import os
import secrets
import shutil
import socket
import subprocess
import time
from pathlib import Path
from typing import TYPE_CHECKING, Any

from deployers.lab.marked import VARIABLE
from deployers.lab.programs import LabError, end_of, run_program
from deployers.lab.rootfs import LOCK, LOGIN, ROOT, UID, environment_archive, system_archive, tool, unpack
from deployers.lab.sshd import write_key
from deployers.operations import environment_digest
from deployers.processes import bound

if TYPE_CHECKING:
    from collections.abc import Callable

    from deployers.lab.folder import LabFolder

CPU = "cortex-a57"  # of the Jetson Nano; a later one would run what a Nano cannot
START_SECONDS = 60.0
COMMAND_SECONDS = 20.0
CHOWN_SECONDS = 300.0
NETWORKS = 64
_POLL_SECONDS = 0.1
BINFMT = "/proc/sys/fs/binfmt_misc"
# ELF, 64 bit, little-endian, executable or shared, machine 183; as QEMU's qemu-binfmt-conf.sh has it.
MAGIC = rb"\x7fELF\x02\x01\x01\x00\x00\x00\x00\x00\x00\x00\x00\x00\x02\x00\xb7\x00".decode()
MASK = rb"\xff\xff\xff\xff\xff\xff\xff\x00\xff\xff\xff\xff\xff\xff\xff\xff\xfe\xff\xff\xff".decode()
# LiteRT asks sysfs and cpuinfo for the processor, and runs without XNNPACK, with other int8 results, when in doubt.
CPUINFO = """\
processor\t: {number}
BogoMIPS\t: 62.50
Features\t: fp asimd evtstrm aes pmull sha1 sha2 crc32 cpuid
CPU implementer\t: 0x41
CPU architecture: 8
CPU variant\t: 0x1
CPU part\t: 0xd07
CPU revision\t: 1

"""
# The first process of the namespaces; bash buries what the hub leaves behind.
INIT = r"""
set -euo pipefail
disk=$1 address=$2 rule=$3
mount --make-rprivate /
hostname jetson
mount -t binfmt_misc binfmt_misc /proc/sys/fs/binfmt_misc
printf %s "$rule" > /proc/sys/fs/binfmt_misc/register
mount -t proc proc "$disk/proc"
mount -t sysfs -o ro sysfs "$disk/sys"
mount --bind "$disk/../cpuinfo" "$disk/proc/cpuinfo"
for folder in dev run tmp; do mount -t tmpfs -o mode=755 tmpfs "$disk/$folder"; done
chmod 1777 "$disk/tmp"
mkdir -p "$disk/dev/pts" "$disk/dev/shm" "$disk/run/sshd"
chmod 1777 "$disk/dev/shm"
mount -t devpts -o newinstance,ptmxmode=0666 devpts "$disk/dev/pts"
ln -s pts/ptmx "$disk/dev/ptmx"
ln -s /proc/self/fd "$disk/dev/fd"
for device in null zero full random urandom tty; do
    touch "$disk/dev/$device"
    mount --bind "/dev/$device" "$disk/dev/$device"
done
until ip link show eth0 > /dev/null 2>&1; do sleep 0.05; done
ip link set lo up
ip address add "$address/30" dev eth0
ip link set eth0 up
chroot "$disk" /usr/sbin/sshd -D -e -f /etc/ssh/lab_config &
wait "$!"
"""


# What an sshd_config says of logins by keys alone, on a machine that is made for a moment.
KEYS_ALONE = """\
AuthenticationMethods publickey
PasswordAuthentication no
KbdInteractiveAuthentication no
UsePAM no
StrictModes no
PidFile none
UseDNS no
PrintMotd no
PrintLastLog no
Subsystem sftp internal-sftp
"""


def server_settings(mark: str) -> str:
    """The text of the sshd_config over there: one login, by one key; the processor that is emulated."""
    return f"""\
HostKey /etc/ssh/lab_host
AuthorizedKeysFile /etc/ssh/lab_authorized
AllowUsers {LOGIN}
MaxSessions 100
SetEnv QEMU_CPU={CPU} {VARIABLE}={mark}
{KEYS_ALONE}"""


class EmulatedJetson:
    """An aarch64 Debian.

    Args:
        folder: the lab's.
        mark: the lab's.

    Raises:
        LabError: this is not root, or it did not come up.
        MissingTool: a program is not there.
    """

    rest_port, boards_port = 8484, 7484

    def __init__(self, folder: LabFolder, mark: str) -> None:
        require_root()
        self._mark, self._log, self.client_key = mark, folder.sshd_log, folder.keys / "client"
        self._cable = f"el-{mark[:8]}"
        network = free_network()
        self._here, self.boards_host = f"{network}.1", f"{network}.2"
        self.disk = disk_of(folder)
        self.root_here = root_of(folder)
        self.fingerprint = self._give_keys(folder)
        with contextlib.ExitStack() as stack:
            stack.callback(self.close)
            self._process = self._start()
            self._plug()
            self._wait_for_server()
            stack.pop_all()

    @property
    def pids(self) -> list[int]:
        """The process that holds the namespaces."""
        return [self._process.pid]

    def inventory(self) -> dict[str, Any]:
        """As `deployers.inventory` reads it."""
        return {
            "name": "lab",
            "host": self.boards_host,
            "port": 22,
            "user": LOGIN,
            "key_file": str(self.client_key),
            "host_keys": [self.fingerprint],
            "root": str(ROOT),
            "python": "python3",
            "index": True,
            "convert": True,
            "account": LOGIN,
            "service": "supervise",
            "connect_seconds": 60.0,
            "rest_host": self.boards_host,
            "rest_port": self.rest_port,
            "boards_host": self.boards_host,
            "boards_port": self.boards_port,
            # The cable leads to this machine only.
            "hub.rest.insecure": True,
        }

    def turn(self) -> None:
        """See that it is still there.

        Raises:
            LabError: it has ended.
        """
        if self._process.poll() is not None:
            what = f"it ended with code {self._process.returncode}"
            raise self._failure(what)

    def close(self) -> None:
        """End it; the kernel takes mounts and cable away."""
        process = getattr(self, "_process", None)
        if process is not None:
            process.kill()
            process.wait()
        unregister(self._mark)

    def _give_keys(self, folder: LabFolder) -> str:
        found, ssh = write_key(folder.keys / "host"), self.disk / "etc/ssh"
        write_key(self.client_key)
        ssh.mkdir(exist_ok=True)
        shutil.copy(folder.keys / "host", ssh / "lab_host")
        shutil.copy(folder.keys / "client.pub", ssh / "lab_authorized")
        (ssh / "lab_host").chmod(0o600)
        (ssh / "lab_authorized").chmod(0o644)
        (ssh / "lab_config").write_text(server_settings(self._mark), encoding="ascii")
        return found

    def _start(self) -> subprocess.Popen[bytes]:
        cpus = os.cpu_count() or 1
        (self.disk.parent / "cpuinfo").write_text("".join(CPUINFO.format(number=each) for each in range(cpus)))
        spaces = ["--mount", "--uts", "--ipc", "--net", "--pid", "--fork", "--kill-child=SIGKILL", "--mount-proc"]
        init = ["bash", "-c", INIT, "init", str(self.disk), self.boards_host, binfmt_rule(self._mark)]
        environment = {"PATH": "/usr/sbin:/usr/bin:/sbin:/bin", "QEMU_CPU": CPU, VARIABLE: self._mark}
        command = bound([tool("unshare"), *spaces, *init], os.getpid())
        with self._log.open("ab") as log:
            return subprocess.Popen(command, stdin=subprocess.DEVNULL, stdout=log, stderr=log, env=environment)  # noqa: S603 - fixed

    def _plug(self) -> None:
        """A cable from here into its network namespace, which exists once it differs from this one."""
        own, theirs = Path("/proc/self/ns/net"), Path(f"/proc/{self._process.pid}/ns/net")
        self._until("made no network of its own", lambda: theirs.readlink() != own.readlink())
        peer = ["peer", "name", "eth0", "netns", str(self._process.pid)]
        _ip("link", "add", self._cable, "type", "veth", *peer)
        _ip("address", "add", f"{self._here}/30", "dev", self._cable)
        _ip("link", "set", self._cable, "up")

    def _wait_for_server(self) -> None:
        def greets() -> bool:
            with (
                contextlib.suppress(OSError),
                socket.create_connection((self.boards_host, 22), timeout=5) as connection,
            ):
                return connection.recv(4) == b"SSH-"
            return False

        self._until("its SSH server does not answer", greets)

    def _until(self, what: str, holds: Any) -> None:
        end = time.monotonic() + START_SECONDS
        while time.monotonic() < end and self._process.poll() is None:
            if holds():
                return
            time.sleep(_POLL_SECONDS)
        raise self._failure(what)

    def _failure(self, what: str) -> LabError:
        said = end_of(self._log)
        return LabError(f"the emulated Jetson is not up ({what}), it printed {said!r}: mend what it names")


def free_network() -> str:
    """The first three numbers of a network that no other lab of this machine has.

    Raises:
        LabError: all are taken.
    """
    networks = [f"10.213.{number}" for number in range(NETWORKS)]
    secrets.SystemRandom().shuffle(networks)  # two labs that start at once should not choose the same
    for network in networks:
        with socket.socket() as probe:
            try:
                probe.bind((f"{network}.1", 0))
            except OSError:  # no address of this machine
                return network
    msg = f"all {NETWORKS!r} networks of labs are taken, expected a free one: python -m deployers.lab down, for some"
    raise LabError(msg)


def disk_of(folder: LabFolder) -> Path:
    """Where its disk is on this machine."""
    return folder.path / "arm64" / "disk"


def root_of(folder: LabFolder) -> Path:
    """Where its hub's root folder is on this machine."""
    return disk_of(folder) / str(ROOT)[1:]


def require_root() -> None:
    """Refuse who may not make namespaces and mounts.

    Raises:
        LabError: this is not root.
    """
    if os.geteuid() != 0:
        msg = f"--jetson arm64 as user {os.geteuid()!r}, expected root, who may mount: sudo, or --jetson native"
        raise LabError(msg)


def prepare_disk(disk: Path, said: Callable[[str], None] = lambda _: None) -> None:
    """Unpack system and environment, unless a lab did before; a disk that is half unpacked is unpacked anew.

    Args:
        disk: its folder.
        said: told what takes minutes.

    Raises:
        LabError: this is not root, or a command failed.
        MissingTool: a program is not there.
    """
    require_root()
    for name in ("unshare", "ip", "mount", "chroot", "qemu-aarch64-static"):
        tool(name)
    done = disk.parent / "unpacked"
    if not done.exists():
        shutil.rmtree(disk, ignore_errors=True)
        unpack(system_archive(said), disk)
        done.touch()
    folder = disk / str(ROOT)[1:] / "venv" / environment_name()
    if not folder.exists():
        install_environment(environment_archive(said), folder)


def install_environment(archive: Path, folder: Path) -> None:
    """Make the environment that `setup` would make, at the place where it looks for it; it appears when it is whole."""
    whole, folder = folder, folder.with_name(f".{folder.name}")
    shutil.rmtree(folder, ignore_errors=True)
    unpack(archive, folder / "lib/python3.11/site-packages")
    (folder / "bin").mkdir()
    for name, target in (("python3.11", "/usr/bin/python3.11"), ("python3", "python3.11"), ("python", "python3.11")):
        (folder / "bin" / name).symlink_to(target)
    (folder / "lib64").symlink_to("lib")
    home = "home = /usr/bin\ninclude-system-site-packages = false\nversion = 3.11.2\nexecutable = /usr/bin/python3.11\n"
    (folder / "pyvenv.cfg").write_text(home, encoding="ascii")
    command = [tool("chown"), "-R", f"{UID}:{UID}", str(folder)]
    run_program(command, CHOWN_SECONDS, f"chown of {str(folder)!r} failed", "mend what it names and repeat")
    folder.rename(whole)


def environment_name() -> str:
    """What `setup` calls the environment of this lock on such a machine."""
    return environment_digest(LOCK.read_bytes(), "aarch64", (3, 11))


def binfmt_rule(mark: str) -> str:
    """The kernel's rule to start aarch64 programs by the emulator, which it opens now (F); they keep their name (P)."""
    return f":edgeloop-{mark}:M::{MAGIC}:{MASK}:{tool('qemu-aarch64-static')}:FP"


def unregister(mark: str) -> None:
    """Take the rule back, if it is there; the kernel's list is looked at in a mount namespace of its own."""
    take = 'mount -t binfmt_misc none "$1" && if [ -e "$1/$2" ]; then echo -1 > "$1/$2"; fi'
    command = [tool("unshare"), "--mount", "sh", "-c", take, "sh", BINFMT, f"edgeloop-{mark}"]
    advice = f"echo -1 > {BINFMT}/edgeloop-{mark}"
    run_program(command, COMMAND_SECONDS, f"the emulator's rule edgeloop-{mark} stays", advice)


def _ip(*words: str) -> None:
    advice = "see whether this machine may make cables (veth)"
    run_program([tool("ip"), *words], COMMAND_SECONDS, f"ip {' '.join(words)} failed", advice)
