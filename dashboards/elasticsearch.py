"""Elasticsearch: is all data there, is it full, what does it do."""

from grafana_foundation_sdk.builders.dashboard import Dashboard, Row

from dashboards.panels import PanelFactory
from rules import elasticsearch


def build(draw: PanelFactory) -> Dashboard:
    return (
        draw.page(
            "Elasticsearch",
            "elasticsearch",
            "Whether all data is there, how full the cluster is, and what it does.",
            elasticsearch.JOB,
        )
        .with_row(Row("Is all data there?"))
        .with_panel(draw.stat(elasticsearch.REACHABLE))
        .with_panel(draw.stat(elasticsearch.PRIMARIES_ASSIGNED, "Primary shards"))
        .with_panel(draw.stat(elasticsearch.NODES))
        .with_panel(draw.stat(elasticsearch.SHARDS))
        .with_panel(draw.stat(elasticsearch.DOCUMENTS))
        .with_panel(draw.stat(elasticsearch.SIZE))
        .with_panel(draw.timeseries(elasticsearch.UNASSIGNED_SHARDS))
        .with_panel(draw.timeseries(elasticsearch.REPLICAS_ASSIGNED))
        .with_row(Row("What does it do?"))
        .with_panel(draw.timeseries(elasticsearch.SEARCHES, elasticsearch.DOCUMENTS_READ, title="Searches"))
        .with_panel(draw.timeseries(elasticsearch.SEARCH_TIME))
        .with_panel(draw.timeseries(elasticsearch.THREAD_POOL_COMPLETED))
        .with_panel(draw.timeseries(elasticsearch.THREAD_POOL_REJECTED))
        .with_panel(draw.timeseries(elasticsearch.DOCUMENTS))
        .with_row(Row("Is it full?"))
        .with_panel(draw.timeseries(elasticsearch.HEAP_USED))
        .with_panel(draw.timeseries(elasticsearch.CIRCUIT_BREAKER_USED))
        .with_panel(draw.timeseries(elasticsearch.DISK_USED))
        .with_panel(draw.timeseries(elasticsearch.SIZE))
        .with_panel(draw.timeseries(elasticsearch.CPU))
        .with_panel(draw.timeseries(elasticsearch.OPEN_FILES))
    )
