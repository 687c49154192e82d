"""A Jetson in a folder: its files are real, shell commands really run, its hub is modelled from what `ctl` promises.

The hub keeps what it is: models in data/models/, what is active and what the boards run in memory that outlives any
connection. A board takes an image, tries it, and keeps it or goes back, as the firmware's slots do.
"""

from __future__ import annotations

import hashlib
import json
import shutil
import threading
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

from pydantic import ValidationError

from deployers.connectors.base import Completed
from deployers.connectors.command import Command
from deployers.connectors.local import LocalConnector
from deployers.exceptions import Unreachable
from deployers.facts import Facts
from deployers.hub.fleet import Map
from deployers.protocol.image import (
    ImageParts,
    ModelType,
    Policy,
    Tensor,
    TensorKind,
    TensorType,
    create_image,
    parse_image,
    verify_image,
)
from deployers.protocol.manifest import CONVERSION, ManifestError, verify_manifest, write_manifest
from deployers.protocol.signature import load_private_key
from deployers.protocol.tlv import ImageError

IMAGE = "model.img"
ERROR, GATE, AWAY, REFUSED, ROLLED_BACK = 2, 3, 5, 9, 10
COPIED = ("features.json", "golden.json", "model.onnx")


def make_release(folder: Path, name: str = "one") -> Path:
    """A release as far as a deployment looks into it."""
    folder.mkdir(parents=True)
    for file in (*COPIED, "model.keras"):
        (folder / file).write_text(f"{file} of {name}")
    write_manifest(folder, {"name": name})
    return folder


def convert(release: Path, out: Path, options: tuple[str, ...] = ()) -> None:
    """A conversion as far as a deployment looks into it; other options make another one."""
    shutil.rmtree(out, ignore_errors=True)
    out.mkdir(parents=True)
    for file in COPIED:
        shutil.copyfile(release / file, out / file)
    told = f"{(release / 'model.keras').read_text()} {' '.join(options)}"
    for file in ("cell_int8.tflite", "program.bin", "golden_int8.bin"):
        (out / file).write_text(f"{file}: {told}")
    (out / "fidelity.json").write_text(json.dumps({"chosen": "int8", "types": {"int8": {"mae_growth": 0.002}}}))
    sha256 = hashlib.sha256((release / "manifest.json").read_bytes()).hexdigest()
    write_manifest(out, {"chosen": "int8", "release_sha256": sha256, "model": "", "version": ""}, CONVERSION)


def sign(folder: Path, key: Path, version: int, description: str) -> bytes:
    """An image of a conversion, as `image create` makes it without running it."""
    facts = verify_manifest(folder, CONVERSION)["facts"]
    parts = ImageParts(
        (folder / "cell_int8.tflite").read_bytes(), (folder / "program.bin").read_bytes(),
        (folder / "golden_int8.bin").read_bytes(), (Tensor(TensorKind.X, TensorType.INT8, 4, 0.5),), version,
        ModelType.INT8, 1024, 1024, bytes.fromhex(facts["release_sha256"]), 0, description,
    )  # fmt: skip
    return create_image(parts, load_private_key(key))


def option(words: tuple[str, ...], name: str) -> str | None:
    return words[words.index(name) + 1] if name in words else None


class Ours:
    """Runs our own commands in the place of Python, and everything else for real."""

    def __init__(self) -> None:
        self.converted = 0
        self.inner = LocalConnector()
        self.ran: list[tuple[str, ...]] = []

    def ours(self, words: tuple[str, ...]) -> Completed | None:
        if "convert" in words:
            self.converted += 1
            release, out = Path(str(option(words, "--release"))), Path(str(option(words, "--out")))
            verify_manifest(release)
            chosen = words[words.index(str(out)) + 1 : words.index("--force")]
            convert(release, out, chosen)
            return Completed(0, b'{"chosen": "int8", "fidelity": {}}\n')
        if words[3:5] == ("image", "create"):
            out, key = Path(str(option(words, "-o"))), Path(str(option(words, "--key")))
            description = str(option(words, "--description"))
            out.write_bytes(sign(Path(words[5]), key, int(str(option(words, "--version"))), description))
            return Completed(0)
        return None


