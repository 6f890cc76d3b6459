"""Prometheus itself, and what only Prometheus knows about all targets."""

from typing import Final

from rules.model import Alert, ScrapeJob, Severity, Signal, Unit, reachable

TITLE = "Prometheus"
JOB = ScrapeJob(name="prometheus", service="prometheus", port=9090)
CONFIG_INFO: Final = "monitoring_config_info"  # the series whose label `revision` names the loaded configuration

REACHABLE = reachable(JOB)

ALIVE = Signal(
    title="Alive",
    unit=Unit.UP,
    job=JOB,
    by=(),
    description="1 while Prometheus evaluates its rules.",
    expr="vector(1)",
)

TARGET_UP = Signal(
    title="Targets scraped",
    unit=Unit.UP,
    job=JOB,
    by=("service", "job", "instance"),
    description="1 if the last scrape of a target succeeded, 0 if it failed, for all jobs. Good: 1.",
    expr="min by ($by) (up)",
)

RELOADED = Signal(
    title="Last config reload successful",
    unit=Unit.UP,
    job=JOB,
    description="1 if the last reload succeeded, 0 if the previous configuration is still in use. Good: 1.",
    expr="min by ($by) (prometheus_config_last_reload_successful{$scope})",
)

RULE_FAILURES = Signal(
    title="Failed rule evaluations in 5 minutes",
    unit=Unit.COUNT,
    job=JOB,
    by=("instance", "rule_group"),
    panel_window="5m",
    empty_when_healthy=True,
    description="Rule evaluations of the last 5 minutes that failed. Good: 0.",
    expr="sum by ($by) (increase(prometheus_rule_evaluation_failures_total{$scope}[$window]))",
)

DROPPED_NOTIFICATIONS = Signal(
    title="Dropped notifications in 5 minutes",
    unit=Unit.COUNT,
    job=JOB,
    panel_window="5m",
    empty_when_healthy=True,
    description="Notifications of the last 5 minutes that no Alertmanager accepted. Good: 0.",
    expr="sum by ($by) (increase(prometheus_notifications_dropped_total{$scope}[$window]))",
)

# It holds 10,000 (Prometheus' default) and drops what does not fit. All our alerts firing at once are a hundred.
NOTIFICATION_QUEUE = Signal(
    title="Notification queue in use",
    unit=Unit.RATIO,
    job=JOB,
    description="Percentage of the queue for Alertmanager that is in use. Good: about 0.",
    expr="""
    max by ($by) (prometheus_notifications_queue_length{$scope})
    / max by ($by) (prometheus_notifications_queue_capacity{$scope})""",
)

ALERTMANAGERS_DISCOVERED = Signal(
    title="Alertmanagers discovered",
    unit=Unit.UP,
    job=JOB,
    description="1 if Prometheus has an Alertmanager in its configuration. Good: 1.",
    expr="min by ($by) (prometheus_notifications_alertmanagers_discovered{$scope}) > bool 0",
)

STORAGE_FAILURES = Signal(
    title="TSDB failures in an hour",
    unit=Unit.COUNT,
    job=JOB,
    window="1h",
    panel_window="1h",
    empty_when_healthy=True,
    description="Failed WAL writes, compactions and head truncations, and corruptions found. Good: 0.",
    expr="""
    sum by ($by) (increase(prometheus_tsdb_wal_writes_failed_total{$scope}[$window]))
    + sum by ($by) (increase(prometheus_tsdb_wal_corruptions_total{$scope}[$window]))
    + sum by ($by) (increase(prometheus_tsdb_compactions_failed_total{$scope}[$window]))
    + sum by ($by) (increase(prometheus_tsdb_head_truncations_failed_total{$scope}[$window]))""",
)

FIRING = Signal(
    title="Firing alerts",
    unit=Unit.COUNT,
    job=JOB,
    by=("severity", "alertname", "service", "instance"),
    empty_when_healthy=True,
    description="The alerts that fire now, except the Watchdog. Good: none. A name links to its service's dashboard.",
    expr='max by ($by) (ALERTS{alertstate="firing",severity!="none"})',
)

SERIES = Signal(
    title="Series",
    unit=Unit.COUNT,
    job=JOB,
    description="Series that Prometheus holds in memory. Good: steady; each costs a few kilobytes.",
    expr="sum by ($by) (prometheus_tsdb_head_series{$scope})",
)

