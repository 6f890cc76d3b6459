"""Objectives of a service, rendered to recordings and burn-rate alerts.

The arithmetic is that of Google's *The Site Reliability Workbook*, chapter "Alerting on SLOs" (sre.google/workbook):
multiwindow, multi-burn-rate alerts. An error budget is the share of requests that may be bad, 1 - target. Its burn rate
is how much faster than evenly it is spent: at 1 it lasts exactly the objective's window.
"""

from collections.abc import Iterable
from dataclasses import dataclass, replace
from typing import Final

from rules.model import SLO_GROUP, Alert, Condition, RecordingRule, ScrapeJob, Severity, Signal, Unit
from stacks.types import seconds

SHORTEST: Final = "5m"  # the window of the rates that all longer windows are summed up from
HOLD: Final = "2m"  # two evaluations; the windows are what smooths


@dataclass(frozen=True, kw_only=True)
class BurnRateWindow:
    """A pace that spends `share` of an objective's budget within `long`, and that `short` shows to be going on."""

    share: float
    long: str
    short: str

    def rate(self, window: str) -> float:
        """The burn rate, for an objective of this window: 14.4 for 2 % of 30 days' budget in an hour."""
        return self.share * seconds(window) / seconds(self.long)


# The workbook's own shares and windows; the short one is a twelfth of the long one, so that an alert ends soon.
FAST: Final = (BurnRateWindow(share=0.02, long="1h", short="5m"), BurnRateWindow(share=0.05, long="6h", short="30m"))
SLOW: Final = (BurnRateWindow(share=0.10, long="1d", short="2h"), BurnRateWindow(share=0.10, long="3d", short="6h"))


