"""The loop by itself, in the lab at speed: a sensor is moved, and nobody does anything about it.

    python -m benchmarks.drift_demo [--folder build/demo-drift] [--seed 3]

Two boards (the firmware, as programs of this machine) and a hub forecast a simulated room, a day in six seconds. One
day the sensor is moved beside the radiator: the model decays, the hub alarms and asks for retraining, the pipelines
answer with a challenger, which proves itself in the shadow of the champion and takes its place on hub and boards. Then
somebody brings the old model back, as a bad challenger: in the shadow it is found worse, and a rollout of it ends at
the canary.

Fails (exit code 3) unless live skill is back within 10 % of what it was, no reading went without a forecast, and the
bad challenger reached no board but the canary. Figures in demo-drift.json, skill by day in demo-drift.png.
"""

from __future__ import annotations

import argparse
import json
import math
import os
import shutil
import sys
import time
from pathlib import Path
from typing import TYPE_CHECKING, Any

from benchmarks.drift_course import Plan
from benchmarks.drift_lab import MODEL, ROOT, Lab
from benchmarks.drift_story import SERIES, Story
from deployers.exceptions import DeployerError, GateFailed
from deployers.processes import interruptible

if TYPE_CHECKING:
    from collections.abc import Sequence

FOLDER = ROOT / "build" / "demo-drift"
BACK_WITHIN = 0.9
SETTLED_DAYS = 8  # after the promotion, of which the first is not complete
CANARY, OTHER = SERIES
ROLLED_BACK, INTERRUPTED = 10, 130


def main(arguments: Sequence[str] | None = None) -> int:
    """Play it, write figures and plot; 0 if all of it came true."""
    options = _options(arguments)
    folder: Path = options.folder.resolve()
    shutil.rmtree(folder, ignore_errors=True)
    folder.mkdir(parents=True)
    os.environ["EDGELOOP_HOME"] = str(folder / "home")
    began = time.monotonic()

    def say(line: str) -> None:
        print(f"{time.monotonic() - began:7.1f} s  {line}", flush=True)

    try:
        with interruptible([]):  # the lab goes down with it
            figures = _played(Lab(folder, Plan(seed=options.seed)), say)
    except KeyboardInterrupt:
        say("interrupted")
        return INTERRUPTED
    except DeployerError as error:
        say(f"error: {error}")
        return error.exit_code
    figures["seconds"] = round(time.monotonic() - began, 1)
    (folder / "demo-drift.json").write_text(json.dumps(figures, indent=1), encoding="utf-8")
    say(f"figures and plot: {folder}")
    for line in figures["failed"]:
        say(f"FAILED: {line}")
    return GateFailed.exit_code if figures["failed"] else 0


def _played(lab: Lab, say: Any) -> dict[str, Any]:
    from benchmarks.drift_figure import draw  # noqa: PLC0415 - seconds to import

    say("trains the first model on 60 days of the room: data pipeline, training pipeline, registry")
    first = lab.train()
    say(f"{MODEL} {first['model_version']} is champion; lab, setup and deployment")
    with lab.running() as site:
        story = Story(site, lab.plan, say)
        figures = _healed(lab, story)
        figures |= _bad(lab, story, first["model_version"])
        figures |= {"days": story.days(), "events": [each._asdict() for each in story.events]}
        figures["lacking"] = story.lacking()
    figures["failed"] = failures(figures)
    draw(figures, lab.plan, lab.folder / "demo-drift.png")
    return figures


def _healed(lab: Lab, story: Story) -> dict[str, Any]:
    """From the first model in the field to the second on every board."""
    plan = lab.plan
    story.tell("the model is on the hub and both boards", "deployed")
    deployed = math.ceil(story.day)
    story.until("the day on which the sensor is moved", plan.healthy + 5, lambda: story.day >= plan.healthy)
    story.tell("the sensor is moved beside the radiator", "moved")
    story.days()  # the hub will not show them any more when all is over
    alarm = story.until("an alarm", 30, story.alarm)
    story.tell(f"alarm of {alarm['series']}: {alarm['reason']}", "alarm")
    asked = story.until("a request for retraining", 40, story.retraining)  # the hub looks once a minute
    story.tell(f"retraining {asked['id']} of {asked['series']}, trigger {asked['trigger']}: {asked['reason']}")
    asked = story.until("the answer of the training side", 150, lambda: _ended(story))
    made = (asked["answer"] or {}).get("challenger")
    if made is None:
        msg = f"retraining is {asked['state']} without a challenger: {(asked['answer'] or {}).get('reason')}"
        raise GateFailed(msg)
    story.tell(f"the answer: {made['model']} {made['version']}, test RMSE {made['test']['rmse']:.3f} °C", "challenger")
    better = story.until("a verdict on the challenger", 40, lambda: _judged(story))
    story.tell(f"challenger {better['version']} is {better['state']}: {better['reason']}")
    version = int(better["version"])
    story.until("the promotion", 30, lambda: set(story.confirmed().values()) == {version})
    story.tell(f"hub and both boards run and keep image {version}; nobody did anything", "promoted")
    promoted = story.day
    story.until("days to measure", SETTLED_DAYS + 5, lambda: story.day >= promoted + SETTLED_DAYS)
    before, moved = story.skill(deployed, plan.healthy), story.skill(plan.healthy, promoted)
    after = story.skill(promoted, story.day, version)
    story.tell(f"live skill {before:.3f} before, {moved:.3f} with the moved sensor, {after:.3f} with the new model")
    return {"skill_before": before, "skill_moved": moved, "skill_after": after, "promoted": version}


