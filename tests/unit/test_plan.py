"""The plan: what each stack gets, that it is the same every time, and that every check catches its fault."""

import hashlib
import json
import os
import subprocess
import sys
from collections.abc import Iterable
from dataclasses import replace
from pathlib import Path
from typing import Any

import pytest
import yaml

import desired_state
import routing.render
from dashboards import PAGES
from desired_state import (
    DesiredState,
    InvalidStackError,
    alertmanager_config_hash,
    build_desired_state,
    load_desired_state,
)
from routing.routes import RoutingTree, routing_tree
from rules import ALERTS, JOBS, RECORDING_RULES, redis
from rules.model import Alert
from stacks.matchers import Matcher
from stacks.settings import Settings, SettingsError, load_settings
from tests.checkers import ROOT, STACKS
from tests.unit.factories import planned, settings, values

NINE = {
    "ApiDown": "critical",
    "HighErrorRate": "critical",
    "DatabaseDown": "critical",
    "RedisDown": "critical",
    "ElasticsearchDown": "critical",
    "HighResponseTime": "warning",
    "SlowQueries": "warning",
    "CacheHitRatioDegraded": "warning",
    "ConnectionPoolNearMax": "warning",
}
EIGHT = {"prometheus", "alertmanager", "grafana", "softfactory-api", "postgres", "redis", "elasticsearch", "node"}
TRACKED = ("dev", "staging", "prod")


def prometheus(made: DesiredState) -> dict[str, Any]:
    loaded: dict[str, Any] = yaml.safe_load(made.prometheus.files["prometheus.yml"])
    return loaded


def rules_of(made: DesiredState, group: str) -> list[dict[str, Any]]:
    (found,) = yaml.safe_load(made.prometheus.files[f"rules/{group}.yml"])["groups"]
    assert found["name"] == group
    return list(found["rules"])


def problems(monkeypatch: pytest.MonkeyPatch, defined: Iterable[Alert] = ALERTS, **changes: Any) -> tuple[str, ...]:
    """What the plan says of alerts and settings that do not fit."""
    monkeypatch.setattr(desired_state, "ALERTS", tuple(defined))
    with pytest.raises(InvalidStackError) as caught:
        build_desired_state(settings(**changes))
    for problem in caught.value.problems:
        assert f"\n  {problem}" in str(caught.value)
    return caught.value.problems


def changed(which: str, **changes: Any) -> tuple[Alert, ...]:
    return tuple(replace(alert, **changes) if alert.name == which else alert for alert in ALERTS)


def broken(which: str, expr: str) -> tuple[Alert, ...]:
    (when,) = (alert.when for alert in ALERTS if alert.name == which)
    return changed(which, when=replace(when, signal=replace(when.signal, expr=expr)))


# --- what a stack gets -----------------------------------------------------------------------------------------------


@pytest.mark.parametrize("stack", STACKS)
def test_every_stack_can_be_planned(stack: str) -> None:
    assert planned(stack).files()


@pytest.mark.parametrize("stack", TRACKED)
def test_what_is_scraped_is_expected_and_all_that_the_settings_name(stack: str) -> None:
    made = planned(stack)
    jobs = prometheus(made)["scrape_configs"]
    scraped = {(j["job_name"], c["labels"]["instance"]) for j in jobs for c in j["static_configs"]}
    assert made.expected.targets == scraped
    given = {(job, target.instance) for job, there in made.settings.scrape_targets.items() for target in there}
    assert given | {(server.service, server.instance) for server in made.settings.exporters.servers()} <= scraped


def test_dev_has_the_checklists_eight_targets() -> None:
    assert {job for job, _ in planned().expected.targets} == EIGHT
    assert len(planned().expected.targets) == 8


@pytest.mark.parametrize("stack", TRACKED)
def test_the_checklists_nine_alerts_are_all_of_the_group_softfactory(stack: str) -> None:
    made = planned(stack)
    rules = rules_of(made, "softfactory")
    assert {rule["alert"]: rule["labels"]["severity"] for rule in rules} == NINE
    assert len(rules) == 9
    assert {(group, name) for group, name in made.expected.rules if group == "softfactory"} == {
        ("softfactory", name) for name in NINE
    }


