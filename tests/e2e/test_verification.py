"""The end of an update tells the truth: what does not do its work is named in one line that says what to do, and fails
the update where the settings say so.
"""

import re
import signal
import time
from collections.abc import Iterator
from contextlib import ExitStack, contextmanager, suppress
from typing import Any

import docker.errors
import pytest

from clients import probes
from desired_state import load_desired_state
from readiness import checks
from tests.e2e.conftest import NAME, PREFIX, Stack, eventually
from tests.e2e.killed import send

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
    assert [line for line in lines if failed.stdout.count(line) != 1] == [], failed.stdout
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
    send(stack, signal.SIGSTOP, service)
    try:
        eventually(lambda: not is_up(stack, job), f"the scrape of {job} fails")
        yield
    finally:
        send(stack, signal.SIGCONT, service)
        eventually(lambda: is_up(stack, job), f"{job} is scraped again")


@contextmanager
def impostor(stack: Stack) -> Iterator[str]:
    """The name of a container in the stack's network that serves no metrics."""
    image = stack.container("api").attrs["Config"]["Image"]
    container = stack.engine.containers.run(
        image,
        ["python", "-c", IMPOSTOR],
        name=f"{PREFIX}-impostor",
        network=PREFIX,
        detach=True,
        labels={"softfactory.prefix": PREFIX},
    )
    try:
        yield f"{PREFIX}-impostor"
    finally:
        container.remove(force=True, v=True)


@contextmanager
def settings_of(stack: Stack, **values: Any) -> Iterator[None]:
    """Changed settings, for a while."""
    before = stack.settings()
    stack.change(**values)
    try:
        yield
    finally:
        stack.write_settings(before)


def test_a_healthy_stack_is_verified_within_seconds(stack: Stack) -> None:
    expected = load_desired_state(NAME, folder=stack.folder / "stacks").expected
    endpoints = checks.Endpoints(
        prometheus=stack.url("prometheus"),
        alertmanager=stack.url("alertmanager"),
        grafana=stack.url("grafana"),
        grafana_auth=stack.grafana_auth,
        prefix=PREFIX,
    )
    eventually(lambda: not checks.find_problems(expected, endpoints, stack.http), "all is well")
    began = time.monotonic()
    assert checks.wait_until_ready(expected, endpoints, stack.http) == []
    assert time.monotonic() - began < 5  # a busy machine's; it takes a tenth of a second


# What only the running stack shows of the model: PromQL that every checker takes (only the evaluation finds several
# series, one for each database), and addresses that lead nowhere.
MODEL = (
    (
        "rules/postgres.py",
        "sum by ($by) (pg_stat_database_numbackends{{$scope}}) / on",
        "pg_stat_database_numbackends{{$scope}} / on",
    ),
    ("desired_state.py", 'f"alertmanager:{alertmanager.JOB.port}"', 'f"alertmanager:{alertmanager.JOB.port + 1}"'),
    ("desired_state.py", 'url=f"http://prometheus:{prometheus.JOB.port}"', 'url="http://localhost:9090"'),
)


def targets(stack: Stack, host: str, ports: dict[str, int]) -> dict[str, Any]:
    """The settings' targets, with more on that host, instance to port."""
    wrong = [{"address": f"{host}:{port}", "instance": instance} for instance, port in ports.items()]
    return {"softfactory-api": [*stack.settings()["scrape_targets"]["softfactory-api"], *wrong]}


def no_metrics(host: str, instance: str, port: int, cause: str) -> str:
    """The pattern of what is told of such a target."""
    return (
        rf"target softfactory-api/{instance}: down: {cause}; "
        rf"see that http://{host}:{port}/metrics serves metrics, or correct scrape_targets.softfactory-api in .*"
    )


