"""Grafana itself."""

from rules.model import Alert, ScrapeJob, Severity, Signal, Unit, reachable

TITLE = "Grafana"
JOB = ScrapeJob(name="grafana", service="grafana", port=3000)

REACHABLE = reachable(JOB)

# Prometheus and the container's health check ask these two all day long, and would dilute what people meet.
PEOPLE = '$scope,handler!~"/metrics|/api/health"'
ERROR_RATIO = Signal(
    title="Failed requests",
    unit=Unit.RATIO,
    job=JOB,
    empty_when_healthy=True,
    description="Share of people's requests that Grafana answered with 5xx. Good: under 5 %.",
    expr=f"""
    sum by ($by) (rate(grafana_http_request_duration_seconds_count{{{PEOPLE},status_code=~"5.."}}[$window]))
    / (sum by ($by) (rate(grafana_http_request_duration_seconds_count{{{PEOPLE}}}[$window])) > 0)""",
)

ALERTS = (
    Alert(
        name="GrafanaRequestsFailing",
        severity=Severity.WARNING,
        for_="10m",
        when=ERROR_RATIO.above(0.05),  # the same bound as for the API's users
        summary="{{ $labels.instance }}: {{ $value | humanizePercentage }} of the requests fail",
        description="Over 5 % of what people ask of Grafana ends in 5xx: its database, or a data source behind it.",
    ),
)
