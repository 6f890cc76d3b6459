"""The first page of a person on call: what fires, what is down, and how the API does."""

from grafana_foundation_sdk.builders.dashboard import Dashboard, Row

from dashboards.panels import PanelFactory
from rules import SERVICES, api, grafana, prometheus
from rules.render import OVERVIEW

SERVED = (api.REQUESTS, api.ERROR_RATIO, api.RESPONSE_TIME, api.CACHE_HIT_RATIO)


def build(draw: PanelFactory) -> Dashboard:
    page = draw.page("Overview", OVERVIEW, "What is firing, what is down, whether the API's users are served.")
    page = page.with_row(Row("What is down?"))
    for module in SERVICES:
        if draw.watches(module.REACHABLE):
            page = page.with_panel(draw.stat(module.REACHABLE, module.TITLE, page=module.JOB.service))
    for module in SERVICES:
        for objective in getattr(module, "SLOS", ()):
            if draw.watches(objective.total):
                left, title = objective.error_budget_remaining.as_signal, f"{objective.title}: budget left"
                page = page.with_panel(draw.stat(left, title, page=module.JOB.service, good_from=0))
    page = page.with_row(Row("What is firing?")).with_panel(draw.firing(prometheus.FIRING))
    served = tuple(filter(draw.watches, SERVED))
    if served:
        page = page.with_row(Row("Are the API's users served?"))
    for signal in served:
        page = page.with_panel(draw.timeseries(signal))
    if draw.watches(grafana.ERROR_RATIO):  # it has no page of its own
        page = page.with_row(Row("Grafana errors"))
        page = page.with_panel(draw.timeseries(grafana.ERROR_RATIO, title="Grafana: error rate"))
    full = [
        (module, signal) for module in SERVICES for signal in filter(draw.watches, getattr(module, "SATURATION", ()))
    ]
    if full:
        page = page.with_row(Row("Saturation"))
    for module, signal in full:
        page = page.with_panel(draw.timeseries(signal, title=f"{module.TITLE}: {_within(signal.title)}"))
    return page


def _within(title: str) -> str:
    """A title after the service's, where only an abbreviation begins with a capital letter."""
    return title if title[:2].isupper() else title[0].lower() + title[1:]
