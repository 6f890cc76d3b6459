"""Routing: who is told, what silences what, and that a changed template is a changed configuration."""

from collections.abc import Mapping
from pathlib import Path
from typing import Any

import pytest
import yaml
from pydantic import HttpUrl

import routing.render
from plan import plan
from routing.receivers import Webhook
from routing.render import alertmanager_files
from routing.tree import tree
from rules import ALERTS
from rules.model import Alert, Severity
from stacks.settings import Notifications, load_settings
from stacks.values import seconds

GIVEN = Notifications(
    webhook_url=HttpUrl("http://inbox:8025/webhook"), heartbeat_url=HttpUrl("http://inbox:8025/heartbeat")
)


def configuration(notifications: Notifications = GIVEN) -> dict[str, Any]:
    loaded: dict[str, Any] = yaml.safe_load(alertmanager_files(tree(notifications))["alertmanager.yml"])
    return loaded


@pytest.mark.parametrize(("url", "secret"), [("", ""), ("http://inbox:8025/", "webhook_url")])
def test_a_receiver_has_exactly_one_form_of_its_address(url: str, secret: str) -> None:
    with pytest.raises(ValueError, match="receiver on-call: give either a url or the name of a secret"):
        Webhook(name="on-call", url=url, url_secret=secret)


def test_an_address_of_the_settings_is_written_as_it_is() -> None:
    assert configuration()["receivers"] == [
        {"name": "on-call", "webhook_configs": [{"url": "http://inbox:8025/webhook", "send_resolved": True}]},
        {"name": "heartbeat", "webhook_configs": [{"url": "http://inbox:8025/heartbeat", "send_resolved": False}]},
    ]
    assert tree(GIVEN).secrets == ()


def test_without_an_address_in_the_settings_it_is_a_secret_read_from_a_file() -> None:
    on_call, heartbeat = configuration(Notifications())["receivers"]
    assert on_call["webhook_configs"] == [{"url_file": "/run/secrets/webhook_url", "send_resolved": True}]
    assert heartbeat["webhook_configs"] == [{"url_file": "/run/secrets/heartbeat_url", "send_resolved": False}]
    assert tree(Notifications()).secrets == ("heartbeat_url", "webhook_url")


@pytest.mark.parametrize("notifications", [GIVEN, Notifications()])
def test_no_receiver_is_without_an_address(notifications: Notifications) -> None:
    for receiver in configuration(notifications)["receivers"]:
        (webhook,) = receiver["webhook_configs"]
        assert webhook.get("url") or webhook.get("url_file"), receiver["name"]


def test_every_severity_has_one_route_to_a_receiver_that_exists() -> None:
    made = configuration()
    names = {receiver["name"] for receiver in made["receivers"]}
    assert made["route"]["receiver"] in names
    assert {route["receiver"] for route in made["route"]["routes"]} <= names
    assert sorted(route["matchers"][0] for route in made["route"]["routes"]) == sorted(
        f'severity="{severity.value}"' for severity in Severity
    )


def test_what_is_critical_is_told_sooner_and_again_sooner() -> None:
    critical, warning, _ = tree(GIVEN).routes
    assert (critical.severity, critical.wait, critical.repeat) == (Severity.CRITICAL, "10s", "1h")
    assert (warning.severity, warning.wait, warning.repeat) == (Severity.WARNING, "1m", "12h")


def test_the_heartbeat_goes_its_own_way_every_five_minutes_and_disturbs_nobody() -> None:
    routes = configuration()["route"]["routes"]
    (beat,) = [route for route in routes if route["matchers"] == ['severity="none"']]
    assert (beat["receiver"], beat["group_interval"], beat["repeat_interval"]) == ("heartbeat", "1m", "5m")
    assert [route["receiver"] for route in routes if route is not beat] == ["on-call", "on-call"]


def test_a_critical_alert_silences_warnings_about_the_same_thing_only() -> None:
    (rule,) = configuration()["inhibit_rules"]
    assert rule == {
        "source_matchers": ['severity="critical"'],
        "target_matchers": ['severity="warning"'],
        "equal": ["subject", "instance"],
    }


OUTAGES = [alert for alert in ALERTS if alert.or_absent]


@pytest.mark.parametrize("outage", OUTAGES, ids=lambda alert: str(alert.name))
def test_a_target_that_is_down_is_told_once_where_its_outage_has_an_alert(outage: Alert) -> None:
    (rule,) = configuration()["inhibit_rules"]
    target_down = next(alert for alert in ALERTS if alert.name == "TargetDown")
    scraped = yaml.safe_load(plan(load_settings("prod")).prometheus.files["prometheus.yml"])["scrape_configs"]
    (job,) = (job for job in scraped if job["job_name"] == outage.job.name)
    for target in job["static_configs"]:
        series = {"job": outage.job.name, **target["labels"]}
        page, held_back = told(outage, series), told(target_down, series)
        assert [page[label] for label in rule["equal"]] == [held_back[label] for label in rule["equal"]]
        assert [f'severity="{page["severity"]}"'] == rule["source_matchers"]
        assert [f'severity="{held_back["severity"]}"'] == rule["target_matchers"]
    assert seconds(target_down.for_) > seconds(outage.for_)  # or it is told before it can be held back


def told(alert: Alert, series: Mapping[str, str]) -> dict[str, str]:
    """The labels with which an alert about some series reaches Alertmanager."""
    return {**{label: series[label] for label in alert.when.signal.by}, **alert.labels}


def test_the_templates_go_with_the_configuration() -> None:
    files = alertmanager_files(tree(GIVEN))
    assert set(files) == {"alertmanager.yml", "templates/message.tmpl"}
    assert configuration()["templates"] == ["/etc/alertmanager/current/templates/*.tmpl"]


def test_a_changed_template_is_a_changed_configuration(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    # Alertmanager's hash, by which a release is confirmed, is of this one file.
    monkeypatch.setattr(routing.render, "TEMPLATES", tmp_path)
    texts = []
    for words in ("one", "one", "two"):
        (tmp_path / "message.tmpl").write_text(words, encoding="utf-8")
        texts.append(alertmanager_files(tree(GIVEN))["alertmanager.yml"])
    assert texts[0] == texts[1] != texts[2]
    assert yaml.safe_load(texts[0]) == yaml.safe_load(texts[2])
