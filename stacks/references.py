"""What a stack file refers to instead of holding it: variables, the home folder, the image, ZenML's secrets."""

from __future__ import annotations

import re
from typing import TYPE_CHECKING, Any

from forecaster.errors import StackError

if TYPE_CHECKING:
    from collections.abc import Iterator, Mapping

    from pydantic import ValidationError

_REFERENCE = re.compile(r"\$\{(\w+)(?::-((?:[^{}]|\$?\{(?:[^{}]|\$?\{[^{}]*\})*\})*))?\}")
_PLACE = re.compile(r"(?<!\{)\{(\w+)\}(?!\})")
_SECRET = re.compile(r"\{\{\s*[^\s{}.]+\.[^\s{}]+\s*\}\}")
_CREDENTIAL = re.compile(r"(?i)(password|passwd|passphrase|token|secret_access_key|private_key|api_key|credentials)$")
_PASSWORD_IN_URL = re.compile(r"://[^/\s:@]*:[^/\s@]+@")
# ZenML wants a credential for every MLflow server; this word says that there is none, and is none.
UNAUTHENTICATED = "unauthenticated"


class References:
    """Puts values where a stack file refers to them.

    Args:
        places: what stands for `{name}`, e.g. the home folder.
        environment: what stands for `${NAME}`; a variable that is empty counts as unset, as in a shell.

    Attributes:
        missing: variables that were wanted, are unset, and have no default.
    """

    def __init__(self, places: Mapping[str, str], environment: Mapping[str, str]) -> None:
        self.places, self.environment = places, environment
        self.missing: list[str] = []

    def put_in(self, value: Any) -> Any:
        """The value with its references resolved; what is nothing but an empty reference is left out.

        Raises:
            StackError: something looks like a reference and is none.
        """
        if isinstance(value, dict):
            pairs = ((key, self.put_in(item), item) for key, item in value.items())
            return {key: new for key, new, old in pairs if not _vanished(new, old)}
        if isinstance(value, list):
            pairs_of = ((self.put_in(item), item) for item in value)
            return [new for new, old in pairs_of if not _vanished(new, old)]
        return self._text(value) if isinstance(value, str) else value

    def _text(self, text: str) -> str:
        if "${" in _REFERENCE.sub("", text):
            msg = f"reference in {text!r} is not understood, write ${{NAME}} or ${{NAME:-default}}"
            raise StackError(msg)
        parts, end = [], 0
        for match in _REFERENCE.finditer(text):
            parts += [self._places(text[end : match.start()]), self._variable(match)]
            end = match.end()
        return "".join([*parts, self._places(text[end:])])

    def _places(self, text: str) -> str:
        return _PLACE.sub(lambda match: self.places.get(match.group(1), match.group(0)), text)

    def _variable(self, match: re.Match[str]) -> str:
        name, default = match.groups()
        value = self.environment.get(name)
        if value:
            return value
        if default is None:
            if name not in self.missing:
                self.missing.append(name)
            return f"<{name}>"
        return self._text(default)


def is_reference(value: Any) -> bool:
    """Whether a value stands elsewhere: in a variable or in ZenML's secret store."""
    return isinstance(value, str) and bool(_SECRET.fullmatch(value.strip()) or _REFERENCE.search(value))


def is_secret_reference(value: Any) -> bool:
    """Whether a value is `{{name.key}}`."""
    return isinstance(value, str) and bool(_SECRET.fullmatch(value.strip()))


def secret_references(value: Any) -> Iterator[tuple[str, str]]:
    """Name and key of every `{{name.key}}` in a value."""
    if isinstance(value, dict | list):
        for item in value.values() if isinstance(value, dict) else value:
            yield from secret_references(item)
    elif is_secret_reference(value):
        name, _, key = value.strip().strip("{}").strip().partition(".")
        yield name, key


def masked(value: Any, hidden: frozenset[str] = frozenset()) -> Any:
    """The value with credentials as `***`: those under a key that says so or is `hidden`, and in URLs."""
    if isinstance(value, dict):
        return {key: _hidden(item) if _secret_key(key, hidden) else masked(item) for key, item in value.items()}
    if isinstance(value, list):
        return [masked(item) for item in value]
    return _PASSWORD_IN_URL.sub("://***@", value) if isinstance(value, str) else value


def literal_credentials(value: Any, path: str = "") -> Iterator[str]:
    """Places in a file, `components.artifact_store.…`, where a credential seems to stand in plain text."""
    if isinstance(value, dict):
        for key, item in value.items():
            where = f"{path}.{key}" if path else str(key)
            if _CREDENTIAL.search(str(key)) and isinstance(item, str) and _in_plain_text(item):
                yield where
            else:
                yield from literal_credentials(item, where)
    elif isinstance(value, list):
        for index, item in enumerate(value):
            yield from literal_credentials(item, f"{path}[{index}]")
    elif isinstance(value, str) and _PASSWORD_IN_URL.search(_REFERENCE.sub("", value)):
        yield path


def _in_plain_text(value: str) -> bool:
    return value not in ("", UNAUTHENTICATED) and not is_reference(value)


def _secret_key(key: Any, hidden: frozenset[str]) -> bool:
    return key in hidden or bool(_CREDENTIAL.search(str(key)))


def _hidden(value: Any) -> Any:
    in_the_open = value is None or isinstance(value, bool) or value == UNAUTHENTICATED or is_secret_reference(value)
    return value if in_the_open else "***"


def in_words(error: ValidationError) -> str:
    """What does not fit, on one line and without the values: they may be secret."""
    found = [f"{'.'.join(str(part) for part in one['loc']) or 'the whole'}: {one['msg']}" for one in error.errors()]
    return " ".join("; ".join(found).split())


def _vanished(new: Any, old: Any) -> bool:
    return bool(new == "" and old != "")
