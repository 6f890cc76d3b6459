"""A deployed stack in which all is well, as its engine and its APIs tell it; a test breaks one thing of it."""

import json
import runpy
import shutil
import subprocess
import sys
from collections.abc import Callable
from dataclasses import dataclass
from datetime import UTC, datetime, timedelta
from functools import partial
from pathlib import Path
from types import SimpleNamespace
from typing import Any, Final

import docker.errors
import httpx
import pytest

from clients import probes
from clients.probes import GrafanaAuth
from desired_state import DesiredState, scrape_targets
from readiness import checks, preflight
from readiness.checks import Endpoints
from rules.prometheus import CONFIG_INFO

PASSWORD: Final = "the-right-password"
TOKEN: Final = "glsa_the-right-token"
MAIN: Final = Path(__file__).parents[2] / "ops/__main__.py"
Answer = httpx.Response | Exception


class FakeStack:
    """Answers as the plan's stack would; `targets`, `rules` and so on are what it answers, free to be changed.

    `broken` maps a path of an API to the answer given there instead, or the error raised; `requests` and `listings`
    hold what was asked, `removed` what was taken away from engine and Grafana. Its time of day stands still; `slept` is
    how long (in seconds) somebody waited, to whom `haste` makes a moment as long as several.
    """

    def __init__(self, desired: DesiredState) -> None:
        self.settings = settings = desired.settings
        self.prefix = settings.name_prefix
        self.ports = settings.ports
        self.password = PASSWORD
        self.token = TOKEN
        self.permissions = {"folders:create", "dashboards:create", "datasources:create"}
        self.slept = 0.0
        self.haste = 1
        self.now = datetime(2030, 1, 2, 3, 4, 5, 678901, tzinfo=UTC)
        self.requests: list[httpx.Request] = []
        self.listings: list[dict[str, Any]] = []
        self.hosts: list[str | None] = []
        self.broken: dict[str, Answer | Callable[[], Answer]] = {}
        self.engine_error: Exception | None = None
        self.engine_address = "http+docker://localhost"
        self.volumes: dict[str, dict[str, str] | None] = {}
        self.networks: dict[str, str] = {}  # id to name
        self.stopped: list[str] = []
        self.removed: list[str] = []
        self.remove_error: Exception | None = None
        self.missing_images: set[str] = set()
        self.registry_error: Exception | None = docker.errors.APIError("refused", explanation="manifest unknown")
        self.on_sleep: Callable[[], None] = lambda: None
        interval = desired.expected.scrape_interval
        self.targets: dict[tuple[str, str], dict[str, Any]] = {
            (job, target.instance): {
                "labels": {"job": job, "instance": target.instance},
                "health": "up",
                "lastError": "",
                "lastScrape": nanoseconds(self.now - timedelta(seconds=interval / 2)),
                "scrapeUrl": f"http://{target.address}/metrics",
            }
            for job, targets in scrape_targets(settings).items()
            for target in targets
        }
        self.rules: list[tuple[str, dict[str, Any]]] = [
            (group, {"name": name, "type": "alerting", "health": "ok", "state": "inactive", "labels": {}})
            for group, name in sorted(desired.expected.rules)
        ]
        self.release = {
            "name": CONFIG_INFO,
            "type": "recording",
            "health": "ok",
            "labels": {"revision": desired.expected.releases["prometheus"]},
        }
        self.rules.append(("revision", self.release))
        self.alertmanagers = ["http://alertmanager:9093/api/v2/alerts"]
        self.wal_write_failures = 0
        self.intervals: dict[str, float] = {}  # of the groups that are evaluated more slowly than every 5 s
        self.alertmanager_hash = f"{float(desired.expected.releases['alertmanager']):.16e}"
        self.alerts: list[str] = []
        self.datasources = {
            source.uid: {"uid": source.uid, "name": source.name, "type": source.type, "url": source.url}
            for source in desired.datasources
        }
        self.dashboards = sorted(desired.expected.dashboards)
        self.home = desired.expected.home or "theirs"
        self.folders = {"softfactory"}
        self.elsewhere: dict[str, str] = {}  # dashboard to its folder, where that is not ours
        self.subfolders: list[str] = []
        self.grafana_headers: dict[str, str] = {}
        self.containers: dict[str, dict[str, Any]] = {
            service: {
                "Name": f"/{self.prefix}-{service}",
                "Id": f"{service}-id",
                "Config": {"Image": "sha256:0", "Labels": {"softfactory.prefix": self.prefix}},
                "NetworkSettings": {"Ports": _published(getattr(self.ports, service, None))},
                "State": {
                    "Running": True,
                    "Paused": False,
                    "Restarting": False,
                    "ExitCode": 0,
                    "StartedAt": nanoseconds(self.now - timedelta(hours=1)),
                    "Health": {"Status": "healthy"},
                },
            }
            for service in desired.expected.services
        }

    def endpoints(self) -> Endpoints:
        return Endpoints(
            prometheus=f"http://127.0.0.1:{self.ports.prometheus}",
            alertmanager=f"http://127.0.0.1:{self.ports.alertmanager}",
            grafana=self.settings.published("grafana"),
            grafana_auth=GrafanaAuth(TOKEN if self.settings.existing_grafana else f"admin:{PASSWORD}"),
            prefix=self.prefix,
        )

    def client(self) -> httpx.Client:
        return httpx.Client(transport=httpx.MockTransport(self._answer))

    def install(self, patch: pytest.MonkeyPatch) -> None:
        """Puts this stack in the place of the network, the engine and the clock."""
        patch.setattr(probes, "client", self.client)
        patch.setattr(
            probes, "docker", SimpleNamespace(DockerClient=self._engine, from_env=self._engine, errors=docker.errors)
        )
        patch.setattr(checks, "time", SimpleNamespace(monotonic=lambda: self.slept, sleep=self._sleep))
        patch.setattr(preflight, "_is_free", lambda *_: True)

    def paths(self, part: str = "") -> list[str]:
        """The paths that were asked of one part (prometheus, alertmanager, grafana, api), or of all."""
        return [r.url.path for r in self.requests if not part or self._is(part, r)]

    def _is(self, part: str, request: httpx.Request) -> bool:
        return httpx.URL(self.settings.published(part)).netloc == request.url.netloc

    def _sleep(self, seconds: float) -> None:
        self.slept += seconds * self.haste
        self.on_sleep()

    def _answer(self, request: httpx.Request) -> httpx.Response:
        self.requests.append(request)
        path = request.url.path
        given = self.broken.get(path)
        answer = given() if callable(given) else given
        if isinstance(answer, Exception):
            raise answer
        if answer is not None:
            return answer
        if self._is("prometheus", request):
            return self._prometheus(path, request.url.params)
        if self._is("alertmanager", request):
            return self._alertmanager(path)
        if self._is("grafana", request):
            return self._grafana(request)
        if self._is("api", request) and path == "/metrics":
            return httpx.Response(200, text="# TYPE http_requests_total counter\nhttp_requests_total 1\n")
        return _no_such_page()

    def _prometheus(self, path: str, params: httpx.QueryParams) -> httpx.Response:
        if path == "/api/v1/targets":
            return _data({"activeTargets": list(self.targets.values())})
        if path == "/api/v1/rules":
            kind = {"record": "recording", "alert": "alerting", None: None}[params.get("type")]
            groups: dict[str, list[dict[str, Any]]] = {}
            for group, rule in self.rules:
                if kind in (None, rule["type"]):
                    groups.setdefault(group, []).append(rule)
            told = [{"name": n, "interval": self.intervals.get(n, 5), "rules": rules} for n, rules in groups.items()]
            return _data({"groups": told})
        if path == "/api/v1/alertmanagers":
            return _data({"activeAlertmanagers": [{"url": url} for url in self.alertmanagers]})
        if path == "/api/v1/query" and params["query"] == "vector(time())":
            return _data({"result": [{"metric": {}, "value": [0, str(self.now.timestamp())]}]})
        if path == "/api/v1/query" and params["query"].startswith("prometheus_tsdb_wal_writes_failed_total{"):
            return _data({"result": [{"metric": {}, "value": [0, str(self.wal_write_failures)]}]})
        return _no_such_page()

    def _alertmanager(self, path: str) -> httpx.Response:
        if path == "/metrics":
            return httpx.Response(
                200, text=f"# HELP alertmanager_config_hash .\nalertmanager_config_hash {self.alertmanager_hash}\n"
            )
        if path == "/api/v2/alerts":
            return httpx.Response(200, json=[{"labels": {"alertname": name}} for name in self.alerts])
        return _no_such_page()

    def _grafana(self, request: httpx.Request) -> httpx.Response:
        base = httpx.URL(self.settings.published("grafana")).path.rstrip("/")
        path = request.url.path.removeprefix(base)
        if path == "/api/health":
            return httpx.Response(200, json={"database": "ok"}, headers=self.grafana_headers)
        basic = httpx.BasicAuth("admin", self.password)._auth_header
        if request.headers.get("Authorization") != (
            f"Bearer {self.token}" if self.settings.existing_grafana else basic
        ):
            return httpx.Response(401, json={"message": "Invalid username or password"})
        if request.method == "DELETE":
            return self._delete(request.url.path, path)
        if path == "/api/org":
            return httpx.Response(200, json={"id": 1, "name": "Main Org."})
        if path == "/api/access-control/user/permissions":
            return httpx.Response(200, json={action: [""] for action in self.permissions})
        kind, _, uid = path.rpartition("/")
        if kind == "/api/folders" and uid in self.folders:
            return httpx.Response(200, json={"uid": uid})
        if kind == "/api/dashboards/uid" and uid in self.dashboards:
            folder = self.elsewhere.get(uid, "softfactory")
            return httpx.Response(200, json={"dashboard": {"uid": uid}, "meta": {"folderUid": folder}})
        if path == "/api/org/preferences":
            return httpx.Response(200, json={"homeDashboardUID": self.home} if self.home else {})
        if path == "/api/datasources":
            return httpx.Response(200, json=list(self.datasources.values()))
        if path == "/api/search":
            within = request.url.params.get("folderUIDs")
            there = [uid for uid in self.dashboards if within in (None, self.elsewhere.get(uid, "softfactory"))]
            found = [{"uid": uid, "type": "dash-db"} for uid in there]
            if "type" not in request.url.params:
                found += [{"uid": uid, "type": "dash-folder"} for uid in self.subfolders]
            return httpx.Response(200, json=found)
        for uid, source in self.datasources.items():
            # Alertmanager's has no health call: Grafana answers 500 (grafana/grafana#83794).
            if path == f"/api/datasources/uid/{uid}/health":
                return httpx.Response(500 if source["type"] == "alertmanager" else 200, json={"status": "OK"})
            if path == f"/api/datasources/proxy/uid/{uid}/api/v2/status":
                return httpx.Response(200, json={"config": {}})
        return _no_such_page()

    def _delete(self, asked: str, path: str) -> httpx.Response:
        kind, _, uid = path.removeprefix("/api/").rpartition("/")
        if uid not in {"folders": self.folders, "datasources/uid": set(self.datasources)}[kind]:
            return httpx.Response(404, json={"message": "not found"})
        self.removed.append(asked)
        return httpx.Response(200, json={})

    def _engine(self, base_url: str | None = None, **_: Any) -> Any:
        self.hosts.append(base_url)
        return SimpleNamespace(
            ping=self._ping,
            close=lambda: None,
            api=SimpleNamespace(base_url=self.engine_address),
            containers=SimpleNamespace(list=self._list_containers),
            images=SimpleNamespace(get=self._image, get_registry_data=self._registry),
            networks=SimpleNamespace(list=self._list_networks),
            volumes=SimpleNamespace(list=self._list_volumes),
        )

    def _ping(self) -> None:
        if self.engine_error:
            raise self.engine_error

    def _list_containers(self, **options: Any) -> list[Any]:
        self.listings.append(options)
        self._ping()
        if options.get("sparse"):
            return [SimpleNamespace(attrs=_summary(attrs)) for attrs in self.containers.values()]
        return [
            SimpleNamespace(
                attrs=attrs,
                id=attrs.get("Id"),
                name=attrs["Name"].lstrip("/"),
                labels=attrs["Config"].get("Labels", {}),
                stop=partial(self._stop, attrs["Name"].lstrip("/")),
                remove=partial(self._remove, "container", attrs["Name"].lstrip("/")),
            )
            for attrs in self.containers.values()
            if options.get("all") or attrs["State"]["Running"]
        ]

    def _list_networks(self, **options: Any) -> list[Any]:
        self.listings.append(options)
        return [
            SimpleNamespace(id=id_, name=name, remove=partial(self._remove, "network", name))
            for id_, name in self.networks.items()
        ]

    def _stop(self, name: str) -> None:
        if not any(removed.startswith(f"container {name} ") for removed in self.removed):
            self.stopped.append(name)

    def _remove(self, kind: str, name: str, **options: bool) -> None:
        if self.remove_error:
            raise self.remove_error
        told = "".join(f" {option}={value}" for option, value in sorted(options.items()))
        self.removed.append(f"{kind} {name}{told}")

    def _list_volumes(self) -> list[Any]:
        return [SimpleNamespace(name=name, attrs={"Labels": labels}) for name, labels in self.volumes.items()]

    def _image(self, reference: str) -> None:
        if reference in self.missing_images:
            raise docker.errors.ImageNotFound("no such image")

    def _registry(self, reference: str) -> None:
        if self.registry_error:
            raise self.registry_error


