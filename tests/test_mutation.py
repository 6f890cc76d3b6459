"""The alerts' cases can fail: each rule is put wrong in every way that it has, and a case must notice.

The rules are those of `make render STACK=dev`, with a target of every job. One run of promtool judges all mutants of an
alert, and the rule itself as a control: each is an alert with a name of its own, of which the same is asked, so the
samples are stored and the recordings evaluated once. A mutant that no case notices shows a case that is missing, or
stands in EXCUSED with the proof that it behaves as the rule does.
"""

import re
from collections.abc import Callable, Iterable, Iterator, Mapping, Sequence
from functools import cache
from itertools import chain, product
from typing import Any, Final
from xml.etree import ElementTree

import pytest
import yaml

from rules import ALERTS
from rules.model import Alert, Unit
from stacks.types import seconds
from tests.checkers import ROOT, Checker, evaluation_interval, rendered_rules
from tests.mutants import Mutant, metrics, mutants, printed

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
MANY: Final = 300  # evaluations in one case
FAILURE: Final = re.compile(r"alertname: (\w+), time: |rule: (\w+), time: .*, err: ")


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
    signals = [condition.signal for condition in chain((alert.when, *alert.and_conditions), *alert.or_conditions)]
    yes_no = [f"({signal.for_rule()})" for signal in signals if signal.unit is Unit.UP]
    return mutants(_rule(alert.name), interval, yes_no)


def _survivors(promtool: Checker, name: str, wrong: tuple[Mutant, ...]) -> set[str]:
    """What is wrong with the mutants that pass all cases of the alert; CONTROL where the rule itself does."""
    rule = _rule(name)
    control = Mutant(what=CONTROL, rule={**rule, "expr": printed(rule["expr"])})
    left = {f"{name}_{number}": mutant for number, mutant in enumerate((control, *wrong))}
    for path, content in sorted(_cases(name).items(), key=lambda file: _evaluations(file[1])):
        alerts = [{**mutant.rule, "alert": alias} for alias, mutant in left.items()]
        contents = {**_rule_files(name, alerts), path: _asking(content, left)}
        files = {each: _text(content) for each, content in contents.items()}
        result = promtool.run("test", "rules", "--junit=/dev/stdout", path, files=files)
        assert "</testsuites>" in result.stdout, result.output
        failed = set(_failed(result.stdout))
        left = {alias: mutant for alias, mutant in left.items() if alias not in failed}
    return {mutant.what for mutant in left.values()}


def _failed(report: str) -> Iterator[str]:
    """The alerts of which a case fails, of a JUnit report that follows promtool's own words."""
    for failure in ElementTree.fromstring(report[report.index("<testsuites") :]).iter("failure"):
        # Not what promtool says of a file that it cannot read: a case has another answer, or the rule has none.
        found = FAILURE.search(failure.text or "")
        assert found, failure.text
        yield found[1] or found[2]


def _asking(content: Mapping[str, Any], names: Iterable[str]) -> dict[str, Any]:
    """Cases that ask of each of these alerts what they ask of theirs."""

    def asking(questions: Iterable[Mapping[str, Any]]) -> list[dict[str, Any]]:
        return [{**question, "alertname": name} for question, name in product(questions, names)]

    return {
        **content,
        "tests": [{**case, "alert_rule_test": asking(case["alert_rule_test"])} for case in content["tests"]],
    }


def _cases(name: str) -> dict[str, dict[str, Any]]:
    """The cases that ask for an alert, and nothing else in them, as files by their path.

    A case of hours has a file of its own, so that it is asked only about the mutants that the others did not notice.
    """
    found: dict[str, dict[str, Any]] = {}
    for path, content in _all_cases().items():
        for number, case in enumerate(content["tests"]):
            questions = [question for question in case.get("alert_rule_test", []) if question["alertname"] == name]
            if questions:
                interval = evaluation_interval(content, case)
                file = {**content, "evaluation_interval": f"{interval:.0f}s", "tests": []}
                asked = {**case, "alert_rule_test": questions, "promql_expr_test": []}
                own = f".{number}" if _evaluations({**file, "tests": [asked]}) > MANY else ""
                key = path.replace(".test.yaml", f".{interval:.0f}s{own}.test.yaml")
                found.setdefault(key, file)["tests"].append(asked)
    assert found, f"no case asks for {name}"
    return found


def _fires(content: Mapping[str, Any]) -> bool:
    return any(question.get("exp_alerts") for case in content["tests"] for question in case["alert_rule_test"])


def _evaluations(content: Mapping[str, Any]) -> float:
    """About how many evaluations a file's cases need: the quick ones come first, and most mutants end there."""
    last = (max(seconds(question["eval_time"]) for question in case["alert_rule_test"]) for case in content["tests"])
    return sum(last) / seconds(content["evaluation_interval"])


def _rule_files(name: str, alerts: Sequence[Mapping[str, Any]]) -> dict[str, dict[str, Any]]:
    """The rule files, path to content, with nothing but these in the place of an alert, and the recordings that they
    read.
    """
    every = [rule for groups in _all_groups().values() for group in groups for rule in group["rules"]]
    desired: set[str] = set()
    read = {metric for alert in alerts for metric in metrics(alert["expr"])}
    while read - desired:
        desired |= read
        read = {metric for rule in every if rule.get("record") in desired for metric in metrics(rule["expr"])}

    def kept(rule: Mapping[str, Any]) -> Sequence[Mapping[str, Any]]:
        return alerts if rule.get("alert") == name else [rule] if rule.get("record") in desired else []

    return {
        path: {"groups": [{**group, "rules": list(chain.from_iterable(map(kept, group["rules"])))} for group in groups]}
        for path, groups in _all_groups().items()
    }


def _rule(name: str) -> dict[str, Any]:
    every = (rule for groups in _all_groups().values() for group in groups for rule in group["rules"])
    return next(rule for rule in every if rule.get("alert") == name)


def _text(content: Mapping[str, Any]) -> str:
    return yaml.dump(content, Dumper=yaml.CSafeDumper)


@cache
def _all_groups() -> dict[str, list[dict[str, Any]]]:
    return {path: yaml.load(text, Loader=yaml.CSafeLoader)["groups"] for path, text in rendered_rules().items()}


@cache
def _all_cases() -> dict[str, dict[str, Any]]:
    paths = sorted((ROOT / "tests/promtool").glob("*.test.yaml"))
    return {
        f"tests/promtool/{path.name}": yaml.load(path.read_text(encoding="utf-8"), Loader=yaml.CSafeLoader)
        for path in paths
    }
