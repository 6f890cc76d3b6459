"""The cross-checks of the rules: each is shown a rule that is right, and one with the fault that it is for."""

from collections.abc import Iterable
from dataclasses import replace
from pathlib import Path
from typing import Any

import pytest

from rules import ALERTS, JOBS, RECORDING_RULES
from rules.metrics import MetricFamily, MetricsInventory, catalogues
from rules.model import Alert, RecordingRule, ScrapeJob, Severity, Signal, Unit
from rules.promql import read, selectors
from tests.unit.factories import settings
from validation import rules as checks
from validation.rules import AlertDocs, written

JOB = ScrapeJob(name="things", service="thing", port=1)
OTHER = ScrapeJob(name="others", service="other", port=2)


def metric(kind: str, *labels: str) -> MetricFamily:
    return MetricFamily(type=kind, help="What it is.", labels=frozenset(labels))


KNOWN = {
    "thing": MetricsInventory(
        exporter="thing_exporter",
        version="1.2.3",
        metrics={
            "thing_up": metric("gauge"),
            "things_total": metric("counter", "color", "size"),
            "thing_seconds": metric("histogram", "color"),
            "thing_pause_seconds": metric("summary"),
        },
    ),
    "other": MetricsInventory(exporter="others", version="", metrics={"other_count": metric("gauge")}),
}
BUSY = Signal(
    title="Busy",
    unit=Unit.RATIO,
    job=JOB,
    description="Share of its time.",
    expr="sum by ($by) (rate(things_total{$scope}[$window])) / 100",
)
ALERT = Alert(
    name="ThingBusy",
    when=BUSY.above(0.9),
    severity=Severity.WARNING,
    for_="5m",
    summary="{{ $labels.instance }} is busy",
    description="Too busy, {{ $value | humanizePercentage }}.",
)
SECTION = """
Warning, after 5 minutes. Slow.

**What it means.** Too much work.

**See it.**

```promql
things_total
```

**Do.**
1. Wait.

**Escalate** never.
"""
BESIDE = AlertDocs(
    runbooks={"thing": {"ThingBusy": SECTION}}, firing=frozenset({"ThingBusy"}), quiet=frozenset({"ThingBusy"})
)


def found(
    *alerts: Alert,
    recordings: Iterable[RecordingRule] = (),
    beside: AlertDocs = BESIDE,
) -> list[str]:
    return checks.problems(alerts or (ALERT,), recordings, (JOB, OTHER), KNOWN, beside)


def asking(expr: str, **changes: Any) -> Alert:
    return replace(ALERT, when=replace(BUSY, expr=expr, **changes).above(0.9))


def told(expr: str, **changes: Any) -> list[str]:
    """What is said of an alert on that expression, without the place."""
    lines = found(asking(expr, **changes))
    assert [line for line in lines if not line.startswith("rules/thing.py: ThingBusy: ")] == []
    return [line.removeprefix("rules/thing.py: ThingBusy: ") for line in lines]


def with_text(part: str, text: str) -> Alert:
    return replace(ALERT, summary=text) if part == "summary" else replace(ALERT, description=text)


def validate_overrides(*alerts: Alert, defined: Iterable[Alert] = (), **changes: Any) -> Any:
    return checks.validate_overrides(alerts, defined or alerts, settings(**changes))


def test_nothing_is_said_of_rules_that_are_right() -> None:
    assert found() == []
    assert validate_overrides(ALERT) == []


def test_all_rules_of_the_project_are_right() -> None:
    assert checks.problems(ALERTS, RECORDING_RULES, JOBS, catalogues(), written()) == []


# --- metrics ---------------------------------------------------------------------------------------------------------


