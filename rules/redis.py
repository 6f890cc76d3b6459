"""Redis, as redis_exporter sees it."""

from rules.model import CHECKLIST, Alert, ScrapeJob, Severity, Signal, Unit, reachable

JOB = ScrapeJob(name="redis", subject="redis", port=9121)

REACHABLE = reachable(JOB, "redis_up{$scope}")

MEMORY = Signal(
    title="Memory", unit=Unit.BYTES, job=JOB,
    description="Memory that Redis allocated for its data.",
    expr="sum by ($by) (redis_memory_used_bytes{$scope})",
)  # fmt: skip

ALERTS = (
    Alert(
        name="RedisDown", group=CHECKLIST, severity=Severity.CRITICAL, for_="1m",  # four scrapes: not a restart's blink
        when=REACHABLE.below(1), or_absent=True,
        summary="{{ $labels.instance }}: Redis is unreachable",
        description="The exporter cannot reach Redis, cannot be scraped, or is gone.",
    ),
)  # fmt: skip
