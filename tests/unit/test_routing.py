"""Routing: who is notified, what inhibits what, maintenance windows, and the templates of the messages."""

from collections.abc import Mapping
from dataclasses import replace
from datetime import datetime
from pathlib import Path
from typing import Any
from zoneinfo import ZoneInfo

import pytest
import yaml

import routing.render
from desired_state import DesiredState, InvalidStackError, build_desired_state
from routing.render import alertmanager_files, template_problems
from routing.routes import InhibitRule, RoutingTree
from rules import ALERTS
from rules.model import Alert, Severity
from stacks.matchers import Matcher, all_match, parse_matcher
from stacks.notifications import MaintenanceWindow
from stacks.receivers import ReceiverSettings
from stacks.types import seconds
from tests.checkers import STACKS
from tests.unit.factories import planned, settings
from validation.routing import _inhibit_rules

MAIL: dict[str, Any] = {
    "smarthost": "mail.internal:587",
    "from": "from@softfactory.example",
    "to": ["to@softfactory.example"],
}
RECEIVERS: dict[str, Any] = {"inbox": {"webhook": {"url": "http://inbox:8025/webhook"}}}
SLACK: dict[str, Any] = {"alerts": {"slack": {"channel": "#a"}}}
# One of each kind, and a second one of some.
EVERY_KIND: dict[str, Any] = {
    "inbox": {"webhook": {"url": "http://inbox:8025/webhook"}},
    "relay": {"webhook": {}},
    "alerts": {"slack": {"channel": "#alerts"}},
    "dba": {"slack": {"channel": "#dba", "auth": "bot_token"}},
    "operations": {"email": {**MAIL, "auth_username": "alerts"}},
    "oncall": {"pagerduty": {}},
    "second-line": {"pagerduty": {}},
    "incidents": {"incidentio": {"url": "https://incidents.internal/alertmanager/1"}},
    "teams": {"teams": {}},
}


def made(stack: str = "dev", **notifications: Any) -> RoutingTree:
    return planned(stack, notifications={"receivers": RECEIVERS, **notifications}).routes


def configuration(stack: str = "dev", **notifications: Any) -> dict[str, Any]:
    loaded: dict[str, Any] = yaml.safe_load(alertmanager_files(made(stack, **notifications))["alertmanager.yml"])
    return loaded


def all_refused(stack: str = "dev", **notifications: Any) -> tuple[str, ...]:
    with pytest.raises(InvalidStackError) as caught:
        build_desired_state(settings(stack, notifications={"receivers": RECEIVERS, **notifications}))
    return caught.value.problems


def refused(stack: str = "dev", **notifications: Any) -> str:
    (problem,) = all_refused(stack, **notifications)
    return problem


def route(severity: str, *receivers: str, **more: Any) -> dict[str, Any]:
    """A route of the settings for one severity."""
    return {"match": {"severity": severity}, "receivers": list(receivers), **more}


# --- receivers -------------------------------------------------------------------------------------------------------


def test_a_stack_without_notifications_posts_to_a_url_that_is_a_secret() -> None:
    tree = planned("staging", notifications={}).routes
    assert tree.secrets == tree.url_secrets == ("dead_mans_switch_url", "webhook_url")
    for severity in ("critical", "warning"):
        assert tree.receivers_for({"severity": severity}) == ("webhook",)


def test_a_url_in_the_settings_needs_no_secret() -> None:
    tree = made(dead_mans_switch={"url": "http://inbox:8025/heartbeat"})
    assert tree.secrets == tree.url_secrets == ()
    inbox = tree.receivers["inbox"]
    assert inbox and inbox.render("inbox") == {
        "webhook_configs": [{"url": "http://inbox:8025/webhook", "send_resolved": True}]
    }


def test_two_receivers_of_one_kind_have_a_secret_each_that_carries_their_name() -> None:
    tree = made(receivers={"dba": {"slack": {"channel": "#dba"}}, "second-line": {"slack": {"channel": "#b"}}})
    assert {"dba_slack_webhook_url", "second_line_slack_webhook_url"} < set(tree.secrets)
    files = [config["slack_configs"][0]["api_url_file"] for config in _rendered(tree) if "slack_configs" in config]
    assert files == ["/run/secrets/dba_slack_webhook_url", "/run/secrets/second_line_slack_webhook_url"]


def _rendered(tree: RoutingTree) -> list[dict[str, Any]]:
    found: list[dict[str, Any]] = yaml.safe_load(alertmanager_files(tree)["alertmanager.yml"])["receivers"]
    return found


def test_alertmanager_reads_each_secret_of_a_receiver_from_its_file_and_no_other() -> None:
    tree = made(receivers=EVERY_KIND)
    text = alertmanager_files(tree)["alertmanager.yml"]
    assert {line.split()[-1] for line in text.splitlines() if "_file: " in line} == {
        f"/run/secrets/{name}" for name in tree.secrets
    }
    assert set(tree.url_secrets) == {name for name in tree.secrets if name.endswith("_url")}  # of ours, by their names


