"""The frame around every call: application, database per request, errors, who is calling, metrics."""

from __future__ import annotations

import dataclasses
import secrets
import time
from collections.abc import Callable
from pathlib import Path
from typing import Any, NoReturn, TypeVar

import flask
import prometheus_client
from prometheus_client.core import GaugeMetricFamily
from werkzeug.exceptions import HTTPException

from . import GRAFANA_API_VERSION, STAND_IN_VERSION, store

SESSION_COOKIE = "grafana_session"
SESSION_SECONDS = 30 * 24 * 3600
LOCKOUT_FAILURES = 5
LOCKOUT_SECONDS = 300
ROLES = ("Viewer", "Editor", "Admin")

Handler = TypeVar("Handler", bound=Callable[..., Any])


@dataclasses.dataclass(frozen=True, kw_only=True)
class Settings:
    """How the server was started. `data` is the folder of its database."""

    data: Path
    lockout: bool = True

    @property
    def database(self) -> Path:
        return self.data / "grafana-stand-in.db"


@dataclasses.dataclass(frozen=True, kw_only=True)
class Caller:
    """Who calls: a user, or a service account by its token."""

    id: int
    login: str
    role: str
    is_admin: bool = False
    is_service_account: bool = False


class ApiError(Exception):
    """Ends a request with Grafana's error shape: `{"message": ...}` and what `more` adds."""

    def __init__(self, status: int, message: str, /, **more: Any) -> None:
        super().__init__(message)
        self.status = status
        self.body = {"message": message, **more}


def bad_request(message: str = "bad request data") -> NoReturn:
    raise ApiError(400, message)


def db() -> store.Store:
    """This request's database, opened at its first use."""
    if "store" not in flask.g:
        flask.g.store = store.Store(flask.current_app.config["SETTINGS"].database)
    opened: store.Store = flask.g.store
    return opened


def caller() -> Caller:
    """Who calls; only inside handlers marked with `needs`."""
    known: Caller = flask.g.caller
    return known


def body() -> dict[str, Any]:
    """The request's JSON object; 400 where it is something else."""
    data = flask.request.get_json(force=True, silent=True)
    if not isinstance(data, dict):
        bad_request()
    return data


def text(data: dict[str, Any], key: str) -> str:
    """A string field; a missing one is empty, one of another type is a 400 as in Grafana's decoder."""
    value = data.get(key)
    if value is not None and not isinstance(value, str):
        bad_request()
    return value or ""


def number(name: str, default: int) -> int:
    """A numeric query argument."""
    return flask.request.args.get(name, default=default, type=int)


def needs(role: str, *, server_admin: bool = False) -> Callable[[Handler], Handler]:
    """Mark a handler: 401 without a known caller, 403 where the caller's role is too low."""

    def mark(handler: Handler) -> Handler:
        handler.needs = (role, server_admin)  # type: ignore[attr-defined]  # read by _authorize
        return handler

    return mark


def failed_login() -> ApiError:
    return ApiError(401, "Invalid username or password", messageId="password-auth.failed", statusCode=401, traceID="")


def login(user: str, password: str) -> Caller:
    """Check a user's password; five failures in five minutes block the user, and a right one then fails too."""
    since = time.time() - LOCKOUT_SECONDS
    failures = db().all("SELECT 1 FROM login_attempt WHERE login = ? AND created > ?", user.lower(), since)
    if flask.current_app.config["SETTINGS"].lockout and len(failures) >= LOCKOUT_FAILURES:
        raise failed_login()
    row = db().one("SELECT * FROM user WHERE lower(login) = ? OR lower(email) = ?", user.lower(), user.lower())
    if row is None or not store.check_password(password, row["password"]):
        db().run("INSERT INTO login_attempt VALUES (?, ?)", user.lower(), time.time())
        db().run("DELETE FROM login_attempt WHERE created < ?", since)
        raise failed_login()
    return _user(row)


def open_session(user: Caller) -> str:
    """Start a browser session, and return the cookie's value."""
    key = secrets.token_hex(32)
    db().run("DELETE FROM session WHERE created < ?", time.time() - SESSION_SECONDS)
    db().run("INSERT INTO session VALUES (?, ?, ?)", store.fingerprint(key), user.id, time.time())
    return key


def by_session() -> Caller | None:
    """The caller that the session cookie names, or None."""
    row = db().one(
        "SELECT user.* FROM user JOIN session ON user.id = user_id WHERE key = ? AND session.created > ?",
        store.fingerprint(flask.request.cookies.get(SESSION_COOKIE, "")),
        time.time() - SESSION_SECONDS,
    )
    return _user(row) if row else None


def _user(row: Any) -> Caller:
    return Caller(id=row["id"], login=row["login"], role=row["role"], is_admin=bool(row["is_admin"]))


def _by_token(token: str) -> Caller:
    row = db().one(
        "SELECT service_account.*, token.expires FROM token JOIN service_account"
        " ON service_account.id = service_account_id WHERE key = ? AND NOT is_disabled",
        store.fingerprint(token),
    )
    if row is None:
        raise ApiError(401, "Invalid API key", messageId="api-key.invalid", statusCode=401, traceID="")
    if row["expires"] is not None and row["expires"] < time.time():
        raise ApiError(401, "Expired API key", messageId="api-key.expired", statusCode=401, traceID="")
    return Caller(id=row["id"], login=f"sa-1-{row['name']}", role=row["role"], is_service_account=True)


