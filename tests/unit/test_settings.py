"""Settings: what a stack's file may say, and that everything wrong with it is told at once, by place."""

from pathlib import Path
from typing import Any

import pytest
import yaml
from pydantic import ValidationError

from stacks.settings import Settings, SettingsError, load_settings, seconds
from tests.checkers import STACKS
from tests.unit.values import values


def load(folder: Path, text: str, **arguments: Any) -> Settings:
    (folder / "mine.yaml").write_text(text, encoding="utf-8")
    return load_settings("mine", folder=folder, **arguments)


def problem(folder: Path, **changes: Any) -> str:
    """What is said of dev's values with some replaced."""
    with pytest.raises(SettingsError) as caught:
        load(folder, yaml.safe_dump(values(**changes)))
    return str(caught.value)


def test_there_are_files_for_dev_staging_and_prod() -> None:
    assert {"dev", "staging", "prod"} <= set(STACKS)


@pytest.mark.parametrize("stack", STACKS)
def test_every_stacks_file_is_valid(stack: str) -> None:
    load_settings(stack)


@pytest.mark.parametrize("stack", ["dev", "staging", "prod"])
def test_the_tracked_stacks_are_of_their_environment_and_publish_on_loopback(stack: str) -> None:
    settings = load_settings(stack)
    assert settings.environment.value == stack
    assert settings.bind_address.is_loopback


def test_the_defaults_are_the_checklists() -> None:
    settings = Settings.model_validate({"environment": "prod"})
    assert settings.prefix == "softfactory"
    assert settings.retention == "15d"
    assert settings.ports.model_dump() == {
        "prometheus": 9090, "alertmanager": 9093, "grafana": 3000, "api": 8000, "inbox": 8025,
    }  # fmt: skip
    assert settings.data == "keep"
    assert not settings.demo


def test_every_problem_of_a_file_is_told_at_once_with_its_place(tmp_path: Path) -> None:
    message = problem(
        tmp_path,
        environment="production",
        retention="15 days",
        ports={"prometheus": 70000, "grafana": "3000"},
        colour="blue",
        targets={"softfactory-api": [{"address": "api", "instance": "API"}]},
        alerts={"ApiDown": {"for": "soon"}},
        images={"overrides": {"nginx": "nginx:1"}},
    )
    assert message.startswith("stacks/mine.yaml cannot be used:")
    places = [line.strip().partition(": ")[0] for line in message.splitlines()[1:]]
    assert sorted(places) == [
        "alerts.ApiDown.for", "colour", "environment", "images", "ports.grafana", "ports.prometheus", "retention",
        "targets.softfactory-api.0.address", "targets.softfactory-api.0.instance",
    ]  # fmt: skip


@pytest.mark.parametrize(
    ("changes", "place"),
    [
        ({"portz": {}}, "portz"),
        ({"ports": {"prometheus": 9090, "loki": 3100}}, "ports.loki"),
        ({"servers": {"mysql": {}}}, "servers.mysql"),
        ({"notifications": {"slack": "#ops"}}, "notifications.slack"),
        ({"alerts": {"ApiDown": {"limit": 1}}}, "alerts.ApiDown.limit"),
        ({"images": {"mirror": "a:1"}}, "images.mirror"),
    ],
)
def test_an_unknown_key_is_refused_on_every_level(tmp_path: Path, changes: dict[str, Any], place: str) -> None:
    assert f"  {place}: Extra inputs are not permitted" in problem(tmp_path, **changes)


def test_a_port_may_be_given_only_once(tmp_path: Path) -> None:
    assert "ports: port 9090 is given to both prometheus and grafana" in problem(tmp_path, ports={"grafana": 9090})


@pytest.mark.parametrize("port", [0, -1, 65536, "9090", 9090.5, True])
def test_a_port_is_a_whole_number_between_1_and_65535(tmp_path: Path, port: Any) -> None:
    assert "ports.prometheus: " in problem(tmp_path, ports={"prometheus": port})


@pytest.mark.parametrize("duration", ["", "0s", "15", "1.5h", "-5m", "5 m", "5M", "30s1m", "11y", 15])
def test_a_duration_that_prometheus_would_not_take_is_refused(tmp_path: Path, duration: Any) -> None:
    assert "retention: " in problem(tmp_path, retention=duration)


@pytest.mark.parametrize(
    ("duration", "length"),
    [("15s", 15), ("1h30m", 5400), ("500ms", 0.5), ("2m500ms", 120.5), ("15d", 1_296_000), ("1w", 604_800)],
)
def test_a_duration_has_prometheus_length(duration: str, length: float) -> None:
    assert seconds(duration) == length


def test_a_scrape_interval_that_starves_the_alerts_windows_is_refused(tmp_path: Path) -> None:
    assert load(tmp_path, "environment: dev\nscrape_interval: 1m").scrape_interval == "1m"
    assert "scrape_interval: at most 1m" in problem(tmp_path, scrape_interval="61s")


@pytest.mark.parametrize(
    "address", ["api", "api:", ":8000", "http://api:8000", "api:99999", "api:0", "-api:80", "a b:80"]
)
def test_an_address_is_a_host_and_a_port_that_exists(tmp_path: Path, address: str) -> None:
    message = problem(tmp_path, targets={"softfactory-api": [{"address": address, "instance": "api"}]})
    assert "targets.softfactory-api.0.address: " in message


