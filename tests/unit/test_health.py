"""The health report, for a person and for a program, and the commands around it."""

import json
import subprocess
from pathlib import Path

import httpx
import pytest
from typer.testing import CliRunner, Result

from clients.pulumi_cli import PulumiCliError
from desired_state import DesiredState, build_desired_state
from ops import __main__ as commands
from ops import health
from ops.health import HealthReport
from stacks.settings import AlertOverride, load_settings
from tests.unit.factories import planned
from tests.unit.fake_stack import PASSWORD, FakeStack

API = "http://127.0.0.1:8000"


@pytest.fixture(scope="module")
def desired() -> DesiredState:
    return planned("dev")


@pytest.fixture
def stack(desired: DesiredState, monkeypatch: pytest.MonkeyPatch) -> FakeStack:
    fake = FakeStack(desired)
    fake.install(monkeypatch)
    monkeypatch.setattr(commands, "client", fake.client)
    monkeypatch.setenv("GRAFANA_AUTH", f"admin:{PASSWORD}")
    monkeypatch.delenv("STACK", raising=False)
    return fake


def examine(stack: FakeStack, desired: DesiredState, api: str = API) -> HealthReport:
    with stack.client() as http:
        return health.run(desired.expected, stack.endpoints(), api, http)


def call(*arguments: str) -> Result:
    return CliRunner().invoke(commands.app, list(arguments))


def test_the_report_of_a_stack_in_which_all_is_well(stack: FakeStack, desired: DesiredState) -> None:
    found = examine(stack, desired)
    assert found.healthy
    assert found.text().splitlines() == [
        "=== SoftFactory Monitoring Stack Health Check ===",
        "Checking Prometheus... ✓ OK",
        "Checking Alertmanager... ✓ OK",
        "Checking Grafana... ✓ OK",
        "Checking API Metrics... ✓ OK",
        "",
        "Prometheus targets: 8 active targets",
        f"Alert rules: {len(desired.alerts)} rules defined",
        "Alertmanager alerts: 0 alerts",
        "Grafana datasources: 2 datasources",
        "",
        "✓ All monitoring components operational",
    ]


def test_the_report_for_a_program(stack: FakeStack, desired: DesiredState) -> None:
    stack.dashboards.remove("api")
    stack.alerts = ["RedisDown"]
    facts = examine(stack, desired).to_dict()
    assert json.loads(json.dumps(facts)) == {
        "healthy": False,
        "targets": 8,
        "rules": len(desired.alerts),
        "firing": ["RedisDown"],
        "datasources": 2,
        "grafana_mock": False,
        "problems": [
            {
                "part": "dashboard api",
                "cause": "Grafana does not have it",
                "remediation": "run `pulumi refresh`, then `pulumi up`",
                "stack_owned": True,
            }
        ],
    }


@pytest.mark.parametrize(
    ("path", "line"),
    [
        ("/api/v1/targets", "Prometheus"),
        ("/api/v1/rules", "Prometheus"),
        ("/api/v1/alertmanagers", "Prometheus"),
        ("/api/datasources", "Grafana"),
        ("/api/search", "Grafana"),
    ],
)
@pytest.mark.parametrize("answer", [httpx.ConnectError("refused"), httpx.Response(200, text="<html>")])
def test_a_part_that_does_not_answer_fails_its_own_line_with_the_cause(
    path: str, line: str, answer: httpx.Response | Exception, stack: FakeStack, desired: DesiredState
) -> None:
    stack.broken[path] = answer
    text = examine(stack, desired).text()
    failed = [found for found in text.splitlines() if "FAILED" in found]
    assert failed == [f"Checking {line}... ✗ FAILED"]
    assert text.splitlines()[text.splitlines().index(failed[0]) + 1].startswith(f"  ✗ {line}: ")
    assert text.endswith("✗ Not all is well: see the lines marked ✗")


def test_alertmanager_and_the_api_are_told_apart_though_both_have_metrics(
    stack: FakeStack, desired: DesiredState
) -> None:
    stack.broken["/metrics"] = httpx.ConnectError("refused")
    failed = [line for line in examine(stack, desired).text().splitlines() if "FAILED" in line]
    assert failed == ["Checking Alertmanager... ✗ FAILED", "Checking API Metrics... ✗ FAILED"]


def test_an_api_without_its_metrics_is_told(stack: FakeStack, desired: DesiredState) -> None:
    stack.broken["/metrics"] = httpx.Response(200, text="alertmanager_config_hash 1\n")
    causes = [problem.cause for problem in examine(stack, desired).problems if problem.part == "API"]
    assert causes == [f"{API}/metrics has no http_requests_total"]


def test_an_api_that_only_prometheus_reaches_is_judged_by_its_target(stack: FakeStack, desired: DesiredState) -> None:
    stack.targets[("softfactory-api", "api")].update(health="down", lastError="no route to host")
    found = examine(stack, desired, api="")
    assert [problem.part for problem in found.problems] == ["target softfactory-api/api"]
    assert not stack.paths("api")
    (line,) = [line for line in found.text().splitlines() if "softfactory-api/api" in line]
    assert "no route to host" in line
    assert "Checking API Metrics... ✗ FAILED" in found.text()


