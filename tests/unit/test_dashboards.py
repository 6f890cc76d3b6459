"""Dashboards: complete, unambiguous, on data sources that exist, with the thresholds of this environment's alerts."""

import json
import re
from itertools import combinations
from pathlib import Path
from typing import Any

import promql_parser
import pytest
from grafana_foundation_sdk.cog.encoder import JSONEncoder

import dashboards
from dashboards import PAGES, dashboard_files
from dashboards.draw import Draw
from plan import plan
from rules import ALERTS, JOBS, api, postgres
from rules.model import Signal, Unit
from rules.render import tune
from stacks.settings import Tuning
from tests.unit.values import settings

MODELS: dict[str, dict[str, Any]] = {uid: json.loads(text) for uid, text in dashboard_files(ALERTS).items()}
SOURCES = {(source.type, source.uid) for source in plan(settings()).datasources}
NO_PAGE = {"__init__", "draw", "checks"}


def panels(model: dict[str, Any]) -> list[dict[str, Any]]:
    return [panel for panel in model["panels"] if panel["type"] != "row"]


EVERY_PANEL = [
    pytest.param(panel, id=f"{uid}-{panel['id']}-{panel['title']}")
    for uid, model in MODELS.items()
    for panel in panels(model)
]


def thresholds(panel: dict[str, Any]) -> list[tuple[str, float | None]]:
    return [(step["color"], step["value"]) for step in panel["fieldConfig"]["defaults"]["thresholds"]["steps"]]


def drawn(signal: Signal, tuning: dict[str, Tuning] | None = None) -> list[tuple[str, dict[str, Any]]]:
    """The two drawings of a signal, as Grafana gets them."""
    draw = Draw(tune(ALERTS, tuning or {}))
    page = draw.page("T", uid="t", description="d").with_panel(draw.stat(signal)).with_panel(draw.timeseries(signal))
    model = json.loads(json.dumps(page.build(), cls=JSONEncoder))
    return [(panel["type"], panel) for panel in model["panels"]]


# --- pages -----------------------------------------------------------------------------------------------------------


def test_every_file_of_dashboards_is_a_page_under_its_own_name() -> None:
    files = {path.stem for path in Path(dashboards.__file__).parent.glob("*.py")} - NO_PAGE
    assert {build.__module__.removeprefix("dashboards.") for build in PAGES} == files == set(MODELS)
    assert {uid: model["uid"] for uid, model in MODELS.items()} == {uid: uid for uid in MODELS}


def test_a_page_is_called_after_its_subject() -> None:
    assert set(MODELS) - {"overview"} <= {job.subject for job in JOBS}
    assert len({model["title"] for model in MODELS.values()}) == len(MODELS)


