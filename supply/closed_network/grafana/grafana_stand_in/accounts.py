"""Health, the organization, users with their passwords, service accounts with their tokens, totals."""

from __future__ import annotations

import secrets
import sqlite3
import time
from typing import Any

import flask

from . import GRAFANA_API_VERSION, NOTICE, STAND_IN_VERSION, store
from .web import (
    ROLES,
    SESSION_COOKIE,
    ApiError,
    bad_request,
    body,
    caller,
    db,
    login,
    needs,
    open_session,
    telemetry,
    text,
)

api = flask.Blueprint("accounts", __name__)

SHORTEST_PASSWORD = 4  # Grafana's own bound


@api.get("/api/health")
def health() -> dict[str, Any]:
    db().count("user")
    return {
        "database": "ok",
        "version": GRAFANA_API_VERSION,
        "commit": "stand-in",
        "standIn": f"{NOTICE} (stand-in {STAND_IN_VERSION})",
    }


@api.get("/api/org")
@needs("Viewer")
def org() -> dict[str, Any]:
    address = dict.fromkeys(("address1", "address2", "city", "zipCode", "state", "country"), "")
    return {"id": 1, "name": "Main Org.", "address": address}


@api.post("/login")
def log_in() -> flask.Response:
    """Log a browser in; takes JSON as Grafana does, or the form of the login page."""
    form = flask.request.mimetype == "application/x-www-form-urlencoded"
    given = dict(flask.request.form) if form else body()
    telemetry().logins.inc()
    try:
        session = open_session(login(text(given, "user"), text(given, "password")))
    except ApiError:
        if form:
            return flask.make_response(flask.render_template("login.html", failed=True, notice=NOTICE), 401)
        raise
    answer = flask.make_response(
        flask.redirect("/") if form else flask.jsonify({"message": "Logged in", "redirectUrl": "/"})
    )
    answer.set_cookie(SESSION_COOKIE, session, httponly=True, samesite="Lax")
    return answer


@api.get("/logout")
def log_out() -> flask.Response:
    key = flask.request.cookies.get(SESSION_COOKIE, "")
    db().run("DELETE FROM session WHERE key = ?", store.fingerprint(key))
    answer = flask.make_response(flask.redirect("/login"))
    answer.delete_cookie(SESSION_COOKIE)
    return answer


@api.get("/api/admin/stats")
@needs("Viewer", server_admin=True)
def stats() -> dict[str, int]:
    counted = {
        "orgs": 1,
        "users": db().count("user"),
        "dashboards": db().count("dashboard"),
        "datasources": db().count("data_source"),
        "activeUsers": db().count("user"),
        "activeSessions": db().count("session"),
    }
    return counted | dict.fromkeys(("playlists", "snapshots", "tags", "stars", "alerts"), 0)


ACTIONS = {
    "Viewer": ("dashboards:read", "folders:read", "datasources:read", "datasources:query"),
    "Editor": (
        "dashboards:create",
        "dashboards:write",
        "dashboards:delete",
        "folders:create",
        "folders:write",
        "folders:delete",
    ),
    "Admin": (
        "datasources:create",
        "datasources:write",
        "datasources:delete",
        "orgs.preferences:read",
        "orgs.preferences:write",
        "serviceaccounts:create",
        "serviceaccounts:read",
        "serviceaccounts:write",
    ),
}
"""What each role may do that the one before may not, in Grafana's names for it; only those of calls that are here."""


@api.get("/api/access-control/user/permissions")
@needs("Viewer")
def permissions() -> dict[str, list[str]]:
    """What the caller may do, with the scopes: always everything of a kind here."""
    roles = ROLES[: ROLES.index(caller().role) + 1]
    return {action: [f"{action.partition(':')[0]}:*"] for role in roles for action in ACTIONS[role]}


# Users


def show_user(row: sqlite3.Row) -> dict[str, Any]:
    return {
        "id": row["id"],
        "uid": f"u{row['id']}",
        "email": row["email"],
        "name": row["name"],
        "login": row["login"],
        "theme": "",
        "orgId": 1,
        "isGrafanaAdmin": bool(row["is_admin"]),
        "isDisabled": False,
        "isExternal": False,
    }


def find_user(number: int) -> sqlite3.Row:
    row = db().one("SELECT * FROM user WHERE id = ?", number)
    if row is None:
        raise ApiError(404, "user not found")
    return row


