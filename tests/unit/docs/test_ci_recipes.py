"""The CI recipes in docs/ci: their formats by the published schemas, their rights by zizmor, their commands by ours."""

from __future__ import annotations

import re
import shlex
import subprocess
import sys
from pathlib import Path
from typing import Any

import click
import pytest
import yaml
from check_jsonschema.cli import main as check_jsonschema
from click.testing import CliRunner, Result

import run
from deployers.__main__ import cli as deployers

CHECKOUT = Path(__file__).resolve().parents[3]
FOLDER = CHECKOUT / "docs" / "ci"
GITHUB, GITLAB = FOLDER / "github-actions.yml", FOLDER / "gitlab-ci.yml"
SCHEMAS = [
    (GITHUB, "vendor.github-workflows"),
    (GITHUB, "custom.github-workflows-require-timeout"),
    (GITLAB, "vendor.gitlab-ci"),
]
BIN = Path(sys.executable).parent
CLICK = {(".venv/bin/python", "run.py"): run.cli, (".venv/bin/python", "-m", "deployers"): deployers}
SHELL = {"set", "umask", "mkdir", "rm", "base64", "tar", "tee", "apt-get", "git"}


def against_schema(path: Path, schema: str) -> Result:
    """In this process: starting the linter takes seconds, running it a tenth of one."""
    return CliRunner().invoke(check_jsonschema, ["--builtin-schema", schema, str(path)])


def audited(path: Path) -> subprocess.CompletedProcess[str]:
    command = [BIN / "zizmor", "--offline", "--no-config", "--no-progress", "--persona=auditor", path]
    return subprocess.run(command, check=False, capture_output=True, text=True, timeout=120)


@pytest.mark.parametrize(("recipe", "schema"), SCHEMAS)
def test_a_recipe_is_what_its_platform_reads(recipe: Path, schema: str) -> None:
    done = against_schema(recipe, schema)
    assert done.exit_code == 0, done.output


@pytest.mark.parametrize(
    ("recipe", "schema", "before", "after"),
    [
        (GITHUB, "vendor.github-workflows", "    runs-on: ubuntu-24.04\n", ""),
        (GITHUB, "vendor.github-workflows", "required", None),
        (GITHUB, "vendor.github-workflows", "  contents: read", "  contents: look"),
        (GITHUB, "vendor.github-workflows", "    needs: full", "    need: full"),
        (GITHUB, "custom.github-workflows-require-timeout", "    timeout-minutes: 30\n", ""),
        (GITLAB, "vendor.gitlab-ci", "      when: manual", "      when: by-hand"),
        (GITLAB, "vendor.gitlab-ci", "  interruptible: true", "  interruptible: often"),
        (GITLAB, "vendor.gitlab-ci", "  needs: [full]", "  need: [full]"),
    ],
)
def test_a_broken_recipe_is_refused(tmp_path: Path, recipe: Path, schema: str, before: str, after: str | None) -> None:
    text = recipe.read_text(encoding="utf-8")
    broken = tmp_path / recipe.name
    broken.write_text("- no mapping\n" if after is None else text.replace(before, after), encoding="utf-8")
    assert before in text
    assert broken.read_text(encoding="utf-8") != text
    assert against_schema(broken, schema).exit_code == 1


def test_zizmor_finds_nothing_in_the_workflow() -> None:
    done = audited(GITHUB)
    assert done.returncode == 0, done.stdout
    assert "No findings" in done.stdout


@pytest.mark.parametrize(
    ("before", "after", "audit"),
    [
        ("permissions: {}", "permissions: write-all", "excessive-permissions"),
        ("persist-credentials: false", "persist-credentials: true", "artipacked"),
        ("make imports", "echo ${{ github.event.pull_request.title }}", "template-injection"),
        ("  pull_request:\n", "  pull_request_target:\n", "dangerous-triggers"),
        ("    environment: production", "    name: x", "secrets-outside-env"),
        (" # zizmor: ignore[unpinned-uses]", "", "unpinned-uses"),
    ],
)
def test_zizmor_finds_what_is_put_in(tmp_path: Path, before: str, after: str, audit: str) -> None:
    text = GITHUB.read_text(encoding="utf-8")
    changed = re.sub(r"^ *name: Champion.*\n", "", text, flags=re.MULTILINE) if "name: x" in after else text
    broken = tmp_path / GITHUB.name
    broken.write_text(changed.replace(before, after), encoding="utf-8")
    assert before in text
    done = audited(broken)
    assert done.returncode != 0
    assert audit in done.stdout


def scripts(recipe: Path) -> list[str]:
    """Every shell script of a recipe."""
    content = yaml.safe_load(recipe.read_text(encoding="utf-8"))
    if "jobs" in content:
        return [step["run"] for job in content["jobs"].values() for step in job["steps"] if "run" in step]
    parts = [part for part in content.values() if isinstance(part, dict)]
    return [line for part in parts for key in ("before_script", "script", "after_script") for line in part.get(key, [])]


