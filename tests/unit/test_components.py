"""The parts of the program by themselves: what they refuse, what they depend on, and the end of an update."""

import os
import stat
import subprocess
from dataclasses import replace
from pathlib import Path

import httpx
import pulumi
import pytest

from components.container import ContainerSpec, HealthCheck
from components.demo import DemoArgs
from components.docker_host import DockerHost
from components.grafana_provisioning import GrafanaProvisioning, GrafanaProvisioningArgs
from components.secret_files import SCRIPT
from desired_state import DesiredState
from readiness.gate import readiness_gate
from stacks.images import OFFICIAL
from stacks.settings import ReadinessGate, Settings, load_settings
from tests.unit.fake_stack import FakeStack, nanoseconds
from tests.unit.pulumi_program import Program, deployed
from tests.unit.pulumi_recorder import IMAGE, STASH, Computed, Recorded, Run, Secret, run

SERVICE = ContainerSpec(
    name="app",
    image="redis",
    user="7:7",
    health=HealthCheck.http(80, "/"),
    command=("serve",),
    env={"A": "1"},
    ports={80: 8080},
    volumes={"/data": "app-data"},
    binds={"/host": "/"},
)


def engine(settings: Settings) -> DockerHost:
    """An engine for what is refused before anything is registered on it."""
    made: list[DockerHost] = []
    run(lambda: made.append(DockerHost.create(settings, {})))
    return made[0]


def test_a_health_check_over_http_asks_the_service_itself() -> None:
    assert HealthCheck.http(9090, "/-/ready").command == (
        "wget",
        "-q",
        "-O",
        "/dev/null",
        "http://127.0.0.1:9090/-/ready",
    )


def test_the_fingerprint_is_stable_and_of_the_image() -> None:
    assert SERVICE.replacement_hash("sha256:1") == replace(SERVICE).replacement_hash("sha256:1")
    assert SERVICE.replacement_hash("sha256:1") != SERVICE.replacement_hash("sha256:2")


@pytest.mark.parametrize(
    "changed",
    [
        replace(SERVICE, command=("serve", "--fast")),
        replace(SERVICE, entrypoint=("sh",)),
        replace(SERVICE, env={"A": "2"}),
        replace(SERVICE, ports={80: 8081}),
        replace(SERVICE, volumes={"/data": "app-data", "/more": "app-more"}),
    ],
)
def test_the_fingerprint_changes_with_what_makes_the_engine_replace_the_container(changed: ContainerSpec) -> None:
    assert changed.replacement_hash("sha256:1") != SERVICE.replacement_hash("sha256:1")


def test_the_fingerprint_stays_where_the_running_container_stays() -> None:
    assert replace(SERVICE, memory=512).replacement_hash("sha256:1") == SERVICE.replacement_hash("sha256:1")
    assert replace(SERVICE, env=dict(reversed({"A": "1", "B": "2"}.items()))).replacement_hash("x") == (
        replace(SERVICE, env={"A": "1", "B": "2"}).replacement_hash("x")
    )


def test_an_image_is_pulled_once_however_many_use_it() -> None:
    def program() -> None:
        one = DockerHost.create(load_settings("staging"), {})
        assert one.image("redis") is one.image("redis")

    assert len(run(program).succeeded().of(IMAGE)) == 1


def test_an_image_that_nobody_pinned_is_refused() -> None:
    with pytest.raises(KeyError, match="nginx"):
        engine(load_settings("staging")).image("nginx")


def test_a_demo_without_its_servers_is_refused() -> None:
    settings = load_settings("dev").model_copy(
        update={"exporters": load_settings("dev").exporters.model_copy(update={"redis": ()})}
    )
    with pytest.raises(ValueError, match=r"exporters\.postgres and exporters\.redis"):
        DemoArgs(engine=engine(settings), secrets={})


def test_what_grafanas_provider_logs_in_with_is_secret_whoever_made_it(program: "Program") -> None:
    def content() -> None:
        GrafanaProvisioning("content", GrafanaProvisioningArgs(auth="a-token", desired=program.desired, server=None))

    provider = run(content).succeeded().one("pulumi:providers:grafana", "grafana-api")
    assert provider.inputs["auth"] == Secret("a-token")


# The end of an update


def end(
    strictness: ReadinessGate,
    stack: FakeStack,
    program: Program,
    *,
    preview: bool = False,
    computed: Computed | None = None,
    fails: str = "",
) -> Run:
    """A run that only ends; `fails` is what deploying fails with before."""

    def deploy(_: str) -> str:
        if fails:
            raise pulumi.RunError(fails)
        return "deployed"

    def ends() -> None:
        endpoints = pulumi.Output.secret(stack.endpoints())
        after = [pulumi.Output.from_input("").apply(deploy)]
        settings = program.settings.model_copy(update={"verification": strictness})
        pulumi.export(
            "readiness", readiness_gate(replace(program.desired, settings=settings), endpoints, after, stack.client)
        )

    return run(ends, preview=preview, computed=computed)


