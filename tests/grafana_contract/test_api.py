"""Grafana's HTTP API as far as this project, its plugin and its health report call it."""

from __future__ import annotations

import os
import time
from collections.abc import Callable, Iterator
from typing import Any

import httpx
import pytest

from .conftest import Server, dashboard, prometheus_source

Later = Callable[[str], None]
PREFERENCES = "/api/org/preferences"
MAKES = ("folders:create", "dashboards:create", "datasources:create")


def save(grafana: httpx.Client, model: dict[str, Any], **more: Any) -> httpx.Response:
    return grafana.post("/api/dashboards/db", json={"dashboard": model, **more})


def message(answer: httpx.Response, status: int) -> str:
    """The message of an error answer."""
    assert answer.status_code == status, answer.text
    found = answer.json()["message"]
    assert isinstance(found, str)
    assert found
    return found


# Health and credentials


def test_health_needs_no_credentials_and_says_the_version(server: Server) -> None:
    with server.stranger() as client:
        answer = client.get("/api/health")
    assert answer.status_code == 200
    assert answer.json()["database"] == "ok"
    assert answer.json()["version"].split(".")[0].isdigit()
    assert answer.json()["commit"]


def test_a_call_without_credentials_is_401(server: Server) -> None:
    with server.stranger() as client:
        message(client.get("/api/org"), 401)


def test_a_wrong_password_is_401_with_its_message_id(server: Server, uid: str) -> None:
    with server.client(f"nobody-{uid}", "wrong") as client:
        answer = client.get("/api/org")
    assert message(answer, 401) == "Invalid username or password"
    assert answer.json().get("messageId") == "password-auth.failed"


def test_five_wrong_passwords_lock_the_user_out(server: Server, grafana: httpx.Client, uid: str, later: Later) -> None:
    if os.environ.get("GRAFANA_CONTRACT_LOCKOUT") != "1":
        pytest.skip("GRAFANA_CONTRACT_LOCKOUT=1 is not set")
    made = grafana.post("/api/admin/users", json={"login": uid, "password": "right-password"})
    assert made.status_code == 200, made.text
    later(f"/api/admin/users/{made.json()['id']}")
    with server.client(uid, "right-password") as right, server.client(uid, "wrong-password") as wrong:
        for _ in range(4):
            assert wrong.get("/api/user").status_code == 401
        assert right.get("/api/user").status_code == 200
        assert wrong.get("/api/user").status_code == 401
        assert message(right.get("/api/user"), 401) == "Invalid username or password"


def test_the_organization_is_told(grafana: httpx.Client) -> None:
    found = grafana.get("/api/org")
    assert found.status_code == 200
    assert found.json()["id"] == 1
    assert found.json()["name"]


def test_the_organization_header_of_the_plugin_is_accepted(grafana: httpx.Client) -> None:
    assert grafana.get("/api/org", headers={"X-Grafana-Org-Id": "1"}).status_code == 200


def test_the_user_is_told(server: Server, grafana: httpx.Client) -> None:
    found = grafana.get("/api/user").json()
    assert server.user in (found["login"], found["email"])
    assert found["isGrafanaAdmin"] is True


def test_an_administrator_changes_a_users_password(
    server: Server, grafana: httpx.Client, uid: str, later: Later
) -> None:
    made = grafana.post("/api/admin/users", json={"login": uid, "password": "old-password"}).json()["id"]
    later(f"/api/admin/users/{made}")
    changed = grafana.put(f"/api/admin/users/{made}/password", json={"password": "new-password"})
    assert changed.status_code == 200, changed.text
    with server.client(uid, "old-password") as old, server.client(uid, "new-password") as new:
        assert new.get("/api/user").status_code == 200
        assert old.get("/api/user").status_code == 401


def test_a_viewer_may_read_but_not_write(server: Server, grafana: httpx.Client, uid: str, later: Later) -> None:
    made = grafana.post("/api/admin/users", json={"login": uid, "password": "a-password"}).json()["id"]
    later(f"/api/admin/users/{made}")
    later(f"/api/folders/{uid}")
    with server.client(uid, "a-password") as viewer:
        assert viewer.get("/api/search").status_code == 200
        message(viewer.post("/api/folders", json={"uid": uid, "title": "No"}), 403)
        message(viewer.get("/api/admin/stats"), 403)


