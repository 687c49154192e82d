"""Rollouts as people and programs see them: a table, one object, and a page with the map of waves and devices."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

from deployers.fleet import record as events

if TYPE_CHECKING:
    from collections.abc import Sequence

    from rich.table import Table

    from deployers.conversion.page import Mark
    from deployers.deployment.halting import Stop
    from deployers.deployment.quarantine import Held
    from deployers.deployment.waves import Device, Wave
    from deployers.fleet.record import Record

THROUGH, WATCHED, BEGUN, TO_COME, FAILED, BACK = "through", "watched", "begun", "to come", "failed", "back"
GOOD, BAD = frozenset({THROUGH, WATCHED, "runs it"}), frozenset({FAILED, "left out"})


def wave_state(found: Record, wave: Wave) -> str:
    """One or two words on a wave."""
    if wave.name == found.failed:
        return FAILED
    taken = found.taken.get(wave.name)
    if taken is None:
        return BEGUN if found.wave == wave and not found.result and found.failed is None else TO_COME
    return THROUGH if taken.is_passed else WATCHED


def device_state(found: Record, wave: Wave, device: Device) -> str:
    """One or two words on a device."""
    taken = found.taken.get(wave.name)
    if found.failed is not None and (taken is not None or wave.name == found.failed):
        return BACK if device.jetson in found.back else events.GOING_BACK
    if taken is None:
        return TO_COME
    return "runs it" if device in taken.devices else "left out"


def as_dict(found: Record) -> dict[str, Any]:
    """For `--json`."""
    return {
        "partition": found.partition,
        "rollout": found.identity,
        "model": found.model,
        "version": found.version,
        "state": found.state,
        "reason": found.reason,
        "numbers": dict(found.numbers),
        "waves": [
            {
                "name": wave.name,
                "state": wave_state(found, wave),
                "devices": {device.name: device_state(found, wave, device) for device in wave.devices},
            }
            for wave in found.waves
        ],
        "left_out": {name: why for taken in found.taken.values() for name, why in taken.left_out.items()},
        "back": dict(found.back),
        "since": found.since,
    }


def table(found: Sequence[Record]) -> Table:
    """A row for each wave."""
    from rich.table import Table  # noqa: PLC0415 - --help must not wait

    rows = Table(title="Rollouts")
    for column in ("partition", "version", "state", "wave", "devices"):
        rows.add_column(column, no_wrap=column == "state")
    rows.add_column("reason", overflow="fold")
    for each in found:
        for at, wave in enumerate(each.waves):
            named = (each.partition, each.name, each.state) if at == 0 else ("", "", "")
            shown = [f"{device.name} {device_state(each, wave, device)}" for device in wave.devices[:3]]
            more = [f"and {len(wave.devices) - len(shown)} more"] if len(wave.devices) > len(shown) else []
            state = f"{wave.name}: {wave_state(each, wave)}"
            rows.add_row(*named, state, "\n".join([*shown, *more]), each.reason if at == 0 else "")
        rows.add_section()
    return rows


def page(found: Sequence[Record], stop: Stop | None, held: Sequence[Held]) -> str:
    """The map as HTML that needs nothing else."""
    from deployers.conversion.page import Page  # noqa: PLC0415 - --help must not wait

    made = Page("Rollouts", "Which version runs on which device, wave by wave.")
    if stop is not None:
        made.mixed_verdict(f"Stopped by {stop.who} since {stop.since}: {stop.because}")
    for each in found:
        made.section(f"{each.partition}: {each.name}", f"{each.state}; {each.reason}" if each.reason else each.state)
        rows = [
            [wave.name, _mark(wave_state(each, wave)), device.name, _mark(device_state(each, wave, device)),
             each.back.get(device.jetson, "")]
            for wave in each.waves
            for device in wave.devices
        ]  # fmt: skip
        made.table(["wave", "state", "device", "state", "after it went back"], rows)
    if held:
        made.section("In quarantine")
        made.table(["version", "since", "because"], [[one.name, one.since, one.because] for one in held])
    return made.render()


def _mark(state: str) -> Mark:
    from deployers.conversion.page import Mark  # noqa: PLC0415

    return Mark(state, "ok" if state in GOOD else "bad" if state in BAD else "part")
