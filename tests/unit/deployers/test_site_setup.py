"""Setup: plans as golden JSON, nothing to do the second time, and refusals before anything is changed.

EDGELOOP_WRITE_PLANS=1 writes the golden files anew; read what changed in them.
"""

from __future__ import annotations

import hashlib
import json
import os
from dataclasses import replace
from pathlib import Path
from typing import TYPE_CHECKING, Any

import pytest
from cryptography.hazmat.primitives.asymmetric import ec

from deployers.bundle import Bundle
from deployers.connectors.base import Completed
from deployers.connectors.fake import FakeConnector
from deployers.exceptions import HostKeyError, InputError, MissingTool, RolledBack, ServiceUnavailable, Unreachable
from deployers.execute import Nobody
from deployers.facts import Entry, Facts
from deployers.inventory import Inventory, Jetson
from deployers.journal import Journal
from deployers.operations import digest_of, environment_digest
from deployers.protocol.signature import generate_keys, key_id, public_point
from deployers.service import unit_text
from deployers.site import Site
from deployers.site_setup import (
    CHANGED,
    FAILED,
    NOTHING,
    PLANNED,
    Wanted,
    Workshop,
    plan_setup,
    prepare,
    prepare_all,
    require_room,
    signer_of,
)
from tests.jetson_facts import ROOT, facts, folder, jetson, link

if TYPE_CHECKING:
    from deployers.plan import Plan

PLANS = Path(__file__).resolve().parents[2] / "plans"
BUNDLE = Bundle(b"code", "c0de" * 4, ("__init__.py",))
LOCK = f"idna==3.20 \\\n    --hash=sha256:{hashlib.sha256(b'idna').hexdigest()}\n".encode()
SIGNER = public_point(ec.derive_private_key(7, ec.SECP256R1()))
WANTED = Wanted(BUNDLE, LOCK, SIGNER, {"board-1": b"k" * 32})
LAB = {"user": "you", "account": "you", "service": "supervise", "root": "/tmp/lab/jetson", "rest_port": 18484}  # noqa: S108
HERE = {"login": "you", "elevated": False, "systemd": False, "machine": "x86_64", "python": "/usr/bin/python3"}


@pytest.fixture
def wheels(tmp_path: Path) -> tuple[Path, ...]:
    (tmp_path / "idna-3.20-py3-none-any.whl").write_bytes(b"idna")
    return (tmp_path / "idna-3.20-py3-none-any.whl",)


def golden(name: str, plan: Plan) -> None:
    told = json.dumps(plan.as_dict(), indent=1) + "\n"
    path = PLANS / f"setup_{name}.json"
    if os.environ.get("EDGELOOP_WRITE_PLANS"):
        path.write_text(told, encoding="utf-8")
    assert told == path.read_text(encoding="utf-8")


def test_an_aarch64_jetson_with_systemd_and_an_index() -> None:
    golden("aarch64_systemd_index", plan_setup(jetson(), facts(), WANTED))


def test_an_aarch64_jetson_without_an_index(wheels) -> None:
    golden("aarch64_wheelhouse", plan_setup(jetson(index=False), facts(), replace(WANTED, wheels=wheels)))


def test_a_lab_on_x86_without_systemd() -> None:
    golden("x86_lab", plan_setup(jetson(**LAB), facts(**HERE), WANTED))


def test_a_jetson_that_converts_has_tensorflow() -> None:
    plan = plan_setup(jetson(convert=True), facts(), WANTED)
    (environment,) = (step for step in plan.steps if step.name == "environment")
    assert "tensorflow" in environment.commands[3].shown()


