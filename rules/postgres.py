"""PostgreSQL, as postgres_exporter sees it."""

from rules.model import CHECKLIST_GROUP, Alert, ScrapeJob, Severity, Signal, Unit, reachable

TITLE = "PostgreSQL"
JOB = ScrapeJob(name="postgres", service="postgres", port=9187)

REACHABLE = reachable(JOB, "pg_up{$scope}")

# PostgreSQL keeps some connections back for superusers and, since 16, for the members of pg_use_reserved_connections.
LIMIT = """
    (max by ($by) (pg_settings_max_connections{$scope})
     - max by ($by) (pg_settings_superuser_reserved_connections{$scope})
     - max by ($by) (pg_settings_reserved_connections{$scope})
     or max by ($by) (pg_settings_max_connections{$scope})
        - max by ($by) (pg_settings_superuser_reserved_connections{$scope}))"""

CONNECTIONS_USED = Signal(
    title="Connections in use",
    unit=Unit.RATIO,
    job=JOB,
    description="Share of the connections that ordinary roles may open. Good: under 80 %.",
    expr=f"sum by ($by) (pg_stat_database_numbackends{{$scope}}) / on ($by) {LIMIT}",
)

CONNECTIONS_SOON = Signal(
    title="Connections in use in four hours",
    unit=Unit.RATIO,
    job=JOB,
    window="2h",
    panel_window="2h",
    description="Share of the connections in four hours' time, at the pace of the last two. Good: under 100 %.",
    expr=f"sum by ($by) (predict_linear(pg_stat_database_numbackends{{$scope}}[$window], 4 * 3600)) / on ($by) {LIMIT}",
)

IDLE_IN_TRANSACTION = Signal(
    title="Longest idle transaction",
    unit=Unit.SECONDS,
    job=JOB,
    by=("instance", "datname"),
    empty_when_healthy=True,
    description="Age of the oldest transaction whose client does nothing. Good: under a minute.",
    expr='max by ($by) (pg_stat_activity_max_tx_duration{$scope,state=~"idle in transaction.*"})',
)

DEADLOCKS = Signal(
    title="Deadlocks in an hour",
    unit=Unit.COUNT,
    job=JOB,
    by=("instance", "datname"),
    window="1h",
    panel_window="1h",
    empty_when_healthy=True,
    description="Transactions of the last hour that PostgreSQL broke off because they waited for each other. Good: 0.",
    # The floor takes back what extrapolation to a full hour adds to a whole number.
    expr="floor(sum by ($by) (increase(pg_stat_database_deadlocks{$scope}[$window])))",
)

ARCHIVING_FAILURES = Signal(
    title="WAL files not archived in 15 minutes",
    unit=Unit.COUNT,
    job=JOB,
    window="15m",
    panel_window="15m",
    empty_when_healthy=True,
    description="Failed attempts to archive a WAL file. Good: 0; always 0 where nothing is archived.",
    expr="sum by ($by) (increase(pg_stat_archiver_failed_count{$scope}[$window]))",
)

CONNECTIONS_BY_STATE = Signal(
    title="Connections by state",
    unit=Unit.COUNT,
    job=JOB,
    by=("instance", "state"),
    description="What the connected clients do. Good: mostly idle; few active, none idle in a transaction for long.",
    expr="sum by ($by) (pg_stat_activity_count{$scope}) > 0",
)

TRANSACTIONS = Signal(
    title="Transactions",
    unit=Unit.OPERATIONS_PER_SECOND,
    job=JOB,
    description="Transactions per second that ended, well or rolled back. Good: in step with the API's requests.",
    expr="""
    sum by ($by) (rate(pg_stat_database_xact_commit{$scope}[$window]))
    + sum by ($by) (rate(pg_stat_database_xact_rollback{$scope}[$window]))""",
)

ROWS_READ = Signal(
    title="Rows read",
    unit=Unit.OPERATIONS_PER_SECOND,
    job=JOB,
    by=("instance", "datname"),
    description="Rows per second that statements returned or looked at. Good: in step with the transactions; far above "
    "them, an index is missing.",
    expr="sum by ($by) (rate(pg_stat_database_tup_returned{$scope}[$window]))",
)

ROWS_WRITTEN = Signal(
    title="Rows written",
    unit=Unit.OPERATIONS_PER_SECOND,
    job=JOB,
    by=("instance", "datname"),
    description="Rows per second that were inserted, updated or deleted. Good: in step with sign-ups and logins.",
    expr="""
    sum by ($by) (rate(pg_stat_database_tup_inserted{$scope}[$window]))
    + sum by ($by) (rate(pg_stat_database_tup_updated{$scope}[$window]))
    + sum by ($by) (rate(pg_stat_database_tup_deleted{$scope}[$window]))""",
)

