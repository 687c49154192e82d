"""Stores to test on: SQLite in a file, and a database of a real PostgreSQL."""

from __future__ import annotations

import uuid
from typing import TYPE_CHECKING

import psycopg
import pytest

if TYPE_CHECKING:
    from collections.abc import Iterator
    from pathlib import Path


@pytest.fixture
def sqlite_url(tmp_path: Path) -> str:
    """A file that is not there yet, in a folder that is not there yet."""
    return f"sqlite:///{tmp_path / 'data' / 'hub.db'}"


@pytest.fixture
def postgresql_url(postgres_url: str) -> Iterator[str]:
    """An empty database."""
    name = f"hub_{uuid.uuid4().hex}"
    with psycopg.connect(postgres_url, autocommit=True) as owner:
        owner.execute(f"CREATE DATABASE {name}")  # type: ignore[arg-type]
        yield postgres_url.rpartition("/")[0] + f"/{name}"
        owner.execute(f"DROP DATABASE {name} WITH (FORCE)")  # type: ignore[arg-type]


@pytest.fixture(params=["sqlite_url", "postgresql_url"])
def url(request: pytest.FixtureRequest) -> str:
    """Either of them."""
    return str(request.getfixturevalue(request.param))
