"""The stand-in plugin: its forms and decisions, and the executable itself over gRPC against the stand-in server."""

from __future__ import annotations

import json
import subprocess
import sys
import threading
from collections.abc import Iterator
from pathlib import Path
from typing import Any, cast

import grpc
import httpx
import pytest
from broken import does_nothing
from grafana_provider.client import Api, ApiError, Config
from grafana_provider.resources import KINDS, Dashboard, DataSource
from grafana_provider.stubs import provider_pb2, provider_pb2_grpc
from grafana_provider.wire import SECRET, SIGNATURE, UNKNOWN, from_struct, go_json, to_struct
from running import HERE, PASSWORD, Running

PLUGIN = HERE.parent / "pulumi-resource-grafana"


def api(**settings: Any) -> Api:
    return Api(Config.of(settings, {}), threading.Event())


# Forms


@pytest.mark.parametrize(
    ("value", "text"),
    [
        ({"b": 1, "a": [True, None, "x"]}, '{"a":[true,null,"x"],"b":1}'),
        ("<a> & é", '"\\u003ca\\u003e \\u0026 é"'),
        (1.0, "1"),
        (-0.0, "-0"),
        (0.1, "0.1"),
        (1e-5, "0.00001"),
        (1e-7, "1e-7"),
        (1.5e-10, "1.5e-10"),
        (1e20, "100000000000000000000"),
        (1e21, "1e+21"),
        (2**53 + 1, "9007199254740992"),
    ],
)
def test_json_is_written_as_go_writes_it(value: Any, text: str) -> None:
    assert go_json(value) == text


def test_the_normal_form_drops_what_grafana_numbers() -> None:
    model = {
        "id": 3,
        "version": 4,
        "uid": "u",
        "panels": [
            {"id": 1, "libraryPanel": {"uid": "l", "name": "n", "version": 2}},
            {"id": 2, "panels": [{"id": 5}]},
        ],
    }
    normal = Dashboard().normal({"configJson": json.dumps(model)}, api())["configJson"]
    assert normal == '{"panels":[{"libraryPanel":{"name":"n","uid":"l"}},{"panels":[{"id":5}]}],"uid":"u"}'


def test_structs_unwrap_and_wrap_secrets() -> None:
    struct = to_struct({"a": "s", "b": 1, "c": [True, {"d": 0.5}]}, frozenset("a"))
    assert struct.fields["a"].struct_value.fields[SIGNATURE].string_value == SECRET
    assert from_struct(struct) == {"a": "s", "b": 1, "c": [True, {"d": 0.5}]}


def test_settings_come_as_json_text_and_from_the_environment() -> None:
    env = {"GRAFANA_URL": "http://env", "GRAFANA_RETRY_STATUS_CODES": "429,50x", "GRAFANA_INSECURE_SKIP_VERIFY": "true"}
    config = Config.of({"auth": "a:b:c", "retries": "2", "retryWait": "0", "httpHeaders": '{"X": "y"}'}, env)
    assert (config.url, config.retries, config.headers, config.insecure) == ("http://env", 2, {"X": "y"}, True)
    assert (config.org, config.retry_codes) == (1, ("429", "50x"))
    assert [config.retried(code) for code in (429, 503, 511, 401)] == [True, True, False, False]
    assert Config.of({"retries": "0"}, {}).retries == 3
    assert Config.of({"auth": "token"}, {}).org == 0
    with pytest.raises(ValueError, match="invalid retry status code: 5"):
        Config.of({"retryStatusCodes": '["5"]'}, {})


# The executable


