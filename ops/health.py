"""The health report: the deployment checklist's lines, with real figures and, where something fails, its cause."""

from collections.abc import Callable, Iterable
from dataclasses import dataclass
from typing import Any, Final, TypeVar

import httpx

from clients import probes
from clients.probes import ClientError
from desired_state import ReadinessSpec
from readiness.checks import Endpoints, Finding, find_problems
from routing.routes import WATCHDOG
from rules.maintenance import ALERT_NAME

TITLE: Final = "=== SoftFactory Monitoring Stack Health Check ==="
T = TypeVar("T")
# These fire by design and tell of no problem: the Watchdog always, a maintenance window while it is open.
EXPECTED_ALERTS: Final = frozenset({WATCHDOG, ALERT_NAME})


@dataclass(frozen=True, kw_only=True)
class HealthReport:
    """What was found. Counts are None where the part that knows them does not answer; `firing` are alerts' names."""

    problems: tuple[Finding, ...]
    targets: int | None
    rules: int | None
    firing: tuple[str, ...] | None
    datasources: int | None
    grafana_mock: bool
    checks: tuple[tuple[str, tuple[Finding, ...]], ...]

    @property
    def healthy(self) -> bool:
        return not self.problems and self.firing == ()

    def text(self) -> str:
        """The report for a person."""
        lines = [TITLE]
        for name, problems in self.checks:
            lines.append(f"Checking {name}... {'✗ FAILED' if problems else '✓ OK'}")
            lines += [f"  ✗ {problem}" for problem in problems]
        lines += [
            "",
            f"Prometheus targets: {_count(self.targets)} active targets",
            f"Alert rules: {_count(self.rules)} rules defined",
            f"Alertmanager alerts: {_count(None if self.firing is None else len(self.firing))} alerts",
            f"Grafana datasources: {_count(self.datasources)} datasources",
        ]
        lines += [f"  ✗ {name} is firing" for name in self.firing or ()]
        if self.grafana_mock:
            lines += ["", "Grafana is the closed network's stand-in: this machine cannot have Grafana itself."]
        verdict = "✓ All monitoring components operational"
        return "\n".join([*lines, "", verdict if self.healthy else "✗ Not all is well: see the lines marked ✗"])

    def to_dict(self) -> dict[str, Any]:
        """The report for a program."""
        return {
            "healthy": self.healthy,
            "targets": self.targets,
            "rules": self.rules,
            "firing": None if self.firing is None else list(self.firing),
            "datasources": self.datasources,
            "grafana_mock": self.grafana_mock,
            "problems": [
                {"part": p.part, "cause": p.cause, "remediation": p.remediation, "stack_owned": p.stack_owned}
                for p in self.problems
            ],
        }


def run(expected: ReadinessSpec, endpoints: Endpoints, api: str, http: httpx.Client) -> HealthReport:
    """Asks every part. `api` is the API's address, empty where only Prometheus reaches it."""
    problems = [*find_problems(expected, endpoints, http), *_api(api, http)]
    checks: dict[str, list[Finding]] = {"Prometheus": [], "Alertmanager": [], "Grafana": [], "API Metrics": []}
    for problem in problems:
        checks.setdefault(_report_line(problem), []).append(problem)
    return HealthReport(
        problems=tuple(problems),
        targets=_or_none(lambda: sum(state.up for state in probes.targets(http, endpoints.prometheus))),
        rules=_or_none(lambda: sum(rule.kind == "alerting" for rule in probes.rules(http, endpoints.prometheus))),
        firing=_or_none(lambda: _firing(http, endpoints.alertmanager)),
        datasources=_or_none(lambda: len(probes.datasources(http, endpoints.grafana, endpoints.grafana_auth))),
        grafana_mock=bool(_or_none(lambda: probes.is_grafana_mock(http, endpoints.grafana))),
        checks=tuple((name, tuple(found)) for name, found in checks.items()),
    )


def _api(api: str, http: httpx.Client) -> Iterable[Finding]:
    if not api:
        return
    try:
        text = probes.get(http, "The API", f"{api}/metrics").text
        if "http_requests_total" not in text:
            cause = f"{api}/metrics has no http_requests_total"
            yield Finding(part="API", cause=cause, remediation="see that the API serves its metrics", stack_owned=False)
    except ClientError as error:
        yield Finding(part="API", cause=str(error), remediation="see that the API runs", stack_owned=False)


def _report_line(problem: Finding) -> str:
    """The line of the report to which a problem belongs; a part without a line gets one of its own."""
    part = problem.part
    if part in ("API", "api") or part.startswith("target softfactory-api/"):
        return "API Metrics"
    if part.startswith(("data source ", "dashboard ")) or part in ("Grafana", "grafana"):
        return "Grafana"
    if part in ("Alertmanager", "alertmanager"):
        return "Alertmanager"
    if part.startswith(("target ", "rule ")) or part in ("Prometheus", "prometheus"):
        return "Prometheus"
    return part


def _firing(http: httpx.Client, alertmanager: str) -> tuple[str, ...]:
    return tuple(sorted(name for name in probes.alerts(http, alertmanager) if name not in EXPECTED_ALERTS))


def _or_none(question: Callable[[], T]) -> T | None:
    try:
        return question()
    except ClientError:
        return None


def _count(number: int | None) -> str:
    return "unknown" if number is None else str(number)
