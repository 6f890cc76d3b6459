"""Redis, as redis_exporter sees it."""

from rules.model import CHECKLIST_GROUP, Alert, ScrapeJob, Severity, Signal, Unit, reachable

TITLE = "Redis"
JOB = ScrapeJob(name="redis", service="redis", port=9121)

REACHABLE = reachable(JOB, "redis_up{$scope}")

MEMORY = Signal(
    title="Memory",
    unit=Unit.BYTES,
    job=JOB,
    description="Memory that Redis allocated for its data. Good: steady, under its limit.",
    expr="sum by ($by) (redis_memory_used_bytes{$scope})",
)

MEMORY_LIMIT = Signal(
    title="Memory limit",
    unit=Unit.BYTES,
    job=JOB,
    description="maxmemory: at this limit Redis evicts keys or rejects writes. No value without a limit.",
    expr="sum by ($by) (redis_memory_max_bytes{$scope}) > 0",
)

MEMORY_USED = Signal(
    title="Memory in use",
    unit=Unit.RATIO,
    job=JOB,
    description=(
        "Percentage of maxmemory in use. At 100 % Redis rejects writes. No value without a limit, or if it evicts. "
        "Good: under 90 %."
    ),
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
    description="Keys per second that Redis evicted because its memory is full. Good: 0.",
    expr="sum by ($by) (rate(redis_evicted_keys_total{$scope}[$window]))",
)

REJECTED_CONNECTIONS = Signal(
    title="Rejected connections in 5 minutes",
    unit=Unit.COUNT,
    job=JOB,
    panel_window="5m",
    empty_when_healthy=True,
    description="Connections that Redis rejected because maxclients were connected. Good: 0.",
    expr="sum by ($by) (increase(redis_rejected_connections_total{$scope}[$window]))",
)

HIT_RATIO = Signal(
    title="Keyspace hit ratio",
    unit=Unit.RATIO,
    job=JOB,
    description="Percentage of all clients' lookups that found a key. No value without lookups. Good: over 70 %.",
    expr="""
    sum by ($by) (rate(redis_keyspace_hits_total{$scope}[$window]))
    / (sum by ($by) (rate(redis_keyspace_hits_total{$scope}[$window]))
       + sum by ($by) (rate(redis_keyspace_misses_total{$scope}[$window])) > 0)""",
)

COMMANDS = Signal(
    title="Commands",
    unit=Unit.OPERATIONS_PER_SECOND,
    job=JOB,
    description="Commands per second that Redis processed. Good: follows the API's requests.",
    expr="sum by ($by) (rate(redis_commands_processed_total{$scope}[$window]))",
)

BUSIEST_COMMANDS = Signal(
    title="Busiest commands",
    unit=Unit.OPERATIONS_PER_SECOND,
    job=JOB,
    by=("instance", "cmd"),
    description=(
        "The eight most frequent commands per second. Good: the API's get and set lead; nobody "
        "should send keys or flushall."
    ),
    expr="topk by (instance) (8, sum by ($by) (rate(redis_commands_total{$scope}[$window])) > 0)",
)

COMMAND_TIME = Signal(
    title="Command latency (mean)",
    unit=Unit.SECONDS,
    job=JOB,
    description="Mean time of a command within Redis, which runs one at a time. Good: well under a millisecond.",
    expr="""
    sum by ($by) (rate(redis_commands_duration_seconds_total{$scope}[$window]))
    / (sum by ($by) (rate(redis_commands_total{$scope}[$window])) > 0)""",
)

CPU = Signal(
    title="Server CPU",
    unit=Unit.RATIO,
    job=JOB,
    description="Percentage of one core that Redis uses; it runs commands on one core only. Good: under 70 %.",
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
    description="Keys that are stored. Good: steady; a drop to 0 means that somebody flushed the cache.",
    expr="sum by ($by) (redis_db_keys{$scope}) > 0",
)

RECEIVED = Signal(
    title="Received",
    unit=Unit.BYTES_PER_SECOND,
    job=JOB,
    description="Bytes per second that clients send. Good: follows the commands; more means larger values.",
    expr="sum by ($by) (rate(redis_net_input_bytes_total{$scope}[$window]))",
)

SENT = Signal(
    title="Sent",
    unit=Unit.BYTES_PER_SECOND,
    job=JOB,
    description="Bytes per second that Redis sends. Good: follows the commands; more means larger values.",
    expr="sum by ($by) (rate(redis_net_output_bytes_total{$scope}[$window]))",
)

UPTIME = Signal(
    title="Uptime",
    unit=Unit.SECONDS,
    job=JOB,
    description="Time since Redis started; data that is not persisted was lost then. Good: days.",
    expr="min by ($by) (redis_uptime_in_seconds{$scope})",
)

SATURATION = (MEMORY,)

ALERTS = (
    Alert(
        name="RedisDown",
        group=CHECKLIST_GROUP,
        severity=Severity.CRITICAL,
        for_="1m",  # four scrapes: longer than a restart
        when=REACHABLE.below(1),
        fire_if_absent=True,
        summary="{{ $labels.instance }}: Redis is unreachable",
        description="The exporter cannot reach Redis, cannot be scraped, or is gone.",
    ),
    Alert(
        name="RedisMemoryHigh",
        severity=Severity.WARNING,
        for_="5m",
        when=MEMORY_USED.above(0.90),  # the rest of the demo's 64 MB is what a minute of traffic can store
        summary="{{ $labels.instance }} uses {{ $value | humanizePercentage }} of its memory",
        description="Redis is nearly full and its policy is noeviction: at 100 % it rejects every write.",
    ),
    Alert(
        name="RedisEvictingKeys",
        severity=Severity.WARNING,
        for_="10m",
        when=EVICTIONS.above(1),  # a full cache evicts a key now and then; one a second means it is too small
        summary="{{ $labels.instance }} evicts {{ $value | humanize }} keys a second",
        description="Redis is full and evicts keys that the API may still need.",
    ),
    Alert(
        name="RedisRejectedConnections",
        severity=Severity.WARNING,
        for_="5m",
        when=REJECTED_CONNECTIONS.above(0),
        summary='{{ $labels.instance }}: connections rejected in 5 minutes: {{ $value | printf "%.0f" }}',
        description="maxclients are connected: Redis rejects every further connection.",
    ),
)