class Engine:
    """Calls the plugin as Pulumi's engine does."""

    def __init__(self, port: str) -> None:
        self.channel = grpc.insecure_channel(f"127.0.0.1:{port}")
        self.stub = provider_pb2_grpc.ResourceProviderStub(self.channel)

    def configure(self, **settings: Any) -> None:
        self.stub.Configure(provider_pb2.ConfigureRequest(args=to_struct(settings)))

    @staticmethod
    def urn(kind: str) -> str:
        token = next(token for token in KINDS if token.endswith(f":{kind}"))
        return f"urn:pulumi:test::project::{token}::thing"

    def check(self, kind: str, news: dict[str, Any], olds: dict[str, Any] | None = None) -> Any:
        request = provider_pb2.CheckRequest(urn=self.urn(kind), olds=to_struct(olds or {}), news=to_struct(news))
        request.randomSeed = b"seed"
        return self.stub.Check(request)

    def inputs(self, kind: str, news: dict[str, Any]) -> dict[str, Any]:
        checked = self.check(kind, news)
        assert not checked.failures
        return from_struct(checked.inputs)

    def diff(self, kind: str, olds: dict[str, Any], news: dict[str, Any]) -> Any:
        inputs = self.inputs(kind, news)
        return self.stub.Diff(
            provider_pb2.DiffRequest(id="1:x", urn=self.urn(kind), olds=to_struct(olds), news=to_struct(inputs))
        )

    def create(self, kind: str, news: dict[str, Any], *, preview: bool = False) -> tuple[str, dict[str, Any]]:
        inputs = to_struct(self.inputs(kind, news))
        made = self.stub.Create(provider_pb2.CreateRequest(urn=self.urn(kind), properties=inputs, preview=preview))
        return made.id, from_struct(made.properties)

    def read(self, kind: str, given: str, state: dict[str, Any], inputs: dict[str, Any]) -> Any:
        return self.stub.Read(
            provider_pb2.ReadRequest(
                id=given, urn=self.urn(kind), properties=to_struct(state), inputs=to_struct(inputs)
            )
        )

    def update(self, kind: str, given: str, olds: dict[str, Any], news: dict[str, Any]) -> dict[str, Any]:
        done = self.stub.Update(
            provider_pb2.UpdateRequest(
                id=given, urn=self.urn(kind), olds=to_struct(olds), news=to_struct(self.inputs(kind, news))
            )
        )
        return from_struct(done.properties)

    def delete(self, kind: str, given: str, state: dict[str, Any]) -> None:
        self.stub.Delete(provider_pb2.DeleteRequest(id=given, urn=self.urn(kind), properties=to_struct(state)))


@pytest.fixture(scope="module")
def process() -> Iterator[tuple[Engine, subprocess.Popen[str]]]:
    started = subprocess.Popen([sys.executable, str(PLUGIN)], stdout=subprocess.PIPE, text=True)
    assert started.stdout
    engine = Engine(started.stdout.readline().strip())
    yield engine, started
    engine.channel.close()
    started.terminate()
    assert started.wait(timeout=3) == 0  # the engine waits five seconds at most for a plugin to end
    started.stdout.close()


@pytest.fixture
def engine(process: tuple[Engine, subprocess.Popen[str]], stand_in: Running) -> Engine:
    process[0].configure(
        url=stand_in.url, auth=f"admin:{PASSWORD}", retries="1", retryWait="1", retryStatusCodes='["429", "5xx"]'
    )
    return process[0]


MODEL = {"uid": "dash", "title": "T", "panels": [{"id": 1, "title": "P"}]}


def test_the_plugin_says_its_version_and_wraps_its_secrets(engine: Engine) -> None:
    from google.protobuf.empty_pb2 import Empty

    assert engine.stub.GetPluginInfo(Empty()).version == "2.44.0"
    request = provider_pb2.CheckRequest(news=to_struct({"auth": "a:b", "url": "http://x", "retries": "x"}))
    checked = engine.stub.CheckConfig(request)
    assert SIGNATURE in checked.inputs.fields["auth"].struct_value.fields
    assert "retries" in checked.failures[0].reason


def test_unknown_resources_and_properties_are_refused(engine: Engine) -> None:
    request = provider_pb2.CheckRequest(urn="urn:pulumi:test::p::grafana:oss/team:Team::x")
    with pytest.raises(grpc.RpcError, match="has no resource grafana:oss/team:Team"):
        engine.stub.Check(request)
    failures = engine.check("Folder", {"title": "T", "colour": "red"}).failures
    assert [(each.property, "colour" in each.reason) for each in failures] == [("colour", True)]