@api.get("/api/user")
@needs("Viewer")
def me() -> dict[str, Any]:
    if caller().is_service_account:
        raise ApiError(404, "user not found")
    return show_user(find_user(caller().id))


@api.put("/api/user/password")
@needs("Viewer")
def change_my_password() -> dict[str, Any]:
    wanted, mine = body(), find_user(caller().id)
    if caller().is_service_account or not store.check_password(text(wanted, "oldPassword"), mine["password"]):
        raise ApiError(401, "invalid old password")
    store.set_password(db(), mine["id"], _new_password(text(wanted, "newPassword")))
    return {"message": "User password changed"}


def _new_password(password: str) -> str:
    if len(password) < SHORTEST_PASSWORD:
        bad_request("New password is too short")
    return password


@api.get("/api/users")
@needs("Viewer", server_admin=True)
def list_users() -> flask.Response:
    return flask.jsonify([show_user(row) for row in db().all("SELECT * FROM user ORDER BY login")])


@api.get("/api/users/lookup")
@needs("Viewer", server_admin=True)
def look_up_user() -> dict[str, Any]:
    name = flask.request.args.get("loginOrEmail", "").lower()
    row = db().one("SELECT * FROM user WHERE lower(login) = ? OR lower(email) = ?", name, name)
    if row is None:
        raise ApiError(404, "user not found")
    return show_user(row)


@api.post("/api/admin/users")
@needs("Viewer", server_admin=True)
def create_user() -> dict[str, Any]:
    """Create a user; a new one is a Viewer, as with Grafana's default settings."""
    wanted = body()
    name = text(wanted, "login") or text(wanted, "email")
    if not name:
        bad_request("Validation error, need specify either username or email")
    if len(text(wanted, "password")) < SHORTEST_PASSWORD:
        bad_request("Password is missing or too short")
    email = text(wanted, "email") or name
    db().begin()
    if db().one("SELECT id FROM user WHERE lower(login) = ? OR lower(email) = ?", name.lower(), email.lower()):
        raise ApiError(412, f"User with email '{email}' or username '{name}' already exists")
    number = db().run(
        "INSERT INTO user (login, email, name, password, role) VALUES (?, ?, ?, ?, 'Viewer')",
        name,
        email,
        text(wanted, "name"),
        store.hash_password(wanted["password"]),
    )
    return {"id": number, "uid": f"u{number}", "message": "User created"}


@api.delete("/api/admin/users/<int:number>")
@needs("Viewer", server_admin=True)
def delete_user(number: int) -> dict[str, Any]:
    found = find_user(number)
    if found["is_admin"]:
        bad_request("cannot delete the server administrator")
    db().run("DELETE FROM session WHERE user_id = ?", number)
    db().run("DELETE FROM login_attempt WHERE login = ?", found["login"].lower())
    db().run("DELETE FROM user WHERE id = ?", number)
    return {"message": "User deleted"}


@api.put("/api/admin/users/<int:number>/password")
@needs("Viewer", server_admin=True)
def change_password(number: int) -> dict[str, Any]:
    find_user(number)
    store.set_password(db(), number, _new_password(text(body(), "password")))
    return {"message": "User password updated"}


# Service accounts


def show_account(row: sqlite3.Row) -> dict[str, Any]:
    tokens = db().all("SELECT id FROM token WHERE service_account_id = ?", row["id"])
    return {
        "id": row["id"],
        "uid": f"sa{row['id']}",
        "name": row["name"],
        "login": f"sa-1-{row['name']}",
        "orgId": 1,
        "isDisabled": bool(row["is_disabled"]),
        "role": row["role"],
        "tokens": len(tokens),
        "avatarUrl": "",
    }


def find_account(number: int) -> sqlite3.Row:
    row = db().one("SELECT * FROM service_account WHERE id = ?", number)
    if row is None:
        raise ApiError(404, "service account not found", messageId="serviceaccounts.ErrNotFound", statusCode=404)
    return row


def _role(given: str) -> str:
    if given not in ROLES:
        bad_request("invalid role specified")
    return given


