"""Alerts from end to end: from a condition to the message at each receiver, and what groups or inhibits them.

The inbox is the mail server and takes the place of Slack, PagerDuty, incident.io and Teams: it refuses what has not the
shape that the service documents (demo/services.py).
"""

import json
import logging
import secrets
import time
from collections.abc import Callable, Iterator, Mapping
from datetime import UTC, datetime, timedelta
from typing import Any

import pytest

from clients import probes
from tests.e2e.conftest import NAME, Stack, eventually
from tests.e2e.killed import kill
from tests.e2e.persisted_state import snapshot

pytestmark = pytest.mark.engine

log = logging.getLogger(__name__)
Record = Callable[[str, object], None]
INBOX = "http://inbox:8025"
RECEIVERS = ("webhook", "slack", "email", "pagerduty", "incidentio", "teams")
EMAIL = {
    "smarthost": "inbox:1025",
    "from": "alertmanager@softfactory.example",
    "to": ["to@softfactory.example"],
    "tls": "none",
}
NOTIFICATIONS: dict[str, Any] = {
    # Each is named for its kind.
    "receivers": {
        "webhook": {"webhook": {"url": f"{INBOX}/webhook"}},
        "slack": {"slack": {"channel": "#before"}},
        "email": {"email": EMAIL},
        "pagerduty": {"pagerduty": {"url": f"{INBOX}/pagerduty/v2/enqueue"}},
        "incidentio": {"incidentio": {"url": f"{INBOX}/incidentio/v2/alert_events/alertmanager/1"}},
        "teams": {"teams": {}},
    },
    # Sooner than the defaults: these tests are about the delivery, not about anybody's patience.
    "routes": [
        {
            "match": {"severity": severity},
            "receivers": list(RECEIVERS),
            "group_wait": "3s",
            "group_interval": "5s",
        }
        for severity in ("critical", "warning")
    ],
    "dead_mans_switch": {"url": f"{INBOX}/heartbeat"},
}
SECRETS = {
    "slack_slack_webhook_url": f"{INBOX}/slack?token={{}}",
    "pagerduty_pagerduty_routing_key": "{}",
    "incidentio_incidentio_token": "{}",
    "teams_teams_webhook_url": f"{INBOX}/teams?token={{}}",
}


@pytest.fixture(scope="module")
def told(stack: Stack) -> Iterator[Stack]:
    """The stack, with every receiver that there is; none of them was a reason to restart Alertmanager."""
    settings, before = stack.settings(), stack.identity("alertmanager")
    made = {name: value.format(secrets.token_urlsafe(24)) for name, value in SECRETS.items()}
    given = [word for name, value in made.items() for word in ("--secret", f"{name}={value}")]
    stack.pulumi("config", "set-all", "--stack", NAME, *given)
    stack.change(notifications=NOTIFICATIONS)
    stack.up()
    assert stack.identity("alertmanager") == before
    yield stack
    stack.write_settings(settings)
    stack.pulumi("config", "rm-all", *SECRETS, "--stack", NAME)
    stack.up()


@pytest.fixture(autouse=True)
def _empty(told: Stack) -> None:
    told.http.delete(told.url("inbox") + "/api/messages")


def messages(stack: Stack) -> dict[str, list[dict[str, Any]]]:
    found: dict[str, list[dict[str, Any]]] = stack.http.get(stack.url("inbox") + "/api/messages").json()
    assert found["refused"] == []
    return found


def about(stack: Stack, alert: str, resolved: bool = False) -> dict[str, tuple[datetime, Any]]:
    """Receiver to the first message that it got about an alert, or about its end: when, and its body."""
    kept = messages(stack)
    status = "resolved" if resolved else "firing"
    found: dict[str, tuple[datetime, Any]] = {}
    for place, receiver in (
        ("notifications", "webhook"),
        ("slack", "slack"),
        ("mails", "email"),
        ("pagerduty", "pagerduty"),
        ("incidentio", "incidentio"),
        ("teams", "teams"),
    ):
        for one in kept[place]:
            body = one if place == "mails" else one["body"]
            if alert in json.dumps(body) and status == _status(receiver, body):
                found[receiver] = datetime.fromisoformat(one["received"]), body  # the last of them is the oldest
    return found


