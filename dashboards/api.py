"""The API and what the business asks of it."""

from grafana_foundation_sdk.builders.dashboard import Dashboard, Row

from dashboards.panels import GRAPH_WIDTH, PanelFactory
from rules import api


def build(draw: PanelFactory) -> Dashboard:
    return (
        draw.page("API and business", "api", "Whether the API's users are served, and what they do with it.", api.JOB)
        .with_row(Row("Are the users served?"))
        .with_panel(draw.stat(api.REACHABLE))
        .with_panel(draw.stat(api.REQUESTS))
        .with_panel(draw.stat(api.RESPONSE_TIME))
        .with_panel(draw.stat(api.CACHE_HIT_RATIO))
        .with_panel(draw.stat(api.ACTIVE_USERS))
        .with_panel(draw.stat(api.UPTIME))
        .with_panel(draw.timeseries(api.REQUESTS_BY_STATUS))
        .with_panel(draw.timeseries(api.REQUESTS_BY_ENDPOINT))
        .with_panel(draw.timeseries(api.RESPONSE_TIME))
        .with_panel(draw.timeseries(api.RESPONSE_TIME_P95))
        .with_panel(draw.heatmap(api.RESPONSE_TIMES))
        .with_panel(draw.timeseries(api.ERROR_RATIO))
        .with_panel(draw.timeseries(api.SLOW_REQUESTS))
        .with_panel(draw.timeseries(api.RESTARTS))
        .with_row(Row("Are the objectives kept?"))
        .with_panel(draw.stat(api.AVAILABILITY.error_budget_remaining.as_signal, good_from=0).span(GRAPH_WIDTH))
        .with_panel(draw.stat(api.LATENCY.error_budget_remaining.as_signal, good_from=0).span(GRAPH_WIDTH))
        .with_panel(draw.timeseries(api.AVAILABILITY.error_ratio("1h").as_signal))
        .with_panel(draw.timeseries(api.LATENCY.error_ratio("1h").as_signal))
        .with_panel(draw.timeseries(api.AVAILABILITY.error_ratio("1d").as_signal))
        .with_panel(draw.timeseries(api.LATENCY.error_ratio("1d").as_signal))
        .with_row(Row("What do they do?"))
        .with_panel(draw.timeseries(api.LOGINS, api.EMAILS, title="Logins and e-mails"))
        .with_panel(draw.timeseries(api.ACTIVE_USERS, api.SCHEDULED_JOBS, title="Active users and scheduled jobs"))
        .with_row(Row("Dependencies and resources"))
        .with_panel(draw.timeseries(api.QUERIES))
        .with_panel(draw.timeseries(api.QUERY_TIME))
        .with_panel(draw.timeseries(api.SLOW_QUERIES))
        .with_panel(draw.timeseries(api.QUERY_ERRORS))
        .with_panel(draw.timeseries(api.CACHE_HIT_RATIO))
        .with_panel(draw.timeseries(api.CPU))
        .with_panel(draw.timeseries(api.MEMORY))
    )
