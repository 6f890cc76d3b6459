"""Every check of the live state: silent where all is well, and each catches its fault, in one line that names it and
says what to do.
"""

import re
from collections.abc import Callable
from datetime import timedelta
from typing import Any

import httpx
import pytest
import requests

from desired_state import DesiredState
from readiness import checks
from readiness.checks import Finding
from tests.unit.factories import planned
from tests.unit.fake_stack import PASSWORD, FakeStack, nanoseconds

REDIS = ("redis", "redis")
API = ("softfactory-api", "api")
HTML = httpx.Response(200, text="<html><body>Welcome to the router</body></html>")
CORRECT = "correct its expression in rules/, then `pulumi up`"


@pytest.fixture(scope="module")
def desired() -> DesiredState:
    return planned("dev")


@pytest.fixture
def stack(desired: DesiredState, monkeypatch: pytest.MonkeyPatch) -> FakeStack:
    fake = FakeStack(desired)
    fake.install(monkeypatch)
    return fake


def problems(stack: FakeStack, desired: DesiredState) -> list[Finding]:
    with stack.client() as http:
        return checks.find_problems(desired.expected, stack.endpoints(), http)


def settle(stack: FakeStack, desired: DesiredState) -> list[Finding]:
    with stack.client() as http:
        return checks.wait_until_ready(desired.expected, stack.endpoints(), http)


@pytest.mark.parametrize("environment", ["dev", "staging", "prod"])
def test_a_stack_in_which_all_is_well_has_no_problems(environment: str, monkeypatch: pytest.MonkeyPatch) -> None:
    desired = planned(environment)
    stack = FakeStack(desired)
    stack.install(monkeypatch)
    assert problems(stack, desired) == []
    # Silence must come from having looked.
    assert {"/api/v1/query", "/api/v1/targets", "/api/v1/rules", "/api/v1/alertmanagers"} <= set(
        stack.paths("prometheus")
    )
    assert stack.paths("alertmanager") == ["/metrics"]
    assert {
        "/api/datasources",
        "/api/search",
        "/api/datasources/uid/prometheus/health",
        "/api/datasources/proxy/uid/alertmanager/api/v2/status",
        "/api/org/preferences",
    } == set(stack.paths("grafana"))
    assert stack.listings[0]["all"] and stack.listings[0]["filters"] == {"label": "softfactory.prefix=softfactory"}


def container(service: str, **state: Any) -> Callable[[FakeStack], None]:
    return lambda stack: stack.containers[service]["State"].update(state)


def target(key: tuple[str, str], **fields: Any) -> Callable[[FakeStack], None]:
    return lambda stack: stack.targets[key].update(fields)


def rule(name: str, **fields: Any) -> Callable[[FakeStack], None]:
    return lambda stack: next(rule for _, rule in stack.rules if rule["name"] == name).update(fields)


def without_rule(name: str) -> Callable[[FakeStack], None]:
    return lambda stack: stack.rules.remove(next(entry for entry in stack.rules if entry[1]["name"] == name))


def older(seconds: float) -> Callable[[FakeStack], None]:
    return lambda stack: target(REDIS, lastScrape=nanoseconds(stack.now - timedelta(seconds=seconds)))(stack)


def started_after_the_scrape(service: str) -> Callable[[FakeStack], None]:
    return lambda stack: container(service, StartedAt=nanoseconds(stack.now - timedelta(seconds=1)))(stack)