@pytest.mark.parametrize(
    ("expr", "problem"),
    [
        (
            "sum by ($by) (rate(thing_total{$scope}[$window]))",
            "reads thing_total, which thing_exporter 1.2.3 does not have; there is things_total",
        ),
        (
            "sum by ($by) (rate(pg_stat_database_deadlocks{$scope}[$window]))",
            "reads pg_stat_database_deadlocks, which thing_exporter 1.2.3 does not have",
        ),
        (
            "max by ($by) (thing_seconds{$scope})",
            "reads thing_seconds, which thing_exporter 1.2.3 does not have; "
            "it is a histogram, with thing_seconds_bucket, thing_seconds_sum and thing_seconds_count",
        ),
        ("sum by ($by) (thing_up_count{$scope})", "reads thing_up_count, which thing_exporter 1.2.3 does not have"),
        ('max by ($by) (thing_up{job="others"})', "reads thing_up, which others does not have"),
        ('max by ($by) (thing_up{job="thing"})', 'reads thing_up of job="thing", and there is no such job'),
        ('max by ($by) (up{job="thing"})', 'reads up of job="thing", and there is no such job'),
        ("max by ($by) (thing_up)", "reads thing_up of no job; put $scope into its braces"),
        ('max by ($by) ({__name__="thing_up",$scope})', "a selector names no metric"),
        ("max by ($by) (job:things:sum{$scope})", "reads job:things:sum, and nothing before it records that"),
        ("max by ($by) (job:nothing:rate5m)", "reads job:nothing:rate5m, and nothing before it records that"),
    ],
)
def test_a_rule_reads_what_its_jobs_exporter_has(expr: str, problem: str) -> None:
    assert told(expr) == [problem]


def test_a_job_without_a_catalogue_is_told_with_what_to_do() -> None:
    known = {service: catalogue for service, catalogue in KNOWN.items() if service != "thing"}
    assert checks.problems((ALERT,), (), (JOB,), known, BESIDE) == [
        "rules/thing.py: ThingBusy: reads things_total, and there is no rules/metrics/thing.json; "
        "write it with `python -m ops capture-metrics --from URL --service thing`"
    ]


@pytest.mark.parametrize(
    "expr",
    [
        "max by ($by) (thing_up{$scope})",
        "min by ($by) (up{$scope})",
        "sum by ($by) (scrape_samples_scraped{$scope})",
        'histogram_quantile(0.9, sum by ($by, le) (rate(thing_seconds_bucket{$scope,color="red"}[$window])))',
        "sum by ($by) (rate(thing_seconds_sum{$scope}[5m])) / sum by ($by) (rate(thing_seconds_count{$scope}[5m]))",
        'max by ($by) (thing_pause_seconds{$scope,quantile="0.9"}) + sum by ($by) (thing_pause_seconds_sum{$scope})',
        "min by ($by) (up)",
        'sum by ($by) (other_count{job="others"})',
    ],
)
def test_gauges_histograms_summaries_and_the_scrapes_own_series_are_known(expr: str) -> None:
    assert told(expr) == []


# --- labels ----------------------------------------------------------------------------------------------------------


