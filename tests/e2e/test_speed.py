"""A day of samples on every dashboard: no query keeps anybody waiting.

Queries of a range cost what its samples and steps do, so an eighth of a day in an eighth of the time shows the same;
FULL=1 takes the whole day.
"""

import io
import json
import math
import tarfile
import time
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from dataclasses import dataclass
from pathlib import Path

import httpx
import pytest
from docker.models.containers import Container

from dashboards.panels import ONLY_IN_TROUBLE
from rules.metrics import catalogues
from rules.promql import selectors
from tests.e2e.conftest import FULL, Stack, eventually
from validation.dashboards import panels

pytestmark = pytest.mark.engine

SHARE = 1 if FULL else 8
SPAN = 24 * 3600 // SHARE  # seconds
SCRAPE_INTERVAL = 15  # seconds, as in staging and prod
STEP = 120  # seconds: what Grafana asks for a day in a graph of half a page, one point per pixel
RATE_INTERVAL = STEP + SCRAPE_INTERVAL  # as Grafana makes $__rate_interval
BOUND = 1.0 / SHARE  # seconds for one query
TRIES = 10  # other tests keep this machine busy
# Blocks of a day and more, so that the file is read once; then a server that keeps whatever is old.
SERVE = """
promtool tsdb create-blocks-from openmetrics --max-block-duration=48h /day/samples /day/data >/dev/null
exec prometheus --config.file=/day/empty.yml --storage.tsdb.path=/day/data --storage.tsdb.retention.time=10y
"""

Labels = dict[str, str]


@dataclass(frozen=True, kw_only=True)
class Question:
    """One query; `instant` where only its latest value is asked."""

    page: str
    panel: str
    expr: str
    instant: bool
    empty_when_healthy: bool


def test_every_query_of_a_day_would_be_answered_within_a_second(
    stack: Stack, tmp_path: Path, record_property: Callable[[str, object], None]
) -> None:
    """With the series that this stack really has, and a second API as prod has it."""
    asked = _asked(stack)
    series = [*_series(stack, asked), *(_another(labels) for labels in _series(stack, asked) if _is_api(labels))]
    end = int(time.time()) // STEP * STEP
    samples = _write(series, end, tmp_path / "samples")
    names = {labels["__name__"] for labels in series}
    took: dict[Question, float] = {}
    with _prometheus(stack, tmp_path / "samples") as url:
        for question in asked:
            took[question] = math.inf
            for _ in range(TRIES):
                seconds, there = _ask(stack, url, question, end)
                if not question.empty_when_healthy and {name for name, _ in selectors(question.expr)} <= names:
                    assert there, f"nothing was there to be slow: {question}"
                took[question] = min(took[question], seconds)
                if seconds < BOUND:
                    break
    slowest = max(took, key=lambda question: took[question])
    pages = {question.page for question in asked}
    by_page = {page: sum(seconds for each, seconds in took.items() if each.page == page) for page in pages}
    heaviest = max(by_page, key=lambda page: by_page[page])
    record_property(
        f"{SPAN // 3600} h on the dashboards",
        f"{len(series)} series, {samples / 1e6:.1f} million samples, {len(took)} queries; "
        f"the slowest {took[slowest]:.3f} s ({slowest.page}: {slowest.panel}), "
        f"the heaviest page {heaviest}, {by_page[heaviest]:.2f} s in all",
    )
    assert {question: seconds for question, seconds in took.items() if seconds >= BOUND} == {}


def _asked(stack: Stack) -> list[Question]:
    rendered = stack.ops("render", "--stack", stack.name, "--out", "day")
    assert rendered.returncode == 0, rendered.stdout + rendered.stderr
    return [
        Question(
            page=path.stem,
            panel=panel["title"],
            expr=target["expr"].replace("$__rate_interval", f"{RATE_INTERVAL}s").replace("$instance", ".*"),
            instant=bool(target.get("instant")),
            empty_when_healthy=panel["description"].endswith(ONLY_IN_TROUBLE),
        )
        for path in sorted((stack.folder / "day" / "grafana" / "dashboards").glob("*.json"))
        for panel in panels(json.loads(path.read_text(encoding="utf-8")))
        for target in panel["targets"]
    ]


