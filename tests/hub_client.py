"""Starlette's test client, in an environment without the library that it would rather have."""

from __future__ import annotations

import warnings

with warnings.catch_warnings():
    # It prefers httpx2, which is no dependency of ours; with httpx it does the same.
    warnings.filterwarnings("ignore", message=".*starlette.testclient.*")
    from starlette.testclient import TestClient

__all__ = ["TestClient"]
