"""Units and crontab lines: what is in them, how names with strange letters get there, and who reads them."""

from __future__ import annotations

import shutil
import subprocess
from pathlib import Path

import pytest

from forecaster.errors import ConfigError, ServiceUnavailable
from pipelines import timers
from pipelines.cron import parse
from pipelines.timers import Job, default_format, files, install, timer_text, write

STRANGE = """--source=a'b "c" $HOME 100% ;"""
# What a program started by the job writes down: itself, its folder, its home, the file's variable, its words.
PROGRAM = r"""#!/bin/sh
printf '%s|' "$0" "$PWD" "$EDGELOOP_HOME" "$FROM_FILE" "$@"
"""


def job(folder: Path, *words: str, name: str = "edgeloop-all-local", cron: str = "0 3 * * *") -> Job:
    return Job(name, (str(folder / "python"), "run.py", *words), folder, folder, parse(cron))


@pytest.fixture
def strange(tmp_path: Path) -> Path:
    """A folder with a space, a percent sign and a dollar in its name, and the program and variables in it."""
    folder = tmp_path / "50%hours of $them"
    folder.mkdir()
    (folder / "python").write_text(PROGRAM)
    (folder / "python").chmod(0o755)
    (folder / "schedule.env").write_text("FROM_FILE='from the file'\n")
    return folder


def test_a_service_runs_the_command_where_it_was_scheduled() -> None:
    service = files(job(Path("/srv/edge"), "all", "--stack=local"), "systemd")["edgeloop-all-local.service"]
    assert service.splitlines()[0] == timers.WRITTEN_BY
    settings = [line.partition("=")[::2] for line in service.splitlines() if "=" in line]
    assert dict(settings) == {
        "Description": "edgeloop: edgeloop-all-local",
        "Type": "oneshot",
        "WorkingDirectory": "/srv/edge",
        "Environment": "EDGELOOP_HOME=/srv/edge",
        "EnvironmentFile": "-/srv/edge/schedule.env",
        "ExecStart": ":/srv/edge/python run.py all --stack=local",
        "Nice": "10",
    }


def test_a_timer_has_an_event_for_each_way_a_day_fits() -> None:
    timer = files(job(Path("/srv"), cron="0 3 1 * mon"), "systemd")["edgeloop-all-local.timer"]
    events = [line for line in timer.splitlines() if line.startswith("OnCalendar=")]
    assert events == ["OnCalendar=*-*-1 3:0:00", "OnCalendar=Mon *-*-* 3:0:00"]
    assert "Persistent=true\n" in timer
    assert "WantedBy=timers.target\n" in timer


def test_a_program_whose_name_systemd_would_refuse_is_started_by_env(tmp_path: Path) -> None:
    folder = tmp_path / "it's"
    folder.mkdir()
    planned = job(folder, "all")
    assert (
        f'ExecStart=:/usr/bin/env "{folder}/python" run.py all\n'
        in files(planned, "systemd")[f"{planned.name}.service"]
    )


def test_specifiers_quotes_and_backslashes_are_escaped_in_units() -> None:
    service = files(job(Path("/a b/50%"), 'x"\\%h$y'), "systemd")["edgeloop-all-local.service"]
    assert "WorkingDirectory=/a b/50%%\n" in service
    assert 'Environment="EDGELOOP_HOME=/a b/50%%"\n' in service
    assert 'ExecStart=:"/a b/50%%/python" run.py "x\\"\\\\%%h$y"\n' in service


@pytest.mark.skipif(shutil.which("systemd-analyze") is None, reason="no systemd here: its package is systemd")
@pytest.mark.parametrize("cron", ["0 3 * * *", "*/7 1-5,9 1,15 jan-mar mon,thu"])
def test_systemd_accepts_the_units(strange: Path, tmp_path: Path, cron: str) -> None:
    write(files(job(strange, STRANGE, cron=cron), "systemd"), tmp_path / "units")
    done = verified(tmp_path / "units")
    assert (done.returncode, done.stderr) == (0, "")


@pytest.mark.skipif(shutil.which("systemd-analyze") is None, reason="no systemd here: its package is systemd")
@pytest.mark.parametrize(
    ("suffix", "before", "after", "told"),
    [
        ("service", "python", "pyth", "is not executable"),
        ("service", "50%%hours", "50%hours", "is not executable"),
        ("service", "Type=", "Sort=", "Unknown key 'Sort'"),
        ("timer", "*-*-* 3:0:00", "3 o'clock", "Failed to parse calendar specification"),
    ],
)
def test_systemd_notices_what_is_wrong(
    strange: Path, tmp_path: Path, suffix: str, before: str, after: str, told: str
) -> None:
    texts = files(job(strange), "systemd")
    name = f"edgeloop-all-local.{suffix}"
    assert before in texts[name]
    write({**texts, name: texts[name].replace(before, after)}, tmp_path / "units")
    assert told in verified(tmp_path / "units").stderr