def _series(stack: Stack, asked: list[Question]) -> list[Labels]:
    """The series that the queries read, as the stack has them now."""
    read = {selector for question in asked for selector in selectors(question.expr)}
    found: dict[tuple[tuple[str, str], ...], Labels] = {}
    for name, job in sorted(read):
        match = f'{name}{{job="{job}"}}' if job else name
        answer = stack.http.get(stack.url("prometheus") + "/api/v1/series", params={"match[]": match})
        found.update({tuple(sorted(labels.items())): labels for labels in answer.json()["data"]})
    return list(found.values())


def _is_api(labels: Labels) -> bool:
    return labels.get("service") == "api" and "instance" in labels


def _another(labels: Labels) -> Labels:
    return {**labels, "instance": "another"}


def _write(series: list[Labels], end: int, path: Path) -> int:
    """The span of each series as OpenMetrics; the number of samples. Counters rise, all others go up and down."""
    rising = ("_total", "_count", "_sum", "_bucket")
    counters = {name for known in catalogues().values() for name, m in known.metrics.items() if m.type == "counter"}
    steps = range(0, SPAN, SCRAPE_INTERVAL)
    with path.open("w", encoding="utf-8") as file:
        for number, labels in enumerate(series):
            name = labels["__name__"]
            inner = ",".join(f"{k}={json.dumps(v, ensure_ascii=False)}" for k, v in labels.items() if k != "__name__")
            head = f"{name}{{{inner}}}"
            climbs = name in counters or name.endswith(rising)
            for step in steps:
                value = (1 + number % 7) * step if climbs else 2 + math.sin((step + 60 * number) / 3600)
                file.write(f"{head} {value:.6g} {end - SPAN + step}\n")
        file.write("# EOF\n")
    return len(series) * len(steps)


@contextmanager
def _prometheus(stack: Stack, samples: Path) -> Iterator[str]:
    """The address of a Prometheus that has nothing but these samples."""
    container: Container = stack.engine.containers.create(
        stack.container("prometheus").attrs["Config"]["Image"],
        ["-euc", SERVE],
        entrypoint="sh",
        user="0",
        name=f"{stack.prefix}-day",
        labels={"softfactory.prefix": stack.prefix},
        ports={"9090/tcp": ("127.0.0.1", 0)},
    )
    try:
        with tarfile.open(samples.with_suffix(".tar"), "w") as archive:
            archive.add(samples, "day/samples")
            archive.addfile(tarfile.TarInfo("day/empty.yml"), io.BytesIO())
        with samples.with_suffix(".tar").open("rb") as stream:
            assert container.put_archive("/", stream)
        container.start()

        yield eventually(lambda: _ready(stack, container), "a Prometheus with a day of samples is ready", seconds=300)
    finally:
        container.remove(force=True, v=True)


def _ready(stack: Stack, container: Container) -> str:
    """The address of a Prometheus that is ready; empty where it is not yet."""
    container.reload()
    assert container.status == "running", container.logs().decode()
    bound = container.attrs["NetworkSettings"]["Ports"].get("9090/tcp")
    url = f"http://127.0.0.1:{bound[0]['HostPort']}" if bound else ""
    try:
        return url if url and stack.http.get(f"{url}/-/ready").is_success else ""
    except httpx.HTTPError:
        return ""


def _ask(stack: Stack, url: str, question: Question, end: int) -> tuple[float, bool]:
    """Seconds until the answer, and whether there is anything in it."""
    path, window = "query_range", {"start": end - SPAN, "end": end, "step": STEP}
    if question.instant:
        path, window = "query", {"time": end}
    began = time.monotonic()
    answer = stack.http.post(f"{url}/api/v1/{path}", data={"query": question.expr, **window})
    took = time.monotonic() - began
    assert answer.is_success, f"{question}: {answer.text}"
    return took, bool(answer.json()["data"]["result"])