@pytest.mark.parametrize("address", ["api:8000", "api-1.prod.internal:65535", "10.0.0.7:1"])
def test_an_address_may_be_a_name_or_a_number(tmp_path: Path, address: str) -> None:
    text = yaml.safe_dump(values(targets={"softfactory-api": [{"address": address, "instance": "api"}]}))
    assert load(tmp_path, text).targets["softfactory-api"][0].address == address


@pytest.mark.parametrize("bind", ["localhost", "127.0.0.1:80", "256.0.0.1", "::1"])
def test_the_bind_address_is_an_ipv4_address(tmp_path: Path, bind: str) -> None:
    assert "bind_address: " in problem(tmp_path, bind_address=bind)


@pytest.mark.parametrize("url", ["inbox:8025", "ftp://inbox/", "http://"])
def test_a_webhook_is_an_http_url(tmp_path: Path, url: str) -> None:
    assert "notifications.webhook_url: " in problem(tmp_path, notifications={"webhook_url": url})


@pytest.mark.parametrize("name", ["soft_factory", "_x", "Monitoring"])
def test_a_postgresql_role_may_have_the_characters_of_postgresql(tmp_path: Path, name: str) -> None:
    server = {"address": "p:5432", "instance": "postgres", "user": name, "database": name}
    found = load(tmp_path, yaml.safe_dump(values(servers={"postgres": server}))).servers.postgres
    assert found is not None
    assert found.user == found.database == name


def test_only_a_dev_environment_runs_the_demo(tmp_path: Path) -> None:
    assert "demo: only a dev environment" in problem(tmp_path, environment="prod")


def test_an_unknown_stack_is_told_with_those_that_there_are() -> None:
    with pytest.raises(SettingsError, match=r"'live' has no settings file stacks/live\.yaml; there are: .*dev.*prod"):
        load_settings("live")


def test_pulumis_own_file_is_not_named_as_a_stack(tmp_path: Path) -> None:
    (tmp_path / "Pulumi.dev.yaml").write_text("config: {}", encoding="utf-8")
    (tmp_path / "dev.yaml").write_text("environment: dev", encoding="utf-8")
    with pytest.raises(SettingsError, match=r"there are: dev$"):
        load_settings("live", folder=tmp_path)


def test_a_stacks_name_cannot_lead_out_of_the_folder(tmp_path: Path) -> None:
    (tmp_path / "inner").mkdir()
    (tmp_path / "secret.yaml").write_text("environment: dev", encoding="utf-8")
    with pytest.raises(SettingsError, match="has no settings file"):
        load_settings("../secret", folder=tmp_path / "inner")


@pytest.mark.parametrize(
    ("text", "message"),
    [
        ("a: [", "is not YAML"),
        ("environment: dev\n\tdemo: true", "is not YAML"),
        ("- environment: dev", "must hold a mapping of settings, not list"),
        ("", "must hold a mapping of settings, not NoneType"),
        ("dev", "must hold a mapping of settings, not str"),
    ],
)
def test_a_file_that_is_no_mapping_in_yaml_is_told_as_such(tmp_path: Path, text: str, message: str) -> None:
    with pytest.raises(SettingsError, match=message):
        load(tmp_path, text)


def test_a_file_that_is_no_text_is_told_as_such(tmp_path: Path) -> None:
    (tmp_path / "mine.yaml").write_bytes(b"\xff\xfe\x00")
    with pytest.raises(SettingsError, match="is not YAML"):
        load_settings("mine", folder=tmp_path)


def test_pulumis_image_settings_win_over_the_files(tmp_path: Path) -> None:
    own = {"registry": "r.internal", "overrides": {"redis": "mine/redis:1", "grafana": "mine/grafana:1"}}
    text = yaml.safe_dump(values(images=own))
    images = load(tmp_path, text, images={"redis": "closed/redis:8"}).images
    assert images.reference("redis") == "closed/redis:8"
    assert images.reference("grafana") == "mine/grafana:1"
    assert images.reference("prometheus").startswith("r.internal/")


@pytest.mark.parametrize("text", ["images:", "images: {}", "images: {overrides: }", "retention: 15d"])
def test_pulumis_image_settings_need_none_in_the_file(tmp_path: Path, text: str) -> None:
    settings = load(tmp_path, f"environment: dev\n{text}", images={"redis": "closed/redis:8"})
    assert settings.images.overrides == {"redis": "closed/redis:8"}


def test_a_wrong_image_from_pulumi_is_told_as_such(tmp_path: Path) -> None:
    with pytest.raises(SettingsError, match="images: no such image: nginx"):
        load(tmp_path, "environment: dev", images={"nginx": "nginx:1"})
    with pytest.raises(SettingsError, match="  images: "):
        load(tmp_path, "environment: dev\nimages: none", images={"redis": "closed/redis:8"})


def test_settings_cannot_be_changed_once_made() -> None:
    settings = load_settings("dev")
    with pytest.raises(ValidationError, match="frozen"):
        settings.retention = "1d"