def test_the_login_form_opens_a_session(server: Server) -> None:
    with server.stranger() as browser:
        answer = browser.post("/login", json={"user": server.user, "password": server.password})
        assert answer.status_code == 200
        assert answer.json()["message"] == "Logged in"
        assert browser.cookies.get("grafana_session")
        assert browser.get("/api/user").status_code == 200


def test_a_service_account_token_is_a_credential(server: Server, grafana: httpx.Client, uid: str, later: Later) -> None:
    account = grafana.post("/api/serviceaccounts", json={"name": uid, "role": "Viewer"})
    assert account.status_code == 201, account.text
    number = account.json()["id"]
    later(f"/api/serviceaccounts/{number}")
    token = grafana.post(f"/api/serviceaccounts/{number}/tokens", json={"name": uid}).json()
    with server.stranger(Authorization=f"Bearer {token['key']}") as client:
        assert client.get("/api/org").json()["id"] == 1
        message(client.post("/api/folders", json={"uid": uid, "title": "No"}), 403)
        grafana.delete(f"/api/serviceaccounts/{number}/tokens/{token['id']}")
        message(client.get("/api/org"), 401)


@pytest.fixture
def token(server: Server, grafana: httpx.Client, uid: str, later: Later) -> Iterator[Callable[[str], httpx.Client]]:
    """Makes a client with the token of a new service account of that role."""
    clients: list[httpx.Client] = []

    def make(role: str) -> httpx.Client:
        account = grafana.post("/api/serviceaccounts", json={"name": f"{uid}-{role}", "role": role}).json()["id"]
        later(f"/api/serviceaccounts/{account}")
        made = grafana.post(f"/api/serviceaccounts/{account}/tokens", json={"name": uid}).json()
        clients.append(server.stranger(Authorization=f"Bearer {made['key']}"))
        return clients[-1]

    yield make
    for client in clients:
        client.close()


@pytest.mark.parametrize(
    ("role", "folder", "source"), [("Viewer", 403, 403), ("Editor", 200, 403), ("Admin", 200, 200)]
)
def test_a_tokens_role_says_what_it_may_make(
    token: Callable[[str], httpx.Client], uid: str, later: Later, role: str, folder: int, source: int
) -> None:
    later(f"/api/folders/{uid}")
    later(f"/api/datasources/uid/{uid}")
    client = token(role)
    assert client.post("/api/folders", json={"uid": uid, "title": uid}).status_code == folder
    desired = prometheus_source(uid, "http://prometheus:9090")
    assert client.post("/api/datasources", json=desired).status_code == source


@pytest.mark.parametrize(("role", "may"), [("Viewer", ()), ("Editor", MAKES[:2]), ("Admin", MAKES)])
def test_a_token_tells_what_it_may_do(token: Callable[[str], httpx.Client], role: str, may: tuple[str, ...]) -> None:
    answer = token(role).get("/api/access-control/user/permissions")
    assert answer.status_code == 200
    assert [action for action in MAKES if action in answer.json()] == list(may)


def test_a_wrong_token_is_401_and_no_failed_login_of_anybody(server: Server, grafana: httpx.Client) -> None:
    with server.stranger(Authorization="Bearer glsa_wrong") as client:
        for _ in range(6):
            message(client.get("/api/org"), 401)
    assert grafana.get("/api/org").status_code == 200


def test_an_expired_token_is_401(server: Server, grafana: httpx.Client, uid: str, later: Later) -> None:
    account = grafana.post("/api/serviceaccounts", json={"name": uid, "role": "Viewer"}).json()["id"]
    later(f"/api/serviceaccounts/{account}")
    made = grafana.post(f"/api/serviceaccounts/{account}/tokens", json={"name": uid, "secondsToLive": 1}).json()
    with server.stranger(Authorization=f"Bearer {made['key']}") as client:
        deadline = time.monotonic() + 10
        while client.get("/api/org").status_code == 200 and time.monotonic() < deadline:
            time.sleep(0.2)
        message(client.get("/api/org"), 401)


