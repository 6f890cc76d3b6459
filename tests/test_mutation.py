"""The alerts' cases can fail: each rule is put wrong in every way that it has, and a case must notice.

The rules are those of `make render STACK=dev`. One run of promtool per alert judges all its mutants, and the rule
itself as a control. A mutant that no case notices shows a case that is missing, or stands in EXCUSED with the proof
that it behaves as the rule does.
"""

from collections.abc import Callable, Iterator, Mapping
from functools import cache
from itertools import chain
from typing import Any, Final
from xml.etree import ElementTree

import pytest
import yaml

from rules import ALERTS
from rules.model import Alert, Unit
from stacks.values import seconds
from tests.checkers import ROOT, Checker, rendered
from tests.mutants import Mutant, mutants, printed

pytestmark = pytest.mark.engine

API: Final = 'job="softfactory-api"'
REQUESTS: Final = "http_requests_total"
NO_ERRORS: Final = f"0 * sum by (instance)(rate({REQUESTS}{{{API}}}[5m]))"
# Alert and mutant, as a failing test names it, to the proof that no sample can tell it from the rule.
EXCUSED: Final[Mapping[tuple[str, str], str]] = {
    ("HighErrorRate", f"without `or {NO_ERRORS}`"): "no ratio and a ratio of 0 are both not over 5 %",
    (
        "HighErrorRate",
        f"{REQUESTS} without {API} #2",
    ): "0 times a rate is 0, and only this job's instances divide it",
    ("SlowQueries", "> 5.5"): "the floor makes whole numbers, and those over 5 are those over 5.5",
}
SHARE: Final = 0.05  # of all mutants, that may be excused
CONTROL: Final = "nothing"


@pytest.mark.parametrize("alert", ALERTS, ids=lambda alert: str(alert.name))
def test_the_cases_notice_whatever_is_wrong_with_an_alert(promtool: Checker, alert: Alert) -> None:
    wrong = _mutants_of(alert)
    assert wrong, "there is nothing in it that could be wrong"
    survivors = _survivors(promtool, alert.name, wrong)
    assert CONTROL in survivors, "its cases fail on the rule as it is"
    excused = {mutant.what for mutant in wrong if mutant.equivalent or (alert.name, mutant.what) in EXCUSED}
    unnoticed, noticed = sorted(survivors - {CONTROL} - excused), sorted(excused - survivors)
    assert not unnoticed, "\n  ".join(("no case notices these:", *unnoticed))
    assert not noticed, "\n  ".join(("a case notices these, so they need no excuse:", *noticed))


def test_few_mutants_are_excused(record_property: Callable[[str, object], None]) -> None:
    wrong = {(alert.name, mutant.what): mutant for alert in ALERTS for mutant in _mutants_of(alert)}
    assert sorted(EXCUSED.keys() - wrong.keys()) == [], "these are excused, but are no mutants"
    by_rule = sum(mutant.equivalent for mutant in wrong.values())
    figures = f"{len(wrong)} of {len(ALERTS)} alerts, {len(EXCUSED)} excused by hand, {by_rule} by rule"
    record_property("mutants", figures)
    assert len(EXCUSED) + by_rule <= SHARE * len(wrong), figures


def _mutants_of(alert: Alert) -> tuple[Mutant, ...]:
    files = _cases(alert.name).values()
    interval = min(seconds(content["evaluation_interval"]) for content in files if _fires(content))
    signals = [condition.signal for condition in chain((alert.when, *alert.also), *alert.or_when)]
    yes_no = [f"({signal.for_rule()})" for signal in signals if signal.unit is Unit.UP]
    return mutants(_rule(alert.name), interval, yes_no)


def _survivors(promtool: Checker, name: str, wrong: tuple[Mutant, ...]) -> set[str]:
    """What is wrong with the mutants that pass all cases of the alert; CONTROL where the rule itself does."""
    rule = _rule(name)
    tried = (Mutant(what=CONTROL, rule={**rule, "expr": printed(rule["expr"])}), *wrong)
    files: dict[str, str] = {}
    for number, mutant in enumerate(tried):
        contents = {**_rule_files(name, mutant.rule), **_cases(name)}
        files |= {f"{number}/{path}": yaml.dump(content, Dumper=yaml.CSafeDumper) for path, content in contents.items()}
    tests = [path for path in files if path.endswith(".test.yaml")]
    result = promtool.run("test", "rules", "--junit=/dev/stdout", *tests, files=files)
    assert "</testsuites>" in result.stdout, result.output
    noticed = {int(path.partition("/")[0]) for path in _failed(result.stdout)}
    return {mutant.what for number, mutant in enumerate(tried) if number not in noticed}


def _failed(report: str) -> Iterator[str]:
    """The test files with a case that fails, of a JUnit report that follows promtool's own words."""
    for suite in ElementTree.fromstring(report[report.index("<testsuites") :]):
        for failure in suite.iter("failure"):
            said = failure.text or ""
            # Not what promtool says of a file that it cannot read: a case has another answer, or the rule has none.
            assert "alertname: " in said or ", err: " in said, said
            yield suite.attrib["name"]


def _cases(name: str) -> dict[str, dict[str, Any]]:
    """The cases that ask for an alert, and nothing else in them, as files by their path.

    A case whose samples are a minute apart is evaluated each minute: a quarter of the work, which is hours of samples.
    """
    found: dict[str, dict[str, Any]] = {}
    for path, content in _all_cases().items():
        usual = seconds(content["evaluation_interval"])
        for case in content["tests"]:
            questions = [question for question in case.get("alert_rule_test", []) if question["alertname"] == name]
            if questions:
                interval = max(usual, min(seconds(case["interval"]), 60))
                rest = {**content, "evaluation_interval": f"{interval:.0f}s", "tests": []}
                file = found.setdefault(path.replace(".test.yaml", f".{interval:.0f}s.test.yaml"), rest)
                file["tests"].append({**case, "alert_rule_test": questions, "promql_expr_test": []})
    assert found, f"no case asks for {name}"
    return found


def _fires(content: Mapping[str, Any]) -> bool:
    return any(question.get("exp_alerts") for case in content["tests"] for question in case["alert_rule_test"])


def _rule_files(name: str, wrong: Mapping[str, Any]) -> dict[str, dict[str, Any]]:
    """The rule files, path to content, with no other alert and this one put wrong."""
    return {
        path: {"groups": [{**group, "rules": list(_with_one_alert(group["rules"], name, wrong))} for group in groups]}
        for path, groups in _all_groups().items()
    }


def _with_one_alert(rules: list[dict[str, Any]], name: str, wrong: Mapping[str, Any]) -> Iterator[Mapping[str, Any]]:
    for rule in rules:
        if rule.get("alert") == name:
            yield wrong
        elif "record" in rule:
            yield rule


def _rule(name: str) -> dict[str, Any]:
    every = (rule for groups in _all_groups().values() for group in groups for rule in group["rules"])
    return next(rule for rule in every if rule.get("alert") == name)


@cache
def _all_groups() -> dict[str, list[dict[str, Any]]]:
    files = {path: text for path, text in rendered("dev").items() if "/prometheus/rules/" in path}
    return {path: yaml.load(text, Loader=yaml.CSafeLoader)["groups"] for path, text in files.items()}


@cache
def _all_cases() -> dict[str, dict[str, Any]]:
    paths = sorted((ROOT / "tests/promtool").glob("*.test.yaml"))
    return {
        f"tests/promtool/{path.name}": yaml.load(path.read_text(encoding="utf-8"), Loader=yaml.CSafeLoader)
        for path in paths
    }
