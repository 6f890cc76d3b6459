"""Maintenance windows as alerts: one rule for each window of the settings, which fires while the window is open.

Alertmanager lets each of them inhibit the alerts that the window's matchers match, so that a window shows where people
look: the alert itself, and what it inhibits. The alerts have severity none and notify nobody.
"""

from collections.abc import Mapping
from typing import Any, Final

from rules.model import Severity
from rules.render import OVERVIEW, runbook_url, to_yaml
from stacks.notifications import MaintenanceWindow

ALERT_NAME: Final = "MaintenanceWindow"
GROUP: Final = "maintenance"
SERVICE: Final = "alertmanager"  # whose notifications it is about, and in whose runbook it is


def maintenance_labels(window: str) -> dict[str, str]:
    """The labels of the alert of a window with this name."""
    return {"severity": Severity.NONE.value, "service": SERVICE, "window": window}


def maintenance_files(windows: Mapping[str, MaintenanceWindow], runbooks: str, grafana: str) -> dict[str, str]:
    """File name to YAML text, as `rule_files` gives it: a rule for each window, or no file if there is none."""
    rules = [_rule(name, window, runbooks, grafana) for name, window in sorted(windows.items())]
    return {f"{GROUP}.yml": to_yaml({"groups": [{"name": GROUP, "rules": rules}]})} if rules else {}


def _rule(name: str, window: MaintenanceWindow, runbooks: str, grafana: str) -> dict[str, Any]:
    start, end = window.bounds
    return {
        "alert": ALERT_NAME,
        "expr": f"vector(time()) >= {start} and vector(time()) < {end}",
        "labels": maintenance_labels(name),
        "annotations": {
            "summary": f"Maintenance window {name} until {window.ends_at} {window.time_zone}",
            "description": _literal(f"{window.comment}. Alerts that match {', '.join(window.matchers)} notify nobody."),
            "runbook_url": runbook_url(runbooks, SERVICE, ALERT_NAME),
            "dashboard_url": f"{grafana.rstrip('/')}/d/{OVERVIEW}",
        },
    }


def _literal(text: str) -> str:
    """Text that Prometheus' templates give back as it is."""
    return text.replace("{{", '{{ "{{" }}')
