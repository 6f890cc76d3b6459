"""The cross-checks of the dashboards. Each says in its docstring what must hold, and gives a line per problem."""

import re
from collections.abc import Collection, Iterable, Iterator, Mapping, Sequence
from itertools import combinations
from typing import Any, Final
from urllib.parse import parse_qsl, urlsplit

from rules.model import Alert
from rules.promql import Series, read

Model = Mapping[str, Any]  # a dashboard's JSON model
MAX_QUERIES: Final = 40  # of one dashboard, each asked again every 30 seconds for everybody who looks at it
COLUMNS: Final = 24  # Grafana's grid
_UID: Final = re.compile(r"(?=.*[^0-9])[A-Za-z0-9_-]{1,40}")  # Grafana's own bounds; digits alone are read as an old id
_FILLED: Final = {"$__rate_interval": "1m", "$__interval": "1m", "$__range": "1h"}
LABEL_VALUES: Final = re.compile(r"label_values\((.+), *(\w+)\)")
_DRAWS_NOTHING: Final = ("row", "text")  # these panels ask nothing


def problems(models: Sequence[Model], series: Series, sources: Collection[str], addresses: Iterable[str]) -> list[str]:
    """What is wrong with an environment's dashboards.

    `series` tells which labels a series has (validation.rules.series), `sources` are the uids of the data sources,
    `addresses` those at which people reach the parts of the stack.
    """
    addresses = tuple(addresses)
    return [
        *_not_unique(models),
        *(problem for model in models for problem in _incomplete(model)),
        *(problem for model in models for problem in _misplaced(model)),
        *(problem for model in models for problem in _other_sources(model, sources)),
        *(problem for model in models for problem in _unreadable(model, series)),
        *(problem for model in models for problem in _too_much(model)),
        *(problem for model in models for problem in _dead_links(model, models, addresses)),
    ]


def undrawn_alerts(alerts: Iterable[Alert], models: Iterable[Model]) -> list[str]:
    """Whoever is notified looks at the dashboard of the alert's service, if there is one: all that the alert reads is
    drawn there. `models` are the dashboards of an environment that has every service.
    """
    drawn = {model["uid"]: {query for panel in panels(model) for query in queries(panel)} for model in models}
    found = []
    for alert in alerts:
        conditions = (alert.when, *alert.and_conditions, *(each for others in alert.or_conditions for each in others))
        for signal in dict.fromkeys(condition.signal for condition in conditions):
            if alert.service in drawn and not alert.undrawn and signal.for_panel() not in drawn[alert.service]:
                found.append(
                    f"rules/{alert.service}.py: {alert.name}: no panel of dashboards/{alert.service}.py draws "
                    f"{signal.title!r}; add one, such as .with_panel(draw.timeseries(...))"
                )
    return found


def panels(model: Model) -> list[Model]:
    """The panels of a dashboard that ask something; those in a folded row too."""
    every = [inner for panel in model.get("panels") or () for inner in (panel, *(panel.get("panels") or ()))]
    return [panel for panel in every if panel["type"] not in _DRAWS_NOTHING]


def queries(panel: Model) -> list[str]:
    """The PromQL of a panel, with Grafana's variables in it."""
    return [target.get("expr") or "" for target in panel.get("targets") or ()]


def _where(model: Model, panel: Model | None = None) -> str:
    page = f"dashboards/{model.get('uid') or '?'}.py"
    return f"{page}: panel {panel.get('title') or panel.get('id')!r}" if panel else page


def _not_unique(models: Sequence[Model]) -> Iterator[str]:
    """A link must lead to one dashboard, and a name to one in the list: uids and titles are there once."""
    for key in ("uid", "title"):
        values = [model.get(key) or "" for model in models]
        for value in sorted({value for value in values if values.count(value) > 1}):
            yield f"dashboards: the {key} {value!r} is there {values.count(value)} times"
    for model in models:
        if not _UID.fullmatch(model.get("uid") or ""):
            yield (
                f"dashboards: {model.get('title')!r} has the uid {model.get('uid')!r}; it must be 1 to 40 letters, "
                "digits, - or _, and not digits alone"
            )


def _incomplete(model: Model) -> Iterator[str]:
    """Who looks at a panel must be told what it shows, in which unit, and what good looks like."""
    for key in ("title", "description"):
        if not (model.get(key) or "").strip():
            yield f"{_where(model)}: has no {key}"
    for panel in panels(model):
        for key in ("title", "description"):
            if not (panel.get(key) or "").strip():
                yield f"{_where(model, panel)}: has no {key}"
        if not _defaults(panel).get("unit"):
            yield f"{_where(model, panel)}: has no unit"


def _misplaced(model: Model) -> Iterator[str]:
    """A row has panels, and every panel has a place of its own on the page, which is 24 columns wide."""
    every = model.get("panels") or ()
    for panel, following in zip(every, (*every[1:], None), strict=True):
        last = following is None or following["type"] == "row"
        if panel["type"] == "row" and last and not panel.get("panels"):
            yield f"{_where(model)}: row {panel.get('title')!r}: has no panel; draw one in it, or leave the row out"
    places = [(_where(model, panel), panel["gridPos"]) for panel in every]
    for where, place in places:
        if place["x"] + place["w"] > COLUMNS:
            yield (
                f"{where}: reaches column {place['x'] + place['w']}, of {COLUMNS}; make it narrower, or put it"
                " elsewhere"
            )
    for (where, place), (other, beside) in combinations(places, 2):
        apart = place["x"] + place["w"] <= beside["x"] or beside["x"] + beside["w"] <= place["x"]
        above = place["y"] + place["h"] <= beside["y"] or beside["y"] + beside["h"] <= place["y"]
        if not apart and not above:
            yield f"{where}: lies on {other.partition(': ')[2]}; put one of the two elsewhere"


