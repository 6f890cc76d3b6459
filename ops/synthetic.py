"""An alert on demand: it goes the way of a real one, and what each receiver accepted is told."""

import re
import time
from collections.abc import Mapping
from dataclasses import dataclass
from datetime import UTC, datetime, timedelta
from typing import Any, Final

import httpx

from ops import probes
from plan import Plan
from rules.model import Severity
from stacks.values import seconds

NAME: Final = "SyntheticAlert"
PART: Final = "Alertmanager"
PATIENCE: Final = 20.0  # seconds beyond the group's wait: a receiver's answer, and Alertmanager's first second try
_SAMPLE: Final = re.compile(r"alertmanager_(notification_requests|notification_requests_failed)_total\{(.*)\} (\S+)")
_LABEL: Final = re.compile(r'(\w+)="((?:[^"\\]|\\.)*)"')


@dataclass(frozen=True)
class Requests:
    """How many notifications a receiver was sent since Alertmanager started, and how many it did not take."""

    sent: float = 0
    failed: float = 0


@dataclass(frozen=True, kw_only=True)
class Outcome:
    """What became of the alert at one receiver; `waits_for` are the time intervals outside which it is not told."""

    receiver: str
    accepted: int
    failed: int
    waits_for: tuple[str, ...] = ()

    @property
    def well(self) -> bool:
        return self.accepted > 0 and self.failed == 0

    def __str__(self) -> str:
        if self.accepted or self.failed:
            return f"{self.receiver}: {self.accepted} accepted, {self.failed} failed"
        if self.waits_for:
            return f"{self.receiver}: nothing was sent; it is told in {', '.join(self.waits_for)} alone"
        return f"{self.receiver}: nothing was sent"


def labels(plan: Plan, severity: Severity) -> dict[str, str]:
    """The labels of the synthetic alert: no inhibition and no planned work of this project is about it."""
    return {
        "alertname": NAME, "severity": severity.value, "subject": "synthetic", "instance": "synthetic",
        "environment": plan.settings.environment.value,
    }  # fmt: skip


def send(http: httpx.Client, plan: Plan, severity: Severity) -> tuple[Outcome, ...]:
    """Fires the alert, waits until each receiver of its severity took it or did not, and resolves it.

    The counts are Alertmanager's own, by receiver: what else is told in these seconds is among them.
    """
    alertmanager = plan.settings.published("alertmanager")
    marked = labels(plan, severity)
    routes = plan.routes.taken(marked)
    names = list(dict.fromkeys(route.receiver for route in routes))
    began, before = datetime.now(UTC), requests(http, alertmanager)
    _post(http, alertmanager, marked, began, began + timedelta(minutes=10))
    try:
        deadline = time.monotonic() + max(seconds(route.pace.wait) for route in routes) + PATIENCE
        while time.monotonic() < deadline:
            now = requests(http, alertmanager)
            if all(now.get(name, Requests()).sent > before.get(name, Requests()).sent for name in names):
                break
            time.sleep(0.5)
        after = requests(http, alertmanager)
    finally:
        _post(http, alertmanager, marked, began, datetime.now(UTC))
    waits = {route.receiver: route.active for route in routes}
    return tuple(
        _outcome(name, before.get(name, Requests()), after.get(name, Requests()), waits[name]) for name in names
    )


def requests(http: httpx.Client, alertmanager: str) -> dict[str, Requests]:
    """The counts of each receiver, from Alertmanager's own metrics."""
    found: dict[str, Requests] = {}
    for line in probes.get(http, PART, f"{alertmanager}/metrics").text.splitlines():
        sample = _SAMPLE.fullmatch(line)
        if sample is None:
            continue
        name = dict(_LABEL.findall(sample[2])).get("receiver_name", "")
        was, count = found.get(name, Requests()), float(sample[3])
        failed = sample[1].endswith("_failed")
        found[name] = Requests(was.sent + (0 if failed else count), was.failed + (count if failed else 0))
    return found


def _outcome(name: str, before: Requests, after: Requests, waits_for: tuple[str, ...]) -> Outcome:
    sent, failed = int(after.sent - before.sent), int(after.failed - before.failed)
    return Outcome(receiver=name, accepted=sent - failed, failed=failed, waits_for=waits_for)


def _post(http: httpx.Client, alertmanager: str, marked: Mapping[str, str], start: datetime, end: datetime) -> None:
    alert: dict[str, Any] = {
        "labels": dict(marked),
        "annotations": {
            "summary": f"A test of the way that {marked['severity']} alerts go: nothing is wrong",
            "description": "Somebody ran `python -m ops test-alert`. Nothing is to be done.",
        },
        "startsAt": start.isoformat(),
        "endsAt": end.isoformat(),
    }
    probes.send(http, PART, "POST", f"{alertmanager}/api/v2/alerts", [alert])
