"""Deployments in a loop on a hub that is being measured: install, activate, forward to a native board, back."""

from __future__ import annotations

import secrets
import shutil
import threading
import time
from dataclasses import replace
from typing import TYPE_CHECKING, Any, Self

import httpx

from deployers.hub.private import write_private
from deployers.imaging import image_of_conversion
from deployers.lab.firmware import provision
from deployers.lab.process import BoardProcess
from deployers.protocol.image import create_image, parse_image
from deployers.protocol.signature import generate_keys, load_private_key

if TYPE_CHECKING:
    from pathlib import Path
    from types import TracebackType

BOARD = "bench-board"
JOB_SECONDS = 60.0
FIRST = 2


class Deployments:
    """The loop, in a thread; leaving the block ends it, and the board.

    Args:
        folder: where the hub's root is `hub`.
        url: of the hub.
        headers: with a token that may deploy.
        conversion: what is deployed, again and again with a higher version.
        boards_port: where the hub listens for boards.

    Attributes:
        done: deployments that came to their end.
    """

    def __init__(self, folder: Path, url: str, headers: dict[str, str], conversion: Path, boards_port: int) -> None:
        self.done = 0
        self._root, self._conversion = folder / "hub", conversion
        self._client = httpx.Client(base_url=url, headers=headers, timeout=JOB_SECONDS)
        self._ends = threading.Event()
        self._thread = threading.Thread(target=self._forever, name="deployments")
        self._error: BaseException | None = None
        key = secrets.token_bytes(32)
        write_private(self._root / "config" / "boards" / f"{BOARD}.key", key)
        public = (self._root / "config" / "image_keys" / "bench.pub").read_bytes()
        provision(folder / BOARD, key, public)
        self._board = BoardProcess("native", BOARD, folder / BOARD, boards_port)

    def __enter__(self) -> Self:
        self._board.__enter__()
        self._board.power_on()
        self._wait(lambda: self._device()["online"])
        self._thread.start()
        self._wait(lambda: self.done > 0 or self._error is not None)
        return self

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        self._ends.set()
        self._thread.join(JOB_SECONDS)
        self._board.__exit__(kind, error, trace)
        self._client.close()
        if self._error is not None:
            raise self._error

    def _forever(self) -> None:
        version = FIRST
        try:
            while not self._ends.is_set():
                self._once(version)
                self.done += 1
                version += 1
        except BaseException as error:  # noqa: BLE001 - raised where the block is left
            self._error = error

    def _once(self, version: int) -> None:
        sign(self._root, self._conversion, version)
        self._post("/models", {"folder": f"incoming/{version}"})
        self._post(f"/models/{version}/activate", None)
        self._job(f"/devices/{BOARD}/forward", version)
        self._job(f"/devices/{BOARD}/revert", version)

    def _job(self, path: str, version: int) -> None:
        number = self._post(path, {"version": version})["id"]
        ended = self._get(f"/jobs/{number}?wait=30")
        if ended["state"] != "done":
            msg = f"{path} of version {version!r} ended as {ended!r}, expected done: look at the hub's log"
            raise RuntimeError(msg)

    def _device(self) -> Any:
        return self._get(f"/devices/{BOARD}")

    def _get(self, path: str) -> Any:
        return self._client.get(path).raise_for_status().json()

    def _post(self, path: str, body: Any) -> Any:
        return self._client.post(path, json=body).raise_for_status().json()

    @staticmethod
    def _wait(holds: Any) -> None:
        end = time.monotonic() + JOB_SECONDS
        while not holds():
            if time.monotonic() > end:
                msg = f"not done after {JOB_SECONDS:g} s: look at the hub's log"
                raise TimeoutError(msg)
            time.sleep(0.05)


def sign(root: Path, conversion: Path, version: int) -> None:
    """Upload a version: a conversion and its signed image; the key is made with the first."""
    key = root / "bench.key"
    if not key.exists():
        generate_keys(key, root / "config" / "image_keys" / "bench.pub")
    private, first = load_private_key(key), root / "first.img"
    if not first.exists():
        first.write_bytes(image_of_conversion(conversion, private, 1))
    target = root / "incoming" / str(version)
    shutil.copytree(conversion, target)
    parts = replace(parse_image(first.read_bytes()), version=version)
    (target / "model.img").write_bytes(create_image(parts, private))
