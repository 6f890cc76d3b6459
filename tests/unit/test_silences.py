"""Silences and the synthetic alert, against an Alertmanager that is made up."""

import json
import re
from collections.abc import Callable
from datetime import UTC, datetime, timedelta
from typing import Any

import httpx
import pytest
from typer.testing import CliRunner, Result

import ops.__main__ as commands
from clients.probes import ClientError
from desired_state import build_desired_state
from ops import silence, test_alert
from routing.routes import GROUP_BY
from rules.model import Severity
from stacks.matchers import Matcher
from tests.unit.factories import planned, settings
from tests.unit.test_routing import RECEIVERS, WINDOW

NOW = datetime(2027, 1, 16, 20, 0, tzinfo=UTC)
ID = "7d8eb77e-00f9-4e0e-9f20-047695569296"


class Alertmanager:
    """Keeps silences, and counts a notification for each receiver of an alert as its plan routes it."""

    def __init__(self, stack: str = "dev", refusing: tuple[str, ...] = (), deaf: tuple[str, ...] = ()) -> None:
        self.plan = planned(stack)
        self.environment = stack
        self.refusing, self.deaf = refusing, deaf
        self.silences: list[dict[str, Any]] = []
        self.alerts: list[dict[str, Any]] = []
        self.requests: list[httpx.Request] = []
        self.counts = {name: [5, 2] for name in self.plan.routes.receivers}  # what went before

    def client(self) -> httpx.Client:
        return httpx.Client(transport=httpx.MockTransport(self.answer))

    def answer(self, request: httpx.Request) -> httpx.Response:
        self.requests.append(request)
        path = request.url.path
        if path == "/metrics":
            return httpx.Response(200, text=self.metrics())
        if request.method == "DELETE":
            gone = [one for one in self.silences if path.endswith(one["id"])]
            for one in gone:
                one["status"] = {"state": "expired"}
            return httpx.Response(200 if gone else 404, text="" if gone else "silence not found")
        if path == "/api/v2/silences" and request.method == "POST":
            body = json.loads(request.content)
            self.silences.append({**body, "id": ID, "status": {"state": "active"}})
            return httpx.Response(200, json={"silenceID": ID})
        if path == "/api/v2/silences":
            return httpx.Response(200, json=self.silences)
        assert path == "/api/v2/alerts"
        if request.method == "GET":
            return httpx.Response(200, json=[{"labels": {"alertname": "Watchdog", "environment": self.environment}}])
        (alert,) = json.loads(request.content)
        if not self.alerts:
            for name in set(self.plan.routes.receivers_for(alert["labels"])) - set(self.deaf):
                self.counts[name][0] += 1
                self.counts[name][1] += name in self.refusing
        self.alerts.append(alert)
        return httpx.Response(200)

    def metrics(self) -> str:
        lines = ["# HELP alertmanager_notification_requests_total", 'alertmanager_build_info{version="0.33.1"} 1']
        for name, (sent, failed) in self.counts.items():
            marked = f'{{integration="webhook",receiver_name="{name}"}}'
            lines += [
                f"alertmanager_notification_requests_total{marked} {sent}",
                f"alertmanager_notification_requests_failed_total{marked} {failed}",
                f"alertmanager_notifications_total{marked} 99",
            ]
        return "\n".join(lines)


Run = Callable[..., Result]


@pytest.fixture
def run(monkeypatch: pytest.MonkeyPatch) -> Run:
    """Runs a command against an Alertmanager; nobody waits."""
    clock = iter(range(10_000))
    monkeypatch.setattr("ops.test_alert.time.monotonic", lambda: float(next(clock)))
    monkeypatch.setattr("ops.test_alert.time.sleep", lambda _: None)

    def run_it(there: Alertmanager, *words: str) -> Result:
        monkeypatch.setattr(commands, "client", there.client)
        return CliRunner().invoke(commands.app, list(words))

    return run_it


# --- silences --------------------------------------------------------------------------------------------------------