def test_a_service_account_is_read_changed_and_deleted(grafana: httpx.Client, uid: str, later: Later) -> None:
    number = grafana.post("/api/serviceaccounts", json={"name": uid, "role": "Viewer"}).json()["id"]
    path = f"/api/serviceaccounts/{number}"
    later(path)
    assert grafana.get(path).json()["role"] == "Viewer"
    assert grafana.patch(path, json={"name": uid, "role": "Editor"}).status_code == 200
    found = grafana.get(path).json()
    assert (found["name"], found["role"], found["isDisabled"]) == (uid, "Editor", False)
    assert grafana.delete(path).status_code == 200
    assert grafana.get(path).status_code == 404


def test_unknown_calls_are_404(grafana: httpx.Client) -> None:
    message(grafana.get("/api/there-is-no-such-call"), 404)


# Folders


def test_a_folder_is_created_with_its_uid_and_read_back(grafana: httpx.Client, folder: dict[str, Any]) -> None:
    found = grafana.get(f"/api/folders/{folder['uid']}").json()
    for key in ("id", "uid", "title", "url", "version"):
        assert found[key] == folder[key]
    assert found["url"].startswith(f"/dashboards/f/{folder['uid']}/")
    assert isinstance(found["id"], int)
    assert "parentUid" not in found or found["parentUid"] == ""


def test_a_folder_without_uid_gets_one(grafana: httpx.Client, uid: str, later: Later) -> None:
    made = grafana.post("/api/folders", json={"title": f"Contract {uid}"}).json()
    later(f"/api/folders/{made['uid']}")
    assert made["uid"]
    assert not made["uid"].isdigit()


def test_a_taken_folder_uid_is_409(grafana: httpx.Client, folder: dict[str, Any]) -> None:
    message(grafana.post("/api/folders", json={"uid": folder["uid"], "title": "Another"}), 409)


def test_a_folder_without_title_is_400(grafana: httpx.Client, uid: str, later: Later) -> None:
    later(f"/api/folders/{uid}")
    message(grafana.post("/api/folders", json={"uid": uid, "title": ""}), 400)


def test_a_missing_folder_is_404(grafana: httpx.Client, uid: str) -> None:
    message(grafana.get(f"/api/folders/{uid}"), 404)
    assert grafana.delete(f"/api/folders/{uid}").status_code == 404


def test_a_folder_is_renamed_with_overwrite(grafana: httpx.Client, folder: dict[str, Any]) -> None:
    path = f"/api/folders/{folder['uid']}"
    assert grafana.put(path, json={"title": "Renamed", "overwrite": True}).status_code == 200
    found = grafana.get(path).json()
    assert found["title"] == "Renamed"
    assert found["version"] > folder["version"]


def test_an_old_folder_version_is_412(grafana: httpx.Client, folder: dict[str, Any]) -> None:
    path = f"/api/folders/{folder['uid']}"
    answer = grafana.put(path, json={"title": "Stale", "version": folder["version"] + 7})
    message(answer, 412)
    assert answer.json()["status"] == "version-mismatch"
    assert grafana.get(path).json()["title"] == folder["title"]


def test_a_folder_is_nested_and_moved(grafana: httpx.Client, folder: dict[str, Any], uid: str, later: Later) -> None:
    later(f"/api/folders/{uid}-c")
    child = {"uid": f"{uid}-c", "title": f"Child {uid}", "parentUid": folder["uid"]}
    assert grafana.post("/api/folders", json=child).json()["parentUid"] == folder["uid"]
    inner = grafana.get("/api/folders", params={"parentUid": folder["uid"]}).json()
    assert [each["uid"] for each in inner] == [child["uid"]]
    moved = grafana.post(f"/api/folders/{child['uid']}/move", json={"parentUid": ""})
    assert moved.status_code == 200, moved.text
    assert not grafana.get(f"/api/folders/{child['uid']}").json().get("parentUid")


def test_folders_are_listed_page_by_page(grafana: httpx.Client, folder: dict[str, Any]) -> None:
    every, page = [], 1
    while found := grafana.get("/api/folders", params={"limit": 1000, "page": page}).json():
        every += found
        page += 1
    assert {"id": folder["id"], "uid": folder["uid"], "title": folder["title"]}.items() <= next(
        each for each in every if each["uid"] == folder["uid"]
    ).items()
    assert len(grafana.get("/api/folders", params={"limit": 1}).json()) == 1


