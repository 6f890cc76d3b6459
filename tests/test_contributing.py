"""What the texts show is done as it stands there, in a copy of the project: a new alert (CONTRIBUTING.md), and another
application beside SoftFactory's (the guide).
"""

import json
import subprocess
import sys
from pathlib import Path

import pytest
import yaml

from rules.metrics import MetricFamily, MetricsInventory, to_text
from tests.checkers import ROOT, overrides
from tests.e2e.conftest import copy_project
from tests.unit.test_guide import blocks

pytestmark = pytest.mark.engine

PAGE = ROOT / "CONTRIBUTING.md"
END = "\n)\n"  # of the file's ALERTS, its last line
CASES = "tests/promtool/redis.test.yaml"
NEXT_ROW = '        .with_row(Row("What is lost?"))\n'  # of dashboards/redis.py, after the row that gets the panel
# The unit tests that read rules, dashboards or texts; the others do not notice an alert more.
UNIT_TESTS = [
    f"tests/unit/test_{name}.py"
    for name in (
        *("catalogue", "checks", "columns", "dashboard_checks", "dashboards", "guide", "health", "layout", "losses"),
        *("names", "plan", "program", "render", "routes", "routing", "rules", "truth"),
    )
]
# What the guide leaves to whoever follows it: the cases of its two alerts. billing-1 is down, or fails too often;
# billing-2 is up, and right at the threshold.
BILLING = """
rule_files: [../../out/dev/prometheus/rules/billing.yml]
evaluation_interval: 15s

tests:
  - name: BillingDown fires for the machine whose scrape has failed for two minutes, and not because of another job
    interval: 15s
    input_series:
      - { series: 'up{job="billing",instance="billing-1"}', values: "1x19 0x20" } # fails from 5m on
      - { series: 'up{job="billing",instance="billing-2"}', values: "1x40" }
      - { series: 'up{job="other",instance="elsewhere"}', values: "0x40" }
    alert_rule_test:
      - { eval_time: 6m45s, alertname: BillingDown }
      - eval_time: 7m
        alertname: BillingDown
        exp_alerts:
          - exp_labels: { severity: critical, service: billing, instance: billing-1 }
            exp_annotations:
              summary: "billing-1: billing is unreachable"
              description: "Billing's metrics cannot be read, or it is gone: no invoices are made."
              runbook_url: docs/runbooks/billing.md#billingdown
              dashboard_url: http://127.0.0.1:3000/d/overview

  - name: BillingDown fires where Prometheus has no target of the job
    interval: 15s
    input_series:
      - { series: 'up{job="other",instance="elsewhere"}', values: "1x40" }
    alert_rule_test:
      - { eval_time: 1m45s, alertname: BillingDown }
      - eval_time: 2m
        alertname: BillingDown
        exp_alerts:
          - exp_labels: { severity: critical, service: billing, job: billing, instance: billing (no target) }
            exp_annotations:
              summary: "billing (no target): billing is unreachable"
              description: "Billing's metrics cannot be read, or it is gone: no invoices are made."
              runbook_url: docs/runbooks/billing.md#billingdown
              dashboard_url: http://127.0.0.1:3000/d/overview

  - name: BillingFails fires at 2.1 %, not at 2 %, not because of another job, and no longer once the errors are over
    interval: 15s
    input_series:
      - series: 'billing_invoices_total{job="billing",instance="billing-1",result="failed"}'
        values: "0+21x60 1260x60" # until 15m
      - { series: 'billing_invoices_total{job="billing",instance="billing-1",result="made"}', values: "0+979x120" }
      - { series: 'billing_invoices_total{job="billing",instance="billing-2",result="failed"}', values: "0+20x120" }
      - { series: 'billing_invoices_total{job="billing",instance="billing-2",result="made"}', values: "0+980x120" }
      - { series: 'billing_invoices_total{job="other",instance="billing-1",result="failed"}', values: "0+1000x120" }
    alert_rule_test:
      - { eval_time: 10m, alertname: BillingFails } # a rate takes two samples
      - eval_time: 10m15s
        alertname: BillingFails
        exp_alerts:
          - exp_labels: { severity: warning, service: billing, instance: billing-1 }
            exp_annotations:
              summary: billing-1 fails to make 2.1% of the invoices
              description: More than 2 % of the invoices of the last 5 minutes could not be made.
              runbook_url: docs/runbooks/billing.md#billingfails
              dashboard_url: http://127.0.0.1:3000/d/overview
      - { eval_time: 15m30s, alertname: BillingFails }
"""


RUNBOOK = """
## {name}

{opening} Invoices wait.

**What it means.** Billing is down, or fails.

**See it.**

```promql
up{{job="billing"}}
```

**Do.**
1. Start it.

**Escalate** to its developers.
"""


