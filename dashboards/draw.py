"""How dashboards look: the style, and a signal's rendering as a panel."""

from collections.abc import Iterable
from typing import Final

from grafana_foundation_sdk.builders import common, stat, timeseries
from grafana_foundation_sdk.builders import dashboard as dashboards
from grafana_foundation_sdk.builders.dashboard import Dashboard
from grafana_foundation_sdk.builders.prometheus import Dataquery
from grafana_foundation_sdk.models import common as common_models
from grafana_foundation_sdk.models.dashboard import (
    DashboardCursorSync,
    DashboardLinkType,
    DataSourceRef,
    Threshold,
    ThresholdsMode,
    ValueMap,
    ValueMappingResult,
    VariableRefresh,
)

from rules.model import Alert, ScrapeJob, Signal, Unit

PROMETHEUS: Final = DataSourceRef(type_val="prometheus", uid="prometheus")
GOOD, BAD = "green", "red"
STAT_WIDTH, GRAPH_WIDTH = 4, 12  # of Grafana's 24 columns: six figures or two graphs in a row at 1366 pixels
STAT_HEIGHT, GRAPH_HEIGHT = 4, 8


class Draw:
    """Draws signals with this environment's thresholds; one for all dashboards of a plan."""

    def __init__(self, alerts: Iterable[Alert]) -> None:
        self._alerts = {alert.when.signal: alert for alert in alerts if alert.enabled}

    def page(self, title: str, uid: str, description: str, job: ScrapeJob | None = None) -> Dashboard:
        """An empty dashboard in the common style, with an `instance` variable over the job's targets (or over all)."""
        of_job = f'up{{job="{job.name}"}}' if job else "up"
        return (
            Dashboard(title)
            .uid(uid)
            .description(description)
            .tags(["softfactory"])
            .time("now-1h", "now")
            .refresh("30s")
            .timezone("browser")
            .tooltip(DashboardCursorSync.CROSSHAIR)
            .readonly()
            .link(
                dashboards.DashboardLink("SoftFactory")
                .type(DashboardLinkType.DASHBOARDS)
                .tags(["softfactory"])
                .as_dropdown(False)
                .keep_time(True)
            )
            .with_variable(
                dashboards.QueryVariable("instance")
                .label("Instance")
                .query(f"label_values({of_job}, instance)")
                .datasource(PROMETHEUS)
                .refresh(VariableRefresh.ON_TIME_RANGE_CHANGED)
                .multi(True)
                .include_all(True)
                .all_value(".*")
            )
        )

    def stat(self, signal: Signal, title: str = "") -> stat.Panel:
        """One figure per instance, coloured by the alert's threshold."""
        panel = (
            stat.Panel()
            .title(title or signal.title)
            .description(signal.description)
            .datasource(PROMETHEUS)
            .unit(signal.unit)
            .height(STAT_HEIGHT)
            .span(STAT_WIDTH)
            .with_target(self._query(signal).instant())
            .reduce_options(common.ReduceDataOptions().calcs(["lastNotNull"]))
            .color_mode(common_models.BigValueColorMode.VALUE)
            .graph_mode(common_models.BigValueGraphMode.NONE)
            .thresholds(self._thresholds(signal))
        )
        if signal.unit is Unit.UP:
            panel = panel.mappings([
                ValueMap(options={
                    "0": ValueMappingResult(text="Down", color=BAD, index=0),
                    "1": ValueMappingResult(text="Up", color=GOOD, index=1),
                })
            ])  # fmt: skip
        if signal.unit is Unit.RATIO:
            panel = panel.no_value("no traffic")  # a ratio is silent without
        return panel

    def timeseries(self, signal: Signal, title: str = "") -> timeseries.Panel:
        """A line per combination of the signal's labels, with the alert's threshold drawn in."""
        panel = (
            timeseries.Panel()
            .title(title or signal.title)
            .description(signal.description)
            .datasource(PROMETHEUS)
            .unit(signal.unit)
            .min(0)
            .height(GRAPH_HEIGHT)
            .span(GRAPH_WIDTH)
            .fill_opacity(10)
            .with_target(self._query(signal).range())
            .thresholds(self._thresholds(signal))
        )
        if signal in self._alerts:
            panel = panel.thresholds_style(
                common.GraphThresholdsStyleConfig().mode(common_models.GraphThresholdsStyleMode.LINE)
            )
        return panel

    def _query(self, signal: Signal) -> Dataquery:
        legend = " ".join(f"{{{{{label}}}}}" for label in signal.by)
        return Dataquery().expr(signal.for_panel()).legend_format(legend).ref_id("A").datasource(PROMETHEUS)

    def _thresholds(self, signal: Signal) -> dashboards.ThresholdsConfig:
        alert = self._alerts.get(signal)
        steps = [Threshold(color=GOOD, value=None)]
        if alert is not None:
            above = alert.when.comparison == ">"
            base, beyond = (GOOD, BAD) if above else (BAD, GOOD)
            steps = [Threshold(color=base, value=None), Threshold(color=beyond, value=alert.when.threshold)]
        return dashboards.ThresholdsConfig().mode(ThresholdsMode.ABSOLUTE).steps(steps)
