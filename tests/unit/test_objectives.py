"""Objectives: the workbook's arithmetic, the recordings that alerts and panels read, and the objectives in use."""

import re
from collections.abc import Iterable
from dataclasses import replace

import promql_parser
import pytest
import yaml
from prometheus_client import generate_latest

from demo.metrics import Metrics
from rules import ALERTS, RECORDING_RULES, SLOS, api
from rules.model import Alert, Condition, ScrapeJob, Severity, Signal, Unit
from rules.render import rule_files
from rules.slo import PAGE_WINDOWS, SLO, TICKET_WINDOWS, BurnRateWindow, retention_shorter_than_slo_window
from stacks.types import seconds

JOB = ScrapeJob(name="shop", service="shop", port=1)
ORDERS = Signal(
    title="Orders",
    unit=Unit.PER_SECOND,
    job=JOB,
    description="Orders per second.",
    expr="sum by ($by) (rate(orders_total{$scope}[$window]))",
)
SALE = SLO(
    name="shop_sale",
    title="Sale",
    total=ORDERS,
    errors=replace(ORDERS, expr="lost{$scope}"),
    error_description="lost",
    page_alert="SaleFastBurn",
    ticket_alert="SaleSlowBurn",
)
PAIRS = [("1h", "5m"), ("6h", "30m"), ("1d", "2h"), ("3d", "6h")]
IN_USE = pytest.mark.parametrize("objective", SLOS, ids=lambda objective: str(objective.name))


def alerts_of(objective: SLO) -> tuple[Alert, Alert]:
    fast, slow = objective.alerts
    return fast, slow


def conditions(alert: Alert) -> Iterable[tuple[Condition, ...]]:
    return ((alert.when, *alert.and_conditions), *alert.or_conditions)


# --- arithmetic ------------------------------------------------------------------------------------------------------


@pytest.mark.parametrize(
    ("burn", "rate"),
    list(zip((*PAGE_WINDOWS, *TICKET_WINDOWS), (14.4, 6, 3, 1), strict=True)),
    ids=["1h", "6h", "1d", "3d"],
)
def test_the_burn_rates_over_30_days_are_those_of_the_workbook(burn: BurnRateWindow, rate: float) -> None:
    assert burn.rate("30d") == pytest.approx(rate, rel=1e-12)


def test_the_windows_and_shares_are_those_of_the_workbook() -> None:
    assert [(burn.long_window, burn.short_window) for burn in (*PAGE_WINDOWS, *TICKET_WINDOWS)] == PAIRS
    assert [burn.budget_fraction for burn in (*PAGE_WINDOWS, *TICKET_WINDOWS)] == [0.02, 0.05, 0.10, 0.10]
    assert {seconds(burn.long_window) / seconds(burn.short_window) for burn in (*PAGE_WINDOWS, *TICKET_WINDOWS)} == {12}


@pytest.mark.parametrize("target", [0.999, 0.995, 0.99, 0.95])
@pytest.mark.parametrize("window", ["30d", "28d", "7d"])
def test_an_alert_fires_at_the_pace_that_spends_its_share_of_the_budget_in_its_long_window(
    target: float, window: str
) -> None:
    for alert, burns in zip(
        alerts_of(replace(SALE, target=target, window=window)), (PAGE_WINDOWS, TICKET_WINDOWS), strict=True
    ):
        for (long, short), burn in zip(conditions(alert), burns, strict=True):
            spent_in_window = long.threshold * seconds(burn.long_window)
            assert spent_in_window / ((1 - target) * seconds(window)) == pytest.approx(burn.budget_fraction)
            assert long.threshold == short.threshold
            assert (long.comparison, short.comparison) == (">", ">")


def test_a_threshold_is_written_as_a_person_would() -> None:
    fast, slow = alerts_of(SALE)
    assert [
        f"{c.threshold:.15g}" for c in (fast.when, fast.or_conditions[0][0], slow.when, slow.or_conditions[0][0])
    ] == [
        "0.0144",
        "0.006",
        "0.003",
        "0.001",
    ]


# --- recordings ------------------------------------------------------------------------------------------------------


def test_the_recordings_are_rates_of_the_whole_job_then_ratios_by_window_then_the_budget() -> None:
    errors, requests = "job:shop_sale_errors:rate5m", "job:shop_sale_requests:rate5m"
    assert {made.name: made.expr() for made in SALE.recordings} == {
        errors: 'lost{job="shop"}',
        requests: 'sum by (job) (rate(orders_total{job="shop"}[5m]))',
        "job:shop_sale_errors:ratio_rate5m": f"{errors}\n/ ({requests} > 0)",
        **{
            f"job:shop_sale_errors:ratio_rate{window}": (
                f"sum_over_time({errors}[{window}])\n/ (sum_over_time({requests}[{window}]) > 0)"
            )
            for window in ("30m", "1h", "2h", "6h", "1d", "3d")
        },
        "job:shop_sale_error_budget_remaining:ratio_rate30d": (
            f"1 - (\nsum_over_time({errors}[30d])\n/ (sum_over_time({requests}[30d]) > 0)\n) / 0.001"
        ),
    }


@IN_USE
def test_a_recording_reads_only_those_before_it_and_the_alerts_read_every_ratio(objective: SLO) -> None:
    known: set[str] = set()
    for made in objective.recordings:
        promql_parser.parse(made.expr())
        assert recorded_in(made.expr()) <= known
        known.add(made.name)
    read = set().union(*(recorded_in(alert.expr()) for alert in objective.alerts))
    assert read == {name for name in known if "_errors:ratio_rate" in name}