def _authorize() -> None:
    """Find out who calls before a handler marked with `needs` runs."""
    handler = flask.current_app.view_functions.get(flask.request.endpoint or "")
    needed = getattr(handler, "needs", None)
    if needed is None:
        return
    credentials = flask.request.authorization
    if credentials is None:
        found = by_session()
    elif credentials.type == "basic":
        found = login(credentials.username or "", credentials.password or "")
    else:
        found = _by_token(credentials.token or "")
    if found is None:
        raise ApiError(401, "Unauthorized", messageId="auth.unauthorized", statusCode=401, traceID="")
    if flask.request.headers.get("X-Grafana-Org-Id", "1") != "1":
        raise ApiError(403, "The stand-in has one organization, with the id 1")
    role, server_admin = needed
    if ROLES.index(found.role) < ROLES.index(role) or (server_admin and not found.is_admin):
        raise ApiError(
            403,
            "You'll need additional permissions to perform this action."
            f" Permissions needed: {'server administrator' if server_admin else role}",
            title="Access denied",
        )
    flask.g.caller = found


class Telemetry:
    """Grafana's metric names, as far as the stand-in has what they count.

    Each application has its own registry; process_* come from prometheus_client.
    """

    def __init__(self, settings: Settings) -> None:
        prometheus_client.disable_created_metrics()  # type: ignore[no-untyped-call]  # it has no annotations
        self.settings = settings
        self.registry = prometheus_client.CollectorRegistry()
        prometheus_client.ProcessCollector(registry=self.registry)
        self.in_flight = prometheus_client.Gauge(
            "grafana_http_request_in_flight",
            "Requests being served",
            registry=self.registry,
        )
        self.duration = prometheus_client.Histogram(
            "grafana_http_request_duration_seconds",
            "Latencies of HTTP requests",
            ["handler", "status_code", "method"],
            buckets=(0.005, 0.01, 0.025, 0.05, 0.1, 0.25, 0.5, 1, 2.5, 5),
            registry=self.registry,
        )
        self.source_requests = prometheus_client.Counter(
            "grafana_datasource_request_total",
            "Outgoing requests to data sources",
            ["datasource", "datasource_type", "code", "method"],
            registry=self.registry,
        )
        self.logins = prometheus_client.Counter(
            "grafana_api_login_post_total", "Logins over the login form", registry=self.registry
        )
        build = prometheus_client.Gauge(
            "grafana_build_info",
            "Always 1; the labels say what runs",
            ["version", "revision", "branch", "edition", "goversion"],
            registry=self.registry,
        )
        build.labels(GRAFANA_API_VERSION, "stand-in", f"stand-in-{STAND_IN_VERSION}", "stand-in", "none").set(1)
        self.registry.register(self)

    def collect(self) -> list[GaugeMetricFamily]:
        """The totals, counted at each scrape."""
        opened = store.Store(self.settings.database)
        try:
            totals = [
                GaugeMetricFamily(name, f"Number of rows: {table}", value=opened.count(table))
                for name, table in (
                    ("grafana_stat_totals_dashboard", "dashboard"),
                    ("grafana_stat_totals_folder", "folder"),
                    ("grafana_stat_totals_annotations", "annotation"),
                    ("grafana_stat_total_users", "user"),
                    ("grafana_stat_total_service_accounts", "service_account"),
                )
            ]
            sources = GaugeMetricFamily(
                "grafana_stat_totals_datasource", "Number of data sources", labels=["plugin_id"]
            )
            for row in opened.all(
                "SELECT json_extract(body, '$.type') AS type, count(*) AS total FROM data_source GROUP BY 1"
            ):
                sources.add_metric([row["type"]], row["total"])
            orgs = GaugeMetricFamily("grafana_stat_total_orgs", "Number of organizations", value=1)
            return [*totals, sources, orgs]
        finally:
            opened.close()


def telemetry() -> Telemetry:
    known: Telemetry = flask.current_app.config["TELEMETRY"]
    return known


def frame(settings: Settings) -> flask.Flask:
    """An application without routes: what is around them is set up here."""
    app = flask.Flask(__name__, static_folder=None)
    app.config.update(SETTINGS=settings, TELEMETRY=Telemetry(settings))
    app.json.sort_keys = False  # type: ignore[attr-defined]  # the default provider has it, its base class has not

    @app.before_request
    def start() -> None:
        flask.g.started = time.perf_counter()
        telemetry().in_flight.inc()
        flask.g.in_flight = True
        _authorize()

    @app.after_request
    def finish(response: flask.Response) -> flask.Response:
        db_opened: store.Store | None = flask.g.get("store")
        if db_opened is not None and response.status_code < 400:
            db_opened.commit()
        response.headers["X-Grafana-Stand-In"] = "1"
        response.headers["Cache-Control"] = "no-store"
        response.headers["X-Content-Type-Options"] = "nosniff"
        response.headers["X-Frame-Options"] = "deny"
        if flask.request.path != "/metrics":
            rule = flask.request.url_rule
            handler = rule.rule.replace("<path:", ":").replace("<int:", ":").replace("<", ":") if rule else "notfound"
            telemetry().duration.labels(
                handler.replace(">", ""), str(response.status_code), flask.request.method
            ).observe(time.perf_counter() - flask.g.started)
        return response

    @app.teardown_request
    def end(_error: BaseException | None) -> None:
        if flask.g.pop("in_flight", False):
            telemetry().in_flight.dec()
        opened = flask.g.pop("store", None)
        if opened is not None:
            opened.close()

    @app.errorhandler(ApiError)
    def api_error(error: ApiError) -> tuple[dict[str, Any], int]:
        return error.body, error.status

    @app.errorhandler(HTTPException)
    def http_error(error: HTTPException) -> tuple[dict[str, Any], int]:
        return {"message": "Not found" if error.code == 404 else error.name}, error.code or 500

    @app.get("/metrics")
    def metrics() -> flask.Response:
        return flask.Response(
            prometheus_client.generate_latest(telemetry().registry),
            content_type=prometheus_client.CONTENT_TYPE_LATEST,
        )

    return app
