"""One real stack for the whole end-to-end test: a copy of the project, a prefix, ports and a state of its own."""

import json
import os
import secrets
import shutil
import subprocess
import time
from collections.abc import Callable, Iterator, Mapping
from contextlib import contextmanager
from dataclasses import dataclass, field, replace
from pathlib import Path
from typing import Any

import docker
import httpx
import pytest
import yaml

from clients import probes
from clients.probes import GrafanaAuth
from desired_state import load_desired_state
from ops.health import EXPECTED_ALERTS
from rules import ALERTS
from rules.model import CHECKLIST_GROUP, Alert
from stacks.types import seconds

ROOT = Path(__file__).parents[2]
NAME = "e2e"
# Several runs may share an engine, each with names and ports of its own: those of pytest-xdist, or by E2E_SLOT=1, 2...
SLOT = os.environ.get("E2E_SLOT") or os.environ.get("PYTEST_XDIST_WORKER", "").removeprefix("gw")
# What needs minutes runs in a small form, and in full by `make e2e FULL=1`.
FULL = bool(os.environ.get("FULL"))
PREFIX = f"softfactory-e2e{SLOT}"
NEIGHBOUR = f"softfactory-neighbour{SLOT}"  # a second stack on the same engine
PORTS = {
    part: port + 200 * int(SLOT or 0)
    for part, port in {
        "prometheus": 29090,
        "alertmanager": 29093,
        "grafana": 23000,
        "api": 28000,
        "inbox": 28025,
    }.items()
}


def _outlives(alert: Alert) -> bool:
    """Whether an alert stays on for minutes after its cause: it looks back more than five, or counts over all of them.
    The checklist's are tested as they are.
    """
    signal = alert.when.signal
    counts = signal.panel_window == signal.window and alert.group != CHECKLIST_GROUP
    return counts or seconds(signal.window) > 300


# Hold times, which show in the rendered rules. RedisDown is told soon. Evaluated, but never told, is what outlives its
# cause, as what one test provokes must not meet the next, and what is about the test's own machine. Of Grafana so few
# requests are made here that one refused answer is a large share of them for minutes.
NEVER_TOLD = [
    alert.name
    for alert in ALERTS
    if _outlives(alert)
    or alert.service == "node"
    or alert.name in ("ElasticsearchDiskOutOfSpace", "GrafanaRequestsFailing")
]
HOLDS = {"RedisDown": {"for": "10s"}, **{name: {"for": "1d"} for name in NEVER_TOLD}}
# What the make that runs the tests, and its user, would otherwise tell the copy.
NOT_INHERITED = ("PULUMI_CONFIG_PASSPHRASE_FILE", "STACK", "MAKEFLAGS", "MAKELEVEL", "MFLAGS")
SECRETS = load_desired_state("dev").secret_names


