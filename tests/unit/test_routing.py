"""Routing: who is told, what holds back what, when nobody is told, and that a changed template is a changed release."""

from collections.abc import Iterable, Mapping
from dataclasses import replace
from pathlib import Path
from typing import Any

import pytest
import yaml

import routing.render
from desired_state import InvalidStackError, build_desired_state
from routing.render import alertmanager_files, template_problems
from routing.routes import InhibitRule, Route, RoutingTree
from rules import ALERTS
from rules.model import Alert, Severity
from stacks.matchers import Matcher, all_hold, matcher
from stacks.types import seconds
from tests.checkers import STACKS
from tests.unit.factories import planned, settings
from validation.routing import _inhibitions

GIVEN = {"webhook_url": "http://inbox:8025/webhook", "heartbeat_url": "http://inbox:8025/heartbeat"}
MAIL: dict[str, Any] = {
    "smarthost": "mail.internal:587",
    "from": "from@softfactory.example",
    "to": ["to@softfactory.example"],
}
EVERY: dict[str, Any] = {
    "webhook_url": "http://inbox:8025/webhook",
    "slack": {"channel": "#alerts"},
    "email": {**MAIL, "user": "alerts"},
    "pagerduty": {},
    "incidentio": {"url": "https://incidents.internal/alertmanager/1"},
}


def made(stack: str = "dev", **notifications: Any) -> RoutingTree:
    return planned(stack, notifications=notifications).routes


def configuration(stack: str = "dev", **notifications: Any) -> dict[str, Any]:
    loaded: dict[str, Any] = yaml.safe_load(alertmanager_files(made(stack, **notifications))["alertmanager.yml"])
    return loaded


def refused(stack: str = "dev", **notifications: Any) -> str:
    with pytest.raises(InvalidStackError) as caught:
        build_desired_state(settings(stack, notifications=notifications))
    (problem,) = caught.value.problems
    return problem


# --- receivers -------------------------------------------------------------------------------------------------------


def test_dev_tells_its_inbox_by_webhook() -> None:
    assert yaml.safe_load(planned().alertmanager.files["alertmanager.yml"])["receivers"] == [
        {"name": "webhook", "webhook_configs": [{"url": "http://inbox:8025/webhook", "send_resolved": True}]},
        {"name": "heartbeat", "webhook_configs": [{"url": "http://inbox:8025/heartbeat", "send_resolved": False}]},
    ]
    assert made(**GIVEN).secrets == made(**GIVEN).addresses == ()


def test_without_an_address_in_the_settings_it_is_a_secret_read_from_a_file() -> None:
    webhook, heartbeat = configuration()["receivers"]
    assert webhook["webhook_configs"] == [{"url_file": "/run/secrets/webhook_url", "send_resolved": True}]
    assert heartbeat["webhook_configs"] == [{"url_file": "/run/secrets/heartbeat_url", "send_resolved": False}]
    assert made().secrets == made().addresses == ("heartbeat_url", "webhook_url")


def test_who_is_described_is_told_and_the_webhook_where_it_is_wanted() -> None:
    assert list(made(slack={"channel": "#a"}).receivers) == ["slack", "heartbeat"]
    both = made(slack={"channel": "#a"}, ways={"critical": {"to": ["webhook", "slack"]}})
    assert list(both.receivers) == ["webhook", "slack", "heartbeat"]
    assert both.secrets == ("heartbeat_url", "slack_url", "webhook_url")


def test_each_secret_is_a_file_and_those_that_are_addresses_are_known() -> None:
    every = made(**EVERY)
    assert every.secrets == (
        "heartbeat_url",
        "incidentio_token",
        "pagerduty_routing_key",
        "slack_url",
        "smtp_password",
    )
    assert every.addresses == ("heartbeat_url", "slack_url")
    text = alertmanager_files(every)["alertmanager.yml"]
    assert {line.split()[-1] for line in text.splitlines() if "_file: " in line} == {
        f"/run/secrets/{name}" for name in every.secrets
    }


