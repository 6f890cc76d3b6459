"""The way of an alert: evaluated by Prometheus, taken by Alertmanager, told to a receiver."""

from grafana_foundation_sdk.builders.dashboard import Dashboard, Row

from dashboards.panels import PanelFactory
from rules import alertmanager, prometheus


def build(draw: PanelFactory) -> Dashboard:
    return (
        draw.page(
            "Prometheus and Alertmanager",
            "alertmanager",
            "The way of an alert: evaluated, taken by Alertmanager, told to a receiver.",
            prometheus.JOB,
            alertmanager.JOB,
        )
        .with_row(Row("Pipeline status"))
        .with_panel(draw.stat(prometheus.REACHABLE, "Prometheus", page="prometheus"))
        .with_panel(draw.stat(prometheus.RULES))
        .with_panel(draw.stat(prometheus.ALERTMANAGERS_DISCOVERED, "Alertmanagers discovered"))
        .with_panel(draw.stat(alertmanager.REACHABLE, "Alertmanager"))
        .with_panel(draw.stat(alertmanager.RELOADED))
        .with_panel(draw.stat(alertmanager.AGGREGATION_GROUPS))
        .with_row(Row("Rule evaluation"))
        .with_panel(draw.timeseries(prometheus.EVALUATIONS))
        .with_panel(draw.timeseries(prometheus.RULE_TIME))
        .with_panel(draw.timeseries(prometheus.RULE_FAILURES))
        .with_panel(draw.timeseries(prometheus.DROPPED_NOTIFICATIONS))
        .with_row(Row("Alert ingestion"))
        .with_panel(draw.timeseries(prometheus.ALERTS_SENT))
        .with_panel(draw.timeseries(alertmanager.ALERTS_BY_STATE))
        .with_panel(draw.timeseries(alertmanager.DROPPED_ALERTS))
        .with_row(Row("Notifications"))
        .with_panel(draw.timeseries(alertmanager.NOTIFICATIONS))
        .with_panel(draw.timeseries(alertmanager.NOTIFICATION_TIME))
        .with_panel(draw.timeseries(alertmanager.FAILED_NOTIFICATIONS))
        .with_panel(draw.timeseries(alertmanager.SILENCES))
    )