@pytest.mark.parametrize(
    ("expr", "problem"),
    [
        (
            'sum by ($by) (rate(things_total{$scope,colour="red"}[5m]))',
            "things_total has no label colour; it has: color, instance, job, service, size",
        ),
        ('max by ($by) (thing_up{$scope,le="1"})', "thing_up has no label le; it has: instance, job, service"),
        (
            "max by ($by) (sum by ($by, colour) (rate(things_total{$scope}[5m])))",
            "what `sum by` goes over has no label colour; it has: color, instance, job, service, size",
        ),
        (
            "max by ($by) (max without (colour) (thing_up{$scope}))",
            "what `max without` goes over has no label colour; it has: instance, job, service",
        ),
        (
            "sum by ($by) (thing_up{$scope} * on (instance, size) things_total{$scope})",
            "the left of `* on` has no label size; it has: instance, job, service",
        ),
        (
            "sum by ($by) (things_total{$scope} and on (instance, size) thing_up{$scope})",
            "the right of `and on` has no label size; it has: instance, job, service",
        ),
        (
            "sum by ($by) (things_total{$scope} * on (instance) group_left (colour) thing_up{$scope})",
            "the right of `* group_left` has no label colour; it has: instance, job, service",
        ),
        (
            "sum by ($by) (thing_up{$scope} * on (instance) group_right (colour) things_total{$scope})",
            "the left of `* group_right` has no label colour; it has: instance, job, service",
        ),
        (
            "sum by ($by) (thing_up{$scope} * ignoring (colour) thing_up{$scope})",
            "either side of `* ignoring` has no label colour; it has: instance, job, service",
        ),
        (
            "sum by ($by) (things_total{$scope} / thing_up{$scope})",
            "`/` finds no pair: color, instance, job, service, size on its left, instance, job, service on its right",
        ),
        (
            "sum by ($by) (rate(things_total{$scope}[5m])) > 0 unless thing_up{$scope} == 0",
            "`unless` finds no pair: instance on its left, instance, job, service on its right",
        ),
        (
            "histogram_quantile(0.9, sum by ($by) (rate(thing_seconds_bucket{$scope}[5m])))",
            "what `histogram_quantile` goes over has no label le; it has: instance",
        ),
        (
            'max by ($by) (label_replace(thing_up{$scope}, "a", "$$1", "colour", "(.*)"))',
            "what `label_replace` goes over has no label colour; it has: instance, job, service",
        ),
        (
            'max by ($by) (label_join(thing_up{$scope}, "a", "-", "job", "colour"))',
            "what `label_join` goes over has no label colour; it has: instance, job, service",
        ),
        ("sum(rate(things_total{$scope}[5m]))", "'Busy' gives no labels, but its `by` is instance"),
        (
            "rate(thing_seconds_count{$scope}[5m])",
            "'Busy' gives color, instance, job, service, but its `by` is instance",
        ),
        ("vector(1)", "'Busy' gives no labels, but its `by` is instance"),
        ('absent(thing_up{$scope,instance="a"})', "'Busy' gives instance, job, but its `by` is instance"),
    ],
)
def test_a_rule_uses_labels_that_are_there_and_gives_those_that_it_says(expr: str, problem: str) -> None:
    assert told(expr) == [problem]


@pytest.mark.parametrize(
    ("expr", "by"),
    [
        ("sum by ($by) (rate(things_total{$scope}[5m]))", ("instance", "color")),
        ("sum without (size, job, service) (rate(things_total{$scope}[5m]))", ("instance", "color")),
        ("topk(3, thing_up{$scope})", ("instance", "job", "service")),
        ("thing_up{$scope} or up{$scope}", ("instance", "job", "service")),
        (
            "max by (instance) (thing_up{$scope}) * on (instance) group_right things_total{$scope}",
            ("instance", "job", "service", "color", "size"),
        ),
        (
            "things_total{$scope} * on (instance) group_left max by (instance) (thing_up{$scope})",
            ("instance", "job", "service", "color", "size"),
        ),
        (
            "things_total{$scope} * on (instance) group_left (quantile) thing_pause_seconds{$scope}",
            ("instance", "job", "service", "color", "size", "quantile"),
        ),
        (
            "thing_pause_seconds{$scope} * on (instance) group_right (quantile) things_total{$scope}",
            ("instance", "job", "service", "color", "size", "quantile"),
        ),
        ("things_total{$scope} - ignoring (color, size) thing_up{$scope}", ("instance", "job", "service")),
        ("things_total{$scope} unless on (instance) thing_up{$scope}", ("instance", "job", "service", "color", "size")),
        ('count_values by (instance) ("version", thing_up{$scope})', ("instance", "version")),
        ('label_replace(max by (instance) (thing_up{$scope}), "a", "b", "", "")', ("instance", "a")),
        ("absent_over_time(thing_up{$scope}[5m])", ("job",)),
        ("vector(1)", ()),
        ("sum(thing_up{$scope}) * scalar(sum(up{$scope})) - time()", ()),
        ("max_over_time((-max by ($by) (thing_up{$scope}))[1h:1m])", ("instance",)),
        ("thing_up{$scope} > scalar(sum(up{$scope}))", ("instance", "job", "service")),
        ("hour() > 8", ()),
    ],
)
def test_the_labels_of_a_result_follow_from_its_expression(expr: str, by: tuple[str, ...]) -> None:
    quiet = replace(asking(expr, by=by), summary="Busy.")
    assert found(quiet) == []


