"""Bearer tokens with roles: read < write < deploy.

    [[token]]
    name = "page"            # for people; stands in the log
    role = "read"
    sha256 = "…"             # of the token; the token itself is nowhere on disk

The file is read again when it has changed, so that a new token works, and a removed one stops, without a restart.
"""

from __future__ import annotations

import hashlib
import hmac
import logging
import secrets
import time
import tomllib
from dataclasses import dataclass
from typing import TYPE_CHECKING, Annotated, Any, Literal

from fastapi import Depends, HTTPException, Request
from pydantic import BaseModel, ConfigDict, Field, ValidationError

from deployers.exceptions import InputError
from deployers.hub.private import require_private, write_private

if TYPE_CHECKING:
    from collections.abc import Callable, Sequence
    from pathlib import Path

_log = logging.getLogger(__name__)

Role = Literal["read", "write", "deploy"]
ROLES: tuple[Role, ...] = ("read", "write", "deploy")
PREFIX = "edgeloop_"  # by which scanners of repositories know a token
# A header longer than this is no token of ours; it is not even hashed.
TOKEN_MAX = 256
LOOK_SECONDS = 1.0
PRINCIPAL = "edgeloop.principal"  # where the middleware puts who asks, in the scope


class Token(BaseModel):
    """One line of the file."""

    model_config = ConfigDict(frozen=True, extra="forbid")

    name: Annotated[str, Field(min_length=1, max_length=64, pattern=r"^[\w.@-]+$")]
    role: Role
    sha256: Annotated[str, Field(pattern=r"^[0-9a-f]{64}$")]


class _File(BaseModel):
    model_config = ConfigDict(frozen=True, extra="forbid")

    token: tuple[Token, ...] = ()


@dataclass(frozen=True, slots=True)
class Principal:
    """Who asks."""

    name: str
    role: Role

    def may(self, role: Role) -> bool:
        """Whether the role held is this one or above it."""
        return ROLES.index(self.role) >= ROLES.index(role)


def parse_tokens(text: str, source: str = "tokens.toml") -> tuple[Token, ...]:
    """The tokens in the text of a token file.

    Raises:
        InputError: it is no TOML, has other fields, or two tokens of one name.
    """
    try:
        tokens = _File.model_validate(tomllib.loads(text)).token
    except tomllib.TOMLDecodeError as error:
        msg = f"{source!r} is no TOML ({error}): mend it, or make tokens anew with python -m deployers.hub token"
        raise InputError(msg) from None
    except ValidationError as error:
        first = error.errors(include_input=False, include_url=False)[0]
        where = ".".join(str(part) for part in first["loc"])
        msg = f"{source!r}: {where!r} is wrong, {first['msg']}: expected name, role and sha256 of each [[token]]"
        raise InputError(msg) from None
    names = [token.name for token in tokens]
    twice = sorted({name for name in names if names.count(name) > 1})
    if twice:
        msg = f"{source!r} names {twice[0]!r} twice, expected each name once: remove one of them"
        raise InputError(msg)
    return tokens


