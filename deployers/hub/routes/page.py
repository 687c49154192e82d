"""The page for people at `/`, its files, and the data that it asks for every second or two.

The page itself holds nothing of this hub and needs no token; `GET /live` does.
"""

from __future__ import annotations

import hashlib
from dataclasses import dataclass
from functools import lru_cache
from pathlib import Path
from typing import TYPE_CHECKING, Annotated

from fastapi import APIRouter, Query, Request, Response
from fastapi.responses import JSONResponse
from starlette.exceptions import HTTPException

from deployers.hub.auth import Principal, require
from deployers.hub.context import TheHub  # noqa: TC001 - FastAPI reads annotations
from deployers.hub.viewing import Viewing, Wish

if TYPE_CHECKING:
    from deployers.hub.context import Hub

router = APIRouter(tags=["page"])

PAGE = Path(__file__).resolve().parents[1] / "page"
# The charting library stands in a deployed bundle, or where Debian's package libjs-dygraphs puts it.
LIBRARY_FOLDERS = (PAGE / "vendor", Path("/usr/share/javascript/dygraphs"))
LIBRARY = "dygraph.min.js"
NAME_MAX = 64
MEDIA = {
    ".html": "text/html; charset=utf-8",
    ".css": "text/css; charset=utf-8",
    ".js": "text/javascript; charset=utf-8",
    ".svg": "image/svg+xml",
}
POLICY = (
    "default-src 'none'; script-src 'self'; style-src 'self'; img-src 'self'; connect-src 'self'; "
    "base-uri 'none'; form-action 'none'; frame-ancestors 'none'"
)
HEADERS = {
    "Content-Security-Policy": POLICY,
    "Referrer-Policy": "no-referrer",
    "Cross-Origin-Opener-Policy": "same-origin",
    "Cross-Origin-Resource-Policy": "same-origin",
    "Cache-Control": "no-cache",
}

Reader = Annotated[Principal, require("read")]


@dataclass(frozen=True)
class Asset:
    """One file of the page."""

    content: bytes
    media: str
    tag: str


@router.get("/", include_in_schema=False)
async def page(request: Request) -> Response:
    """The page."""
    return _answer(request, "index.html")


@router.get("/static/{file}", include_in_schema=False)
async def static(request: Request, file: str) -> Response:
    """A file of the page, by its plain name."""
    return _answer(request, file)


@router.get("/live", summary="What the page shows")
async def live(hub: TheHub, who: Reader, wish: Annotated[Wish, Query()]) -> Response:
    """Lines of a series for a chart, the error of its forecasts, devices, models, jobs: for eyes, not for archives.

    Lines are down-sampled to 600 points at most. With `since`, the time of the newest reading that the caller has, only
    what may have changed is answered: it takes the place of everything from `chart.from_ms` on.
    """
    answer = {"role": who.role, "principal": who.name, **await _viewing(hub).answer(wish)}
    return JSONResponse(answer, headers={"Cache-Control": "no-store"})  # as it is: encoders would go through each point


def _viewing(hub: Hub) -> Viewing:
    """The viewing of this hub, made when the first viewer comes."""
    if hub.viewing is None:
        hub.viewing = Viewing(hub)
    return hub.viewing


def _answer(request: Request, name: str) -> Response:
    asset = _asset(_path(name))
    headers = {**HEADERS, "ETag": asset.tag}
    if request.headers.get("If-None-Match") == asset.tag:
        return Response(status_code=304, headers=headers)
    return Response(asset.content, headers=headers, media_type=asset.media)


def _path(name: str) -> Path:
    """Where a file of the page is.

    Raises:
        HTTPException: 404, there is no such file.
    """
    folders = LIBRARY_FOLDERS if name == LIBRARY else (PAGE,)
    # The file system does not even look for a name that is much longer.
    for path in (folder / name for folder in folders if len(name) <= NAME_MAX):
        # A plain name of a known kind: nothing outside the folder has one.
        if path.suffix in MEDIA and path.parent in folders and path.is_file():
            return path
    advice = ": install the Debian package libjs-dygraphs" if name == LIBRARY else ""
    raise HTTPException(404, f"no file {name[:NAME_MAX]!r} belongs to the page{advice}")


@lru_cache(maxsize=64)
def _asset(path: Path) -> Asset:
    content = path.read_bytes()
    return Asset(content, MEDIA[path.suffix], f'"{hashlib.sha256(content).hexdigest()[:32]}"')