def test_a_label_that_is_missing_is_told_where_it_is_first_asked_for_and_not_again() -> None:
    assert told("sum by ($by) (things_total{$scope})", by=("instance", "colour")) == [
        "what `sum by` goes over has no label colour; it has: color, instance, job, service, size"
    ]


def test_a_further_condition_is_read_too() -> None:
    other = replace(BUSY, title="Other", by=("instance", "colour"))
    lines = found(replace(ALERT, and_conditions=(other.below(0.5),)))
    assert "rules/thing.py: ThingBusy: the left of `and on` has no label colour; it has: instance" in lines
    lines = found(
        replace(ALERT, and_conditions=(replace(BUSY, title="Other", expr="sum(thing_up{$scope})").below(0.5),))
    )
    assert "rules/thing.py: ThingBusy: 'Other' gives no labels, but its `by` is instance" in lines


def test_an_outage_of_a_target_that_is_gone_is_read_by_its_signal() -> None:
    alert = replace(asking("min by ($by) (up{$scope})", unit=Unit.UP), fire_if_absent=True)
    assert found(alert) == []
    assert found(replace(alert, when=replace(alert.when.signal, expr="min(up{$scope})").below(1))) == [
        "rules/thing.py: ThingBusy: 'Busy' gives no labels, but its `by` is instance"
    ]


def test_an_unknown_metric_is_told_once_and_makes_no_further_problem() -> None:
    (problem,) = told("sum by ($by) (nothing{$scope,size='x'} / on (instance, color) nothing{$scope})")
    assert problem == "reads nothing, which thing_exporter 1.2.3 does not have"
    assert told("nothing{$scope}") == told("sum by ($by) (nothing{$scope} / thing_up{$scope})") == [problem]


@pytest.mark.parametrize("expr", ["sum by ($by) (up{$scope}", "up{$scope} +", "rate(up{$scope})", "no such thing"])
def test_a_rule_is_promql(expr: str) -> None:
    (problem,) = told(expr)
    assert problem.startswith("is no PromQL: ")


def test_a_placeholder_that_does_not_exist() -> None:
    assert told("sum by ($by) (up{$scoop})") == ["there is no placeholder $scoop; there are $scope, $window and $by"]


# --- recordings ------------------------------------------------------------------------------------------------------

RATE = replace(BUSY, by=("job", "instance"), expr="sum by ($by) (rate(things_total{$scope}[5m]))")
RECORDING = RecordingRule(name="job_instance:things:rate5m", signal=RATE)


def test_a_recording_is_read_as_what_it_is_made_of() -> None:
    alert = asking("sum by ($by) (job_instance:things:rate5m{$scope})")
    assert found(alert, recordings=(RECORDING,)) == []
    assert found(asking("sum by ($by, color) (job_instance:things:rate5m{$scope})"), recordings=(RECORDING,)) == [
        "rules/thing.py: ThingBusy: what `sum by` goes over has no label color; it has: instance, job",
        "rules/thing.py: ThingBusy: 'Busy' gives color, instance, but its `by` is instance",
    ]


def test_a_recording_reads_what_is_recorded_before_it() -> None:
    later = RecordingRule(
        name="job:things:sum", signal=replace(RATE, by=("job",), expr=f"sum by ($by) ({RECORDING.name})")
    )
    assert found(recordings=(RECORDING, later)) == []
    assert found(recordings=(later, RECORDING)) == [
        "rules/thing.py: job:things:sum: reads job_instance:things:rate5m, and nothing before it records that"
    ]


