"""`python -m deployers image`: what it prints, what it writes, and one line for everything that is wrong."""

from __future__ import annotations

import json
import stat
from pathlib import Path

import pytest

from deployers.__main__ import main
from deployers.commands.image import firmware_number
from deployers.exceptions import InputError
from deployers.protocol import files
from deployers.protocol.image import parse_image
from deployers.protocol.signature import key_id, load_private_key, load_public_key, public_point
from deployers.protocol.tlv import firmware_text
from tests.unit.deployers.protocol.test_image import IMAGE, VECTORS
from tests.vectors.make_image import PARTS


@pytest.fixture
def image(tmp_path: Path) -> Path:
    """The golden image and the public keys beside it."""
    (tmp_path / "model.img").write_bytes(IMAGE)
    (tmp_path / "key.pub").write_bytes(VECTORS["key"])
    (tmp_path / "other.pub").write_bytes(VECTORS["other_key"])
    return tmp_path / "model.img"


@pytest.fixture
def key(tmp_path: Path) -> Path:
    assert main(["image", "keygen", str(tmp_path / "own.key")]) == 0
    return tmp_path / "own.key"


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
    private, public = tmp_path / "a.key", tmp_path / "b.pub"
    assert main(["image", "keygen", str(private), "--public", str(public)]) == 0
    assert key_id(public.read_bytes()).hex() in capsys.readouterr().out
    assert stat.S_IMODE(private.stat().st_mode) == 0o600


@pytest.mark.parametrize("name", ["board.key", "board", "board.v2.key", "a.pub"])
def test_the_public_key_is_named_after_the_private_one(tmp_path: Path, name: str) -> None:
    assert main(["image", "keygen", str(tmp_path / name)]) == 0
    assert sorted(path.name for path in tmp_path.iterdir()) == [name, f"{name}.pub"]
    assert load_public_key(tmp_path / f"{name}.pub") == public_point(load_private_key(tmp_path / name))


@pytest.mark.parametrize("command", ["create", "verify", "dump", "keygen"])
def test_examples_use_the_names_of_the_readme(capsys: pytest.CaptureFixture[str], command: str) -> None:
    assert main(["image", command, "--help"]) == 0
    told = capsys.readouterr().out
    assert ".pem" not in told
    assert ".elim" not in told
    assert told.count(".pub") == told.count("board.key.pub") + told.count("PRIVATE.pub")


