"""The first page of a person on call: what is down, and how the API does."""

from grafana_foundation_sdk.builders.dashboard import Dashboard, Row

from dashboards.draw import Draw
from rules import alertmanager, api, elasticsearch, grafana, node, postgres, prometheus, redis


def build(draw: Draw) -> Dashboard:
    return (
        draw.page("Overview", uid="overview",
                  description="What is down, how the API's users are served, and how full things are.")
        .with_row(Row("What is down?"))
        .with_panel(draw.stat(api.REACHABLE, "API"))
        .with_panel(draw.stat(postgres.REACHABLE, "PostgreSQL"))
        .with_panel(draw.stat(redis.REACHABLE, "Redis"))
        .with_panel(draw.stat(elasticsearch.REACHABLE, "Elasticsearch"))
        .with_panel(draw.stat(node.REACHABLE, "Node"))
        .with_panel(draw.stat(prometheus.REACHABLE, "Prometheus"))
        .with_panel(draw.stat(alertmanager.REACHABLE, "Alertmanager"))
        .with_panel(draw.stat(grafana.REACHABLE, "Grafana"))
        .with_row(Row("Are the API's users served?"))
        .with_panel(draw.timeseries(api.REQUESTS))
        .with_panel(draw.timeseries(api.ERROR_RATIO))
        .with_panel(draw.timeseries(api.RESPONSE_TIME))
        .with_panel(draw.timeseries(api.CACHE_HIT_RATIO))
        .with_row(Row("How full are things?"))
        .with_panel(draw.timeseries(postgres.CONNECTIONS_USED))
        .with_panel(draw.timeseries(redis.MEMORY, "Redis memory"))
        .with_panel(draw.timeseries(elasticsearch.DOCUMENTS, "Documents in Elasticsearch"))
        .with_panel(draw.timeseries(node.CPU_USED))
        .with_panel(draw.timeseries(node.MEMORY_USED))
    )  # fmt: skip