@api.post("/api/serviceaccounts")
@needs("Admin")
def create_account() -> tuple[dict[str, Any], int]:
    wanted = body()
    name, role = text(wanted, "name"), _role(text(wanted, "role") or "Viewer")
    if not name:
        bad_request()
    db().begin()
    if db().one("SELECT id FROM service_account WHERE name = ?", name):
        bad_request("service account already exists")
    number = db().run(
        "INSERT INTO service_account (name, role, is_disabled) VALUES (?, ?, ?)",
        name,
        role,
        wanted.get("isDisabled") is True,
    )
    return show_account(find_account(number)), 201


@api.get("/api/serviceaccounts/search")
@needs("Admin")
def search_accounts() -> dict[str, Any]:
    query = flask.request.args.get("query", "").lower()
    rows = [row for row in db().all("SELECT * FROM service_account ORDER BY name") if query in row["name"].lower()]
    shown = [show_account(row) for row in rows]
    return {"totalCount": len(shown), "serviceAccounts": shown, "page": 1, "perPage": 1000}


@api.get("/api/serviceaccounts/<int:number>")
@needs("Admin")
def get_account(number: int) -> dict[str, Any]:
    return show_account(find_account(number))


@api.patch("/api/serviceaccounts/<int:number>")
@needs("Admin")
def update_account(number: int) -> dict[str, Any]:
    wanted, old = body(), find_account(number)
    db().run(
        "UPDATE service_account SET name = ?, role = ?, is_disabled = ? WHERE id = ?",
        text(wanted, "name") or old["name"],
        _role(text(wanted, "role") or old["role"]),
        wanted.get("isDisabled", bool(old["is_disabled"])) is True,
        number,
    )
    shown = show_account(find_account(number))
    return {
        "id": number,
        "message": "Service account updated",
        "name": shown["name"],
        "serviceaccount": shown,
    }


@api.delete("/api/serviceaccounts/<int:number>")
@needs("Admin")
def delete_account(number: int) -> dict[str, Any]:
    find_account(number)
    db().run("DELETE FROM token WHERE service_account_id = ?", number)
    db().run("DELETE FROM service_account WHERE id = ?", number)
    return {"message": "Service account deleted"}


@api.get("/api/serviceaccounts/<int:number>/tokens")
@needs("Admin")
def list_tokens(number: int) -> flask.Response:
    find_account(number)
    rows = db().all("SELECT * FROM token WHERE service_account_id = ? ORDER BY id", number)
    return flask.jsonify(
        [
            {
                "id": row["id"],
                "name": row["name"],
                "created": _time(row["created"]),
                "expiration": _time(row["expires"]) if row["expires"] else None,
                "secondsUntilExpiration": max(0, (row["expires"] or 0) - time.time()),
                "hasExpired": row["expires"] is not None and row["expires"] < time.time(),
                "isRevoked": False,
            }
            for row in rows
        ]
    )


def _time(seconds: float) -> str:
    return time.strftime("%Y-%m-%dT%H:%M:%SZ", time.gmtime(seconds))


@api.post("/api/serviceaccounts/<int:number>/tokens")
@needs("Admin")
def create_token(number: int) -> dict[str, Any]:
    """Make a token; its key is in this answer and nowhere else."""
    wanted = body()
    name, seconds = text(wanted, "name"), wanted.get("secondsToLive", 0)
    if not name or not isinstance(seconds, int) or seconds < 0:
        bad_request()
    db().begin()
    find_account(number)
    if db().one("SELECT id FROM token WHERE service_account_id = ? AND name = ?", number, name):
        bad_request("service account token with given name already exists")
    key, now = f"glsa_{secrets.token_hex(16)}_{secrets.token_hex(4)}", time.time()
    token = db().run(
        "INSERT INTO token (service_account_id, name, key, created, expires) VALUES (?, ?, ?, ?, ?)",
        number,
        name,
        store.fingerprint(key),
        now,
        now + seconds if seconds else None,
    )
    return {"id": token, "name": name, "key": key}


@api.delete("/api/serviceaccounts/<int:number>/tokens/<int:token>")
@needs("Admin")
def delete_token(number: int, token: int) -> dict[str, Any]:
    if db().one("SELECT id FROM token WHERE id = ? AND service_account_id = ?", token, number) is None:
        raise ApiError(404, "Service account token not found")
    db().run("DELETE FROM token WHERE id = ?", token)
    return {"message": "Service account token deleted"}