def recorded_in(expr: str) -> set[str]:
    """The recordings that an expression reads."""
    return set(re.findall(r"job:[a-z0-9_:]+", expr))


def test_an_objectives_rules_are_evaluated_once_a_minute_recordings_first() -> None:
    (text,) = rule_files(SALE.alerts, "", "", (), SALE.recordings).values()
    (group,) = yaml.safe_load(text)["groups"]
    assert (group["name"], group["interval"]) == ("slo", "1m")
    kinds = ["record" if "record" in rule else "alert" for rule in group["rules"]]
    assert kinds == ["record"] * 10 + ["alert"] * 2


# --- alerts ----------------------------------------------------------------------------------------------------------


@IN_USE
def test_an_objective_has_one_alert_for_now_and_one_for_working_hours(objective: SLO) -> None:
    fast, slow = alerts_of(objective)
    assert (fast.name, fast.severity) == (objective.page_alert, Severity.CRITICAL)
    assert (slow.name, slow.severity) == (objective.ticket_alert, Severity.WARNING)
    windows = [tuple(c.signal.window for c in each) for alert in (fast, slow) for each in conditions(alert)]
    assert windows == PAIRS


@IN_USE
def test_the_one_for_now_holds_back_the_one_for_working_hours(objective: SLO) -> None:
    # Alertmanager takes a label that both lack as equal; with one instance each they would have to be the same.
    fast, slow = alerts_of(objective)
    assert fast.service == slow.service
    assert {c.signal.by for alert in (fast, slow) for each in conditions(alert) for c in each} == {("job",)}


def test_an_alert_says_what_is_wrong_and_how_much_of_it_may_be() -> None:
    fast, slow = alerts_of(SALE)
    assert fast.summary == "Sale: {{ $value | humanizePercentage }} of the requests are lost, 0.1 % may be"
    assert fast.description == "2 % of the error budget of 30d went within 1h, or 5 % within 6h, and it goes on."
    assert slow.description == "10 % of the error budget of 30d went within 1d, or 10 % within 3d, and it goes on."


# --- objectives that cannot be ----------------------------------------------------------------------------------------


@pytest.mark.parametrize("target", [0, 1, 1.5, -0.1])
def test_a_target_is_a_share(target: float) -> None:
    with pytest.raises(ValueError, match=r"objective shop_sale: the target -?[\d.]+ is not between 0 and 1"):
        replace(SALE, target=target)


def test_a_window_holds_the_longest_alerts() -> None:
    replace(SALE, window="3d")
    with pytest.raises(ValueError, match="objective shop_sale: its window 2d is shorter than an alert's 3d"):
        replace(SALE, window="2d")


def test_a_budget_leaves_room_for_the_fastest_burn() -> None:
    replace(SALE, target=0.94)  # 14.4 times 6 % is 86 %
    with pytest.raises(ValueError, match=r"target 0\.93 not even errors alone burn 14\.4 times too fast: no alert"):
        replace(SALE, target=0.93)  # 14.4 times 7 % is 101 %


@pytest.mark.parametrize(
    ("retention", "too_short"),
    [("3d", []), ("2d", ["SaleSlowBurn"]), ("6h", ["SaleSlowBurn"]), ("5h", ["SaleFastBurn", "SaleSlowBurn"])],
)
def test_samples_are_kept_as_long_as_an_alert_looks_back(retention: str, too_short: list[str]) -> None:
    found = retention_shorter_than_slo_window([SALE], SALE.alerts, retention)
    assert [problem.partition(" of Sale")[0] for problem in found] == [
        f"retention: {retention} is shorter than the {'6h' if name == 'SaleFastBurn' else '3d'}" for name in too_short
    ]
    assert [text.partition("or write ")[2] for text in found] == [
        f"alert_overrides.{name}.enabled: false" for name in too_short
    ]


def test_an_alert_that_is_off_or_not_of_this_environment_needs_no_samples() -> None:
    assert (
        retention_shorter_than_slo_window([SALE], [replace(alert, enabled=False) for alert in SALE.alerts], "2h") == []
    )
    assert retention_shorter_than_slo_window([SALE], [], "2h") == []


# --- those in use ----------------------------------------------------------------------------------------------------


@IN_USE
def test_what_an_objective_brings_is_gathered(objective: SLO) -> None:
    assert set(objective.recordings) <= set(RECORDING_RULES)
    assert set(objective.alerts) <= set(ALERTS)
    assert {objective.total.job, objective.errors.job} == {objective.job}
    assert {objective.total.unit, objective.errors.unit} == {Unit.PER_SECOND}


def test_the_latency_that_is_promised_is_a_bucket_of_the_api() -> None:
    # Between buckets there is nothing to count: the objective would be silent for ever.
    (bound,) = re.findall(r'le="([^"]+)"', api.LATENCY.errors.for_rule())
    metrics = Metrics()
    metrics.http_request_duration_seconds.labels("/", "GET").observe(0.1)
    assert f'http_request_duration_seconds_bucket{{endpoint="/",le="{bound}",method="GET"}}' in (
        generate_latest(metrics.registry).decode()
    )
    assert f"{float(bound) * 1000:g} ms" in api.LATENCY.error_description
