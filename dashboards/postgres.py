"""PostgreSQL: can it be reached, is it full, what does it do."""

from grafana_foundation_sdk.builders.dashboard import Dashboard, Row

from dashboards.panels import PanelFactory
from rules import postgres


def build(draw: PanelFactory) -> Dashboard:
    return (
        draw.page(
            "PostgreSQL",
            "postgres",
            "Whether PostgreSQL can be reached, how full it is, and what it does.",
            postgres.JOB,
        )
        .with_row(Row("Can it be reached, is it full?"))
        .with_panel(draw.stat(postgres.REACHABLE))
        .with_panel(draw.stat(postgres.CONNECTIONS_USED))
        .with_panel(draw.stat(postgres.TRANSACTIONS))
        .with_panel(draw.stat(postgres.BUFFER_HIT_RATIO))
        .with_panel(draw.stat(postgres.WAL_SIZE))
        .with_panel(draw.stat(postgres.COLLECTORS_OK, "Exporter reads all"))
        .with_panel(draw.timeseries(postgres.CONNECTIONS_USED))
        .with_panel(draw.timeseries(postgres.CONNECTIONS_4H_PREDICTION))
        .with_panel(draw.timeseries(postgres.CONNECTIONS_BY_STATE))
        .with_row(Row("What does it do?"))
        .with_panel(draw.timeseries(postgres.TRANSACTIONS))
        .with_panel(draw.timeseries(postgres.ROWS_READ))
        .with_panel(draw.timeseries(postgres.ROWS_WRITTEN))
        .with_panel(draw.timeseries(postgres.BUFFER_HIT_RATIO))
        .with_panel(draw.timeseries(postgres.LOCKS))
        .with_row(Row("Locks and deadlocks"))
        .with_panel(draw.timeseries(postgres.IDLE_IN_TRANSACTION))
        .with_panel(draw.timeseries(postgres.DEADLOCKS))
        .with_row(Row("How much does it keep?"))
        .with_panel(draw.timeseries(postgres.SIZE))
        .with_panel(draw.timeseries(postgres.WAL_SIZE))
        .with_panel(draw.timeseries(postgres.ARCHIVING_FAILURES))
    )
