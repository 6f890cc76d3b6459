"""The whole program, per environment, with everything that it registers."""

import json
import re
from typing import Any

import httpx
import pulumi
import pytest

from readiness.load import GENERATED
from stacks.images import OFFICIAL
from stacks.settings import VolumePolicy
from tests.unit import pulumi_recorder
from tests.unit.factories import planned
from tests.unit.pulumi_program import SECRETS, Program, deployed
from tests.unit.pulumi_recorder import (
    CONTAINER,
    DASHBOARD,
    DATASOURCE,
    FOLDER,
    IMAGE,
    NETWORK,
    PREFERENCES,
    STASH,
    UNKNOWN,
    VOLUME,
    Recorded,
    Run,
    Secret,
    plain,
    texts,
)

ENVIRONMENTS = ("dev", "staging", "prod")
RELEASES = {"prometheus-release", "alertmanager-release"}
SERVICES = {name: planned(name).expected.services for name in ENVIRONMENTS}
STAGERS = {name: {f"{service}-secrets" for service in planned(name).secrets} for name in ENVIRONMENTS}
DATA = {
    "dev": {f"{name}-data" for name in ("prometheus", "alertmanager", "grafana", "postgres", "elasticsearch")},
    "staging": {f"{name}-data" for name in ("prometheus", "alertmanager", "grafana")},
    "prod": {f"{name}-data" for name in ("prometheus", "alertmanager", "grafana")},
}
CONFIG = {
    "dev": {"prometheus-config", "alertmanager-config", "elasticsearch-config"},
    "staging": {"prometheus-config", "alertmanager-config"},
    "prod": {"prometheus-config", "alertmanager-config"},
}
PORTS = {"prometheus": {9090: 9090}, "alertmanager": {9093: 9093}, "grafana": {3000: 3000}}
DEV_PORTS = PORTS | {"api": {8000: 8000}, "inbox": {8025: 8025}}
HOST_ACCESS = {"node-exporter"}


@pytest.fixture(params=ENVIRONMENTS)
def environment(request: pytest.FixtureRequest) -> str:
    return str(request.param)


@pytest.fixture
def done(environment: str) -> Run:
    return deployed(environment)


def services(run: Run) -> list[Recorded]:
    """The long-running containers."""
    return [container for container in run.of(CONTAINER) if container.inputs.get("wait")]


def one_shots(run: Run) -> list[Recorded]:
    return [container for container in run.of(CONTAINER) if not container.inputs.get("wait")]


def names(resources: list[Recorded]) -> set[str]:
    assert len({resource.name for resource in resources}) == len(resources)
    return {resource.name for resource in resources}


def labels(resource: Recorded) -> dict[str, str]:
    return {label["label"]: label["value"] for label in plain(resource.inputs["labels"])}


def test_each_environment_has_its_parts_and_no_others(environment: str, done: Run) -> None:
    assert names(services(done)) == SERVICES[environment]
    assert names(one_shots(done)) == RELEASES | STAGERS[environment]
    volumes = {re.sub(r"-config-[0-9a-f]{8}$", "-config", name) for name in names(done.of(VOLUME))}  # of one image
    assert volumes == DATA[environment] | CONFIG[environment] | STAGERS[environment]
    assert names(done.of(NETWORK)) == {"network"}
    assert names(done.of(FOLDER)) == {"folder"}
    assert names(done.of(DATASOURCE)) == {"datasource-prometheus", "datasource-alertmanager"}
    assert names(done.of(DASHBOARD)) == {f"dashboard-{uid}" for uid in planned(environment).dashboards}
    assert names(done.of(PREFERENCES)) == {"home"}
    assert names(done.of(STASH)) == {"plan"}
    known = {CONTAINER, VOLUME, NETWORK, FOLDER, DATASOURCE, DASHBOARD, PREFERENCES, IMAGE, STASH}
    rest = {r.type for r in done.resources if r.custom} - known
    assert rest == {"pulumi:providers:docker", "pulumi:providers:grafana"}


