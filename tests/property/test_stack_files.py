"""Whatever a stack file holds: it is read, or refused on one line, and no credential is told."""

from __future__ import annotations

import string
from pathlib import Path
from tempfile import TemporaryDirectory
from typing import Any

import yaml
from hypothesis import example, given
from hypothesis import strategies as st

from forecaster.errors import StackError
from stacks import loader
from stacks.references import References, masked
from stacks.schema import Stack

WORDS = st.sampled_from([
    "name", "components", "orchestrator", "artifact_store", "flavor", "configuration", "requires", "services", "steps",
    "settings", "resources", "local", "${HOME}", "${A:-b}", "${A", "{home}", "{{a.b}}", "token", "",
])  # fmt: skip
SCALARS = (
    st.none()
    | st.booleans()
    | st.integers()
    | st.floats(allow_nan=False)
    | WORDS
    | st.text(max_size=12)
    | st.just("hunter2")
)
TREES = st.recursive(
    SCALARS, lambda inner: st.lists(inner, max_size=4) | st.dictionaries(WORDS | st.text(max_size=6), inner, max_size=5)
)
PLAIN = st.text(string.ascii_letters + string.digits + "-/:. ", max_size=20)


def read(text: str) -> Stack | str:
    """The stack, or the words it was refused with."""
    before = loader.STACKS
    with TemporaryDirectory() as folder:
        loader.STACKS = Path(folder)
        (loader.STACKS / "one.yaml").write_bytes(text.encode("utf-8", "surrogateescape"))
        try:
            return loader.read_stack("one", Path(folder))
        except StackError as error:
            return str(error)
        finally:
            loader.STACKS = before


@given(TREES)
@example({"components": {"orchestrator": {"configuration": {"token": "hunter2"}}}})
@example({"name": "n", "components": {"orchestrator": 3}})
def test_any_tree_is_a_stack_or_is_refused_on_one_line(tree: Any) -> None:
    answer = read(yaml.safe_dump(tree, allow_unicode=True))
    assert isinstance(answer, Stack) or (answer and "\n" not in answer and "hunter2" not in answer)


@given(st.text(max_size=200) | st.text("{}[]:-&*!|>'\"% \n\tab", max_size=60))
@example("a: &a [*a]")
@example("!!python/object/apply:os.system ['true']")
@example("\x00")
@example("? {a: b}\n: c")
@example("<<: 3")
@example("2020-13-45")
@example("[" * 2000)
@example("password: hunter2: x")
@example("a: 1\na: 2")
def test_any_text_is_a_stack_or_is_refused_on_one_line(text: str) -> None:
    answer = read(text)
    assert isinstance(answer, Stack) or (answer and "\n" not in answer and "hunter2" not in answer)


@given(PLAIN, PLAIN.filter(bool), st.dictionaries(st.sampled_from(["home", "image"]), PLAIN))
def test_what_is_put_in_is_taken_as_it_is(before: str, value: str, places: dict[str, str]) -> None:
    references = References(places, {"A": value})
    assert references.put_in(f"{before}${{A}}") == before + value
    assert references.put_in(f"{before}${{B:-{value}}}") == before + value
    assert references.missing == []


@given(TREES)
def test_masking_twice_is_masking_once(tree: Any) -> None:
    once = masked(tree)
    assert masked(once) == once