def verified(folder: Path) -> subprocess.CompletedProcess[str]:
    """What systemd says of the units."""
    command = ["systemd-analyze", "verify", *sorted(folder.iterdir())]
    return subprocess.run(command, check=False, capture_output=True, text=True, timeout=60)


def test_the_command_of_a_cron_line_does_in_a_shell_what_it_should(strange: Path) -> None:
    (line,) = files(job(strange, STRANGE, "--set=x={1: 2}"), "cron").values()
    minute, hour, day, month, week, command = line.rstrip("\n").split(" ", 5)
    assert (minute, hour, day, month, week) == ("0", "3", "*", "*", "*")
    assert command.count("%") == command.count("\\%")  # a bare one ends the command, the rest is its input
    shell = command.replace("\\%", "%")  # as cron gives it to the shell
    subprocess.run(["/bin/sh", "-c", shell], check=True, env={"PATH": "/usr/bin:/bin"}, timeout=60)
    written = (strange / "edgeloop-all-local.log").read_text().rstrip("|").split("|")
    expected = [strange / "python", strange, strange, "from the file", "run.py", STRANGE, "--set=x={1: 2}"]
    assert written == [str(part) for part in expected]


def test_a_cron_line_does_without_the_file_of_variables(strange: Path) -> None:
    (strange / "schedule.env").unlink()
    (line,) = files(job(strange), "cron").values()
    command = line.split(" ", 5)[5].replace("\\%", "%")
    subprocess.run(["/bin/sh", "-c", command], check=True, env={"PATH": "/usr/bin:/bin"}, timeout=60)
    assert (strange / "edgeloop-all-local.log").read_text().split("|")[2:5] == [str(strange), "", "run.py"]


def test_cron_accepts_the_line(strange: Path, tmp_path: Path) -> None:
    """By Debian's crontab -n where it is there; the line's form holds anywhere."""
    (line,) = files(job(strange, STRANGE, cron="*/7 1-5,9 1,15 jan-mar mon,thu"), "cron").values()
    assert line.startswith("0,7,14,21,28,35,42,49,56 1-5,9 1,15 1-3 1,4 cd ")
    assert line.endswith(" # edgeloop: edgeloop-all-local\n")
    assert line.count("\n") == 1
    if crontab := shutil.which("crontab"):
        (tmp_path / "table").write_text(line)
        subprocess.run([crontab, "-n", tmp_path / "table"], check=True, capture_output=True, timeout=60)


@pytest.mark.parametrize("kind", ["systemd", "cron"])
@pytest.mark.parametrize("letter", ["\n", "\r", "\t", "\x7f", "\0"])
def test_control_characters_are_refused(kind: timers.Format, letter: str) -> None:
    with pytest.raises(ConfigError, match="has a control character, which neither a unit nor a crontab can hold"):
        files(job(Path("/srv"), f"--user=a{letter}b"), kind)


def test_a_backslash_is_for_systemd_only() -> None:
    with pytest.raises(
        ConfigError, match="has a backslash, which cron programs read differently: use --format systemd"
    ):
        files(job(Path("/srv"), "a\\b"), "cron")
    assert '"a\\\\b"' in files(job(Path("/srv"), "a\\b"), "systemd")["edgeloop-all-local.service"]
    with pytest.raises(ConfigError, match="ends with a backslash"):
        files(job(Path("/srv\\")), "systemd")


def test_a_line_that_cron_would_cut_is_refused() -> None:
    with pytest.raises(ConfigError, match=rf"bytes, cron takes {timers.LONGEST_LINE}: put the settings into a file"):
        files(job(Path("/srv"), *(f"--set=search.space.units=[{number}]" for number in range(40))), "cron")


