"""The cross-checks of the rules. Each says in its docstring what must hold, and gives a line per problem."""

import re
from collections.abc import Collection, Iterable, Iterator, Mapping
from contextlib import suppress
from dataclasses import dataclass
from difflib import get_close_matches
from functools import cache
from itertools import chain
from pathlib import Path
from typing import Final

import yaml

from rules.metrics import ALERT_META_METRICS, SCRAPE_META_METRICS, TARGET_LABELS, MetricsInventory
from rules.model import Alert, Condition, RecordingRule, ScrapeJob, Signal, Unit
from rules.promql import ANY, Labels, Series, listed, read
from stacks.settings import Settings
from stacks.types import seconds

ROOT: Final = Path(__file__).parents[1]
_LABEL: Final = re.compile(r"(?:\$labels|\.Labels)(?:\.| \")(\w+)")

_SECTION: Final = re.compile(r"^## (.+)\n((?:(?!## ).*\n?)*)", re.MULTILINE)
RUNBOOK_PARAGRAPHS: Final = ("What it means.", "See it.", "Do.", "Escalate")

Rule = Alert | RecordingRule


@dataclass(frozen=True, kw_only=True)
class AlertDocs:
    """What people wrote beside the rules: each service's runbook, the text under each heading; and the alerts that the
    promtool tests expect to fire, or not to.
    """

    runbooks: Mapping[str, Mapping[str, str]]
    firing: frozenset[str]
    quiet: frozenset[str]


@cache
def written(root: Path = ROOT) -> AlertDocs:
    """What is written in docs/runbooks and tests/promtool."""
    asked: dict[bool, set[str]] = {True: set(), False: set()}
    for path in sorted((root / "tests/promtool").glob("*.test.yaml")):
        for case in yaml.load(path.read_bytes(), Loader=yaml.CSafeLoader)["tests"]:
            for question in case.get("alert_rule_test", ()):
                asked[bool(question.get("exp_alerts"))].add(question["alertname"])
    return AlertDocs(
        runbooks={
            path.stem: dict(_SECTION.findall(path.read_text(encoding="utf-8")))
            for path in sorted((root / "docs/runbooks").glob("*.md"))
        },
        firing=frozenset(asked[True]),
        quiet=frozenset(asked[False]),
    )


def problems(
    alerts: Iterable[Alert],
    recordings: Iterable[RecordingRule],
    jobs: Iterable[ScrapeJob],
    known: Mapping[str, MetricsInventory],
    beside: AlertDocs,
) -> list[str]:
    """What is wrong with the rules as they stand in rules/, whatever the environment."""
    alerts, recordings = tuple(alerts), tuple(recordings)
    return [
        *_duplicate_names((*recordings, *alerts)),
        *_unreadable(alerts, recordings, jobs, known),
        *_incomplete(alerts),
        *_unknown_template_labels(alerts),
        *_missing_runbook_or_tests(alerts, beside),
        *_ratio_threshold_out_of_range(alerts),
        *_invalid_for(alerts),
    ]


def validate_overrides(alerts: Iterable[Alert], defined: Iterable[Alert], settings: Settings) -> list[str]:
    """What is wrong with the alerts that one environment has, tuned by its settings; `defined` are all, untuned."""
    alerts, defined = tuple(alerts), tuple(defined)
    return [
        *_override_thresholds(defined, settings),
        *_for_shorter_than_two_scrapes(alerts, settings),
        *_production_for_shortened(defined, settings),
    ]


def series(jobs: Iterable[ScrapeJob], known: Mapping[str, MetricsInventory], recorded: Mapping[str, Labels]) -> Series:
    """Which labels the series of a name in a job have, or why there are none: as the catalogue has it, or recorded."""
    services = {job.name: job.service for job in jobs}

    def labels(name: str, job: str) -> Labels | str:
        if job and job not in services:
            return f'reads {name} of job="{job}", and there is no such job'
        if name in recorded:
            return recorded[name]
        if name in SCRAPE_META_METRICS:
            return TARGET_LABELS
        if name in ALERT_META_METRICS:
            return ANY
        if ":" in name:
            return f"reads {name}, and nothing before it records that"
        if not job:
            return f"reads {name} of no job; put $scope into its braces"
        catalogue = known.get(services[job])
        if catalogue is None:
            return (
                f"reads {name}, and there is no rules/metrics/{services[job]}.json; "
                f"write it with `python -m ops capture-metrics --from URL --service {services[job]}`"
            )
        return (
            catalogue.labels(name)
            or f"reads {name}, which {catalogue.exporter_version} does not have{_like(name, catalogue)}"
        )

    return labels


