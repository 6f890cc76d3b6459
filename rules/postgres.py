"""PostgreSQL, as postgres_exporter sees it."""

from rules.model import CHECKLIST, Alert, ScrapeJob, Severity, Signal, Unit, reachable

JOB = ScrapeJob(name="postgres", subject="postgres", port=9187)

REACHABLE = reachable(JOB, "pg_up{$scope}")

# PostgreSQL keeps some connections back for superusers and, since 16, for the members of pg_use_reserved_connections.
CONNECTIONS_USED = Signal(
    title="Connections in use", unit=Unit.RATIO, job=JOB,
    description="Share of the connections that ordinary roles may open. Good: under 80 %.",
    expr="""
    sum by ($by) (pg_stat_database_numbackends{$scope})
    / on ($by) (max by ($by) (pg_settings_max_connections{$scope})
                - max by ($by) (pg_settings_superuser_reserved_connections{$scope})
                - (max by ($by) (pg_settings_reserved_connections{$scope})
                   or 0 * max by ($by) (pg_settings_max_connections{$scope})))""",
)  # fmt: skip

ALERTS = (
    Alert(
        name="DatabaseDown", group=CHECKLIST, severity=Severity.CRITICAL, for_="1m",  # not a restart's blink
        when=REACHABLE.below(1), or_absent=True,
        summary="{{ $labels.instance }}: PostgreSQL is unreachable",
        description="The exporter cannot log in to PostgreSQL, cannot be scraped, or is gone.",
    ),
    Alert(
        name="ConnectionPoolNearMax", group=CHECKLIST, severity=Severity.WARNING, for_="5m",
        when=CONNECTIONS_USED.above(0.80),  # 20 % left is what a rolling restart opens at once
        summary="{{ $labels.instance }} uses {{ $value | humanizePercentage }} of its connections",
        description="More than 80 % of the connections that ordinary roles may open are in use.",
    ),
)  # fmt: skip
