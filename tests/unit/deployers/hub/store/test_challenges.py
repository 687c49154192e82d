"""What is kept of challengers, on both databases."""

from __future__ import annotations

import asyncio
from dataclasses import replace
from typing import TYPE_CHECKING

import pytest

from deployers.exceptions import InputError
from deployers.hub.store import Store, StoredForecast
from deployers.hub.store.challenges import StoredChallenge
from deployers.hub.store.watching import Cursor, Remembered
from deployers.protocol.messages import Reading
from tests.shadowing import both, sums

if TYPE_CHECKING:
    from collections.abc import Callable, Coroutine
    from typing import Any

    Use = Callable[[Store], Coroutine[Any, Any, None]]

DAYS = [(20_000, 0.31, 0.33, 2), (20_001, -0.1, 1 / 3, 1)]
ONE = StoredChallenge(4, 3, 1000, None, "running", "", DAYS, [19_998, 19_999], 2.5, 0.25, "")


def used(url: str, *uses: Use) -> None:
    async def run(use: Use) -> None:
        async with Store(url) as store:
            await use(store)

    for use in uses:
        asyncio.run(run(use))


def test_a_challenger_is_there_after_a_restart_and_is_replaced_by_what_comes_later(url: str) -> None:
    ended = replace(ONE, state="better", reason="better", ended_ms=5, better=2.0**400, promotion="job")
    other = replace(ONE, version=5, days=[])

    async def keep(store: Store) -> None:
        assert await store.challenges() == []
        await store.keep_challenge(other)
        await store.keep_challenge(ONE)

    async def look(store: Store) -> None:
        assert await store.challenges() == [ONE, other]
        await store.keep_challenge(ended)

    async def look_again(store: Store) -> None:
        assert await store.challenges() == [ended, other]

    used(url, keep, look, look_again)


def test_days_are_those_of_the_two_versions_on_every_series(url: str) -> None:
    wanted = [*both("a", 20_001), *both("b", 20_000), *both("b", 20_001)]
    others = [("a", sums(20_000, "hub", 3)), ("a", sums(20_000, "board", 1)), ("a", sums(20_000, "shadow", 1))]

    async def use(store: Store) -> None:
        for name in ("a", "b"):
            await store.keep_readings(name, [Reading(1, 1)])
        await store.remember(Remembered(Cursor(0, 0), {}, [*wanted, *others]))
        assert await store.challenge_days(1, 2, 0) == wanted
        assert await store.challenge_days(1, 2, 20_001) == [each for each in wanted if each[1].day == 20_001]
        assert await store.challenge_days(2, 1, 0) == [others[2]]

    used(url, use)


def test_forecasts_in_the_shadow_are_kept_beside_the_hubs_and_asked_for_by_their_source(url: str) -> None:
    hub = StoredForecast("a", "hub", 600_000, 2, 0, (20.0,), 1)
    shadow = replace(hub, source="shadow", celsius=(21.0,))

    async def use(store: Store) -> None:
        await store.keep_readings("a", [Reading(600_000, 1)])
        await store.keep_forecasts([shadow, hub])
        assert await store.forecasts("a", source="shadow") == [shadow]
        assert await store.forecasts("a", source="hub") == [hub]
        assert await store.forecasts("a") == [hub, shadow]
        found = await store.arrivals(Cursor(0, 0), 10)
        assert [each.forecast.source for each in found.forecasts] == ["shadow", "hub"]
        with pytest.raises(InputError, match="source of forecasts 'moon'"):
            await store.forecasts("a", source="moon")

    used(url, use)