def test_the_public_key_does_not_replace_the_private_one(
    key: Path, tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    before = key.read_bytes()
    detour = tmp_path / ".." / tmp_path.name / key.name
    code, line = failed(capsys, "keygen", key, "--public", detour, "--force")
    assert (code, key.read_bytes()) == (2, before)
    assert "expected two files" in line


def read_only(monkeypatch: pytest.MonkeyPatch) -> None:
    """Every new file is refused, and so is the removal of one."""

    def refuse(*_: object, **__: object) -> int:
        raise OSError(30, "Read-only file system")

    monkeypatch.setattr(files.os, "open", refuse)
    monkeypatch.setattr(files.os, "unlink", refuse)


def test_a_read_only_disk_is_one_line(
    conversion: Path, key: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    read_only(monkeypatch)
    told = f"'{tmp_path / 'new'}' cannot be written (Read-only file system): check the folder"
    code, line = failed(capsys, "keygen", tmp_path / "new")
    assert code == 5
    assert told in line
    assert (
        main(["image", "create", str(conversion), "--key", str(key), "--version", "1", "-o", str(tmp_path / "new")])
        == 5
    )
    assert capsys.readouterr().err.endswith(f"error: {line.removeprefix('error: ')}")


@pytest.mark.parametrize("name", ["model.img", "deep/../model.img", "fidelity.json"])
def test_an_image_does_not_go_into_the_conversion(
    copied: Path, key: Path, capsys: pytest.CaptureFixture[str], name: str
) -> None:
    (copied.parent / "link").symlink_to(copied)
    before = sorted(path.name for path in copied.iterdir())
    for folder in (copied, copied.parent / "link"):
        code, line = failed(capsys, "create", copied, "--key", key, "--version", 1, "-o", folder / name, "--force")
        assert code == 2
        assert "which it would spoil: give a file outside it" in line
    assert sorted(path.name for path in copied.iterdir()) == before


def test_an_image_does_not_replace_its_key(conversion: Path, key: Path, capsys: pytest.CaptureFixture[str]) -> None:
    before = key.read_bytes()
    code, line = failed(capsys, "create", conversion, "--key", key, "--version", 1, "-o", key, "--force")
    assert (code, key.read_bytes()) == (2, before)
    assert "is the private key" in line


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
    out = tmp_path / "new.img"
    options = ["--minimum-firmware", "1.2.3", "--description", "kitchen"]
    assert (
        main(["image", "create", str(conversion), "--key", str(key), "--version", "4", "-o", str(out), *options]) == 0
    )
    assert "image of version 4" in capsys.readouterr().out
    parts = parse_image(out.read_bytes())
    assert (parts.version, parts.minimum_firmware, parts.description) == (4, 0x010203, "kitchen")
    assert main(["image", "verify", str(out), "--key", f"{key}.pub", "--lowest-version", "4"]) == 0
    head, done, left = capsys.readouterr().out.splitlines()
    assert head.startswith(f"{out}: version 4, ")
    assert head.endswith(", signed by a key given")
    assert done == "checked: signature, structure, hash of the model, --lowest-version"
    assert left == (
        "not checked: --firmware (not given), --arena-bytes (not given), --buffer-bytes (not given),"
        " model, feature program and golden vectors (--run), room in the slots of a board"
    )
    limits = ["--firmware", "1.2.3", "--arena-bytes", "100000", "--buffer-bytes", "100000", "--lowest-version", "1"]
    assert main(["image", "verify", str(out), "--key", f"{key}.pub", "--run", *limits]) == 0
    _, done, left = capsys.readouterr().out.splitlines()
    assert "--buffer-bytes, model, feature program and golden vectors in the firmware's engine (" in done
    assert left == "not checked: room in the slots of a board"


def test_an_image_that_no_engine_runs_is_refused_by_run(image: Path, capsys: pytest.CaptureFixture[str]) -> None:
    arguments = ["verify", str(image), "--key", str(image.with_name("key.pub"))]
    assert main(["image", *arguments]) == 0
    assert "golden vectors (--run)" in capsys.readouterr().out
    assert failed(capsys, *arguments, "--run")[0] == 2


def test_help_says_what_verify_checks_and_what_not(capsys: pytest.CaptureFixture[str]) -> None:
    assert main(["image", "verify", "--help"]) == 0
    told = " ".join(capsys.readouterr().out.split())
    assert "Check an image's signature, structure and limits" in told
    assert "the room in its slots is not checked" in told


def test_an_image_is_replaced_only_by_force(
    conversion: Path, key: Path, image: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    arguments = ["create", str(conversion), "--key", str(key), "--version", "4", "-o", str(image)]
    code, line = failed(capsys, *arguments)
    assert (code, image.read_bytes()) == (2, IMAGE)
    assert "model.img' exists" in line
    assert main(["image", *arguments, "--force"]) == 0
    assert parse_image(image.read_bytes()).version == 4


@pytest.mark.parametrize("version", ["0", "-1", "4294967296", "four"])
def test_a_version_is_a_number_of_32_bits(key: Path, tmp_path: Path, version: str) -> None:
    out = tmp_path / "new.img"
    assert main(["image", "create", str(tmp_path), "--key", str(key), "--version", version, "-o", str(out)]) == 2
    assert not out.exists()


def test_nothing_is_written_when_the_folder_is_no_conversion(
    key: Path, tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    out = tmp_path / "new.img"
    code, line = failed(capsys, "create", tmp_path / "nowhere", "--key", key, "--version", 1, "-o", out)
    assert code == 2
    assert "nowhere" in line
    assert not out.exists()


def test_a_key_that_others_read_signs_nothing(
    conversion: Path, key: Path, tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    key.chmod(0o644)
    out = tmp_path / "new.img"
    code, line = failed(capsys, "create", conversion, "--key", key, "--version", 1, "-o", out)
    assert code == 2
    assert "expected 0600" in line
    assert not out.exists()


@pytest.mark.parametrize(
    ("options", "words", "status"),
    [
        (["--lowest-version", "8"], "version 7 is older", "IMAGE_VERSION"),
        (["--firmware", "0.0.255"], "needs firmware 0.1.0 or newer, the board has 0.0.255: update", "IMAGE_FIRMWARE"),
        (["--arena-bytes", "1999"], "needs 2000 bytes of arena, the board has 1999: convert", "IMAGE_LIMIT"),
        (["--buffer-bytes", "299"], "needs 300 bytes of buffer, the board has 299: convert", "IMAGE_LIMIT"),
    ],
)
def test_a_refusal_has_words_and_the_status_of_the_board(
    image: Path, capsys: pytest.CaptureFixture[str], options: list[str], words: str, status: str
) -> None:
    code, line = failed(capsys, "verify", image, "--key", image.with_name("key.pub"), *options)
    assert code == 2
    assert words in line
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


@pytest.mark.parametrize("name", ["model.img", "second.img", "link.img"])
def test_a_dump_does_not_replace_its_image(image: Path, capsys: pytest.CaptureFixture[str], name: str) -> None:
    image.with_name("second.img").hardlink_to(image)
    image.with_name("link.img").symlink_to(image)
    code, line = failed(capsys, "dump", image, "--model", image.with_name(name), "--force")
    assert (code, image.read_bytes()) == (2, IMAGE)
    assert "expected two files" in line


@pytest.mark.parametrize(("text", "number"), [("0.0.0", 0), ("1.2.3", 0x010203), ("65535.255.255", 0xFFFFFFFF)])
def test_firmware_versions_go_there_and_back(text: str, number: int) -> None:
    assert firmware_number(text) == number
    assert firmware_text(number) == text


@pytest.mark.parametrize("text", ["", "1", "1.2", "1.2.3.4", "1.2.256", "1.256.0", "65536.0.0", "v1.2.3", "-1.0.0"])
def test_what_is_no_firmware_version_is_refused(text: str) -> None:
    with pytest.raises(InputError, match=r"expected MAJOR\.MINOR\.PATCH"):
        firmware_number(text)
