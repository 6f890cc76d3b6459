"""Prometheus itself, and what it alone can tell of all targets."""

from typing import Final

from rules.model import Alert, ScrapeJob, Severity, Signal, Unit, reachable

JOB = ScrapeJob(name="prometheus", service="prometheus", port=9090)
RELEASE_INFO: Final = "monitoring_release_info"  # the series whose label `release` names the configuration that is live

REACHABLE = reachable(JOB)

ALIVE = Signal(
    title="Alive",
    unit=Unit.UP,
    job=JOB,
    by=(),
    description="1 as long as Prometheus evaluates its rules.",
    expr="vector(1)",
)

SCRAPED = Signal(
    title="Targets scraped",
    unit=Unit.UP,
    job=JOB,
    by=("service", "job", "instance"),
    description="1 where the last scrape of a target gave an answer, 0 where it did not; of all jobs. Good: 1.",
    expr="min by ($by) (up)",
)

RELOADED = Signal(
    title="Configuration loaded",
    unit=Unit.UP,
    job=JOB,
    description="1 where the last reload took the configuration, 0 where an older one is still in use. Good: 1.",
    expr="min by ($by) (prometheus_config_last_reload_successful{$scope})",
)

RULE_FAILURES = Signal(
    title="Failed rule evaluations in 5 minutes",
    unit=Unit.COUNT,
    job=JOB,
    by=("instance", "rule_group"),
    panel_window="5m",
    empty_when_healthy=True,
    description="Evaluations of the last 5 minutes that broke off. Good: 0.",
    expr="sum by ($by) (increase(prometheus_rule_evaluation_failures_total{$scope}[$window]))",
)

DROPPED_NOTIFICATIONS = Signal(
    title="Dropped notifications in 5 minutes",
    unit=Unit.COUNT,
    job=JOB,
    panel_window="5m",
    empty_when_healthy=True,
    description="Notifications of the last 5 minutes that no Alertmanager took. Good: 0.",
    expr="sum by ($by) (increase(prometheus_notifications_dropped_total{$scope}[$window]))",
)

# It holds 10,000 (Prometheus' default); what does not fit is dropped. All our alerts at once are a hundred.
NOTIFICATION_QUEUE = Signal(
    title="Notification queue in use",
    unit=Unit.RATIO,
    job=JOB,
    description="Share of the queue for Alertmanager that waits to be sent. Good: about 0.",
    expr="""
    max by ($by) (prometheus_notifications_queue_length{$scope})
    / max by ($by) (prometheus_notifications_queue_capacity{$scope})""",
)

ALERTMANAGER_KNOWN = Signal(
    title="Alertmanager known",
    unit=Unit.UP,
    job=JOB,
    description="1 where Prometheus has an Alertmanager in its configuration. Good: 1.",
    expr="min by ($by) (prometheus_notifications_alertmanagers_discovered{$scope}) > bool 0",
)

STORAGE_FAILURES = Signal(
    title="Failures of the storage in an hour",
    unit=Unit.COUNT,
    job=JOB,
    window="1h",
    panel_window="1h",
    empty_when_healthy=True,
    description="Writes, compactions and truncations of the samples' files that failed, and damage found. Good: 0.",
    expr="""
    sum by ($by) (increase(prometheus_tsdb_wal_writes_failed_total{$scope}[$window]))
    + sum by ($by) (increase(prometheus_tsdb_wal_corruptions_total{$scope}[$window]))
    + sum by ($by) (increase(prometheus_tsdb_compactions_failed_total{$scope}[$window]))
    + sum by ($by) (increase(prometheus_tsdb_head_truncations_failed_total{$scope}[$window]))""",
)

FIRING = Signal(
    title="What fires",
    unit=Unit.COUNT,
    job=JOB,
    by=("severity", "alertname", "service", "instance"),
    empty_when_healthy=True,
    description="The alerts that fire now, the Watchdog apart. Good: none. A name leads to the page of its service.",
    expr='max by ($by) (ALERTS{alertstate="firing",severity!="none"})',
)