def test_files_are_written_once_and_again_where_they_differ(tmp_path: Path) -> None:
    folder = tmp_path / "new" / "units"
    first = write(files(job(Path("/srv")), "systemd"), folder)
    assert set(first.values()) == {"created"}
    assert sorted(path.name for path in folder.iterdir()) == ["edgeloop-all-local.service", "edgeloop-all-local.timer"]
    assert set(write(files(job(Path("/srv")), "systemd"), folder).values()) == {"unchanged"}
    again = write(files(job(Path("/srv"), cron="0 4 * * *"), "systemd"), folder)
    assert [again[str(folder / f"edgeloop-all-local.{suffix}")] for suffix in ("service", "timer")] == [
        "unchanged",
        "updated",
    ]
    assert "4:0:00" in (folder / "edgeloop-all-local.timer").read_text()


@pytest.mark.parametrize(("kind", "name"), [("systemd", "ssh.service"), ("cron", "ssh.cron")])
def test_a_file_of_somebody_else_stays(tmp_path: Path, kind: timers.Format, name: str) -> None:
    (tmp_path / name).write_text("[Unit]\n")
    with pytest.raises(ConfigError, match=r"was not written by .* and stays: choose another --name"):
        write(files(job(Path("/srv"), name="ssh"), kind), tmp_path)
    assert (tmp_path / name).read_text() == "[Unit]\n"


def test_a_folder_that_cannot_be_written_is_told(tmp_path: Path) -> None:
    (tmp_path / "file").write_text("")
    with pytest.raises(ServiceUnavailable, match=r"cannot be written .*: give another one with --output"):
        write(files(job(Path("/srv")), "cron"), tmp_path / "file" / "units")


def test_a_line_replaces_the_one_of_its_name_in_a_crontab_and_no_other(tmp_path: Path) -> None:
    """The printed command is run with a crontab program that keeps its table in a file."""
    table, program = tmp_path / "table", tmp_path / "crontab"
    program.write_text(
        f'#!/bin/sh\n[ "$1" = -l ] && exec cat "{table}"\ncat > "{table}.new" && mv "{table}.new" "{table}"\n'
    )
    program.chmod(0o755)
    folder = tmp_path / "it's here"
    others = ["5 * * * * theirs # edgeloop: edgeloop-all-local-too", "@daily echo # mine"]
    table.write_text("\n".join(others) + "\n")
    for cron in ("0 3 * * *", "0 4 * * *", "0 4 * * *"):
        planned = job(Path("/srv"), cron=cron)
        write(files(planned, "cron"), folder)
        (command,) = install(planned, "cron", folder)
        subprocess.run(["/bin/sh", "-c", command], check=True, env={"PATH": f"{tmp_path}:/usr/bin:/bin"}, timeout=60)
    lines = table.read_text().splitlines()
    assert lines[:2] == others
    assert len(lines) == 3
    assert lines[2].startswith("0 4 * * * cd /srv && ")


def test_units_in_another_folder_are_linked() -> None:
    assert install(job(Path("/srv")), "systemd", Path("/a b")) == [
        "systemctl --user link --force '/a b/edgeloop-all-local'.service '/a b/edgeloop-all-local'.timer",
        "systemctl --user daemon-reload",
        "systemctl --user enable --now edgeloop-all-local.timer",
        "loginctl enable-linger",
    ]
    own = install(job(Path("/srv")), "systemd", Path.home() / ".config/systemd/user")
    assert own[0] == "systemctl --user daemon-reload"


@pytest.mark.parametrize(("booted", "expected"), [(True, "systemd"), (False, "cron")])
def test_systemd_is_taken_where_it_runs(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, booted: bool, expected: str
) -> None:
    monkeypatch.setattr(timers, "BOOTED", tmp_path if booted else tmp_path / "system")
    assert default_format() == expected


def test_what_is_printed_is_input_with_comments() -> None:
    planned = job(Path("/srv"))
    result = {
        "files": files(planned, "cron"),
        "states": {},
        "next": ["2026-11-23T03:00"],
        "commands": install(planned, "cron", None),
        "variables": ["MLFLOW_TRACKING_URI"],
        "environment_file": "/srv/schedule.env",
    }
    lines = timer_text(result).splitlines()
    assert [line for line in lines if line and not line.startswith("#")] == list(
        files(planned, "cron")["edgeloop-all-local.cron"].splitlines()
    )
    assert "# next: 2026-11-23T03:00, by this machine's clock" in lines
    assert "#   crontab -e, and add the line" in lines
    assert "# the stack reads MLFLOW_TRACKING_URI: NAME=value lines in /srv/schedule.env" in lines
    states = timer_text({**result, "states": {"/srv/x.cron": "created"}, "variables": []})
    assert "/srv/x.cron: created" in states
    assert "cd /srv" not in states
    assert "the stack reads" not in states
