"""A command at set times on this machine: units for systemd, or a line for cron.

Both start the command where it was scheduled from, with the same home folder, and read more variables from
`schedule.env` in that folder if it is there: nothing that may be secret is written into a unit or a crontab.
"""

from __future__ import annotations

import re
import shlex
from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING, Any, Literal

from forecaster.errors import ConfigError, ServiceUnavailable

if TYPE_CHECKING:
    from collections.abc import Mapping

    from pipelines.cron import Cron

Format = Literal["systemd", "cron"]
ENVIRONMENT_FILE = "schedule.env"
MARK = "# edgeloop: "
WRITTEN_BY = "# Written by python run.py schedule."
USER_UNITS = "~/.config/systemd/user"
BOOTED = Path("/run/systemd/system")  # there while systemd runs the machine, see sd_booted(3)
LONGEST_LINE = 998  # cron keeps a command in 1,000 bytes, see cron's MAX_COMMAND
_PLAIN = re.compile(r"[\w@+=:,./~-]+", re.ASCII)


@dataclass(frozen=True)
class Job:
    """What is started, and when.

    Attributes:
        name: of units and log.
        command: program and arguments.
        directory: where it is started.
        home: the project's home folder.
        cron: when.
    """

    name: str
    command: tuple[str, ...]
    directory: Path
    home: Path
    cron: Cron


def default_format() -> Format:
    """`systemd` where it runs the machine, else `cron`."""
    return "systemd" if BOOTED.is_dir() else "cron"


def files(job: Job, kind: Format) -> dict[str, str]:
    """File names with their text.

    Raises:
        ConfigError: a path or option that the format cannot hold.
    """
    words = [str(job.directory), str(job.home), *job.command]
    for word in words:
        if any(ord(letter) < 32 or letter == "\x7f" for letter in word):
            msg = f"{word!r} has a control character, which neither a unit nor a crontab can hold: rename it"
            raise ConfigError(msg)
    if kind == "systemd":
        return {f"{job.name}.service": _service(job), f"{job.name}.timer": _timer(job)}
    return {f"{job.name}.cron": _line(job)}


def install(job: Job, kind: Format, folder: Path | None) -> list[str]:
    """Commands of a shell that put what `files` gave to work."""
    if folder is None:
        return ["crontab -e, and add the line" if kind == "cron" else f"the same with --output {USER_UNITS}"]
    if kind == "cron":
        others = f"crontab -l 2>/dev/null | grep -v {shlex.quote(f'{MARK}{job.name}$')}"
        return [f"{{ {others}; cat {shlex.quote(str(folder / job.name))}.cron; }} | crontab -"]
    units = " ".join(f"{shlex.quote(str(folder / job.name))}.{suffix}" for suffix in ("service", "timer"))
    link = [] if folder == Path(USER_UNITS).expanduser() else [f"systemctl --user link --force {units}"]
    timer = f"systemctl --user enable --now {job.name}.timer"
    return [*link, "systemctl --user daemon-reload", timer, "loginctl enable-linger"]


def write(texts: Mapping[str, str], folder: Path) -> dict[str, str]:
    """Write the files that differ, whole or not at all.

    Returns:
        For each path, `created`, `updated` or `unchanged`.

    Raises:
        ConfigError: a file of that name which is not ours is in the way.
        ServiceUnavailable: the folder cannot be made or written.
    """
    try:
        folder.mkdir(parents=True, exist_ok=True)
        return {str(folder / name): _write(folder / name, text) for name, text in texts.items()}
    except OSError as error:
        msg = f"folder {str(folder)!r} cannot be written ({error.strerror}): give another one with --output"
        raise ServiceUnavailable(msg) from error


