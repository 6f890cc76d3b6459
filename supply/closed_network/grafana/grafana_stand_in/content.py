"""Folders, dashboards, search, annotations and the organization's preferences."""

from __future__ import annotations

import json
import re
import secrets
import sqlite3
import time
from typing import Any

import flask

from . import store
from .web import ApiError, bad_request, body, caller, db, needs, number, text

api = flask.Blueprint("content", __name__, url_prefix="/api")

UID = re.compile(r"[a-zA-Z0-9_-]+")
UID_LENGTH = 40
TITLE_LENGTH = 5000
REFRESH_SECONDS = {"ms": 0.001, "s": 1, "m": 60, "h": 3600, "d": 86400, "w": 604800}
SHORTEST_REFRESH_SECONDS = 5


def new_uid() -> str:
    return secrets.token_hex(7)


def slug(title: str) -> str:
    """The readable end of a dashboard's or folder's address."""
    return re.sub(r"[^a-z0-9]+", "-", title.lower()).strip("-") or "-"


def dashboard_url(row: sqlite3.Row) -> str:
    return f"/d/{row['uid']}/{slug(row['title'])}"


def folder_url(row: sqlite3.Row) -> str:
    return f"/dashboards/f/{row['uid']}/{slug(row['title'])}"


def check_uid(uid: str) -> None:
    if uid and not UID.fullmatch(uid):
        bad_request("uid contains illegal characters")
    if len(uid) > UID_LENGTH:
        bad_request(f"uid too long, max {UID_LENGTH} characters")


# Folders


def find_folder(uid: str) -> sqlite3.Row:
    row = db().one("SELECT * FROM folder WHERE uid = ?", uid)
    if row is None:
        raise ApiError(404, "folder not found", status="not-found")
    return row


def ancestors(uid: str) -> list[sqlite3.Row]:
    """The folder's parents, the outermost first."""
    above: list[sqlite3.Row] = []
    parent = find_folder(uid)["parent"]
    while parent:
        above.insert(0, find_folder(parent))
        parent = above[0]["parent"]
    return above


def show_folder(row: sqlite3.Row) -> dict[str, Any]:
    shown = {
        "id": row["id"],
        "uid": row["uid"],
        "orgId": 1,
        "title": row["title"],
        "url": folder_url(row),
        "hasAcl": False,
        "canSave": True,
        "canEdit": True,
        "canAdmin": True,
        "canDelete": True,
        "createdBy": "Anonymous",
        "created": row["created"],
        "updatedBy": "Anonymous",
        "updated": row["updated"],
        "version": row["version"],
    }
    if row["parent"]:
        shown["parentUid"] = row["parent"]
        shown["parents"] = [show_folder(above) for above in ancestors(row["uid"])]
    return shown


@api.get("/folders")
@needs("Viewer")
def list_folders() -> flask.Response:
    limit = number("limit", 1000)
    rows = db().all(
        "SELECT * FROM folder WHERE parent = ? ORDER BY title, uid LIMIT ? OFFSET ?",
        flask.request.args.get("parentUid", ""),
        limit,
        (number("page", 1) - 1) * limit,
    )
    return flask.jsonify(
        [
            {key: row[key] for key in ("id", "uid", "title")} | ({"parentUid": row["parent"]} if row["parent"] else {})
            for row in rows
        ]
    )


@api.post("/folders")
@needs("Editor")
def create_folder() -> dict[str, Any]:
    wanted = body()
    title, uid, parent = text(wanted, "title"), text(wanted, "uid"), text(wanted, "parentUid")
    if not title.strip():
        bad_request("folder title cannot be empty")
    check_uid(uid)
    db().begin()
    if parent:
        find_folder(parent)
    uid = uid or new_uid()
    if db().one("SELECT uid FROM folder WHERE uid = ? UNION SELECT uid FROM dashboard WHERE uid = ?", uid, uid):
        raise ApiError(409, "a folder/dashboard with the same uid already exists")
    now = store.timestamp()
    db().run(
        "INSERT INTO folder (uid, title, parent, created, updated) VALUES (?, ?, ?, ?, ?)",
        uid,
        title,
        parent,
        now,
        now,
    )
    return show_folder(find_folder(uid))


@api.get("/folders/<uid>")
@needs("Viewer")
def get_folder(uid: str) -> dict[str, Any]:
    return show_folder(find_folder(uid))