def test_a_recording_is_checked_as_an_alert_is() -> None:
    wrong = replace(RECORDING, signal=replace(RATE, by=("job",), expr="sum(rate(thing_total{$scope}[5m]))"))
    assert found(recordings=(wrong,)) == [
        "rules/thing.py: job_instance:things:rate5m: reads thing_total, which thing_exporter 1.2.3 does not have; "
        "there is things_total",
        "rules/thing.py: job_instance:things:rate5m: 'Busy' gives no labels, but its `by` is job",
    ]


# --- names, texts, thresholds ----------------------------------------------------------------------------------------


def test_a_name_is_there_once() -> None:
    elsewhere = replace(ALERT, when=replace(BUSY, job=OTHER, expr="max by ($by) (other_count{$scope})").above(0.9))
    beside = replace(BESIDE, runbooks={"thing": {"ThingBusy": SECTION}, "other": {"ThingBusy": SECTION}})
    assert found(ALERT, elsewhere, beside=beside) == [
        "rules/other.py: ThingBusy: the name is there twice; also in rules/thing.py"
    ]
    assert found(recordings=(RECORDING, RECORDING)) == [
        "rules/thing.py: job_instance:things:rate5m: the name is there twice; also in rules/thing.py"
    ]


@pytest.mark.parametrize("part", ["summary", "description"])
@pytest.mark.parametrize("text", ["", "  \n"])
def test_an_alert_says_what_it_is(part: str, text: str) -> None:
    assert found(with_text(part, text)) == [f"rules/thing.py: ThingBusy: has no {part}"]


@pytest.mark.parametrize("part", ["summary", "description"])
@pytest.mark.parametrize("label", ["datname", "severity", "job"])
@pytest.mark.parametrize("way", ["{{ $labels.%s }}", "{{ .Labels.%s | urlquery }}", '{{ index $labels "%s" }}'])
def test_a_text_uses_labels_that_the_alert_has(part: str, label: str, way: str) -> None:
    assert found(with_text(part, "{{ $labels.instance }}: " + way % label)) == [
        f"rules/thing.py: ThingBusy: the {part} uses the label {label}; the alert has: instance"
    ]


def test_a_text_uses_labels_that_the_alert_has_whichever_condition_holds() -> None:
    color = replace(BUSY, by=("instance", "color"))
    texts = replace(ALERT, summary="{{ $labels.color }}")
    assert found(replace(texts, when=color.above(0.9), or_conditions=((color.above(0.8),),))) == []
    assert found(replace(texts, when=color.above(0.9), or_conditions=((BUSY.above(0.8),),))) == [
        "rules/thing.py: ThingBusy: the summary uses the label color; the alert has: instance"
    ]


def test_an_alert_has_a_runbook_and_cases() -> None:
    nothing = AlertDocs(runbooks={}, firing=frozenset(), quiet=frozenset())
    where = "rules/thing.py: ThingBusy: "
    under = f"{where}docs/runbooks/thing.md: under `## ThingBusy` "
    assert found(beside=nothing) == [
        f"{where}docs/runbooks/thing.md has no heading `## ThingBusy`",
        f"{under}the first words must be `Warning, after 5 minutes.`",
        f"{under}the paragraphs must begin with **What it means.**, **See it.**, **Do.**, **Escalate**, in this order; "
        "there are: none",
        f"{under}a query must show it: a code block with ```promql",
        f"{under}the steps must be numbered: 1., 2., ...",
        f"{where}tests/promtool/thing.test.yaml has no case in which it fires",
        f"{where}tests/promtool/thing.test.yaml has no case in which it keeps quiet",
    ]
    elsewhere = replace(BESIDE, runbooks={"other": {"ThingBusy": SECTION}})
    assert found(beside=elsewhere)[0] == f"{where}docs/runbooks/thing.md has no heading `## ThingBusy`"
    assert found(beside=replace(BESIDE, quiet=frozenset())) == [
        f"{where}tests/promtool/thing.test.yaml has no case in which it keeps quiet"
    ]


