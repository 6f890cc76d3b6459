"""No panel is empty: under traffic every query of every dashboard of the plan has data, and what shows only in trouble
shows it when the trouble is there.
"""

import json
import math
import threading
import time
from collections.abc import Callable, Iterator, Mapping
from concurrent.futures import ThreadPoolExecutor
from contextlib import AbstractContextManager, ExitStack, contextmanager
from dataclasses import dataclass
from datetime import UTC, datetime
from typing import Any

import httpx
import pytest

from clients import probes
from dashboards.panels import ONLY_IN_TROUBLE
from demo.load_generator import LoadGenerator, run
from demo.notification_sink import LIMIT_BYTES
from desired_state import load_desired_state
from tests.e2e import persisted_state
from tests.e2e.conftest import NAME, PREFIX, Stack, eventually
from validation.dashboards import LABEL_VALUES, panels, queries

pytestmark = pytest.mark.engine

Record = Callable[[str, object], None]  # what the end of the run tells
PLAN = load_desired_state("dev")  # that of the end-to-end stack, but for names, ports and hold times
MODELS: list[dict[str, Any]] = [json.loads(text) for text in PLAN.dashboards.values()]
STEP = PLAN.expected.scrape_interval
# What Grafana may put in for its variables: all instances, and a range in which a few scrapes may be missing.
FILLED = {"$instance": ".*", "$__rate_interval": f"{12 * STEP:g}s"}


@dataclass(frozen=True, kw_only=True)
class Question:
    """One query of one panel."""

    dashboard: str
    panel: str
    expr: str
    empty_when_healthy: bool

    def __str__(self) -> str:
        return f"{self.dashboard}: {self.panel!r}: {' '.join(self.expr.split())}"


def filled(expr: str) -> str:
    for name, value in FILLED.items():
        expr = expr.replace(name, value)
    return expr


QUESTIONS = [
    Question(
        dashboard=model["uid"],
        panel=panel["title"],
        expr=filled(expr),
        empty_when_healthy=panel["description"].endswith(ONLY_IN_TROUBLE),
    )
    for model in MODELS
    for panel in panels(model)
    for expr in queries(panel)
]


def now(stack: Stack) -> float:
    """What time it is for Prometheus."""
    return probes.clock(stack.http, stack.url("prometheus")).timestamp()


def ask(stack: Stack, path: str, **parameters: Any) -> dict[str, Any]:
    """Prometheus' answer; its own words are under `error` where it has none."""
    url = f"{stack.url('prometheus')}/api/v1/{path}"
    answer: dict[str, Any] = stack.http.post(url, data=parameters, timeout=60).json()
    return answer


def lacks(stack: Stack, question: Question, since: float) -> str:
    """What a query lacks of data; empty where it has had some since then."""
    answer = ask(stack, "query_range", query=question.expr, start=since, end=now(stack), step=STEP)
    if answer["status"] != "success":
        return f"fails: {answer['error']}"
    values = [float(value) for series in answer["data"]["result"] for _, value in series["values"]]
    finite = [value for value in values if math.isfinite(value)]
    if not finite:
        return "NaN" if values else "empty"
    return "" if any(finite) else "always 0"


@contextmanager
def traffic(stack: Stack) -> Iterator[None]:
    """Visitors of the API, all the while."""
    enough, limits = threading.Event(), httpx.Limits(max_connections=4)
    with (
        httpx.Client(base_url=stack.url("api"), timeout=10, trust_env=False, limits=limits) as client,
        ThreadPoolExecutor(1) as pool,
    ):
        visitors = LoadGenerator(client)

        def visit() -> None:
            while not enough.is_set():
                run(visitors, seconds=2, rate=8)

        visiting = pool.submit(visit)
        try:
            yield
        finally:
            enough.set()
            visiting.result()


def test_under_traffic_no_panel_is_empty_but_those_that_show_only_in_trouble(
    stack: Stack, record_property: Record
) -> None:
    """The traffic goes on until all have data: what the objectives record is there after two minutes at most."""
    began, deadline = now(stack), time.monotonic() + 240
    waiting = {question: "" for question in QUESTIONS if not question.empty_when_healthy}
    with traffic(stack):
        while waiting and time.monotonic() < deadline:
            time.sleep(0.5)
            lacking = {question: lacks(stack, question, began) for question in waiting}
            waiting = {question: lack for question, lack in lacking.items() if lack}
    wrong = [f"{lack}: {question}" for question, lack in waiting.items()]
    quiet = [question for question in QUESTIONS if question.empty_when_healthy]
    failing = [f"{lack}: {q}" for q in quiet if (lack := lacks(stack, q, began)).startswith("fails")]
    record_property(
        "panels under traffic",
        f"{len(MODELS)} dashboards, {sum(len(panels(model)) for model in MODELS)} panels, {len(QUESTIONS)} queries; "
        f"empty: {len(wrong)} queries; only in trouble: {len({(q.dashboard, q.panel) for q in quiet})} panels; "
        f"all seen after {now(stack) - began:.0f} s",
    )
    assert not wrong + failing, "\n".join(["without data:", *wrong, *failing])