SERIES = Signal(
    title="Series",
    unit=Unit.COUNT,
    job=JOB,
    description="Series that Prometheus holds in memory. Good: level; each costs some kilobytes.",
    expr="sum by ($by) (prometheus_tsdb_head_series{$scope})",
)

SERIES_BY_JOB = Signal(
    title="Series by job",
    unit=Unit.COUNT,
    job=JOB,
    by=("job",),
    description="Samples of a scrape, added up over the targets of a job: what each job costs. Good: level; what grows "
    "with the users has a label too many.",
    expr="sum by ($by) (scrape_samples_post_metric_relabeling)",
)

NEW_SERIES_BY_JOB = Signal(
    title="New series by job",
    unit=Unit.COUNT,
    job=JOB,
    by=("job",),
    window="1h",
    panel_window="1h",
    description="Series that were new in the scrapes of the last hour. Good: as many as started processes bring.",
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
    title="Time of a scrape",
    unit=Unit.SECONDS,
    job=JOB,
    by=("job", "instance"),
    description="How long a target takes to tell its metrics. Good: far under the scrape interval.",
    expr="max by ($by) (scrape_duration_seconds)",
)

DISK = Signal(
    title="Disk in use",
    unit=Unit.BYTES,
    job=JOB,
    description="What samples take on the disk: blocks, write-ahead log and the chunks that are not in a block yet. "
    "Good: level once the retention is reached.",
    expr="""
    sum by ($by) (prometheus_tsdb_storage_blocks_bytes{$scope})
    + sum by ($by) (prometheus_tsdb_wal_storage_size_bytes{$scope})
    + sum by ($by) (prometheus_tsdb_head_chunks_storage_size_bytes{$scope})""",
)

OLDEST_SAMPLE = Signal(
    title="Age of the oldest sample",
    unit=Unit.SECONDS,
    job=JOB,
    description="How far back graphs can look. Good: the retention, once Prometheus has run for so long.",
    expr="time() - min by ($by) (prometheus_tsdb_lowest_timestamp_seconds{$scope})",
)

MEMORY = Signal(
    title="Memory of the process",
    unit=Unit.BYTES,
    job=JOB,
    description="Resident memory of Prometheus. Good: level, in step with the series.",
    expr="sum by ($by) (process_resident_memory_bytes{$scope})",
)

CPU = Signal(
    title="CPU of the process",
    unit=Unit.RATIO,
    job=JOB,
    description="Share of one core that Prometheus uses. Good: level; peaks come from somebody's queries.",
    expr="sum by ($by) (rate(process_cpu_seconds_total{$scope}[$window]))",
)

QUERY_TIME = Signal(
    title="Time of a query, 90th percentile",
    unit=Unit.SECONDS,
    job=JOB,
    by=("instance", "slice"),
    description="What 90 of 100 queries, those of rules and people alike, stay under in each of their steps. Good: "
    "under 0.1 s.",
    expr='max by ($by) (prometheus_engine_query_duration_seconds{$scope,quantile="0.9"}) >= 0',  # NaN without queries
)

REQUESTS = Signal(
    title="API requests",
    unit=Unit.PER_SECOND,
    job=JOB,
    by=("instance", "code"),
    description="Requests per second from Grafana, health checks and people, by HTTP status. Good: hardly any but 200.",
    expr="sum by ($by) (rate(prometheus_http_requests_total{$scope}[$window])) > 0",
)

RULES = Signal(
    title="Rules",
    unit=Unit.COUNT,
    job=JOB,
    description="Alert and recording rules that are loaded. Good: as many as were declared.",
    expr="sum by ($by) (prometheus_rule_group_rules{$scope})",
)

RULE_TIME = Signal(
    title="Time of a rule group",
    unit=Unit.SECONDS,
    job=JOB,
    by=("instance", "rule_group"),
    description="How long a group's last evaluation took. Good: far under its interval, or evaluations are missed.",
    expr="max by ($by) (prometheus_rule_group_last_duration_seconds{$scope})",
)

EVALUATIONS = Signal(
    title="Rule evaluations",
    unit=Unit.OPERATIONS_PER_SECOND,
    job=JOB,
    by=("instance", "rule_group"),
    description="Rules per second that were evaluated. Good: rules divided by their interval, level.",
    expr="sum by ($by) (rate(prometheus_rule_evaluations_total{$scope}[$window])) > 0",
)

