"""What amtool says of the rendered routing: it takes it, it sends every alert where the code says, and the messages are
whole, whatever an alert holds.
"""

import json
import re
from collections.abc import Callable, Iterator, Mapping
from datetime import UTC, datetime, timedelta
from itertools import product
from shlex import quote
from typing import Any
from urllib.parse import parse_qs, unquote, urlsplit

import pytest

from desired_state import DesiredState, build_desired_state
from routing.render import TEMPLATES
from rules.model import Severity
from stacks.matchers import LabelSet
from stacks.settings import load_settings
from tests.checkers import STACKS, Checker, Outcome, rendered
from tests.unit.factories import settings
from tests.unit.test_routing import EVERY_KIND, WINDOW

pytestmark = pytest.mark.engine

CONFIGURATION = "alertmanager.yml"
HOURS = {"start_time": "09:00", "end_time": "17:00", "time_zone": "Europe/Berlin"}
FULL = {
    "receivers": EVERY_KIND,
    "routes": [
        {"matchers": ["severity=~warning|critical"], "receivers": ["inbox"], "continue": True},
        {"match": {"severity": "critical"}, "receivers": ["oncall", "alerts", "operations"]},
        {"match": {"service": "redis"}, "receivers": ["relay"], "continue": True},
        {
            "match": {"severity": "warning"},
            "matchers": ['alertname=~"Postgres.*|Redis.*"', "instance!=nothing"],
            "receivers": ["dba", "teams"],
            "mute_time_intervals": ["night"],
        },
        {
            "match": {"severity": "warning"},
            "receivers": ["alerts", "incidents", "second-line"],
            "active_time_intervals": ["business_hours"],
            "repeat_interval": "1d",
        },
    ],
    "time_intervals": {
        "business_hours": {"weekdays": ["monday:friday"], **HOURS},
        "night": [{"end_time": "06:00", "time_zone": "UTC"}, {"start_time": "22:00", "time_zone": "UTC"}],
    },
    "maintenance_windows": {
        "upgrade": WINDOW,
        "writes": {**WINDOW, "matchers": ['alertname=~"Postgres.*|Redis.*"', "instance!=nothing"]},
    },
}


def _files(made: DesiredState) -> dict[str, str]:
    """A plan's Alertmanager files, with the templates where amtool then finds them."""
    files = dict(made.alertmanager.files)
    files[CONFIGURATION] = files[CONFIGURATION].replace("/etc/alertmanager/current/", "")
    return files


def _plans() -> dict[str, DesiredState]:
    """The stacks, and one more with all that there can be."""
    tracked = {stack: build_desired_state(load_settings(stack)) for stack in STACKS}
    return {**tracked, "everything": build_desired_state(settings(notifications=FULL))}


PLANS = _plans()


@pytest.mark.parametrize("stack", PLANS)
def test_amtool_accepts_the_configuration_and_finds_the_templates(amtool: Checker, stack: str) -> None:
    result = amtool.run("check-config", CONFIGURATION, files=_files(PLANS[stack]))
    assert result.exit_code == 0, result.output
    assert "1 templates" in result.output


@pytest.mark.parametrize(
    ("old", "new", "said"),
    [
        ("receiver: inbox", "receiver: nobody", "nobody"),
        ("- business_hours", "- holidays", "holidays"),
        ("Europe/Berlin", "Europe/Bonn", "Bonn"),
        ("channel: ", "chanel: ", "chanel"),
    ],
)
def test_amtool_refuses_a_configuration_that_is_wrong(amtool: Checker, old: str, new: str, said: str) -> None:
    files = _files(PLANS["everything"])
    result = amtool.run(
        "check-config", CONFIGURATION, files={**files, CONFIGURATION: files[CONFIGURATION].replace(old, new)}
    )
    assert result.exit_code != 0
    assert said in result.output


@pytest.mark.parametrize(
    ("old", "new"), [('window="upgrade"', 'window="'), ('severity!="none"', "severity!!none")], ids=["source", "target"]
)
def test_amtool_refuses_an_inhibit_rule_that_is_wrong(amtool: Checker, old: str, new: str) -> None:
    files = _files(PLANS["everything"])
    assert old in files[CONFIGURATION]
    broken = {**files, CONFIGURATION: files[CONFIGURATION].replace(old, new)}
    assert amtool.run("check-config", CONFIGURATION, files=broken).exit_code != 0


