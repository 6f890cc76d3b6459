"""The catalogue: captured as Prometheus tells it, kept as readable data, and what counts as a change of an exporter."""

import json
from dataclasses import replace
from pathlib import Path
from typing import Any

import httpx
import pytest
from typer.testing import CliRunner, Result

from clients.probes import ClientError
from ops import __main__ as commands
from ops.capture_metrics import capture, capture_all, capture_page, plain_version
from rules import JOBS, redis
from rules.metrics import FOLDER, MetricFamily, MetricsInventory, catalogues, changes, from_text, merge, to_text
from stacks.images import OFFICIAL

URL = "http://127.0.0.1:9090"
GRAFANA = "http://127.0.0.1:3000"
# The image whose version is that of a service's metrics: of its exporter, or its own. The API is no image of these.
IMAGES = {
    job.service: next(key for key in (f"{job.service}-exporter", job.service) if key in OFFICIAL)
    for job in JOBS
    if {f"{job.service}-exporter", job.service} & OFFICIAL.keys()
}
UP = MetricFamily(type="gauge", help="Whether it answers.", labels=frozenset())
HITS = MetricFamily(type="counter", help="Hits.", labels=frozenset({"db", "node"}), optional=frozenset({"node"}))
SECONDS = MetricFamily(type="histogram", help="Time.", labels=frozenset({"db"}))
KNOWN = MetricsInventory(
    exporter="redis_exporter",
    version="1.2.3",
    metrics={"redis_up": UP, "redis_hits_total": HITS, "redis_seconds": SECONDS},
)


def with_metrics(**metrics: MetricFamily) -> MetricsInventory:
    return replace(KNOWN, metrics={**KNOWN.metrics, **metrics})


def row(name: str, **labels: str) -> dict[str, Any]:
    return {
        "metric": {"__name__": name, "job": "redis", "instance": "r", "service": "redis", **labels},
        "value": [0, "1"],
    }


class FakePrometheus:
    """Answers for one job, with redis_exporter's metrics; the others have no targets."""

    def __init__(self) -> None:
        self.stand_in = False
        self.job = "redis"
        self.metadata = {
            "redis_up": ("gauge", "Whether it answers."),
            "redis_hits_total": ("counter", "Hits."),
            "redis_seconds": ("histogram", "Time."),
            "redis_pause_seconds": ("summary", "Pauses."),
            "redis_errors_total": ("counter", "Nothing failed yet."),
            "redis_exporter_build_info": ("gauge", "Who it is."),
            "go_build_info": ("gauge", "What of."),
        }
        self.rows = [
            row("redis_up"),
            row("redis_hits_total", db="0"),
            row("redis_hits_total", db="1", node="a"),
            row("redis_seconds_bucket", db="0", le="1"),
            row("redis_seconds_sum", db="0"),
            row("redis_seconds_count", db="0"),
            row("redis_pause_seconds", quantile="0.5"),
            row("redis_pause_seconds_sum"),
            row("redis_exporter_build_info", version="v1.86.0-1"),
            row("go_build_info", version="(devel)"),
            row("up"),
            row("scrape_duration_seconds"),
            row("job:redis_hits:rate5m"),
            row("redis_up_count", of="a rule"),
            row("ALERTS", alertname="RedisDown"),
            {"metric": {"job": "redis"}, "value": [0, "1"]},
        ]

    def __call__(self, request: httpx.Request) -> httpx.Response:
        ours = f'job="{self.job}"' in str(dict(request.url.params))
        if request.url.path == "/api/v1/targets/metadata":
            told = [{"metric": name, "type": t, "help": h} for name, (t, h) in self.metadata.items()] if ours else []
            return httpx.Response(200, json={"data": told})
        if request.url.path == "/api/v1/query":
            return httpx.Response(200, json={"data": {"result": self.rows if ours else []}})
        headers = {"X-Grafana-Stand-In": "1"} if self.stand_in else {}
        return httpx.Response(200, json={}, headers=headers)

    def client(self) -> httpx.Client:
        return httpx.Client(transport=httpx.MockTransport(self))


