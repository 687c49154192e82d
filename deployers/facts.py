"""What is on a Jetson, gathered by one short program that runs there and changes nothing.

The program is plain enough for a Python that is too old for the hub, so that this can be said.
"""

from __future__ import annotations

import re
from pathlib import PurePosixPath
from typing import TYPE_CHECKING, Any

from pydantic import BaseModel, ConfigDict, ValidationError

from deployers.connectors.base import require
from deployers.connectors.command import script
from deployers.exceptions import MissingTool, RemoteFailed

if TYPE_CHECKING:
    from deployers.connectors.base import Connector
    from deployers.inventory import Jetson

OLDEST, NEWEST = (3, 11), (3, 12)  # numpy 1.26, which the pipelines pin, has no wheel for a newer one
NOT_FOUND = (126, 127)
UNIT = "edgeloop-hub.service"
UNIT_PATH = PurePosixPath("/etc/systemd/system") / UNIT
# Finds out whether root may be had without a password, for the hub's own account may own files that the login cannot
# read, and hands over to Python.
START = """
command -v "$1" >/dev/null || exit 127
login=$(id -un) uid=$(id -u) elevated=no
if [ "$2" = yes ]; then
  if [ "$uid" = 0 ]; then elevated=yes; elif sudo -n true 2>/dev/null; then elevated=yes; set -- "$@" sudo; fi
fi
python=$(command -v "$1"); shift 2
text=$1; shift
case ${5:-} in sudo) exec sudo -n "$python" -c "$text" "$1" "$2" "$3" "$4" "$login" "$uid" "$elevated" "$HOME";; esac
exec "$python" -c "$text" "$1" "$2" "$3" "$4" "$login" "$uid" "$elevated" "$HOME"
"""
# Python 3.6 and newer.
PROBE = r"""
import ctypes, glob, grp, hashlib, json, os, platform, pwd, shutil, ssl, subprocess, sys
root, account, unit, hub, login, uid, elevated, home = sys.argv[1:]

def said(*words):
    quiet = {"stdout": subprocess.PIPE, "stderr": subprocess.DEVNULL, "timeout": 10}
    try:
        return subprocess.run(words, **quiet).stdout.decode().strip()
    except (OSError, subprocess.SubprocessError):
        return ""

def text(path):
    try:
        with open(path, "rb") as stream:
            return stream.read().decode("utf-8", "replace").strip()
    except OSError:
        return ""

def entry(path):
    found = os.lstat(path)
    try:
        owner = pwd.getpwuid(found.st_uid).pw_name
    except KeyError:
        owner = str(found.st_uid)
    try:
        group = grp.getgrgid(found.st_gid).gr_name
    except KeyError:
        group = str(found.st_gid)
    told = {"mode": found.st_mode & 0o7777, "owner": owner, "group": group}
    if os.path.islink(path):
        return dict(told, kind="link", target=os.readlink(path))
    if os.path.isdir(path):
        broken = os.path.dirname(path) == os.path.join(root, "venv") and not os.path.exists(path + "/bin/python")
        return dict(told, kind="broken" if broken else "folder")
    told.update(kind="file", size=found.st_size)
    if found.st_size < 1 << 20:
        try:
            with open(path, "rb") as stream:
                told["sha256"] = hashlib.sha256(stream.read()).hexdigest()
        except OSError:
            pass
    return told

def entries():
    patterns = ("", "*", "code/*", "venv/*", "config/*", "config/*/*", "wheelhouse/*", "run/started")
    found = {}
    for pattern in patterns:
        for path in glob.glob(os.path.join(root, pattern)) if pattern else [root]:
            if os.path.lexists(path):
                found[os.path.relpath(path, root)] = entry(path)
    return found

def free():
    path = root
    while not os.path.isdir(path):
        path = os.path.dirname(path)
    return shutil.disk_usage(path).free

def memory():
    lines = [line.split() for line in text("/proc/meminfo").splitlines()]
    return next((int(line[1]) * 1024 for line in lines if line[0] == "MemTotal:"), 0)

def pythons():
    names = ["python3." + str(minor) for minor in range(11, 20)]
    return [name for name in names if shutil.which(name)]

def exists():
    try:
        pwd.getpwnam(account)
        return True
    except KeyError:
        return False

def supervised():
    pid = text(os.path.join(root, "run", "supervisor.pid"))
    return pid.isdigit() and "deployers.hub" in text("/proc/" + pid + "/cmdline").replace("\0", " ")

def health():
    import urllib.request
    context = ssl.create_default_context()
    context.check_hostname, context.verify_mode = False, ssl.CERT_NONE
    handlers = [urllib.request.ProxyHandler({}), urllib.request.HTTPSHandler(context=context)]
    try:
        with urllib.request.build_opener(*handlers).open(hub, timeout=3) as answer:
            return answer.status == 200
    except (OSError, ValueError):
        return False

try:
    import ensurepip, venv
    venvs = True
except ImportError:
    venvs = False
name = dict(line.split("=", 1) for line in text("/etc/os-release").splitlines() if "=" in line).get("PRETTY_NAME", "")
systemd = os.path.isdir("/run/systemd/system")
print(json.dumps({
    "machine": platform.machine(), "system": name.strip('"'), "libc": list(platform.libc_ver()),
    "python": sys.executable, "python_version": list(sys.version_info[:3]), "pythons": pythons(), "venv": venvs,
    "implementation": platform.python_implementation(),
    "login": login, "uid": int(uid), "elevated": elevated == "yes", "home": home, "account": exists(),
    "systemd": systemd, "unit": text(unit) and hashlib.sha256(open(unit, "rb").read()).hexdigest(),
    "active": said("systemctl", "is-active", os.path.basename(unit)) if systemd else "",
    "enabled": said("systemctl", "is-enabled", os.path.basename(unit)) if systemd else "",
    "supervised": supervised(), "health": health(), "started": text(os.path.join(root, "run", "started")),
    "disk_free": free(), "memory": memory(), "entries": entries(),
    "tensorflow": bool(glob.glob(os.path.join(root, "venv/current/lib/python3*/site-packages/tensorflow"))),
}))
"""