def test_what_is_planned_is_what_is_placed(environment: str, done: Run) -> None:
    expected = planned(environment).expected
    assert names(services(done)) == expected.services
    assert {source.inputs["uid"] for source in done.of(DATASOURCE)} == expected.datasources
    assert {json.loads(page.inputs["configJson"])["uid"] for page in done.of(DASHBOARD)} == expected.dashboards


def test_names_on_the_engine_begin_with_the_prefix_and_are_there_once(done: Run) -> None:
    for type_ in (CONTAINER, VOLUME):
        found = [resource.inputs["name"] for resource in done.of(type_)]
        assert sorted(found) == sorted(f"softfactory-{resource.name}" for resource in done.of(type_))
        assert len(set(found)) == len(found)
    assert done.one(NETWORK, "network").inputs["name"] == "softfactory"


def test_everything_on_the_engine_carries_its_labels(environment: str, done: Run) -> None:
    for resource in [*done.of(CONTAINER), *done.of(VOLUME), *done.of(NETWORK)]:
        found = labels(resource)
        assert found["softfactory.project"] == "softfactory-monitoring"
        assert found["softfactory.prefix"] == "softfactory"
        assert found["softfactory.environment"] == environment
        assert found["softfactory.service"]
    for container in done.of(CONTAINER):
        assert labels(container)["softfactory.service"] == container.name


def test_everything_is_made_by_the_environments_own_provider_and_belongs_to_its_component(done: Run) -> None:
    for resource in done.resources:
        if resource.type in (CONTAINER, VOLUME, NETWORK, IMAGE):
            assert resource.provider == "engine", resource.name
        elif resource.custom and not resource.type.startswith("pulumi:"):
            assert resource.provider == "grafana-api", resource.name
        if resource.custom and resource.type in (CONTAINER, VOLUME, FOLDER, DATASOURCE, DASHBOARD, PREFERENCES):
            assert any(r.name == resource.parent and not r.custom for r in done.resources), resource.name


def test_long_running_containers_have_the_least_privilege(done: Run) -> None:
    for container in services(done):
        inputs, name = container.inputs, container.name
        assert inputs["readOnly"] is True, name
        assert re.fullmatch(r"[1-9][0-9]*:[0-9]+", inputs["user"]), name
        assert not inputs["capabilities"].get("adds"), name
        assert inputs.get("pidMode") == ("host" if name in HOST_ACCESS else None), name
        assert not inputs.get("privileged"), name
        for mount in inputs.get("mounts", []):
            assert mount["type"] == "volume" or (name in HOST_ACCESS and mount["readOnly"]), name
            assert "docker.sock" not in mount["source"]
        lax = {
            path: options
            for path, options in inputs["tmpfs"].items()
            if not {"nosuid", "nodev"} <= set(options.split(","))
        }
        assert lax == {}


def test_every_container_is_bounded_and_cut_off_from_privileges(done: Run) -> None:
    for container in done.of(CONTAINER):
        inputs, name = container.inputs, container.name
        assert inputs["capabilities"]["drops"] == ["ALL"], name
        # The engine itself adds the label where a container sees the host's processes.
        assert inputs["securityOpts"] == [*(["label=disable"] if name in HOST_ACCESS else []), "no-new-privileges"]
        assert 32 <= inputs["memory"] <= 2048, name
        assert inputs["memorySwap"] == inputs["memory"], name
        if name != "elasticsearch":  # its user is many a desktop's, whose own threads the kernel would count
            (nproc,) = inputs["ulimits"]
            assert nproc["name"] == "nproc" and 1000 < nproc["soft"] == nproc["hard"] <= 4096, name
        assert inputs["logDriver"] == "json-file", name
        assert int(inputs["logOpts"]["max-file"]) > 1 and inputs["logOpts"]["max-size"] == "10m", name
        assert inputs["networkMode"] == "bridge", name
        assert inputs["networksAdvanced"] == [{"name": "softfactory", "aliases": [name]}], name
        assert container.delete_before_replace, name
        assert not container.retain_on_delete, name


