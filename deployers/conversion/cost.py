"""What one forecast costs on the board, from the engine's benchmark.

`engine_cost.json` holds what `make bench-engine` measured: instructions for one streaming forecast of cells of two
sizes in each type. A cell of another size costs what lies on the line through both, by its multiply-accumulates.
"""

from __future__ import annotations

import json
from functools import lru_cache
from pathlib import Path
from typing import Any

TYPES = ("float32", "int8", "int16x8")
TABLE = Path(__file__).with_name("engine_cost.json")


def instructions(kind: str, macs: int) -> int:
    """Instructions of one forecast.

    Args:
        kind: float32, int8 or int16x8.
        macs: multiply-accumulates of one forecast.
    """
    table = _table()
    sizes = sorted(table["macs"], key=int)
    (small, large), measured = (table["macs"][size] for size in sizes), table["instructions"][kind]
    slope = (measured[sizes[1]] - measured[sizes[0]]) / (large - small)
    return max(0, round(float(measured[sizes[0]] + slope * (macs - small))))


@lru_cache(maxsize=1)
def _table() -> dict[str, Any]:
    return dict(json.loads(TABLE.read_text(encoding="utf-8")))
