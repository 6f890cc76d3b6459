"""What a running stack says of itself: engine, Prometheus, Alertmanager and Grafana, asked over their APIs."""

import ssl
from collections.abc import Callable, Generator, Iterator, Mapping
from contextlib import closing, contextmanager
from dataclasses import dataclass, field
from datetime import UTC, datetime
from functools import cache
from typing import Any

import docker
import docker.errors
import httpx

TIMEOUT = 5.0  # seconds per request


class ClientError(Exception):
    """A part cannot be asked; the message names the part and the cause in one line."""


class AuthenticationError(ClientError):
    """A part refuses the credentials. Asking again changes nothing, and makes Grafana lock the account."""


class NotFoundError(ClientError):
    """A part answers 404."""


@dataclass(frozen=True)
class GrafanaAuth(httpx.Auth):
    """A login to Grafana in one text, as its provider takes it: `user:password`, or a service account's token."""

    text: str = field(repr=False)

    @property
    def user(self) -> str:
        """Empty where it is a token."""
        user, colon, _ = self.text.partition(":")
        return user if colon else ""

    def auth_flow(self, request: httpx.Request) -> Generator[httpx.Request, httpx.Response, None]:
        if self.user:
            yield from httpx.BasicAuth(self.user, self.text.partition(":")[2]).auth_flow(request)
        else:
            # Nothing else can be in a token; in a header it would be an error that repeats the token.
            token = "".join(char for char in self.text if "!" <= char <= "~")
            request.headers["Authorization"] = f"Bearer {token}"
            yield request


@dataclass(frozen=True, kw_only=True)
class DatasourceState:
    """One data source of Grafana."""

    uid: str
    name: str
    type: str
    url: str


@dataclass(frozen=True, kw_only=True)
class TargetState:
    """One active target; `url` is what is scraped, and `last_scrape` is by Prometheus' own clock."""

    job: str
    instance: str
    url: str
    up: bool
    error: str
    last_scrape: datetime


@dataclass(frozen=True, kw_only=True)
class RuleState:
    """One loaded rule. `kind` is alerting or recording, `health` ok, err or unknown (not evaluated yet), and `state`
    an alert's: inactive, pending or firing. `interval` is its group's, in seconds.
    """

    group: str
    name: str
    kind: str
    health: str
    error: str
    state: str
    interval: float


@dataclass(frozen=True, kw_only=True)
class ContainerState:
    """One container, running or not. `health` is healthy, unhealthy, starting, or empty without a health check."""

    name: str
    id: str
    running: bool
    paused: bool
    restarting: bool = False  # it ended by itself, and the engine waits before it starts it again
    health: str
    started: datetime | None
    exit_code: int


def client() -> httpx.Client:
    """The HTTP client for all probes. It trusts the authorities that the machine trusts, and takes the machine's proxy
    for https only: the stack's own parts speak http, and no proxy must stand before loopback.
    """
    return httpx.Client(timeout=TIMEOUT, verify=_authorities(), mounts={"http://": None})


@cache
def _authorities() -> ssl.SSLContext:
    """The authorities that the machine trusts, read once: that takes longer than a question."""
    return ssl.create_default_context()


def get(http: httpx.Client, part: str, url: str, auth: GrafanaAuth | None = None) -> httpx.Response:
    """The answer of one part; ClientError where there is none or its status is not 2xx."""
    answer = _answer(part, url, lambda: http.get(url, auth=auth) if auth else http.get(url))
    if answer.status_code in (httpx.codes.UNAUTHORIZED, httpx.codes.FORBIDDEN):
        raise AuthenticationError(f"{part} refuses {_refused(answer.status_code, auth)}")
    return _good(part, url, answer)


def page(http: httpx.Client, part: str, url: str) -> str:
    """The text at an address that asks for no login; ClientError where there is none or its status is not 2xx."""
    return _good(part, url, _answer(part, url, lambda: http.get(url))).text


