"""Keys and signatures: published vectors, files that are refused, files that are not overwritten."""

from __future__ import annotations

import hashlib
import json
import stat
from pathlib import Path

import pytest
from cryptography.hazmat.primitives import serialization
from cryptography.hazmat.primitives.asymmetric import ec

from deployers.protocol.signature import (
    POINT_BYTES,
    generate_keys,
    is_signed,
    key_id,
    load_private_key,
    load_public_key,
    public_point,
    sign,
)
from deployers.protocol.tlv import ImageError

VECTORS = {
    name: bytes.fromhex(text)
    for name, text in json.loads((Path(__file__).parents[3] / "vectors" / "image.json").read_text()).items()
}
# RFC 6979, A.2.5.
SCALAR = 0xC9AFA9D845BA75166B5C215767B1D6934E50C3DB36E89B127B8A622B120F6721
KEY = ec.derive_private_key(SCALAR, ec.SECP256R1())


@pytest.mark.parametrize("message", ["sample", "test"])
def test_signatures_are_those_of_rfc_6979(message: str) -> None:
    expected = VECTORS[f"rfc6979_{message}"]
    assert sign(KEY, message.encode()) == expected
    assert is_signed(public_point(KEY), expected, message.encode())


def test_a_signature_is_of_one_message_by_one_key() -> None:
    point, other = public_point(KEY), VECTORS["other_key"]
    made = sign(KEY, b"sample")
    assert not is_signed(point, made, b"Sample")
    assert not is_signed(other, made, b"sample")
    assert not is_signed(point, made[32:] + made[:32], b"sample")
    for at in range(0, 64, 7):
        changed = bytearray(made)
        changed[at] ^= 1
        assert not is_signed(point, bytes(changed), b"sample")


@pytest.mark.parametrize("degenerate", [bytes(64), b"\xff" * 64, bytes(31) + b"\1" + bytes(31) + b"\1", b""])
def test_degenerate_signatures_are_of_nobody(degenerate: bytes) -> None:
    assert not is_signed(public_point(KEY), degenerate, b"sample")


def test_what_is_no_point_has_signed_nothing() -> None:
    assert not is_signed(b"\4" + b"\x11" * 64, sign(KEY, b"sample"), b"sample")


def test_a_key_is_named_by_the_hash_of_its_point() -> None:
    point = public_point(KEY)
    assert point == VECTORS["key"]
    assert len(point) == POINT_BYTES
    assert key_id(point) == hashlib.sha256(point).digest()[:8] == VECTORS["image"][24:32]


def test_new_keys_go_together_and_only_the_owner_reads_the_private_one(tmp_path: Path) -> None:
    private, public = tmp_path / "a.pem", tmp_path / "a.pub"
    point = generate_keys(private, public)
    assert stat.S_IMODE(private.stat().st_mode) == 0o600
    assert public.read_bytes() == point == load_public_key(public)
    assert is_signed(point, sign(load_private_key(private), b"data"), b"data")
    assert sorted(path.name for path in tmp_path.iterdir()) == ["a.pem", "a.pub"]


@pytest.mark.parametrize("name", ["a.pem", "a.pub"])
def test_a_key_is_not_overwritten_unless_forced(tmp_path: Path, name: str) -> None:
    (tmp_path / name).write_bytes(b"precious")
    with pytest.raises(ImageError, match=r"a\.p.*exists.*--force"):
        generate_keys(tmp_path / "a.pem", tmp_path / "a.pub")
    assert [path.read_bytes() for path in tmp_path.iterdir()] == [b"precious"]
    generate_keys(tmp_path / "a.pem", tmp_path / "a.pub", force=True)
    load_private_key(tmp_path / "a.pem")


@pytest.mark.parametrize(("private", "public"), [("missing/a.pem", "a.pub"), ("a.pem", "missing/a.pub")])
def test_half_a_pair_is_not_left_behind(tmp_path: Path, private: str, public: str) -> None:
    with pytest.raises(ImageError, match="cannot be written"):
        generate_keys(tmp_path / private, tmp_path / public)
    assert list(tmp_path.iterdir()) == []


@pytest.mark.parametrize("mode", [0o640, 0o604, 0o644, 0o660])
def test_a_private_key_that_others_may_read_is_refused(tmp_path: Path, mode: int) -> None:
    generate_keys(tmp_path / "a.pem", tmp_path / "a.pub")
    (tmp_path / "a.pem").chmod(mode)
    with pytest.raises(ImageError, match=rf"{mode:04o}, expected 0600"):
        load_private_key(tmp_path / "a.pem")


