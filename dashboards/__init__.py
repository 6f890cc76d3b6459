"""What is seen, one file per dashboard; a dashboard's uid is its service."""

import json
from collections.abc import Collection, Iterable, Mapping
from functools import cache
from types import ModuleType
from typing import Any, Final

from grafana_foundation_sdk.builders.dashboard import Dashboard
from grafana_foundation_sdk.cog.encoder import JSONEncoder

from dashboards import alertmanager, api, elasticsearch, node, overview, postgres, prometheus, redis
from dashboards.panels import PanelFactory
from rules import JOBS
from rules.model import Alert, ScrapeJob

PAGES: Final[tuple[ModuleType, ...]] = (
    overview,
    api,
    postgres,
    redis,
    elasticsearch,
    node,
    prometheus,
    alertmanager,
)


def dashboard_models(
    alerts: Iterable[Alert], jobs: Collection[ScrapeJob], links: Mapping[str, str]
) -> list[dict[str, Any]]:
    """The dashboards' JSON models, in the order of PAGES: the overview, and those of the services that the jobs are
    about. `links` are the addresses of other parts, by their titles.
    """
    services = {job.service for job in jobs}
    there = {_name(page): page for page in PAGES if page is overview or _name(page) in services}
    draw = PanelFactory(alerts, watched={job.name for job in jobs}, pages=there, links=links)
    return [as_json(page.build(draw)) for page in there.values()]


@cache
def full_models() -> tuple[Mapping[str, Any], ...]:
    """The models of an environment that has every service, with no thresholds drawn."""
    return tuple(dashboard_models((), JOBS, {}))


def as_json(page: Dashboard) -> dict[str, Any]:
    """The JSON model of one page, its panels numbered."""
    model = page.build()
    for number, panel in enumerate(model.panels or [], start=1):
        panel.id_val = number  # the SDK leaves 0 everywhere
    read: dict[str, Any] = json.loads(json.dumps(model, cls=JSONEncoder))
    return read


def to_text(model: Mapping[str, Any]) -> str:
    """A model as it is deployed, its keys sorted. In one line: Python's encoder in C knows no indentation."""
    return json.dumps(model, sort_keys=True)


def _name(page: ModuleType) -> str:
    return page.__name__.rpartition(".")[2]
