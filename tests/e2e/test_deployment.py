"""The deployed stack as its users meet it. The tests run in the order of the file, first of the end-to-end test."""

import json
import os
import subprocess
import sys
import time
from typing import Any

import pytest

from ops import probes
from rules import ALERTS
from tests.e2e.conftest import NAME, PREFIX, ROOT, Stack, eventually

pytestmark = pytest.mark.engine

CHECKLIST = {
    "ApiDown", "HighErrorRate", "DatabaseDown", "RedisDown", "ElasticsearchDown",
    "HighResponseTime", "SlowQueries", "CacheHitRatioDegraded", "ConnectionPoolNearMax",
}  # fmt: skip
JOBS = {"prometheus", "alertmanager", "grafana", "softfactory-api", "postgres", "redis", "elasticsearch", "node"}
RULES = sum(alert.job.name in JOBS for alert in ALERTS)  # the stack has no target of any other job


def test_up_ends_verified_and_health_agrees(stack: Stack) -> None:
    verified = stack.pulumi("stack", "output", "verified", "--stack", NAME).stdout.strip()
    assert verified == f"8 targets, {RULES} rules, 2 data sources, 8 dashboards: live"
    health = stack.ops("health", "--stack", NAME, "--json")
    assert health.returncode == 0, health.stdout + health.stderr
    facts = json.loads(health.stdout)
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
        )
        assert answer.status_code == 201, answer.text
    eventually(lambda: signed_up() == before + 10, "ten more sign-ups in http_requests_total")


def test_every_target_is_up(stack: Stack) -> None:
    targets = probes.targets(stack.http, stack.url("prometheus"))
    assert {target.job for target in targets} == JOBS
    assert [target for target in targets if not target.up] == []


def test_the_nine_rules_are_loaded_and_healthy(stack: Stack) -> None:
    rules = [rule for rule in probes.rules(stack.http, stack.url("prometheus")) if rule.group == "softfactory"]
    assert {rule.name for rule in rules} == CHECKLIST
    assert len(rules) == 9
    assert {rule.health for rule in rules} == {"ok"}


def test_grafana_shows_the_dashboards_and_reaches_its_data_sources(stack: Stack) -> None:
    assert set(probes.dashboards(stack.http, stack.url("grafana"), stack.grafana_auth)) == {
        "overview", "api", "postgres", "redis", "elasticsearch", "node", "prometheus", "alertmanager",
    }  # fmt: skip
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
        stack.switch(delay_ms=1100, cache_off=True)
        stack.http.get(api + "/api/articles/2")
    finally:
        stack.switch(delay_ms=0, cache_off=False)
    stack.container("postgres").stop()
    try:
        assert stack.http.get(api + "/api/articles/3", timeout=30).status_code == 503
    finally:
        stack.container("postgres").start()
    eventually(lambda: stack.http.get(api + "/api/articles/4").status_code == 200, "the API finds its database again")
    moved = (
        "http_requests_total", "http_request_duration_seconds_count", "http_slow_requests_total",
        "app_uptime_seconds", "db_query_count", "db_query_duration_ms_count", "db_query_errors",
        "cache_hits_total", "cache_misses_total", "auth_successful_logins", "email_sent_total",
    )  # fmt: skip
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