def test_deleting_a_folder_deletes_its_dashboards(
    grafana: httpx.Client, folder: dict[str, Any], uid: str, later: Later
) -> None:
    later(f"/api/dashboards/uid/{uid}")
    save(grafana, dashboard(uid), folderUid=folder["uid"])
    gone = grafana.delete(f"/api/folders/{folder['uid']}", params={"forceDeleteRules": "true"})
    assert gone.status_code == 200, gone.text
    assert grafana.get(f"/api/folders/{folder['uid']}").status_code == 404
    assert grafana.get(f"/api/dashboards/uid/{uid}").status_code == 404


# Dashboards


def test_a_dashboard_is_saved_and_read_back_unchanged(
    grafana: httpx.Client, folder: dict[str, Any], uid: str, later: Later
) -> None:
    later(f"/api/dashboards/uid/{uid}")
    model = dashboard(uid, schemaVersion=41, timezone="browser", description="a < b & c > d")
    made = save(grafana, model, folderUid=folder["uid"], message="first")
    assert made.status_code == 200, made.text
    answer = made.json()
    assert (answer["uid"], answer["status"], answer["version"]) == (uid, "success", 1)
    assert answer["url"].startswith(f"/d/{uid}/")
    found = grafana.get(f"/api/dashboards/uid/{uid}").json()
    kept = found["dashboard"]
    assert isinstance(kept["id"], int) and isinstance(kept["version"], int)
    assert (kept["uid"], kept["id"]) == (uid, answer["id"])
    assert {key: kept[key] for key in model} == model
    assert found["meta"]["folderUid"] == folder["uid"]
    assert found["meta"]["url"] == answer["url"]
    assert found["meta"]["provisioned"] is False


def test_a_dashboard_without_uid_gets_one(grafana: httpx.Client, uid: str, later: Later) -> None:
    made = save(grafana, {"title": f"Contract {uid}", "panels": []}).json()
    later(f"/api/dashboards/uid/{made['uid']}")
    assert made["uid"]


def test_an_existing_dashboard_without_overwrite_is_412(grafana: httpx.Client, uid: str, later: Later) -> None:
    later(f"/api/dashboards/uid/{uid}")
    save(grafana, dashboard(uid))
    answer = save(grafana, dashboard(uid, title="Another"))
    message(answer, 412)
    assert answer.json()["status"] in ("version-mismatch", "name-exists")
    assert grafana.get(f"/api/dashboards/uid/{uid}").json()["dashboard"]["title"] == f"Contract {uid}"


def test_overwrite_replaces_a_dashboard_and_counts_its_version(grafana: httpx.Client, uid: str, later: Later) -> None:
    later(f"/api/dashboards/uid/{uid}")
    first = save(grafana, dashboard(uid)).json()
    second = save(grafana, dashboard(uid, title="Another"), overwrite=True).json()
    assert (second["id"], second["version"]) == (first["id"], first["version"] + 1)
    kept = grafana.get(f"/api/dashboards/uid/{uid}").json()["dashboard"]
    assert (kept["title"], kept["version"]) == ("Another", second["version"])


def test_a_dashboard_moves_to_another_folder(
    grafana: httpx.Client, folder: dict[str, Any], uid: str, later: Later
) -> None:
    later(f"/api/dashboards/uid/{uid}")
    save(grafana, dashboard(uid))
    assert grafana.get(f"/api/dashboards/uid/{uid}").json()["meta"]["folderUid"] == ""
    save(grafana, dashboard(uid), folderUid=folder["uid"], overwrite=True)
    assert grafana.get(f"/api/dashboards/uid/{uid}").json()["meta"]["folderUid"] == folder["uid"]


def test_a_dashboard_without_title_is_400(grafana: httpx.Client, uid: str, later: Later) -> None:
    later(f"/api/dashboards/uid/{uid}")
    message(save(grafana, dashboard(uid, title="")), 400)
    assert grafana.get(f"/api/dashboards/uid/{uid}").status_code == 404


@pytest.mark.parametrize("broken", ["with space", "x" * 41])
def test_a_dashboard_uid_that_fits_no_address_is_400(
    grafana: httpx.Client, broken: str, uid: str, later: Later
) -> None:
    made = save(grafana, dashboard(broken, title=uid))
    if made.status_code == 200:
        later(f"/api/dashboards/uid/{made.json()['uid']}")
    message(made, 400)


