"""What a fault cost: seconds until all was well again, and samples lost, by the samples' own timestamps."""

import time
from collections.abc import Mapping
from dataclasses import dataclass
from itertools import pairwise

from ops import probes
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
    """The good scrapes since then, or of the last minute, as Prometheus tells them now."""
    window = LOOK_BACK if since is None else int(time.time() - since) + 1
    return {
        (row["metric"]["job"], row["metric"]["instance"]): {float(at) for at, value in row["values"] if value == "1"}
        for row in probes.query(stack.http, stack.url("prometheus"), f"up[{window}s]")
    }


def lost(stack: Stack, before: Samples, outage: Outage) -> int:
    """Samples of `before` that are gone, and scrapes that are missing since, those in the outage apart. Waits until
    every target was scraped again.
    """
    since = min(min(times) for times in before.values() if times)

    def is_scraped() -> bool:
        now = samples(stack, since)
        return all(max(now.get(target, {0.0})) > outage.ended for target in before)

    eventually(is_scraped, "every target is scraped again", seconds=4 * INTERVAL)
    return count_lost(before, samples(stack, since), outage)


def count_lost(before: Samples, after: Samples, outage: Outage) -> int:
    """`after` begins where `before` does, at the latest."""
    forgotten = sum(len(times - after.get(target, set())) for target, times in before.items())
    missed = 0
    for target, times in after.items():
        for earlier, later in pairwise(sorted(times | before.get(target, set()))):
            down = max(0.0, min(later, outage.ended) - max(earlier, outage.began))
            missed += max(0, round((later - earlier - down) / INTERVAL) - 1)
    return forgotten + missed