@api.put("/folders/<uid>")
@needs("Editor")
def update_folder(uid: str) -> dict[str, Any]:
    wanted = body()
    db().begin()
    found = find_folder(uid)
    if not text(wanted, "title").strip():
        bad_request("folder title cannot be empty")
    if wanted.get("overwrite") is not True and wanted.get("version") != found["version"]:
        raise ApiError(412, "the folder has been changed by someone else", status="version-mismatch")
    db().run(
        "UPDATE folder SET title = ?, version = version + 1, updated = ? WHERE uid = ?",
        wanted["title"],
        store.timestamp(),
        uid,
    )
    return show_folder(find_folder(uid))


@api.post("/folders/<uid>/move")
@needs("Editor")
def move_folder(uid: str) -> dict[str, Any]:
    parent = text(body(), "parentUid")
    db().begin()
    find_folder(uid)
    if parent and (parent == uid or uid in [above["uid"] for above in [*ancestors(parent), find_folder(parent)]]):
        bad_request("failed to move folder: a folder cannot lie in itself")
    db().run("UPDATE folder SET parent = ?, version = version + 1 WHERE uid = ?", parent, uid)
    return show_folder(find_folder(uid))


@api.delete("/folders/<uid>")
@needs("Editor")
def delete_folder(uid: str) -> dict[str, Any]:
    """Delete a folder with everything in it, as Grafana does."""
    db().begin()
    found = find_folder(uid)
    doomed = [uid]
    for each in doomed:
        doomed += [row["uid"] for row in db().all("SELECT uid FROM folder WHERE parent = ?", each)]
        db().run("DELETE FROM dashboard WHERE folder = ?", each)
        db().run("DELETE FROM folder WHERE uid = ?", each)
    return {"message": "Folder deleted", "id": found["id"], "title": found["title"]}


# Dashboards


def find_dashboard(uid: str) -> sqlite3.Row:
    row = db().one("SELECT * FROM dashboard WHERE uid = ?", uid)
    if row is None:
        raise ApiError(404, "Dashboard not found", status="not-found")
    return row


def check_model(model: Any) -> dict[str, Any]:
    """Refuse what Grafana refuses; and panels that are no list of objects, which would break every reader."""
    if not isinstance(model, dict):
        bad_request()
    title = model.get("title")
    if not isinstance(title, str) or not title.strip():
        raise ApiError(400, "Dashboard title cannot be empty", status="empty-name")
    if len(title) > TITLE_LENGTH:
        raise ApiError(400, "Dashboard title cannot contain more than 5 000 characters", status="title-too-long")
    check_uid(text(model, "uid"))
    refresh = model.get("refresh")
    if isinstance(refresh, str) and refresh not in ("", "auto"):
        match = re.fullmatch(r"(\d+)(ms|s|m|h|d|w)", refresh)
        if match is None or int(match[1]) * REFRESH_SECONDS[match[2]] < SHORTEST_REFRESH_SECONDS:
            bad_request("Dashboard refresh interval is too low")
    panels = model.get("panels", [])
    if not isinstance(panels, list) or not all(isinstance(panel, dict) for panel in panels):
        bad_request("Dashboard data is invalid: panels must be a list of objects")
    return model


@api.post("/dashboards/db")
@needs("Editor")
def save_dashboard() -> dict[str, Any]:
    wanted = body()
    model, folder, overwrite = (
        check_model(wanted.get("dashboard")),
        text(wanted, "folderUid"),
        wanted.get("overwrite"),
    )
    db().begin()
    if folder and db().one("SELECT uid FROM folder WHERE uid = ?", folder) is None:
        bad_request("Folder not found")
    by_id = None
    if model.get("id"):
        by_id = db().one("SELECT * FROM dashboard WHERE id = ?", model["id"])
        if by_id is None:
            raise ApiError(404, "Dashboard not found", status="not-found")
    uid = text(model, "uid") or (by_id["uid"] if by_id else new_uid())
    by_uid = db().one("SELECT * FROM dashboard WHERE uid = ?", uid)
    if by_id and by_uid and by_id["id"] != by_uid["id"]:
        bad_request("A dashboard with the same uid already exists")
    old, now = by_id or by_uid, store.timestamp()
    if old and not overwrite and model.get("version", 0) != old["version"]:
        raise ApiError(412, "The dashboard has been changed by someone else", status="version-mismatch")
    if old:
        version = old["version"] + 1
        db().run(
            "UPDATE dashboard SET uid = ?, title = ?, folder = ?, version = ?, updated = ? WHERE id = ?",
            uid,
            model["title"],
            folder,
            version,
            now,
            old["id"],
        )
    else:
        version = 1
        db().run(
            "INSERT INTO dashboard (uid, title, folder, created, updated, model) VALUES (?, ?, ?, ?, ?, '')",
            uid,
            model["title"],
            folder,
            now,
            now,
        )
    row = find_dashboard(uid)
    stored = model | {"id": row["id"], "uid": uid, "version": version}
    db().run("UPDATE dashboard SET model = ? WHERE id = ?", json.dumps(stored), row["id"])
    return {
        "id": row["id"],
        "uid": uid,
        "url": dashboard_url(row),
        "status": "success",
        "version": version,
        "slug": slug(row["title"]),
        "folderUid": folder,
    }


