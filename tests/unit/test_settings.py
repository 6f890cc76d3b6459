"""Settings: what a stack's file may say, and that everything wrong with it is told at once, by place."""

from pathlib import Path
from typing import Any

import pytest
import yaml
from pydantic import ValidationError

from stacks.exporters import Exporters
from stacks.settings import Settings, SettingsError, load_settings
from stacks.types import seconds
from tests.checkers import STACKS
from tests.unit.factories import values


def short(value: Any) -> str:
    """A test's id."""
    return ascii(value)[:30]


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
    assert settings.environment == stack
    assert settings.bind_address.is_loopback


def test_the_defaults_are_the_checklists() -> None:
    settings = Settings.model_validate({"environment": "prod"})
    assert settings.name_prefix == "softfactory"
    assert settings.retention == "15d"
    assert settings.ports.model_dump() == {
        "prometheus": 9090,
        "alertmanager": 9093,
        "grafana": 3000,
        "api": 8000,
        "inbox": 8025,
    }
    assert settings.volume_policy == "retain"
    assert not settings.demo


def test_every_problem_of_a_file_is_told_at_once_with_its_place(tmp_path: Path) -> None:
    message = problem(
        tmp_path,
        environment="my qa",
        retention="15 days",
        ports={"prometheus": 70000, "grafana": "3000"},
        colour="blue",
        scrape_targets={"softfactory-api": [{"address": "api", "instance": "API"}]},
        alert_overrides={"ApiDown": {"for": "soon"}},
        images={"overrides": {"nginx": "nginx:1"}},
    )
    assert message.startswith("stacks/mine.yaml cannot be used:")
    places = [line.strip().partition(": ")[0] for line in message.splitlines()[1:]]
    assert sorted(places) == [
        "alert_overrides.ApiDown.for",
        "colour",
        "environment",
        "images.overrides.nginx",
        "ports.grafana",
        "ports.prometheus",
        "retention",
        "scrape_targets.softfactory-api.0.address",
        "scrape_targets.softfactory-api.0.instance",
    ]


@pytest.mark.parametrize(
    ("changes", "place", "known"),
    [
        ({"portz": {}}, "portz", "environment, production, name_prefix, docker_host, bind_address, ports, "),
        ({"ports": {"prometheus": 9090, "loki": 3100}}, "ports.loki", "prometheus, alertmanager, grafana, api, inbox"),
        ({"exporters": {"mysql": []}}, "exporters.mysql", ", ".join(Exporters.model_fields)),
        (
            {"exporters": {"redis": [{"address": "r:1", "instance": "redis", "colour": 1}]}},
            "exporters.redis.0.colour",
            "instance, address, username",
        ),
        (
            {"scrape_targets": {"node": [{"address": "n:1", "instance": "n1", "job": 1}]}},
            "scrape_targets.node.0.job",
            "address, inst",
        ),
        (
            {"notifications": {"slack": "#ops"}},
            "notifications.slack",
            "receivers, routes, time_intervals, dead_mans_switch, maintenance_windows",
        ),
        (
            # A receiver may have the name of a kind.
            {"notifications": {"receivers": {"slack": {"opsgenie": {}}}}},
            "notifications.receivers.slack.opsgenie",
            "webhook, slack, email, pagerduty, incidentio, teams",
        ),
        (
            {"notifications": {"receivers": {"slack": {"slack": {"channel": "#a", "token": "x"}}}}},
            "notifications.receivers.slack.slack.token",
            "channel, auth",
        ),
        (
            {"notifications": {"time_intervals": {"hours": [{"time_zone": "UTC", "days": []}]}}},
            "notifications.time_intervals.hours.0.days",
            "weekdays, start_time, end_time, time_zone",
        ),
        ({"notifications": {"dead_mans_switch": {"uri": ""}}}, "notifications.dead_mans_switch.uri", "url"),
        ({"alert_overrides": {"ApiDown": {"limit": 1}}}, "alert_overrides.ApiDown.limit", "threshold, for, enabled"),
        ({"images": {"mirror": "a:1"}}, "images.mirror", "registry, overrides"),
    ],
)
def test_an_unknown_key_is_refused_on_every_level_with_the_known_ones(
    tmp_path: Path, changes: dict[str, Any], place: str, known: str
) -> None:
    assert f"  {place}: no such setting; expected one of: {known}" in problem(tmp_path, **changes)


