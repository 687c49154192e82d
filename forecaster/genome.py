"""The genome of the genetic search: what a network reads, its form and size, and how it is trained.

A genome is a list of small integers, one a gene; each gene is an index into a short list of choices:

    feature groups    0 or 1 each: the candidates beyond the first difference (sine and cosine together)
    form, units       network.FORMS, sizes
    steps, burn_in, learning_rate, batch, dropout, weight_decay

Ordered choices mutate to a neighbour most of the time, unordered ones to any other.
"""

from __future__ import annotations

from dataclasses import dataclass
from typing import TYPE_CHECKING, Any

import numpy as np
from pydantic import BaseModel, ConfigDict, Field, field_validator

from forecaster.gru.architecture import FORMS, Architecture, Recipe

if TYPE_CHECKING:
    import random
    from collections.abc import Sequence

    from forecaster.arrays import Rows

# The recipe known to work, with the first difference and the hour of day, a GRU and a dense layer of 16 units.
USUAL = Recipe(updates=900, steps=96, burn_in=12)
ORDERED = ("units", "steps", "burn_in", "learning_rate", "batch", "dropout", "weight_decay")
# A neighbouring choice of one of these changes a network less than another seed does.
FINE = ("burn_in", "batch", "dropout", "weight_decay")
# A step to a neighbouring choice explores around a good value; one in four jumps leaves its valley.
JUMP = 0.25


class SpaceConfig(BaseModel):
    """The choices of each gene."""

    model_config = ConfigDict(frozen=True, extra="forbid")

    form: tuple[str, ...] = Field(FORMS, min_length=1, description="forms of network")
    units: tuple[int, ...] = Field((8, 12, 16, 20, 24), min_length=1, description="units of each GRU layer")
    steps: tuple[int, ...] = Field((48, 96, 192), min_length=1, description="time steps of a training window")
    burn_in: tuple[int, ...] = Field((6, 12, 24), min_length=1, description="steps of a window without loss")
    learning_rate: tuple[float, ...] = Field((0.003, 0.006, 0.01), min_length=1, description="Adam's rate")
    batch: tuple[int, ...] = Field((16, 32), min_length=1, description="windows of an update")
    dropout: tuple[float, ...] = Field((0.0, 0.05, 0.1, 0.2), min_length=1, description="share of outputs dropped")
    weight_decay: tuple[float, ...] = Field((0.0, 0.01, 0.05), min_length=1, description="decoupled decay")
    max_parameters: int = Field(8000, ge=1, description="larger networks are not trained")

    @field_validator("form")
    @classmethod
    def _known_forms(cls, forms: tuple[str, ...]) -> tuple[str, ...]:
        unknown = [form for form in forms if form not in FORMS]
        if unknown:
            msg = f"form {unknown[0]!r} is unknown, choose from {', '.join(FORMS)}"
            raise ValueError(msg)
        return forms

    @field_validator("units", "steps", "batch")
    @classmethod
    def _positive(cls, choices: tuple[int, ...]) -> tuple[int, ...]:
        if min(choices) < 1:
            msg = f"{min(choices)!r} is below 1"
            raise ValueError(msg)
        return choices

    @field_validator("dropout")
    @classmethod
    def _shares(cls, choices: tuple[float, ...]) -> tuple[float, ...]:
        if min(choices) < 0 or max(choices) >= 1:
            msg = f"{choices!r} must lie in 0 ≤ dropout < 1"
            raise ValueError(msg)
        return choices


@dataclass(frozen=True)
class Candidate:
    """What a genome means."""

    features: tuple[str, ...]
    form: str
    units: int
    recipe: Recipe

    def architecture(self, horizon: int) -> Architecture:
        """The network that reads these features."""
        return Architecture(len(self.features), horizon, self.units, self.form)

    def as_dict(self) -> dict[str, Any]:
        """Plain values for reports: one entry a gene."""
        recipe = self.recipe.as_dict()
        genes = {name: recipe[name] for name in ORDERED if name in recipe}
        return {"features": list(self.features), "form": self.form, "units": self.units, **genes}