def test_a_receiver_of_every_kind_can_be_configured() -> None:
    kinds = {kind for receiver in EVERY_KIND.values() for kind in receiver}
    assert kinds == set(ReceiverSettings.model_fields)
    rendered = {receiver["name"]: receiver for receiver in configuration(receivers=EVERY_KIND)["receivers"]}
    for name in EVERY_KIND:
        (key,) = set(rendered[name]) - {"name"}
        (config,) = rendered[name][key]
        assert key.endswith("_configs") and config["send_resolved"] is True


def receiver(kind: str, **said: Any) -> dict[str, Any]:
    """The one configuration that Alertmanager gets of a receiver `some-one` of this kind."""
    found = ReceiverSettings.model_validate({kind: said}).kind.render("some-one")
    ((only,),) = found.values()
    return dict(only)


def test_slack_by_webhook_or_by_bot() -> None:
    hook = receiver("slack", channel="#a")
    bot = receiver("slack", channel="C0123456789", auth="bot_token")
    assert hook["api_url_file"] == "/run/secrets/some_one_slack_webhook_url" and "app_token_file" not in hook
    assert bot["app_token_file"] == "/run/secrets/some_one_slack_bot_token" and "api_url_file" not in bot
    assert (hook["channel"], bot["channel"]) == ("#a", "C0123456789")


@pytest.mark.parametrize(
    ("tls", "required", "implicit"), [("starttls", True, False), ("implicit", True, True), ("none", False, False)]
)
def test_a_mail_is_text_over_the_configured_kind_of_tls(tls: str, required: bool, implicit: bool) -> None:
    mail = receiver("email", **MAIL, tls=tls)
    assert (mail["require_tls"], mail["force_implicit_tls"]) == (required, implicit)
    assert mail["html"] == "" and "softfactory.text" in mail["text"]
    assert (mail["smarthost"], mail["from"], mail["to"]) == (MAIL["smarthost"], MAIL["from"], "to@softfactory.example")
    assert not any(key.startswith("auth") for key in mail)


def test_a_mail_server_that_wants_a_login_gets_the_password_from_a_file() -> None:
    mail = receiver("email", **MAIL, auth_username="alerts")
    assert mail["auth_username"] == "alerts"
    assert mail["auth_password_file"] == "/run/secrets/some_one_smtp_password"


def test_pagerduty_has_three_links_and_details_of_ours_alone() -> None:
    page = receiver("pagerduty")
    assert page["url"] == "https://events.pagerduty.com/v2/enqueue"
    assert [link["text"] for link in page["links"]] == ["Runbook", "Dashboard", "Silence"]
    assert set(page["details"]) == {"firing", "resolved"}
    assert receiver("pagerduty", url="https://events.eu.pagerduty.com/v2/enqueue")["url"].startswith(
        "https://events.eu"
    )


def test_incident_io_gets_the_alerts_as_they_are() -> None:
    incident = receiver("incidentio", url="https://incidents.internal/1")
    assert incident["alert_source_token_file"] == "/run/secrets/some_one_incidentio_token"
    assert incident["url"] == "https://incidents.internal/1"


def test_teams_gets_title_and_text_by_the_url_of_its_workflow() -> None:
    teams = receiver("teams")
    assert teams["webhook_url_file"] == "/run/secrets/some_one_teams_webhook_url"
    assert "softfactory.title" in teams["title"] and "softfactory.teams.text" in teams["text"]


@pytest.mark.parametrize("name", ["null", "dead-mans-switch"])
def test_the_stacks_own_receivers_keep_their_names(name: str) -> None:
    said = f"notifications.receivers.{name}: the stack has a receiver of this name itself; choose another name"
    assert said in all_refused(receivers={name: {"pagerduty": {}}})


def test_two_receivers_with_one_secret_are_refused() -> None:
    said = refused(receivers={"dba": {"slack": {"channel": "#a"}}, "dba-slack-webhook": {"webhook": {}}})
    assert (
        said == "notifications.receivers.dba-slack-webhook: reads the secret dba_slack_webhook_url, as the receiver dba"
        " does; "
        "rename one of them"
    )


# --- routes ----------------------------------------------------------------------------------------------------------


@pytest.mark.parametrize("stack", STACKS)
def test_every_alert_of_every_stack_reaches_somebody_by_a_route(stack: str) -> None:
    whole = planned(stack)
    for alert, sets in whole.labels.items():
        assert sets, alert.name
        for labels in sets:
            assert whole.routes.match(labels), alert.name
            assert all(whole.routes.receivers[name] for name in whole.routes.receivers_for(labels)), alert.name


def test_prod_pages_for_critical_alerts_and_lets_warnings_wait_for_business_hours() -> None:
    tree = planned("prod").routes
    critical, warning = tree.match({"severity": "critical"}), tree.match({"severity": "warning"})
    assert {route.active_time_intervals for route in critical} == {()}
    assert {route.active_time_intervals for route in warning} == {("business_hours",)}
    assert "pagerduty_configs" in _kinds(tree, *critical) and "pagerduty_configs" not in _kinds(tree, *warning)


def _kinds(tree: RoutingTree, *routes: Any) -> set[str]:
    receivers = {route.receiver: tree.receivers[route.receiver] for route in routes}
    return {key for name, receiver in receivers.items() if receiver for key in receiver.render(name)}