class Entry(BaseModel):
    """Something in the hub's folder.

    Attributes:
        kind: "file", "folder", "link", or "broken" for an environment whose interpreter is gone.
        mode: permissions.
        owner, group: names.
        size: bytes of a file.
        sha256: of a file below 1 MiB that can be read.
        target: of a link.
    """

    model_config = ConfigDict(frozen=True, extra="forbid")

    kind: str
    mode: int
    owner: str
    group: str = ""
    size: int = 0
    sha256: str = ""
    target: str = ""


class Facts(BaseModel):
    """What a Jetson is and has.

    Attributes:
        machine: processor, as `uname -m` says it: aarch64, x86_64.
        system: name of the distribution.
        libc: its name and version.
        python: path of the interpreter that the inventory names.
        python_version: three numbers.
        pythons: newer ones that are on the path.
        venv: whether it can make environments.
        implementation: CPython.
        login: who logs in.
        uid: of the login.
        elevated: whether it is root, or becomes root without a password, and may.
        home: the login's folder.
        account: whether the hub's account exists.
        systemd: whether it runs.
        unit: SHA-256 of the unit's file, empty without one.
        active, enabled: what systemd says of the unit.
        supervised: whether our supervisor runs.
        health: whether the hub answers.
        started: digest of what the hub was started from.
        disk_free: bytes where the hub's folder is or would be.
        memory: bytes.
        entries: what is in the hub's folder, by relative path; "." is the folder.
        tensorflow: whether the current environment has it.
    """

    model_config = ConfigDict(frozen=True, extra="forbid")

    machine: str
    system: str
    libc: tuple[str, str]
    python: str
    python_version: tuple[int, int, int]
    pythons: tuple[str, ...]
    venv: bool
    implementation: str
    login: str
    uid: int
    elevated: bool
    home: str
    account: bool
    systemd: bool
    unit: str
    active: str
    enabled: str
    supervised: bool
    health: bool
    started: str
    disk_free: int
    memory: int
    entries: dict[str, Entry]
    tensorflow: bool

    @property
    def python_text(self) -> str:
        """3.11.2."""
        return ".".join(map(str, self.python_version))

    @property
    def code(self) -> str:
        """Which code bundle is current, empty without one."""
        return self._current("code")

    @property
    def environment(self) -> str:
        """Which Python environment is current, empty without one."""
        return self._current("venv")

    @property
    def ready(self) -> bool:
        """Whether a deployment has what it needs here."""
        return bool(self.code and self.environment and self.health)

    def _current(self, folder: str) -> str:
        found = self.entries.get(f"{folder}/current")
        return PurePosixPath(found.target).name if found and found.kind == "link" else ""