SERIES_BY_JOB = Signal(
    title="Series by job",
    unit=Unit.COUNT,
    job=JOB,
    by=("job",),
    description=(
        "Samples per scrape, summed over the targets of a job: what each job costs. Good: steady; a job that grows "
        "with the number of users has a label too many."
    ),
    expr="sum by ($by) (scrape_samples_post_metric_relabeling)",
)

NEW_SERIES_BY_JOB = Signal(
    title="New series by job",
    unit=Unit.COUNT,
    job=JOB,
    by=("job",),
    window="1h",
    panel_window="1h",
    description="Series that were new in the scrapes of the last hour. Good: only those of processes that started.",
    expr="sum by ($by) (sum_over_time(scrape_series_added[$window]))",
)

SAMPLES = Signal(
    title="Samples",
    unit=Unit.OPERATIONS_PER_SECOND,
    job=JOB,
    description="Samples per second that Prometheus stores. Good: series divided by the scrape interval.",
    expr="sum by ($by) (rate(prometheus_tsdb_head_samples_appended_total{$scope}[$window]))",
)

SCRAPE_TIME = Signal(
    title="Scrape duration",
    unit=Unit.SECONDS,
    job=JOB,
    by=("job", "instance"),
    description="How long the scrape of a target takes. Good: far under the scrape interval.",
    expr="max by ($by) (scrape_duration_seconds)",
)

DISK = Signal(
    title="Disk in use",
    unit=Unit.BYTES,
    job=JOB,
    description=(
        "Disk space that samples use: blocks, write-ahead log and the chunks that are not in a block yet. "
        "Good: steady once the retention is reached."
    ),
    expr="""
    sum by ($by) (prometheus_tsdb_storage_blocks_bytes{$scope})
    + sum by ($by) (prometheus_tsdb_wal_storage_size_bytes{$scope})
    + sum by ($by) (prometheus_tsdb_head_chunks_storage_size_bytes{$scope})""",
)

OLDEST_SAMPLE = Signal(
    title="Age of the oldest sample",
    unit=Unit.SECONDS,
    job=JOB,
    description="How far back queries can look. Good: the retention, once Prometheus has run for that long.",
    expr="time() - min by ($by) (prometheus_tsdb_lowest_timestamp_seconds{$scope})",
)

MEMORY = Signal(
    title="Process memory",
    unit=Unit.BYTES,
    job=JOB,
    description="Resident memory of Prometheus. Good: steady, follows the number of series.",
    expr="sum by ($by) (process_resident_memory_bytes{$scope})",
)

CPU = Signal(
    title="Process CPU",
    unit=Unit.RATIO,
    job=JOB,
    description="Percentage of one core that Prometheus uses. Good: steady; peaks come from users' queries.",
    expr="sum by ($by) (rate(process_cpu_seconds_total{$scope}[$window]))",
)

QUERY_TIME = Signal(
    title="Query duration p90",
    unit=Unit.SECONDS,
    job=JOB,
    by=("instance", "slice"),
    description=(
        "90 % of queries, from rules and users alike, finish each of their phases within this time. Good: under 0.1 s."
    ),
    expr='max by ($by) (prometheus_engine_query_duration_seconds{$scope,quantile="0.9"}) >= 0',  # NaN without queries
)

REQUESTS = Signal(
    title="API requests",
    unit=Unit.PER_SECOND,
    job=JOB,
    by=("instance", "code"),
    description="Requests per second from Grafana, health checks and users, by HTTP status. Good: almost only 200.",
    expr="sum by ($by) (rate(prometheus_http_requests_total{$scope}[$window])) > 0",
)

RULES = Signal(
    title="Rules",
    unit=Unit.COUNT,
    job=JOB,
    description="Alerting and recording rules that are loaded. Good: as many as are defined.",
    expr="sum by ($by) (prometheus_rule_group_rules{$scope})",
)

RULE_TIME = Signal(
    title="Rule evaluation duration",
    unit=Unit.SECONDS,
    job=JOB,
    by=("instance", "rule_group"),
    description=(
        "How long a group's last evaluation took. Good: far under its interval; otherwise evaluations are missed."
    ),
    expr="max by ($by) (prometheus_rule_group_last_duration_seconds{$scope})",
)