class Tokens:
    """Who may do what.

    Args:
        tokens: those known from the start.
        path: the file to look at again from time to time; none where the tokens are given.
        clock: seconds; when to look again.
    """

    def __init__(
        self, tokens: Sequence[Token] = (), path: Path | None = None, clock: Callable[[], float] = time.monotonic
    ) -> None:
        self._path, self._clock = path, clock
        self._stamp: tuple[int, ...] = ()
        self._next_look = clock() + LOOK_SECONDS
        self._set(tokens)

    @classmethod
    def load(cls, path: Path, clock: Callable[[], float] = time.monotonic) -> Tokens:
        """Read a file.

        Raises:
            InputError: see `require_private` and `parse_tokens`; or there is no token in it.
        """
        found = cls((), path, clock)
        found._read()
        if not found._known:
            msg = f"{str(path)!r} has no token, expected at least one: run python -m deployers.hub token --role deploy"
            raise InputError(msg)
        return found

    def find(self, token: str) -> Principal | None:
        """Whose token this is; None if it is no one's. Takes as long whichever of them it is."""
        self._look()
        if len(token) > TOKEN_MAX:
            return None
        digest, found = hashlib.sha256(token.encode()).digest(), None
        for expected, principal in self._known:
            if hmac.compare_digest(expected, digest):
                found = principal
        return found

    def _set(self, tokens: Sequence[Token]) -> None:
        self._known = [(bytes.fromhex(token.sha256), Principal(token.name, token.role)) for token in tokens]

    def _look(self) -> None:
        if self._path is None or self._clock() < self._next_look:
            return
        self._next_look = self._clock() + LOOK_SECONDS
        try:
            self._read()
        except InputError as error:
            _log.error("tokens stay as they were: %s", error)

    def _read(self) -> None:
        path = self._path
        assert path is not None  # noqa: S101 - both callers have looked
        found = require_private(path)
        stamp = (found.st_ino, found.st_mtime_ns, found.st_size)
        if stamp != self._stamp:
            self._set(parse_tokens(_text(path), str(path)))
            self._stamp = stamp


def _text(path: Path) -> str:
    try:
        return path.read_text(encoding="utf-8", errors="replace")
    except OSError as error:
        msg = f"{str(path)!r} cannot be read ({error.strerror}), expected a file of the hub's account: run chown"
        raise InputError(msg) from None


def make_token() -> tuple[str, str]:
    """A new token of 256 random bits and its SHA-256."""
    token = PREFIX + secrets.token_urlsafe(32)
    return token, hashlib.sha256(token.encode()).hexdigest()


def add_token(path: Path, name: str, role: Role) -> str:
    """Add a token to the file, or take the place of the one of that name.

    Returns:
        The token; this is the only time it is seen.

    Raises:
        InputError: the file is wrong, or the name.
    """
    known: tuple[Token, ...] = ()
    if path.exists():
        require_private(path)
        known = parse_tokens(path.read_text(encoding="utf-8"), str(path))
    token, digest = make_token()
    try:
        new = Token(name=name, role=role, sha256=digest)
    except ValidationError:
        msg = f"name {name!r} is no name of a token, expected 1 to 64 letters, digits, '.', '@', '-', '_': give another"
        raise InputError(msg) from None
    write_tokens(path, [*(other for other in known if other.name != name), new])
    return token


def write_tokens(path: Path, tokens: Sequence[Token]) -> None:
    """Write the file whole or not at all, readable by its owner alone."""
    blocks = [f'[[token]]\nname = "{t.name}"\nrole = "{t.role}"\nsha256 = "{t.sha256}"\n' for t in tokens]
    write_private(path, "\n".join(blocks).encode())


def bearer(scope: Any) -> str | None:
    """The token in the headers of an ASGI scope; None if there is none."""
    for name, value in scope["headers"]:
        if name == b"authorization":
            kind, _, token = value.partition(b" ")
            return token.strip().decode("latin-1") if kind.lower() == b"bearer" else None
    return None


def no_token() -> HTTPException:
    """What is answered to who does not say who they are."""
    detail = "no valid token: send the header 'Authorization: Bearer TOKEN'"
    return HTTPException(401, detail, {"WWW-Authenticate": "Bearer"})


def require(role: Role) -> Any:
    """A dependency that lets only those through who hold this role: `dependencies=[require("read")]`.

    As the annotation of a parameter, `Annotated[Principal, require("deploy")]`, it also says who asks.
    """

    async def allowed(request: Request) -> Principal:
        principal: Principal | None = request.scope.get(PRINCIPAL)
        if principal is None:
            raise no_token()
        if not principal.may(role):
            detail = f"token {principal.name!r} has role {principal.role!r}, expected {role!r}: use another token"
            raise HTTPException(403, detail)
        return principal

    return Depends(allowed)