def _like(name: str, catalogue: MetricsInventory) -> str:
    if name in catalogue.metrics:
        return f"; it is a histogram, with {name}_bucket, {name}_sum and {name}_count"
    near = get_close_matches(name, catalogue.metrics, n=1, cutoff=0.8)
    return f"; there is {near[0]}" if near else ""


def _where(rule: Rule) -> str:
    return f"rules/{rule.service}.py: {rule.name}"


def _duplicate_names(rules: Iterable[Rule]) -> Iterator[str]:
    """A pager's word must lead to one alert, and a recorded series to one recording."""
    first: dict[str, Rule] = {}
    for rule in rules:
        if rule.name in first:
            yield f"{_where(rule)}: the name is there twice; also in rules/{first[rule.name].service}.py"
        first.setdefault(rule.name, rule)


def _unreadable(
    alerts: Iterable[Alert],
    recordings: Iterable[RecordingRule],
    jobs: Iterable[ScrapeJob],
    known: Mapping[str, MetricsInventory],
) -> Iterator[str]:
    """Every rule must be PromQL on metrics and labels that its job's exporter has, or on earlier recordings. A signal's
    result must carry exactly the labels in its `by`.
    """
    recorded: dict[str, Labels] = {}
    there = series(jobs, known, recorded)
    for recording in recordings:
        yield from _read(recording, (recording.signal,), there, is_signal=True)
        recorded[recording.name] = frozenset(recording.signal.by)
    for alert in alerts:
        signals = dict.fromkeys(condition.signal for condition in chain.from_iterable(_alternatives(alert)))
        # Comparing and joining keep the labels of the first signal, so a lone one need not be read twice.
        yield from _read(alert, signals, there, is_signal=len(signals) == 1 and not alert.fire_if_absent)


def _read(rule: Rule, signals: Collection[Signal], there: Series, is_signal: bool) -> Iterator[str]:
    try:
        whole = read(rule.expr(), there)
        results = {signal: (whole if is_signal else read(signal.for_rule(), there)).labels for signal in signals}
    except KeyError as error:
        yield f"{_where(rule)}: there is no placeholder ${error.args[0]}; there are $scope, $window and $by"
        return
    except ValueError as error:
        yield f"{_where(rule)}: is no PromQL: {error}"
        return
    yield from (f"{_where(rule)}: {problem}" for problem in whole.problems)
    for signal, labels in results.items():
        if not labels & ANY and labels != set(signal.by):
            yield f"{_where(rule)}: {signal.title!r} gives {listed(labels)}, but its `by` is {listed(signal.by)}"


def _alternatives(alert: Alert) -> tuple[tuple[Condition, ...], ...]:
    """The sets of conditions of which one that holds as a whole is enough."""
    return ((alert.when, *alert.and_conditions), *alert.or_conditions)


def _incomplete(alerts: Iterable[Alert]) -> Iterator[str]:
    """Who is told of an alert must be told what it is, in a line and in a few."""
    for alert in alerts:
        for part in ("summary", "description"):
            if not getattr(alert, part).strip():
                yield f"{_where(alert)}: has no {part}"


def _unknown_template_labels(alerts: Iterable[Alert]) -> Iterator[str]:
    """A text may use the labels in the signal's `by`: Prometheus fills it from the result, before the rule's labels."""
    for alert in alerts:
        there = [frozenset(first.signal.by) for first, *_ in _alternatives(alert)]
        common = there[0].intersection(*there)
        for part in ("summary", "description"):
            for label in sorted(set(_LABEL.findall(getattr(alert, part))) - common):
                yield f"{_where(alert)}: the {part} uses the label {label}; the alert has: {listed(common)}"


def _missing_runbook_or_tests(alerts: Iterable[Alert], beside: AlertDocs) -> Iterator[str]:
    """Every alert must say what to do, in its service's runbook, and be tried: once firing, once quiet."""
    for alert in alerts:
        page, section = f"docs/runbooks/{alert.service}.md", beside.runbooks.get(alert.service, {}).get(alert.name)
        if section is None:
            yield f"{_where(alert)}: {page} has no heading `## {alert.name}`"
        for gap in _runbook_gaps(alert, section or ""):
            yield f"{_where(alert)}: {page}: under `## {alert.name}` {gap}"
        for names, what in ((beside.firing, "fires"), (beside.quiet, "keeps quiet")):
            if alert.name not in names:
                yield f"{_where(alert)}: tests/promtool/{alert.service}.test.yaml has no case in which it {what}"


