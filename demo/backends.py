"""What the API stands on: PostgreSQL, Redis, the search engine and the mail server, each measured.

Every client gives up after 1 to 3 seconds and needs no restart after an outage: one of the API's few threads must
never wait long for a dead backend, or /metrics would wait behind it.
"""

import json
import logging
import smtplib
import time
from collections.abc import Callable
from email.message import EmailMessage
from typing import Any, LiteralString

import httpx
import psycopg
import redis
from psycopg_pool import ConnectionPool
from redis.backoff import NoBackoff
from redis.retry import Retry

from demo.fault_injection import FaultInjector
from demo.metrics import Metrics
from demo.settings import Settings

log = logging.getLogger(__name__)
SLOW_QUERY = "SELECT pg_sleep(1.2)"  # over the 1000 ms from which a query counts as slow
CACHE_SECONDS = 300
CONNECTION_ERRORS = (psycopg.OperationalError, psycopg.InterfaceError, psycopg.errors.UndefinedTable)


class UnavailableError(Exception):
    """A backend that the request needs does not answer; the API says 503."""


class Database:
    """PostgreSQL through a pool that reconnects by itself."""

    def __init__(self, pool: ConnectionPool[psycopg.Connection[Any]], metrics: Metrics, panel: FaultInjector) -> None:
        self._pool, self._metrics, self._panel = pool, metrics, panel
        self._retry_at = 0.0

    def rows(self, query: LiteralString, *params: object) -> list[tuple[Any, ...]]:
        """Runs one query, each in a transaction of its own. Raises UnavailableError while the database is away."""
        try:
            with self._metrics.db_query():
                now = time.monotonic()
                if now < self._retry_at:
                    raise UnavailableError("the database does not answer")
                if self._retry_at:  # in an outage one thread tries, and the others fail at once meanwhile
                    self._retry_at = now + 3
                with self._pool.connection() as connection:
                    if self._panel.now.slow_queries:
                        connection.execute(SLOW_QUERY)
                    cursor = connection.execute(query, params or None)
                    self._retry_at = 0.0
                    return cursor.fetchall() if cursor.description else []
        except CONNECTION_ERRORS as error:
            self._retry_at = time.monotonic() + 1
            raise UnavailableError(f"the database does not answer: {type(error).__name__}") from error


def open_pool(settings: Settings) -> ConnectionPool[psycopg.Connection[Any]]:
    """Connects in the background: the API starts, and serves its metrics, before the database is up."""
    return ConnectionPool(
        kwargs={
            "host": settings.database_host,
            "dbname": settings.database_name,
            "user": settings.database_user,
            "password": settings.database_password,
            "connect_timeout": 2,
            "tcp_user_timeout": 5000,
            "autocommit": True,
        },
        min_size=1,
        max_size=6,  # below the web server's 8 threads: a database that hangs leaves two for /metrics
        timeout=2,
        reconnect_timeout=5,  # then the next query starts anew; a longer backoff would outlast the outage
        check=ConnectionPool.check_connection,
        open=True,
    )


class Cache:
    """Redis in front of slower reads; without Redis every read is a miss and still answered."""

    def __init__(self, client: "redis.Redis", metrics: Metrics, panel: FaultInjector) -> None:
        self._client, self._metrics, self._panel = client, metrics, panel

    def read(self, key: str, load: Callable[[], Any]) -> Any:
        """The JSON value under `key`, from the cache or else from `load`."""
        reached = True
        try:
            if self._panel.now.cache_off:
                self._client.delete(key)  # so that Redis itself misses too
            if (kept := self._client.get(key)) is not None:
                self._metrics.cache_hits_total.inc()
                return json.loads(kept)
        except redis.RedisError as error:
            reached = False
            log.warning("cache not reached: %s", error)
        self._metrics.cache_misses_total.inc()
        value = load()
        if reached:
            try:
                self._client.set(key, json.dumps(value), ex=CACHE_SECONDS)
            except redis.RedisError as error:
                log.warning("cache not written: %s", error)
        return value


def open_cache(settings: Settings) -> "redis.Redis":
    """One try of a second each: the library's own retries would take longer than the database does."""
    return redis.Redis(
        host=settings.redis_host,
        password=settings.redis_password,
        socket_timeout=1,
        socket_connect_timeout=1,
        retry=Retry(NoBackoff(), 0),
        decode_responses=True,
    )


class Search:
    """The index `articles` of a search engine that speaks Elasticsearch's API; `client` has its base URL."""

    def __init__(self, client: httpx.Client) -> None:
        self._client = client

    def fill(self, articles: list[tuple[Any, ...]]) -> None:
        """Makes the index and puts the (id, title, body) rows in, unless they are there."""
        if self._call("GET", "/articles/_count").get("count") == len(articles):
            return
        # One node only: a replica could never be placed and the engine would stay yellow.
        self._call("PUT", "/articles", {"settings": {"number_of_replicas": 0}})
        lines = (
            json.dumps({"index": {"_id": key}}) + "\n" + json.dumps({"title": title, "body": body}) + "\n"
            for key, title, body in articles
        )
        if self._call("POST", "/articles/_bulk?refresh=true", "".join(lines)).get("errors") is not False:
            raise UnavailableError("the search engine did not take the articles")

    def find(self, words: str) -> list[dict[str, Any]]:
        """The ten best articles, as id and title. UnavailableError where engine or index is not there."""
        query = {"size": 10, "query": {"multi_match": {"query": words, "fields": ["title", "body"]}}}
        answer = self._call("POST", "/articles/_search", query)
        if "hits" not in answer:
            raise UnavailableError("the search index is not there yet; it is made within 15 seconds")
        return [{"id": int(hit["_id"]), "title": hit["_source"]["title"]} for hit in answer["hits"]["hits"]]

    def _call(self, method: str, path: str, body: object = None) -> dict[str, Any]:
        content = body if isinstance(body, str) or body is None else json.dumps(body)
        try:
            answer = self._client.request(method, path, content=content, headers={"Content-Type": "application/json"})
            if answer.status_code >= 500 or answer.status_code == 429:
                raise UnavailableError(f"the search engine answers {answer.status_code}")
            found = answer.json()
        except (httpx.HTTPError, ValueError) as error:
            raise UnavailableError(f"the search engine does not answer: {type(error).__name__}") from error
        return found if isinstance(found, dict) else {}


class Mailer:
    """Sends through a local mail server without login."""

    def __init__(self, settings: Settings, metrics: Metrics) -> None:
        self._settings, self._metrics = settings, metrics

    def welcome(self, address: str) -> bool:
        """Sends the welcome mail; False, with a warning in the log, where the mail server did not take it."""
        mail = EmailMessage()
        mail["Subject"] = "Welcome to SoftFactory"
        mail["From"], mail["To"] = self._settings.mail_from, address
        mail.set_content("Your account is ready.")
        try:
            with smtplib.SMTP(self._settings.smtp_host, self._settings.smtp_port, timeout=3) as server:
                server.send_message(mail)
        except (OSError, smtplib.SMTPException) as error:
            log.warning("welcome mail not sent: %s", error)
            return False
        self._metrics.email_sent_total.inc()
        return True