def _write(path: Path, text: str) -> str:
    before = path.read_text(encoding="utf-8") if path.exists() else None
    if before == text:
        return "unchanged"
    if before is not None and not (WRITTEN_BY in before or MARK in before):
        msg = (
            f"file {str(path)!r} was not written by python run.py schedule and stays: choose another --name or --output"
        )
        raise ConfigError(msg)
    partial = path.with_name(f".{path.name}.partial")
    partial.write_text(text, encoding="utf-8")
    partial.replace(path)
    return "created" if before is None else "updated"


def _service(job: Job) -> str:
    barred = set(job.command[0]) & set("'\"\\")  # which systemd takes in arguments, but not in a program's name
    command = " ".join(_word(word) for word in (*(["/usr/bin/env"] if barred else []), *job.command))
    return f"""\
{WRITTEN_BY}
[Unit]
Description={_text(f"edgeloop: {job.name}")}

[Service]
Type=oneshot
WorkingDirectory={_text(str(job.directory))}
Environment={_word(f"EDGELOOP_HOME={job.home}")}
EnvironmentFile=-{_text(str(job.home / ENVIRONMENT_FILE))}
ExecStart=:{command}
Nice=10
"""


def _timer(job: Job) -> str:
    events = "\n".join(f"OnCalendar={event}" for event in job.cron.calendars())
    return f"""\
{WRITTEN_BY}
[Unit]
Description={_text(f"edgeloop: when {job.name} runs")}

[Timer]
{events}
Persistent=true

[Install]
WantedBy=timers.target
"""


def _text(text: str) -> str:
    """As the value of a setting that takes the rest of its line: only specifiers are read in it."""
    if text.endswith("\\"):
        msg = f"{text!r} ends with a backslash, with which a unit goes on in its next line: rename it"
        raise ConfigError(msg)
    return text.replace("%", "%%")


def _word(text: str) -> str:
    """As one word of a setting that takes several; `$` stays, since ExecStart=: puts no variables in."""
    if _PLAIN.fullmatch(text):
        return text
    escaped = text.replace("\\", "\\\\").replace('"', '\\"').replace("%", "%%")
    return f'"{escaped}"'


def _line(job: Job) -> str:
    """A crontab's line: the shell's quotes inside, and cron's own on the percent signs."""
    extra, log = shlex.quote(str(job.home / ENVIRONMENT_FILE)), shlex.quote(str(job.home / f"{job.name}.log"))
    steps = [
        f"cd {shlex.quote(str(job.directory))}",
        f"{{ [ ! -e {extra} ] || {{ set -a; . {extra}; set +a; }}; }}",
        f"EDGELOOP_HOME={shlex.quote(str(job.home))} {shlex.join(job.command)} >>{log} 2>&1",
    ]
    command = f"{' && '.join(steps)} {MARK}{job.name}"
    if "\\" in command:
        msg = f"{command!r} has a backslash, which cron programs read differently: use --format systemd"
        raise ConfigError(msg)
    escaped = command.replace("%", "\\%")
    if len(escaped.encode()) > LONGEST_LINE:
        reason = f"the cron line of {job.name!r} has {len(escaped.encode())} bytes, cron takes {LONGEST_LINE}"
        msg = f"{reason}: put the settings into a file for --config, or use --format systemd"
        raise ConfigError(msg)
    return f"{job.cron.five_fields()} {escaped}\n"


def timer_text(result: Mapping[str, Any]) -> str:
    """Files as `systemctl cat` shows them, and what else there is to say and do as comments: all of it is valid input.

    Args:
        result: what `pipelines.scheduling.schedule` returned.
    """
    states = result["states"]
    if states:
        lines = [f"# {path}: {state}" for path, state in states.items()]
    else:
        lines = [line for path, text in result["files"].items() for line in (f"# {path}", *text.splitlines(), "")]
    lines += [f"# next: {', '.join(result['next'])}, by this machine's clock", "# to put it to work:"]
    lines += [f"#   {command}" for command in result["commands"]]
    if result["variables"]:
        lines.append(
            f"# the stack reads {', '.join(result['variables'])}: NAME=value lines in {result['environment_file']}"
        )
    return "\n".join(lines) + "\n"