BUFFER_HIT_RATIO = Signal(
    title="Blocks found in memory",
    unit=Unit.RATIO,
    job=JOB,
    description="Share of the blocks that PostgreSQL found in its buffers. No value without reads. Good: over 99 %.",
    expr="""
    sum by ($by) (rate(pg_stat_database_blks_hit{$scope}[$window]))
    / (sum by ($by) (rate(pg_stat_database_blks_hit{$scope}[$window]))
       + sum by ($by) (rate(pg_stat_database_blks_read{$scope}[$window])) > 0)""",
)

SIZE = Signal(
    title="Size of the databases",
    unit=Unit.BYTES,
    job=JOB,
    by=("instance", "datname"),
    description="What a database takes on the disk. Good: grows slowly, and evenly.",
    expr="sum by ($by) (pg_database_size_bytes{$scope})",
)

LOCKS = Signal(
    title="Locks",
    unit=Unit.COUNT,
    job=JOB,
    by=("instance", "mode"),
    description="Locks that are held, by mode. Good: a few weak ones; accessexclusivelock makes everybody wait.",
    expr="sum by ($by) (pg_locks_count{$scope}) > 0",
)

WAL_SIZE = Signal(
    title="Size of the WAL",
    unit=Unit.BYTES,
    job=JOB,
    description="What the write-ahead log takes on the disk. Good: under max_wal_size; more is a slot or an archive "
    "that holds it back.",
    expr="sum by ($by) (pg_wal_size_bytes{$scope})",
)

EXPORTER_READS = Signal(
    title="The exporter can read all that it should",
    unit=Unit.UP,
    job=JOB,
    description="1 where every collector of the exporter got an answer; 0 where one was refused or broke. Good: 1.",
    expr="""
    min by ($by) (pg_scrape_collector_success{$scope})
    * (1 - max by ($by) (pg_exporter_last_scrape_error{$scope}))""",
)

SATURATION = (CONNECTIONS_USED,)

ALERTS = (
    Alert(
        name="DatabaseDown",
        group=CHECKLIST_GROUP,
        severity=Severity.CRITICAL,
        for_="1m",  # not a restart's blink
        when=REACHABLE.below(1),
        fire_if_absent=True,
        summary="{{ $labels.instance }}: PostgreSQL is unreachable",
        description="The exporter cannot log in to PostgreSQL, cannot be scraped, or is gone.",
    ),
    Alert(
        name="ConnectionPoolNearMax",
        group=CHECKLIST_GROUP,
        severity=Severity.WARNING,
        for_="5m",
        when=CONNECTIONS_USED.above(0.80),  # 20 % left is what a rolling restart opens at once
        summary="{{ $labels.instance }} uses {{ $value | humanizePercentage }} of its connections",
        description="More than 80 % of the connections that ordinary roles may open are in use.",
    ),
    Alert(
        name="PostgresConnectionsFillingUp",
        severity=Severity.WARNING,
        for_="30m",
        when=CONNECTIONS_SOON.above(1),
        and_conditions=(CONNECTIONS_USED.above(0.5),),  # below half, a slope is a busy morning
        summary="{{ $labels.instance }} has no connection left in four hours, at this pace",
        description="More than half of the connections are in use, and they grow as if a client never gave one back.",
    ),
    Alert(
        name="PostgresIdleInTransaction",
        severity=Severity.WARNING,
        for_="5m",
        when=IDLE_IN_TRANSACTION.above(600),  # no program thinks for ten minutes between two statements
        summary="{{ $labels.instance }}: a transaction in {{ $labels.datname }} has been idle for "
        "{{ $value | humanizeDuration }}",
        description="A client began a transaction and does nothing: its locks stay, and vacuum clears nothing away.",
    ),
    Alert(
        name="PostgresDeadlocks",
        severity=Severity.WARNING,
        for_="5m",
        when=DEADLOCKS.above(10),  # a few are retried and forgotten; more is two code paths with opposite orders
        summary='{{ $labels.instance }}: {{ $value | printf "%.0f" }} deadlocks in {{ $labels.datname }} in an hour',
        description="Transactions wait for each other's rows again and again, and PostgreSQL breaks them off.",
    ),
    Alert(
        name="PostgresWalArchivingFailing",
        severity=Severity.WARNING,
        for_="15m",
        when=ARCHIVING_FAILURES.above(0),  # PostgreSQL tries again each minute, so a lasting fault shows all the time
        summary='{{ $labels.instance }} cannot archive its WAL; failures in 15 minutes: {{ $value | printf "%.0f" }}',
        description="Copies of the data cannot be brought up to now, and WAL files stay until the disk is full.",
    ),
    Alert(
        name="PostgresExporterFailing",
        severity=Severity.WARNING,
        for_="10m",  # DatabaseDown comes first, and holds it
        when=EXPORTER_READS.below(1),
        summary="{{ $labels.instance }}: the exporter cannot read all of PostgreSQL's figures",
        description="PostgreSQL answers, but not every question: alerts on connections or archiving may be blind.",
    ),
)
