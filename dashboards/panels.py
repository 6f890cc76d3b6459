"""How dashboards look: the style, and the renderings of a signal as a panel."""

from collections import defaultdict
from collections.abc import Collection, Iterable, Mapping
from string import ascii_uppercase
from typing import Final, TypeVar

from grafana_foundation_sdk.builders import bargauge, common, heatmap, stat, table, timeseries
from grafana_foundation_sdk.builders import dashboard as dashboards
from grafana_foundation_sdk.builders.dashboard import Dashboard, DashboardLink
from grafana_foundation_sdk.builders.prometheus import Dataquery
from grafana_foundation_sdk.models import common as common_models
from grafana_foundation_sdk.models.dashboard import (
    AnnotationQuery,
    DashboardCursorSync,
    DashboardLinkType,
    DataSourceRef,
    DataTransformerConfig,
    DynamicConfigValue,
    Threshold,
    ThresholdsMode,
    ValueMap,
    ValueMapping,
    ValueMappingResult,
    VariableRefresh,
)
from grafana_foundation_sdk.models.heatmap import HeatmapColorMode
from grafana_foundation_sdk.models.prometheus import PromQueryFormat

from rules.model import Alert, ScrapeJob, Severity, Signal, Unit
from rules.prometheus import CONFIG_INFO
from rules.render import GONE, OF_SEVERAL_JOBS, OVERVIEW

PROMETHEUS: Final = DataSourceRef(type_val="prometheus", uid="prometheus")
TAG: Final = "softfactory"
GOOD, WARNING, BAD, NEUTRAL = "green", "orange", "red", "text"
STAT_WIDTH, GRAPH_WIDTH, WIDE = 4, 12, 24  # of Grafana's 24 columns: six figures or two graphs in a row of 1366 pixels
STAT_HEIGHT, GRAPH_HEIGHT = 4, 8
ONLY_IN_TROUBLE: Final = "Nothing, or 0, as long as all is well."  # ends the description of a panel that is marked so
# No traffic, or nobody measures: the panel does not know which. Whether it can be reached stands first on the page.
NO_VALUE: Final = "no value"
MAPPINGS: Final[Mapping[Unit, ValueMapping]] = {
    Unit.UP: ValueMap(
        options={
            "0": ValueMappingResult(text="Down", color=BAD, index=0),
            "1": ValueMappingResult(text="Up", color=GOOD, index=1),
        }
    ),
}
SEVERITIES: Final = ValueMap(
    options={
        Severity.CRITICAL.value: ValueMappingResult(color=BAD, index=0),
        Severity.WARNING.value: ValueMappingResult(color=WARNING, index=1),
    }
)