EVALUATIONS = Signal(
    title="Rule evaluations",
    unit=Unit.OPERATIONS_PER_SECOND,
    job=JOB,
    by=("instance", "rule_group"),
    description="Rules evaluated per second. Good: rules divided by their interval, steady.",
    expr="sum by ($by) (rate(prometheus_rule_evaluations_total{$scope}[$window])) > 0",
)

ALERTS_SENT = Signal(
    title="Alerts sent to Alertmanager",
    unit=Unit.COUNT,
    job=JOB,
    window="15m",
    panel_window="15m",
    description=(
        "Alerts that Prometheus sent in the last 15 minutes; it resends each while it fires. Good: only the Watchdog."
    ),
    expr="sum by ($by) (increase(prometheus_notifications_sent_total{$scope}[$window]))",
)

ALERTS = (
    Alert(
        name="Watchdog",
        severity=Severity.NONE,
        for_="1m",
        when=ALIVE.above(0),
        summary="Prometheus evaluates its rules, and Alertmanager delivers notifications",
        description="Always fires. If it does not arrive for 15 minutes, the dead man's switch must page on-call.",
        undrawn="always fires",
    ),
    Alert(
        name="TargetDown",
        severity=Severity.WARNING,
        for_="10m",  # the services' own Down alerts fire first and inhibit it
        when=TARGET_UP.below(1),
        summary="{{ $labels.instance }} of job {{ $labels.job }} cannot be scraped",
        description="Prometheus gets no metrics from the target, so problems there go unnoticed.",
        undrawn="of any job, so it leads to the overview, which draws what is down; prometheus has a line per target",
    ),
    Alert(
        name="PrometheusNotIngestingSamples",
        severity=Severity.CRITICAL,
        for_="5m",
        when=REACHABLE.below(1),
        fire_if_absent=True,
        summary="{{ $labels.instance }}: Prometheus is not ingesting samples",
        description="No samples are stored, not even Prometheus' own. Only the *Down alerts still work.",
    ),
    Alert(
        name="PrometheusBadConfig",
        severity=Severity.WARNING,
        for_="5m",
        when=RELOADED.below(1),
        summary="{{ $labels.instance }}: Prometheus rejected its configuration",
        description=(
            "The last reload failed: Prometheus keeps the previous rules and targets, and a restart would fail."
        ),
    ),
    Alert(
        name="PrometheusRuleFailures",
        severity=Severity.WARNING,
        for_="5m",
        when=RULE_FAILURES.above(0),
        summary=(
            "{{ $labels.instance }}: evaluations of {{ $labels.rule_group }} failed in 5 minutes: "
            '{{ $value | printf "%.0f" }}'
        ),
        description="Prometheus cannot evaluate rules of this group: their alerts cannot fire.",
    ),
    Alert(
        name="PrometheusNotificationsDropped",
        severity=Severity.WARNING,
        for_="10m",  # longer than a restart
        when=DROPPED_NOTIFICATIONS.above(0),
        summary='{{ $labels.instance }}: notifications dropped in 5 minutes: {{ $value | printf "%.0f" }}',
        description="Alertmanager does not accept what Prometheus sends: alerts fire, but nobody is notified.",
    ),
    Alert(
        name="PrometheusNotificationQueueRunningFull",
        severity=Severity.WARNING,
        for_="5m",
        when=NOTIFICATION_QUEUE.above(0.1),  # a thousand wait: ten times what all our alerts firing at once would send
        summary="{{ $labels.instance }}: the notification queue is {{ $value | humanizePercentage }} full",
        description=(
            "Alertmanager accepts notifications too slowly: they arrive late, and once the queue is full they are"
            " dropped."
        ),
        undrawn="0 unless Alertmanager hangs while alert after alert comes; what is dropped in the end is drawn",
    ),
    Alert(
        name="PrometheusNotConnectedToAlertmanagers",
        severity=Severity.WARNING,
        for_="5m",
        when=ALERTMANAGERS_DISCOVERED.below(1),
        summary="{{ $labels.instance }}: Prometheus is not connected to any Alertmanager",
        description=(
            "Its configuration names none: alerts fire, but nobody is notified. The Watchdog stops arriving too."
        ),
    ),
    Alert(
        name="PrometheusTSDBFailures",
        severity=Severity.WARNING,
        for_="5m",
        when=STORAGE_FAILURES.above(0),
        summary='{{ $labels.instance }}: TSDB failures in an hour: {{ $value | printf "%.0f" }}',
        description="Prometheus cannot write or compact its files, or found them corrupt: samples may be lost.",
    ),
)