def test_a_request_that_is_no_json_is_400(grafana: httpx.Client) -> None:
    message(grafana.post("/api/dashboards/db", content=b"{no json", headers={"Content-Type": "application/json"}), 400)


def test_a_dashboard_that_is_no_object_is_400(grafana: httpx.Client) -> None:
    message(grafana.post("/api/dashboards/db", json={"dashboard": "text"}), 400)


def test_a_dashboard_in_a_missing_folder_is_refused(grafana: httpx.Client, uid: str, later: Later) -> None:
    later(f"/api/dashboards/uid/{uid}")
    answer = save(grafana, dashboard(uid), folderUid=f"{uid}-none")
    assert answer.status_code in (400, 404), answer.text
    assert grafana.get(f"/api/dashboards/uid/{uid}").status_code == 404


def test_a_missing_dashboard_is_404(grafana: httpx.Client, uid: str) -> None:
    message(grafana.get(f"/api/dashboards/uid/{uid}"), 404)
    assert grafana.delete(f"/api/dashboards/uid/{uid}").status_code == 404


def test_a_dashboard_is_deleted(grafana: httpx.Client, uid: str, later: Later) -> None:
    later(f"/api/dashboards/uid/{uid}")
    save(grafana, dashboard(uid))
    gone = grafana.delete(f"/api/dashboards/uid/{uid}")
    assert gone.status_code == 200
    assert gone.json()["title"] == f"Contract {uid}"
    assert grafana.get(f"/api/dashboards/uid/{uid}").status_code == 404


def test_search_finds_dashboards_by_type_query_tag_and_folder(
    grafana: httpx.Client, folder: dict[str, Any], uid: str, later: Later
) -> None:
    later(f"/api/dashboards/uid/{uid}")
    made = save(grafana, dashboard(uid), folderUid=folder["uid"]).json()

    def found(**asked: str) -> list[str]:
        return [hit["uid"] for hit in grafana.get("/api/search", params=asked).json()]

    deadline = time.monotonic() + 10  # a real Grafana fills its search index a moment later
    while found(type="dash-db", query=uid) != [uid] and time.monotonic() < deadline:
        time.sleep(0.2)
    assert found(type="dash-db", tag=uid) == [uid]
    assert found(type="dash-db", folderUIDs=folder["uid"]) == [uid]
    assert found(type="dash-folder", query=uid) == [folder["uid"]]
    assert found(type="dash-db", query=f"{uid}-none") == []
    hit = grafana.get("/api/search", params={"type": "dash-db", "query": uid}).json()[0]
    assert (hit["type"], hit["title"], hit["url"]) == ("dash-db", f"Contract {uid}", made["url"])
    assert (hit["folderUid"], hit["folderTitle"]) == (folder["uid"], folder["title"])
    assert sorted(hit["tags"]) == sorted(["contract", uid])


# Data sources


def test_a_data_source_is_added_and_read_back(grafana: httpx.Client, uid: str, later: Later) -> None:
    later(f"/api/datasources/uid/{uid}")
    desired = prometheus_source(uid, "http://prometheus:9090")
    made = grafana.post("/api/datasources", json=desired | {"secureJsonData": {"basicAuthPassword": "secret"}})
    assert made.status_code == 200, made.text
    answer = made.json()
    assert answer["message"] == "Datasource added"
    assert (answer["name"], answer["id"]) == (desired["name"], answer["datasource"]["id"])
    found = grafana.get(f"/api/datasources/uid/{uid}").json()
    assert {key: found[key] for key in desired} == desired
    assert (found["orgId"], found["readOnly"]) == (1, False)
    assert found["secureJsonFields"] == {"basicAuthPassword": True}
    assert "secret" not in str(found)


def test_a_taken_data_source_name_or_uid_is_409(grafana: httpx.Client, uid: str, later: Later) -> None:
    later(f"/api/datasources/uid/{uid}")
    later(f"/api/datasources/uid/{uid}-2")
    desired = prometheus_source(uid, "http://prometheus:9090")
    grafana.post("/api/datasources", json=desired)
    message(grafana.post("/api/datasources", json=desired | {"uid": f"{uid}-2"}), 409)
    message(grafana.post("/api/datasources", json=desired | {"name": f"Contract {uid} 2"}), 409)