class PanelFactory:
    """Draws signals with this environment's thresholds; one for all its dashboards.

    `watched` are the names of the jobs that have targets, `pages` the uids of the dashboards that are made. `links` are
    the addresses at which people reach other parts, by their titles.
    """

    def __init__(
        self,
        alerts: Iterable[Alert],
        watched: Collection[str],
        pages: Collection[str],
        links: Mapping[str, str],
    ) -> None:
        self._alerts: defaultdict[Signal, list[Alert]] = defaultdict(list)
        for alert in alerts:
            if alert.enabled:
                self._alerts[alert.when.signal].append(alert)
        self._watched = frozenset(watched)
        self._pages = frozenset(pages)
        self._links = links

    def page(self, title: str, uid: str, description: str, *jobs: ScrapeJob) -> Dashboard:
        """An empty dashboard in the common style, with an `instance` variable over the jobs' targets (or over all), and
        marks where an alert of their services (or any) fires and where another configuration became live.
        """
        of_jobs = f'up{{job=~"{_any(job.name for job in jobs)}"}}' if jobs else "up"
        # An alert without an instance is about the whole service.
        about = f',service=~"{_any(job.service for job in jobs)}",instance=~"$instance|"' if jobs else ""
        firing = f'max by (severity, alertname, instance) (ALERTS{{alertstate="firing",severity!="none"{about}}})'
        # Between two points of a graph, however far apart, a new release is one that was not there before.
        # Where there was none at all, Prometheus was away.
        before = f"{CONFIG_INFO} offset $__rate_interval"
        released = f"max by (revision) ({CONFIG_INFO} unless on (revision) {before} and on () group({before}))"
        page = (
            Dashboard(title)
            .uid(uid)
            .description(description)
            .tags([TAG])
            .time("now-1h", "now")
            .refresh("30s")
            .timezone("browser")
            .tooltip(DashboardCursorSync.CROSSHAIR)
            .readonly()
            .link(DashboardLink("SoftFactory").type(DashboardLinkType.DASHBOARDS).tags([TAG]).keep_time(True))
            .with_variable(
                dashboards.QueryVariable("instance")
                .label("Instance")
                .query(f"label_values({of_jobs}, instance)")
                .datasource(PROMETHEUS)
                .refresh(VariableRefresh.ON_TIME_RANGE_CHANGED)
                .multi(True)
                .include_all(True)
                .all_value(".*")
            )
            .annotation(QueryAnnotation("Alerts", BAD, firing, "{{alertname}}", "{{severity}} {{instance}}"))
            .annotation(QueryAnnotation("Deployments", "blue", released, "Deployment", "revision {{revision}}"))
        )
        for name, address in self._links.items():
            page = page.link(
                DashboardLink(name).type(DashboardLinkType.LINK).url(address).icon("external link").target_blank(True)
            )
        return page

    def watches(self, signal: Signal) -> bool:
        """Whether this environment has the signal's job: where it has not, a panel would stay empty."""
        return signal.job.name in self._watched

    def stat(self, signal: Signal, title: str = "", page: str = "", good_from: float | None = None) -> stat.Panel:
        """One figure per combination of the signal's labels, coloured by its alerts' thresholds, or good from a value
        up. A click on it opens `page`, with the instance chosen.
        """
        panel = (
            _framed(stat.Panel(), signal, title=title, height=STAT_HEIGHT, width=STAT_WIDTH)
            .with_target(_query(signal).instant())
            .reduce_options(common.ReduceDataOptions().calcs(["lastNotNull"]))
            .color_mode(common_models.BigValueColorMode.VALUE)
            .graph_mode(common_models.BigValueGraphMode.NONE)
            .thresholds(self._thresholds(signal) if good_from is None else _steps((BAD, None), (GOOD, good_from)))
            .mappings([MAPPINGS[signal.unit]] if signal.unit in MAPPINGS else [])
            .no_value(NO_VALUE)
        )
        if page in self._pages:
            one = "instance" in signal.by and page not in OF_SEVERAL_JOBS
            chosen = "var-instance=${__field.labels.instance}&" if one else ""
            panel = panel.data_links([_link("Open dashboard", f"/d/{page}?{chosen}${{__url_time_range}}")])
        return panel

    def timeseries(self, signal: Signal, *others: Signal, title: str = "") -> timeseries.Panel:
        """A line per combination of the signals' labels, with the thresholds of all their alerts drawn in.

        Raises ValueError if the signals differ in unit or in the thresholds of their alerts, or if only some of them
        show only in trouble.
        """
        signals = (signal, *others)
        # One of them without an alert leaves the graph to the others' thresholds.
        bounds = {frozenset(map(_bound, self._alerts[each])) for each in signals} - {frozenset()}
        if len({(each.unit, each.empty_when_healthy) for each in signals}) > 1 or len(bounds) > 1:
            names = ", ".join(repr(each.title) for each in signals)
            raise ValueError(f"{names} need panels of their own: units, thresholds or what they show in trouble differ")
        panel = (
            _framed(timeseries.Panel(), *signals, title=title)
            .min(0)
            .fill_opacity(10)
            .tooltip(
                common.VizTooltipOptions()
                .mode(common_models.TooltipDisplayMode.MULTI)
                .sort(common_models.SortOrder.DESCENDING)
            )
            .thresholds(self._thresholds(*signals))
            .mappings([MAPPINGS[signal.unit]] if signal.unit in MAPPINGS else [])
            .no_value(NO_VALUE)
        )
        for ref, each in zip(ascii_uppercase, signals, strict=False):
            panel = panel.with_target(_query(each, ref, named=bool(others)).range())
        if bounds:
            panel = panel.thresholds_style(
                common.GraphThresholdsStyleConfig().mode(common_models.GraphThresholdsStyleMode.LINE)
            )
        return panel

    def heatmap(self, signal: Signal) -> heatmap.Panel:
        """A histogram over time, from a signal that carries `le` alone; its unit is that of the buckets' bounds."""
        return (
            _framed(heatmap.Panel(), signal)
            .unit(Unit.COUNT)  # of a cell
            .with_target(_query(signal).range().format(PromQueryFormat.HEATMAP))
            .y_axis(heatmap.YAxisConfig().unit(signal.unit))
            .color(heatmap.HeatmapColorOptions().mode(HeatmapColorMode.SCHEME).scheme("Blues").steps(32))
            .hide_legend()
        )

    def bars(self, signal: Signal) -> bargauge.Panel:
        """The latest values side by side."""
        return (
            _framed(bargauge.Panel(), signal)
            .min(0)
            .with_target(_query(signal).instant())
            .reduce_options(common.ReduceDataOptions().calcs(["lastNotNull"]))
            .orientation(common_models.VizOrientation.HORIZONTAL)
            .thresholds(self._thresholds(signal))
        )

    def firing(self, signal: Signal) -> table.Panel:
        """The alerts that fire, a row each; a click on one opens the page of its service, with the instance chosen
        where the page is about one job, or the overview where the service has no page.
        """
        expr = f'label_replace({signal.for_panel()}, "page", "{OVERVIEW}", "", "")'
        expr = f'label_replace({expr}, "page", "$1", "service", "({_any(self._pages)})")'
        expr = f'label_join({expr}, "chosen", ";", "page", "instance")'
        of_one_job = _any(self._pages - set(OF_SEVERAL_JOBS))
        expr = f'label_replace({expr}, "chosen", "$1", "chosen", "(?:{of_one_job});(.+)")'
        expr = f'label_replace({expr}, "chosen", "All", "chosen", ".*;.*|{GONE}")'
        return (
            _framed(table.Panel(), signal, width=WIDE)
            .with_target(_query(signal).expr(expr).instant().format(PromQueryFormat.TABLE))
            .with_transformation(
                DataTransformerConfig(
                    id_val="organize",
                    options={
                        "excludeByName": {"Time": True, "Value": True},
                        "indexByName": {label: place for place, label in enumerate(signal.by)},
                    },
                )
            )
            .override_by_regexp("page|chosen", [DynamicConfigValue(id_val="custom.hidden", value=True)])
            .override_by_name(
                "severity",
                [
                    DynamicConfigValue(id_val="mappings", value=[SEVERITIES]),
                    DynamicConfigValue(id_val="custom.cellOptions", value={"type": "color-text"}),
                ],
            )
            .override_by_name(
                "alertname",
                [
                    DynamicConfigValue(
                        id_val="links",
                        value=[
                            _link(
                                "Open dashboard",
                                ("/d/${__data.fields.page}?var-instance=${__data.fields.chosen}&${__url_time_range}"),
                            ).build()
                        ],
                    ),
                ],
            )
            .no_value("Nothing fires")
        )

    def _thresholds(self, *signals: Signal) -> dashboards.ThresholdsConfig:
        """A step at each threshold of the signals' alerts; where several alerts fire, the colour of the gravest."""
        alerts = [alert for signal in signals for alert in self._alerts[signal]]
        if not alerts:
            return _steps((NEUTRAL, None))  # nobody said what is bad
        gravest = min(map(_gravity, alerts))
        bounds = sorted({alert.when.threshold for alert in alerts})
        steps: list[tuple[str, float | None]] = []
        for start in (None, *bounds):
            # Above a bound, `>` it holds and `<` it does not; below the first one it is the other way round.
            firing = [
                _gravity(alert)
                for alert in alerts
                if (start is not None and start >= alert.when.threshold) is (alert.when.comparison == ">")
            ]
            color = GOOD if not firing else BAD if min(firing) == gravest else WARNING
            steps.append((color, start))
        return _steps(*steps)


