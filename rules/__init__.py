"""What is watched, one file per subject. Each ends with an ALERTS tuple; a test fails on a file not listed here.

A subject may have a tuple RECORDINGS too.
"""

from types import ModuleType
from typing import Final

from rules import alertmanager, api, elasticsearch, grafana, node, postgres, prometheus, redis
from rules.model import Alert, Recording, ScrapeJob

SUBJECTS: Final[tuple[ModuleType, ...]] = (
    api, postgres, redis, elasticsearch, node, prometheus, alertmanager, grafana,
)  # fmt: skip

JOBS: Final[tuple[ScrapeJob, ...]] = tuple(module.JOB for module in SUBJECTS)
RECORDINGS: Final[tuple[Recording, ...]] = tuple(
    recording for module in SUBJECTS for recording in getattr(module, "RECORDINGS", ())
)
ALERTS: Final[tuple[Alert, ...]] = tuple(alert for module in SUBJECTS for alert in module.ALERTS)