def _refused(status: int, auth: GrafanaAuth | None) -> str:
    """What of a login is refused, why, and what to do."""
    lacking = status == httpx.codes.FORBIDDEN
    if auth is None or auth.user:
        cause = 'its password is not the stack\'s secret; see "Rotating secrets" in docs/guide.md'
        if auth and lacking:
            cause = f"{auth.user} is no administrator; log in as one"
        return f"the credentials ({status}): {cause}"
    cause = (
        "its service account has not the role Admin; give it that there"
        if lacking
        else "it has expired, was deleted, or is for another Grafana; make a new one there, then "
        "`pulumi config set --secret grafana_token`"
    )
    return f"the token ({status}): {cause}"


def send(http: httpx.Client, part: str, method: str, url: str, body: Any) -> httpx.Response:
    """The answer to a request that changes something; ClientError where there is none or its status is not 2xx."""
    return _good(part, url, _answer(part, url, lambda: http.request(method, url, json=body)))


def _answer(part: str, url: str, ask: Callable[[], httpx.Response]) -> httpx.Response:
    try:
        return ask()
    except (httpx.HTTPError, httpx.InvalidURL) as error:
        raise ClientError(f"{part} does not answer at {url}: {str(error) or type(error).__name__}") from error


def _good(part: str, url: str, answer: httpx.Response) -> httpx.Response:
    if not answer.is_success:
        kind = NotFoundError if answer.status_code == httpx.codes.NOT_FOUND else ClientError
        raise kind(f"{part} answers {answer.status_code} at {url}: {' '.join(answer.text[:200].split())}")
    return answer


def targets(http: httpx.Client, prometheus: str) -> list[TargetState]:
    """The active targets."""
    url = f"{prometheus}/api/v1/targets?state=active"
    with understood("Prometheus", url):
        return [
            TargetState(
                job=target["labels"]["job"],
                instance=target["labels"]["instance"],
                url=target["scrapeUrl"],
                up=target["health"] == "up",
                error=target["lastError"],
                last_scrape=datetime.fromisoformat(target["lastScrape"]),
            )
            for target in get(http, "Prometheus", url).json()["data"]["activeTargets"]
        ]


def clock(http: httpx.Client, prometheus: str) -> datetime:
    """What time it is for Prometheus, and for the engine whose host it shares; this machine's clock may differ."""
    with understood("Prometheus", prometheus):
        (now,) = query(http, prometheus, "vector(time())")
        return datetime.fromtimestamp(float(now["value"][1]), UTC)


def rules(http: httpx.Client, prometheus: str) -> list[RuleState]:
    """The loaded rules, recordings included."""
    url = f"{prometheus}/api/v1/rules"
    with understood("Prometheus", url):
        return [
            RuleState(
                group=group["name"],
                name=rule["name"],
                kind=rule["type"],
                health=rule["health"],
                error=rule.get("lastError", ""),
                state=rule.get("state", ""),
                interval=float(group["interval"]),
            )
            for group in get(http, "Prometheus", url).json()["data"]["groups"]
            for rule in group["rules"]
        ]


def prometheus_revision(http: httpx.Client, prometheus: str, record: str) -> str:
    """The hash of the release whose rules are loaded, which the recording rule `record` carries; empty without one."""
    url = f"{prometheus}/api/v1/rules?type=record"
    with understood("Prometheus", url):
        for group in get(http, "Prometheus", url).json()["data"]["groups"]:
            for rule in group["rules"]:
                if rule["name"] == record:
                    return str(rule["labels"]["revision"])
    return ""


def alertmanagers(http: httpx.Client, prometheus: str) -> list[str]:
    """The addresses of the Alertmanagers to which Prometheus sends."""
    url = f"{prometheus}/api/v1/alertmanagers"
    with understood("Prometheus", url):
        return [str(found["url"]) for found in get(http, "Prometheus", url).json()["data"]["activeAlertmanagers"]]


def query(http: httpx.Client, prometheus: str, expr: str) -> list[dict[str, Any]]:
    """An instant vector: one mapping per series, with `metric` (labels) and `value` ([time, text])."""
    url = f"{prometheus}/api/v1/query?{httpx.QueryParams(query=expr)}"
    with understood("Prometheus", url):
        return list(get(http, "Prometheus", url).json()["data"]["result"])