def test_amtool_refuses_a_template_that_cannot_be_read(amtool: Checker) -> None:
    result = amtool.run("check-config", CONFIGURATION, files={**_files(PLANS["dev"]), "templates/x.tmpl": "{{ if }}"})
    assert result.exit_code != 0 and "x.tmpl" in result.output


# --- routing -----------------------------------------------------------------------------------------------------


def _combinations(made: DesiredState) -> Iterator[LabelSet]:
    """Every alert about everything that it can be about, and labels that no alert has together."""
    for sets in made.labels.values():
        for labels in sets:
            yield {name: "some" if value is None else value for name, value in labels.items()}
    services = sorted({alert.service for alert in made.alerts})
    severities = ("", "critical", "warning", "none", "page", "Critical")
    for severity, service, instance in product(severities, ("", *services, "mysql"), ("", "nothing", "redis")):
        labels = {"severity": severity, "service": service, "instance": instance, "alertname": "RedisThing"}
        yield {name: value for name, value in labels.items() if value}
    for severity, alertname in product(severities, ("Watchdog", "MaintenanceWindow")):
        labels = {"severity": severity, "alertname": alertname, "window": "upgrade"}
        yield {name: value for name, value in labels.items() if value}


@pytest.mark.parametrize("stack", PLANS)
def test_amtool_sends_every_alert_where_the_code_says(
    amtool: Checker, stack: str, record_property: Callable[[str, object], None]
) -> None:
    made = PLANS[stack]
    asked = [dict(pairs) for pairs in dict.fromkeys(tuple(sorted(labels.items())) for labels in _combinations(made))]
    question = f"amtool config routes test --config.file={CONFIGURATION}"
    lines = "".join(
        f"{question} {' '.join(quote(f'{name}={json.dumps(value)}') for name, value in one.items())} 2>&3\n"
        for one in asked
    )
    done = amtool.script(f"exec 3>/tmp/stderr\n{lines}", files=_files(made))
    answers = done.stdout.splitlines()
    assert len(answers) == len(asked), done.output[-2000:]
    for labels, answer in zip(asked, answers, strict=True):
        assert answer.split(",") == list(made.routes.receivers_for(labels)), labels
    record_property(f"label sets of {stack} compared with amtool", len(asked))


@pytest.mark.parametrize("severity", Severity)
def test_every_severity_has_a_route_and_does_not_fall_to_the_default(amtool: Checker, severity: Severity) -> None:
    for stack in STACKS:
        shown = amtool.run(
            "config",
            "routes",
            "test",
            f"--config.file={CONFIGURATION}",
            "--tree",
            f"severity={severity.value}",
            files=_files(PLANS[stack]),
        )
        assert f'severity="{severity.value}"' in shown.output


# --- messages --------------------------------------------------------------------------------------------------------

BEGAN = datetime(2027, 1, 16, 21, 4, 5, tzinfo=UTC)


def _alert(status: str = "firing", summary: str = "redis uses 95.2% of its memory", **labels: str) -> dict[str, Any]:
    ended = BEGAN + timedelta(minutes=10)
    return {
        "status": status,
        "labels": {
            "alertname": "RedisMemoryHigh",
            "severity": "warning",
            "service": "redis",
            "instance": "redis",
            "environment": "prod",
            **labels,
        },
        "annotations": {
            "summary": summary,
            "description": "Redis is about to evict keys.",
            "runbook_url": "https://git.internal/docs/runbooks/redis.md#redismemoryhigh",
            "dashboard_url": "https://grafana.internal/d/redis?var-instance=redis",
        },
        "startsAt": BEGAN.isoformat(),
        "endsAt": ended.isoformat() if status == "resolved" else "0001-01-01T00:00:00Z",
    }


def _data(*alerts: Mapping[str, Any]) -> dict[str, Any]:
    def common(part: str) -> dict[str, str]:
        first, *others = (alert[part] for alert in alerts)
        return {name: value for name, value in first.items() if all(other.get(name) == value for other in others)}

    return {
        "receiver": "slack",
        "status": "firing" if any(alert["status"] == "firing" for alert in alerts) else "resolved",
        "alerts": list(alerts),
        "groupLabels": {},
        "commonLabels": common("labels"),
        "commonAnnotations": common("annotations"),
        "externalURL": "https://alertmanager.internal",
    }


def _texts(amtool: Checker, data: Mapping[str, Any], *names: str) -> list[str]:
    """What the templates of these names make of a message."""
    parts = "\x1f".join(f'{{{{ template "softfactory.{name}" . }}}}' for name in names)
    done = _render(amtool, data, parts)
    assert done.exit_code == 0, done.output
    return done.stdout.removesuffix("\n").split("\x1f")


