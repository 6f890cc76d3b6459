"""The deployed stack as its users meet it. The tests run in the order of the file, first of the end-to-end test."""

import json
import os
import subprocess
import sys
import time
from functools import partial
from typing import Any

import pytest

from clients import probes
from desired_state import load_desired_state
from rules import ALERTS
from tests.e2e.conftest import FULL, NAME, PREFIX, ROOT, Stack, eventually

pytestmark = pytest.mark.engine

CHECKLIST = {
    "ApiDown",
    "HighErrorRate",
    "DatabaseDown",
    "RedisDown",
    "ElasticsearchDown",
    "HighResponseTime",
    "SlowQueries",
    "CacheHitRatioDegraded",
    "ConnectionPoolNearMax",
}
JOBS = {"prometheus", "alertmanager", "grafana", "softfactory-api", "postgres", "redis", "elasticsearch", "node"}
RULES = sum(alert.job.name in JOBS for alert in ALERTS)  # the stack has no target of any other job


def test_up_ends_verified_and_health_agrees(stack: Stack) -> None:
    readiness = stack.pulumi("stack", "output", "readiness", "--stack", NAME).stdout.strip()
    assert readiness == f"8 targets, {RULES} rules, 2 data sources, 8 dashboards: live"
    stack.becomes_healthy()  # a busy machine's exporter may answer a scrape too late
    facts = json.loads(stack.ops("health", "--stack", NAME, "--json").stdout)
    assert (facts["targets"], facts["rules"], facts["firing"], facts["datasources"]) == (8, RULES, [], 2)


def test_the_health_report_has_the_checklists_lines(stack: Stack) -> None:
    report = stack.ops("health", "--stack", NAME).stdout
    for line in (
        "=== SoftFactory Monitoring Stack Health Check ===",
        "Checking Prometheus... ✓ OK",
        "Checking Alertmanager... ✓ OK",
        "Checking Grafana... ✓ OK",
        "Checking API Metrics... ✓ OK",
        "Prometheus targets: 8 active targets",
        f"Alert rules: {RULES} rules defined",
        "Alertmanager alerts: 0 alerts",
        "Grafana datasources: 2 datasources",
        "✓ All monitoring components operational",
    ):
        assert line in report.splitlines()


def test_preview_right_after_up_shows_no_change(stack: Stack) -> None:
    stack.pulumi("preview", "--stack", NAME, "--expect-no-changes")


def test_every_container_is_healthy_and_without_privileges(stack: Stack) -> None:
    services = stack.engine.containers.list(filters={"label": f"softfactory.prefix={PREFIX}"})
    assert len(services) == 12
    for container in services:
        host = container.attrs["HostConfig"]
        assert container.attrs["State"]["Health"]["Status"] == "healthy", container.name
        assert host["CapDrop"] == ["ALL"], container.name
        assert not host["CapAdd"], container.name
        assert "no-new-privileges" in host["SecurityOpt"], container.name
        assert host["Memory"] > 0, container.name
        assert host["ReadonlyRootfs"], container.name
        assert not container.attrs["Config"]["User"].startswith("0"), container.name
        for bindings in (host["PortBindings"] or {}).values():
            assert {binding["HostIp"] for binding in bindings} == {"127.0.0.1"}, container.name


def test_ten_sign_ups_raise_the_request_counter_by_ten(stack: Stack) -> None:
    def signed_up() -> float:
        return stack.query('sum(http_requests_total{endpoint="/api/auth/signup",method="POST",status="201"})')

    before = signed_up()
    for number in range(10):
        answer = stack.http.post(
            stack.url("api") + "/api/auth/signup",
            json={"email": f"user{number}-{time.time_ns()}@softfactory.invalid", "password": "correct horse"},
            timeout=60,
        )
        assert answer.status_code == 201, answer.text
    eventually(lambda: signed_up() == before + 10, "ten more sign-ups in http_requests_total")


def test_every_target_is_up(stack: Stack) -> None:
    assert {target.job for target in probes.targets(stack.http, stack.url("prometheus"))} == JOBS

    def all_up() -> bool:
        return all(target.up for target in probes.targets(stack.http, stack.url("prometheus")))

    eventually(all_up, "every target is up")  # a busy machine's exporter may answer a scrape too late


def test_the_nine_rules_are_loaded_and_healthy(stack: Stack) -> None:
    rules = [rule for rule in probes.rules(stack.http, stack.url("prometheus")) if rule.group == "softfactory"]
    assert {rule.name for rule in rules} == CHECKLIST
    assert len(rules) == 9
    assert {rule.health for rule in rules} == {"ok"}


