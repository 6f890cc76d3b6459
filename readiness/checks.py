"""Whether what is desired is deployed and ready: the one list of checks behind `up`'s gate and `health`."""

import time
from collections.abc import Callable, Iterable, Mapping, Sequence
from dataclasses import dataclass
from datetime import datetime, timedelta
from urllib.parse import urlsplit

import httpx

from clients import probes
from clients.probes import AuthenticationError, ClientError, ContainerState, GrafanaAuth, RuleState, TargetState
from desired_state import GRAFANA_FOLDER, ReadinessSpec
from rules import alertmanager
from rules.prometheus import CONFIG_INFO
from stacks.settings import ReadinessGate, Settings

UNSTORED = "write to WAL"  # in the error of a rule that was evaluated well, but whose result cannot be stored


@dataclass(frozen=True, kw_only=True)
class Endpoints:
    """How a running stack is reached; `docker_host` is None for the default one."""

    prometheus: str
    alertmanager: str
    grafana: str
    grafana_auth: GrafanaAuth
    prefix: str
    docker_host: str | None = None

    @classmethod
    def of(cls, settings: Settings, grafana_auth: GrafanaAuth) -> "Endpoints":
        return cls(
            prometheus=settings.published("prometheus"),
            alertmanager=settings.published("alertmanager"),
            grafana=settings.published("grafana"),
            grafana_auth=grafana_auth,
            prefix=settings.name_prefix,
            docker_host=settings.docker_host,
        )

    def container(self, service: str) -> str:
        """The name of a service's container."""
        return f"{self.prefix}-{service}"


@dataclass(frozen=True, kw_only=True)
class Finding:
    """One thing that is not as expected, and what to do about it. `stack_owned`: a part of the stack itself, not
    something that it watches; `final`: waiting cannot fix it.
    """

    part: str
    cause: str
    remediation: str
    stack_owned: bool = True
    final: bool = False

    def __str__(self) -> str:
        return f"{self.part}: {self.cause}; {self.remediation}"


def is_blocking(strictness: ReadinessGate, problem: Finding) -> bool:
    """Whether a problem fails an update."""
    return strictness is ReadinessGate.ALL or (strictness is ReadinessGate.STACK and problem.stack_owned)


def find_problems(expected: ReadinessSpec, endpoints: Endpoints, http: httpx.Client) -> list[Finding]:
    """Everything that is not as expected right now, a line each.

    What merely follows from a container that does not run is left out.
    """
    found: list[Finding] = []
    containers: dict[str, ContainerState] = {}

    def ask(part: str, check: Callable[[], Iterable[Finding]], remediation: str) -> None:
        try:
            for problem in check():
                found.append(problem)  # what is found before an error counts
        except AuthenticationError as error:
            cause, _, remediation = str(error).partition("; ")
            found.append(Finding(part=part, cause=cause, remediation=remediation, final=True))
        except ClientError as error:
            found.append(Finding(part=part, cause=str(error), remediation=remediation))

    def engine() -> Iterable[Finding]:
        states = probes.containers(endpoints.prefix, endpoints.docker_host)
        containers.update({state.name: state for state in states})
        return _containers(endpoints, expected, containers)

    ask("Docker engine", engine, "see `docker version`")
    sick = {problem.part for problem in found}
    parts: Mapping[str, Callable[[], Iterable[Finding]]] = {
        "Prometheus": lambda: _prometheus(expected, endpoints, http, containers, sick),
        "Alertmanager": lambda: _alertmanager(expected, endpoints, http),
        "Grafana": lambda: _grafana(expected, endpoints, http, sick),
    }
    for part, check in parts.items():
        service = part.lower()
        logs = f"see `docker logs {endpoints.container(service)}`"
        if service not in sick:
            ask(
                part,
                check,
                logs if service in expected.services else "see that it is well, or correct existing_grafana.url",
            )
    return list(dict.fromkeys(found))


def wait_until_ready(expected: ReadinessSpec, endpoints: Endpoints, http: httpx.Client) -> list[Finding]:
    """The problems left after two scrape intervals and a little; at once where there are none, or final ones."""
    deadline = time.monotonic() + 2 * expected.scrape_interval + 5
    while True:
        found = find_problems(expected, endpoints, http)
        if not found or any(problem.final for problem in found) or time.monotonic() >= deadline:
            return found
        time.sleep(0.5)


