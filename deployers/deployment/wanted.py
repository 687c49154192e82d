"""What is to run: a release, converted with certain settings."""

from __future__ import annotations

import hashlib
import json
from dataclasses import dataclass
from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from deployers.conversion.budget import ConversionConfig


@dataclass(frozen=True)
class Wanted:
    """A release and the settings of its conversion.

    Attributes:
        release_sha256: of the release's manifest.
        model: registered model's name, empty for a release that was given as a folder.
        version: its number in the registry, empty likewise.
        options: of `convert`, as its command line has them.
    """

    release_sha256: str
    model: str
    version: str
    options: tuple[str, ...]

    @property
    def digest(self) -> str:
        """Of the settings."""
        return hashlib.sha256(json.dumps(self.options).encode()).hexdigest()

    @property
    def key(self) -> str:
        """What its conversion is kept under."""
        return f"{self.release_sha256[:16]}-{self.digest[:8]}"

    @property
    def name(self) -> str:
        """What messages call it."""
        return f"{self.model} {self.version}" if self.model else f"release {self.release_sha256[:12]}"

    @property
    def description(self) -> str:
        """What its image says to people, and to the next deployment."""
        return f"{self.name}, conversion {self.digest[:8]}"


def options_of(config: ConversionConfig) -> tuple[str, ...]:
    """The options of `convert` that are these settings."""
    types = [word for kind in config.types for word in ("--type", kind)]
    return ("--budget", repr(config.mae_growth), *types, "--timeout", repr(config.timeout_seconds))
