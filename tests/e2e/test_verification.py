"""The end of an update tells the truth: what does not do its work is named in one line that says what to do, and fails
the update where the settings say so.
"""

import re
import time
from collections.abc import Callable, Iterator
from contextlib import ExitStack, contextmanager, suppress
from typing import Any

import docker.errors
import pytest

from ops import probes, truth
from plan import load_plan
from tests.e2e.conftest import NAME, PREFIX, Stack, eventually

pytestmark = pytest.mark.engine

SILENT, WRONG = 8001, 8002
# Takes connections and never answers; answers everything with a page.
IMPOSTOR = f"""
from http.server import BaseHTTPRequestHandler, HTTPServer
from socket import create_server
class Page(BaseHTTPRequestHandler):
    def do_GET(self):
        self.send_response(200)
        self.send_header("Content-Type", "text/html")
        self.end_headers()
        self.wfile.write(b"<html><body>Log in</body></html>")
silent = create_server(("", {SILENT}))
HTTPServer(("", {WRONG}), Page).serve_forever()
"""


def told(stack: Stack) -> list[str]:
    """What an update that fails at its end says, a problem a line, each once."""
    failed = stack.up(check=False)
    assert failed.returncode != 0, failed.stdout
    assert "Traceback" not in failed.stdout + failed.stderr
    _, head, rest = failed.stdout.partition("Diagnostics:")
    found = re.search(r"deployed, but not as declared \((\d+) problems\):\n", rest)
    assert head and found, failed.stdout + failed.stderr
    lines = [line.strip() for line in rest[found.end() :].splitlines()[: int(found[1])]]
    assert all(failed.stdout.count(line) == 1 for line in lines), failed.stdout
    return lines


def assert_told(stack: Stack, *patterns: str) -> None:
    """An update fails for exactly these problems."""
    lines = told(stack)
    rest = [line for line in lines if not any(re.fullmatch(pattern, line) for pattern in patterns)]
    missing = [pattern for pattern in patterns if not any(re.fullmatch(pattern, line) for line in lines)]
    assert not rest and not missing, "\n".join(["told:", *lines, "missing:", *missing])


@contextmanager
def broken(stack: Stack, service: str, action: str, undo: str) -> Iterator[None]:
    """A container stopped, paused and so on; healthy again afterwards."""
    eventually(lambda: did(stack, service, action), f"{action} {service}")
    try:
        yield
    finally:
        eventually(lambda: did(stack, service, undo), f"{undo} {service}")
        eventually(lambda: stack.is_healthy(service), f"{service} is healthy")


def did(stack: Stack, service: str, action: str) -> bool:
    """Whether the engine did it; it cannot freeze a container just while a health check enters it."""
    with suppress(docker.errors.APIError):
        getattr(stack.container(service), action)()
        return True
    return False


def is_up(stack: Stack, job: str) -> bool:
    states = probes.targets(stack.http, stack.url("prometheus"))
    return all(state.up for state in states if state.job == job)


@contextmanager
def hung(stack: Stack, service: str, job: str) -> Iterator[None]:
    """A process that is there but does nothing any more: the kernel takes its connections, and nobody answers."""
    stack.container(service).kill("SIGSTOP")
    try:
        eventually(lambda: not is_up(stack, job), f"the scrape of {job} fails")
        yield
    finally:
        stack.container(service).kill("SIGCONT")
        eventually(lambda: is_up(stack, job), f"{job} is scraped again")


@contextmanager
def impostor(stack: Stack) -> Iterator[str]:
    """The name of a container in the stack's network that serves no metrics."""
    image = stack.container("api").attrs["Config"]["Image"]
    container = stack.engine.containers.run(
        image, ["python", "-c", IMPOSTOR], name=f"{PREFIX}-impostor", network=PREFIX, detach=True,
        labels={"softfactory.prefix": PREFIX},
    )  # fmt: skip
    try:
        yield f"{PREFIX}-impostor"
    finally:
        container.remove(force=True, v=True)


@contextmanager
def settings_of(stack: Stack, **values: Any) -> Iterator[Callable[..., None]]:
    """Changed settings, for a while; yields what changes more of them."""
    before = stack.settings()
    stack.change(**values)
    try:
        yield stack.change
    finally:
        stack.write_settings(before)


def test_a_healthy_stack_is_verified_within_seconds(stack: Stack) -> None:
    expected = load_plan(NAME, folder=stack.folder / "stacks").expected
    access = truth.Access(
        prometheus=stack.url("prometheus"), alertmanager=stack.url("alertmanager"), grafana=stack.url("grafana"),
        grafana_auth=stack.grafana_auth, prefix=PREFIX,
    )  # fmt: skip
    eventually(lambda: not truth.problems(expected, access, stack.http), "all is well")
    began = time.monotonic()
    assert truth.settle(expected, access, stack.http) == []
    assert time.monotonic() - began < 5  # a busy machine's; it takes a tenth of a second


