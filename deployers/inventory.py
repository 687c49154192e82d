"""The inventory: which Jetsons there are, how to reach them, and which boards are behind each.

signing_key = "keys/signing.key"        # paths are relative to this file

[defaults]                              # any key of a Jetson, for all of them
user = "jetson"
key_file = "keys/id_ed25519"

[[jetson]]
name = "kitchen"
host = "192.0.2.7"
host_keys = ["SHA256:…"]                # as `ssh-keygen -lf /etc/ssh/ssh_host_ed25519_key.pub` prints it there
groups = ["canary"]

[[jetson.board]]
id = "board-1"
key_file = "keys/board-1.key"           # 32 bytes, only its owner may read it
"""

from __future__ import annotations

import base64
import binascii
import fnmatch
import os
import re
import tomllib
from pathlib import Path, PurePosixPath
from typing import TYPE_CHECKING, Annotated, Any, Literal, NoReturn

from pydantic import AfterValidator, BaseModel, BeforeValidator, ConfigDict, Field, ValidationError

from deployers.exceptions import InputError

if TYPE_CHECKING:
    from collections.abc import Iterable

CHECKOUT = Path(__file__).resolve().parents[1]
NAME = "inventory.toml"
VARIABLE = "EDGELOOP_INVENTORY"
BOARD_KEY_BYTES = 32
SHA256_BYTES = 32
# Names become parts of paths, file names and tags.
WORD = re.compile(r"[A-Za-z0-9][A-Za-z0-9._-]{0,63}")
ACCOUNT = re.compile(r"[a-z_][a-z0-9_-]{0,30}")
FOLDER = re.compile(r"(/[A-Za-z0-9._@+-]+){2,}")  # goes into a unit of systemd, where % and spaces mean something
HOST = re.compile(r"[A-Za-z0-9._:%-]{1,253}")  # a name or an address; never an option


def _word(text: str) -> str:
    if not WORD.fullmatch(text):
        msg = f"{text!r} is no name, expected up to 64 letters, digits, dots, hyphens and underscores"
        raise ValueError(msg)
    return text


def _matching(pattern: re.Pattern[str], what: str) -> AfterValidator:
    def check(text: str) -> str:
        if not pattern.fullmatch(text) or text.startswith("-"):
            msg = f"{text!r} is no {what}"
            raise ValueError(msg)
        return text

    return AfterValidator(check)


def _fingerprint(text: str) -> str:
    kind, _, digits = text.partition(":")
    try:
        size = len(base64.b64decode(digits + "=", validate=True))
    except binascii.Error:
        size = 0
    if kind != "SHA256" or size != SHA256_BYTES:
        msg = f"{text!r} is no fingerprint, expected 'SHA256:' and 43 characters, as ssh-keygen -lf prints it"
        raise ValueError(msg)
    return text


def _absolute(path: PurePosixPath) -> PurePosixPath:
    if not FOLDER.fullmatch(str(path)) or ".." in path.parts:
        msg = f"{str(path)!r} is no folder for the hub, expected an absolute path of two plain names or more"
        raise ValueError(msg)
    return path


def _user_path(text: Any) -> Any:
    return Path(text).expanduser() if isinstance(text, str) else text


Word = Annotated[str, AfterValidator(_word)]
File = Annotated[Path, BeforeValidator(_user_path)]
Port = Annotated[int, Field(ge=1, le=65535)]


class _Entry(BaseModel):
    model_config = ConfigDict(extra="forbid", frozen=True, strict=True)


class Board(_Entry):
    """A board behind a Jetson.

    Attributes:
        id: by which it names itself.
        key_file: the key that it shares with the hub.
        group: for waves.
    """

    id: Word
    key_file: File
    group: Word | None = None


