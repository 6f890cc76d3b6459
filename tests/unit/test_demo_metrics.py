"""The metrics module in a Flask application that knows nothing of the demo."""

import re
import threading

import pytest
from flask import Flask, abort
from prometheus_client.parser import text_string_to_metric_families

from demo import metrics as module
from demo.metrics import Metrics

FAMILIES = {
    "http_requests_total": "counter",
    "http_request_duration_seconds": "histogram",
    "http_slow_requests_total": "counter",
    "active_users_gauge": "gauge",
    "scheduled_jobs_gauge": "gauge",
    "app_uptime_seconds": "gauge",
    "process_memory_mb": "gauge",
    "process_cpu_percent": "gauge",
    "db_query_count": "counter",
    "db_query_duration_ms": "histogram",
    "db_query_errors": "counter",
    "cache_hits_total": "counter",
    "cache_misses_total": "counter",
    "auth_successful_logins": "counter",
    "email_sent_total": "counter",
}


@pytest.fixture
def metrics() -> Metrics:
    return Metrics()


@pytest.fixture
def app(metrics: Metrics) -> Flask:
    app = Flask("bare")
    metrics.init_app(app)

    @app.get("/things/<int:key>")
    def thing(key: int) -> str:
        return str(key)

    @app.get("/teapot")
    def teapot() -> str:
        abort(418)

    @app.post("/broken")
    def broken() -> str:
        raise RuntimeError("broken on purpose")

    @app.get("/healthz")
    def healthy() -> str:
        return "up"

    return app


def value(metrics: Metrics, name: str, **labels: str) -> float:
    """The sample of that name and labels as a scraper reads it; KeyError where there is none."""
    # Not prometheus_client's own reader: it adds the suffix again that this is about.
    for found, inside, figure in re.findall(r"^(\w+)(?:\{(.*)\})? (\S+)$", metrics.render(), re.MULTILINE):
        if found == name and dict(re.findall(r'(\w+)="([^"]*)"', inside)) == labels:
            return float(figure)
    raise KeyError((name, labels))


def test_exactly_the_families_of_the_checklist_with_their_types(app: Flask) -> None:
    answer = app.test_client().get("/metrics")
    assert answer.headers["Content-Type"] == "text/plain; version=0.0.4; charset=utf-8"
    assert dict(re.findall(r"^# TYPE (\S+) (\S+)$", answer.text, re.MULTILINE)) == FAMILIES


def test_unsuffixed_counters_have_help_type_and_sample_under_one_name(app: Flask, metrics: Metrics) -> None:
    text = metrics.render()
    for name in module.UNSUFFIXED_COUNTERS:
        assert re.search(rf"^# HELP {name} .+\n# TYPE {name} counter\n{name} 0\.0$", text, re.MULTILINE)
        assert f"{name}_total" not in text


def test_a_scraper_reads_every_line(app: Flask, metrics: Metrics) -> None:
    for family in text_string_to_metric_families(metrics.render()):
        assert family.samples, family.name


def test_endpoint_is_the_route_rule(app: Flask, metrics: Metrics) -> None:
    for key in range(3):
        app.test_client().get(f"/things/{key}")
    labels = {"endpoint": "/things/<int:key>", "method": "GET"}
    assert value(metrics, "http_requests_total", **labels, status="200") == 3
    assert value(metrics, "http_request_duration_seconds_count", **labels) == 3


def test_unknown_paths_and_methods_share_one_label_value(app: Flask, metrics: Metrics) -> None:
    client = app.test_client()
    client.get("/no/such/path")
    client.open("/another", method="INVENTED")
    assert value(metrics, "http_requests_total", endpoint="unmatched", method="GET", status="404") == 1
    assert value(metrics, "http_requests_total", endpoint="unmatched", method="OTHER", status="404") == 1


@pytest.mark.parametrize("propagate", [True, False])
def test_a_handler_that_raises_counts_as_500(app: Flask, metrics: Metrics, propagate: bool) -> None:
    app.config["PROPAGATE_EXCEPTIONS"] = propagate
    if propagate:
        with pytest.raises(RuntimeError):
            app.test_client().post("/broken")
    else:
        assert app.test_client().post("/broken").status_code == 500
    labels = {"endpoint": "/broken", "method": "POST"}
    assert value(metrics, "http_requests_total", **labels, status="500") == 1
    assert value(metrics, "http_request_duration_seconds_count", **labels) == 1


def test_aborted_requests_keep_their_status(app: Flask, metrics: Metrics) -> None:
    app.test_client().get("/teapot")
    assert value(metrics, "http_requests_total", endpoint="/teapot", method="GET", status="418") == 1


def test_routes_have_series_at_zero_before_the_first_request(app: Flask, metrics: Metrics) -> None:
    labels = {"endpoint": "/things/<int:key>", "method": "GET"}
    for status in ("200", "500"):
        assert value(metrics, "http_requests_total", **labels, status=status) == 0
    assert value(metrics, "http_slow_requests_total", **labels) == 0
    assert value(metrics, "http_request_duration_seconds_count", **labels) == 0


def test_scrapes_and_probes_are_not_counted(app: Flask, metrics: Metrics) -> None:
    app.test_client().get("/metrics")
    app.test_client().get("/healthz")
    assert 'endpoint="/metrics"' not in metrics.render()
    assert 'endpoint="/healthz"' not in metrics.render()


def test_requests_over_the_limit_are_slow(app: Flask, metrics: Metrics, monkeypatch: pytest.MonkeyPatch) -> None:
    app.test_client().get("/things/1")
    monkeypatch.setattr(module, "SLOW_REQUEST_SECONDS", -1.0)
    app.test_client().get("/things/1")
    assert value(metrics, "http_slow_requests_total", endpoint="/things/<int:key>", method="GET") == 1


def test_queries_are_counted_timed_and_their_failures_passed_on(app: Flask, metrics: Metrics) -> None:
    with metrics.db_query():
        pass
    with pytest.raises(LookupError), metrics.db_query():
        raise LookupError
    assert value(metrics, "db_query_count") == 2
    assert value(metrics, "db_query_errors") == 1
    assert value(metrics, "db_query_duration_ms_count") == 1
    assert value(metrics, "db_query_duration_ms_bucket", le="1000.0") == 1


def test_process_figures_are_plausible(app: Flask, metrics: Metrics) -> None:
    assert 5 < value(metrics, "process_memory_mb") < 10_000
    assert value(metrics, "process_cpu_percent") >= 0
    assert 0 <= value(metrics, "app_uptime_seconds") < value(metrics, "app_uptime_seconds")


def test_threads_lose_no_count(app: Flask, metrics: Metrics) -> None:
    def work() -> None:
        for _ in range(50):
            app.test_client().get("/things/1")

    threads = [threading.Thread(target=work) for _ in range(8)]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join()
    labels = {"endpoint": "/things/<int:key>", "method": "GET", "status": "200"}
    assert value(metrics, "http_requests_total", **labels) == 400


def test_two_applications_in_one_process_do_not_mix(app: Flask, metrics: Metrics) -> None:
    other = Metrics(Flask("other"))
    app.test_client().get("/things/1")
    assert "/things" not in other.render()