def test_only_the_stagers_of_secrets_are_root_and_may_only_hand_over(environment: str, done: Run) -> None:
    root = {c.name for c in done.of(CONTAINER) if c.inputs["user"].startswith("0")}
    assert root == STAGERS[environment]
    adding = {c.name: c.inputs["capabilities"].get("adds") for c in done.of(CONTAINER)}
    assert {name for name, adds in adding.items() if adds} == STAGERS[environment]
    assert {name: adding[name] for name in STAGERS[environment] if adding[name] != ["CAP_CHOWN"]} == {}


def test_the_engine_waits_until_a_service_is_healthy(done: Run) -> None:
    for container in services(done):
        check = container.inputs["healthcheck"]
        assert check["tests"][0] == "CMD" and len(check["tests"]) > 1, container.name
        assert set(check) >= {"interval", "timeout", "retries", "startPeriod"}, container.name
        span = int(check["interval"].rstrip("s")) * check["retries"]
        assert span < container.inputs["waitTimeout"] <= 600, container.name
        assert container.inputs["restart"] == "unless-stopped", container.name
    for container in one_shots(done):
        assert container.inputs["mustRun"] is False and container.inputs["restart"] == "no", container.name


def test_ports_are_published_on_loopback_only(environment: str, done: Run) -> None:
    published = {c.name: c.inputs.get("ports", []) for c in done.of(CONTAINER)}
    assert {
        name: {port["internal"]: port["external"] for port in ports} for name, ports in published.items() if ports
    } == (DEV_PORTS if environment == "dev" else PORTS)
    assert {port["ip"] for ports in published.values() for port in ports} == {"127.0.0.1"}


def test_images_are_pinned_and_containers_run_exactly_those(environment: str, done: Run) -> None:
    ids = {}
    for image in done.of(IMAGE):
        reference = image.inputs["name"]
        assert re.search(r":[^/:]*\d[^/:]*$", reference) and not reference.endswith(":latest"), reference
        ids[pulumi_recorder.answer(image)["imageId"]] = image
        assert image.inputs["keepLocally"] is (image.name != "image-demo"), image.name
    assert {c.inputs["image"] for c in done.of(CONTAINER)} <= set(ids)
    assert {image.name for image in done.of(IMAGE)} == {
        *(f"image-{key}" for key in planned(environment).images),
        *(("image-demo",) if environment == "dev" else ()),
    }
    for container in services(done):
        exporters = {server.container: server.image for server in planned(environment).settings.exporters.servers()}
        of = {"api": "demo", "inbox": "demo", **exporters}.get(container.name, container.name)
        assert ids[container.inputs["image"]].name == f"image-{of}"


def test_what_is_set_on_a_container_is_in_a_stable_order(done: Run) -> None:
    for container in done.of(CONTAINER):
        for key in ("envs",):
            assert container.inputs.get(key, []) == sorted(container.inputs.get(key, [])), container.name
        targets = [mount["target"] for mount in container.inputs.get("mounts", []) if mount["target"] != "/run/secrets"]
        assert targets == sorted(targets), container.name


