"""Data sources: keeping them, and asking them for real (health, proxy, queries)."""

from __future__ import annotations

import json
import math
import re
import sqlite3
import time
from typing import Any
from urllib.parse import urlsplit

import flask
import httpx

from .content import UID, UID_LENGTH, new_uid
from .web import ApiError, bad_request, body, db, needs, telemetry, text

api = flask.Blueprint("sources", __name__, url_prefix="/api")

TYPES = {"prometheus": "Prometheus", "alertmanager": "Alertmanager"}
"""The plugins that the stand-in knows, with their display names."""

FRONT_END_ONLY = {"alertmanager"}
"""Plugins without a part in the server: Grafana's health call answers 500 for them."""

HOP_BY_HOP = {
    "connection",
    "keep-alive",
    "transfer-encoding",
    "content-encoding",
    "content-length",
    "upgrade",
    "proxy-authenticate",
    "set-cookie",
}

TEXTS = ("type", "access", "url", "user", "database", "basicAuthUser")
FLAGS = ("basicAuth", "withCredentials")

_client = httpx.Client(timeout=30, trust_env=False, follow_redirects=False)


def find_source(uid: str) -> sqlite3.Row:
    row = db().one("SELECT * FROM data_source WHERE uid = ?", uid)
    if row is None:
        raise ApiError(404, "Data source not found")
    return row


def show_source(row: sqlite3.Row, *, listed: bool = False) -> dict[str, Any]:
    kept = json.loads(row["body"])
    shown = {
        "id": row["id"],
        "uid": row["uid"],
        "orgId": 1,
        "name": row["name"],
        "type": kept["type"],
        "typeLogoUrl": "public/img/icn-datasource.svg",
        "access": kept["access"],
        "url": kept["url"],
        "user": kept["user"],
        "database": kept["database"],
        "basicAuth": kept["basicAuth"],
        "isDefault": bool(row["is_default"]),
        "jsonData": kept["jsonData"],
        "readOnly": False,
    }
    if listed:
        return shown | {"typeName": TYPES.get(kept["type"], kept["type"])}
    return shown | {
        "basicAuthUser": kept["basicAuthUser"],
        "withCredentials": kept["withCredentials"],
        "secureJsonFields": {key: True for key, value in json.loads(row["secure"]).items() if value},
        "version": row["version"],
        "apiVersion": "",
    }


def _wanted() -> tuple[dict[str, Any], dict[str, Any], dict[str, str]]:
    """The request's data source: the whole body, what is kept of it, and its secrets."""
    wanted = body()
    kept: dict[str, Any] = {key: text(wanted, key) for key in TEXTS}
    kept |= {key: wanted.get(key) is True for key in FLAGS}
    kept["jsonData"] = wanted.get("jsonData") or {}
    secure = wanted.get("secureJsonData") or {}
    if not kept["type"] or kept["access"] not in ("proxy", "direct") or not isinstance(kept["jsonData"], dict):
        bad_request()
    if not isinstance(secure, dict) or not all(isinstance(value, str) for value in secure.values()):
        bad_request()
    try:
        valid = not kept["url"] or (bool(urlsplit(kept["url"]).netloc) and urlsplit(kept["url"]).port != 0)
    except ValueError:
        valid = False
    if not valid:
        bad_request("Validation error, invalid URL")
    uid = text(wanted, "uid")
    if uid and (not UID.fullmatch(uid) or len(uid) > UID_LENGTH):
        bad_request("invalid format of UID")
    return wanted, kept, secure


@api.get("/datasources")
@needs("Viewer")
def list_sources() -> flask.Response:
    rows = db().all("SELECT * FROM data_source ORDER BY lower(name)")
    return flask.jsonify([show_source(row, listed=True) for row in rows])


