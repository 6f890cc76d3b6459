"""What is watched, one file per service; a test fails on a file not listed here.

Each has a TITLE for people, its JOB, the signal REACHABLE, and ALERTS. It may have RECORDING_RULES and SLOS too: an
objective brings recordings and alerts of its own. SATURATION are the signals that say on the overview how full it is.
"""

from types import ModuleType
from typing import Final

from rules import alertmanager, api, elasticsearch, grafana, node, postgres, prometheus, redis
from rules.model import Alert, RecordingRule, ScrapeJob
from rules.slo import SLO

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
SLOS: Final[tuple[SLO, ...]] = tuple(objective for module in SERVICES for objective in getattr(module, "SLOS", ()))
RECORDING_RULES: Final[tuple[RecordingRule, ...]] = (
    *(recording for module in SERVICES for recording in getattr(module, "RECORDING_RULES", ())),
    *(recording for objective in SLOS for recording in objective.recordings),
)
ALERTS: Final[tuple[Alert, ...]] = (
    *(alert for module in SERVICES for alert in module.ALERTS),
    *(alert for objective in SLOS for alert in objective.alerts),
)
