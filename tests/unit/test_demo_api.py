"""The demo's API on fakes of its backends' clients: every metric moves, every outage is answered."""

import json
import re
import smtplib
from collections.abc import Iterator
from contextlib import contextmanager
from typing import Any, Self

import httpx
import psycopg
import pytest
import redis
from flask.testing import FlaskClient

from demo.app import create_app
from demo.backends import SLOW_QUERY, Cache, Database, Mailer, Search, UnavailableError
from demo.fault_injection import FaultInjector
from demo.jobs import schedule
from demo.metrics import Metrics
from demo.settings import Settings

SETTINGS = Settings(
    database_host="postgres",
    database_name="demo",
    database_user="demo",
    database_password="-",
    redis_host="redis",
    redis_password=None,
    search_url="http://search",
    smtp_host="inbox",
    smtp_port=1025,
    mail_from="api@example.org",
)


class FakePool:
    """Answers the API's few statements from dictionaries, as the pool, its connection and its cursor in one."""

    description: Any = True

    def __init__(self) -> None:
        self.users: dict[str, tuple[int, str]] = {}
        self.statements: list[str] = []
        self.down = False
        self.answer: list[tuple[Any, ...]] = []

    @contextmanager
    def connection(self) -> Iterator["FakePool"]:
        if self.down:
            raise psycopg.OperationalError("connection refused")
        yield self

    def execute(self, query: str, params: tuple[Any, ...] | None = None) -> "FakePool":
        self.statements.append(query)
        self.answer = []
        if query.startswith("INSERT INTO users") and params and params[0] not in self.users:
            self.users[params[0]] = (len(self.users) + 1, params[1])
            self.answer = [(len(self.users),)]
        elif query.startswith("SELECT id, password_hash") and params and params[0] in self.users:
            self.answer = [self.users[params[0]]]
        elif "FROM articles WHERE" in query and params and params[0] <= 20:
            self.answer = [(params[0], "Title", "Body")]
        elif query.startswith("SELECT count"):
            self.answer = [(len(self.users),)]
        elif "FROM articles ORDER" in query:
            self.answer = [(1, "One", "Body"), (2, "Two", "Body")]
        return self

    def fetchall(self) -> list[tuple[Any, ...]]:
        return self.answer


class FakeRedis(dict[str, str]):
    down = False

    def get(self, key: str, default: Any = None) -> Any:
        if self.down:
            raise redis.ConnectionError("refused")
        return super().get(key, default)

    def set(self, key: str, value: str, ex: int) -> None:
        self[key] = value

    def delete(self, key: str) -> None:
        self.pop(key, None)


class FakeEngine:
    """A search engine with one index, behind httpx's mock transport."""

    def __init__(self) -> None:
        self.articles: dict[str, Any] | None = None
        self.down = False

    def __call__(self, request: httpx.Request) -> httpx.Response:
        if self.down:
            raise httpx.ConnectError("refused")
        if request.method == "PUT":
            self.articles = self.articles or {}
            return httpx.Response(200, json={"acknowledged": True})
        if self.articles is None:
            return httpx.Response(404, json={"error": {"type": "index_not_found_exception"}, "status": 404})
        if request.url.path.endswith("_bulk"):
            lines = [json.loads(line) for line in request.content.splitlines()]
            self.articles.update({a["index"]["_id"]: b for a, b in zip(lines[::2], lines[1::2], strict=True)})
            return httpx.Response(200, json={"errors": False})
        if request.url.path.endswith("_count"):
            return httpx.Response(200, json={"count": len(self.articles)})
        hits = [{"_id": key, "_source": source} for key, source in self.articles.items()]
        return httpx.Response(200, json={"hits": {"hits": hits}})


class FakeMailServer:
    sent: list[Any]
    down = False

    def __init__(self, host: str, port: int, timeout: float) -> None:
        if self.down:
            raise ConnectionRefusedError(f"{host}:{port}")

    def __enter__(self) -> Self:
        return self

    def __exit__(self, *_: object) -> None: ...

    def send_message(self, mail: Any) -> None:
        self.sent.append(mail)


class World:
    """The API and everything under it."""

    def __init__(self) -> None:
        self.pool, self.redis, self.engine = FakePool(), FakeRedis(), FakeEngine()
        self.metrics, self.panel = Metrics(statuses=(200, 201, 500, 503)), FaultInjector()
        self.database = Database(self.pool, self.metrics, self.panel)  # type: ignore[arg-type]
        self.search = Search(httpx.Client(transport=httpx.MockTransport(self.engine), base_url="http://search"))
        cache = Cache(self.redis, self.metrics, self.panel)  # type: ignore[arg-type]
        self.app = create_app(
            self.database, cache, self.search, Mailer(SETTINGS, self.metrics), self.metrics, self.panel
        )
        self.client: FlaskClient = self.app.test_client()
        self.scheduler = schedule(self.database, self.search, self.metrics)

    def run_jobs(self) -> None:
        for job in self.scheduler.get_jobs():
            job.func()

    def figures(self) -> dict[str, float]:
        """Each sample's value, summed over its labels."""
        sums: dict[str, float] = {}
        text = self.client.get("/metrics").text
        for name, figure in re.findall(r"^(\w+)(?:\{.*\})? (\S+)$", text, re.MULTILINE):
            sums[name] = sums.get(name, 0) + float(figure)
        return sums