@api.get("/dashboards/uid/<uid>")
@needs("Viewer")
def get_dashboard(uid: str) -> dict[str, Any]:
    row = find_dashboard(uid)
    folder = find_folder(row["folder"]) if row["folder"] else None
    return {
        "meta": {
            "type": "db",
            "canSave": True,
            "canEdit": True,
            "canAdmin": True,
            "canStar": True,
            "canDelete": True,
            "slug": slug(row["title"]),
            "url": dashboard_url(row),
            "expires": "0001-01-01T00:00:00Z",
            "created": row["created"],
            "updated": row["updated"],
            "updatedBy": "Anonymous",
            "createdBy": "Anonymous",
            "version": row["version"],
            "hasAcl": False,
            "isFolder": False,
            "folderId": folder["id"] if folder else 0,
            "folderUid": row["folder"],
            "folderTitle": folder["title"] if folder else "General",
            "folderUrl": folder_url(folder) if folder else "",
            "provisioned": False,
            "provisionedExternalId": "",
        },
        "dashboard": json.loads(row["model"]),
    }


@api.delete("/dashboards/uid/<uid>")
@needs("Editor")
def delete_dashboard(uid: str) -> dict[str, Any]:
    row = find_dashboard(uid)
    db().run("DELETE FROM dashboard WHERE uid = ?", uid)
    return {
        "title": row["title"],
        "message": f"Dashboard {row['title']} deleted",
        "uid": uid,
        "id": row["id"],
    }


@api.get("/search")
@needs("Viewer")
def search() -> flask.Response:
    """Folders and dashboards; arguments type, query, tag, folderUIDs, dashboardUIDs, limit, page."""
    args = flask.request.args
    folders = {row["uid"]: row for row in db().all("SELECT * FROM folder")}
    hits = []
    if args.get("type") != "dash-db" and not args.getlist("tag"):
        hits += [_hit(row, "dash-folder", folder_url(row), row["parent"], [], folders) for row in folders.values()]
    if args.get("type") != "dash-folder":
        for row in db().all("SELECT * FROM dashboard"):
            tags = [tag for tag in json.loads(row["model"]).get("tags") or [] if isinstance(tag, str)]
            hits.append(_hit(row, "dash-db", dashboard_url(row), row["folder"], tags, folders))
    within = [uid.replace("general", "") for uid in args.getlist("folderUIDs")]
    chosen = [
        hit
        for hit in hits
        if args.get("query", "").lower() in hit["title"].lower()
        and set(args.getlist("tag")) <= set(hit["tags"])
        and (not within or hit.get("folderUid", "") in within)
        and (not args.getlist("dashboardUIDs") or hit["uid"] in args.getlist("dashboardUIDs"))
    ]
    chosen.sort(key=lambda hit: (hit["type"] == "dash-db", hit["title"].lower(), hit["uid"]))
    limit = number("limit", 1000)
    first = (number("page", 1) - 1) * limit
    return flask.jsonify(chosen[first : first + limit])


def _hit(
    row: sqlite3.Row, kind: str, url: str, folder: str, tags: list[str], folders: dict[str, sqlite3.Row]
) -> dict[str, Any]:
    hit = {
        "id": row["id"],
        "uid": row["uid"],
        "title": row["title"],
        "uri": f"db/{slug(row['title'])}",
        "url": url,
        "slug": "",
        "type": kind,
        "tags": tags,
        "isStarred": False,
        "sortMeta": 0,
    }
    if folder in folders:
        above = folders[folder]
        hit |= {
            "folderId": above["id"],
            "folderUid": folder,
            "folderTitle": above["title"],
            "folderUrl": folder_url(above),
        }
    return hit


# Annotations