def pem(key: ec.EllipticCurvePrivateKey, password: bytes | None = None) -> bytes:
    locked = serialization.BestAvailableEncryption(password) if password else serialization.NoEncryption()
    return key.private_bytes(serialization.Encoding.PEM, serialization.PrivateFormat.PKCS8, locked)


@pytest.mark.parametrize(
    "content",
    [b"", b"-----BEGIN PRIVATE KEY-----", pem(ec.generate_private_key(ec.SECP384R1())), pem(KEY, b"secret")],
    ids=["empty", "broken off", "another curve", "encrypted"],
)
def test_what_is_no_private_key_is_refused(tmp_path: Path, content: bytes) -> None:
    path = tmp_path / "key.pem"
    path.write_bytes(content)
    path.chmod(0o600)
    with pytest.raises(ImageError, match="holds no unencrypted P-256 private key"):
        load_private_key(path)


@pytest.mark.parametrize(
    "content",
    [b"", VECTORS["key"][:-1], VECTORS["key"] + b"\0", b"\4" + b"\x11" * 64, b"\3" + VECTORS["key"][1:33], pem(KEY)],
    ids=["empty", "short", "long", "not on the curve", "compressed", "a private key"],
)
def test_what_is_no_public_key_is_refused(tmp_path: Path, content: bytes) -> None:
    path = tmp_path / "key.pub"
    path.write_bytes(content)
    with pytest.raises(ImageError, match="holds no public key"):
        load_public_key(path)


@pytest.mark.parametrize("load", [load_private_key, load_public_key])
def test_a_missing_key_is_named(tmp_path: Path, load) -> None:
    with pytest.raises(ImageError, match=r"key '.*nowhere' cannot be read \(No such file"):
        load(tmp_path / "nowhere")


@pytest.mark.parametrize("name", ["a.key", "a.key.pub"])
@pytest.mark.parametrize("there", [True, False])
def test_a_disk_that_is_full_leaves_both_keys_or_neither(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, name: str, *, there: bool
) -> None:
    private, public = tmp_path / "a.key", tmp_path / "a.key.pub"
    if there:
        generate_keys(private, public)
    before = {path.name: (path.read_bytes(), path.stat().st_mode) for path in tmp_path.iterdir()}
    replaced = Path.replace

    def full(self: Path, target: Path) -> Path:
        if target.name == name and self.suffix == ".new":
            raise OSError(28, "No space left on device")
        return replaced(self, target)

    monkeypatch.setattr(Path, "replace", full)
    with pytest.raises(ImageError, match=rf"{name}' cannot be written \(No space left on device"):
        generate_keys(private, public, force=True)
    assert {path.name: (path.read_bytes(), path.stat().st_mode) for path in tmp_path.iterdir()} == before


def test_force_replaces_both(tmp_path: Path) -> None:
    private, public = tmp_path / "a.key", tmp_path / "a.key.pub"
    first = generate_keys(private, public)
    second = generate_keys(private, public, force=True)
    assert first != second
    assert load_public_key(public) == public_point(load_private_key(private)) == second
    assert sorted(path.name for path in tmp_path.iterdir()) == ["a.key", "a.key.pub"]


@pytest.mark.parametrize(
    "kind", ["the same name", "a detour", "a link to the folder", "a hard link", "a symbolic link"]
)
def test_one_file_by_two_names_is_refused(tmp_path: Path, kind: str) -> None:
    folder = tmp_path / "keys"
    folder.mkdir()
    private = folder / "a.key"
    public = {
        "the same name": private,
        "a detour": tmp_path / "keys" / ".." / "keys" / "a.key",
        "a link to the folder": tmp_path / "other" / "a.key",
    }.get(kind, folder / "b.key")
    (tmp_path / "other").symlink_to(folder)
    if kind.endswith("d link"):
        private.write_bytes(b"precious")
        public.hardlink_to(private)
    elif kind == "a symbolic link":
        public.symlink_to(private)
    with pytest.raises(
        ImageError, match=r"^public key '.*' is the private key '.*a\.key', expected two files: give an"
    ):
        generate_keys(private, public, force=True)
    assert not private.exists() or private.read_bytes() == b"precious"