def test_without_routes_each_receiver_gets_every_alert() -> None:
    tree = made(receivers={**RECEIVERS, **SLACK})
    for severity in ("critical", "warning"):
        assert tree.receivers_for({"severity": severity}) == ("inbox", "alerts")


ROUTES = [
    route("critical", "oncall", "alerts"),
    {"match": {"severity": "warning", "service": "postgres"}, "receivers": ["dba"]},
    {"match": {"service": "redis"}, "matchers": ['instance=~"red.*"'], "receivers": ["audit"], "continue": True},
    route("warning", "alerts"),
]
TEAM: dict[str, Any] = {name: {"webhook": {}} for name in ("oncall", "alerts", "dba", "audit")}


@pytest.mark.parametrize(
    ("labels", "receivers"),
    [
        ({"severity": "critical", "service": "postgres"}, ("oncall", "alerts")),  # the first route wins
        ({"severity": "warning", "service": "postgres"}, ("dba",)),
        ({"severity": "warning", "service": "redis", "instance": "redis"}, ("audit", "alerts")),  # continue
        ({"severity": "warning", "service": "redis", "instance": "other"}, ("alerts",)),
        ({"severity": "warning", "service": "api"}, ("alerts",)),
        ({"severity": "warning", "service": None}, ("dba", "audit", "alerts")),  # it may be any of them
        ({"severity": "none", "service": "redis", "instance": "redis"}, ("null",)),  # before all other routes
        ({"alertname": "Strange"}, ("oncall",)),  # the first receiver takes what is not of this project
    ],
    ids=str,
)
def test_the_first_route_that_matches_wins_unless_it_continues(
    labels: dict[str, str | None], receivers: tuple[str, ...]
) -> None:
    if labels.get("service") is None and "severity" in labels:
        labels = {**labels, "instance": None}
    assert made(receivers=TEAM, routes=ROUTES).receivers_for(labels) == receivers


def test_a_route_with_several_receivers_is_one_alertmanager_route_each() -> None:
    routes = configuration(receivers=TEAM, routes=ROUTES)["route"]["routes"]
    mine = [route for route in routes if 'severity="critical"' in route["matchers"]]
    assert [(route["receiver"], route.get("continue", False)) for route in mine] == [
        ("oncall", True),
        ("alerts", False),
    ]


@pytest.mark.parametrize(
    ("match", "durations"),
    [
        ({"match": {"severity": "critical"}}, ("10s", "1m", "1h")),
        ({"match": {"severity": "warning"}}, ("1m", "5m", "12h")),
        ({"matchers": ["severity!=critical"]}, ("1m", "5m", "12h")),
        ({"match": {"service": "redis"}}, ("10s", "1m", "1h")),  # critical ones too
        ({"match": {"severity": "critical"}, "group_wait": "30s", "repeat_interval": "2h"}, ("30s", "1m", "2h")),
    ],
    ids=str,
)
def test_the_timing_of_a_route_follows_from_its_severity_unless_given(
    match: dict[str, Any], durations: tuple[str, str, str]
) -> None:
    tree = made(routes=[{"receivers": ["inbox"], "continue": True, **match}, {"receivers": ["inbox"]}])
    timing = next(route.timing for route in tree.routes if route.receiver == "inbox")
    assert (timing.group_wait, timing.group_interval, timing.repeat_interval) == durations


@pytest.mark.parametrize(
    ("timing", "said"),
    [
        ({"group_interval": "10m", "repeat_interval": "5m"}, "5m is shorter than the route's group_interval 10m"),
        ({"repeat_interval": "30s"}, "30s is shorter than the route's group_interval 5m"),  # the default
    ],
)
def test_a_notification_is_not_repeated_sooner_than_its_group_is_looked_at(timing: dict[str, str], said: str) -> None:
    routes = [route("critical", "inbox"), route("warning", "inbox", **timing)]
    assert refused(routes=routes).startswith(f"notifications.routes.1.repeat_interval: {said}; write at least ")
    second = dict.fromkeys(("group_wait", "group_interval", "repeat_interval"), "1s")
    assert made(routes=[route("critical", "inbox"), route("warning", "inbox", **second)])


@pytest.mark.parametrize(
    ("receivers", "said"),
    [
        (["alrts"], "no such receiver: alrts; did you mean alerts?"),
        (["pagerduty"], "no such receiver: pagerduty; expected one of: alerts"),
        (["alerts", "alerts"], "alerts is listed twice; remove one"),
    ],
)
def test_a_route_names_receivers_that_exist_once(receivers: list[str], said: str) -> None:
    routes = [route("critical", "alerts"), route("warning", *receivers)]
    assert refused(receivers=SLACK, routes=routes) == f"notifications.routes.1.receivers: {said}"


def test_a_receiver_that_no_route_uses_is_refused() -> None:
    routes = [route("critical", "alerts"), route("warning", "alerts")]
    assert (
        refused(receivers={**SLACK, "oncall": {"pagerduty": {}}}, routes=routes)
        == "notifications.receivers.oncall: not used by any route; add it to a route's `receivers`, or remove it"
    )


