"""A real Prometheus scrapes a real hub with the documented configuration, and answers whatever the dashboard asks."""

from __future__ import annotations

import json
import re
import shutil
from typing import TYPE_CHECKING, Any

import httpx
import pytest

from tests.programs import CHECKOUT, free_port, running
from tests.served_hub import Served, run, until
from tests.servers import is_served

if TYPE_CHECKING:
    from collections.abc import Iterator
    from pathlib import Path

GRAFANA = CHECKOUT / "docs" / "grafana"
DASHBOARD: dict[str, Any] = json.loads((GRAFANA / "edgeloop.json").read_text(encoding="utf-8"))
QUERIES = [target["expr"] for panel in DASHBOARD["panels"] for target in panel.get("targets", [])]
QUERIES += [each["expr"] for each in DASHBOARD["annotations"]["list"]]
LABEL_VALUES = re.compile(r"label_values\((.*), (\w+)\)")


class Prometheus:
    """What Grafana asks of it."""

    def __init__(self, url: str) -> None:
        self.url = url

    def ask(self, path: str, **parameters: str) -> Any:
        answer = httpx.get(f"{self.url}/api/v1/{path}", params=parameters, timeout=10)
        assert answer.status_code == 200, answer.text
        return answer.json()["data"]

    def value(self, query: str) -> float:
        (found,) = self.ask("query", query=query)["result"]
        return float(found["value"][1])


@pytest.fixture(scope="module")
def hub(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Served]:
    served = Served(tmp_path_factory.mktemp("hub"))
    served.prepare()
    served.start()
    rows = [{"user": "attic", "time_point": f"2024-01-01T0{hour}:00:00", "value": 20.0} for hour in range(3)]
    httpx.post(f"{served.url}/temperatures/bulk", json=rows, headers=served.headers()).raise_for_status()
    yield served
    served.stop()


@pytest.fixture(scope="module")
def prometheus(hub: Served, tmp_path_factory: pytest.TempPathFactory) -> Iterator[Prometheus]:
    folder: Path = tmp_path_factory.mktemp("prometheus")
    told = (GRAFANA / "prometheus.yml").read_text(encoding="utf-8")
    for documented, here in (("127.0.0.1:8484", hub.url.partition("://")[2]), ("15s", "1s")):
        assert told.count(documented) == 1
        told = told.replace(documented, here)
    (folder / "prometheus.yml").write_text(told, encoding="utf-8")
    out = str(folder / "edgeloop.token")
    assert run("token", hub.config, "--name", "prometheus", "--role", "read", "--out", out).returncode == 0
    url = f"http://127.0.0.1:{free_port()}"
    program = shutil.which("prometheus")
    assert program is not None, "Debian's package prometheus is missing: `make test` installs it"
    command = [program, f"--config.file={folder / 'prometheus.yml'}", f"--storage.tsdb.path={folder / 'data'}"]
    command += [f"--web.listen-address={url.removeprefix('http://')}"]
    with running(command, folder / "log", lambda: is_served(f"{url}/-/ready"), seconds=120):
        yield Prometheus(url)


def test_it_scrapes_a_hub_with_a_token_that_may_only_read(prometheus: Prometheus) -> None:
    def is_up() -> bool:
        return [each["health"] for each in prometheus.ask("targets")["activeTargets"]] == ["up"]

    until(is_up, lambda: str(prometheus.ask("targets")))
    until(lambda: prometheus.value('sum(edgeloop_readings_total{source="rest"}) or vector(0)') == 3)


@pytest.mark.parametrize("query", QUERIES)
def test_it_understands_what_a_panel_asks(prometheus: Prometheus, query: str) -> None:
    prometheus.ask("query", query=re.sub(r"\$\{?\w+\}?", ".*", query))


def test_its_variables_are_filled(hub: Served, prometheus: Prometheus) -> None:
    where = hub.url.partition("://")[2]

    def values() -> dict[str, list[str]]:
        asked = {each["name"]: LABEL_VALUES.fullmatch(each["query"]) for each in DASHBOARD["templating"]["list"]}
        return {
            name: prometheus.ask(f"label/{found[2]}/values", **{"match[]": found[1].replace("$hub", where)})
            for name, found in asked.items()
            if found is not None
        }

    until(lambda: values() == {"hub": [where], "series": ["attic"]}, lambda: str(values()))


def test_a_query_that_makes_no_sense_is_told_from_one_that_does(prometheus: Prometheus) -> None:
    answer = httpx.get(f"{prometheus.url}/api/v1/query", params={"query": QUERIES[0] + " by"}, timeout=10)
    assert answer.status_code == 400
