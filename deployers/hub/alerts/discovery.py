"""Topics, and how Home Assistant is told of what is at them.

Its documentation of MQTT discovery has the names of the fields; node and object ids are of [a-zA-Z0-9_-].
https://www.home-assistant.io/integrations/mqtt/#mqtt-discovery
"""

from __future__ import annotations

import hashlib
import re
from dataclasses import dataclass
from typing import TYPE_CHECKING, Any

from deployers.hub.alerts.wording import one_line
from deployers.hub.export import time_point

if TYPE_CHECKING:
    from deployers.hub.alerts.wording import Wording
    from deployers.hub.monitor.told import Seen

OUTSIDE = re.compile(r"[^a-zA-Z0-9_-]+")
SLUG_MAX = 48
ORIGIN = {"name": "edgeloop"}
# What changes with every reading is left out: Home Assistant's database would keep each of them.
ATTRIBUTES = "{{ {%s} | tojson }}" % ", ".join(  # noqa: UP031 - braces mean something here
    f"'{name}': value_json.{name}" for name in ("level", "test", "reason", "since")
)
ONLINE, OFFLINE = "online", "offline"  # what Home Assistant awaits unless it is told otherwise


def slug(name: str) -> str:
    """A name as one level of a topic; two names never become one, for what was lost stays as a digest."""
    plain = OUTSIDE.sub("_", name)[:SLUG_MAX]
    return plain if plain == name else f"{plain}_{hashlib.sha256(name.encode()).hexdigest()[:8]}"


@dataclass(frozen=True)
class Topics:
    """The topics of one hub.

    Attributes:
        words: how the hub speaks.
        prefix: of all its topics.
        discovery: that of Home Assistant; empty if it is not told.
    """

    words: Wording
    prefix: str
    discovery: str

    @property
    def base(self) -> str:
        """Of this hub."""
        return f"{self.prefix}/{slug(self.words.hub)}"

    @property
    def status(self) -> str:
        """Whether the hub is connected, retained."""
        return f"{self.base}/status"

    @property
    def alerts(self) -> str:
        """Every change, not retained."""
        return f"{self.base}/alerts"

    def state(self, series: str) -> str:
        """The newest state of a series, retained."""
        return f"{self.base}/series/{slug(series)}"

    def of_hub(self) -> dict[str, dict[str, Any]]:
        """The configuration of the hub itself, by its topic: the device through which the others are seen."""
        if not self.discovery:
            return {}
        node = self._node
        device = {"identifiers": [node], "name": f"edgeloop {one_line(self.words.hub)}", **self._about("hub")}
        config = {
            "name": "Connection",
            "unique_id": f"{node}_connection",
            "device_class": "connectivity",
            "entity_category": "diagnostic",
            "state_topic": self.status,
            "payload_on": ONLINE,
            "payload_off": OFFLINE,
            "device": device,
            "origin": ORIGIN,
        }
        return {f"{self.discovery}/binary_sensor/{node}/connection/config": config}

    def of_series(self, series: str) -> dict[str, dict[str, Any]]:
        """The configurations of one series, by their topics."""
        if not self.discovery:
            return {}
        node, name, state = self._node, slug(series), self.state(series)
        device = {
            "identifiers": [f"{node}_{name}"],
            "name": one_line(series),
            "via_device": node,
            **self._about("series"),
        }
        shared = {"state_topic": state, "availability_topic": self.status, "device": device, "origin": ORIGIN}
        problem = {
            "name": "Problem",
            "unique_id": f"{node}_{name}_problem",
            "device_class": "problem",
            "value_template": "{{ value_json.problem }}",
            "payload_on": "ON",
            "payload_off": "OFF",
            "json_attributes_topic": state,
            "json_attributes_template": ATTRIBUTES,
        }
        skill = {
            "name": "Skill",
            "unique_id": f"{node}_{name}_skill",
            "state_class": "measurement",
            "value_template": "{{ value_json.skill }}",
        }
        temperature = {
            "name": "Temperature",
            "unique_id": f"{node}_{name}_temperature",
            "device_class": "temperature",
            "state_class": "measurement",
            "unit_of_measurement": "°C",
            "value_template": "{{ value_json.celsius }}",
        }
        return {
            f"{self.discovery}/binary_sensor/{node}/{name}_problem/config": {**problem, **shared},
            f"{self.discovery}/sensor/{node}/{name}_skill/config": {**skill, **shared},
            f"{self.discovery}/sensor/{node}/{name}_temperature/config": {**temperature, **shared},
        }

    @property
    def _node(self) -> str:
        return f"edgeloop_{slug(self.words.hub)}"

    def _about(self, model: str) -> dict[str, str]:
        return {"manufacturer": "edgeloop", "model": model, "configuration_url": self.words.page}


def state_of(seen: Seen, *, is_problem: bool) -> dict[str, Any]:
    """What is published of a series."""
    row = seen.row
    return {
        "problem": "ON" if is_problem else "OFF",
        "series": seen.series,
        "level": row["state"],
        "test": row["test"],
        "reason": row["reason"],
        "since": time_point(row["since_ms"]) if row["since_ms"] is not None else None,
        "skill": row["skill"],
        "celsius": seen.celsius,
        "time": time_point(seen.heard_ms) if seen.heard_ms is not None else None,
    }
