"""promtool and amtool on PATH are used if they are those that the stacks run."""

from pathlib import Path

import pytest

from ops.capture_metrics import plain_version
from stacks.settings import load_settings
from tests import checkers
from tests.checkers import LocalChecker, checker, overrides

RUNS = """#!/bin/sh
case "$1" in
--version) echo "{program}, version {version} (branch: HEAD, revision: 0)" {to} ;;
*) echo "$*"; cat folder/file; echo wrong >&2; exit 3 ;;
esac
"""


def pinned(image: str) -> str:
    return plain_version(load_settings("dev", images=overrides()).images.reference(image).rpartition(":")[2])


def install(folder: Path, program: str, version: str, to: str = "") -> None:
    path = folder / program
    path.write_text(RUNS.format(program=program, version=version, to=to), encoding="utf-8")
    path.chmod(0o755)


@pytest.fixture
def on_path(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    monkeypatch.setenv("PATH", f"{tmp_path}:/usr/bin:/bin")
    monkeypatch.setattr(checkers, "ContainerChecker", lambda program, reference: ("container", program, reference))
    return tmp_path


@pytest.mark.parametrize("to", ["", ">&2"], ids=["stdout", "stderr"])
@pytest.mark.parametrize(("image", "program"), [("prometheus", "promtool"), ("alertmanager", "amtool")])
def test_a_program_of_the_pinned_version_is_run_from_path(image: str, program: str, to: str, on_path: Path) -> None:
    install(on_path, program, pinned(image), to)
    found = checker(image)
    assert isinstance(found, LocalChecker)
    done = found.run("check", "config", files={"folder/file": "text\n"})
    assert (done.exit_code, done.stdout, done.output) == (3, "check config\ntext\n", "check config\ntext\nwrong\n")
    asked = found.script(f"{program} one; {program} two", files={"folder/file": "text\n"})
    assert asked.stdout == "one\ntext\ntwo\ntext\n"


@pytest.mark.parametrize("version", ["0.0.1", "", "unknown"])
def test_a_program_of_another_version_is_left_alone(version: str, on_path: Path) -> None:
    install(on_path, "promtool", version)
    assert_of_the_image(checker("prometheus"))


def test_without_a_program_on_path_that_of_the_image_is_run(on_path: Path) -> None:
    assert_of_the_image(checker("prometheus"))


def assert_of_the_image(found: object) -> None:
    assert isinstance(found, tuple) and found[:2] == ("container", "promtool")