@pytest.mark.parametrize(
    ("words", "found"),
    [
        (["ApiDown"], [Matcher("alertname", "=", "ApiDown")]),
        (["ApiDown", "instance=~api.*"], [Matcher("alertname", "=", "ApiDown"), Matcher("instance", "=~", "api.*")]),
        (["service=redis", "a!=b"], [Matcher("service", "=", "redis"), Matcher("a", "!=", "b")]),
    ],
)
def test_matchers_are_read_as_amtool_reads_them(words: list[str], found: list[Matcher]) -> None:
    assert list(silence.read_matchers(words)) == found


@pytest.mark.parametrize("words", [[], ["service=redis", "ApiDown"], ["a=~("], ["a!=b"], ["alertname=~.*"], ["a="]])
def test_matchers_that_are_none_or_fit_everything_are_refused(words: list[str]) -> None:
    with pytest.raises(ValueError, match=r"silence|matcher|expression"):
        silence.read_matchers(words)


@pytest.mark.parametrize(
    ("length", "end", "hours"), [("2h", "", 2.0), ("", "2027-01-16T22:00+01:00", 1.0), ("", "2027-01-17T20:00Z", 24.0)]
)
def test_a_silence_ends(length: str, end: str, hours: float) -> None:
    assert silence.parse_end(length, end, NOW) - NOW == timedelta(hours=hours)


@pytest.mark.parametrize(
    ("length", "end", "said"),
    [
        ("", "", "needs one end"),
        ("2h", "2027-01-17T20:00Z", "needs one end"),
        ("", "soon", "'soon' is not a moment"),
        ("", "2027-01-17T20:00", "has no time zone"),
        ("", "2027-01-17", "'2027-01-17' has no time of day"),
        ("", "2027-01-17+01:00", "has no time of day"),
        ("", "2027-01-16T20:00Z", "which is over"),
        ("32d", "", "longer than 31 days"),
        ("9999y", "", "longer than 31 days"),
        ("999999999y", "", "longer than 31 days"),
        ("", "9999-12-31T23:59-14:00", "longer than 31 days"),
        ("", "0001-01-01T00:00+14:00", "which is over"),
        ("two hours", "", "not a Prometheus duration"),
    ],
)
def test_a_silence_without_an_end_that_can_be_kept_is_refused(length: str, end: str, said: str) -> None:
    with pytest.raises(ValueError, match=said):
        silence.parse_end(length, end, NOW)


def test_a_silence_is_made_listed_and_ended_over_alertmanager_alone(run: Run) -> None:
    there = Alertmanager()
    add = (
        "silence",
        "add",
        "ApiDown",
        "instance=~api.*",
        "--author",
        "me",
        "--comment",
        "a new API",
        "--duration",
        "2h",
    )
    made = run(there, *add)
    assert (made.exit_code, made.output.strip()) == (0, ID)
    (kept,) = there.silences
    assert kept["matchers"] == [
        {"name": "alertname", "value": "ApiDown", "isRegex": False, "isEqual": True},
        {"name": "instance", "value": "api.*", "isRegex": True, "isEqual": True},
    ]
    assert (kept["createdBy"], kept["comment"]) == ("me", "a new API")
    shown = run(there, "silence", "list")
    assert f"{ID}  active" in shown.output
    assert 'me: a new API  {alertname="ApiDown", instance=~"api.*"}' in shown.output
    assert run(there, "silence", "expire", ID).exit_code == 0
    assert run(there, "silence", "list").output == ""
    assert f"{ID}  expired" in run(there, "silence", "list", "--expired").output
    assert {request.url.port for request in there.requests} == {9093}


@pytest.mark.parametrize(
    "words",
    [
        ("silence", "add", "ApiDown", "--author", "me", "--comment", "why", "--duration", "1h"),
        ("silence", "list"),
        ("silence", "expire", ID),
        ("test-alert",),
    ],
)
def test_the_alertmanager_of_another_environment_is_left_alone(words: tuple[str, ...], run: Run) -> None:
    there = Alertmanager("dev")
    done = run(there, *words, "--stack", "prod")
    assert isinstance(done.exception, ClientError)
    assert str(done.exception) == (
        "Alertmanager at http://127.0.0.1:9093 is that of dev; where prod runs elsewhere, go through ssh: "
        "ssh -L 9093:127.0.0.1:9093 <host>"
    )
    assert [(request.method, request.url.path) for request in there.requests] == [("GET", "/api/v2/alerts")]


