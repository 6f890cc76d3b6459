"""An environment has whatever name it likes; how strict its rules are is said by `production` alone."""

import ast
from dataclasses import replace
from pathlib import Path
from typing import Any

import pytest
import yaml

from desired_state import InvalidStackError, build_desired_state, load_desired_state
from stacks.images import OFFICIAL
from stacks.settings import load_settings, stacks
from tests.checkers import ROOT
from tests.unit.factories import settings, values
from tests.unit.pulumi_program import Program
from tests.unit.pulumi_recorder import CONTAINER, plain

URLS = {name: f"https://{name}.example.com" for name in ("prometheus", "alertmanager", "grafana")}


def refused(stack: str = "prod", **changes: Any) -> tuple[str, ...]:
    with pytest.raises(InvalidStackError) as caught:
        build_desired_state(settings(stack, **changes))
    return caught.value.problems


# --- a name of one's own ---------------------------------------------------------------------------------------------


def test_a_new_environment_is_a_file_and_nothing_else(tmp_path: Path) -> None:
    (tmp_path / "qa.yaml").write_text("environment: qa\nname_prefix: qa\n", encoding="utf-8")
    assert stacks(tmp_path) == ["qa"]
    made = load_desired_state("qa", folder=tmp_path)
    prometheus = yaml.safe_load(made.prometheus.files["prometheus.yml"])
    assert prometheus["global"]["external_labels"] == {"environment": "qa"}
    assert all(labels["environment"] == "qa" for sets in made.labels.values() for labels in sets)
    assert set(made.expected.services) >= {"prometheus", "alertmanager", "grafana", "node-exporter"}


def test_a_new_environment_can_be_deployed_with_its_name_on_everything(monkeypatch: pytest.MonkeyPatch) -> None:
    done = Program("staging", monkeypatch, environment="qa").run().succeeded()
    for container in done.of(CONTAINER):
        labels = {label["label"]: label["value"] for label in plain(container.inputs["labels"])}
        assert labels["softfactory.environment"] == "qa"


@pytest.mark.parametrize("name", ["prod", "production", "qa"])
def test_the_name_alone_changes_nothing_but_labels(name: str) -> None:
    """Also if it is one that rules once depended on."""
    # As production may not.
    quick: dict[str, Any] = {"alert_overrides": {"RedisDown": {"for": "10s"}, "Watchdog": {"enabled": False}}}
    dev, other = (build_desired_state(settings(environment=one, **quick)) for one in ("dev", name))
    assert replace(other.expected, releases={}) == replace(dev.expected, releases={})
    assert other.secrets == dev.secrets


def test_no_code_depends_on_an_environments_name() -> None:
    layers = ("stacks", "rules", "routing", "dashboards", "validation", "clients", "readiness", "components", "ops")
    product = [path for layer in layers for path in (ROOT / layer).rglob("*.py")] + list(ROOT.glob("*.py"))
    assert {path.stem for path in product} >= {"desired_state", "__main__", "settings", "gate"}
    for path in product:
        for node in ast.walk(ast.parse(path.read_text(encoding="utf-8"))):
            if isinstance(node, ast.Compare):
                compared = {side.attr for side in (node.left, *node.comparators) if isinstance(side, ast.Attribute)}
                assert "environment" not in compared, f"{path}:{node.lineno}"
            assert not (isinstance(node, ast.Constant) and node.value in ("prod", "staging")), path


# --- what production asks for ----------------------------------------------------------------------------------------


def test_the_tracked_production_fulfils_its_rules() -> None:
    assert load_settings("prod").production
    assert not any(load_settings(stack).production for stack in ("dev", "staging"))


@pytest.mark.parametrize("name", URLS)
def test_production_needs_the_address_of_each_part(name: str) -> None:
    (found,) = refused(external_urls={other: url for other, url in URLS.items() if other != name})
    assert found.startswith(f"external_urls.{name}: is missing, and production needs it")
    assert f"such as https://{name}.example.com" in found


def test_an_existing_grafana_has_its_address_already() -> None:
    urls = {name: url for name, url in URLS.items() if name != "grafana"}
    given = {"existing_grafana": {"url": "https://grafana.example.com"}, "external_urls": urls}
    assert build_desired_state(settings("prod", **given)).settings.link("grafana") == "https://grafana.example.com"


def test_production_needs_the_address_of_its_runbooks() -> None:
    (found,) = refused(runbook_base_url=None)
    assert found.startswith("runbook_base_url: is missing, and production needs it")


def test_production_keeps_its_data() -> None:
    assert refused(volume_policy="delete") == ("volume_policy: delete would delete production's data; write retain",)


@pytest.mark.parametrize("tag", ["8", "8.0", "stable", "v8", "8-alpine"])
def test_production_runs_exact_versions(tag: str) -> None:
    reference = f"registry.internal:5000/redis:{tag}"
    (found,) = refused(images={"overrides": {"redis": reference}})
    assert found.startswith(f"images.overrides.redis: {reference} is no exact version")
    assert f"such as :{OFFICIAL['redis'].rpartition(':')[2]}, or a digest" in found


@pytest.mark.parametrize(
    ("key", "reference"),
    [
        ("redis", "registry.internal:5000/redis:8.0.9"),
        ("redis", "redis:8@sha256:" + "0123456789abcdef" * 4),
        ("postgres", "postgres:18.7"),
        ("redis-exporter", "redis_exporter:v1.87.0-alpine"),
        *OFFICIAL.items(),
    ],
)
def test_an_exact_version_is_one_with_all_numbers_or_a_digest(key: str, reference: str) -> None:
    assert build_desired_state(settings("prod", images={"overrides": {key: reference}}))


def test_all_that_production_lacks_is_told_at_once_and_nothing_of_it_elsewhere() -> None:
    lacking: dict[str, Any] = {"external_urls": {}, "runbook_base_url": None, "volume_policy": "delete"}
    told = refused(**lacking, images={"overrides": {"redis": "redis:8"}})
    assert len(told) == len(URLS) + 3
    assert build_desired_state(
        settings("prod", **lacking, images={"overrides": {"redis": "redis:8"}}, production=False)
    )


@pytest.mark.parametrize(
    "changes",
    [
        {"external_urls": {"prometheus": "nowhere"}},
        {"runbook_base_url": 5},
        {"volume_policy": "forget"},
        {"images": {"overrides": {"redis": "redis"}}},
    ],
    ids=str,
)
def test_what_is_there_but_wrong_is_not_called_missing_too(tmp_path: Path, changes: dict[str, Any]) -> None:
    (tmp_path / "mine.yaml").write_text(yaml.safe_dump(values("prod", **changes)), encoding="utf-8")
    with pytest.raises(Exception, match="cannot be used") as caught:
        load_desired_state("mine", folder=tmp_path)
    assert len(str(caught.value).splitlines()) == 2