def receiver(name: str, **said: Any) -> dict[str, Any]:
    given: dict[str, Any] = {name: said}
    (found,) = (one for one in configuration(**given)["receivers"] if one["name"] == name)
    ((kind, (only,)),) = ((key, value) for key, value in found.items() if key != "name")
    assert kind == f"{name}_configs"
    assert only["send_resolved"] is True
    return dict(only)


def test_slack_by_webhook_or_by_bot() -> None:
    hook, bot = receiver("slack", channel="#a"), receiver("slack", channel="C0123456789", bot=True)
    assert hook["api_url_file"] == "/run/secrets/slack_url" and "app_token_file" not in hook
    assert bot["app_token_file"] == "/run/secrets/slack_bot_token" and "api_url_file" not in bot
    assert (hook["channel"], bot["channel"]) == ("#a", "C0123456789")
    assert made(slack={"channel": "#a", "bot": True}).addresses == ("heartbeat_url",)  # a token is none


@pytest.mark.parametrize(
    ("tls", "required", "implicit"), [("starttls", True, False), ("implicit", True, True), ("none", False, False)]
)
def test_a_mail_is_text_over_the_kind_of_tls_that_is_wanted(tls: str, required: bool, implicit: bool) -> None:
    mail = receiver("email", **MAIL, tls=tls)
    assert (mail["require_tls"], mail["force_implicit_tls"]) == (required, implicit)
    assert mail["html"] == "" and "softfactory.text" in mail["text"]
    assert (mail["smarthost"], mail["from"], mail["to"]) == (MAIL["smarthost"], MAIL["from"], "to@softfactory.example")
    assert not any(key.startswith("auth") for key in mail)


def test_a_mail_server_that_wants_a_login_gets_it_from_a_file() -> None:
    mail = receiver("email", **MAIL, user="alerts")
    assert (mail["auth_username"], mail["auth_password_file"]) == ("alerts", "/run/secrets/smtp_password")


def test_pagerduty_has_three_links_and_details_of_ours_alone() -> None:
    page = receiver("pagerduty")
    assert page["url"] == "https://events.pagerduty.com/v2/enqueue"
    assert [link["text"] for link in page["links"]] == ["Runbook", "Dashboard", "Silence"]
    assert set(page["details"]) == {"firing", "resolved"}
    assert receiver("pagerduty", url="https://events.eu.pagerduty.com/v2/enqueue")["url"].startswith(
        "https://events.eu"
    )


def test_incident_io_gets_the_alerts_as_they_are() -> None:
    there = receiver("incidentio", url="https://incidents.internal/1")
    assert there["alert_source_token_file"] == "/run/secrets/incidentio_token"
    assert there["url"] == "https://incidents.internal/1"


# --- routes ----------------------------------------------------------------------------------------------------------


@pytest.mark.parametrize("stack", STACKS)
def test_every_alert_of_every_stack_reaches_somebody_by_a_route_of_its_own(stack: str) -> None:
    whole = planned(stack)
    for alert, sets in whole.labels.items():
        assert sets, alert.name
        for labels in sets:
            assert whole.routes.taken(labels), alert.name
            assert all(whole.routes.receivers[name] for name in whole.routes.told(labels)), alert.name


def test_prod_pages_for_what_is_critical_and_lets_warnings_wait_for_office_hours() -> None:
    whole = planned("prod").routes
    critical, warning = whole.taken({"severity": "critical"}), whole.taken({"severity": "warning"})
    assert [route.receiver for route in critical] == ["pagerduty", "slack"]
    assert [route.receiver for route in warning] == ["slack", "email"]
    assert {route.active for route in critical} == {()} and {route.active for route in warning} == {("office-hours",)}
    assert whole.told({"severity": "none"}) == ("heartbeat",)


def test_an_alert_of_nobodys_goes_where_the_critical_ones_go_first() -> None:
    assert planned("prod").routes.told({"alertname": "Strange"}) == ("pagerduty",)