def _runbook_gaps(alert: Alert, section: str) -> Iterator[str]:
    """What a person on call would miss in an alert's section."""
    with suppress(ValueError):  # an invalid `for` has a line of its own
        hold = seconds(alert.for_)
        amount, unit = (hold / 60, "minute") if hold % 60 == 0 else (hold, "second")
        opening = f"{alert.severity.value.capitalize()}, after {amount:g} {unit}{'' if amount == 1 else 's'}."
        if not section.lstrip().startswith(opening):
            yield f"the first words must be `{opening}`"
    paragraphs = tuple(re.findall(r"^\*\*(.+?)\*\*", section, flags=re.MULTILINE))
    if paragraphs != RUNBOOK_PARAGRAPHS:
        names, existing = (", ".join(f"**{name}**" for name in each) for each in (RUNBOOK_PARAGRAPHS, paragraphs))
        yield f"the paragraphs must begin with {names}, in this order; there are: {existing or 'none'}"
    if "```promql\n" not in section:
        yield "a query must show it: a code block with ```promql"
    if "\n1. " not in section:
        yield "the steps must be numbered: 1., 2., ..."


def _ratio_threshold_out_of_range(alerts: Iterable[Alert]) -> Iterator[str]:
    """The threshold of a share must be one."""
    for alert in alerts:
        for condition in chain.from_iterable(_alternatives(alert)):
            if condition.signal.unit is Unit.RATIO and not 0 <= condition.threshold <= 1:
                yield f"{_where(alert)}: the threshold {condition.threshold:g} is not a share from 0 to 1"


def _invalid_for(alerts: Iterable[Alert]) -> Iterator[str]:
    """A hold time must be a Prometheus duration."""
    for alert in alerts:
        try:
            seconds(alert.for_)
        except ValueError as error:
            yield f"{_where(alert)}: for: {error}"


def _override_thresholds(defined: Iterable[Alert], settings: Settings) -> Iterator[str]:
    """A tuned threshold must be one that the signal can pass, or the alert is off without a word: a share is 0 to 1, a
    measured one never over 1, nothing is under 0, and up or down is nothing to tune.
    """
    for alert in defined:
        tuning = settings.alert_overrides.get(alert.name)
        if tuning is None or tuning.threshold is None:
            continue
        where, unit = f"alert_overrides.{alert.name}.threshold", alert.when.signal.unit
        if unit is Unit.RATIO and tuning.threshold > 1:
            yield f"{where}: {tuning.threshold:g} is not a share from 0 to 1; write 0.8 for 80 %"
        measured = unit is Unit.RATIO and "predict_linear(" not in alert.when.signal.expr
        if alert.when.comparison == ">" and measured and tuning.threshold == 1:
            yield f"{where}: no share is over 1, so it would never fire; write enabled: false for that"
        if alert.when.comparison == "<" and unit is not Unit.UP and tuning.threshold == 0:
            yield f"{where}: nothing is under 0, so it would never fire; write enabled: false for that"
        if alert.or_conditions:
            yield f"{where}: it follows from an objective's target; change that in rules/{alert.service}.py"
        if unit is Unit.UP and tuning.threshold != alert.when.threshold:
            yield f"{where}: the alert only knows up and down; remove it, or write enabled: false"


def _for_shorter_than_two_scrapes(alerts: Iterable[Alert], settings: Settings) -> Iterator[str]:
    """An alert must outlast two scrapes, or one lost sample pages somebody."""
    least = 2 * seconds(settings.scrape_interval)
    for alert in alerts:
        tuning = settings.alert_overrides.get(alert.name)
        tuned = tuning is not None and tuning.for_ is not None
        where = f"alert_overrides.{alert.name}.for" if tuned else f"{_where(alert)}: for"
        with suppress(ValueError):  # told already
            if seconds(alert.for_) < least:
                yield f"{where}: {alert.for_} is shorter than two scrapes ({least:g}s by scrape_interval)"


def _production_for_shortened(defined: Iterable[Alert], settings: Settings) -> Iterator[str]:
    """Where people are paged, an alert holds at least as long as it was tried with; a test stack may be quicker."""
    if not settings.production:
        return
    for alert in defined:
        tuning = settings.alert_overrides.get(alert.name)
        if tuning and tuning.for_:
            with suppress(ValueError):  # told already
                if seconds(tuning.for_) < seconds(alert.for_):
                    where = f"alert_overrides.{alert.name}.for"
                    yield f"{where}: {tuning.for_} is shorter than the rule's {alert.for_}, which production refuses"
