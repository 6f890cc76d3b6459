"""The first page of a person on call: what fires, what is down, and how the API does."""

from grafana_foundation_sdk.builders.dashboard import Dashboard, Row

from dashboards.panels import PanelFactory
from rules import alertmanager, api, elasticsearch, grafana, node, postgres, prometheus, redis
from rules.render import OVERVIEW

SERVICES = {
    "API": api,
    "PostgreSQL": postgres,
    "Redis": redis,
    "Elasticsearch": elasticsearch,
    "Node": node,
    "Prometheus": prometheus,
    "Alertmanager": alertmanager,
    "Grafana": grafana,
}
SERVED = (api.REQUESTS, api.ERROR_RATIO, api.RESPONSE_TIME, api.CACHE_HIT_RATIO)
FULL = {
    "PostgreSQL: connections in use": postgres.CONNECTIONS_USED,
    "Redis: memory": redis.MEMORY,
    "Elasticsearch: heap in use": elasticsearch.HEAP_USED,
    "Node: CPU in use": node.CPU_USED,
    "Node: memory in use": node.MEMORY_USED,
    "Node: disk in use": node.DISK_USED,
}


def build(draw: PanelFactory) -> Dashboard:
    page = draw.page("Overview", OVERVIEW, "What is firing, what is down, whether the API's users are served.")
    page = page.with_row(Row("What is down?"))
    for title, module in SERVICES.items():
        if draw.watches(module.REACHABLE):
            page = page.with_panel(draw.stat(module.REACHABLE, title, page=module.JOB.service))
    for objective in api.SLOS:
        if draw.watches(objective.total):
            left = objective.error_budget_remaining.as_signal
            page = page.with_panel(draw.stat(left, f"{objective.title}: budget left", page="api", good_from=0))
    page = page.with_row(Row("What is firing?")).with_panel(draw.firing(prometheus.FIRING))
    served = tuple(filter(draw.watches, SERVED))
    if served:
        page = page.with_row(Row("Are the API's users served?"))
    for signal in served:
        page = page.with_panel(draw.timeseries(signal))
    if draw.watches(grafana.ERROR_RATIO):  # it has no page of its own
        page = page.with_row(Row("Grafana errors"))
        page = page.with_panel(draw.timeseries(grafana.ERROR_RATIO, title="Grafana: error rate"))
    full = {title: signal for title, signal in FULL.items() if draw.watches(signal)}
    if full:
        page = page.with_row(Row("Saturation"))
    for title, signal in full.items():
        page = page.with_panel(draw.timeseries(signal, title=title))
    return page