def test_alerts_that_no_route_matches_are_refused_with_the_route_that_is_missing() -> None:
    said = refused(routes=[route("critical", "inbox")])
    assert said.startswith("notifications.routes: no route matches HighResponseTime, SlowQueries, ")
    assert said.endswith(
        "(severity warning), so nobody would be notified; add a last route { match: { severity: warning }, "
        "receivers: [...] }"
    )


def test_a_route_that_matches_by_a_label_whose_value_is_not_known_is_not_enough() -> None:
    # Which disk a full disk is, nobody knows beforehand.
    routes = [route("critical", "inbox"), {"match": {"device": "sda1"}, "receivers": ["inbox"]}]
    rest = {"matchers": ["severity=warning", "alertname!~NodeFilesystem.*"], "receivers": ["inbox"]}
    said = refused(routes=[*routes, rest])
    assert said.startswith("notifications.routes: no route matches NodeFilesystem") and "(severity warning)" in said
    assert made(routes=[*routes, route("warning", "inbox")])


@pytest.mark.parametrize(
    ("wrong", "said"),
    [
        (
            {"match": {"sevrity": "critical"}},
            "no alert of this environment has a label sevrity; did you mean severity?",
        ),
        ({"match": {"service": "mysql"}}, 'no alert of this environment matches service="mysql"; `make alerts` lists '),
        ({"match": {"severity": "none"}}, 'no alert of this environment matches severity="none"; `make alerts` lists '),
        ({"match": {"service": "redis"}}, "the routes before it take every alert that it matches; move it before them"),
        (route("warning"), "the routes before it take every alert that it matches"),  # the same again
    ],
    ids=str,
)
def test_a_route_that_no_alert_takes_is_refused(wrong: dict[str, Any], said: str) -> None:
    routes = [route("critical", "inbox"), route("warning", "inbox"), {**wrong, "receivers": ["inbox"]}]
    assert refused(routes=routes).startswith(f"notifications.routes.2: {said}")


def test_a_route_that_matches_nothing_is_named_by_its_own_place() -> None:
    """Whatever receivers the routes before it have."""
    routes = [route("critical", "oncall", "alerts"), route("warn", "dba"), route("warning", "alerts", "audit")]
    assert refused(receivers=TEAM, routes=routes).startswith("notifications.routes.1: no alert of this environment")


# --- time intervals --------------------------------------------------------------------------------------------------

HOURS = {"weekdays": ["monday:friday"], "start_time": "09:00", "end_time": "17:00", "time_zone": "Europe/Berlin"}


def test_a_time_interval_is_rendered_in_alertmanagers_words() -> None:
    routes = [route("critical", "inbox"), route("warning", "inbox", active_time_intervals=["business_hours"])]
    loaded = configuration(routes=routes, time_intervals={"business_hours": HOURS})
    assert loaded["time_intervals"] == [
        {
            "name": "business_hours",
            "time_intervals": [
                {
                    "times": [{"start_time": "09:00", "end_time": "17:00"}],
                    "weekdays": ["monday", "tuesday", "wednesday", "thursday", "friday"],
                    "location": "Europe/Berlin",
                }
            ],
        }
    ]
    by_severity = {route["matchers"][0]: route for route in loaded["route"]["routes"]}
    assert by_severity['severity="warning"']["active_time_intervals"] == ["business_hours"]
    assert "active_time_intervals" not in by_severity['severity="critical"']


def test_a_time_interval_may_be_several_and_mute_a_route() -> None:
    night = [{"end_time": "06:00", "time_zone": "UTC"}, {"start_time": "22:00", "time_zone": "UTC"}]
    routes = [route("critical", "inbox"), route("warning", "inbox", mute_time_intervals=["night"])]
    loaded = configuration(routes=routes, time_intervals={"night": night})
    (interval,) = loaded["time_intervals"]
    assert [one["times"][0] for one in interval["time_intervals"]] == [
        {"start_time": "00:00", "end_time": "06:00"},
        {"start_time": "22:00", "end_time": "24:00"},
    ]
    assert loaded["route"]["routes"][-1]["mute_time_intervals"] == ["night"]


@pytest.mark.parametrize(
    ("weekdays", "days"),
    [
        (["friday:monday"], ["friday", "saturday", "sunday", "monday"]),  # Alertmanager's own ranges end on Saturday
        (["saturday:sunday"], ["saturday", "sunday"]),
        (["monday", "monday:tuesday"], ["monday", "tuesday"]),
        (["sunday:sunday"], ["sunday"]),
    ],
    ids=str,
)
def test_a_range_of_weekdays_is_written_day_by_day(weekdays: list[str], days: list[str]) -> None:
    routes = [route("critical", "inbox"), route("warning", "inbox", active_time_intervals=["hours"])]
    loaded = configuration(routes=routes, time_intervals={"hours": {**HOURS, "weekdays": weekdays}})
    assert loaded["time_intervals"][0]["time_intervals"][0]["weekdays"] == days