@pytest.mark.parametrize(
    ("kind", "news", "wrong"),
    [
        ("Folder", {"title": "T", "uid": "with space"}, "uid"),
        ("Folder", {}, "title"),
        ("Dashboard", {"configJson": "[1]"}, "configJson"),
        ("Dashboard", {}, "configJson"),
        ("DataSource", {"name": "n"}, "type"),
        ("DataSource", {"type": "t", "jsonDataEncoded": '{"httpHeaderName1": "x"}'}, "jsonDataEncoded"),
        ("DataSource", {"type": "t", "secureJsonDataEncoded": '{"a": 1}'}, "secureJsonDataEncoded"),
        ("OrganizationPreferences", {"weekStart": "friday"}, "weekStart"),
    ],
)
def test_wrong_inputs_are_named(engine: Engine, kind: str, news: dict[str, Any], wrong: str) -> None:
    assert [each.property for each in engine.check(kind, news).failures] == [wrong]


def test_a_data_source_without_name_gets_one_and_keeps_it(engine: Engine) -> None:
    first = engine.inputs("DataSource", {"type": "prometheus"})
    assert first["name"].startswith("thing-") and len(first["name"]) == len("thing-") + 7
    assert first["__defaults"] == ["accessMode", "name"]
    again = engine.check("DataSource", {"type": "prometheus"}, olds=first | {"name": "thing-kept000"})
    assert from_struct(again.inputs)["name"] == "thing-kept000"


def test_a_preview_promises_only_what_is_known(engine: Engine) -> None:
    made, planned = engine.create("Folder", {"title": "T", "uid": "u"}, preview=True)
    assert (made, planned["uid"], planned["url"]) == ("", "u", UNKNOWN)
    assert engine.create("Folder", {"title": "T"}, preview=True)[1]["uid"] == UNKNOWN


def test_a_folder_from_creation_to_deletion(engine: Engine, stand_in: Running) -> None:
    wanted = {"title": "T", "uid": "life"}
    made, state = engine.create("Folder", wanted)
    assert made == "1:life"
    assert state == {
        "id": "1:life",
        "orgId": "1",
        "parentFolderUid": "",
        "preventDestroyIfNotEmpty": False,
        "title": "T",
        "uid": "life",
        "url": f"{stand_in.url}/dashboards/f/life/t",
    }
    assert not engine.diff("Folder", state, wanted).diffs
    state = engine.update("Folder", made, state, wanted | {"title": "U"})
    assert state["title"] == "U"
    engine.delete("Folder", made, state)
    engine.delete("Folder", made, state)
    assert engine.read("Folder", made, state, wanted).id == ""


def test_a_folder_that_must_be_empty_is_not_deleted_with_a_dashboard_in_it(engine: Engine) -> None:
    made, state = engine.create("Folder", {"title": "Full", "uid": "full", "preventDestroyIfNotEmpty": True})
    dashboard, inner = engine.create("Dashboard", {"configJson": json.dumps(MODEL), "folder": made})
    assert inner["folder"] == "full"
    with pytest.raises(grpc.RpcError, match=r"is not empty .* \['T'\]"):
        engine.delete("Folder", made, state)
    engine.delete("Dashboard", dashboard, inner)
    engine.delete("Folder", made, state)


def test_a_child_folder_moves(engine: Engine) -> None:
    parent, above = engine.create("Folder", {"title": "Parent", "uid": "parent"})
    child, state = engine.create("Folder", {"title": "Child", "uid": "child", "parentFolderUid": "parent"})
    assert state["parentFolderUid"] == "parent"
    assert engine.diff("Folder", state, {"title": "Child", "uid": "child"}).diffs == ["parentFolderUid"]
    state = engine.update("Folder", child, state, {"title": "Child", "uid": "child"})
    assert state["parentFolderUid"] == ""
    engine.delete("Folder", child, state)
    engine.delete("Folder", parent, above)


def test_import_takes_a_bare_uid_and_returns_inputs(engine: Engine) -> None:
    made, state = engine.create("Folder", {"title": "T", "uid": "adopted"})
    found = engine.read("Folder", "adopted", {}, {})
    assert found.id == "1:adopted"
    assert from_struct(found.inputs) == {"__defaults": [], "orgId": "1", "title": "T", "uid": "adopted"}
    engine.delete("Folder", made, state)