FAULTS: dict[str, tuple[Callable[[FakeStack], object], str, str, bool]] = {
    "container missing": (lambda s: s.containers.pop("redis"), "redis", "container is gone", True),
    "container exited": (container("redis", Running=False, ExitCode=137), "redis", "exited with code 137", True),
    "container that cannot start": (
        container("redis", Restarting=True, ExitCode=2),
        "redis",
        "ends as soon as it starts, with code 2",
        True,
    ),
    "container never healthy": (container("api", Health={"Status": "unhealthy"}), "api", "is unhealthy", True),
    "container not healthy yet": (container("api", Health={"Status": "starting"}), "api", "is starting", True),
    "container paused": (container("redis", Paused=True), "redis", "is paused", True),
    "target missing": (lambda s: s.targets.pop(API), "target softfactory-api/api", "does not scrape it", False),
    "own target missing": (lambda s: s.targets.pop(REDIS), "target redis/redis", "does not scrape it", True),
    "target down": (
        target(REDIS, health="down", lastError="connection refused"),
        "target redis/redis",
        "connection refused",
        True,
    ),
    "last scrape too old": (older(11), "target redis/redis", "not scraped", True),
    "target never scraped": (
        target(REDIS, health="unknown", lastScrape="0001-01-01T00:00:00Z"),
        "target redis/redis",
        "not scraped",
        True,
    ),
    "old scrape with an error": (
        target(REDIS, health="down", lastError="i/o timeout", lastScrape="0001-01-01T00:00:00Z"),
        "target redis/redis",
        "i/o timeout",
        True,
    ),
    "scrape by the exporter's predecessor": (
        started_after_the_scrape("redis-exporter-redis"),
        "target redis/redis",
        "not scraped",
        True,
    ),
    "rule missing": (without_rule("RedisDown"), "rule softfactory/RedisDown", "not loaded", True),
    "rule broken": (
        rule("RedisDown", health="err", lastError="many-to-many matching"),
        "rule softfactory/RedisDown",
        "many-to-many matching",
        True,
    ),
    "rule broken in several lines": (
        rule("RedisDown", health="err", lastError="found duplicate series:\n\t[{}, {}]"),
        "rule softfactory/RedisDown",
        "found duplicate series: [{}, {}]",
        True,
    ),
    "target down for several lines": (
        target(REDIS, health="down", lastError="invalid metric:\n\t<html>"),
        "target redis/redis",
        "down: invalid metric: <html>",
        True,
    ),
    "full volume": (
        rule("monitoring_config_info", health="err", lastError="write to WAL: log samples: no space left on device"),
        "Prometheus",
        "stores nothing: write to WAL: log samples: no space left on device",
        True,
    ),
    "volume that was full": (
        lambda s: setattr(s, "wal_write_failures", 8),
        "Prometheus",
        "8 writes to its log failed",
        True,
    ),
    "rule not evaluated": (rule("RedisDown", health="unknown"), "rule softfactory/RedisDown", "not evaluated", True),
    "another release": (
        lambda s: s.release.update(labels={"revision": "0123456789ab"}),
        "Prometheus",
        "runs release 0123456789ab",
        True,
    ),
    "no release": (without_rule("monitoring_config_info"), "Prometheus", "runs release none", True),
    "no Alertmanager known": (lambda s: s.alertmanagers.clear(), "Prometheus", "sends alerts to nobody", True),
    "another Alertmanager known": (
        lambda s: s.alertmanagers.__setitem__(0, "http://pager:9093/api/v2/alerts"),
        "Prometheus",
        "sends alerts to pager:9093, not to the Alertmanager that it scrapes",
        True,
    ),
    "another port of the Alertmanager's known": (
        lambda s: s.alertmanagers.__setitem__(0, "http://alertmanager:9094/api/v2/alerts"),
        "Prometheus",
        "sends alerts to alertmanager:9094",
        True,
    ),
    "another Alertmanager configuration": (
        lambda s: setattr(s, "alertmanager_hash", "2.5e+14"),
        "Alertmanager",
        "another configuration",
        True,
    ),
    "no Alertmanager configuration hash": (
        lambda s: s.broken.update({"/metrics": httpx.Response(200, text="up 1\n")}),
        "Alertmanager",
        "no alertmanager_config_hash",
        True,
    ),
    "data source missing": (
        lambda s: s.datasources.pop("prometheus"),
        "data source prometheus",
        "does not have it",
        True,
    ),
    "data source that reaches nothing": (
        lambda s: s.broken.update({"/api/datasources/uid/prometheus/health": httpx.Response(400, text="no such host")}),
        "data source prometheus",
        "no such host",
        True,
    ),
    "Alertmanager's data source that reaches nothing": (
        lambda s: s.broken.update(
            {"/api/datasources/proxy/uid/alertmanager/api/v2/status": httpx.Response(502, text="bad gateway")}
        ),
        "data source alertmanager",
        "bad gateway",
        True,
    ),
    "dashboard missing": (lambda s: s.dashboards.remove("api"), "dashboard api", "does not have it", True),
    "dashboard in another folder": (
        lambda s: s.elsewhere.update(api="theirs"),
        "dashboard api",
        "does not have it",
        True,
    ),
    "another home dashboard": (lambda s: setattr(s, "home", "api"), "Grafana", "opens on the dashboard api", True),
    "no home dashboard": (lambda s: setattr(s, "home", ""), "Grafana", "opens on a page of its own", True),
    "wrong Grafana password": (lambda s: setattr(s, "password", "another"), "Grafana", "refuses the credentials", True),
    "engine silent": (
        lambda s: setattr(s, "engine_error", requests.exceptions.ConnectionError("connection aborted")),
        "Docker engine",
        "connection aborted",
        True,
    ),
}


