"""The labels with which the alerts of one environment reach Alertmanager, as far as they are known beforehand."""

from collections.abc import Iterable, Iterator, Mapping

from rules.model import NO_TARGET, Alert, ScrapeJob
from stacks.matchers import LabelSet
from stacks.settings import ScrapeTarget


def label_sets(
    alert: Alert, targets: Mapping[str, Iterable[ScrapeTarget]], jobs: Iterable[ScrapeJob], external: Mapping[str, str]
) -> Iterator[LabelSet]:
    """One set for each target that the alert may be about; `external` are the labels that Prometheus adds to all.

    A signal with `service` in its `by` is about the targets of all jobs. What else stands there has a value that is not
    known.
    """
    signal = alert.when.signal
    whose = tuple(jobs) if "service" in signal.by else (signal.job,)
    own = {"alertname": alert.name, **external, **alert.labels}
    seen = []
    for job in whose:
        instances = [target.instance for target in targets.get(job.name, ())]
        for instance in [*instances, *([f"{job.service} {NO_TARGET}"] if alert.fire_if_absent else [])]:
            series = {"job": job.name, "instance": instance, "service": job.service}
            labels = {**{label: series.get(label) for label in signal.by}, **own}
            if labels not in seen:
                seen.append(labels)
    yield from seen
