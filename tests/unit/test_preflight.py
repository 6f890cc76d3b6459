"""What must be found before anything is touched."""

import errno
import socket
from dataclasses import replace
from ipaddress import IPv4Address
from types import SimpleNamespace

import httpx
import pytest

from clients.probes import GrafanaAuth
from desired_state import DesiredState
from readiness import preflight
from stacks.settings import Ports
from tests.unit.factories import planned
from tests.unit.fake_stack import PASSWORD, FakeStack
from tests.unit.pulumi_program import Program

IS_FREE = preflight._is_free  # a fake stack has another, which binds nothing
Labels = dict[str, str] | None
NOT_OURS = pytest.mark.parametrize(
    "labels",
    [
        None,
        {},
        *({"softfactory.prefix": prefix} for prefix in ("other", "soft", "softfactory-e2e", "zoo", "SOFTFACTORY")),
    ],
    ids=lambda labels: "no labels" if labels is None else labels.get("softfactory.prefix", "none of ours"),
)


@pytest.fixture
def desired() -> DesiredState:
    return planned("dev")


@pytest.fixture
def stack(desired: DesiredState, monkeypatch: pytest.MonkeyPatch) -> FakeStack:
    made = FakeStack(desired)
    made.install(monkeypatch)
    return made


def stranger(
    stack: FakeStack, port: int, inner: str = "80/tcp", address: str = "127.0.0.1", labels: Labels = None
) -> None:
    """A running container that is not of this stack, with one published port."""
    stack.containers["stranger"] = {
        "Name": "/somebodys",
        "Config": {"Labels": labels},
        "State": {"Running": True},
        "NetworkSettings": {"Ports": {inner: [{"HostIp": address, "HostPort": str(port)}], "81/tcp": None}},
    }


def problems(stack: FakeStack, desired: DesiredState) -> list[str]:
    with stack.client() as http:
        return preflight.problems(desired, GrafanaAuth(desired.grafana_auth(PASSWORD)), http)


def test_a_good_start_has_no_obstacle(stack: FakeStack, desired: DesiredState) -> None:
    assert problems(stack, desired) == []


@NOT_OURS
def test_a_port_that_another_container_holds_is_named_with_its_holder(
    labels: Labels, stack: FakeStack, desired: DesiredState
) -> None:
    del stack.containers["grafana"]
    stranger(stack, desired.settings.ports.grafana, address="0.0.0.0", labels=labels)
    (problem,) = problems(stack, desired)
    assert problem.startswith("ports.grafana: 3000 on 127.0.0.1 is taken by the container somebodys")
    assert stack.paths("grafana") == []  # a stranger is not shown the password


@pytest.mark.parametrize(("inner", "address"), [("80/udp", "127.0.0.1"), ("80/tcp", "192.168.1.5")])
def test_the_same_number_elsewhere_is_no_obstacle(
    stack: FakeStack, desired: DesiredState, inner: str, address: str
) -> None:
    stranger(stack, desired.settings.ports.grafana, inner, address)
    assert problems(stack, desired) == []


@pytest.mark.parametrize("address", ["127.0.0.1", "192.168.1.5"])
def test_a_stack_on_all_addresses_is_in_the_way_of_every_holder(
    address: str, stack: FakeStack, desired: DesiredState
) -> None:
    """A port that a container only exposes is on no address."""
    stranger(stack, desired.settings.ports.prometheus, address=address)
    (problem,) = problems(stack, bound_to(desired, "0.0.0.0"))
    assert problem.startswith("ports.prometheus: 9090 on 0.0.0.0 is taken by the container somebodys")


def test_our_own_container_on_a_port_is_no_obstacle_beside_a_stranger_on_another(
    stack: FakeStack, desired: DesiredState
) -> None:
    stranger(stack, 1)
    assert problems(stack, desired) == []
    stack.containers["stranger"]["NetworkSettings"]["Ports"]["80/tcp"][0]["HostPort"] = desired.settings.ports.grafana
    (problem,) = problems(stack, desired)
    assert "3000 on 127.0.0.1 is taken by the container somebodys" in problem, "of two holders the stranger is named"