# --- capturing -------------------------------------------------------------------------------------------------------


def captured(fake: FakePrometheus) -> MetricsInventory:
    with fake.client() as http:
        found = capture(http, URL, redis.JOB)
    assert found is not None
    return found


def test_what_an_exporter_exposes_is_captured_with_type_labels_and_help() -> None:
    found = captured(FakePrometheus())
    assert (found.exporter, found.version) == ("redis_exporter", "1.86.0")
    assert found.metrics == {
        "redis_up": UP,
        "redis_hits_total": HITS,
        "redis_seconds": SECONDS,
        "redis_pause_seconds": MetricFamily(type="summary", help="Pauses.", labels=frozenset()),
        "redis_exporter_build_info": MetricFamily(type="gauge", help="Who it is.", labels=frozenset({"version"})),
        "go_build_info": MetricFamily(type="gauge", help="What of.", labels=frozenset({"version"})),
    }


def test_an_exporter_that_does_not_say_who_it_is_is_called_after_its_job() -> None:
    fake = FakePrometheus()
    fake.rows = [row("redis_up")]
    found = captured(fake)
    assert (found.exporter, found.version, found.exporter_version) == ("redis", "", "redis")


def test_two_versions_of_an_exporter_are_both_told() -> None:
    fake = FakePrometheus()
    fake.rows.append(row("redis_exporter_build_info", version="v1.85.0"))
    assert captured(fake).version == "1.85.0, 1.86.0"


@pytest.mark.parametrize(
    ("told", "version"), [("v1.86.0-1", "1.86.0"), ("3.5.3+ds1", "3.5.3"), ("12.4.3", "12.4.3"), ("devel", "devel")]
)
def test_a_version_is_told_as_its_makers_number_it(told: str, version: str) -> None:
    assert plain_version(told) == version


def test_a_job_that_is_not_scraped_has_nothing_to_capture() -> None:
    with FakePrometheus().client() as http:
        assert set(capture_all(http, URL, GRAFANA, JOBS)) == {"redis"}


@pytest.mark.parametrize("stand_in", [True, False])
def test_grafanas_catalogue_says_whose_it_is(stand_in: bool) -> None:
    fake = FakePrometheus()
    fake.job, fake.stand_in = "grafana", stand_in
    fake.metadata = {"grafana_build_info": ("gauge", "Who it is.")}
    fake.rows = [row("grafana_build_info", version="12.4.3")]
    with fake.client() as http:
        found = capture_all(http, URL, GRAFANA, JOBS)["grafana"]
    assert found.exporter_version == ("grafana stand-in 12.4.3" if stand_in else "grafana 12.4.3")


def call(monkeypatch: pytest.MonkeyPatch, fake: FakePrometheus, out: Path, *more: str) -> Result:
    monkeypatch.setattr(commands, "client", fake.client)
    monkeypatch.delenv("STACK", raising=False)
    return CliRunner().invoke(commands.app, ["capture-metrics", "--out", str(out), *more])


def test_one_command_writes_the_files(monkeypatch: pytest.MonkeyPatch, tmp_path: Path) -> None:
    fake, out = FakePrometheus(), tmp_path / "new"
    done = call(monkeypatch, fake, out)
    assert done.exit_code == 0, done.output
    assert "redis: redis_exporter 1.86.0, 6 metrics, 6 new" in done.output.splitlines()
    assert "node: job node has no target that answers; its file stays as it is" in done.output.splitlines()
    assert [path.name for path in out.iterdir()] == ["redis.json"]
    assert from_text((out / "redis.json").read_text(encoding="utf-8")) == captured(fake)


def test_a_metric_that_came_after_something_happened_stays(monkeypatch: pytest.MonkeyPatch, tmp_path: Path) -> None:
    fake = FakePrometheus()
    fake.rows.append(row("redis_errors_total", kind="timeout"))
    call(monkeypatch, fake, tmp_path)
    fake.rows.pop()
    fake.rows.append(row("redis_later_total"))
    fake.metadata["redis_later_total"] = ("counter", "Later.")
    assert "redis: redis_exporter 1.86.0, 8 metrics, 1 new" in call(monkeypatch, fake, tmp_path).output
    there = from_text((tmp_path / "redis.json").read_text(encoding="utf-8")).metrics
    assert {"redis_errors_total", "redis_later_total"} <= there.keys()