def test_a_port_may_be_given_only_once(tmp_path: Path) -> None:
    message = problem(tmp_path, ports={"grafana": 9090, "api": 9090, "inbox": 70000})  # and 9090 is Prometheus' default
    assert "ports.grafana: port 9090 is given to both prometheus and grafana" in message
    assert "ports.api: port 9090 is given to both prometheus and api" in message
    assert "ports.inbox: 70000 is not a port" in message


@pytest.mark.parametrize("port", [0, -1, 65536, "9090", 9090.5, True])
def test_a_port_is_a_whole_number_between_1_and_65535(tmp_path: Path, port: Any) -> None:
    assert "ports.prometheus: " in problem(tmp_path, ports={"prometheus": port})


@pytest.mark.parametrize(
    "duration",
    ["", "0s", "15", "1.5h", "-5m", "5 m", "5M", "30s1m", "11y", 15, None, "\u0661\u0665d", "9" * 5000 + "d", "15d\n"],
    ids=short,
)
def test_a_duration_that_prometheus_would_not_take_is_refused(tmp_path: Path, duration: Any) -> None:
    message = problem(tmp_path, retention=duration, alert_overrides={"ApiDown": {"for": duration or ""}})
    assert "  retention: " in message and "such as 15d" in message
    assert "  alert_overrides.ApiDown.for: " in message and "such as 5m" in message


@pytest.mark.parametrize("retention", ["0s", "1ms", "1h59m", "10y1s", "99999y", "999999999y"])
def test_an_absurd_retention_is_refused(tmp_path: Path, retention: str) -> None:
    message = problem(tmp_path, retention=retention)
    assert f"retention: '{retention}' is not a duration from 2h to 10y; write whole numbers with their units" in message
    assert "(y w d h m s ms), such as 15d" in message


@pytest.mark.parametrize(
    ("duration", "length"),
    [("15s", 15), ("1h30m", 5400), ("500ms", 0.5), ("2m500ms", 120.5), ("15d", 1_296_000), ("1w", 604_800)],
)
def test_a_duration_has_prometheus_length(duration: str, length: float) -> None:
    assert seconds(duration) == length


def test_a_scrape_interval_that_starves_the_alerts_windows_is_refused(tmp_path: Path) -> None:
    assert load(tmp_path, "environment: dev\nscrape_interval: 1m").scrape_interval == "1m"
    assert "scrape_interval: '61s' is not a duration from 1s to 1m" in problem(tmp_path, scrape_interval="61s")
    assert "scrape_interval: '500ms' is not a duration from 1s to 1m" in problem(tmp_path, scrape_interval="500ms")


@pytest.mark.parametrize("threshold", [-0.1, float("nan"), float("inf"), "0.8", True, 10**400, None])
def test_a_threshold_is_a_number_that_something_measured_can_pass(tmp_path: Path, threshold: Any) -> None:
    if threshold is None:
        assert (
            load(tmp_path, "environment: dev\nalert_overrides: {ApiDown: {threshold: }}")
            .alert_overrides["ApiDown"]
            .threshold
            is None
        )
    else:
        assert "alert_overrides.ApiDown.threshold: " in problem(
            tmp_path, alert_overrides={"ApiDown": {"threshold": threshold}}
        )


@pytest.mark.parametrize("switch", ["true", 1, 0, "on", None])
def test_a_switch_is_true_or_false(tmp_path: Path, switch: Any) -> None:
    assert "demo: " in problem(tmp_path, demo=switch)


@pytest.mark.parametrize(
    "address",
    [
        "api",
        "api:",
        ":8000",
        "http://api:8000",
        "api:99999",
        "api:0",
        "-api:80",
        "a b:80",
        "a..b:80",
        "a-.b:80",
        "10.0.0.999:80",
        "api:80\n",
        "ä:80",
        8000,
        None,
    ],
)
def test_an_address_is_a_host_and_a_port_that_exists(tmp_path: Path, address: str) -> None:
    message = problem(tmp_path, scrape_targets={"softfactory-api": [{"address": address, "instance": "api"}]})
    assert "scrape_targets.softfactory-api.0.address: " in message