def test_what_is_critical_is_told_sooner_and_again_sooner() -> None:
    critical, warning, _ = made(**GIVEN).routes
    assert (critical.pace.wait, critical.pace.interval, critical.pace.repeat) == ("10s", "1m", "1h")
    assert (warning.pace.wait, warning.pace.interval, warning.pace.repeat) == ("1m", "5m", "12h")


def test_an_environment_may_have_a_pace_of_its_own() -> None:
    critical, *_ = made(**GIVEN, ways={"critical": {"wait": "30s", "repeat": "2h"}}).routes
    assert (critical.pace.wait, critical.pace.interval, critical.pace.repeat) == ("30s", "1m", "2h")


@pytest.mark.parametrize(
    ("way", "said"),
    [
        ({"interval": "10m", "repeat": "5m"}, "5m is shorter than its interval 10m; write at least 10m"),
        ({"repeat": "30s"}, "30s is shorter than its interval 5m; write at least 5m"),  # the usual one
    ],
)
def test_nothing_is_told_again_sooner_than_its_group_is(way: dict[str, str], said: str) -> None:
    assert refused(**GIVEN, ways={"warning": way}) == f"notifications.ways.warning.repeat: {said}"
    assert made(**GIVEN, ways={"warning": {"wait": "1s", "interval": "1s", "repeat": "1s"}})


def test_the_heartbeat_goes_its_own_way_every_five_minutes_and_disturbs_nobody() -> None:
    routes = configuration(**GIVEN)["route"]["routes"]
    (beat,) = [route for route in routes if route["matchers"] == ['severity="none"']]
    assert (beat["receiver"], beat["group_interval"], beat["repeat_interval"]) == ("heartbeat", "1m", "5m")
    assert [route["receiver"] for route in routes if route is not beat] == ["webhook", "webhook"]


def test_a_receiver_that_no_way_leads_to_is_refused() -> None:
    said = refused(
        slack={"channel": "#a"},
        pagerduty={},
        ways={severity: {"to": ["slack"]} for severity in ("critical", "warning")},
    )
    assert (
        said
        == "notifications.pagerduty: no way leads to it, so it is told nothing; name it in a way's `to`, or remove it"
    )
    assert made(slack={"channel": "#a"}, pagerduty={}, ways={"warning": {"to": ["slack"]}})


@pytest.mark.parametrize(
    ("to", "said"),
    [
        (["slak"], "there is no receiver slak under notifications; there is slack"),
        (["pagerduty"], "there is no receiver pagerduty under notifications; there are: slack"),
        ([], "is empty, so nobody would be told; name receivers, or leave it out for all"),
        (["slack", "slack"], "slack is there twice"),
    ],
)
def test_a_way_leads_to_receivers_that_there_are(to: list[str], said: str) -> None:
    assert refused(slack={"channel": "#a"}, ways={"warning": {"to": to}}) == f"notifications.ways.warning.to: {said}"


# --- the dead man's switch -------------------------------------------------------------------------------------------


def test_prod_is_not_without_a_heartbeat_and_a_test_stack_may_be() -> None:
    assert refused("prod", heartbeat=False).startswith(
        "notifications.heartbeat: production needs what waits for the Watchdog"
    )
    silent = made("staging", heartbeat=False)
    assert silent.told({"severity": "none"}) == ("null",) and silent.receivers["null"] is None
    assert {"name": "null"} in configuration("staging", heartbeat=False)["receivers"]
    assert "heartbeat_url" not in silent.secrets


def test_prod_is_not_without_the_watchdog_and_a_test_stack_may_be() -> None:
    off = {"Watchdog": {"enabled": False}}
    with pytest.raises(InvalidStackError) as caught:
        build_desired_state(settings("prod", alert_overrides=off))
    assert caught.value.problems == (
        (
            "alert_overrides.Watchdog.enabled: production needs it, or nobody learns that nothing can be told; remove"
            " this line"
        ),
    )
    assert build_desired_state(settings("staging", alert_overrides=off))


