"""Facts of Jetsons that are not there."""

from __future__ import annotations

from pathlib import Path, PurePosixPath
from typing import Any

from deployers.facts import Entry, Facts
from deployers.inventory import Board, Jetson

PIN = "SHA256:" + "A" * 43
BARE = Facts(
    machine="aarch64",
    system="Ubuntu 22.04.5 LTS",
    libc=("glibc", "2.35"),
    python="/usr/bin/python3.11",
    python_version=(3, 11, 9),
    pythons=("python3.11",),
    venv=True,
    implementation="CPython",
    login="jetson",
    uid=1000,
    elevated=True,
    home="/home/jetson",
    account=False,
    systemd=True,
    unit="",
    active="",
    enabled="",
    supervised=False,
    health=False,
    started="",
    disk_free=20 << 30,
    memory=8 << 30,
    entries={},
    tensorflow=False,
)


def facts(**changes: Any) -> Facts:
    """Those of a bare Jetson, but for some."""
    return BARE.model_copy(update=changes)


def jetson(**changes: Any) -> Jetson:
    """An entry of an inventory."""
    fields: dict[str, Any] = {"name": "kitchen", "host": "192.0.2.7", "user": "jetson", "host_keys": (PIN,)}
    return Jetson.model_validate({**fields, **changes})


def board(name: str, key: Path) -> Board:
    """A board behind it."""
    return Board(id=name, key_file=key)


def folder(owner: str, mode: int = 0o755) -> Entry:
    """A folder that is there."""
    return Entry(kind="folder", mode=mode, owner=owner)


def link(target: str) -> Entry:
    """A link that is there."""
    return Entry(kind="link", mode=0o777, owner="jetson", target=target)


ROOT = PurePosixPath("/var/lib/edgeloop")
