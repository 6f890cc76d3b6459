"""Alertmanager itself."""

from rules.model import Alert, ScrapeJob, Severity, Signal, Unit, reachable

JOB = ScrapeJob(name="alertmanager", service="alertmanager", port=9093)

REACHABLE = reachable(JOB)

RELOADED = Signal(
    title="Configuration loaded",
    unit=Unit.UP,
    job=JOB,
    description="1 where the last reload took the configuration, 0 where an older one is still in use. Good: 1.",
    expr="min by ($by) (alertmanager_config_last_reload_successful{$scope})",
)

# The Watchdog's five minutes leave two or three notifications in the window, even where nothing else is told.
FAILED_NOTIFICATIONS = Signal(
    title="Failed notifications",
    unit=Unit.RATIO,
    job=JOB,
    by=("instance", "integration", "receiver_name"),
    window="15m",
    panel_window="15m",
    empty_when_healthy=True,
    description="Share of the notifications that did not reach their receiver. No value without any. Good: 0.",
    expr="""
    sum by ($by) (rate(alertmanager_notifications_failed_total{$scope}[$window]))
    / (sum by ($by) (rate(alertmanager_notifications_total{$scope}[$window])) > 0)""",
)

KNOWN_ALERTS = Signal(
    title="Alerts by state",
    unit=Unit.COUNT,
    job=JOB,
    by=("instance", "state"),
    description="Alerts that Alertmanager knows of: active are told, suppressed are silenced or inhibited. Good: one "
    "active, the Watchdog.",
    expr="sum by ($by) (alertmanager_alerts{$scope})",
)

SILENCES = Signal(
    title="Silences",
    unit=Unit.COUNT,
    job=JOB,
    by=("instance", "state"),
    empty_when_healthy=True,
    description="Silences that hold now or will. Good: none that you do not know of.",
    expr='sum by ($by) (alertmanager_silences{$scope,state!="expired"})',
)

NOTIFICATIONS = Signal(
    title="Notifications in 15 minutes",
    unit=Unit.COUNT,
    job=JOB,
    by=("instance", "receiver_name"),
    window="15m",
    panel_window="15m",
    description="Notifications of the last 15 minutes, by receiver. Good: three of the Watchdog.",
    expr="sum by ($by) (increase(alertmanager_notifications_total{$scope}[$window])) > 0",
)

NOTIFICATION_TIME = Signal(
    title="Average time of a notification",
    unit=Unit.SECONDS,
    job=JOB,
    by=("instance", "receiver_name"),
    window="15m",
    panel_window="15m",
    description="Mean time until a receiver took a notification. No value without any. Good: under 1 s.",
    expr="""
    sum by ($by) (rate(alertmanager_notification_latency_seconds_sum{$scope}[$window]))
    / (sum by ($by) (rate(alertmanager_notification_latency_seconds_count{$scope}[$window])) > 0)""",
)

GROUPS = Signal(
    title="Groups of alerts",
    unit=Unit.COUNT,
    job=JOB,
    description="Groups in which Alertmanager tells of alerts that belong together. Good: one, the Watchdog's.",
    expr="sum by ($by) (alertmanager_dispatcher_aggregation_groups{$scope})",
)

# Alertmanager answers that it took the alert all the same: only its own figures show the loss.
LOST_ALERTS = Signal(
    title="Alerts lost in 15 minutes",
    unit=Unit.COUNT,
    job=JOB,
    window="15m",
    panel_window="15m",
    empty_when_healthy=True,
    description="Alerts that Alertmanager refused as invalid, or could put into no group. Good: 0.",
    expr="""
    sum by ($by) (increase(alertmanager_alerts_invalid_total{$scope}[$window]))
    + sum by ($by) (increase(alertmanager_dispatcher_aggregation_group_limit_reached_total{$scope}[$window]))
    + sum by ($by) (increase(alertmanager_dispatcher_aggregation_group_creation_given_up_total{$scope}[$window]))""",
)

ALERTS = (
    Alert(
        name="AlertmanagerFailedReload",
        severity=Severity.WARNING,
        for_="5m",
        when=RELOADED.below(1),
        summary="{{ $labels.instance }}: Alertmanager did not take its configuration",
        description="The last reload failed: receivers and routes are those from before, and a restart would fail.",
    ),
    Alert(
        # As long as the window: one that failed, while a receiver started anew, is out of it by then.
        # Critical: a warning may wait for business hours, and may go to the very receiver that fails.
        name="AlertmanagerFailedToSendAlerts",
        severity=Severity.CRITICAL,
        for_="15m",
        when=FAILED_NOTIFICATIONS.above(0.1),  # a tenth is no lost packet: a receiver takes none of its own
        summary="{{ $labels.instance }}: {{ $value | humanizePercentage }} of the notifications to "
        "{{ $labels.receiver_name }} by {{ $labels.integration }} fail",
        description="A receiver does not accept its notifications: people, or the dead man's switch, are not notified.",
    ),
    Alert(
        name="AlertmanagerAlertsDropped",
        severity=Severity.WARNING,
        for_="1m",
        when=LOST_ALERTS.above(0),
        summary='{{ $labels.instance }}: alerts lost in 15 minutes: {{ $value | printf "%.0f" }}',
        description="Alertmanager can tell nobody of them: they are invalid, or there are too many groups.",
    ),
)
