"""The name of the image that steps run in away from this process: one image for what it is made of."""

from __future__ import annotations

import hashlib
from pathlib import Path

CHECKOUT = Path(__file__).resolve().parents[1]
REPOSITORY = "edgeloop-pipelines"
# The script says what of the packages stays out.
SOURCES = ("Dockerfile", "locks/image.txt", "scripts/image.sh")


def image_name() -> str:
    """`edgeloop-pipelines:` and the beginning of the SHA-256 over what `make image` makes it of."""
    digest = hashlib.sha256()
    for name in SOURCES:
        digest.update((CHECKOUT / name).read_bytes())
    return f"{REPOSITORY}:{digest.hexdigest()[:12]}"


if __name__ == "__main__":
    print(image_name())  # noqa: T201 - scripts/image.sh asks
