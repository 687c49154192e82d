"""The genetic search: `search` finds candidates, `winner` and `chosen` say what one of them is."""

from forecaster.search.engine import Choice, choice, chosen, search, winner

__all__ = ["Choice", "choice", "chosen", "search", "winner"]
