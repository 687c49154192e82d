"""The genetic search: `search` finds a candidate, `winner` says what it is."""

from forecaster.search.engine import search, winner

__all__ = ["search", "winner"]