def test_a_data_source_without_type_is_400(grafana: httpx.Client, uid: str, later: Later) -> None:
    later(f"/api/datasources/uid/{uid}")
    message(grafana.post("/api/datasources", json=prometheus_source(uid, "http://prometheus:9090") | {"type": ""}), 400)


def test_a_data_source_is_found_by_name_and_in_the_list(grafana: httpx.Client, uid: str, later: Later) -> None:
    later(f"/api/datasources/uid/{uid}")
    grafana.post("/api/datasources", json=prometheus_source(uid, "http://prometheus:9090"))
    assert grafana.get(f"/api/datasources/name/Contract {uid}").json()["uid"] == uid
    listed = next(each for each in grafana.get("/api/datasources").json() if each["uid"] == uid)
    assert (listed["type"], listed.get("typeName"), listed["url"]) == (
        "prometheus",
        "Prometheus",
        "http://prometheus:9090",
    )
    assert listed["jsonData"]["timeInterval"] == "15s"


def test_updating_a_data_source_keeps_unnamed_secrets(grafana: httpx.Client, uid: str, later: Later) -> None:
    later(f"/api/datasources/uid/{uid}")
    desired = prometheus_source(uid, "http://prometheus:9090")
    grafana.post("/api/datasources", json=desired | {"secureJsonData": {"basicAuthPassword": "secret"}})
    changed = desired | {"url": "http://elsewhere:9090", "jsonData": {"httpMethod": "GET"}}
    answer = grafana.put(f"/api/datasources/uid/{uid}", json=changed)
    assert answer.status_code == 200, answer.text
    assert answer.json()["message"] == "Datasource updated"
    found = grafana.get(f"/api/datasources/uid/{uid}").json()
    assert (found["url"], found["jsonData"]) == ("http://elsewhere:9090", {"httpMethod": "GET"})
    assert found["secureJsonFields"] == {"basicAuthPassword": True}


def test_a_missing_data_source_is_404(grafana: httpx.Client, uid: str) -> None:
    message(grafana.get(f"/api/datasources/uid/{uid}"), 404)
    assert grafana.delete(f"/api/datasources/uid/{uid}").status_code == 404
    desired = prometheus_source(uid, "http://prometheus:9090")
    assert grafana.put(f"/api/datasources/uid/{uid}", json=desired).status_code == 404


def test_a_data_source_is_deleted(grafana: httpx.Client, uid: str, later: Later) -> None:
    later(f"/api/datasources/uid/{uid}")
    made = grafana.post("/api/datasources", json=prometheus_source(uid, "http://prometheus:9090")).json()
    gone = grafana.delete(f"/api/datasources/uid/{uid}")
    assert (gone.status_code, gone.json()["id"]) == (200, made["id"])
    assert grafana.get(f"/api/datasources/uid/{uid}").status_code == 404


def test_an_unreachable_prometheus_is_unhealthy_with_400(grafana: httpx.Client, uid: str, later: Later) -> None:
    later(f"/api/datasources/uid/{uid}")
    grafana.post("/api/datasources", json=prometheus_source(uid, "http://127.0.0.1:1"))
    answer = grafana.get(f"/api/datasources/uid/{uid}/health")
    message(answer, 400)
    assert answer.json()["status"] == "ERROR"


def test_an_alertmanager_source_has_no_health_call(grafana: httpx.Client, uid: str, later: Later) -> None:
    later(f"/api/datasources/uid/{uid}")
    desired = prometheus_source(uid, "http://127.0.0.1:1")
    desired |= {"type": "alertmanager", "jsonData": {"implementation": "prometheus"}}
    assert grafana.post("/api/datasources", json=desired).status_code == 200
    answer = grafana.get(f"/api/datasources/uid/{uid}/health")
    message(answer, 500)
    assert answer.json().get("messageId") == "plugin.unavailable"


def test_a_real_prometheus_is_healthy(grafana: httpx.Client, source: str) -> None:
    answer = grafana.get(f"/api/datasources/uid/{source}/health")
    assert answer.status_code == 200, answer.text
    assert answer.json()["status"] == "OK"