def _status(receiver: str, body: Mapping[str, Any]) -> str:
    match receiver:
        case "slack":
            title = body["attachments"][0]["title"]
        case "email":
            title = body["subject"]
        case "teams":
            title = body["attachments"][0]["content"]["body"][0]["text"]
        case "pagerduty":
            return "resolved" if body["event_action"] == "resolve" else "firing"
        case _:
            return str(body["status"])
    return "resolved" if title.startswith("[RESOLVED]") else "firing"


def post(stack: Stack, name: str, *instances: str, ended: bool = False, **labels: str) -> None:
    now = datetime.now(UTC)
    end = now if ended else now + timedelta(minutes=10)
    alerts = [
        {
            "labels": {"alertname": name, "severity": "critical", "service": "end-to-end", "instance": one, **labels},
            "annotations": {"summary": f"{name} at {one}", "description": "A test."},
            "startsAt": (now - timedelta(seconds=1)).isoformat(),
            "endsAt": end.isoformat(),
        }
        for one in instances
    ]
    answer = stack.http.post(stack.url("alertmanager") + "/api/v2/alerts", json=alerts)
    assert answer.is_success, answer.text


def everybody(stack: Stack, alert: str, resolved: bool = False, seconds: float = 90) -> dict[str, tuple[datetime, Any]]:
    def all_told() -> dict[str, tuple[datetime, Any]]:
        found = about(stack, alert, resolved)
        return found if set(found) == set(RECEIVERS) else {}

    found: dict[str, tuple[datetime, Any]] = eventually(
        all_told, f"{alert} is told to all, resolved: {resolved}", seconds
    )
    return found


def test_an_outage_reaches_every_receiver_and_so_does_its_end(told: Stack, record_property: Record) -> None:
    redis = told.container("redis")
    began = datetime.now(UTC)
    redis.stop(timeout=5)
    try:
        fired = everybody(told, "RedisDown")
    finally:
        redis.start()
    ended = datetime.now(UTC)
    resolved = everybody(told, "RedisDown", resolved=True, seconds=120)
    for receiver, (at, body) in fired.items():
        record_property(f"seconds from the outage to {receiver}", f"{(at - began).total_seconds():.1f}")
        log.info("%s: %s", receiver, json.dumps(body, indent=1))
    for receiver, (at, body) in resolved.items():
        record_property(f"seconds from its end to {receiver}", f"{(at - ended).total_seconds():.1f}")
        log.info("%s: %s", receiver, json.dumps(body, indent=1))

    slack, mail, page = (fired[name][1] for name in ("slack", "email", "pagerduty"))
    attachment = slack["attachments"][0]
    link = "/#/silences/new?filter=%7Balertname%3D%22RedisDown%22"
    assert slack["channel"] == "#before" and attachment["color"] == "danger"
    assert attachment["title"] == mail["subject"] == "[FIRING 1] RedisDown redis (dev)"
    assert page["payload"]["severity"] == "critical" and page["payload"]["source"] == "redis"
    assert page["dedup_key"] == resolved["pagerduty"][1]["dedup_key"]
    for text in (attachment["text"], mail["body"], page["payload"]["custom_details"]["firing"], str(page["links"])):
        assert link in text.replace("\n", "")
    _, teams_text = (block["text"] for block in fired["teams"][1]["attachments"][0]["content"]["body"])
    assert "RedisDown" in fired["teams"][1]["attachments"][0]["content"]["body"][0]["text"] and link in teams_text
    assert fired["incidentio"][1]["alerts"][0]["annotations"]["summary"] in attachment["text"]