def test_a_dashboards_uid_replaces_and_formatting_does_not_differ(engine: Engine) -> None:
    wanted = {"configJson": json.dumps(MODEL, indent=2), "message": "why"}
    made, state = engine.create("Dashboard", wanted)
    assert state["version"] == 1 and isinstance(state["dashboardId"], int)
    assert state["__meta"] == '{"schema_version":"1"}'
    assert not engine.diff("Dashboard", state, wanted).diffs
    other = engine.diff("Dashboard", state, wanted | {"configJson": json.dumps(MODEL | {"uid": "other"})})
    assert (list(other.replaces), other.deleteBeforeReplace) == (["configJson"], False)
    assert list(engine.diff("Dashboard", state, wanted | {"message": "new"}).diffs) == ["message"]
    assert not engine.diff("Dashboard", state, wanted | {"folder": "0"}).diffs
    state = engine.update("Dashboard", made, state, wanted | {"message": "new"})
    assert (state["version"], state["message"]) == (2, "new")
    engine.delete("Dashboard", made, state)


def test_a_refresh_shows_what_changed_by_hand(engine: Engine, stand_in: Running) -> None:
    inputs = engine.inputs("Dashboard", {"configJson": json.dumps(MODEL)})
    made, state = engine.create("Dashboard", {"configJson": json.dumps(MODEL)})
    same = engine.read("Dashboard", made, state, inputs)
    assert from_struct(same.inputs) == inputs
    httpx.post(
        f"{stand_in.url}/api/dashboards/db",
        json={"dashboard": MODEL | {"title": "By hand"}, "overwrite": True},
        auth=stand_in.auth,
    ).raise_for_status()
    changed = from_struct(engine.read("Dashboard", made, state, inputs).properties)
    assert json.loads(changed["configJson"])["title"] == "By hand"
    assert list(engine.diff("Dashboard", changed, {"configJson": json.dumps(MODEL)}).diffs) == ["configJson"]
    engine.delete("Dashboard", made, state)


def test_state_of_the_official_plugin_is_no_difference(engine: Engine) -> None:
    """State with the bookkeeping that the official plugin adds, as it was seen."""
    folder = {
        "__pulumi_raw_state_delta": {"obj": {}},
        "id": "1:f",
        "orgId": "1",
        "parentFolderUid": "",
        "preventDestroyIfNotEmpty": False,
        "title": "T",
        "uid": "f",
        "url": "http://g/dashboards/f/f/t",
    }
    assert not engine.diff("Folder", folder, {"title": "T", "uid": "f"}).diffs
    source = {
        "__meta": '{"schema_version":"1"}',
        "__pulumi_raw_state_delta": {"obj": {}},
        "id": "1:s",
        "accessMode": "proxy",
        "isDefault": True,
        "jsonDataEncoded": '{"httpMethod":"POST"}',
        "name": "S",
        "orgId": "1",
        "type": "prometheus",
        "uid": "s",
        "url": "http://p",
    }
    wanted = {
        "name": "S",
        "type": "prometheus",
        "uid": "s",
        "url": "http://p",
        "jsonDataEncoded": '{"httpMethod": "POST"}',
    }
    assert not engine.diff("DataSource", source, wanted).diffs


def test_a_data_source_keeps_its_secrets_wrapped(engine: Engine, stand_in: Running) -> None:
    wanted = {
        "name": "S",
        "uid": "secretive",
        "type": "prometheus",
        "url": "http://p",
        "secureJsonDataEncoded": '{"basicAuthPassword": "sesame"}',
        "httpHeaders": {"X-Team": "blue"},
    }
    inputs = to_struct(engine.inputs("DataSource", wanted))
    reply = engine.stub.Create(provider_pb2.CreateRequest(urn=engine.urn("DataSource"), properties=inputs))
    for name in ("secureJsonDataEncoded", "httpHeaders"):
        assert SIGNATURE in reply.properties.fields[name].struct_value.fields
    state = from_struct(reply.properties)
    assert state["secureJsonDataEncoded"] == '{"basicAuthPassword":"sesame"}'
    assert state["jsonDataEncoded"] == "{}"
    found = httpx.get(f"{stand_in.url}/api/datasources/uid/secretive", auth=stand_in.auth).json()
    assert found["jsonData"] == {"httpHeaderName1": "X-Team"}
    assert found["secureJsonFields"] == {"basicAuthPassword": True, "httpHeaderValue1": True}
    assert not engine.diff("DataSource", state, wanted).diffs
    renamed = engine.update("DataSource", reply.id, state, wanted | {"name": "R"})
    assert (renamed["name"], renamed["uid"]) == ("R", "secretive")
    engine.delete("DataSource", reply.id, state)


