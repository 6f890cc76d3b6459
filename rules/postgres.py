"""PostgreSQL, as postgres_exporter sees it."""

from rules.model import CHECKLIST_GROUP, Alert, ScrapeJob, Severity, Signal, Unit, reachable

TITLE = "PostgreSQL"
JOB = ScrapeJob(name="postgres", service="postgres", port=9187)

REACHABLE = reachable(JOB, "pg_up{$scope}")

# PostgreSQL reserves some connections for superusers and, since 16, for members of pg_use_reserved_connections.
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
    description="Percentage in use of the connections that ordinary roles may open. Good: under 80 %.",
    expr=f"sum by ($by) (pg_stat_database_numbackends{{$scope}}) / on ($by) {LIMIT}",
)

CONNECTIONS_4H_PREDICTION = Signal(
    title="Connections, 4 h prediction",
    unit=Unit.RATIO,
    job=JOB,
    window="2h",
    panel_window="2h",
    description=(
        "Predicted percentage of connections in use in four hours, at the rate of the last two. Good: under 100 %."
    ),
    expr=f"sum by ($by) (predict_linear(pg_stat_database_numbackends{{$scope}}[$window], 4 * 3600)) / on ($by) {LIMIT}",
)

IDLE_IN_TRANSACTION = Signal(
    title="Longest idle transaction",
    unit=Unit.SECONDS,
    job=JOB,
    by=("instance", "datname"),
    empty_when_healthy=True,
    description="Age of the oldest transaction whose client is idle. Good: under a minute.",
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
    description="Transactions of the last hour that PostgreSQL aborted because they waited for each other. Good: 0.",
    # floor() undoes what extrapolation to a full hour adds to a whole number.
    expr="floor(sum by ($by) (increase(pg_stat_database_deadlocks{$scope}[$window])))",
)

ARCHIVING_FAILURES = Signal(
    title="WAL files not archived in 15 minutes",
    unit=Unit.COUNT,
    job=JOB,
    window="15m",
    panel_window="15m",
    empty_when_healthy=True,
    description="Failed attempts to archive a WAL file. Good: 0; always 0 if archiving is off.",
    expr="sum by ($by) (increase(pg_stat_archiver_failed_count{$scope}[$window]))",
)

CONNECTIONS_BY_STATE = Signal(
    title="Connections by state",
    unit=Unit.COUNT,
    job=JOB,
    by=("instance", "state"),
    description=(
        "Connections by what their client does. Good: mostly idle; few active, none idle in a transaction for long."
    ),
    expr="sum by ($by) (pg_stat_activity_count{$scope}) > 0",
)

TRANSACTIONS = Signal(
    title="Transactions",
    unit=Unit.OPERATIONS_PER_SECOND,
    job=JOB,
    description="Transactions per second, committed or rolled back. Good: follows the API's requests.",
    expr="""
    sum by ($by) (rate(pg_stat_database_xact_commit{$scope}[$window]))
    + sum by ($by) (rate(pg_stat_database_xact_rollback{$scope}[$window]))""",
)

ROWS_READ = Signal(
    title="Rows read",
    unit=Unit.OPERATIONS_PER_SECOND,
    job=JOB,
    by=("instance", "datname"),
    description=(
        "Rows per second that statements returned or scanned. Good: follows the transactions; if it is far above "
        "them, an index is missing."
    ),
    expr="sum by ($by) (rate(pg_stat_database_tup_returned{$scope}[$window]))",
)

ROWS_WRITTEN = Signal(
    title="Rows written",
    unit=Unit.OPERATIONS_PER_SECOND,
    job=JOB,
    by=("instance", "datname"),
    description="Rows per second that were inserted, updated or deleted. Good: follows sign-ups and logins.",
    expr="""
    sum by ($by) (rate(pg_stat_database_tup_inserted{$scope}[$window]))
    + sum by ($by) (rate(pg_stat_database_tup_updated{$scope}[$window]))
    + sum by ($by) (rate(pg_stat_database_tup_deleted{$scope}[$window]))""",
)

