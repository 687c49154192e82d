"""What is kept of one challenger, and what its days say."""

from __future__ import annotations

from dataclasses import dataclass, field, replace
from typing import TYPE_CHECKING, Literal

from deployers.hub.shadow.betting import e_value

if TYPE_CHECKING:
    from collections.abc import Mapping, Sequence

    from deployers.hub.settings import ShadowSection
    from deployers.hub.shadow.comparing import Compared

# One that is better may wait for a person for ever; numbers stay such that a float holds.
DAYS_MOST = 400
State = Literal["running", "better", "worse", "undecided", "ended"]


@dataclass(frozen=True)
class Challenge:
    """One challenger beside one champion; replaced as a whole.

    Attributes:
        version: of the challenger.
        champion: the active version that it is compared with.
        since_ms: when this comparison began, ms since 1970 by the hub's clock.
        ended_ms: since when it does not run; None while it runs, which one that is better does until it is promoted.
        state: of its test; "ended" if that has not come to its end.
        reason: why it is so, for people.
        days: that were compared, in their order.
        passed: days that are over and count for nothing, or were there before it began.
        promotion: id of the job that brings it to the boards, "" without one.
    """

    version: int
    champion: int
    since_ms: int
    ended_ms: int | None = None
    state: State = "running"
    reason: str = ""
    days: tuple[Compared, ...] = ()
    passed: frozenset[int] = field(default_factory=frozenset)
    promotion: str = ""

    @property
    def is_open(self) -> bool:
        """Whether it runs."""
        return self.ended_ms is None

    def counts(self, margin: float) -> tuple[int, int]:
        """Days on which the challenger was better by more than a margin, and days without ties."""
        return _above([each.challenger - each.champion for each in self.days], margin)

    def counts_worse(self, margin: float) -> tuple[int, int]:
        """Days on which it was worse by more than a margin, likewise."""
        return _above([each.champion - each.challenger for each in self.days], margin)

    def e_values(self, margin: float) -> tuple[float, float]:
        """Against "better on at most half the days" and against "worse on at most half the days"."""
        return e_value(*self.counts(margin)), e_value(*self.counts_worse(margin))

    def judged(self, over: Mapping[int, Compared | None], rules: ShadowSection) -> Challenge:
        """With days that are over, one after the other, each of which may end the test."""
        found = self
        for day in sorted(over.keys() - self.passed - {each.day for each in self.days}):
            if len(found.days) >= DAYS_MOST:
                break
            compared = over[day]
            if compared is None:
                found = replace(found, passed=found.passed | {day})
            else:
                found = _verdict(replace(found, days=(*found.days, compared)), rules)
        return found


def _above(apart: Sequence[float], margin: float) -> tuple[int, int]:
    return sum(each > margin for each in apart), sum(each != margin for each in apart)


def _verdict(challenge: Challenge, rules: ShadowSection) -> Challenge:
    """What all of its days say, once there are enough."""
    if challenge.state != "running":
        return challenge
    better, worse = challenge.e_values(rules.margin)
    days, enough = len(challenge.days), 1 / rules.alpha
    if days >= rules.least_days and better >= enough:
        said = f"better than version {challenge.champion} on {challenge.counts(rules.margin)[0]} of {days} days"
        return replace(challenge, state="better", reason=f"{said}, e-value {better:.3g}")
    if days >= rules.least_days and worse >= enough:
        said = f"worse than version {challenge.champion} on {challenge.counts_worse(rules.margin)[0]} of {days} days"
        return replace(challenge, state="worse", reason=f"{said}, e-value {worse:.3g}")
    if days >= rules.most_days:
        said = f"neither better nor worse than version {challenge.champion} after {days} days"
        return replace(challenge, state="undecided", reason=f"{said}, e-values {better:.3g} and {worse:.3g}")
    return challenge
