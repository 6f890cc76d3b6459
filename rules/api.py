"""The SoftFactory API: what its users meet, and what it sees of the servers behind it."""

from rules.model import CHECKLIST_GROUP, Alert, ScrapeJob, Severity, Signal, Unit, reachable
from rules.slo import SLO

TITLE = "API"
JOB = ScrapeJob(name="softfactory-api", service="api", port=8000)

REACHABLE = reachable(JOB)

REQUESTS = Signal(
    title="Requests",
    unit=Unit.PER_SECOND,
    job=JOB,
    description="Requests answered per second. Good: what this hour and weekday usually bring.",
    expr="sum by ($by) (rate(http_requests_total{$scope}[$window]))",
)

REQUESTS_BY_STATUS = Signal(
    title="Requests by status",
    unit=Unit.PER_SECOND,
    job=JOB,
    by=("instance", "status"),
    description="Requests answered per second, by HTTP status. Good: hardly anything but 2xx.",
    expr="sum by ($by) (rate(http_requests_total{$scope}[$window]))",
)

REQUESTS_BY_ENDPOINT = Signal(
    title="Requests by endpoint",
    unit=Unit.PER_SECOND,
    job=JOB,
    by=("instance", "endpoint"),
    description="Requests answered per second, by endpoint. Good: the usual mix; one that is gone may be out of reach.",
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
    title="Failed requests",
    unit=Unit.RATIO,
    job=JOB,
    empty_when_healthy=True,
    description="Share of the requests that were answered with 5xx. No value without traffic. Good: 0.",
    expr="""
    (sum by ($by) (rate(http_requests_total{$scope,status=~"5.."}[$window]))
      or 0 * sum by ($by) (rate(http_requests_total{$scope}[$window])))
    / (sum by ($by) (rate(http_requests_total{$scope}[$window])) > 0)""",
)

RESPONSE_TIME = Signal(
    title="Average response time",
    unit=Unit.SECONDS,
    job=JOB,
    description="Mean time from a request's arrival to its answer. No value without traffic. Good: under 0.5 s.",
    expr="""
    sum by ($by) (rate(http_request_duration_seconds_sum{$scope}[$window]))
    / (sum by ($by) (rate(http_request_duration_seconds_count{$scope}[$window])) > 0)""",
)

RESPONSE_TIME_P95 = Signal(
    title="Response time, 95th percentile",
    unit=Unit.SECONDS,
    job=JOB,
    description="95 of 100 requests were answered within this time. Good: under 1 s.",
    expr="""
    histogram_quantile(0.95, sum by ($by, le) (rate(http_request_duration_seconds_bucket{$scope}[$window])))
    and on ($by) sum by ($by) (rate(http_request_duration_seconds_count{$scope}[$window])) > 0""",
)

RESPONSE_TIMES = Signal(
    title="Response times",
    unit=Unit.SECONDS,
    job=JOB,
    by=("le",),
    description="How many requests took how long: the darker, the more. Good: one dark band, far below 0.5 s.",
    expr="sum by ($by) (increase(http_request_duration_seconds_bucket{$scope}[$window]))",
)

MEASURED_REQUESTS = Signal(
    title="Measured requests",
    unit=Unit.PER_SECOND,
    job=JOB,
    description="Requests per second whose time to the answer was measured.",
    expr="sum by ($by) (rate(http_request_duration_seconds_count{$scope}[$window]))",
)

# The bound must be that of a bucket: without one there would be no answer at all.
REQUESTS_OVER_500_MS = Signal(
    title="Requests over 500 ms",
    unit=Unit.PER_SECOND,
    job=JOB,
    description="Requests per second that took longer than 500 ms. Good: hardly any.",
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
    description="Queries per second that the API sent to PostgreSQL. Good: in step with the requests.",
    expr="sum by ($by) (rate(db_query_count{$scope}[$window]))",
)

QUERY_TIME = Signal(
    title="Average time of a database query",
    unit=Unit.MILLISECONDS,
    job=JOB,
    description="Mean time until PostgreSQL answered, as the API measured it. No value without queries. Good: level, "
    "a few milliseconds.",
    expr="""
    sum by ($by) (rate(db_query_duration_ms_sum{$scope}[$window]))
    / (sum by ($by) (rate(db_query_duration_ms_count{$scope}[$window])) > 0)""",
)

QUERY_ERRORS = Signal(
    title="Failed database queries",
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
    # The bucket's bound is in ms; Prometheus 3 stores it as 1000.0, older exposition as 1000. Extrapolation of 295 s to
    # 300 s makes 5.08 of five: the floor takes that back, for scrapes up to every 30 s.
    expr="""
    floor(sum by ($by) (increase(db_query_duration_ms_count{$scope}[$window]))
    - sum by ($by) (increase(db_query_duration_ms_bucket{$scope,le=~"1000(\\\\.0)?"}[$window])))""",
)

CACHE_HIT_RATIO = Signal(
    title="Cache hit ratio",
    unit=Unit.RATIO,
    job=JOB,
    description="Share of the look-ups that Redis answered. No value without look-ups. Good: over 70 %.",
    expr="""
    sum by ($by) (rate(cache_hits_total{$scope}[$window]))
    / (sum by ($by) (rate(cache_hits_total{$scope}[$window]))
       + sum by ($by) (rate(cache_misses_total{$scope}[$window])) > 0)""",
)

