"""From what is wanted and what is there to steps: pure functions, one for each thing that a Jetson's hub needs.

Each returns the step that makes the wanted state, or nothing where it is there already.
"""

from __future__ import annotations

import hashlib
import json
from dataclasses import dataclass
from typing import TYPE_CHECKING, Any

from deployers.connectors.command import Command, script
from deployers.facts import UNIT, UNIT_PATH
from deployers.plan import File, Step
from deployers.service import restart_commands, unit_text, wait_command

if TYPE_CHECKING:
    from collections.abc import Iterable, Mapping
    from pathlib import Path, PurePosixPath

    from deployers.bundle import Bundle
    from deployers.connectors.command import Word
    from deployers.facts import Facts
    from deployers.inventory import Jetson
    from deployers.site import Site

INSTALL_SECONDS = 3600.0  # TensorFlow from a slow index, unpacked on a slow card
# What the hub imports; an environment in which one of them fails never becomes current.
MODULES = (
    "fastapi, uvicorn, uvloop, httptools, sqlalchemy, alembic, psycopg, prometheus_client, onnxruntime, cryptography, "
    "ai_edge_litert.interpreter, numpy, httpx, aiosmtplib, aiomqtt, pydantic, rich, click"
)
CONVERTING = "tensorflow, keras, flatbuffers, matplotlib"
FOLDER = 'install -d -m "$1" -o "$2" -g "$(id -gn "$4")" "$3"'
OWN_FOLDER = 'mkdir -p "$2" && chmod "$1" "$2"'
ACCOUNT = 'useradd --system --user-group --home-dir "$1" --no-create-home --shell /usr/sbin/nologin "$2"'
# The account that takes a file over reads what it could not read before: the file changes hands in one rename.
TAKE_OVER = (
    'install -m "$3" -o "$4" -g "$(id -gn "$4")" "$1" "$2.new" && sync "$2.new" && mv -fT "$2.new" "$2" && rm -f "$1"'
)
UNPACK = """
umask 022
rm -rf "$2.new" && mkdir "$2.new" && tar -xzf "$1" --no-same-owner -C "$2.new" &&
"$3" -m compileall -q "$2.new/deployers" && sync -f "$2.new" && mv -T "$2.new" "$2" && rm -f "$1"
"""
CREATE = 'umask 022; rm -rf "$2" && "$1" -m venv "$2"'
READABLE = 'umask 022; exec "$@"'
# On the disk before it is renamed: a power cut must not leave a name whose files are empty. Programs in bin name the
# folder under which they were made; `python -m` is what is used.
FINISH = """
find "$1/bin" -mindepth 1 ! -name 'python*' -delete && sync -f "$1" && rm -rf "$2" && mv -T "$1" "$2"
"""
# Two renames, one after the other: a link is never missing.
LINKS = """
ln -sfn "$3" "$1/venv/current.new" && ln -sfn "$2" "$1/code/current.new" &&
mv -fT "$1/venv/current.new" "$1/venv/current" && mv -fT "$1/code/current.new" "$1/code/current"
"""
STARTED = 'umask 077; printf %s "$1" > "$2.new" && mv -f "$2.new" "$2"'
# Not in incoming, where the hub may rename: root takes these files over.
STAGED = "staging"
SHARED = 0o1775  # the hub moves what was handed to it out of incoming, and nothing else


def digest_of(*parts: str) -> str:
    """The name of what is made of these: 16 digits of a SHA-256."""
    return hashlib.sha256(json.dumps(parts).encode()).hexdigest()[:16]


def environment_digest(lock: bytes, machine: str, python: tuple[int, ...]) -> str:
    """The name of a Python environment: what is in it, for which processor, for which Python (3.11)."""
    return digest_of(lock.decode(), machine, ".".join(map(str, python[:2])))


def account_step(site: Site, facts: Facts) -> Step | None:
    """The hub's account, which nobody can log in to."""
    if not site.apart or facts.account:
        return None
    return Step("account", commands=(site.as_root(script(ACCOUNT, site.root, site.account)),))


def folders_step(site: Site, facts: Facts, *, wheelhouse: bool) -> Step | None:
    """Every folder with its owner and its permissions."""
    wanted = dict.fromkeys((".", "code", "venv", "incoming"), (site.login, 0o755))
    wanted |= {"wheelhouse": (site.login, 0o755)} if wheelhouse else {}
    wanted |= {STAGED: (site.login, 0o700), "incoming": (site.login, SHARED)} if site.apart else {}
    own = ("config", "config/boards", "config/image_keys", "data", "run")
    wanted |= dict.fromkeys(own, (site.account, 0o700))
    missing = {name: found for name, found in wanted.items() if not _is_so(site, facts, name, *found)}
    commands = [_folder(site, facts, name, *found) for name, found in missing.items()]
    return Step("folders", commands=tuple(commands)) if commands else None