def _defaults(panel: Model) -> Model:
    defaults: Model = (panel.get("fieldConfig") or {}).get("defaults") or {}
    return defaults


def _other_sources(model: Model, sources: Collection[str]) -> Iterator[str]:
    """A panel, a mark or a variable asks a data source that the stack has, by its fixed uid."""
    asking = [(_where(model, panel), panel) for panel in panels(model)]
    asking += [(where, target) for where, panel in asking for target in panel.get("targets") or ()]
    asking += [(f"{_where(model)}: mark {mark.get('name')!r}", mark) for mark in _marks(model)]
    asking += [(f"{_where(model)}: variable {v.get('name')!r}", v) for v in _variables(model) if v["type"] == "query"]
    for where, item in asking:
        uid = (item.get("datasource") or {}).get("uid")
        if uid not in sources:
            yield f"{where}: asks the data source {uid}; expected one of: {', '.join(sorted(sources))}"


def _marks(model: Model) -> Sequence[Model]:
    marks: Sequence[Model] = (model.get("annotations") or {}).get("list") or ()
    return [mark for mark in marks if not mark.get("builtIn")]


def _variables(model: Model) -> Sequence[Model]:
    variables: Sequence[Model] = (model.get("templating") or {}).get("list") or ()
    return variables


def _unreadable(model: Model, series: Series) -> Iterator[str]:
    """Every query must be PromQL on metrics and labels that exporters have, or on recordings."""
    fill = _FILLED | {f"${variable['name']}": "x" for variable in _variables(model)}
    asked: list[tuple[str, str]] = []
    for panel in panels(model):
        if not queries(panel):
            yield f"{_where(model, panel)}: asks nothing"
        asked += [(_where(model, panel), expr) for expr in queries(panel)]
    asked += [(f"{_where(model)}: mark {mark.get('name')!r}", mark.get("expr") or "") for mark in _marks(model)]
    for variable in _variables(model):
        found = LABEL_VALUES.fullmatch(str(variable.get("query") or ""))
        if found:
            selector, label = found.groups()
            # The label must be one that the series have.
            asked.append((f"{_where(model)}: variable {variable['name']!r}", f"count by ({label}) ({selector})"))
        elif variable["type"] == "query":
            yield f"{_where(model)}: variable {variable['name']!r}: is not label_values(<series>, <label>)"
    for where, expr in asked:
        for name, value in fill.items():
            expr = expr.replace(name, value)
        try:
            reading = read(expr, series)
        except ValueError as error:
            yield f"{where}: is no PromQL: {error}"
        else:
            yield from (f"{where}: {problem}" for problem in reading.problems)


def _too_much(model: Model) -> Iterator[str]:
    """A page is asked again every half a minute, on the machine that also evaluates the alerts."""
    count = sum(len(queries(panel)) for panel in panels(model))
    if count > MAX_QUERIES:
        yield f"{_where(model)}: asks {count} queries, of {MAX_QUERIES} at most; make two pages of it"


def _dead_links(model: Model, models: Sequence[Model], addresses: Sequence[str]) -> Iterator[str]:
    """A link leads to a dashboard that is there, with variables that it has, or to a part of the stack."""
    pages = {str(page.get("uid")): page for page in models}
    tags = {tag for page in models for tag in page.get("tags") or ()}
    for link in model.get("links") or ():
        if link["type"] == "dashboards":
            for tag in sorted(set(link.get("tags") or ()) - tags):
                yield f"{_where(model)}: the link {link['title']!r} lists dashboards with the tag {tag}; none has it"
    direct = [(_where(model), link) for link in model.get("links") or () if link["type"] == "link"]
    for panel in panels(model):
        overrides = (panel.get("fieldConfig") or {}).get("overrides") or ()
        found = [
            *(panel.get("links") or ()),
            *(_defaults(panel).get("links") or ()),
            *(link for o in overrides for p in o["properties"] if p["id"] == "links" for link in p["value"]),
        ]
        direct += [(_where(model, panel), link) for link in found]
    for where, link in direct:
        if cause := _leads_nowhere(link.get("url") or "", pages, addresses):
            yield f"{where}: the link {link['title']!r} to {link.get('url') or 'nothing'} {cause}"


def _leads_nowhere(url: str, pages: Mapping[str, Model], addresses: Sequence[str]) -> str:
    """What is wrong with an address; empty where nothing is."""
    parts = urlsplit(url)
    if parts.scheme or parts.netloc:
        there = any(url == address or url.startswith(f"{address}/") for address in addresses)
        return "" if there else f"is no part of the stack; expected one of: {', '.join(sorted(addresses))}"
    kind, _, uid = parts.path.strip("/").partition("/")
    if kind != "d" or not uid:
        return "is neither a dashboard (/d/<uid>) nor an address"
    if uid.startswith("${"):
        return ""  # from the data; who draws it answers for it
    if uid not in pages:
        return f"leads nowhere; expected one of: {', '.join(sorted(pages))}"
    known = {f"var-{variable['name']}" for variable in _variables(pages[uid])}
    given = {name for name, _ in parse_qsl(parts.query) if name.startswith("var-")}
    unknown = ", ".join(sorted(given - known))
    return f"gives {unknown}, which that dashboard does not have" if unknown else ""
