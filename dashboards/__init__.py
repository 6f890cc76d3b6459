"""What is seen, one file per dashboard; a dashboard's uid is its subject."""

import json
from collections.abc import Callable, Iterable
from typing import Final

from grafana_foundation_sdk.builders.dashboard import Dashboard
from grafana_foundation_sdk.cog.encoder import JSONEncoder

from dashboards import api, overview
from dashboards.draw import Draw
from rules.model import Alert

PAGES: Final[tuple[Callable[[Draw], Dashboard], ...]] = (overview.build, api.build)


def dashboard_files(alerts: Iterable[Alert]) -> dict[str, str]:
    """A dashboard's uid to its JSON model, keys sorted; ValueError where two have one uid."""
    draw = Draw(alerts)
    files: dict[str, str] = {}
    for build in PAGES:
        model = build(draw).build()
        if not model.uid or model.uid in files:
            raise ValueError(f"dashboard {model.title!r}: uid {model.uid!r} is missing or used twice")
        for number, panel in enumerate(model.panels or [], start=1):
            panel.id_val = number  # the SDK leaves 0 everywhere
        files[model.uid] = json.dumps(model, cls=JSONEncoder, sort_keys=True, indent=2)
    return files