def _bound(alert: Alert) -> tuple[str, float]:
    return alert.when.comparison, alert.when.threshold


def _gravity(alert: Alert) -> int:
    """0 is the gravest."""
    return list(Severity).index(alert.severity)


class QueryAnnotation(dashboards.AnnotationQuery):
    """A mark on every graph of a page wherever an expression has a value, with a title and a text made from its labels;
    the SDK's annotation has no fields for these two.
    """

    def __init__(self, name: str, color: str, expr: str, title: str, text: str) -> None:
        self._internal = _QueryAnnotationModel(title, text)
        self.name(name).datasource(PROMETHEUS).enable(True).icon_color(color).expr(expr)


class _QueryAnnotationModel(AnnotationQuery):
    def __init__(self, title: str, text: str) -> None:
        super().__init__()
        self._texts: dict[str, object] = {"titleFormat": title, "textFormat": text}

    def to_json(self) -> dict[str, object]:
        return {**super().to_json(), **self._texts}


def _steps(*steps: tuple[str, float | None]) -> dashboards.ThresholdsConfig:
    """Colours, each from a value up; the first from anywhere."""
    made = [Threshold(color=color, value=value) for color, value in steps]
    return dashboards.ThresholdsConfig().mode(ThresholdsMode.ABSOLUTE).steps(made)


# One of them, whichever goes in: the SDK gives its panels no class in common.
_Panel = TypeVar("_Panel", stat.Panel, timeseries.Panel, heatmap.Panel, bargauge.Panel, table.Panel)


def _framed(
    panel: _Panel, *signals: Signal, title: str = "", height: int = GRAPH_HEIGHT, width: int = GRAPH_WIDTH
) -> _Panel:
    """A panel with all that it has whatever its kind; title and unit are the first signal's."""
    return (
        panel.title(title or signals[0].title)
        .description(_description(*signals))
        .datasource(PROMETHEUS)
        .unit(signals[0].unit)
        .height(height)
        .span(width)
    )


def _description(*signals: Signal) -> str:
    texts = [s.description if len(signals) == 1 else f"{s.title}: {s.description}" for s in signals]
    return " ".join([*texts, *([ONLY_IN_TROUBLE] if signals[0].empty_when_healthy else [])])


def _query(signal: Signal, ref: str = "A", *, named: bool = False) -> Dataquery:
    labels = " ".join(f"{{{{{label}}}}}" for label in signal.by)
    legend = f"{signal.title} {labels}".strip() if named else labels
    return Dataquery().expr(signal.for_panel()).legend_format(legend).ref_id(ref).datasource(PROMETHEUS)


def _any(names: Iterable[str]) -> str:
    """A regular expression that matches each of the names."""
    return "|".join(sorted(names))


def _link(title: str, url: str) -> DashboardLink:
    return DashboardLink(title).type(DashboardLinkType.LINK).url(url)