@pytest.mark.parametrize("fault", FAULTS)
def test_each_fault_is_the_one_problem_found(fault: str, stack: FakeStack, desired: DesiredState) -> None:
    break_it, part, cause, stack_owned = FAULTS[fault]
    break_it(stack)
    found = problems(stack, desired)
    assert [problem.part for problem in found] == [part], [str(problem) for problem in found]
    assert cause in found[0].cause
    assert found[0].stack_owned is stack_owned
    assert re.search(r"; (see|run|correct) .+", str(found[0])), "it says what to do"
    assert "\n" not in str(found[0])


def test_every_service_of_the_plan_is_looked_at(stack: FakeStack, desired: DesiredState) -> None:
    stack.containers.clear()
    assert {problem.part for problem in problems(stack, desired)} == desired.expected.services


def test_every_target_rule_data_source_and_dashboard_of_the_plan_is_looked_at(
    stack: FakeStack, desired: DesiredState
) -> None:
    stack.targets.clear()
    stack.rules.clear()
    stack.datasources.clear()
    stack.dashboards.clear()
    expected = desired.expected
    assert {problem.part for problem in problems(stack, desired)} == {
        *(f"target {job}/{instance}" for job, instance in expected.targets),
        *(f"rule {group}/{name}" for group, name in expected.rules),
        *(f"data source {uid}" for uid in expected.datasources),
        *(f"dashboard {uid}" for uid in expected.dashboards),
        "Prometheus",
    }


@pytest.mark.parametrize("key", [REDIS, API])
def test_who_is_to_mend_a_target_depends_on_whose_it_is(
    key: tuple[str, str], stack: FakeStack, desired: DesiredState
) -> None:
    target(key, health="down", lastError="EOF")(stack)
    (found,) = problems(stack, desired)
    assert (
        found.remediation
        == {
            REDIS: (
                "see `docker logs softfactory-redis-exporter-redis`, then `docker restart"
                " softfactory-redis-exporter-redis`"
            ),
            API: (
                "see that http://api:8000/metrics serves metrics, or correct scrape_targets.softfactory-api in the"
                " settings"
            ),
        }[key]
    )


