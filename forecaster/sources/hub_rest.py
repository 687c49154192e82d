"""A hub's REST interface, as far as reading series needs it; standard library only."""

from __future__ import annotations

import http.client
import ipaddress
import json
import os
import ssl
from typing import TYPE_CHECKING, Any, Self
from urllib.parse import urlencode, urlsplit

from forecaster.errors import ServiceUnavailable, SourceError

if TYPE_CHECKING:
    from collections.abc import Mapping

TOKEN = "EDGELOOP_HUB_TOKEN"  # noqa: S105 - the name of the variable
SECONDS = 30.0  # without a byte
DETAIL = 300  # characters of a hub's own words


class HubRest:
    """One connection to a hub.

    It follows no redirect and asks no proxy: the token goes to this host only.

    Args:
        url: http:// or https://, host and port.

    Raises:
        SourceError: a token that cannot be one, or that would travel in the clear.
    """

    def __init__(self, url: str) -> None:
        parts = urlsplit(url)
        host, self.url = str(parts.hostname), url
        self._headers = _authorization(host, is_tls=parts.scheme == "https", url=url)
        if parts.scheme == "https":
            # Certificates as the system has them, or those that SSL_CERT_FILE names.
            context = ssl.create_default_context()
            self._connection: http.client.HTTPConnection = http.client.HTTPSConnection(
                host, parts.port, timeout=SECONDS, context=context
            )
        else:
            self._connection = http.client.HTTPConnection(host, parts.port, timeout=SECONDS)

    def __enter__(self) -> Self:
        return self

    def __exit__(self, *_: object) -> None:
        self._connection.close()

    def series(self, **wanted: str) -> list[dict[str, Any]]:
        """The series that match, each with user, tag and its marker.

        Raises:
            SourceError, ServiceUnavailable: see `get`.
        """
        content = self.get("/temperatures/series", wanted)
        try:
            found = json.loads(content)["series"]
            return [dict(item) for item in found]
        except (ValueError, KeyError, TypeError):
            raise SourceError(self._strange(content)) from None

    def get(self, path: str, query: Mapping[str, str | int]) -> bytes:
        """The body of an answer.

        Raises:
            SourceError: the token is wrong or may not read, this is no hub, or it does not take the query.
            ServiceUnavailable: it does not answer, not to the end, or not now.
        """
        try:
            self._connection.request("GET", f"{path}?{urlencode(query)}", headers=self._headers)
            response = self._connection.getresponse()
            content = response.read()
        except (OSError, http.client.HTTPException) as error:
            reason = getattr(error, "strerror", None) or error or type(error).__name__
            scheme = ", or hub:// where it has no TLS" if isinstance(error, ssl.SSLError) else ""
            message = f"hub {self.url!r} does not answer ({reason}): start it, or correct host and port{scheme}"
            raise ServiceUnavailable(message) from None
        if response.status != http.HTTPStatus.OK:
            raise self._refusal(response.status, content)
        return content

    def _refusal(self, status: int, content: bytes) -> Exception:
        detail = _detail(content)
        if status in (401, 403):
            message = f"hub {self.url!r} does not let us read ({status}, {detail}): set {TOKEN} to a token of role read"
            return SourceError(message)
        if status == http.HTTPStatus.TOO_MANY_REQUESTS or status >= http.HTTPStatus.INTERNAL_SERVER_ERROR:
            return ServiceUnavailable(f"hub {self.url!r} does not answer now ({status}, {detail}): try again later")
        return SourceError(
            f"hub {self.url!r} refused the request ({status}, {detail}): check host, port and parameters"
        )

    def _strange(self, content: bytes) -> str:
        return f"{self.url!r} answers {content[:60]!r}, not as a hub does: check host and port"


def _authorization(host: str, *, is_tls: bool, url: str) -> dict[str, str]:
    token = os.environ.get(TOKEN, "").strip()
    if not token:
        return {}
    if not (token.isascii() and token.isprintable() and " " not in token):
        message = f"{TOKEN} holds {len(token)} characters that are no token: expected letters, digits and signs"
        raise SourceError(message)
    if not is_tls and not _is_loopback(host):
        message = f"hub {url!r} would get the token in the clear: use hub+https:// or a tunnel to 127.0.0.1"
        raise SourceError(message)
    return {"Authorization": f"Bearer {token}"}


def _is_loopback(host: str) -> bool:
    try:
        return ipaddress.ip_address(host).is_loopback
    except ValueError:
        return host == "localhost"


def _detail(content: bytes) -> str:
    """What the hub says, on one line."""
    try:
        said = str(json.loads(content)["detail"])
    except (ValueError, KeyError, TypeError):
        said = content[:DETAIL].decode("utf-8", "replace")
    return " ".join(said.split())[:DETAIL] or "no reason given"