def _is_so(site: Site, facts: Facts, name: str, owner: str, mode: int) -> bool:
    found = facts.entries.get(name)
    if found is None or (found.kind, found.owner, found.mode) != ("folder", owner, mode):
        return False
    return mode != SHARED or found.group == site.account


def _folder(site: Site, facts: Facts, name: str, owner: str, mode: int) -> Command:
    path = site.root if name == "." else site.root / name
    if facts.elevated:
        group_of = site.account if mode == SHARED else owner
        return site.as_root(script(FOLDER, f"{mode:04o}", owner, path, group_of))
    return script(OWN_FOLDER, f"{mode:04o}", path)


def files_step(name: str, site: Site, facts: Facts, files: Iterable[File]) -> Step | None:
    """Files of the hub's account, where they are missing or other than wanted."""
    changed = [file for file in files if not _is_there(site, facts, file)]
    if not changed:
        return None
    if not site.apart:
        return Step(name, files=tuple(changed))
    staged = [_staged(site, number, file) for number, file in enumerate(changed)]
    takes = [
        site.as_root(script(TAKE_OVER, there.remote, file.remote, f"{file.mode:04o}", site.account))
        for there, file in zip(staged, changed, strict=True)
    ]
    return Step(name, files=tuple(staged), commands=tuple(takes))


def _is_there(site: Site, facts: Facts, file: File) -> bool:
    found = facts.entries.get(file.remote.relative_to(site.root).as_posix())
    wanted = (file.sha256, file.mode, site.account)
    return found is not None and (found.sha256, found.mode, found.owner) == wanted


def _staged(site: Site, number: int, file: File) -> File:
    return File(file.source, site.root / STAGED / f"{number}-{file.remote.name}", 0o600, file.secret)


def code_step(site: Site, facts: Facts, bundle: Bundle, python: str) -> Step | None:
    """The code, unpacked under another name and renamed."""
    if f"code/{bundle.digest}" in facts.entries:
        return None
    archive, folder = site.root / "code" / f"{bundle.digest}.tar.gz", site.root / "code" / bundle.digest
    unpack = script(UNPACK, archive, folder, python, timeout=300.0)
    return Step("code", files=(File(bundle.data, archive),), commands=(unpack,))


def wheels_step(site: Site, facts: Facts, wheels: Iterable[Path]) -> Step | None:
    """The wheels that are not there yet; what is in them is compared when they are installed, by the lock's hashes."""
    files = []
    for wheel in wheels:
        found = facts.entries.get(f"wheelhouse/{wheel.name}")
        if found is None or found.size != wheel.stat().st_size:
            files.append(File(wheel, site.root / "wheelhouse" / wheel.name))
    return Step("wheels", files=tuple(files)) if files else None


def environment_step(site: Site, facts: Facts, digest: str, lock: bytes, jetson: Jetson) -> Step | None:
    """The Python environment, made under another name, proved by importing from it, and renamed."""
    found = facts.entries.get(f"venv/{digest}")
    if found is not None and found.kind == "folder":
        return None
    folder, listed = site.root / "venv" / f"{digest}.new", site.root / "venv" / f"{digest}.txt"
    inside = folder / "bin" / "python"
    source: tuple[Word, ...] = () if jetson.index else ("--no-index", "--find-links", site.root / "wheelhouse")
    pip: tuple[Word, ...] = (inside, "-m", "pip", "--disable-pip-version-check", "--no-input")
    options = ("--no-deps", "--require-hashes", "--only-binary=:all:", "--quiet", "--progress-bar=off")
    modules = f"{MODULES}, {CONVERTING}" if jetson.convert else MODULES
    commands = (
        script(CREATE, jetson.python, folder, timeout=600.0),
        _readable((*pip, "install", *options, *source, "-r", listed), INSTALL_SECONDS),
        _readable((*pip, "check"), 300.0),
        _readable((inside, "-c", f"import {modules}"), 600.0),
        script(FINISH, folder, site.root / "venv" / digest),
    )
    return Step("environment", files=(File(lock, listed),), commands=commands)


def _readable(words: tuple[Word, ...], seconds: float) -> Command:
    """A command of the login whose files the hub's account can read, whatever the login's mask is."""
    return Command(("sh", "-c", READABLE, "sh", *words), timeout=seconds)


def settings_step(site: Site, facts: Facts, run: Run, text: File) -> Step | None:
    """Let the hub that is to run read its new configuration before it takes the old one's place."""
    if _is_there(site, facts, text):
        return None
    new = site.root / (f"{STAGED}/hub.toml" if site.apart else "incoming/hub.toml")
    check = (*_program(site, run), "settings", "--config", new)
    return Step(
        "settings",
        files=(File(text.source, new, 0o600, text.secret),),
        commands=(Command(check), Command(("rm", "-f", new))),
    )


