"""What promtool says of the rendered files, and whether the alerts fire and keep quiet where they must.

tests/promtool/<subject>.test.yaml holds the cases. That they can fail is shown too: each alert is put wrong in every
way that it has, and its cases must notice.
"""

from collections.abc import Iterator
from dataclasses import replace

import pytest
import yaml

from rules import ALERTS
from rules.model import Alert, Severity, Unit
from rules.render import rule_files
from tests.checkers import ROOT, STACKS, Checker, rendered

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
    path = f"tests/promtool/{cases}"
    result = promtool.run("test", "rules", path, files={**rendered("dev"), path: CASES[cases]})
    assert result.exit_code == 0, result.output


def test_the_cases_notice_whatever_is_wrong_with_an_alert(promtool: Checker) -> None:
    faults = {f"{alert.name}, {what}": wrong for alert in ALERTS for what, wrong in _faults(alert)}
    files: dict[str, str] = {}
    for number, (fault, wrong) in enumerate(faults.items()):
        rules = rule_files([wrong], "", "http://127.0.0.1:3000", ("overview", "api"))
        files |= {f"{number}/out/dev/prometheus/rules/{name}": text for name, text in rules.items()}
        files[f"{number}/tests/promtool/cases.test.yaml"] = _cases_of(wrong, fault)
    tests = [path for path in files if path.endswith(".test.yaml")]
    result = promtool.run("test", "rules", *tests, files=files)
    assert [fault for fault in faults if f"name: ({fault})" not in result.output] == [], "no case noticed these"


def _cases_of(alert: Alert, prefix: str) -> str:
    """The cases that ask for one alert, their names marked with a prefix."""
    cases = yaml.safe_load(CASES[f"{alert.subject}.test.yaml"])
    cases["tests"] = [
        {**case, "name": f"({prefix}) {case['name']}", "alert_rule_test": questions}
        for case in cases["tests"]
        if (questions := [test for test in case["alert_rule_test"] if test["alertname"] == alert.name])
    ]
    return yaml.safe_dump(cases)


def _faults(alert: Alert) -> Iterator[tuple[str, Alert]]:
    """The alert, wrong in every way that it can be, each with a word for it."""
    for factor in (0, 2) if alert.when.signal.unit is Unit.UP else (0.75, 1.25):
        yield f"threshold times {factor}", _reading(alert, threshold=alert.when.threshold * factor)
    yield "held too long", replace(alert, for_=f"{alert.for_}15s")
    yield "held too short", replace(alert, for_="30s")
    yield "of another severity", replace(alert, severity=next(s for s in Severity if s is not alert.severity))
    expr = alert.when.signal.expr
    if "$window" in expr:
        yield "looking too far back", _reading(alert, expr=expr, window="30m")
    if alert.or_absent:
        yield "blind to a target that is gone", replace(alert, or_absent=False)
    scrape, times, probe = expr.partition(" * ")
    if alert.or_absent and times:  # reachable() with a probe: scrape * (probe or 0 * scrape)
        yield "blind to the probe", _reading(alert, expr=scrape)
        yield "blind to the scrape", _reading(alert, expr=probe.partition(" or ")[0].removeprefix("("))


def _reading(alert: Alert, threshold: float | None = None, expr: str = "", window: str = "") -> Alert:
    signal = alert.when.signal
    signal = replace(signal, expr=expr or signal.expr, window=window or signal.window)
    return replace(
        alert,
        when=replace(alert.when, signal=signal, threshold=alert.when.threshold if threshold is None else threshold),
    )