@pytest.mark.parametrize("key", ["active_time_intervals", "mute_time_intervals"])
def test_a_route_names_time_intervals_that_exist(key: str) -> None:
    routes = [route("critical", "inbox"), route("warning", "inbox", **{key: ["busines_hours"]})]
    said = all_refused(routes=routes, time_intervals={"business_hours": HOURS})
    assert said == (
        f"notifications.routes.1.{key}: no such time interval: busines_hours; did you mean business_hours?",
        (
            "notifications.time_intervals.business_hours: not used by any route; add it to a route's "
            "`active_time_intervals` or `mute_time_intervals`, or remove it"
        ),
    )


# --- the dead man's switch -------------------------------------------------------------------------------------------


def test_the_dead_mans_switch_gets_the_watchdog_alone_every_five_minutes() -> None:
    loaded = configuration(receivers=TEAM, routes=ROUTES)
    tree = made(receivers=TEAM, routes=ROUTES)
    assert tree.receivers_for({"alertname": "Watchdog", "severity": "none"}) == ("dead-mans-switch",)
    for alert, sets in planned().labels.items():
        for labels in sets:
            assert ("dead-mans-switch" in tree.receivers_for(labels)) is (alert.name == "Watchdog")
    (watchdog,) = [route for route in loaded["route"]["routes"] if route["receiver"] == "dead-mans-switch"]
    assert (watchdog["group_interval"], watchdog["repeat_interval"]) == ("1m", "5m")


def test_a_resolved_watchdog_is_no_sign_of_life() -> None:
    (switch,) = [one for one in configuration()["receivers"] if one["name"] == "dead-mans-switch"]
    assert switch["webhook_configs"] == [{"url_file": "/run/secrets/dead_mans_switch_url", "send_resolved": False}]


def test_production_must_not_disable_the_dead_mans_switch_and_a_test_stack_may() -> None:
    assert refused("prod", dead_mans_switch="disabled").startswith(
        "notifications.dead_mans_switch: production must not disable it: it is how you learn that alert delivery is "
    )
    tree = made("staging", dead_mans_switch="disabled")
    assert tree.receivers_for({"alertname": "Watchdog", "severity": "none"}) == ("null",)
    assert tree.receivers["null"] is None and "dead-mans-switch" not in tree.receivers
    assert {"name": "null"} in configuration("staging", dead_mans_switch="disabled")["receivers"]
    assert "dead_mans_switch_url" not in tree.secrets


def test_production_must_keep_the_watchdog_and_a_test_stack_may_turn_it_off() -> None:
    off = {"Watchdog": {"enabled": False}}
    with pytest.raises(InvalidStackError) as caught:
        build_desired_state(settings("prod", alert_overrides=off))
    assert caught.value.problems == (
        (
            "alert_overrides.Watchdog.enabled: production must keep the Watchdog enabled: it is how you learn that"
            " alert delivery is broken; remove this line"
        ),
    )
    assert build_desired_state(settings("staging", alert_overrides=off))


@pytest.mark.parametrize("switch", [{}, {"url": "https://beats.internal/1"}])
def test_the_dead_mans_switchs_url_is_in_the_settings_or_a_secret(switch: dict[str, str]) -> None:
    tree = made("prod", dead_mans_switch=switch)
    assert tree.receivers_for({"alertname": "Watchdog", "severity": "none"}) == ("dead-mans-switch",)
    assert ("dead_mans_switch_url" in tree.secrets) is not bool(switch)


# --- inhibition -----------------------------------------------------------------------------------------------------


def inhibiting(whole: RoutingTree, target: Mapping[str, str | None], by: Mapping[str, str | None]) -> list[InhibitRule]:
    """The inhibit rules by which one alert inhibits another."""
    return [
        rule
        for rule in whole.inhibit_rules
        if all_match(rule.source_matchers, by)
        and all_match(rule.target_matchers, target)
        and all(by.get(label, "") == target.get(label, "") for label in rule.equal)
    ]


def labels(stack: str, name: str, **some: str) -> Mapping[str, str | None]:
    """The labels of one of a stack's alerts, of those that have these."""
    found = (
        one
        for alert, sets in planned(stack).labels.items()
        if alert.name == name
        for one in sets
        if some.items() <= one.items()
    )
    return next(found)


