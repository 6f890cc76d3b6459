"""The Grafana plugin, driven by the real Pulumi CLI against a live Grafana.

It runs whichever plugin the CLI finds: the stand-in on PATH, or the official one.
"""

from __future__ import annotations

import gc
import json
import os
import shutil
import sys
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Any

import httpx
import pulumi
import pulumiverse_grafana as grafana_sdk
import pytest
from pulumi import automation

from .conftest import Server, dashboard

pytestmark = [
    pytest.mark.pulumi,
    # A program that fails leaves a coroutine behind in Pulumi's Automation API; it is collected in `stack`.
    pytest.mark.filterwarnings("ignore::pytest.PytestUnraisableExceptionWarning"),
    pytest.mark.skipif(shutil.which("pulumi") is None, reason="no pulumi on PATH: the plugin cannot be driven"),
]

Program = Callable[[pulumi.ResourceOptions], None]


class Stack:
    """A stack of its own with a backend in a temporary folder, and one provider for the Grafana under test."""

    def __init__(self, server: Server, folder: Path) -> None:
        self.server = server
        self.folder = folder
        place = folder / "project"  # without one, each would leave a folder of its own behind
        place.mkdir(exist_ok=True)
        options = automation.LocalWorkspaceOptions(work_dir=str(place))
        self.stack = automation.create_stack("contract", "grafana-contract", lambda: None, opts=options)
        # The programs have no outputs, and asking for them is two more runs of the CLI at each update.
        self.stack.outputs = dict  # type: ignore[method-assign]

    def program(self, declare: Program, password: str | None = None, token: str | None = None) -> None:
        """Use this program from now on, with the administrator's password, or another, or a token; `declare` gets
        options that carry the provider.
        """

        def run() -> None:
            provider = grafana_sdk.Provider(
                "grafana",
                url=self.server.url,
                auth=pulumi.Output.secret(token or f"{self.server.user}:{password or self.server.password}"),
                retries=1,
                retry_wait=1,
                retry_status_codes=["429", "5xx"],
            )
            declare(pulumi.ResourceOptions(provider=provider))

        self.stack.workspace.program = run

    def up(self) -> dict[str, int]:
        """Update, and return the number of resources per kind of change."""
        return _changes(self.stack.up().summary)

    def preview(self) -> dict[str, int]:
        found = self.stack.preview().change_summary
        return {str(getattr(kind, "value", kind)): count for kind, count in found.items()}

    def refresh(self) -> dict[str, int]:
        return _changes(self.stack.refresh().summary)

    def state(self, name: str) -> dict[str, Any]:
        """A resource's entry in the stack's state."""
        resources = json.loads(self.stored())["checkpoint"]["latest"]["resources"]
        found: dict[str, Any] = next(each for each in resources if each["urn"].endswith(f"::{name}"))
        return found

    def outputs(self, name: str) -> dict[str, Any]:
        found: dict[str, Any] = self.state(name)["outputs"]
        return found

    def stored(self) -> str:
        """The stack's state as it lies on the disk."""
        return (self.folder / ".pulumi/stacks/grafana-contract/contract.json").read_text()


def _changes(summary: automation.UpdateSummary) -> dict[str, int]:
    return {str(getattr(kind, "value", kind)): count for kind, count in (summary.resource_changes or {}).items()}


