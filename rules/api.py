"""The SoftFactory API: what its users experience, and what it measures of the services that it depends on."""

from rules.model import CHECKLIST_GROUP, Alert, ScrapeJob, Severity, Signal, Unit, reachable
from rules.slo import SLO

TITLE = "API"
JOB = ScrapeJob(name="softfactory-api", service="api", port=8000)

REACHABLE = reachable(JOB)

REQUESTS = Signal(
    title="Requests",
    unit=Unit.PER_SECOND,
    job=JOB,
    description="Requests answered per second. Good: what is usual at this hour and weekday.",
    expr="sum by ($by) (rate(http_requests_total{$scope}[$window]))",
)

REQUESTS_BY_STATUS = Signal(
    title="Requests by status",
    unit=Unit.PER_SECOND,
    job=JOB,
    by=("instance", "status"),
    description="Requests answered per second, by HTTP status. Good: almost only 2xx.",
    expr="sum by ($by) (rate(http_requests_total{$scope}[$window]))",
)

REQUESTS_BY_ENDPOINT = Signal(
    title="Requests by endpoint",
    unit=Unit.PER_SECOND,
    job=JOB,
    by=("instance", "endpoint"),
    description=(
        "Requests answered per second, by endpoint. Good: the usual mix; one that disappears may be unreachable."
    ),
    expr="sum by ($by) (rate(http_requests_total{$scope}[$window]))",
)

ERRORS = Signal(
    title="Failed requests",
    unit=Unit.PER_SECOND,
    job=JOB,
    description="Requests per second that were answered with 5xx. Good: 0.",
    expr="""
    sum by ($by) (rate(http_requests_total{$scope,status=~"5.."}[$window]))
    or 0 * sum by ($by) (rate(http_requests_total{$scope}[$window]))""",
)

ERROR_RATIO = Signal(
    title="Error rate",
    unit=Unit.RATIO,
    job=JOB,
    empty_when_healthy=True,
    description="Percentage of requests that were answered with 5xx. No value without traffic. Good: 0.",
    expr="""
    (sum by ($by) (rate(http_requests_total{$scope,status=~"5.."}[$window]))
      or 0 * sum by ($by) (rate(http_requests_total{$scope}[$window])))
    / (sum by ($by) (rate(http_requests_total{$scope}[$window])) > 0)""",
)

RESPONSE_TIME = Signal(
    title="Latency (mean)",
    unit=Unit.SECONDS,
    job=JOB,
    description="Mean time from a request's arrival to its answer. No value without traffic. Good: under 0.5 s.",
    expr="""
    sum by ($by) (rate(http_request_duration_seconds_sum{$scope}[$window]))
    / (sum by ($by) (rate(http_request_duration_seconds_count{$scope}[$window])) > 0)""",
)

RESPONSE_TIME_P95 = Signal(
    title="Latency p95",
    unit=Unit.SECONDS,
    job=JOB,
    description="95 % of requests were answered within this time. Good: under 1 s.",
    expr="""
    histogram_quantile(0.95, sum by ($by, le) (rate(http_request_duration_seconds_bucket{$scope}[$window])))
    and on ($by) sum by ($by) (rate(http_request_duration_seconds_count{$scope}[$window])) > 0""",
)

RESPONSE_TIMES = Signal(
    title="Latency distribution",
    unit=Unit.SECONDS,
    job=JOB,
    by=("le",),
    description="Number of requests by latency: darker means more. Good: one dark band, far below 0.5 s.",
    expr="sum by ($by) (increase(http_request_duration_seconds_bucket{$scope}[$window]))",
)

MEASURED_REQUESTS = Signal(
    title="Measured requests",
    unit=Unit.PER_SECOND,
    job=JOB,
    description="Requests per second whose latency was measured.",
    expr="sum by ($by) (rate(http_request_duration_seconds_count{$scope}[$window]))",
)

# The bound must be one of the histogram's buckets, or the query returns nothing.
REQUESTS_OVER_500_MS = Signal(
    title="Requests over 500 ms",
    unit=Unit.PER_SECOND,
    job=JOB,
    description="Requests per second that took longer than 500 ms. Good: almost none.",
    expr="""
    sum by ($by) (rate(http_request_duration_seconds_count{$scope}[$window]))
    - sum by ($by) (rate(http_request_duration_seconds_bucket{$scope,le="0.5"}[$window]))""",
)

