"""The genetic search: `search` finds candidates, `chosen` says what the final training of one of them is given."""

from forecaster.search.engine import chosen, search

__all__ = ["chosen", "search"]