@pytest.fixture
def world(monkeypatch: pytest.MonkeyPatch) -> World:
    FakeMailServer.sent = []
    monkeypatch.setattr(FakeMailServer, "down", False)
    monkeypatch.setattr(smtplib, "SMTP", FakeMailServer)
    # The real hash takes 60 ms by design.
    monkeypatch.setattr("demo.app.generate_password_hash", lambda password: f"hash of {password}")
    monkeypatch.setattr("demo.app.check_password_hash", lambda kept, password: kept == f"hash of {password}")
    return World()


ANN = {"email": "ann@example.org", "password": "long enough"}


def test_every_metric_moves_through_requests_and_jobs(world: World, monkeypatch: pytest.MonkeyPatch) -> None:
    before = world.figures()
    assert world.client.post("/api/auth/signup", json=ANN).status_code == 201
    world.run_jobs()
    assert world.client.post("/api/auth/login", json=ANN).status_code == 200
    assert world.client.get("/api/articles/1").json == world.client.get("/api/articles/1").json
    assert world.client.get("/api/search?q=one").json == {
        "articles": [{"id": 1, "title": "One"}, {"id": 2, "title": "Two"}]
    }
    monkeypatch.setattr("demo.metrics.SLOW_REQUEST_SECONDS", -1.0)
    world.client.get("/api/articles/1")
    world.pool.down = True
    assert world.client.get("/api/articles/2").status_code == 503
    after = world.figures()
    moved = {name for name in after if after[name] != before[name]}
    assert moved >= {
        "http_requests_total",
        "http_request_duration_seconds_count",
        "http_slow_requests_total",
        "active_users_gauge",
        "app_uptime_seconds",
        "db_query_count",
        "db_query_duration_ms_count",
        "db_query_errors",
        "cache_hits_total",
        "cache_misses_total",
        "auth_successful_logins",
        "email_sent_total",
    }
    assert after["scheduled_jobs_gauge"] == 2
    assert after["cache_hits_total"] == 2 and after["cache_misses_total"] == 2


def test_sign_up_sends_the_welcome_mail_and_survives_its_failure(world: World, monkeypatch: pytest.MonkeyPatch) -> None:
    assert world.client.post("/api/auth/signup", json=ANN).json == {"id": 1, "welcome_mail_sent": True}
    assert FakeMailServer.sent[0]["To"] == "ann@example.org"
    monkeypatch.setattr(FakeMailServer, "down", True)
    answer = world.client.post("/api/auth/signup", json=ANN | {"email": "bob@example.org"})
    assert answer.status_code == 201 and answer.json == {"id": 2, "welcome_mail_sent": False}
    assert world.figures()["email_sent_total"] == 1


def test_a_taken_address_is_no_database_error(world: World) -> None:
    world.client.post("/api/auth/signup", json=ANN)
    assert world.client.post("/api/auth/signup", json=ANN).status_code == 409
    assert world.figures()["db_query_errors"] == 0


def test_a_wrong_password_is_no_login(world: World) -> None:
    world.client.post("/api/auth/signup", json=ANN)
    assert world.client.post("/api/auth/login", json=ANN | {"password": "another one"}).status_code == 401
    assert world.figures()["auth_successful_logins"] == 0


@pytest.mark.parametrize(
    "body",
    [
        [],
        {},
        ANN | {"email": 7},
        ANN | {"email": "ann"},
        ANN | {"email": "a\r\nb@example.org"},
        ANN | {"email": "a" * 300 + "@example.org"},
        ANN | {"password": "short"},
        ANN | {"password": "x" * 129},
        ANN | {"password": "nul \x00 inside"},
        ANN | {"password": "lone surrogate \ud800"},
    ],
)
def test_bad_credentials_are_refused_before_the_database(world: World, body: object) -> None:
    answer = world.client.post("/api/auth/signup", json=body)
    assert answer.status_code == 400 and answer.json and "must" in answer.json["error"]
    assert world.figures()["db_query_count"] == 0


def test_input_is_bounded(world: World) -> None:
    assert world.client.post("/api/auth/signup", json=ANN | {"more": "x" * 20_000}).status_code == 413
    assert world.client.get("/api/search?q=" + "x" * 201).status_code == 400
    assert world.client.get("/api/search").status_code == 400
    assert world.client.get(f"/api/articles/{10**30}").status_code == 404