SLOW_REQUESTS = Signal(
    title="Slow requests",
    unit=Unit.PER_SECOND,
    job=JOB,
    empty_when_healthy=True,
    description="Requests per second that took longer than 1 s. Good: 0.",
    expr="sum by ($by) (rate(http_slow_requests_total{$scope}[$window]))",
)

QUERIES = Signal(
    title="Database queries",
    unit=Unit.OPERATIONS_PER_SECOND,
    job=JOB,
    description="Queries per second that the API sent to PostgreSQL. Good: follows the requests.",
    expr="sum by ($by) (rate(db_query_count{$scope}[$window]))",
)

QUERY_TIME = Signal(
    title="Database query latency (mean)",
    unit=Unit.MILLISECONDS,
    job=JOB,
    description=(
        "Mean time until PostgreSQL answered, as the API measured it. No value without queries. Good: steady, "
        "a few milliseconds."
    ),
    expr="""
    sum by ($by) (rate(db_query_duration_ms_sum{$scope}[$window]))
    / (sum by ($by) (rate(db_query_duration_ms_count{$scope}[$window])) > 0)""",
)

QUERY_ERRORS = Signal(
    title="Database query errors",
    unit=Unit.OPERATIONS_PER_SECOND,
    job=JOB,
    empty_when_healthy=True,
    description="Queries per second that failed. Good: 0.",
    expr="sum by ($by) (rate(db_query_errors{$scope}[$window]))",
)

SLOW_QUERIES = Signal(
    title="Slow database queries in 5 minutes",
    unit=Unit.COUNT,
    job=JOB,
    panel_window="5m",
    empty_when_healthy=True,
    description="Queries of the last 5 minutes that took longer than 1 s. Good: 0.",
    # The bucket's bound is in ms; Prometheus 3 stores it as 1000.0, older versions as 1000. Extrapolating 295 s to
    # 300 s turns five into 5.08: floor() undoes that, for scrape intervals up to 30 s.
    expr="""
    floor(sum by ($by) (increase(db_query_duration_ms_count{$scope}[$window]))
    - sum by ($by) (increase(db_query_duration_ms_bucket{$scope,le=~"1000(\\\\.0)?"}[$window])))""",
)

CACHE_HIT_RATIO = Signal(
    title="Cache hit ratio",
    unit=Unit.RATIO,
    job=JOB,
    description="Percentage of lookups that Redis answered. No value without lookups. Good: over 70 %.",
    expr="""
    sum by ($by) (rate(cache_hits_total{$scope}[$window]))
    / (sum by ($by) (rate(cache_hits_total{$scope}[$window]))
       + sum by ($by) (rate(cache_misses_total{$scope}[$window])) > 0)""",
)

LOGINS = Signal(
    title="Logins",
    unit=Unit.OPERATIONS_PER_SECOND,
    job=JOB,
    description="Successful logins per second. Good: what is usual; none at a busy hour is an outage.",
    expr="sum by ($by) (rate(auth_successful_logins{$scope}[$window]))",
)

EMAILS = Signal(
    title="E-mails sent",
    unit=Unit.OPERATIONS_PER_SECOND,
    job=JOB,
    description="E-mails per second that the mail server accepted. Good: follows the sign-ups.",
    expr="sum by ($by) (rate(email_sent_total{$scope}[$window]))",
)

ACTIVE_USERS = Signal(
    title="Active users",
    unit=Unit.COUNT,
    job=JOB,
    description="Users seen in the last 15 minutes. Good: what is usual at this hour.",
    expr="sum by ($by) (active_users_gauge{$scope})",
)

SCHEDULED_JOBS = Signal(
    title="Scheduled jobs",
    unit=Unit.COUNT,
    job=JOB,
    description="Jobs that the API's scheduler holds. Good: as many as the application registers.",
    expr="sum by ($by) (scheduled_jobs_gauge{$scope})",
)

MEMORY = Signal(
    title="Process memory",
    unit=Unit.BYTES,
    job=JOB,
    description="Resident memory of the API's process. Good: steady, not rising from day to day.",
    expr="sum by ($by) (process_memory_mb{$scope}) * 1e6",
)

CPU = Signal(
    title="Process CPU",
    unit=Unit.RATIO,
    job=JOB,
    description="Percentage of one core that the API's process uses. Good: follows the requests, with headroom.",
    expr="sum by ($by) (process_cpu_percent{$scope}) / 100",
)