def test_prometheus_knows_its_alertmanager_rules_and_environment() -> None:
    made = prometheus(planned())
    assert made["alerting"]["alertmanagers"] == [{"static_configs": [{"targets": ["alertmanager:9093"]}]}]
    assert made["rule_files"] == ["/etc/prometheus/current/rules/*.yml"]  # by the link that stays
    assert made["global"] == {
        "scrape_interval": "5s",
        "evaluation_interval": "5s",
        "external_labels": {"environment": "dev"},
    }


def test_a_targets_instance_is_what_is_watched_and_not_its_exporter() -> None:
    jobs = {job["job_name"]: job for job in prometheus(planned("prod"))["scrape_configs"]}
    assert jobs["postgres"]["static_configs"] == [
        {
            "targets": ["postgres-exporter-prod-postgres:9187"],
            "labels": {"instance": "prod-postgres", "service": "postgres"},
        }
    ]
    assert [c["labels"]["instance"] for c in jobs["softfactory-api"]["static_configs"]] == ["prod-api-1", "prod-api-2"]


def test_two_data_sources_are_reached_by_their_alias_in_the_stacks_network() -> None:
    sources = {source.uid: source for source in planned().datasources}
    assert {uid: source.url for uid, source in sources.items()} == {
        "prometheus": "http://prometheus:9090",
        "alertmanager": "http://alertmanager:9093",
    }
    assert [source.uid for source in sources.values() if source.default] == ["prometheus"]


def test_what_must_be_live_in_dev() -> None:
    expected = planned().expected
    assert expected.services == {
        "prometheus",
        "alertmanager",
        "grafana",
        "node-exporter",
        "api",
        "inbox",
        *(server.container for server in planned().settings.exporters.servers()),
        *planned().settings.demo_servers,
    }
    pages = {page.__name__.rpartition(".")[2] for page in PAGES}
    assert expected.dashboards == pages & {"overview", *(job.service for job in JOBS if job.name in EIGHT)}
    assert expected.scrape_interval == 5
    assert expected.targets - set(expected.stack_targets) == {("softfactory-api", "api")}
    assert expected.stack_targets["node", "docker-host"] == "node-exporter"
    assert set(expected.stack_targets.values()) <= expected.services


def test_without_a_demo_its_parts_are_not_expected() -> None:
    assert planned("prod").expected.services == {
        "prometheus",
        "alertmanager",
        "grafana",
        "node-exporter",
        *(server.container for server in planned("prod").settings.exporters.servers()),
    }


def test_a_stack_without_elasticsearch_loses_its_target_its_alert_and_its_exporter() -> None:
    exporters = {name: servers for name, servers in values()["exporters"].items() if name != "elasticsearch"}
    made = build_desired_state(settings(exporters=exporters))
    assert {job for job, _ in made.expected.targets} == EIGHT - {"elasticsearch"}
    names = {alert.name for alert in planned().alerts if alert.service != "elasticsearch"}
    assert {name for _, name in made.expected.rules} == names
    assert not any(service.startswith("elasticsearch") for service in made.expected.services)


def test_an_alert_that_is_off_is_neither_written_nor_expected() -> None:
    made = build_desired_state(settings(alert_overrides={"SlowQueries": {"enabled": False}}))
    assert {rule["alert"] for rule in rules_of(made, "softfactory")} == set(NINE) - {"SlowQueries"}
    assert ("softfactory", "SlowQueries") not in made.expected.rules


@pytest.mark.parametrize(
    ("stack", "receivers"),
    [
        ("dev", ()),
        ("staging", ("dead_mans_switch_url", "webhook_url")),
        (
            "prod",
            (
                "alerts_slack_webhook_url",
                "dead_mans_switch_url",
                "oncall_pagerduty_routing_key",
                "operations_smtp_password",
            ),
        ),
    ],
)
def test_the_secrets_are_those_that_the_services_read(stack: str, receivers: tuple[str, ...]) -> None:
    made = planned(stack)
    servers = {server.secret for server in made.settings.exporters.servers() if server.secret}
    assert len(servers) > 1
    assert made.secret_names == tuple(sorted({"grafana_admin_password", *servers, *receivers}))
    assert made.secrets["alertmanager"] == receivers