def test_capturing_does_not_need_rules_that_are_right(monkeypatch: pytest.MonkeyPatch, tmp_path: Path) -> None:
    monkeypatch.setattr(commands, "load_desired_state", lambda _: pytest.fail("the plan was asked for"))
    assert call(monkeypatch, FakePrometheus(), tmp_path).exit_code == 0


def test_a_stack_that_is_not_there_is_told(monkeypatch: pytest.MonkeyPatch, tmp_path: Path) -> None:
    done = call(monkeypatch, FakePrometheus(), tmp_path, "--stack", "nope")
    assert done.exit_code == 2
    assert "stack 'nope' has no settings file" in done.output


# --- from a page -----------------------------------------------------------------------------------------------------

PAGE = """\
# HELP redis_up Whether it answers.
# TYPE redis_up gauge
redis_up 1
# HELP redis_hits_total Hits.
# TYPE redis_hits_total counter
redis_hits_total{db="0",node=""} 5
redis_hits_total{db="1",node="a"} 6
# HELP redis_seconds Time.
# TYPE redis_seconds histogram
redis_seconds_bucket{db="0",le="1"} 1
redis_seconds_bucket{db="0",le="+Inf"} 2
redis_seconds_sum{db="0"} 1.5
redis_seconds_count{db="0"} 2
# HELP redis_pause_seconds Pauses.
# TYPE redis_pause_seconds summary
redis_pause_seconds{quantile="0.5"} 0.1
redis_pause_seconds_sum 1
redis_pause_seconds_count 9
# HELP redis_errors_total Nothing failed yet.
# TYPE redis_errors_total counter
# HELP redis_exporter_build_info Who it is.
# TYPE redis_exporter_build_info gauge
redis_exporter_build_info{version="v1.86.0-1"} 1
# HELP go_build_info What of.
# TYPE go_build_info gauge
go_build_info{version="(devel)"} 1
undeclared 1
"""


def test_a_page_gives_what_prometheus_would_give_of_the_same_exporter() -> None:
    assert capture_page(PAGE, "redis") == captured(FakePrometheus())


def test_a_page_is_read_as_prometheus_stores_it() -> None:
    page = """\
# TYPE bills_made counter
bills_made{instance="mine",kind="a",job=""} 1
# HELP bills_open Without a type.
bills_open 3
# TYPE bills_untyped untyped
bills_untyped 3
"""
    found = capture_page(page, "billing")
    assert (found.exporter, found.version) == ("billing", "")
    assert found.metrics == {
        "bills_made": MetricFamily(type="counter", help="", labels=frozenset({"exported_instance", "kind"})),
        "bills_open": MetricFamily(type="unknown", help="Without a type.", labels=frozenset()),
        "bills_untyped": MetricFamily(type="unknown", help="", labels=frozenset()),
    }


@pytest.mark.parametrize(
    ("page", "cause"),
    [
        ("", "no metric with a TYPE or HELP line"),
        ("undeclared 1\n", "no metric with a TYPE or HELP line"),
        ("# TYPE redis_errors_total counter\n", "no metric with a TYPE or HELP line"),
        ("<html><body>Log in</body></html>", "not a page of metrics"),
        ("# TYPE redis_up gauge\nredis_up{\n", "not a page of metrics"),
        ("# TYPE redis_up gauge\nredis_up 1\n# EOF\n", "OpenMetrics"),
    ],
)
def test_what_is_no_page_of_metrics_is_refused(page: str, cause: str, tmp_path: Path) -> None:
    (tmp_path / "page").write_text(page, encoding="utf-8")
    done = from_page(tmp_path, str(tmp_path / "page"), "redis")
    assert done.exit_code == 2 and cause in done.output and isinstance(done.exception, SystemExit)
    assert not (tmp_path / "redis.json").exists()


