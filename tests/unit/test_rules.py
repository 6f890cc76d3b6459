"""The model of what is watched: its modules, its two renderings, its alerts and their tuning."""

import re
from dataclasses import FrozenInstanceError, replace
from pathlib import Path
from types import ModuleType
from typing import Any

import promql_parser
import pytest
import yaml

import rules
from rules import ALERTS, JOBS, RECORDING_RULES, SERVICES, SLOS, api, prometheus
from rules.model import Alert, RecordingRule, ScrapeJob, Severity, Signal, Unit, reachable
from rules.render import rule_files, to_yaml, tune
from stacks.settings import AlertOverride

NO_SERVICE = {"__init__", "maintenance", "model", "slo", "render", "promql"}
OUTAGES = {"ApiDown", "DatabaseDown", "RedisDown", "ElasticsearchDown"}
JOB = ScrapeJob(name="thing", service="thing", port=1)
LOAD = Signal(
    title="Load",
    unit=Unit.RATIO,
    job=JOB,
    description="Work in hand. Good: little.",
    expr="""
    sum by ($by) (rate(load_total{$scope,mode="busy"}[$window]))
      / 2""",
)


EACH_MODULE = pytest.mark.parametrize("module", SERVICES, ids=lambda module: str(module.__name__))


def signals(module: ModuleType) -> dict[str, Signal]:
    return {name: value for name, value in vars(module).items() if isinstance(value, Signal)}


def alert(**changes: Any) -> Alert:
    made = Alert(
        name="LoadHigh",
        when=LOAD.above(0.9),
        severity=Severity.WARNING,
        for_="5m",
        summary="{{ $labels.instance }} is busy",
        description="Busy.",
    )
    return replace(made, **changes)


def recording(**changes: Any) -> RecordingRule:
    return replace(RecordingRule(name="job:load:ratio_rate5m", signal=replace(LOAD, by=("job",))), **changes)


def rule(made: Alert, runbooks: str = "", pages: tuple[str, ...] = ("thing",)) -> dict[str, Any]:
    (text,) = rule_files([made], runbooks, "http://grafana:3000/", pages).values()
    (group,) = yaml.safe_load(text)["groups"]
    (found,) = group["rules"]
    return dict(found)


# --- modules ---------------------------------------------------------------------------------------------------------


def test_every_file_of_rules_is_listed() -> None:
    files = {path.stem for path in Path(rules.__file__).parent.glob("*.py")} - NO_SERVICE
    assert {module.__name__.removeprefix("rules.") for module in SERVICES} == files


@EACH_MODULE
def test_a_modules_name_is_its_service_and_all_in_it_is_of_its_job(module: ModuleType) -> None:
    assert module.JOB.service == module.__name__.removeprefix("rules.")
    assert {signal.job for signal in signals(module).values()} == {module.JOB}
    assert {made.job for made in (*module.ALERTS, *getattr(module, "RECORDING_RULES", ()))} <= {module.JOB}


def test_all_that_the_modules_define_is_gathered_and_has_a_name_of_its_own() -> None:
    for kind, gathered in {"ALERTS": ALERTS, "RECORDING_RULES": RECORDING_RULES, "SLOS": SLOS}.items():
        assert {made for module in SERVICES for made in getattr(module, kind, ())} <= set(gathered)
    assert len({made.name for made in ALERTS}) == len(ALERTS)
    assert len({made.name for made in RECORDING_RULES}) == len(RECORDING_RULES)


def test_jobs_and_ports_are_told_apart() -> None:
    assert {module.JOB for module in SERVICES} == set(JOBS)
    for told_apart_by in ("name", "service", "port"):
        assert len({getattr(job, told_apart_by) for job in JOBS}) == len(JOBS), told_apart_by


# --- signals ---------------------------------------------------------------------------------------------------------


def test_a_rule_asks_for_all_instances_of_the_job_over_the_signals_own_window() -> None:
    assert LOAD.for_rule() == 'sum by (instance) (rate(load_total{job="thing",mode="busy"}[5m]))\n/ 2'


def test_a_panel_asks_for_the_chosen_instances_over_grafanas_window() -> None:
    assert LOAD.for_panel() == (
        'sum by (instance) (rate(load_total{job="thing",instance=~"$instance",mode="busy"}[$__rate_interval]))\n/ 2'
    )


def test_a_signal_says_once_which_labels_its_result_carries() -> None:
    assert (
        replace(LOAD, by=("instance", "queue"), window="1h")
        .for_rule()
        .startswith('sum by (instance, queue) (rate(load_total{job="thing",mode="busy"}[1h]))')
    )


def test_a_placeholder_that_does_not_exist_is_an_error() -> None:
    with pytest.raises(KeyError, match="job"):
        replace(LOAD, expr="up{$job}").for_rule()


@EACH_MODULE
def test_every_signal_is_promql_in_both_renderings_and_says_what_it_means(module: ModuleType) -> None:
    for name, signal in signals(module).items():
        promql_parser.parse(signal.for_rule())
        promql_parser.parse(signal.for_panel().replace("$__rate_interval", "5m"))
        assert signal.title[0].isupper() and not signal.title.endswith("."), name
        assert signal.description.endswith("."), name