@pytest.mark.parametrize("method", ["GET", "POST"])
def test_the_proxy_reaches_the_real_prometheus(grafana: httpx.Client, source: str, method: str) -> None:
    where = {"params" if method == "GET" else "data": {"query": "1+1"}}
    answer = grafana.request(method, f"/api/datasources/proxy/uid/{source}/api/v1/query", **where)  # type: ignore[arg-type]  # one of two
    assert answer.status_code == 200, answer.text
    assert answer.json()["data"]["result"][1] == "2"


def test_the_proxy_passes_an_error_on(grafana: httpx.Client, source: str) -> None:
    answer = grafana.get(f"/api/datasources/proxy/uid/{source}/api/v1/query", params={"query": "1+"})
    assert answer.status_code == 400
    assert answer.json()["errorType"] == "bad_data"


def query(grafana: httpx.Client, source: str, **more: Any) -> httpx.Response:
    asked = {"refId": "A", "datasource": {"uid": source}, "expr": "vector(7)", "intervalMs": 15000, **more}
    return grafana.post("/api/ds/query", json={"queries": [asked], "from": "now-5m", "to": "now"})


def test_an_instant_query_gives_one_value_per_series(grafana: httpx.Client, source: str) -> None:
    answer = query(grafana, source, instant=True, range=False)
    assert answer.status_code == 200, answer.text
    frame = answer.json()["results"]["A"]["frames"][0]
    assert [field["type"] for field in frame["schema"]["fields"]] == ["time", "number"]
    assert frame["data"]["values"][1] == [7]


def test_a_range_query_gives_a_row_per_step(grafana: httpx.Client, source: str) -> None:
    answer = query(grafana, source, instant=False, range=True)
    assert answer.status_code == 200, answer.text
    times, values = answer.json()["results"]["A"]["frames"][0]["data"]["values"]
    assert len(times) == len(values) > 5
    assert set(values) == {7}
    assert times == sorted(times) and times[0] > 1_500_000_000_000


def test_a_broken_query_says_why(grafana: httpx.Client, source: str) -> None:
    answer = query(grafana, source, expr="vector(", instant=True, range=False)
    assert answer.status_code == 400
    assert answer.json()["results"]["A"]["error"]


# Annotations, preferences, totals, metrics


def test_an_annotation_is_added_listed_and_deleted(grafana: httpx.Client, uid: str, later: Later) -> None:
    now = int(time.time() * 1000)
    made = grafana.post("/api/annotations", json={"text": "Released", "tags": [uid], "time": now})
    assert made.status_code == 200, made.text
    number = made.json()["id"]
    later(f"/api/annotations/{number}")
    asked = {"tags": uid, "from": str(now - 1000), "to": str(now + 1000)}
    found = grafana.get("/api/annotations", params=asked).json()
    assert [(each["id"], each["text"], each["tags"], each["time"]) for each in found] == [
        (number, "Released", [uid], now)
    ]
    assert grafana.get("/api/annotations", params=asked | {"from": str(now + 500)}).json() == []
    assert grafana.delete(f"/api/annotations/{number}").status_code == 200
    assert grafana.get("/api/annotations", params=asked).json() == []


def test_an_annotation_without_text_is_400(grafana: httpx.Client) -> None:
    message(grafana.post("/api/annotations", json={"text": "", "tags": []}), 400)


@pytest.fixture
def preferences(grafana: httpx.Client) -> Iterator[dict[str, Any]]:
    """The organization's preferences, which are put back after the test."""
    before: dict[str, Any] = grafana.get(PREFERENCES).json()
    yield before
    grafana.put(PREFERENCES, json=before)


def test_the_home_dashboard_is_a_preference_of_the_organization(
    grafana: httpx.Client, preferences: dict[str, Any], uid: str, later: Later
) -> None:
    later(f"/api/dashboards/uid/{uid}")
    save(grafana, dashboard(uid))
    answer = grafana.put(PREFERENCES, json=preferences | {"homeDashboardUID": uid})
    assert answer.status_code == 200, answer.text
    assert grafana.get(PREFERENCES).json().get("homeDashboardUID") == uid
    cleared = {key: value for key, value in preferences.items() if key != "homeDashboardUID"}
    grafana.put(PREFERENCES, json=cleared)
    assert not grafana.get(PREFERENCES).json().get("homeDashboardUID")