@api.post("/datasources")
@needs("Admin")
def add_source() -> dict[str, Any]:
    wanted, kept, secure = _wanted()
    uid, name = text(wanted, "uid") or new_uid(), text(wanted, "name") or kept["type"]
    db().begin()
    if db().one("SELECT id FROM data_source WHERE name = ?", name):
        raise ApiError(409, "data source with the same name already exists")
    if db().one("SELECT id FROM data_source WHERE uid = ?", uid):
        raise ApiError(409, "data source with the same uid already exists")
    is_default = wanted.get("isDefault") is True or not db().count("data_source")  # the first one always is
    if is_default:
        db().run("UPDATE data_source SET is_default = 0")
    db().run(
        "INSERT INTO data_source (uid, name, is_default, body, secure) VALUES (?, ?, ?, ?, ?)",
        uid,
        name,
        is_default,
        json.dumps(kept),
        json.dumps(secure),
    )
    shown = show_source(find_source(uid))
    return {"datasource": shown, "id": shown["id"], "message": "Datasource added", "name": name}


@api.put("/datasources/uid/<uid>")
@needs("Admin")
def update_source(uid: str) -> dict[str, Any]:
    """Replace a data source; secrets that are not in the request stay."""
    wanted, kept, secure = _wanted()
    db().begin()
    old = find_source(uid)
    name, new = text(wanted, "name") or old["name"], text(wanted, "uid") or uid
    if wanted.get("version") and wanted["version"] < old["version"]:
        raise ApiError(409, "Datasource has already been updated by someone else. Please reload and try again")
    if db().one("SELECT id FROM data_source WHERE name = ? AND id != ?", name, old["id"]):
        raise ApiError(409, "Failed to update datasource: data source with the same name already exists")
    if wanted.get("isDefault") is True:
        db().run("UPDATE data_source SET is_default = 0")
    db().run(
        "UPDATE data_source SET uid = ?, name = ?, is_default = ?, version = version + 1, body = ?, secure = ?"
        " WHERE id = ?",
        new,
        name,
        wanted.get("isDefault") is True,
        json.dumps(kept),
        json.dumps(json.loads(old["secure"]) | secure),
        old["id"],
    )
    shown = show_source(find_source(new))
    return {"datasource": shown, "id": shown["id"], "message": "Datasource updated", "name": name}


@api.get("/datasources/uid/<uid>")
@needs("Viewer")
def get_source(uid: str) -> dict[str, Any]:
    return show_source(find_source(uid))


@api.delete("/datasources/uid/<uid>")
@needs("Admin")
def delete_source(uid: str) -> dict[str, Any]:
    found = find_source(uid)
    db().run("DELETE FROM data_source WHERE uid = ?", uid)
    return {"message": "Data source deleted", "id": found["id"]}


def _by_name(name: str) -> sqlite3.Row:
    row = db().one("SELECT * FROM data_source WHERE name = ?", name)
    if row is None:
        raise ApiError(404, "Data source not found")
    return row


@api.get("/datasources/name/<name>")
@needs("Viewer")
def get_source_by_name(name: str) -> dict[str, Any]:
    return show_source(_by_name(name))


@api.get("/datasources/id/<name>")
@needs("Viewer")
def get_source_id(name: str) -> dict[str, int]:
    return {"id": _by_name(name)["id"]}


# Asking a data source


def send(row: sqlite3.Row, method: str, path: str, **request: Any) -> httpx.Response:
    """Ask a data source with the credentials kept for it; raises httpx.HTTPError where it cannot be reached."""
    kept, secure = json.loads(row["body"]), json.loads(row["secure"])
    headers = httpx.Headers(request.pop("headers", {}))
    for key, name in kept["jsonData"].items():
        if key.startswith("httpHeaderName"):
            headers[name] = secure.get(key.replace("Name", "Value"), "")
    auth = (kept["basicAuthUser"], secure.get("basicAuthPassword", "")) if kept["basicAuth"] else None
    code = "error"
    try:
        answer = _client.request(method, f"{kept['url'].rstrip('/')}/{path}", headers=headers, auth=auth, **request)
        code = str(answer.status_code)
        return answer
    finally:
        telemetry().source_requests.labels(row["name"], kept["type"], code, method).inc()


class SourceError(Exception):
    """A data source answered with an error, or not at all."""