@dataclass
class Stack:
    """A deployed copy of the project. Every method talks to this machine only."""

    folder: Path
    environment: dict[str, str]
    passwords: dict[str, str]
    engine: docker.DockerClient
    http: httpx.Client
    said: list[str] = field(default_factory=list)  # all that the commands printed, but not what was asked for by name
    name: str = NAME
    prefix: str = PREFIX
    ports: Mapping[str, int] = field(default_factory=lambda: PORTS)

    def url(self, part: str) -> str:
        return f"http://127.0.0.1:{self.ports[part]}"

    @property
    def grafana_auth(self) -> GrafanaAuth:
        return GrafanaAuth(f"admin:{self.passwords['grafana_admin_password']}")

    def pulumi(self, *arguments: str, check: bool = True, stdin: str | None = None) -> subprocess.CompletedProcess[str]:
        """Runs pulumi in the copy, for at most ten minutes; its whole output is in the failure."""
        done = subprocess.run(
            ["pulumi", *arguments, "--non-interactive"],
            cwd=self.folder,
            env=self.environment,
            input=stdin,
            capture_output=True,
            text=True,
            timeout=600,
            check=False,
        )
        if arguments[:2] != ("config", "get"):
            self.said.append(done.stdout + done.stderr)
        if check and done.returncode:
            pytest.fail(f"pulumi {' '.join(arguments)}: exit code {done.returncode}\n{done.stdout}\n{done.stderr}")
        return done

    def up(self, check: bool = True) -> subprocess.CompletedProcess[str]:
        return self.pulumi("up", "--stack", self.name, "--yes", "--skip-preview", check=check)

    def ops(self, *arguments: str, stdin: str | None = None) -> subprocess.CompletedProcess[str]:
        done = subprocess.run(
            ["python", "-m", "ops", *arguments],
            cwd=self.folder,
            env=self.environment,
            input=stdin,
            capture_output=True,
            text=True,
            timeout=300,
            check=False,
        )
        self.said.append(done.stdout + done.stderr)
        return done

    def assert_healthy(self) -> None:
        """Fails with the report's own lines."""
        report = self.ops("health", "--stack", self.name)
        if report.returncode:
            pytest.fail(f"{report.stdout}\n{report.stderr}")

    def calm(self) -> None:
        """Sends good requests until no alert is pending, firing or told: the ratios look back five minutes, and what
        one test provoked must not meet the next one.
        """

        def loud() -> set[str]:
            for article in range(50):
                self.http.get(f"{self.url('api')}/api/articles/{article % 10 + 1}")
            loaded = probes.rules(self.http, self.url("prometheus"))
            pending = {rule.name for rule in loaded if rule.state not in ("", "inactive")} - set(NEVER_TOLD)
            return (pending | set(probes.alerts(self.http, self.url("alertmanager")))) - EXPECTED_ALERTS

        deadline = time.monotonic() + 180
        while (names := loud()) and time.monotonic() < deadline:
            time.sleep(0.5)
        assert not names, "still pending, firing or told"

    def becomes_healthy(self, seconds: float = 60) -> None:
        """Waits until all is well; fails with the last report's own lines."""
        deadline = time.monotonic() + seconds
        while (report := self.ops("health", "--stack", self.name)).returncode and time.monotonic() < deadline:
            time.sleep(0.5)
        if report.returncode:
            pytest.fail(f"{report.stdout}\n{report.stderr}")

    def container(self, service: str) -> Any:
        return self.engine.containers.get(f"{self.prefix}-{service}")

    def is_healthy(self, service: str) -> bool:
        """Whether the engine calls the service's container so."""
        return bool(self.container(service).attrs["State"]["Health"]["Status"] == "healthy")

    def inject(self, **faults: Any) -> None:
        """Sets the faults of the demo's API: how it fails, slows down or loses its cache."""
        answer = self.http.post(self.url("api") + "/demo/faults", json=faults)
        assert answer.is_success, answer.text

    def told(self, alert: str) -> list[str]:
        """The notifications that the webhook got of an alert: firing or resolved, in their order."""
        messages = self.http.get(self.url("inbox") + "/api/messages").json()["notifications"]
        return [
            told["status"]
            for message in reversed(messages)
            for told in message["body"]["alerts"]
            if told["labels"]["alertname"] == alert
        ]

    def identity(self, service: str) -> tuple[str, str]:
        """A container's id and start time: the same as before means that it was neither replaced nor restarted."""
        container = self.container(service)
        return container.id, container.attrs["State"]["StartedAt"]

    def change(self, **values: Any) -> None:
        """Changes top-level settings."""
        self.write_settings({**self.settings(), **values})

    def tune(self, **tuning: dict[str, Any]) -> None:
        """Changes what the settings say of alerts, by name."""
        self.change(alert_overrides={**self.settings()["alert_overrides"], **tuning})

    @contextmanager
    def changed(self, path: str, old: str, new: str) -> Iterator[None]:
        """Replaces text in a file of the copy, for a while."""
        file = self.folder / path
        text = file.read_text(encoding="utf-8")
        assert old in text, f"{path} has no {old!r}"
        file.write_text(text.replace(old, new), encoding="utf-8")
        try:
            yield
        finally:
            file.write_text(text, encoding="utf-8")

    def release(self) -> str:
        return probes.prometheus_revision(self.http, self.url("prometheus"), "monitoring_config_info")

    @property
    def file(self) -> Path:
        return self.folder / "stacks" / f"{self.name}.yaml"

    def settings(self) -> dict[str, Any]:
        loaded: dict[str, Any] = yaml.safe_load(self.file.read_text(encoding="utf-8"))
        return loaded

    def write_settings(self, values: dict[str, Any]) -> None:
        self.file.write_text(yaml.safe_dump(values), encoding="utf-8")

    @contextmanager
    def neighbour(self, values: dict[str, Any]) -> Iterator["Stack"]:
        """A second stack on the same engine, for a while; not up yet. Its images and secrets are those of the first."""
        ports = {part: port + 100 for part, port in self.ports.items()}
        other = replace(self, name="neighbour", prefix=NEIGHBOUR, ports=ports)
        other.write_settings({**values, "name_prefix": NEIGHBOUR, "ports": ports})
        shutil.copy2(self.file.with_name(f"Pulumi.{self.name}.yaml"), self.file.with_name(f"Pulumi.{other.name}.yaml"))
        self.pulumi("stack", "init", other.name)
        try:
            yield other
        finally:
            self.pulumi("destroy", "--stack", other.name, "--yes", "--skip-preview")
            self.pulumi("stack", "rm", other.name, "--yes")
            other.file.unlink()

    def query(self, expr: str) -> float:
        """The sum of an instant vector; 0 where it is empty."""
        return sum(float(row["value"][1]) for row in probes.query(self.http, self.url("prometheus"), expr))


