"""What recovery takes away, what it leaves, and when it stops."""

import io
import sys
from typing import Any

import docker.errors
import httpx
import pytest
import requests

from clients.probes import AuthenticationError, ClientError, GrafanaAuth
from desired_state import DesiredState, build_desired_state
from ops import recover
from stacks.settings import load_settings
from tests.unit.factories import planned
from tests.unit.fake_stack import PASSWORD, FakeCommands, FakeStack, main

AUTH = GrafanaAuth(f"admin:{PASSWORD}")
GRAFANA = "http://127.0.0.1:3000"
FOLDER = "/api/folders/softfactory"
SOURCES = ["/api/datasources/uid/alertmanager", "/api/datasources/uid/prometheus"]


@pytest.fixture(scope="module")
def desired() -> DesiredState:
    return planned("dev")


@pytest.fixture
def stack(desired: DesiredState, monkeypatch: pytest.MonkeyPatch) -> FakeStack:
    made = FakeStack(desired)
    made.install(monkeypatch)
    made.networks = {"net-id": "softfactory"}
    return made


def known(stack: FakeStack, *without: str) -> list[dict[str, Any]]:
    """The state of the whole stack, without some ids or uids."""
    kinds = {
        recover.CONTAINER: [container["Id"] for container in stack.containers.values()],
        recover.NETWORK: list(stack.networks),
    }
    grafanas = {recover.FOLDER_TYPE: ["softfactory"], recover.DATASOURCE_TYPE: list(stack.datasources)}
    state = [{"type": "pulumi:pulumi:Stack"}]  # has neither id nor outputs
    state += [{"type": t, "id": id_} for t, ids in kinds.items() for id_ in ids if id_ not in without]
    outputs = [(t, uid) for t, uids in grafanas.items() for uid in uids if uid not in without]
    return [*state, *({"type": t, "id": f"1:{uid}", "outputs": {"uid": uid}} for t, uid in outputs)]


# The engine


def test_what_the_state_knows_stays(stack: FakeStack, desired: DesiredState) -> None:
    assert recover.remove_orphans(desired, known(stack)) == []
    assert stack.removed == []


def test_a_container_that_the_state_does_not_know_goes_with_its_nameless_volumes(
    stack: FakeStack, desired: DesiredState
) -> None:
    stack.containers["redis"]["State"]["Running"] = False
    assert recover.remove_orphans(desired, known(stack, "redis-id")) == ["container softfactory-redis"]
    assert stack.removed == ["container softfactory-redis force=True v=True"]


def test_a_container_may_write_what_it_has_before_it_goes(stack: FakeStack, desired: DesiredState) -> None:
    recover.remove_orphans(desired, known(stack, "prometheus-id", "postgres-id"))
    assert sorted(stack.stopped) == ["softfactory-postgres", "softfactory-prometheus"]


def test_the_network_goes_after_its_containers(stack: FakeStack, desired: DesiredState) -> None:
    removed = recover.remove_orphans(desired, [])
    assert len(removed) == len(stack.containers) + 1
    assert removed[-1] == stack.removed[-1] == "network softfactory"


def test_an_id_of_another_kind_of_resource_does_not_count(stack: FakeStack, desired: DesiredState) -> None:
    state = [*known(stack, "redis-id"), {"type": "docker:index/volume:Volume", "id": "redis-id"}]
    assert recover.remove_orphans(desired, state) == ["container softfactory-redis"]


def test_named_volumes_stay(stack: FakeStack, desired: DesiredState) -> None:
    stack.volumes = {
        "softfactory-grafana-data": {"softfactory.prefix": "softfactory", "softfactory.environment": "dev"}
    }
    recover.remove_orphans(desired, [])
    assert not [removed for removed in stack.removed if "volume" in removed]


def test_only_this_environment_is_looked_at_on_its_own_engine(stack: FakeStack) -> None:
    settings = load_settings("dev").model_copy(
        update={"name_prefix": "other", "docker_host": "tcp://engine.invalid:2376"}
    )
    recover.remove_orphans(build_desired_state(settings), known(stack))
    assert stack.hosts == ["tcp://engine.invalid:2376"]
    assert [asked["filters"] for asked in stack.listings] == [{"label": "softfactory.prefix=other"}] * 2
    assert stack.listings[0]["all"] is True


