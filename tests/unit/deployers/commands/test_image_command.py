"""`python -m deployers image`: what it prints, what it writes, and one line for everything that is wrong."""

from __future__ import annotations

import json
import stat
from pathlib import Path

import pytest

from deployers.__main__ import main
from deployers.commands.image import firmware_number, firmware_text
from deployers.exceptions import InputError
from deployers.protocol.image import parse_image
from deployers.protocol.signature import key_id
from tests.unit.deployers.protocol.test_image import IMAGE, VECTORS
from tests.vectors.make_image import PARTS


@pytest.fixture
def image(tmp_path: Path) -> Path:
    """The golden image and the public keys beside it."""
    (tmp_path / "model.elim").write_bytes(IMAGE)
    (tmp_path / "key.pub").write_bytes(VECTORS["key"])
    (tmp_path / "other.pub").write_bytes(VECTORS["other_key"])
    return tmp_path / "model.elim"


@pytest.fixture
def key(tmp_path: Path) -> Path:
    assert main(["image", "keygen", str(tmp_path / "own.pem")]) == 0
    return tmp_path / "own.pem"


def failed(capsys: pytest.CaptureFixture[str], *arguments: object) -> tuple[int, str]:
    """Exit code and the one line on standard error."""
    capsys.readouterr()
    code = main(["image", *map(str, arguments)])
    streams = capsys.readouterr()
    assert code != 0
    assert streams.out == ""
    assert streams.err.count("\n") == 1
    assert streams.err.startswith("error: ")
    return code, streams.err


@pytest.mark.parametrize("command", ["create", "verify", "dump", "keygen"])
def test_help_has_examples(capsys: pytest.CaptureFixture[str], command: str) -> None:
    assert main(["image", command, "--help"]) == 0
    assert f"python -m deployers image {command}" in capsys.readouterr().out


