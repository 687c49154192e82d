"""The disk of the emulated Jetson: Debian 12 for aarch64 and the hub's Python environment, each kept as a tar file.

Nothing of it runs while it is made: packages are unpacked, wheels are installed for another architecture, and bytecode
is compiled by this machine's Python of the same version, all in seconds where emulation takes many minutes.
"""

from __future__ import annotations

import contextlib
import hashlib
import os
import shutil
import subprocess
import sys
import tempfile
from pathlib import Path
from typing import TYPE_CHECKING

from deployers.exceptions import MissingTool
from deployers.lab.programs import LabError, find_program, run_program
from deployers.locks import locked
from deployers.registry import CHECKOUT

if TYPE_CHECKING:
    from collections.abc import Callable, Iterator, Sequence
    from typing import IO

PREFIX = "jetson-arm64"  # of everything in the cache
SUITE = "bookworm"  # from the mirror that debootstrap has for it
PACKAGES = ("openssh-server", "python3", "python3-venv", "ca-certificates", "procps")
PLATFORM = "aarch64-manylinux_2_28"  # Debian 12 has glibc 2.36
PYTHON = "3.11"
LOCK = CHECKOUT / "locks" / "hub-convert.txt"
LOGIN, UID, HOME = "jetson", 1000, "/home/jetson"
ROOT = Path("/var/lib/edgeloop")
# Raise it with every change of what is made here.
EDITION = 2
COMMAND_SECONDS = 1200.0
# What no hub reads, a third of the disk.
PRUNED = ("var/cache/apt/archives", "usr/share/doc", "usr/share/man", "usr/share/locale", "debootstrap")


def cache_folder() -> Path:
    """Where downloads of edgeloop are kept, outside the checkout."""
    return Path(os.environ.get("XDG_CACHE_HOME") or "~/.cache").expanduser() / "edgeloop"


def system_archive(said: Callable[[str], None]) -> Path:
    """The system's tar file, made if it is not in the cache."""
    name = hashlib.sha256("\n".join((SUITE, *PACKAGES, str(EDITION))).encode()).hexdigest()[:12]
    return _cached(f"{PREFIX}-{SUITE}-{name}.tar", _make_system, said)


def environment_archive(said: Callable[[str], None]) -> Path:
    """The tar file of the environment's site-packages, made if it is not in the cache."""
    name = hashlib.sha256(LOCK.read_bytes() + f"{PLATFORM} {PYTHON} {EDITION}".encode()).hexdigest()[:12]
    return _cached(f"{PREFIX}-environment-{name}.tar", _make_environment, said)


def unpack(archive: Path, folder: Path) -> None:
    """Unpack a tar file as it was packed, owners and modes included."""
    folder.mkdir(parents=True, exist_ok=True)
    _run("unpacking", ["tar", "-x", "--numeric-owner", "-p", "-f", str(archive), "-C", str(folder)])


def _cached(name: str, make: Callable[[Path], None], said: Callable[[str], None]) -> Path:
    folder = cache_folder()
    folder.mkdir(parents=True, exist_ok=True)
    file, busy = folder / name, LabError(f"another lab makes {name!r} in {str(folder)!r}: wait for it and repeat")
    with locked(folder / f"{PREFIX}.lock", COMMAND_SECONDS, busy):
        if not file.exists():
            said(f"making {file}")
            with _scratch(folder) as scratch:
                make(scratch / "made")
                part = scratch / name
                _run("packing", ["tar", "-c", "--numeric-owner", "-f", str(part), "-C", str(scratch / "made"), "."])
                part.replace(file)
            for old in set(folder.glob(f"{name.rpartition('-')[0]}-*.tar")) - {file}:
                old.unlink()
    return file


@contextlib.contextmanager
def _scratch(beside: Path) -> Iterator[Path]:
    for left in beside.glob(f"{PREFIX}-*/"):  # by one that was killed: gigabytes
        shutil.rmtree(left)
    folder = Path(tempfile.mkdtemp(prefix=f"{PREFIX}-", dir=beside))
    try:
        yield folder
    finally:
        shutil.rmtree(folder)


