"""What is watched, one file per subject. Each ends with an ALERTS tuple; a test fails on a file not listed here.

A subject may have RECORDINGS and OBJECTIVES too; an objective brings recordings and alerts of its own.
"""

from types import ModuleType
from typing import Final

from rules import alertmanager, api, elasticsearch, grafana, node, postgres, prometheus, redis
from rules.model import Alert, Recording, ScrapeJob
from rules.objectives import Objective

SUBJECTS: Final[tuple[ModuleType, ...]] = (
    api, postgres, redis, elasticsearch, node, prometheus, alertmanager, grafana,
)  # fmt: skip

JOBS: Final[tuple[ScrapeJob, ...]] = tuple(module.JOB for module in SUBJECTS)
OBJECTIVES: Final[tuple[Objective, ...]] = tuple(
    objective for module in SUBJECTS for objective in getattr(module, "OBJECTIVES", ())
)
RECORDINGS: Final[tuple[Recording, ...]] = (
    *(recording for module in SUBJECTS for recording in getattr(module, "RECORDINGS", ())),
    *(recording for objective in OBJECTIVES for recording in objective.recordings),
)
ALERTS: Final[tuple[Alert, ...]] = (
    *(alert for module in SUBJECTS for alert in module.ALERTS),
    *(alert for objective in OBJECTIVES for alert in objective.alerts),
)