def test_a_missing_article_is_404_and_errors_are_json(world: World) -> None:
    assert world.client.get("/api/articles/21").json == {"error": "there is no article 21"}
    answer = world.client.get("/nowhere")
    assert answer.status_code == 404 and answer.json and answer.json["error"]


def test_without_database_503_and_metrics_go_on(world: World, monkeypatch: pytest.MonkeyPatch) -> None:
    world.pool.down = True
    assert world.client.post("/api/auth/login", json=ANN).status_code == 503
    world.run_jobs()
    assert world.figures()["db_query_errors"] == 3
    assert world.client.get("/healthz").status_code == 200
    world.pool.down = False
    assert world.client.post("/api/auth/login", json=ANN).status_code == 503  # within a second: not tried
    monkeypatch.setattr(world.database, "_retry_at", 1e-9)
    assert world.client.post("/api/auth/signup", json=ANN).status_code == 201


def test_without_redis_reads_come_from_the_database(world: World) -> None:
    world.redis.down = True
    assert world.client.get("/api/articles/1").status_code == 200
    assert world.figures()["cache_misses_total"] == 1


def test_without_search_engine_or_index_503(world: World) -> None:
    assert world.client.get("/api/search?q=one").status_code == 503
    world.engine.down = True
    assert world.client.get("/api/search?q=one").status_code == 503
    world.engine.down = False
    world.run_jobs()
    assert world.client.get("/api/search?q=one").status_code == 200


def test_an_engine_that_comes_back_empty_is_filled_again(world: World) -> None:
    world.run_jobs()
    world.engine.articles = None
    world.run_jobs()
    assert world.engine.articles is not None and len(world.engine.articles) == 2


def test_an_engine_that_refuses_the_articles_is_reported(world: World) -> None:
    refusing = httpx.MockTransport(lambda _: httpx.Response(200, json={"errors": True}))
    with pytest.raises(UnavailableError, match="did not take"):
        Search(httpx.Client(transport=refusing, base_url="http://search")).fill([(1, "One", "Body")])


def test_the_faults_do_what_they_say(world: World) -> None:
    def switch(**desired: object) -> None:
        assert world.client.post("/demo/faults", json=desired).status_code == 200

    switch(fail_rate=1)
    assert world.client.get("/api/articles/1").status_code == 500
    assert world.client.get("/healthz").status_code == 200
    switch(fail_rate=0, slow_queries=True, cache_off=True)
    for _ in range(2):
        assert world.client.get("/api/articles/1").status_code == 200
    assert world.pool.statements.count(SLOW_QUERY) == 2
    assert world.figures()["cache_misses_total"] == 2
    assert world.client.get("/demo/faults").json == {
        "fail_rate": 0,
        "delay_ms": 0,
        "slow_queries": True,
        "cache_off": True,
    }


@pytest.mark.parametrize(
    ("body", "said"),
    [
        ([], "fail_rate, delay_ms, slow_queries, cache_off"),
        ({"fail_rat": 1}, "unknown fault 'fail_rat'"),
        ({"fail_rate": 1.1}, "from 0 to 1"),
        ({"fail_rate": True}, "from 0 to 1"),
        ({"fail_rate": float("nan")}, "from 0 to 1"),
        ({"fail_rate": "1"}, "from 0 to 1"),
        ({"delay_ms": 5001}, "from 0 to 5000"),
        ({"delay_ms": 1.5}, "from 0 to 5000"),
        ({"slow_queries": 1}, "true or false"),
        ({"cache_off": None}, "true or false"),
    ],
)
def test_invalid_faults_are_rejected_and_change_nothing(world: World, body: object, said: str) -> None:
    answer = world.client.post("/demo/faults", json=body)
    assert answer.status_code == 400 and answer.json and said in answer.json["error"]
    assert world.panel.now == FaultInjector().now


def test_settings_name_what_is_missing(tmp_path: Any) -> None:
    with pytest.raises(SystemExit, match="DATABASE_HOST is not set"):
        Settings.from_environment({})
    environ = dict.fromkeys(
        (
            "DATABASE_HOST",
            "DATABASE_NAME",
            "DATABASE_USER",
            "REDIS_HOST",
            "SEARCH_URL",
            "SMTP_HOST",
            "MAIL_FROM",
        ),
        "x",
    )
    secret = tmp_path / "password"
    with pytest.raises(SystemExit, match="cannot read the file"):
        Settings.from_environment(environ | {"DATABASE_PASSWORD_FILE": str(secret)})
    secret.write_text("s3cret\n")
    assert Settings.from_environment(environ | {"DATABASE_PASSWORD_FILE": str(secret)}).database_password == "s3cret"