@pytest.mark.parametrize(
    ("old", "new", "gap"),
    [
        ("Warning, after 5 minutes.", "Warning.", "the first words must be `Warning, after 5 minutes.`"),
        ("Warning, after 5", "Critical, after 5", "the first words must be `Warning, after 5 minutes.`"),
        ("after 5", "after 50", "the first words must be `Warning, after 5 minutes.`"),
        (
            "**What it means.**",
            "What it means.",
            "the paragraphs must begin with **What it means.**, **See it.**, **Do.**, **Escalate**, in this order; "
            "there are: **See it.**, **Do.**, **Escalate**",
        ),
        ("```promql", "```", "a query must show it: a code block with ```promql"),
        ("1. Wait.", "Wait.", "the steps must be numbered: 1., 2., ..."),
    ],
)
def test_a_section_of_a_runbook_has_what_a_person_on_call_needs(old: str, new: str, gap: str) -> None:
    section = SECTION.replace(old, new)
    assert section != SECTION
    assert found(beside=replace(BESIDE, runbooks={"thing": {"ThingBusy": section}})) == [
        f"rules/thing.py: ThingBusy: docs/runbooks/thing.md: under `## ThingBusy` {gap}"
    ]


def test_one_minute_is_singular() -> None:
    short = SECTION.replace("5 minutes.", "1 minute.")
    assert found(replace(ALERT, for_="1m"), beside=replace(BESIDE, runbooks={"thing": {"ThingBusy": short}})) == []


def test_what_is_written_is_read_from_the_files(tmp_path: Path) -> None:
    (tmp_path / "docs/runbooks").mkdir(parents=True)
    (tmp_path / "tests/promtool").mkdir(parents=True)
    (tmp_path / "docs/runbooks/thing.md").write_text(
        "# Things\n\n## One\n\nText.\n\n### No\n\n## Two\n", encoding="utf-8"
    )
    (tmp_path / "tests/promtool/thing.test.yaml").write_text(
        """
tests:
  - alert_rule_test:
      - {alertname: One, exp_alerts: [{exp_labels: {}}]}
      - {alertname: Two, exp_alerts: []}
  - alert_rule_test:
      - {alertname: One}
  - promql_expr_test: []
""",
        encoding="utf-8",
    )
    assert written(tmp_path) == AlertDocs(
        runbooks={"thing": {"One": "\nText.\n\n### No\n\n", "Two": ""}},
        firing=frozenset({"One"}),
        quiet=frozenset({"One", "Two"}),
    )


@pytest.mark.parametrize("threshold", [-0.1, 1.01, 90])
def test_a_share_is_0_to_1(threshold: float) -> None:
    problem = f"rules/thing.py: ThingBusy: the threshold {threshold:g} is not a share from 0 to 1"
    assert found(replace(ALERT, when=BUSY.above(threshold))) == [problem]
    assert found(replace(ALERT, and_conditions=(BUSY.below(threshold),))) == [problem]
    assert found(replace(ALERT, or_conditions=((BUSY.below(threshold),),))) == [problem]
    assert found(replace(ALERT, when=replace(BUSY, unit=Unit.COUNT).above(threshold))) == []


@pytest.mark.parametrize("threshold", [0, 0.5, 1])
def test_both_ends_of_a_share_are_one(threshold: float) -> None:
    assert found(replace(ALERT, when=BUSY.above(threshold))) == []


# --- one environment -------------------------------------------------------------------------------------------------