def test_two_runs_register_the_same_and_verification_comes_after_everything_else(
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    program = Program("dev", monkeypatch)
    asked_before: dict[str, list[str]] = {}

    def note(resource: Recorded) -> dict[str, Any]:
        asked_before[resource.name] = [path for path in program.stack.paths("grafana") if path != "/api/org"]
        return {}

    always_run = program.run(computed=note).succeeded()
    assert {r.urn: r.inputs for r in always_run.resources} == {r.urn: r.inputs for r in deployed("dev").resources}
    assert "/api/datasources" in program.stack.paths("grafana")
    assert len(asked_before) > 30 and not any(asked_before.values())


def test_no_secret_is_anywhere_but_where_it_is_needed_and_marked(environment: str, done: Run) -> None:
    places: dict[str, set[tuple[str, str, bool]]] = {}
    for resource in done.resources:
        for path, text, secret in texts(resource.inputs):
            for name, value in SECRETS.items():
                if value in text:
                    where = (resource.name, re.sub(r"\[\d+\]", "", path), secret)
                    places.setdefault(name, set()).add(where)
    upload = ".uploads.content"
    expected = {
        "grafana_admin_password": {("grafana-secrets", upload, True), ("grafana-api", ".auth", True)},
        **{
            server.secret: {(f"{server.container}-secrets", upload, True)}
            for server in planned(environment).settings.exporters.servers()
            if server.secret
        },
    }
    if environment == "dev":
        expected["postgres_password"] |= {("postgres-secrets", upload, True), ("api-secrets", upload, True)}
        expected["redis_password"] |= {("redis-secrets", upload, True), ("api-secrets", upload, True)}
    else:
        expected |= {name: {("alertmanager-secrets", upload, True)} for name in planned(environment).routes.secrets}
    assert places == expected


def test_no_secret_is_told(done: Run) -> None:
    shown = [text for key, value in done.outputs.items() for _, text, secret in texts({key: value}) if not secret]
    for _, text in [*done.log, *(("output", text) for text in shown)]:
        assert not any(value in text for value in SECRETS.values()), text
    assert done.outputs["grafana_admin_password"] == Secret(SECRETS["grafana_admin_password"])
    assert done.outputs["readiness"].endswith(": live")


def test_a_release_shows_its_differences_and_no_service_hides_its_own(environment: str, done: Run) -> None:
    for container in done.of(CONTAINER):
        marked = {path for path, _, secret in texts(container.inputs) if secret}
        if container.name in STAGERS[environment]:
            assert [path for path in marked if not re.fullmatch(r"\.uploads\[\d+\]\.content", path)] == [], (
                container.name
            )
            assert len(marked) == len(container.inputs["uploads"]), container.name
            assert {upload["permissions"] for upload in container.inputs["uploads"]} <= {"0400"}, container.name
        else:
            assert not marked, container.name
    for name in RELEASES:
        files = {upload["file"] for upload in done.one(CONTAINER, name).inputs["uploads"]}
        assert "/release/config_rollout.sh" in files and len(files) > 2


def test_a_service_reads_its_secrets_from_its_own_volume_read_only(environment: str, done: Run) -> None:
    readers = {}
    for container in done.of(CONTAINER):
        for mount in container.inputs.get("mounts", []):
            if mount["target"] == "/run/secrets" and container.name not in STAGERS[environment]:
                assert mount["readOnly"], container.name
                readers[container.name] = mount["source"]
    expected = {name.removesuffix("-secrets"): f"softfactory-{name}" for name in STAGERS[environment]}
    expected["alertmanager-release"] = "softfactory-alertmanager-secrets"
    assert readers == expected


def test_secrets_are_staged_before_they_are_read(environment: str, done: Run) -> None:
    for name in STAGERS[environment]:
        service = done.one(CONTAINER, name.removesuffix("-secrets"))
        assert f"Container {name}" in service.depends_on or name == "alertmanager-secrets"
        stager = done.one(CONTAINER, name)
        owner = next(env for env in stager.inputs["envs"] if env.startswith("OWNER="))
        assert owner == f"OWNER={service.inputs['user']}"
    assert "Container alertmanager-secrets" in done.one(CONTAINER, "alertmanager-release").depends_on


def test_services_that_read_their_secrets_only_as_they_start_start_anew_with_new_ones(
    environment: str, done: Run
) -> None:
    found = {
        c.name: labels(c)["softfactory.secrets-revision"]
        for c in services(done)
        if "softfactory.secrets-revision" in labels(c)
    }
    exporters = {server.container for server in planned(environment).settings.exporters.servers() if server.secret}
    readers = exporters | ({"redis", "api"} if environment == "dev" else set())
    assert set(found) == readers
    assert len(set(found.values())) == len(readers), "each has a stager of its own"


def test_services_start_after_the_release_that_they_run(done: Run) -> None:
    for name in ("prometheus", "alertmanager"):
        assert f"Container {name}-release" in done.one(CONTAINER, name).depends_on


@pytest.mark.parametrize("release", sorted(RELEASES))
def test_a_refused_release_holds_every_container_back(release: str, monkeypatch: pytest.MonkeyPatch) -> None:
    def refused(resource: Recorded) -> dict[str, Any]:
        words = {"exitCode": 1, "containerLogs": "rule 1: parse error"}
        return words if (resource.type, resource.name) == (CONTAINER, release) else {}

    program = Program("dev", monkeypatch)  # which has all that the others have
    done = program.run(computed=refused)
    assert isinstance(done.error, pulumi.RunError) and "rule 1: parse error" in str(done.error)
    assert names(done.of(CONTAINER)) == RELEASES | {"alertmanager-secrets"}  # its release reads these
    assert content(done) == []
    assert "/api/datasources" not in program.stack.paths("grafana"), "there is nothing to verify"


def content(run: Run) -> list[Recorded]:
    return [resource for kind in (FOLDER, DATASOURCE, DASHBOARD, PREFERENCES) for resource in run.of(kind)]


@pytest.fixture(scope="module")
def other() -> Run:
    """A second dev stack on the same engine, which keeps its data."""
    with pytest.MonkeyPatch.context() as patch:
        return Program("dev", patch, name_prefix="other", volume_policy=VolumePolicy.RETAIN).run().succeeded()


def test_data_that_is_kept_is_kept(other: Run) -> None:
    assert {volume.name for volume in other.of(VOLUME) if volume.retain_on_delete} == DATA["dev"]
    # Grafana's database stays, so what is in it must really be taken out, or the next update would meet it.
    assert {resource.deleted_with for resource in content(other)} == {""}
    assert not any(resource.retain_on_delete for resource in content(other))


def test_the_fate_of_data_in_each_environment(environment: str, done: Run) -> None:
    kept = {volume.name for volume in done.of(VOLUME) if volume.retain_on_delete}
    assert kept == {"dev": set(), "staging": DATA["staging"], "prod": DATA["prod"]}[environment]
    with_the_server = {resource.deleted_with for resource in content(done)}
    assert with_the_server == {"dev": {"grafana"}, "staging": {""}, "prod": {""}}[environment]
    assert not any(resource.retain_on_delete for resource in content(done))


def test_nothing_of_a_volume_may_replace_it_later(done: Run) -> None:
    for volume in done.of(VOLUME):
        assert {"labels", "driver", "driverOpts"} <= set(volume.ignore_changes), volume.name


def test_grafana_is_asked_only_when_it_is_healthy_and_never_with_a_refused_password_again(done: Run) -> None:
    provider = done.one("pulumi:providers:grafana", "grafana-api")
    assert provider.inputs["url"] == "http://127.0.0.1:3000"
    statuses = plain(provider.inputs["retryStatusCodes"])
    statuses = json.loads(statuses) if isinstance(statuses, str) else statuses
    assert sorted(statuses) == ["429", "5xx"]
    for resource in content(done):
        assert "Container grafana" in resource.depends_on, resource.name
    for page in done.of(DASHBOARD):
        assert page.inputs["overwrite"] is True and page.inputs["folder"] == "softfactory"
    for source in done.of(DATASOURCE):
        assert source.inputs["uid"] == source.name.removeprefix("datasource-")


def test_grafana_opens_on_the_overview_once_it_has_it(done: Run) -> None:
    home = done.one(PREFERENCES, "home")
    assert home.inputs == {"homeDashboardUid": "overview"}
    assert "Dashboard dashboard-overview" in home.depends_on


def test_the_addresses_are_exported(environment: str, done: Run) -> None:
    addresses = {key: done.outputs.get(f"{key}_url") for key in ("prometheus", "alertmanager", "grafana", "api")}
    assert addresses == {
        "prometheus": "http://127.0.0.1:9090",
        "alertmanager": "http://127.0.0.1:9093",
        "grafana": "http://127.0.0.1:3000",
        "api": "http://127.0.0.1:8000" if environment == "dev" else None,
    }


def test_two_environments_on_one_engine_share_no_name(other: Run) -> None:
    def on_the_engine(done: Run, prefix: str) -> set[tuple[str, str]]:
        shared = {f"image-{key}" for key in OFFICIAL}  # pulled, kept, and the same for everybody
        found = [r for r in done.resources if r.type in (CONTAINER, VOLUME, NETWORK, IMAGE) and r.name not in shared]
        assert len(found) > 30
        assert {labels(r)["softfactory.prefix"] for r in found if r.type != IMAGE} == {prefix}
        return {(r.type, r.inputs["name"]) for r in found}

    assert not on_the_engine(deployed("dev"), "softfactory") & on_the_engine(other, "other")


def test_an_image_of_pulumis_configuration_wins(monkeypatch: pytest.MonkeyPatch) -> None:
    images = {"redis": "registry.internal/cache/redis:8.0.9", "python": "registry.internal/python:3.13.1"}
    done = Program("dev", monkeypatch).run(config={"images": json.dumps(images)}).succeeded()
    assert done.one(IMAGE, "image-redis").inputs["name"] == images["redis"]
    assert done.one(IMAGE, "image-postgres").inputs["name"] == OFFICIAL["postgres"]
    demo = done.one(IMAGE, "image-demo").inputs["build"]
    assert demo["buildArgs"]["BASE"] == images["python"]
    identity = pulumi_recorder.answer(done.one(IMAGE, "image-redis"))["imageId"]
    assert done.one(CONTAINER, "redis").inputs["image"] == identity


def test_images_of_pulumis_configuration_that_are_no_json_are_refused_in_our_words(
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    done = Program("dev", monkeypatch).run(config={"images": "{redis"})
    assert str(done.error).startswith(
        "images (in Pulumi's configuration): '{redis' is not JSON; write a mapping such as"
    )
    assert done.resources == []


@pytest.mark.parametrize(
    ("images", "told"),
    [({"no-such-image": "a:1"}, "no such image: no-such-image"), ({"redis": "redis:latest"}, "not pinned")],
)
def test_an_image_that_cannot_be_used_is_a_message_before_anything_is_registered(
    images: dict[str, str], told: str, monkeypatch: pytest.MonkeyPatch
) -> None:
    done = Program("dev", monkeypatch).run(config={"images": json.dumps(images)})
    assert isinstance(done.error, pulumi.RunError) and told in str(done.error)
    assert done.resources == []


def test_a_stack_without_a_settings_file_is_a_message(monkeypatch: pytest.MonkeyPatch) -> None:
    program = Program("dev", monkeypatch)
    program.environment = "qa"
    done = program.run()
    assert isinstance(done.error, pulumi.RunError)
    assert "stacks/qa.yaml; there are: dev, prod, staging" in str(done.error)
    assert done.resources == []


def test_a_secret_that_is_not_set_is_named_before_anything_is_registered(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.delitem(SECRETS, "redis_password")
    monkeypatch.delitem(SECRETS, "postgres_password")
    done = Program("dev", monkeypatch).run()
    assert isinstance(done.error, pulumi.RunError)
    for name in ("redis_password", "postgres_password"):
        assert f"pulumi config set --stack dev --secret {name}" in str(done.error)
    assert done.resources == []


@pytest.mark.parametrize(
    ("backend", "passphrase", "lost"),
    [
        (f"file://{GENERATED}/backend", "/home/me/passphrase", True),
        ("s3://state", f"{GENERATED}/passphrase", True),
        ("s3://state", "/home/me/passphrase", False),
        ("", f"{GENERATED}/passphrase", False),  # Pulumi's own service keeps the key
    ],
)
def test_no_state_or_key_of_prod_lies_in_this_folder(
    backend: str, passphrase: str, lost: bool, monkeypatch: pytest.MonkeyPatch
) -> None:
    prod = Program("prod", monkeypatch)
    monkeypatch.setenv("PULUMI_BACKEND_URL", backend)
    monkeypatch.setenv("PULUMI_CONFIG_PASSPHRASE_FILE", passphrase)
    if lost:
        done = prod.run()
        assert "prod is a production environment: set PULUMI_BACKEND_URL" in str(done.error) and done.resources == []
    else:
        prod.load_and_validate().succeeded()
    dev = Program("dev", monkeypatch)
    monkeypatch.setenv("PULUMI_BACKEND_URL", backend)
    dev.load_and_validate().succeeded()


def test_prometheus_looks_once_there_is_something_to_see() -> None:
    prometheus = deployed("dev").one(CONTAINER, "prometheus")
    exporters = {f"Container {server.container}" for server in planned().settings.exporters.servers()}
    assert exporters | {"Container node-exporter", "Container api"} <= set(prometheus.depends_on)


@pytest.mark.parametrize("value", ["planted-token", "hooks.invalid/planted", "https://u:planted@hooks.invalid/"])
def test_a_secret_that_should_be_an_address_and_is_none_is_named_and_not_shown(
    value: str, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setitem(SECRETS, "alerts_slack_webhook_url", value)
    done = Program("prod", monkeypatch).run()
    assert isinstance(done.error, pulumi.RunError)
    said = str(done.error)
    assert "pulumi config set --stack prod --secret alerts_slack_webhook_url" in said and "dead_mans_switch" not in said
    assert "planted" not in said and done.resources == []


def test_an_update_that_cannot_succeed_touches_nothing(monkeypatch: pytest.MonkeyPatch) -> None:
    program = Program("dev", monkeypatch)
    program.stack.missing_images = {OFFICIAL["redis"]}
    program.stack.password = "what the kept database has"
    done = program.run()
    assert isinstance(done.error, pulumi.RunError)
    assert "nothing was changed" in str(done.error)
    assert OFFICIAL["redis"] in str(done.error) and "refuses the credentials" in str(done.error)
    assert done.resources == [] and not any(value in str(done.error) for value in SECRETS.values())


def test_preview_verifies_nothing_and_registers_the_same(monkeypatch: pytest.MonkeyPatch) -> None:
    program = Program("dev", monkeypatch)
    preview = program.run(preview=True).succeeded()
    # Whether the password is right, and which release is live.
    assert program.stack.paths() == ["/api/org", "/api/v1/rules", "/metrics"]
    assert program.stack.slept == 0
    assert {resource.urn for resource in preview.resources} == {resource.urn for resource in deployed("dev").resources}
    assert preview.one(CONTAINER, "redis-exporter-redis").inputs["image"] is UNKNOWN


def test_a_stack_that_is_not_as_declared_fails_the_update(monkeypatch: pytest.MonkeyPatch) -> None:
    program = Program("staging", monkeypatch)
    program.stack.dashboards.remove("api")
    program.stack.containers["redis-exporter-staging-redis"]["State"]["Health"]["Status"] = "unhealthy"
    done = program.run()
    assert isinstance(done.error, pulumi.RunError)
    assert "deployed, but not as declared (2 problems)" in str(done.error)
    assert "dashboard api: Grafana does not have it" in str(done.error)
    assert "redis-exporter-staging-redis: its container is unhealthy" in str(done.error)


def test_what_is_only_watched_does_not_block_an_update(monkeypatch: pytest.MonkeyPatch) -> None:
    program = Program("prod", monkeypatch)
    key = next(key for key in program.stack.targets if key[0] == "softfactory-api")
    program.stack.targets[key].update(health="down", lastError="no route to host")
    done = program.run().succeeded()
    assert done.outputs["readiness"].endswith("deployed, not verified (1 problems)")
    (warning,) = [text for level, text in done.log if level == "warning"]
    assert "no route to host" in warning and "not verified" in warning


def test_strangers_on_its_ports_do_not_end_a_preview(monkeypatch: pytest.MonkeyPatch) -> None:
    program = Program("dev", monkeypatch)
    program.stack.broken = {
        "/api/v1/rules": httpx.Response(200, text="<html>"),
        "/metrics": httpx.Response(200, text="{}"),
    }
    program.run(preview=True).succeeded()