def test_an_alertmanager_that_does_not_answer_may_be_elsewhere() -> None:
    def refuse(_: httpx.Request) -> httpx.Response:
        raise httpx.ConnectError("refused")

    with (
        httpx.Client(transport=httpx.MockTransport(refuse)) as http,
        pytest.raises(ClientError, match="ssh -L 9093:127"),
    ):
        silence.check_environment(http, "http://127.0.0.1:9093", "prod")


@pytest.mark.parametrize("blank", ["author", "comment"])
def test_nobody_silences_without_name_and_comment(blank: str, run: Run) -> None:
    there = Alertmanager()
    said = {"author": "me", "comment": "why", blank: " "}
    done = run(
        there, "silence", "add", "ApiDown", "--duration", "1h", *(w for k, v in said.items() for w in (f"--{k}", v))
    )
    assert done.exit_code == 2 and "needs an author and a comment" in done.output
    assert there.silences == []
    without = run(there, "silence", "add", "ApiDown", "--duration", "1h", "--comment", "why")
    assert without.exit_code != 0


@pytest.mark.parametrize("name", ["1", ID])
def test_a_silence_that_is_not_there_cannot_end(name: str) -> None:
    with pytest.raises(ClientError, match=r"not the id of a silence|answers 404"):
        silence.expire(Alertmanager().client(), "http://127.0.0.1:9093", name)


@pytest.mark.parametrize(("regex", "equal", "operator"), [(0, 1, "="), (1, 1, "=~"), (0, 0, "!="), (1, 0, "!~")])
def test_a_silence_is_shown_with_its_own_operators(regex: int, equal: int, operator: str) -> None:
    there = Alertmanager()
    there.silences = [
        {
            "id": ID,
            "matchers": [{"name": "a", "value": "b", "isRegex": bool(regex), "isEqual": bool(equal)}],
            "startsAt": "2027-01-16T20:00:00.000Z",
            "endsAt": "2027-01-16T21:00:00.000Z",
            "createdBy": "me",
            "comment": "why",
            "status": {"state": "pending"},
        }
    ]
    (found,) = silence.list_silences(there.client(), "http://127.0.0.1:9093")
    assert found.matchers == (Matcher("a", operator, "b"),)


# --- the synthetic alert ---------------------------------------------------------------------------------------------


@pytest.mark.parametrize(
    ("severity", "receivers"),
    [("critical", ["oncall", "alerts"]), ("warning", ["alerts", "operations"])],
)
def test_a_test_alert_is_routed_by_its_severity_and_resolved(severity: str, receivers: list[str], run: Run) -> None:
    there = Alertmanager("prod")
    done = run(there, "test-alert", "--stack", "prod", "--severity", severity)
    assert done.exit_code == 0, done.output
    assert done.output.splitlines() == [f"✓ {name}: 1 accepted, 0 failed" for name in receivers]
    fired, resolved = there.alerts
    own = {"service": fired["labels"]["service"]}
    assert fired["labels"] == resolved["labels"] == {**test_alert.labels(there.plan, Severity(severity)), **own}
    assert datetime.fromisoformat(fired["endsAt"]) > datetime.now(UTC) >= datetime.fromisoformat(resolved["endsAt"])


def test_a_receiver_that_does_not_take_it_is_named(run: Run) -> None:
    done = run(Alertmanager("prod", refusing=("alerts",)), "test-alert", "--stack", "prod")
    assert done.exit_code == 1
    assert done.output.splitlines() == ["✓ oncall: 1 accepted, 0 failed", "✗ alerts: 0 accepted, 1 failed"]


def test_severity_none_has_nobody_to_notify(run: Run) -> None:
    there = Alertmanager("prod")
    done = run(there, "test-alert", "--stack", "prod", "--severity", "none")
    assert done.exit_code == 2 and there.alerts == []
    assert "severity none notifies nobody; write critical or warning" in done.output


