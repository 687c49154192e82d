"""Wheels for another machine: fetched here for its processor and its Python, each by the hash that the lock has."""

from __future__ import annotations

import hashlib
import re
import sys
from dataclasses import dataclass
from typing import TYPE_CHECKING

from deployers.connectors.base import require
from deployers.connectors.command import Command
from deployers.exceptions import InputError, MissingTool, RemoteFailed, ServiceUnavailable

if TYPE_CHECKING:
    from pathlib import Path

    from deployers.connectors.base import Connector
    from deployers.facts import Facts

REQUIREMENT = re.compile(r"^([A-Za-z0-9][A-Za-z0-9._-]*)==(\S+)")
HASH = re.compile(r"--hash=sha256:([0-9a-f]{64})")
MANYLINUX = re.compile(r"manylinux_(\d+)_(\d+)_(\w+)")
OLD_NAMES = {"manylinux2014": (2, 17), "manylinux2010": (2, 12), "manylinux1": (2, 5)}
OLDEST_GLIBC, NEWEST_GLIBC = 17, 28  # minor versions that pip is asked for; wheels are built for these
DOWNLOAD_SECONDS = 1800.0


@dataclass(frozen=True, slots=True)
class Target:
    """The machine that wheels are for.

    Attributes:
        machine: aarch64, x86_64.
        python: such as (3, 11).
        glibc: such as (2, 36).
    """

    machine: str
    python: tuple[int, int]
    glibc: tuple[int, int]

    @classmethod
    def of(cls, name: str, facts: Facts) -> Target:
        """By its facts.

        Raises:
            MissingTool: its C library is not the one that wheels are built for.
        """
        kind, version = facts.libc
        numbers = tuple(int(part) for part in re.findall(r"\d+", version)[:2])
        if kind != "glibc" or len(numbers) != 2:
            msg = f"{name}: its C library is {kind or 'unknown'} {version}, expected glibc: use Debian or Ubuntu there"
            raise MissingTool(msg)
        return cls(facts.machine, facts.python_version[:2], (numbers[0], numbers[1]))

    def takes(self, wheel: str) -> bool:
        """Whether a wheel of this file name runs there."""
        parts = wheel.removesuffix(".whl").split("-")
        if len(parts) < 5 or not wheel.endswith(".whl"):
            return False
        pythons, abis, platforms = (part.split(".") for part in parts[-3:])
        python = any(self._takes_python(each, abis) for each in pythons)
        return python and any(each == "any" or self._takes_platform(each) for each in platforms)

    def _takes_python(self, tag: str, abis: list[str]) -> bool:
        major, minor = self.python
        exact = f"cp{major}{minor}"
        if tag == exact:
            return bool({exact, "abi3", "none"} & set(abis))
        found = re.fullmatch(r"(cp|py)(\d)(\d*)", tag)
        if not found or int(found[2]) != major or int(found[3] or 0) > minor:
            return False
        return "none" in abis if found[1] == "py" else "abi3" in abis

    def _takes_platform(self, tag: str) -> bool:
        found = MANYLINUX.fullmatch(tag)
        if found:
            return found[3] == self.machine and (int(found[1]), int(found[2])) <= self.glibc
        old, _, machine = tag.partition("_")
        return machine == self.machine and OLD_NAMES.get(old, (99, 0)) <= self.glibc

    @property
    def platforms(self) -> tuple[str, ...]:
        """Names of platforms for pip, the newest first."""
        newest = min(self.glibc[1], NEWEST_GLIBC) if self.glibc[0] == 2 else NEWEST_GLIBC
        names = [f"manylinux_2_{minor}_{self.machine}" for minor in range(newest, OLDEST_GLIBC - 1, -1)]
        return (*names, f"manylinux2014_{self.machine}")

    def __str__(self) -> str:
        return f"{self.machine}, Python {self.python[0]}.{self.python[1]}, glibc {self.glibc[0]}.{self.glibc[1]}"


@dataclass(frozen=True, slots=True)
class Locked:
    """A package in a lock: its name, its version and the hashes of its files."""

    name: str
    version: str
    hashes: frozenset[str]


