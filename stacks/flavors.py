"""What ZenML's flavors take: settings, which of them are secret, and what does not fit."""

from __future__ import annotations

import difflib
from typing import TYPE_CHECKING, Any

from pydantic import ValidationError

from forecaster.errors import StackError
from stacks.references import UNAUTHENTICATED, in_words, is_secret_reference

if TYPE_CHECKING:
    from collections.abc import Iterable

    from zenml.client import Client

    from stacks.schema import Component, Stack


class Flavors:
    """ZenML's flavors, each looked up once."""

    def __init__(self, client: Client) -> None:
        self._client = client
        self._configs: dict[tuple[str, str], Any] = {}

    def config_class(self, kind: str, flavor: str) -> Any:
        """The class of a flavor's settings.

        Raises:
            StackError: ZenML has no such flavor, or it cannot be imported here.
        """
        if (kind, flavor) not in self._configs:
            self._configs[kind, flavor] = self._looked_up(kind, flavor)
        return self._configs[kind, flavor]

    def secret_keys(self, kind: str, flavor: str) -> frozenset[str]:
        """Settings of a flavor that hold a secret."""
        from zenml.utils.secret_utils import is_secret_field  # noqa: PLC0415 - reads the prepared environment

        fields = self.config_class(kind, flavor).model_fields
        return frozenset(name for name, field in fields.items() if is_secret_field(field))

    def configuration(self, kind: str, component: Component) -> dict[str, Any]:
        """A component's settings as ZenML would store them.

        Raises:
            StackError: a setting that the flavor does not have, or a value it does not take.
        """
        given = {key: value for key, value in component.configuration.items() if value is not None}
        kind_of = self.config_class(kind, component.flavor)
        place = f"{kind} {component.name!r} of flavor {component.flavor!r}"
        _refuse_unknown(given, kind_of.model_fields, f"setting {{!r}} of {place}")
        from zenml.exceptions import ZenMLBaseException  # noqa: PLC0415 - as above

        try:
            stored: dict[str, Any] = kind_of(**given).model_dump(mode="json", exclude_unset=True)
        except ValidationError as error:
            msg = f"{place} refuses its configuration: {in_words(error)}"
            raise StackError(msg) from None
        except (
            ZenMLBaseException,
            ValueError,
            TypeError,
            AttributeError,
        ) as error:  # ZenML's checks take types for granted
            msg = f"{place} refuses its configuration: {' '.join(str(error).split())}"
            raise StackError(msg) from None
        return stored

    def is_remote(self, kind: str, component: Component) -> bool:
        """Whether a component works on other machines; its settings need not be whole."""
        kind_of = self.config_class(kind, component.flavor)
        return bool(kind_of.model_construct(**component.configuration).is_remote)

    def integration(self, kind: str, flavor: str) -> str | None:
        """The integration that a flavor is from."""
        name: str | None = self._model(kind, flavor).integration
        return name

    def obstacles(self, kind: str, flavor: str) -> list[str]:
        """Why a flavor's own code cannot be imported here; empty if it can."""
        from zenml.stack.flavor import Flavor  # noqa: PLC0415 - as above

        try:
            _ = Flavor.from_model(self._model(kind, flavor)).implementation_class
        except ImportError as error:
            return [" ".join(str(error).split())]
        return []

    def verify(self, stack: Stack) -> None:
        """Look for what ZenML would pass over in silence or keep in plain text.

        Raises:
            StackError: a secret in the file, or a settings key or value that nothing in the stack reads.
        """
        for kind, component in stack.components.items():
            self._no_literal_secret(kind, component)
        self._known_settings(stack, stack.settings, "settings")
        for name, step in stack.steps.items():
            self._known_settings(stack, step.settings, f"steps.{name}.settings")

    def _looked_up(self, kind: str, flavor: str) -> Any:
        from zenml.stack.flavor import Flavor  # noqa: PLC0415 - as above

        try:
            return Flavor.from_model(self._model(kind, flavor)).config_class
        except ImportError as error:
            msg = f"flavor {flavor!r} of {kind} cannot be used here ({error}): zenml integration install {flavor}"
            raise StackError(msg) from error

    def _model(self, kind: str, flavor: str) -> Any:
        from zenml.enums import StackComponentType  # noqa: PLC0415 - as above

        wanted = StackComponentType(kind)
        try:
            return self._client.get_flavor_by_name_and_type(name=flavor, component_type=wanted)
        except KeyError:
            known = [item.name for item in self._client.list_flavors(type=wanted, size=1000).items]
            near = nearest(flavor, known) or ":"
            msg = f"ZenML has no flavor {flavor!r} for {kind}{near} choose one of {_listed(known)}"
            raise StackError(msg) from None

    def _no_literal_secret(self, kind: str, component: Component) -> None:
        for key in sorted(self.secret_keys(kind, component.flavor) & component.literal):
            value = component.configuration.get(key)
            if value in (None, UNAUTHENTICATED) or is_secret_reference(value):
                continue
            msg = f"{kind} {component.name!r} has its secret {key!r} in the stack file: write {{{{name.key}}}} for a"
            msg += " value in ZenML's secret store, or ${VARIABLE}"
            raise StackError(msg)

    def _known_settings(self, stack: Stack, settings: dict[str, dict[str, Any]], place: str) -> None:
        fields = self._settings_fields(stack)
        _refuse_unknown(settings, fields, f"settings key {{!r}} in {place}")
        for key, values in settings.items():
            _refuse_unknown(values, fields[key], f"setting {{!r}} in {place}.{key}")

    def _settings_fields(self, stack: Stack) -> dict[str, set[str]]:
        """What each settings key of a stack takes."""
        from zenml.config import DockerSettings, ResourceSettings  # noqa: PLC0415 - as above

        fields = {"docker": set(DockerSettings.model_fields), "resources": set(ResourceSettings.model_fields)}
        for kind, component in stack.components.items():
            key = f"{kind}.{component.flavor}"
            taken = set(self.config_class(kind, component.flavor).model_fields)
            fields |= {kind: taken, key: taken, f"{kind}:{component.name}": taken}
        return fields


def nearest(name: str, known: Iterable[str]) -> str:
    """`, did you mean 'x'?`, or nothing if no name is near."""
    names = list(known)
    begun = [other for other in names if len(name) > 2 and other.startswith(name.lower())]
    found = begun or difflib.get_close_matches(name.lower(), names, n=1, cutoff=0.7)
    return f", did you mean {found[0]!r}?" if found else ""


def _listed(names: Iterable[str]) -> str:
    return ", ".join(sorted(names))


def _refuse_unknown(given: Iterable[str], known: Iterable[str], what: str) -> None:
    for name in given:
        if name not in known:
            msg = f"{what.format(name)} is unknown{nearest(name, known) or ':'} choose one of {_listed(known)}"
            raise StackError(msg)
