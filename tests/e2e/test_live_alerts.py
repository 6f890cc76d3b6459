"""Each of the checklist's nine alerts, provoked on the real stack: it fires in Prometheus, and it ends."""

import logging
import time
from collections.abc import Iterator
from concurrent.futures import ThreadPoolExecutor
from contextlib import ExitStack, contextmanager
from typing import Any

import pytest

from clients import probes
from rules import ALERTS
from rules.model import CHECKLIST_GROUP
from tests.e2e.conftest import NAME, Stack, eventually

pytestmark = pytest.mark.engine

log = logging.getLogger(__name__)
NINE = sorted(alert.name for alert in ALERTS if alert.group == CHECKLIST_GROUP)
OUTAGES = {
    "DatabaseDown": "postgres",
    "RedisDown": "redis",
    "ElasticsearchDown": "elasticsearch",
    "ApiDown": "api",
}
THRESHOLD = 7  # slow queries in five minutes, instead of 5
CONNECTIONS = 85  # of 97 that ordinary roles may open
HELD = "held-by-the-test"
HOLD_CONNECTIONS = f"""
import os, pathlib, time, psycopg
password = pathlib.Path(os.environ["DATABASE_PASSWORD_FILE"]).read_text().strip()
where = dict(host=os.environ["DATABASE_HOST"], dbname=os.environ["DATABASE_NAME"], user=os.environ["DATABASE_USER"])
held = [psycopg.connect(**where, password=password, application_name="{HELD}") for _ in range({CONNECTIONS})]
for _ in range(180):  # until somebody ends them
    held[0].execute("SELECT 1")
    time.sleep(1)
"""
FREE_CONNECTIONS = f"SELECT pg_terminate_backend(pid) FROM pg_stat_activity WHERE application_name = '{HELD}'"


@pytest.fixture(scope="module")
def hasty(stack: Stack) -> Iterator[Stack]:
    """The stack with the shortest hold times that its scrape interval allows, and another threshold, as its tuning
    says; after one update, through which Prometheus goes on.
    """
    settings, before = stack.settings(), stack.identity("prometheus")
    tuning: dict[str, dict[str, Any]] = {name: {"for": "10s"} for name in NINE}
    stack.tune(**{**tuning, "SlowQueries": {"for": "10s", "threshold": THRESHOLD}})
    stack.up()
    assert stack.identity("prometheus") == before
    yield stack
    stack.write_settings(settings)
    stack.up()


def test_changed_hold_times_and_a_changed_threshold_are_live_after_one_up(hasty: Stack) -> None:
    assert hasty.ops("render", "--stack", NAME, "--out", "rendered").returncode == 0
    rendered = (hasty.folder / "rendered" / "prometheus" / "rules" / f"{CHECKLIST_GROUP}.yml").read_text(
        encoding="utf-8"
    )
    assert rendered.count("for: 10s\n") == len(NINE) == 9
    groups = hasty.http.get(hasty.url("prometheus") + "/api/v1/rules").json()["data"]["groups"]
    nine = {rule["name"]: rule for group in groups if group["name"] == CHECKLIST_GROUP for rule in group["rules"]}
    assert {name: rule["duration"] for name, rule in nine.items()} == dict.fromkeys(NINE, 10)
    assert nine["SlowQueries"]["query"].endswith(f"> {THRESHOLD}")


def test_bad_answers_and_used_up_connections_fire_and_good_ones_end_it(hasty: Stack) -> None:
    """SlowQueries ends only when its five minutes have passed: the last test of the file waits for that."""
    ended = ("CacheHitRatioDegraded", "HighResponseTime", "HighErrorRate", "ConnectionPoolNearMax")
    with ExitStack() as after:
        after.callback(hasty.inject, slow_queries=False, cache_off=False, delay_ms=0, fail_rate=0)
        hasty.inject(slow_queries=True, cache_off=True, delay_ms=2000, fail_rate=0.5)
        with used_up_connections(hasty):
            _wait(
                hasty,
                "firing",
                "SlowQueries",
                "HighResponseTime",
                "HighErrorRate",
                "ConnectionPoolNearMax",
                meanwhile=16,
            )
        hasty.inject(slow_queries=False, delay_ms=0, fail_rate=0)
        _wait(hasty, "firing", "CacheHitRatioDegraded", meanwhile=100)
    _wait(hasty, "inactive", *ended, meanwhile=200)


@contextmanager
def used_up_connections(stack: Stack) -> Iterator[None]:
    stack.container("api").exec_run(["python", "-c", HOLD_CONNECTIONS], detach=True)
    yield
    command = ["psql", "-h", "127.0.0.1", "-U", "softfactory", "-c", FREE_CONNECTIONS]
    environment = {"PGPASSWORD": stack.passwords["postgres_password"]}
    done = stack.container("postgres").exec_run(command, environment=environment)
    assert done.exit_code == 0, done.output


def test_each_outage_fires_its_own_alert_and_the_outages_end_ends_it(hasty: Stack) -> None:
    """One after the other goes, and stays away until each has fired."""
    eventually(lambda: not _raised(hasty), "what went before is over")
    away: dict[str, str] = {}
    try:
        for alert, service in OUTAGES.items():
            away[alert] = service
            hasty.container(service).stop(timeout=10)
            eventually(lambda: len(_raised(hasty)) == len(away), f"{alert} is pending or firing")
            assert _raised(hasty) == away.keys()
        _wait(hasty, "firing", *OUTAGES)
    finally:
        for service in away.values():
            hasty.container(service).start()
    _wait(hasty, "inactive", *OUTAGES)


def _raised(stack: Stack) -> set[str]:
    """The outages that Prometheus knows of."""
    rules = probes.rules(stack.http, stack.url("prometheus"))
    return {rule.name for rule in rules if rule.name in OUTAGES and rule.state in ("pending", "firing")}


def test_slow_queries_are_forgotten_after_their_window(hasty: Stack) -> None:
    _wait(hasty, "inactive", *NINE, seconds=360)
    hasty.becomes_healthy()


def _read(stack: Stack, times: int) -> None:
    """That many requests, as many at once as the API has threads."""

    def one(number: int) -> None:
        stack.http.get(f"{stack.url('api')}/api/articles/{number % 5 + 1}", timeout=30)

    with ThreadPoolExecutor(8) as pool:
        list(pool.map(one, range(times)))


def _wait(stack: Stack, state: str, *alerts: str, seconds: float = 300, meanwhile: int = 0) -> None:
    """Until each of the alerts has been in the state once: one may be over before another has begun. Sends requests
    `meanwhile`, so many between two looks: whatever went before, they outweigh it.
    """
    began, seen = time.monotonic(), dict.fromkeys(alerts, 0.0)

    def all_seen() -> bool:
        _read(stack, meanwhile)
        for rule in probes.rules(stack.http, stack.url("prometheus")):
            if rule.name in seen and rule.state == state and not seen[rule.name]:
                seen[rule.name] = time.monotonic() - began
        return all(seen.values())

    eventually(all_seen, f"each of {', '.join(alerts)} is {state}", seconds)
    log.info("%s: %s", state, ", ".join(f"{name} after {after:.0f} s" for name, after in seen.items()))
