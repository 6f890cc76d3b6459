"""Each check of the dashboards, by what it must catch."""

import copy
import json
from collections.abc import Callable
from dataclasses import replace
from typing import Any

import pytest

from desired_state import InvalidStackError, build_desired_state
from rules import ALERTS, JOBS, api
from rules.metrics import catalogues
from tests.unit.factories import planned, settings
from validation import dashboards as checks
from validation.rules import series

PLAN = planned()
MODELS: list[dict[str, Any]] = [json.loads(text) for text in PLAN.dashboards.values()]
ADDRESSES = ("http://127.0.0.1:9090", "http://127.0.0.1:9093")
ROW = next(model for model in MODELS if model["uid"] == "redis")["panels"][0]["title"]
Change = Callable[[dict[str, Any]], object]


def problems(*models: dict[str, Any]) -> list[str]:
    known = series(JOBS, catalogues(), {"monitoring_config_info": frozenset({"revision"})})
    return checks.problems(models, known, {"prometheus", "alertmanager"}, ADDRESSES)


def redis(change: Change) -> dict[str, Any]:
    """Redis' page, changed."""
    model = copy.deepcopy(next(model for model in MODELS if model["uid"] == "redis"))
    change(model)
    return model


def first(model: dict[str, Any]) -> dict[str, Any]:
    """The first panel that asks something: Reachable."""
    return next(panel for panel in model["panels"] if panel["type"] != "row")


def asks(expr: str) -> Change:
    return lambda model: first(model)["targets"][0].update(expr=expr)


def test_a_good_page_has_no_problem() -> None:
    assert problems(redis(lambda model: None)) == []


@pytest.mark.parametrize(
    ("change", "said"),
    [
        (lambda m: m.update(uid=""), "'Redis' has the uid ''; it must be 1 to 40 letters"),
        (lambda m: m.update(uid="12345"), "and not digits alone"),
        (lambda m: m.update(uid="a b"), "'Redis' has the uid 'a b'"),
        (lambda m: m.update(description=" "), "dashboards/redis.py: has no description"),
        (
            lambda m: m.update(panels=[m["panels"][0]]),
            f"dashboards/redis.py: row {ROW!r}: has no panel; draw one in it, or leave the row out",
        ),
        (
            lambda m: m["panels"].append({**m["panels"][0], "gridPos": {"x": 0, "y": 999, "w": 24, "h": 1}}),
            f"dashboards/redis.py: row {ROW!r}: has no panel",
        ),
        (
            lambda m: m["panels"][-1]["gridPos"].update(x=13, y=999),
            "reaches column 25, of 24; make it narrower",
        ),
        (
            lambda m: first(m)["gridPos"].update(m["panels"][2]["gridPos"]),
            "dashboards/redis.py: panel 'Reachable': lies on panel",
        ),
        (lambda m: first(m).update(title=""), "dashboards/redis.py: panel 2: has no title"),
        (lambda m: first(m).update(description=""), "dashboards/redis.py: panel 'Reachable': has no description"),
        (lambda m: first(m)["fieldConfig"]["defaults"].pop("unit"), "panel 'Reachable': has no unit"),
        (
            lambda m: first(m)["datasource"].update(uid="influx"),
            "panel 'Reachable': asks the data source influx",
        ),
        (lambda m: first(m)["targets"][0].pop("datasource"), "panel 'Reachable': asks the data source None"),
        (lambda m: m["annotations"]["list"][0]["datasource"].update(uid="x"), "mark 'Alerts': asks the data source x"),
        (lambda m: m["templating"]["list"][0].pop("datasource"), "variable 'instance': asks the data source None"),
        (lambda m: first(m).update(targets=[]), "panel 'Reachable': asks nothing"),
        (asks("sum(rate(x[5m])"), "panel 'Reachable': is no PromQL"),
        (asks('redis_uq{job="redis",instance=~"$instance"}'), "reads redis_uq, which redis_exporter"),
        (asks('sum by (db) (redis_up{job="redis"})'), "panel 'Reachable': what `sum by` goes over has no label db"),
        (asks('rate(redis_up{job="redis"}[$__rate_interval:$x])'), "panel 'Reachable': is no PromQL"),
        (lambda m: m["annotations"]["list"][1].update(expr="releases"), "mark 'Deployments': reads releases of no job"),
        (lambda m: m["templating"]["list"][0].update(query="label_values(up, pod)"), "variable 'instance': what"),
        (lambda m: m["templating"]["list"][0].update(query="up"), "variable 'instance': is not label_values(<series>"),
        (
            lambda m: first(m).update(targets=first(m)["targets"] * 41),
            " queries, of 40 at most; make two pages of it",
        ),
        (lambda m: m["links"][0].update(tags=["gone"]), "lists dashboards with the tag gone; none has it"),
        (
            lambda m: m["links"][1].update(url="https://elsewhere.example/"),
            "the link 'Prometheus' to https://elsewhere.example/ is no part of the stack",
        ),
        (
            lambda m: first(m)["fieldConfig"]["defaults"].update(links=[{"title": "x", "url": "/d/mysql"}]),
            "panel 'Reachable': the link 'x' to /d/mysql leads nowhere; expected one of: redis",
        ),
        (
            lambda m: first(m).update(links=[{"title": "x", "url": ""}]),
            "the link 'x' to nothing is neither",
        ),
        (
            lambda m: first(m).update(links=[{"title": "x", "url": "/d/redis?var-host=a&from=now-1h"}]),
            "the link 'x' to /d/redis?var-host=a&from=now-1h gives var-host, which that dashboard does not have",
        ),
        (
            lambda m: first(m)["fieldConfig"].update(
                overrides=[{"properties": [{"id": "links", "value": [{"title": "x", "url": "/explore"}]}]}]
            ),
            "the link 'x' to /explore is neither a dashboard (/d/<uid>) nor an address",
        ),
    ],
)
def test_a_fault_is_one_line_with_page_and_panel(change: Change, said: str) -> None:
    (problem,) = problems(redis(change))
    assert said in problem


