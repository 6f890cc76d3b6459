"""What a fault cost: seconds until all was well again, and samples lost, by the samples' own timestamps."""

import time
from collections.abc import Mapping
from dataclasses import dataclass
from itertools import pairwise

from clients import probes
from tests.e2e.conftest import Stack, eventually

INTERVAL = 5.0  # seconds between two scrapes of the test's stack
LOOK_BACK = 60  # seconds before a fault whose samples must be there after it
Samples = Mapping[tuple[str, str], set[float]]  # (job, instance) to the times of its good scrapes


@dataclass(frozen=True)
class Outage:
    """From the fault until all was well again, in seconds of Unix time."""

    began: float
    ended: float

    @property
    def seconds(self) -> float:
        return self.ended - self.began


def samples(stack: Stack, since: float | None = None) -> Samples:
    """The good scrapes since then, or of the last minute, as Prometheus tells them now. A target without any is left
    out, such as one that was removed meanwhile.
    """
    window = LOOK_BACK if since is None else int(time.time() - since) + 1
    found = {
        (row["metric"]["job"], row["metric"]["instance"]): {float(at) for at, value in row["values"] if value == "1"}
        for row in probes.query(stack.http, stack.url("prometheus"), f"up[{window}s]")
    }
    return {target: times for target, times in found.items() if times}


def lost(stack: Stack, before: Samples, outage: Outage) -> list[str]:
    """A line for each sample of `before` that is gone, and for each scrape that is missing before or after the outage,
    next to it. Waits until every target was scraped again.
    """
    since = min(min(times) for times in before.values())

    def is_scraped() -> bool:
        now = samples(stack, since)
        return all(max(now.get(target, {0.0})) > outage.ended for target in before)

    eventually(is_scraped, "every target is scraped again")
    return differences(before, samples(stack, since), outage)


def differences(before: Samples, after: Samples, outage: Outage) -> list[str]:
    """As `lost`; `after` begins where `before` does, at the latest. Seconds count from the outage's beginning."""
    found = []
    for (job, instance), times in before.items():
        gone = times - after.get((job, instance), set())
        found += [f"{job}/{instance}: {at - outage.began:+.1f} s is gone" for at in sorted(gone)]
    for (job, instance), times in after.items():
        for earlier, later in pairwise(sorted(times | before.get((job, instance), set()))):
            if later < outage.began or earlier > outage.ended:
                continue  # a scrape that failed for another reason
            down = max(0.0, min(later, outage.ended) - max(earlier, outage.began))
            missed = round((later - earlier - down) / INTERVAL) - 1
            span = f"{earlier - outage.began:+.1f} s to {later - outage.began:+.1f} s"
            found += [f"{job}/{instance}: missed from {span}"] * missed
    return found


def beyond_start(lost: list[str]) -> list[str]:
    """What of it is more than one scrape of each target: a Prometheus that starts does not scrape at once, because
    discovery hands over the targets every 5 seconds.
    """
    first: set[str] = set()
    rest = []
    for line in lost:
        target = line.partition(": missed")[0]
        if target == line or target in first:
            rest.append(line)
        first.add(target)
    return rest
