"""How the end-to-end test counts the samples that a fault cost."""

import pytest

from tests.e2e.data_loss import Outage, beyond_start, differences

TARGET = ("redis", "redis")
BEFORE = {0.0, 5.0, 10.0}


@pytest.mark.parametrize(
    ("after", "lost"),
    [
        ({0.0, 5.0, 10.0, 25.0, 30.0}, 0),  # none but those of the outage, from 11 to 22
        ({0.0, 5.0, 10.0, 30.0}, 1),  # 25 was due
        ({0.0, 5.0, 10.0, 40.0}, 3),
        ({0.0, 5.0, 25.0}, 1),  # 10 was there before
        ({0.0, 10.0, 25.0}, 1),
        ({0.0, 5.0, 10.0, 24.0, 29.5}, 0),  # a scrape may be late
        ({-20.0, 0.0, 5.0, 10.0, 25.0, 40.0}, 0),  # what was missed at another time has another cause
        (set(), 3),
    ],
)
def test_a_sample_that_is_gone_or_was_due_counts(after: set[float], lost: int) -> None:
    assert len(differences({TARGET: BEFORE}, {TARGET: after} if after else {}, Outage(11, 22))) == lost


def test_every_target_counts_and_a_new_one_does_not() -> None:
    other = ("node", "docker-host")
    gone = differences({TARGET: BEFORE, other: BEFORE}, {TARGET: BEFORE, other: {0.0}}, Outage(11, 22))
    assert gone == ["node/docker-host: -6.0 s is gone", "node/docker-host: -1.0 s is gone"]
    assert differences({}, {other: {25.0, 30.0}}, Outage(11, 22)) == []


def test_a_prometheus_that_starts_may_miss_one_scrape_of_each_target_and_forget_none() -> None:
    late = "redis/redis: missed from -1.0 s to +19.0 s"
    gone = "redis/redis: -6.0 s is gone"
    assert beyond_start([late, late.replace("redis", "node")]) == []
    assert beyond_start([late, late]) == [late]
    assert beyond_start([gone]) == [gone]
