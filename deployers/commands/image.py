"""`python -m deployers image`: signed model images for boards, and the keys they are signed with."""

from __future__ import annotations

import hashlib
import json
import re
from contextlib import contextmanager
from pathlib import Path
from typing import TYPE_CHECKING, Any

import click

from deployers.exceptions import InputError
from deployers.protocol.tlv import ImageError

if TYPE_CHECKING:
    from collections.abc import Iterator

    from deployers.protocol.image import ImageParts

FILE = click.Path(path_type=Path)
LARGEST_U32 = 0xFFFF_FFFF
U32 = click.IntRange(0, LARGEST_U32)
FIRMWARE = re.compile(r"(\d{1,5})\.(\d{1,3})\.(\d{1,3})")


@contextmanager
def plain_errors() -> Iterator[None]:
    """The protocol's errors as those of the command line."""
    try:
        yield
    except ImageError as error:
        name = f" [{error.status.name}]" if error.status else ""
        msg = f"{error}{name}"
        raise InputError(msg) from None


def firmware_number(text: str) -> int:
    """1.2.3 as images have it: major << 16 | minor << 8 | patch.

    Raises:
        InputError: it is not written like that, or a part is too large.
    """
    found = FIRMWARE.fullmatch(text)
    major, minor, patch = map(int, found.groups()) if found else (LARGEST_U32, 0, 0)
    if max(major >> 8, minor, patch) > 255:
        msg = f"firmware version {text!r}: expected MAJOR.MINOR.PATCH, as 1.0.2, write it like that"
        raise InputError(msg)
    return major << 16 | minor << 8 | patch


def firmware_text(number: int) -> str:
    """The inverse of `firmware_number`."""
    return f"{number >> 16}.{number >> 8 & 255}.{number & 255}"


@click.group()
def image() -> None:
    """Signed model images: make, verify and read them; make keys."""


@image.command(
    epilog="""\b
Examples:
  python -m deployers image keygen board.pem
  python -m deployers image create out/ --key board.pem --version 4 -o model.elim
  python -m deployers image create out/ --key board.pem --version 5 -o model.elim --minimum-firmware 1.2.0 --force
"""
)
@click.argument("folder", type=FILE)
@click.option("--key", required=True, type=FILE, help="Private key (PEM), as keygen writes it.")
@click.option("--version", required=True, type=click.IntRange(1, LARGEST_U32), help="Rises with every image.")
@click.option("-o", "--out", required=True, type=FILE, help="File to write.")
@click.option("--minimum-firmware", default="0.0.0", show_default=True, help="Older firmware refuses the image.")
@click.option("--description", default="", help="Text for people.")
@click.option("--force", is_flag=True, help="Replace the file if it is there.")
def create(  # noqa: PLR0913 - a command's options
    *, folder: Path, key: Path, version: int, out: Path, minimum_firmware: str, description: str, force: bool
) -> None:
    """Check a folder that convert wrote, and sign an image of its chosen type."""
    from deployers.protocol.files import require_absent, write_whole  # noqa: PLC0415 - --help must not wait
    from deployers.protocol.signature import load_private_key  # noqa: PLC0415

    with plain_errors():
        firmware = firmware_number(minimum_firmware)
        require_absent(out, "image", force=force)
        private = load_private_key(key)
        from deployers.commands.progress import Stages  # noqa: PLC0415 - nor a refusal
        from deployers.imaging import image_of_conversion  # noqa: PLC0415

        options = {"minimum_firmware": firmware, "description": description}
        with Stages(3, f"folder {folder}", shown=True) as stages:
            data = image_of_conversion(folder, private, version, **options, progress=stages.begin)  # type: ignore[arg-type]
        write_whole(out, data, 0o644)
    click.echo(f"image of version {version}, {len(data)} bytes, SHA-256 {hashlib.sha256(data).hexdigest()}: {out}")


