"""An alert on demand: it is routed like a real one, and the result says what each receiver accepted."""

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
from stacks.matchers import all_match, parse_matcher
from stacks.types import seconds

NAME: Final = "SyntheticAlert"
PART: Final = "Alertmanager"
DELIVERY_TIMEOUT: Final = (
    20.0  # seconds beyond the route's group_wait: a receiver's answer, and Alertmanager's first retry
)
_SAMPLE: Final = re.compile(r"alertmanager_(notification_requests|notification_requests_failed)_total\{(.*)\} (\S+)")
_LABEL: Final = re.compile(r'(\w+)="((?:[^"\\]|\\.)*)"')


@dataclass(frozen=True)
class NotificationCounters:
    """How many notification requests a receiver got since Alertmanager started, and how many of them failed."""

    requests: float = 0
    failed: float = 0

    @property
    def succeeded(self) -> float:
        return self.requests - self.failed


@dataclass(frozen=True, kw_only=True)
class DeliveryResult:
    """What became of the alert at one receiver, which is notified in the time intervals `active_only_in` alone, and
    not in those of `muted_by`. `inhibited_by` are the maintenance windows that are open and match the alert.
    """

    receiver: str
    accepted: int
    failed: int
    active_only_in: tuple[str, ...] = ()
    muted_by: tuple[str, ...] = ()
    inhibited_by: tuple[str, ...] = ()

    @property
    def ok(self) -> bool:
        return self.accepted > 0 and self.failed == 0

    def __str__(self) -> str:
        if self.accepted or self.failed:
            return f"{self.receiver}: {self.accepted} accepted, {self.failed} failed"
        why = [
            *([f"it is notified only in {', '.join(self.active_only_in)}"] if self.active_only_in else []),
            *([f"it is not notified in {', '.join(self.muted_by)}"] if self.muted_by else []),
            *(f"the maintenance window {name} inhibits the alert" for name in self.inhibited_by),
        ]
        return "; ".join((f"{self.receiver}: nothing was sent", *why))


def labels(desired: DesiredState, severity: Severity) -> dict[str, str]:
    """The labels of one synthetic alert. Its service is new each time: Alertmanager would else add it to a group that
    it has already notified, and wait for that group's interval.

    No inhibit rule matches it, except a maintenance window with wide matchers (`severity=warning`).
    """
    return {
        "alertname": NAME,
        "severity": severity.value,
        "service": f"synthetic-{secrets.token_hex(3)}",
        "instance": "synthetic",
        "environment": desired.settings.environment,
    }


def send(http: httpx.Client, desired: DesiredState, severity: Severity) -> tuple[DeliveryResult, ...]:
    """Fires the alert, waits until each of its receivers accepted it or the timeout ends, and resolves it.

    The counts are Alertmanager's own, by receiver, so they include other alerts of these seconds.
    """
    alertmanager = desired.settings.published("alertmanager")
    sent = labels(desired, severity)
    routes = desired.routes.match(sent) or (desired.routes.default_route,)
    names = list(dict.fromkeys(route.receiver for route in routes))
    began, before = datetime.now(UTC), counters(http, alertmanager)
    _post(http, alertmanager, sent, began, began + timedelta(minutes=10))
    try:
        deadline = time.monotonic() + max(seconds(route.timing.group_wait) for route in routes) + DELIVERY_TIMEOUT
        while time.monotonic() < deadline:
            now = counters(http, alertmanager)
            if all(
                now.get(name, NotificationCounters()).succeeded > before.get(name, NotificationCounters()).succeeded
                for name in names
            ):
                break
            time.sleep(0.5)
        after = counters(http, alertmanager)
    finally:
        _post(http, alertmanager, sent, began, datetime.now(UTC))
    to = {route.receiver: route for route in routes}
    windows = _open_windows(desired, sent, began)
    return tuple(
        _outcome(to[name], windows, before.get(name, NotificationCounters()), after.get(name, NotificationCounters()))
        for name in names
    )


def counters(http: httpx.Client, alertmanager: str) -> dict[str, NotificationCounters]:
    """The counts of each receiver, from Alertmanager's own metrics."""
    found: dict[str, NotificationCounters] = {}
    for line in probes.get(http, PART, f"{alertmanager}/metrics").text.splitlines():
        sample = _SAMPLE.fullmatch(line)
        if sample is None:
            continue
        name = dict(_LABEL.findall(sample[2])).get("receiver_name", "")
        was, count = found.get(name, NotificationCounters()), float(sample[3])
        failed = sample[1].endswith("_failed")
        found[name] = NotificationCounters(
            was.requests + (0 if failed else count), was.failed + (count if failed else 0)
        )
    return found


def _open_windows(desired: DesiredState, alert_labels: Mapping[str, str], now: datetime) -> tuple[str, ...]:
    """The names of the maintenance windows that are open and match an alert."""
    return tuple(
        name
        for name, window in sorted(desired.settings.notifications.maintenance_windows.items())
        if window.bounds[0] <= now.timestamp() < window.bounds[1]
        and all_match(map(parse_matcher, window.matchers), alert_labels)
    )


def _outcome(
    route: Route, inhibited_by: tuple[str, ...], before: NotificationCounters, after: NotificationCounters
) -> DeliveryResult:
    accepted, failed = int(after.succeeded - before.succeeded), int(after.failed - before.failed)
    return DeliveryResult(
        receiver=route.receiver,
        accepted=accepted,
        failed=failed,
        active_only_in=route.active_time_intervals,
        muted_by=route.mute_time_intervals,
        inhibited_by=inhibited_by,
    )


def _post(
    http: httpx.Client, alertmanager: str, alert_labels: Mapping[str, str], start: datetime, end: datetime
) -> None:
    alert: dict[str, Any] = {
        "labels": dict(alert_labels),
        "annotations": {
            "summary": f"A test of the delivery of {alert_labels['severity']} alerts: nothing is wrong",
            "description": "Somebody ran `python -m ops test-alert`. There is nothing to do.",
        },
        "startsAt": start.isoformat(),
        "endsAt": end.isoformat(),
    }
    probes.send(http, PART, "POST", f"{alertmanager}/api/v2/alerts", [alert])