@dataclass(frozen=True, kw_only=True)
class SLO:
    """What share of a service's requests must be good in `window`, which is the target.

    `requests` and `errors` are signals of one job, per second: all requests, and the bad ones. They are added up over
    all instances, because the promise is the service's. `errors` must be there, at 0, where `requests` is. `bad` says
    what is wrong with them, as in "0.1 % of the requests may be {bad}". The name stands in those of the recordings,
    `fast_burn` and `slow_burn` are the alerts' names: act now, and in working hours.

    Raises ValueError for a target that is no share, for a window that is shorter than an alert's, and for a budget so
    large that an alert could never fire.
    """

    name: str
    title: str
    requests: Signal
    errors: Signal
    bad: str
    fast_burn: str
    slow_burn: str
    target: float = 0.999
    window: str = "30d"

    def __post_init__(self) -> None:
        if not 0 < self.target < 1:
            raise ValueError(f"objective {self.name}: the target {self.target:g} is not between 0 and 1")
        for burn in (*FAST, *SLOW):
            if seconds(burn.long) > seconds(self.window):
                raise ValueError(
                    f"objective {self.name}: its window {self.window} is shorter than an alert's {burn.long}"
                )
            if self._bound(burn) >= 1:
                raise ValueError(
                    f"objective {self.name}: with the target {self.target:g} not even errors alone burn "
                    f"{burn.rate(self.window):g} times too fast: no alert could fire"
                )

    @property
    def job(self) -> ScrapeJob:
        return self.requests.job

    @property
    def budget(self) -> float:
        """The share of requests that may be bad."""
        return round(1 - self.target, 12)  # 1 - 0.999 is not 0.001 to a computer

    @property
    def recordings(self) -> tuple[RecordingRule, ...]:
        """Rates, error ratios by window, and the budget left; each reads only those before it."""
        windows = {window for burn in (*FAST, *SLOW) for window in (burn.long, burn.short)}
        return (
            self._rate("errors", self.errors),
            self._rate("requests", self.requests),
            *(self.error_ratio(window) for window in sorted(windows, key=seconds)),
            self.error_budget_remaining,
        )

    @property
    def alerts(self) -> tuple[Alert, ...]:
        """One alert per severity, whichever of its burns is on: one trouble, one page."""
        return (
            self._alert(self.fast_burn, Severity.CRITICAL, FAST),
            self._alert(self.slow_burn, Severity.WARNING, SLOW),
        )

    def error_ratio(self, window: str) -> RecordingRule:
        """The share of bad requests in a window; no value without requests."""
        return RecordingRule(
            name=f"job:{self.name}_errors:ratio_rate{window}",
            group=SLO_GROUP,
            of=Signal(
                title=f"{self.title}, errors in {window}",
                unit=Unit.RATIO,
                job=self.job,
                by=("job",),
                window=window,
                empty_when_healthy=True,
                description=f"Share of the requests of {window} that are {self.bad}. No value without traffic. "
                f"Good: under {_percent(self.budget)}.",
                expr=self._ratio(window),
            ),
        )

    @property
    def error_budget_remaining(self) -> RecordingRule:
        """The share of the window's budget that is not spent: 1 is all of it, under 0 is overspent."""
        return RecordingRule(
            name=f"job:{self.name}_budget_left:ratio_rate{self.window}",
            group=SLO_GROUP,
            of=Signal(
                title=f"{self.title}, error budget left",
                unit=Unit.RATIO,
                job=self.job,
                by=("job",),
                window=self.window,
                description=f"{_percent(self.budget)} of the requests of {self.window} may be {self.bad}: how much of "
                "that is left, as far back as Prometheus keeps samples. Overspent below 0. No value without traffic. "
                "Good: over 0 %.",
                expr=f"1 - (\n{self._ratio(self.window)}\n) / {self.budget:.15g}",
            ),
        )

    def _rate(self, what: str, signal: Signal) -> RecordingRule:
        whole = replace(signal, by=("job",), window=SHORTEST)
        return RecordingRule(name=f"job:{self.name}_{what}:rate{SHORTEST}", of=whole, group=SLO_GROUP)

    def _ratio(self, window: str) -> str:
        """PromQL for the share of errors, out of the recorded rates.

        The sum of a rate that is recorded at even steps is the number of requests, but for a factor that both sums have
        and the division takes out. So busy minutes weigh more than quiet ones, as over the raw series; yet three days
        cost a sample a minute of two series, and not every sample of every instance, endpoint and status. The mean of
        recorded ratios would be as cheap, and wrong: one request at night would weigh as much as a thousand at noon.
        """
        errors, requests = self._rate("errors", self.errors).name, self._rate("requests", self.requests).name
        if window != SHORTEST:
            errors, requests = f"sum_over_time({errors}[$window])", f"sum_over_time({requests}[$window])"
        return f"{errors}\n/ ({requests} > 0)"

    def _bound(self, burn: BurnRateWindow) -> float:
        return round(burn.rate(self.window) * self.budget, 12)

    def _conditions(self, burn: BurnRateWindow) -> tuple[Condition, Condition]:
        bound = self._bound(burn)
        long, short = (self.error_ratio(window).kept.above(bound) for window in (burn.long, burn.short))
        return long, short

    def _alert(self, name: str, severity: Severity, burns: tuple[BurnRateWindow, BurnRateWindow]) -> Alert:
        first, second = burns
        long, short = self._conditions(first)
        return Alert(
            name=name,
            group=SLO_GROUP,
            severity=severity,
            for_=HOLD,
            when=long,
            and_conditions=(short,),
            or_conditions=(self._conditions(second),),
            summary=f"{self.title}: {{{{ $value | humanizePercentage }}}} of the requests are {self.bad}, "
            f"{_percent(self.budget)} may be",
            description=f"{_percent(first.share)} of the error budget of {self.window} went within {first.long}, "
            f"or {_percent(second.share)} within {second.long}, and it goes on.",
            undrawn="the dashboard draws the errors of an hour and of a day, and what is left of the budget",
        )


def retention_shorter_than_slo_window(objectives: Iterable[SLO], alerts: Iterable[Alert], retention: str) -> list[str]:
    """The samples that a burn-rate alert looks back on must still be there; the budget left may do with fewer."""
    names = {alert.name for alert in alerts if alert.enabled}
    return [
        f"retention: {retention} is shorter than the {burn.long} of {name}; keep samples for longer, or write "
        f"alert_overrides.{name}.enabled: false"
        for objective in objectives
        for name, burns in ((objective.fast_burn, FAST), (objective.slow_burn, SLOW))
        for burn in [max(burns, key=lambda burn: seconds(burn.long))]
        if name in names and seconds(retention) < seconds(burn.long)
    ]


def _percent(share: float) -> str:
    return f"{share * 100:.10g} %"