def prometheus(row: sqlite3.Row, path: str, arguments: dict[str, str]) -> Any:
    """The `data` of a call to Prometheus' API; raises SourceError with Prometheus' own words."""
    method = json.loads(row["body"])["jsonData"].get("httpMethod", "POST")
    where = {"params" if method == "GET" or "label" in path else "data": arguments}
    try:
        answer = send(row, "GET" if "params" in where else "POST", f"api/v1/{path}", **where)
        found = answer.json()
    except httpx.HTTPError as error:
        raise SourceError(str(error) or type(error).__name__) from error
    except ValueError as error:
        raise SourceError(f"{answer.status_code} {answer.reason_phrase}, and no JSON") from error
    if not isinstance(found, dict) or found.get("status") != "success":
        raise SourceError(found.get("error", "an unknown answer") if isinstance(found, dict) else "an unknown answer")
    return found["data"]


@api.get("/datasources/uid/<uid>/health")
@needs("Viewer")
def source_health(uid: str) -> tuple[dict[str, Any], int]:
    row = find_source(uid)
    kind = json.loads(row["body"])["type"]
    if kind not in TYPES:
        raise ApiError(404, "Plugin not found", messageId="plugin.notRegistered", statusCode=404, traceID="")
    if kind in FRONT_END_ONLY:
        raise ApiError(500, "Plugin unavailable", messageId="plugin.unavailable", statusCode=500, traceID="")
    try:
        prometheus(row, "query", {"query": "1+1"})
    except SourceError as error:
        message = f"There was an error returned querying the Prometheus API: {error}"
        return {"message": message, "status": "ERROR"}, 400
    return {"message": "Successfully queried the Prometheus API.", "status": "OK"}, 200


@api.route("/datasources/proxy/uid/<uid>/", defaults={"path": ""}, methods=["GET", "POST", "PUT", "DELETE"])
@api.route("/datasources/proxy/uid/<uid>/<path:path>", methods=["GET", "POST", "PUT", "DELETE"])
@needs("Viewer")
def proxy(uid: str, path: str) -> flask.Response:
    """Pass a call on to the data source, with its answer unchanged."""
    row = find_source(uid)
    passed = {name: flask.request.headers[name] for name in ("Accept", "Content-Type") if name in flask.request.headers}
    try:
        answer = send(
            row,
            flask.request.method,
            path,
            headers=passed,
            content=flask.request.get_data(),
            params=flask.request.args.to_dict(flat=False),
        )
    except httpx.HTTPError as error:
        raise ApiError(502, f"Bad Gateway: {error}") from error
    headers = [(key, value) for key, value in answer.headers.multi_items() if key.lower() not in HOP_BY_HOP]
    return flask.Response(answer.content, answer.status_code, headers)


# Queries in Grafana's own form


def duration(seconds: float) -> str:
    return f"{max(1, math.ceil(seconds))}s"


def seconds_of(given: Any) -> float:
    """A moment in seconds since 1970: from milliseconds, or from `now` and `now-5m`."""
    if match := re.fullmatch(r"now(?:-(\d+)([smhdw]))?", str(given)):
        units = {"s": 1, "m": 60, "h": 3600, "d": 86400, "w": 604800}
        return time.time() - (int(match[1]) * units[match[2]] if match[1] else 0)
    if not re.fullmatch(r"\d+", str(given)):
        bad_request("invalid time range")
    return int(given) / 1000


def scrape_interval(row: sqlite3.Row) -> float:
    """The data source's own interval in seconds (jsonData.timeInterval), 15 where it has none."""
    match = re.fullmatch(r"(\d+)(s|m)", str(json.loads(row["body"])["jsonData"].get("timeInterval", "")))
    return int(match[1]) * {"s": 1, "m": 60}[match[2]] if match else 15


def interpolate(expr: str, start: float, end: float, step: float, scrape: float) -> str:
    """Fill in the intervals, as Grafana's server does: a rate spans four scrapes, or a step and a scrape."""
    for name, value in (
        ("rate_interval", max(step + scrape, 4 * scrape)),
        ("interval", step),
        ("range_s", end - start),
        ("range", end - start),
    ):
        shown = str(int(value)) if name == "range_s" else duration(value)
        expr = re.sub(rf"\$__{name}\b|\$\{{__{name}\}}", shown, expr)
    return expr