class Here(Ours):
    """The machine that deploys."""

    name = "here"

    def run(self, command: Command) -> Completed:
        words = command.plain()
        self.ran.append(words)
        return self.ours(words) or self.inner.run(command)

    def upload(self, *_: Any) -> Any:
        raise AssertionError

    download = sha256 = upload

    def close(self) -> None:
        pass


@dataclass
class FakeBoard:
    """A board with two slots.

    Attributes:
        does: "takes" an image, is "absent", "refuses", "reverts" by itself, or makes "other" forecasts.
    """

    id: str
    does: str = "takes"
    confirmed: int = 0
    test: int | None = None
    slots: dict[int, bytes] = field(default_factory=dict)
    received: int = 0


class FakeJetson(Ours):
    """The Jetson and its hub; `connector()` is a connection to it."""

    def __init__(
        self, root: Path, name: str, boards: tuple[str, ...], public: bytes, *, tensorflow: bool = False
    ) -> None:
        super().__init__()
        self.root, self.name, self.public, self.tensorflow = root, name, public, tensorflow
        self.boards = {board: FakeBoard(board) for board in boards}
        self.active: int | None = None
        self.ways: dict[int, int] = {}
        self.is_up, self.installed_at, self.free = True, 0, 1 << 30
        self.monitored: dict[str, dict[str, Any]] = {}
        self.channels: list[dict[str, Any]] = []
        self.retraining: dict[str, Any] = {}
        self.retrained: list[tuple[str, ...]] = []
        self.challengers: list[dict[str, Any]] = []
        self.maps: list[Map] = []
        self.unknown: set[str] = set()
        self.given = b""
        self.lock = threading.Lock()
        for folder in ("incoming", "data/models", "run"):
            (root / folder).mkdir(parents=True)

    def facts(self) -> Facts:
        link = {"kind": "link", "mode": 0o777, "owner": "jetson"}
        entries = {"code/current": {**link, "target": "abc"}, "venv/current": {**link, "target": "def"}}
        return Facts.model_validate({
            "machine": "aarch64", "system": "Debian", "libc": ("glibc", "2.36"), "python": "/usr/bin/python3",
            "python_version": (3, 11, 2), "pythons": (), "venv": True, "implementation": "CPython", "login": "jetson",
            "uid": 1000, "elevated": False, "home": "/home/jetson", "account": True, "systemd": False, "unit": "",
            "active": "", "enabled": "", "supervised": True, "health": self.is_up, "started": "x",
            "disk_free": self.free, "memory": 1 << 32, "entries": entries, "tensorflow": self.tensorflow,
        })  # fmt: skip

    def connector(self) -> Connection:
        return Connection(self)

    def models(self) -> list[dict[str, Any]]:
        found = []
        for folder in sorted((self.root / "data/models").iterdir(), key=lambda path: int(path.name)):
            image = (folder / IMAGE).read_bytes()
            facts = json.loads((folder / "manifest.json").read_bytes())["facts"]
            parts, version = parse_image(image), int(folder.name)
            found.append({
                "version": version, "image_sha256": hashlib.sha256(image).hexdigest(), "image_bytes": len(image),
                "release_sha256": parts.release_sha256.hex(), "model": facts["model"],
                "model_version": facts["version"], "description": parts.description, "chosen": facts["chosen"],
                "way_back_for": self.ways.get(version), "installed_ms": 1, "types": {},
            })  # fmt: skip
        return found

    def require_sound(self) -> None:
        """Nothing half-installed is active: the hub's model is whole and signed, each board's image is one of them."""
        folders = {int(folder.name): folder for folder in (self.root / "data/models").iterdir()}
        for version in [self.active, *(board.confirmed for board in self.boards.values())]:
            if version:
                image = (folders[version] / IMAGE).read_bytes()
                assert verify_image(image, Policy(keys=(self.public,))).version == version
                self.verified(folders[version])
        for board in self.boards.values():
            if board.confirmed:
                assert board.slots[board.confirmed] == (folders[board.confirmed] / IMAGE).read_bytes()

    def verified(self, folder: Path) -> None:
        listed = json.loads((folder / "manifest.json").read_bytes())["files"]
        for name, entry in listed.items():
            assert hashlib.sha256((folder / name).read_bytes()).hexdigest() == entry["sha256"], name
        assert set(listed) | {"manifest.json", IMAGE} == {path.name for path in folder.iterdir()}

    def ctl(self, words: tuple[str, ...], given: bytes = b"") -> Completed:
        name, *rest = words
        if name in self.unknown:
            return Completed(ERROR, b"", f"Usage: ctl [OPTIONS]\n\nError: No such command {name!r}.\n".encode())
        if not self.is_up:
            return self._said({"error": "the hub does not answer: start it"}, AWAY)
        with self.lock:
            self.given = given
            found, code = getattr(self, f"_{name.replace('-', '_')}")(tuple(rest))
        return self._said(found, code)

    def _said(self, found: dict[str, Any], code: int) -> Completed:
        error = f"error: {found['error']}\n".encode() if code else b""
        return Completed(code, json.dumps(found).encode() + b"\n", error)

    def _status(self, _: tuple[str, ...]) -> tuple[dict[str, Any], int]:
        boards = [
            {"id": b.id, "online": b.does != "absent", "confirmed": b.confirmed, "test": b.test,
             "state": "test" if b.test else "confirmed" if b.confirmed else "empty", "since_ms": 5, "busy": None}
            for b in self.boards.values()
        ]  # fmt: skip
        hub = {"revision": "r", "started_ms": 1}
        return {"hub": hub, "active": self.active, "active_since_ms": 2, "models": self.models(), "boards": boards}, 0

    def _monitor(self, words: tuple[str, ...]) -> tuple[dict[str, Any], int]:
        series = option(words, "--series")
        return (self.monitored[series] if series else {"devices": list(self.monitored.values())}), 0

    def _test_alert(self, _: tuple[str, ...]) -> tuple[dict[str, Any], int]:
        if not self.channels:
            return {"error": "no channel of alerts is there: add one"}, ERROR
        failed = [each["error"] for each in self.channels if not each["ok"]]
        found = {"channels": self.channels}
        return ({**found, "error": "; ".join(failed)}, AWAY) if failed else (found, 0)

    def _retraining(self, _: tuple[str, ...]) -> tuple[dict[str, Any], int]:
        return self.retraining, 0

    def _retrain(self, words: tuple[str, ...]) -> tuple[dict[str, Any], int]:
        self.retrained.append(words)
        if words[0] not in self.monitored:
            return {"error": f"series {words[0]!r} has no readings here"}, 2
        return {"id": len(self.retrained), "series": words[0], "state": "running"}, 0

    def _shadow(self, _: tuple[str, ...]) -> tuple[dict[str, Any], int]:
        return {"challengers": self.challengers, "rules": {}}, 0

    def _tell_fleet(self, _: tuple[str, ...]) -> tuple[dict[str, Any], int]:
        try:
            told = Map.model_validate(json.loads(self.given))
        except ValidationError as error:
            return {"error": str(error)}, ERROR
        self.maps.append(told)
        return {"partition": told.partition, "told_ms": 1}, 0

    def _challenge(self, words: tuple[str, ...]) -> tuple[dict[str, Any], int]:
        version = int(words[0])
        if version == self.active or self.active is None:
            return {"error": f"version {version} is active itself"}, ERROR
        if not (self.root / "data/models" / str(version)).exists():
            return {"error": f"no version {version}"}, ERROR
        if all(each["version"] != version for each in self.challengers):
            self.challengers.append({"version": version, "champion": self.active})
        return self.challengers[-1], 0

    def _install(self, words: tuple[str, ...]) -> tuple[dict[str, Any], int]:
        folder, back = Path(words[0]), option(words, "--way-back-for")
        try:
            image = (folder / IMAGE).read_bytes()
            parts = verify_image(image, Policy(keys=(self.public,)))
            self.verified(folder)
        except (OSError, ImageError, AssertionError, ManifestError) as error:
            return {"error": f"{folder} is not installed ({error})"}, GATE
        target = self.root / "data/models" / str(parts.version)
        if target.exists() and (target / IMAGE).read_bytes() != image:
            return {"error": f"version {parts.version} is installed with another image"}, ERROR
        if not target.exists():
            self.installed_at += 1
            folder.rename(target)
        if back is not None:
            self.ways[parts.version] = int(back)
        return {"version": parts.version, "state": "installed", "image_sha256": hashlib.sha256(image).hexdigest()}, 0

    def _activate(self, words: tuple[str, ...]) -> tuple[dict[str, Any], int]:
        before, version = self.active, int(words[0])
        if not (self.root / "data/models" / str(version)).exists():
            return {"error": f"no version {version}"}, ERROR
        self.active = version
        return {"active": version, "before": before}, 0

    def _forward(self, words: tuple[str, ...]) -> tuple[dict[str, Any], int]:
        version, board = int(words[0]), self.boards[str(option(words, "--board"))]
        if board.does == "absent":
            return {"error": f"board {board.id!r} did not connect"}, AWAY
        state = "confirmed" if board.confirmed == version else "test"
        if version in {board.confirmed, board.test}:
            return {"board": board.id, "version": version, "state": state, "bytes": 0, "resumed_from": 0}, 0
        image = (self.root / "data/models" / str(version) / IMAGE).read_bytes()
        if board.does == "refuses" or version < board.confirmed:
            return {"error": f"board {board.id!r} refused [IMAGE_LIMIT]"}, REFUSED
        board.slots[version], board.test = image, version
        board.received += len(image)
        return {"board": board.id, "version": version, "state": "test", "bytes": len(image), "resumed_from": 0}, 0

    def _confirm(self, words: tuple[str, ...]) -> tuple[dict[str, Any], int]:
        version, board = int(words[0]), self.boards[str(option(words, "--board"))]
        if board.does in {"reverts", "other"}:
            board.test = None
        if version not in {board.test, board.confirmed}:
            error = f"board {board.id!r} runs version {board.confirmed} and not {version}: it went back"
            return {"board": board.id, "state": "reverted", "running": board.confirmed, "error": error}, ROLLED_BACK
        board.confirmed, board.test = version, None
        return {"board": board.id, "version": version, "state": "confirmed", "agreed_within": 0.001}, 0

    def _revert(self, words: tuple[str, ...]) -> tuple[dict[str, Any], int]:
        board = self.boards[str(option(words, "--board"))]
        board.test = None
        return {"board": board.id, "state": "reverted", "running": board.confirmed}, 0

    def _log(self, words: tuple[str, ...]) -> tuple[dict[str, Any], int]:
        return {"board": option(words, "--board"), "lines": ["1 start", "2 model in test, version 1"]}, 0