@pytest.mark.parametrize(
    ("service", "line"),
    [("prometheus", "Prometheus"), ("alertmanager", "Alertmanager"), ("grafana", "Grafana"), ("api", "API Metrics")],
)
def test_a_stopped_container_fails_the_line_of_its_part(
    service: str, line: str, stack: FakeStack, desired: DesiredState
) -> None:
    stack.containers[service]["State"].update(Running=False, ExitCode=2)
    assert f"Checking {line}... ✗ FAILED" in examine(stack, desired).text()


def test_a_part_without_a_line_gets_one(stack: FakeStack, desired: DesiredState) -> None:
    stack.containers["redis-exporter-redis"]["State"].update(Paused=True)
    assert "Checking redis-exporter-redis... ✗ FAILED" in examine(stack, desired).text()


def test_an_alert_that_fires_is_named_and_the_stack_not_healthy(stack: FakeStack, desired: DesiredState) -> None:
    stack.alerts = ["RedisDown", "RedisDown", "HighErrorRate"]
    found = examine(stack, desired)
    assert not found.healthy and found.firing == ("HighErrorRate", "RedisDown", "RedisDown")
    assert "Alertmanager alerts: 3 alerts" in found.text() and "  ✗ RedisDown is firing" in found.text()


def test_what_fires_by_design_is_no_problem(stack: FakeStack, desired: DesiredState) -> None:
    stack.alerts = ["Watchdog", "MaintenanceWindow"]
    assert examine(stack, desired).healthy


def test_what_is_not_known_is_not_taken_for_none(stack: FakeStack, desired: DesiredState) -> None:
    stack.broken["/api/v2/alerts"] = httpx.Response(500)
    found = examine(stack, desired)
    assert "Alertmanager alerts: unknown alerts" in found.text()
    assert not found.healthy
    assert "✓ All monitoring" not in found.text()


def test_counts_are_of_what_is_up_and_what_alerts(stack: FakeStack, desired: DesiredState) -> None:
    stack.targets[("redis", "redis")].update(health="down", lastError="refused")
    stack.rules.append(("recordings", {"name": "ratio", "type": "recording", "health": "ok", "labels": {}}))
    found = examine(stack, desired)
    assert (found.targets, found.rules) == (7, len(desired.alerts))


def test_a_stand_in_is_told_in_one_line(stack: FakeStack, desired: DesiredState) -> None:
    stack.grafana_headers = {"X-Grafana-Stand-In": "1.0.0"}
    text = examine(stack, desired).text()
    assert text.count("stand-in") == 1 and text.endswith("✓ All monitoring components operational")


def test_a_wrong_password_is_tried_less_often_than_locks_an_account(stack: FakeStack, desired: DesiredState) -> None:
    stack.password = "another"
    found = examine(stack, desired)
    assert "Checking Grafana... ✗ FAILED" in found.text() and PASSWORD not in found.text()
    assert len([request for request in stack.requests if "Authorization" in request.headers]) <= 2


def test_alertmanager_is_asked_for_what_reaches_somebody(stack: FakeStack, desired: DesiredState) -> None:
    examine(stack, desired)
    (asked,) = [request.url for request in stack.requests if request.url.path == "/api/v2/alerts"]
    assert dict(asked.params) == {"active": "true", "silenced": "false", "inhibited": "false"}


# The commands


def test_health_of_a_healthy_stack_ends_with_0(stack: FakeStack) -> None:
    done = call("health")
    assert done.exit_code == 0, done.output
    assert done.output.splitlines()[0] == health.TITLE
    assert done.output.rstrip().endswith("✓ All monitoring components operational")


def test_health_of_a_stack_with_a_fault_ends_with_1_and_the_cause(stack: FakeStack) -> None:
    stack.containers.pop("redis")
    done = call("health")
    assert done.exit_code == 1
    assert "redis: its container is gone" in done.output


def test_health_for_a_program_is_json_alone(stack: FakeStack) -> None:
    stack.alerts = ["RedisDown"]
    done = call("health", "--json")
    assert done.exit_code == 1
    facts = json.loads(done.output)
    assert facts["healthy"] is False and facts["firing"] == ["RedisDown"]


@pytest.fixture
def staging(stack: FakeStack, monkeypatch: pytest.MonkeyPatch) -> FakeStack:
    """A stack that verifies its own parts alone."""
    fake = FakeStack(planned("staging"))
    fake.install(monkeypatch)
    monkeypatch.setattr(commands, "client", fake.client)
    return fake


STAGING = ("health", "--stack", "staging")


def test_what_the_stack_only_watches_fails_health_but_not_its_verification(staging: FakeStack) -> None:
    assert call(*STAGING).exit_code == 0
    staging.targets[("softfactory-api", "staging-api")].update(health="down", lastError="no route to host")
    assert call(*STAGING).exit_code == 1
    done = call(*STAGING, "--gate", "--json")
    assert done.exit_code == 0
    facts = json.loads(done.output)  # told all the same
    assert facts["healthy"] is False and [problem["stack_owned"] for problem in facts["problems"]] == [False]