@dataclass(frozen=True, kw_only=True)
class Call:
    """One command that was run, its program as its first word, with what it was given on standard input."""

    words: tuple[str, ...]
    stdin: str | None


class FakeCommands:
    """The commands pulumi and docker. `config` and `state` are the stack's, and `calls` what was run.

    `ups` are the exit codes of `pulumi up`, one after the other and then 0; `docker_error` is what docker refuses with.
    """

    def __init__(self) -> None:
        self.config: dict[str, str] = {}
        self.state: list[dict[str, Any]] | None = []
        self.calls: list[Call] = []
        self.ups: list[int] = []
        self.docker_error = ""
        self.absent: set[str] = set()

    def install(self, patch: pytest.MonkeyPatch) -> None:
        patch.setattr(shutil, "which", lambda name: None if name in self.absent else f"/opt/{name}")
        patch.setattr(subprocess, "run", self._run)

    def told(self) -> list[str]:
        """What was run, a line for each: the program and what it was to do."""
        return [" ".join(word for word in call.words if not word.startswith("-")) for call in self.calls]

    def of(self, *words: str) -> list[Call]:
        """The calls that begin so."""
        return [call for call in self.calls if call.words[: len(words)] == words]

    def _run(self, argv: list[str], *, input: str | None = None, **_: object) -> "subprocess.CompletedProcess[str]":
        words = (Path(argv[0]).name, *argv[1:])
        self.calls.append(Call(words=words, stdin=input))
        code, out, error = 0, "", ""
        match words:
            case ("docker", *_):
                code, error = bool(self.docker_error), self.docker_error
            case ("pulumi", "config", "get", name, *_):
                code, out = (0, f"{self.config[name]}\n") if name in self.config else (255, "")
                error = "" if name in self.config else f"error: configuration key '{name}' not found\n"
            case ("pulumi", "config", "set", "--secret", name, *_):
                self.config[name] = input or ""
            case ("pulumi", "stack", "export", *_):
                out = json.dumps({"version": 3, "deployment": {"resources": self.state} if self.state else None})
            case ("pulumi", "up", *_):
                code = self.ups.pop(0) if self.ups else 0
        return subprocess.CompletedProcess(argv, code, stdout=out, stderr=error)


