"""Whether what a plan expects is live: the one list of checks behind `up`'s verification and `health`."""

import time
from collections.abc import Callable, Iterable, Mapping
from dataclasses import dataclass, field
from datetime import UTC, datetime, timedelta

import httpx

from ops import probes
from ops.probes import ContainerState, ProbeError, RefusedError
from plan import RELEASE_INFO, Expected
from stacks.settings import Settings, Strictness


@dataclass(frozen=True, kw_only=True)
class Access:
    """How a running stack is reached; `grafana_auth` is user and password, `engine_host` None for the default one."""

    prometheus: str
    alertmanager: str
    grafana: str
    grafana_auth: tuple[str, str] = field(repr=False)
    prefix: str
    engine_host: str | None = None

    @classmethod
    def of(cls, settings: Settings, grafana_auth: tuple[str, str]) -> "Access":
        return cls(
            prometheus=settings.published("prometheus"),
            alertmanager=settings.published("alertmanager"),
            grafana=settings.published("grafana"),
            grafana_auth=grafana_auth,
            prefix=settings.prefix,
            engine_host=settings.engine_host,
        )


@dataclass(frozen=True, kw_only=True)
class Problem:
    """One thing that is not as expected; `own` where it is a part of the stack itself, not something it watches, and
    `final` where waiting cannot mend it.
    """

    part: str
    cause: str
    own: bool = True
    final: bool = False

    def __str__(self) -> str:
        return f"{self.part}: {self.cause}"


def fails(strictness: Strictness, problem: Problem) -> bool:
    """Whether a problem fails an update."""
    return strictness is Strictness.STRICT or (strictness is Strictness.OWN and problem.own)


def problems(expected: Expected, access: Access, http: httpx.Client, now: datetime | None = None) -> list[Problem]:
    """Everything that is not as expected right now, each in one line."""
    now = now or datetime.now(UTC)
    found: list[Problem] = []
    started: dict[str, datetime] = {}

    def ask(part: str, check: Callable[[], Iterable[Problem]]) -> None:
        try:
            found.extend(check())
        except ProbeError as error:
            found.append(Problem(part=part, cause=str(error), final=isinstance(error, RefusedError)))

    def engine() -> Iterable[Problem]:
        states = probes.containers(access.prefix, access.engine_host)
        started.update({state.name: state.started for state in states if state.started})
        return _containers(access.prefix, expected, states)

    ask("Docker engine", engine)
    ask("Prometheus", lambda: _targets(expected, access, http, now, started))
    ask("Prometheus", lambda: _rules(expected, access, http))
    ask("Prometheus", lambda: _release(expected, access, http))
    ask("Alertmanager", lambda: _alertmanager(expected, access, http))
    ask("Grafana", lambda: _grafana(expected, access, http))
    return list(dict.fromkeys(found))


def settle(expected: Expected, access: Access, http: httpx.Client) -> list[Problem]:
    """The problems left after two scrape intervals and a little; at once where there are none, or final ones."""
    deadline = time.monotonic() + 2 * expected.scrape_interval + 5
    while True:
        found = problems(expected, access, http)
        if not found or any(problem.final for problem in found) or time.monotonic() >= deadline:
            return found
        time.sleep(0.5)


def _containers(prefix: str, expected: Expected, states: list[ContainerState]) -> Iterable[Problem]:
    by_name = {state.name: state for state in states}
    for service in sorted(expected.services):
        state = by_name.get(f"{prefix}-{service}")
        if state is None:
            yield Problem(part=service, cause="its container is gone; run `pulumi refresh`, then `pulumi up`")
        elif not state.running:
            yield Problem(
                part=service,
                cause=f"its container exited with code {state.exit_code}; see `docker logs {state.name}`, "
                f"then `docker start {state.name}`",
            )
        elif state.paused:
            yield Problem(part=service, cause=f"its container is paused; run `docker unpause {state.name}`")
        elif state.health not in ("healthy", ""):
            yield Problem(part=service, cause=f"its container is {state.health}; see `docker inspect {state.name}`")


def _targets(
    expected: Expected, access: Access, http: httpx.Client, now: datetime, started: Mapping[str, datetime]
) -> Iterable[Problem]:
    there = {(state.job, state.instance): state for state in probes.targets(http, access.prometheus)}
    for job, instance in sorted(expected.targets):
        state = there.get((job, instance))
        service = expected.own_targets.get((job, instance))
        own = service is not None
        part = f"target {job}/{instance}"
        if state is None:
            yield Problem(part=part, cause="Prometheus does not scrape it", own=own)
            continue
        # An old success proves nothing: only a scrape that is newer than two intervals, than Prometheus' own start and
        # than the start of the container that it is about.
        oldest = [now - timedelta(seconds=2 * expected.scrape_interval)]
        oldest += [started[name] for name in _names(access.prefix, "prometheus", service) if name in started]
        if state.last_scrape < max(oldest):
            yield Problem(part=part, cause=state.error or "not scraped yet", own=own)
        elif not state.up:
            yield Problem(part=part, cause=f"down: {state.error}", own=own)


def _names(prefix: str, *services: str | None) -> list[str]:
    return [f"{prefix}-{service}" for service in services if service]


def _rules(expected: Expected, access: Access, http: httpx.Client) -> Iterable[Problem]:
    loaded = probes.rules(http, access.prometheus)
    for group, name in sorted(expected.rules - {(rule.group, rule.name) for rule in loaded}):
        yield Problem(part=f"rule {group}/{name}", cause="Prometheus has not loaded it")
    for rule in sorted(loaded, key=lambda rule: (rule.group, rule.name)):
        if rule.health != "ok":
            yield Problem(part=f"rule {rule.group}/{rule.name}", cause=rule.error or "not evaluated yet")


def _release(expected: Expected, access: Access, http: httpx.Client) -> Iterable[Problem]:
    live = probes.prometheus_release(http, access.prometheus, RELEASE_INFO)
    if live != expected.releases["prometheus"]:
        yield Problem(part="Prometheus", cause=f"runs release {live or 'none'}, not {expected.releases['prometheus']}")
    if not any("alertmanager" in url for url in probes.alertmanagers(http, access.prometheus)):
        yield Problem(part="Prometheus", cause="knows no Alertmanager: alerts would reach nobody")


def _alertmanager(expected: Expected, access: Access, http: httpx.Client) -> Iterable[Problem]:
    live = probes.alertmanager_hash(http, access.alertmanager)
    if live != expected.releases["alertmanager"]:
        yield Problem(part="Alertmanager", cause="runs another configuration than the one released")


def _grafana(expected: Expected, access: Access, http: httpx.Client) -> Iterable[Problem]:
    sources = probes.datasources(http, access.grafana, access.grafana_auth)
    for uid in sorted(expected.datasources):
        if uid not in sources:
            yield Problem(part=f"data source {uid}", cause="Grafana does not have it")
            continue
        cause = probes.datasource_problem(http, access.grafana, access.grafana_auth, uid, sources[uid])
        if cause:
            yield Problem(part=f"data source {uid}", cause=cause)
    missing = expected.dashboards - set(probes.dashboards(http, access.grafana, access.grafana_auth))
    for uid in sorted(missing):
        yield Problem(part=f"dashboard {uid}", cause="Grafana does not have it; run `pulumi refresh`, then `pulumi up`")
