"""Changes as JSON over HTTP."""

from __future__ import annotations

import os
from typing import TYPE_CHECKING
from urllib.parse import urlsplit

import httpx

from deployers.exceptions import ServiceUnavailable
from deployers.hub.alerts.channel import ANSWER_SECONDS, Channel, tls
from deployers.hub.alerts.wording import as_json

if TYPE_CHECKING:
    from collections.abc import Mapping, Sequence

    from deployers.hub.alerts.ledger import Change
    from deployers.hub.alerts.settings import WebhookSection
    from deployers.hub.alerts.wording import Wording

SCHEMA = 1


class Webhook(Channel):
    """One request for all that changed together.

    Args:
        section: where to.
        words: how the hub speaks.
        environment: where the token is.
    """

    name = "webhook"

    def __init__(self, section: WebhookSection, words: Wording, environment: Mapping[str, str] = os.environ) -> None:
        self._section, self._words, self._environment = section, words, environment
        self.server = urlsplit(section.url).netloc

    async def send(self, changes: Sequence[Change]) -> str:
        """Post it. The member `text` is what chat servers show."""
        body = {
            "schema": SCHEMA,
            "hub": self._words.hub,
            "text": self._words.post(changes),
            "alerts": [self._words.as_dict(change) for change in changes],
        }
        headers = {"Content-Type": "application/json", **self._authorization()}
        try:
            async with httpx.AsyncClient(timeout=ANSWER_SECONDS, verify=tls()) as client:
                answer = await client.post(self._section.url, content=as_json(body), headers=headers)
        except (httpx.HTTPError, httpx.InvalidURL) as error:
            msg = f"{self.server!r} does not answer ({error or type(error).__name__}): start it, or correct its url"
            raise ServiceUnavailable(msg) from None
        if not answer.is_success:
            msg = (
                f"{self.server!r} answers with status {answer.status_code}, expected 200: look at its log, at url and "
                f"at the variable {self._section.token_env!r}"
            )
            raise ServiceUnavailable(msg)
        return ""

    def _authorization(self) -> dict[str, str]:
        """The token, where there is one: not every server wants one."""
        token = self._environment.get(self._section.token_env, "")
        return {"Authorization": f"Bearer {token}"} if token else {}