@pytest.fixture
def program(monkeypatch: pytest.MonkeyPatch) -> Program:
    return Program("prod", monkeypatch)


def watched_is_down(stack: FakeStack) -> None:
    stack.targets[("softfactory-api", "prod-api-1")].update(health="down", lastError="no route to host")


@pytest.mark.parametrize("strictness", list(ReadinessGate))
def test_what_is_as_declared_is_live(strictness: ReadinessGate, program: Program) -> None:
    done = end(strictness, program.stack, program).succeeded()
    expected = program.desired.expected
    assert done.outputs["readiness"] == (
        f"{len(expected.targets)} targets, {len(expected.rules)} rules, {len(expected.datasources)} data sources, "
        f"{len(expected.dashboards)} dashboards: live"
    )
    assert [text for level, text in done.log if level == "warning"] == []


@pytest.mark.parametrize(
    ("strictness", "fails"), [(ReadinessGate.ALL, True), (ReadinessGate.STACK, False), (ReadinessGate.WARN, False)]
)
def test_what_is_only_watched_fails_a_strict_update_alone(
    strictness: ReadinessGate, fails: bool, program: Program
) -> None:
    watched_is_down(program.stack)
    done = end(strictness, program.stack, program)
    assert isinstance(done.error, pulumi.RunError) is fails
    told = str(done.error) if fails else "\n".join(text for level, text in done.log if level == "warning")
    assert "softfactory-api/prod-api-1: down: no route to host" in told


@pytest.mark.parametrize(
    ("strictness", "fails"), [(ReadinessGate.ALL, True), (ReadinessGate.STACK, True), (ReadinessGate.WARN, False)]
)
def test_the_stacks_own_parts_fail_an_update_unless_it_only_reports(
    strictness: ReadinessGate, fails: bool, program: Program
) -> None:
    del program.stack.dashboards[:2]
    program.stack.broken["/api/v1/targets"] = httpx.ConnectError("refused")
    done = end(strictness, program.stack, program)
    assert isinstance(done.error, pulumi.RunError) is fails
    if fails:
        assert "deployed, but not as declared (3 problems)" in str(done.error)
    else:
        assert done.outputs["readiness"].endswith("deployed, not verified (3 problems)")
        assert len([text for level, text in done.log if level == "warning"]) == 3


def test_a_failed_update_tells_what_is_only_watched_too(program: Program) -> None:
    watched_is_down(program.stack)
    del program.stack.dashboards[:2]
    assert "no route to host" in str(end(ReadinessGate.STACK, program.stack, program).error)


def test_the_end_of_an_update_waits_for_what_comes_late(program: Program) -> None:
    target = program.stack.targets[("redis", "prod-redis")]
    target["lastScrape"] = "0001-01-01T00:00:00Z"
    program.stack.haste = 1
    program.stack.on_sleep = lambda: target.update(lastScrape=nanoseconds(program.stack.now))
    assert end(ReadinessGate.ALL, program.stack, program).succeeded().outputs["readiness"].endswith(": live")
    assert 0 < program.stack.slept < 2


def leaving_out(resource: Recorded) -> dict[str, str]:
    """What the engine answers with --target: the state of before."""
    return {"input": "the plan of before"} if resource.type == STASH else {}


@pytest.mark.parametrize("strictness", list(ReadinessGate))
def test_an_update_that_left_something_out_is_not_judged_and_says_so(
    strictness: ReadinessGate, program: Program
) -> None:
    program.stack.dashboards.clear()
    done = end(strictness, program.stack, program, computed=leaving_out).succeeded()
    assert done.outputs["readiness"].endswith(": deployed in part, not verified")
    (warning,) = [text for level, text in done.log if level == "warning"]
    assert "--target left something out" in warning and "`pulumi up`" in warning
    assert program.stack.requests == [] and program.stack.listings == []


def test_a_preview_of_such_an_update_says_nothing_of_it(program: Program) -> None:
    done = end(ReadinessGate.ALL, program.stack, program, preview=True, computed=leaving_out).succeeded()
    assert [text for level, text in done.log if level == "warning"] == []


def test_a_plan_counts_as_deployed_once_all_of_it_is(program: Program) -> None:
    done = end(ReadinessGate.ALL, program.stack, program, fails="redis did not start")
    assert str(done.error) == "redis did not start"
    assert done.of(STASH) == [] and program.stack.requests == []


