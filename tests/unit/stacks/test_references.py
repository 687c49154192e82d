"""What stands elsewhere: variables, places, secrets."""

from __future__ import annotations

from typing import Any

import pytest

from forecaster.errors import StackError
from stacks.references import (
    UNAUTHENTICATED,
    References,
    is_reference,
    is_secret_reference,
    literal_credentials,
    masked,
    secret_references,
)

PLACES = {"home": "/srv/home", "image": "i:1"}
VARIABLES = {"SET": "value", "EMPTY": "", "ODD": "{home} ${SET} {{a.b}}"}


def put_in(value: Any) -> Any:
    return References(PLACES, VARIABLES).put_in(value)


@pytest.mark.parametrize(
    ("written", "expected"),
    [
        ("plain", "plain"),
        ("${SET}", "value"),
        ("a-${SET}-b-${SET}", "a-value-b-value"),
        ("${SET:-default}", "value"),
        ("${UNSET:-default}", "default"),
        ("${EMPTY:-default}", "default"),
        ("a${UNSET:-}b", "ab"),
        ("{home}/x", "/srv/home/x"),
        ("${UNSET:-sqlite:///{home}/x.db}", "sqlite:////srv/home/x.db"),
        ("${UNSET:-${SET}/{image}}", "value/i:1"),
        ("${UNSET:-${ALSO:-{image}}}", "i:1"),
        ("${ODD}", "{home} ${SET} {{a.b}}"),
        ("{{name.key}}", "{{name.key}}"),
        ("{{home.key}}", "{{home.key}}"),
        ("{elsewhere}", "{elsewhere}"),
        ("costs 3 $", "costs 3 $"),
        (3, 3),
        (True, True),
        (None, None),
        ("", ""),
    ],
)
def test_references_are_put_in(written: Any, expected: Any) -> None:
    assert put_in(written) == expected


def test_what_is_nothing_but_an_empty_reference_is_left_out() -> None:
    written = {"gone": "${UNSET:-}", "kept": "", "deep": {"gone": "${EMPTY:-}"}, "list": ["${UNSET:-}", "a", ""]}
    assert put_in(written) == {"kept": "", "deep": {}, "list": ["a", ""]}


@pytest.mark.parametrize("written", ["${", "${SET", "${SET-default}", "${1 2}", "${}", "${UNSET:-${SET}", "a ${b c} d"])
def test_what_looks_like_a_reference_and_is_none_is_refused(written: str) -> None:
    with pytest.raises(StackError, match=r"is not understood, write \$\{NAME\} or \$\{NAME:-default\}"):
        put_in({"a": [written]})


def test_each_variable_that_is_missing_is_named_once() -> None:
    references = References(PLACES, VARIABLES)
    shown = references.put_in(["${A}", "${A}${B}", "${SET}", "${C:-${D}}", "${EMPTY}", "${E:-x}"])
    assert references.missing == ["A", "B", "D", "EMPTY"]
    assert shown == ["<A>", "<A><B>", "value", "<D>", "<EMPTY>", "x"]


@pytest.mark.parametrize(
    ("value", "secret", "any_"),
    [
        ("{{a.b}}", True, True),
        (" {{ a.b-c }} ", True, True),
        ("{{a.b.c}}", True, True),
        ("{{a}}", False, False),
        ("{{a.b}} and more", False, False),
        ("${A}", False, True),
        ("plain", False, False),
        (3, False, False),
    ],
)
def test_what_is_a_reference(value: Any, secret: bool, any_: bool) -> None:
    assert (is_secret_reference(value), is_reference(value)) == (secret, any_)


def test_the_secrets_a_file_refers_to_are_found() -> None:
    value = {"a": "{{one.k}}", "b": ["{{ two.x.y }}", {"c": "plain"}], "d": 3}
    assert list(secret_references(value)) == [("one", "k"), ("two", "x.y")]


@pytest.mark.parametrize(
    ("written", "places"),
    [
        ({"components": {"a": {"configuration": {"tracking_password": "hunter2"}}}},
         ["components.a.configuration.tracking_password"]),
        ({"env": [{"AWS_SECRET_ACCESS_KEY": "abc"}]}, ["env[0].AWS_SECRET_ACCESS_KEY"]),
        ({"token": "t", "api_key": "k"}, ["token", "api_key"]),
        ({"ssh_key_passphrase": "p", "ssh_private_key": "k"}, ["ssh_key_passphrase", "ssh_private_key"]),
        ({"uri": "postgresql://me:pw@host/x"}, ["uri"]),
        ({"uri": "https://:pw@host"}, ["uri"]),
        (["http://a:b@c"], ["[0]"]),
        ({"token": "${TOKEN}", "password": "{{a.b}}", "api_key": ""}, []),
        ({"tracking_token": UNAUTHENTICATED}, []),
        ({"pass_zenml_token_as_secret": True, "max_token": 3}, []),
        ({"uri": "http://host:80/a@b", "other": "http://${USER}:${PASSWORD}@host"}, []),
        ({"authentication_secret": "its-name"}, []),
    ],
)  # fmt: skip
def test_credentials_in_plain_text_are_found(written: Any, places: list[str]) -> None:
    assert list(literal_credentials(written)) == places


def test_credentials_are_masked_and_references_are_not() -> None:
    shown = masked(
        {
            "key": "abc",
            "password": "abc",
            "token": UNAUTHENTICATED,
            "secret": "{{a.b}}",
            "as_token": True,
            "api_key": None,
            "deep": [{"my_token": "abc"}, "http://me:pw@host/x"],
            "plain": 3,
        },
        frozenset({"key", "secret"}),
    )
    assert shown == {
        "key": "***",
        "password": "***",
        "token": UNAUTHENTICATED,
        "secret": "{{a.b}}",
        "as_token": True,
        "api_key": None,
        "deep": [{"my_token": "***"}, "http://***@host/x"],
        "plain": 3,
    }
