"""Where the hub is on a Jetson, and as whom it runs there."""

from __future__ import annotations

import pytest

from deployers.connectors.command import Command
from deployers.exceptions import InputError
from deployers.site import Site
from tests.jetson_facts import ROOT, facts, jetson

ID = Command(("id",), timeout=5, accepted=(0, 3))


def site(changes: dict[str, object] | None = None, **found: object) -> Site:
    return Site.of(jetson(**(changes or {})), facts(**found))


@pytest.mark.parametrize(
    ("changes", "found", "account", "elevated", "systemd"),
    [
        ({}, {}, "edgeloop", ("sudo", "-n"), True),
        ({}, {"uid": 0, "login": "root"}, "edgeloop", (), True),
        ({}, {"elevated": False}, "jetson", (), False),
        ({}, {"systemd": False}, "edgeloop", ("sudo", "-n"), False),
        ({"service": "supervise"}, {}, "edgeloop", ("sudo", "-n"), False),
        ({"account": "jetson"}, {}, "jetson", ("sudo", "-n"), True),
        ({"account": "jetson", "service": "supervise"}, {"elevated": False}, "jetson", (), False),
    ],
)
def test_account_and_service_follow_what_there_is(changes, found, account, elevated, systemd) -> None:
    found = site(changes, **found)
    assert (found.account, found.elevated, found.systemd) == (account, elevated, systemd)


@pytest.mark.parametrize(
    ("found", "why"), [({"systemd": False}, "does not run"), ({"elevated": False}, "root may not")]
)
def test_systemd_that_cannot_be_had_is_refused(found, why) -> None:
    with pytest.raises(InputError, match=f"service 'systemd' cannot be had there .*{why}"):
        site({"service": "systemd"}, **found)


def test_paths_are_below_the_root() -> None:
    found = site()
    assert (found.code, found.python) == (ROOT / "code" / "current", ROOT / "venv" / "current" / "bin" / "python")
    assert (found.config, found.incoming) == (ROOT / "config" / "hub.toml", ROOT / "incoming")


def test_commands_of_the_account_are_its_own() -> None:
    assert site().as_account(ID).shown() == "sudo -n -u edgeloop -- id"
    assert site(uid=0, login="root").as_account(ID).shown() == "runuser -u edgeloop -- id"
    assert site({"account": "jetson"}).as_account(ID) == ID
    kept = site().as_account(ID)
    assert (kept.timeout, kept.accepted) == (5, (0, 3))


def test_commands_of_root_need_no_sudo_where_the_login_is_root() -> None:
    assert site().as_root(ID).shown() == "sudo -n id"
    assert site(uid=0, login="root").as_root(ID) == ID


def test_the_hub_is_called_with_its_code_and_configuration() -> None:
    command = site({"account": "jetson"}).hub("ctl", "status", "--json", timeout=9, accepted=(0, 5))
    assert command.shown() == (
        "env PYTHONPATH=/var/lib/edgeloop/code/current PYTHONDONTWRITEBYTECODE=1 "
        "/var/lib/edgeloop/venv/current/bin/python -P -m deployers.hub ctl "
        "--config /var/lib/edgeloop/config/hub.toml status --json"
    )
    assert (command.timeout, command.accepted) == (9, (0, 5))
    assert site().hub("ctl").shown().startswith("sudo -n -u edgeloop -- env PYTHONPATH=")


def test_uploads_change_hands_where_there_are_two_accounts() -> None:
    (give,), (take,) = site().give(ROOT / "incoming" / "7"), site().take(ROOT / "incoming" / "7")
    assert give.shown().endswith("sh edgeloop: /var/lib/edgeloop/incoming/7")
    assert take.shown().endswith("sh jetson: /var/lib/edgeloop/incoming/7")
    assert site({"account": "jetson"}).give(ROOT) == site({"account": "jetson"}).take(ROOT) == ()
