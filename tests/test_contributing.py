"""What the texts show is done as it stands there, in a copy of the project: a new alert (CONTRIBUTING.md), and another
application beside SoftFactory's (the guide).
"""

import subprocess
import sys
from pathlib import Path

import pytest
import yaml

from rules.catalogue import Catalogue, Metric, to_text
from tests.checkers import ROOT, Checker
from tests.e2e.conftest import copy_project
from tests.unit.test_guide import blocks

PAGE = ROOT / "CONTRIBUTING.md"
END = ")  # fmt: skip\n"  # of the file's ALERTS, its last line
CASES = "tests/promtool/redis.test.yaml"


@pytest.mark.engine
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


def test_another_application_is_watched_without_touching_the_nine(tmp_path: Path) -> None:
    folder = tmp_path / "softfactory"
    copy_project(folder)
    nine = folder / "out/prod/prometheus/rules/softfactory.yml"
    assert _render(folder, "prod").returncode == 0
    before = nine.read_bytes()

    guide = ROOT / "docs/guide.md"
    (module,) = (text for text in blocks(guide, "python") if "billing" in text)
    (targets,) = (yaml.safe_load(text)["targets"] for text in blocks(guide, "yaml") if "billing" in text)
    (folder / "rules/billing.py").write_text(module, encoding="utf-8")
    subjects = folder / "rules/__init__.py"
    subjects.write_text(
        subjects.read_text(encoding="utf-8")
        .replace("import alertmanager, api,", "import alertmanager, api, billing,")
        .replace("alertmanager, grafana,\n)", "alertmanager, grafana, billing,\n)"),
        encoding="utf-8",
    )
    stack = folder / "stacks/prod.yaml"
    settings = yaml.safe_load(stack.read_text(encoding="utf-8"))
    settings["targets"]["billing"] = targets["billing"]
    stack.write_text(yaml.safe_dump(settings), encoding="utf-8")
    refused = _render(folder, "prod")
    assert refused.returncode != 0
    for missing in (
        "rules/billing.py: BillingDown: docs/runbooks/billing.md has no heading `## BillingDown`",
        "rules/billing.py: BillingFails: tests/promtool/billing.test.yaml has no case in which it fires",
        "rules/billing.py: BillingFails: reads billing_invoices_total, and there is no rules/catalogue/billing.json",
    ):
        assert missing in refused.stderr

    names = ("BillingDown", "BillingFails")
    (folder / "docs/runbooks/billing.md").write_text("".join(f"## {name}\n\n" for name in names), encoding="utf-8")
    fires = {"eval_time": "1m", "exp_alerts": [{}]}
    asked = [{"alertname": name, **question} for name in names for question in ({"eval_time": "1m"}, fires)]
    cases = yaml.safe_dump({"tests": [{"alert_rule_test": asked}]})
    (folder / "tests/promtool/billing.test.yaml").write_text(cases, encoding="utf-8")
    metric = Metric(type="counter", help="Invoices.", labels=frozenset({"result"}))
    exposed = Catalogue(exporter="billing", version="1", metrics={"billing_invoices_total": metric})
    (folder / "rules/catalogue/billing.json").write_text(to_text(exposed), encoding="utf-8")
    done = _render(folder, "prod")
    assert done.returncode == 0, done.stderr
    assert nine.read_bytes() == before
    assert "alert: BillingFails" in (nine.parent / "billing.yml").read_text(encoding="utf-8")


def _render(folder: Path, stack: str = "dev") -> subprocess.CompletedProcess[str]:
    return subprocess.run(
        [sys.executable, "-m", "ops", "render", "--stack", stack, "--out", f"out/{stack}"],
        cwd=folder, capture_output=True, text=True, timeout=60, check=False,
    )  # fmt: skip