def test_a_uid_used_twice_is_an_error(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(dashboards, "PAGES", (PAGES[0], PAGES[0]))
    with pytest.raises(ValueError, match=r"uid 'overview' is missing or used twice"):
        dashboard_files(ALERTS)


def test_the_text_is_the_same_every_time_and_its_keys_are_sorted() -> None:
    assert dashboard_files(ALERTS) == dashboard_files(ALERTS)
    for text in dashboard_files(ALERTS).values():
        assert text == json.dumps(json.loads(text), sort_keys=True, indent=2)


@pytest.mark.parametrize("uid", MODELS)
def test_the_ids_of_a_pages_panels_are_unique(uid: str) -> None:
    ids = [panel["id"] for panel in MODELS[uid]["panels"]]
    assert len(set(ids)) == len(ids)
    assert 0 not in ids


@pytest.mark.parametrize("uid", MODELS)
def test_no_panel_lies_on_another_or_beside_the_page(uid: str) -> None:
    places = [panel["gridPos"] for panel in MODELS[uid]["panels"]]
    assert all(place["x"] + place["w"] <= 24 for place in places)
    for a, b in combinations(places, 2):
        apart = a["x"] + a["w"] <= b["x"] or b["x"] + b["w"] <= a["x"]
        above = a["y"] + a["h"] <= b["y"] or b["y"] + b["h"] <= a["y"]
        assert apart or above, (a, b)


@pytest.mark.parametrize("uid", MODELS)
def test_a_page_lets_its_reader_choose_the_instance_and_go_to_the_others(uid: str) -> None:
    model = MODELS[uid]
    (variable,) = model["templating"]["list"]
    assert (variable["name"], variable["multi"], variable["includeAll"]) == ("instance", True, True)
    assert variable["datasource"]["uid"] == "prometheus"
    (link,) = model["links"]
    assert set(link["tags"]) <= set(model["tags"])
    assert model["description"]


def test_the_overview_asks_for_every_job() -> None:
    queries = [panel["targets"][0]["expr"] for panel in panels(MODELS["overview"]) if panel["type"] == "stat"]
    assert {match for query in queries for match in re.findall(r'up\{job="([^"]+)"', query)} == {j.name for j in JOBS}


# --- panels ----------------------------------------------------------------------------------------------------------


@pytest.mark.parametrize("panel", EVERY_PANEL)
def test_every_panel_says_what_it_shows_in_which_unit(panel: dict[str, Any]) -> None:
    assert panel["title"]
    assert panel["description"].endswith(".")
    assert panel["fieldConfig"]["defaults"]["unit"] in set(Unit)


@pytest.mark.parametrize("panel", EVERY_PANEL)
def test_every_panel_asks_a_data_source_that_the_plan_has(panel: dict[str, Any]) -> None:
    asked = [panel["datasource"], *(target["datasource"] for target in panel["targets"])]
    assert {(source["type"], source["uid"]) for source in asked} <= SOURCES


@pytest.mark.parametrize("panel", EVERY_PANEL)
def test_every_query_is_promql_once_grafana_has_filled_its_variables(panel: dict[str, Any]) -> None:
    assert panel["targets"]
    for target in panel["targets"]:
        filled = target["expr"].replace("$__rate_interval", "1m").replace("$instance", "one|two")
        assert "$" not in filled
        promql_parser.parse(filled)


# --- thresholds ------------------------------------------------------------------------------------------------------


def test_more_is_worse_where_the_alert_fires_above() -> None:
    for _, panel in drawn(postgres.CONNECTIONS_USED):
        assert thresholds(panel) == [("green", None), ("red", 0.8)]


def test_less_is_worse_where_the_alert_fires_below() -> None:
    for _, panel in drawn(api.CACHE_HIT_RATIO):
        assert thresholds(panel) == [("red", None), ("green", 0.7)]
    for _, panel in drawn(api.REACHABLE):
        assert thresholds(panel) == [("red", None), ("green", 1)]


def test_a_graph_shows_the_alerts_threshold_as_a_line() -> None:
    panel = dict(drawn(postgres.CONNECTIONS_USED))["timeseries"]
    assert panel["fieldConfig"]["defaults"]["custom"]["thresholdsStyle"]["mode"] == "line"


def test_a_threshold_of_this_environment_is_the_one_that_is_drawn() -> None:
    for _, panel in drawn(postgres.CONNECTIONS_USED, {"ConnectionPoolNearMax": Tuning(threshold=0.5)}):
        assert thresholds(panel) == [("green", None), ("red", 0.5)]


@pytest.mark.parametrize("tuning", [{"ConnectionPoolNearMax": Tuning(enabled=False)}, None])
def test_without_an_alert_nothing_is_red(tuning: dict[str, Tuning] | None) -> None:
    for kind, panel in drawn(postgres.CONNECTIONS_USED if tuning else api.UPTIME, tuning):
        assert thresholds(panel) == [("green", None)]
        assert kind == "stat" or "thresholdsStyle" not in panel["fieldConfig"]["defaults"]["custom"]


def test_up_and_down_are_words() -> None:
    (mapping,) = dict(drawn(api.REACHABLE))["stat"]["fieldConfig"]["defaults"]["mappings"]
    assert {value: result["text"] for value, result in mapping["options"].items()} == {"0": "Down", "1": "Up"}


def test_a_ratio_without_traffic_says_so() -> None:
    assert dict(drawn(api.CACHE_HIT_RATIO))["stat"]["fieldConfig"]["defaults"]["noValue"] == "no traffic"