class Jetson(_Entry):
    """A Jetson and what the deployer needs to know of it.

    Attributes:
        name: what messages and tags call it.
        host: name or address.
        user: who logs in.
        key_file: private key of the login; the agent's keys if not given.
        host_keys: fingerprints of which its host key has one.
        connection: "local" is this machine, without SSH.
        root: everything of the hub is below it.
        python: the interpreter over there, 3.11 or newer.
        index: whether pip reaches an index there; if not, wheels are uploaded.
        convert: whether TensorFlow is installed, so that it converts by itself.
        service: what restarts the hub: systemd, or a process of ours; "auto" is systemd where it runs and root may be
            had.
        account: the hub runs as, where the login may become root; else the login.
        groups: by which `--limit` chooses.
        rest_host, rest_port, boards_host, boards_port: where the hub listens.
        hub: more tables of hub.toml, such as `store` and `train`.
        boards: behind it.
    """

    name: Word
    host: Annotated[str, _matching(HOST, "host name or address")] = "localhost"
    port: Port = 22
    user: Word | None = None
    key_file: File | None = None
    host_keys: tuple[Annotated[str, AfterValidator(_fingerprint)], ...] = ()
    connection: Literal["ssh", "local"] = "ssh"
    connect_seconds: Annotated[float, Field(gt=0, le=600)] = 15.0
    root: Annotated[
        PurePosixPath,
        BeforeValidator(lambda x: PurePosixPath(x) if isinstance(x, str) else x),
        AfterValidator(_absolute),
    ] = PurePosixPath("/var/lib/edgeloop")
    python: str = "python3"
    index: bool = True
    convert: bool = False
    service: Literal["auto", "systemd", "supervise"] = "auto"
    account: Annotated[str, _matching(ACCOUNT, "account name, expected lower-case letters and digits")] = "edgeloop"
    groups: tuple[Word, ...] = ()
    rest_host: Annotated[str, _matching(HOST, "address")] = "127.0.0.1"
    rest_port: Port = 8484
    boards_host: Annotated[str, _matching(HOST, "address")] = "127.0.0.1"
    boards_port: Port = 7484
    hub: dict[str, dict[str, Any]] = {}
    boards: tuple[Board, ...] = Field(default=(), alias="board")


class Inventory(_Entry):
    """All Jetsons.

    Attributes:
        path: the file it was read from.
        signing_key: the deployer's private key.
        jetsons: in the order of the file.
    """

    path: Path
    signing_key: Path | None
    jetsons: tuple[Jetson, ...]

    @classmethod
    def load(cls, path: Path) -> Inventory:
        """Read an inventory and the files it names.

        Raises:
            InputError: it cannot be read, or an entry is not as it should be; the message names file, entry and key.
        """
        given = read_toml(path, "inventory", "--inventory")
        unknown = sorted(given.keys() - {"signing_key", "defaults", "jetson"})
        if unknown:
            _refuse(path, "", unknown[0], "is no key of an inventory, expected signing_key, defaults and jetson")
        jetsons = tuple(_jetson(path, number, entry, _defaults(path, given)) for number, entry in _tables(path, given))
        _require_unique(path, [(f"jetson {jetson.name!r}", "name", jetson.name) for jetson in jetsons])
        boards = [(f"jetson {j.name!r}, board {b.id!r}", "id", b.id) for j in jetsons for b in j.boards]
        _require_unique(path, boards)
        return cls(path=path, signing_key=_signing_key(path, given), jetsons=jetsons)

    def chosen(self, limit: Iterable[str] = ()) -> tuple[Jetson, ...]:
        """The Jetsons that `--limit` names, by name, pattern (`kitchen-*`) or group; all without one.

        Raises:
            InputError: a name fits none.
        """
        wanted = tuple(limit)
        for name in wanted:
            if not any(_fits(jetson, name) for jetson in self.jetsons):
                known = ", ".join(sorted({j.name for j in self.jetsons} | {g for j in self.jetsons for g in j.groups}))
                msg = f"--limit {name!r} fits no Jetson of {str(self.path)!r}, expected names or groups of {known}"
                raise InputError(msg)
        return tuple(j for j in self.jetsons if not wanted or any(_fits(j, name) for name in wanted))


def find_inventory(given: Path | None = None) -> Path:
    """The file to use: given, EDGELOOP_INVENTORY, inventory.toml in the current folder, the running lab's.

    Raises:
        InputError: there is none.
    """
    if given is not None:
        return given
    if os.environ.get(VARIABLE):
        return Path(os.environ[VARIABLE])
    home = Path(os.environ.get("EDGELOOP_HOME") or CHECKOUT / ".edgeloop")
    for path in (Path(NAME), home / "lab" / NAME):
        if path.exists():
            return path
    msg = f"no {NAME!r} in the current folder and no lab is up: give --inventory FILE, or python -m deployers.lab up"
    raise InputError(msg)


def _fits(jetson: Jetson, name: str) -> bool:
    return fnmatch.fnmatchcase(jetson.name, name) or name in jetson.groups


def read_toml(path: Path, what: str, option: str) -> dict[str, Any]:
    """The tables of a file.

    Args:
        path: the file.
        what: messages call it.
        option: that names it.

    Raises:
        InputError: it cannot be read, or is no TOML.
    """
    try:
        return tomllib.loads(path.read_text(encoding="utf-8"))
    except OSError as error:
        msg = f"{what} {str(path)!r} cannot be read ({error.strerror}): check {option} and its permissions"
    except ValueError as error:  # broken TOML, or no UTF-8
        msg = f"{what} {str(path)!r} is no TOML ({error}): mend it"
    raise InputError(msg)