def done(entry: Jetson, before: Facts, wanted: Wanted = WANTED) -> Facts:
    """Facts of a Jetson where the plan for these facts has been carried out."""
    site, plan = Site.of(entry, before), plan_setup(entry, before, wanted)
    entries = dict(before.entries)
    own = ("config", "config/boards", "config/image_keys", "data", "run")
    entries |= dict.fromkeys((".", "code", "venv", "incoming", "wheelhouse"), folder(site.login))
    entries |= dict.fromkeys(own, folder(site.account, 0o700)) | {"staging": folder(site.login, 0o700)}
    if site.apart:
        entries["incoming"] = Entry(kind="folder", mode=0o1775, owner=site.login, group=site.account)
    digest = environment_digest(wanted.lock, before.machine, before.python_version)
    entries |= {f"code/{BUNDLE.digest}": folder(site.login), f"venv/{digest}": folder(site.login)}
    entries |= {"code/current": link(BUNDLE.digest), "venv/current": link(digest)}
    entries |= {f"venv/{digest}.txt": file(site.login, wanted.lock)}
    secret = {"ctl.token": b"t", "tokens.toml": b"h"}
    entries |= {f"config/{name}": file(site.account, data, 0o600) for name, data in secret.items()}
    text = configuration(entry, site)
    placed = {"hub.toml": (text, 0o600), f"image_keys/{key_id(SIGNER).hex()}.pub": (SIGNER, 0o644)}
    placed |= {f"boards/{name}.key": (key, 0o600) for name, key in wanted.board_keys.items()}
    entries |= {f"config/{name}": file(site.account, *found) for name, found in placed.items()}
    (start,) = (step for step in plan.steps if step.name == "start")
    unit = hashlib.sha256(unit_text(site).encode()).hexdigest() if site.systemd else ""
    active = ("active", "enabled") if site.systemd else ("", "")
    started = start.commands[-1].plain()[-2]
    changes: dict[str, Any] = {"entries": entries, "account": True, "unit": unit, "started": started, "health": True}
    return before.model_copy(
        update={**changes, "active": active[0], "enabled": active[1], "supervised": not site.systemd}
    )


def configuration(entry: Jetson, site: Site) -> bytes:
    from deployers.operations import hub_toml

    return hub_toml(site, entry).encode()


def file(owner: str, data: bytes, mode: int = 0o644) -> Entry:
    return Entry(kind="file", mode=mode, owner=owner, size=len(data), sha256=hashlib.sha256(data).hexdigest())


WAYS = [({}, {}), ({"index": False}, {"uid": 0, "login": "root"}), (LAB, HERE), ({"account": "jetson"}, {})]


@pytest.mark.parametrize(("changes", "found"), WAYS)
def test_the_second_time_there_is_nothing_to_do(changes, found) -> None:
    entry = jetson(**changes)
    assert [step.name for step in plan_setup(entry, done(entry, facts(**found)), WANTED).steps] == []


def steps(
    changes: dict[str, Any] | None = None, wanted: Wanted = WANTED, entries: dict[str, Any] | None = None, **now: Any
) -> list[str]:
    """Names of the steps for a Jetson that was set up, and then something changed."""
    entry = jetson()
    found = done(entry, facts())
    more = {name: each for name, each in {**found.entries, **(entries or {})}.items() if each is not None}
    return [
        step.name
        for step in plan_setup(
            jetson(**(changes or {})), found.model_copy(update={**now, "entries": more}), wanted
        ).steps
    ]


ENVIRONMENT = environment_digest(LOCK, "aarch64", (3, 11))