@pytest.mark.parametrize(
    "error",
    [
        docker.errors.APIError("500 Server Error"),
        requests.exceptions.ConnectionError("aborted"),
        FileNotFoundError("docker.sock"),
    ],
)
@pytest.mark.parametrize("when", ["engine_error", "remove_error"])
def test_an_engine_that_refuses_is_one_error(
    when: str, error: Exception, stack: FakeStack, desired: DesiredState
) -> None:
    setattr(stack, when, error)
    with pytest.raises(ClientError, match="engine") as caught:
        recover.remove_orphans(desired, [])
    assert str(error) in str(caught.value)


# Grafana


def clear(stack: FakeStack, desired: DesiredState, state: list[dict[str, Any]]) -> list[str]:
    with stack.client() as http:
        return recover.delete_untracked_grafana_objects(desired, state, GRAFANA, AUTH, http)


def test_what_the_state_knows_of_grafana_stays(stack: FakeStack, desired: DesiredState) -> None:
    assert clear(stack, desired, known(stack)) == []
    assert stack.requests == []


@pytest.mark.parametrize(
    ("unknown", "paths"),
    [
        (["softfactory"], [FOLDER]),
        (["prometheus"], [SOURCES[1]]),
        (["softfactory", "alertmanager", "prometheus"], [FOLDER, *SOURCES]),
    ],
)
def test_only_what_the_state_does_not_know_goes(
    unknown: list[str], paths: list[str], stack: FakeStack, desired: DesiredState
) -> None:
    assert clear(stack, desired, known(stack, *unknown)) == [f"{path} of Grafana" for path in paths]
    assert stack.removed == paths


def test_data_sources_that_are_not_of_the_plan_stay(stack: FakeStack, desired: DesiredState) -> None:
    stack.datasources["somebodys"] = {"uid": "somebodys", "name": "Loki", "type": "loki"}
    clear(stack, desired, [])
    assert stack.removed == [FOLDER, *SOURCES]


def test_what_is_not_there_was_not_removed(stack: FakeStack, desired: DesiredState) -> None:
    stack.folders.clear()
    stack.datasources.clear()
    stack.dashboards.clear()
    assert clear(stack, desired, []) == []


def test_a_folder_with_somebodys_dashboards_is_left_and_they_are_named(stack: FakeStack, desired: DesiredState) -> None:
    stack.dashboards += ["somebodys", "another"]
    with pytest.raises(ClientError, match="did not make: another, somebodys; move it to another folder"):
        clear(stack, desired, [])
    assert stack.removed == []
    (asked,) = stack.requests
    assert asked.url.params["folderUIDs"] == "softfactory"  # dashboards elsewhere are in nobody's way


@pytest.mark.parametrize(("path", "state"), [("/api/search", []), (SOURCES[0], ["prometheus", "alertmanager"])])
@pytest.mark.parametrize("error", [httpx.ConnectError("refused"), httpx.ReadTimeout("")])
def test_a_grafana_that_does_not_answer_is_one_error(
    path: str, state: list[str], error: Exception, stack: FakeStack, desired: DesiredState
) -> None:
    stack.broken[path] = error
    with pytest.raises(ClientError, match=f"Grafana does not answer at {GRAFANA}"):
        clear(stack, desired, known(stack, *state) if state else [])
    assert stack.removed == []


def test_a_grafana_with_another_password_is_asked_once(stack: FakeStack, desired: DesiredState) -> None:
    stack.password = "another"
    with pytest.raises(AuthenticationError):
        clear(stack, desired, [])
    assert len(stack.requests) == 1


# The command