def test_an_alert_outlasts_two_scrapes() -> None:
    assert validate_overrides(replace(ALERT, for_="30s"), scrape_interval="15s") == []
    assert validate_overrides(replace(ALERT, for_="29s"), scrape_interval="15s") == [
        "rules/thing.py: ThingBusy: for: 29s is shorter than two scrapes (30s by scrape_interval)"
    ]
    assert validate_overrides(
        replace(ALERT, for_="29s"), scrape_interval="15s", alert_overrides={"ThingBusy": {"for": "29s"}}
    ) == ["alert_overrides.ThingBusy.for: 29s is shorter than two scrapes (30s by scrape_interval)"]


@pytest.mark.parametrize("hold", ["soon", "", "5 minutes", "1.5m"])
def test_a_hold_is_a_duration(hold: str) -> None:
    wrong = replace(ALERT, for_=hold)
    assert found(wrong) == [
        f"rules/thing.py: ThingBusy: for: {hold!r} is not a Prometheus duration such as 30s, 5m or 15d"
    ]
    tuned = settings("prod", alert_overrides={"ThingBusy": {"for": "1m"}})
    assert checks.validate_overrides((wrong,), (wrong,), tuned) == []


def test_a_tuned_threshold_is_one_that_the_signal_can_pass() -> None:
    outage = replace(ALERT, when=replace(BUSY, unit=Unit.UP).below(1))
    tuned = {threshold: {"ThingBusy": {"threshold": threshold}} for threshold in (0, 1, 2)}
    assert validate_overrides(ALERT, alert_overrides=tuned[0]) == []
    assert validate_overrides(ALERT, alert_overrides=tuned[1]) == [
        "alert_overrides.ThingBusy.threshold: no share is over 1, so it would never fire; write enabled: false for that"
    ]
    idle = replace(ALERT, when=BUSY.below(0.5))
    assert validate_overrides(idle, alert_overrides=tuned[1]) == []
    assert validate_overrides(idle, alert_overrides=tuned[0]) == [
        "alert_overrides.ThingBusy.threshold: nothing is under 0, so it would never fire; write enabled: false for that"
    ]
    assert validate_overrides(ALERT, alert_overrides=tuned[2]) == [
        "alert_overrides.ThingBusy.threshold: 2 is not a share from 0 to 1; write 0.8 for 80 %"
    ]
    assert validate_overrides(outage, alert_overrides=tuned[1]) == []
    assert validate_overrides(outage, alert_overrides=tuned[0]) == [
        "alert_overrides.ThingBusy.threshold: the alert only knows up and down; remove it, or write enabled: false"
    ]
    assert validate_overrides(replace(ALERT, or_conditions=((BUSY.above(0.5),),)), alert_overrides=tuned[0]) == [
        "alert_overrides.ThingBusy.threshold: it follows from an objective's target; change that in rules/thing.py"
    ]


def test_a_test_stack_may_hold_shorter_and_prod_may_not() -> None:
    def said(stack: str, hold: str) -> list[str]:
        tuned = settings(stack, alert_overrides={"ThingBusy": {"for": hold}})
        return checks.validate_overrides((replace(ALERT, for_=hold),), (ALERT,), tuned)

    assert said("dev", "1m") == said("staging", "1m") == []
    assert said("prod", "1m") == [
        "alert_overrides.ThingBusy.for: 1m is shorter than the rule's 5m, which production refuses"
    ]
    assert said("prod", "5m") == said("prod", "10m") == []


# --- PromQL ----------------------------------------------------------------------------------------------------------


def test_the_series_that_an_expression_reads_are_told_with_their_jobs() -> None:
    text = 'rate(a_total{job="a"}[5m]) / on () group_left sum(b{job=~"b.*"}) or absent(c{job="c",x!="y"}) > time()'
    assert selectors(text) == {("a_total", "a"), ("b", ""), ("c", "c")}


def test_a_number_has_no_labels() -> None:
    assert read("1 + 1", lambda *_: frozenset({"never"})).labels == frozenset()