@EACH_MODULE
def test_every_series_that_a_signal_reads_is_of_its_job(module: ModuleType) -> None:
    for name, signal in signals(module).items():
        parts = re.findall(r"[a-z_:]+\{([^}]*)\}", signal.for_rule())
        if "$scope" not in signal.expr:
            assert signal.job is prometheus.JOB, name  # which alone can be asked about all targets
        else:
            assert parts and all(f'job="{signal.job.name}"' in part for part in parts), name


def test_a_signal_is_a_value() -> None:
    assert replace(LOAD) == LOAD and hash(LOAD) == hash(replace(LOAD))
    with pytest.raises(FrozenInstanceError):
        LOAD.title = "Other"  # type: ignore[misc]


@pytest.mark.parametrize(
    ("threshold", "text"),
    [(0.8, "0.8"), (5, "5"), (5.0, "5"), (0.05, "0.05"), (1_234_567_890, "1234567890"), (0, "0"), (1e-7, "1e-07")],
)
def test_a_threshold_is_written_without_loss(threshold: float, text: str) -> None:
    assert LOAD.above(threshold).render() == f"(\n{LOAD.for_rule()}\n) > {text}"
    assert LOAD.below(threshold).render() == f"(\n{LOAD.for_rule()}\n) < {text}"
    assert float(text) == threshold


# --- reachable -------------------------------------------------------------------------------------------------------


def test_without_a_probe_the_scrape_is_the_answer() -> None:
    assert reachable(JOB).for_rule() == 'min by (instance) (up{job="thing"})'


def test_with_a_probe_both_must_answer_and_a_probe_that_is_gone_counts_as_0() -> None:
    up = 'min by (instance) (up{job="thing"})'
    assert reachable(JOB, "thing_up{$scope}").for_rule() == (
        f'{up} * min by (instance) (thing_up{{job="thing"}}) or 0 * {up}'
    )
    promql_parser.parse(reachable(JOB, "thing_up{$scope}").for_rule())


@EACH_MODULE
def test_every_service_can_be_asked_whether_it_is_reachable(module: ModuleType) -> None:
    assert module.REACHABLE.unit is Unit.UP


# --- alerts ----------------------------------------------------------------------------------------------------------


def test_every_alert_is_promql_and_tells_where_and_what() -> None:
    for made in ALERTS:
        promql_parser.parse(made.expr())
        assert ("{{ $labels.instance }}" in made.summary) == ("instance" in made.when.signal.by), made.name
        assert made.description.endswith("."), made.name
        assert re.fullmatch(r"[A-Z][A-Za-z]+", made.name)


@pytest.mark.parametrize("made", [made for made in ALERTS if made.name in OUTAGES], ids=lambda made: str(made.name))
def test_an_outage_is_told_even_where_the_target_is_gone(made: Alert) -> None:
    assert made.fire_if_absent
    assert f'or label_replace(absent(up{{job="{made.job.name}"}}), "instance", ' in made.expr()


def test_further_conditions_must_hold_for_the_same_instance() -> None:
    expr = alert(and_conditions=(LOAD.below(2),)).expr()
    assert expr == f"{LOAD.above(0.9).render()}\nand on (instance) {LOAD.below(2).render()}"
    promql_parser.parse(expr)


def test_another_set_of_conditions_is_enough_where_it_holds_as_a_whole() -> None:
    first, second = (LOAD.above(0.9), LOAD.below(2)), (LOAD.above(0.5), LOAD.below(3))
    expr = alert(when=first[0], and_conditions=first[1:], or_conditions=(second,)).expr()
    assert expr == " ".join(
        (
            f"{first[0].render()}\nand on (instance) {first[1].render()}\nor",
            f"{second[0].render()}\nand on (instance) {second[1].render()}",
        )
    )
    promql_parser.parse(expr)


def test_what_is_kept_of_a_signal_is_read_by_the_recordings_name() -> None:
    as_signal = recording().as_signal
    assert as_signal.for_rule() == "job:load:ratio_rate5m"
    assert (as_signal.title, as_signal.unit, as_signal.by) == (LOAD.title, LOAD.unit, ("job",))


def test_a_rule_file_says_all_that_the_person_on_call_needs() -> None:
    assert rule(alert()) == {
        "alert": "LoadHigh",
        "expr": f"(\n{LOAD.for_rule()}\n) > 0.9",
        "for": "5m",
        "labels": {"severity": "warning", "service": "thing"},
        "annotations": {
            "summary": "{{ $labels.instance }} is busy",
            "description": "Busy.",
            "runbook_url": "docs/runbooks/thing.md#loadhigh",
            "dashboard_url": "http://grafana:3000/d/thing?var-instance={{ $labels.instance | urlquery }}",
        },
    }


def test_an_alert_over_all_jobs_keeps_the_service_of_its_series() -> None:
    # TargetDown about Redis must be RedisDown's equal in service and instance, or it is not inhibited.
    of_all = replace(LOAD, by=("service", "job", "instance"), expr="min by ($by) (up)")
    made = rule(alert(when=of_all.below(1)))
    assert made["expr"] == "(\nmin by (service, job, instance) (up)\n) < 1"
    assert made["labels"] == {"severity": "warning"}


