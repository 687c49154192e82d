"""Rows of the page's tables, from what the parts of the hub say of themselves."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

from deployers.protocol.messages import SlotState

if TYPE_CHECKING:
    from collections.abc import Iterable, Sequence

    from deployers.hub.device import Device
    from deployers.hub.jobs import Job
    from deployers.hub.model_folder import ModelView

# What is sent each second stays small: a fleet's trouble is shown, not its hundreds that are well.
DEVICES_MOST = 100
JOBS_MOST = 20
SUBJECT_MOST = 80


def device_rows(devices: Sequence[Device], active: int | None) -> dict[str, Any]:
    """At most `DEVICES_MOST` devices, those in trouble or at work first, else by their ids; and counts of all.

    `devices_behind` are online and run another version than the hub.
    """
    behind = [one for one in devices if one.online and _version(one) != active]
    first = {one.id for one in devices if _is_notable(one)} | {one.id for one in behind}
    shown = sorted(devices, key=lambda one: (one.id not in first, one.id))[:DEVICES_MOST]
    return {
        "devices": [_device_row(one) for one in sorted(shown, key=lambda one: one.id)],
        "devices_total": len(devices),
        "devices_online": sum(one.online for one in devices),
        "devices_behind": len(behind) if active is not None else 0,
    }


def _is_notable(device: Device) -> bool:
    return not device.online or device.busy is not None or (device.state is not None and _is_test(device))


def _is_test(device: Device) -> bool:
    return device.state is not None and device.state.slot_state is SlotState.TEST


def _version(device: Device) -> int:
    return device.state.model_version if device.state is not None else 0


def _device_row(device: Device) -> dict[str, Any]:
    hello, state, transfer = device.hello, device.state, device.transfer
    row: dict[str, Any] = {
        "id": device.id,
        "online": device.online,
        "last_seen_ms": device.last_seen_ms,
        "busy": device.busy,
        "firmware": ".".join(map(str, hello.firmware_version)) if hello is not None else None,
        "transfer": {"done": transfer.done, "total": transfer.total} if transfer is not None else None,
        "version": None,
        "slot": None,
        "slot_state": None,
        "ring": None,
    }
    if state is not None:
        # Sequence numbers of 32 bits; before the first acknowledgement the ring holds all that it was given.
        held = min(max(state.ring_next - state.ring_acknowledged, 0), state.ring_capacity)
        ring = {"held": held, "capacity": state.ring_capacity, "dropped": state.ring_dropped}
        slot_state = state.slot_state.name.lower()
        row |= {"version": state.model_version, "slot": state.slot, "slot_state": slot_state, "ring": ring}
    return row


def model_rows(models: Iterable[ModelView], active: int | None, way_back: int | None) -> dict[str, Any]:
    """Installed versions, the newest first."""
    return {
        "models": [_model_row(model, active) for model in models],
        "active_version": active,
        "way_back": way_back,
    }


def _model_row(model: ModelView, active: int | None) -> dict[str, Any]:
    figures = model.types.get(model.chosen, {})
    return {
        "version": model.version,
        "is_active": model.version == active,
        "state": model.state,
        "reason": model.reason,
        "type": model.chosen,
        "mae_growth": model.mae_growth,
        "file_bytes": figures.get("file_bytes"),
        "instructions": figures.get("instructions"),
        "origin": f"{model.model} {model.model_version}" if model.model else "",
        "way_back_for": model.way_back_for,
    }


def job_rows(jobs: Iterable[Job]) -> list[dict[str, Any]]:
    """The newest jobs; of each one line about what it does, or why it failed."""
    return [
        {
            "id": job.id,
            "kind": job.kind,
            "subject": _subject(job.about),
            "state": job.state,
            "started_ms": job.started_ms,
            "ended_ms": job.ended_ms,
            "now": job.doing,
            "progress": job.progress,
            "error": job.error["detail"] if job.error else None,
            "outcome": _outcome(job.result),
        }
        for job in list(jobs)[:JOBS_MOST]
    ]


def _subject(about: dict[str, Any]) -> str:
    """What a job is about, in a few words: board-1, version 7."""
    parts = []
    for name, value in about.items():
        if value is None or value in ([], (), "") or name.endswith("_ms"):
            continue
        text = ", ".join(map(str, value)) if isinstance(value, list | tuple) else str(value)
        parts.append(text if name in {"board", "boards"} else f"{name} {text}")
    return _bounded(", ".join(parts))


def _outcome(result: dict[str, Any] | None) -> str:
    """What became of each board: a confirmed, b absent; empty if the job was about none."""
    rows = (result or {}).get("boards")
    return _bounded(", ".join(f"{row['board']} {row['state']}" for row in rows)) if isinstance(rows, list) else ""


def _bounded(text: str) -> str:
    return text if len(text) <= SUBJECT_MOST else text[: SUBJECT_MOST - 1] + "…"
