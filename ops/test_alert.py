"""An alert on demand: it goes the way of a real one, and what each receiver accepted is told."""

import re
import secrets
import time
from collections.abc import Mapping
from dataclasses import dataclass
from datetime import UTC, datetime, timedelta
from typing import Any, Final

import httpx

from clients import probes
from desired_state import DesiredState
from routing.routes import Route
from rules.model import Severity
from stacks.types import seconds

NAME: Final = "SyntheticAlert"
PART: Final = "Alertmanager"
DELIVERY_TIMEOUT: Final = (
    20.0  # seconds beyond the group's wait: a receiver's answer, and Alertmanager's first second try
)
_SAMPLE: Final = re.compile(r"alertmanager_(notification_requests|notification_requests_failed)_total\{(.*)\} (\S+)")
_LABEL: Final = re.compile(r'(\w+)="((?:[^"\\]|\\.)*)"')


@dataclass(frozen=True)
class NotificationCounters:
    """How many notifications a receiver was sent since Alertmanager started, and how many it did not take."""

    sent: float = 0
    failed: float = 0

    @property
    def taken(self) -> float:
        return self.sent - self.failed


@dataclass(frozen=True, kw_only=True)
class DeliveryResult:
    """What became of the alert at one receiver; outside the time intervals `waits_for` it is not told, and neither in
    those of `muted_in`.
    """

    receiver: str
    accepted: int
    failed: int
    waits_for: tuple[str, ...] = ()
    muted_in: tuple[str, ...] = ()

    @property
    def well(self) -> bool:
        return self.accepted > 0 and self.failed == 0

    def __str__(self) -> str:
        if self.accepted or self.failed:
            return f"{self.receiver}: {self.accepted} accepted, {self.failed} failed"
        why = [
            *([f"it is told in {', '.join(self.waits_for)} alone"] if self.waits_for else []),
            *([f"it is not told in {', '.join(self.muted_in)}"] if self.muted_in else []),
        ]
        return "; ".join((f"{self.receiver}: nothing was sent", *why))


def labels(desired: DesiredState, severity: Severity) -> dict[str, str]:
    """The labels of one synthetic alert; its service is its own, or Alertmanager would take it for one more of a group
    that it has told of.

    No inhibition of this project is about it. Planned work is where its matchers are wide enough (`severity=warning`).
    """
    return {
        "alertname": NAME,
        "severity": severity.value,
        "service": f"synthetic-{secrets.token_hex(3)}",
        "instance": "synthetic",
        "environment": desired.settings.environment,
    }


def send(http: httpx.Client, desired: DesiredState, severity: Severity) -> tuple[DeliveryResult, ...]:
    """Fires the alert, waits until each receiver of its severity took it or patience ends, and resolves it.

    The counts are Alertmanager's own, by receiver: what else is told in these seconds is among them.
    """
    alertmanager = desired.settings.published("alertmanager")
    marked = labels(desired, severity)
    routes = desired.routes.taken(marked)
    names = list(dict.fromkeys(route.receiver for route in routes))
    began, before = datetime.now(UTC), requests(http, alertmanager)
    _post(http, alertmanager, marked, began, began + timedelta(minutes=10))
    try:
        deadline = time.monotonic() + max(seconds(route.pace.wait) for route in routes) + DELIVERY_TIMEOUT
        while time.monotonic() < deadline:
            now = requests(http, alertmanager)
            if all(
                now.get(name, NotificationCounters()).taken > before.get(name, NotificationCounters()).taken
                for name in names
            ):
                break
            time.sleep(0.5)
        after = requests(http, alertmanager)
    finally:
        _post(http, alertmanager, marked, began, datetime.now(UTC))
    to = {route.receiver: route for route in routes}
    return tuple(
        _outcome(to[name], before.get(name, NotificationCounters()), after.get(name, NotificationCounters()))
        for name in names
    )


def requests(http: httpx.Client, alertmanager: str) -> dict[str, NotificationCounters]:
    """The counts of each receiver, from Alertmanager's own metrics."""
    found: dict[str, NotificationCounters] = {}
    for line in probes.get(http, PART, f"{alertmanager}/metrics").text.splitlines():
        sample = _SAMPLE.fullmatch(line)
        if sample is None:
            continue
        name = dict(_LABEL.findall(sample[2])).get("receiver_name", "")
        was, count = found.get(name, NotificationCounters()), float(sample[3])
        failed = sample[1].endswith("_failed")
        found[name] = NotificationCounters(was.sent + (0 if failed else count), was.failed + (count if failed else 0))
    return found


def _outcome(route: Route, before: NotificationCounters, after: NotificationCounters) -> DeliveryResult:
    accepted, failed = int(after.taken - before.taken), int(after.failed - before.failed)
    return DeliveryResult(
        receiver=route.receiver, accepted=accepted, failed=failed, waits_for=route.active, muted_in=route.mute
    )


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
