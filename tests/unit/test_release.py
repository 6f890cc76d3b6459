"""One-shot containers, the configuration releases before all: when they run again, and what a failure holds back."""

from collections.abc import Mapping
from typing import Any

import pulumi
import pytest

import desired_state
from clients.probes import ContainerState
from components.config_rollout import ConfigRollout, ConfigRolloutArgs
from components.container import ContainerSpec, HealthCheck, run_container
from components.docker_host import DockerHost
from components.job import JobSpec, run_job
from components.secret_files import SecretFiles, SecretFilesArgs
from stacks.settings import Settings, load_settings
from tests.unit.pulumi_recorder import CONTAINER, Computed, Recorded, Run, identity, run

RELEASE = desired_state.ConfigRevision(
    files={"app.yml": "a: 1\n", "rules/x.yml": "b: 2\n"}, hash="0a1b2c", confirmation="424242"
)
SHOT = "app-release"
STAGER = "app-secrets"
NAME = "softfactory-app-release"


@pytest.fixture(scope="module")
def settings() -> Settings:
    return load_settings("staging")


def ended(name: str, exit_code: int = 0, *, running: bool = False) -> dict[str, ContainerState]:
    return {
        name: ContainerState(
            name=name,
            id="f00d" * 16,
            running=running,
            paused=False,
            health="",
            started=None,
            exit_code=exit_code,
        )
    }


def deploy(
    settings: Settings,
    *,
    loaded: str = "",
    seen: Mapping[str, ContainerState] | None = None,
    preview: bool = False,
    computed: Computed | None = None,
) -> Run:
    """A service with a secret and a release, and a container of another service beside it."""

    def program() -> None:
        engine = DockerHost.create(settings, seen or {})
        parent = pulumi.ComponentResource("test:app", "app-parent")
        secrets = SecretFiles(
            STAGER,
            SecretFilesArgs(engine=engine, service="app", image="grafana", user="7:7", files={"word": "planted"}),
        )
        volume = engine.volume("app", "config", parent)
        service = ContainerSpec(
            name="app",
            image="prometheus",
            user="7:7",
            command=("--x",),
            secrets=secrets.volume,
            health=HealthCheck.http(1, "/"),
        )
        release = ConfigRollout(
            SHOT,
            ConfigRolloutArgs(
                engine=engine,
                service=service,
                release=RELEASE,
                home="/etc/app",
                url="http://app:1",
                volume=volume,
                loaded=loaded,
                secrets=secrets,
            ),
        )
        run_container(service, engine, parent, depends_on=[release.completed])
        run_container(
            ContainerSpec(name="other", image="redis", user="7:7", health=HealthCheck.http(1, "/")), engine, parent
        )

    return run(program, stack="staging", preview=preview, computed=computed)


def failing(name: str, exit_code: int = 1, logs: str = "") -> Computed:
    def computed(resource: Recorded) -> Mapping[str, Any]:
        if resource.type == CONTAINER and resource.name == name:
            return {"exitCode": exit_code, "containerLogs": logs}
        return {}

    return computed


def attempt(done: Run, name: str = SHOT) -> str:
    labels = {label["label"]: label["value"] for label in done.one(CONTAINER, name).inputs["labels"]}
    return str(labels["softfactory.previous-run"])


def runs_again(done: Run, name: str = SHOT) -> bool:
    """Whether a changed attempt label would count."""
    return "labels" not in done.one(CONTAINER, name).ignore_changes


def test_the_release_that_is_live_is_not_released_again(settings: Settings) -> None:
    done = deploy(settings, loaded=RELEASE.confirmation, seen=ended(NAME)).succeeded()
    assert not runs_again(done)


@pytest.mark.parametrize("loaded", ["", "171717"])
def test_while_another_release_is_live_every_update_tries_again(loaded: str, settings: Settings) -> None:
    done = deploy(settings, loaded=loaded, seen=ended(NAME)).succeeded()
    assert runs_again(done)


def test_a_failed_attempt_is_repeated_though_its_release_is_live(settings: Settings) -> None:
    # It ended after the service had loaded the release: the state would hold its exit code for ever.
    done = deploy(settings, loaded=RELEASE.confirmation, seen=ended(NAME, 143)).succeeded()
    assert runs_again(done)


def test_the_label_names_the_attempt_before(settings: Settings) -> None:
    assert attempt(deploy(settings)) == "first"
    assert attempt(deploy(settings, seen=ended(NAME, 1))) == "f00df00df00d"


def test_one_release_s_attempts_are_not_another_s(settings: Settings) -> None:
    done = deploy(settings, seen=ended("softfactory-other-release", 1)).succeeded()
    assert attempt(done) == "first"