def commands(recipe: Path) -> list[list[str]]:
    """Every simple command of these scripts as its words, without variables set in front and redirections."""
    lines = [line for text in scripts(recipe) for line in text.replace("\\\n", " ").splitlines()]
    found = []
    for line in lines:
        lexer = shlex.shlex(re.sub(r"<<<\S+", "", line), posix=True, punctuation_chars="|;&")
        lexer.whitespace_split = True
        words: list[str] = []
        for word in [*lexer, "|"]:
            if set(word) <= set("|;&"):
                found.append(words)
                words = []
            elif words or not re.fullmatch(r"\w+=.*", word):
                words.append(word)
    return found


def targets() -> set[str]:
    """The targets of the Makefile by make's own data base."""
    done = subprocess.run(
        ["make", "--print-data-base", "--question", "--no-builtin-rules", ".DEFAULT"],
        cwd=CHECKOUT,
        check=False,
        capture_output=True,
        text=True,
        timeout=60,
    )
    phony = re.search(r"^\.PHONY: (.*)$", done.stdout, flags=re.MULTILINE)
    assert phony, done.stderr
    return set(phony[1].split())


def parsed(group: click.Group, words: list[str]) -> dict[str, Any]:
    """What click makes of a command's words; it raises for an option or a value that is none."""
    name, command, rest = group.resolve_command(click.Context(group), words)
    assert command is not None
    return command.make_context(name, rest).params


def program(words: list[str]) -> tuple[click.Group, list[str]] | None:
    for start, group in CLICK.items():
        if tuple(words[: len(start)]) == start:
            return group, words[len(start) :]
    return None


@pytest.mark.parametrize("recipe", [GITHUB, GITLAB], ids=["github", "gitlab"])
def test_every_command_of_a_recipe_exists_with_its_options(recipe: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.chdir(CHECKOUT)
    seen = set()
    for words in commands(recipe):
        if called := program(words):
            parsed(*called)
            seen.add((called[0].name, called[1][0]))
        elif words[0] == "make" and words[1] != "-C":
            assert words[1] in targets(), words
            seen.add(("make", words[1]))
        elif words[0] == "make":
            assert re.search(rf"^{words[3]}:", (CHECKOUT / words[2] / "Makefile").read_text(), flags=re.MULTILINE)
        else:
            assert words[0] in SHELL or (CHECKOUT / words[0]).is_file(), words
    assert {("cli", "all"), ("cli", "show"), ("cli", "deploy"), ("cli", "setup")} <= seen
    assert {("make", "setup"), ("make", "imports"), ("make", "test")} <= seen


@pytest.mark.parametrize(
    "words",
    [
        ["run.py", "all", "--stak", "local"],
        ["run.py", "everything"],
        ["run.py", "all", "--seed", "-1"],
        ["-m", "deployers", "deploy", "--max-failures", "some"],
        ["-m", "deployers", "deploy", "--canary"],
    ],
)
def test_a_command_that_does_not_exist_is_noticed(words: list[str]) -> None:
    called = program([".venv/bin/python", *words])
    assert called is not None
    with pytest.raises(click.ClickException):
        parsed(*called)


def test_targets_are_those_of_make() -> None:
    assert {"setup", "test", "imports"} <= targets()
    assert "nothing-of-the-kind" not in targets()


def test_deployment_waits_for_a_person_and_nobody_else_has_its_secrets() -> None:
    github, gitlab = (yaml.safe_load(recipe.read_text(encoding="utf-8")) for recipe in (GITHUB, GITLAB))
    deploy = github["jobs"]["deploy"]
    assert deploy["environment"] == "production"
    assert (deploy["needs"], deploy["permissions"]) == ("full", {"contents": "read"})
    assert "EDGELOOP_SITE" not in str({name: job for name, job in github["jobs"].items() if name != "deploy"})
    assert all("secrets." not in str(step) for step in github["jobs"]["smoke"]["steps"])
    assert [rule["when"] for rule in gitlab["deploy"]["rules"]] == ["manual"]
    assert gitlab["deploy"]["environment"]["name"] == "production"
    assert "EDGELOOP_SITE" not in str({name: job for name, job in gitlab.items() if name != "deploy"})


@pytest.mark.parametrize("recipe", [GITHUB, GITLAB], ids=["github", "gitlab"])
def test_what_a_recipe_reads_from_its_platform_is_in_the_readme(recipe: Path) -> None:
    told = (FOLDER / "README.md").read_text(encoding="utf-8")
    text = "\n".join(line.partition(" #")[0] for line in recipe.read_text(encoding="utf-8").splitlines())
    names = set(re.findall(r"(?:secrets|vars)\.(\w+)", text)) | set(re.findall(r"\$(EDGELOOP_\w+)", text))
    assert len(names) >= 3
    assert names - set(re.findall(r"`(\w+)`", told)) == set()