def test_only_what_changed_is_done() -> None:
    assert steps(wanted=replace(WANTED, bundle=replace(BUNDLE, digest="beef" * 4))) == ["code", "start", "old versions"]
    assert steps(wanted=replace(WANTED, lock=LOCK + b"# new\n")) == ["environment", "start", "old versions"]
    assert steps(wanted=replace(WANTED, board_keys={"board-1": b"K" * 32})) == ["files", "start"]
    assert steps(wanted=replace(WANTED, board_keys={})) == ["keys of boards that are gone", "start"]
    assert steps({"rest_port": 80}) == ["settings", "files", "start"]
    assert steps(health=False) == ["start"]
    assert steps(active="failed") == ["start"]
    assert steps(enabled="disabled") == ["start"]
    assert steps(unit="0" * 64) == ["unit", "start"]
    assert steps(started="") == ["start"]
    assert steps(account=False) == ["account"]
    assert steps(entries={"data": folder("root", 0o700)}) == ["folders"]
    assert steps(entries={"config": folder("edgeloop", 0o755)}) == ["folders"]
    assert steps(entries={"incoming": Entry(kind="folder", mode=0o1775, owner="jetson", group="jetson")}) == ["folders"]
    assert steps(entries={"config/ctl.token": None}) == ["token"]
    assert steps(entries={"config/boards/board-1.key": file("edgeloop", b"k" * 32, 0o644)}) == ["files"]
    assert steps(entries={"config/boards/board-1.key": file("root", b"k" * 32, 0o600)}) == ["files"]
    assert steps(entries={f"venv/{ENVIRONMENT}": Entry(kind="broken", mode=0o755, owner="jetson")}) == ["environment"]
    assert steps(entries={"code/old.new": folder("jetson"), "venv/old": folder("jetson")}) == ["old versions"]


def test_what_a_killed_setup_left_is_finished() -> None:
    """Killed after each step in turn, the next plan begins with that very step's successor."""
    entry, bare = jetson(), facts()
    whole = done(entry, bare)
    names = [step.name for step in plan_setup(entry, bare, WANTED).steps]
    assert names == ["account", "folders", "code", "environment", "settings", "files", "token", "unit", "start"]
    linked = {name: each for name, each in whole.entries.items() if not name.endswith("current")}
    unlinked = whole.model_copy(update={"entries": linked, "health": False, "started": "", "active": ""})
    assert [step.name for step in plan_setup(entry, unlinked, WANTED).steps] == ["start"]


@pytest.mark.parametrize(
    "tables",
    [
        {"store": {"url": "postgresql://hub:hunter2@db/hub"}},
        {"alerts": {"webhook": {"url": "https://chat.example/hooks/hunter2"}}},
    ],
)
def test_an_address_that_holds_a_secret_is_not_shown(tables: dict[str, Any]) -> None:
    entry = jetson(hub=tables)
    plan = plan_setup(entry, facts(), WANTED)
    told = json.dumps(plan.as_dict())
    (placed,) = [step for step in plan.steps if step.name == "files"]
    assert "hunter2" not in told
    assert any(each == {"path": str(ROOT / "staging/0-hub.toml"), "mode": "0600"} for each in placed.as_dict()["files"])


def test_no_key_is_in_any_plan() -> None:
    told = json.dumps(plan_setup(jetson(), facts(), WANTED).as_dict())
    assert hashlib.sha256(b"k" * 32).hexdigest() not in told


# --- the work on one Jetson and on several


def shop(tmp_path: Path, connector: Any, **changes: Any) -> Workshop:
    (tmp_path / "locks").mkdir(exist_ok=True)
    for name in ("hub.txt", "hub-convert.txt"):
        (tmp_path / "locks" / name).write_bytes(LOCK)
    journal = Journal(tmp_path / "journal.jsonl")
    fields: dict[str, Any] = {"here": FakeConnector("here"), "opened": lambda _: connector, "locks": tmp_path / "locks"}
    return Workshop(BUNDLE, SIGNER, journal, Nobody(), tmp_path / "cache", **{**fields, **changes})


def answering(found: Facts, fails: str = "", code: int = 1) -> FakeConnector:
    """A Jetson with these facts, where commands with this text in them fail."""

    def answer(command: Any) -> Completed:
        if "import ctypes" in command.shown():
            return Completed(0, found.model_dump_json().encode())
        return Completed(code, b"", b"it does not") if fails and fails in command.shown() else Completed(0)

    return FakeConnector("kitchen", answer)


BOARDLESS = replace(WANTED, board_keys={})


