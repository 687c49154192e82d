"""The genetic search: `search` finds candidates, `winner` and `chosen` say what one of them is."""

from forecaster.search.engine import chosen, search, winner

__all__ = ["chosen", "search", "winner"]
