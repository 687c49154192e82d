"""What a stack file may hold; whatever is not named here is refused."""

from __future__ import annotations

from typing import Annotated, Any, Literal

from pydantic import BaseModel, ConfigDict, Field, PrivateAttr, StringConstraints, field_validator, model_validator

Name = Annotated[str, StringConstraints(pattern=r"^[A-Za-z0-9][A-Za-z0-9_.-]*$", max_length=100)]
Variable = Annotated[str, StringConstraints(pattern=r"^[A-Za-z_][A-Za-z0-9_]*$")]
Memory = Annotated[str, StringConstraints(pattern=r"^[0-9]+(B|KB|KIB|MB|MIB|GB|GIB|TB|TIB)$")]
Kind = Literal[
    "orchestrator",
    "artifact_store",
    "experiment_tracker",
    "model_registry",
    "image_builder",
    "container_registry",
    "step_operator",
    "alerter",
    "data_validator",
    "log_store",
]
REQUIRED: tuple[Kind, ...] = ("orchestrator", "artifact_store")


class Part(BaseModel):
    """Base of everything in a stack file."""

    model_config = ConfigDict(frozen=True, extra="forbid")


class Component(Part):
    """One component of a stack."""

    name: Name = Field(description="name in ZenML; components of the same name are shared between stacks")
    flavor: Name = Field(description="ZenML's flavor")
    configuration: dict[str, Any] = Field(default_factory=dict, description="the flavor's settings")
    secret: Name | None = Field(None, description="a ZenML secret whose values the steps find in their environment")
    _literal: frozenset[str] = PrivateAttr(frozenset())

    @property
    def literal(self) -> frozenset[str]:
        """Keys of the configuration whose value stands in the file, and is no reference."""
        return self._literal


class Service(Part):
    """Something that has to answer before a run."""

    name: str = Field(min_length=1, description="what it is")
    url: str | None = Field(None, description="an http or https address that answers")
    address: str | None = Field(None, description="HOST:PORT or unix:///PATH that takes a connection")
    how: str = Field(min_length=1, description="how to get it where it does not answer")

    @model_validator(mode="after")
    def _one_place(self) -> Service:
        if (self.url is None) == (self.address is None):
            msg = f"service {self.name!r} needs either url or address"
            raise ValueError(msg)
        return self


class Requirements(Part):
    """What `run.py stacks check` looks for."""

    integrations: tuple[Name, ...] = Field((), description="ZenML integrations")
    packages: tuple[str, ...] = Field((), description="Python modules beside those of the integrations")
    variables: dict[Variable, str] = Field(
        default_factory=dict, description="environment variables that have to be set, each with what it holds"
    )
    services: tuple[Service, ...] = Field((), description="what has to answer")
    image: str | None = Field(None, description="the container image the steps run in")

    @field_validator("variables", mode="before")
    @classmethod
    def _without_words(cls, value: Any) -> Any:
        return dict.fromkeys(value, "") if isinstance(value, list) else value


class Resources(Part):
    """What a step asks its platform for."""

    cpu_count: float | None = Field(None, gt=0)
    memory: Memory | None = Field(None, description="e.g. 4GB")
    gpu_count: int | None = Field(None, ge=0)


class Step(Part):
    """What one step of a pipeline runs with."""

    settings: dict[str, dict[str, Any]] = Field(default_factory=dict, description="settings key to its values")
    step_operator: Name | None = Field(None, description="the stack's step operator, for steps that run on it")
    resources: Resources = Field(default_factory=Resources)


class Stack(Part):
    """A stack file."""

    name: Name = Field(description="name in ZenML")
    description: str = Field("", description="what this stack is for, one line")
    components: dict[Kind, Component] = Field(description="component type to component")
    requires: Requirements = Field(default_factory=Requirements)
    settings: dict[str, dict[str, Any]] = Field(
        default_factory=dict, description="settings key (docker, orchestrator.FLAVOR, …) to values for every run"
    )
    steps: dict[str, Step] = Field(default_factory=dict, description="step to what it runs with")
    schedules: bool = Field(default=False, description="whether the orchestrator starts runs by a schedule")

    @model_validator(mode="after")
    def _whole(self) -> Stack:
        absent = [kind for kind in REQUIRED if kind not in self.components]
        if absent:
            msg = f"components lack {' and '.join(absent)}"
            raise ValueError(msg)
        operator = self.components.get("step_operator")
        for name, step in self.steps.items():
            if step.step_operator and (operator is None or operator.name != step.step_operator):
                has = f"whose step operator is {operator.name!r}" if operator else "that has no step operator"
                msg = f"step {name!r} asks for step operator {step.step_operator!r} on a stack {has}"
                raise ValueError(msg)
        return self