def _refuse(path: Path, entry: str, key: str, reason: str) -> NoReturn:
    where = f", {entry}" if entry else ""
    msg = f"inventory {str(path)!r}{where}: {key!r} {reason}: mend it there"
    raise InputError(msg)


def _defaults(path: Path, given: dict[str, Any]) -> dict[str, Any]:
    defaults = given.get("defaults", {})
    if not isinstance(defaults, dict):
        _refuse(path, "", "defaults", f"is {defaults!r}, expected a table")
    own = sorted(defaults.keys() & {"name", "host", "host_keys", "board"})
    if own:
        _refuse(path, "defaults", own[0], "belongs to one Jetson, expected in [[jetson]]")
    return dict(defaults)


def _tables(path: Path, given: dict[str, Any]) -> Iterable[tuple[int, dict[str, Any]]]:
    found = given.get("jetson", [])
    if not isinstance(found, list) or not found or not all(isinstance(each, dict) for each in found):
        _refuse(path, "", "jetson", "is no list of tables, expected at least one [[jetson]]")
    return enumerate(found, 1)


def _jetson(path: Path, number: int, entry: dict[str, Any], defaults: dict[str, Any]) -> Jetson:
    name = entry.get("name")
    label = f"jetson {name!r}" if isinstance(name, str) else f"jetson number {number}"
    try:
        jetson = Jetson.model_validate(_arrays_as_tuples({**defaults, **entry}))
    except ValidationError as error:
        first = error.errors()[0]
        if first["loc"][:1] == ("board",) and len(first["loc"]) > 1:
            label = f"{label}, board number {int(first['loc'][1]) + 1}"
            first["loc"] = first["loc"][2:] or ("board",)
        key = ".".join(map(str, first["loc"])) or "entry"
        _refuse(path, label, key, reason_of(first))
    if jetson.connection == "ssh" and not jetson.host_keys:
        _refuse(path, label, "host_keys", 'is empty, expected the fingerprint of its host key, "SHA256:…"')
    return _with_files(path, label, jetson)


def reason_of(error: Any) -> str:
    """What pydantic found, in words of an inventory."""
    kind, value = error["type"], error["input"]
    if kind == "extra_forbidden":
        return "is no key that is known here"
    if kind == "missing":
        return "is missing"
    said = str(error.get("ctx", {}).get("error", error["msg"]))
    return said if repr(value) in said else f"is {value!r}, {said[:1].lower()}{said[1:]}"


def _arrays_as_tuples(value: Any) -> Any:
    """TOML has arrays, a frozen entry has tuples."""
    if isinstance(value, list):
        return tuple(_arrays_as_tuples(each) for each in value)
    if isinstance(value, dict):
        return {key: each if key == "hub" else _arrays_as_tuples(each) for key, each in value.items()}
    return value


def _with_files(path: Path, label: str, jetson: Jetson) -> Jetson:
    """With paths from where the inventory is; the files are there and are closed to others."""
    boards = []
    for board in jetson.boards:
        key = path.parent / board.key_file
        data = _require_private(path, f"{label}, board {board.id!r}", key)
        if len(data) != BOARD_KEY_BYTES:
            reason = f"{str(key)!r} has {len(data)} bytes, expected {BOARD_KEY_BYTES}"
            _refuse(path, f"{label}, board {board.id!r}", "key_file", reason)
        boards.append(board.model_copy(update={"key_file": key}))
    changed: dict[str, Any] = {"boards": tuple(boards)}
    if jetson.key_file is not None:
        changed["key_file"] = path.parent / jetson.key_file
        _require_private(path, label, changed["key_file"])
    return jetson.model_copy(update=changed)


def _signing_key(path: Path, given: dict[str, Any]) -> Path | None:
    key = given.get("signing_key")
    if key is None:
        return None
    if not isinstance(key, str) or not key:
        _refuse(path, "", "signing_key", f"is {key!r}, expected the path of a private key")
    found = path.parent / Path(key).expanduser()
    if found.exists():  # it may lie on another machine or a stick: only who signs needs it
        _require_private(path, "", found, "signing_key")
    return found


def _require_private(path: Path, entry: str, key: Path, name: str = "key_file") -> bytes:
    try:
        mode, data = key.stat().st_mode & 0o777, key.read_bytes()
    except OSError as error:
        _refuse(path, entry, name, f"{str(key)!r} cannot be read ({error.strerror}), expected a key")
    if mode & 0o077:
        _refuse(path, entry, name, f"{str(key)!r} has mode {mode:04o}, expected 0600 (chmod 600)")
    return data


def _require_unique(path: Path, names: Iterable[tuple[str, str, str]]) -> None:
    seen: set[str] = set()
    for entry, key, value in names:
        if value in seen:
            _refuse(path, entry, key, f"{value!r} is there twice, expected each once")
        seen.add(value)
