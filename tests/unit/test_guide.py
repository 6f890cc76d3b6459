"""The guide says what is so: its tables, queries, examples and names are those of the code."""

import json
import re
from pathlib import Path
from typing import Any

import promql_parser
import pytest
import yaml
from prometheus_client.metrics_core import Metric
from pydantic import ValidationError

from demo.metrics import UNSUFFIXED_COUNTERS, Metrics
from rules import ALERTS, JOBS
from rules.model import CHECKLIST_GROUP, Alert
from stacks.notifications import RouteSettings
from stacks.receivers import ReceiverSettings
from stacks.settings import Settings
from tests.checkers import ROOT, complete
from tests.unit.factories import planned, values
from tests.unit.test_routing import EVERY_KIND

GUIDE = (ROOT / "docs/guide.md").read_text(encoding="utf-8")
PAGES = [ROOT / "docs/guide.md", *sorted((ROOT / "docs/runbooks").glob("*.md"))]


def section(title: str) -> str:
    return GUIDE.partition(f"\n## {title}\n")[2].partition("\n## ")[0]


def table(text: str) -> list[list[str]]:
    """The cells of a section's first table, without its head."""
    first = re.search(r"(^\|.*\n)+", text, flags=re.MULTILINE)
    rows = [[cell.strip() for cell in line.strip("|").split("|")] for line in (first[0] if first else "").splitlines()]
    return rows[2:]


def blocks(page: Path, language: str) -> list[str]:
    """The code blocks of a language; one that has blocks in it stands between longer fences."""
    fence = re.compile(rf"^(`{{3,}}){language}\n(.*?)^\1$", flags=re.MULTILINE | re.DOTALL)
    return [text for _, text in fence.findall(page.read_text(encoding="utf-8"))]


def test_the_metrics_are_those_of_the_api() -> None:
    def name(family: Metric) -> str:
        plain = family.name not in UNSUFFIXED_COUNTERS and family.type == "counter"
        return f"{family.name}_total" if plain else str(family.name)

    there = [(name(f), str(f.type)) for f in Metrics().registry.collect()]
    rows = table(section("Metrics"))
    assert [row[0] for row in rows] == [str(number) for number in range(1, 17)]
    assert sorted((row[1].strip("`"), row[2]) for row in rows[:15]) == sorted(there)


def test_the_alerts_are_the_checklists() -> None:
    nine = [alert for alert in ALERTS if alert.group == CHECKLIST_GROUP]
    rows = table(section("Alerts"))
    told = {(row[0], re.sub(r"\[(\w+)\]\(.*\)", r"\1", row[1]), row[3]) for row in rows}
    assert told == {(alert.severity.value, alert.name, alert.for_) for alert in nine}
    links = {alert.name: f"(runbooks/{alert.service}.md#{alert.name.lower()})" for alert in nine}
    assert [link for name, link in links.items() if f"[{name}]{link}" not in GUIDE] == []


def test_the_dashboards_are_those_that_there_are() -> None:
    titles = {uid: json.loads(text)["title"] for uid, text in complete().dashboards.items()}
    assert {row[0].strip("`"): row[1] for row in table(section("Dashboards"))} == titles


def test_the_jobs_and_ports_are_those_of_the_settings() -> None:
    architecture = section("Architecture")
    dev = {job for job, _ in planned().expected.targets}
    assert [name for name in sorted(dev) if f"`{name}`" not in architecture] == []
    for name, port in Settings.model_validate({"environment": "dev"}).ports:
        assert re.search(rf"{name} {port}\b", architecture, flags=re.IGNORECASE), name
    for job in JOBS:
        assert f":{job.port}" in architecture or job.name not in dev, job.name


@pytest.mark.parametrize("page", PAGES, ids=lambda page: str(page.name))
def test_every_query_is_promql_and_reads_jobs_that_there_are(page: Path) -> None:
    queries = blocks(page, "promql")
    assert queries
    for query in queries:
        promql_parser.parse(query)
    assert {job for query in queries for job in re.findall(r'job="([^"]+)"', query)} <= {job.name for job in JOBS}


@pytest.mark.parametrize("page", PAGES, ids=lambda page: str(page.name))
def test_every_container_in_the_texts_is_of_the_dev_stack(page: Path) -> None:
    made = planned()
    prefix = made.settings.name_prefix
    text = page.read_text(encoding="utf-8")
    named = set(re.findall(rf"\b{prefix}-([a-z-]*[a-z])(?![a-z-]*\*)", text))
    volumes = {f"{service}-{role}" for service in made.expected.services for role in ("data", "config", "secrets")}
    jobs = {job.name.removeprefix(f"{prefix}-") for job in JOBS}
    assert named <= set(made.expected.services) | volumes | jobs


