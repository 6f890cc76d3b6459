"""Grafana's dashboards and data sources are as declared: whatever changes them, in Grafana or in the code."""

import json
from contextlib import ExitStack
from typing import Any

import httpx
import pytest

from desired_state import load_desired_state
from tests.e2e.conftest import NAME, Stack
from tests.e2e.rejected_update import assert_refused, nothing_changes

pytestmark = pytest.mark.engine

PAGE = "    redis,\n"  # in PAGES of dashboards/__init__.py
TITLES: dict[str, str] = {uid: json.loads(text)["title"] for uid, text in load_desired_state("dev").dashboards.items()}
SOURCE = "http://prometheus:9090"


def grafana(stack: Stack, method: str, path: str, **more: Any) -> Any:
    """Grafana's answer to the administrator."""
    answer = stack.http.request(method, f"{stack.url('grafana')}/api/{path}", auth=stack.grafana_auth, **more)
    assert answer.is_success, answer.text
    return answer.json()


def titles(stack: Stack) -> dict[str, str]:
    """The dashboards in the folder, uid to title."""
    return {page["uid"]: page["title"] for page in grafana(stack, "GET", "search?type=dash-db&folderUIDs=softfactory")}


def model(stack: Stack, uid: str) -> dict[str, Any]:
    found: dict[str, Any] = grafana(stack, "GET", f"dashboards/uid/{uid}")["dashboard"]
    return found


def models(stack: Stack) -> dict[str, dict[str, Any]]:
    """Every dashboard of the folder as Grafana keeps it."""
    return {uid: model(stack, uid) for uid in titles(stack)}


def numberless(found: dict[str, Any]) -> dict[str, Any]:
    """A model without what Grafana numbers; the ids of panels too, which Pulumi's state leaves out."""
    rest = {key: value for key, value in found.items() if key not in ("id", "version")}
    rest["panels"] = [{key: value for key, value in panel.items() if key != "id"} for panel in rest["panels"]]
    return rest


def links_to(stack: Stack, uid: str) -> set[str]:
    """The dashboards with a link to this one."""
    return {other for other, there in models(stack).items() if f'"/d/{uid}?' in json.dumps(there)}


def linked_from_alerts(stack: Stack, service: str) -> set[str]:
    """The addresses to which the alerts of a service lead, without their parameters."""
    groups = stack.http.get(stack.url("prometheus") + "/api/v1/rules?type=alert").json()["data"]["groups"]
    return {
        rule["annotations"]["dashboard_url"].partition("?")[0]
        for group in groups
        for rule in group["rules"]
        if rule["labels"].get("service") == service
    }


def assert_as_declared(stack: Stack) -> None:
    desired = load_desired_state(NAME, folder=stack.folder / "stacks").dashboards
    there = models(stack)
    assert there.keys() == desired.keys()
    for uid, text in desired.items():
        assert numberless(there[uid]) == numberless(json.loads(text)), uid
    assert grafana(stack, "GET", "datasources/uid/prometheus")["url"] == SOURCE
    stack.pulumi("preview", "--stack", NAME, "--expect-no-changes")


def test_after_login_all_dashboards_are_in_their_folder(stack: Stack) -> None:
    login = {"user": stack.grafana_auth.user, "password": stack.passwords["grafana_admin_password"]}
    with httpx.Client(base_url=stack.url("grafana"), timeout=10, trust_env=False) as browser:
        browser.post("/login", json=login).raise_for_status()
        found = browser.get("/api/search", params={"type": "dash-db"}).raise_for_status().json()
    in_folder = {page["uid"]: page["title"] for page in found if page["folderTitle"] == "SoftFactory"}
    assert in_folder == TITLES
    assert len(TITLES) == 8
    assert_as_declared(stack)