def from_page(out: Path, source: str, service: str) -> Result:
    words = ["capture-metrics", "--out", str(out), "--from", source, "--service", service]
    return CliRunner().invoke(commands.app, words)


def test_one_command_writes_the_file_of_a_page(tmp_path: Path) -> None:
    (tmp_path / "page").write_text(PAGE, encoding="utf-8")
    done = from_page(tmp_path, str(tmp_path / "page"), "redis")
    assert done.output == "redis: redis_exporter 1.86.0, 6 metrics, 6 new\n"
    assert from_text((tmp_path / "redis.json").read_text(encoding="utf-8")) == capture_page(PAGE, "redis")


def test_a_page_can_be_at_an_address(monkeypatch: pytest.MonkeyPatch, tmp_path: Path) -> None:
    def answer(request: httpx.Request) -> httpx.Response:
        return httpx.Response(200, text=PAGE) if request.url.path == "/metrics" else httpx.Response(401, text="log in")

    monkeypatch.setattr(commands, "client", lambda: httpx.Client(transport=httpx.MockTransport(answer)))
    assert from_page(tmp_path, "http://redis:9121/metrics", "redis").exit_code == 0
    assert from_text((tmp_path / "redis.json").read_text(encoding="utf-8")) == capture_page(PAGE, "redis")
    refused = from_page(tmp_path, "http://redis:9121/", "redis").exception
    assert isinstance(refused, ClientError) and str(refused) == "the exporter answers 401 at http://redis:9121/: log in"


@pytest.mark.parametrize(
    ("words", "cause"),
    [
        (("--from", "page"), "--from and --service belong together"),
        (("--service", "redis"), "--from and --service belong together"),
        (("--from", "page", "--service", "../redis"), "'../redis' is not the name of a file in rules/"),
        (("--from", "nowhere", "--service", "redis"), "nowhere cannot be read: No such file or directory"),
    ],
)
def test_a_page_needs_its_service_and_a_service_its_page(words: tuple[str, ...], cause: str, tmp_path: Path) -> None:
    done = CliRunner().invoke(commands.app, ["capture-metrics", "--out", str(tmp_path), *words])
    assert done.exit_code == 2 and cause in done.output


# --- keeping ---------------------------------------------------------------------------------------------------------


def test_a_file_has_a_metric_per_line_and_is_read_as_it_was_written() -> None:
    text = to_text(KNOWN)
    assert text.splitlines() == [
        "{",
        '"exporter": "redis_exporter",',
        '"version": "1.2.3",',
        '"metrics": {',
        '"redis_hits_total": {"help": "Hits.", "labels": ["db", "node"], "optional": ["node"], "type": "counter"},',
        '"redis_seconds": {"help": "Time.", "labels": ["db"], "type": "histogram"},',
        '"redis_up": {"help": "Whether it answers.", "labels": [], "type": "gauge"}',
        "}",
        "}",
    ]
    json.loads(text)
    assert from_text(text) == KNOWN


def test_every_service_has_a_catalogue_as_the_command_writes_it() -> None:
    assert set(catalogues()) == {job.service for job in JOBS}
    for service, there in catalogues().items():
        assert (FOLDER / f"{service}.json").read_text(encoding="utf-8") == to_text(there)
        assert there.metrics


@pytest.mark.parametrize("service", IMAGES)
def test_the_catalogue_is_of_the_pinned_line(service: str) -> None:
    # A closed network's packages differ in the last digits at most (stacks/images.py).
    pinned = plain_version(OFFICIAL[IMAGES[service]].rpartition(":")[2]).split(".")
    assert catalogues()[service].version.split(".")[:2] == pinned[:2]


