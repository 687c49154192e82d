"""The gate after a wave: what its devices have shown, and whether the next wave may begin. No I/O here."""

from __future__ import annotations

from dataclasses import dataclass, field
from typing import TYPE_CHECKING, Any, Literal

if TYPE_CHECKING:
    from collections.abc import Mapping, Sequence

    from deployers.fleet.health import Health
    from deployers.fleet.partitions import Gate

State = Literal["healthy", "waits", "failed"]


@dataclass(frozen=True)
class Verdict:
    """What a gate says.

    Attributes:
        state: healthy, waits, or failed.
        reason: one line.
        numbers: by which it was decided.
    """

    state: State
    reason: str
    numbers: Mapping[str, Any] = field(default_factory=dict)


def judge(gate: Gate, found: Sequence[Health], hours: float) -> Verdict:
    """Judge a wave and those before it.

    A device that does not run the version any more, a fault of its model, or too little skill fails the gate at once;
    a faulty sensor says nothing of the model, and its device is left out.

    Args:
        gate: what is asked.
        found: of each device.
        hours: since the last device of the wave confirmed.
    """
    lost = [f"{each.device.name}: {each.lost}" for each in found if each.lost]
    if lost:
        return Verdict("failed", "; ".join(lost))
    faults = [f"{each.device.name}: {row['reason']}" for each in found for row in each.rows if _is_fault(row)]
    if faults:
        return Verdict("failed", "; ".join(faults))
    spoilt = [each for each in found if any(row["part"] == "sensor" for row in each.rows)]
    judged = [each for each in found if each not in spoilt and not each.away]
    skill, expected = _skills([row for each in judged for row in each.rows])
    floor = 0.0 if expected is None else expected - gate.skill_loss
    numbers = {
        "hours": round(hours, 3),
        "devices": len(judged),
        "pairs": [_pairs(each) for each in judged],
        "skill": skill,
        "skill_expected": expected,
        "skill_least": round(floor, 4),
        "left_out": [each.device.name for each in spoilt],
        "away": [each.device.name for each in found if each.away],
    }
    few = [each for each in judged if _pairs(each) < gate.pairs]
    if judged and not few and skill is not None and skill < floor:
        beside = f"{expected:.3f} expected" if expected is not None else "persistence's is 0"
        return Verdict("failed", f"skill {skill:.3f}, {beside}, at least {floor:.3f} wanted", numbers)
    away = [f"{each.device.name} ({each.away})" for each in found if each.away]
    lacking = ""
    if away:
        lacking = f"an answer of {', '.join(away)}"
    elif not judged:
        lacking = "a device whose sensor is sound"
    elif few:
        told = ", ".join(f"{each.device.name} {_pairs(each)}" for each in few[:3])
        lacking = f"{gate.pairs} forecasts compared with readings: {told}"
    elif skill is None:
        lacking = "readings that change"
    if lacking and hours > gate.most_hours:
        return Verdict("failed", f"not to be judged after {hours:.1f} h, for want of {lacking}", numbers)
    if lacking or hours < gate.hours:
        return Verdict("waits", lacking or f"{gate.hours - hours:.1f} h more of {gate.hours:g}", numbers)
    return Verdict("healthy", f"skill {skill:.3f}, at least {floor:.3f} wanted", numbers)


def _is_fault(row: Mapping[str, Any]) -> bool:
    return bool(row["part"] == "model" and row["state"] == "alarm")


def _pairs(health: Health) -> int:
    return sum(int(row["pairs"]) for row in health.rows)


def _skills(rows: Sequence[Mapping[str, Any]]) -> tuple[float | None, float | None]:
    """Live skill over all pairs, and what the release lets expect; None where there is nothing to tell it by."""
    told = [row for row in rows if row["pairs"] and row["model"] is not None]
    persistence = sum(row["pairs"] * row["persistence"] for row in told)
    known = [row for row in told if row["skill_expected"] is not None]
    weight = sum(row["pairs"] for row in known)
    expected = sum(row["pairs"] * row["skill_expected"] for row in known) / weight if weight else None
    if not persistence:
        return None, expected
    skill = 1 - sum(row["pairs"] * row["model"] for row in told) / persistence
    return round(skill, 4), None if expected is None else round(expected, 4)