def test_the_alert_that_the_text_shows_is_refused_until_it_is_complete_and_then_works(tmp_path: Path) -> None:
    folder = tmp_path / "softfactory"
    copy_project(folder)
    signal, alert, panel = blocks(PAGE, "python")
    (runbook,), (cases,) = blocks(PAGE, "markdown"), blocks(PAGE, "yaml")

    rules = folder / "rules/redis.py"
    text = rules.read_text(encoding="utf-8").replace("ALERTS = (", f"{signal}\nALERTS = (")
    assert text.endswith(END)
    rules.write_text(text.removesuffix(END) + "\n" + alert.rstrip("\n") + END, encoding="utf-8")
    refused = _render(folder)
    assert refused.returncode != 0
    for missing in (
        "no panel of dashboards/redis.py draws 'Blocked clients'",
        "docs/runbooks/redis.md has no heading `## RedisClientsPileUp`",
        "under `## RedisClientsPileUp` the first words must be `Warning, after 10 minutes.`",
        "under `## RedisClientsPileUp` the paragraphs must begin with **What it means.**",
        f"{CASES} has no case in which it fires",
        f"{CASES} has no case in which it keeps quiet",
    ):
        assert missing in refused.stderr

    dashboard = folder / "dashboards/redis.py"
    text = dashboard.read_text(encoding="utf-8")
    assert text.count(NEXT_ROW) == 1
    dashboard.write_text(text.replace(NEXT_ROW, panel + NEXT_ROW), encoding="utf-8")
    for path, more in (("docs/runbooks/redis.md", runbook), (CASES, cases)):
        with (folder / path).open("a", encoding="utf-8") as file:
            file.write(f"\n{more}")
    done = _render(folder)
    assert done.returncode == 0, done.stderr
    _python(folder, "-m", "ops", "routes", "--write")
    _python(folder, "-m", "tests.golden")
    _python(folder, "-m", "pytest", "-q", "-p", "no:cacheprovider", *UNIT_TESTS)
    _tools(folder, "redis.test or RedisClientsPileUp", passed=2)


def test_another_application_is_watched_without_touching_the_nine(tmp_path: Path) -> None:
    folder = tmp_path / "softfactory"
    copy_project(folder)
    nine = folder / "out/prod/prometheus/rules/softfactory.yml"
    assert _render(folder, "prod").returncode == 0
    before = nine.read_bytes()

    guide = ROOT / "docs/guide.md"
    (module,) = (text for text in blocks(guide, "python") if "billing" in text)
    (targets,) = (yaml.safe_load(text)["scrape_targets"] for text in blocks(guide, "yaml") if "billing" in text)
    (folder / "rules/billing.py").write_text(module, encoding="utf-8")
    services = folder / "rules/__init__.py"
    services.write_text(
        services.read_text(encoding="utf-8")
        .replace("import alertmanager, api,", "import alertmanager, api, billing,")
        .replace("    grafana,\n)", "    grafana,\n    billing,\n)"),
        encoding="utf-8",
    )
    stack = folder / "stacks/prod.yaml"
    settings = yaml.safe_load(stack.read_text(encoding="utf-8"))
    settings.setdefault("scrape_targets", {})["billing"] = targets["billing"]
    stack.write_text(yaml.safe_dump(settings), encoding="utf-8")
    refused = _render(folder, "prod")
    assert refused.returncode != 0
    for missing in (
        "rules/billing.py: BillingDown: docs/runbooks/billing.md has no heading `## BillingDown`",
        "rules/billing.py: BillingFails: tests/promtool/billing.test.yaml has no case in which it fires",
        "rules/billing.py: BillingFails: reads billing_invoices_total, and there is no rules/metrics/billing.json",
    ):
        assert missing in refused.stderr

    openings = {"BillingDown": "Critical, after 2 minutes.", "BillingFails": "Warning, after 10 minutes."}
    (folder / "docs/runbooks/billing.md").write_text(
        "".join(RUNBOOK.format(name=name, opening=opening) for name, opening in openings.items()), encoding="utf-8"
    )
    (folder / "tests/promtool/billing.test.yaml").write_text(BILLING, encoding="utf-8")
    metric = MetricFamily(type="counter", help="Invoices.", labels=frozenset({"result"}))
    exposed = MetricsInventory(exporter="billing", version="1", metrics={"billing_invoices_total": metric})
    (folder / "rules/metrics/billing.json").write_text(to_text(exposed), encoding="utf-8")
    done = _render(folder, "prod")
    assert done.returncode == 0, done.stderr
    assert nine.read_bytes() == before
    assert "alert: BillingFails" in (nine.parent / "billing.yml").read_text(encoding="utf-8")
    # dev has no target of it, and the tests of its alerts run all the same; those of all mutants count what is excused.
    _tools(folder, "billing or prod or excused", passed=6)


def _render(folder: Path, stack: str = "dev") -> subprocess.CompletedProcess[str]:
    return subprocess.run(
        [sys.executable, "-m", "ops", "render", "--stack", stack, "--out", f"out/{stack}"],
        cwd=folder,
        capture_output=True,
        text=True,
        timeout=60,
        check=False,
    )


def _python(folder: Path, *arguments: str) -> None:
    done = subprocess.run(
        [sys.executable, *arguments], cwd=folder, capture_output=True, text=True, timeout=300, check=False
    )
    assert done.returncode == 0, done.stdout + done.stderr


def _tools(folder: Path, chosen: str, passed: int) -> None:
    """What `make test-rules` runs of the chosen alerts, in the copy and with this checkout's images."""
    (folder / ".local").mkdir()
    (folder / ".local/images.json").write_text(json.dumps(overrides()), encoding="utf-8")
    tests = ("tests/test_promtool.py", "tests/test_mutation.py")
    done = subprocess.run(
        [sys.executable, "-m", "pytest", "-q", "-p", "no:cacheprovider", *tests, "-k", chosen],
        cwd=folder,
        capture_output=True,
        text=True,
        timeout=300,
        check=False,
    )
    assert done.returncode == 0 and f"{passed} passed" in done.stdout, done.stdout + done.stderr