def test_what_an_alert_reads_is_drawn_on_the_dashboard_of_its_service() -> None:
    (down,) = (alert for alert in ALERTS if alert.name == "RedisDown")
    full = next(alert for alert in ALERTS if alert.name == "RedisMemoryHigh")
    models = [redis(lambda model: None)]
    assert checks.undrawn_alerts([down, full], models) == []
    unknown = replace(full.when.signal, title="Other", expr="max by ($by) (redis_up{$scope})")
    said = "draws 'Other'; add one, such as .with_panel(draw.timeseries(...))"
    for alert in (
        replace(full, when=unknown.above(1)),
        replace(full, and_conditions=(unknown.above(1),)),
        replace(full, or_conditions=((unknown.above(1),),)),
    ):
        assert checks.undrawn_alerts([down, alert], models) == [
            f"rules/redis.py: RedisMemoryHigh: no panel of dashboards/redis.py {said}"
        ]
        assert checks.undrawn_alerts([replace(alert, undrawn="a reason")], models) == []
        assert checks.undrawn_alerts([alert], []) == [], "a service without a dashboard needs none"


def test_panels_of_a_folded_row_are_checked_too() -> None:
    model = redis(lambda model: model["panels"][0].update(panels=[{"type": "stat", "title": "Inner", "id": 90}]))
    assert {problem.rpartition(": ")[2] for problem in problems(model)} >= {"has no unit", "asks nothing"}


@pytest.mark.parametrize(
    ("key", "said"), [("uid", "the uid 'redis' is there 2 times"), ("title", "the title 'Redis' is there 2 times")]
)
def test_a_uid_or_a_title_used_twice_is_told(key: str, said: str) -> None:
    other = {"uid": {"title": "Another"}, "title": {"uid": "another"}}[key]
    (problem,) = problems(redis(lambda model: None), redis(lambda model: model.update(other)))
    assert said in problem


def test_every_fault_is_told_at_once() -> None:
    def change(model: dict[str, Any]) -> None:
        asks("(")(model)
        first(model).update(description="")
        model["links"][1].update(url="/d/nowhere")

    assert len(problems(redis(change))) == 3


def test_the_plan_refuses_what_the_checks_find(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr("desired_state.dashboard_problems", lambda *_: ["dashboards/redis.py: has no title"])
    with pytest.raises(InvalidStackError, match=r"dashboards/redis\.py: has no title"):
        build_desired_state(settings())


def test_a_panel_on_a_metric_that_is_gone_is_refused_by_the_plan(monkeypatch: pytest.MonkeyPatch) -> None:
    known = dict(catalogues())
    fewer = {name: metric for name, metric in known["api"].metrics.items() if name != "active_users_gauge"}
    known["api"] = type(known["api"])(exporter="x", version="1", metrics=fewer)
    monkeypatch.setattr("desired_state.catalogues", lambda: known)
    with pytest.raises(InvalidStackError) as refused:
        build_desired_state(settings())
    assert refused.value.problems == (
        f"dashboards/api.py: panel {api.ACTIVE_USERS.title!r}: reads active_users_gauge, which x 1 does not have",
        "dashboards/api.py: panel 'Active users and scheduled jobs': reads active_users_gauge, which x 1 does not have",
    )
