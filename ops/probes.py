"""What a running stack says of itself: engine, Prometheus, Alertmanager and Grafana, asked over their APIs."""

from collections.abc import Mapping
from contextlib import closing
from dataclasses import dataclass
from datetime import datetime
from typing import Any

import docker
import docker.errors
import httpx

from stacks.settings import seconds

TIMEOUT = 5.0  # seconds per request


class ProbeError(Exception):
    """A part cannot be asked; the message names the part and the cause in one line."""


@dataclass(frozen=True, kw_only=True)
class TargetState:
    job: str
    instance: str
    up: bool
    error: str
    last_scrape: datetime
    interval: float  # seconds


@dataclass(frozen=True, kw_only=True)
class RuleState:
    group: str
    name: str
    kind: str  # alerting or recording
    health: str  # ok, err or unknown (not evaluated yet)
    error: str
    state: str  # of an alert: inactive, pending or firing


@dataclass(frozen=True, kw_only=True)
class ContainerState:
    name: str
    id: str
    image: str
    running: bool
    health: str  # healthy, unhealthy, starting, or empty without a health check
    started: datetime | None
    exit_code: int


def client() -> httpx.Client:
    """The HTTP client for all probes; a proxy of the machine must not stand before loopback, hence no `trust_env`."""
    return httpx.Client(timeout=TIMEOUT, trust_env=False)


def get(http: httpx.Client, part: str, url: str, auth: tuple[str, str] | None = None) -> httpx.Response:
    """The answer of one part; ProbeError where there is none or its status is not 2xx."""
    try:
        answer = http.get(url, auth=auth) if auth else http.get(url)
    except (httpx.HTTPError, httpx.InvalidURL) as error:
        raise ProbeError(f"{part} does not answer at {url}: {error or type(error).__name__}") from error
    if answer.status_code == httpx.codes.UNAUTHORIZED:
        raise ProbeError(f"{part} refuses the credentials (401): its password is not the stack's secret")
    if not answer.is_success:
        raise ProbeError(f"{part} answers {answer.status_code} at {url}: {answer.text[:200].strip()}")
    return answer


def _data(http: httpx.Client, url: str, path: str) -> Any:
    try:
        return get(http, "Prometheus", url + path).json()["data"]
    except (ValueError, KeyError, TypeError) as error:
        raise ProbeError(f"Prometheus answers no JSON of its own at {url}{path}") from error


def targets(http: httpx.Client, prometheus: str) -> list[TargetState]:
    """The active targets."""
    return [
        TargetState(
            job=target["labels"]["job"],
            instance=target["labels"]["instance"],
            up=target["health"] == "up",
            error=target["lastError"],
            last_scrape=datetime.fromisoformat(_microseconds(target["lastScrape"])),
            interval=seconds(target["scrapeInterval"]),
        )
        for target in _data(http, prometheus, "/api/v1/targets?state=active")["activeTargets"]
    ]


def rules(http: httpx.Client, prometheus: str) -> list[RuleState]:
    """The loaded rules, recordings included."""
    return [
        RuleState(
            group=group["name"], name=rule["name"], kind=rule["type"], health=rule["health"],
            error=rule.get("lastError", ""), state=rule.get("state", ""),
        )
        for group in _data(http, prometheus, "/api/v1/rules")["groups"]
        for rule in group["rules"]
    ]  # fmt: skip


def prometheus_release(http: httpx.Client, prometheus: str, record: str) -> str:
    """The hash of the release whose rules are loaded; empty where none is."""
    for group in _data(http, prometheus, "/api/v1/rules?type=record")["groups"]:
        for rule in group["rules"]:
            if rule["name"] == record:
                return str(rule["labels"]["release"])
    return ""


def alertmanagers(http: httpx.Client, prometheus: str) -> list[str]:
    """The addresses of the Alertmanagers to which Prometheus sends."""
    return [found["url"] for found in _data(http, prometheus, "/api/v1/alertmanagers")["activeAlertmanagers"]]