@pytest.mark.parametrize("address", ["api:8000", "api-1.prod.internal:65535", "10.0.0.7:1"])
def test_an_address_may_be_a_name_or_a_number(tmp_path: Path, address: str) -> None:
    text = yaml.safe_dump(values(scrape_targets={"softfactory-api": [{"address": address, "instance": "api"}]}))
    assert load(tmp_path, text).scrape_targets["softfactory-api"][0].address == address


def test_what_is_published_everywhere_is_reached_here(tmp_path: Path) -> None:
    settings = load(tmp_path, "environment: dev\nbind_address: 0.0.0.0")
    assert settings.published("grafana") == settings.link("grafana") == "http://127.0.0.1:3000"


@pytest.mark.parametrize("bind", ["localhost", "127.0.0.1:80", "256.0.0.1", "::1", 2130706433, True, b"abcd"])
def test_the_bind_address_is_an_ipv4_address(tmp_path: Path, bind: Any) -> None:
    assert "bind_address: " in problem(tmp_path, bind_address=bind)


@pytest.mark.parametrize(
    "url", ["inbox:8025", "ftp://inbox/", "http://", "http:inbox", "http://in box/", "http://a:99999", 8025]
)
def test_a_webhook_is_an_http_url(tmp_path: Path, url: Any) -> None:
    notifications = {"receivers": {"inbox": {"webhook": {"url": url}}}}
    assert "notifications.receivers.inbox.webhook.url: " in problem(tmp_path, notifications=notifications)


def test_a_password_in_an_address_is_refused_and_not_repeated(tmp_path: Path) -> None:
    message = problem(
        tmp_path,
        notifications={"receivers": {"inbox": {"webhook": {"url": "https://me:s3cret@hooks.internal/"}}}},
        exporters={"elasticsearch": [{"url": "https://me:s3cret@search.internal:9200", "instance": "search"}]},
    )
    assert (
        "notifications.receivers.inbox.webhook.url: this is not an address; write http:// or https:// and a host, "
        "without user" in message
    )
    assert "exporters.elasticsearch.0.url: " in message
    assert "s3cret" not in message


@pytest.mark.parametrize(
    "text",
    [
        "name_prefix: https://me:s3cret@hooks.internal/",
        'name_prefix: "https://me:x\\ns3cret@hooks.internal/"',
        "name_prefix: https://me:s3cret/@hooks@internal/",
        "scrape_targets: {node: [{address: 'http://me:s3cret@n:1', instance: n1}]}",
        "demo: http://me:s3cret@n:1",
        "https://me:s3cret@hooks.internal/: 1",
        "alert_overrides: {'https://me:s3cret@hooks.internal/': 1}",
        "images: {overrides: {redis: 'https://me:s3cret@hooks.internal/redis'}}",
        "images: {overrides: {'https://me:s3cret@hooks.internal/redis': 1}}",
        "notifications: {maintenance_windows: {x1: {matchers: ['https://me:s3cret@hooks.internal/redis']}}}",
        "retention: !!timestamp https://me:s3cret@hooks.internal/",
        "name_prefix: [https://me:s3cret@hooks.internal/, ']",
        "name_prefix: !!python/object:x https://me:s3cret@hooks.internal/",
        "ports: {api: 1}\nname_prefix: 'x' https://me:s3cret@hooks.internal/ }",
    ],
    ids=short,
)
def test_a_password_is_not_repeated_wherever_it_stands(tmp_path: Path, text: str) -> None:
    with pytest.raises(SettingsError) as caught:
        load(tmp_path, f"environment: dev\n{text}")
    assert "s3cret" not in str(caught.value)


