"""From a converted folder to a signed model image: nothing is signed that was not checked here."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

import numpy as np

from deployers.conversion.board import HostBoard
from deployers.conversion.checking import check_conversion
from deployers.conversion.features import decode_program
from deployers.conversion.runtimes import LiteRT
from deployers.exceptions import ConversionError, InputError, ReleaseError
from deployers.protocol.image import ImageParts, ModelType, Tensor, TensorKind, TensorType, create_image
from deployers.protocol.manifest import CONVERSION, ManifestError, verify_manifest
from deployers.protocol.status import Status
from deployers.protocol.tlv import ImageError

if TYPE_CHECKING:
    from collections.abc import Callable
    from pathlib import Path

    from deployers.conversion.runtimes import End
    from deployers.protocol.signature import PrivateKey

MODEL_TYPES = {"float32": ModelType.FLOAT32, "int8": ModelType.INT8, "int16x8": ModelType.INT16X8}
TENSOR_TYPES = {
    np.dtype(np.float32): TensorType.FLOAT32,
    np.dtype(np.int8): TensorType.INT8,
    np.dtype(np.int16): TensorType.INT16,
}
SHA256_DIGITS = 64


def image_of_conversion(  # noqa: PLR0913 - what an image says beside its model
    folder: Path,
    key: PrivateKey,
    version: int,
    *,
    minimum_firmware: int = 0,
    description: str = "",
    progress: Callable[[str], None] = lambda _: None,
) -> bytes:
    """Check a folder that `convert` wrote, and sign an image of its chosen type.

    Args:
        folder: the folder.
        key: the deployer's private key.
        version: 1 or more; boards refuse images older than the one they have confirmed.
        minimum_firmware: major << 16 | minor << 8 | patch.
        description: for people.
        progress: called with the name of each stage.

    Raises:
        ReleaseError: it is no such folder, or files are missing, changed or added.
        GateFailed: its golden vectors do not come out of the runtimes.
        InputError: a number does not fit the image.
    """
    check_conversion(folder, progress).require()
    parts = _parts(folder, version, minimum_firmware, description)
    try:
        return create_image(parts, key)
    except ImageError as error:
        raise InputError(str(error)) from None


def _parts(folder: Path, version: int, minimum_firmware: int, description: str) -> ImageParts:
    """What goes into the image, from files that the manifest vouches for."""
    try:
        facts: dict[str, Any] = verify_manifest(folder, CONVERSION)["facts"]
    except ManifestError as error:
        raise ReleaseError(str(error)) from None
    kind = str(facts["chosen"])
    model, program = (folder / f"cell_{kind}.tflite").read_bytes(), (folder / "program.bin").read_bytes()
    board = HostBoard(model, program, decode_program(program)[0].horizon)
    return ImageParts(
        model=model,
        program=program,
        golden=(folder / f"golden_{kind}.bin").read_bytes(),
        tensors=tensors_of(model),
        version=version,
        model_type=MODEL_TYPES[kind],
        arena_bytes=board.engine.arena_bytes,
        buffer_bytes=board.buffer_bytes,
        release_sha256=_release_hash(folder, facts),
        minimum_firmware=minimum_firmware,
        description=description,
    )


def _release_hash(folder: Path, facts: dict[str, Any]) -> bytes:
    digits = facts.get("release_sha256")
    try:
        if isinstance(digits, str) and len(digits) == SHA256_DIGITS:
            return bytes.fromhex(digits)
    except ValueError:
        pass
    expected = f"{SHA256_DIGITS} hexadecimal digits"
    msg = f"release_sha256 of conversion {str(folder)!r} is {digits!r}, expected {expected}: convert the release again"
    raise ReleaseError(msg)


def run_image(parts: ImageParts) -> float:
    """Run an image's golden vectors as a board does before it takes it, in its engine built for this machine.

    Returns:
        The largest difference from its forecasts in °C.

    Raises:
        ImageError: the engine refuses the model or the program, needs more memory than the image says, or makes other
            forecasts.
        MissingTool: the engine cannot be built.
    """
    try:
        board = HostBoard(parts.model, parts.program, decode_program(parts.program)[0].horizon)
    except (ConversionError, InputError) as error:
        raise ImageError(str(error)) from None
    for what, need in (("arena", board.engine.arena_bytes), ("buffer", board.buffer_bytes)):
        said = getattr(parts, f"{what}_bytes")
        if need > said:
            msg = f"{need!r} bytes of {what} are needed, the image says {said}: make the image again"
            raise ImageError(msg, Status.IMAGE_LIMIT)
    status, worst = board.golden(parts.golden)
    if status != Status.OK:
        msg = (
            f"the firmware refuses the golden vectors, {worst:.3g} °C off: convert the release and make the image again"
        )
        raise ImageError(msg, status)
    return worst


def tensors_of(model: bytes) -> tuple[Tensor, ...]:
    """Specs of a cell's tensors as LiteRT tells them: x, the states, y."""
    cell = LiteRT(model)
    x, *states = cell.inputs
    ends = [(TensorKind.X, x), *((TensorKind.STATE, state) for state in states), (TensorKind.Y, cell.outputs[0])]
    return tuple(_tensor(kind, end) for kind, end in ends)


def _tensor(kind: TensorKind, end: End) -> Tensor:
    if end.dtype == np.float32:
        return Tensor(kind, TensorType.FLOAT32, end.width)
    return Tensor(kind, TENSOR_TYPES[end.dtype], end.width, end.scale, end.zero)
