"""The pages for people: login, the list of dashboards, and a dashboard's values as plain tables.

Not a picture of Grafana: each page says that this is the stand-in.
"""

from __future__ import annotations

import dataclasses
import json
import re
import time
from typing import Any
from urllib.parse import urlencode, urlsplit

import flask

from . import NOTICE, sources
from .content import dashboard_url, find_dashboard, home_dashboard
from .web import ApiError, by_session, db

pages = flask.Blueprint("pages", __name__)

ALL = "$__all"
VALUES_SHOWN = 30


@dataclasses.dataclass(frozen=True, kw_only=True)
class Variable:
    """A template variable: its choices, what is chosen, and the text that queries get for it."""

    name: str
    label: str
    choices: list[str]
    chosen: list[str]
    multi: bool
    every: str

    @property
    def text(self) -> str:
        """One value as it is, several as a regular expression, as Grafana does for Prometheus."""
        if self.chosen == [ALL]:
            return self.every or "(" + "|".join(_escape(one) for one in self.choices if one != ALL) + ")"
        if not self.multi:
            return self.chosen[0] if self.chosen else ""
        return "(" + "|".join(map(_escape, self.chosen)) + ")" if len(self.chosen) > 1 else _escape(*self.chosen)


def _escape(value: str = "") -> str:
    return re.sub(r"([\\^$.*+?()\[\]{}|])", r"\\\\\1", value)


def fill(given: str, variables: dict[str, Variable]) -> str:
    """Replace $name, ${name}, ${name:format} and [[name]]."""

    def value(match: re.Match[str]) -> str:
        known = variables.get(match[1] or match[2] or match[3])
        return known.text if known else match[0]

    return re.sub(r"\$\{(\w+)(?::\w+)?\}|\$(\w+)|\[\[(\w+)\]\]", value, given)


def source_of(reference: Any, variables: dict[str, Variable]) -> Any:
    """The data source that a panel, a query or a variable names; the default one where it names none."""
    uid = reference.get("uid") if isinstance(reference, dict) else reference
    if not uid or uid == "default":
        return db().one("SELECT * FROM data_source WHERE is_default")
    uid = fill(str(uid), variables)
    return db().one("SELECT * FROM data_source WHERE uid = ? OR name = ?", uid, uid)


def read_variables(model: dict[str, Any]) -> dict[str, Variable]:
    """The dashboard's template variables, queried for real, with what the address chooses."""
    found: dict[str, Variable] = {}
    for each in (model.get("templating") or {}).get("list") or []:
        name, multi = each.get("name", ""), bool(each.get("multi"))
        choices = _choices(each, found)
        current = (each.get("current") or {}).get("value") or []
        chosen = flask.request.args.getlist(f"var-{name}") or (current if isinstance(current, list) else [current])
        if each.get("includeAll"):
            choices = [ALL, *choices]
        if "All" in chosen or not chosen or chosen == [""]:
            chosen = [ALL] if each.get("includeAll") else choices[:1]
        found[name] = Variable(
            name=name,
            label=each.get("label") or name,
            choices=choices,
            chosen=chosen,
            multi=multi,
            every=each.get("allValue") or "",
        )
    return found


def _choices(each: dict[str, Any], known: dict[str, Variable]) -> list[str]:
    asked = each.get("query", "")
    if each.get("type") == "datasource":
        rows = db().all("SELECT uid FROM data_source WHERE json_extract(body, '$.type') = ? ORDER BY name", asked)
        return [row["uid"] for row in rows]
    if each.get("type") != "query":
        return [part.strip() for part in str(asked).split(",") if part.strip()]
    expr = fill(asked.get("query", "") if isinstance(asked, dict) else str(asked), known)
    match = re.fullmatch(r"\s*label_values\(\s*(?:(.+)\s*,\s*)?(\w+)\s*\)\s*", expr, re.DOTALL)
    row = source_of(each.get("datasource"), known)
    if match is None or row is None:
        return []
    try:
        arguments = {"match[]": match[1]} if match[1] else {}
        values = sources.prometheus(row, f"label/{match[2]}/values", arguments)
    except sources.SourceError:
        return []
    pattern = re.compile(each.get("regex", "").strip("/"))
    return [value for value in values if pattern.search(value)]


def read_panel(panel: dict[str, Any], variables: dict[str, Variable]) -> dict[str, Any]:
    """What the page shows of a panel: title, description, unit, queries with their values now."""
    defaults = (panel.get("fieldConfig") or {}).get("defaults") or {}
    links = [*(panel.get("links") or []), *(defaults.get("links") or [])]
    return {
        "kind": panel.get("type", ""),
        "title": fill(panel.get("title", ""), variables),
        "description": fill(panel.get("description", ""), variables),
        "unit": defaults.get("unit", ""),
        "text": (panel.get("options") or {}).get("content", "") if panel.get("type") == "text" else "",
        "links": [link for link in (_link(each, variables) for each in links) if link],
        "queries": [
            _query(target, target.get("datasource") or panel.get("datasource"), variables)
            for target in panel.get("targets") or []
            if not target.get("hide")
        ],
    }


