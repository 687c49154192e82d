"""Steps one by one, and their scripts as a shell runs them."""

from __future__ import annotations

import getpass
import io
import subprocess
import sys
import tarfile
import tomllib
from pathlib import Path, PurePosixPath
from typing import TYPE_CHECKING, Any

import pytest
from hypothesis import given
from hypothesis import strategies as st

from deployers import operations
from deployers.bundle import Bundle, make_bundle
from deployers.connectors.local import LocalConnector
from deployers.facts import Entry
from deployers.plan import File
from deployers.site import Site
from tests.jetson_facts import ROOT, facts, folder, jetson, link

if TYPE_CHECKING:
    from deployers.connectors.command import Command

ALONE = {"account": "jetson"}
HERE = LocalConnector()
ME = getpass.getuser()
KEYS = st.from_regex(r"[a-z_]{1,10}", fullmatch=True)
VALUES = st.recursive(
    st.booleans() | st.integers(-(2**63), 2**63 - 1) | st.floats(allow_nan=False, allow_infinity=False)
    | st.text(st.characters(exclude_categories=("Cs",)), max_size=20),
    lambda inner: st.lists(inner, max_size=3) | st.dictionaries(KEYS, inner, max_size=3),
)  # fmt: skip


def site(changes: dict[str, Any] | None = None, **found: Any) -> Site:
    return Site.of(jetson(**(changes or {})), facts(**found))


def done(command: Command) -> subprocess.CompletedProcess[bytes]:
    return subprocess.run(command.plain(), check=True, capture_output=True, timeout=60)


# --- the hub's configuration


@given(st.dictionaries(KEYS, st.dictionaries(KEYS, VALUES, max_size=4), max_size=3))
def test_every_configuration_is_read_as_it_was_meant(tables: dict[str, dict[str, Any]]) -> None:
    entry = jetson(hub=tables)
    found = tomllib.loads(operations.hub_toml(site(), entry))
    assert found.pop("root") == str(ROOT)
    own = {"rest": {"host": "127.0.0.1", "port": 8484}, "boards": {"host": "127.0.0.1", "port": 7484}}
    assert found == {name: {**own.get(name, {}), **tables.get(name, {})} for name in {*own, *tables}}


def test_the_hub_takes_the_configuration() -> None:
    from deployers.hub.settings import Settings

    entry = jetson(rest_port=80, boards_host="0.0.0.0", hub={"train": {"kind": "command", "command": ["make"]}})  # noqa: S104
    found = Settings.parse(operations.hub_toml(site(), entry), Path("/var/lib/edgeloop/config/hub.toml"))
    assert (found.root, found.rest.port, found.boards.host) == (Path(ROOT), 80, "0.0.0.0")  # noqa: S104
    assert found.train.command == ("make",)


# --- steps


def test_an_account_is_made_only_where_it_is_another_and_missing() -> None:
    (command,) = operations.account_step(site(), facts()).commands  # type: ignore[union-attr]
    assert command.shown().startswith("sudo -n sh -c 'useradd --system")
    assert operations.account_step(site(), facts(account=True)) is None
    assert operations.account_step(site(ALONE), facts()) is None


def test_root_s_files_are_staged_where_the_hub_cannot_rename() -> None:
    wanted = [File(b"k", ROOT / "config" / "boards" / "b.key", 0o600, secret=True)]
    apart = operations.files_step("files", site(), facts(), wanted)
    assert apart is not None
    assert apart.as_dict()["files"] == [{"path": "/var/lib/edgeloop/staging/0-b.key", "mode": "0600"}]
    assert apart.commands[0].shown().endswith("config/boards/b.key 0600 edgeloop")
    alone = operations.files_step("files", site(ALONE), facts(), wanted)
    assert alone is not None
    assert (alone.files, alone.commands) == (tuple(wanted), ())


def test_what_is_current_or_wanted_is_not_old() -> None:
    names = ("code/a", "code/b", "code/c.new", "code/c.tar.gz", "venv/x", "venv/x.txt", "venv/y", "venv/y.txt")
    entries = {**dict.fromkeys(names, folder("jetson")), "code/current": link("a"), "venv/current": link("x")}
    old = operations.stale(site(), facts(entries=entries), {"code": "a", "venv": "x"})
    told = sorted(path.relative_to(ROOT).as_posix() for path in old)
    assert told == ["code/b", "code/c.new", "code/c.tar.gz", "venv/y", "venv/y.txt"]
    assert operations.removal_step("old", site(), []) is None
    (command,) = operations.removal_step("old", site(), old).commands  # type: ignore[union-attr]
    assert command.shown().startswith("sudo -n rm -rf -- /var/lib/edgeloop/code/b ")


def test_wheels_of_another_size_are_sent_again(tmp_path) -> None:
    (tmp_path / "a.whl").write_bytes(b"abc")
    there = {"wheelhouse/a.whl": Entry(kind="file", mode=0o644, owner="jetson", size=2)}
    step = operations.wheels_step(site(), facts(entries=there), [tmp_path / "a.whl"])
    assert step is not None
    assert step.bytes == 3