@pytest.mark.parametrize("state", [{"Running": False, "ExitCode": 1}, {"Paused": True}, None])
@pytest.mark.parametrize("service", ["prometheus", "alertmanager", "grafana", "redis-exporter-redis"])
def test_what_follows_from_a_container_that_does_not_run_is_not_told_besides(
    service: str, state: dict[str, Any] | None, stack: FakeStack, desired: DesiredState
) -> None:
    if state is None:
        stack.containers.pop(service)
    else:
        container(service, **state)(stack)
    for key, named in desired.expected.stack_targets.items():
        if named == service:
            target(key, health="down", lastError="no such host")(stack)
    port = getattr(stack.ports, service, None)
    if service == "prometheus":
        stack.broken["/api/datasources/uid/prometheus/health"] = httpx.Response(400, text="no such host")
    if service == "alertmanager":
        path = "/api/datasources/proxy/uid/alertmanager/api/v2/status"
        stack.broken[path] = httpx.Response(502, text="no such host")
    silent = stack.client()

    def refuse(request: httpx.Request) -> httpx.Response:
        if request.url.port == port:
            raise httpx.ConnectError("refused")
        return silent.send(request)

    with httpx.Client(transport=httpx.MockTransport(refuse)) as http:
        found = checks.find_problems(desired.expected, stack.endpoints(), http)
    assert [problem.part for problem in found] == [service]


def test_the_clock_of_this_machine_does_not_count(stack: FakeStack, desired: DesiredState) -> None:
    """The engine's may stand far from it: that of a virtual machine drifts while its host sleeps."""
    for hours in (-1, 1):
        stack.now += timedelta(hours=hours)
        for each in stack.targets.values():
            each["lastScrape"] = nanoseconds(stack.now - timedelta(seconds=1))
        for each in stack.containers.values():
            each["State"]["StartedAt"] = nanoseconds(stack.now - timedelta(minutes=5))
        assert problems(stack, desired) == []


def test_a_scrape_of_the_last_interval_counts(stack: FakeStack, desired: DesiredState) -> None:
    older(desired.expected.scrape_interval)(stack)
    assert problems(stack, desired) == []


def test_a_scrape_from_before_prometheus_was_started_does_not_count(stack: FakeStack, desired: DesiredState) -> None:
    started_after_the_scrape("prometheus")(stack)
    assert {problem.part for problem in problems(stack, desired)} == {
        f"target {job}/{instance}" for job, instance in desired.expected.targets
    }


def test_a_broken_rule_does_not_hide_behind_another_of_its_name(stack: FakeStack, desired: DesiredState) -> None:
    broken = {"name": "ratio", "type": "recording", "health": "err", "lastError": "division", "labels": {"le": "1"}}
    sound = {"name": "ratio", "type": "recording", "health": "ok", "labels": {"le": "2"}}
    stack.rules += [("recordings", broken), ("recordings", sound)]
    assert [str(problem) for problem in problems(stack, desired)] == [f"rule recordings/ratio: division; {CORRECT}"]


def test_a_group_that_is_evaluated_more_slowly_than_an_update_waits_is_judged_by_its_errors(
    stack: FakeStack, desired: DesiredState
) -> None:
    stack.intervals["softfactory"] = 60
    rule("RedisDown", health="unknown")(stack)
    assert problems(stack, desired) == []
    rule("RedisDown", health="err", lastError="many-to-many matching")(stack)
    assert len(problems(stack, desired)) == 1


def test_what_is_there_besides_the_expected_is_no_problem(stack: FakeStack, desired: DesiredState) -> None:
    stack.targets[("other", "x")] = {**stack.targets[REDIS], "labels": {"job": "other", "instance": "x"}}
    stack.dashboards.append("made-by-hand")
    stack.datasources["loki"] = {"uid": "loki", "name": "Loki", "type": "loki", "url": ""}
    shot = {**stack.containers["redis"], "Name": "/softfactory-redis-secrets"}
    stack.containers["redis-secrets"] = {**shot, "State": {"Running": False, "ExitCode": 0, "StartedAt": ""}}
    assert problems(stack, desired) == []


PATHS = {
    "/api/v1/targets": "Prometheus",
    "/api/v1/rules": "Prometheus",
    "/api/v1/alertmanagers": "Prometheus",
    "/metrics": "Alertmanager",
    "/api/datasources": "Grafana",
    "/api/search": "Grafana",
    "/api/org/preferences": "Grafana",
}


