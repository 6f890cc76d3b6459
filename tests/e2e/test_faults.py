"""What goes wrong is named, touches nothing else, and is put right by the next update."""

import signal
import subprocess
import threading
import time
from collections.abc import Iterator
from concurrent.futures import ThreadPoolExecutor
from contextlib import contextmanager, suppress
from itertools import pairwise
from typing import Any

import httpx
import psutil
import pytest

from clients import probes
from stacks.settings import DEMO_SERVICES, load_settings
from tests.e2e import data_loss, persisted_state
from tests.e2e.conftest import FULL, NAME, PREFIX, Stack, Survived, client, eventually
from tests.e2e.data_loss import Outage
from tests.e2e.killed import kill

pytestmark = pytest.mark.engine

RELOADS = 10 if FULL else 3


@contextmanager
def load(stack: Stack) -> Iterator[list[int]]:
    """Reads of the API and questions to Prometheus, ten each a second at most, for ten minutes at most; the answers'
    status codes.
    """
    api, prometheus, over = stack.url("api"), stack.url("prometheus"), threading.Event()
    answered: list[int] = []

    def work(http: httpx.Client) -> None:
        deadline = time.monotonic() + 600
        while not over.wait(0.1) and time.monotonic() < deadline:
            asked = {"query": "sum by (job) ({__name__=~'.+_total'})"}
            for url, parameters in ((f"{api}/api/articles/1", {}), (f"{prometheus}/api/v1/query", asked)):
                answered.append(http.get(url, params=parameters).status_code)

    with client(30) as http, ThreadPoolExecutor(1) as pool:
        working = pool.submit(work, http)
        try:
            yield answered
        finally:
            over.set()
            working.result()


def test_reloads_under_load_miss_no_scrape_and_keep_a_pending_alert(stack: Stack) -> None:
    api = stack.url("api")
    stack.inject(cache_off=True)
    began = time.time()

    def pending_since() -> str:
        for number in range(50):  # enough of them outweigh the hits of before
            stack.http.get(f"{api}/api/articles/{number % 10 + 1}").raise_for_status()
        return _active_at(stack, "CacheHitRatioDegraded")

    try:
        since = eventually(pending_since, "CacheHitRatioDegraded is pending")
        before, live = stack.identity("prometheus"), {stack.release()}
        with load(stack) as answered:
            for threshold in range(10, 10 + RELOADS):
                stack.tune(SlowQueries={"threshold": threshold})
                stack.up()
                live.add(stack.release())
        assert len(live) == 1 + RELOADS
        assert len(answered) > 10 * RELOADS
        assert set(answered) == {200}  # no question is lost over a reload
        assert _active_at(stack, "CacheHitRatioDegraded") == since
    finally:
        stack.inject(cache_off=False)
    stack.calm()
    assert stack.identity("prometheus") == before
    window = f"{int(time.time() - began)}s"
    for row in probes.query(stack.http, stack.url("prometheus"), f"up[{window}]"):
        times = [float(time_) for time_, _ in row["values"]]
        gaps = [later - earlier for earlier, later in pairwise(times)]
        assert max(gaps) < 7.5, f"{row['metric']} missed a scrape of its 5 s"


def _active_at(stack: Stack, alert: str) -> str:
    groups = stack.http.get(stack.url("prometheus") + "/api/v1/rules").json()["data"]["groups"]
    rule: dict[str, Any] = next(r for group in groups for r in group["rules"] if r["name"] == alert)
    return str(rule["alerts"][0]["activeAt"]) if rule["alerts"] else ""


# What a person left in a service that is killed must be there afterwards.
KEPT = {
    "alertmanager": persisted_state.saved_silence,
    "grafana": persisted_state.dashboard,
    "postgres": persisted_state.user,
}
# At once those that do not need each other to come back; what Prometheus would lose is lost by no other.
DEV = load_settings("dev")
EXPORTERS = ("node-exporter", *(server.container for server in DEV.exporters.servers()))
DEMO = (*DEV.demo_servers, *DEMO_SERVICES)
TOGETHER = [("prometheus",), ("alertmanager", "grafana"), EXPORTERS, DEMO]
ALONE = [(service,) for services in TOGETHER for service in services]


@pytest.mark.parametrize("services", ALONE if FULL else TOGETHER, ids="+".join)
def test_containers_that_are_killed_come_back_by_themselves(
    stack: Stack, survived: Survived, services: tuple[str, ...]
) -> None:
    is_kept = [KEPT[service](stack) for service in services if service in KEPT]
    before = data_loss.samples(stack)
    outage = kill(stack, *services)
    lost = data_loss.lost(stack, before, outage)
    survived(f"kill -9 of {', '.join(services)}", outage.seconds, len(lost))
    assert (data_loss.beyond_start(lost) if "prometheus" in services else lost) == []
    for question in is_kept:
        assert eventually(question, "what was there before the kill")


def test_all_is_well_after_the_kills(stack: Stack) -> None:
    stack.becomes_healthy(120)


def test_two_updates_at_once_do_not_mix(stack: Stack) -> None:
    stack.container("inbox").pause()  # the first update waits for it at its end
    first = _start_up(stack)
    try:
        eventually(lambda: _is_locked(stack), "the first update holds the lock")
        second = stack.up(check=False)
        assert second.returncode != 0
        assert "locked" in second.stdout + second.stderr
    finally:
        stack.container("inbox").unpause()
        first.wait(timeout=300)
    assert first.returncode == 0


def test_an_update_that_was_killed_is_recovered_by_one_command(stack: Stack, survived: Survived) -> None:
    before = data_loss.samples(stack)
    stack.change(retention="14d")  # replaces Prometheus' container
    update = _start_up(stack)
    old, began = stack.container("prometheus").id, time.time()

    def is_being_replaced() -> bool:
        nonlocal began
        there = stack.engine.containers.list(all=True, filters={"name": f"{PREFIX}-prometheus$"})
        if there and there[0].id == old and there[0].status == "running":
            began = time.time()
        return not there or there[0].id != old

    eventually(is_being_replaced, "Prometheus is being replaced", seconds=180)
    orphans = psutil.Process(update.pid).children(recursive=True)  # its plugins, which do not notice
    update.send_signal(signal.SIGKILL)
    update.wait(timeout=30)
    for orphan in orphans:
        with suppress(psutil.NoSuchProcess):
            orphan.kill()
    done = stack.ops("recover", "--stack", NAME)
    assert done.returncode == 0, done.stdout + done.stderr
    outage = Outage(began, time.time())
    stack.assert_healthy()
    stack.pulumi("preview", "--stack", NAME, "--expect-no-changes")
    lost = data_loss.lost(stack, before, outage)
    survived("kill -9 of an update, then recover", outage.seconds, len(lost))
    assert data_loss.beyond_start(lost) == []


def _start_up(stack: Stack) -> subprocess.Popen[bytes]:
    return subprocess.Popen(
        ["pulumi", "up", "--stack", NAME, "--yes", "--skip-preview", "--non-interactive"],
        cwd=stack.folder,
        env=stack.environment,
        stdout=subprocess.DEVNULL,
        stderr=subprocess.DEVNULL,
    )


def _is_locked(stack: Stack) -> bool:
    locks = stack.environment["PULUMI_BACKEND_URL"].removeprefix("file://")
    found = subprocess.run(["find", f"{locks}/.pulumi/locks", "-name", "*.json"], capture_output=True, check=False)
    return bool(found.stdout.strip())