def token_step(site: Site, facts: Facts, run: Run) -> Step | None:
    """A token for `ctl`, made on the Jetson: nobody else ever sees it."""
    if "config/ctl.token" in facts.entries and "config/tokens.toml" in facts.entries:
        return None
    out = site.root / "config" / "ctl.token"
    words = ("token", "--config", site.config, "--name", "ctl", "--role", "deploy", "--out", out)
    return Step("token", commands=(site.as_account(Command((*_program(site, run), *words))),))


def _program(site: Site, run: Run) -> tuple[Word, ...]:
    """`python -m deployers.hub` of code that is not current yet."""
    python = site.root / "venv" / run.environment / "bin" / "python"
    path = f"PYTHONPATH={site.root / 'code' / run.code}"
    return ("env", path, "PYTHONDONTWRITEBYTECODE=1", python, "-P", "-m", "deployers.hub")


def removal_step(name: str, site: Site, paths: Iterable[PurePosixPath]) -> Step | None:
    """What is no longer wanted."""
    found = sorted(paths)
    if not found:
        return None
    return Step(name, commands=(site.as_root(Command(("rm", "-rf", "--", *found), timeout=300.0)),))


def unit_step(site: Site, facts: Facts) -> Step | None:
    """The unit of systemd."""
    text = unit_text(site).encode()
    if not site.systemd or facts.unit == hashlib.sha256(text).hexdigest():
        return None
    staged = site.root / (f"{STAGED}/{UNIT}" if site.apart else f"incoming/{UNIT}")
    take = site.as_root(script(TAKE_OVER, staged, UNIT_PATH, "0644", "root"))
    return Step("unit", files=(File(text, staged),), commands=(take,))


@dataclass(frozen=True, slots=True)
class Run:
    """What the hub is to be started from.

    Attributes:
        code: digest of the bundle.
        environment: digest of the environment.
        settings: digest of everything else that the hub reads when it starts.
        address: where it answers.
    """

    code: str
    environment: str
    settings: str
    address: str


def start_step(site: Site, facts: Facts, run: Run) -> Step | None:
    """Make code and environment current and start the hub; what ran before runs again when it is undone."""
    started = digest_of(run.code, run.environment, run.settings, unit_text(site) if site.systemd else "supervise")
    if (facts.code, facts.environment, facts.started) == (run.code, run.environment, started) and _runs(site, facts):
        return None
    mark = site.as_account(script(STARTED, started, site.root / "run" / "started"))
    restart = (*restart_commands(site), wait_command(site, run.address))
    links = script(LINKS, site.root, run.code, run.environment)
    back: tuple[Command, ...] = ()
    if facts.code and facts.environment and (facts.code, facts.environment) != (run.code, run.environment):
        back = (script(LINKS, site.root, facts.code, facts.environment), *restart)
    return Step("start", commands=(links, *restart, mark), undo=back)


def _runs(site: Site, facts: Facts) -> bool:
    """Whether what keeps the hub running is as it should be, and the hub answers."""
    if site.systemd:
        kept = (facts.active, facts.enabled) == ("active", "enabled") and unit_step(site, facts) is None
    else:
        kept = facts.supervised
    return kept and facts.health


def hub_toml(site: Site, jetson: Jetson) -> str:
    """The hub's configuration: what the inventory says, and nothing that the hub would do by itself."""
    tables: dict[str, dict[str, Any]] = {
        "rest": {"host": jetson.rest_host, "port": jetson.rest_port},
        "boards": {"host": jetson.boards_host, "port": jetson.boards_port},
    }
    for name, values in jetson.hub.items():
        tables[name] = {**tables.get(name, {}), **values}
    lines = [f"root = {_toml(str(site.root))}"]
    for name in sorted(tables):
        lines += ["", f"[{name}]", *(f"{key} = {_toml(value)}" for key, value in sorted(tables[name].items()))]
    return "\n".join(lines) + "\n"


def _toml(value: Any) -> str:
    """A value as TOML writes it; strings as JSON does, which TOML reads alike where no character is split in two."""
    if isinstance(value, list | tuple):
        return f"[{', '.join(map(_toml, value))}]"
    if isinstance(value, bool | str):
        return json.dumps(value, ensure_ascii=False).replace("\x7f", "\\u007f")
    if isinstance(value, dict):
        return f"{{{', '.join(f'{json.dumps(key)} = {_toml(each)}' for key, each in value.items())}}}"
    return repr(value)


def stale(site: Site, facts: Facts, wanted: Mapping[str, str]) -> list[PurePosixPath]:
    """Code and environments that are neither wanted nor current, and what a killed setup left."""
    keep = {f"{folder}/{name}" for folder, name in wanted.items()} | {"code/current", "venv/current"}
    keep |= {f"venv/{wanted['venv']}.txt"}
    return [site.root / path for path in facts.entries if path.startswith(("code/", "venv/")) and path not in keep]
