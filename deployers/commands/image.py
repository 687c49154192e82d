"""`python -m deployers image`: signed model images for boards, and the keys they are signed with."""

from __future__ import annotations

import hashlib
import json
import os
import re
from contextlib import contextmanager
from pathlib import Path
from typing import TYPE_CHECKING, Any

import click

from deployers.exceptions import InputError, ServiceUnavailable
from deployers.protocol.files import DiskError
from deployers.protocol.tlv import ImageError, firmware_text

if TYPE_CHECKING:
    from collections.abc import Iterator

    from deployers.protocol.image import ImageParts, Policy

FILE = click.Path(path_type=Path)
LARGEST_U32 = 0xFFFF_FFFF
U32 = click.IntRange(0, LARGEST_U32)
FIRMWARE = re.compile(r"(\d{1,5})\.(\d{1,3})\.(\d{1,3})")


@contextmanager
def plain_errors() -> Iterator[None]:
    """The protocol's errors as those of the command line."""
    try:
        yield
    except DiskError as error:
        raise ServiceUnavailable(str(error)) from None
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


@click.group()
def image() -> None:
    """Signed model images: make, verify and read them; make keys."""


@image.command(
    epilog="""\b
Examples:
  python -m deployers image keygen board.key
  python -m deployers image create out/ --key board.key --version 4 -o model.img
  python -m deployers image create out/ --key board.key --version 5 -o model.img --minimum-firmware 1.2.0 --force
"""
)
@click.argument("folder", type=FILE)
@click.option("--key", required=True, type=FILE, help="Private key (PEM), as keygen writes it.")
@click.option("--version", required=True, type=click.IntRange(1, LARGEST_U32), help="Rises with every image.")
@click.option("-o", "--out", required=True, type=FILE, help="File to write, outside FOLDER.")
@click.option("--minimum-firmware", default="0.0.0", show_default=True, help="Older firmware refuses the image.")
@click.option("--description", default="", help="Text for people.")
@click.option("--force", is_flag=True, help="Replace the file if it is there.")
def create(  # noqa: PLR0913 - a command's options
    *, folder: Path, key: Path, version: int, out: Path, minimum_firmware: str, description: str, force: bool
) -> None:
    """Check a folder that convert wrote, and sign an image of its chosen type."""
    from deployers.protocol.files import require_absent, require_other, write_whole  # noqa: PLC0415
    from deployers.protocol.signature import load_private_key  # noqa: PLC0415 - --help must not wait

    with plain_errors():
        firmware = firmware_number(minimum_firmware)
        _require_outside(out, folder)
        require_other(out, "image", key, "private key")
        require_absent(out, "image", force=force)
        private = load_private_key(key)
        from deployers.commands.progress import Stages  # noqa: PLC0415 - nor a refusal
        from deployers.imaging import image_of_conversion  # noqa: PLC0415

        options = {"minimum_firmware": firmware, "description": description}
        with Stages(3, f"folder {folder}", shown=True) as stages:
            data = image_of_conversion(folder, private, version, **options, progress=stages.begin)  # type: ignore[arg-type]
        write_whole(out, data, 0o644)
    click.echo(f"image of version {version}, {len(data)} bytes, SHA-256 {hashlib.sha256(data).hexdigest()}: {out}")


def _require_outside(out: Path, folder: Path) -> None:
    """Refuse an image among the files of a conversion: its manifest does not list it, and vouches for nothing then."""
    if Path(os.path.realpath(out)).is_relative_to(os.path.realpath(folder)):
        msg = f"--out {str(out)!r} is in the conversion {str(folder)!r}, which it would spoil: give a file outside it"
        raise InputError(msg)