def _query(target: dict[str, Any], reference: Any, variables: dict[str, Variable]) -> dict[str, Any]:
    now = time.time()
    row = source_of(reference, variables)
    expr = fill(str(target.get("expr", "")), variables)
    if row is not None:
        expr = sources.interpolate(expr, now - 3600, now, 15, sources.scrape_interval(row))
    shown: dict[str, Any] = {"expr": expr, "values": [], "more": 0, "error": ""}
    if row is None:
        uid = reference.get("uid") if isinstance(reference, dict) else reference
        return shown | {"error": f"no data source {uid}"}
    try:
        frames = sources.run_query(
            {**target, "expr": expr, "datasource": {"uid": row["uid"]}, "instant": True, "range": False},
            now - 3600,
            now,
        )
    except sources.SourceError as error:
        return shown | {"error": str(error)}
    values = [
        (frame["schema"]["fields"][1]["config"]["displayNameFromDS"], frame["data"]["values"][1][0]) for frame in frames
    ]
    return shown | {"values": values[:VALUES_SHOWN], "more": max(0, len(values) - VALUES_SHOWN)}


def _link(link: dict[str, Any], variables: dict[str, Variable]) -> dict[str, str] | None:
    """A link that may stand on the page: to this server, or http(s)."""
    url = re.sub(r"\$\{__\w+(?:[.:]\w+)*\}", "", fill(str(link.get("url") or ""), variables))
    if urlsplit(url).scheme not in ("", "http", "https") or not url:
        return None
    return {"title": fill(link.get("title") or url, variables), "url": url}


def dashboard_links(model: dict[str, Any], variables: dict[str, Variable]) -> list[dict[str, str]]:
    """The dashboard's links, those by tag too; the chosen variables go along where the link says so."""
    chosen = urlencode([(f"var-{one.name}", value) for one in variables.values() for value in one.chosen])
    found: list[dict[str, str]] = []
    for each in model.get("links") or []:
        shown: list[dict[str, str]] = []
        if each.get("type") == "dashboards":
            tags = set(each.get("tags") or [])
            for row in db().all("SELECT * FROM dashboard ORDER BY title"):
                if tags <= set(json.loads(row["model"]).get("tags") or []):
                    shown.append({"title": row["title"], "url": dashboard_url(row)})
        elif link := _link(each, variables):
            shown.append(link)
        if each.get("includeVars") and chosen:
            shown = [one | {"url": f"{one['url']}{'&' if '?' in one['url'] else '?'}{chosen}"} for one in shown]
        found += shown
    return found


@pages.get("/login")
def login_page() -> str:
    return flask.render_template("login.html", notice=NOTICE, failed=False)


@pages.get("/")
@pages.get("/dashboards")
@pages.get("/dashboards/f/<folder>/<_slug>")
def list_page(folder: str = "", _slug: str = "") -> flask.Response:
    if by_session() is None:
        return flask.make_response(flask.redirect("/login"))
    home = home_dashboard()
    if flask.request.path == "/" and home:
        return flask.make_response(flask.redirect(dashboard_url(home)))
    rows = db().all(
        "SELECT dashboard.*, folder.title AS folder_title FROM dashboard LEFT JOIN folder ON folder.uid = folder"
        " WHERE ? IN ('', folder) ORDER BY folder_title, dashboard.title",
        folder,
    )
    listed = [
        {
            "url": dashboard_url(row),
            "title": row["title"],
            "folder": row["folder_title"] or "",
            "description": json.loads(row["model"]).get("description") or "",
        }
        for row in rows
    ]
    return flask.make_response(flask.render_template("list.html", notice=NOTICE, dashboards=listed))


@pages.get("/d/<uid>")
@pages.get("/d/<uid>/<_slug>")
def dashboard_page(uid: str, _slug: str = "") -> flask.Response:
    if by_session() is None:
        return flask.make_response(flask.redirect("/login"))
    try:
        model = json.loads(find_dashboard(uid)["model"])
    except ApiError:
        page = flask.render_template("missing.html", notice=NOTICE, uid=uid)
        return flask.make_response(page, 404)
    variables = read_variables(model)
    panels: list[dict[str, Any]] = []
    for panel in model.get("panels") or []:
        panels.append(read_panel(panel, variables))
        panels += [read_panel(inner, variables) for inner in panel.get("panels") or []]
    return flask.make_response(
        flask.render_template(
            "dashboard.html",
            notice=NOTICE,
            model=model,
            all=ALL,
            variables=[variable for variable in variables.values() if variable.choices],
            links=dashboard_links(model, variables),
            panels=panels,
        )
    )