@pytest.mark.parametrize("model", MODELS, ids=lambda model: str(model["uid"]))
def test_a_dashboards_variables_have_values_to_choose_from(stack: Stack, model: dict[str, Any]) -> None:
    for variable in model["templating"]["list"]:
        found = LABEL_VALUES.fullmatch(variable["query"])
        assert found, variable["query"]
        answer = stack.http.get(
            f"{stack.url('prometheus')}/api/v1/label/{found[2]}/values", params={"match[]": found[1]}
        ).json()
        assert answer["status"] == "success", answer
        assert answer["data"], f"{variable['name']} has nothing to choose from: {variable['query']}"


@pytest.mark.parametrize("model", MODELS, ids=lambda model: str(model["uid"]))
def test_a_dashboards_marks_can_be_asked_for(stack: Stack, model: dict[str, Any]) -> None:
    for mark in model["annotations"]["list"]:
        answer = ask(stack, "query", query=filled(mark["expr"]))
        assert answer["status"] == "success", answer


# What shows only in trouble. Each trouble is there within the `with`, or was before it, and is gone after it.


@contextmanager
def bad_answers(stack: Stack) -> Iterator[None]:
    """Few enough that no alert fires: slow queries, of which five are too many, for a second only."""
    with ExitStack() as after:
        after.callback(stack.inject, fail_rate=0, delay_ms=0, slow_queries=False, cache_off=False)
        stack.inject(fail_rate=1)
        _read(stack, 10)
        stack.inject(fail_rate=0, delay_ms=1100)
        _read(stack, 10)
        stack.inject(delay_ms=0, slow_queries=True, cache_off=True)
        _read(stack, 2)
    yield


def _read(stack: Stack, times: int) -> None:
    def one(number: int) -> None:
        stack.http.get(f"{stack.url('api')}/api/articles/{number + 1}")

    with ThreadPoolExecutor(5) as pool:
        list(pool.map(one, range(times)))


# Run in the API's container, which has the clients, the addresses and the passwords.
CONNECT = """
import os, pathlib, threading, time, psycopg, redis
read = lambda name: pathlib.Path(os.environ[name]).read_text().strip()
def postgres():
    return psycopg.connect(host=os.environ["DATABASE_HOST"], dbname=os.environ["DATABASE_NAME"],
                           user=os.environ["DATABASE_USER"], password=read("DATABASE_PASSWORD_FILE"))
def connect():
    return redis.Redis(host=os.environ["REDIS_HOST"], password=read("REDIS_PASSWORD_FILE"), decode_responses=True,
                       single_connection_client=True)
"""
STAY_IDLE = """
with postgres() as connection:
    connection.execute("SELECT 1")
    time.sleep(15)
"""
DEADLOCK = """
def lock(first, second):
    with postgres() as connection:
        connection.execute("SELECT pg_advisory_xact_lock(%s)", [first])
        both.wait()
        try:
            connection.execute("SELECT pg_advisory_xact_lock(%s)", [second])
        except psycopg.errors.DeadlockDetected:
            print("deadlock")
both = threading.Barrier(2)
threads = [threading.Thread(target=lock, args=locks) for locks in ((1, 2), (2, 1))]
for thread in threads:
    thread.start()
for thread in threads:
    thread.join()
"""
# The limit of clients does not end the connection that set it, which takes it back.
AT_ITS_LIMITS = """
client = connect()
before = client.config_get("maxmemory", "maxmemory-policy", "maxclients")
client.config_set("maxmemory-policy", "allkeys-lru")
client.config_set("maxmemory", client.info("memory")["used_memory"] + 1_000_000)
names = [f"e2e:{number}" for number in range(20)]
for name in names:
    client.set(name, "x" * 200_000)
client.delete(*names)
client.config_set("maxclients", 1)
for _ in range(3):
    try:
        connect().ping()
    except redis.RedisError as error:
        print(error)
for name, value in before.items():
    client.config_set(name, value)
"""

