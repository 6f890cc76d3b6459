"""Alertmanager itself."""

from rules.model import Alert, ScrapeJob, Severity, Signal, Unit, reachable

TITLE = "Alertmanager"
JOB = ScrapeJob(name="alertmanager", service="alertmanager", port=9093)

REACHABLE = reachable(JOB)

RELOADED = Signal(
    title="Last config reload successful",
    unit=Unit.UP,
    job=JOB,
    description="1 if the last reload succeeded, 0 if the previous configuration is still in use. Good: 1.",
    expr="min by ($by) (alertmanager_config_last_reload_successful{$scope})",
)

# The Watchdog's five minutes leave two or three notifications in the window, even if nothing else is sent.
FAILED_NOTIFICATIONS = Signal(
    title="Failed notifications",
    unit=Unit.RATIO,
    job=JOB,
    by=("instance", "integration", "receiver_name"),
    window="15m",
    panel_window="15m",
    empty_when_healthy=True,
    description=(
        "Percentage of notifications that did not reach their receiver. No value without notifications. Good: 0."
    ),
    expr="""
    sum by ($by) (rate(alertmanager_notifications_failed_total{$scope}[$window]))
    / (sum by ($by) (rate(alertmanager_notifications_total{$scope}[$window])) > 0)""",
)

ALERTS_BY_STATE = Signal(
    title="Alerts by state",
    unit=Unit.COUNT,
    job=JOB,
    by=("instance", "state"),
    description=(
        "Alerts in Alertmanager: active ones are notified, suppressed ones are silenced or inhibited. Good: one "
        "active, the Watchdog."
    ),
    expr="sum by ($by) (alertmanager_alerts{$scope})",
)

SILENCES = Signal(
    title="Silences",
    unit=Unit.COUNT,
    job=JOB,
    by=("instance", "state"),
    empty_when_healthy=True,
    description="Silences that are active or pending. Good: none that you do not know of.",
    expr='sum by ($by) (alertmanager_silences{$scope,state!="expired"})',
)

NOTIFICATIONS = Signal(
    title="Notifications in 15 minutes",
    unit=Unit.COUNT,
    job=JOB,
    by=("instance", "receiver_name"),
    window="15m",
    panel_window="15m",
    description=(
        "Notifications of the last 15 minutes, by receiver. Good: the Watchdog's three, to the dead man's switch."
    ),
    expr="sum by ($by) (increase(alertmanager_notifications_total{$scope}[$window])) > 0",
)

NOTIFICATION_TIME = Signal(
    title="Notification latency (mean)",
    unit=Unit.SECONDS,
    job=JOB,
    by=("instance", "receiver_name"),
    window="15m",
    panel_window="15m",
    description="Mean time until a receiver accepted a notification. No value without notifications. Good: under 1 s.",
    expr="""
    sum by ($by) (rate(alertmanager_notification_latency_seconds_sum{$scope}[$window]))
    / (sum by ($by) (rate(alertmanager_notification_latency_seconds_count{$scope}[$window])) > 0)""",
)

AGGREGATION_GROUPS = Signal(
    title="Aggregation groups",
    unit=Unit.COUNT,
    job=JOB,
    description="Groups of alerts that Alertmanager sends as one notification. Good: one, the Watchdog's.",
    expr="sum by ($by) (alertmanager_dispatcher_aggregation_groups{$scope})",
)

# Alertmanager acknowledges the alert all the same: only its own metrics show the loss.
DROPPED_ALERTS = Signal(
    title="Alerts dropped in 15 minutes",
    unit=Unit.COUNT,
    job=JOB,
    window="15m",
    panel_window="15m",
    empty_when_healthy=True,
    description="Alerts that Alertmanager rejected as invalid, or could not add to a group. Good: 0.",
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
        summary="{{ $labels.instance }}: Alertmanager rejected its configuration",
        description=(
            "The last reload failed: Alertmanager keeps the previous receivers and routes, and a restart would fail."
        ),
    ),
    Alert(
        # `for` is as long as the window: a lone failure, while a receiver restarted, has left it by then.
        # Critical: a warning would wait for business hours, and may go to the very receiver that fails.
        name="AlertmanagerFailedToSendAlerts",
        severity=Severity.CRITICAL,
        for_="15m",
        when=FAILED_NOTIFICATIONS.above(0.1),  # more than a lost packet: a receiver that is down fails every one
        summary=(
            "{{ $labels.instance }}: {{ $value | humanizePercentage }} of notifications to "
            "{{ $labels.receiver_name }} via {{ $labels.integration }} fail"
        ),
        description="A receiver does not accept notifications: on-call, or the dead man's switch, does not get them.",
    ),
    Alert(
        name="AlertmanagerAlertsDropped",
        severity=Severity.WARNING,
        for_="1m",
        when=DROPPED_ALERTS.above(0),
        summary='{{ $labels.instance }}: alerts dropped in 15 minutes: {{ $value | printf "%.0f" }}',
        description="Nobody is notified of them: they are invalid, or there are too many aggregation groups.",
    ),
)