LOGINS = Signal(
    title="Logins",
    unit=Unit.OPERATIONS_PER_SECOND,
    job=JOB,
    description="Successful logins per second. Good: the usual; none at a busy hour is an outage.",
    expr="sum by ($by) (rate(auth_successful_logins{$scope}[$window]))",
)

EMAILS = Signal(
    title="E-mails sent",
    unit=Unit.OPERATIONS_PER_SECOND,
    job=JOB,
    description="E-mails per second that the mail server accepted. Good: in step with the sign-ups.",
    expr="sum by ($by) (rate(email_sent_total{$scope}[$window]))",
)

ACTIVE_USERS = Signal(
    title="Active users",
    unit=Unit.COUNT,
    job=JOB,
    description="Users seen in the last 15 minutes. Good: the usual for the hour.",
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
    title="Memory of the process",
    unit=Unit.BYTES,
    job=JOB,
    description="Resident memory of the API's process. Good: level, not rising from day to day.",
    expr="sum by ($by) (process_memory_mb{$scope}) * 1e6",
)

CPU = Signal(
    title="CPU of the process",
    unit=Unit.RATIO,
    job=JOB,
    description="Share of one core that the API's process uses. Good: in step with the requests, with room above.",
    expr="sum by ($by) (process_cpu_percent{$scope}) / 100",
)

UPTIME = Signal(
    title="Time since start",
    unit=Unit.SECONDS,
    job=JOB,
    description="Time since the API's process started. Good: it grows; a saw-tooth dies and comes back.",
    expr="min by ($by) (app_uptime_seconds{$scope})",
)

# What arrives is what is counted: an API that cannot be reached spends no budget, and ApiDown tells of it.
AVAILABILITY = SLO(
    name="api_availability",
    title="API availability",
    target=0.999,  # 43 minutes of failing altogether in 30 days
    requests=REQUESTS,
    errors=ERRORS,
    bad="answered with 5xx",
    fast_burn="ApiAvailabilityFastBurn",
    slow_burn="ApiAvailabilitySlowBurn",
)

# A failed request counts by its time as any other: that it failed is the other objective's.
LATENCY = SLO(
    name="api_latency",
    title="API latency",
    target=0.99,  # one slow page in a hundred is not remembered
    requests=MEASURED_REQUESTS,
    errors=REQUESTS_OVER_500_MS,
    bad="slower than 500 ms",
    fast_burn="ApiLatencyFastBurn",
    slow_burn="ApiLatencySlowBurn",
)

SLOS = (AVAILABILITY, LATENCY)

RESTARTS = Signal(
    title="Restarts in an hour",
    unit=Unit.COUNT,
    job=JOB,
    window="1h",
    panel_window="1h",
    empty_when_healthy=True,
    description="How often the API's process started anew in the last hour. Good: 0, or 1 after a deployment.",
    expr="sum by ($by) (resets(app_uptime_seconds{$scope}[$window]))",
)

ALERTS = (
    Alert(
        name="ApiDown",
        group=CHECKLIST_GROUP,
        severity=Severity.CRITICAL,
        for_="5m",  # the checklist's own hold time
        when=REACHABLE.below(1),
        fire_if_absent=True,
        summary="{{ $labels.instance }}: the API is unreachable",
        description="Prometheus could not read the API's /metrics for 5 minutes: users most likely get no answer.",
    ),
    Alert(
        name="HighErrorRate",
        group=CHECKLIST_GROUP,
        severity=Severity.CRITICAL,
        for_="2m",
        when=ERROR_RATIO.above(0.05),  # the checklist's bound; the window already smooths, two minutes skip a restart
        summary="{{ $labels.instance }}: {{ $value | humanizePercentage }} of the requests fail",
        description="More than 5 % of the requests of the last 5 minutes were answered with 5xx.",
    ),
    Alert(
        name="HighResponseTime",
        group=CHECKLIST_GROUP,
        severity=Severity.WARNING,
        for_="5m",
        when=RESPONSE_TIME.above(0.5),  # the checklist's bound, 500 ms
        summary="{{ $labels.instance }} answers in {{ $value | humanizeDuration }} on average",
        description="The average response time of the last 5 minutes is over 500 ms.",
    ),
    Alert(
        name="SlowQueries",
        group=CHECKLIST_GROUP,
        severity=Severity.WARNING,
        for_="1m",
        when=SLOW_QUERIES.above(5),  # the checklist's bound, in its window of 5 minutes
        summary="{{ $labels.instance }}: {{ $value | humanize }} database queries took longer than 1 s",
        description="More than 5 queries of the last 5 minutes took longer than a second, as the API measured them.",
    ),
    Alert(
        name="CacheHitRatioDegraded",
        group=CHECKLIST_GROUP,
        severity=Severity.WARNING,
        for_="5m",
        when=CACHE_HIT_RATIO.below(0.70),  # the checklist's bound
        summary="{{ $labels.instance }} finds {{ $value | humanizePercentage }} of its look-ups in the cache",
        description="Under 70 % of the look-ups of the last 5 minutes hit the cache: the database carries the rest.",
    ),
    Alert(
        name="ApiCrashLooping",
        severity=Severity.WARNING,
        for_="5m",
        when=RESTARTS.above(10),  # a process that dies at once, started again each minute, is there in 11 minutes
        summary='{{ $labels.instance }} started anew {{ $value | printf "%.0f" }} times in an hour',
        description="The API dies and is started again and again; users meet refused connections, which no 5xx counts.",
    ),
)