def wal_write_failures(http: httpx.Client, prometheus: str) -> int:
    """How many writes to its log of new samples failed since Prometheus started, by its own last scrape of itself.

    Its next start drops everything after the first of them (prometheus/prometheus, tsdb/wlog: Repair).
    """
    rows = query(http, prometheus, 'prometheus_tsdb_wal_writes_failed_total{job="prometheus",instance="prometheus"}')
    with understood("Prometheus", prometheus):
        return sum(int(float(row["value"][1])) for row in rows)


def metadata(http: httpx.Client, prometheus: str, job: str) -> dict[str, tuple[str, str]]:
    """The type and the help text of every metric that a job's targets expose, by name."""
    match = f'{{job="{job}"}}'
    url = f"{prometheus}/api/v1/targets/metadata?{httpx.QueryParams(match_target=match)}"
    with understood("Prometheus", url):
        rows = get(http, "Prometheus", url).json()["data"]
        return {str(row["metric"]): (str(row["type"]), str(row["help"])) for row in rows}


def series(http: httpx.Client, prometheus: str, job: str) -> list[dict[str, str]]:
    """The labels of every series of a job that is live, `__name__` among them."""
    match = f'{{job="{job}"}}'
    with understood("Prometheus", prometheus):
        return [{str(k): str(v) for k, v in row["metric"].items()} for row in query(http, prometheus, match)]


def alertmanager_hash(http: httpx.Client, alertmanager: str) -> str:
    """`alertmanager_config_hash` as a whole number."""
    url = f"{alertmanager}/metrics"
    with understood("Alertmanager", url):
        for line in get(http, "Alertmanager", url).text.splitlines():
            if line.startswith("alertmanager_config_hash "):
                return str(int(float(line.split()[1])))
    raise ClientError(f"Alertmanager shows no alertmanager_config_hash at {url}")


def alerts(http: httpx.Client, alertmanager: str) -> list[str]:
    """The names of the alerts that are active in Alertmanager and neither silenced nor inhibited, one for each."""
    url = f"{alertmanager}/api/v2/alerts?active=true&silenced=false&inhibited=false"
    with understood("Alertmanager", url):
        return [str(alert["labels"]["alertname"]) for alert in get(http, "Alertmanager", url).json()]


def is_grafana_mock(http: httpx.Client, grafana: str) -> bool:
    """Whether the Grafana there is the closed network's stand-in."""
    return "X-Grafana-Stand-In" in get(http, "Grafana", f"{grafana}/api/health").headers


def datasources(http: httpx.Client, grafana: str, auth: GrafanaAuth) -> dict[str, str]:
    """A data source's uid to its type."""
    return {source.uid: source.type for source in sources(http, grafana, auth)}


def sources(http: httpx.Client, grafana: str, auth: GrafanaAuth) -> list[DatasourceState]:
    """All data sources of the organization."""
    url = f"{grafana}/api/datasources"
    with understood("Grafana", url):
        return [
            DatasourceState(
                uid=str(found["uid"]), name=str(found["name"]), type=str(found["type"]), url=str(found["url"])
            )
            for found in get(http, "Grafana", url, auth).json()
        ]


def organization(http: httpx.Client, grafana: str, auth: GrafanaAuth) -> str:
    """The name of the organization that a login is for."""
    url = f"{grafana}/api/org"
    with understood("Grafana", url):
        return str(get(http, "Grafana", url, auth).json()["name"])


def permissions(http: httpx.Client, grafana: str, auth: GrafanaAuth) -> frozenset[str]:
    """The actions that a login may do, such as folders:create."""
    url = f"{grafana}/api/access-control/user/permissions"
    with understood("Grafana", url):
        return frozenset(get(http, "Grafana", url, auth).json().keys())


def folder_of(http: httpx.Client, grafana: str, auth: GrafanaAuth, dashboard: str) -> str | None:
    """The uid of the folder in which a dashboard lies, empty for none; None where there is no such dashboard."""
    url = f"{grafana}/api/dashboards/uid/{dashboard}"
    with understood("Grafana", url):
        try:
            return str(get(http, "Grafana", url, auth).json()["meta"].get("folderUid", ""))
        except NotFoundError:
            return None


def has_folder(http: httpx.Client, grafana: str, auth: GrafanaAuth, uid: str) -> bool:
    """Whether there is a folder of that uid."""
    url = f"{grafana}/api/folders/{uid}"
    with understood("Grafana", url):
        try:
            return bool(get(http, "Grafana", url, auth).json()["uid"] == uid)
        except NotFoundError:
            return False


