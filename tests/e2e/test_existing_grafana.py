"""A stack that uses a Grafana that is there already: it comes and goes, and what else is in that Grafana stays.

Grafana is asked through a proxy, which answers in its place where a test says so.
"""

import json
import re
import secrets
import threading
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass, field
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from typing import Any

import httpx
import pytest

from clients.probes import GrafanaAuth
from stacks.settings import load_settings
from tests.e2e.conftest import PORTS, PREFIX, Stack, eventually, image_overrides

pytestmark = pytest.mark.engine

PORT = PORTS["grafana"] + 50
TOKEN = "grafana_token"
THEIRS = {"uid": "theirs", "title": "Their own dashboard", "panels": []}
THEIR_SOURCE = {
    "uid": "theirs",
    "name": "Theirs",
    "type": "prometheus",
    "access": "proxy",
    "url": "http://prometheus.invalid:9090",
    "isDefault": True,
}
FOLDER = "/api/folders/softfactory"


@dataclass
class Theirs:
    """Somebody else's Grafana, with a dashboard and a data source of its own.

    `faults` maps `METHOD /path`, a regular expression, to the status that the proxy before it answers.
    """

    admin: httpx.Client
    token: str
    url: str = ""  # the proxy's
    faults: dict[str, int] = field(default_factory=dict)
    asked: list[str] = field(default_factory=list)

    def get(self, path: str) -> Any:
        """The JSON of an answer; None for 404."""
        answer = self.admin.get(path)
        return None if answer.status_code == 404 else answer.raise_for_status().json()

    def ours(self) -> set[str]:
        """What there is of the stack's."""
        found = {f"dashboard {page['uid']}" for page in self.get("/api/search?type=dash-db")}
        found |= {f"data source {source['uid']}" for source in self.get("/api/datasources")}
        found |= {f"folder {folder['uid']}" for folder in self.get("/api/folders")}
        return found - {"dashboard theirs", "data source theirs"}

    def own(self) -> Any:
        """What is its own, and must stay as it is."""
        keys = ("homeDashboardUID", "theme", "timezone", "weekStart")
        preferences = self.get("/api/org/preferences")
        page = self.get("/api/dashboards/uid/theirs")
        default = [source["uid"] for source in self.get("/api/datasources") if source["isDefault"]]
        return page["dashboard"], page["meta"]["updated"], default, {key: preferences.get(key) for key in keys}


PAGES = ("alertmanager", "node", "overview", "prometheus")  # what a stack that watches itself has
ALL_OF_OURS = {
    "folder softfactory",
    "data source prometheus",
    "data source alertmanager",
    *(f"dashboard {uid}" for uid in PAGES),
}


def _handler(theirs: Theirs) -> type[BaseHTTPRequestHandler]:
    upstream = httpx.Client(base_url=f"http://127.0.0.1:{PORT}", timeout=30, trust_env=False)

    class Proxy(BaseHTTPRequestHandler):
        def _pass_on(self) -> None:
            body = self.rfile.read(int(self.headers.get("Content-Length", 0)))
            call = f"{self.command} {self.path.partition('?')[0]}"
            theirs.asked.append(call)
            status = next((code for pattern, code in theirs.faults.items() if re.fullmatch(pattern, call)), None)
            if status is None:
                headers = {key: value for key, value in self.headers.items() if key != "Host"}
                answer = upstream.request(self.command, self.path, content=body, headers=headers)
            else:
                answer = httpx.Response(status, json={"message": "planted by the test", "status": "name-exists"})
            self.send_response(answer.status_code)
            self.send_header("Content-Type", answer.headers.get("Content-Type", "text/plain"))
            self.send_header("Content-Length", str(len(answer.content)))
            self.end_headers()
            self.wfile.write(answer.content)

        do_GET = do_POST = do_PUT = do_PATCH = do_DELETE = _pass_on  # noqa: N815  # the base class' names

        def log_message(self, format: str, *args: Any) -> None:
            """Say nothing."""

    return Proxy


@contextmanager
def _container(stack: Stack, password: str) -> Iterator[None]:
    """Their Grafana, of the image that the stack would run; on the host's network, where the stack is published."""
    name = f"{PREFIX}-theirs"
    for old in stack.engine.containers.list(all=True, filters={"name": f"^{name}$"}):
        old.remove(force=True, v=True)
    settings = load_settings(stack.name, image_overrides(), stack.folder / "stacks")
    made = stack.engine.containers.run(
        settings.images.reference("grafana"),
        name=name,
        labels={"softfactory.prefix": PREFIX},  # what an aborted run leaves is cleared by it
        environment={
            "GF_SECURITY_ADMIN_PASSWORD": password,
            "GF_SERVER_HTTP_ADDR": "127.0.0.1",
            "GF_SERVER_HTTP_PORT": str(PORT),
            "GF_PLUGINS_PREINSTALL_DISABLED": "true",
        },
        network_mode="host",
        detach=True,
    )
    try:
        yield
    finally:
        made.remove(force=True, v=True)