def test_what_is_quoted_and_should_not_be_is_told_so(tmp_path: Path) -> None:
    message = problem(tmp_path, demo="true", ports={"grafana": "3000", "api": 0})
    assert "demo: 'true' is not a boolean; write true or false, without quotes" in message
    assert "ports.grafana: '3000' is not a port; write a whole number from 1 to 65535, such as 3000, without" in message
    assert "ports.api: 0 is not a port; write a whole number from 1 to 65535, such as 8000\n" in message + "\n"


@pytest.mark.parametrize("address", ["https://git.internal/a?b=c", "https://git.internal/#x", "git.internal", 5])
def test_a_base_url_can_be_followed_by_a_path(tmp_path: Path, address: Any) -> None:
    said = (
        "runbook_base_url: this is not an address; write http:// or https:// and a host, without user and password,"
        " and "
    )
    assert said in problem(tmp_path, runbook_base_url=address)
    settings = load(tmp_path, "environment: dev\nrunbook_base_url: https://git.internal/ops")
    assert str(settings.runbook_base_url) == "https://git.internal/ops"


@pytest.mark.parametrize("host", ["engine", "ssh://", "ssh://-o Proxy", "ftp://engine", "", 2375])
def test_an_docker_host_is_an_address_that_docker_understands(tmp_path: Path, host: Any) -> None:
    assert "docker_host: " in problem(tmp_path, docker_host=host)


@pytest.mark.parametrize(
    "host", ["ssh://ops@engine.internal", "ssh://engine:2222", "tcp://10.0.0.7:2376", "unix:///run/docker.sock"]
)
def test_an_docker_host_may_be_far_or_near(tmp_path: Path, host: str) -> None:
    assert load(tmp_path, f"environment: dev\ndocker_host: {host}").docker_host == host


@pytest.mark.parametrize("name", ["soft_factory", "_x", "Monitoring"])
def test_a_postgresql_role_may_have_the_characters_of_postgresql(tmp_path: Path, name: str) -> None:
    server = {"address": "p:5432", "instance": "postgres", "username": name, "database": name}
    (found,) = load(tmp_path, yaml.safe_dump(values(exporters={"postgres": [server]}))).exporters.postgres
    assert found.username == found.database == name


def test_production_does_not_run_the_demo_and_any_other_environment_may(tmp_path: Path) -> None:
    assert "demo: production does not run the demo system; remove it" in problem(tmp_path, production=True)
    assert load(tmp_path, yaml.safe_dump(values(environment="qa"))).demo


def test_an_unknown_stack_is_told_with_those_that_there_are() -> None:
    with pytest.raises(
        SettingsError, match=r"'live' has no settings file stacks/live\.yaml; expected one of: .*dev.*prod"
    ):
        load_settings("live")


def test_pulumis_own_file_is_not_named_as_a_stack(tmp_path: Path) -> None:
    (tmp_path / "Pulumi.dev.yaml").write_text("config: {}", encoding="utf-8")
    (tmp_path / "dev.yaml").write_text("environment: dev", encoding="utf-8")
    with pytest.raises(SettingsError, match=r"expected one of: dev$"):
        load_settings("live", folder=tmp_path)


def test_a_stacks_name_cannot_lead_out_of_the_folder(tmp_path: Path) -> None:
    (tmp_path / "inner").mkdir()
    (tmp_path / "secret.yaml").write_text("environment: dev", encoding="utf-8")
    with pytest.raises(SettingsError, match="has no settings file"):
        load_settings("../secret", folder=tmp_path / "inner")


@pytest.mark.parametrize("stack", ["", ".", "a" * 5000, "a\0b", "a\nb", "Pulumi.dev", "folder"], ids=short)
def test_a_strange_name_is_an_unknown_stack(tmp_path: Path, stack: str) -> None:
    (tmp_path / "Pulumi.dev.yaml").write_text("config: {}", encoding="utf-8")
    (tmp_path / "folder.yaml").mkdir()
    with pytest.raises(SettingsError, match=r"has no settings file .*; expected one of: $"):
        load_settings(stack, folder=tmp_path)


