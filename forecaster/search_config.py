"""Settings of the genetic search."""

from __future__ import annotations

from typing import Annotated, Literal, Self

from pydantic import BaseModel, ConfigDict, Field, field_validator, model_validator

from forecaster.genome import SpaceConfig
from forecaster.workers import require_workers


class SearchConfig(BaseModel):
    """Bounds and operators of the search."""

    model_config = ConfigDict(frozen=True, extra="forbid")

    population: int = Field(8, ge=2, description="individuals of a generation")
    generations: int = Field(4, ge=1, description="generations, the random first one included")
    max_evaluations: int = Field(28, ge=1, description="candidates trained at most")
    max_cpu_seconds: float = Field(
        85.0,
        gt=0,
        description="CPU seconds after which no further candidate is trained; a search that reaches it depends on the "
        "speed of the machine",
    )
    updates: int = Field(900, ge=1, description="optimiser updates of one training")
    rungs: tuple[Annotated[float, Field(gt=0, lt=1)], ...] = Field(
        (0.25, 0.5), description="shares of the updates after which the worse part is given up; none: all to the end"
    )
    keep: float = Field(0.5, gt=0, le=1, description="share of the candidates that goes on from a rung")
    inherit: bool = Field(
        default=True,
        description="a child of its parent's form and units goes on from its parent's weights, up to its last rung",
    )
    mode: Literal["generations", "steady"] = Field(
        "generations", description="steady: no barrier between generations, for workers of uneven speed"
    )
    in_flight: int = Field(
        8, ge=1, description="trainings under way in the steady mode; the result depends on it, not on the workers"
    )
    objectives: tuple[Literal["error", "macs", "bytes"], ...] = Field(
        ("error",), min_length=1, description="what is lowered; several: NSGA-II, and the front is in the report"
    )
    tournament: int = Field(3, ge=1, description="individuals of a tournament")
    crossover: float = Field(0.6, ge=0, le=1, description="share of children with two parents")
    mutation: float = Field(0.15, gt=0, le=1, description="probability that a gene mutates")
    elite: int = Field(2, ge=0, description="best individuals that pass unchanged")
    size_penalty: float = Field(
        0.002, ge=0, description="relative growth of the fitness for each 1,000 multiply-accumulates"
    )
    folds: int = Field(
        2,
        ge=1,
        le=2,
        description="2: judge also on the last stretch of the training part, by a network that has not seen it",
    )
    finalists: int = Field(3, ge=1, description="best candidates that are trained again on other seeds")
    finalist_seeds: int = Field(2, ge=1, description="trainings a finalist is judged by, the first included")
    space: SpaceConfig = Field(SpaceConfig(), description="choices of each gene")
    # Left out of what is written and compared: the result does not depend on it.
    workers: str = Field(
        "1",
        exclude=True,
        description="who trains: a number of processes of this machine, or the tcp://host:port of a Dask scheduler",
    )

    @property
    def rung_updates(self) -> tuple[int, ...]:
        """Updates after which each rung judges, the last rung's included."""
        return (*sorted({max(1, round(share * self.updates)) for share in self.rungs} - {self.updates}), self.updates)

    def penalised(self, error: float, macs: int) -> float:
        """The fitness: an error relative to persistence's, grown by the multiply-accumulates of a forecast."""
        return error * (1.0 + self.size_penalty * macs / 1000)

    @field_validator("workers", mode="before")
    @classmethod
    def _known_workers(cls, where: object) -> str:
        return require_workers(str(where))

    @field_validator("objectives")
    @classmethod
    def _begins_with_the_error(cls, objectives: tuple[str, ...]) -> tuple[str, ...]:
        if objectives[0] != "error" or len(set(objectives)) < len(objectives):
            msg = f"{objectives!r}: expected error first and each other one once"
            raise ValueError(msg)
        return objectives

    @model_validator(mode="after")
    def _breeds(self) -> Self:
        if self.elite >= self.population:
            msg = f"elite {self.elite!r} must be below population {self.population!r}, or no generation breeds"
            raise ValueError(msg)
        return self