def _containers(
    endpoints: Endpoints, expected: ReadinessSpec, states: Mapping[str, ContainerState]
) -> Iterable[Finding]:
    for service in sorted(expected.services):
        name = endpoints.container(service)
        state = states.get(name)
        if state is None:
            yield Finding(
                part=service, cause="its container is gone", remediation="run `pulumi refresh`, then `pulumi up`"
            )
        elif state.restarting:
            cause = f"its container ends as soon as it starts, with code {state.exit_code}"
            yield Finding(
                part=service, cause=cause, remediation=f"see `docker logs {name}`; the engine goes on starting it"
            )
        elif not state.running:
            cause = f"its container exited with code {state.exit_code}"
            yield Finding(
                part=service, cause=cause, remediation=f"see `docker logs {name}`, then `docker start {name}`"
            )
        elif state.paused:
            yield Finding(part=service, cause="its container is paused", remediation=f"run `docker unpause {name}`")
        elif state.health not in ("healthy", ""):
            cause = f"its container is {state.health}"
            yield Finding(
                part=service, cause=cause, remediation=f"see `docker logs {name}` and `docker inspect {name}`"
            )


def _prometheus(
    expected: ReadinessSpec,
    endpoints: Endpoints,
    http: httpx.Client,
    containers: Mapping[str, ContainerState],
    sick: set[str],
) -> Iterable[Finding]:
    live = probes.prometheus_revision(http, endpoints.prometheus, CONFIG_INFO)
    if live != expected.releases["prometheus"]:
        cause = f"runs release {live or 'none'}, not {expected.releases['prometheus']}"
        yield Finding(part="Prometheus", cause=cause, remediation="run `pulumi up`, which tries again")
    now = probes.clock(http, endpoints.prometheus)
    targets = probes.targets(http, endpoints.prometheus)
    yield from _alerting(targets, probes.alertmanagers(http, endpoints.prometheus))
    yield from _targets(expected, endpoints, targets, now, containers, sick)
    loaded = probes.rules(http, endpoints.prometheus)
    yield from _storage(endpoints, http, loaded)
    yield from _rules(expected, endpoints, loaded)


def _alerting(targets: Iterable[TargetState], told: Iterable[str]) -> Iterable[Finding]:
    """Prometheus does not say whether alerts arrive, but a scrape proves an address."""
    right = {urlsplit(target.url).netloc for target in targets if target.job == alertmanager.JOB.name}
    given = {urlsplit(url).netloc for url in told}
    if not right & given:
        yield Finding(
            part="Prometheus",
            cause=f"sends alerts to {', '.join(sorted(given)) or 'nobody'}, not to the Alertmanager that it scrapes",
            remediation="correct `alerting` in desired_state.py, then `pulumi up`",
        )


def _targets(
    expected: ReadinessSpec,
    endpoints: Endpoints,
    targets: Iterable[TargetState],
    now: datetime,
    containers: Mapping[str, ContainerState],
    sick: set[str],
) -> Iterable[Finding]:
    there = {(state.job, state.instance): state for state in targets}
    for job, instance in sorted(expected.targets):
        state = there.get((job, instance))
        service = expected.stack_targets.get((job, instance))
        if service in sick:
            continue
        part, stack_owned = f"target {job}/{instance}", service is not None
        if state is None:
            cause, remediation = "Prometheus does not scrape it", f"see {endpoints.prometheus}/service-discovery"
            yield Finding(part=part, cause=cause, remediation=remediation, stack_owned=stack_owned)
            continue
        # An old success proves nothing: only a scrape that is newer than two intervals, than Prometheus' own start and
        # than the start of the container that it is about.
        oldest = [now - timedelta(seconds=2 * expected.scrape_interval)]
        seen = [containers.get(endpoints.container(name)) for name in ("prometheus", service) if name]
        oldest += [container.started for container in seen if container and container.started]
        late = state.last_scrape < max(oldest)
        if late and not state.error:
            remediation = f"see {endpoints.prometheus}/targets"
            yield Finding(part=part, cause="not scraped yet", remediation=remediation, stack_owned=stack_owned)
        elif late or not state.up:
            cause = f"down: {' '.join(state.error.split())}"
            yield Finding(
                part=part, cause=cause, remediation=_remediation(endpoints, state, service), stack_owned=stack_owned
            )