# --- releases --------------------------------------------------------------------------------------------------------


def test_a_rule_says_which_release_is_live_and_is_not_part_of_the_releases_own_hash() -> None:
    made = planned().prometheus
    (rule,) = rules_of(planned(), "revision")
    assert rule == {"record": "monitoring_config_info", "expr": "vector(1)", "labels": {"revision": made.hash}}
    assert made.confirmation == made.hash


@pytest.mark.parametrize(
    ("changes", "service"),
    [
        ({"alert_overrides": {"SlowQueries": {"threshold": 7}}}, "prometheus"),
        ({"scrape_interval": "10s"}, "prometheus"),
        ({"notifications": {"receivers": {"inbox": {"webhook": {"url": "http://b/"}}}}}, "alertmanager"),
        ({"retention": "7d"}, ""),
    ],
    ids=["a rule", "the scrape interval", "a receiver", "the retention, which is a flag"],
)
def test_a_change_makes_a_release_of_the_service_that_reads_it_and_of_no_other(
    changes: dict[str, Any], service: str
) -> None:
    before, after = planned(), planned(**changes)
    moved = {
        name
        for name in ("prometheus", "alertmanager")
        if getattr(before, name).hash != getattr(after, name).hash
        or getattr(before, name).confirmation != getattr(after, name).confirmation
    }
    assert moved == ({service} if service else set())


