"""The first page of a person on call: what fires, what is down, and how the API does."""

from grafana_foundation_sdk.builders.dashboard import Dashboard, Row

from dashboards.panels import PanelFactory
from rules import SERVICES, api, grafana, prometheus
from rules.render import OVERVIEW

SERVED = (api.REQUESTS, api.ERROR_RATIO, api.RESPONSE_TIME, api.CACHE_HIT_RATIO)


def build(draw: PanelFactory) -> Dashboard:
    page = draw.page("Overview", OVERVIEW, "What fires, what is down, whether the API's users are served.")
    page = page.with_row(Row("What is down?"))
    for module in SERVICES:
        if draw.watches(module.REACHABLE):
            page = page.with_panel(draw.stat(module.REACHABLE, module.TITLE, page=module.JOB.service))
    for module in SERVICES:
        for objective in getattr(module, "SLOS", ()):
            if draw.watches(objective.requests):
                left, title = objective.error_budget_remaining.kept, f"{objective.title}: budget left"
                page = page.with_panel(draw.stat(left, title, page=module.JOB.service, good_from=0))
    page = page.with_row(Row("What fires?")).with_panel(draw.firing(prometheus.FIRING))
    page = page.with_row(Row("Are the API's users served?"))
    for signal in filter(draw.watches, SERVED):
        page = page.with_panel(draw.timeseries(signal))
    if draw.watches(grafana.ERROR_RATIO):  # it has no page of its own
        page = page.with_row(Row("Are Grafana's?"))
        page = page.with_panel(draw.timeseries(grafana.ERROR_RATIO, title="Grafana: failed requests"))
    page = page.with_row(Row("How full are things?"))
    for module in SERVICES:
        for signal in filter(draw.watches, getattr(module, "SATURATION", ())):
            page = page.with_panel(draw.timeseries(signal, title=f"{module.TITLE}: {_within(signal.title)}"))
    return page


def _within(title: str) -> str:
    """A title after the service's, where only an abbreviation begins with a capital letter."""
    return title if title[:2].isupper() else title[0].lower() + title[1:]