def test_what_breaks_together_is_one_message(told: Stack) -> None:
    post(told, "Grouped", "one", "two", "three")
    found = everybody(told, "Grouped")
    assert len(found["webhook"][1]["alerts"]) == 3
    assert found["email"][1]["subject"] == "[FIRING 3] Grouped"
    time.sleep(6)  # longer than a group's interval
    kept = messages(told)
    assert [len([m for m in kept[place] if "Grouped" in json.dumps(m)]) for place in ("mails", "slack")] == [1, 1]
    post(told, "Grouped", "one", "two", "three", ended=True)
    everybody(told, "Grouped", resolved=True)


def test_a_critical_alert_inhibits_what_follows_from_it_and_nothing_else(told: Stack) -> None:
    post(told, "Cause", "one")
    everybody(told, "Cause")
    post(told, "Symptom", "one", severity="warning")
    post(told, "Elsewhere", "two", severity="warning")
    everybody(told, "Elsewhere")
    assert about(told, "Symptom") == {}
    post(told, "Cause", "one", ended=True)
    everybody(told, "Symptom")  # it notifies as soon as nothing inhibits it
    post(told, "Symptom", "one", ended=True, severity="warning")
    post(told, "Elsewhere", "two", ended=True, severity="warning")


def test_a_killed_alertmanager_loses_neither_silences_nor_what_was_told(told: Stack) -> None:
    post(told, "Told", "one")
    everybody(told, "Told")
    made = told.ops(
        "silence", "add", "Silenced", "--duration", "1h", "--author", "me", "--comment", "a test", "--stack", NAME
    )
    assert made.returncode == 0, made.stderr
    silence = made.stdout.strip()
    snapshot(told, "nflog", "silences")
    kill(told, "alertmanager")
    told.http.delete(told.url("inbox") + "/api/messages")
    post(told, "Told", "one")  # as Prometheus does
    post(told, "Silenced", "one")
    post(told, "After", "one")
    everybody(told, "After")
    time.sleep(9)  # longer than a group's wait and its interval
    assert about(told, "Told") == {} and about(told, "Silenced") == {}
    assert silence in told.ops("silence", "list", "--stack", NAME).stdout
    assert told.ops("silence", "expire", silence, "--stack", NAME).returncode == 0
    everybody(told, "Silenced")
    for name in ("Told", "Silenced", "After"):
        post(told, name, "one", ended=True)
    for name in ("Told", "Silenced", "After"):
        everybody(told, name, resolved=True)


def test_silences_work_while_grafana_is_down(told: Stack) -> None:
    grafana = told.container("grafana")
    grafana.pause()
    try:
        made = told.ops(
            "silence", "add", "X", "--duration", "1m", "--author", "me", "--comment", "a test", "--stack", NAME
        )
        assert made.returncode == 0, made.stderr
        assert told.ops("silence", "expire", made.stdout.strip(), "--stack", NAME).returncode == 0
    finally:
        grafana.unpause()


def test_what_amtool_refuses_leaves_the_old_routing(told: Stack) -> None:
    address = told.url("alertmanager")
    before = told.identity("alertmanager"), probes.alertmanager_hash(told.http, address)
    with told.changed("routing/templates/slack.tmpl", ".CommonLabels.severity", ".CommonLabel.severity"):
        refused = told.up(check=False)
    assert refused.returncode != 0
    assert "can't evaluate field" in refused.stdout and "the previous revision stays active" in refused.stdout
    assert (told.identity("alertmanager"), probes.alertmanager_hash(told.http, address)) == before
    sent = told.ops("test-alert", "--severity", "critical", "--stack", NAME)
    assert sent.returncode == 0, sent.stdout + sent.stderr


def test_a_changed_channel_counts_at_once_and_without_a_restart(told: Stack) -> None:
    before, address = told.identity("alertmanager"), told.url("alertmanager")
    release = probes.alertmanager_hash(told.http, address)
    receivers = {**NOTIFICATIONS["receivers"], "slack": {"slack": {"channel": "#after"}}}
    told.change(notifications={**NOTIFICATIONS, "receivers": receivers})
    told.up()
    assert told.identity("alertmanager") == before
    assert probes.alertmanager_hash(told.http, address) != release
    post(told, "Channel", "one")
    assert everybody(told, "Channel")["slack"][1]["channel"] == "#after"
    post(told, "Channel", "one", ended=True)


