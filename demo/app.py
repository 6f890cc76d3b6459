"""The API: sign-up, login, cached reads, search; its metrics at /metrics, the injected faults at /demo/faults."""

import logging
import random
import re
import time
from dataclasses import asdict
from typing import Any

import httpx
from flask import Flask, abort, request
from flask.typing import ResponseReturnValue
from werkzeug.exceptions import HTTPException
from werkzeug.security import check_password_hash, generate_password_hash

from demo.backends import Cache, Database, Mailer, Search, UnavailableError, open_cache, open_pool
from demo.fault_injection import FaultInjector
from demo.jobs import schedule
from demo.metrics import Metrics
from demo.settings import Settings

EMAIL = re.compile(r"[\w.+-]{1,64}@[\w.-]{1,180}", re.ASCII)
TOUCH_LAST_SEEN = "UPDATE users SET last_seen = now() WHERE id = %s"
SIGN_UP = "INSERT INTO users (email, password_hash) VALUES (%s, %s) ON CONFLICT DO NOTHING RETURNING id"


def from_environment() -> Flask:
    """The API with its real backends and its jobs started; for the one worker of the web server."""
    logging.basicConfig(level=logging.WARNING, format="%(levelname)s %(name)s: %(message)s")
    settings, panel = Settings.from_environment(), FaultInjector()
    metrics = Metrics(statuses=(200, 201, 500, 503))
    database = Database(open_pool(settings), metrics, panel)
    search = Search(httpx.Client(base_url=settings.search_url, timeout=2, trust_env=False))
    cache = Cache(open_cache(settings), metrics, panel)
    app = create_app(database, cache, search, Mailer(settings, metrics), metrics, panel)
    schedule(database, search, metrics).start()
    return app


def create_app(
    database: Database, cache: Cache, search: Search, mailer: Mailer, metrics: Metrics, panel: FaultInjector
) -> Flask:
    app = Flask("demo", static_folder=None)
    app.config["MAX_CONTENT_LENGTH"] = 16 * 1024
    metrics.init_app(app)

    @app.before_request
    def inject_faults() -> None:
        if request.path.startswith("/api/"):
            time.sleep(panel.now.delay_ms / 1000)
            if random.random() < panel.now.fail_rate:
                abort(500, "failed on purpose: the fault fail_rate is injected")

    @app.errorhandler(HTTPException)
    def say_error(error: HTTPException) -> ResponseReturnValue:
        return {"error": error.description}, error.code or 500

    @app.errorhandler(UnavailableError)
    def say_unavailable(error: UnavailableError) -> ResponseReturnValue:
        return {"error": str(error)}, 503

    @app.post("/api/auth/signup")
    def sign_up() -> ResponseReturnValue:
        email, password = credentials()
        created = database.rows(SIGN_UP, email, generate_password_hash(password))
        if not created:
            abort(409, "this email address has an account already")
        return {"id": created[0][0], "welcome_mail_sent": mailer.welcome(email)}, 201

    @app.post("/api/auth/login")
    def log_in() -> ResponseReturnValue:
        email, password = credentials()
        found = database.rows("SELECT id, password_hash FROM users WHERE email = %s", email)
        if not found or not check_password_hash(found[0][1], password):
            abort(401, "wrong email address or password")
        database.rows(TOUCH_LAST_SEEN, found[0][0])
        metrics.auth_successful_logins.inc()
        return {"id": found[0][0]}

    @app.get("/api/articles/<int:article_id>")
    def article(article_id: int) -> ResponseReturnValue:
        def load() -> dict[str, Any] | None:
            rows = database.rows("SELECT id, title, body FROM articles WHERE id = %s", article_id)
            return dict(zip(("id", "title", "body"), rows[0], strict=True)) if rows else None

        # Only keys that can exist reach the cache, so that it stays small.
        found = cache.read(f"article:{article_id}", load) if article_id <= 10_000 else None
        if found is None:
            abort(404, f"there is no article {article_id}"[:80])
        return {"article": found}

    @app.get("/api/search")
    def find() -> ResponseReturnValue:
        words = request.args.get("q", "").strip()
        if not 1 <= len(words) <= 200:
            abort(400, "q must hold the words to search for, 1 to 200 characters")
        return {"articles": search.find(words)}

    @app.get("/healthz")
    def healthy() -> ResponseReturnValue:
        return {"status": "up"}

    @app.get("/demo/faults")
    def show_faults() -> ResponseReturnValue:
        return asdict(panel.now)

    @app.post("/demo/faults")
    def set_faults() -> ResponseReturnValue:
        desired = request.get_json()
        if not isinstance(desired, dict):
            abort(400, f"expected a JSON object with any of {', '.join(asdict(panel.now))}")
        try:
            panel.now = panel.now.changed(desired)
        except ValueError as error:
            abort(400, str(error))
        return asdict(panel.now)

    return app


def credentials() -> tuple[str, str]:
    """Email address and password of the request's JSON body; a 400 says what each must be."""
    body = request.get_json()
    email, password = (body.get("email"), body.get("password")) if isinstance(body, dict) else (None, None)
    if not isinstance(email, str) or not EMAIL.fullmatch(email):
        abort(400, "email must be an address such as ann@example.org")
    if not isinstance(password, str) or not 8 <= len(password) <= 128 or not password.isprintable():
        abort(400, "password must have 8 to 128 printable characters")
    return email.lower(), password