@pytest.fixture
def stack(server: Server, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Iterator[Stack]:
    for name, value in (
        ("PULUMI_BACKEND_URL", tmp_path.as_uri()),
        ("PULUMI_CONFIG_PASSPHRASE", "contract"),
        ("PULUMI_SKIP_UPDATE_CHECK", "1"),
        ("PATH", os.pathsep.join((str(Path(sys.executable).parent), os.environ["PATH"]))),
    ):
        monkeypatch.setenv(name, value)
    made = Stack(server, tmp_path)
    yield made
    made.stack.destroy()
    gc.collect()


def test_objects_live_from_creation_to_destruction(
    stack: Stack, grafana: httpx.Client, uid: str, later: Callable[[str], None]
) -> None:
    for path in (f"/api/folders/{uid}-f", f"/api/datasources/uid/{uid}", f"/api/dashboards/uid/{uid}-2"):
        later(path)
    desired: dict[str, Any] = {"title": f"Contract {uid}", "dashboard": uid, "panel": "Up", "interval": "15s"}

    def declare(options: pulumi.ResourceOptions) -> None:
        folder = grafana_sdk.oss.Folder("folder", uid=f"{uid}-f", title=desired["title"], opts=options)
        model = dashboard(desired["dashboard"], title=f"Contract {uid} <&>", version=3)
        model["panels"][0] |= {"id": 7, "title": desired["panel"]}
        grafana_sdk.oss.Dashboard(
            "dashboard", folder=folder.uid, config_json=json.dumps(model), overwrite=True, opts=options
        )
        grafana_sdk.oss.DataSource(
            "source",
            uid=uid,
            name=f"Contract {uid}",
            type="prometheus",
            url="http://prometheus:9090",
            json_data_encoded=json.dumps({"timeInterval": desired["interval"], "httpMethod": "POST"}),
            secure_json_data_encoded=json.dumps({"basicAuthPassword": "secret-of-the-contract"}),
            opts=options,
        )

    stack.program(declare)
    assert stack.up() == {"create": 5}  # with the stack and the provider
    folder, source = stack.outputs("folder"), stack.outputs("source")
    assert stack.state("folder")["id"] == f"1:{uid}-f"
    assert folder["url"].startswith(f"{stack.server.url}/dashboards/f/{uid}-f/")
    kept = stack.outputs("dashboard")
    assert kept["configJson"] == json.dumps(
        {
            "panels": [
                {"targets": [{"expr": "up", "refId": "A"}], "title": "Up", "type": "timeseries"},
            ],
            "tags": ["contract", uid],
            "title": f"Contract {uid} <&>",
            "uid": uid,
        },
        separators=(",", ":"),
    ).replace("<&>", "\\u003c\\u0026\\u003e")
    assert kept["url"].startswith(f"{stack.server.url}/d/{uid}/")
    assert isinstance(kept["dashboardId"], (int, float)) and kept["folder"] == f"{uid}-f"
    assert source["jsonDataEncoded"] == '{"httpMethod":"POST","timeInterval":"15s"}'
    assert uid in stack.stored() and "secret-of-the-contract" not in stack.stored()
    assert stack.preview() == {"same": 5}

    desired |= {"title": f"Contract {uid} renamed", "panel": "Down", "interval": "30s"}
    assert stack.up() == {"same": 2, "update": 3}
    assert grafana.get(f"/api/folders/{uid}-f").json()["title"] == desired["title"]
    assert grafana.get(f"/api/dashboards/uid/{uid}").json()["dashboard"]["panels"][0]["title"] == "Down"
    found = grafana.get(f"/api/datasources/uid/{uid}").json()
    assert found["jsonData"]["timeInterval"] == "30s"
    assert found["secureJsonFields"] == {"basicAuthPassword": True}
    assert stack.preview() == {"same": 5}

    grafana.put(f"/api/folders/{uid}-f", json={"title": "By hand", "overwrite": True})
    grafana.delete(f"/api/datasources/uid/{uid}")
    assert stack.refresh() == {"same": 3, "update": 1, "delete": 1}
    assert stack.up() == {"same": 3, "update": 1, "create": 1}
    assert grafana.get(f"/api/folders/{uid}-f").json()["title"] == desired["title"]
    assert grafana.get(f"/api/datasources/uid/{uid}").status_code == 200

    desired |= {"dashboard": f"{uid}-2"}
    assert stack.up() == {"same": 4, "replace": 1}
    assert grafana.get(f"/api/dashboards/uid/{uid}").status_code == 404
    assert grafana.get(f"/api/dashboards/uid/{uid}-2").status_code == 200

    stack.stack.destroy()
    for path in (f"folders/{uid}-f", f"dashboards/uid/{uid}-2", f"datasources/uid/{uid}"):
        assert grafana.get(f"/api/{path}").status_code == 404


def test_preferences_of_the_organization_are_replaced_as_a_whole_and_cleared_at_the_end(
    stack: Stack, grafana: httpx.Client, uid: str, later: Callable[[str], None]
) -> None:
    path, theme = "/api/org/preferences", "light"
    before = grafana.get(path).json()
    later(f"/api/dashboards/uid/{uid}")
    grafana.put(path, json={"timezone": "utc"})

    def declare(options: pulumi.ResourceOptions) -> None:
        page = grafana_sdk.oss.Dashboard("dashboard", config_json=json.dumps(dashboard(uid)), opts=options)
        grafana_sdk.oss.OrganizationPreferences("home", home_dashboard_uid=page.uid, theme=theme, opts=options)

    try:
        stack.program(declare)
        assert stack.up() == {"create": 4}
        assert stack.state("home")["id"] == stack.outputs("home")["orgId"] == "1"
        found = grafana.get(path).json()
        assert (found["homeDashboardUID"], found["theme"], found.get("timezone", "")) == (uid, "light", "")
        assert stack.preview() == {"same": 4}

        grafana.patch(path, json={"homeDashboardUID": "", "weekStart": "monday"})
        assert stack.refresh() == {"same": 3, "update": 1}
        theme = "dark"
        assert stack.up() == {"same": 3, "update": 1}
        found = grafana.get(path).json()
        assert (found["homeDashboardUID"], found["theme"], found.get("weekStart", "")) == (uid, "dark", "")

        stack.stack.destroy()
        found = grafana.get(path).json()
        assert not any(found.get(key) for key in ("homeDashboardUID", "theme", "timezone", "weekStart"))
    finally:
        grafana.put(path, json=before)


def test_a_token_makes_the_same_objects_under_ids_of_its_own(
    stack: Stack, grafana: httpx.Client, uid: str, later: Callable[[str], None]
) -> None:
    """A token names no organization: the ids of folder and dashboard have 0 for it, that of a data source the one that
    Grafana answers.
    """
    for path in (f"/api/folders/{uid}-f", f"/api/datasources/uid/{uid}", f"/api/dashboards/uid/{uid}"):
        later(path)
    account = grafana.post("/api/serviceaccounts", json={"name": uid, "role": "Admin"}).json()["id"]
    later(f"/api/serviceaccounts/{account}")
    token = grafana.post(f"/api/serviceaccounts/{account}/tokens", json={"name": uid}).json()["key"]
    desired = {"title": uid}

    def declare(options: pulumi.ResourceOptions) -> None:
        folder = grafana_sdk.oss.Folder(
            "folder", uid=f"{uid}-f", title=desired["title"], prevent_destroy_if_not_empty=True, opts=options
        )
        model = json.dumps(dashboard(uid, title=desired["title"]))
        grafana_sdk.oss.Dashboard("dashboard", folder=folder.uid, config_json=model, overwrite=True, opts=options)
        grafana_sdk.oss.DataSource(
            "source", uid=uid, name=desired["title"], type="prometheus", url="http://p:9090", opts=options
        )

    stack.program(declare, token=token)
    assert stack.up() == {"create": 5}
    assert [stack.state(name)["id"] for name in ("folder", "dashboard", "source")] == [
        f"0:{uid}-f",
        f"0:{uid}",
        f"1:{uid}",
    ]
    assert stack.preview() == stack.refresh() == {"same": 5}
    assert [stack.state(name)["id"][0] for name in ("folder", "dashboard", "source")] == ["0", "0", "1"]
    desired["title"] = f"{uid} renamed"
    assert stack.up() == {"same": 2, "update": 3}
    assert stack.preview() == {"same": 5}
    assert grafana.get(f"/api/dashboards/uid/{uid}").json()["dashboard"]["title"] == f"{uid} renamed"

    grafana.post("/api/dashboards/db", json={"dashboard": dashboard(f"{uid}-2"), "folderUid": f"{uid}-f"})
    later(f"/api/dashboards/uid/{uid}-2")
    with pytest.raises(automation.CommandError, match="not empty"):
        stack.stack.destroy()
    assert grafana.get(f"/api/dashboards/uid/{uid}-2").status_code == 200
    grafana.delete(f"/api/dashboards/uid/{uid}-2")
    stack.stack.destroy()
    for path in (f"folders/{uid}-f", f"dashboards/uid/{uid}", f"datasources/uid/{uid}"):
        assert grafana.get(f"/api/{path}").status_code == 404


def test_existing_objects_are_adopted_by_import(
    stack: Stack, grafana: httpx.Client, folder: dict[str, Any], uid: str, later: Callable[[str], None]
) -> None:
    later(f"/api/dashboards/uid/{uid}")
    model = dashboard(uid)
    grafana.post("/api/dashboards/db", json={"dashboard": model, "folderUid": folder["uid"]})

    def declare(options: pulumi.ResourceOptions, adopt: bool = True) -> None:
        def and_conditions(name: str) -> pulumi.ResourceOptions:
            more = pulumi.ResourceOptions(import_=name) if adopt else pulumi.ResourceOptions()
            return pulumi.ResourceOptions.merge(options, more)

        grafana_sdk.oss.Folder("folder", uid=folder["uid"], title=folder["title"], opts=and_conditions(folder["uid"]))
        grafana_sdk.oss.Dashboard(
            "dashboard", folder=folder["uid"], config_json=json.dumps(model), opts=and_conditions(uid)
        )

    stack.program(declare)
    assert stack.up() == {"create": 2, "import": 2}
    assert stack.state("dashboard")["id"] == f"1:{uid}"
    assert stack.state("folder")["id"] == f"1:{folder['uid']}"
    assert grafana.get(f"/api/dashboards/uid/{uid}").json()["dashboard"]["version"] == 1
    stack.program(lambda options: declare(options, adopt=False))
    assert stack.preview() == {"same": 4}


def test_a_taken_uid_fails_with_grafanas_words(stack: Stack, folder: dict[str, Any]) -> None:
    def declare(options: pulumi.ResourceOptions) -> None:
        grafana_sdk.oss.Folder("folder", uid=folder["uid"], title="Another", opts=options)

    stack.program(declare)
    with pytest.raises(automation.CommandError) as failed:
        stack.up()
    assert "failed to create folder: [POST /folders][409]" in str(failed.value)


def test_a_wrong_password_fails_with_the_call_and_the_cause(stack: Stack, uid: str) -> None:
    def declare(options: pulumi.ResourceOptions) -> None:
        grafana_sdk.oss.Folder("folder", uid=uid, title=uid, opts=options)

    stack.program(declare, password="wrong")
    with pytest.raises(automation.CommandError) as failed:
        stack.up()
    assert "[POST /folders][401]" in str(failed.value)
    assert "Invalid username or password" in str(failed.value)
    stack.program(lambda options: None)
    stack.up()


def test_a_malformed_dashboard_fails_before_anything_changes(stack: Stack, uid: str) -> None:
    def declare(options: pulumi.ResourceOptions) -> None:
        grafana_sdk.oss.Folder("folder", uid=uid, title=uid, opts=options)
        grafana_sdk.oss.Dashboard("dashboard", config_json='{"title": ', opts=options)

    stack.program(declare)
    with pytest.raises(automation.CommandError) as failed:
        stack.preview()
    # The engine's words for inputs that the plugin's check refuses, which comes before any change.
    assert "grafana:oss/dashboard:Dashboard resource 'dashboard'" in str(failed.value)
    assert "has a problem" in str(failed.value)