def test_what_changes_in_grafana_or_in_the_code_is_put_right_by_one_update(stack: Stack) -> None:
    """A refresh sees what was done by hand. The update puts that right and brings what the code says by now: a
    dashboard is taken out, the links to it with it, and another has a new title and keeps the links to it.
    """
    own = stack.url("grafana") + "/d/"
    assert links_to(stack, "redis") == links_to(stack, "elasticsearch") == {"overview"}
    assert linked_from_alerts(stack, "redis") == {f"{own}redis"}
    before = models(stack)

    changed = {**model(stack, "alertmanager"), "title": "By hand", "panels": []}
    grafana(stack, "POST", "dashboards/db", json={"dashboard": changed, "folderUid": "softfactory", "overwrite": True})
    grafana(stack, "POST", "dashboards/db", json={"dashboard": model(stack, "node"), "overwrite": True})  # in no folder
    grafana(stack, "DELETE", "dashboards/uid/postgres")
    source = grafana(stack, "GET", "datasources/uid/prometheus")
    grafana(stack, "PUT", "datasources/uid/prometheus", json={**source, "url": "http://localhost:9090"})
    assert titles(stack).keys() == TITLES.keys() - {"node", "postgres"}

    seen = stack.pulumi("refresh", "--stack", NAME, "--yes", "--skip-preview").stdout
    lines = [" ".join(line.split()) for line in seen.splitlines()]
    for name, what in (
        ("Dashboard dashboard-alertmanager", "updated"),
        ("Dashboard dashboard-node", "updated"),
        ("Dashboard dashboard-postgres", "deleted"),
        ("DataSource datasource-prometheus", "updated"),
    ):
        assert any(f"{name} {what}" in line for line in lines), seen

    with (
        stack.changed("dashboards/__init__.py", PAGE, ""),
        stack.changed("dashboards/elasticsearch.py", '"Elasticsearch",', '"The search",'),
    ):
        verified = stack.up().stdout
        assert f"{len(TITLES) - 1} dashboards: live" in verified
        desired = {uid: title for uid, title in TITLES.items() if uid != "redis"}
        assert titles(stack) == {**desired, "elasticsearch": "The search"}
        assert model(stack, "elasticsearch")["id"] == before["elasticsearch"]["id"]
        assert links_to(stack, "elasticsearch") == {"overview"}
        assert links_to(stack, "redis") == set()
        assert linked_from_alerts(stack, "redis") == {f"{own}overview"}
        for uid in ("alertmanager", "node", "postgres"):
            assert numberless(model(stack, uid)) == numberless(before[uid])
        assert grafana(stack, "GET", "datasources/uid/prometheus")["url"] == SOURCE
    stack.up()
    assert links_to(stack, "redis") == {"overview"}
    assert linked_from_alerts(stack, "redis") == {f"{own}redis"}
    assert_as_declared(stack)


REDIS = "dashboards/redis.py"
# What is changed in the code, and what is said of it.
BAD_PAGES: tuple[tuple[list[tuple[str, str, str]], str], ...] = (
    (
        [("dashboards/overview.py", 'draw.page("Overview", OVERVIEW,', 'draw.page("Overview", "redis",')],
        "dashboards: the uid 'redis' is there 2 times",
    ),
    (
        [
            (REDIS, "import PanelFactory\n", "import PanelFactory, _link\n"),
            (REDIS, "draw.stat(redis.REACHABLE)", 'draw.stat(redis.REACHABLE).data_links([_link("More", "/d/mysql")])'),
        ],
        f"{REDIS}: panel 'Reachable': the link 'More' to /d/mysql leads nowhere; expected one of: alertmanager, api, ",
    ),
    (
        [(REDIS, "draw.stat(redis.CLIENTS)", 'draw.stat(redis.CLIENTS).unit("")')],
        f"{REDIS}: panel 'Connected clients': has no unit",
    ),
)


def test_bad_pages_are_one_message_with_a_line_for_each_and_change_nothing(stack: Stack) -> None:
    before = models(stack)
    with ExitStack() as all_changed, nothing_changes(stack):
        for changes, _ in BAD_PAGES:
            for change in changes:
                all_changed.enter_context(stack.changed(*change))
        refused = stack.up(check=False)
    assert_refused(refused, f"the desired state is invalid, with the settings of stacks/{NAME}.yaml:")
    diagnostics = refused.stdout.partition("Diagnostics:")[2].splitlines()
    problems = [line.strip() for line in diagnostics if line.strip().startswith("dashboards")]
    said = [words for _, words in BAD_PAGES]
    assert len(problems) == len(said)
    for words in said:
        assert any(problem.startswith(words) for problem in problems), problems
    assert models(stack) == before


def test_all_is_well_after_the_changes(stack: Stack) -> None:
    """The data sources too: the report asks Grafana whether it reaches them."""
    stack.assert_healthy()
