"""What is watched: scrape jobs, signals, recordings and alerts as values.

A signal's PromQL has three placeholders, because a rule and a panel need different renderings of one definition:
`$scope` (label matchers), `$window` (a range) and `$by` (the labels that the result carries).
"""

from dataclasses import dataclass, replace
from enum import StrEnum
from string import Template
from typing import Final

CHECKLIST_GROUP: Final = "softfactory"  # the group of the deployment checklist's alerts
SLO_GROUP: Final = "slo"  # the group of the SLOs' recording rules and alerts
NO_TARGET: Final = "(no target)"  # ends an instance that stands for one that Prometheus was never told of


class Unit(StrEnum):
    """What a signal's values are measured in; the value is Grafana's id for it."""

    RATIO = "percentunit"
    SECONDS = "s"
    MILLISECONDS = "ms"
    BYTES = "bytes"
    BYTES_PER_SECOND = "Bps"
    PER_SECOND = "reqps"
    OPERATIONS_PER_SECOND = "ops"
    COUNT = "short"
    UP = "bool_yes_no"


class Severity(StrEnum):
    """How soon a person must act: now, or in working hours.

    None is for what fires by design and notifies nobody: the Watchdog, whose absence is the news, and an open
    maintenance window.
    """

    CRITICAL = "critical"
    WARNING = "warning"
    NONE = "none"

    @classmethod
    def _missing_(cls, value: object) -> None:
        raise ValueError(f"{value!r} is not a severity; expected one of: {', '.join(cls)}")


@dataclass(frozen=True, kw_only=True)
class ScrapeJob:
    """One Prometheus scrape job; `port` is where its exporter listens, `path` what is scraped there."""

    name: str
    port: int
    service: str
    path: str = "/metrics"


@dataclass(frozen=True, kw_only=True)
class Signal:
    """One question asked of a job, answered by an instant vector that carries exactly the labels in `by`.

    Without `$scope` in `expr` the question is not about the job's own series, but about all that Prometheus has.
    `window` is the range of a rule's rates. A panel uses Grafana's own, but for a count over a window, whose threshold
    holds for that window only. `empty_when_healthy` says that the answer is 0 or empty as long as all is well, which
    a panel tells its reader.
    """

    title: str
    unit: Unit
    job: ScrapeJob
    description: str
    expr: str
    by: tuple[str, ...] = ("instance",)
    window: str = "5m"
    panel_window: str = "$__rate_interval"
    empty_when_healthy: bool = False

    def render(self, scope: str, window: str) -> str:
        """The PromQL with its placeholders filled; KeyError for a placeholder that does not exist."""
        text = Template(self.expr).substitute(scope=scope, window=window, by=", ".join(self.by))
        return "\n".join(line.strip() for line in text.strip().splitlines())

    def for_rule(self) -> str:
        """The rendering for a rule: this job, all its instances, the signal's own window."""
        return self.render(f'job="{self.job.name}"', self.window)

    def for_panel(self) -> str:
        """The rendering for a panel: the instances that the dashboard's variable names, the panel's window."""
        return self.render(f'job="{self.job.name}",instance=~"$instance"', self.panel_window)

    def above(self, threshold: float) -> "Condition":
        return Condition(signal=self, comparison=">", threshold=threshold)

    def below(self, threshold: float) -> "Condition":
        return Condition(signal=self, comparison="<", threshold=threshold)


@dataclass(frozen=True, kw_only=True)
class Condition:
    """A signal on the wrong side of a threshold, which is in the signal's unit."""

    signal: Signal
    comparison: str
    threshold: float

    def render(self) -> str:
        return f"(\n{self.signal.for_rule()}\n) {self.comparison} {self.threshold:.15g}"


@dataclass(frozen=True, kw_only=True)
class RecordingRule:
    """A signal's answer that Prometheus keeps as a series of its own, because much is made of it or it is dear to ask.

    `name` is `level:metric:operations`, as the Prometheus documentation advises: the labels that the series carries
    (those in the signal's `by`), what it is about, and what was done to it, the last thing first
    (`job:http_requests:rate5m`). The group is the service unless `group` says otherwise.
    """

    name: str
    signal: Signal
    group: str = ""

    @property
    def service(self) -> str:
        return self.signal.job.service

    @property
    def job(self) -> ScrapeJob:
        return self.signal.job

    @property
    def as_signal(self) -> Signal:
        """The signal, read from the series that is kept; the name alone tells it from all others."""
        return replace(self.signal, expr=self.name)

    def expr(self) -> str:
        """The PromQL of the rule."""
        return self.signal.for_rule()


@dataclass(frozen=True, kw_only=True)
class Alert:
    """When a person must be notified, and of what.

    `and_conditions` must hold too, for the same instance. `or_conditions` are alternatives to all of them: it is enough
    if one set of conditions holds as a whole. With `fire_if_absent` the alert fires if Prometheus has no target of the
    signal's job, too. Texts are Prometheus templates; `$value` is the first condition's value.
    Every target has the label `service`: a signal with it in `by` keeps the series' own, any other gets its job's.
    """

    name: str
    when: Condition
    severity: Severity
    for_: str
    summary: str
    description: str
    and_conditions: tuple[Condition, ...] = ()
    or_conditions: tuple[tuple[Condition, ...], ...] = ()
    fire_if_absent: bool = False
    undrawn: str = ""  # why no panel of its service's dashboard draws what it reads; empty: one does
    group: str = ""
    enabled: bool = True

    @property
    def service(self) -> str:
        return self.when.signal.job.service

    @property
    def job(self) -> ScrapeJob:
        return self.when.signal.job

    @property
    def labels(self) -> dict[str, str]:
        """The labels that the alert has besides those of its series."""
        severity = {"severity": self.severity.value}
        # A label of the rule would replace that of the series.
        return severity if "service" in self.when.signal.by else {**severity, "service": self.service}

    def expr(self) -> str:
        """The PromQL of the rule."""
        text = "\nor ".join(
            _all_of(*conditions) for conditions in ((self.when, *self.and_conditions), *self.or_conditions)
        )
        if self.fire_if_absent:
            # The label gives summaries and inhibition the same shape as a present series does.
            absent = f'absent(up{{job="{self.job.name}"}})'
            text += f'\nor label_replace({absent}, "instance", "{self.service} {NO_TARGET}", "", "")'
        return text


def _all_of(first: Condition, *others: Condition) -> str:
    return first.render() + "".join(f"\nand on ({', '.join(c.signal.by)}) {c.render()}" for c in others)


def reachable(job: ScrapeJob, probe: str = "") -> Signal:
    """1 where a server answers; 0 where its exporter's probe or the scrape fails, or the probe's metric is gone.

    `probe` is the exporter's own answer, with `$scope` (`pg_up{$scope}`); without it the scrape itself is the answer.
    """
    scraped = "min by ($by) (up{$scope})"
    expr = f"{scraped} * min by ($by) ({probe}) or 0 * {scraped}" if probe else scraped
    return Signal(
        title="Reachable",
        unit=Unit.UP,
        job=job,
        expr=expr,
        description="1 where it answers; 0 where its exporter says that it does not, or cannot be scraped. Good: 1.",
    )