@image.command(
    epilog="""\b
Examples:
  python -m deployers image verify model.img --key board.key.pub
  python -m deployers image verify model.img --key board.key.pub --lowest-version 4 --arena-bytes 4096
  python -m deployers image verify model.img --key board.key.pub --run
"""
)
@click.argument("file", type=FILE)
@click.option("--key", "keys", required=True, multiple=True, type=FILE, help="Public key (65 bytes); may be repeated.")
@click.option("--lowest-version", type=U32, default=0, show_default=True, help="That of the image confirmed now.")
@click.option("--firmware", default="65535.255.255", help="The board's firmware; any if not given.")
@click.option("--arena-bytes", type=U32, default=LARGEST_U32, help="What the board has; any if not given.")
@click.option("--buffer-bytes", type=U32, default=LARGEST_U32, help="What the board has; any if not given.")
@click.option("--run", "run", is_flag=True, help="Also run it in the firmware's engine; takes a compiler.")
def verify(  # noqa: PLR0913 - a command's options
    *,
    file: Path,
    keys: tuple[Path, ...],
    lowest_version: int,
    firmware: str,
    arena_bytes: int,
    buffer_bytes: int,
    run: bool,
) -> None:
    """Check an image's signature, structure and limits; name the status by which a board refuses it.

    These are the checks that a board makes before it looks into the parts. With --run the parts are checked as well, in
    the firmware's engine built for this machine: the model and the feature program are loaded, and the golden vectors
    are run. Nothing here knows the board itself: give what it has by the options; the room in its slots is not checked.
    """
    from deployers.protocol import image as protocol  # noqa: PLC0415
    from deployers.protocol.files import read_file  # noqa: PLC0415
    from deployers.protocol.signature import load_public_key  # noqa: PLC0415

    with plain_errors():
        policy = protocol.Policy(
            keys=tuple(load_public_key(key) for key in keys),
            firmware_version=firmware_number(firmware),
            lowest_version=lowest_version,
            arena_bytes=arena_bytes,
            buffer_bytes=buffer_bytes,
        )
        parts = protocol.verify_image(read_file(file, "image"), policy)
        worst = _run(parts) if run else None
    click.echo(f"{file}: version {parts.version}, {parts.model_type.name.lower()}, signed by a key given")
    for line in _scope(policy, worst):
        click.echo(line)


def _run(parts: ImageParts) -> float:
    from deployers.imaging import run_image  # noqa: PLC0415 - the engine is built

    return run_image(parts)


def _scope(policy: Policy, worst: float | None) -> tuple[str, str]:
    """What was checked, and what was not."""
    options = {
        "--lowest-version": policy.lowest_version > 0,
        "--firmware": policy.firmware_version < LARGEST_U32,
        "--arena-bytes": policy.arena_bytes < LARGEST_U32,
        "--buffer-bytes": policy.buffer_bytes < LARGEST_U32,
    }
    done = ["signature", "structure", "hash of the model", *(name for name, given in options.items() if given)]
    left = [f"{name} (not given)" for name, given in options.items() if not given]
    parts = "model, feature program and golden vectors"
    if worst is None:
        left.append(f"{parts} (--run)")
    else:
        done.append(f"{parts} in the firmware's engine ({worst:.2g} °C off)")
    return f"checked: {', '.join(done)}", f"not checked: {', '.join([*left, 'room in the slots of a board'])}"


@image.command(
    epilog="""\b
Examples:
  python -m deployers image dump model.img
  python -m deployers image dump model.img --json
  python -m deployers image dump model.img --model cell.tflite
"""
)
@click.argument("file", type=FILE)
@click.option("--json", "as_json", is_flag=True, help="Print one JSON object and nothing else.")
@click.option("--model", type=FILE, help="Write the .tflite file here.")
@click.option("--force", is_flag=True, help="Replace that file if it is there.")
def dump(*, file: Path, as_json: bool, model: Path | None, force: bool) -> None:
    """Say what an image holds, whoever signed it; verify says whether to believe it."""
    from deployers.protocol.files import read_file, require_absent, require_other, write_whole  # noqa: PLC0415
    from deployers.protocol.image import parse_image, signer_of  # noqa: PLC0415

    with plain_errors():
        data = read_file(file, "image")
        parts, signer = parse_image(data), signer_of(data)
        if model is not None:
            require_other(model, "model", file, "image")
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
  python -m deployers image keygen board.key
  python -m deployers image keygen secrets/board.key --public boards/board.key.pub
"""
)
@click.argument("private", type=FILE)
@click.option("--public", type=FILE, help="File of the public key; PRIVATE.pub if not given.")
@click.option("--force", is_flag=True, help="Replace keys: images signed with the old one are worth nothing then.")
def keygen(*, private: Path, public: Path | None, force: bool) -> None:
    """Make a key pair: a private key that only its owner can read, and the 65 bytes that go into a board.

    The public key is written beside the private one: of board.key it is board.key.pub.
    """
    from deployers.protocol.signature import generate_keys, key_id  # noqa: PLC0415

    other = Path(f"{private}.pub") if public is None else public
    with plain_errors():
        point = generate_keys(private, other, force=force)
    click.echo(f"private key {private}, public key {other}, id {key_id(point).hex()}")