def client(timeout: float = 30) -> httpx.Client:
    """Asks each question over a connection of its own: the server may close one that is kept open just as the next
    question is on its way, and nothing then tells whether that was answered.
    """
    return httpx.Client(timeout=timeout, trust_env=False, limits=httpx.Limits(max_keepalive_connections=0))


def eventually(condition: Callable[[], Any], what: str, seconds: float = 120) -> Any:
    """The condition's first true value; fails, saying what was waited for, when there is none in time."""
    deadline = time.monotonic() + seconds
    while True:
        value = condition()
        if value:
            return value
        if time.monotonic() > deadline:
            pytest.fail(f"not within {seconds:g} s: {what}")
        time.sleep(0.5)


# A fault, the seconds until all was well again, and the samples lost; those of the outage itself do not count.
Survived = Callable[[str, float, int], None]
# First the stack as it came up, and before much traffic went over it, or much trouble; last what takes it down.
ORDER = {"test_deployment": -3, "test_panels": -2, "test_live_alerts": -1, "test_removal": 1}


def pytest_collection_modifyitems(items: list[pytest.Item]) -> None:
    items.sort(key=lambda item: ORDER.get(item.path.stem, 0))


@pytest.fixture
def survived(record_property: Callable[[str, object], None]) -> Survived:
    """Takes what a fault cost, which the end of the run tells."""
    return lambda fault, seconds, lost: record_property(fault, f"well after {seconds:.1f} s, samples lost: {lost}")


@pytest.fixture(scope="session")
def engine() -> Iterator[docker.DockerClient]:
    try:
        client = docker.from_env(timeout=120)
        client.ping()
    except docker.errors.DockerException as error:
        pytest.fail(f"the end-to-end test needs a Docker engine; `make e2e` sets one up where it can: {error}")
    yield client
    client.close()