def test_an_alert_that_is_about_no_instance_chooses_none_on_its_dashboard() -> None:
    always = replace(LOAD, by=(), expr="vector(1)")
    made = rule(alert(when=always.above(0), severity=Severity.NONE))
    assert made["labels"] == {"severity": "none", "service": "thing"}
    assert made["annotations"]["dashboard_url"] == "http://grafana:3000/d/thing"


@pytest.mark.parametrize("runbooks", ["https://wiki.example/mon", "https://wiki.example/mon/"])
def test_a_runbook_is_linked_where_the_settings_say_that_it_can_be_read(runbooks: str) -> None:
    url = rule(alert(), runbooks)["annotations"]["runbook_url"]
    assert url == "https://wiki.example/mon/docs/runbooks/thing.md#loadhigh"


def test_an_alert_without_a_dashboard_of_its_own_links_to_the_overview() -> None:
    url = rule(alert(), pages=("overview", "api"))["annotations"]["dashboard_url"]
    assert url.endswith("/d/overview")


def test_alerts_are_grouped_in_one_file_per_group_and_those_that_are_off_are_left_out() -> None:
    made = [alert(name="A"), alert(name="B", group="other"), alert(name="C"), alert(name="D", enabled=False)]
    files = rule_files(made, "", "", ())
    assert list(files) == ["other.yml", "thing.yml"]
    names = {file: [r["alert"] for r in yaml.safe_load(text)["groups"][0]["rules"]] for file, text in files.items()}
    assert names == {"other.yml": ["B"], "thing.yml": ["A", "C"]}
    assert [yaml.safe_load(text)["groups"][0]["name"] for text in files.values()] == ["other", "thing"]


def test_a_groups_recordings_come_before_the_alerts_that_may_read_them() -> None:
    made = [recording(), recording(name="job:load:b"), recording(name="job:load:c", group="other")]
    files = rule_files([alert(), alert(name="B", group="checklist")], "", "", (), made)
    rules_of = {file: yaml.safe_load(text)["groups"][0]["rules"] for file, text in files.items()}
    assert {file: [r.get("record") or r["alert"] for r in found] for file, found in rules_of.items()} == {
        "checklist.yml": ["B"],
        "other.yml": ["job:load:c"],
        "thing.yml": ["job:load:ratio_rate5m", "job:load:b", "LoadHigh"],
    }
    assert rules_of["thing.yml"][0] == {"record": "job:load:ratio_rate5m", "expr": recording().signal.for_rule()}


@pytest.mark.parametrize("made", RECORDING_RULES, ids=lambda made: str(made.name))
def test_a_recordings_name_is_level_metric_and_operations(made: RecordingRule) -> None:
    level, metric, operations = made.name.split(":")
    assert level.split("_") == list(made.signal.by)
    assert re.fullmatch(r"[a-z][a-z0-9_]+", metric) and re.fullmatch(r"[a-z][a-z0-9_]+", operations)
    promql_parser.parse(made.expr())


def test_yaml_keeps_the_order_and_shows_lines_as_lines() -> None:
    assert to_yaml({"b": "one\ntwo", "a": "é", "c": "5m"}) == "b: |-\n  one\n  two\na: é\nc: 5m\n"


# --- tuning ----------------------------------------------------------------------------------------------------------


def test_an_environment_changes_threshold_hold_time_and_switch_by_name() -> None:
    tuned = tune(
        [alert(), alert(name="Other"), alert(name="Third")],
        {
            "LoadHigh": AlertOverride.model_validate({"threshold": 0.5, "for": "1m"}),
            "Other": AlertOverride(enabled=False),
        },
    )
    assert tuned == (
        alert(when=LOAD.above(0.5), for_="1m"),
        alert(name="Other", enabled=False),
        alert(name="Third"),
    )


def test_what_is_not_tuned_stays_and_zero_is_a_threshold() -> None:
    (tuned,) = tune([alert()], {"LoadHigh": AlertOverride(threshold=0)})
    assert (tuned.when.threshold, tuned.for_, tuned.enabled) == (0, "5m", True)
    assert tune(ALERTS, {}) == ALERTS


def test_an_alert_that_does_not_exist_cannot_be_tuned() -> None:
    with pytest.raises(
        ValueError, match=r"no such alert: ApiDwon, Nope \(expected one of: .*ApiDown, .*SlowQueries.*\)"
    ):
        tune(ALERTS, {"ApiDwon": AlertOverride(enabled=False), "Nope": AlertOverride(), "ApiDown": AlertOverride()})


def test_tuning_leaves_the_definitions_alone() -> None:
    before = api.ERROR_RATIO.above(0.05)
    tune(ALERTS, {"HighErrorRate": AlertOverride(threshold=0.5)})
    assert next(made for made in ALERTS if made.name == "HighErrorRate").when == before


def test_a_word_that_is_no_severity_is_told_with_those_that_are() -> None:
    with pytest.raises(ValueError, match="'high' is not a severity; expected one of: critical, warning, none"):
        Severity("high")