@pytest.mark.parametrize(
    ("source", "target", "held"),
    [
        (("DatabaseDown", {}), ("ConnectionPoolNearMax", {}), True),  # the outage over what follows from it
        (("DatabaseDown", {}), ("TargetDown", {"service": "postgres"}), True),  # which its exporter reports too
        (("DatabaseDown", {}), ("TargetDown", {"service": "redis"}), False),
        (("DatabaseDown", {}), ("RedisMemoryHigh", {}), False),
        (("HighErrorRate", {"instance": "prod-api-1"}), ("HighResponseTime", {"instance": "prod-api-1"}), True),
        (("HighErrorRate", {"instance": "prod-api-1"}), ("HighResponseTime", {"instance": "prod-api-2"}), False),
        (("TargetDown", {"service": "node"}), ("NodeMemoryHighUtilization", {}), True),  # exporter over measured
        (("TargetDown", {"service": "node"}), ("NodeFilesystemReadOnly", {}), False),  # which is critical
        (("TargetDown", {"service": "node"}), ("TargetDown", {"service": "node"}), False),  # not itself
        (("PostgresExporterFailing", {}), ("PostgresDeadlocks", {}), True),
        (("NodeFilesystemReadOnly", {}), ("PrometheusTSDBFailures", {}), True),  # a host over its services
        (("NodeFilesystemReadOnly", {}), ("PrometheusNotIngestingSamples", {}), False),
        (("NodeFilesystemReadOnly", {}), ("ConnectionPoolNearMax", {}), False),  # prod's PostgreSQL is elsewhere
        (("ApiAvailabilityFastBurn", {}), ("ApiAvailabilitySlowBurn", {}), True),
        (("ApiAvailabilityFastBurn", {}), ("HighResponseTime", {}), False),
        (("HighErrorRate", {}), ("ApiAvailabilitySlowBurn", {}), False),
    ],
)
def test_what_inhibits_what(source: tuple[str, Any], target: tuple[str, Any], held: bool) -> None:
    whole = planned("prod").routes
    by, of = labels("prod", source[0], **source[1]), labels("prod", target[0], **target[1])
    assert bool(inhibiting(whole, of, by)) is held


def test_in_a_demo_the_host_carries_the_servers_too() -> None:
    whole = planned("dev").routes
    assert inhibiting(whole, labels("dev", "ConnectionPoolNearMax"), labels("dev", "NodeFilesystemReadOnly"))


def test_no_critical_alert_is_ever_inhibited() -> None:
    for stack in STACKS:
        whole = planned(stack)
        critical = [one for alert, sets in whole.labels.items() for one in sets if one["severity"] != "warning"]
        assert not any(all_match(rule.target_matchers, one) for rule in whole.routes.inhibit_rules for one in critical)


@pytest.mark.parametrize(
    ("rule", "said"),
    [
        (
            InhibitRule(
                source_matchers=(parse_matcher("severity=critical"),),
                target_matchers=(parse_matcher("alertname=SlowQueries"),),
                equal=("service", "instance"),
            ),
            "source ApiAvailabilityFastBurn has no label instance",
        ),
        (
            InhibitRule(
                source_matchers=(parse_matcher("alertname=ApiDown"),),
                target_matchers=(parse_matcher("alertname=SlowQueries"),),
                equal=("job",),
            ),
            "source ApiDown has no label job",
        ),
        (
            InhibitRule(
                source_matchers=(parse_matcher("alertname=ApiDwon"),),
                target_matchers=(parse_matcher("alertname=SlowQueries"),),
                equal=("instance",),
            ),
            "no alert is a source",
        ),
        (
            InhibitRule(
                source_matchers=(parse_matcher("alertname=ApiDown"),),
                target_matchers=(parse_matcher("service=mysql"),),
                equal=("instance",),
            ),
            "no alert is a target",
        ),
    ],
)
def test_an_inhibit_rule_compares_labels_that_both_sides_carry(rule: InhibitRule, said: str) -> None:
    whole = planned()
    assert list(_inhibit_rules(whole.routes, whole.labels, whole.labels)) == []
    found = list(_inhibit_rules(replace(whole.routes, inhibit_rules=(rule,)), whole.labels, whole.labels))
    assert any(line.endswith(said) for line in found), found
    assert all(line.startswith("routing/routes.py: inhibit rule {") for line in found)


OUTAGES = [alert for alert in planned("prod").alerts if alert.fire_if_absent]


@pytest.mark.parametrize("outage", OUTAGES, ids=lambda alert: str(alert.name))
def test_a_target_that_is_down_notifies_once_if_its_outage_has_an_alert(outage: Alert) -> None:
    target_down = next(alert for alert in ALERTS if alert.name == "TargetDown")
    whole = planned("prod")
    scraped = yaml.safe_load(whole.prometheus.files["prometheus.yml"])["scrape_configs"]
    (job,) = (job for job in scraped if job["job_name"] == outage.job.name)
    for target in job["static_configs"]:
        series = {"job": outage.job.name, **target["labels"]}
        page, inhibited = fired(outage, series), fired(target_down, series)
        assert inhibiting(whole.routes, inhibited, page)
    assert seconds(target_down.for_) > seconds(outage.for_)  # or it notifies before it can be inhibited


def fired(alert: Alert, series: Mapping[str, str]) -> dict[str, str]:
    """The labels with which an alert about some series reaches Alertmanager."""
    return {**{label: series[label] for label in alert.when.signal.by}, **alert.labels, "alertname": alert.name}


# --- maintenance windows ---------------------------------------------------------------------------------------------

WINDOW = {
    "matchers": ['service="postgres"'],
    "starts_at": "2027-01-16 22:00",
    "ends_at": "2027-01-17 02:30",
    "time_zone": "Europe/Berlin",
    "comment": "PostgreSQL 19",
}


def under_maintenance(**windows: Any) -> DesiredState:
    return planned(notifications={"receivers": RECEIVERS, "maintenance_windows": windows})