def test_all_that_does_not_do_its_work_is_named_at_once_each_in_one_line_with_what_to_do(stack: Stack) -> None:
    before, live = stack.identity("prometheus"), stack.release()
    with ExitStack() as faults:
        faults.enter_context(broken(stack, "node-exporter", "pause", "unpause"))
        preview = stack.pulumi("preview", "--stack", NAME, "--expect-no-changes")
        assert "node-exporter" not in preview.stdout
        host = faults.enter_context(impostor(stack))
        wrong = targets(stack, host, {"silent": SILENT, "wrong": WRONG})
        faults.enter_context(settings_of(stack, scrape_targets=wrong))
        for path, old, new in MODEL:
            faults.enter_context(stack.changed(path, old, new))

        # What --target leaves out does not fail an update; the next one is judged.
        for more in ([], ["--target-dependents"]):
            part = stack.pulumi(
                "up", "--stack", NAME, "--yes", "--skip-preview", "--target", "**RemoteImage::image-redis", *more
            )
            assert "deployed in part, not verified: --target left something out" in part.stdout
            assert "node-exporter" not in part.stdout
        assert stack.release() == live

        # Nothing of what is broken here is an alert within seconds: it would notify, and could not resolve.
        faults.enter_context(broken(stack, "inbox", "stop", "start"))  # which nothing but the engine tells
        faults.enter_context(hung(stack, "elasticsearch-exporter-elasticsearch", "elasticsearch"))
        inbox, elastic = (f"{PREFIX}-{service}" for service in ("inbox", "elasticsearch-exporter-elasticsearch"))
        assert_told(
            stack,
            rf"node-exporter: its container is paused; run `docker unpause {PREFIX}-node-exporter`",
            rf"inbox: its container exited with code \d+; see `docker logs {inbox}`, then `docker start {inbox}`",
            rf"target elasticsearch/elasticsearch: down: .*context deadline exceeded.*; "
            rf"see `docker logs {elastic}`, then `docker restart {elastic}`",
            no_metrics(host, "silent", SILENT, ".*context deadline exceeded.*"),
            no_metrics(host, "wrong", WRONG, ".+"),
            r"rule postgres/PostgresConnectionsFillingUp: .*many-to-one.*; correct its expression in rules/, .*",
            r"rule softfactory/ConnectionPoolNearMax: .*many-to-one.*; correct its expression in rules/, .*",
            r"Prometheus: sends alerts to alertmanager:9094, not to the Alertmanager that it scrapes; "
            r"correct `alerting` in desired_state.py, then `pulumi up`",
            r"data source prometheus: .+; run `pulumi refresh`, then `pulumi up`; "
            r"or correct its url in desired_state.py",
        )
        assert stack.release() != live
    assert stack.identity("prometheus") == before


def test_own_parts_fail_an_update_and_what_is_only_watched_a_strict_one_alone(stack: Stack) -> None:
    url = stack.url("grafana") + "/api/datasources/uid/alertmanager"
    before = stack.identity("prometheus")
    with (
        impostor(stack) as host,
        settings_of(stack, verification="stack", scrape_targets=targets(stack, host, {"silent": SILENT})),
    ):
        source = stack.http.get(url, auth=stack.grafana_auth).json()
        bent = stack.http.put(url, auth=stack.grafana_auth, json={**source, "url": "http://localhost:9093"})
        assert bent.is_success, bent.text
        silent = no_metrics(host, "silent", SILENT, ".*context deadline exceeded.*")
        with broken(stack, "node-exporter", "pause", "unpause"):
            assert_told(
                stack,
                r"node-exporter: its container is paused; run .*",
                r"data source alertmanager: .+; run `pulumi refresh`, then `pulumi up`; .*",
                silent,
            )
        stack.pulumi("refresh", "--stack", NAME, "--yes", "--skip-preview")  # what the line says
        done = stack.up()
        assert "deployed, not verified (1 problems)" in done.stdout
        assert re.search(rf"deployed, not verified: {silent}", done.stdout)
    stack.up()
    assert stack.identity("prometheus") == before
    stack.calm()