@pytest.mark.parametrize(
    ("series", "labels"),
    [
        ("redis_up", set()),
        ("redis_hits_total", {"db", "node"}),
        ("redis_seconds_bucket", {"db", "le"}),
        ("redis_seconds_sum", {"db"}),
        ("redis_seconds_count", {"db"}),
        ("pause_seconds", {"quantile"}),
        ("pause_seconds_sum", set()),
        ("pause_seconds_count", set()),
        ("things_count", set()),
        ("redis_seconds", None),
        ("redis_up_count", None),
        ("redis_hits_total_sum", None),
        ("pause_seconds_bucket", None),
        ("redis_hits", None),
        ("", None),
    ],
)
def test_the_series_of_a_metric_follow_from_its_type(series: str, labels: set[str] | None) -> None:
    known = with_metrics(
        pause_seconds=MetricFamily(type="summary", help="", labels=frozenset()),
        things_count=MetricFamily(type="gauge", help="", labels=frozenset()),
    )
    assert known.labels(series) == (None if labels is None else labels | {"instance", "job", "service"})


def test_captures_of_one_version_add_up() -> None:
    again = MetricsInventory(
        exporter="redis_exporter",
        version="1.2.3",
        metrics={
            "redis_hits_total": replace(HITS, labels=frozenset({"db", "shard"}), optional=frozenset()),
            "redis_new": UP,
        },
    )
    both = merge(KNOWN, again)
    assert both.metrics.keys() == {"redis_up", "redis_hits_total", "redis_seconds", "redis_new"}
    assert both.metrics["redis_hits_total"].labels == {"db", "node", "shard"}
    assert both.metrics["redis_hits_total"].optional == {"node", "shard"}
    assert merge(KNOWN, KNOWN) == KNOWN


@pytest.mark.parametrize("change", [{"version": "1.2.4"}, {"exporter": "other"}])
def test_a_capture_of_another_version_starts_anew(change: dict[str, Any]) -> None:
    new = replace(KNOWN, metrics={"redis_up": UP}, **change)
    assert merge(KNOWN, new) == merge(None, new) == new


# --- what changed ----------------------------------------------------------------------------------------------------


@pytest.mark.parametrize(
    ("series", "metric", "told"),
    [
        ("redis_hits_total", replace(HITS, help="Other words."), []),
        ("redis_hits_total", replace(HITS, labels=frozenset({"db"})), []),
        ("redis_hits_total", replace(HITS, labels=frozenset({"db", "x"}), optional=frozenset({"x"})), []),
        ("redis_hits_total", replace(HITS, type="gauge"), ["redis_hits_total is a gauge now, not a counter"]),
        ("redis_hits_total", replace(HITS, labels=frozenset({"node"})), ["redis_hits_total has no label db any more"]),
        (
            "redis_hits_total",
            replace(HITS, labels=frozenset({"db", "shard"})),
            ["redis_hits_total has a new label shard"],
        ),
        (
            "redis_hits_total",
            replace(HITS, labels=frozenset({"database"})),
            ["redis_hits_total has no label db any more", "redis_hits_total has a new label database"],
        ),
        ("redis_hits_total", None, ["redis_hits_total is gone"]),
        ("redis_seconds_bucket", None, ["redis_seconds_bucket is gone"]),
        (
            "redis_seconds_bucket",
            replace(SECONDS, type="gauge"),
            ["redis_seconds_bucket is a gauge now, not a histogram"],
        ),
    ],
)
def test_a_metric_has_changed_where_its_type_or_labels_have(
    series: str, metric: MetricFamily | None, told: list[str]
) -> None:
    family = KNOWN.family(series)
    others: dict[str, MetricFamily] = {name: there for name, there in KNOWN.metrics.items() if name != family}
    live = replace(KNOWN, metrics={**others, **({family: metric} if metric else {})})
    assert changes(series, KNOWN, live) == told


def test_the_real_server_may_have_labels_that_its_stand_in_lacks_but_not_the_other_way_round() -> None:
    real = replace(with_metrics(redis_up=replace(UP, labels=frozenset({"shard"}))), exporter="redis")
    assert changes("redis_up", KNOWN, real) == []
    assert changes("redis_up", real, KNOWN) == ["redis_up has no label shard any more"]


# --- panels ----------------------------------------------------------------------------------------------------------