ALERTS_SENT = Signal(
    title="Alerts sent to Alertmanager",
    unit=Unit.COUNT,
    job=JOB,
    window="15m",
    panel_window="15m",
    description="Alerts of the last 15 minutes that Prometheus sent, again and again while they fire. Good: those "
    "of the Watchdog alone.",
    expr="sum by ($by) (increase(prometheus_notifications_sent_total{$scope}[$window]))",
)

ALERTS = (
    Alert(
        name="Watchdog",
        severity=Severity.NONE,
        for_="1m",
        when=ALIVE.above(0),
        summary="Prometheus evaluates its rules, and Alertmanager tells of it",
        description="Always fires. Whoever receives it must call a person when it stays away for a quarter of an hour.",
        undrawn="always fires",
    ),
    Alert(
        name="TargetDown",
        severity=Severity.WARNING,
        for_="10m",  # the outages' own alerts come first and hold it
        when=SCRAPED.below(1),
        summary="{{ $labels.instance }} of job {{ $labels.job }} cannot be scraped",
        description="Prometheus gets no figures from the target: what they would show is not seen.",
        undrawn="of any job, so it leads to the overview, which draws what is down; prometheus has a line per target",
    ),
    Alert(
        name="PrometheusNotIngestingSamples",
        severity=Severity.CRITICAL,
        for_="5m",
        when=REACHABLE.below(1),
        fire_if_absent=True,
        summary="{{ $labels.instance }}: Prometheus stores no samples",
        description="Prometheus has no samples even of itself: all alerts but the outages' are blind.",
    ),
    Alert(
        name="PrometheusBadConfig",
        severity=Severity.WARNING,
        for_="5m",
        when=RELOADED.below(1),
        summary="{{ $labels.instance }}: Prometheus did not take its configuration",
        description="The last reload failed: rules and targets are those from before, and a restart would fail.",
    ),
    Alert(
        name="PrometheusRuleFailures",
        severity=Severity.WARNING,
        for_="5m",
        when=RULE_FAILURES.above(0),
        summary="{{ $labels.instance }}: evaluations of {{ $labels.rule_group }} failed in 5 minutes: "
        '{{ $value | printf "%.0f" }}',
        description="Rules of the group cannot be evaluated: their alerts cannot fire.",
    ),
    Alert(
        name="PrometheusNotificationsDropped",
        severity=Severity.WARNING,
        for_="10m",  # longer than a restart
        when=DROPPED_NOTIFICATIONS.above(0),
        summary='{{ $labels.instance }}: notifications dropped in 5 minutes: {{ $value | printf "%.0f" }}',
        description="Alertmanager does not take what Prometheus sends: alerts fire, and nobody is told.",
    ),
    Alert(
        name="PrometheusNotificationQueueRunningFull",
        severity=Severity.WARNING,
        for_="5m",
        when=NOTIFICATION_QUEUE.above(0.1),  # a thousand wait: Alertmanager is ten times slower than all of ours come
        summary="{{ $labels.instance }} holds {{ $value | humanizePercentage }} of what the queue for Alertmanager can",
        description="Alertmanager takes them slower than they come: people are told late, and then not at all.",
        undrawn="0 unless Alertmanager hangs while alert after alert comes; what is dropped in the end is drawn",
    ),
    Alert(
        name="PrometheusNotConnectedToAlertmanagers",
        severity=Severity.WARNING,
        for_="5m",
        when=ALERTMANAGER_KNOWN.below(1),
        summary="{{ $labels.instance }}: Prometheus knows no Alertmanager",
        description="Its configuration names none: alerts fire, and nobody is told. The Watchdog stays away, too.",
    ),
    Alert(
        name="PrometheusTSDBFailures",
        severity=Severity.WARNING,
        for_="5m",
        when=STORAGE_FAILURES.above(0),
        summary='{{ $labels.instance }}: failures of the storage in an hour: {{ $value | printf "%.0f" }}',
        description="Prometheus cannot write or compact its files, or found them damaged: samples may be lost.",
    ),
)
