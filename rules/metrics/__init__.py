"""What each service's exporter exposes: a file per service, captured by `python -m ops capture-metrics`.

The files are data that nobody edits. A metric that an exporter only shows after something happened is in its file
once a capture has met it: captures of one version add up, and one of another version starts anew.
"""

import json
from collections.abc import Mapping
from dataclasses import dataclass
from functools import cache
from pathlib import Path
from typing import Final

FOLDER: Final = Path(__file__).parent
TARGET_LABELS: Final = frozenset({"instance", "job", "service"})  # every target gives them to all its series
# What Prometheus itself stores for each scrape (its documentation, "Jobs and instances"); these have no other labels.
SCRAPE_META_METRICS: Final = frozenset(
    {
        "up",
        "scrape_duration_seconds",
        "scrape_samples_scraped",
        "scrape_samples_post_metric_relabeling",
        "scrape_series_added",
    }
)

# What it stores for each alert that is pending or fires, with the alert's own labels ("Alerting rules").
ALERT_META_METRICS: Final = frozenset({"ALERTS", "ALERTS_FOR_STATE"})


@dataclass(frozen=True, kw_only=True)
class MetricFamily:
    """One metric family, as Prometheus' metadata names it.

    `labels` are its own: without TARGET_LABELS, a histogram's `le` and a summary's `quantile`. `optional` are those of
    them that some of its series lack.
    """

    type: str
    help: str
    labels: frozenset[str]
    optional: frozenset[str] = frozenset()


@dataclass(frozen=True, kw_only=True)
class MetricsInventory:
    """The metrics of one exporter by name; `version` is 1.2.3, or empty where the exporter does not tell it."""

    exporter: str
    version: str
    metrics: Mapping[str, MetricFamily]

    @property
    def exporter_version(self) -> str:
        """Exporter and version, for a message."""
        return f"{self.exporter} {self.version}".rstrip()

    def family(self, series: str) -> str:
        """The metric that a series of this name belongs to; empty where there is none."""
        metric = self.metrics.get(series)
        if metric and metric.type != "histogram":  # a classic histogram has no series under its own name
            return series
        base, _, suffix = series.rpartition("_")
        kinds = {"bucket": ("histogram",), "sum": ("histogram", "summary"), "count": ("histogram", "summary")}
        return base if base in self.metrics and self.metrics[base].type in kinds.get(suffix, ()) else ""

    def labels(self, series: str) -> frozenset[str] | None:
        """The labels of the series of this name, the target's included; None where there are no such series."""
        family = self.family(series)
        if not family:
            return None
        there = TARGET_LABELS | self.metrics[family].labels
        if series == family:
            return there | {"quantile"} if self.metrics[family].type == "summary" else there
        return there | {"le"} if series.endswith("_bucket") else there


@cache
def catalogues() -> Mapping[str, MetricsInventory]:
    """Every service's catalogue."""
    return {path.stem: from_text(path.read_text(encoding="utf-8")) for path in sorted(FOLDER.glob("*.json"))}


def from_text(text: str) -> MetricsInventory:
    """A file's content."""
    read = json.loads(text)
    return MetricsInventory(
        exporter=read["exporter"],
        version=read["version"],
        metrics={
            name: MetricFamily(
                type=metric["type"],
                help=metric["help"],
                labels=frozenset(metric["labels"]),
                optional=frozenset(metric.get("optional", ())),
            )
            for name, metric in read["metrics"].items()
        },
    )


def to_text(catalogue: MetricsInventory) -> str:
    """A file's content: sorted, a metric per line, so that a difference shows what an exporter changed."""
    lines = []
    for name, metric in sorted(catalogue.metrics.items()):
        told: dict[str, str | list[str]] = {"help": metric.help, "labels": sorted(metric.labels)}
        if metric.optional:
            told["optional"] = sorted(metric.optional)
        lines.append(f"{json.dumps(name)}: {json.dumps({**told, 'type': metric.type}, ensure_ascii=False)}")
    head = f'"exporter": {json.dumps(catalogue.exporter)},\n"version": {json.dumps(catalogue.version)},\n'
    return f'{{\n{head}"metrics": {{\n' + ",\n".join(lines) + "\n}\n}\n"


def merge(known: MetricsInventory | None, captured: MetricsInventory) -> MetricsInventory:
    """What two captures of one exporter know together; of another exporter or version, the new one alone."""
    if known is None or (known.exporter, known.version) != (captured.exporter, captured.version):
        return captured
    both = known.metrics.keys() & captured.metrics.keys()
    merged = {name: _merge_family(known.metrics[name], captured.metrics[name]) for name in both}
    return MetricsInventory(
        exporter=captured.exporter,
        version=captured.version,
        metrics={**known.metrics, **captured.metrics, **merged},
    )


def _merge_family(known: MetricFamily, captured: MetricFamily) -> MetricFamily:
    always = (known.labels - known.optional) & (captured.labels - captured.optional)
    labels = known.labels | captured.labels
    return MetricFamily(type=captured.type, help=captured.help, labels=labels, optional=labels - always)


def changes(series: str, known: MetricsInventory, live: MetricsInventory) -> list[str]:
    """How the metric that a series belongs to differs from what is known of it, a line each.

    A label counts where all series have it: one that only some have comes and goes. Another exporter than the
    catalogue's (the closed network's Grafana is a stand-in) may have labels more, but must have what is catalogued.
    """
    family = known.family(series)
    before, now = known.metrics[family], live.metrics.get(family)
    if now is None:
        return [f"{series} is gone"]
    gone = before.labels - before.optional - now.labels
    new = now.labels - now.optional - before.labels if known.exporter == live.exporter else frozenset()
    return [
        *([f"{series} is a {now.type} now, not a {before.type}"] if now.type != before.type else []),
        *(f"{series} has no label {label} any more" for label in sorted(gone)),
        *(f"{series} has a new label {label}" for label in sorted(new)),
    ]