def _remediation(endpoints: Endpoints, target: TargetState, service: str | None) -> str:
    """What to do about a target that is down."""
    if service is None:
        return f"see that {target.url} serves metrics, or correct scrape_targets.{target.job} in the settings"
    name = endpoints.container(service)
    return f"see `docker logs {name}`, then `docker restart {name}`"


def _storage(endpoints: Endpoints, http: httpx.Client, loaded: Iterable[RuleState]) -> Iterable[Finding]:
    """Whether samples are stored, and survive the next start. Targets are up even where they are not."""
    restart = f"`docker restart {endpoints.container('prometheus')}`, which repairs it"
    errors = [rule.error for rule in loaded if UNSTORED in rule.error]
    if errors:
        cause = f"stores nothing: {' '.join(errors[0].split())}"
        yield Finding(part="Prometheus", cause=cause, remediation=f"see that its volume has room, then run {restart}")
    elif failed := probes.wal_write_failures(http, endpoints.prometheus):
        cause = f"{failed} writes to its log failed: its next start drops what it stored since"
        yield Finding(part="Prometheus", cause=cause, remediation=f"run {restart}, the sooner the better")


def _rules(expected: ReadinessSpec, endpoints: Endpoints, loaded: Sequence[RuleState]) -> Iterable[Finding]:
    for group, name in sorted(expected.rules - {(rule.group, rule.name) for rule in loaded}):
        part, remediation = f"rule {group}/{name}", "run `pulumi up`, which tries again"
        yield Finding(part=part, cause="Prometheus has not loaded it", remediation=remediation)
    for rule in sorted(loaded, key=lambda rule: (rule.group, rule.name)):
        part = f"rule {rule.group}/{rule.name}"
        if UNSTORED in rule.error:
            continue  # Prometheus' own problem
        if rule.health == "err":
            remediation = "correct its expression in rules/, then `pulumi up`"
            yield Finding(part=part, cause=" ".join(rule.error.split()), remediation=remediation)
        elif rule.health != "ok" and rule.interval <= 2 * expected.scrape_interval:  # no update waits for slower groups
            yield Finding(part=part, cause="not evaluated yet", remediation=f"see {endpoints.prometheus}/rules")


def _alertmanager(expected: ReadinessSpec, endpoints: Endpoints, http: httpx.Client) -> Iterable[Finding]:
    live = probes.alertmanager_hash(http, endpoints.alertmanager)
    if live != expected.releases["alertmanager"]:
        cause = "runs another configuration than the one released"
        yield Finding(part="Alertmanager", cause=cause, remediation="run `pulumi up`, which tries again")


def _grafana(expected: ReadinessSpec, endpoints: Endpoints, http: httpx.Client, sick: set[str]) -> Iterable[Finding]:
    sources = probes.datasources(http, endpoints.grafana, endpoints.grafana_auth)
    put_back = "run `pulumi refresh`, then `pulumi up`"
    for uid in sorted(expected.datasources - sick):  # a data source's uid is the name of the service behind it
        part = f"data source {uid}"
        if uid not in sources:
            yield Finding(part=part, cause="Grafana does not have it", remediation=put_back)
            continue
        cause = probes.datasource_problem(http, endpoints.grafana, endpoints.grafana_auth, uid, sources[uid])
        if cause:
            own = "grafana" in expected.services
            correct = (
                "its url in desired_state.py"
                if own
                else f"external_urls.{uid} in the settings: Grafana must reach it there"
            )
            yield Finding(part=part, cause=cause, remediation=f"{put_back}; or correct {correct}")
    there = probes.dashboards(http, endpoints.grafana, endpoints.grafana_auth, GRAFANA_FOLDER)
    missing = expected.dashboards - set(there)
    for uid in sorted(missing):
        yield Finding(part=f"dashboard {uid}", cause="Grafana does not have it", remediation=put_back)
    if not expected.home or expected.home in missing:
        return
    opens = probes.home_dashboard(http, endpoints.grafana, endpoints.grafana_auth)
    if opens != expected.home:
        cause = f"opens on {f'the dashboard {opens}' if opens else 'a page of its own'}, not on {expected.home}"
        yield Finding(part="Grafana", cause=cause, remediation=put_back)