BUFFER_HIT_RATIO = Signal(
    title="Buffer cache hit ratio",
    unit=Unit.RATIO,
    job=JOB,
    description=(
        "Percentage of block reads that PostgreSQL served from its buffer cache. No value without reads. Good: over"
        " 99 %."
    ),
    expr="""
    sum by ($by) (rate(pg_stat_database_blks_hit{$scope}[$window]))
    / (sum by ($by) (rate(pg_stat_database_blks_hit{$scope}[$window]))
       + sum by ($by) (rate(pg_stat_database_blks_read{$scope}[$window])) > 0)""",
)

SIZE = Signal(
    title="Database size",
    unit=Unit.BYTES,
    job=JOB,
    by=("instance", "datname"),
    description="Disk space that a database uses. Good: grows slowly and steadily.",
    expr="sum by ($by) (pg_database_size_bytes{$scope})",
)

LOCKS = Signal(
    title="Locks",
    unit=Unit.COUNT,
    job=JOB,
    by=("instance", "mode"),
    description="Locks that are held, by mode. Good: a few weak ones; accessexclusivelock blocks everybody else.",
    expr="sum by ($by) (pg_locks_count{$scope}) > 0",
)

WAL_SIZE = Signal(
    title="WAL size",
    unit=Unit.BYTES,
    job=JOB,
    description=(
        "Disk space that the write-ahead log uses. Good: under max_wal_size; above it, a replication slot or failing "
        "archiving keeps old files."
    ),
    expr="sum by ($by) (pg_wal_size_bytes{$scope})",
)

COLLECTORS_OK = Signal(
    title="Exporter collectors OK",
    unit=Unit.UP,
    job=JOB,
    description="1 if all of the exporter's collectors succeeded, 0 if one was denied or failed. Good: 1.",
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
        for_="1m",  # longer than a restart
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
        when=CONNECTIONS_4H_PREDICTION.above(1),
        and_conditions=(CONNECTIONS_USED.above(0.5),),  # below half, growth is just a busy morning
        summary="{{ $labels.instance }} will run out of connections within four hours",
        description=(
            "More than half of the connections are in use and the number keeps growing: a client may be leaking them."
        ),
    ),
    Alert(
        name="PostgresIdleInTransaction",
        severity=Severity.WARNING,
        for_="5m",
        when=IDLE_IN_TRANSACTION.above(600),  # no program needs ten minutes between two statements
        summary=(
            "{{ $labels.instance }}: a transaction in {{ $labels.datname }} has been idle for "
            "{{ $value | humanizeDuration }}"
        ),
        description="A client opened a transaction and does nothing: it keeps its locks, and vacuum cannot clean up.",
    ),
    Alert(
        name="PostgresDeadlocks",
        severity=Severity.WARNING,
        for_="5m",
        when=DEADLOCKS.above(10),  # programs retry a few; more means that two code paths lock in opposite orders
        summary='{{ $labels.instance }}: {{ $value | printf "%.0f" }} deadlocks in {{ $labels.datname }} in an hour',
        description="Transactions keep waiting for each other's rows, and PostgreSQL aborts them.",
    ),
    Alert(
        name="PostgresWalArchivingFailing",
        severity=Severity.WARNING,
        for_="15m",
        when=ARCHIVING_FAILURES.above(0),  # PostgreSQL retries every minute, so a lasting fault shows all the time
        summary='{{ $labels.instance }} cannot archive its WAL; failures in 15 minutes: {{ $value | printf "%.0f" }}',
        description=(
            "Point-in-time recovery no longer reaches the present, and WAL files pile up until the disk is full."
        ),
    ),
    Alert(
        name="PostgresExporterFailing",
        severity=Severity.WARNING,
        for_="10m",  # DatabaseDown fires first and inhibits it
        when=COLLECTORS_OK.below(1),
        summary="{{ $labels.instance }}: the exporter cannot collect all PostgreSQL metrics",
        description="PostgreSQL answers, but a collector fails: alerts about connections or archiving may not fire.",
    ),
)