def test_a_bare_jetson_is_set_up(tmp_path) -> None:
    there = answering(facts())
    outcome = prepare(jetson(), shop(tmp_path, there))
    assert (outcome.state, outcome.error, there.closed) == (CHANGED, None, 1)
    assert outcome.sent == sum(len(data) for data, _ in there.files.values())
    assert [step["name"] for step in outcome.as_dict()["steps"]][-1] == "start"
    events = [entry["event"] for entry in Journal(tmp_path / "journal.jsonl").entries()]
    assert events == ["begun", "done"] * len(outcome.plan.steps)


def test_one_that_is_set_up_is_left_alone(tmp_path) -> None:
    there = answering(done(jetson(), facts(), BOARDLESS))
    outcome = prepare(jetson(), shop(tmp_path, there))
    assert (outcome.state, outcome.sent, len(there.commands), there.files) == (NOTHING, 0, 1, {})


def test_a_dry_run_changes_nothing(tmp_path) -> None:
    there = answering(facts())
    outcome = prepare(jetson(), replace(shop(tmp_path, there), journal=None))
    assert (outcome.state, len(there.commands), there.files) == (PLANNED, 1, {})
    assert outcome.plan.steps


@pytest.mark.parametrize(
    ("changes", "found", "kind"),
    [
        ({}, {"python_version": (3, 8, 10), "pythons": ()}, MissingTool),
        ({}, {"venv": False}, MissingTool),
        ({}, {"disk_free": 100 << 20}, ServiceUnavailable),
        ({"convert": True}, {"disk_free": 2 << 30}, ServiceUnavailable),
        ({"service": "systemd"}, {"systemd": False}, InputError),
        ({"index": False}, {"libc": ("musl", "1")}, MissingTool),
    ],
)
def test_what_cannot_be_is_refused_before_anything_is_changed(tmp_path, changes, found, kind) -> None:
    there = answering(facts(**found))
    outcome = prepare(jetson(**changes), shop(tmp_path, there))
    assert (outcome.state, type(outcome.error)) == (FAILED, kind)
    assert (len(there.commands), there.files) == (1, {})
    assert outcome.as_dict()["exit_code"] == kind.exit_code


def test_a_wheel_for_another_processor_is_refused_before_anything_is_changed(tmp_path) -> None:
    (tmp_path / "house").mkdir()
    (tmp_path / "house" / "idna-3.20-cp311-cp311-manylinux_2_17_x86_64.whl").write_bytes(b"idna")
    there = answering(facts())
    outcome = prepare(jetson(index=False), shop(tmp_path, there, wheelhouse=tmp_path / "house"))
    assert isinstance(outcome.error, InputError)
    assert "does not run on aarch64, Python 3.11" in str(outcome.error)
    assert (len(there.commands), there.files) == (1, {})


def test_wheels_that_were_given_are_uploaded_once(tmp_path, wheels) -> None:
    there = answering(facts())
    outcome = prepare(jetson(index=False), shop(tmp_path, there, wheelhouse=wheels[0].parent))
    assert outcome.error is None
    assert there.files["/var/lib/edgeloop/wheelhouse/idna-3.20-py3-none-any.whl"] == (b"idna", 0o644)
    had = {"wheelhouse/idna-3.20-py3-none-any.whl": file("jetson", b"idna")}
    plan = plan_setup(jetson(index=False), facts(entries=had), replace(WANTED, wheels=wheels))
    assert "wheels" not in [step.name for step in plan.steps]


def test_no_wheel_is_looked_for_where_the_environment_is_there(tmp_path) -> None:
    entry = jetson(index=False)
    there = answering(done(entry, facts(), BOARDLESS))
    outcome = prepare(entry, shop(tmp_path, there, wheelhouse=tmp_path / "nowhere"))
    assert (outcome.state, outcome.error) == (NOTHING, None)