@pytest.mark.parametrize(
    ("text", "message"),
    [
        ("a: [", "is not YAML"),
        ("environment: dev\n\tdemo: true", "is not YAML"),
        ("- environment: dev", "must hold settings, .* not a list"),
        ("", "must hold settings, .* not nothing"),
        ("dev", "must hold settings, .* not 'dev'"),
        ("environment: dev\n---\ndemo: true", "is not YAML"),
        ("retention: 2026-02-30", "'2026-02-30' cannot be read as timestamp; put it in quotes"),
        ("demo: !!bool maybe", "'maybe' cannot be read as bool"),
        ("retention: 0b_", "cannot be read as int"),
        ("retention: " + "9" * 5000, "cannot be read as int"),
        ("retention: !!timestamp soon", "cannot be read as timestamp"),
        ('name_prefix: "\\ud800"', "cannot be read as str"),
        ("demo: !!python/object/apply:os.getcwd []", "is not YAML: could not determine a constructor"),
        ("a: " + "[" * 600, "is nested too deeply"),
        ("- " * 1000, "is nested too deeply"),
    ],
    ids=short,
)
def test_a_file_that_is_no_mapping_in_yaml_is_told_as_such(tmp_path: Path, text: str, message: str) -> None:
    with pytest.raises(SettingsError, match=message):
        load(tmp_path, text)


def test_a_file_that_is_no_text_is_told_as_such(tmp_path: Path) -> None:
    (tmp_path / "mine.yaml").write_bytes(b"\xff\xfe\x00")
    with pytest.raises(SettingsError, match="is not YAML"):
        load_settings("mine", folder=tmp_path)


def test_a_problem_of_yaml_is_told_with_file_and_line(tmp_path: Path) -> None:
    with pytest.raises(SettingsError, match=r"in stacks/mine.yaml, line 2, column 1") as caught:
        load(tmp_path, "environment: dev\n\tdemo: true")
    assert "unicode string" not in str(caught.value)