@pytest.mark.parametrize("text", blocks(ROOT / "docs/guide.md", "yaml"))
def test_every_example_of_settings_is_valid(text: str) -> None:
    Settings.model_validate(values(**yaml.safe_load(text)))


EXAMPLES = blocks(ROOT / "docs/guide.md", "python")


@pytest.mark.parametrize("example", EXAMPLES, ids=[str(number) for number in range(len(EXAMPLES))])
def test_every_example_of_an_alert_can_be_used_as_it_stands(example: str) -> None:
    names: dict[str, Any] = {}
    exec(example, names)  # the guide's own text
    assert names["ALERTS"]
    for alert in names["ALERTS"]:
        assert isinstance(alert, Alert)
        promql_parser.parse(alert.expr())
        assert alert.name not in {known.name for known in ALERTS}


def test_the_guide_shows_an_application_of_its_own() -> None:
    known = {job.name for job in JOBS}
    jobs = set()
    for example in EXAMPLES:
        names: dict[str, Any] = {}
        exec(example, names)
        jobs.add(names["JOB"].name)
    assert jobs and not jobs & known
    own = next(text for text in blocks(ROOT / "docs/guide.md", "yaml") if "billing" in text)
    assert jobs <= set(yaml.safe_load(own)["scrape_targets"])


def test_the_table_of_the_routing_is_what_the_stacks_do() -> None:
    plans = [planned(stack) for stack in ("dev", "staging", "prod")]
    rows = table(section("Alert routing"))
    for name, *cells, durations in rows:
        severity, alertname = ("none", name) if name == "Watchdog" else (name, "")
        for made, cell in zip(plans, cells, strict=True):
            routes = made.routes.match({"severity": severity, "alertname": alertname})
            times = [f" ({', '.join(r.active_time_intervals)})" if r.active_time_intervals else "" for r in routes]
            assert cell == ", ".join(r.receiver + hours for r, hours in zip(routes, times, strict=True))
            assert {f"{r.timing.group_wait}, {r.timing.repeat_interval}" for r in routes} == {durations}
    assert {row[0] for row in rows} == {"critical", "warning", "Watchdog"}


def test_every_kind_of_receiver_and_its_secrets_are_in_the_guide() -> None:
    text = section("Alert routing")
    secrets = planned(notifications={"receivers": EVERY_KIND}).routes.secrets
    whats = {
        secret.removeprefix(f"{name.replace('-', '_')}_")
        for name in (*EVERY_KIND, "dead-mans-switch")
        for secret in secrets
        if secret.startswith(name.replace("-", "_"))
    }
    assert [kind for kind in ReceiverSettings.model_fields if f"`{kind}`" not in text] == []
    assert [what for what in sorted(whats) if f"`<receiver>_{what}`" not in text] == []
    assert "`dead_mans_switch_url`" in text


def test_every_secret_that_the_texts_rotate_is_one_of_that_stack() -> None:
    pages = [ROOT / "README.md", *sorted((ROOT / "docs").rglob("*.md"))]
    form = r"make rotate-secret((?:\s+(?:STACK|SECRET)=\w+)+)"
    commands = [found for page in pages for found in re.findall(form, page.read_text(encoding="utf-8"))]
    given = [dict(word.split("=") for word in command.split()) for command in commands]
    rotated = {(words.get("STACK", "dev"), words["SECRET"]) for words in given}
    assert {stack for stack, _ in rotated} >= {"dev", "prod"}
    assert sorted((stack, name) for stack, name in rotated if name not in planned(stack).secret_names) == []


def test_the_bounds_of_a_routes_durations_are_those_of_the_settings() -> None:
    bounds = re.findall(r"`(\w+)` \((\w+) to (\w+)\)", section("Alert routing"))
    assert {name for name, _, _ in bounds} == {"group_wait", "group_interval", "repeat_interval"}
    for name, least, most in bounds:
        for bound in (least, most):
            RouteSettings.model_validate({"receivers": ["inbox"], name: bound})
        for beyond in ("999ms", f"{most}1ms"):
            with pytest.raises(ValidationError):
                RouteSettings.model_validate({"receivers": ["inbox"], name: beyond})


def test_the_receiver_that_the_guide_shows_is_the_one_in_the_code() -> None:
    (example,) = blocks(ROOT / "docs/guide.md", "py")
    code = (ROOT / "stacks/receivers.py").read_text(encoding="utf-8")
    assert example in code
