"""The plan of a large system: a hundred, a thousand and ten thousand alerts over a tenth as many jobs, and two hundred
dashboards.
"""

import time
import tracemalloc
from collections.abc import Callable
from dataclasses import replace
from functools import cache
from types import ModuleType

import pytest
from grafana_foundation_sdk.builders.dashboard import Dashboard

import dashboards
import desired_state
from dashboards import PAGES
from dashboards.panels import PanelFactory
from desired_state import DesiredState, build_desired_state
from rules import ALERTS, JOBS, api
from rules.metrics import catalogues
from rules.model import Alert, ScrapeJob, Severity
from stacks.settings import Settings
from tests.unit.factories import settings, values
from validation.rules import AlertDocs, written

SIZES = (100, 1_000, 10_000)


@cache
def generated(count: int) -> tuple[tuple[Alert, ...], tuple[ScrapeJob, ...], AlertDocs, Settings]:
    """The project's own rules and that many more: each a share of rates like the API's error ratio."""
    jobs = tuple(ScrapeJob(name=f"service-{n}", service=f"service{n}", port=9000) for n in range(count // 10))
    alerts = tuple(
        Alert(
            name=f"Service{number}Fails",
            severity=Severity.WARNING,
            for_="5m",
            when=replace(api.ERROR_RATIO, job=jobs[number // 10], title=f"Error rate {number}").above(0.05),
            summary="{{ $labels.instance }}: {{ $value | humanizePercentage }} of the requests fail",
            description="More than 5 % of the requests of the last 5 minutes were answered with 5xx.",
        )
        for number in range(count)
    )
    section = written().runbooks["api"]["HighResponseTime"]  # a warning with the same `for`
    sections = {
        job.service: {alert.name: section for alert in alerts[10 * n : 10 * n + 10]} for n, job in enumerate(jobs)
    }
    every = frozenset(alert.name for alert in alerts)
    own = written()
    beside = AlertDocs(runbooks={**own.runbooks, **sections}, firing=own.firing | every, quiet=own.quiet | every)
    targets = {job.name: [{"address": f"{job.name}:9000", "instance": job.name}] for job in jobs}
    return alerts, jobs, beside, settings(scrape_targets={**values()["scrape_targets"], **targets})


@pytest.fixture
def planned(monkeypatch: pytest.MonkeyPatch) -> Callable[[int], DesiredState]:
    """Plans and renders a stack with that many generated alerts."""

    def make(count: int) -> DesiredState:
        alerts, jobs, beside, desired = generated(count)
        known = {**catalogues(), **{job.service: catalogues()["api"] for job in jobs}}
        monkeypatch.setattr(desired_state, "ALERTS", (*ALERTS, *alerts))
        monkeypatch.setattr(desired_state, "JOBS", (*JOBS, *jobs))
        monkeypatch.setattr(desired_state, "catalogues", lambda: known)
        monkeypatch.setattr(desired_state, "written", lambda: beside)
        made = build_desired_state(desired)
        made.files()
        return made

    return make


def took(planned: Callable[[int], DesiredState], count: int) -> float:
    """CPU seconds: other tests run at the same time."""
    generated(count)
    begin = time.process_time()
    planned(count)
    return time.process_time() - begin


def test_every_alert_and_job_is_in_the_plan(planned: Callable[[int], DesiredState]) -> None:
    made = planned(100)
    assert len(made.expected.rules) == len(ALERTS) + 100
    assert len(made.expected.targets) == len(JOBS) + 10
    assert "rules/service9.yml" in made.prometheus.files


def test_time_grows_with_the_number_of_alerts_and_ten_thousand_take_less_than_ten_seconds(
    planned: Callable[[int], DesiredState],
) -> None:
    planned(10)  # what is read and kept once
    small, middle, large = (took(planned, count) for count in SIZES)
    assert middle < 2
    assert large < 10
    fixed = took(planned, 10)
    assert middle - fixed < 20 * max(small - fixed, 0.05)
    assert large - fixed < 20 * (middle - fixed)


def test_memory_grows_with_the_number_of_alerts(planned: Callable[[int], DesiredState]) -> None:
    def peak(count: int) -> int:
        generated(count)
        tracemalloc.start()
        planned(count)
        highest = tracemalloc.get_traced_memory()[1]
        tracemalloc.stop()
        return highest

    planned(10)
    small, middle = peak(100), peak(1_000)
    assert middle < 15 * small
    assert middle < 30e6  # bytes: 30 kB an alert


PAGE_COUNTS = (50, 100, 200)
PER_PAGE = 0.05  # CPU seconds at most to draw, check and write one like the API's, which has 26 panels


def page(number: int) -> ModuleType:
    """A page of a generated service that asks as much as the API's."""
    service = ModuleType(f"dashboards.service{number}")

    def build(draw: PanelFactory) -> Dashboard:
        return dashboards.api.build(draw).uid(f"service{number}").title(f"Service {number}")

    vars(service)["build"] = build
    return service


@pytest.fixture
def drawn(monkeypatch: pytest.MonkeyPatch) -> Callable[[int], DesiredState]:
    """Plans and renders a stack with that many generated dashboards beside its own."""
    _, jobs, _, desired = generated(10 * max(PAGE_COUNTS))
    known = {**catalogues(), **{job.service: catalogues()["api"] for job in jobs}}
    monkeypatch.setattr(desired_state, "JOBS", (*JOBS, *jobs))
    monkeypatch.setattr(desired_state, "catalogues", lambda: known)

    def make(count: int) -> DesiredState:
        monkeypatch.setattr(dashboards, "PAGES", (*PAGES, *(page(number) for number in range(count))))
        made = build_desired_state(desired)
        made.files()
        return made

    return make


def test_every_dashboard_is_in_the_plan(drawn: Callable[[int], DesiredState]) -> None:
    made = drawn(20)
    assert len(made.dashboards) == len(PAGES) + 20
    assert made.expected.dashboards >= {f"service{number}" for number in range(20)}
    assert "grafana/dashboards/service19.json" in made.files()


def test_time_grows_with_the_number_of_dashboards_and_each_takes_less_than_50_ms(
    drawn: Callable[[int], DesiredState], record_property: Callable[[str, object], None]
) -> None:
    drawn(0)  # what is read and kept once

    def best(count: int) -> float:
        """Of two: what else runs on the machine shows in CPU seconds too."""
        return min(took(drawn, count) for _ in range(2))

    fixed = best(0)
    small, middle, large = (best(count) - fixed for count in PAGE_COUNTS)
    record_property("200 dashboards", f"{large:.1f} s of CPU to plan and render, {1000 * large / 200:.0f} ms each")
    assert large < 200 * PER_PAGE
    assert large < 3 * middle  # four times, where each is compared with each
    assert large < 7 * small  # sixteen times