def rules(desired: DesiredState) -> list[dict[str, Any]]:
    (group,) = yaml.safe_load(desired.prometheus.files["rules/maintenance.yml"])["groups"]
    assert group["name"] == "maintenance"
    return list(group["rules"])


def test_a_window_is_an_alert_that_fires_between_its_two_times() -> None:
    (rule,) = rules(under_maintenance(upgrade=WINDOW))
    zone = ZoneInfo("Europe/Berlin")
    start = int(datetime(2027, 1, 16, 22, 0, tzinfo=zone).timestamp())
    end = int(datetime(2027, 1, 17, 2, 30, tzinfo=zone).timestamp())
    assert rule["alert"] == "MaintenanceWindow" and "for" not in rule
    assert rule["expr"] == f"vector(time()) >= {start} and vector(time()) < {end}"
    assert rule["labels"] == {"severity": "none", "service": "alertmanager", "window": "upgrade"}
    assert "PostgreSQL 19" in rule["annotations"]["description"]


def test_a_windows_clock_is_that_of_its_time_zone_over_a_change_of_the_clocks() -> None:
    # On 28 March 2027 Berlin goes from 02:00 to 03:00.
    window = {**WINDOW, "starts_at": "2027-03-28 01:30", "ends_at": "2027-03-28 03:30"}
    start, end = MaintenanceWindow.model_validate(window).bounds
    assert end - start == 3600


def test_an_open_window_inhibits_what_it_matches_and_nothing_else() -> None:
    desired = under_maintenance(upgrade=WINDOW)
    (window,) = rules(desired)
    source = {"alertname": "MaintenanceWindow", "environment": "dev", **window["labels"]}
    (rule,) = desired.routes.maintenance
    assert all_match(rule.source_matchers, source) and rule.equal == ()
    for alert, sets in desired.labels.items():
        for labels in sets:
            expected = labels["service"] == "postgres" and alert.severity is not Severity.NONE
            assert all_match(rule.target_matchers, labels) is expected, alert.name
    assert not all_match(rule.source_matchers, {**source, "window": "another"})


def test_no_window_inhibits_the_watchdog_or_a_window_and_its_alert_notifies_nobody() -> None:
    wide = {**WINDOW, "matchers": ["environment=dev"]}
    desired = under_maintenance(upgrade=WINDOW, everything=wide)
    for rule in rules(desired):
        labels = {"alertname": rule["alert"], "environment": "dev", **rule["labels"]}
        assert desired.routes.receivers_for(labels) == ("null",)
        assert not any(all_match(one.target_matchers, labels) for one in desired.routes.maintenance)
        assert not any(all_match(one.source_matchers, labels) for one in desired.routes.inhibit_rules)
    watchdog = {"alertname": "Watchdog", "severity": "none", "environment": "dev"}
    assert not any(all_match(rule.target_matchers, watchdog) for rule in desired.routes.maintenance)


def test_each_window_is_one_rule_and_one_inhibit_rule_however_many_overlap() -> None:
    many = {
        f"night-{number}": {**WINDOW, "matchers": ["service=postgres", f"instance!=n{number}"]} for number in range(50)
    }
    desired = under_maintenance(**many)
    names = [rule["labels"]["window"] for rule in rules(desired)]
    loaded = yaml.safe_load(desired.alertmanager.files["alertmanager.yml"])
    inhibiting = [
        rule for rule in loaded["inhibit_rules"] if 'alertname="MaintenanceWindow"' in rule["source_matchers"]
    ]
    assert sorted(names) == sorted(many) and len(inhibiting) == len(many)
    assert loaded["route"] == yaml.safe_load(under_maintenance().alertmanager.files["alertmanager.yml"])["route"]


def test_a_windows_rule_is_expected_to_be_loaded() -> None:
    assert ("maintenance", "MaintenanceWindow") in under_maintenance(upgrade=WINDOW).expected.rules
    without = under_maintenance()
    assert "rules/maintenance.yml" not in without.prometheus.files
    assert not any(group == "maintenance" for group, _ in without.expected.rules)


def test_a_comment_is_no_template_of_prometheus() -> None:
    (rule,) = rules(under_maintenance(upgrade={**WINDOW, "comment": "see {{ $value }}"}))
    assert rule["annotations"]["description"].startswith('see {{ "{{" }} $value }}. ')


def test_a_window_with_a_slip_in_a_labels_name_does_not_mute_all_the_rest() -> None:
    window = {**WINDOW, "matchers": ["severity=critical", "servise!=redis"]}
    assert (
        refused(maintenance_windows={"upgrade": window})
        == "notifications.maintenance_windows.upgrade.matchers: no alert of this environment has a label servise; did"
        " you "
        "mean service?"
    )


def test_a_window_that_matches_no_alert_is_refused() -> None:
    for nothing in ('service="mysql"', "severity=none", "alertname=~Watch.*"):
        said = refused(maintenance_windows={"upgrade": {**WINDOW, "matchers": [nothing]}})
        assert said.startswith("notifications.maintenance_windows.upgrade.matchers: no alert of this environment match")
    off = {alert.name: {"enabled": False} for alert in ALERTS if alert.service == "postgres"}
    window = {**WINDOW, "matchers": ["alertname=DatabaseDown"]}
    with pytest.raises(InvalidStackError, match="no alert of this environment matches"):
        build_desired_state(
            settings(
                notifications={"receivers": RECEIVERS, "maintenance_windows": {"upgrade": window}}, alert_overrides=off
            )
        )