def test_staged_secrets_stay_until_they_change(settings: Settings) -> None:
    done = deploy(settings, loaded="171717", seen=ended("softfactory-app-secrets")).succeeded()
    assert not runs_again(done, STAGER)
    failed = deploy(settings, loaded="171717", seen=ended("softfactory-app-secrets", 1)).succeeded()
    assert runs_again(failed, STAGER)


def test_a_failed_release_fails_the_update_in_the_checkers_words_and_holds_the_service_back(settings: Settings) -> None:
    words = "revision 0a1b2c: checking\nrule 1: parse error\nrevision 0a1b2c: FAILED: the checker rejected it\n"
    done = deploy(settings, computed=failing(SHOT, 1, words))
    assert isinstance(done.error, pulumi.RunError)
    assert "app-release failed (exit code 1)" in str(done.error)
    assert "rule 1: parse error" in str(done.error)
    assert not done.has(CONTAINER, "app")
    assert done.has(CONTAINER, "other"), "what does not depend on it goes on"


def test_a_failed_stager_fails_the_update_and_holds_back_what_reads_the_secret(settings: Settings) -> None:
    done = deploy(settings, computed=failing(STAGER, 1, "cp: no space left"))
    assert isinstance(done.error, pulumi.RunError) and "cp: no space left" in str(done.error)
    assert not done.has(CONTAINER, SHOT) and not done.has(CONTAINER, "app")
    assert done.has(CONTAINER, "other")


def test_a_failed_attempt_in_the_state_does_not_end_a_preview(settings: Settings) -> None:
    done = deploy(settings, preview=True, computed=failing(SHOT, 1, "parse error")).succeeded()
    assert done.has(CONTAINER, "app")


def test_a_preview_shows_the_service_whose_release_is_yet_to_come(settings: Settings) -> None:
    assert deploy(settings, preview=True).succeeded().has(CONTAINER, "app")


def test_the_service_comes_after_its_release_and_the_release_after_its_secrets(settings: Settings) -> None:
    done = deploy(settings).succeeded()
    assert f"Container {SHOT}" in done.one(CONTAINER, "app").depends_on
    assert f"Container {STAGER}" in done.one(CONTAINER, SHOT).depends_on
    order = [resource.name for resource in done.of(CONTAINER)]
    assert order.index(STAGER) < order.index(SHOT) < order.index("app")


def test_a_release_is_told_what_it_needs_to_know(settings: Settings) -> None:
    shot = deploy(settings).one(CONTAINER, SHOT)
    env = dict(line.split("=", 1) for line in shot.inputs["envs"])
    assert env["REVISION"] == RELEASE.hash and env["LOADED_MARKER"] == RELEASE.confirmation
    assert env["SECRETS"] == "word"
    assert env["SERVICE"] == "app" and env["HOME_DIR"] == "/etc/app" and env["URL"] == "http://app:1"
    uploads = {upload["file"]: upload["content"] for upload in shot.inputs["uploads"]}
    assert uploads[f"{env['IN']}/app.yml"] == "a: 1\n" and uploads[f"{env['IN']}/rules/x.yml"] == "b: 2\n"
    assert "timeout 90 sh /release/config_rollout.sh" in shot.inputs["command"][0]
    assert {mount["target"]: bool(mount.get("readOnly")) for mount in shot.inputs["mounts"]} == {
        "/etc/app": False,
        "/run/secrets": True,
    }
    assert shot.inputs["user"] == "7:7"


def test_secrets_that_were_staged_anew_are_looked_at_by_a_new_release(settings: Settings) -> None:
    done = deploy(settings)
    (staged,) = [line for line in done.one(CONTAINER, SHOT).inputs["envs"] if line.startswith("SECRETS_REVISION=")]
    assert (
        staged == f"SECRETS_REVISION={identity(done.one(CONTAINER, STAGER))}"
    )  # the stager's container, a new one each time


def test_every_variable_of_the_script_is_given(settings: Settings) -> None:
    from components.config_rollout import SCRIPT

    env = {line.split("=", 1)[0] for line in deploy(settings).one(CONTAINER, SHOT).inputs["envs"]}
    documented = {line.split()[1] for line in SCRIPT.splitlines() if line.startswith("#   ")}
    assert env == documented


def test_what_is_run_once_says_nothing_of_itself_where_it_printed_nothing(settings: Settings) -> None:
    def program() -> None:
        engine = DockerHost.create(settings, {})
        parent = pulumi.ComponentResource("test:app", "app-parent")
        shot = JobSpec(name="once", image="redis", user="7:7", command="false", env=[], uploads=[], mounts=[])
        pulumi.export("ran", run_job(shot, engine, parent).apply(lambda container: container.name))

    done = run(program, stack="staging", computed=failing("once", 2))
    assert str(done.error).strip() == "once failed (exit code 2):"
    assert run(program, stack="staging").succeeded().outputs["ran"] == "softfactory-once"