# Thrice as many as the queue takes, and slow, so that it fills up on any number of cores. To hang up ends them.
MORE_SEARCHES_THAN_FIT = """
import httpx
search = '{}\\n{"query": {"script": {"script": "for (int i = 0; i < 500000; i++) {} return true"}}}\\n'
try:
    httpx.post(
        os.environ["SEARCH_URL"] + "/articles/_msearch?max_concurrent_searches=3000", content=search * 3000,
        headers={"Content-Type": "application/x-ndjson"}, timeout=3,
    )
except httpx.TimeoutException:
    pass
"""


def script(text: str) -> Callable[[Stack], AbstractContextManager[None]]:
    """What a script does, which leaves all as it was."""

    @contextmanager
    def provoke(stack: Stack) -> Iterator[None]:
        container = stack.container("api")
        with ThreadPoolExecutor(1) as pool:
            running = pool.submit(container.exec_run, ["python", "-c", CONNECT + text])
            yield
        done = running.result()
        assert done.exit_code == 0, done.output.decode()

    return provoke


@contextmanager
def replica_without_a_node(stack: Stack) -> Iterator[None]:
    """An index whose replica the only node cannot hold beside the primary."""

    def call(method: str, body: str) -> None:
        command = ["curl", "-sf", "-X", method, "-H", "Content-Type: application/json", "-d", body]
        done = stack.container("elasticsearch").exec_run([*command, "http://127.0.0.1:9200/e2e-replica"])
        assert done.exit_code == 0, done.output

    call("PUT", '{"settings": {"number_of_shards": 1, "number_of_replicas": 1}}')
    try:
        yield
    finally:
        call("DELETE", "{}")


@contextmanager
def too_little_memory(stack: Stack) -> Iterator[None]:
    """A container that exceeds its own limit; the machine has enough."""
    container = stack.engine.containers.create(
        stack.container("api").attrs["Config"]["Image"],
        ["python", "-c", "b'x' * 2**30"],
        mem_limit="32m",
        memswap_limit="32m",
        labels={"softfactory.prefix": PREFIX},
    )
    try:
        container.start()
        assert container.wait(timeout=60)["StatusCode"] == 137
    finally:
        container.remove(force=True, v=True)
    yield


@contextmanager
def rule_that_cannot_be_evaluated(stack: Stack) -> Iterator[None]:
    """Every checker takes it: only the evaluation finds several series, one for each database."""
    with stack.changed(
        "rules/postgres.py",
        "sum by ($by) (pg_stat_database_numbackends{{$scope}}) / on",
        "pg_stat_database_numbackends{{$scope}} / on",
    ):
        assert stack.up(check=False).returncode != 0
        yield
    stack.up()


@contextmanager
def refused_notification(stack: Stack) -> Iterator[None]:
    """The inbox takes no message that is so long, and Alertmanager does not try again what is refused."""

    def post(ends: str) -> None:
        alert = {
            "labels": {"alertname": "Refused", "severity": "critical"},
            "annotations": {"description": "x" * LIMIT_BYTES},
            "endsAt": ends,
        }
        stack.http.post(stack.url("alertmanager") + "/api/v2/alerts", json=[alert]).raise_for_status()

    post("2100-01-01T00:00:00Z")
    try:
        yield
    finally:
        post(datetime.now(UTC).isoformat())


@contextmanager
def invalid_alert(stack: Stack) -> Iterator[None]:
    """One that ended before it began."""
    alert = {"labels": {"alertname": "Invalid"}, "startsAt": "2100-01-01T00:00:00Z", "endsAt": "2000-01-01T00:00:00Z"}
    assert stack.http.post(stack.url("alertmanager") + "/api/v2/alerts", json=[alert]).status_code == 400
    yield


@contextmanager
def silenced(stack: Stack) -> Iterator[None]:
    url = stack.url("alertmanager") + "/api/v2/silence"
    before = {silence["id"] for silence in stack.http.get(url + "s").json()}
    persisted_state.silence(stack)
    try:
        yield
    finally:
        for silence in stack.http.get(url + "s").json():
            if silence["id"] not in before:
                stack.http.delete(f"{url}/{silence['id']}").raise_for_status()


@contextmanager
def outage_that_nobody_is_told_of(stack: Stack) -> Iterator[None]:
    """Without Alertmanager what fires is dropped."""
    with stopped(stack, "alertmanager"), stopped(stack, "redis"):
        yield


@contextmanager
def database_away(stack: Stack) -> Iterator[None]:
    stack.inject(cache_off=True)
    try:
        with stopped(stack, "postgres"):
            _read(stack, 3)
            yield
    finally:
        stack.inject(cache_off=False)


