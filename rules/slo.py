"""Service level objectives, rendered to recording rules and burn-rate alerts.

The arithmetic is that of Google's *The Site Reliability Workbook*, chapter "Alerting on SLOs" (sre.google/workbook):
multiwindow, multi-burn-rate alerts. An error budget is the fraction of requests that may be bad, 1 - target. Its burn
rate is how much faster than evenly it is spent: at 1 it lasts exactly the window of the SLO.
"""

from collections.abc import Iterable
from dataclasses import dataclass, replace
from typing import Final

from rules.model import SLO_GROUP, Alert, Condition, RecordingRule, ScrapeJob, Severity, Signal, Unit
from stacks.types import seconds

BASE_WINDOW: Final = "5m"  # the window of the rates that all longer windows are summed up from
FOR: Final = "2m"  # two evaluations; the windows are what smooths


@dataclass(frozen=True, kw_only=True)
class BurnRateWindow:
    """A pace that spends `budget_fraction` of the error budget within `long_window`; `short_window` shows whether it is
    still going on.
    """

    budget_fraction: float
    long_window: str
    short_window: str

    def rate(self, window: str) -> float:
        """The burn rate for an SLO over this window: 14.4 for 2 % of 30 days' budget in an hour."""
        return self.budget_fraction * seconds(window) / seconds(self.long_window)


# The workbook's own fractions and windows; the short one is a twelfth of the long one, so that an alert ends soon.
PAGE_WINDOWS: Final = (
    BurnRateWindow(budget_fraction=0.02, long_window="1h", short_window="5m"),
    BurnRateWindow(budget_fraction=0.05, long_window="6h", short_window="30m"),
)
TICKET_WINDOWS: Final = (
    BurnRateWindow(budget_fraction=0.10, long_window="1d", short_window="2h"),
    BurnRateWindow(budget_fraction=0.10, long_window="3d", short_window="6h"),
)