@pytest.mark.usefixtures("preferences")
def test_the_start_page_leads_to_the_home_dashboard(grafana: httpx.Client, uid: str, later: Later) -> None:
    later(f"/api/dashboards/uid/{uid}")
    made = save(grafana, dashboard(uid)).json()
    grafana.put(PREFERENCES, json={"homeDashboardUID": uid})
    assert grafana.get("/api/dashboards/home").json()["redirectUri"] == made["url"]


@pytest.mark.usefixtures("preferences")
def test_put_replaces_all_preferences_and_patch_only_those_named(grafana: httpx.Client, uid: str, later: Later) -> None:
    later(f"/api/dashboards/uid/{uid}")
    save(grafana, dashboard(uid))
    grafana.put(PREFERENCES, json={"theme": "light", "timezone": "utc", "weekStart": "monday"})
    assert grafana.patch(PREFERENCES, json={"homeDashboardUID": uid}).status_code == 200
    found = grafana.get(PREFERENCES).json()
    assert [found.get(key) for key in ("theme", "timezone", "weekStart")] == ["light", "utc", "monday"]
    grafana.put(PREFERENCES, json={"homeDashboardUID": uid})
    found = grafana.get(PREFERENCES).json()
    assert not any(found.get(key) for key in ("theme", "timezone", "weekStart"))
    assert found["homeDashboardUID"] == uid


@pytest.mark.usefixtures("preferences")
def test_a_home_dashboard_that_does_not_exist_is_404(grafana: httpx.Client, uid: str) -> None:
    message(grafana.put(PREFERENCES, json={"homeDashboardUID": uid}), 404)


@pytest.mark.usefixtures("preferences")
def test_a_home_dashboard_that_is_deleted_is_none(grafana: httpx.Client, uid: str, later: Later) -> None:
    later(f"/api/dashboards/uid/{uid}")
    save(grafana, dashboard(uid))
    grafana.put(PREFERENCES, json={"homeDashboardUID": uid})
    grafana.delete(f"/api/dashboards/uid/{uid}")
    assert not grafana.get(PREFERENCES).json().get("homeDashboardUID")


def test_the_organizations_preferences_are_its_administrators_business(
    server: Server, grafana: httpx.Client, preferences: dict[str, Any], uid: str, later: Later
) -> None:
    made = grafana.post("/api/admin/users", json={"login": uid, "password": "a-password"}).json()["id"]
    later(f"/api/admin/users/{made}")
    with server.client(uid, "a-password") as viewer:
        message(viewer.get(PREFERENCES), 403)
        message(viewer.put(PREFERENCES, json=preferences), 403)


def test_totals_count_what_was_made(grafana: httpx.Client, uid: str, later: Later) -> None:
    found = grafana.get("/api/admin/stats")
    assert found.status_code == 200
    before = found.json()
    counts = ("orgs", "users", "dashboards", "datasources", "alerts")
    assert {key: before.get(key) for key in counts if not isinstance(before.get(key), int)} == {}
    later(f"/api/datasources/uid/{uid}")
    grafana.post("/api/datasources", json=prometheus_source(uid, "http://prometheus:9090"))
    assert grafana.get("/api/admin/stats").json()["datasources"] == before["datasources"] + 1


def test_metrics_are_prometheus_text_with_grafanas_names(server: Server, grafana: httpx.Client) -> None:
    grafana.get("/api/org")
    with server.stranger() as scraper:
        answer = scraper.get("/metrics")
    assert answer.status_code == 200
    assert answer.headers["content-type"].startswith("text/plain")
    lines = answer.text.splitlines()
    assert any(line.startswith("grafana_build_info{") and line.endswith(" 1") for line in map(_whole, lines))
    assert any(line.startswith("grafana_stat_totals_dashboard") for line in lines)
    counted = [line for line in lines if line.startswith("grafana_http_request_duration_seconds_count{")]
    assert any('status_code="200"' in line and 'method="GET"' in line and "handler=" in line for line in counted)


def _whole(line: str) -> str:
    return line.removesuffix(".0")
