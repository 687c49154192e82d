"""The signed model image: the unit that goes to a board (SPEC.md, chapter "Model image").

firmware/core/image reads the same bytes in C, and refuses for the same reasons.
"""

from __future__ import annotations

import enum
import hashlib
import struct
from dataclasses import dataclass
from typing import TYPE_CHECKING

from deployers.protocol.signature import SIGNATURE_BYTES, is_signed, key_id, public_point, sign
from deployers.protocol.status import Status
from deployers.protocol.tlv import ImageError, Tlv, aligned, decode_tlvs, encode_tlvs, firmware_text

if TYPE_CHECKING:
    from collections.abc import Mapping

    from deployers.protocol.signature import PrivateKey

MAGIC = b"ELIM"
FORMAT = 1
ALGORITHM = 1
HEADER = struct.Struct("<4sHHIIII8sI12s")
ALIGNMENT = 16
U32 = struct.Struct("<I")
LIMITS = struct.Struct("<II")
TENSOR = struct.Struct("<BBHIfi")
LARGEST_U32 = 0xFFFF_FFFF


class ModelType(enum.IntEnum):
    """The number format of a cell, numbered as in firmware/core/nn/nn.h."""

    FLOAT32 = 0
    INT8 = 1
    INT16X8 = 2


class TensorKind(enum.IntEnum):
    """What a tensor of the cell is for."""

    X = 0
    Y = 1
    STATE = 2


class TensorType(enum.IntEnum):
    """The type of a tensor's elements."""

    FLOAT32 = 0
    INT8 = 1
    INT16 = 2


@dataclass(frozen=True, slots=True)
class Tensor:
    """One input, output or state of the cell; `real = scale × (stored − zero_point)`, scale 0 for float32."""

    kind: TensorKind
    type: TensorType
    elements: int
    scale: float = 0.0
    zero_point: int = 0


@dataclass(frozen=True, slots=True)
class ImageParts:
    """What an image carries.

    Attributes:
        model: the .tflite file.
        program: the encoded feature program.
        golden: the encoded golden vectors.
        tensors: x, the states, y.
        version: 1 or more; a board refuses images with a lower one than it has confirmed.
        model_type: the number format of the model.
        arena_bytes: what the engine needs.
        buffer_bytes: what the forecast needs.
        release_sha256: SHA-256 of the release's manifest.
        minimum_firmware: major << 16 | minor << 8 | patch.
        description: for people; a board passes it over.
    """

    model: bytes
    program: bytes
    golden: bytes
    tensors: tuple[Tensor, ...]
    version: int
    model_type: ModelType
    arena_bytes: int
    buffer_bytes: int
    release_sha256: bytes
    minimum_firmware: int = 0
    description: str = ""


@dataclass(frozen=True, slots=True)
class Policy:
    """What a board accepts: firmware/core/image/image.h, image_policy."""

    keys: tuple[bytes, ...]
    firmware_version: int = LARGEST_U32
    lowest_version: int = 0
    model_types: frozenset[ModelType] = frozenset(ModelType)
    arena_bytes: int = LARGEST_U32
    buffer_bytes: int = LARGEST_U32


@dataclass(frozen=True, slots=True)
class _Layout:
    key_id: bytes
    tlv_end: int
    model_offset: int
    model_end: int
    signature_offset: int


def create_image(parts: ImageParts, key: PrivateKey) -> bytes:
    """The signed image.

    Raises:
        ImageError: a part is empty or a number does not fit its field.
    """
    _check_parts(parts)
    tlvs = encode_tlvs(_fields(parts))
    model_offset = aligned(HEADER.size + len(tlvs), ALIGNMENT)
    signature_offset = aligned(model_offset + len(parts.model), ALIGNMENT)
    lengths = (signature_offset + SIGNATURE_BYTES, len(tlvs), model_offset, len(parts.model))
    header = HEADER.pack(MAGIC, FORMAT, HEADER.size, *lengths, key_id(public_point(key)), ALGORITHM, b"")
    signed = ((header + tlvs).ljust(model_offset, b"\0") + parts.model).ljust(signature_offset, b"\0")
    return signed + sign(key, signed)


def verify_image(image: bytes, policy: Policy) -> ImageParts:
    """What a board would accept.

    Raises:
        ImageError: with the status by which the board refuses it.
    """
    layout = _layout(image)
    _check_signature(image, layout, policy)
    parts = _contents(image, layout)
    _check_policy(parts, policy)
    return parts


def parse_image(image: bytes) -> ImageParts:
    """What an image says, whoever made it: for looking at it, never for running it.

    Raises:
        ImageError: it is not sound.
    """
    return _contents(image, _layout(image))


