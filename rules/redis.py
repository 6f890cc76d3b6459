"""Redis, as redis_exporter sees it."""

from rules.model import CHECKLIST, Alert, ScrapeJob, Severity, Signal, Unit, reachable

JOB = ScrapeJob(name="redis", subject="redis", port=9121)

REACHABLE = reachable(JOB, "redis_up{$scope}")

MEMORY = Signal(
    title="Memory", unit=Unit.BYTES, job=JOB,
    description="Memory that Redis allocated for its data.",
    expr="sum by ($by) (redis_memory_used_bytes{$scope})",
)  # fmt: skip

MEMORY_USED = Signal(
    title="Memory in use", unit=Unit.RATIO, job=JOB,
    description="Share of maxmemory, at whose end Redis refuses writes. No value without a limit, or where it evicts.",
    expr="""
    sum by ($by) (redis_memory_used_bytes{$scope})
    / (sum by ($by) (redis_memory_max_bytes{$scope}) > 0)
    and on ($by) redis_instance_info{$scope,maxmemory_policy="noeviction"}""",
)  # fmt: skip

EVICTIONS = Signal(
    title="Evicted keys", unit=Unit.PER_SECOND, job=JOB,
    description="Keys per second that Redis threw out because its memory is full. Good: 0.",
    expr="sum by ($by) (rate(redis_evicted_keys_total{$scope}[$window]))",
)  # fmt: skip

REJECTED_CONNECTIONS = Signal(
    title="Rejected connections in 5 minutes", unit=Unit.COUNT, job=JOB, panel_window="5m",
    description="Connections that Redis refused because maxclients were connected. Good: 0.",
    expr="sum by ($by) (increase(redis_rejected_connections_total{$scope}[$window]))",
)  # fmt: skip

ALERTS = (
    Alert(
        name="RedisDown", group=CHECKLIST, severity=Severity.CRITICAL, for_="1m",  # four scrapes: not a restart's blink
        when=REACHABLE.below(1), or_absent=True,
        summary="{{ $labels.instance }}: Redis is unreachable",
        description="The exporter cannot reach Redis, cannot be scraped, or is gone.",
    ),
    Alert(
        name="RedisMemoryNearMax", severity=Severity.WARNING, for_="5m",
        when=MEMORY_USED.above(0.90),  # of the demo's 64 MB the rest is what a minute of traffic can store
        summary="{{ $labels.instance }} uses {{ $value | humanizePercentage }} of its memory",
        description="Redis is nearly full and its policy is noeviction: at 100 % it refuses every write.",
    ),
    Alert(
        name="RedisEvictsKeys", severity=Severity.WARNING, for_="10m",
        when=EVICTIONS.above(1),  # a full cache drops a key now and then; one a second is a cache too small for its use
        summary="{{ $labels.instance }} evicts {{ $value | humanize }} keys a second",
        description="Redis is full and throws out keys that the API may still want.",
    ),
    Alert(
        name="RedisRejectsConnections", severity=Severity.WARNING, for_="5m",
        when=REJECTED_CONNECTIONS.above(0),
        summary='{{ $labels.instance }}: connections refused in 5 minutes: {{ $value | printf "%.0f" }}',
        description="As many clients are connected as maxclients allows; further ones are turned away.",
    ),
)  # fmt: skip
