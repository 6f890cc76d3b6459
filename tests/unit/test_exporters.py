"""The servers that the stack runs exporters for: any number of a kind, each with everything of its own."""

import json
from typing import Any, get_args

import pulumi
import pytest
import yaml

import components.exporters
from components.container import ContainerSpec
from components.exporters import postgres, redis
from dashboards import PAGES
from desired_state import DesiredState, InvalidStackError, build_desired_state
from rules import SERVICES
from rules.metrics import catalogues
from stacks.exporters import Exporters
from stacks.exporters.model import ExporterSettings
from stacks.exporters.postgres import PostgresExporterSettings
from stacks.exporters.redis import RedisExporterSettings
from stacks.images import OFFICIAL
from tests.checkers import ROOT
from tests.unit.factories import settings, values
from tests.unit.pulumi_program import SECRETS, Program
from tests.unit.pulumi_recorder import CONTAINER, VOLUME, Run, run, texts

KINDS: dict[str, type[ExporterSettings]] = {
    name: get_args(field.annotation)[0] for name, field in Exporters.model_fields.items()
}
ONE = {"address": "db-1.internal:5432", "instance": "db-1", "username": "monitoring", "database": "shop"}
TWO = {"address": "db-2.internal:5432", "instance": "db-2", "username": "monitoring", "database": "shop"}


def with_servers(**more: Any) -> dict[str, Any]:
    return {"exporters": {"postgres": [ONE, TWO], **more}}


def refused(**exporters: Any) -> tuple[str, ...]:
    with pytest.raises(InvalidStackError) as caught:
        build_desired_state(settings("staging", exporters=exporters))
    return caught.value.problems


@pytest.fixture(scope="module")
def two() -> DesiredState:
    return build_desired_state(settings("staging", **with_servers()))


# --- one service, one file of each layer -----------------------------------------------------------------------------


@pytest.mark.parametrize("kind", KINDS)
def test_a_kind_of_server_is_complete(kind: str) -> None:
    assert KINDS[kind].service == kind and KINDS[kind].__module__ == f"stacks.exporters.{kind}"
    assert components.exporters.SERVICES[kind].__name__ == f"components.exporters.{kind}"
    assert f"rules.{kind}" in {module.__name__ for module in SERVICES}
    assert f"dashboards.{kind}" in {page.__name__ for page in PAGES}
    assert f"{kind}-exporter" in OFFICIAL
    assert kind in catalogues()
    assert (ROOT / f"docs/runbooks/{kind}.md").is_file()


def test_each_file_of_an_exporter_is_registered() -> None:
    def files(folder: str, *others: str) -> set[str]:
        return {path.stem for path in (ROOT / folder).glob("*.py")} - {"__init__", "model", *others}

    assert files("stacks/exporters") == files("components/exporters", "node") == set(KINDS)
    assert set(components.exporters.SERVICES) == set(KINDS)


def test_an_instance_can_be_as_long_as_a_name_may_be() -> None:
    """A network alias is a DNS label of at most 63 characters."""
    for kind in KINDS.values():
        assert len(kind.model_construct(instance="a" * 40).container) <= 63


# --- two servers of a kind -------------------------------------------------------------------------------------------


def test_two_servers_have_two_targets(two: DesiredState) -> None:
    (job,) = (
        job
        for job in yaml.safe_load(two.prometheus.files["prometheus.yml"])["scrape_configs"]
        if job["job_name"] == "postgres"
    )
    assert job["static_configs"] == [
        {"targets": [f"postgres-exporter-{name}:9187"], "labels": {"instance": name, "service": "postgres"}}
        for name in ("db-1", "db-2")
    ]
    assert {("postgres", "db-1"), ("postgres", "db-2")} <= two.expected.targets
    assert two.expected.stack_targets["postgres", "db-2"] == "postgres-exporter-db-2"
    assert {"postgres-exporter-db-1", "postgres-exporter-db-2"} <= two.expected.services


def test_two_servers_have_two_secrets_that_only_their_own_exporters_read(two: DesiredState) -> None:
    assert {service: names for service, names in two.secrets.items() if service.startswith("postgres")} == {
        "postgres-exporter-db-1": ("db_1_password",),
        "postgres-exporter-db-2": ("db_2_password",),
    }
    assert {"db_1_password", "db_2_password"} <= set(two.secret_names)


def test_one_image_serves_all_exporters_of_a_kind(two: DesiredState) -> None:
    assert "postgres-exporter" in two.images and not any(key.endswith(("db-1", "db-2")) for key in two.images)


def test_an_alert_about_two_servers_may_come_from_each(two: DesiredState) -> None:
    for alert in two.alerts:
        if alert.service == "postgres" and "instance" in alert.when.signal.by:
            assert {"db-1", "db-2"} <= {labels["instance"] for labels in two.labels[alert]}, alert.name
    assert any(alert.service == "postgres" for alert in two.alerts)


def test_a_dashboard_offers_the_instances_that_its_job_has_whatever_they_are(two: DesiredState) -> None:
    one = build_desired_state(settings("staging", exporters={"postgres": [ONE]}))
    for made in (one, two):
        model = json.loads(made.dashboards["postgres"])
        (variable,) = (v for v in model["templating"]["list"] if v["name"] == "instance")
        assert variable["query"] == 'label_values(up{job=~"postgres"}, instance)'
        assert variable["multi"] and variable["includeAll"]
        queries = [target["expr"] for panel in model["panels"] for target in panel.get("targets", ())]
        assert queries and all('instance=~"$instance"' in query for query in queries)
    assert one.dashboards["postgres"] == two.dashboards["postgres"]