@contextmanager
def data_source_away(stack: Stack) -> Iterator[None]:
    """One that nobody listens for. Few of many requests, so that no alert is pending for the minutes after."""
    grafana, auth = stack.url("grafana") + "/api", stack.grafana_auth
    source = {"name": "Away", "uid": "away", "type": "prometheus", "access": "proxy", "url": "http://127.0.0.1:1"}
    failed = 'grafana_http_request_duration_seconds_count{status_code="502"}'

    def look() -> None:
        for _ in range(50):
            stack.http.get(f"{grafana}/search", auth=auth).raise_for_status()
        answer = stack.http.get(f"{grafana}/datasources/proxy/uid/away/api/v1/labels", auth=auth)
        assert answer.status_code == 502, answer.text

    stack.http.post(f"{grafana}/datasources", auth=auth, json=source).raise_for_status()
    try:
        look()
        eventually(lambda: stack.query(failed), "Prometheus has the first failure")  # it sees the second one as a rise
        look()
        yield
    finally:
        stack.http.delete(f"{grafana}/datasources/uid/away", auth=auth).raise_for_status()


@contextmanager
def wal_that_cannot_be_archived(stack: Stack) -> Iterator[None]:
    """Archiving is turned on, and off again, by a restart only."""

    def psql(statement: str) -> bool:
        command = ["psql", "-h", "127.0.0.1", "-U", "softfactory", "-c", statement]
        return bool(stack.container("postgres").exec_run(command).exit_code == 0)

    def restarted() -> None:
        stack.container("postgres").restart(timeout=5)
        eventually(lambda: psql("SELECT 1"), "PostgreSQL answers")

    assert psql("ALTER SYSTEM SET archive_mode = on") and psql("ALTER SYSTEM SET archive_command = 'false'")
    try:
        restarted()
        assert psql("SELECT pg_switch_wal()")
        yield
    finally:
        assert psql("ALTER SYSTEM RESET archive_mode") and psql("ALTER SYSTEM RESET archive_command")
        restarted()


@contextmanager
def damaged_storage(stack: Stack) -> Iterator[None]:
    """A file of the write-ahead log that is no such file: Prometheus finds it when it starts, and empties it. It is a
    new one, so that no sample is lost.
    """
    prometheus = stack.container("prometheus")
    files = prometheus.exec_run(["ls", "/prometheus/wal"]).output.decode().split()
    last = max(int(name) for name in files if name.isdecimal())
    damage = f"yes | head -c 40000 > /prometheus/wal/{last + 1:08d}"
    assert prometheus.exec_run(["sh", "-c", damage]).exit_code == 0
    prometheus.restart()
    eventually(lambda: stack.is_healthy("prometheus"), "Prometheus is healthy")
    yield


@contextmanager
def restart(stack: Stack) -> Iterator[None]:
    stack.container("api").restart()
    eventually(lambda: stack.is_healthy("api"), "the API is healthy")
    yield


@contextmanager
def stopped(stack: Stack, service: str) -> Iterator[None]:
    container = stack.container(service)
    container.stop(timeout=5)
    try:
        yield
    finally:
        container.start()


@dataclass(frozen=True, kw_only=True)
class Trouble:
    """What is done to a stack, and the panels (dashboard, title) that must show it."""

    provoke: Callable[[Stack], AbstractContextManager[None]]
    panels: tuple[tuple[str, str], ...]


