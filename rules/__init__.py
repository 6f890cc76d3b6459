"""What is watched, one file per service. Each ends with an ALERTS tuple; a test fails on a file not listed here.

A service may have RECORDINGS and OBJECTIVES too; an objective brings recordings and alerts of its own.
"""

from types import ModuleType
from typing import Final

from rules import alertmanager, api, elasticsearch, grafana, node, postgres, prometheus, redis
from rules.model import Alert, Recording, ScrapeJob
from rules.objectives import Objective

SERVICES: Final[tuple[ModuleType, ...]] = (
    api,
    postgres,
    redis,
    elasticsearch,
    node,
    prometheus,
    alertmanager,
    grafana,
)

JOBS: Final[tuple[ScrapeJob, ...]] = tuple(module.JOB for module in SERVICES)
OBJECTIVES: Final[tuple[Objective, ...]] = tuple(
    objective for module in SERVICES for objective in getattr(module, "OBJECTIVES", ())
)
RECORDINGS: Final[tuple[Recording, ...]] = (
    *(recording for module in SERVICES for recording in getattr(module, "RECORDINGS", ())),
    *(recording for objective in OBJECTIVES for recording in objective.recordings),
)
ALERTS: Final[tuple[Alert, ...]] = (
    *(alert for module in SERVICES for alert in module.ALERTS),
    *(alert for objective in OBJECTIVES for alert in objective.alerts),
)
