"""Prometheus itself: does it keep up, and what does monitoring cost."""

from grafana_foundation_sdk.builders.dashboard import Dashboard, Row

from dashboards.panels import PanelFactory
from rules import prometheus


def build(draw: PanelFactory) -> Dashboard:
    return (
        draw.page("Prometheus", "prometheus", "Whether Prometheus keeps up, and what monitoring costs.", prometheus.JOB)
        .with_row(Row("Does it keep up?"))
        .with_panel(draw.stat(prometheus.REACHABLE))
        .with_panel(draw.stat(prometheus.RELOADED))
        .with_panel(draw.stat(prometheus.SERIES))
        .with_panel(draw.stat(prometheus.SAMPLES))
        .with_panel(draw.stat(prometheus.DISK))
        .with_panel(draw.stat(prometheus.OLDEST_SAMPLE))
        .with_panel(draw.timeseries(prometheus.TARGET_UP))
        .with_panel(draw.timeseries(prometheus.SCRAPE_TIME))
        .with_panel(draw.timeseries(prometheus.REQUESTS))
        .with_panel(draw.timeseries(prometheus.QUERY_TIME))
        .with_panel(draw.timeseries(prometheus.STORAGE_FAILURES))
        .with_row(Row("Are alerts evaluated and sent?"))
        .with_panel(draw.timeseries(prometheus.RULE_FAILURES))
        .with_panel(draw.timeseries(prometheus.DROPPED_NOTIFICATIONS))
        .with_panel(draw.timeseries(prometheus.RULE_TIME))
        .with_panel(draw.timeseries(prometheus.ALERTMANAGERS_DISCOVERED))
        .with_row(Row("What does monitoring cost?"))
        .with_panel(draw.bars(prometheus.SERIES_BY_JOB))
        .with_panel(draw.bars(prometheus.NEW_SERIES_BY_JOB))
        .with_panel(draw.timeseries(prometheus.SERIES))
        .with_panel(draw.timeseries(prometheus.SAMPLES))
        .with_panel(draw.timeseries(prometheus.DISK))
        .with_panel(draw.timeseries(prometheus.MEMORY))
        .with_panel(draw.timeseries(prometheus.CPU))
    )