BAD_ANSWERS = Trouble(
    provoke=bad_answers,
    panels=(
        ("overview", "Error rate"),
        ("api", "Error rate"),
        ("api", "Slow requests"),
        ("api", "API availability, errors in 1h"),
        ("api", "API availability, errors in 1d"),
        ("api", "API latency, errors in 1h"),
        ("api", "API latency, errors in 1d"),
        ("api", "Slow database queries in 5 minutes"),
    ),
)
# Those of a round are provoked at once: they do not disturb each other. Before them all come bad answers, which leave
# everything as it is: what the objectives record of them is waited for beside the rounds.
ROUNDS: Mapping[str, Mapping[str, Trouble]] = {
    "while all runs": {
        "a client that stays in its transaction": Trouble(
            provoke=script(STAY_IDLE), panels=(("postgres", "Longest idle transaction"),)
        ),
        "a deadlock": Trouble(provoke=script(DEADLOCK), panels=(("postgres", "Deadlocks in an hour"),)),
        "Redis at its limits": Trouble(
            provoke=script(AT_ITS_LIMITS),
            panels=(("redis", "Evicted keys"), ("redis", "Rejected connections in 5 minutes")),
        ),
        "a replica without a node": Trouble(
            provoke=replica_without_a_node, panels=(("elasticsearch", "Unassigned shards"),)
        ),
        "more searches than fit": Trouble(
            provoke=script(MORE_SEARCHES_THAN_FIT), panels=(("elasticsearch", "Thread pool rejections in 5 minutes"),)
        ),
        "too little memory": Trouble(provoke=too_little_memory, panels=(("node", "OOM kills in 10 minutes"),)),
        "a rule that cannot be evaluated": Trouble(
            provoke=rule_that_cannot_be_evaluated,
            panels=(
                ("alertmanager", "Failed rule evaluations in 5 minutes"),
                ("prometheus", "Failed rule evaluations in 5 minutes"),
            ),
        ),
        "a notification that is refused": Trouble(
            provoke=refused_notification, panels=(("alertmanager", "Failed notifications"),)
        ),
        "an alert that is invalid": Trouble(
            provoke=invalid_alert, panels=(("alertmanager", "Alerts dropped in 15 minutes"),)
        ),
        "a silence": Trouble(provoke=silenced, panels=(("alertmanager", "Silences"),)),
    },
    "while something is away": {
        "an outage that notifies nobody": Trouble(
            provoke=outage_that_nobody_is_told_of,
            panels=(
                ("overview", "Firing alerts"),
                ("alertmanager", "Dropped notifications in 5 minutes"),
                ("prometheus", "Dropped notifications in 5 minutes"),
            ),
        ),
        "no database": Trouble(provoke=database_away, panels=(("api", "Database query errors"),)),
        "no data source": Trouble(provoke=data_source_away, panels=(("overview", "Grafana: error rate"),)),
    },
    "after": {
        "a restart": Trouble(provoke=restart, panels=(("api", "Restarts in an hour"),)),
        "WAL that cannot be archived": Trouble(
            provoke=wal_that_cannot_be_archived, panels=(("postgres", "WAL files not archived in 15 minutes"),)
        ),
    },
}
# Nothing can be asked while Prometheus restarts.
ALONE = Trouble(provoke=damaged_storage, panels=(("prometheus", "TSDB failures in an hour"),))


def test_every_panel_that_shows_only_in_trouble_is_provoked() -> None:
    troubles = [BAD_ANSWERS, *(trouble for beside in ROUNDS.values() for trouble in beside.values()), ALONE]
    provoked = [panel for trouble in troubles for panel in trouble.panels]
    marked = {(question.dashboard, question.panel) for question in QUESTIONS if question.empty_when_healthy}
    assert len(set(provoked)) == len(provoked)
    assert set(provoked) == marked


def test_what_shows_only_in_trouble_shows_it(stack: Stack, record_property: Record) -> None:
    missing: list[str] = []

    def note(name: str, shown: tuple[float, list[Question]]) -> None:
        seconds, waiting = shown
        record_property(f"provoked: {name}", f"shown after {seconds:.0f} s")
        missing.extend(f"{name}: {question}" for question in waiting)

    with ThreadPoolExecutor(1 + max(map(len, ROUNDS.values()))) as pool:
        remembered = pool.submit(until_shown, stack, BAD_ANSWERS)
        for troubles in ROUNDS.values():
            answers = pool.map(lambda trouble: until_shown(stack, trouble), troubles.values())
            for name, shown in zip(troubles, answers, strict=True):
                note(name, shown)
        note("bad answers", remembered.result())
    note("damaged storage", until_shown(stack, ALONE))
    assert not missing, "\n".join(["not shown:", *missing])


def until_shown(stack: Stack, trouble: Trouble) -> tuple[float, list[Question]]:
    """Provokes it until each query of its panels has had a value that is not 0: the seconds that took, and the queries
    that had none in time.
    """
    began, waiting = now(stack), [q for q in QUESTIONS if (q.dashboard, q.panel) in trouble.panels]

    def any_waiting() -> bool:
        waiting[:] = [question for question in waiting if lacks(stack, question, began)]
        return bool(waiting)

    with trouble.provoke(stack):
        deadline = time.monotonic() + 150  # what the objectives record is a minute old at most, and this machine busy
        while any_waiting() and time.monotonic() < deadline:
            time.sleep(0.5)
        return now(stack) - began, waiting


def test_all_is_well_after_the_troubles(stack: Stack) -> None:
    stack.calm()
    stack.becomes_healthy()
    stack.pulumi("preview", "--stack", NAME, "--expect-no-changes")