def main(patch: pytest.MonkeyPatch, *arguments: str) -> int:
    """Runs `python -m ops ARGUMENTS` in this process; its exit code. An error that is not told raises here."""
    patch.setattr(sys, "argv", ["ops", *arguments])
    with pytest.raises(SystemExit) as ended:
        runpy.run_path(str(MAIN), run_name="__main__")
    return int(ended.value.code or 0)


def _summary(attrs: dict[str, Any]) -> dict[str, Any]:
    """A container as the engine's listing has it, which asks none of them."""
    state, health = attrs["State"], attrs["State"].get("Health", {}).get("Status", "")
    return {
        "Names": [attrs["Name"]],
        "Labels": attrs["Config"]["Labels"],
        "State": _state(state),
        "Status": f"Up 5 minutes ({'health: starting' if health == 'starting' else health})" if health else "Up",
        "Ports": [
            {
                # A port that is exposed and not published has neither of these.
                **({"IP": binding["HostIp"], "PublicPort": int(binding["HostPort"])} if binding else {}),
                "PrivatePort": int(inner.split("/")[0]),
                "Type": inner.split("/")[1],
            }
            for inner, bindings in attrs["NetworkSettings"]["Ports"].items()
            if state["Running"]
            for binding in bindings or (None,)
        ]
        or None,  # as older engines have it of a container that is stopped
    }


def _state(state: dict[str, Any]) -> str:
    for word in ("Paused", "Restarting", "Running"):
        if state.get(word):
            return word.lower()
    return "exited"


def _published(port: int | None) -> dict[str, Any]:
    return {"80/tcp": [{"HostIp": "127.0.0.1", "HostPort": str(port)}]} if port else {}


def _data(value: Any) -> httpx.Response:
    return httpx.Response(200, json={"status": "success", "data": value})


def _no_such_page() -> httpx.Response:
    return httpx.Response(404, text="404 page not found")


def nanoseconds(time: datetime) -> str:
    """As Go writes a time."""
    return time.strftime("%Y-%m-%dT%H:%M:%S.%f") + "123Z"