def signer_of(image: bytes) -> bytes:
    """The id of the key that an image says it is signed with.

    Raises:
        ImageError: its header is not sound.
    """
    return _layout(image).key_id


def _check_parts(parts: ImageParts) -> None:
    for name in ("model", "program", "golden", "tensors"):
        if not getattr(parts, name):
            msg = f"image without {name}: expected at least one byte or entry, give the file that the conversion wrote"
            raise ImageError(msg)
    ranges = {"version": 1, "arena_bytes": 0, "buffer_bytes": 0, "minimum_firmware": 0}
    for name, least in ranges.items():
        value = getattr(parts, name)
        if not least <= value <= LARGEST_U32:
            msg = f"{name} {value!r}: expected {least} to {LARGEST_U32}, give another"
            raise ImageError(msg)
    if len(parts.release_sha256) != hashlib.sha256().digest_size:
        msg = f"release SHA-256 {parts.release_sha256.hex()!r}: expected 32 bytes, the hash of its manifest.json"
        raise ImageError(msg)


def _fields(parts: ImageParts) -> dict[int, bytes]:
    fields: dict[int, bytes] = {
        Tlv.MODEL_SHA256: hashlib.sha256(parts.model).digest(),
        Tlv.VERSION: U32.pack(parts.version),
        Tlv.MINIMUM_FIRMWARE: U32.pack(parts.minimum_firmware),
        Tlv.LIMITS: LIMITS.pack(parts.arena_bytes, parts.buffer_bytes),
        Tlv.MODEL_TYPE: U32.pack(parts.model_type),
        Tlv.TENSORS: b"".join(_encode_tensor(tensor) for tensor in parts.tensors),
        Tlv.PROGRAM: parts.program,
        Tlv.GOLDEN: parts.golden,
        Tlv.RELEASE: parts.release_sha256,
    }
    if parts.description:
        fields[Tlv.DESCRIPTION] = parts.description.encode()
    return fields


def _encode_tensor(tensor: Tensor) -> bytes:
    try:
        return TENSOR.pack(tensor.kind, tensor.type, 0, tensor.elements, tensor.scale, tensor.zero_point)
    except (struct.error, OverflowError) as error:
        msg = f"tensor {tensor!r} does not fit its fields ({error}): correct the tensor specs"
        raise ImageError(msg) from None


def _layout(image: bytes) -> _Layout:
    if len(image) < HEADER.size:
        raise _refusal(Status.IMAGE_TRUNCATED, f"{len(image)!r} bytes are no image, expected more than {HEADER.size}")
    magic, form, header, total, tlvs, offset, model, key, algorithm, zeros = HEADER.unpack_from(image)
    if magic != MAGIC:
        raise _refusal(Status.IMAGE_MAGIC, f"the file begins with {magic!r}, expected {MAGIC!r}")
    if (form, header, algorithm) != (FORMAT, HEADER.size, ALGORITHM):
        found = f"format {form!r} with a header of {header!r} bytes and signature algorithm {algorithm!r}"
        raise _refusal(Status.IMAGE_FORMAT, f"{found}, expected {FORMAT}, {HEADER.size} and {ALGORITHM}")
    due = aligned(HEADER.size + tlvs, ALIGNMENT)
    end = aligned(offset + model, ALIGNMENT)
    if tlvs % 8 or not model or offset != due or total != end + SIGNATURE_BYTES or any(zeros):
        lengths = f"{total} bytes in all, {tlvs} of TLVs, {model} of model at {offset}"
        reason = f"the header says {lengths}, then {zeros.hex()}; expected lengths that go together, then zeros"
        raise _refusal(Status.IMAGE_STRUCTURE, reason)
    if total != len(image):
        wrong = "too long" if len(image) > total else "cut short"
        raise _refusal(Status.IMAGE_TRUNCATED, f"{wrong}: {len(image)!r} bytes, expected {total} by its header")
    return _Layout(key, HEADER.size + tlvs, offset, offset + model, end)


def _check_signature(image: bytes, layout: _Layout, policy: Policy) -> None:
    points = [point for point in policy.keys if key_id(point) == layout.key_id]
    if not points:
        known = [key_id(point).hex() for point in policy.keys]
        raise _refusal(Status.IMAGE_KEY, f"signed with key {layout.key_id.hex()!r}, accepted are {known!r}")
    signed, signature = image[: layout.signature_offset], image[layout.signature_offset :]
    if not is_signed(points[0], signature, signed):
        reason = f"the signature by key {layout.key_id.hex()!r} does not match, expected an unaltered image"
        raise _refusal(Status.IMAGE_SIGNATURE, reason)