@pytest.fixture(scope="module")
def deployed() -> Run:
    with pytest.MonkeyPatch.context() as patch:
        for name in ("db_1_password", "db_2_password"):
            patch.setitem(SECRETS, name, f"planted-{name}")
        changed = Exporters.model_validate(
            {**values()["exporters"], "postgres": [*values()["exporters"]["postgres"], ONE]}
        )
        return Program("dev", patch, exporters=changed).run().succeeded()


def test_a_second_server_has_an_exporter_and_a_password_file_of_its_own(deployed: Run) -> None:
    own, other = (deployed.one(CONTAINER, f"postgres-exporter-{name}") for name in ("postgres", "db-1"))
    assert own.inputs["image"] == other.inputs["image"]
    assert "DATA_SOURCE_URI=db-1.internal:5432/shop?sslmode=require" in other.inputs["envs"]
    assert "DATA_SOURCE_PASS_FILE=/run/secrets/db_1_password" in other.inputs["envs"]
    assert {v.name for v in deployed.of(VOLUME)} >= {f"postgres-exporter-{n}-secrets" for n in ("postgres", "db-1")}
    places = {
        resource.name for resource in deployed.resources for _, text, _ in texts(resource.inputs) if "db_1_pass" in text
    }
    assert places == {"postgres-exporter-db-1", "postgres-exporter-db-1-secrets"}


def test_the_demos_server_keeps_its_password_apart_from_the_second(deployed: Run) -> None:
    assert "DATABASE_PASSWORD_FILE=/run/secrets/postgres_password" in deployed.one(CONTAINER, "api").inputs["envs"]
    assert "POSTGRES_USER=softfactory" in deployed.one(CONTAINER, "postgres").inputs["envs"]


def test_the_demos_server_may_have_any_instance_and_stand_anywhere_in_the_list() -> None:
    (server,) = values()["exporters"]["postgres"]
    made = build_desired_state(
        settings(exporters={**values()["exporters"], "postgres": [ONE, {**server, "instance": "shop-db"}]})
    )
    assert made.settings.demo_servers["postgres"].instance == "shop-db"
    assert made.secrets["postgres"] == made.secrets["postgres-exporter-shop-db"] == ("shop_db_password",)
    assert "shop_db_password" in made.secrets["api"] and "db_1_password" not in made.secrets["api"]
    assert "postgres" in made.expected.services


# --- what two servers cannot share -----------------------------------------------------------------------------------


def test_an_instance_that_two_servers_of_a_kind_have_is_one_message() -> None:
    assert refused(postgres=[ONE, {**TWO, "instance": "db-1"}]) == (
        "exporters.postgres: the instance db-1 is there twice; give each server one of its own",
    )


def test_an_instance_that_two_kinds_share_would_share_the_secret() -> None:
    assert refused(postgres=[ONE], redis=[{"address": "r:6379", "instance": "db-1"}]) == (
        "exporters.redis: the secret of the instance db-1 would be db_1_password, which is that of exporters.postgres; "
        "choose another instance",
    )


def test_kinds_without_a_secret_may_share_an_instance() -> None:
    assert build_desired_state(
        settings("staging", **with_servers(elasticsearch=[{"url": "http://s:9200", "instance": "db-1"}]))
    )


def test_a_servers_secret_is_none_of_the_stacks_own() -> None:
    (found,) = refused(redis=[{"address": "r:6379", "instance": "grafana-admin"}])
    assert found.startswith("exporters.redis: the secret of the instance grafana-admin would be grafana_admin_password")


def test_a_container_that_brings_a_secret_keeps_its_name() -> None:
    (found,) = refused(postgres=[ONE, {**TWO, "instance": "db-1-secrets"}])
    assert found.startswith("exporters.postgres: the container postgres-exporter-db-1-secrets of the instance ")


def test_an_instance_that_a_target_has_too_is_one_message() -> None:
    with pytest.raises(InvalidStackError) as caught:
        build_desired_state(
            settings(
                "staging", **with_servers(), scrape_targets={"postgres": [{"address": "e:9187", "instance": "db-2"}]}
            )
        )
    assert caught.value.problems == ("scrape_targets.postgres: the instance db-2 is there twice",)


# --- what an exporter is given ----------------------------------------------------------------------------------------


@pytest.mark.parametrize(
    ("username", "env", "key"),
    [(None, {}, "redis://r:6379"), ("monitoring", {"REDIS_USER": "monitoring"}, "redis://monitoring@r:6379")],
)
def test_a_redis_exporter_finds_the_password_of_its_user(username: str | None, env: dict[str, str], key: str) -> None:
    server = RedisExporterSettings(address="r:6379", instance="cache", username=username)
    found: dict[str, str] = {}

    def program() -> None:
        spec = redis.spec(server, "planted")
        found.update(spec.container.env)
        pulumi.Output.from_input(spec.secret_files["redis_passwords.json"]).apply(
            lambda text: found.update({"file": text})
        )

    run(program).succeeded()
    assert json.loads(found.pop("file")) == {key: "planted"}
    assert found == {"REDIS_ADDR": "redis://r:6379", "REDIS_PASSWORD_FILE": "/run/secrets/redis_passwords.json", **env}


def test_a_postgres_exporter_has_no_password_in_its_settings() -> None:
    spec = postgres.spec(PostgresExporterSettings.model_validate(ONE), "planted")
    assert isinstance(spec.container, ContainerSpec)
    assert "planted" not in repr(spec.container)
    assert spec.secret_files == {"db_1_password": "planted"}
