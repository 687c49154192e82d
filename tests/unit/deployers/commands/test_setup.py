"""The command: what it prints, and how it ends."""

from __future__ import annotations

import json
from typing import Any

import pytest

from deployers import site_setup
from deployers.__main__ import main
from deployers.exceptions import HostKeyError, ServiceUnavailable, Unreachable
from deployers.journal import deploy_home, deployment_lock, read_entries
from deployers.plan import File, Plan, Step
from deployers.protocol.signature import generate_keys
from deployers.site_setup import Outcome
from tests.jetson_facts import PIN, ROOT

PLAN = Plan("kitchen", (Step("files", files=(File(b"abc", ROOT / "x"), File(b"k", ROOT / "k", 0o600, secret=True))),))


@pytest.fixture
def site(tmp_path, monkeypatch):
    """An inventory of two, and a setup that does what it is told."""
    monkeypatch.setenv("EDGELOOP_HOME", str(tmp_path / "home"))
    monkeypatch.setenv("EDGELOOP_INVENTORY", str(tmp_path / "inventory.toml"))
    generate_keys(tmp_path / "k", tmp_path / "k.pub")
    entries = [f'[[jetson]]\nname = "{name}"\nhost = "h"\nhost_keys = ["{PIN}"]\n' for name in ("kitchen", "attic")]
    (tmp_path / "inventory.toml").write_text("signing_key = 'k'\n" + "".join(entries))
    asked: dict[str, Any] = {"outcomes": {}}

    def prepare_all(jetsons: Any, shop: Any) -> list[Outcome]:
        asked["shop"], asked["names"] = shop, [jetson.name for jetson in jetsons]
        shop.watcher.begin(Plan("kitchen", PLAN.steps), PLAN.steps[0], 0)
        shop.watcher.bytes_done(PLAN, 1, 4)
        return [
            asked["outcomes"].get(name, Outcome(name, "nothing to change", Plan(name, ()))) for name in asked["names"]
        ]

    monkeypatch.setattr(site_setup, "prepare_all", prepare_all)
    return asked


def test_it_says_that_there_is_nothing_to_change(site, capsys) -> None:
    assert main(["setup"]) == 0
    assert capsys.readouterr().out.count("nothing to change") == 2
    assert site["names"] == ["kitchen", "attic"]


def test_json_is_one_object_with_an_entry_for_each(site, capsys) -> None:
    site["outcomes"]["kitchen"] = Outcome("kitchen", "changed", PLAN, 4, 1.5)
    assert main(["setup", "--json", "--limit", "kitchen"]) == 0
    told = json.loads(capsys.readouterr().out)
    (kitchen,) = told["jetsons"]
    assert (kitchen["jetson"], kitchen["state"], kitchen["bytes"], kitchen["seconds"]) == ("kitchen", "changed", 4, 1.5)
    assert kitchen["steps"][0]["files"][1] == {"path": "/var/lib/edgeloop/k", "mode": "0600"}
    last = read_entries(deploy_home() / "journal" / told["journal"].rsplit("/", 1)[1])[-1]
    assert (last["event"], last["result"], last["outcomes"][0]["jetson"]) == ("closed", "done", "kitchen")


def test_a_dry_run_prints_files_and_commands(site, capsys) -> None:
    site["outcomes"]["kitchen"] = Outcome("kitchen", "planned", PLAN)
    assert main(["setup", "--dry-run"]) == 0
    told = capsys.readouterr().out
    assert "put /var/lib/edgeloop/x  0644  3 bytes, SHA-256 ba7816bf" in told
    assert "put /var/lib/edgeloop/k  0600  (secret)" in told
    assert "attic: nothing to change" in told
    assert site["shop"].journal is None
    assert list((deploy_home() / "journal").glob("*")) == []


@pytest.mark.parametrize(("error", "code"), [(HostKeyError("other key"), 8), (ServiceUnavailable("full"), 5)])
def test_one_that_fails_gives_its_exit_code(site, capsys, error, code) -> None:
    site["outcomes"]["attic"] = Outcome("attic", "failed", Plan("attic", ()), error=error)
    assert main(["setup"]) == code
    shown = capsys.readouterr()
    assert shown.err == f"error: {error}\n"
    assert "failed" in shown.out


def test_json_is_printed_also_when_one_fails(site, capsys) -> None:
    site["outcomes"]["attic"] = Outcome("attic", "failed", Plan("attic", ()), error=Unreachable("no answer"))
    assert main(["setup", "--json"]) == 5
    attic = json.loads(capsys.readouterr().out)["jetsons"][1]
    assert (attic["error"], attic["exit_code"]) == ("no answer", 5)


def test_several_that_fail_are_counted(site, capsys) -> None:
    errors = {"kitchen": Unreachable("no answer"), "attic": HostKeyError("attic is another")}
    for name, error in errors.items():
        site["outcomes"][name] = Outcome(name, "failed", Plan(name, ()), error=error)
    assert main(["setup"]) == 8
    assert "error: 2 of 2 Jetsons failed, the gravest: attic is another" in capsys.readouterr().err


def test_another_deployment_keeps_it_out_but_not_a_dry_run(site, capsys) -> None:
    with deployment_lock(deploy_home()):
        assert main(["setup"]) == 11
        assert "another deployment runs (process" in capsys.readouterr().err
        assert main(["setup", "--dry-run"]) == 0


@pytest.mark.parametrize(
    ("arguments", "said"),
    [
        (["--inventory", "none.toml"], "inventory 'none.toml' cannot be read"),
        (["--limit", "cellar"], "--limit 'cellar' fits no Jetson"),
        (["--colour"], "No such option"),
    ],
)
def test_bad_input_is_one_line(site, capsys, arguments, said) -> None:
    assert main(["setup", *arguments]) == 2
    assert said in capsys.readouterr().err


def test_a_wheelhouse_is_handed_on(site, tmp_path) -> None:
    assert main(["setup", "--wheelhouse", str(tmp_path)]) == 0
    assert site["shop"].wheelhouse == tmp_path