@api.post("/annotations")
@needs("Editor")
def add_annotation() -> dict[str, Any]:
    wanted = body()
    if not text(wanted, "text"):
        raise ApiError(400, "Failed to save annotation", error="text field should not be empty")
    uid, tags, panel = text(wanted, "dashboardUID"), wanted.get("tags", []), wanted.get("panelId", 0)
    start = wanted.get("time") or int(time.time() * 1000)
    stop = wanted.get("timeEnd") or start
    if not isinstance(tags, list) or not all(isinstance(value, int) for value in (start, stop, panel)):
        bad_request()
    if uid:
        find_dashboard(uid)
    kept = {
        "text": wanted["text"],
        "tags": tags,
        "panelId": panel,
        "login": caller().login,
        "userId": caller().id,
    }
    found = db().run(
        "INSERT INTO annotation (dashboard, start, stop, body) VALUES (?, ?, ?, ?)", uid, start, stop, json.dumps(kept)
    )
    return {"message": "Annotation added", "id": found}


def show_annotation(row: sqlite3.Row) -> dict[str, Any]:
    known = db().one("SELECT id FROM dashboard WHERE uid = ?", row["dashboard"])
    return {
        "id": row["id"],
        "alertId": 0,
        "dashboardUID": row["dashboard"],
        "dashboardId": known["id"] if known else 0,
        "time": row["start"],
        "timeEnd": row["stop"],
        **json.loads(row["body"]),
    }


@api.get("/annotations")
@needs("Viewer")
def list_annotations() -> flask.Response:
    """Annotations, the newest first; arguments from, to (milliseconds), dashboardUID, panelId, tags, limit."""
    args = flask.request.args
    rows = db().all(
        "SELECT * FROM annotation WHERE stop >= ? AND start <= ? ORDER BY start DESC, id DESC",
        number("from", 0),
        number("to", 2**62),
    )
    shown = [
        each
        for each in map(show_annotation, rows)
        if args.get("dashboardUID", each["dashboardUID"]) == each["dashboardUID"]
        and number("panelId", each["panelId"]) == each["panelId"]
        and set(args.getlist("tags")) <= set(each["tags"])
    ]
    return flask.jsonify(shown[: number("limit", 100)])


def find_annotation(number: int) -> sqlite3.Row:
    row = db().one("SELECT * FROM annotation WHERE id = ?", number)
    if row is None:
        raise ApiError(404, "Annotation not found")
    return row


@api.get("/annotations/<int:number>")
@needs("Viewer")
def get_annotation(number: int) -> dict[str, Any]:
    return show_annotation(find_annotation(number))


@api.delete("/annotations/<int:number>")
@needs("Editor")
def delete_annotation(number: int) -> dict[str, Any]:
    find_annotation(number)
    db().run("DELETE FROM annotation WHERE id = ?", number)
    return {"message": "Annotation deleted"}


# Preferences of the organization

PREFERENCES = ("homeDashboardUID", "theme", "timezone", "weekStart")


def home_dashboard() -> sqlite3.Row | None:
    """The dashboard on which Grafana opens; None where none is chosen, or the one that was is gone."""
    return db().one("SELECT dashboard.* FROM dashboard JOIN preference ON name = 'homeDashboardUID' AND value = uid")


@api.get("/dashboards/home")
@needs("Viewer")
def get_home() -> dict[str, Any]:
    """Where the start page leads to, or what it is itself."""
    home = home_dashboard()
    if home:
        return {"redirectUri": dashboard_url(home)}
    return {"meta": {"isHome": True, "canEdit": False}, "dashboard": {"title": "Home", "panels": []}}


@api.get("/org/preferences")
@needs("Admin")
def get_preferences() -> dict[str, str]:
    kept = {row["name"]: row["value"] for row in db().all("SELECT * FROM preference")}
    if home_dashboard() is None:
        kept.pop("homeDashboardUID", None)
    return kept


@api.route("/org/preferences", methods=["PUT", "PATCH"])
@needs("Admin")
def set_preferences() -> dict[str, Any]:
    wanted = body()
    given = {name: text(wanted, name) for name in PREFERENCES if name in wanted}
    if given.get("homeDashboardUID"):
        find_dashboard(given["homeDashboardUID"])
    db().begin()
    if flask.request.method == "PUT":
        db().run("DELETE FROM preference")
    for name, value in given.items():
        db().run("DELETE FROM preference WHERE name = ?", name)
        if value:
            db().run("INSERT INTO preference VALUES (?, ?)", name, value)
    return {"message": "Preferences updated"}