@dataclass(frozen=True, kw_only=True)
class SLO:
    """A service level objective: `target` is the fraction of a service's requests that must be good over `window`.

    `total` and `errors` are signals of one job, per second: all requests, and the bad ones. They are summed over all
    instances, because the promise is the service's. `errors` must have a value, 0, whenever `total` has one.
    `error_description` says what is wrong with the bad ones, as in "0.1 % of the requests may be {error_description}".
    The recording rules' names contain `name`. `page_alert` and `ticket_alert` name the two alerts: act now, or act in
    working hours.

    Raises ValueError if the target is not between 0 and 1, if the window is shorter than an alert's, and if the budget
    is so large that an alert could never fire.
    """

    name: str
    title: str
    total: Signal
    errors: Signal
    error_description: str
    page_alert: str
    ticket_alert: str
    target: float = 0.999
    window: str = "30d"

    def __post_init__(self) -> None:
        if not 0 < self.target < 1:
            raise ValueError(f"objective {self.name}: the target {self.target:g} is not between 0 and 1")
        for burn in (*PAGE_WINDOWS, *TICKET_WINDOWS):
            if seconds(burn.long_window) > seconds(self.window):
                raise ValueError(
                    f"objective {self.name}: its window {self.window} is shorter than an alert's {burn.long_window}"
                )
            if self._threshold(burn) >= 1:
                raise ValueError(
                    f"objective {self.name}: with the target {self.target:g} not even errors alone burn "
                    f"{burn.rate(self.window):g} times too fast: no alert could fire"
                )

    @property
    def job(self) -> ScrapeJob:
        return self.total.job

    @property
    def error_budget(self) -> float:
        """The fraction of requests that may be bad."""
        return round(1 - self.target, 12)  # 1 - 0.999 is not 0.001 to a computer

    @property
    def recordings(self) -> tuple[RecordingRule, ...]:
        """Rates, error ratios by window, and the budget left; each reads only those before it."""
        windows = {
            window for burn in (*PAGE_WINDOWS, *TICKET_WINDOWS) for window in (burn.long_window, burn.short_window)
        }
        return (
            self._rate("errors", self.errors),
            self._rate("requests", self.total),
            *(self.error_ratio(window) for window in sorted(windows, key=seconds)),
            self.error_budget_remaining,
        )

    @property
    def alerts(self) -> tuple[Alert, ...]:
        """One alert per severity, whichever of its burns is on: one trouble, one page."""
        return (
            self._alert(self.page_alert, Severity.CRITICAL, PAGE_WINDOWS),
            self._alert(self.ticket_alert, Severity.WARNING, TICKET_WINDOWS),
        )

    def error_ratio(self, window: str) -> RecordingRule:
        """The ratio of bad requests in a window; no value without requests."""
        return RecordingRule(
            name=f"job:{self.name}_errors:ratio_rate{window}",
            group=SLO_GROUP,
            signal=Signal(
                title=f"{self.title}, errors in {window}",
                unit=Unit.RATIO,
                job=self.job,
                by=("job",),
                window=window,
                empty_when_healthy=True,
                description=(
                    f"Percentage of the requests of {window} that are {self.error_description}. No value without"
                    f" traffic. Good: under {_percent(self.error_budget)}."
                ),
                expr=self._ratio(window),
            ),
        )

    @property
    def error_budget_remaining(self) -> RecordingRule:
        """The fraction of the window's budget that is not spent: 1 is all of it, under 0 is overspent."""
        return RecordingRule(
            name=f"job:{self.name}_error_budget_remaining:ratio_rate{self.window}",
            group=SLO_GROUP,
            signal=Signal(
                title=f"{self.title}, error budget left",
                unit=Unit.RATIO,
                job=self.job,
                by=("job",),
                window=self.window,
                description=(
                    f"{_percent(self.error_budget)} of the requests of {self.window} may be {self.error_description}:"
                    " how much of that is left, as far back as Prometheus keeps samples. Overspent below 0. No value"
                    " without traffic. Good: over 0 %."
                ),
                expr=f"1 - (\n{self._ratio(self.window)}\n) / {self.error_budget:.15g}",
            ),
        )

    def _rate(self, what: str, signal: Signal) -> RecordingRule:
        whole = replace(signal, by=("job",), window=BASE_WINDOW)
        return RecordingRule(name=f"job:{self.name}_{what}:rate{BASE_WINDOW}", signal=whole, group=SLO_GROUP)

    def _ratio(self, window: str) -> str:
        """PromQL for the error ratio, out of the recorded rates.

        The sum of a rate that is recorded at even steps is the number of requests, but for a factor that both sums have
        and the division takes out. So busy minutes weigh more than quiet ones, as over the raw series; yet three days
        cost a sample a minute of two series, and not every sample of every instance, endpoint and status. The mean of
        recorded ratios would be as cheap, and wrong: one request at night would weigh as much as a thousand at noon.
        """
        errors, total = self._rate("errors", self.errors).name, self._rate("requests", self.total).name
        if window != BASE_WINDOW:
            errors, total = f"sum_over_time({errors}[$window])", f"sum_over_time({total}[$window])"
        return f"{errors}\n/ ({total} > 0)"

    def _threshold(self, burn: BurnRateWindow) -> float:
        return round(burn.rate(self.window) * self.error_budget, 12)

    def _conditions(self, burn: BurnRateWindow) -> tuple[Condition, Condition]:
        bound = self._threshold(burn)
        long_window, short_window = (
            self.error_ratio(window).as_signal.above(bound) for window in (burn.long_window, burn.short_window)
        )
        return long_window, short_window

    def _alert(self, name: str, severity: Severity, burns: tuple[BurnRateWindow, BurnRateWindow]) -> Alert:
        first, second = burns
        long_window, short_window = self._conditions(first)
        return Alert(
            name=name,
            group=SLO_GROUP,
            severity=severity,
            for_=FOR,
            when=long_window,
            and_conditions=(short_window,),
            or_conditions=(self._conditions(second),),
            summary=(
                f"{self.title}: {{{{ $value | humanizePercentage }}}} of the requests are {self.error_description}, "
                f"{_percent(self.error_budget)} may be"
            ),
            description=(
                f"{_percent(first.budget_fraction)} of the error budget of {self.window} went within"
                f" {first.long_window}, or {_percent(second.budget_fraction)} within {second.long_window}, and it"
                " goes on."
            ),
            undrawn="the dashboard draws the errors of an hour and of a day, and what is left of the budget",
        )


def retention_shorter_than_slo_window(objectives: Iterable[SLO], alerts: Iterable[Alert], retention: str) -> list[str]:
    """The samples that a burn-rate alert looks back on must still be there; the budget left may do with fewer."""
    names = {alert.name for alert in alerts if alert.enabled}
    return [
        f"retention: {retention} is shorter than the {burn.long_window} of {name}; keep samples for longer, or write "
        f"alert_overrides.{name}.enabled: false"
        for objective in objectives
        for name, burns in ((objective.page_alert, PAGE_WINDOWS), (objective.ticket_alert, TICKET_WINDOWS))
        for burn in [max(burns, key=lambda burn: seconds(burn.long_window))]
        if name in names and seconds(retention) < seconds(burn.long_window)
    ]


def _percent(budget_fraction: float) -> str:
    return f"{budget_fraction * 100:.10g} %"
