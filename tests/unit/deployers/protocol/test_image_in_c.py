"""The firmware's reader and this one judge every image alike (firmware/core/image, built for this machine)."""

from __future__ import annotations

import ctypes
import json
from collections.abc import Callable
from pathlib import Path
from typing import ClassVar

import pytest
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st

from deployers.conversion.runtimes import engine_library
from deployers.protocol.image import Policy, create_image, parse_image, verify_image
from deployers.protocol.status import Status
from deployers.protocol.tlv import ImageError
from tests.unit.deployers.protocol.test_image import parts
from tests.vectors.make_image import KEY

VECTORS = {
    name: bytes.fromhex(text)
    for name, text in json.loads((Path(__file__).parents[3] / "vectors" / "image.json").read_text()).items()
}
IMAGE = VECTORS["image"]
ANY = 2**32 - 1


class CPolicy(ctypes.Structure):
    """image_policy."""

    _fields_: ClassVar = [
        ("keys", ctypes.c_char_p),
        *[(name, ctypes.c_uint32) for name in ("keys_count", "firmware", "lowest", "types", "arena", "buffer")],
    ]


class CView(ctypes.Structure):
    """image_view."""

    _fields_: ClassVar = [
        *[
            field
            for name in ("model", "program", "golden", "tensors")
            for field in ((name, ctypes.c_void_p), (f"{name}_count", ctypes.c_size_t))
        ],
        ("model_sha256", ctypes.c_void_p),
        ("release_sha256", ctypes.c_void_p),
        *[(name, ctypes.c_uint32) for name in ("version", "minimum_firmware", "arena", "buffer", "type")],
        ("sha256", ctypes.c_uint8 * 32),
    ]


@pytest.fixture(scope="module")
def core() -> ctypes.CDLL:
    return engine_library()


def in_c(core: ctypes.CDLL, image: bytes, policy: Policy) -> tuple[Status, CView]:
    view, types = CView(), sum(1 << kind for kind in policy.model_types)
    numbers = (policy.firmware_version, policy.lowest_version, types, policy.arena_bytes, policy.buffer_bytes)
    given_policy = CPolicy(b"".join(policy.keys), len(policy.keys), *numbers)
    # Bytes of Python, which stay where they are as long as the view is used.
    size = ctypes.c_size_t(len(image))
    return Status(core.image_verify(image, size, ctypes.byref(given_policy), ctypes.byref(view))), view


def judged(read: Callable[[], object]) -> Status:
    """The status of a refusal, or OK."""
    try:
        read()
    except ImageError as error:
        return error.status
    return Status.OK


def in_python(image: bytes, policy: Policy) -> Status:
    return judged(lambda: verify_image(image, policy))


POLICIES = {
    "any": Policy((VECTORS["key"],)),
    "two keys": Policy((VECTORS["other_key"], VECTORS["key"])),
    "no key": Policy(()),
    "newer": Policy((VECTORS["key"],), lowest_version=8),
    "old firmware": Policy((VECTORS["key"],), firmware_version=0xFF),
    "small arena": Policy((VECTORS["key"],), arena_bytes=1999),
    "small buffer": Policy((VECTORS["key"],), buffer_bytes=299),
    "no int8": Policy((VECTORS["key"],), model_types=frozenset()),
}
NAMES = [name for name in VECTORS if VECTORS[name].startswith(b"ELIM") and not name.startswith("pattern")]


@pytest.mark.parametrize("policy", POLICIES.values(), ids=POLICIES)
def test_every_vector_is_judged_alike(core: ctypes.CDLL, policy: Policy) -> None:
    for name in NAMES:
        assert in_c(core, VECTORS[name], policy)[0] == in_python(VECTORS[name], policy), name


@given(parts)
@settings(suppress_health_check=[HealthCheck.function_scoped_fixture], max_examples=60)
def test_what_python_makes_the_firmware_reads(core: ctypes.CDLL, given_parts) -> None:
    image = create_image(given_parts, KEY)
    status, view = in_c(core, image, POLICIES["any"])
    assert status == Status.OK
    read = {
        name: ctypes.string_at(getattr(view, name), getattr(view, f"{name}_count")) for name in ("model", "program")
    }
    assert read == {"model": given_parts.model, "program": given_parts.program}
    assert ctypes.string_at(view.golden, view.golden_count) == given_parts.golden
    assert ctypes.string_at(view.release_sha256, 32) == given_parts.release_sha256
    assert view.tensors_count == len(given_parts.tensors)
    numbers = (view.version, view.minimum_firmware, view.arena, view.buffer, view.type)
    expected = (given_parts.version, given_parts.minimum_firmware, given_parts.arena_bytes, given_parts.buffer_bytes)
    assert numbers == (*expected, given_parts.model_type)


@given(st.integers(0, len(IMAGE) - 1), st.integers(1, 255))
@settings(suppress_health_check=[HealthCheck.function_scoped_fixture], max_examples=150)
def test_damage_is_judged_alike(core: ctypes.CDLL, at: int, change: int) -> None:
    changed = bytearray(IMAGE)
    changed[at] ^= change
    assert in_c(core, bytes(changed), POLICIES["any"])[0] == in_python(bytes(changed), POLICIES["any"]) != Status.OK


@given(st.sampled_from(NAMES), st.integers(0, 600), st.binary(max_size=12))
@settings(suppress_health_check=[HealthCheck.function_scoped_fixture], max_examples=200)
def test_behind_the_signature_both_take_the_same_images(core: ctypes.CDLL, name: str, at: int, patch: bytes) -> None:
    image = VECTORS[name]
    at = min(at, len(image))
    changed = image[:at] + patch + image[at + len(patch) :]
    view = CView()
    found = Status(core.image_parse(changed, ctypes.c_size_t(len(changed)), ctypes.byref(view)))
    # Where there are two faults, each may name another one first.
    assert (found == Status.OK) == (judged(lambda: parse_image(changed)) == Status.OK)
