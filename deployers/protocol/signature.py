"""Keys and signatures of model images: ECDSA on P-256 over SHA-256, by the `cryptography` library."""

from __future__ import annotations

import hashlib
from typing import TYPE_CHECKING

from cryptography.exceptions import InvalidSignature, UnsupportedAlgorithm
from cryptography.hazmat.primitives import hashes, serialization
from cryptography.hazmat.primitives.asymmetric import ec
from cryptography.hazmat.primitives.asymmetric.utils import decode_dss_signature, encode_dss_signature

from deployers.protocol.files import NewFile, read_file, require_absent, require_other, write_together
from deployers.protocol.tlv import ImageError

if TYPE_CHECKING:
    from pathlib import Path

PrivateKey = ec.EllipticCurvePrivateKey
POINT_BYTES = 65
KEY_ID_BYTES = 8
SIGNATURE_BYTES = 64
_HALF = SIGNATURE_BYTES // 2
# The nonce follows from key and data (RFC 6979): no signature depends on a good source of randomness, and the same
# parts make the same image.
_ALGORITHM = ec.ECDSA(hashes.SHA256(), deterministic_signing=True)


def key_id(point: bytes) -> bytes:
    """The first 8 bytes of the SHA-256 of a public key, by which an image names it."""
    return hashlib.sha256(point).digest()[:KEY_ID_BYTES]


def public_point(key: PrivateKey) -> bytes:
    """A public key as boards hold it: 65 bytes, uncompressed point."""
    return key.public_key().public_bytes(serialization.Encoding.X962, serialization.PublicFormat.UncompressedPoint)


def sign(key: PrivateKey, data: bytes) -> bytes:
    """The numbers r and s, 32 bytes each, most significant first."""
    r, s = decode_dss_signature(key.sign(data, _ALGORITHM))
    return r.to_bytes(_HALF, "big") + s.to_bytes(_HALF, "big")


def is_signed(point: bytes, signature: bytes, data: bytes) -> bool:
    """Whether this public key's owner signed the data."""
    r, s = (int.from_bytes(half, "big") for half in (signature[:_HALF], signature[_HALF:]))
    try:
        public = ec.EllipticCurvePublicKey.from_encoded_point(ec.SECP256R1(), point)
        public.verify(encode_dss_signature(r, s), data, _ALGORITHM)
    except (InvalidSignature, ValueError):
        return False
    return True


def generate_keys(private: Path, public: Path, *, force: bool = False) -> bytes:
    """Write a new private key (PKCS #8 PEM, mode 0600) and its public point (65 bytes).

    Args:
        private: file of the private key.
        public: file of the public one.
        force: replace keys that are there, both or neither.

    Returns:
        The public point.

    Raises:
        ImageError: both are one file, a file exists and `force` is not given, or one cannot be written; the keys are as
            they were.
    """
    require_other(public, "public key", private, "private key")
    require_absent(private, "private key", force=force)
    require_absent(public, "public key", force=force)
    key = ec.generate_private_key(ec.SECP256R1())
    pem = key.private_bytes(serialization.Encoding.PEM, serialization.PrivateFormat.PKCS8, serialization.NoEncryption())
    point = public_point(key)
    write_together(NewFile(private, pem, 0o600), NewFile(public, point, 0o644))
    return point


def load_private_key(path: Path) -> PrivateKey:
    """The private key of a PEM file.

    Raises:
        ImageError: no such file, others may read it, or no unencrypted P-256 key in it.
    """
    pem = read_file(path, "private key")
    mode = path.stat().st_mode & 0o777
    if mode & 0o077:
        msg = f"private key {str(path)!r} has mode {mode:04o}, expected 0600: chmod 600, or make a new one if in doubt"
        raise ImageError(msg)
    try:
        key = serialization.load_pem_private_key(pem, None)
    except (ValueError, TypeError, UnsupportedAlgorithm):
        key = None
    if not isinstance(key, ec.EllipticCurvePrivateKey) or not isinstance(key.curve, ec.SECP256R1):
        msg = f"{str(path)!r} holds no unencrypted P-256 private key: make one with `image keygen`"
        raise ImageError(msg)
    return key


def load_public_key(path: Path) -> bytes:
    """The public point of a 65-byte file.

    Raises:
        ImageError: no such file, or not a point of P-256.
    """
    point = read_file(path, "public key")
    try:
        ec.EllipticCurvePublicKey.from_encoded_point(ec.SECP256R1(), point)
    except ValueError:
        point = b""
    if len(point) != POINT_BYTES:
        msg = f"{str(path)!r} holds no public key: expected an uncompressed point of P-256, as `image keygen` writes it"
        raise ImageError(msg)
    return point