def test_keys_are_made_and_named(tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    private, public = tmp_path / "a.pem", tmp_path / "b.pub"
    assert main(["image", "keygen", str(private), "--public", str(public)]) == 0
    assert key_id(public.read_bytes()).hex() in capsys.readouterr().out
    assert stat.S_IMODE(private.stat().st_mode) == 0o600


def test_a_key_is_replaced_only_by_force(key: Path, capsys: pytest.CaptureFixture[str]) -> None:
    before = key.read_bytes()
    code, line = failed(capsys, "keygen", key)
    assert (code, key.read_bytes()) == (2, before)
    assert "--force" in line
    assert main(["image", "keygen", str(key), "--force"]) == 0
    assert key.read_bytes() != before


def test_a_conversion_becomes_an_image_that_verifies(
    conversion: Path, key: Path, tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    out = tmp_path / "new.elim"
    options = ["--minimum-firmware", "1.2.3", "--description", "kitchen"]
    assert (
        main(["image", "create", str(conversion), "--key", str(key), "--version", "4", "-o", str(out), *options]) == 0
    )
    assert "image of version 4" in capsys.readouterr().out
    parts = parse_image(out.read_bytes())
    assert (parts.version, parts.minimum_firmware, parts.description) == (4, 0x010203, "kitchen")
    assert main(["image", "verify", str(out), "--key", str(key.with_suffix(".pub")), "--lowest-version", "4"]) == 0
    assert "sound, version 4" in capsys.readouterr().out


def test_an_image_is_replaced_only_by_force(
    conversion: Path, key: Path, image: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    arguments = ["create", str(conversion), "--key", str(key), "--version", "4", "-o", str(image)]
    code, line = failed(capsys, *arguments)
    assert (code, image.read_bytes()) == (2, IMAGE)
    assert "model.elim' exists" in line
    assert main(["image", *arguments, "--force"]) == 0
    assert parse_image(image.read_bytes()).version == 4


@pytest.mark.parametrize("version", ["0", "-1", "4294967296", "four"])
def test_a_version_is_a_number_of_32_bits(key: Path, tmp_path: Path, version: str) -> None:
    out = tmp_path / "new.elim"
    assert main(["image", "create", str(tmp_path), "--key", str(key), "--version", version, "-o", str(out)]) == 2
    assert not out.exists()


def test_nothing_is_written_when_the_folder_is_no_conversion(
    key: Path, tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    out = tmp_path / "new.elim"
    code, line = failed(capsys, "create", tmp_path / "nowhere", "--key", key, "--version", 1, "-o", out)
    assert code == 2
    assert "nowhere" in line
    assert not out.exists()


def test_a_key_that_others_read_signs_nothing(
    conversion: Path, key: Path, tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    key.chmod(0o644)
    out = tmp_path / "new.elim"
    code, line = failed(capsys, "create", conversion, "--key", key, "--version", 1, "-o", out)
    assert code == 2
    assert "expected 0600" in line
    assert not out.exists()


@pytest.mark.parametrize(
    ("options", "status"),
    [
        (["--lowest-version", "8"], "IMAGE_VERSION"),
        (["--firmware", "0.0.255"], "IMAGE_FIRMWARE"),
        (["--arena-bytes", "1999"], "IMAGE_LIMIT"),
        (["--buffer-bytes", "299"], "IMAGE_LIMIT"),
    ],
)
def test_a_refusal_has_the_status_of_the_board(
    image: Path, capsys: pytest.CaptureFixture[str], options: list[str], status: str
) -> None:
    code, line = failed(capsys, "verify", image, "--key", image.with_name("key.pub"), *options)
    assert code == 2
    assert f"[{status}]" in line


def test_either_of_two_keys_may_have_signed(image: Path, capsys: pytest.CaptureFixture[str]) -> None:
    own, other = image.with_name("key.pub"), image.with_name("other.pub")
    assert "[IMAGE_KEY]" in failed(capsys, "verify", image, "--key", other)[1]
    assert main(["image", "verify", str(image), "--key", str(other), "--key", str(own)]) == 0


@pytest.mark.parametrize(
    ("data", "status"),
    [
        (b"", "IMAGE_TRUNCATED"),
        (IMAGE[:-1], "IMAGE_TRUNCATED"),
        (b"TFL3" + IMAGE[4:], "IMAGE_MAGIC"),
        (VECTORS["unknown_critical"], "IMAGE_TLV_UNKNOWN"),
        (VECTORS["twice"], "IMAGE_TLV"),
        (VECTORS["model_hash"], "IMAGE_MODEL_HASH"),
    ],
)
def test_a_bad_file_is_refused_by_verify_and_dump(
    image: Path, capsys: pytest.CaptureFixture[str], data: bytes, status: str
) -> None:
    image.write_bytes(data)
    for arguments in (["verify", image, "--key", image.with_name("key.pub")], ["dump", image]):
        code, line = failed(capsys, *arguments)
        assert code == 2
        assert f"[{status}]" in line


def test_a_missing_file_is_named(tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    assert "nowhere' cannot be read" in failed(capsys, "dump", tmp_path / "nowhere")[1]


def test_a_dump_says_what_the_image_holds(image: Path, capsys: pytest.CaptureFixture[str]) -> None:
    assert main(["image", "dump", str(image), "--json"]) == 0
    facts = json.loads(capsys.readouterr().out)
    assert facts["bytes"] == len(IMAGE)
    assert facts["key_id"] == key_id(VECTORS["key"]).hex()
    assert (facts["version"], facts["model_type"], facts["minimum_firmware"]) == (7, "int8", "0.1.0")
    assert [tensor["elements"] for tensor in facts["tensors"]] == [4, 6]
    assert main(["image", "dump", str(image)]) == 0
    lines = capsys.readouterr().out.splitlines()
    assert {line.split()[0] for line in lines} == set(facts)


def test_a_dump_writes_the_model(image: Path, tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    model = tmp_path / "cell.tflite"
    assert main(["image", "dump", str(image), "--model", str(model)]) == 0
    assert model.read_bytes() == PARTS.model
    assert "exists" in failed(capsys, "dump", image, "--model", model)[1]
    assert main(["image", "dump", str(image), "--model", str(model), "--force"]) == 0


@pytest.mark.parametrize(("text", "number"), [("0.0.0", 0), ("1.2.3", 0x010203), ("65535.255.255", 0xFFFFFFFF)])
def test_firmware_versions_go_there_and_back(text: str, number: int) -> None:
    assert firmware_number(text) == number
    assert firmware_text(number) == text


@pytest.mark.parametrize("text", ["", "1", "1.2", "1.2.3.4", "1.2.256", "1.256.0", "65536.0.0", "v1.2.3", "-1.0.0"])
def test_what_is_no_firmware_version_is_refused(text: str) -> None:
    with pytest.raises(InputError, match=r"expected MAJOR\.MINOR\.PATCH"):
        firmware_number(text)