class Recovery:
    """`python -m ops recover`, run where pulumi and the stack are fakes."""

    def __init__(self, stack: FakeStack, patch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]) -> None:
        self._patch, self._capsys = patch, capsys
        self.stack = stack
        self.commands = FakeCommands()
        self.commands.install(patch)
        self.commands.config = {"grafana_admin_password": PASSWORD}
        self.commands.state = known(stack)
        self.shown = ""  # on both streams
        patch.delenv("GRAFANA_AUTH", raising=False)

    def run(self, stack: str = "dev") -> int:
        code = main(self._patch, "recover", "--stack", stack)
        self.shown = "".join(self._capsys.readouterr())
        return code

    def steps(self) -> list[str]:
        """What pulumi was told to do, without its questions."""
        return [call.words[1] for call in self.commands.of("pulumi") if call.words[1] not in ("stack", "config")]


@pytest.fixture
def recovery(stack: FakeStack, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]) -> Recovery:
    return Recovery(stack, monkeypatch, capsys)


def test_after_a_killed_update_the_state_is_refreshed_and_the_stack_brought_up(recovery: Recovery) -> None:
    assert recovery.run() == 0
    assert recovery.steps() == ["cancel", "refresh", "up"]
    (refresh,) = recovery.commands.of("pulumi", "refresh")
    assert "--clear-pending-creates" in refresh.words
    assert recovery.stack.removed == [] and recovery.stack.requests == []


def test_a_container_in_the_way_is_told_and_gone_before_the_update(recovery: Recovery) -> None:
    recovery.commands.state = known(recovery.stack, "redis-id")
    assert recovery.run() == 0
    assert recovery.shown == "removed, it comes back: container softfactory-redis\n"
    assert recovery.stack.removed == ["container softfactory-redis force=True v=True"]


def test_a_lost_state_has_nothing_to_refresh(recovery: Recovery) -> None:
    recovery.commands.state = None
    recovery.commands.ups = [255]
    assert recovery.run() == 0
    assert recovery.steps() == ["cancel", "up", "up"]
    assert recovery.stack.removed[-3:] == [FOLDER, *SOURCES]
    assert f"removed, it comes back: {FOLDER} of Grafana" in recovery.shown


def test_an_update_that_fails_twice_is_the_commands_own_failure(recovery: Recovery) -> None:
    recovery.commands.state = None
    recovery.commands.ups = [255, 3]
    assert recovery.run() == 3


def test_an_update_that_fails_though_nothing_is_in_its_way_ends_the_recovery(recovery: Recovery) -> None:
    recovery.commands.ups = [255]
    assert recovery.run() == 2
    assert recovery.shown == "the update failed for a reason of its own (above)\n"
    assert recovery.steps() == ["cancel", "refresh", "up"]


def test_an_engine_that_does_not_answer_ends_the_recovery_in_one_line(recovery: Recovery) -> None:
    recovery.stack.engine_error = FileNotFoundError("docker.sock")
    assert recovery.run() == 2
    assert recovery.shown.startswith("the Docker engine does not answer") and recovery.shown.count("\n") == 1
    assert recovery.steps() == ["cancel", "refresh"]


def test_somebodys_dashboards_end_the_recovery_in_one_line(recovery: Recovery) -> None:
    recovery.commands.state = known(recovery.stack, "softfactory")
    recovery.commands.ups = [255]
    recovery.stack.dashboards.append("somebodys")
    assert recovery.run() == 2
    assert "somebodys" in recovery.shown and recovery.shown.count("\n") == 1
    assert recovery.stack.removed == []


@pytest.mark.parametrize("name", ["staging", "prod"])
def test_a_stack_that_is_not_dev_is_touched_only_after_a_yes(
    name: str, recovery: Recovery, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(sys, "stdin", io.StringIO("n\n"))
    assert recovery.run(name) == 1
    assert recovery.steps() == [] and recovery.stack.removed == []
    monkeypatch.setattr(sys, "stdin", io.StringIO("y\n"))
    assert recovery.run(name) == 0
    assert recovery.steps()[-1] == "up"


def test_a_stack_that_is_unknown_is_refused(recovery: Recovery) -> None:
    assert recovery.run("qa") == 2
    assert "expected one of: dev, prod, staging" in recovery.shown and recovery.commands.calls == []