def _render(amtool: Checker, data: Mapping[str, Any], text: str, **more: str) -> Outcome:
    files = {**_files(PLANS["everything"]), **more, "data.json": json.dumps(data)}
    return amtool.run(
        "template",
        "render",
        "--template.glob=templates/*.tmpl",
        "--template.data=data.json",
        f"--template.text={text}",
        files=files,
    )


MESSAGES = (
    "title",
    "slack.text",
    "text",
    "pagerduty.summary",
    "pagerduty.source",
    "pagerduty.firing",
    "pagerduty.resolved",
    "pagerduty.silence",
    "group",
    "teams.text",
)


def test_a_message_says_what_fires_since_when_and_where_to_look(amtool: Checker) -> None:
    title, slack, text, summary, source, firing, resolved, silence, group, teams = _texts(
        amtool, _data(_alert()), *MESSAGES
    )
    assert title == "[FIRING 1] RedisMemoryHigh redis (prod)"
    for part in ("redis uses 95.2% of its memory", "firing since 2027-01-16 21:04:05 UTC"):
        assert part in slack and part in text and part in firing and part in teams
    for link in (
        "https://git.internal/docs/runbooks/redis.md#redismemoryhigh",
        "https://grafana.internal/d/redis",
        silence,
    ):
        assert link in slack and link in text and link in firing and f"({link}" in teams
    assert f"<{silence}|Silence>" in slack
    assert (summary, source, resolved) == ("redis uses 95.2% of its memory", "redis", "")
    assert group == "https://alertmanager.internal/#/alerts?receiver=slack"


def test_a_resolved_alert_is_a_message_of_its_own(amtool: Checker) -> None:
    over = _data(_alert("resolved"))
    title, slack, text, teams, color = _texts(amtool, over, "title", "slack.text", "text", "teams.text", "slack.color")
    assert title == "[RESOLVED] RedisMemoryHigh redis (prod)"
    for message in (slack, text, teams):
        assert "resolved at 2027-01-16 21:14:05 UTC, after 10m 0s" in message
        assert "Silence" not in message  # there is nothing to silence any more
    assert color == "good"


@pytest.mark.parametrize(
    ("status", "severity", "color", "urgency"),
    [
        ("firing", "critical", "danger", "critical"),
        ("firing", "warning", "warning", "warning"),
        ("resolved", "critical", "good", "critical"),
    ],
)
def test_severity_shows_in_each_services_own_words(
    amtool: Checker, status: str, severity: str, color: str, urgency: str
) -> None:
    data = _data(_alert(status, severity=severity))
    assert _texts(amtool, data, "slack.color", "pagerduty.severity") == [color, urgency]


STRANGE = 'a "b" \\c + 100 % & <x> {é} ?#='


def test_a_silence_is_prefilled_with_exactly_the_alerts_labels(amtool: Checker) -> None:
    alert = _alert(instance="redis (no target)", strange=STRANGE)
    (link,) = _texts(amtool, _data(alert), "pagerduty.silence")
    address, _, fragment = link.partition("#")
    assert address == "https://alertmanager.internal/"
    assert re.fullmatch(r"/silences/new\?filter=[A-Za-z0-9%._~-]+", fragment)  # a + would stay one in a fragment
    labels = _read_filter(unquote(urlsplit(fragment).query.removeprefix("filter=")))
    assert labels == alert["labels"]
    assert parse_qs(urlsplit(fragment).query)["filter"]


def _read_filter(text: str) -> dict[str, str]:
    pairs = re.findall(r'([a-z]+)=("(?:[^"\\]|\\.)*")', text.removeprefix("{").removesuffix("}"))
    assert "{" + ",".join(f"{name}={value}" for name, value in pairs) + "}" == text
    return {name: json.loads(value) for name, value in pairs}


def test_slacks_own_signs_are_taken_for_text(amtool: Checker) -> None:
    (text,) = _texts(amtool, _data(_alert(summary="a & b <!channel> *c*")), "slack.text")
    assert text.startswith("*a &amp; b &lt;!channel&gt; *c**\n")