def test_each_container_that_does_not_work_is_named_in_one_line_with_what_to_do(stack: Stack) -> None:
    with (
        broken(stack, "redis-exporter", "stop", "start"),
        broken(stack, "postgres-exporter", "pause", "unpause"),
        broken(stack, "inbox", "stop", "start"),  # which nothing but the engine tells
        hung(stack, "elasticsearch-exporter", "elasticsearch"),
    ):
        preview = stack.pulumi("preview", "--stack", NAME, "--expect-no-changes")
        assert "exporter" not in preview.stdout
        redis, inbox, elastic = (f"{PREFIX}-{s}" for s in ("redis-exporter", "inbox", "elasticsearch-exporter"))
        assert_told(
            stack,
            rf"redis-exporter: its container exited with code \d+; see `docker logs {redis}`, "
            rf"then `docker start {redis}`",
            rf"postgres-exporter: its container is paused; run `docker unpause {PREFIX}-postgres-exporter`",
            rf"inbox: its container exited with code \d+; see `docker logs {inbox}`, then `docker start {inbox}`",
            rf"target elasticsearch/elasticsearch: down: .*context deadline exceeded.*; "
            rf"see `docker logs {elastic}`, then `docker restart {elastic}`",
        )
    stack.up()
    stack.calm()


def test_each_target_that_serves_no_metrics_is_named_and_blocks_only_a_strict_update(stack: Stack) -> None:
    with impostor(stack) as host:
        wrong = [
            {"address": f"{host}:{SILENT}", "instance": "silent"},
            {"address": f"{host}:{WRONG}", "instance": "wrong"},
        ]
        targets = {"softfactory-api": [*stack.settings()["targets"]["softfactory-api"], *wrong]}
        with settings_of(stack, targets=targets) as change:
            assert_told(
                stack,
                rf"target softfactory-api/silent: down: .*context deadline exceeded.*; "
                rf"see that http://{host}:{SILENT}/metrics serves metrics, or correct targets.softfactory-api in .*",
                rf"target softfactory-api/wrong: down: .+; "
                rf"see that http://{host}:{WRONG}/metrics serves metrics, or correct targets.softfactory-api in .*",
            )
            change(verification="own")
            done = stack.up()
            assert "deployed, not verified (2 problems)" in done.stdout
            for instance in ("silent", "wrong"):
                assert f"deployed, not verified: target softfactory-api/{instance}: down" in done.stdout
    stack.up()


def test_the_stacks_own_parts_block_every_update_that_does_more_than_report(stack: Stack) -> None:
    with broken(stack, "redis-exporter", "pause", "unpause"), settings_of(stack, verification="own") as change:
        assert_told(stack, r"redis-exporter: its container is paused; run .*")
        change(verification="report")
        done = stack.up()
        assert "deployed, not verified (1 problems)" in done.stdout
        assert "deployed, not verified: redis-exporter: its container is paused" in done.stdout
    stack.up()
    stack.calm()


def test_each_fault_of_the_model_that_only_the_running_stack_shows_is_named(stack: Stack) -> None:
    before = stack.identity("prometheus")
    with ExitStack() as changes:
        for path, old, new in (
            # PromQL that every checker takes: only the evaluation finds several series, one for each database.
            ("rules/postgres.py", "sum by ($by) (pg_stat_database_numbackends{{$scope}}) / on",
             "pg_stat_database_numbackends{{$scope}} / on"),
            ("plan.py", 'f"alertmanager:{alertmanager.JOB.port}"', 'f"alertmanager:{alertmanager.JOB.port + 1}"'),
            ("plan.py", 'url=f"http://prometheus:{prometheus.JOB.port}"', 'url="http://localhost:9090"'),
        ):  # fmt: skip
            changes.enter_context(stack.changed(path, old, new))
        assert_told(
            stack,
            r"rule postgres/ConnectionPoolFillsUp: .*many-to-one.*; correct its expression in rules/, .*",
            r"rule softfactory/ConnectionPoolNearMax: .*many-to-one.*; correct its expression in rules/, .*",
            r"Prometheus: sends alerts to alertmanager:9094, not to the Alertmanager that it scrapes; "
            r"correct `alerting` in plan.py, then `pulumi up`",
            r"data source prometheus: .+; run `pulumi refresh`, then `pulumi up`; or correct its url in plan.py",
        )
    stack.up()
    assert stack.identity("prometheus") == before


def test_a_data_source_that_was_bent_in_grafana_is_found_and_put_right(stack: Stack) -> None:
    url = stack.url("grafana") + "/api/datasources/uid/prometheus"
    source = stack.http.get(url, auth=stack.grafana_auth).json()
    bent = stack.http.put(url, auth=stack.grafana_auth, json={**source, "url": "http://localhost:9090"})
    assert bent.is_success, bent.text
    assert_told(stack, r"data source prometheus: .+; run `pulumi refresh`, then `pulumi up`; .*")
    stack.pulumi("refresh", "--stack", NAME, "--yes", "--skip-preview")  # what the line says
    stack.up()


def test_what_a_target_leaves_out_does_not_fail_an_update_and_the_next_one_is_judged(stack: Stack) -> None:
    live = stack.release()
    tuned = {**stack.settings()["alerts"], "SlowQueries": {"threshold": 9}}
    with settings_of(stack, alerts=tuned), broken(stack, "node-exporter", "pause", "unpause"):
        for more in ([], ["--target-dependents"]):
            part = stack.pulumi(
                "up", "--stack", NAME, "--yes", "--skip-preview", "--target", "**RemoteImage::image-redis", *more
            )
            assert "deployed in part, not verified: --target left something out" in part.stdout
            assert "node-exporter" not in part.stdout
        assert stack.release() == live
        assert_told(stack, r"node-exporter: its container is paused; run .*")
        assert stack.release() != live
    stack.up()
    assert stack.release() == live