def dashboards(http: httpx.Client, grafana: str, auth: GrafanaAuth, folder: str = "") -> list[str]:
    """The uids of the dashboards that a logged-in user finds, in all folders or in one (its uid)."""
    url = f"{grafana}/api/search?type=dash-db&limit=5000" + (f"&folderUIDs={folder}" if folder else "")
    with understood("Grafana", url):
        return [str(page["uid"]) for page in get(http, "Grafana", url, auth).json()]


def strangers(http: httpx.Client, grafana: str, auth: GrafanaAuth, folder: str, ours: frozenset[str]) -> list[str]:
    """The uids of what is in a folder besides those dashboards: dashboards and folders."""
    url = f"{grafana}/api/search?limit=5000&folderUIDs={folder}"
    with understood("Grafana", url):
        found = get(http, "Grafana", url, auth).json()
        return sorted(str(f["uid"]) for f in found if f["type"] != "dash-db" or f["uid"] not in ours)


def home_dashboard(http: httpx.Client, grafana: str, auth: GrafanaAuth) -> str:
    """The uid of the dashboard on which Grafana opens; empty where none is chosen."""
    url = f"{grafana}/api/org/preferences"
    with understood("Grafana", url):
        return str(get(http, "Grafana", url, auth).json().get("homeDashboardUID") or "")


def datasource_problem(http: httpx.Client, grafana: str, auth: GrafanaAuth, uid: str, kind: str) -> str:
    """Why Grafana cannot use a data source of that type (`kind`); empty where it can.

    Alertmanager's has no health call in Grafana (grafana/grafana#83794): it is asked through the data source's proxy.
    """
    path = f"proxy/uid/{uid}/api/v2/status" if kind == "alertmanager" else f"uid/{uid}/health"
    try:
        get(http, f"Grafana's data source {uid}", f"{grafana}/api/datasources/{path}", auth)
    except AuthenticationError:
        raise
    except ClientError as error:
        return str(error)
    return ""


def engine(host: str | None = None) -> docker.DockerClient:
    """The Docker engine at that host, or at DOCKER_HOST or the local socket; to be closed by the caller."""
    where = host or "DOCKER_HOST or the local socket"
    try:
        # By ssh itself, so that the person's ssh settings count as they do for Pulumi's provider.
        ssh = (host or "").startswith("ssh://")
        found = docker.DockerClient(base_url=host, use_ssh_client=ssh) if host else docker.from_env(use_ssh_client=True)
        found.ping()
    except (docker.errors.DockerException, OSError) as error:
        raise ClientError(f"the Docker engine does not answer at {where}: {error}") from error
    return found


def containers(prefix: str, host: str | None = None) -> list[ContainerState]:
    """The containers of one environment on its engine, running or not."""
    mine: dict[str, str | list[str] | bool] = {"label": f"softfactory.prefix={prefix}"}
    with closing(engine(host)) as asked, understood("the Docker engine", host or "the local socket"):
        try:
            return [_container(i.attrs) for i in asked.containers.list(all=True, filters=mine, ignore_removed=True)]
        except (docker.errors.DockerException, OSError) as error:
            raise ClientError(f"the Docker engine answers no longer: {error}") from error


def _container(attrs: Mapping[str, Any]) -> ContainerState:
    state = attrs["State"]
    started = state.get("StartedAt", "")
    return ContainerState(
        name=attrs["Name"].lstrip("/"),
        id=attrs["Id"],
        running=bool(state["Running"]),
        paused=bool(state.get("Paused", False)),
        restarting=bool(state.get("Restarting", False)),
        health=(state.get("Health") or {}).get("Status", ""),
        started=None if not started or started.startswith("0001") else datetime.fromisoformat(started),
        exit_code=int(state["ExitCode"]),
    )


@contextmanager
def understood(part: str, url: str) -> Iterator[None]:
    """Turns an answer of another shape (a login page, cut JSON) into a ClientError."""
    try:
        yield
    except (ValueError, KeyError, TypeError, IndexError, AttributeError, OverflowError) as error:
        raise ClientError(f"what answers at {url} is not {part}: its answer cannot be understood") from error
