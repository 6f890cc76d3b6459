"""The machine under the engine: is it full, does it keep up."""

from grafana_foundation_sdk.builders.dashboard import Dashboard, Row

from dashboards.panels import PanelFactory
from rules import node


def build(draw: PanelFactory) -> Dashboard:
    return (
        draw.page("Node", "node", "Whether the machine under the engine is full, and whether it keeps up.", node.JOB)
        .with_row(Row("Is it full?"))
        .with_panel(draw.stat(node.REACHABLE))
        .with_panel(draw.stat(node.CPU_USED))
        .with_panel(draw.stat(node.MEMORY_USED))
        .with_panel(draw.stat(node.DISK_USED))
        .with_panel(draw.stat(node.LOAD_PER_CORE))
        .with_panel(draw.stat(node.UPTIME))
        .with_panel(draw.timeseries(node.MEMORY_USED))
        .with_panel(draw.timeseries(node.OOM_KILLS))
        .with_panel(draw.timeseries(node.DISK_USED))
        .with_panel(draw.timeseries(node.DISK_USED_24H_PREDICTION))
        .with_panel(draw.timeseries(node.INODES_USED))
        .with_panel(draw.timeseries(node.WRITABLE))
        .with_row(Row("Does it keep up?"))
        .with_panel(draw.timeseries(node.CPU_BY_MODE))
        .with_panel(draw.timeseries(node.LOAD_PER_CORE))
        .with_panel(draw.timeseries(node.WAITING_FOR_CPU))
        .with_panel(draw.timeseries(node.DISK_BUSY))
        .with_panel(draw.timeseries(node.DISK_READ, node.DISK_WRITTEN, title="Disk traffic"))
        .with_panel(draw.timeseries(node.OPEN_FILES))
    )
