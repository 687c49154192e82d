"""The hubs of a partition are told where its rollout stands, for those who look at their pages.

Nothing of a rollout depends on it: whoever cannot be told is told with the next turn.
"""

from __future__ import annotations

import json
import logging
from dataclasses import replace
from textwrap import shorten
from typing import TYPE_CHECKING, Any

from deployers.deployment.carry import answer_of
from deployers.deployment.looking import look
from deployers.exceptions import DeployerError
from deployers.fleet import showing

if TYPE_CHECKING:
    from collections.abc import Mapping, Sequence

    from deployers.deployment.looking import Reach, Seen
    from deployers.deployment.selection import Selected
    from deployers.fleet.record import Record

_log = logging.getLogger(__name__)

SECONDS = 20.0
TEXT_MAX = 1000  # characters of a reason that a hub takes


class Teller:
    """Remembers what this process told each Jetson.

    Args:
        chosen: the Jetsons of a partition.
        reach: how they are reached.
    """

    def __init__(self, chosen: Sequence[Selected], reach: Reach) -> None:
        self._chosen, self._reach = tuple(chosen), reach
        self._told: dict[str, dict[str, Any]] = {}
        self._failed: dict[str, str] = {}

    def tell(self, found: Record) -> None:
        """Tell everyone to whom it is new; who cannot be told is logged, once for each reason."""
        told = map_of(found)
        new = [each for each in self._chosen if self._told.get(each.jetson.name) != told]
        for seen in look(new, self._reach) if new else ():
            name = seen.chosen.jetson.name
            try:
                _tell(seen, told)
            except DeployerError as error:
                self._log_failure(name, found, str(error))
            else:
                self._told[name] = told
                self._failed.pop(name, None)
            finally:
                seen.connector.close()

    def _log_failure(self, name: str, found: Record, why: str) -> None:
        level = logging.DEBUG if self._failed.get(name) == why else logging.WARNING
        _log.log(level, "%s: its page does not show where %s stands, the next turn tells it: %s", name, found.name, why)
        self._failed[name] = why


def map_of(found: Record) -> dict[str, Any]:
    """Where a rollout stands, with no text longer than a hub takes."""
    told = showing.as_dict(found)
    whole = {name: _brief(told[name]) for name in ("left_out", "back")}
    return {**told, **whole, "reason": _shortened(told["reason"])}


def _tell(seen: Seen, told: Mapping[str, Any]) -> None:
    """Tell one hub.

    Raises:
        DeployerError: it is away, too old to know the command, or does not take it.
    """
    if seen.target is None:
        assert seen.error is not None  # noqa: S101 - one of them is there
        raise seen.error
    body = json.dumps({"jetson": seen.chosen.jetson.name, **told}).encode()
    command = replace(seen.target.site.hub("ctl", "tell-fleet", timeout=SECONDS), input=body)
    answer_of(seen.connector.name, command, seen.connector.run(command))


def _brief(texts: Mapping[str, str]) -> dict[str, str]:
    return {name: _shortened(text) for name, text in texts.items()}


def _shortened(text: str) -> str:
    return shorten(text, TEXT_MAX, placeholder=" …")
