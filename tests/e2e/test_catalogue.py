"""The guard against exporters that change: what rules and panels read is exposed as the catalogue has it."""

import json
import time
import warnings
from collections.abc import Mapping

import pytest

from desired_state import load_desired_state
from ops.capture_metrics import capture_all
from rules import ALERTS, JOBS, RECORDING_RULES
from rules.metrics import ALERT_META_METRICS, SCRAPE_META_METRICS, MetricsInventory, catalogues, changes
from rules.model import Alert, RecordingRule
from rules.promql import selectors
from tests.e2e.conftest import Stack
from validation.dashboards import panels, queries

pytestmark = pytest.mark.engine

PLAN = load_desired_state("dev")  # that of the end-to-end stack, but for names, ports and hold times
WATCHED = [job for job in JOBS if job.name in {name for name, _ in PLAN.expected.targets}]
SERVICES = {job.name: job.service for job in WATCHED}


def read_by() -> dict[tuple[str, str], list[str]]:
    """Service and name of every series of an exporter that is read, to what reads it."""
    every: tuple[Alert | RecordingRule, ...] = (*ALERTS, *RECORDING_RULES)
    rules = [(rule.name, rule.expr()) for rule in every if rule.job in WATCHED]
    drawn = [
        (f"panel {panel['title']!r} of {uid}", expr.replace("$__rate_interval", "5m"))
        for uid, text in PLAN.dashboards.items()
        for panel in panels(json.loads(text))
        for expr in queries(panel)
    ]
    recorded = {recording.name for recording in RECORDING_RULES}
    found: dict[tuple[str, str], list[str]] = {}
    for reader, expr in (*rules, *drawn):
        for name, job in sorted(selectors(expr)):
            if name not in recorded | SCRAPE_META_METRICS | ALERT_META_METRICS:
                found.setdefault((SERVICES[job], name), []).append(reader)
    return found


def differences(known: Mapping[str, MetricsInventory], live: Mapping[str, MetricsInventory]) -> list[str]:
    """What is read and is not exposed as it is catalogued, with the first of those that read it."""
    return [
        f"{live[service].exporter_version}: {change}; read by {readers[0]} and {len(readers) - 1} more"
        for (service, series), readers in sorted(read_by().items())
        for change in changes(series, known[service], live[service])
    ]


@pytest.fixture(scope="module")
def live(stack: Stack) -> dict[str, MetricsInventory]:
    """What the exporters expose, once they expose all that is read or a minute after the stack is up: a server that has
    just started does not answer every question of its exporter yet.
    """
    deadline = time.monotonic() + 60
    while True:
        found = capture_all(stack.http, stack.url("prometheus"), stack.url("grafana"), JOBS)
        complete = found.keys() == set(SERVICES.values())
        if (complete and not differences(catalogues(), found)) or time.monotonic() > deadline:
            assert found.keys() == set(SERVICES.values())
            return found
        time.sleep(1)


def test_what_rules_and_panels_read_is_exposed_as_it_is_catalogued(live: dict[str, MetricsInventory]) -> None:
    for service, there in live.items():
        if there.exporter_version != catalogues()[service].exporter_version:
            warnings.warn(
                f"catalogued: {catalogues()[service].exporter_version}; running: {there.exporter_version}", stacklevel=1
            )
    assert differences(catalogues(), live) == []


def test_a_metric_that_an_upgrade_renames_is_noticed(live: dict[str, MetricsInventory]) -> None:
    """The guard itself, on the live capture: whatever is read is missed once it is gone."""
    for service, series in read_by():
        family = catalogues()[service].family(series)
        there = live[service]
        renamed = {(f"{name}_renamed" if name == family else name): metric for name, metric in there.metrics.items()}
        upgraded = {**live, service: MetricsInventory(exporter=there.exporter, version="99", metrics=renamed)}
        lines = differences(catalogues(), upgraded)
        assert any(f"{series} is gone; read by " in line for line in lines), (service, series)