@pytest.mark.parametrize(("python", "same"), [((3, 11, 9), True), ((3, 12, 0), False)])
def test_an_environment_is_named_by_lock_processor_and_python(python, same) -> None:
    found = operations.environment_digest(b"lock", "aarch64", python)
    assert (found == operations.environment_digest(b"lock", "aarch64", (3, 11))) == same
    assert found != operations.environment_digest(b"lock", "x86_64", python)
    assert found != operations.environment_digest(b"lock2", "aarch64", python)


# --- scripts


@pytest.fixture
def place(tmp_path: Path) -> Site:
    """A site in a folder of this test, without another account."""
    for name in ("code", "venv", "run"):
        (tmp_path / "r" / name).mkdir(parents=True)
    return Site("kitchen", PurePosixPath(tmp_path / "r"), ME, ME, (), systemd=False)


def test_code_is_unpacked_whole_or_not_at_all(place, tmp_path) -> None:
    (tmp_path / "deployers").mkdir()
    (tmp_path / "deployers" / "__init__.py").write_text("x = 1\n")
    bundle = make_bundle(tmp_path / "deployers", {})
    step = operations.code_step(place, facts(), bundle, sys.executable)
    assert step is not None
    left = Path(place.root / "code" / f"{bundle.digest}.new" / "left")
    left.mkdir(parents=True)  # by a setup that was killed
    HERE.upload(step.files[0].source, step.files[0].remote)
    done(step.commands[0])
    assert [path.name for path in Path(place.root / "code").iterdir()] == [bundle.digest]
    unpacked = Path(place.root / "code" / bundle.digest / "deployers")
    assert sorted(path.name for path in unpacked.iterdir()) == ["__init__.py", "__pycache__"]
    assert unpacked.stat().st_mode & 0o777 == 0o755


def test_code_that_does_not_compile_or_unpack_never_gets_its_name(place) -> None:
    archive = io.BytesIO()
    with tarfile.open(fileobj=archive, mode="w:gz") as tar:
        entry = tarfile.TarInfo("deployers/bad.py")
        entry.size = 3
        tar.addfile(entry, io.BytesIO(b"1 +"))
    for data in (archive.getvalue(), b"no archive"):
        step = operations.code_step(place, facts(), Bundle(data, "f" * 16, ()), sys.executable)
        assert step is not None
        HERE.upload(data, step.files[0].remote)
        with pytest.raises(subprocess.CalledProcessError):
            done(step.commands[0])
        assert not Path(place.root / "code" / ("f" * 16)).exists()


def test_an_environment_takes_its_name_with_nothing_that_knows_the_old_one(place) -> None:
    step = operations.environment_step(place, facts(), "e" * 16, b"lock", jetson())
    assert step is not None
    made = Path(place.root / "venv" / f"{'e' * 16}.new" / "bin")
    made.mkdir(parents=True)
    for name in ("python", "python3.11", "pip", "activate"):
        (made / name).touch()
    broken = Path(place.root / "venv" / ("e" * 16) / "bin")
    broken.mkdir(parents=True)
    done(step.commands[-1])
    assert sorted(path.name for path in broken.iterdir()) == ["python", "python3.11"]
    assert not made.exists()


def test_links_change_and_are_never_missing(place) -> None:
    run = operations.Run("c" * 16, "e" * 16, "s", "http://127.0.0.1:9/health")
    step = operations.start_step(place, facts(), run)
    assert step is not None
    Path(place.root / "code" / "current").symlink_to("old")
    done(step.commands[0])
    done(step.commands[0])
    assert Path(place.root / "code" / "current").readlink() == Path("c" * 16)
    assert Path(place.root / "venv" / "current").readlink() == Path("e" * 16)
    assert not list(Path(place.root).glob("*/current.new"))
    done(step.commands[-1])
    started = Path(place.root / "run" / "started")
    assert started.read_text() == operations.digest_of("c" * 16, "e" * 16, "s", "supervise")
    assert started.stat().st_mode & 0o777 == 0o600


def test_a_file_is_taken_over_with_mode_and_owner(tmp_path) -> None:
    (tmp_path / "staged").write_bytes(b"new")
    (tmp_path / "target").write_bytes(b"old")
    words = (tmp_path / "staged", tmp_path / "target", "0640", ME)
    done(operations.script(operations.TAKE_OVER, *words))
    assert [path.name for path in tmp_path.iterdir()] == ["target"]
    assert ((tmp_path / "target").read_bytes(), (tmp_path / "target").stat().st_mode & 0o777) == (b"new", 0o640)


def test_folders_get_their_modes_again(tmp_path) -> None:
    (tmp_path / "a").mkdir(mode=0o777)
    done(operations.script(operations.OWN_FOLDER, "0700", tmp_path / "a"))
    done(operations.script(operations.FOLDER, "1775", ME, tmp_path / "b" / "c", ME))
    modes = [(tmp_path / name).stat().st_mode & 0o7777 for name in ("a", "b/c")]
    assert modes == [0o700, 0o1775]