# --- templates -------------------------------------------------------------------------------------------------------


def test_the_templates_go_with_the_configuration() -> None:
    files = alertmanager_files(made())
    assert set(files) == {
        "alertmanager.yml",
        *(f"templates/{n}.tmpl" for n in ("message", "pagerduty", "slack", "teams")),
    }
    assert configuration()["templates"] == ["/etc/alertmanager/current/templates/*.tmpl"]


def test_a_changed_template_is_a_changed_configuration(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    # Alertmanager's hash, by which a release is confirmed, is of this one file.
    tree = made()
    monkeypatch.setattr(routing.render, "TEMPLATES", tmp_path)
    texts = []
    for words in ("one", "one", "two"):
        (tmp_path / "message.tmpl").write_text(words, encoding="utf-8")
        texts.append(alertmanager_files(tree)["alertmanager.yml"])
    assert texts[0] == texts[1] != texts[2]
    assert yaml.safe_load(texts[0]) == yaml.safe_load(texts[2])


def test_a_template_that_is_not_there_or_left_open_is_told_by_its_place() -> None:
    files = alertmanager_files(made(receivers=EVERY_KIND))
    assert template_problems(files) == []
    wrong = {**files, "templates/x.tmpl": '{{ define "x" }}{{ template "softfactory.txt" . }}{{ end }'}
    assert template_problems(wrong) == [
        "routing/templates/x.tmpl: uses the template softfactory.txt, and routing/templates/ defines none of that name",
        "routing/templates/x.tmpl: 3 times {{, but 2 times }}",
    ]
    renamed = {path: text.replace('define "softfactory.title"', 'define "title"') for path, text in files.items()}
    assert (
        "a receiver uses the template softfactory.title, and routing/templates/ defines none of that name"
        in template_problems(renamed)
    )


def test_an_alerts_value_is_in_its_summary() -> None:
    """What Prometheus sends has no value but in the texts; up and down need none."""
    foretold = {"PostgresConnectionsFillingUp", "NodeFilesystemSpaceFillingUp"}  # their value is tomorrow's
    without = {a.name for a in ALERTS if "$value" not in a.summary and a.when.signal.unit.name != "UP"}
    assert without <= foretold


# --- matchers --------------------------------------------------------------------------------------------------------


@pytest.mark.parametrize(
    ("text", "found"),
    [
        ('service="redis"', Matcher("service", "=", "redis")),
        ("service=redis", Matcher("service", "=", "redis")),
        ('instance != "redis (no target)"', Matcher("instance", "!=", "redis (no target)")),
        ("alertname=~Slow.*", Matcher("alertname", "=~", "Slow.*")),
        ('a!~"b|c"', Matcher("a", "!~", "b|c")),
        (r'a="say \"hi\" \\ there"', Matcher("a", "=", r'say "hi" \ there')),
        ("a=", Matcher("a", "=", "")),
    ],
)
def test_a_matcher_is_read_as_alertmanager_writes_it(text: str, found: Matcher) -> None:
    assert parse_matcher(text) == found
    assert parse_matcher(str(found)) == found


@pytest.mark.parametrize(
    "text", ["", "service", "=x", "1a=x", 'a="b', "a=b c", "a=~(", "a={b}", "a=~(?!b)", "a=~b++", "a=~\udcff"]
)
def test_what_is_no_matcher_is_refused(text: str) -> None:
    with pytest.raises(ValueError, match=r"is not a matcher|regular expression"):
        parse_matcher(text)


@pytest.mark.parametrize(
    ("text", "labels", "holds"),
    [
        ("a=x", {"a": "x"}, True),
        ("a=x", {"a": "xy"}, False),
        ("a=x", {}, False),
        ("a=", {}, True),
        ("a!=x", {}, True),
        ("a!=x", {"a": "x"}, False),
        ("a=~x.", {"a": "xy"}, True),
        ("a=~x.", {"a": "xyz"}, False),
        ("a=~[[:alpha:]]+", {"a": "xy"}, True),
        ("a=~(?i)X", {"a": "x"}, True),
        ("a!~x.*", {"a": "xy"}, False),
        ("a!~x.*", {}, True),
        ("a=~.+", {}, False),
        ("a=~.*", {}, True),
        # There, but nobody knows what it is.
        ("a=x", {"a": None}, True),
        ("a!=x", {"a": None}, True),
        ("a=", {"a": None}, False),
        ("a!=", {"a": None}, True),
    ],
)
def test_what_a_matcher_holds_for(text: str, labels: dict[str, str | None], holds: bool) -> None:
    assert parse_matcher(text).matches(labels) is holds


def test_every_severity_has_a_route() -> None:
    matched = {str(one) for route in made().routes for one in route.matchers if one.label == "severity"}
    assert matched == {f'severity="{severity.value}"' for severity in Severity}