def gather(connector: Connector, jetson: Jetson) -> Facts:
    """Ask a Jetson.

    Raises:
        MissingTool: it has no Python of the name in the inventory.
        RemoteFailed: the program failed, or printed something else.
        Unreachable: no connection.
    """
    command = script(
        START, jetson.python, "no" if jetson.service == "supervise" and jetson.account == jetson.user else "yes",
        PROBE, jetson.root, jetson.account, UNIT_PATH, health_address(jetson), accepted=(0, *NOT_FOUND),
    )  # fmt: skip
    done = require(connector, command)
    if done.code in NOT_FOUND:
        msg = (
            f"{jetson.name}: no program {jetson.python!r} there, expected Python {_numbers(OLDEST)} or newer: install "
            "it (apt-get install python3 python3-venv), or name another by `python` in the inventory"
        )
        raise MissingTool(msg)
    return read_facts(jetson.name, done.text)


def read_facts(name: str, text: str) -> Facts:
    """Facts of what the program printed; lines that a login's profile printed before are passed over.

    Raises:
        RemoteFailed: they are none.
    """
    last = text.strip().splitlines()[-1:]
    try:
        return Facts.model_validate_json(last[0] if last else "")
    except ValidationError as error:
        first = error.errors()[0]
        where = ".".join(map(str, first["loc"])) or "line"
        msg = f"{name}: its facts cannot be read ({where}: {first['msg']}), expected one line of JSON: see --debug"
        raise RemoteFailed(msg) from None


def require_python(name: str, facts: Facts) -> None:
    """Refuse a Jetson whose Python cannot run the hub, and say what to install.

    Raises:
        MissingTool: it is too old or too new, another implementation, or cannot make environments.
    """
    version = facts.python_version[:2]
    if OLDEST <= version <= NEWEST and facts.implementation == "CPython":
        if facts.venv:
            return
        package = f"python{_numbers(version)}-venv"
        msg = f"{name}: {facts.python!r} cannot make environments, expected its modules venv and ensurepip: {package}"
        raise MissingTool(msg.replace(f": {package}", f": apt-get install {package}"))
    fits = [text for text in facts.pythons if OLDEST <= _version(text) <= NEWEST]
    named = f"python = {fits[0]!r}" if fits else f"python{_numbers(OLDEST)}"
    advice = (
        f"name it in the inventory: {named}"
        if fits
        else f"apt-get install {named} {named}-venv (or build it), and name it by `python` in the inventory"
    )
    msg = (
        f"{name}: {facts.python!r} is {facts.implementation} {facts.python_text}, expected CPython "
        f"{_numbers(OLDEST)} to {_numbers(NEWEST)}, for which the hub's packages are locked: {advice}"
    )
    raise MissingTool(msg)


def health_address(jetson: Jetson) -> str:
    """Where the hub answers on its own machine."""
    rest: dict[str, Any] = jetson.hub.get("rest", {})
    scheme = "https" if rest.get("tls_certificate") else "http"
    host = {"0.0.0.0": "127.0.0.1", "::": "::1"}.get(jetson.rest_host, jetson.rest_host)  # noqa: S104 - asked, not bound
    return f"{scheme}://{f'[{host}]' if ':' in host else host}:{jetson.rest_port}/health"


def _version(text: str) -> tuple[int, ...]:
    return tuple(int(part) for part in re.findall(r"\d+", text))


def _numbers(version: tuple[int, ...]) -> str:
    return ".".join(map(str, version))