def _bad(lab: Lab, story: Story, bad: str) -> dict[str, Any]:
    """The model of before the move is brought again: into the shadow, and by a rollout."""
    story.tell(f"somebody brings {MODEL} {bad} again, which knows the old place of the sensor only", "bad challenger")
    lab.run("-m", "deployers", "deploy", "--version", bad, "--shadow", "--json")
    challenger = story.challenger()
    judged = story.until("a verdict on the bad challenger", 40, lambda: _judged(story, challenger))
    story.tell(f"in the shadow it is {judged['state']}: {judged['reason']}", "worse")
    lab.fleet.write_text(lab.fleet.read_text() + f'[[partition]]\nmodel = "{MODEL}"\nversion = "{bad}"\n')
    story.tell("somebody rolls it out all the same: canary first, with a gate on live skill", "rollout")
    words = ("-m", "deployers", "fleet", "rollout", "--config", str(lab.fleet), "--every", "1", "--json")
    told = json.loads(lab.run(*words, codes=(0, ROLLED_BACK)).strip().splitlines()[-1])
    (rollout,) = told["rollouts"]
    story.tell(f"the rollout is {rollout['state']}: {rollout['reason']}", "back")
    image = max(int(each["version"]) for each in story.get("/models")["models"] if each["model_version"] == bad)
    reached = {series: story.forecasts_of(series, image) for series in SERIES}
    return {
        "bad_in_the_shadow": judged["state"],
        "bad_rollout": rollout["state"],
        "bad_forecasts": reached,
        "kept": story.confirmed(),
        "quarantined": lab.run("-m", "deployers", "fleet", "quarantine").strip(),
    }


def _ended(story: Story) -> dict[str, Any] | None:
    found = story.retraining()
    return found if found is not None and found["state"] not in {"waiting", "running"} else None


def _judged(story: Story, meant: dict[str, Any] | None = None) -> dict[str, Any] | None:
    found = story.challenger(meant["version"] if meant else None)
    return found if found is not None and found["state"] != "running" else None


def failures(figures: dict[str, Any]) -> list[str]:
    """What did not come true, one line each."""
    found = []
    if figures["skill_after"] < BACK_WITHIN * figures["skill_before"]:
        found.append(
            f"skill {figures['skill_after']:.3f} after, expected {BACK_WITHIN:g} of {figures['skill_before']:.3f}"
        )
    if figures["skill_moved"] > BACK_WITHIN * figures["skill_before"]:
        found.append(f"skill {figures['skill_moved']:.3f} with the moved sensor: it cost nothing, so nothing was shown")
    found += [
        f"{count} readings of {series} went without a forecast" for series, count in figures["lacking"].items() if count
    ]
    if figures["bad_in_the_shadow"] != "worse":
        found.append(f"the bad challenger was {figures['bad_in_the_shadow']!r} in the shadow, expected 'worse'")
    if figures["bad_rollout"] != "rolled back" or not figures["quarantined"]:
        found.append(f"the bad rollout is {figures['bad_rollout']!r}, expected 'rolled back' and a quarantine")
    if figures["bad_forecasts"][OTHER] or not figures["bad_forecasts"][CANARY]:
        found.append(f"forecasts by the bad challenger {figures['bad_forecasts']}, expected those of the canary alone")
    return found


def _options(arguments: Sequence[str] | None) -> argparse.Namespace:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--folder", type=Path, default=FOLDER, help="Made anew; the lab, its logs and the figures.")
    parser.add_argument("--seed", type=int, default=3, help="Of weather, people and sensor.")
    return parser.parse_args(arguments)


if __name__ == "__main__":
    sys.exit(main())