@pytest.mark.parametrize("heartbeat", [{}, {"heartbeat_url": "https://beats.internal/1"}])
def test_prods_heartbeat_is_an_address_or_a_secret(heartbeat: dict[str, str]) -> None:
    whole = made("prod", **heartbeat)
    assert whole.told({"severity": "none"}) == ("heartbeat",)
    assert ("heartbeat_url" in whole.secrets) is not bool(heartbeat)


# --- inhibitions -----------------------------------------------------------------------------------------------------


def holders(whole: RoutingTree, held: Mapping[str, str | None], by: Mapping[str, str | None]) -> list[InhibitRule]:
    """The inhibitions by which one alert holds back another."""
    return [
        rule
        for rule in whole.inhibitions
        if all_hold(rule.source, by)
        and all_hold(rule.target, held)
        and all(by.get(label, "") == held.get(label, "") for label in rule.equal)
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
        (("DatabaseDown", {}), ("TargetDown", {"service": "postgres"}), True),  # which its exporter told too
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
def test_what_holds_back_what(source: tuple[str, Any], target: tuple[str, Any], held: bool) -> None:
    whole = planned("prod").routes
    by, of = labels("prod", source[0], **source[1]), labels("prod", target[0], **target[1])
    assert bool(holders(whole, of, by)) is held


def test_in_a_demo_the_host_carries_the_servers_too() -> None:
    whole = planned("dev").routes
    assert holders(whole, labels("dev", "ConnectionPoolNearMax"), labels("dev", "NodeFilesystemReadOnly"))


def test_nothing_critical_is_ever_held_back() -> None:
    for stack in STACKS:
        whole = planned(stack)
        critical = [one for alert, sets in whole.labels.items() for one in sets if one["severity"] != "warning"]
        assert not any(all_hold(rule.target, one) for rule in whole.routes.inhibitions for one in critical)


@pytest.mark.parametrize(
    ("rule", "said"),
    [
        (
            InhibitRule(
                source=(matcher("severity=critical"),),
                target=(matcher("alertname=SlowQueries"),),
                equal=("service", "instance"),
            ),
            "source ApiAvailabilityFastBurn has no label instance",
        ),
        (
            InhibitRule(
                source=(matcher("alertname=ApiDown"),), target=(matcher("alertname=SlowQueries"),), equal=("job",)
            ),
            "source ApiDown has no label job",
        ),
        (
            InhibitRule(
                source=(matcher("alertname=ApiDwon"),), target=(matcher("alertname=SlowQueries"),), equal=("instance",)
            ),
            "no alert is a source",
        ),
        (
            InhibitRule(
                source=(matcher("alertname=ApiDown"),), target=(matcher("service=mysql"),), equal=("instance",)
            ),
            "no alert is a target",
        ),
    ],
)
def test_an_inhibition_compares_labels_that_both_sides_carry(rule: InhibitRule, said: str) -> None:
    whole = planned()
    assert list(_inhibitions(whole.routes, whole.labels, whole.labels)) == []
    found = list(_inhibitions(replace(whole.routes, inhibitions=(rule,)), whole.labels, whole.labels))
    assert any(line.endswith(said) for line in found), found
    assert all(line.startswith("routing/routes.py: inhibition {") for line in found)


OUTAGES = [alert for alert in planned("prod").alerts if alert.fire_if_absent]


@pytest.mark.parametrize("outage", OUTAGES, ids=lambda alert: str(alert.name))
def test_a_target_that_is_down_is_told_once_where_its_outage_has_an_alert(outage: Alert) -> None:
    target_down = next(alert for alert in ALERTS if alert.name == "TargetDown")
    whole = planned("prod")
    scraped = yaml.safe_load(whole.prometheus.files["prometheus.yml"])["scrape_configs"]
    (job,) = (job for job in scraped if job["job_name"] == outage.job.name)
    for target in job["static_configs"]:
        series = {"job": outage.job.name, **target["labels"]}
        page, held_back = told(outage, series), told(target_down, series)
        assert holders(whole.routes, held_back, page)
    assert seconds(target_down.for_) > seconds(outage.for_)  # or it is told before it can be held back


def told(alert: Alert, series: Mapping[str, str]) -> dict[str, str]:
    """The labels with which an alert about some series reaches Alertmanager."""
    return {**{label: series[label] for label in alert.when.signal.by}, **alert.labels, "alertname": alert.name}


# --- planned work ----------------------------------------------------------------------------------------------------

WORK = {
    "matchers": ['service="postgres"'],
    "start": "2027-01-16 22:00",
    "end": "2027-01-17 02:30",
    "time_zone": "Europe/Berlin",
    "reason": "PostgreSQL 19",
}


def test_planned_work_is_written_as_its_days_by_its_own_clock() -> None:
    (interval,) = configuration(**GIVEN, planned_work={"upgrade": WORK})["time_intervals"]
    same = {"months": ["1"], "years": ["2027"], "location": "Europe/Berlin"}
    assert interval == {
        "name": "planned-upgrade",
        "time_intervals": [
            {"times": [{"start_time": "22:00", "end_time": "24:00"}], "days_of_month": ["16"], **same},
            {"times": [{"start_time": "00:00", "end_time": "02:30"}], "days_of_month": ["17"], **same},
        ],
    }


@pytest.mark.parametrize(("end", "days"), [("2027-01-16 23:00", 1), ("2027-01-17 00:00", 1), ("2027-01-30 22:00", 15)])
def test_planned_work_has_no_day_too_many(end: str, days: int) -> None:
    (interval,) = configuration(**GIVEN, planned_work={"upgrade": {**WORK, "end": end}})["time_intervals"]
    assert len(interval["time_intervals"]) == days


def test_what_is_worked_on_is_muted_and_nothing_else() -> None:
    whole = made("prod", **EVERY, planned_work={"upgrade": WORK})
    database = whole.taken({"severity": "critical", "service": "postgres"})
    assert {route.mute for route in database} == {("planned-upgrade",)}
    assert {route.mute for route in whole.taken({"severity": "critical", "service": "redis"})} == {()}
    assert [route.receiver for route in database] == list(whole.receivers)[:-1]  # all but the heartbeat, as without it
    assert whole.taken({"severity": "none"})[0].mute == ()


def test_two_works_on_one_thing_both_count_and_office_hours_stay() -> None:
    hours = {"start": "09:00", "end": "17:00", "time_zone": "UTC"}
    second = {**WORK, "matchers": ['alertname=~"Postgres.*"']}
    third = {**WORK, "matchers": ['service="redis"']}
    whole = made("prod", office_hours=hours, planned_work={"one": WORK, "two": second, "three": third})
    (route,) = whole.taken({"severity": "warning", "service": "postgres", "alertname": "PostgresDeadlocks"})
    assert (route.mute, route.active) == (("planned-one", "planned-two"), ("office-hours",))
    (route,) = whole.taken({"severity": "warning", "service": "postgres", "alertname": "ConnectionPoolNearMax"})
    assert route.mute == ("planned-one",)
    depth = [inner for route in whole.routes for inner in route.routes if "planned-three" in inner.mute]
    assert all(not inner.routes for inner in depth)  # Redis' and PostgreSQL's alerts are never the same


def works(*services: str) -> dict[str, Any]:
    """A planned work about PostgreSQL for each service that it is not about."""
    matchers = {service: ['service="postgres"', f'service!="{service}"'] for service in services}
    return {f"not-{service}": {**WORK, "matchers": matchers[service]} for service in services}


def routes_of(routes: Iterable[Route]) -> int:
    return sum(1 + routes_of(route.routes) for route in routes)


def test_works_on_the_same_thing_share_a_route() -> None:
    turned = {**WORK, "matchers": ["severity!=none", 'service="postgres"', 'service="postgres"']}
    other = {**WORK, "matchers": ['service="postgres"', "severity!=none"]}
    many = {f"night-{number}": turned if number % 2 else other for number in range(20)}
    whole = made(**GIVEN, planned_work=many)
    assert routes_of(whole.routes) == 3 + 2  # critical and warning, each with one
    (route,) = whole.taken({"severity": "critical", "service": "postgres"})
    assert set(route.mute) == {f"planned-{name}" for name in many} == set(whole.intervals)


def test_works_that_overlap_are_so_few_that_their_routes_can_be_counted() -> None:
    six = works("redis", "node", "api", "grafana", "prometheus", "elasticsearch")
    # Those about something else, or about the same, do not count.
    redis = {**WORK, "matchers": ["service=redis"]}
    whole = made(**GIVEN, planned_work={**six, "redis": redis, "again": six["not-redis"]})
    assert routes_of(whole.routes) == 3 + 2 * (2**6 - 1) + 2
    said = refused(**GIVEN, planned_work={**six, **works("alertmanager", *(f"n{number}" for number in range(40)))})
    assert said.startswith("notifications.planned_work: 47 works with different matchers are about ")
    assert said.endswith("; at most 6 may be: give those on the same thing the same matchers, or remove what is over")


def test_planned_work_with_a_slip_in_a_labels_name_does_not_mute_all_the_rest() -> None:
    said = refused(**GIVEN, planned_work={"upgrade": {**WORK, "matchers": ["severity=critical", "subjekt!=redis"]}})
    assert said.endswith("upgrade.matchers: no alert of this environment has a label subjekt")


def test_planned_work_that_is_about_nothing_is_refused() -> None:
    for nothing in ('service="mysql"', "severity=none", "alertname=~Watch.*"):
        said = refused(**GIVEN, planned_work={"upgrade": {**WORK, "matchers": [nothing]}})
        assert said.startswith("notifications.planned_work.upgrade.matchers: no alert of this environment fits ")
    off = {alert.name: {"enabled": False} for alert in ALERTS if alert.service == "postgres"}
    with pytest.raises(InvalidStackError, match="no alert of this environment fits"):
        build_desired_state(
            settings(
                notifications={"planned_work": {"upgrade": {**WORK, "matchers": ["alertname=DatabaseDown"]}}},
                alert_overrides=off,
            )
        )


# --- templates -------------------------------------------------------------------------------------------------------


def test_the_templates_go_with_the_configuration() -> None:
    files = alertmanager_files(made(**GIVEN))
    assert set(files) == {"alertmanager.yml", *(f"templates/{n}.tmpl" for n in ("message", "pagerduty", "slack"))}
    assert configuration(**GIVEN)["templates"] == ["/etc/alertmanager/current/templates/*.tmpl"]


def test_a_changed_template_is_a_changed_configuration(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    # Alertmanager's hash, by which a release is confirmed, is of this one file.
    tree = made(**GIVEN)
    monkeypatch.setattr(routing.render, "TEMPLATES", tmp_path)
    texts = []
    for words in ("one", "one", "two"):
        (tmp_path / "message.tmpl").write_text(words, encoding="utf-8")
        texts.append(alertmanager_files(tree)["alertmanager.yml"])
    assert texts[0] == texts[1] != texts[2]
    assert yaml.safe_load(texts[0]) == yaml.safe_load(texts[2])


def test_a_template_that_is_not_there_or_left_open_is_told_by_its_place() -> None:
    files = alertmanager_files(made(**EVERY))
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
    assert matcher(text) == found
    assert matcher(str(found)) == found


@pytest.mark.parametrize(
    "text", ["", "service", "=x", "1a=x", 'a="b', "a=b c", "a=~(", "a={b}", "a=~(?!b)", "a=~b++", "a=~\udcff"]
)
def test_what_is_no_matcher_is_refused(text: str) -> None:
    with pytest.raises(ValueError, match=r"is not a matcher|regular expression"):
        matcher(text)


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
    assert matcher(text).holds(labels) is holds


def test_every_severity_has_a_way() -> None:
    taken = {str(route.matchers[0]) for route in made(**GIVEN).routes}
    assert taken == {f'severity="{severity.value}"' for severity in Severity}
