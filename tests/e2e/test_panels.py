"""No panel is empty: under traffic every query of every dashboard of the plan has data."""

import json
import math
import re
import time
from collections.abc import Callable
from dataclasses import dataclass
from typing import Any

import httpx
import pytest

from dashboards.checks import panels, queries
from dashboards.draw import ONLY_IN_TROUBLE
from demo.traffic import Visitors, run
from ops import probes
from plan import load_plan
from tests.e2e.conftest import Stack

pytestmark = pytest.mark.engine

Record = Callable[[str, object], None]  # what the end of the run tells
PLAN = load_plan("dev")  # that of the end-to-end stack, but for names, ports and hold times
MODELS: list[dict[str, Any]] = [json.loads(text) for text in PLAN.dashboards.values()]
STEP = PLAN.expected.scrape_interval
# What Grafana puts in for its variables: all instances, and the shortest range that it takes a rate over.
FILLED = {"$instance": ".*", "$__rate_interval": f"{4 * STEP:g}s"}
LABEL_VALUES = re.compile(r"label_values\((.+), (\w+)\)")


@dataclass(frozen=True, kw_only=True)
class Question:
    """One query of one panel."""

    dashboard: str
    panel: str
    expr: str
    only_in_trouble: bool

    def __str__(self) -> str:
        return f"{self.dashboard}: {self.panel!r}: {' '.join(self.expr.split())}"


def filled(expr: str) -> str:
    for name, value in FILLED.items():
        expr = expr.replace(name, value)
    return expr


QUESTIONS = [
    Question(
        dashboard=model["uid"], panel=panel["title"], expr=filled(expr),
        only_in_trouble=panel["description"].endswith(ONLY_IN_TROUBLE),
    )
    for model in MODELS for panel in panels(model) for expr in queries(panel)
]  # fmt: skip


def now(stack: Stack) -> float:
    """What time it is for Prometheus."""
    return probes.clock(stack.http, stack.url("prometheus")).timestamp()


def ask(stack: Stack, path: str, **parameters: Any) -> dict[str, Any]:
    """Prometheus' answer; its own words are under `error` where it has none."""
    answer: dict[str, Any] = stack.http.post(f"{stack.url('prometheus')}/api/v1/{path}", data=parameters).json()
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


def test_under_traffic_no_panel_is_empty_but_those_that_show_only_in_trouble(
    stack: Stack, record_property: Record
) -> None:
    """The traffic goes on until all have data: what the objectives record is there after two minutes at most."""
    began, deadline = now(stack), time.monotonic() + 150
    limits = httpx.Limits(max_connections=4)
    with httpx.Client(base_url=stack.url("api"), timeout=10, trust_env=False, limits=limits) as client:
        visitors = Visitors(client)
        while True:
            run(visitors, seconds=10, rate=8)
            lacking = {question: lacks(stack, question, began) for question in QUESTIONS}
            wrong = [
                f"{lack}: {question}"
                for question, lack in lacking.items()
                if (lack and not question.only_in_trouble) or lack.startswith("fails")
            ]
            if not wrong or time.monotonic() > deadline:
                break
    quiet = {(question.dashboard, question.panel) for question in QUESTIONS if question.only_in_trouble}
    record_property(
        "panels under traffic",
        f"{len(MODELS)} dashboards, {sum(len(panels(model)) for model in MODELS)} panels, {len(QUESTIONS)} queries; "
        f"empty: {len(wrong)} queries; only in trouble: {len(quiet)} panels",
    )
    assert not wrong, "\n".join(["without data:", *wrong])


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
