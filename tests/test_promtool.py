"""What promtool says of the rendered files, and whether the alerts fire and keep quiet where they must.

tests/promtool/<service>.test.yaml holds the cases. That they can fail is shown in test_mutation.py.
"""

from typing import Any

import pytest
import yaml

from desired_state import build_desired_state
from tests.checkers import ROOT, STACKS, Checker, evaluation_interval, rendered, rendered_rules
from tests.unit.factories import settings

pytestmark = pytest.mark.engine

RULES = "out/dev/prometheus/rules/softfactory.yml"  # as the cases name it
CASES = {path.name: path.read_text(encoding="utf-8") for path in sorted((ROOT / "tests/promtool").glob("*.test.yaml"))}


@pytest.mark.parametrize("stack", STACKS)
def test_promtool_accepts_the_configuration(promtool: Checker, stack: str) -> None:
    files = rendered(stack)
    configuration = f"out/{stack}/prometheus/prometheus.yml"
    # In the container of a stack the rules lie behind the link to the live release.
    files[configuration] = files[configuration].replace("/etc/prometheus/current/", "")
    result = promtool.run("check", "config", "--lint=all", "--lint-fatal", configuration, files=files)
    assert result.exit_code == 0, result.output
    there = sum("/prometheus/rules/" in path for path in files)
    assert f"{there} rule files found" in result.output


@pytest.mark.parametrize("stack", STACKS)
def test_promtool_accepts_every_rule_file(promtool: Checker, stack: str) -> None:
    files = {path: text for path, text in rendered(stack).items() if "/prometheus/rules/" in path}
    result = promtool.run("check", "rules", "--lint=all", "--lint-fatal", *files, files=files)
    assert result.exit_code == 0, result.output


def test_promtool_refuses_a_configuration_that_is_wrong(promtool: Checker) -> None:
    files = {path: text.replace("(instance)", "(instance") for path, text in rendered("dev").items()}
    result = promtool.run("check", "rules", RULES, files=files)
    assert result.exit_code != 0
    assert "could not parse expression" in result.output


@pytest.mark.parametrize("cases", CASES)
def test_the_alerts_fire_and_keep_quiet_as_the_cases_say(promtool: Checker, cases: str) -> None:
    files = _by_interval(cases)
    result = promtool.run("test", "rules", *files, files={**rendered_rules(), **files})
    assert result.exit_code == 0, result.output


def test_a_maintenance_window_is_an_alert_from_its_start_to_its_end(promtool: Checker) -> None:
    # promtool's clock begins in 1970, and it evaluates every step from there on: hence so early a window.
    window = {"matchers": ["service=redis"], "time_zone": "UTC", "comment": 'a "new" {{ Redis }}'}
    span = {"starts_at": "2000-01-01 12:00", "ends_at": "2000-01-02 00:00"}
    notifications = {"maintenance_windows": {"upgrade": {**window, **span}}}
    made = build_desired_state(settings(notifications=notifications))
    path = "rules/maintenance.yml"
    start, end = made.settings.notifications.maintenance_windows["upgrade"].bounds
    step = 4 * 3600
    assert start % step == end % step == 0
    (rule,) = yaml.safe_load(made.prometheus.files[path])["groups"][0]["rules"]
    alert = {
        "exp_labels": {"severity": "none", "service": "alertmanager", "window": "upgrade"},
        "exp_annotations": {
            **rule["annotations"],
            "description": 'a "new" {{ Redis }}. Alerts that match service="redis" notify nobody.',
        },
    }
    expected = {start - step: [], start: [alert], end - step: [alert], end: []}
    questions = [
        {"eval_time": f"{time}s", "alertname": "MaintenanceWindow", "exp_alerts": alerts}
        for time, alerts in expected.items()
    ]
    tests = [{"interval": f"{step}s", "input_series": [], "alert_rule_test": questions}]
    content = {"rule_files": [path], "evaluation_interval": f"{step}s", "tests": tests}
    files = {path: made.prometheus.files[path], "maintenance.test.yaml": yaml.safe_dump(content)}
    lint = promtool.run("check", "rules", "--lint=all", "--lint-fatal", path, files=files)
    assert lint.exit_code == 0, lint.output
    result = promtool.run("test", "rules", "maintenance.test.yaml", files=files)
    assert result.exit_code == 0, result.output


def _by_interval(cases: str) -> dict[str, str]:
    """A file of cases as files by path, one for each interval at which its cases are evaluated."""
    content = yaml.load(CASES[cases], Loader=yaml.CSafeLoader)
    found: dict[float, list[dict[str, Any]]] = {}
    for case in content["tests"]:
        found.setdefault(evaluation_interval(content, case), []).append(case)
    return {
        f"tests/promtool/{interval:.0f}s.{cases}": yaml.dump(
            {**content, "evaluation_interval": f"{interval:.0f}s", "tests": tests}, Dumper=yaml.CSafeDumper
        )
        for interval, tests in found.items()
    }