@pytest.mark.parametrize(
    ("service", "command", "expr"),
    [
        ("redis", ["sh", "-c", "REDISCLI_AUTH=$(sed -n 's/^requirepass //p' /run/secrets/redis.conf) redis-cli MSET "
                   "e2e:1 x e2e:2 x e2e:3 x"], 'sum(redis_db_keys{job="redis"})'),
        ("postgres", ["sh", "-c", "psql -h 127.0.0.1 -U softfactory -d softfactory -c 'CREATE TABLE e2e AS SELECT "
                      "generate_series(1,20000) AS n'"],
         'sum(pg_stat_database_tup_inserted{job="postgres",datname="softfactory"})'),
        # Without replicas, which a single node cannot hold: the cluster would stay yellow, and an alert pending.
        ("elasticsearch", ["sh", "-c", "json='Content-Type: application/json' && "
                           "curl -sf -X PUT -H \"$json\" -d '{\"settings\": {\"number_of_replicas\": 0}}' "
                           "http://127.0.0.1:9200/e2e && curl -sf -X POST -H \"$json\" -d '{\"e2e\": 1}' "
                           "'http://127.0.0.1:9200/e2e/_doc?refresh=true'"],
         'sum(elasticsearch_indices_docs_primary{job="elasticsearch"})'),
        ("prometheus", ["sh", "-c", "dd if=/dev/zero of=/prometheus/e2e bs=1048576 count=64 && sync"],
         '- sum(node_filesystem_avail_bytes{job="node"})'),
    ],
    ids=["redis", "postgres", "elasticsearch", "node"],
)  # fmt: skip
def test_an_exporters_value_rises_when_its_server_is_acted_on(
    stack: Stack, service: str, command: list[str], expr: str
) -> None:
    eventually(lambda: stack.query(expr), f"{expr} has a value")
    before = stack.query(expr)
    environment = {"PGPASSWORD": stack.passwords["postgres_password"]} if service == "postgres" else {}
    done = stack.container(service).exec_run(command, environment=environment)
    assert done.exit_code == 0, done.output
    eventually(lambda: stack.query(expr) > before, f"{expr} rises over {before}", seconds=45)


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
    eventually(lambda: stack.told("RedisDown")[-1:] != ["firing"], "what the start provoked is told to be over", 150)
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
    # Alertmanager tells a group's changes once per group_interval, a minute.
    eventually(lambda: "resolved" in stack.told("RedisDown"), "the webhook is told of the end", seconds=150)
    eventually(lambda: stack.is_healthy("redis"), "Redis is healthy")


def _state(stack: Stack, alert: str) -> str:
    rules = probes.rules(stack.http, stack.url("prometheus"))
    return next(rule.state for rule in rules if rule.name == alert)


def test_a_changed_rule_is_live_after_one_up_and_prometheus_keeps_running(stack: Stack) -> None:
    before = stack.identity("prometheus")
    stack.tune(SlowQueries={"threshold": 7})
    stack.up()
    rules: Any = stack.http.get(stack.url("prometheus") + "/api/v1/rules").json()["data"]["groups"]
    query = next(r["query"] for group in rules for r in group["rules"] if r["name"] == "SlowQueries")
    assert query.endswith("> 7")
    assert stack.identity("prometheus") == before
    stack.pulumi("preview", "--stack", NAME, "--expect-no-changes")


def test_a_refused_release_leaves_the_old_one_and_the_next_up_repairs(stack: Stack) -> None:
    before = stack.identity("prometheus")
    live = stack.release()
    source = stack.folder / "rules" / "redis.py"
    text = source.read_text(encoding="utf-8")
    source.write_text(text.replace("{{ $labels.instance }}: Redis", "{{ $labels.instance }: Redis"), encoding="utf-8")
    failed = stack.up(check=False)
    assert failed.returncode != 0
    assert "the checker refused it; what was live before is still live" in failed.stdout
    assert "unexpected" in failed.stdout  # promtool's own words
    assert stack.release() == live
    assert "prometheus-release" in stack.pulumi("preview", "--stack", NAME).stdout  # it shows what is pending
    assert stack.up(check=False).returncode != 0  # unchanged input is tried again, and is still refused
    source.write_text(text, encoding="utf-8")
    stack.up()
    assert stack.identity("prometheus") == before
    stack.pulumi("preview", "--stack", NAME, "--expect-no-changes")


def test_grafana_keeps_its_contract(stack: Stack) -> None:
    environment = {
        **stack.environment,
        "GRAFANA_URL": stack.url("grafana"),
        "GRAFANA_AUTH": stack.grafana_auth.text,
        "PROMETHEUS_URL_FOR_GRAFANA": "http://prometheus:9090",
        "GRAFANA_CONTRACT_LOCKOUT": "1",  # of a user that the test makes
    }
    done = subprocess.run(
        [sys.executable, "-m", "pytest", "-q", "-p", "no:cacheprovider", "tests/grafana_contract"],
        cwd=ROOT, env=environment, capture_output=True, text=True, timeout=600, check=False,
    )  # fmt: skip
    assert done.returncode == os.EX_OK, done.stdout[-6000:]
    assert "skipped" not in done.stdout, done.stdout[-3000:]


def test_a_refresh_finds_nothing_to_change(stack: Stack) -> None:
    stack.pulumi("refresh", "--stack", NAME, "--yes", "--skip-preview", "--expect-no-changes")