def test_grafana_shows_the_dashboards_and_reaches_its_data_sources(stack: Stack) -> None:
    assert set(probes.dashboards(stack.http, stack.url("grafana"), stack.grafana_auth)) == set(
        load_desired_state("dev").dashboards
    )
    sources = probes.datasources(stack.http, stack.url("grafana"), stack.grafana_auth)
    assert sources == {"prometheus": "prometheus", "alertmanager": "alertmanager"}
    for uid, kind in sources.items():
        assert probes.datasource_problem(stack.http, stack.url("grafana"), stack.grafana_auth, uid, kind) == ""
    assert probes.home_dashboard(stack.http, stack.url("grafana"), stack.grafana_auth) == "overview"


def test_every_metric_of_the_api_moves_through_real_requests(stack: Stack) -> None:
    api = stack.url("api")
    before = _families(stack)
    account = {"email": f"mover-{time.time_ns()}@softfactory.invalid", "password": "correct horse"}
    stack.http.post(api + "/api/auth/signup", json=account)
    assert stack.http.post(api + "/api/auth/login", json=account).status_code == 200
    for _ in range(3):
        assert stack.http.get(api + "/api/articles/1").status_code == 200
    eventually(lambda: stack.http.get(api + "/api/search", params={"q": "a"}).status_code == 200, "search answers")
    try:
        stack.inject(delay_ms=1100, cache_off=True)
        stack.http.get(api + "/api/articles/2")
    finally:
        stack.inject(delay_ms=0, cache_off=False)
    stack.container("postgres").stop()
    try:
        assert stack.http.get(api + "/api/articles/3", timeout=30).status_code == 503
    finally:
        stack.container("postgres").start()
    eventually(lambda: stack.http.get(api + "/api/articles/4").status_code == 200, "the API finds its database again")
    moved = (
        "http_requests_total",
        "http_request_duration_seconds_count",
        "http_slow_requests_total",
        "app_uptime_seconds",
        "db_query_count",
        "db_query_duration_ms_count",
        "db_query_errors",
        "cache_hits_total",
        "cache_misses_total",
        "auth_successful_logins",
        "email_sent_total",
    )
    eventually(
        lambda: all(_families(stack).get(name, 0) > before.get(name, 0) for name in moved), f"all of {moved} moved"
    )
    now = _families(stack)
    gauges = ("active_users_gauge", "scheduled_jobs_gauge", "process_memory_mb")
    eventually(lambda: all(_families(stack)[name] > 0 for name in gauges), f"all of {gauges} are over 0")
    assert "process_cpu_percent" in now
    stack.calm()


def _families(stack: Stack) -> dict[str, float]:
    """Sample name to the sum over its labels, as the API itself says."""
    sums: dict[str, float] = {}
    for line in stack.http.get(stack.url("api") + "/metrics").text.splitlines():
        if line and not line.startswith("#"):
            name = line.partition("{")[0].partition(" ")[0]
            sums[name] = sums.get(name, 0.0) + float(line.rpartition(" ")[2])
    return sums


# What is done to a server, and the series that rises by it.
ACTED_ON: dict[str, tuple[list[str], str]] = {
    "redis": (
        [
            "sh",
            "-c",
            (
                "REDISCLI_AUTH=$(sed -n 's/^requirepass //p' /run/secrets/redis.conf) redis-cli MSET "
                "e2e:1 x e2e:2 x e2e:3 x"
            ),
        ],
        'sum(redis_db_keys{job="redis"})',
    ),
    "postgres": (
        [
            "sh",
            "-c",
            (
                "psql -h 127.0.0.1 -U softfactory -d softfactory -c 'CREATE TABLE e2e AS SELECT "
                "generate_series(1,20000) AS n'"
            ),
        ],
        'sum(pg_stat_database_tup_inserted{job="postgres",datname="softfactory"})',
    ),
    # Without replicas, which a single node cannot hold: the cluster would stay yellow, and an alert pending.
    "elasticsearch": (
        [
            "sh",
            "-c",
            (
                "json='Content-Type: application/json' && "
                'curl -sf -X PUT -H "$json" -d \'{"settings": {"number_of_replicas": 0}}\' '
                'http://127.0.0.1:9200/e2e && curl -sf -X POST -H "$json" -d \'{"e2e": 1}\' '
                "'http://127.0.0.1:9200/e2e/_doc?refresh=true'"
            ),
        ],
        'sum(elasticsearch_indices_docs_primary{job="elasticsearch"})',
    ),
    "prometheus": (
        ["sh", "-c", "dd if=/dev/zero of=/prometheus/e2e bs=1048576 count=64 && sync"],
        '- sum(node_filesystem_avail_bytes{job="node"})',
    ),
}