def legend(form: str, labels: dict[str, str]) -> str:
    if form in ("", "__auto"):
        inner = ", ".join(f'{key}="{value}"' for key, value in labels.items() if key != "__name__")
        return f"{labels.get('__name__', '')}{{{inner}}}" if inner or not labels else labels.get("__name__", "")
    return re.sub(r"\{\{\s*(\w+)\s*\}\}", lambda match: labels.get(match[1], ""), form)


def _points(series: dict[str, Any]) -> list[tuple[float, str]]:
    return [(point[0], point[1]) for point in series.get("values", [series.get("value")]) if point]


def _float(value: str) -> float | None:
    """JSON has no NaN and no infinity; Grafana's frames carry null there."""
    number = float(value)
    return number if math.isfinite(number) else None


def frame(query: dict[str, Any], series: dict[str, Any], expr: str, kind: str) -> dict[str, Any]:
    points = _points(series)
    return {
        "schema": {
            "refId": query.get("refId", "A"),
            "meta": {"type": kind, "typeVersion": [0, 1], "executedQueryString": f"Expr: {expr}"},
            "fields": [
                {"name": "Time", "type": "time", "typeInfo": {"frame": "time.Time"}},
                {
                    "name": "Value",
                    "type": "number",
                    "typeInfo": {"frame": "float64"},
                    "labels": series["metric"],
                    "config": {"displayNameFromDS": legend(query.get("legendFormat", ""), series["metric"])},
                },
            ],
        },
        "data": {"values": [[int(moment * 1000) for moment, _ in points], [_float(value) for _, value in points]]},
    }


def _as_series(data: dict[str, Any]) -> list[dict[str, Any]]:
    """Prometheus' result as a list of series, also where it is one number."""
    if data["resultType"] == "scalar":
        return [{"metric": {}, "value": data["result"]}]
    result: list[dict[str, Any]] = data["result"]
    return result


def run_query(query: dict[str, Any], start: float, end: float) -> list[dict[str, Any]]:
    """The frames of one Prometheus query; raises SourceError."""
    uid = (query.get("datasource") or {}).get("uid", "")
    row = find_source(uid)
    if json.loads(row["body"])["type"] != "prometheus":
        raise SourceError("the stand-in asks data sources of the type prometheus only")
    step = max(1.0, float(query.get("intervalMs") or 15000) / 1000, (end - start) / 11000)
    expr = interpolate(query.get("expr", ""), start, end, step, scrape_interval(row))
    frames = []
    if query.get("instant"):
        found = prometheus(row, "query", {"query": expr, "time": str(end)})
        frames += [frame(query, series, expr, "numeric-multi") for series in _as_series(found)]
    if query.get("range") or not query.get("instant"):
        arguments = {"query": expr, "start": str(start), "end": str(end), "step": str(step)}
        found = prometheus(row, "query_range", arguments)
        frames += [frame(query, series, expr, "timeseries-multi") for series in _as_series(found)]
    return frames


@api.post("/ds/query")
@needs("Viewer")
def query() -> tuple[dict[str, Any], int]:
    """Run queries; a failed one has `error` in its result, and the whole answer is then a 400."""
    wanted = body()
    queries = wanted.get("queries")
    if not isinstance(queries, list) or not queries or not all(isinstance(each, dict) for each in queries):
        bad_request("no queries found")
    start, end = seconds_of(wanted.get("from", "now-1h")), seconds_of(wanted.get("to", "now"))
    results: dict[str, Any] = {}
    for each in queries:
        try:
            results[each.get("refId", "A")] = {"status": 200, "frames": run_query(each, start, end)}
        except SourceError as error:
            results[each.get("refId", "A")] = {
                "error": str(error),
                "errorSource": "downstream",
                "status": 400,
            }
    failed = any("error" in result for result in results.values())
    return {"results": results}, 400 if failed else 200