def test_no_resource_makes_pulumi_take_the_plan_for_a_dependent_of_a_target() -> None:
    (plan,) = deployed("prod").of(STASH)
    assert plan.depends_on == frozenset()


def test_whatever_is_asked_for_belongs_to_the_plan(program: Program, monkeypatch: pytest.MonkeyPatch) -> None:
    def hash_of(plan: DesiredState) -> object:
        monkeypatch.setattr(program, "desired", plan)
        monkeypatch.setattr(program, "settings", plan.settings)
        (stash,) = end(ReadinessGate.ALL, program.stack, program, preview=True).of(STASH)
        return stash.inputs["input"]

    desired = program.desired
    settings = desired.settings
    hashes = [
        hash_of(desired),
        hash_of(replace(desired, settings=settings.model_copy(update={"retention": "3d"}))),
        hash_of(replace(desired, dashboards={**desired.dashboards, "api": "{}"})),
        hash_of(replace(desired, datasources=desired.datasources[:1])),
        hash_of(replace(desired, prometheus=replace(desired.prometheus, files={"prometheus.yml": ""}))),
        hash_of(replace(desired, alertmanager=replace(desired.alertmanager, files={"alertmanager.yml": ""}))),
    ]
    monkeypatch.setitem(OFFICIAL, "redis-exporter", "docker.io/oliver006/redis_exporter:another")
    hashes.append(hash_of(desired))
    assert len(set(hashes)) == len(hashes)


def test_a_preview_asks_nobody(program: Program) -> None:
    program.stack.dashboards.clear()
    end(ReadinessGate.ALL, program.stack, program, preview=True).succeeded()
    assert program.stack.requests == [] and program.stack.listings == []


# The script that hands secrets over


class Stager:
    """Runs the script on folders instead of the container's paths; `chown` is noted, for a test need not be root."""

    def __init__(self, folder: Path) -> None:
        self.folder = folder
        self.secret_files = folder / "stage"
        self.secrets = folder / "secrets"
        for path in (self.secret_files, self.secrets, folder / "bin"):
            path.mkdir()
        chown = folder / "bin" / "chown"
        chown.write_text(f'#!/bin/sh\necho "$@" >> {folder}/chowned\n', encoding="utf-8")
        chown.chmod(0o755)

    def run(self, **files: str) -> "subprocess.CompletedProcess[str]":
        for path in self.secret_files.iterdir():
            path.unlink()
        for name, text in files.items():
            (self.secret_files / name).write_text(text, encoding="utf-8")
        return subprocess.run(
            ["sh", "-c", SCRIPT.replace("/stage", str(self.secret_files)).replace("/run/secrets", str(self.secrets))],
            env={"PATH": f"{self.folder}/bin:{os.environ['PATH']}", "OWNER": "472:0"},
            capture_output=True,
            text=True,
            timeout=10,
            check=False,
        )

    def there(self) -> dict[str, str]:
        return {path.name: path.read_text(encoding="utf-8") for path in self.secrets.iterdir()}


@pytest.fixture
def stager(tmp_path: Path) -> Stager:
    return Stager(tmp_path)


def test_staged_secrets_are_their_readers_alone(stager: Stager) -> None:
    assert stager.run(password="one", token="two").returncode == 0
    assert stager.there() == {"password": "one", "token": "two"}
    modes = {stat.S_IMODE(path.stat().st_mode) for path in stager.secrets.iterdir()}
    assert modes == {0o400}
    owned = (stager.folder / "chowned").read_text(encoding="utf-8").split("\n")
    assert sorted(line.split()[0] for line in owned if line) == ["472:0", "472:0"]


def test_a_staged_secret_is_changed_and_one_that_the_live_configuration_may_still_name_stays(stager: Stager) -> None:
    stager.run(password="one", token="two")
    done = stager.run(password="new")
    assert done.returncode == 0, done.stderr
    assert stager.there() == {"password": "new", "token": "two"}


def test_what_a_killed_stager_left_behind_does_not_stay(stager: Stager) -> None:
    (stager.secrets / ".new.password").write_text("half", encoding="utf-8")
    (stager.secrets / ".new.password").chmod(0)
    (stager.secrets / ".new.gone").write_text("half", encoding="utf-8")
    assert stager.run(password="whole").returncode == 0
    assert stager.there() == {"password": "whole"}


def test_a_stager_that_cannot_hand_over_fails_and_leaves_the_old_secret(stager: Stager) -> None:
    stager.run(password="old")
    (stager.folder / "bin" / "chown").write_text("#!/bin/sh\necho chown: not permitted >&2; exit 1\n", encoding="utf-8")
    done = stager.run(password="new")
    assert done.returncode != 0 and "not permitted" in done.stderr
    assert stager.there()["password"] == "old"
    assert "new" not in done.stdout + done.stderr