class Space:
    """All genomes over a dataset's candidate features.

    Args:
        config: the choices of each gene.
        names: candidate features; the first is always read.
        updates: optimiser updates of one training, the same for all.
        longest: longest training window the stored sequences allow.
    """

    def __init__(self, config: SpaceConfig, names: Sequence[str], updates: int, longest: int) -> None:
        self.config, self.updates = config, updates
        self.always = names[0]
        self.groups = _groups(names[1:])
        choices: dict[str, tuple[Any, ...]] = {f"reads {group}": (False, True) for group in self.groups}
        choices["form"] = config.form
        for name in ORDERED:
            choices[name] = tuple(getattr(config, name))
        choices["steps"] = tuple(s for s in config.steps if s <= longest) or (longest,)
        choices["burn_in"] = tuple(b for b in config.burn_in if b < min(choices["steps"])) or (0,)
        self.choices = choices

    def usual(self) -> list[int]:
        """The genome nearest to the recipe known to work, `USUAL`."""
        wanted = {**USUAL.as_dict(), "form": "gru_dense", "units": 16, "reads hour:1": True}
        return [_nearest(options, wanted.get(name, False)) for name, options in self.choices.items()]

    def drawn(self, rng: random.Random) -> list[int]:
        """A genome with each gene drawn evenly."""
        return [rng.randrange(len(options)) for options in self.choices.values()]

    def mutate(self, genome: list[int], rng: random.Random, share: float) -> list[int]:
        """A copy in which each gene changes with probability `share`."""
        child = list(genome)
        for index, (name, options) in enumerate(self.choices.items()):
            if len(options) < 2 or rng.random() >= share:
                continue
            if name in ORDERED and rng.random() >= JUMP:
                step = rng.choice((-1, 1))
                child[index] = min(max(child[index] + step, 0), len(options) - 1)
            else:
                child[index] = rng.choice([i for i in range(len(options)) if i != child[index]])
        return child

    def decode(self, genome: Sequence[int]) -> Candidate:
        """The features, network and recipe a genome stands for."""
        genes = {name: options[i] for (name, options), i in zip(self.choices.items(), genome, strict=True)}
        chosen = [name for group, names in self.groups.items() if genes[f"reads {group}"] for name in names]
        recipe = Recipe(
            updates=self.updates,
            batch=genes["batch"],
            steps=genes["steps"],
            burn_in=genes["burn_in"],
            learning_rate=genes["learning_rate"],
            dropout=genes["dropout"],
            weight_decay=genes["weight_decay"],
        )
        return Candidate((self.always, *chosen), genes["form"], genes["units"], recipe)

    def is_near(self, one: Sequence[int], other: Sequence[int]) -> bool:
        """Whether two genomes are the same, or but for one step of one gene that hardly matters."""
        steps = {name: abs(a - b) for name, a, b in zip(self.choices, one, other, strict=True) if a != b}
        return not steps or (len(steps) == 1 and any(steps.get(name) == 1 for name in FINE))

    def fits(self, candidate: Candidate, horizon: int) -> bool:
        """Whether the network keeps the limit of parameters."""
        return candidate.architecture(horizon).parameters <= self.config.max_parameters


def _groups(names: Sequence[str]) -> dict[str, list[str]]:
    """Features that only make sense together (a sine without its cosine does not)."""
    groups: dict[str, list[str]] = {}
    for name in names:
        groups.setdefault(name.removesuffix(":sin").removesuffix(":cos"), []).append(name)
    return groups


def _nearest(options: Sequence[Any], wanted: Any) -> int:
    if wanted in options:
        return list(options).index(wanted)
    if isinstance(wanted, str):
        return 0
    return min(range(len(options)), key=lambda i: abs(options[i] - wanted))


def columns(names: Sequence[str], chosen: Sequence[str]) -> Rows:
    """Positions of the chosen features among all."""
    return np.array([list(names).index(name) for name in chosen], np.int64)