def test_a_changed_template_is_a_release_that_alertmanager_confirms(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    before = planned().alertmanager
    (tmp_path / "message.tmpl").write_text("other words", encoding="utf-8")
    monkeypatch.setattr(routing.render, "TEMPLATES", tmp_path)
    after = build_desired_state(settings()).alertmanager
    assert before.hash != after.hash
    assert before.confirmation != after.confirmation


def test_the_plan_is_the_same_in_every_process() -> None:
    program = (
        "import hashlib, json; from desired_state import build_desired_state; "
        "from stacks.settings import load_settings; "
        "made = build_desired_state(load_settings('dev')); "
        "print(made.prometheus.hash, made.alertmanager.hash, made.secret_names, "
        "hashlib.sha256(json.dumps(made.files()).encode()).hexdigest())"
    )
    seed = "2" if os.environ.get("PYTHONHASHSEED") == "1" else "1"
    there = subprocess.run(
        [sys.executable, "-c", program],
        cwd=ROOT,
        env={**os.environ, "PYTHONHASHSEED": seed},
        stdout=subprocess.PIPE,
        text=True,
        timeout=60,
        check=True,
    )
    made = build_desired_state(load_settings("dev"))
    files = hashlib.sha256(json.dumps(made.files()).encode()).hexdigest()
    assert there.stdout == f"{made.prometheus.hash} {made.alertmanager.hash} {made.secret_names} {files}\n"


def test_alertmanagers_hash_is_the_first_six_bytes_of_the_md5_little_endian() -> None:
    # RFC 1321 gives MD5("abc") = 900150983cd24fb0d6963f7d28e17f72: bytes 90 01 50 98 3c d2, read from the last.
    assert alertmanager_config_hash("abc") == str(0xD23C98500190) == "231157695250832"
    # MD5("") = d41d8cd98f00b204e9800998ecf8427e: the sixth byte is 0.
    assert alertmanager_config_hash("") == str(0x8FD98C1DD4)


def test_alertmanagers_confirmation_is_the_hash_of_its_file() -> None:
    made = planned().alertmanager
    digest = hashlib.md5(made.files["alertmanager.yml"].encode(), usedforsecurity=False).digest()
    assert made.confirmation == str(sum(byte << 8 * place for place, byte in enumerate(digest[:6])))


# --- every check catches its fault -----------------------------------------------------------------------------------


def test_targets_of_a_job_that_does_not_exist(monkeypatch: pytest.MonkeyPatch) -> None:
    (found,) = problems(monkeypatch, scrape_targets={"api": [{"address": "api:8000", "instance": "api"}]})
    assert found.startswith("scrape_targets.api: no such job; expected one of: alertmanager, ")


def test_an_instance_that_a_job_has_twice(monkeypatch: pytest.MonkeyPatch) -> None:
    twice = [{"address": "a:1", "instance": "api"}, {"address": "b:1", "instance": "api"}]
    assert problems(monkeypatch, scrape_targets={"softfactory-api": twice}) == (
        "scrape_targets.softfactory-api: the instance api is there twice",
    )


def test_an_instance_that_is_given_to_one_of_the_stacks_own_too(monkeypatch: pytest.MonkeyPatch) -> None:
    there = {**values()["scrape_targets"], "postgres": [{"address": "other:9187", "instance": "postgres"}]}
    assert problems(monkeypatch, scrape_targets=there) == (
        "scrape_targets.postgres: the instance postgres is there twice",
    )


def test_tuning_of_an_alert_that_does_not_exist(monkeypatch: pytest.MonkeyPatch) -> None:
    assert problems(monkeypatch, alert_overrides={"ApiDwon": {"enabled": False}, "Nothing": {}}) == (
        "alert_overrides.ApiDwon: no such alert; there is ApiDown",
        "alert_overrides.Nothing: no such alert; `make alerts` lists them",
    )


def test_a_rule_that_is_no_promql(monkeypatch: pytest.MonkeyPatch) -> None:
    found, *_ = problems(monkeypatch, broken("SlowQueries", "sum by ($by) (up{$scope}"))
    assert found.startswith("rules/api.py: SlowQueries: is no PromQL: ")


def test_a_metric_that_no_exporter_has(monkeypatch: pytest.MonkeyPatch) -> None:
    unknown, undrawn = problems(monkeypatch, broken("SlowQueries", "sum by ($by) (http_request_total{$scope})"))
    assert unknown == (
        "rules/api.py: SlowQueries: reads http_request_total, which softfactory-api does not have; "
        "there is http_requests_total"
    )
    assert undrawn.startswith("rules/api.py: SlowQueries: no panel of dashboards/api.py draws 'Slow database queries")


def test_an_alert_without_a_runbook(monkeypatch: pytest.MonkeyPatch) -> None:
    found = problems(monkeypatch, changed("RedisDown", name="CacheDown"))
    assert found[0] == "rules/redis.py: CacheDown: docs/runbooks/redis.md has no heading `## CacheDown`"


def test_a_hold_that_one_lost_sample_outlasts(monkeypatch: pytest.MonkeyPatch) -> None:
    runbook, hold = problems(monkeypatch, changed("RedisDown", for_="9s"))
    assert runbook.endswith("under `## RedisDown` the first words must be `Critical, after 9 seconds.`")
    assert hold == "rules/redis.py: RedisDown: for: 9s is shorter than two scrapes (10s by scrape_interval)"
    (runbook,) = problems(monkeypatch, changed("RedisDown", for_="10s"))
    assert runbook.endswith("the first words must be `Critical, after 10 seconds.`")


def test_a_tuned_hold_is_told_by_the_place_in_the_settings(monkeypatch: pytest.MonkeyPatch) -> None:
    assert problems(monkeypatch, alert_overrides={"RedisDown": {"for": "9s"}}) == (
        "alert_overrides.RedisDown.for: 9s is shorter than two scrapes (10s by scrape_interval)",
    )


def test_a_share_above_one(monkeypatch: pytest.MonkeyPatch) -> None:
    assert problems(monkeypatch, alert_overrides={"CacheHitRatioDegraded": {"threshold": 60}}) == (
        "alert_overrides.CacheHitRatioDegraded.threshold: 60 is not a share from 0 to 1; write 0.8 for 80 %",
    )
    for share in (0.01, 0.6, 1):
        assert build_desired_state(settings(alert_overrides={"CacheHitRatioDegraded": {"threshold": share}}))
    assert build_desired_state(
        settings(alert_overrides={"NodeFilesystemSpaceFillingUp": {"threshold": 1}})
    )  # what is foretold may be more


def test_a_threshold_between_up_and_down(monkeypatch: pytest.MonkeyPatch) -> None:
    (found,) = problems(monkeypatch, alert_overrides={"ApiDown": {"threshold": 0}})
    assert found.startswith("alert_overrides.ApiDown.threshold: the alert only knows up and down")


def test_a_hold_that_prod_refuses(monkeypatch: pytest.MonkeyPatch) -> None:
    assert build_desired_state(settings(alert_overrides={"RedisDown": {"for": "10s"}}))
    with pytest.raises(InvalidStackError) as caught:
        build_desired_state(settings("prod", alert_overrides={"RedisDown": {"for": "30s"}}))
    assert caught.value.problems == (
        "alert_overrides.RedisDown.for: 30s is shorter than the rule's 1m, which production refuses",
    )


def test_a_demo_without_its_servers(monkeypatch: pytest.MonkeyPatch) -> None:
    elsewhere = {"redis": [{"address": "redis.internal:6379", "instance": "redis"}]}
    assert problems(monkeypatch, exporters=elsewhere) == (
        "exporters.postgres: the demo needs an entry with its own server's address; write postgres:5432",
        "exporters.redis: the demo needs an entry with its own server's address; write redis:6379",
    )


def test_samples_that_are_gone_before_an_alert_has_looked_back(monkeypatch: pytest.MonkeyPatch) -> None:
    assert problems(monkeypatch, retention="2d") == (
        (
            "retention: 2d is shorter than the 3d of ApiAvailabilitySlowBurn; keep samples for longer, or write "
            "alert_overrides.ApiAvailabilitySlowBurn.enabled: false"
        ),
        (
            "retention: 2d is shorter than the 3d of ApiLatencySlowBurn; keep samples for longer, or write "
            "alert_overrides.ApiLatencySlowBurn.enabled: false"
        ),
    )
    off = {name: {"enabled": False} for name in ("ApiAvailabilitySlowBurn", "ApiLatencySlowBurn")}
    assert build_desired_state(settings(retention="2d", alert_overrides=off))
    assert build_desired_state(settings(retention="3d"))


def test_a_threshold_that_an_objective_sets(monkeypatch: pytest.MonkeyPatch) -> None:
    # Only one of the alert's four would change.
    assert problems(monkeypatch, alert_overrides={"ApiLatencyFastBurn": {"threshold": 0.5}}) == (
        (
            "alert_overrides.ApiLatencyFastBurn.threshold: it follows from an objective's target; change that in"
            " rules/api.py"
        ),
    )


def test_recordings_are_those_of_the_jobs_that_there_are() -> None:
    names = [rule["record"] for rule in rules_of(planned(), "slo") if "record" in rule]
    assert names == [made.name for made in RECORDING_RULES]
    without = build_desired_state(settings(scrape_targets={}))
    assert "rules/slo.yml" not in without.prometheus.files


def test_a_scrape_interval_that_makes_holds_too_short(monkeypatch: pytest.MonkeyPatch) -> None:
    found = problems(monkeypatch, scrape_interval="1m")
    assert {problem.split(": ")[1] for problem in found} == {
        alert.name for alert in planned().alerts if alert.for_ == "1m"
    }


def test_a_hold_that_is_no_duration(monkeypatch: pytest.MonkeyPatch) -> None:
    (found,) = problems(monkeypatch, changed("RedisDown", for_="5 minutes"))
    assert found.startswith("rules/redis.py: RedisDown: for: '5 minutes' is not a Prometheus duration")


@pytest.mark.parametrize("lost", ["the route", "the receiver", "the people"])
def test_a_severity_that_reaches_nobody(monkeypatch: pytest.MonkeyPatch, lost: str) -> None:
    def broken_tree(settings: Settings) -> RoutingTree:
        whole = routing_tree(settings)
        warning = Matcher("severity", "=", "warning")
        to = "null" if lost == "the people" else "nobody"
        routes = tuple(
            replace(route, receiver=to) if warning in route.matchers else route
            for route in whole.routes
            if lost != "the route" or warning not in route.matchers
        )
        return replace(whole, routes=routes)

    monkeypatch.setattr(desired_state, "routing_tree", broken_tree)
    (found,) = problems(monkeypatch)
    assert found.startswith("notifications.routes: no route matches HighResponseTime, ")
    assert "(severity warning), so nobody would be notified" in found


def test_all_problems_are_told_at_once(monkeypatch: pytest.MonkeyPatch) -> None:
    found = problems(
        monkeypatch,
        (*broken("SlowQueries", "sum("), replace(redis.ALERTS[0], for_="1s")),
        scrape_targets={"nothing": [], "softfactory-api": values()["scrape_targets"]["softfactory-api"] * 2},
    )
    for problem in (
        "scrape_targets.nothing: no such job",
        "scrape_targets.softfactory-api: the instance api is there twice",
        "rules/api.py: SlowQueries: is no PromQL",
        "rules/redis.py: RedisDown: docs/runbooks/redis.md: under `## RedisDown` the first words must be",
        "rules/redis.py: RedisDown: for: 1s is shorter than two scrapes",
    ):
        assert [line for line in found if line.startswith(problem)], problem


# --- from the file ---------------------------------------------------------------------------------------------------


def load(folder: Path, **changes: Any) -> str:
    """What is said of a file with dev's values, some replaced."""
    (folder / "mine.yaml").write_text(yaml.safe_dump(values(**changes)), encoding="utf-8")
    with pytest.raises((InvalidStackError, SettingsError)) as caught:
        load_desired_state("mine", folder=folder)
    return str(caught.value)


def test_what_does_not_fit_the_model_is_told_with_the_file(tmp_path: Path) -> None:
    message = load(tmp_path, alert_overrides={"ApiDwon": {}})
    assert message.startswith(
        "the desired state is invalid, with the settings of stacks/mine.yaml:\n  alert_overrides.ApiDwon: no such"
    )


def test_what_does_not_fit_the_model_is_told_together_with_wrong_values(tmp_path: Path) -> None:
    message = load(
        tmp_path,
        colour="blue",
        scrape_interval="5 s",
        ports={"grafana": 9090},
        alert_overrides={"ApiDwon": {}, "ApiDown": {"for": "soon"}, "HighErrorRate": {"threshold": 5}},
        scrape_targets={"nothing": [], "softfactory-api": [{"address": "api", "instance": "api"}]},
    )
    assert message.startswith("stacks/mine.yaml cannot be used:")
    places = [line.strip().partition(": ")[0] for line in message.splitlines()[1:]]
    assert sorted(places) == [
        "alert_overrides.ApiDown.for",
        "alert_overrides.ApiDwon",
        "alert_overrides.HighErrorRate.threshold",
        "colour",
        "ports.grafana",
        "scrape_interval",
        "scrape_targets.nothing",
        "scrape_targets.softfactory-api.0.address",
    ]


@pytest.mark.parametrize(
    "changes",
    [
        {"environment": "my qa"},
        {"production": "perhaps"},  # the demo is not blamed
        {"scrape_interval": "1 m", "alert_overrides": {"ApiDown": {"for": "20s"}}},
        {
            "exporters": {**values()["exporters"], "postgres": [{"address": "p"}]}
        },  # the demo's server is there, if wrong
        {"exporters": None},
        {"alert_overrides": 5},
        {5: 5},
    ],
    ids=str,
)
def test_nothing_is_blamed_for_what_is_wrong_elsewhere(tmp_path: Path, changes: dict[Any, Any]) -> None:
    (tmp_path / "mine.yaml").write_text(yaml.safe_dump({**values(), **changes}), encoding="utf-8")
    with pytest.raises(SettingsError) as alone:
        load_settings("mine", folder=tmp_path)
    with pytest.raises(SettingsError) as together:
        load_desired_state("mine", folder=tmp_path)
    assert str(together.value) == str(alone.value)
