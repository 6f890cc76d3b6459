"""Prometheus rule files from alerts and recordings: tuned for one environment, one file per group, in stable order."""

import hashlib
from collections.abc import Container, Iterable, Mapping
from dataclasses import replace
from typing import Any

import yaml

from rules.model import NO_TARGET, SLO_GROUP, Alert, RecordingRule
from stacks.settings import AlertOverride

RUNBOOK_PATH = "docs/runbooks/{service}.md"
OVERVIEW = "overview"  # the uid of the dashboard about everything, on which the stack's Grafana opens
# Windows from 5 minutes up need no more, and 30 days are 43,200 samples whatever the scrape interval.
INTERVALS = {SLO_GROUP: "1m"}
INSTANCE = "{{ $labels.instance | urlquery }}"
# The instances that no series has: the page shows what was measured before of all others. Templates and PromQL would
# each need a backslash of their own.
GONE = ".*" + NO_TARGET.replace("(", "[(]").replace(")", "[)]")
INSTANCE_OR_ALL = f'{{{{ if match "{GONE}" $labels.instance }}}}All{{{{ else }}}}{INSTANCE}{{{{ end }}}}'
# An instance that is chosen on a page about several jobs would empty the panels of all others.
OF_SEVERAL_JOBS = (OVERVIEW, "alertmanager")


def tune(alerts: Iterable[Alert], tuning: Mapping[str, AlertOverride]) -> tuple[Alert, ...]:
    """The alerts with one environment's thresholds, hold times and switches.

    Raises ValueError for a name that no alert has.
    """
    known = tuple(alerts)
    unknown = sorted(set(tuning) - {alert.name for alert in known})
    if unknown:
        names = ", ".join(sorted(alert.name for alert in known))
        raise ValueError(f"alerts: no such alert: {', '.join(unknown)} (expected one of: {names})")
    return tuple(_tuned(alert, tuning[alert.name]) if alert.name in tuning else alert for alert in known)


def _tuned(alert: Alert, tuning: AlertOverride) -> Alert:
    threshold = alert.when.threshold if tuning.threshold is None else tuning.threshold
    return replace(
        alert,
        when=replace(alert.when, threshold=threshold),
        for_=tuning.for_ or alert.for_,
        enabled=tuning.enabled,
    )


def rule_files(
    alerts: Iterable[Alert],
    runbooks: str,
    grafana: str,
    pages: Container[str],
    recordings: Iterable[RecordingRule] = (),
) -> dict[str, str]:
    """File name to YAML text, one file per group (`softfactory.yml`); alerts that are off are left out.

    Prometheus evaluates a group from top to bottom, so its recordings come before the alerts that read them.
    `runbooks` and `grafana` are the addresses that the rules' links begin with; without one for the runbooks the link
    is a path in this repository. `pages` are the uids of the dashboards: an alert links to its service's, or to the
    overview where it has none, or where the alert is about any service.
    """
    base = grafana.rstrip("/")
    groups: dict[str, list[dict[str, Any]]] = {}
    for recording in recordings:
        rule = {"record": recording.name, "expr": recording.expr()}
        groups.setdefault(recording.group or recording.service, []).append(rule)
    for alert in alerts:
        if alert.enabled:
            page = f"{base}/d/{_page(alert, pages)}"
            groups.setdefault(alert.group or alert.service, []).append(_rule(alert, runbooks, page))
    return {f"{name}.yml": to_yaml({"groups": [_group(name, groups[name])]}) for name in sorted(groups)}


def _group(name: str, rules: list[dict[str, Any]]) -> dict[str, Any]:
    interval = {"interval": INTERVALS[name]} if name in INTERVALS else {}
    return {"name": name, **interval, "rules": rules}


def _page(alert: Alert, pages: Container[str]) -> str:
    if alert.service not in pages or "service" in alert.when.signal.by:  # of any service
        return OVERVIEW
    chosen = "instance" in alert.when.signal.by and alert.service not in OF_SEVERAL_JOBS
    instance = INSTANCE_OR_ALL if alert.fire_if_absent else INSTANCE
    return f"{alert.service}?var-instance={instance}" if chosen else alert.service


def runbook_url(base: str, service: str, alert: str) -> str:
    """The link to an alert's heading in its service's runbook; without `base` a path in this repository."""
    return f"{base.rstrip('/')}/{RUNBOOK_PATH.format(service=service)}#{alert.lower()}".lstrip("/")


def _rule(alert: Alert, runbooks: str, dashboard: str) -> dict[str, Any]:
    return {
        "alert": alert.name,
        "expr": alert.expr(),
        "for": alert.for_,
        "labels": alert.labels,
        "annotations": {
            "summary": alert.summary,
            "description": alert.description,
            "runbook_url": runbook_url(runbooks, alert.service, alert.name),
            "dashboard_url": dashboard,
        },
    }


class _Dumper(yaml.CSafeDumper):
    """The C dumper (the pure one takes 7 s for 10,000 rules), with several lines of text as a block."""


def _block(dumper: yaml.CSafeDumper, text: str) -> yaml.ScalarNode:
    return dumper.represent_scalar("tag:yaml.org,2002:str", text, style="|" if "\n" in text else None)


_Dumper.add_representer(str, _block)


def to_yaml(value: object) -> str:
    """YAML in the order of the mapping's keys, readable by a person."""
    return yaml.dump(value, Dumper=_Dumper, sort_keys=False, width=120, allow_unicode=True)


def digest(files: Mapping[str, str]) -> str:
    """A short hash of files' paths and texts: 12 hexadecimal digits, whatever order they come in."""
    everything = "\0".join(f"{path}\0{text}" for path, text in sorted(files.items()))
    return hashlib.sha256(everything.encode()).hexdigest()[:12]
