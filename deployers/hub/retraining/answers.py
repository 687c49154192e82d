"""What came of a training: a challenger, or why there is none.

A command answers by what it prints: if its output ends in one JSON object with `model_version`, as that of
`python run.py all … --json` does, this is the challenger. Exit code 3 says that a gate refused the model, which is an
answer too.
"""

from __future__ import annotations

import json
import math
from typing import TYPE_CHECKING, Any

if TYPE_CHECKING:
    from deployers.hub.jobs import Job
    from deployers.hub.store.retrainings import State

TAIL_BYTES = 1 << 20
GATE = 3  # exit code of run.py
TRIES = 50  # lines that begin as an object does
TEXT_MAX, FIGURES_MAX = 500, 20
FIGURES = ("mae", "rmse", "mape", "mase")
PROMOTION = ("promoted", "reason", "champion_version")


class Tail:
    """The last bytes of an output."""

    def __init__(self) -> None:
        self._bytes = bytearray()

    def add(self, data: bytes) -> None:
        """More of it."""
        self._bytes += data
        if len(self._bytes) > 2 * TAIL_BYTES:
            del self._bytes[:-TAIL_BYTES]

    def last_object(self) -> dict[str, Any] | None:
        """The JSON object that it ends in, on one line or more; lines after it that are none are passed over."""
        lines = self._bytes[-TAIL_BYTES:].decode(errors="replace").splitlines()
        begins = [at for at, line in enumerate(lines) if line.startswith("{")]
        for at in begins[::-1][:TRIES]:
            for text in (lines[at], "\n".join(lines[at:])):
                try:
                    found = json.loads(text)
                except (ValueError, RecursionError):
                    continue
                return dict(found)
        return None


def of_job(job: Job, printed: dict[str, Any] | None) -> tuple[State, dict[str, Any]]:
    """State and answer of a request whose job has ended.

    Args:
        job: that ran it.
        printed: the object that its command's output ended in.

    Returns:
        The answer has `challenger` (None where there is none) and `reason` (empty with a challenger); that of a webhook
        or trigger also `asked`, with what was answered.
    """
    result = job.result or {}
    if job.state == "done" and "status" in result:
        asked = {"status": result["status"], "answer": _text(result["answer"])}
        return "done", {"challenger": None, "reason": "asked: what comes of it is not told here", "asked": asked}
    if job.state == "done":
        found = challenger(printed or {})
        return "done", {"challenger": found, "reason": "" if found else "the command named no model_version at its end"}
    said = (printed or {}).get("error")
    message = _text(said.get("message") if isinstance(said, dict) else said) if said else ""
    reason = message or _text((job.error or {}).get("detail"))
    if job.state == "failed" and result.get("exit_code") == GATE:
        return "done", {"challenger": None, "reason": f"a gate refused: {reason}"}
    return "failed", {"challenger": None, "reason": reason}


def challenger(printed: dict[str, Any]) -> dict[str, Any] | None:
    """Model, version, alias and headline figures, as far as they are there; None without a version."""
    version = printed.get("model_version")
    if isinstance(version, bool) or not isinstance(version, str | int) or version == "":
        return None
    baselines, promotion = _object(printed.get("baselines")), _object(printed.get("promotion"))
    return {
        "model": _named(printed.get("model_name")),
        "version": _text(version),
        "alias": _named(printed.get("alias")),
        "dataset": _named(printed.get("dataset_version")),
        "release_dir": _named(printed.get("release_dir")),
        "test": _figures(printed.get("test")),
        "baselines": {_text(name): _figures(each) for name, each in list(baselines.items())[:FIGURES_MAX]},
        "promotion": {name: _plain(promotion[name]) for name in PROMOTION if name in promotion},
    }


def _figures(found: Any) -> dict[str, float]:
    values = _object(found)
    there = {name: values.get(name, math.nan) for name in FIGURES}
    return {name: value for name, value in there.items() if type(value) in {int, float} and math.isfinite(value)}


def _object(found: Any) -> dict[str, Any]:
    return found if isinstance(found, dict) else {}


def _named(found: Any) -> str | None:
    return None if found is None else _text(found)


def _plain(found: Any) -> Any:
    return found if found is None or isinstance(found, bool) else _text(found)


def _text(found: Any) -> str:
    return " ".join(str(found or "").split())[:TEXT_MAX]