@pytest.fixture(scope="module")
def theirs(project: Stack) -> Iterator[Theirs]:
    password = secrets.token_urlsafe(16)
    login = GrafanaAuth(f"admin:{password}")
    with (
        _container(project, password),
        httpx.Client(base_url=f"http://127.0.0.1:{PORT}", auth=login, timeout=30, trust_env=False) as admin,
    ):
        eventually(lambda: _answers(admin), "their Grafana answers", seconds=120)
        account = admin.post("/api/serviceaccounts", json={"name": "softfactory", "role": "Admin"}).json()["id"]
        token = admin.post(f"/api/serviceaccounts/{account}/tokens", json={"name": "softfactory"}).json()["key"]
        admin.post("/api/dashboards/db", json={"dashboard": THEIRS}).raise_for_status()
        admin.post("/api/datasources", json=THEIR_SOURCE).raise_for_status()
        admin.put("/api/org/preferences", json={"homeDashboardUID": "theirs", "timezone": "utc"}).raise_for_status()
        made = Theirs(admin=admin, token=token)
        proxy = ThreadingHTTPServer(("127.0.0.1", 0), _handler(made))
        threading.Thread(target=proxy.serve_forever, daemon=True).start()
        made.url = f"http://127.0.0.1:{proxy.server_address[1]}"
        yield made
        proxy.shutdown()
        proxy.server_close()


def _answers(client: httpx.Client) -> bool:
    try:
        return client.get("/api/health").is_success
    except httpx.HTTPError:
        return False


@pytest.fixture(scope="module")
def small(project: Stack, theirs: Theirs) -> Iterator[Stack]:
    """A stack that watches nothing but itself, with their Grafana; not up yet."""
    settings = project.settings()
    values = {key: settings[key] for key in ("environment", "volume_policy", "scrape_interval", "notifications")}
    with project.neighbour({**values, "existing_grafana": {"url": theirs.url}}) as made:
        set_token(made, theirs.token)
        yield made
        theirs.faults.clear()
        set_token(made, theirs.token)


def set_token(stack: Stack, token: str) -> None:
    stack.pulumi("config", "set", "--secret", TOKEN, "--stack", stack.name, stdin=token)


def down(stack: Stack, check: bool = True) -> Any:
    return stack.pulumi("destroy", "--stack", stack.name, "--yes", "--skip-preview", check=check)


def running(stack: Stack) -> list[str]:
    mine: dict[str, str | list[str] | bool] = {"label": f"softfactory.prefix={stack.prefix}"}
    return [str(item.name) for item in stack.engine.containers.list(all=True, filters=mine)]


def refused(stack: Stack, *told: str) -> None:
    """An update ends before anything is there, and says why."""
    done = stack.up(check=False)
    assert done.returncode != 0 and "nothing was changed" in done.stdout, done.stdout
    for words in told:
        assert words in done.stdout, done.stdout
    assert running(stack) == []


def test_what_is_there_already_is_not_overwritten(small: Stack, theirs: Theirs) -> None:
    before = theirs.own()
    theirs.admin.post("/api/dashboards/db", json={"dashboard": {**THEIRS, "uid": "node", "title": "Their node"}})
    theirs.admin.post("/api/datasources", json={**THEIR_SOURCE, "uid": "x", "name": "Prometheus", "isDefault": False})
    theirs.admin.post("/api/datasources", json={**THEIR_SOURCE, "uid": "alertmanager", "name": "A", "isDefault": False})
    refused(
        small,
        "would overwrite the dashboard node, which lies outside of any folder",
        "has a data source Prometheus already (uid x); rename it there",
        "has a data source with the uid alertmanager already, A",
    )
    assert not [call for call in theirs.asked if not call.startswith("GET ")]
    for path in ("dashboards/uid/node", "datasources/uid/x", "datasources/uid/alertmanager"):
        theirs.admin.delete(f"/api/{path}").raise_for_status()
    assert theirs.own() == before


def test_a_bad_answer_is_named_before_anything_is_touched(small: Stack, theirs: Theirs) -> None:
    theirs.asked.clear()
    theirs.faults.update({"GET /api/org": 500})
    refused(small, "Grafana answers 500 at")
    theirs.faults.clear()
    assert theirs.asked == ["GET /api/org"], "it is asked once"


def test_tokens_that_do_not_suffice_are_named(small: Stack, theirs: Theirs) -> None:
    account = theirs.admin.post("/api/serviceaccounts", json={"name": "low", "role": "Editor"}).json()["id"]
    token = theirs.admin.post(f"/api/serviceaccounts/{account}/tokens", json={"name": "low"}).json()["key"]
    set_token(small, token)
    refused(small, "does not allow datasources:create to the service account of the token; give it the role Admin")
    set_token(small, "glsa_wrong")
    refused(small, "refuses the token (401)")
    set_token(small, theirs.token)
    theirs.admin.delete(f"/api/serviceaccounts/{account}")


