"""What a hub says runs there: the answer of its `ctl status`, checked, for it comes from another machine."""

from __future__ import annotations

import json
import re
from typing import Annotated, Any

from pydantic import BaseModel, ConfigDict, Field, ValidationError

from deployers.exceptions import ServiceUnavailable

DIGEST = Field("", pattern=r"^([0-9a-f]{64})?$")
VERSION = Annotated[int, Field(ge=0, le=0xFFFF_FFFF)]
CONVERSION = re.compile(r"conversion ([0-9a-f]{8})\b")
SHOWN = 120
CONFIRMED, TEST = "confirmed", "test"


class _Answer(BaseModel):
    """A newer hub may tell more than is read here."""

    model_config = ConfigDict(frozen=True, extra="ignore")


class ModelThere(_Answer):
    """A model that is installed on a hub.

    Attributes:
        version: of its image.
        image_sha256: of the image as it was signed.
        release_sha256: of the release's manifest.
        model: registered model's name, empty if the release was given as a folder.
        model_version: its number in the registry, empty likewise.
        description: of the image.
        way_back_for: the version after which this one is gone back to.
    """

    version: VERSION
    image_sha256: str = DIGEST
    image_bytes: int = 0
    release_sha256: str = DIGEST
    model: str = ""
    model_version: str = ""
    chosen: str = ""
    description: str = ""
    way_back_for: VERSION | None = None
    installed_ms: int | None = None

    @property
    def name(self) -> str:
        """What reports call it."""
        return f"{self.model} {self.model_version}".strip() or f"release {self.release_sha256[:12]}"

    def is_of(self, release_sha256: str, digest: str) -> bool:
        """Whether it came from a release, converted with these settings as far as its image says with which."""
        told = CONVERSION.search(self.description)
        return self.release_sha256 == release_sha256 and (told is None or digest.startswith(told[1]))


class BoardThere(_Answer):
    """A board as its hub knows it.

    Attributes:
        confirmed: version that runs there when it starts; 0 is none.
        test: version that is being tried, if one is.
    """

    id: str
    online: bool = False
    last_seen_ms: int | None = None
    state: str = "unknown"
    confirmed: VERSION = 0
    test: VERSION | None = None
    firmware: str | None = None
    since_ms: int | None = None


class HubThere(_Answer):
    """A hub with its models and boards."""

    hub: dict[str, Any] = Field(default_factory=dict)
    active: VERSION | None = None
    active_since_ms: int | None = None
    models: tuple[ModelThere, ...] = ()
    boards: tuple[BoardThere, ...] = ()

    def model_of(self, version: int | None) -> ModelThere | None:
        """The installed model of a version."""
        return next((one for one in self.models if one.version == version), None)

    def board(self, name: str) -> BoardThere:
        """A board; one that the hub does not know has no model."""
        return next((one for one in self.boards if one.id == name), BoardThere(id=name))

    @property
    def highest(self) -> int:
        """The largest version known to it or to its boards; 0 if there is none."""
        boards = [version for one in self.boards for version in (one.confirmed, one.test or 0)]
        return max([*(one.version for one in self.models), *boards, self.active or 0], default=0)


def parse_hub(text: str, jetson: str) -> HubThere:
    """Read the answer of `ctl status`.

    Raises:
        ServiceUnavailable: it is not one.
    """
    try:
        return HubThere.model_validate(parse_object(text, jetson))
    except ValidationError as error:
        wrong = error.errors()[0]
        where, told = ".".join(map(str, wrong["loc"])), wrong["msg"]
        advice = "python -m deployers setup brings hub and deployer to one version"
        msg = f"the hub of {jetson!r} says {where} {wrong['input']!r} ({told}): {advice}"
        raise ServiceUnavailable(msg) from None


def parse_object(text: str, jetson: str) -> dict[str, Any]:
    """The JSON object that a command of the hub printed, on its last line.

    Raises:
        ServiceUnavailable: there is none.
    """
    lines = text.strip().splitlines()
    try:
        found = json.loads(text if text.lstrip().startswith("{") else lines[-1])
    except (ValueError, IndexError, RecursionError):
        found = None
    if not isinstance(found, dict):
        expected = "expected one JSON object: look at its log, python -m deployers logs"
        msg = f"the hub of {jetson!r} answered {text[:SHOWN]!r}, {expected}"
        raise ServiceUnavailable(msg)
    return found
