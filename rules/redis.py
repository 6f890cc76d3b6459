"""Redis, as redis_exporter sees it."""

from rules.model import CHECKLIST_GROUP, Alert, ScrapeJob, Severity, Signal, Unit, reachable

TITLE = "Redis"
JOB = ScrapeJob(name="redis", service="redis", port=9121)

REACHABLE = reachable(JOB, "redis_up{$scope}")

MEMORY = Signal(
    title="Memory",
    unit=Unit.BYTES,
    job=JOB,
    description="Memory that Redis allocated for its data. Good: level, under its limit.",
    expr="sum by ($by) (redis_memory_used_bytes{$scope})",
)

MEMORY_LIMIT = Signal(
    title="Memory limit",
    unit=Unit.BYTES,
    job=JOB,
    description="maxmemory: where Redis evicts keys or refuses writes. No value without a limit.",
    expr="sum by ($by) (redis_memory_max_bytes{$scope}) > 0",
)

MEMORY_USED = Signal(
    title="Memory in use",
    unit=Unit.RATIO,
    job=JOB,
    description="Share of maxmemory, at whose end Redis refuses writes. No value without a limit, or where it evicts. "
    "Good: under 90 %.",
    expr="""
    sum by ($by) (redis_memory_used_bytes{$scope})
    / (sum by ($by) (redis_memory_max_bytes{$scope}) > 0)
    and on ($by) redis_instance_info{$scope,maxmemory_policy="noeviction"}""",
)

EVICTIONS = Signal(
    title="Evicted keys",
    unit=Unit.OPERATIONS_PER_SECOND,
    job=JOB,
    empty_when_healthy=True,
    description="Keys per second that Redis threw out because its memory is full. Good: 0.",
    expr="sum by ($by) (rate(redis_evicted_keys_total{$scope}[$window]))",
)

REJECTED_CONNECTIONS = Signal(
    title="Rejected connections in 5 minutes",
    unit=Unit.COUNT,
    job=JOB,
    panel_window="5m",
    empty_when_healthy=True,
    description="Connections that Redis refused because maxclients were connected. Good: 0.",
    expr="sum by ($by) (increase(redis_rejected_connections_total{$scope}[$window]))",
)

HIT_RATIO = Signal(
    title="Keys found",
    unit=Unit.RATIO,
    job=JOB,
    description="Share of the look-ups of all clients that found a key. No value without look-ups. Good: over 70 %.",
    expr="""
    sum by ($by) (rate(redis_keyspace_hits_total{$scope}[$window]))
    / (sum by ($by) (rate(redis_keyspace_hits_total{$scope}[$window]))
       + sum by ($by) (rate(redis_keyspace_misses_total{$scope}[$window])) > 0)""",
)

COMMANDS = Signal(
    title="Commands",
    unit=Unit.OPERATIONS_PER_SECOND,
    job=JOB,
    description="Commands per second that Redis carried out. Good: in step with the API's requests.",
    expr="sum by ($by) (rate(redis_commands_processed_total{$scope}[$window]))",
)

BUSIEST_COMMANDS = Signal(
    title="Busiest commands",
    unit=Unit.OPERATIONS_PER_SECOND,
    job=JOB,
    by=("instance", "cmd"),
    description="The eight most frequent commands per second. Good: the API's get and set lead; keys or flushall, "
    "nobody should send.",
    expr="topk by (instance) (8, sum by ($by) (rate(redis_commands_total{$scope}[$window])) > 0)",
)

COMMAND_TIME = Signal(
    title="Average time of a command",
    unit=Unit.SECONDS,
    job=JOB,
    description="Mean time of a command within Redis, which does one at a time. Good: well under a millisecond.",
    expr="""
    sum by ($by) (rate(redis_commands_duration_seconds_total{$scope}[$window]))
    / (sum by ($by) (rate(redis_commands_total{$scope}[$window])) > 0)""",
)

CPU = Signal(
    title="CPU of the server",
    unit=Unit.RATIO,
    job=JOB,
    description="Share of one core that Redis uses; its commands run on one. Good: under 70 %.",
    expr="""
    sum by ($by) (rate(redis_cpu_sys_seconds_total{$scope}[$window]))
    + sum by ($by) (rate(redis_cpu_user_seconds_total{$scope}[$window]))""",
)

CLIENTS = Signal(
    title="Connected clients",
    unit=Unit.COUNT,
    job=JOB,
    description="Clients that are connected. Good: as many as the API's pools hold, far under maxclients.",
    expr="sum by ($by) (redis_connected_clients{$scope})",
)

KEYS = Signal(
    title="Keys",
    unit=Unit.COUNT,
    job=JOB,
    by=("instance", "db"),
    description="Keys that are stored. Good: level; a drop to 0 is a cache that somebody emptied.",
    expr="sum by ($by) (redis_db_keys{$scope}) > 0",
)

RECEIVED = Signal(
    title="Received",
    unit=Unit.BYTES_PER_SECOND,
    job=JOB,
    description="What the clients send. Good: in step with the commands; more is larger values.",
    expr="sum by ($by) (rate(redis_net_input_bytes_total{$scope}[$window]))",
)

SENT = Signal(
    title="Sent",
    unit=Unit.BYTES_PER_SECOND,
    job=JOB,
    description="What Redis answers. Good: in step with the commands; more is larger values.",
    expr="sum by ($by) (rate(redis_net_output_bytes_total{$scope}[$window]))",
)

UPTIME = Signal(
    title="Time since start",
    unit=Unit.SECONDS,
    job=JOB,
    description="Time since Redis started; what is not persisted began empty then. Good: days.",
    expr="min by ($by) (redis_uptime_in_seconds{$scope})",
)

SATURATION = (MEMORY,)

ALERTS = (
    Alert(
        name="RedisDown",
        group=CHECKLIST_GROUP,
        severity=Severity.CRITICAL,
        for_="1m",  # four scrapes: not a restart's blink
        when=REACHABLE.below(1),
        fire_if_absent=True,
        summary="{{ $labels.instance }}: Redis is unreachable",
        description="The exporter cannot reach Redis, cannot be scraped, or is gone.",
    ),
    Alert(
        name="RedisMemoryHigh",
        severity=Severity.WARNING,
        for_="5m",
        when=MEMORY_USED.above(0.90),  # of the demo's 64 MB the rest is what a minute of traffic can store
        summary="{{ $labels.instance }} uses {{ $value | humanizePercentage }} of its memory",
        description="Redis is nearly full and its policy is noeviction: at 100 % it refuses every write.",
    ),
    Alert(
        name="RedisEvictingKeys",
        severity=Severity.WARNING,
        for_="10m",
        when=EVICTIONS.above(1),  # a full cache drops a key now and then; one a second is a cache too small for its use
        summary="{{ $labels.instance }} evicts {{ $value | humanize }} keys a second",
        description="Redis is full and throws out keys that the API may still want.",
    ),
    Alert(
        name="RedisRejectedConnections",
        severity=Severity.WARNING,
        for_="5m",
        when=REJECTED_CONNECTIONS.above(0),
        summary='{{ $labels.instance }}: connections refused in 5 minutes: {{ $value | printf "%.0f" }}',
        description="As many clients are connected as maxclients allows; further ones are turned away.",
    ),
)