def test_a_conflict_and_an_error_half_way_name_the_object_and_the_next_update_repairs_it(
    small: Stack, theirs: Theirs
) -> None:
    before = theirs.own()
    theirs.faults.update({"POST /api/dashboards/db": 412, "POST /api/datasources": 500})
    failed = small.up(check=False)
    theirs.faults.clear()
    assert failed.returncode != 0
    said = failed.stdout
    for name, status in [("dashboard-node", 412), ("datasource-prometheus", 500)]:
        assert name in said and f"[{status}]" in said and "planted by the test" in said, said
    assert theirs.ours() == {"folder softfactory"}
    up = small.up()
    assert f"2 data sources, {len(PAGES)} dashboards: live" in up.stdout
    assert theirs.ours() == ALL_OF_OURS
    assert theirs.own() == before


def test_it_is_up_verified_and_without_a_difference(small: Stack, theirs: Theirs) -> None:
    assert not [name for name in running(small) if "grafana" in name]
    for uid in PAGES:
        assert theirs.get(f"/api/dashboards/uid/{uid}")["meta"]["folderUid"] == "softfactory"
    assert {source["url"] for source in theirs.get("/api/datasources") if source["uid"] != "theirs"} == {
        small.url("prometheus"),
        small.url("alertmanager"),
    }
    small.becomes_healthy()
    small.pulumi("preview", "--stack", small.name, "--expect-no-changes")
    state = json.loads(small.pulumi("stack", "export", "--stack", small.name).stdout)["deployment"]["resources"]
    ids = {resource["id"] for resource in state if resource["type"].startswith("grafana:")}
    assert {"0:softfactory", "0:node", "1:prometheus"} <= ids
    shown = small.ops("urls", "--stack", small.name).stdout
    assert theirs.url in shown and "password" not in shown


def test_what_is_changed_by_hand_is_seen_and_put_right(small: Stack, theirs: Theirs) -> None:
    model = theirs.get("/api/dashboards/uid/node")["dashboard"]
    by_hand = {"dashboard": {**model, "title": "By hand"}, "folderUid": "softfactory", "overwrite": True}
    theirs.admin.post("/api/dashboards/db", json=by_hand).raise_for_status()
    theirs.admin.delete("/api/datasources/uid/alertmanager").raise_for_status()
    report = small.ops("health", "--stack", small.name)
    assert report.returncode == 1 and "data source alertmanager: Grafana does not have it" in report.stdout
    small.pulumi("refresh", "--stack", small.name, "--yes", "--skip-preview")
    small.up()
    assert theirs.get("/api/dashboards/uid/node")["dashboard"]["title"] == model["title"]
    assert theirs.ours() == ALL_OF_OURS


def test_a_folder_that_is_deleted_by_hand_comes_back_with_what_was_in_it(small: Stack, theirs: Theirs) -> None:
    theirs.admin.delete(f"{FOLDER}?forceDeleteRules=true").raise_for_status()
    small.pulumi("up", "--refresh", "--stack", small.name, "--yes", "--skip-preview")
    assert theirs.ours() == ALL_OF_OURS


def test_a_lost_state_is_recovered_and_takes_nothing_of_theirs(small: Stack, theirs: Theirs) -> None:
    before = theirs.own()
    exported = json.loads(small.pulumi("stack", "export", "--stack", small.name).stdout)
    resources = exported["deployment"]["resources"]
    exported["deployment"]["resources"] = [r for r in resources if not r["type"].startswith("grafana:")]
    small.pulumi("stack", "import", "--stack", small.name, stdin=json.dumps(exported))
    done = small.ops("recover", "--stack", small.name, stdin="y\n")  # a demo alone is not asked about
    assert done.returncode == 0, done.stdout + done.stderr
    assert f"removed, it comes back: {FOLDER} of Grafana" in done.stdout
    assert theirs.ours() == ALL_OF_OURS
    assert theirs.own() == before


def test_a_stack_changes_to_a_grafana_of_its_own_and_back(small: Stack, theirs: Theirs) -> None:
    before = theirs.own()
    values = small.settings()
    small.write_settings({key: value for key, value in values.items() if key != "existing_grafana"})
    small.up()
    assert f"{small.prefix}-grafana" in running(small)
    assert theirs.ours() == set()
    small.becomes_healthy()
    small.write_settings(values)
    small.up()
    assert f"{small.prefix}-grafana" not in running(small)
    assert theirs.ours() == ALL_OF_OURS
    small.pulumi("preview", "--stack", small.name, "--expect-no-changes")
    assert theirs.own() == before


def test_down_leaves_what_is_theirs_and_nothing_of_ours(small: Stack, theirs: Theirs) -> None:
    before = theirs.own()
    inside = {"dashboard": {**THEIRS, "uid": "inside", "title": "Theirs, in our folder"}, "folderUid": "softfactory"}
    theirs.admin.post("/api/dashboards/db", json=inside).raise_for_status()
    failed = down(small, check=False)
    assert failed.returncode != 0 and "Theirs, in our folder" in failed.stdout
    assert theirs.get("/api/dashboards/uid/inside")
    theirs.admin.delete("/api/dashboards/uid/inside").raise_for_status()
    down(small)
    assert theirs.ours() == set()
    assert theirs.own() == before
    assert running(small) == []
