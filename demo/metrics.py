"""The metrics of a Flask API, under the names that the monitoring stack reads; usable by any Flask application.

    metrics = Metrics()
    metrics.init_app(app)          # first of all extensions: its clock starts before their hooks
    with metrics.db_query(): ...   # around each database query
    metrics.cache_hits_total.inc()

It serves **one worker process with any number of threads**. The figures live in the memory of the process, where
threads share them; two workers would each answer a scrape with their own half. An application that runs more workers
gives each its own port and scrape target, or moves to prometheus_client's multiprocess mode.

Family names stay as written. prometheus_client's Counter adds `_total` to every name; the text of the three families
in UNSUFFIXED_COUNTERS is put back, with TYPE counter. Format: Prometheus text 0.0.4, which sets no rule on suffixes.
"""

import re
import time
from collections.abc import Iterator
from contextlib import contextmanager

import psutil
from flask import Flask, Response, g, request
from prometheus_client import (
    CollectorRegistry,
    Counter,
    Gauge,
    Histogram,
    disable_created_metrics,
    generate_latest,
)
from prometheus_client.exposition import CONTENT_TYPE_PLAIN_0_0_4

SLOW_REQUEST_SECONDS = 1.0
QUERY_BUCKETS_MS = (1, 2.5, 5, 10, 25, 50, 100, 250, 500, 1000, 2500, 5000)
UNSUFFIXED_COUNTERS = ("db_query_count", "db_query_errors", "auth_successful_logins")
_ADDED_SUFFIX = re.compile(rf"^((?:# (?:HELP|TYPE) )?(?:{'|'.join(UNSUFFIXED_COUNTERS)}))_total(?= )", re.MULTILINE)
_METHODS = frozenset({"GET", "POST", "PUT", "PATCH", "DELETE", "HEAD", "OPTIONS"})


class Metrics:
    """Fifteen metric families and the hooks that move those about requests.

    `path` is where they are served. Requests to it and to `unmeasured` routes are not counted: probes arrive
    steadily and always succeed, so they would hide a high error rate. The series of every route exist at zero for
    each of `statuses` before the first request, because `rate()` cannot see the first increment of a new series.
    """

    def __init__(
        self,
        app: Flask | None = None,
        *,
        path: str = "/metrics",
        unmeasured: tuple[str, ...] = ("/healthz",),
        statuses: tuple[int, ...] = (200, 500),
    ) -> None:
        # `_created` series would double the families and no one reads them.
        disable_created_metrics()  # type: ignore[no-untyped-call]
        self._path, self._statuses, self._unmeasured = path, statuses, {path, *unmeasured}
        self._process, started = psutil.Process(), time.monotonic()
        self._process.cpu_percent()  # the first call only sets the start of the interval
        registry = self.registry = CollectorRegistry()

        def counter(name: str, text: str, *labels: str) -> Counter:
            return Counter(name, text, labels, registry=registry)

        def gauge(name: str, text: str) -> Gauge:
            return Gauge(name, text, registry=registry)

        where = ("endpoint", "method")
        self.http_requests_total = counter("http_requests_total", "Requests answered.", *where, "status")
        self.http_request_duration_seconds = Histogram(
            "http_request_duration_seconds", "Time to answer a request.", where, registry=registry
        )
        self.http_slow_requests_total = counter(
            "http_slow_requests_total", "Requests that took longer than 1000 ms.", *where
        )
        self.active_users_gauge = gauge("active_users_gauge", "Users seen in the last 15 minutes.")
        self.scheduled_jobs_gauge = gauge("scheduled_jobs_gauge", "Jobs registered with the scheduler.")
        gauge("app_uptime_seconds", "Time since start.").set_function(lambda: time.monotonic() - started)
        gauge("process_memory_mb", "Resident memory in MB of 10^6 bytes.").set_function(
            lambda: self._process.memory_info().rss / 1e6
        )
        gauge("process_cpu_percent", "CPU since the last scrape; 100 is one core.").set_function(
            self._process.cpu_percent
        )
        self.db_query_count = counter("db_query_count", "Database queries tried.")
        self.db_query_duration_ms = Histogram(
            "db_query_duration_ms",
            "Time of a successful query, the wait for a connection included.",
            buckets=QUERY_BUCKETS_MS,
            registry=registry,
        )
        self.db_query_errors = counter("db_query_errors", "Database queries that failed.")
        self.cache_hits_total = counter("cache_hits_total", "Reads answered from the cache.")
        self.cache_misses_total = counter("cache_misses_total", "Reads that the cache could not answer.")
        self.auth_successful_logins = counter("auth_successful_logins", "Logins that succeeded.")
        self.email_sent_total = counter("email_sent_total", "E-mails that the mail server accepted.")
        if app is not None:
            self.init_app(app)

    def init_app(self, app: Flask) -> None:
        """Adds the hooks and the route; one application per Metrics."""
        self._app = app
        app.before_request(self._begin)
        app.after_request(self._note_status)
        app.teardown_request(self._finish)  # runs even where the handler's exception reaches the server
        app.add_url_rule(self._path, "metrics", self._serve)

    @contextmanager
    def db_query(self) -> Iterator[None]:
        """Measures one database query. An exception counts as an error and passes on.

        A failed query has no duration: the wait for a dead database is not a slow query.
        """
        begin = time.perf_counter()
        self.db_query_count.inc()
        try:
            yield
        except Exception:
            self.db_query_errors.inc()
            raise
        self.db_query_duration_ms.observe((time.perf_counter() - begin) * 1000)

    def render(self) -> str:
        """All families in text format 0.0.4; needs nothing but this process."""
        for rule in self._app.url_map.iter_rules():
            for method in (rule.methods or set()) - {"HEAD", "OPTIONS"}:
                if rule.rule not in self._unmeasured:
                    self._make_series(rule.rule, method)
        return _ADDED_SUFFIX.sub(r"\1", generate_latest(self.registry).decode())

    def _make_series(self, endpoint: str, method: str) -> None:
        self.http_request_duration_seconds.labels(endpoint, method)
        self.http_slow_requests_total.labels(endpoint, method)
        for status in self._statuses:
            self.http_requests_total.labels(endpoint, method, str(status))

    def _serve(self) -> Response:
        return Response(self.render(), content_type=CONTENT_TYPE_PLAIN_0_0_4)

    def _begin(self) -> None:
        g.metrics_begin = time.perf_counter()

    def _note_status(self, response: Response) -> Response:
        g.metrics_status = response.status_code
        return response

    def _finish(self, _error: BaseException | None) -> None:
        # The route's rule and known methods only: paths and invented methods would make series without bound.
        endpoint = request.url_rule.rule if request.url_rule else "unmatched"
        if endpoint in self._unmeasured:
            return
        method = request.method if request.method in _METHODS else "OTHER"
        now = time.perf_counter()
        seconds = now - g.get("metrics_begin", now)
        self.http_requests_total.labels(endpoint, method, str(g.get("metrics_status", 500))).inc()
        self.http_request_duration_seconds.labels(endpoint, method).observe(seconds)
        if seconds > SLOW_REQUEST_SECONDS:
            self.http_slow_requests_total.labels(endpoint, method).inc()