@pytest.fixture(scope="session")
def project(engine: docker.DockerClient, tmp_path_factory: pytest.TempPathFactory) -> Iterator[Stack]:
    """The stack `e2e`, not up. Whatever an aborted run left of it on the engine is cleared first."""
    clear(engine)
    folder = tmp_path_factory.mktemp("project") / "softfactory"
    copy_project(folder)
    state = tmp_path_factory.mktemp("state")
    environment: dict[str, str] = {
        **{key: value for key, value in os.environ.items() if key not in NOT_INHERITED},
        "PULUMI_BACKEND_URL": f"file://{state}",
        "PULUMI_CONFIG_PASSPHRASE": secrets.token_urlsafe(16),
    }
    passwords = {name: secrets.token_urlsafe(24) for name in SECRETS}
    with client() as http:
        made = Stack(folder=folder, environment=environment, passwords=passwords, engine=engine, http=http)
        values = yaml.safe_load((folder / "stacks" / "dev.yaml").read_text(encoding="utf-8"))
        # Critical alerts, the end of an outage above all, notify soon: usually their group is looked at once a minute.
        routes = [
            {"match": {"severity": "critical"}, "receivers": ["inbox"], "group_interval": "5s"},
            {"match": {"severity": "warning"}, "receivers": ["inbox"]},
        ]
        notifications = {**values["notifications"], "routes": routes}
        made.write_settings(
            {**values, "name_prefix": PREFIX, "ports": PORTS, "alert_overrides": HOLDS, "notifications": notifications}
        )
        made.pulumi("stack", "init", NAME)
        if images := image_overrides():
            made.pulumi("config", "set", "images", json.dumps(images), "--stack", NAME)
        for name, password in passwords.items():
            made.pulumi("config", "set", "--secret", name, "--stack", NAME, stdin=password)
        try:
            yield made
        finally:
            clear(engine)


@pytest.fixture(scope="session")
def stack(project: Stack) -> Iterator[Stack]:
    """The stack `e2e`, up and verified."""
    try:
        project.up()
        yield project
    finally:
        project.pulumi("destroy", "--stack", NAME, "--yes", "--skip-preview", check=False)


def image_overrides() -> dict[str, str]:
    """The images that set-up made instead of the official ones, key to reference."""
    file = ROOT / ".local" / "images.json"
    made: dict[str, str] = json.loads(file.read_text(encoding="utf-8")) if file.is_file() else {}
    return made


def copy_project(folder: Path) -> None:
    """What a clone of the checkout would hold, changes not committed yet included, with the checkout's .venv. supply/
    is left out: the product does not know where its tools come from.
    """
    listed = subprocess.run(
        ["git", "ls-files", "-co", "--exclude-standard", "-z"], cwd=ROOT, capture_output=True, text=True, check=True
    )
    for path in filter(None, listed.stdout.split("\0")):
        if (ROOT / path).is_file() and not path.startswith("supply/"):
            (folder / path).parent.mkdir(parents=True, exist_ok=True)
            shutil.copy2(ROOT / path, folder / path)
    (folder / ".venv").symlink_to(ROOT / ".venv")


def leftovers(engine: docker.DockerClient, prefix: str = PREFIX) -> list[str]:
    """Everything on the engine that carries a test stack's label or name."""
    mine: dict[str, str | list[str] | bool] = {"label": f"softfactory.prefix={prefix}"}
    found = [f"container {item.name}" for item in engine.containers.list(all=True, filters=mine)]
    found += [f"volume {item.name}" for item in engine.volumes.list(filters=mine)]
    found += [f"network {item.name}" for item in engine.networks.list(filters=mine)]
    return found + [
        f"image {tag}" for item in engine.images.list() for tag in item.tags if tag.startswith(f"{prefix}-")
    ]


def clear(engine: docker.DockerClient) -> None:
    """Takes away whatever an aborted run left of the test stacks."""
    for prefix in (PREFIX, NEIGHBOUR):
        mine: dict[str, str | list[str] | bool] = {"label": f"softfactory.prefix={prefix}"}
        for container in engine.containers.list(all=True, filters=mine):
            container.remove(force=True, v=True)
        for volume in engine.volumes.list(filters=mine):
            volume.remove()
        for network in engine.networks.list(filters=mine):
            network.remove()
        for image in engine.images.list():
            for tag in image.tags:
                if tag.startswith(f"{prefix}-demo:"):
                    engine.images.remove(tag, force=True)
