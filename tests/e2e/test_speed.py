"""A day of samples on every dashboard: no query keeps anybody waiting."""

import io
import json
import math
import tarfile
import time
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import Any

import httpx
import pytest
from docker.models.containers import Container

from dashboards.checks import panels
from rules.catalogue import catalogues
from rules.promql import selectors
from tests.e2e.conftest import Stack, eventually

pytestmark = pytest.mark.engine

DAY = 24 * 3600
SCRAPE_INTERVAL = 15  # seconds, as in staging and prod
STEP = 120  # seconds: what Grafana asks for a day in a graph of half a page, one point per pixel
RATE_INTERVAL = STEP + SCRAPE_INTERVAL  # as Grafana makes $__rate_interval
BOUND = 1.0  # seconds for one query
# Blocks of a day and more, so that the file is read once; then a server that keeps whatever is old.
SERVE = """
promtool tsdb create-blocks-from openmetrics --max-block-duration=48h /day/samples /day/data >/dev/null
exec prometheus --config.file=/day/empty.yml --storage.tsdb.path=/day/data --storage.tsdb.retention.time=10y
"""

Labels = dict[str, str]


def test_every_query_of_a_day_is_answered_within_a_second(
    stack: Stack, tmp_path: Path, record_property: Callable[[str, object], None]
) -> None:
    """With the series that this stack really has, and a second API as prod has it."""
    asked = _asked(stack)
    series = [*_series(stack, asked), *(_another(labels) for labels in _series(stack, asked) if _is_api(labels))]
    end = int(time.time()) // STEP * STEP
    samples = _write(series, end, tmp_path / "samples")
    took: dict[tuple[str, str, str], float] = {}
    with _prometheus(stack, tmp_path / "samples") as url:
        for page, title, expr, instant in asked:
            took[page, title, expr] = min(_ask(stack, url, expr, end, instant) for _ in range(3))
    slowest = max(took, key=lambda query: took[query])
    by_page = {page: sum(each for (of, *_), each in took.items() if of == page) for page, *_ in asked}
    heaviest = max(by_page, key=lambda page: by_page[page])
    record_property(
        "a day on the dashboards",
        f"{len(series)} series, {samples / 1e6:.1f} million samples, {len(took)} queries; "
        f"the slowest {took[slowest]:.3f} s ({slowest[0]}: {slowest[1]}), "
        f"the heaviest page {heaviest}, {by_page[heaviest]:.2f} s in all",
    )
    assert {query: seconds for query, seconds in took.items() if seconds >= BOUND} == {}


def _asked(stack: Stack) -> list[tuple[str, str, str, bool]]:
    """Page, panel, PromQL, and whether only its latest value is asked, of every query."""
    stack.ops("render", "--stack", stack.name, "--out", "day")
    return [
        (
            path.stem,
            panel["title"],
            target["expr"].replace("$__rate_interval", f"{RATE_INTERVAL}s").replace("$instance", ".*"),
            bool(target.get("instant")),
        )
        for path in sorted((stack.folder / "day" / "grafana" / "dashboards").glob("*.json"))
        for panel in panels(json.loads(path.read_text(encoding="utf-8")))
        for target in panel["targets"]
    ]


def _series(stack: Stack, asked: list[tuple[str, str, str, bool]]) -> list[Labels]:
    """The series that the queries read, as the stack has them now."""
    read = {selector for _, _, expr, _ in asked for selector in selectors(expr)}
    found: dict[tuple[tuple[str, str], ...], Labels] = {}
    for name, job in sorted(read):
        match = f'{name}{{job="{job}"}}' if job else name
        answer = stack.http.get(stack.url("prometheus") + "/api/v1/series", params={"match[]": match})
        found.update({tuple(sorted(labels.items())): labels for labels in answer.json()["data"]})
    return list(found.values())


def _is_api(labels: Labels) -> bool:
    return labels.get("subject") == "api" and "instance" in labels


def _another(labels: Labels) -> Labels:
    return {**labels, "instance": "another"}


def _write(series: list[Labels], end: int, path: Path) -> int:
    """A day of each series as OpenMetrics; the number of samples. Counters rise, all others go up and down."""
    rising = ("_total", "_count", "_sum", "_bucket")
    counters = {name for known in catalogues().values() for name, m in known.metrics.items() if m.type == "counter"}
    steps = range(0, DAY, SCRAPE_INTERVAL)
    with path.open("w", encoding="utf-8") as file:
        for number, labels in enumerate(series):
            name = labels["__name__"]
            inner = ",".join(f"{k}={json.dumps(v, ensure_ascii=False)}" for k, v in labels.items() if k != "__name__")
            head = f"{name}{{{inner}}}"
            climbs = name in counters or name.endswith(rising)
            for step in steps:
                value = (1 + number % 7) * step if climbs else 2 + math.sin((step + 60 * number) / 3600)
                file.write(f"{head} {value:.6g} {end - DAY + step}\n")
        file.write("# EOF\n")
    return len(series) * len(steps)


@contextmanager
def _prometheus(stack: Stack, samples: Path) -> Iterator[str]:
    """The address of a Prometheus that has nothing but these samples."""
    container: Container = stack.engine.containers.create(
        stack.container("prometheus").attrs["Config"]["Image"], ["-euc", SERVE], entrypoint="sh", user="0",
        name=f"{stack.prefix}-day", labels={"softfactory.prefix": stack.prefix},
        ports={"9090/tcp": ("127.0.0.1", 0)},
    )  # fmt: skip
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


def _ask(stack: Stack, url: str, expr: str, end: int, instant: bool) -> float:
    """Seconds until the answer, which must be one."""
    window: dict[str, Any] = {"time": end} if instant else {"start": end - DAY, "end": end, "step": STEP}
    began = time.monotonic()
    answer = stack.http.post(f"{url}/api/v1/query{'' if instant else '_range'}", data={"query": expr, **window})
    took = time.monotonic() - began
    assert answer.is_success, f"{expr}: {answer.text}"
    return took