@image.command(
    epilog="""\b
Examples:
  python -m deployers image verify model.elim --key board.pub
  python -m deployers image verify model.elim --key board.pub --lowest-version 4 --arena-bytes 4096
"""
)
@click.argument("file", type=FILE)
@click.option("--key", "keys", required=True, multiple=True, type=FILE, help="Public key (65 bytes); may be repeated.")
@click.option("--lowest-version", type=U32, default=0, show_default=True, help="That of the image confirmed now.")
@click.option("--firmware", default="65535.255.255", help="The board's firmware; any if not given.")
@click.option("--arena-bytes", type=U32, default=LARGEST_U32, help="What the board has; any if not given.")
@click.option("--buffer-bytes", type=U32, default=LARGEST_U32, help="What the board has; any if not given.")
def verify(  # noqa: PLR0913 - a command's options
    *, file: Path, keys: tuple[Path, ...], lowest_version: int, firmware: str, arena_bytes: int, buffer_bytes: int
) -> None:
    """Say whether a board would take an image, or by which status it would refuse it."""
    from deployers.protocol.files import read_file  # noqa: PLC0415
    from deployers.protocol.image import Policy, verify_image  # noqa: PLC0415
    from deployers.protocol.signature import load_public_key  # noqa: PLC0415

    with plain_errors():
        policy = Policy(
            keys=tuple(load_public_key(key) for key in keys),
            firmware_version=firmware_number(firmware),
            lowest_version=lowest_version,
            arena_bytes=arena_bytes,
            buffer_bytes=buffer_bytes,
        )
        parts = verify_image(read_file(file, "image"), policy)
    click.echo(f"{file}: sound, version {parts.version}, {parts.model_type.name.lower()}, signed by a key given")


@image.command(
    epilog="""\b
Examples:
  python -m deployers image dump model.elim
  python -m deployers image dump model.elim --json
  python -m deployers image dump model.elim --model cell.tflite
"""
)
@click.argument("file", type=FILE)
@click.option("--json", "as_json", is_flag=True, help="Print one JSON object and nothing else.")
@click.option("--model", type=FILE, help="Write the .tflite file here.")
@click.option("--force", is_flag=True, help="Replace that file if it is there.")
def dump(*, file: Path, as_json: bool, model: Path | None, force: bool) -> None:
    """Say what an image holds, whoever signed it; verify says whether to believe it."""
    from deployers.protocol.files import read_file, require_absent, write_whole  # noqa: PLC0415
    from deployers.protocol.image import parse_image, signer_of  # noqa: PLC0415

    with plain_errors():
        data = read_file(file, "image")
        parts, signer = parse_image(data), signer_of(data)
        if model is not None:
            require_absent(model, "model", force=force)
            write_whole(model, parts.model, 0o644)
    facts = {"bytes": len(data), "sha256": hashlib.sha256(data).hexdigest(), "key_id": signer.hex(), **_facts(parts)}
    if as_json:
        click.echo(json.dumps(facts))
        return
    for name, value in facts.items():
        lines = [json.dumps(each) for each in value] if isinstance(value, list) else [str(value)]
        for line in lines:
            click.echo(f"{name:<17} {line}")


def _facts(parts: ImageParts) -> dict[str, Any]:
    return {
        "version": parts.version,
        "model_type": parts.model_type.name.lower(),
        "model_bytes": len(parts.model),
        "model_sha256": hashlib.sha256(parts.model).hexdigest(),
        "program_bytes": len(parts.program),
        "golden_bytes": len(parts.golden),
        "arena_bytes": parts.arena_bytes,
        "buffer_bytes": parts.buffer_bytes,
        "minimum_firmware": firmware_text(parts.minimum_firmware),
        "release_sha256": parts.release_sha256.hex(),
        "description": parts.description,
        "tensors": [
            {
                "kind": tensor.kind.name.lower(),
                "type": tensor.type.name.lower(),
                "elements": tensor.elements,
                "scale": tensor.scale,
                "zero_point": tensor.zero_point,
            }
            for tensor in parts.tensors
        ],
    }


@image.command(
    epilog="""\b
Examples:
  python -m deployers image keygen board.pem
  python -m deployers image keygen secrets/board.pem --public boards/board.pub
"""
)
@click.argument("private", type=FILE)
@click.option("--public", type=FILE, help="File of the public key; the private one, ending in .pub, if not given.")
@click.option("--force", is_flag=True, help="Replace keys: images signed with the old one are worth nothing then.")
def keygen(*, private: Path, public: Path | None, force: bool) -> None:
    """Make a key pair: a private key that only its owner can read, and the 65 bytes that go into a board."""
    from deployers.protocol.signature import generate_keys, key_id  # noqa: PLC0415

    other = private.with_suffix(".pub") if public is None else public
    with plain_errors():
        point = generate_keys(private, other, force=force)
    click.echo(f"private key {private}, public key {other}, id {key_id(point).hex()}")