def test_each_exporters_value_rises_when_its_server_is_acted_on(stack: Stack) -> None:
    before: dict[str, float] = {}
    for service, (command, expr) in ACTED_ON.items():
        before[expr] = eventually(partial(stack.query, expr), f"{expr} has a value")
        environment = {"PGPASSWORD": stack.passwords["postgres_password"]} if service == "postgres" else {}
        done = stack.container(service).exec_run(command, environment=environment)
        assert done.exit_code == 0, done.output

    def risen() -> bool:
        for expr in [expr for expr, value in before.items() if stack.query(expr) > value]:
            del before[expr]
        return not before

    eventually(risen, f"each of {before} rises")


def test_the_watchdog_reaches_what_waits_for_it_and_not_the_person_on_call(stack: Stack) -> None:
    def beats() -> list[dict[str, Any]]:
        messages = stack.http.get(stack.url("inbox") + "/api/messages").json()
        return [alert for message in messages["heartbeats"] for alert in message["body"]["alerts"]]

    # Told again every five minutes, at the latest a minute later, whatever emptied the inbox before.
    eventually(lambda: bool(beats()), "a heartbeat arrives", seconds=400)
    assert {beat["labels"]["alertname"] for beat in beats()} == {"Watchdog"}
    assert {beat["status"] for beat in beats()} == {"firing"}
    assert stack.told("Watchdog") == []


def test_a_redis_outage_reaches_the_webhook_and_so_does_its_end(stack: Stack) -> None:
    inbox = stack.url("inbox") + "/api/messages"
    # It may have fired while the stack came up: until the end of that is told, another outage is no news.
    eventually(lambda: stack.told("RedisDown")[-1:] != ["firing"], "what the start provoked is told to be over")
    stack.http.delete(inbox)
    stack.container("redis").stop(timeout=5)
    try:
        eventually(lambda: _state(stack, "RedisDown") == "firing", "RedisDown fires in Prometheus", seconds=60)
        eventually(lambda: "firing" in stack.told("RedisDown"), "the webhook is told that RedisDown fires")
        health = stack.ops("health", "--stack", NAME)
        assert health.returncode == 1
        assert "RedisDown is firing" in health.stdout
    finally:
        stack.container("redis").start()
    eventually(lambda: _state(stack, "RedisDown") == "inactive", "RedisDown ends in Prometheus", seconds=60)
    eventually(lambda: "resolved" in stack.told("RedisDown"), "the webhook is told of the end")
    eventually(lambda: stack.is_healthy("redis"), "Redis is healthy")


def _state(stack: Stack, alert: str) -> str:
    rules = probes.rules(stack.http, stack.url("prometheus"))
    return next(rule.state for rule in rules if rule.name == alert)


def test_grafana_keeps_its_contract(stack: Stack) -> None:
    """The whole of it where Grafana is the real one, or with FULL=1. Of the stand-in, `make test-rules` drives the
    plugin against its code; what the container adds to that is how it is reached.
    """
    is_stand_in = "standIn" in stack.http.get(stack.url("grafana") + "/api/health").json()
    part = "/test_api.py" if is_stand_in and not FULL else ""
    environment = {
        **stack.environment,
        "GRAFANA_URL": stack.url("grafana"),
        "GRAFANA_AUTH": stack.grafana_auth.text,
        "PROMETHEUS_URL_FOR_GRAFANA": "http://prometheus:9090",
        "GRAFANA_CONTRACT_LOCKOUT": "1",  # of a user that the test makes
    }
    done = subprocess.run(
        [sys.executable, "-m", "pytest", "-q", "-p", "no:cacheprovider", f"tests/grafana_contract{part}"],
        cwd=ROOT,
        env=environment,
        capture_output=True,
        text=True,
        timeout=600,
        check=False,
    )
    assert done.returncode == os.EX_OK, done.stdout[-6000:]
    assert "skipped" not in done.stdout, done.stdout[-3000:]


def test_a_refresh_finds_nothing_to_change(stack: Stack) -> None:
    stack.pulumi("refresh", "--stack", NAME, "--yes", "--skip-preview", "--expect-no-changes")
