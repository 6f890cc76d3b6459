"""An alert's name leads everywhere: to its runbook, and to a case in which it fires and one in which it keeps quiet."""

import json
import re
from collections.abc import Iterator
from typing import Any, Final

import pytest
import yaml

from rules import ALERTS, SERVICES, maintenance
from rules.model import SLO_GROUP
from tests.checkers import ROOT
from tests.unit.factories import planned
from tests.unit.pulumi_program import deployed
from tests.unit.pulumi_recorder import CONTAINER

NAMES = {alert.name for alert in ALERTS}
SUBJECT_OF = {alert.name: alert.service for alert in ALERTS}
RUNBOOKS = {path.stem: path.read_text(encoding="utf-8") for path in sorted((ROOT / "docs/runbooks").glob("*.md"))}
CASES: dict[str, list[dict[str, Any]]] = {
    path.name.removesuffix(".test.yaml"): yaml.safe_load(path.read_text(encoding="utf-8"))["tests"]
    for path in sorted((ROOT / "tests/promtool").glob("*.test.yaml"))
}
# Starred in a runbook, and no title: what a program says.
SAID: Final = {"No space left on device", "many-to-many matching", "many-to-many", "duplicate"}


def headings(service: str) -> list[str]:
    return re.findall(r"^## (.+)$", RUNBOOKS[service], flags=re.MULTILINE)


def asked(service: str, firing: bool) -> set[str]:
    """The alerts for which a service's cases expect that they fire, or that they do not."""
    return {
        question["alertname"]
        for case in CASES[service]
        for question in case["alert_rule_test"]
        if bool(question.get("exp_alerts")) is firing and case["input_series"]
    }


def test_alerts_and_runbooks_have_the_same_names() -> None:
    found = [(name, service) for service in RUNBOOKS for name in headings(service)]
    generated = {maintenance.ALERT_NAME: maintenance.SERVICE}  # an alert for each window of the settings
    assert sorted(found) == sorted({**SUBJECT_OF, **generated}.items())


@pytest.mark.parametrize("firing", [True, False], ids=["firing", "quiet"])
def test_alerts_and_cases_have_the_same_names(firing: bool) -> None:
    assert set().union(*(asked(service, firing) for service in CASES)) == NAMES


def test_an_alerts_cases_lie_under_its_service() -> None:
    # Ratios without traffic share one case, all of the API.
    # Those of the objectives are evaluated at other steps, each file at one.
    place_of = {alert.name: SLO_GROUP if alert.group == SLO_GROUP else alert.service for alert in ALERTS}
    for file in CASES:
        assert {place_of[name] for name in asked(file, True) | asked(file, False)} == {file.removesuffix("-slow")}


def test_only_services_have_runbooks_and_cases() -> None:
    services = {module.JOB.service for module in SERVICES}
    assert set(RUNBOOKS) <= services
    assert set(CASES) <= services | {SLO_GROUP, f"{SLO_GROUP}-slow"}


def test_a_cases_name_is_a_sentence_and_its_own() -> None:
    names = [case["name"] for cases in CASES.values() for case in cases]
    assert len(set(names)) == len(names)
    assert [name for name in names if not re.match(r"[A-Z]\w+ .{15,}", name)] == []


@pytest.mark.parametrize("name", [alert.name for alert in ALERTS if alert.fire_if_absent])
def test_an_outage_has_a_case_for_the_scrape_and_for_the_missing_target(name: str) -> None:
    fires = [
        alert["exp_labels"]["instance"]
        for case in CASES[SUBJECT_OF[name]]
        for question in case["alert_rule_test"]
        if question["alertname"] == name
        for alert in question.get("exp_alerts", [])
    ]
    assert f"{SUBJECT_OF[name]} (no target)" in fires
    assert len(fires) >= 3


def starred(text: str) -> set[str]:
    """What stands between single stars, outside of code."""
    prose = re.sub(r"^```.*?^```|`[^`]*`", "", text, flags=re.MULTILINE | re.DOTALL)
    return {" ".join(name.split()) for name in re.findall(r"(?<!\*)\*(?!\*)([^*]+)\*(?!\*)", prose)}


def titles(part: dict[str, Any]) -> Iterator[str]:
    """The titles of a dashboard, its rows and its panels."""
    yield part["title"]
    for panel in part.get("panels", ()):
        yield from titles(panel)


def test_what_a_runbook_tells_to_look_at_is_on_a_dashboard() -> None:
    named = {name for text in RUNBOOKS.values() for name in starred(text)}
    there = {title for page in planned("dev").dashboards.values() for title in titles(json.loads(page))}
    assert named - SAID <= there
    assert named >= SAID


def test_the_memory_limits_in_the_runbooks_are_those_of_the_containers() -> None:
    named = {service: {int(n) for n in re.findall(r"\((\d+) MB\b", text)} for service, text in RUNBOOKS.items()}
    named = {service: limits for service, limits in named.items() if limits}
    assert named
    assert named == {service: {deployed("dev").one(CONTAINER, service).inputs["memory"]} for service in named}
