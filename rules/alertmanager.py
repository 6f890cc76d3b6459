"""Alertmanager itself."""

from rules.model import Alert, ScrapeJob, reachable

JOB = ScrapeJob(name="alertmanager", subject="alertmanager", port=9093)

REACHABLE = reachable(JOB)

ALERTS: tuple[Alert, ...] = ()