class Connection(LocalConnector):
    """A connection to the Jetson."""

    def __init__(self, jetson: FakeJetson) -> None:
        self.jetson, self.name, self.closed = jetson, jetson.name, 0

    def run(self, command: Command) -> Completed:
        words = command.plain()
        self.jetson.ran.append(words)
        if "ctl" in words:
            return self.jetson.ctl(words[words.index("--config") + 2 :], command.input)
        return self.jetson.ours(words) or super().run(command)

    def close(self) -> None:
        self.closed += 1


@dataclass
class FakeReach:
    """Connections to fake Jetsons by the name in the inventory; `wrap` may break them."""

    jetsons: dict[str, FakeJetson]
    wrap: Any = field(default=lambda connector: connector)
    down: dict[str, Exception] = field(default_factory=dict)
    opened: list[Any] = field(default_factory=list)

    def connect(self, jetson: Any) -> Any:
        found = self.wrap(self.jetsons[jetson.name].connector())
        self.opened.append(found)
        return found

    def gather(self, connector: Any, jetson: Any) -> Facts:
        if jetson.name in self.down:
            raise self.down[jetson.name]
        done = connector.run(Command(("true",)))
        if done.code:
            raise Unreachable(jetson.name)
        return self.jetsons[jetson.name].facts()