def read_lock(text: str) -> tuple[Locked, ...]:
    """The packages of a lock as `uv pip compile --generate-hashes` writes it.

    Raises:
        InputError: it has none, or one without a hash.
    """
    found = []
    for block in re.split(r"\n(?=[A-Za-z0-9])", text):
        head = REQUIREMENT.match(block)
        if head:
            found.append(Locked(_canonical(head[1]), head[2], frozenset(HASH.findall(block))))
    bare = next((package.name for package in found if not package.hashes), None)
    if not found or bare:
        what = f"package {bare!r} has no hash" if bare else "it has no package"
        msg = f"lock: {what}, expected name==version and hashes: make lock"
        raise InputError(msg)
    return tuple(found)


def fetch_wheels(name: str, lock: Path, target: Target, cache: Path, here: Connector) -> tuple[Path, ...]:
    """Every wheel of a lock for a machine; only what the cache lacks is downloaded, by pip, from the index it knows.

    Args:
        name: of the Jetson, for messages.
        lock: the file.
        target: the machine.
        cache: folder here.
        here: this machine.

    Raises:
        InputError: the lock has a package that has no wheel for the machine.
        ServiceUnavailable: the index does not answer.
    """
    text = lock.read_text(encoding="utf-8")
    folder = cache / hashlib.sha256(f"{target}\n{text}".encode()).hexdigest()[:16]
    folder.mkdir(parents=True, exist_ok=True)
    try:
        return require_wheels(name, text, folder, target)
    except InputError:
        pass  # not all of them are there yet
    command = download_command(lock, target, folder)
    try:
        require(here, command)
    except RemoteFailed as error:
        said = str(error)
        if "No matching distribution" in said or "Could not find a version" in said:
            msg = f"{name}: a package of {str(lock)!r} has no wheel for {target} ({said}): use another Python there"
            raise InputError(msg) from None
        msg = f"{name}: the wheels for {target} were not fetched ({said})"
        raise ServiceUnavailable(msg) from None
    return require_wheels(name, text, folder, target)


def download_command(lock: Path, target: Target, folder: Path) -> Command:
    """What fetches the wheels; the lock is complete, so no dependency is looked for."""
    words: list[str | Path] = [sys.executable, "-m", "pip", "download", "--no-deps", "--only-binary=:all:"]
    words += ["--require-hashes", "--disable-pip-version-check", "--no-input", "--quiet", "--progress-bar=off"]
    words += ["--implementation=cp", f"--python-version={target.python[0]}.{target.python[1]}"]
    words += [f"--platform={platform}" for platform in target.platforms]
    return Command((*words, "-r", lock, "-d", folder), timeout=DOWNLOAD_SECONDS)


def require_wheels(name: str, lock: str, folder: Path, target: Target) -> tuple[Path, ...]:
    """The wheels of a folder, if every package of the lock has one that runs on the machine and is the one locked.

    Raises:
        InputError: one is missing, is for another processor or Python, or has another hash.
    """
    files = sorted(folder.glob("*.whl")) if folder.is_dir() else []
    return tuple(_wheel(name, package, files, folder, target) for package in read_lock(lock))


def _wheel(name: str, package: Locked, files: list[Path], folder: Path, target: Target) -> Path:
    named = [path for path in files if _canonical("-".join(path.name.split("-")[:1])) == package.name]
    of_version = [path for path in named if path.name.split("-")[1] == package.version]
    fitting = [path for path in of_version if target.takes(path.name)]
    for path in fitting:
        with path.open("rb") as stream:
            if hashlib.file_digest(stream, "sha256").hexdigest() in package.hashes:
                return path
    what = f"{package.name}=={package.version}"
    if fitting:
        reason = f"{fitting[0].name!r} has another hash than the lock, expected the file that was locked"
    elif named:
        reason = f"{named[0].name!r} does not run on {target}, expected {what} for it"
    else:
        reason = f"it has no wheel of {what!r}, expected one for {target}"
    msg = (
        f"{name}: wheelhouse {str(folder)!r}: {reason}: fetch it for that machine, or remove it and let setup fetch it"
    )
    raise InputError(msg)


def _canonical(name: str) -> str:
    return re.sub(r"[-_.]+", "-", name).lower()
