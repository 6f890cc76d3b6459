"""What exporters expose: asked of a running stack's Prometheus, so that none of them has to be published, or read from
one metrics page, before there is a stack that scrapes it.
"""

import re
from collections import defaultdict
from collections.abc import Iterable, Mapping
from dataclasses import replace
from typing import Final

import httpx
from prometheus_client.parser import text_string_to_metric_families

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
    return _inventory(job.name, metadata, probes.series(http, prometheus, job.name))


def capture_page(text: str, service: str) -> MetricsInventory:
    """The inventory of one page in Prometheus' text format, as Prometheus would store it for a target of that service.

    ValueError if the text is no such page, or no metric of it has a TYPE or HELP line and a series.
    """
    if text.rstrip().endswith("# EOF"):
        raise ValueError("it is in the OpenMetrics format; ask for it without an Accept header, as curl does")
    try:
        families = list(text_string_to_metric_families(text))
    except (ValueError, IndexError, KeyError) as error:
        raise ValueError(f"it is not a page of metrics in Prometheus' text format: {error or 'a bad line'}") from error
    # The parser calls every counter foo and each of its series foo_total; Prometheus keeps the page's own name.
    declared = set(re.findall(r"^#[ \t]+(?:TYPE|HELP)[ \t]+(\S+)", text, flags=re.MULTILINE))
    metadata: dict[str, tuple[str, str]] = {}
    series: list[dict[str, str]] = []
    for family in families:
        total = f"{family.name}_total"
        name = total if family.type == "counter" and total in declared else family.name
        if name not in declared:
            continue  # Prometheus has no metadata of it
        metadata[name] = (family.type, family.documentation)
        for sample in family.samples:
            # As Prometheus does: an empty label is none, and one that the target has too gets a prefix.
            labels = {f"exported_{k}" if k in TARGET_LABELS else k: v for k, v in sample.labels.items() if v}
            series.append({**labels, "__name__": name if family.type == "counter" else sample.name})
    inventory = _inventory(service, metadata, series)
    if inventory is None:
        raise ValueError("it has no metric with a TYPE or HELP line and a series")
    return inventory


def _inventory(
    exporter: str, metadata: Mapping[str, tuple[str, str]], series: Iterable[dict[str, str]]
) -> MetricsInventory | None:
    """Types and help texts by metric, and every series' labels with `__name__`, put together; None without a series.
    The exporter's name and version are those of its `_build_info`.
    """
    found: defaultdict[str, list[frozenset[str]]] = defaultdict(list)
    versions = set()
    for row in series:
        name, labels = row.get("__name__", ""), {k: v for k, v in row.items() if k != "__name__"}
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
    """The inventories by service, without jobs that are not scraped; the Grafana mock has a name of its own."""
    found = {job.service: capture(http, prometheus, job) for job in jobs}
    captured = {service: inventory for service, inventory in found.items() if inventory}
    if "grafana" in captured and probes.is_grafana_mock(http, grafana):
        captured["grafana"] = replace(captured["grafana"], exporter=STAND_IN)
    return captured


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
