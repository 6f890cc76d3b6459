"""The make commands pass on what the commands behind them say: exit codes, plans, and facts for a program."""

import json
import os
import shutil
import subprocess
from pathlib import Path

import pytest

from tests.checkers import ROOT

PULUMI = """#!/bin/sh
echo "$*" >> {folder}/told
echo 'warning: using pulumi-resource-docker from $PATH'
echo 'error: resource api-secrets violates plan: properties changed: ~~uploads[{{planted}}!={{[secret]}}]' >&2
echo 'Resources:'
case "$*" in *event-log*) echo '{ended}' > .local/events.json ;; esac
exit ${{PULUMI_EXIT:-0}}
"""
ENDED = {"isPreview": False, "result": "failed", "durationSeconds": 1, "resourceChanges": {"same": 1}}
PYTHON = """#!/bin/sh
case "$*" in
'-m ops summarize-events .local/events.json') printf '{"stack": "%s", "of": %s}' "$STACK" "$(cat .local/events.json)" ;;
*rotate-secret*) cat ;;
esac
exit ${OPS_EXIT:-0}
"""


@pytest.fixture
def folder(tmp_path: Path) -> Path:
    """A checkout of the Makefile alone, with a set-up that has nothing to do and commands that say what they got."""
    shutil.copy(ROOT / "Makefile", tmp_path)
    for name, text in {
        "supply/setup": "#!/bin/sh\ncat >/dev/null\n",
        "bin/pulumi": PULUMI.format(folder=tmp_path, ended=json.dumps({"summaryEvent": ENDED})),
        "bin/python": PYTHON,
        ".venv/bin/python": PYTHON,
        ".local/env": f"PATH='{tmp_path}/bin':$PATH\n",
    }.items():
        (tmp_path / name).parent.mkdir(parents=True, exist_ok=True)
        (tmp_path / name).write_text(text, encoding="utf-8")
        (tmp_path / name).chmod(0o755)
    return tmp_path


def make(folder: Path, *arguments: str, stdin: str = "", **environment: str) -> "subprocess.CompletedProcess[str]":
    variables = {key: value for key, value in os.environ.items() if key not in ("STACK", "MAKEFLAGS", "MAKELEVEL")}
    return subprocess.run(
        ["make", *arguments],
        cwd=folder,
        env={**variables, "PYTHONPATH": str(ROOT), **environment},
        input=stdin,
        capture_output=True,
        text=True,
        timeout=60,
        check=False,
    )


def told(folder: Path) -> list[str]:
    return (folder / "told").read_text(encoding="utf-8").splitlines()


CHECKS = ("ruff", "mypy", "lint-imports")


@pytest.fixture
def tools(folder: Path) -> Path:
    """The same, with the tools of `make check unit`; mypy and pytest end well only when both have begun."""
    wait = "for _ in 1 2 3 4 5 6 7 8 9 10; do [ -e {other} ] && exit ${{{me}_EXIT:-0}}; sleep 0.5; done; exit 1"
    for name, text in {
        **dict.fromkeys(CHECKS, "echo checked"),
        "mypy": f"touch mypy; echo said; {wait.format(me='MYPY', other='pytest')}",
        "pytest": f"touch pytest; echo tested; {wait.format(me='PYTEST', other='mypy')}",
    }.items():
        tool = folder / ".venv/bin" / name
        tool.write_text(f"#!/bin/sh\n{text}\n", encoding="utf-8")
        tool.chmod(0o755)
    return folder


def test_checks_and_unit_tests_run_at_the_same_time_and_whole(tools: Path) -> None:
    done = make(tools, "check", "unit")
    assert done.returncode == 0, done.stdout + done.stderr
    lines = [line for line in done.stdout.splitlines() if not line.startswith(".venv")]
    assert sorted(lines) == ["checked", "checked", "checked", "said", "tested"]


@pytest.mark.parametrize("fails", ["MYPY", "PYTEST"])
def test_check_and_unit_fail_where_one_of_them_does(fails: str, tools: Path) -> None:
    assert make(tools, "check", "unit", **{f"{fails}_EXIT": "1"}).returncode != 0


@pytest.mark.parametrize("stack", ["dev", "prod"])
@pytest.mark.parametrize("command", ["up", "preview", "down"])
def test_what_pulumi_fails_with_fails_the_command(command: str, stack: str, folder: Path) -> None:
    assert make(folder, command, f"STACK={stack}").returncode == 0
    assert make(folder, command, f"STACK={stack}", PULUMI_EXIT="7").returncode != 0


@pytest.mark.parametrize("command", ["up", "down", "health", "render", "rotate-secret", "recover"])
def test_what_our_own_commands_fail_with_fails_the_command(command: str, folder: Path) -> None:
    assert make(folder, command).returncode == 0
    assert make(folder, command, OPS_EXIT="1").returncode != 0


def test_the_dev_stack_is_made_without_questions_and_another_one_is_not(folder: Path) -> None:
    make(folder, "up")
    make(folder, "up", "STACK=prod")
    make(folder, "down", "STACK=prod", "PLAN=out/prod.plan")
    assert [line.split() for line in told(folder)] == [
        ["up", "--stack", "dev", "--yes", "--skip-preview"],
        ["up", "--stack", "prod"],
        ["destroy", "--stack", "prod"],
    ]


@pytest.mark.parametrize("stack", ["dev", "prod"])
def test_an_approved_plan_is_saved_and_then_applied_without_questions(stack: str, folder: Path) -> None:
    make(folder, "preview", f"STACK={stack}", "PLAN=out/approved.plan")
    make(folder, "up", f"STACK={stack}", "PLAN=out/approved.plan")
    assert told(folder) == [
        f"preview --stack {stack} --save-plan out/approved.plan",
        f"up --stack {stack} --yes --skip-preview --plan out/approved.plan",
    ]
    assert (folder / "out").is_dir()


@pytest.mark.parametrize("stack", ["dev", "prod"])
def test_a_refused_plan_fails_and_the_values_in_it_are_not_shown(stack: str, folder: Path) -> None:
    done = make(folder, "up", f"STACK={stack}", "PLAN=out/approved.plan", PULUMI_EXIT="255")
    assert done.returncode != 0
    assert "error: resource api-secrets violates plan\n" in done.stdout + done.stderr
    seen = done.stdout + done.stderr + "".join(path.read_text() for path in (folder / ".local").iterdir())
    assert "planted" not in seen


def test_a_preview_can_be_told_to_expect_no_change(folder: Path) -> None:
    make(folder, "preview", "EXPECT=no-changes")
    assert told(folder) == ["preview --stack dev --expect-no-changes"]


@pytest.mark.parametrize("exit_code", ["0", "1"])
@pytest.mark.parametrize("command", ["preview", "up"])
def test_facts_for_a_program_are_written_however_it_ended(command: str, exit_code: str, folder: Path) -> None:
    done = make(folder, command, "JSON=out/facts.json", PULUMI_EXIT=exit_code)
    assert (done.returncode == 0) is (exit_code == "0")
    assert "--event-log .local/events.json" in told(folder)[0]
    facts = json.loads((folder / "out/facts.json").read_text(encoding="utf-8"))
    assert facts == {"stack": "dev", "of": {"summaryEvent": ENDED}}
    assert not (folder / ".local/events.json").exists()


def test_a_secrets_value_comes_through_standard_input(folder: Path) -> None:
    assert make(folder, "rotate-secret", "SECRET=webhook_url", stdin="the value\n").stdout == "the value\n"
