"""Which series of a source is meant: exactly one user and tag."""

from __future__ import annotations

import difflib
from dataclasses import dataclass
from typing import TYPE_CHECKING

from forecaster.errors import SourceError

if TYPE_CHECKING:
    from collections.abc import Collection, Iterable, Sequence

TIME, VALUE, USER, TAG, ID = "time_point", "value", "user", "tag", "id"
MOST_NAMED = 10  # names or columns listed in one message

Pair = tuple[str, str]


@dataclass(frozen=True)
class Selection:
    """The wanted series; None leaves open what the source settles by itself.

    Attributes:
        user: only this user's readings.
        tag: only readings with this tag.
    """

    user: str | None = None
    tag: str | None = None

    @property
    def wanted(self) -> dict[str, str]:
        """Column and value of what was selected."""
        both = {USER: self.user, TAG: self.tag}
        return {column: value for column, value in both.items() if value is not None}


def require_columns(present: Sequence[str], selection: Selection, source: str) -> None:
    """Refuse a table without its times, its values or a column that was selected by.

    Raises:
        SourceError: with the columns that are missing and those that are there.
    """
    missing = [name for name in (TIME, VALUE, *selection.wanted) if name not in present]
    if missing:
        message = f"{source!r} lacks the column(s) {quoted(missing)}: its columns are {quoted(present)}"
        raise SourceError(message)


def choose(present: Iterable[Pair], selection: Selection, source: str) -> Pair:
    """The only user and tag that match the selection, "" where a source has none.

    Args:
        present: every (user, tag) of the source.
        selection: what is wanted.
        source: name of the source, without passwords.

    Raises:
        SourceError: nothing matches, or more than one series does.
    """
    pairs = sorted(set(present))
    if not pairs:
        message = f"{source!r} holds no rows: expected readings"
        raise SourceError(message)
    found = [pair for pair in pairs if _matches(pair, selection)]
    if not found:
        raise SourceError(_nothing_found(pairs, selection, source))
    if len(found) > 1:
        listed = _listed([f"{user!r}/{tag!r}" for user, tag in found])
        message = f"{source!r} holds {len(found)} series (user/tag {listed}): choose one with --user and --tag"
        raise SourceError(message)
    return found[0]


def quoted(names: Collection[str]) -> str:
    """At most `MOST_NAMED` names in quotes, with a count of the others."""
    return _listed([repr(name) for name in names])


def _listed(names: list[str]) -> str:
    more = f" and {len(names) - MOST_NAMED} more" if len(names) > MOST_NAMED else ""
    return ", ".join(names[:MOST_NAMED]) + more


def _matches(pair: Pair, selection: Selection) -> bool:
    return all(wanted in (None, there) for wanted, there in zip((selection.user, selection.tag), pair, strict=True))


def _nothing_found(pairs: list[Pair], selection: Selection, source: str) -> str:
    for column, wanted, at in ((USER, selection.user, 0), (TAG, selection.tag, 1)):
        names = sorted({pair[at] for pair in pairs})
        if wanted is not None and wanted not in names:
            near = difflib.get_close_matches(wanted, names, n=1)
            hint = f", did you mean {near[0]!r}?" if near else ""
            return f"no rows for {column} {wanted!r} in {source!r}: {column}s there are {quoted(names)}{hint}"
    tags = quoted([tag for user, tag in pairs if user == selection.user])
    return f"no rows for user {selection.user!r} with tag {selection.tag!r} in {source!r}: that user's tags are {tags}"