def test_a_maintenance_window_inhibits_what_it_matches_and_nothing_else(told: Stack) -> None:
    before, now = told.identity("alertmanager"), datetime.now(UTC)
    window = {
        "matchers": ['service="redis"'],
        "starts_at": f"{now - timedelta(hours=1):%Y-%m-%d %H:%M}",
        "ends_at": f"{now + timedelta(hours=2):%Y-%m-%d %H:%M}",
        "time_zone": "UTC",
        "comment": "a test",
    }
    told.change(notifications={**NOTIFICATIONS, "maintenance_windows": {"upgrade": window}})
    told.up()
    alerts = told.url("alertmanager") + "/api/v2/alerts"
    is_open = {"filter": 'alertname="MaintenanceWindow"'}
    eventually(lambda: told.http.get(alerts, params=is_open).json() != [], "the window is an alert in Alertmanager")
    assert told.identity("alertmanager") == before
    post(told, "Maintained", "one", service="redis")
    post(told, "Elsewhere", "one")
    everybody(told, "Elsewhere")
    time.sleep(9)  # longer than a route's group_wait and group_interval
    assert about(told, "Maintained") == {} and about(told, "MaintenanceWindow") == {}
    (inhibited,) = told.http.get(alerts, params={"filter": 'alertname="Maintained"'}).json()
    assert inhibited["status"]["state"] == "suppressed" and inhibited["status"]["inhibitedBy"]
    told.change(notifications=NOTIFICATIONS)
    told.up()
    everybody(told, "Maintained")
    post(told, "Maintained", "one", ended=True, service="redis")
    post(told, "Elsewhere", "one", ended=True)
    for name in ("Maintained", "Elsewhere"):
        everybody(told, name, resolved=True)  # or the next test would count it as its own


def test_a_test_alert_tells_what_each_receiver_accepted(told: Stack) -> None:
    for severity in ("critical", "warning"):
        sent = told.ops("test-alert", "--severity", severity, "--stack", NAME)
        assert sent.returncode == 0, sent.stdout + sent.stderr
        assert sorted(sent.stdout.splitlines()) == sorted(f"✓ {name}: 1 accepted, 0 failed" for name in RECEIVERS)
    everybody(told, "SyntheticAlert")
    everybody(told, "SyntheticAlert", resolved=True)


def test_a_receiver_that_fails_is_named_and_is_an_alert_itself(told: Stack, record_property: Record) -> None:
    """The last one: its signal looks back a quarter of an hour."""
    answers = told.url("inbox") + "/api/answers"
    told.http.put(answers, json={"slack": 500})
    began = time.monotonic()
    try:
        sent = told.ops("test-alert", "--stack", NAME)
        assert sent.returncode == 1, sent.stdout
        lines = {line.partition(":")[0]: line for line in sent.stdout.splitlines()}
        assert "✗ slack: 0 accepted" in lines["✗ slack"]
        assert {line.partition(":")[0] for line in lines} - {"✗ slack"} == {f"✓ {n}" for n in RECEIVERS if n != "slack"}
        lost = [f"Lost{number}" for number in range(8)]
        for name in lost:
            post(told, name, "one")
        series = 'ALERTS{alertname="AlertmanagerFailedToSendAlerts",receiver_name="slack"}'
        eventually(lambda: told.query(series) == 1, "the failing receiver is an alert", seconds=180)
        others = 'ALERTS{alertname="AlertmanagerFailedToSendAlerts",receiver_name!="slack"}'
        assert told.query(others) == 0
        record_property("seconds until the failing receiver is an alert", f"{time.monotonic() - began:.1f}")
    finally:
        told.http.put(answers, json={})
    for name in lost:
        post(told, name, "one", ended=True)
