"""What a running stack's exporters expose, asked of Prometheus, so that none of them has to be published."""

import re
from collections import defaultdict
from collections.abc import Mapping
from dataclasses import replace
from typing import Final

import httpx

from clients import probes
from rules.metrics import TARGET_LABELS, MetricFamily, MetricsInventory
from rules.model import ScrapeJob

BUILD_INFO: Final = "_build_info"  # Prometheus' convention; go_build_info is the Go runtime's own
OF_TYPE: Final = {"histogram": frozenset({"le"}), "summary": frozenset({"quantile"})}  # labels that the type makes
STAND_IN: Final = "grafana stand-in"


def capture(http: httpx.Client, prometheus: str, job: ScrapeJob) -> MetricsInventory | None:
    """The catalogue of a job's targets, all together, as Prometheus stored their last scrapes; None where it has none.

    A family without a series is left out: its labels cannot be seen yet.
    """
    metadata = probes.metadata(http, prometheus, job.name)
    found: defaultdict[str, list[frozenset[str]]] = defaultdict(list)
    exporter, versions = job.name, set()
    for labels in probes.series(http, prometheus, job.name):
        name = labels.pop("__name__", "")
        if name.endswith(BUILD_INFO) and "version" in labels and name != f"go{BUILD_INFO}":
            exporter = name.removesuffix(BUILD_INFO)
            versions.add(plain_version(labels["version"]))
        family = _family(name, metadata)
        if family:
            found[family].append(frozenset(labels) - TARGET_LABELS - OF_TYPE.get(metadata[family][0], frozenset()))
    if not found:
        return None
    return MetricsInventory(
        exporter=exporter,
        version=", ".join(sorted(versions)),
        metrics={family: _metric(*metadata[family], labels) for family, labels in found.items()},
    )


def capture_all(
    http: httpx.Client, prometheus: str, grafana: str, jobs: tuple[ScrapeJob, ...]
) -> dict[str, MetricsInventory]:
    """The catalogues by service; a job without a scrape is left out. The closed network's Grafana is told by name."""
    found = {job.service: capture(http, prometheus, job) for job in jobs}
    there = {service: catalogue for service, catalogue in found.items() if catalogue}
    if "grafana" in there and probes.is_grafana_mock(http, grafana):
        there["grafana"] = replace(there["grafana"], exporter=STAND_IN)
    return there


def plain_version(told: str) -> str:
    """1.86.0 of v1.86.0 and of a distribution's 1.86.0-1."""
    found = re.match(r"v?(\d+(?:\.\d+)*)", told)
    return found[1] if found else told


def _metric(kind: str, text: str, seen: list[frozenset[str]]) -> MetricFamily:
    labels, always = frozenset[str]().union(*seen), seen[0].intersection(*seen)
    return MetricFamily(type=kind, help=text, labels=labels, optional=labels - always)


def _family(series: str, metadata: Mapping[str, tuple[str, str]]) -> str:
    """The family with metadata that a series belongs to; empty for a rule's result, and for what Prometheus adds."""
    if series in metadata:
        return series
    base = re.sub(r"_(bucket|sum|count)$", "", series)
    return base if base in metadata and metadata[base][0] in OF_TYPE else ""
