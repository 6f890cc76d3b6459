"""Grafana itself."""

from rules.model import Alert, ScrapeJob, reachable

JOB = ScrapeJob(name="grafana", subject="grafana", port=3000)

REACHABLE = reachable(JOB)

ALERTS: tuple[Alert, ...] = ()