def test_a_named_data_source_is_deleted_before_it_is_replaced(engine: Engine) -> None:
    state = {"name": "S", "type": "t", "uid": "old", "accessMode": "proxy"}
    named = engine.diff("DataSource", state, {"name": "S", "type": "t", "uid": "new"})
    assert (list(named.replaces), named.deleteBeforeReplace) == (["uid"], True)
    automatic = engine.diff("DataSource", state, {"type": "t", "uid": "new"})
    assert (list(automatic.replaces), automatic.deleteBeforeReplace) == (["uid"], False)


def test_the_default_source_never_stops_being_it() -> None:
    kind = DataSource()
    assert not kind.differs("isDefault", {"isDefault": True}, {"isDefault": False})
    assert kind.differs("isDefault", {"isDefault": False}, {"isDefault": True})


def test_errors_carry_the_call_and_grafanas_message(engine: Engine) -> None:
    made, state = engine.create("Folder", {"title": "T", "uid": "taken"})
    with pytest.raises(grpc.RpcError, match=r"failed to create folder: \[POST /folders\]\[409\] .*same uid"):
        engine.create("Folder", {"title": "T", "uid": "taken"})
    engine.delete("Folder", made, state)


def test_without_url_or_auth_each_operation_says_so(engine: Engine) -> None:
    engine.configure(auth="a:b")
    with pytest.raises(grpc.RpcError, match="Set the auth and url provider attributes"):
        engine.create("Folder", {"title": "T"})


def test_an_object_that_was_made_but_not_read_stays_in_the_state(engine: Engine, stand_in: Running) -> None:
    stand_in.wrap = does_nothing("GET", "/api/folders/half", 403, {"message": "not yours"})
    with pytest.raises(grpc.RpcError) as failed:
        engine.create("Folder", {"title": "T", "uid": "half"})
    stand_in.wrap = None
    trailing: dict[str, bytes] = dict(cast(Any, failed.value).trailing_metadata())
    details = trailing["grpc-status-details-bin"]
    assert b"ErrorResourceInitFailed" in details and b"1:half" in details
    engine.delete("Folder", "1:half", {"uid": "half"})


def test_retries_follow_the_status_codes(stand_in: Running) -> None:
    seen: list[str] = []
    stand_in.wrap = does_nothing("GET", "/api/org", 503, {"message": "later"}, seen=seen)
    client = api(url=stand_in.url, auth="admin:x", retries=2, retryWait=0, retryStatusCodes=["503"])
    client.stopping.wait = lambda timeout=None: False  # type: ignore[method-assign]  # no waiting in a test
    with pytest.raises(ApiError, match=r"\[GET /org\]\[503\]"):
        client.call("GET", "/org", org=1)
    assert len(seen) == 3
    stand_in.wrap = does_nothing("GET", "/api/org", 401, {"message": "no"}, seen=seen)
    with pytest.raises(ApiError, match=r"\[GET /org\]\[401\]"):
        client.call("GET", "/org", org=1)
    assert len(seen) == 4
    stand_in.wrap = None


def test_addresses_keep_a_sub_path_once() -> None:
    assert api(url="http://g/sub/", auth="a:b").address("/sub/d/x") == "http://g/sub/d/x"
    assert api(url="http://g", auth="a:b").address("/d/x") == "http://g/d/x"


def test_the_plugin_prints_its_path() -> None:
    done = subprocess.run([HERE.parent / "plugin"], capture_output=True, text=True, check=True)
    assert Path(done.stdout.strip()) == PLUGIN