def test_a_receiver_that_is_not_notified_is_named_with_what_it_waits_for(run: Run) -> None:
    there = Alertmanager("prod", deaf=("alerts", "operations"))
    done = run(there, "test-alert", "--stack", "prod", "--severity", "warning")
    assert done.exit_code == 1
    assert done.output.splitlines()[0] == "✗ alerts: nothing was sent; it is notified only in business_hours"
    assert len(there.alerts) == 2  # it is resolved all the same


def test_a_second_test_alert_is_a_group_of_its_own(run: Run) -> None:
    there = Alertmanager()
    first, second = (test_alert.labels(there.plan, Severity.CRITICAL) for _ in range(2))
    assert {label for label in first if first[label] != second[label]} == {"service"} <= set(GROUP_BY)


def test_a_receiver_has_the_time_for_a_second_try(run: Run, monkeypatch: pytest.MonkeyPatch) -> None:
    there = Alertmanager("prod", refusing=("alerts",))
    scrape, scrapes = there.metrics, []

    def later() -> str:
        scrapes.append(1)
        if len(scrapes) == 5:
            there.counts["alerts"][0] += 1
        return scrape()

    monkeypatch.setattr(there, "metrics", later)
    done = run(there, "test-alert", "--stack", "prod")
    assert done.output.splitlines()[1] == "✗ alerts: 1 accepted, 1 failed"


def test_a_receiver_that_is_muted_is_named_with_what_mutes_it() -> None:
    nothing: dict[str, Any] = {"receiver": "alerts", "accepted": 0, "failed": 0}
    assert str(test_alert.DeliveryResult(**nothing)) == "alerts: nothing was sent"
    muted = test_alert.DeliveryResult(**nothing, active_only_in=("hours",), muted_by=("night",), inhibited_by=("work",))
    assert str(muted) == (
        "alerts: nothing was sent; it is notified only in hours; it is not notified in night; the maintenance window "
        "work inhibits the alert"
    )


def test_an_open_maintenance_window_that_inhibits_the_test_alert_is_named(run: Run) -> None:
    now = datetime.now(UTC)
    span = {"starts_at": now - timedelta(hours=1), "ends_at": now + timedelta(hours=1)}
    window = {**WINDOW, "matchers": ["severity=critical"], "time_zone": "UTC"}
    is_open = {**window, **{key: f"{value:%Y-%m-%d %H:%M}" for key, value in span.items()}}
    is_over = {**window, "starts_at": "2020-01-01 00:00", "ends_at": "2020-01-02 00:00"}
    other = {**is_open, "matchers": ["service=redis"]}
    notifications = {
        "receivers": RECEIVERS,
        "maintenance_windows": {"open": is_open, "over": is_over, "other": other},
    }
    desired = build_desired_state(settings(notifications=notifications))
    (outcome,) = test_alert.send(Alertmanager(deaf=("inbox",)).client(), desired, Severity.CRITICAL)
    assert outcome.inhibited_by == ("open",) and not outcome.ok


def test_an_alertmanager_that_does_not_answer_is_told_in_one_line(monkeypatch: pytest.MonkeyPatch) -> None:
    def refuse(_: httpx.Request) -> httpx.Response:
        raise httpx.ConnectError("connection refused")

    with pytest.raises(ClientError, match="Alertmanager does not answer at http://127"):
        test_alert.send(httpx.Client(transport=httpx.MockTransport(refuse)), Alertmanager().plan, Severity.CRITICAL)


def test_no_inhibit_rule_of_this_project_matches_the_test_alert() -> None:
    for stack in ("dev", "prod"):
        made = planned(stack)
        marked = test_alert.labels(made, Severity.WARNING)
        services = {alert.service for alert in made.alerts}
        assert marked["service"] not in services
        for rule in made.routes.inhibit_rules:
            known = {m.label for m in rule.target_matchers} <= {"severity", "instance", "alertname", "service", "job"}
            assert known and ("service" in rule.equal or not all(m.matches(marked) for m in rule.target_matchers)), str(
                rule
            )


def test_the_counts_are_read_by_receiver() -> None:
    there = Alertmanager("prod")
    there.counts["alerts"] = [7, 3]
    assert test_alert.counters(there.client(), "http://x")["alerts"] == test_alert.NotificationCounters(7, 3)
    assert re.search("receiver_name", there.metrics())