def _make_system(root: Path) -> None:
    """The first stage of debootstrap, and the rest of its packages unpacked: no package's script is run."""
    options = ["--foreign", "--arch=arm64", "--variant=minbase", f"--include={','.join(PACKAGES)}"]
    _run("debootstrap", [tool("debootstrap"), *options, SUITE, str(root)])
    for package in sorted((root / "var/cache/apt/archives").glob("*.deb")):
        with subprocess.Popen(["dpkg-deb", "--fsys-tarfile", str(package)], stdout=subprocess.PIPE) as files:  # noqa: S603, S607 - fixed
            # The folders that Debian merged into /usr are links, which stay.
            command = ["tar", "-x", "--keep-directory-symlink", "-p", "-C", str(root)]
            _run(f"unpacking {package.name}", command, stdin=files.stdout)
    for name in PRUNED:
        shutil.rmtree(root / name, ignore_errors=True)
    configure(root)
    _compile(root, [root / "usr/lib" / name for name in (f"python{PYTHON}", "python3")])


def configure(root: Path) -> None:
    """What the packages' scripts would have done, as far as a hub and its login need it."""
    (root / "proc").unlink()  # debootstrap's link to the folder of this machine
    (root / "proc").mkdir()
    account = f"{LOGIN}:x:{UID}:{UID}:the Jetson's owner:{HOME}:/bin/sh\n"
    daemon = "sshd:x:100:65534::/run/sshd:/usr/sbin/nologin\n"
    masters = root / "usr/share/base-passwd"
    (root / "etc/passwd").write_text((masters / "passwd.master").read_text(encoding="ascii") + daemon + account)
    (root / "etc/group").write_text((masters / "group.master").read_text(encoding="ascii") + f"{LOGIN}:x:{UID}:\n")
    (root / "etc/hostname").write_text("jetson\n")
    (root / "etc/hosts").write_text("127.0.0.1 localhost jetson\n")
    certificates = Path("/etc/ssl/certs/ca-certificates.crt")
    if certificates.exists():
        shutil.copy(certificates, root / "etc/ssl/certs")
    for folder in (root / HOME[1:], root / str(ROOT)[1:], root / str(ROOT)[1:] / "venv"):
        folder.mkdir(parents=True, exist_ok=True)
        os.chown(folder, UID, UID)


def _make_environment(folder: Path) -> None:
    folder.mkdir()
    uv = Path(sys.executable).with_name("uv")
    if not uv.exists():
        msg = f"{str(uv)!r} is missing, wheels for aarch64 are installed by it: make setup"
        raise MissingTool(msg)
    target = ["--target", str(folder), "--python-platform", PLATFORM, "--python-version", PYTHON]
    options = ["--quiet", "--no-deps", "--require-hashes", "--only-binary", ":all:"]
    _run("installing wheels", [str(uv), "pip", "install", *options, *target, "-r", str(LOCK)])
    shutil.rmtree(folder / "bin", ignore_errors=True)
    _compile(folder, [folder])


def _compile(root: Path, folders: Sequence[Path]) -> None:
    """Bytecode of all modules; emulated, an import of TensorFlow without it takes minutes each time."""
    if sys.version_info[:2] != tuple(map(int, PYTHON.split("."))):
        msg = f"Python {sys.version.split()[0]!r} compiles other bytecode than the Jetson's {PYTHON}: make setup"
        raise MissingTool(msg)
    compiling = [sys.executable, "-m", "compileall", "-q", "-j", "0", "-s", str(root), *map(str, folders)]
    # Some packages ship files for other versions of Python, which do not compile.
    _run("compiling", compiling, accepted=(0, 1))


def tool(name: str) -> str:
    """A program of this machine.

    Raises:
        MissingTool: it is not there.
    """
    return find_program(name, "the emulated Jetson needs it: make e2e-arm64 installs it")


def _run(
    what: str, command: Sequence[str], *, stdin: IO[bytes] | None = None, accepted: tuple[int, ...] = (0,)
) -> None:
    advice = "mend what it names and repeat"
    run_program(command, COMMAND_SECONDS, f"{what} failed", advice, accepted=accepted, stdin=stdin)
