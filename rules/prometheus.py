"""Prometheus itself."""

from rules.model import Alert, ScrapeJob, reachable

JOB = ScrapeJob(name="prometheus", subject="prometheus", port=9090)

REACHABLE = reachable(JOB)

ALERTS: tuple[Alert, ...] = ()
