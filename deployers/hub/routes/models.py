"""Versions on this hub: what there is, a new one, and which one runs."""

from __future__ import annotations

from pathlib import Path, PurePosixPath
from typing import Annotated, Any

from fastapi import APIRouter
from fastapi import Path as InPath
from pydantic import BaseModel, ConfigDict, Field

from deployers.exceptions import InputError, NotFound
from deployers.hub.auth import require
from deployers.hub.context import TheHub  # noqa: TC001 - FastAPI reads annotations when it starts
from deployers.hub.jobs import WHOLE

router = APIRouter(prefix="/models", tags=["models"])

LARGEST_VERSION = 0xFFFF_FFFF
Version = Annotated[int, InPath(ge=1, le=LARGEST_VERSION, description="of the image", examples=[3])]
EXAMPLE: dict[str, Any] = {
    "version": 3,
    "state": "active",
    "reason": None,
    "chosen": "int16x8",
    "types": {
        "float32": {"mae": 0.1434, "mae_growth": 0.0, "largest": 3e-6, "file_bytes": 9472, "instructions": 5981},
        "int16x8": {"mae": 0.1436, "mae_growth": 0.0012, "largest": 0.067, "file_bytes": 7104, "instructions": 7574},
    },
    "keras_mae": 0.1434,
    "mae_growth": 0.0012,
    "agreement_celsius": 0.0026,
    "horizon": 6,
    "cadence_seconds": 600,
    "model": "temperature-forecaster",
    "model_version": "4",
    "description": "",
    "release_sha256": "2f652a2c3e06dca814665ce877413bb3ecbf13e89bba664aabc1730503a67315",
    "image_sha256": "f663d9a6ee38cd796f79632d7e5ad66ace1424455da3903d1ac2a93192bb58cd",
    "image_bytes": 25344,
    "way_back_for": None,
    "installed_ms": 1714564800000,
    "activated_ms": 1714564801000,
}


class ModelVersion(BaseModel):
    """What a version is."""

    model_config = ConfigDict(json_schema_extra={"example": EXAMPLE})

    version: int
    state: str = Field(description='"installed", "active", "failed" or "retired"')
    reason: str | None = Field(description="why it failed")
    chosen: str = Field(description="the type that runs")
    types: dict[str, dict[str, int | float | None]] = Field(
        description="what each type costs, and its distance from Keras"
    )
    keras_mae: float | None
    mae_growth: float | None
    agreement_celsius: float = Field(description="how far forecasts of hub and board may be apart")
    horizon: int
    cadence_seconds: int
    model: str | None = Field(description="in MLflow")
    model_version: str | None = Field(description="in MLflow")
    description: str = Field(description="of the image, for people")
    release_sha256: str
    image_sha256: str
    image_bytes: int
    way_back_for: int | None
    installed_ms: int
    activated_ms: int | None


class Versions(BaseModel):
    """Every version, the newest first."""

    models: list[ModelVersion]
    active: int | None
    damaged: dict[str, str] = Field(description="folders that were passed over, and why", examples=[{}])


class Folder(BaseModel):
    """A folder that was uploaded."""

    model_config = ConfigDict(
        extra="forbid", json_schema_extra={"example": {"folder": "incoming/20240501-1a2b", "way_back_for": None}}
    )

    folder: Annotated[str, Field(min_length=1, max_length=500, description="in the hub's folder of uploads")]
    way_back_for: Annotated[int, Field(ge=1, le=LARGEST_VERSION)] | None = Field(
        None, description="the version after which this one runs again, if that fails"
    )


class Change(BaseModel):
    """Which version runs, and which one ran."""

    model_config = ConfigDict(json_schema_extra={"example": {"active": 4, "before": 3}})

    active: int
    before: int | None


@router.get("", dependencies=[require("read")], response_model=Versions)
async def models(hub: TheHub) -> dict[str, Any]:
    """Every version that is installed, with its fidelity, and the one that runs."""
    active = hub.catalogue.active
    return {
        "models": [each.as_dict() for each in hub.catalogue.models()],
        "active": None if active is None else active.version,
        "damaged": hub.catalogue.damaged,
    }


@router.get("/{version}", dependencies=[require("read")], response_model=ModelVersion)
async def model(hub: TheHub, version: Version) -> dict[str, Any]:
    """One version."""
    return hub.catalogue.view(version).as_dict()


@router.post("", status_code=201, dependencies=[require("deploy")], response_model=ModelVersion)
async def install(hub: TheHub, wanted: Folder) -> dict[str, Any]:
    """Verify an uploaded folder (manifest, signature, golden vectors) and move it in; it does not run yet."""
    folder = uploaded(hub.settings.path(hub.settings.models.incoming), wanted.folder)
    return (await hub.catalogue.install(folder, wanted.way_back_for)).as_dict()


@router.post("/{version}/activate", dependencies=[require("deploy")], response_model=Change)
async def activate(hub: TheHub, version: Version) -> dict[str, Any]:
    """Have the hub forecast with this version; the one before answers until it is ready. Boards stay as they are."""
    # It would change the version under the comparison with boards.
    hub.jobs.require_none(WHOLE, f"version {version} cannot be activated")
    return (await hub.catalogue.activate(version)).as_dict()


def uploaded(incoming: Path, name: str) -> Path:
    """The uploaded folder of a name, which may begin with that of the folder of uploads, or be its whole path.

    Raises:
        InputError: it lies elsewhere, whatever path or link leads there.
        NotFound: it is not there.
    """
    given = Path(name) if PurePosixPath(name).is_absolute() else incoming.parent / name
    try:
        found = given.resolve(strict=True)
    except (OSError, ValueError, RuntimeError):
        found = None
    base = incoming.resolve()
    if found is None:
        msg = f"folder {name!r} is not there, expected one in {str(incoming)!r}: upload it"
        raise NotFound(msg)
    if base not in found.parents:
        msg = f"folder {name!r} is not in {str(incoming)!r}, the only place from which models are installed: upload it"
        raise InputError(msg)
    return found
