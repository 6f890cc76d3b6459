"""The machine under the engine, as node_exporter sees it."""

from rules.model import Alert, ScrapeJob, Signal, Unit, reachable

JOB = ScrapeJob(name="node", subject="node", port=9100)

REACHABLE = reachable(JOB)

CPU_USED = Signal(
    title="CPU in use", unit=Unit.RATIO, job=JOB,
    description="Share of all cores that is not idle.",
    expr='1 - avg by ($by) (rate(node_cpu_seconds_total{$scope,mode="idle"}[$window]))',
)  # fmt: skip

MEMORY_USED = Signal(
    title="Memory in use", unit=Unit.RATIO, job=JOB,
    description="Share of the memory that programs cannot get any more.",
    expr="""
    1 - sum by ($by) (node_memory_MemAvailable_bytes{$scope})
    / sum by ($by) (node_memory_MemTotal_bytes{$scope})""",
)  # fmt: skip

ALERTS: tuple[Alert, ...] = ()
