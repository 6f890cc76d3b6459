"""The new alert that CONTRIBUTING.md shows, applied to a copy of the project as it stands there."""

import subprocess
import sys
from pathlib import Path

import pytest

from tests.checkers import ROOT, Checker
from tests.e2e.conftest import copy_project
from tests.unit.test_guide import blocks

pytestmark = pytest.mark.engine

PAGE = ROOT / "CONTRIBUTING.md"
END = ")  # fmt: skip\n"  # of the file's ALERTS, its last line
CASES = "tests/promtool/redis.test.yaml"


def test_the_alert_that_the_text_shows_is_refused_until_it_is_complete_and_then_works(
    promtool: Checker, tmp_path: Path
) -> None:
    folder = tmp_path / "softfactory"
    copy_project(folder)
    signal, alert = blocks(PAGE, "python")
    (runbook,), (cases,) = blocks(PAGE, "markdown"), blocks(PAGE, "yaml")

    rules = folder / "rules/redis.py"
    text = rules.read_text(encoding="utf-8").replace("ALERTS = (", f"{signal}\nALERTS = (")
    assert text.endswith(END)
    rules.write_text(text.removesuffix(END) + alert + END, encoding="utf-8")
    refused = _render(folder)
    assert refused.returncode != 0
    for missing in (
        "docs/runbooks/redis.md has no heading `## RedisClientsPileUp`",
        f"{CASES} has no case in which it fires",
        f"{CASES} has no case in which it keeps quiet",
    ):
        assert missing in refused.stderr

    for path, more in (("docs/runbooks/redis.md", runbook), (CASES, cases)):
        with (folder / path).open("a", encoding="utf-8") as file:
            file.write(f"\n{more}")
    done = _render(folder)
    assert done.returncode == 0, done.stderr
    shown = {
        str(path.relative_to(folder)): path.read_text(encoding="utf-8")
        for path in (folder / CASES, *(folder / "out/dev/prometheus/rules").iterdir())
    }
    tried = promtool.run("test", "rules", CASES, files=shown)
    assert tried.exit_code == 0, tried.output


def _render(folder: Path) -> subprocess.CompletedProcess[str]:
    return subprocess.run(
        [sys.executable, "-m", "ops", "render", "--stack", "dev", "--out", "out/dev"],
        cwd=folder, capture_output=True, text=True, timeout=60, check=False,
    )  # fmt: skip