def test_a_new_version_that_does_not_start_makes_way_for_the_old_one(tmp_path) -> None:
    before = done(jetson(), facts(), BOARDLESS)
    old = {"code/old": folder("jetson"), "code/current": link("old")}
    there = answering(before.model_copy(update={"entries": {**before.entries, **old}}), fails="waiting.py")
    outcome = prepare(jetson(), shop(tmp_path, there))
    # What ran before does not start either here: that is told, and the links point to it again.
    assert outcome.state == FAILED
    links = [shown for shown in there.commands if "current.new" in shown]
    assert [shown.rstrip().split()[-2] for shown in links] == [BUNDLE.digest, "old"]


def test_a_rollback_that_works_is_told_as_such(tmp_path) -> None:
    before = done(jetson(), facts(), BOARDLESS)
    old = {"code/old": folder("jetson"), "code/current": link("old")}
    there = answering(before.model_copy(update={"entries": {**before.entries, **old}}))
    waits = iter((Completed(1, b"", b"it does not"), Completed(0)))
    inner = there.answer
    there.answer = lambda command: next(waits) if "waiting.py" in command.shown() else inner(command)
    outcome = prepare(jetson(), shop(tmp_path, there))
    assert isinstance(outcome.error, RolledBack)
    assert "what ran before runs again" in str(outcome.error)
    assert outcome.as_dict()["exit_code"] == 10


def test_a_first_start_that_fails_has_nothing_to_go_back_to(tmp_path) -> None:
    outcome = prepare(jetson(), shop(tmp_path, answering(facts(), fails="waiting.py")))
    assert isinstance(outcome.error, ServiceUnavailable)
    assert not isinstance(outcome.error, RolledBack)


def test_one_that_fails_does_not_hold_up_the_others(tmp_path) -> None:
    class Absent(FakeConnector):
        def run(self, command: Any) -> Completed:
            raise Unreachable(self.name)

    class Changed(FakeConnector):
        def run(self, command: Any) -> Completed:
            raise HostKeyError(self.name)

    machines = {"a": Absent("a"), "b": answering(facts()), "c": Changed("c")}
    found = prepare_all(
        [jetson(name=name) for name in machines], shop(tmp_path, None, opened=lambda j: machines[j.name])
    )
    assert [(outcome.jetson, outcome.state) for outcome in found] == [("a", FAILED), ("b", CHANGED), ("c", FAILED)]
    assert [getattr(outcome.error, "exit_code", 0) for outcome in found] == [5, 0, 8]


def test_room_is_counted_with_what_is_uploaded() -> None:
    plan = plan_setup(jetson(), facts(), WANTED)
    require_room(jetson(), facts(), plan)
    with pytest.raises(
        ServiceUnavailable, match=r"kitchen: 899 MiB are free where '/var/lib/edgeloop' is, expected 900"
    ):
        require_room(jetson(), facts(disk_free=900 * (1 << 20) - 1), plan)


# --- the key that images are signed with


def test_the_signer_is_the_inventory_s_key(tmp_path) -> None:
    point = generate_keys(tmp_path / "k", tmp_path / "k.pub")
    assert signer_of(Inventory(path=tmp_path / "i", signing_key=tmp_path / "k", jetsons=())) == point


def test_an_inventory_without_a_signing_key_is_refused(tmp_path) -> None:
    with pytest.raises(InputError, match=r"'signing_key' is missing, expected the key .*image keygen"):
        signer_of(Inventory(path=tmp_path / "i", signing_key=None, jetsons=()))
    (tmp_path / "k").write_text("no key")
    (tmp_path / "k").chmod(0o600)
    with pytest.raises(InputError, match=r"'signing_key': .*holds no unencrypted P-256 private key"):
        signer_of(Inventory(path=tmp_path / "i", signing_key=tmp_path / "k", jetsons=()))


def test_digests_differ_by_every_part() -> None:
    assert len({digest_of("a", "b"), digest_of("ab"), digest_of("a\nb"), digest_of("a", "b", "")}) == 4