def test_an_alert_that_fires_fails_health_but_no_verification(staging: FakeStack) -> None:
    staging.alerts = ["RedisDown"]
    assert call(*STAGING).exit_code == 1
    done = call(*STAGING, "--gate")
    assert done.exit_code == 0 and "RedisDown is firing" in done.output


def test_a_part_of_the_stack_itself_fails_both(staging: FakeStack) -> None:
    staging.containers.pop("alertmanager")
    assert call(*STAGING).exit_code == call(*STAGING, "--gate").exit_code == 1


def test_a_strict_verification_fails_for_what_is_only_watched(stack: FakeStack) -> None:
    stack.broken["/metrics"] = httpx.Response(200, text=f"alertmanager_config_hash {stack.alertmanager_hash}\n")
    assert call("health", "--gate").exit_code == 1


def test_health_with_everything_down_is_a_report_and_no_traceback(
    stack: FakeStack, monkeypatch: pytest.MonkeyPatch
) -> None:
    down = httpx.Client(transport=httpx.MockTransport(lambda _: httpx.Response(500)))
    monkeypatch.setattr(commands, "client", lambda: down)
    stack.engine_error = OSError("no socket")
    done = call("health")
    assert done.exit_code == 1 and isinstance(done.exception, SystemExit)
    assert done.output.count("FAILED") >= 4


def test_a_stack_that_is_unknown_ends_with_2_and_names_the_known_ones(stack: FakeStack) -> None:
    done = call("health", "--stack", "qa")
    assert done.exit_code == 2
    assert "stacks/qa.yaml; expected one of: dev, prod, staging" in done.output


def test_the_password_is_read_from_the_stack(stack: FakeStack, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.delenv("GRAFANA_AUTH")
    asked: list[list[str]] = []

    def run(arguments: list[str], **_: object) -> "subprocess.CompletedProcess[str]":
        asked.append(arguments)
        return subprocess.CompletedProcess(arguments, 0, stdout=f"{PASSWORD}\n", stderr="")

    monkeypatch.setattr("clients.pulumi_cli.shutil.which", lambda _: "/opt/pulumi")
    monkeypatch.setattr("clients.pulumi_cli.subprocess.run", run)
    assert call("health").exit_code == 0
    (arguments,) = asked
    assert arguments[:4] == ["/opt/pulumi", "config", "get", "grafana_admin_password"]
    assert arguments[arguments.index("--stack") + 1] == "dev"


def test_a_password_that_cannot_be_read_is_told_with_what_to_do(
    stack: FakeStack, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.delenv("GRAFANA_AUTH")
    monkeypatch.setattr("clients.pulumi_cli.shutil.which", lambda _: None)
    with pytest.raises(PulumiCliError, match="make command"):
        CliRunner().invoke(commands.app, ["health"], catch_exceptions=False)

    monkeypatch.setattr("clients.pulumi_cli.shutil.which", lambda _: "/opt/pulumi")
    failed = subprocess.CompletedProcess([], 255, stdout="", stderr="error: no stack named 'dev' found\n")
    monkeypatch.setattr("clients.pulumi_cli.subprocess.run", lambda *_, **__: failed)
    with pytest.raises(PulumiCliError, match="no stack named 'dev'"):
        CliRunner().invoke(commands.app, ["health"], catch_exceptions=False)


def test_the_links_are_those_that_the_stack_publishes(stack: FakeStack) -> None:
    dev, prod = call("urls"), call("urls", "--stack", "prod")
    assert dev.exit_code == prod.exit_code == 0
    assert "http://127.0.0.1:3000" in dev.output and "http://127.0.0.1:8000" in dev.output
    assert "http://127.0.0.1:3000" in prod.output and ":8000" not in prod.output
    assert "make password STACK=prod" in prod.output
    assert call("health", "--urls").output.endswith(f"operational\n{dev.output}")


def test_the_alerts_are_listed_as_the_settings_tune_them(monkeypatch: pytest.MonkeyPatch) -> None:
    tuning = {"RedisDown": AlertOverride.model_validate({"for": "3m"}), "SlowQueries": AlertOverride(enabled=False)}
    off = load_settings("prod").model_copy(update={"alert_overrides": tuning})
    monkeypatch.setattr(commands, "load_desired_state", lambda _: build_desired_state(off))
    rows = {line.split()[1]: line.split()[:3] for line in call("alerts", "--stack", "prod").output.splitlines()}
    assert len(rows) == len(planned("prod").alerts) - 1
    assert rows["RedisDown"] == ["critical", "RedisDown", "3m"]
    assert "SlowQueries" not in rows


def test_rendering_asks_nobody(stack: FakeStack, tmp_path: Path) -> None:
    done = call("render", "--out", str(tmp_path / "out"))
    assert done.exit_code == 0, done.output
    assert (tmp_path / "out" / "prometheus" / "prometheus.yml").is_file()
    assert stack.requests == [] and stack.listings == []