def test_a_file_that_cannot_be_read_is_told_as_such(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    def refuse(*_: Any, **__: Any) -> str:
        raise PermissionError(13, "Permission denied")  # chmod would not do: root reads everything

    (tmp_path / "mine.yaml").write_text("environment: dev", encoding="utf-8")
    monkeypatch.setattr(Path, "read_text", refuse)
    with pytest.raises(SettingsError, match=r"stacks/mine\.yaml cannot be read: Permission denied"):
        load_settings("mine", folder=tmp_path)


def test_a_key_that_is_given_twice_is_told_with_its_line_and_with_everything_else(tmp_path: Path) -> None:
    with pytest.raises(SettingsError) as caught:
        load(tmp_path, "environment: dev\nports:\n  api: 1\n  api: 2\ncolour: blue\nenvironment: prod")
    assert "  api: line 4 gives it a second time" in str(caught.value)
    assert "  environment: line 6 gives it a second time" in str(caught.value)
    assert "  colour: no such setting" in str(caught.value)


def test_yamls_anchors_and_merges_are_understood(tmp_path: Path) -> None:
    text = """
        environment: dev
        scrape_targets:
          node: [&a { address: "a:9100", instance: a1 }, &b { <<: *a, instance: b1 }]
          softfactory-api: [{ <<: *b, address: "a:8000" }]
    """
    targets = load(tmp_path, text).scrape_targets
    assert [(t.address, t.instance) for there in targets.values() for t in there] == [
        ("a:9100", "a1"),
        ("a:9100", "b1"),
        ("a:8000", "b1"),
    ]


@pytest.mark.parametrize(
    ("text", "said"),
    [
        ("ports:", "ports: must be a mapping (key: value), not nothing"),
        ("ports: [9090]", "ports: must be a mapping (key: value), not a list"),
        ("scrape_targets: {node: {address: n}}", "scrape_targets.node: must be a list (- item), not a mapping"),
        ("scrape_targets: {9100: []}", "scrape_targets: the key 9100 must be text; put it in quotes"),
        ("scrape_targets: {!!binary YQ==: []}", "scrape_targets: the key binary data must be text; put it in quotes"),
        ("scrape_targets: {node: 2026-01-01}", "scrape_targets.node: must be a list (- item), not a date"),
        ("no: 1", "settings: the key false must be text; put it in quotes"),
        ('"a\\e[31m\\nb": 1', r"'a\x1b[31m\nb': no such setting"),
        ('"": 1', "'': no such setting"),
        ("exporters: {redis: [{address: 'r:1'}]}", "exporters.redis.0.instance: is missing"),
        (
            "exporters: {redis: [{address: 'r:1', instance: no}]}",
            "exporters.redis.0.instance: false is not a name; write 2 to",
        ),
        ("exporters: {redis: {address: 'r:1'}}", "exporters.redis: must be a list (- item), not a mapping"),
        ("production: yes please", "production: 'yes please' is not a boolean; write true or false"),
        ("name_prefix: 0x" + "f" * 5000, "name_prefix: a number of more than 20 digits is not a name"),
        ("name_prefix: " + "x" * 5000, "name_prefix: 'xxx"),
        ("volume_policy: forget", "volume_policy: 'forget' is not allowed; expected one of: retain, delete"),
        ("verification: !!binary b3du", "verification: binary data is not allowed; expected one of: all, stack, warn"),
    ],
    ids=short,
)
def test_what_is_wrong_is_told_in_words_that_say_what_to_write(tmp_path: Path, text: str, said: str) -> None:
    with pytest.raises(SettingsError) as caught:
        load(tmp_path, f"environment: dev\n{text}")
    (line,) = str(caught.value).splitlines()[1:]
    assert line.startswith(f"  {said}")
    assert len(line) < 400


def test_a_missing_environment_is_told(tmp_path: Path) -> None:
    with pytest.raises(SettingsError, match="  environment: is missing"):
        load(tmp_path, "demo: true")


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
    with pytest.raises(
        SettingsError, match=r"images.nginx \(in Pulumi's configuration\): 'nginx' is not an image; expected one of: "
    ):
        load(tmp_path, "environment: dev", images={"nginx": "nginx:1"})
    with pytest.raises(SettingsError, match="  images: "):
        load(tmp_path, "environment: dev\nimages: none", images={"redis": "closed/redis:8"})
    with pytest.raises(SettingsError, match=r"images \(in Pulumi's configuration\): must be a mapping") as caught:
        load(tmp_path, "environment: dev\ncolour: blue", images=["redis"])
    assert "  colour: " in str(caught.value)


def test_settings_cannot_be_changed_once_made() -> None:
    settings = load_settings("dev")
    with pytest.raises(ValidationError, match="frozen"):
        settings.retention = "1d"


HOURS = {"start_time": "09:00", "end_time": "17:00", "time_zone": "Europe/Berlin"}
WINDOW = {
    "matchers": ["service=redis"],
    "starts_at": "2027-01-16 22:00",
    "ends_at": "2027-01-17 02:00",
    "time_zone": "UTC",
    "comment": "upgrade",
}
MAIL = {"smarthost": "m:25", "from": "a@b.example", "to": ["c@d.example"]}
ROUTE: dict[str, Any] = {"match": {"severity": "critical"}, "receivers": ["inbox"]}


def slack(**changes: Any) -> dict[str, Any]:
    return {"receivers": {"ops": {"slack": {"channel": "#a", **changes}}}}


def email(**changes: Any) -> dict[str, Any]:
    return {"receivers": {"ops": {"email": {**MAIL, **changes}}}}


def routes(**changes: Any) -> dict[str, Any]:
    return {"routes": [{**ROUTE, **changes}]}


def hours(**changes: Any) -> dict[str, Any]:
    return {"time_intervals": {"hours": {**HOURS, **changes}}}


def window(**changes: Any) -> dict[str, Any]:
    return {"maintenance_windows": {"up": {**WINDOW, **changes}}}


def without(values: dict[str, Any], key: str) -> dict[str, Any]:
    return {name: value for name, value in values.items() if name != key}


@pytest.mark.parametrize(
    ("notifications", "said"),
    [
        (slack(channel="alerts"), "receivers.ops.slack.channel: 'alerts' is not a Slack channel; write #name in quot"),
        (slack(channel="#{{.Foo"), "receivers.ops.slack.channel: '#{{.Foo' is not a Slack channel"),
        (slack(auth="bot"), "receivers.ops.slack.auth: 'bot' is not allowed; expected one of: webhook, bot_token"),
        ({"receivers": {"ops": {"slack": {}}}}, "receivers.ops.slack.channel: is missing"),
        (email(smarthost="mail"), "receivers.ops.email.smarthost: 'mail' is not an address"),
        (email(**{"from": "me"}), "receivers.ops.email.from: 'me' is not an e-mail address"),
        (email(to=["Me <me@x>"]), "receivers.ops.email.to.0: 'Me <me@x>' is not an e-mail address"),
        (email(to=["a@b, c@d"]), "receivers.ops.email.to.0: 'a@b, c@d' is not an e-mail address"),
        (email(tls=True), "receivers.ops.email.tls: true is not allowed; expected one of: starttls, implicit, none"),
        (
            email(password="x"),
            "receivers.ops.email.password: no such setting; expected one of: smarthost, from, to, auth_u",
        ),
        (
            email(auth_username="me", tls="none"),
            "receivers.ops.email: the password of user 'me' would be sent unencrypted; write tls: starttls or implicit",
        ),
        ({"receivers": {"ops": {"pagerduty": {"url": "events"}}}}, "receivers.ops.pagerduty.url: this is not an addr"),
        ({"receivers": {"ops": {"incidentio": {}}}}, "receivers.ops.incidentio.url: is missing"),
        ({"receivers": {"ops": {}}}, "receivers.ops: has no kind; write exactly one of: webhook, slack, email"),
        (
            {"receivers": {"ops": {"pagerduty": {}, "webhook": {}}}},
            "receivers.ops: has webhook and pagerduty; write exactly one of: webhook, slack",
        ),
        ({"receivers": {"On Call": {"webhook": {}}}}, "receivers.On Call: 'On Call' is not a name; write 2 to 40"),
        ({"receivers": {}}, "receivers: is empty; write at least one"),
        ({"routes": []}, "routes: is empty; write at least one"),
        (routes(group_wait="0s"), "routes.0.group_wait: '0s' is not a duration from 1s to 5m; write"),
        (routes(group_wait="5m1s"), "routes.0.group_wait: '5m1s' is not a duration from 1s to 5m; write"),
        (routes(group_interval="11m"), "routes.0.group_interval: '11m' is not a duration from 1s to 10m; write"),
        (routes(repeat_interval="5d"), "routes.0.repeat_interval: '5d' is not a duration from 1s to 4d; write"),
        (routes(receivers=[5]), "routes.0.receivers.0: 5 is not a receiver; write its key under notifications.rec"),
        (routes(receivers=[]), "routes.0.receivers: is empty; write at least one"),
        (routes(match={"service": 5}), "routes.0.match.service: 5 is not a label's value; write text, in quotes"),
        (routes(match={"my service": "x"}), "routes.0.match.my service: 'my service' is not a label; write"),
        (routes(matchers=["redis"]), "routes.0.matchers.0: 'redis' is not a matcher; write a label"),
        (routes(**{"continue": "yes"}), "routes.0.continue: 'yes' is not a boolean; write true or false"),
        (hours(time_zone="localtime"), "time_intervals.hours.time_zone: 'localtime' is not a time zone"),
        (hours(time_zone="Berlin"), "time_intervals.hours.time_zone: 'Berlin' is not a time zone"),
        (hours(time_zone="Europe"), "time_intervals.hours.time_zone: 'Europe' is not a time zone"),
        (hours(time_zone="../etc"), "time_intervals.hours.time_zone: '../etc' is not a time zone"),
        (hours(start_time=540), "time_intervals.hours.start_time: 540 is not a time of day; write HH:MM"),
        (hours(start_time="9:00"), "time_intervals.hours.start_time: '9:00' is not a time of day"),
        (
            hours(end_time="08:00"),
            "time_intervals.hours: start_time 09:00 is not before end_time 08:00; for a night write a list of two",
        ),
        (hours(weekdays=["Mon"]), "time_intervals.hours.weekdays.0: 'Mon' is not a day of the week"),
        (hours(weekdays=["monday-friday"]), "time_intervals.hours.weekdays.0: 'monday-friday' is not a day of the we"),
        (
            {"time_intervals": {"hours": [HOURS, {**HOURS, "start_time": "x"}]}},
            "time_intervals.hours.1.start_time: 'x' is not a time of day",
        ),
        ({"time_intervals": {"Hours": HOURS}}, "time_intervals.Hours: 'Hours' is not a name; write up to 40"),
        ({"time_intervals": {"hours": "09:00"}}, "time_intervals.hours: must be a mapping (key: value), not '09:00'"),
        (
            window(matchers=["servise!=redis", "severity=~.*"]),
            (
                'maintenance_windows.up: servise!="redis", severity=~".*" would silence alerts that lack the label;'
                " add one"
            ),
        ),
        (
            window(matchers=["service=~(?!redis).*"]),
            "maintenance_windows.up.matchers.0: 'service=~(?!redis).*': the regular expression is wrong: invalid perl",
        ),
        (window(matchers=[5]), "maintenance_windows.up.matchers.0: 5 is not a matcher; write a label"),
        (window(matchers=["redis"]), "maintenance_windows.up.matchers.0: 'redis' is not a "),
        (window(matchers=["a=~("]), "maintenance_windows.up.matchers.0: 'a=~(': the regular"),
        (window(ends_at="2027-02-30 00:00"), "maintenance_windows.up.ends_at: '2027-02-30 00"),
        (
            window(starts_at="9999-12-30 22:00", ends_at="2100-12-31 22:00"),
            "maintenance_windows.up.starts_at: '9999-12-30 22:00' is not a date and time; write YYYY-MM-DD HH:MM in q",
        ),
        (
            window(starts_at="2000-01-01 00:00", ends_at="1999-12-31 23:59"),
            "maintenance_windows.up.ends_at: '1999-12-31 23:59' is not a date and time; write YYYY-MM-DD HH:MM in quo",
        ),
        (window(ends_at="2027-01-16 22:00"), "maintenance_windows.up: ends_at 2027-01-16 22:00 is not after starts_at"),
        (window(ends_at="2027-03-01 00:00"), "maintenance_windows.up: lasts 43 days; a maintenance window lasts at m"),
        ({"maintenance_windows": {"up": without(WINDOW, "ends_at")}}, "maintenance_windows.up.ends_at: is missing"),
        ({"maintenance_windows": {"up": without(WINDOW, "comment")}}, "maintenance_windows.up.comment: is missing"),
        ({"maintenance_windows": {"X": WINDOW}}, "maintenance_windows.X: 'X' is not a name"),
        (
            {"dead_mans_switch": False},
            "dead_mans_switch: false is not allowed; expected one of: disabled, a mapping (key: value)",
        ),
        ({"dead_mans_switch": {"url": "beats"}}, "dead_mans_switch.url: this is not an address"),
    ],
    ids=short,
)
def test_what_is_wrong_with_notifications_is_one_message_with_its_place(
    tmp_path: Path, notifications: dict[str, Any], said: str
) -> None:
    (line,) = problem(tmp_path, notifications=notifications).splitlines()[1:]
    assert line.startswith(f"  notifications.{said}")


def test_a_receiver_is_not_the_dead_mans_switch_too(tmp_path: Path) -> None:
    receivers = {"inbox": {"webhook": {"url": "http://b"}}}
    message = problem(tmp_path, notifications={"receivers": receivers, "dead_mans_switch": {"url": "http://b/"}})
    assert "dead_mans_switch.url: is the URL of the receiver inbox too, so any message would pass for the" in message


@pytest.mark.parametrize("empty", [email(to=[]), window(matchers=[]), hours(weekdays=[])], ids=short)
def test_a_list_that_says_nothing_is_refused(tmp_path: Path, empty: dict[str, Any]) -> None:
    (line,) = problem(tmp_path, notifications=empty).splitlines()[1:]
    assert line.startswith("  notifications.") and line.endswith("is empty; write at least one")