UPTIME = Signal(
    title="Uptime",
    unit=Unit.SECONDS,
    job=JOB,
    description=(
        "Time since the API's process started. Good: it grows; a sawtooth means that the process keeps restarting."
    ),
    expr="min by ($by) (app_uptime_seconds{$scope})",
)

# Only requests that arrive are counted: an unreachable API spends no budget, and ApiDown fires instead.
AVAILABILITY = SLO(
    name="api_availability",
    title="API availability",
    target=0.999,  # 43 minutes of total outage in 30 days
    total=REQUESTS,
    errors=ERRORS,
    error_description="answered with 5xx",
    page_alert="ApiAvailabilityFastBurn",
    ticket_alert="ApiAvailabilitySlowBurn",
)

# A failed request counts by its latency like any other: that it failed is the other SLO's concern.
LATENCY = SLO(
    name="api_latency",
    title="API latency",
    target=0.99,  # users do not remember one slow page in a hundred
    total=MEASURED_REQUESTS,
    errors=REQUESTS_OVER_500_MS,
    error_description="slower than 500 ms",
    page_alert="ApiLatencyFastBurn",
    ticket_alert="ApiLatencySlowBurn",
)

SLOS = (AVAILABILITY, LATENCY)

RESTARTS = Signal(
    title="Restarts in an hour",
    unit=Unit.COUNT,
    job=JOB,
    window="1h",
    panel_window="1h",
    empty_when_healthy=True,
    description="How often the API's process restarted in the last hour. Good: 0, or 1 after a deployment.",
    expr="sum by ($by) (resets(app_uptime_seconds{$scope}[$window]))",
)

ALERTS = (
    Alert(
        name="ApiDown",
        group=CHECKLIST_GROUP,
        severity=Severity.CRITICAL,
        for_="5m",  # the checklist's own `for` duration
        when=REACHABLE.below(1),
        fire_if_absent=True,
        summary="{{ $labels.instance }}: the API is unreachable",
        description="Prometheus could not scrape the API for 5 minutes: users most likely get no answer.",
    ),
    Alert(
        name="HighErrorRate",
        group=CHECKLIST_GROUP,
        severity=Severity.CRITICAL,
        for_="2m",
        when=ERROR_RATIO.above(0.05),  # the checklist's threshold; the window smooths, two minutes skip a restart
        summary="{{ $labels.instance }}: {{ $value | humanizePercentage }} of requests fail",
        description="More than 5 % of the requests of the last 5 minutes were answered with 5xx.",
    ),
    Alert(
        name="HighResponseTime",
        group=CHECKLIST_GROUP,
        severity=Severity.WARNING,
        for_="5m",
        when=RESPONSE_TIME.above(0.5),  # the checklist's threshold, 500 ms
        summary="{{ $labels.instance }} answers in {{ $value | humanizeDuration }} on average",
        description="The average response time of the last 5 minutes is over 500 ms.",
    ),
    Alert(
        name="SlowQueries",
        group=CHECKLIST_GROUP,
        severity=Severity.WARNING,
        for_="1m",
        when=SLOW_QUERIES.above(5),  # the checklist's threshold, in its window of 5 minutes
        summary="{{ $labels.instance }}: {{ $value | humanize }} database queries took longer than 1 s",
        description="More than 5 queries of the last 5 minutes took longer than a second, as the API measured them.",
    ),
    Alert(
        name="CacheHitRatioDegraded",
        group=CHECKLIST_GROUP,
        severity=Severity.WARNING,
        for_="5m",
        when=CACHE_HIT_RATIO.below(0.70),  # the checklist's threshold
        summary="{{ $labels.instance }}: cache hit ratio is {{ $value | humanizePercentage }}",
        description="Under 70 % of the lookups of the last 5 minutes hit the cache: the database serves the rest.",
    ),
    Alert(
        name="ApiCrashLooping",
        severity=Severity.WARNING,
        for_="5m",
        when=RESTARTS.above(10),  # a process that dies at startup, restarted every minute, gets there in 11 minutes
        summary='{{ $labels.instance }} restarted {{ $value | printf "%.0f" }} times in an hour',
        description="The API keeps dying and restarting; users get refused connections, which do not count as 5xx.",
    ),
)
