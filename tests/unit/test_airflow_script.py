"""scripts/airflow.sh refuses what it cannot do before it installs or starts anything."""

from __future__ import annotations

import os
import subprocess

import pytest

from tests.workplace import CHECKOUT


def refused(*words: str, **variables: str) -> str:
    environment = {"PATH": os.environ["PATH"], **variables}
    done = subprocess.run(
        ["scripts/airflow.sh", *words],
        cwd=CHECKOUT, env=environment, capture_output=True, text=True, timeout=60, check=False,
    )  # fmt: skip
    assert (done.returncode, done.stdout) == (2, "")
    return done.stderr.strip()


@pytest.mark.parametrize("words", [(), ("stop",)])
def test_a_command_that_is_none_is_named(words: tuple[str, ...]) -> None:
    assert refused(*words) == f"airflow: '{''.join(words)}' is not a command, choose setup or start"


@pytest.mark.parametrize("port", ["http", "0", "65536", "-1", "80 80"])
def test_a_port_that_is_none_is_named(port: str) -> None:
    told = refused("start", EDGELOOP_AIRFLOW_PORT=port)
    assert told == f"airflow: EDGELOOP_AIRFLOW_PORT is '{port}', expected a number from 1 to 65535"
