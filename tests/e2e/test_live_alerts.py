"""Each of the checklist's nine alerts, provoked on the real stack: it fires in Prometheus, and it ends."""

import logging
import time
from collections.abc import Iterator
from concurrent.futures import ThreadPoolExecutor
from contextlib import ExitStack

import pytest

from ops import probes
from rules import ALERTS
from rules.model import CHECKLIST
from tests.e2e.conftest import NAME, Stack, eventually

pytestmark = pytest.mark.engine

log = logging.getLogger(__name__)
NINE = sorted(alert.name for alert in ALERTS if alert.group == CHECKLIST)
OUTAGES = {
    "DatabaseDown": "postgres",
    "RedisDown": "redis",
    "ElasticsearchDown": "elasticsearch",
    "ApiDown": "api",
}
CONNECTIONS = 85  # of 97 that ordinary roles may open
HOLD_CONNECTIONS = f"""
import os, pathlib, time, psycopg
password = pathlib.Path(os.environ["DATABASE_PASSWORD_FILE"]).read_text().strip()
where = dict(host=os.environ["DATABASE_HOST"], dbname=os.environ["DATABASE_NAME"], user=os.environ["DATABASE_USER"])
held = [psycopg.connect(**where, password=password) for _ in range({CONNECTIONS})]
time.sleep(25)
"""


@pytest.fixture(scope="module")
def hasty(stack: Stack) -> Iterator[Stack]:
    """The stack with the shortest hold times that its scrape interval allows, as its tuning says."""
    settings = stack.settings()
    stack.tune(**{name: {"for": "10s"} for name in NINE})
    stack.up()
    yield stack
    stack.write_settings(settings)
    stack.up()


def test_the_short_hold_times_show_in_what_is_released(hasty: Stack) -> None:
    assert hasty.ops("render", "--stack", NAME, "--out", "rendered").returncode == 0
    rendered = (hasty.folder / "rendered" / "prometheus" / "rules" / f"{CHECKLIST}.yml").read_text(encoding="utf-8")
    assert rendered.count("for: 10s\n") == len(NINE) == 9
    groups = hasty.http.get(hasty.url("prometheus") + "/api/v1/rules").json()["data"]["groups"]
    nine = next(group["rules"] for group in groups if group["name"] == CHECKLIST)
    assert {(rule["name"], rule["duration"]) for rule in nine} == {(name, 10) for name in NINE}


def test_bad_answers_fire_and_good_ones_end_it(hasty: Stack) -> None:
    """SlowQueries ends only when its five minutes have passed: the last test of the file waits for that."""
    with ExitStack() as after:
        after.callback(hasty.switch, slow_queries=False, cache_off=False, delay_ms=0, fail_rate=0)
        hasty.switch(slow_queries=True, cache_off=True, delay_ms=2000, fail_rate=0.5)
        _wait(hasty, "firing", "SlowQueries", "HighResponseTime", "HighErrorRate", meanwhile=16)
        hasty.switch(slow_queries=False, delay_ms=0, fail_rate=0)
        _wait(hasty, "firing", "CacheHitRatioDegraded", meanwhile=100)
    _wait(hasty, "inactive", "CacheHitRatioDegraded", "HighResponseTime", "HighErrorRate", meanwhile=200)


def test_used_up_connections_fire_and_free_ones_end_it(hasty: Stack) -> None:
    hasty.container("api").exec_run(["python", "-c", HOLD_CONNECTIONS], detach=True)
    _wait(hasty, "firing", "ConnectionPoolNearMax")
    _wait(hasty, "inactive", "ConnectionPoolNearMax")


@pytest.mark.parametrize("alert", OUTAGES)
def test_an_outage_fires_and_its_end_ends_it(hasty: Stack, alert: str) -> None:
    container = hasty.container(OUTAGES[alert])
    container.stop(timeout=10)
    try:
        _wait(hasty, "firing", alert)
    finally:
        container.start()
    _wait(hasty, "inactive", alert)


def test_slow_queries_are_forgotten_after_their_window(hasty: Stack) -> None:
    _wait(hasty, "inactive", *NINE, seconds=360)
    hasty.becomes_healthy()


def _read(stack: Stack, times: int) -> None:
    """That many requests, as many at once as the API has threads."""

    def one(number: int) -> None:
        stack.http.get(f"{stack.url('api')}/api/articles/{number % 5 + 1}", timeout=30)

    with ThreadPoolExecutor(8) as pool:
        list(pool.map(one, range(times)))


def _wait(stack: Stack, state: str, *alerts: str, seconds: float = 120, meanwhile: int = 0) -> None:
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
