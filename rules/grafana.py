"""Grafana itself."""

from rules.model import Alert, ScrapeJob, Severity, Signal, Unit, reachable

TITLE = "Grafana"
JOB = ScrapeJob(name="grafana", service="grafana", port=3000)

REACHABLE = reachable(JOB)

# Prometheus and the container's health check request these two all day, which would dilute the users' error rate.
USER_REQUESTS = '$scope,handler!~"/metrics|/api/health"'
ERROR_RATIO = Signal(
    title="Error rate",
    unit=Unit.RATIO,
    job=JOB,
    empty_when_healthy=True,
    description="Percentage of users' requests that Grafana answered with 5xx. Good: under 5 %.",
    expr=f"""
    sum by ($by) (rate(grafana_http_request_duration_seconds_count{{{USER_REQUESTS},status_code=~"5.."}}[$window]))
    / (sum by ($by) (rate(grafana_http_request_duration_seconds_count{{{USER_REQUESTS}}}[$window])) > 0)""",
)

ALERTS = (
    Alert(
        name="GrafanaRequestsFailing",
        severity=Severity.WARNING,
        for_="10m",
        when=ERROR_RATIO.above(0.05),  # the same threshold as for the API's users
        summary="{{ $labels.instance }}: {{ $value | humanizePercentage }} of requests fail",
        description="Over 5 % of users' requests end in 5xx: Grafana's database or one of its data sources fails.",
    ),
)