def query(http: httpx.Client, prometheus: str, expr: str) -> list[dict[str, Any]]:
    """An instant vector: one mapping per series, with `metric` (labels) and `value` ([time, text])."""
    found: list[dict[str, Any]] = _data(http, prometheus, f"/api/v1/query?{httpx.QueryParams(query=expr)}")["result"]
    return found


def alertmanager_hash(http: httpx.Client, alertmanager: str) -> str:
    """`alertmanager_config_hash` as a whole number."""
    for line in get(http, "Alertmanager", f"{alertmanager}/metrics").text.splitlines():
        if line.startswith("alertmanager_config_hash "):
            return str(int(float(line.split()[1])))
    raise ProbeError(f"Alertmanager shows no alertmanager_config_hash at {alertmanager}/metrics")


def alerts(http: httpx.Client, alertmanager: str) -> list[dict[str, Any]]:
    """The alerts that are active in Alertmanager."""
    found: list[dict[str, Any]] = get(http, "Alertmanager", f"{alertmanager}/api/v2/alerts").json()
    return found


def grafana_stand_in(http: httpx.Client, grafana: str) -> bool:
    """Whether the Grafana there is the closed network's stand-in."""
    return "X-Grafana-Stand-In" in get(http, "Grafana", f"{grafana}/api/health").headers


def datasources(http: httpx.Client, grafana: str, auth: tuple[str, str]) -> list[dict[str, Any]]:
    found: list[dict[str, Any]] = get(http, "Grafana", f"{grafana}/api/datasources", auth).json()
    return found


def dashboards(http: httpx.Client, grafana: str, auth: tuple[str, str]) -> list[str]:
    """The uids of the dashboards that a logged-in user finds."""
    found = get(http, "Grafana", f"{grafana}/api/search?type=dash-db&limit=5000", auth).json()
    return [page["uid"] for page in found]


def datasource_problem(http: httpx.Client, grafana: str, auth: tuple[str, str], source: Mapping[str, Any]) -> str:
    """Why Grafana cannot use a data source; empty where it can.

    Alertmanager's has no health call in Grafana (grafana/grafana#83794): it is asked through the data source's proxy.
    """
    uid = source["uid"]
    path = f"proxy/uid/{uid}/api/v2/status" if source["type"] == "alertmanager" else f"uid/{uid}/health"
    try:
        get(http, f"Grafana's data source {uid}", f"{grafana}/api/datasources/{path}", auth)
    except ProbeError as error:
        return str(error)
    return ""


def containers(prefix: str, host: str | None = None) -> list[ContainerState]:
    """The containers of one environment on its engine, running or not."""
    try:
        engine = docker.DockerClient(base_url=host) if host else docker.from_env()
        with closing(engine):
            found = engine.containers.list(all=True, filters={"label": f"softfactory.prefix={prefix}"})
            return [_container(item.attrs) for item in found]
    except docker.errors.DockerException as error:
        raise ProbeError(
            f"the Docker engine does not answer at {host or 'DOCKER_HOST or the local socket'}: {error}"
        ) from error


def _container(attrs: Mapping[str, Any]) -> ContainerState:
    state = attrs["State"]
    started = state.get("StartedAt", "")
    return ContainerState(
        name=attrs["Name"].lstrip("/"),
        id=attrs["Id"],
        image=attrs["Config"]["Image"],
        running=bool(state["Running"]),
        health=state.get("Health", {}).get("Status", ""),
        started=None if started.startswith("0001") or not started else datetime.fromisoformat(_microseconds(started)),
        exit_code=int(state["ExitCode"]),
    )


def _microseconds(timestamp: str) -> str:
    """An RFC 3339 time with its nanoseconds cut to what datetime can read."""
    head, dot, tail = timestamp.partition(".")
    if not dot:
        return timestamp
    digits = len(tail) - len(tail.lstrip("0123456789"))
    return f"{head}.{tail[: min(digits, 6)]}{tail[digits:]}"