def _contents(image: bytes, layout: _Layout) -> ImageParts:
    gaps = image[layout.tlv_end : layout.model_offset] + image[layout.model_end : layout.signature_offset]
    if any(gaps):
        raise _refusal(Status.IMAGE_STRUCTURE, f"{gaps!r} between its parts, expected zeros")
    fields = decode_tlvs(image[HEADER.size : layout.tlv_end])
    model = image[layout.model_offset : layout.model_end]
    parts = _parts(fields, model)
    named, found = fields[Tlv.MODEL_SHA256].hex(), hashlib.sha256(model).hexdigest()
    if named != found:
        raise _refusal(Status.IMAGE_MODEL_HASH, f"the model's SHA-256 is {found!r}, expected {named!r}")
    return parts


def _parts(fields: Mapping[int, bytes], model: bytes) -> ImageParts:
    model_type = U32.unpack(fields[Tlv.MODEL_TYPE])[0]
    if model_type not in set(ModelType):
        raise _refusal(Status.IMAGE_TLV, f"model type {model_type!r}, expected one of {[int(m) for m in ModelType]}")
    arena, buffer = LIMITS.unpack(fields[Tlv.LIMITS])
    return ImageParts(
        model=model,
        program=fields[Tlv.PROGRAM],
        golden=fields[Tlv.GOLDEN],
        tensors=_decode_tensors(fields[Tlv.TENSORS]),
        version=U32.unpack(fields[Tlv.VERSION])[0],
        model_type=ModelType(model_type),
        arena_bytes=arena,
        buffer_bytes=buffer,
        release_sha256=fields[Tlv.RELEASE],
        minimum_firmware=U32.unpack(fields[Tlv.MINIMUM_FIRMWARE])[0],
        description=fields.get(Tlv.DESCRIPTION, b"").decode(errors="replace"),
    )


def _decode_tensors(value: bytes) -> tuple[Tensor, ...]:
    if len(value) % TENSOR.size:
        raise _refusal(Status.IMAGE_TLV, f"tensor specs of {len(value)!r} bytes, expected a multiple of {TENSOR.size}")
    tensors = []
    for kind, form, zero, elements, scale, zero_point in TENSOR.iter_unpack(value):
        if kind not in set(TensorKind) or form not in set(TensorType) or zero or not elements:
            found = f"tensor of kind {kind!r} and type {form!r} with {elements!r} elements and {zero!r} behind the type"
            raise _refusal(Status.IMAGE_TLV, f"{found}, expected a known kind and type, 1 element or more, and 0")
        tensors.append(Tensor(TensorKind(kind), TensorType(form), elements, scale, zero_point))
    return tuple(tensors)


def _check_policy(parts: ImageParts, policy: Policy) -> None:
    if parts.version < policy.lowest_version:
        reason = f"version {parts.version!r} is older than the confirmed one, expected {policy.lowest_version} or more"
        raise _refusal(Status.IMAGE_VERSION, reason)
    if parts.minimum_firmware > policy.firmware_version:
        needs, has = firmware_text(parts.minimum_firmware), firmware_text(policy.firmware_version)
        reason = f"needs firmware {needs} or newer, the board has {has}"
        raise _refusal(Status.IMAGE_FIRMWARE, reason)
    for what in ("arena", "buffer"):
        needed, there = getattr(parts, f"{what}_bytes"), getattr(policy, f"{what}_bytes")
        if needed > there:
            raise _refusal(Status.IMAGE_LIMIT, f"needs {needed!r} bytes of {what}, the board has {there}")
    if parts.model_type not in policy.model_types:
        known = [kind.name for kind in sorted(policy.model_types)]
        raise _refusal(Status.IMAGE_TYPE, f"model of type {parts.model_type.name!r}, the board runs {known!r}")


_ADVICE = {
    Status.IMAGE_KEY: "sign it again, or give the board this public key",
    Status.IMAGE_SIGNATURE: "transfer it again, or sign it again",
    Status.IMAGE_VERSION: "make it again with a higher version",
    Status.IMAGE_FIRMWARE: "update the firmware first",
    Status.IMAGE_LIMIT: "convert a smaller model, or give the firmware more memory",
    Status.IMAGE_TYPE: "convert to another type, or build the firmware with this one",
}


def _refusal(status: Status, reason: str) -> ImageError:
    return ImageError(f"{reason}: {_ADVICE.get(status, 'make the image again')}", status)