def test_a_runbook_that_is_only_a_path_is_no_link(amtool: Checker) -> None:
    alert = _alert()
    alert["annotations"]["runbook_url"] = "docs/runbooks/redis.md#redismemoryhigh"
    slack, text = _texts(amtool, _data(alert), "slack.text", "text")
    assert "Runbook: docs/runbooks/redis.md#redismemoryhigh" in slack
    assert "Runbook: docs/runbooks/redis.md#redismemoryhigh" in text
    done = _render(amtool, _data(alert), '{{ template "softfactory.pagerduty.link" .CommonAnnotations.runbook_url }}')
    assert done.stdout.strip() == ""  # PagerDuty refuses it


def test_alerts_about_several_instances_share_a_message(amtool: Checker) -> None:
    several = _data(*(_alert(instance=f"redis-{number}", summary=f"redis-{number} is full") for number in range(7)))
    title, slack, text, summary, source, silence = _texts(
        amtool, several, "title", "slack.text", "text", "pagerduty.summary", "pagerduty.source", "pagerduty.silence"
    )
    assert title == summary == "[FIRING 7] RedisMemoryHigh (prod)" and source == "redis"
    assert [f"redis-{number} is full" in slack for number in range(7)] == [True] * 5 + [False] * 2
    assert "... and 2 more." in slack
    assert [number for number in range(7) if f"redis-{number} is full" not in text] == []
    assert "instance" not in unquote(silence) and 'service="redis"' in unquote(silence)


def test_what_fires_is_told_before_what_is_over(amtool: Checker) -> None:
    over = [_alert("resolved", f"redis-{number} was full", instance=f"redis-{number}") for number in range(20)]
    slack, text = _texts(amtool, _data(*over, _alert(summary="redis is full")), "slack.text", "text")
    assert slack.startswith("*redis is full*\n") and text.startswith("redis is full\n")
    assert [slack.count("was full"), text.count("was full")] == [4, 19]
    assert "... and 16 more." in slack and "... and 1 more." in text


# What each service accepts, in characters; the sources stand in the templates.
BOUNDS = {"title": 250, "slack.text": 40_000, "pagerduty.summary": 1024, "pagerduty.source": 200, "text": 100_000}
BOUNDS |= {"pagerduty.firing": 100_000, "pagerduty.silence": 400, "teams.text": 10_000}


@pytest.mark.parametrize("word", ["x" * 5000, "é" * 5000, "&<>" * 2000, '"\\' * 2000, "+ " * 2000])
def test_whatever_an_alert_holds_a_message_keeps_its_services_bound(amtool: Checker, word: str) -> None:
    many = [_alert(alertname=word, instance=word, summary=word, environment=word, service=word) for _ in range(100)]
    for alert in many:
        alert["annotations"] |= {
            "description": word,
            "runbook_url": f"https://{word}",
            "dashboard_url": f"https://{word}",
        }
    for name, text in zip(BOUNDS, _texts(amtool, _data(*many), *BOUNDS), strict=True):
        assert len(text) <= BOUNDS[name], f"{name}: {len(text)}"
        assert "\ufffd" not in text  # no character is cut in two


def test_a_usual_message_is_as_short_as_slack_asks_for(
    amtool: Checker, record_property: Callable[[str, object], None]
) -> None:
    (text,) = _texts(amtool, _data(*(_alert(instance=f"redis-{number}") for number in range(30))), "slack.text")
    assert len(text) <= 4000
    record_property("characters of Slack's text for 30 alerts", len(text))


def test_every_template_can_be_rendered(amtool: Checker) -> None:
    """The same that a release does before it is switched to."""
    names = [name for path in TEMPLATES.glob("*.tmpl") for name in re.findall(r'define "(.+?)"', path.read_text())]
    parts = ("when", "alert", "link", "silence", "slack.escaped", "pagerduty.link", "pagerduty.alerts")
    whole = [name for name in names if name.removeprefix("softfactory.") not in parts]
    assert len(whole) >= 10
    text = "".join(f'{{{{ template "{name}" . }}}}' for name in whole)
    assert _render(amtool, _data(_alert()), text).exit_code == 0
    broken = _render(
        amtool, _data(_alert()), text, **{"templates/x.tmpl": '{{ define "softfactory.title" }}{{ .No.Such }}{{ end }}'}
    )
    assert broken.exit_code != 0


@pytest.mark.parametrize("stack", STACKS)
def test_the_files_are_those_that_are_rendered(stack: str) -> None:
    there = {path.partition("/alertmanager/")[2] for path in rendered(stack) if "/alertmanager/" in path}
    assert there == set(PLANS[stack].alertmanager.files)
