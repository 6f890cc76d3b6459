"""Redis: can it be reached, is it full, what does it do."""

from grafana_foundation_sdk.builders.dashboard import Dashboard, Row

from dashboards.panels import PanelFactory
from rules import redis


def build(draw: PanelFactory) -> Dashboard:
    return (
        draw.page("Redis", "redis", "Whether Redis can be reached, how full it is, and what it does.", redis.JOB)
        .with_row(Row("Can it be reached, is it full?"))
        .with_panel(draw.stat(redis.REACHABLE))
        .with_panel(draw.stat(redis.MEMORY))
        .with_panel(draw.stat(redis.KEYS))
        .with_panel(draw.stat(redis.HIT_RATIO))
        .with_panel(draw.stat(redis.CLIENTS))
        .with_panel(draw.stat(redis.UPTIME))
        .with_panel(draw.timeseries(redis.MEMORY, redis.MEMORY_LIMIT, title="Memory"))
        .with_panel(draw.timeseries(redis.MEMORY_USED))
        .with_panel(draw.timeseries(redis.KEYS))
        .with_panel(draw.timeseries(redis.CLIENTS))
        .with_row(Row("What does it do?"))
        .with_panel(draw.timeseries(redis.COMMANDS))
        .with_panel(draw.timeseries(redis.BUSIEST_COMMANDS))
        .with_panel(draw.timeseries(redis.COMMAND_TIME))
        .with_panel(draw.timeseries(redis.HIT_RATIO))
        .with_panel(draw.timeseries(redis.CPU))
        .with_panel(draw.timeseries(redis.RECEIVED, redis.SENT, title="Network"))
        .with_row(Row("What is lost?"))
        .with_panel(draw.timeseries(redis.EVICTIONS))
        .with_panel(draw.timeseries(redis.REJECTED_CONNECTIONS))
    )