@pytest.mark.parametrize("path", PATHS)
@pytest.mark.parametrize(
    ("answer", "cause"),
    [
        (httpx.ConnectError("connection refused"), "connection refused"),
        (httpx.Response(503, text="starting up"), "503"),
        (HTML, ""),  # test_probes.py knows what else is no answer of a part's
    ],
    ids=["silence", "an error", "a page"],
)
def test_whatever_is_answered_the_part_is_named_in_one_line(
    path: str, answer: httpx.Response | Exception, cause: str, stack: FakeStack, desired: DesiredState
) -> None:
    stack.broken[path] = answer
    found = problems(stack, desired)
    assert found
    assert {problem.part for problem in found} == {PATHS[path]}, [str(problem) for problem in found]
    assert [str(problem) for problem in found if cause not in problem.cause or "\n" in str(problem)] == []


def test_each_cause_is_told_once_though_it_is_met_twice(stack: FakeStack, desired: DesiredState) -> None:
    broken = {"name": "ratio", "type": "recording", "health": "err", "lastError": "division", "labels": {}}
    stack.rules += [("recordings", broken), ("recordings", broken)]
    assert [str(problem) for problem in problems(stack, desired)] == [f"rule recordings/ratio: division; {CORRECT}"]


def test_a_part_that_is_down_does_not_hide_the_others(stack: FakeStack, desired: DesiredState) -> None:
    stack.engine_error = requests.exceptions.ConnectionError("no socket")
    stack.broken["/api/v1/targets"] = httpx.ConnectError("refused")
    stack.dashboards.clear()
    assert {problem.part for problem in problems(stack, desired)} == {
        "Docker engine",
        "Prometheus",
        *(f"dashboard {uid}" for uid in desired.dashboards),
    }


def test_an_unchanged_stack_is_not_waited_for(stack: FakeStack, desired: DesiredState) -> None:
    assert settle(stack, desired) == []
    assert stack.slept == 0


def test_what_needs_a_moment_gets_two_scrape_intervals_and_a_little(stack: FakeStack, desired: DesiredState) -> None:
    target(REDIS, health="unknown", lastScrape="0001-01-01T00:00:00Z")(stack)

    def scraped() -> None:
        if stack.slept >= 2 * desired.expected.scrape_interval:
            target(REDIS, health="up", lastScrape=nanoseconds(stack.now))(stack)

    stack.on_sleep = scraped
    assert settle(stack, desired) == []
    assert stack.slept < 2 * desired.expected.scrape_interval + 5


def test_what_stays_wrong_is_told_after_two_scrape_intervals_and_a_little(monkeypatch: pytest.MonkeyPatch) -> None:
    desired = planned("prod")  # whose interval is longer than that little
    stack = FakeStack(desired)
    stack.install(monkeypatch)
    stack.haste = 4
    stack.dashboards.remove("api")
    assert [problem.part for problem in settle(stack, desired)] == ["dashboard api"]
    assert 2 * desired.expected.scrape_interval < stack.slept <= 2 * desired.expected.scrape_interval + 7


def test_a_refused_password_is_not_tried_until_the_account_is_locked(stack: FakeStack, desired: DesiredState) -> None:
    stack.password = "what the kept database has"
    target(REDIS, health="unknown", lastScrape="0001-01-01T00:00:00Z")(stack)
    assert "Grafana" in {problem.part for problem in settle(stack, desired)}
    assert stack.paths("grafana").count("/api/datasources") <= 2  # Grafana locks after five


def test_no_problem_tells_the_password(stack: FakeStack, desired: DesiredState) -> None:
    for path in PATHS:
        stack.broken[path] = httpx.ConnectError("refused")
    stack.engine_error = requests.exceptions.ConnectionError("no socket")
    assert [problem.part for problem in problems(stack, desired) if PASSWORD in str(problem)] == []
    assert PASSWORD not in repr(stack.endpoints())