def test_a_port_that_a_program_of_this_machine_holds_is_named(
    stack: FakeStack, desired: DesiredState, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(preflight, "_is_free", IS_FREE)
    with socket.socket() as listener:
        listener.bind(("127.0.0.1", 0))
        listener.listen()
        free = Ports(prometheus=1, alertmanager=2, grafana=listener.getsockname()[1], api=3, inbox=4)
        settings = desired.settings.model_copy(update={"ports": free})
        found = problems(stack, replace(desired, settings=settings))
    assert "taken by another program" in next(problem for problem in found if problem.startswith("ports.grafana"))


@pytest.mark.parametrize(
    ("state", "taken"),
    [({"Running": False, "Restarting": True}, []), ({"Running": False}, ["ports.prometheus"])],
)
def test_a_container_of_ours_that_starts_again_and_again_holds_its_port_at_times(
    state: dict[str, bool], taken: list[str], stack: FakeStack, desired: DesiredState, monkeypatch: pytest.MonkeyPatch
) -> None:
    """Between two starts the listing has no port of it, while the engine may hold it already for the next one."""
    monkeypatch.setattr(preflight, "_is_free", lambda _, port: port != desired.settings.ports.prometheus)
    stack.containers["prometheus"]["State"] = state
    assert [problem.partition(":")[0] for problem in problems(stack, desired)] == taken


@pytest.mark.parametrize(
    ("reason", "free"), [(errno.EADDRINUSE, False), (errno.EACCES, True), (errno.EADDRNOTAVAIL, True), (0, True)]
)
def test_only_a_port_in_use_is_taken(reason: int, free: bool, monkeypatch: pytest.MonkeyPatch) -> None:
    class Socket:
        def __enter__(self) -> "Socket":
            return self

        def __exit__(self, *_: object) -> None: ...

        def setsockopt(self, *_: int) -> None: ...

        def bind(self, _: tuple[str, int]) -> None:
            if reason:
                raise OSError(reason, "as the system puts it")

    faked = {name: getattr(socket, name) for name in ("AF_INET", "SOCK_STREAM", "SOL_SOCKET", "SO_REUSEADDR")}
    monkeypatch.setattr(preflight, "socket", SimpleNamespace(socket=lambda *_: Socket(), **faked))
    assert IS_FREE("127.0.0.1", 80) is free


def test_a_container_of_somebody_else_that_starts_again_and_again_does_not_hold_our_port(
    stack: FakeStack, desired: DesiredState, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(preflight, "_is_free", lambda _, port: port != desired.settings.ports.prometheus)
    stack.containers["prometheus"]["State"] = {"Running": False, "Restarting": True}
    stack.containers["prometheus"]["Config"]["Labels"] = {"softfactory.prefix": "other"}
    assert [problem.partition(":")[0] for problem in problems(stack, desired)] == ["ports.prometheus", "name_prefix"]


def test_this_machines_ports_say_nothing_of_an_engine_elsewhere(
    stack: FakeStack, desired: DesiredState, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(preflight, "_is_free", lambda *_: False)
    stack.engine_address = "http+docker://ssh"
    assert problems(stack, bound_to(desired, "10.0.0.5")) == []


def bound_to(desired: DesiredState, address: str) -> DesiredState:
    return replace(desired, settings=desired.settings.model_copy(update={"bind_address": IPv4Address(address)}))


@pytest.mark.parametrize("engine", ["http+docker://ssh", "http://engine.invalid:2375", "https://10.0.0.5:2376"])
@pytest.mark.parametrize("address", ["127.0.0.1", "127.1.2.3", "0.0.0.0"])
def test_where_an_engine_elsewhere_cannot_be_reached_is_the_one_obstacle_told(
    engine: str, address: str, stack: FakeStack, desired: DesiredState
) -> None:
    stack.engine_address = engine
    stack.missing_images = {desired.settings.images.reference("redis")}
    stack.volumes = {"softfactory-grafana-data": None}
    (problem,) = problems(stack, bound_to(desired, address))
    what = "all addresses" if address == "0.0.0.0" else "the loopback"
    assert problem.startswith(f"bind_address: {address} is {what} of the engine's own host")
    assert "give one address of that host" in problem
    assert stack.listings == [] and stack.requests == []


@pytest.mark.parametrize("engine", ["http+docker://ssh", "https://10.0.0.5:2376"])
def test_an_engine_elsewhere_with_an_address_of_its_own_is_looked_at(
    engine: str, stack: FakeStack, desired: DesiredState
) -> None:
    stack.engine_address = engine
    stack.volumes = {"softfactory-grafana-data": None}
    stranger(stack, desired.settings.ports.api, address="10.0.0.5")
    found = problems(stack, bound_to(desired, "10.0.0.5"))
    assert [problem.partition(":")[0] for problem in found] == ["ports.api", "name_prefix"]


@pytest.mark.parametrize(
    "engine", ["http+docker://localhost", "http+docker://localnpipe", "http://127.0.0.1:2375", "http://[::1]:2375"]
)
def test_every_way_to_the_engine_of_this_machine_reaches_its_loopback(
    engine: str, stack: FakeStack, desired: DesiredState
) -> None:
    stack.engine_address = engine
    assert problems(stack, desired) == []


def test_a_port_of_the_demo_is_not_asked_for_where_there_is_no_demo(
    stack: FakeStack, monkeypatch: pytest.MonkeyPatch
) -> None:
    staging = planned("staging")
    stranger(stack, staging.settings.ports.api)
    assert problems(stack, staging) == []


def test_an_image_that_is_nowhere_is_named(stack: FakeStack, desired: DesiredState) -> None:
    stack.missing_images = {desired.settings.images.reference("redis-exporter")}
    (problem,) = problems(stack, desired)
    assert "redis-exporter" in problem and "neither on the engine nor to be had from its registry" in problem
    assert "registry: manifest unknown; set images" in problem, "what the registry says, without the engine's own words"
    stack.registry_error = OSError("no route to host")
    (problem,) = problems(stack, desired)
    assert "registry: no route to host; set images" in problem


def test_an_image_that_its_registry_has_is_no_obstacle(stack: FakeStack, desired: DesiredState) -> None:
    stack.missing_images = {desired.settings.images.reference("redis-exporter")}
    stack.registry_error = None
    assert problems(stack, desired) == []


@pytest.mark.parametrize(
    ("labels", "owner"),
    [
        (None, "something that is not this project"),
        ({}, "something that is not this project"),
        ({"softfactory.environment": "dev"}, "something that is not this project"),
        (
            {"softfactory.prefix": "softfactory", "softfactory.environment": "prod"},
            "the prod environment softfactory",
        ),
        ({"softfactory.prefix": "soft", "softfactory.environment": "dev"}, "the dev environment soft"),
    ],
)
def test_a_volume_of_somebody_else_is_not_taken_over(
    stack: FakeStack, desired: DesiredState, labels: dict[str, str] | None, owner: str
) -> None:
    stack.volumes = {"softfactory-grafana-data": labels}
    (problem,) = problems(stack, desired)
    assert problem.startswith(f"name_prefix: the volume softfactory-grafana-data belongs to {owner}; choose")


def test_our_own_volume_and_one_of_a_longer_prefix_are_fine(stack: FakeStack, desired: DesiredState) -> None:
    stack.volumes = {
        "softfactory-grafana-data": {"softfactory.prefix": "softfactory", "softfactory.environment": "dev"},
        "softfactory-e2e-grafana-data": {"softfactory.prefix": "softfactory-e2e", "softfactory.environment": "dev"},
    }
    assert problems(stack, desired) == []


def test_a_volume_with_a_like_name_that_we_do_not_make_is_nobodys_business(
    stack: FakeStack, desired: DesiredState
) -> None:
    stack.volumes = {"softfactory-app_db": None}
    assert problems(stack, desired) == []


def test_a_wrong_grafana_password_is_tried_once(stack: FakeStack, desired: DesiredState) -> None:
    stack.password = "what the kept database has"
    (problem,) = problems(stack, desired)
    assert problem.startswith("Grafana refuses the credentials (401)")
    assert "`pulumi config set --secret grafana_admin_password`" in problem
    assert "`make rotate-secret SECRET=grafana_admin_password`" in problem
    assert stack.paths("grafana") == ["/api/org"]


def test_without_an_engine_there_is_one_problem(stack: FakeStack, desired: DesiredState) -> None:
    stack.engine_error = OSError("no such file")
    (problem,) = problems(stack, desired)
    assert problem.startswith("the Docker engine does not answer at")
    assert problem.endswith("start it, or give its address (docker_host in the settings, or DOCKER_HOST)")


@pytest.mark.parametrize(
    ("state", "said"), [({"Running": False}, "exited"), ({"Running": True, "Paused": True}, "paused")]
)
def test_a_grafana_that_somebody_stopped_is_named_with_what_starts_it(
    state: dict[str, bool], said: str, stack: FakeStack, desired: DesiredState
) -> None:
    stack.containers["grafana"]["State"] = state
    stack.broken["/api/org"] = httpx.ConnectError("refused")
    (problem,) = problems(stack, desired)
    assert problem.startswith(f"grafana: its container is {said}")
    assert problem.endswith(
        {"exited": "`docker start softfactory-grafana`"}.get(said, "`docker unpause softfactory-grafana`")
    )


@pytest.mark.parametrize(
    ("answer", "told"),
    [
        (httpx.Response(500, text="database is locked"), "answers 500 at http://127.0.0.1:3000/api/org: database is"),
        (httpx.Response(412, text="no"), "answers 412 at http://127.0.0.1:3000/api/org: no"),
        (httpx.ReadTimeout("timed out"), "does not answer at http://127.0.0.1:3000/api/org: timed out"),
    ],
)
def test_an_own_grafana_that_is_not_well_is_named_with_what_restarts_it(
    answer: httpx.Response | Exception, told: str, stack: FakeStack, desired: DesiredState
) -> None:
    stack.broken["/api/org"] = answer
    (problem,) = problems(stack, desired)
    assert problem.startswith(f"grafana: Grafana {told}")
    assert problem.endswith("see `docker logs softfactory-grafana`, then `docker restart softfactory-grafana`")
    assert stack.paths("grafana") == ["/api/org"]


@pytest.mark.parametrize("state", [{"Health": {"Status": "starting"}}, {"Restarting": True, "Running": False}])
def test_an_own_grafana_that_is_just_starting_is_the_updates_business(
    state: dict[str, object], stack: FakeStack, desired: DesiredState
) -> None:
    stack.containers["grafana"]["State"].update(state)
    stack.broken["/api/org"] = httpx.ConnectError("refused")
    assert problems(stack, desired) == []


def test_any_other_stopped_container_is_the_business_of_the_updates_end(
    stack: FakeStack, desired: DesiredState
) -> None:
    stack.containers["redis-exporter-redis"]["State"] = {"Running": False}
    assert problems(stack, desired) == []


@NOT_OURS
@pytest.mark.parametrize("running", [True, False])
def test_a_container_of_somebody_else_with_our_name_is_named(
    running: bool, labels: Labels, stack: FakeStack, desired: DesiredState
) -> None:
    stack.containers["redis"]["Config"]["Labels"] = labels
    stack.containers["redis"]["State"] = {"Running": running}
    (problem,) = problems(stack, desired)
    assert problem.startswith("name_prefix: the container softfactory-redis is not of this stack")


def test_no_container_of_the_engine_is_asked_by_itself(stack: FakeStack, desired: DesiredState) -> None:
    assert problems(stack, desired) == []
    assert stack.listings == [{"all": True, "sparse": True}]


@pytest.mark.parametrize("preview", [True, False])
def test_obstacles_end_the_program_before_anything_is_registered(
    preview: bool, monkeypatch: pytest.MonkeyPatch
) -> None:
    program = Program("dev", monkeypatch)
    program.stack.missing_images = {program.settings.images.reference("redis")}
    program.stack.volumes = {"softfactory-prometheus-data": None}
    done = program.run(preview=preview)
    assert str(done.error).startswith("nothing was changed, because the update could not succeed:")
    assert str(done.error).count("\n") == 2
    assert done.resources == []
