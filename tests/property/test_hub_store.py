"""Whatever is done to a store in whatever order, it holds what a dictionary would, and a copy of it is up to date."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

import pytest
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st

from deployers.hub.store import Filter, Kept
from deployers.protocol.messages import Reading
from forecaster.sources import Selection, fingerprint, read_readings
from tests.store_hub import TOKEN, StoreHub

if TYPE_CHECKING:
    from collections.abc import Iterator

READINGS = st.lists(st.builds(Reading, st.integers(0, 12).map(lambda at: 1000 * at), st.integers(-3, 3)), max_size=6)
KEEP = st.tuples(st.just("keep"), READINGS)
CHANGE = st.tuples(st.sampled_from(["correct", "remove"]), st.integers(0, 12))
FETCH = st.tuples(st.just("fetch"), st.none())
Model = dict[int, int]


@pytest.fixture(scope="module")
def hub(tmp_path_factory: pytest.TempPathFactory) -> Iterator[StoreHub]:
    with StoreHub(f"sqlite:///{tmp_path_factory.mktemp('hub') / 'hub.db'}") as running:
        yield running


class Twin:
    """A series of the hub, and what it must hold."""

    def __init__(self, hub: StoreHub, name: str) -> None:
        self.hub, self.name, self.model = hub, name, Model()
        self.source = f"hub://127.0.0.1:{hub.port}/{name}"
        self.seen: dict[str, Model] = {}

    def do(self, what: str, with_what: Any) -> None:
        getattr(self, what)(with_what)

    def keep(self, readings: list[Reading]) -> None:
        expected, before = Kept(0, 0, 0), dict(self.model)
        for item in readings:
            there = before.setdefault(item.time_ms, item.microcelsius)
            new = item.time_ms not in self.model
            self.model.setdefault(item.time_ms, item.microcelsius)
            same = there == item.microcelsius
            expected = Kept(
                expected.new + new,
                expected.already + (not new and same),
                expected.different + (not new and not same),
            )
        given_ = [(self.name, item) for item in readings]
        assert self.hub.do(self.hub.store.keep(given_)) == expected

    def correct(self, which: int) -> None:
        for row in self.rows()[which : which + 1]:
            self.hub.do(self.hub.store.correct(row.id, 100 + which))
            self.model[row.time_ms] = 100 + which

    def remove(self, which: int) -> None:
        for row in self.rows()[which : which + 1]:
            self.hub.do(self.hub.store.remove(row.id))
            del self.model[row.time_ms]

    def fetch(self, _: None) -> None:
        if not self.model:
            return
        frame = read_readings(self.source, Selection())
        times = [int(time.timestamp() * 1000) for time in frame["time"]]
        copy = dict(zip(times, (round(value * 1e6) for value in frame["value"]), strict=True))
        assert copy == self.model
        assert times == sorted(times)
        key = fingerprint(self.source, Selection())
        assert self.seen.setdefault(key, copy) == copy, "one fingerprint, two contents"

    def rows(self) -> list[Any]:
        rows, _ = self.hub.do(self.hub.store.page(Filter(series=self.name), 100))
        return list(rows)


@settings(max_examples=30, suppress_health_check=[HealthCheck.function_scoped_fixture])
@given(steps=st.lists(KEEP | CHANGE | FETCH, max_size=12))
def test_a_store_and_a_copy_of_it_hold_what_a_dictionary_would(
    hub: StoreHub, tmp_path_factory: pytest.TempPathFactory, monkeypatch: pytest.MonkeyPatch, steps: list[Any]
) -> None:
    monkeypatch.setenv("EDGELOOP_HUB_TOKEN", TOKEN)
    home = tmp_path_factory.mktemp("home")
    monkeypatch.setenv("EDGELOOP_HOME", str(home))
    twin = Twin(hub, home.name)
    for what, with_what in [*steps, ("fetch", None)]:
        twin.do(what, with_what)
    stored = {item.time_ms: item.microcelsius for item in hub.do(hub.store.readings(twin.name))}
    assert stored == twin.model
