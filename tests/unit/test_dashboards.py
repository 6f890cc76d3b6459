"""How signals are drawn, which pages an environment has, and that they are as they were last reviewed."""

import json
from dataclasses import replace
from pathlib import Path
from typing import Any
from urllib.parse import urlsplit

import pytest
import yaml

import dashboards
from dashboards import PAGES, as_json
from dashboards.panels import ONLY_IN_TROUBLE, PanelFactory
from desired_state import build_desired_state
from rules import ALERTS, JOBS, api, postgres, prometheus, redis
from rules.model import Severity, Signal, Unit
from rules.render import tune
from stacks.settings import AlertOverride
from tests import golden
from tests.checkers import complete
from tests.unit.factories import planned, settings, values
from validation.dashboards import panels, queries

COMPLETE = complete()
MODELS: dict[str, dict[str, Any]] = {uid: json.loads(text) for uid, text in COMPLETE.dashboards.items()}
NO_PAGE = {"__init__", "panels"}
ADDRESS = "http://127.0.0.1:9093"


def thresholds(panel: dict[str, Any]) -> list[tuple[str, float | None]]:
    return [(step["color"], step["value"]) for step in panel["fieldConfig"]["defaults"]["thresholds"]["steps"]]


def drawing(tuning: dict[str, AlertOverride] | None = None) -> PanelFactory:
    jobs = {job.name for job in JOBS}
    return PanelFactory(tune(ALERTS, tuning or {}), jobs, pages=("overview", "api"), links={"Alertmanager": ADDRESS})


def drawn(signal: Signal, tuning: dict[str, AlertOverride] | None = None) -> list[tuple[str, dict[str, Any]]]:
    """The two drawings of a signal, as Grafana gets them."""
    draw = drawing(tuning)
    page = draw.page("T", "t", "d").with_panel(draw.stat(signal)).with_panel(draw.timeseries(signal))
    return [(panel["type"], panel) for panel in as_json(page)["panels"]]


def one(panel: Any) -> dict[str, Any]:
    """One drawing, as Grafana gets it."""
    (found,) = as_json(drawing().page("T", "t", "d").with_panel(panel))["panels"]
    assert isinstance(found, dict)
    return found


# --- pages -----------------------------------------------------------------------------------------------------------


def test_every_file_of_dashboards_is_a_page_under_its_own_name() -> None:
    files = {path.stem for path in Path(dashboards.__file__).parent.glob("*.py")} - NO_PAGE
    assert [page.__name__ for page in PAGES] == [f"dashboards.{uid}" for uid in MODELS]
    assert files == set(MODELS)


def test_each_page_is_called_after_its_service() -> None:
    assert set(MODELS) - {"overview"} <= {job.service for job in JOBS}


def test_the_pages_are_as_they_were_last_reviewed() -> None:
    there = {path.name: path.read_text(encoding="utf-8") for path in golden.FOLDER.glob("*.json")}
    assert golden.rendered() == there, "look at the difference; if it is meant, `make update-snapshots`"


def test_an_environment_without_a_service_has_no_page_and_no_panel_of_it() -> None:
    """They could only be empty."""
    exporters = {name: servers for name, servers in values()["exporters"].items() if name != "elasticsearch"}
    without = build_desired_state(settings(exporters=exporters, alert_overrides={}))
    assert set(planned().dashboards) - set(without.dashboards) == {"elasticsearch"}
    asked = json.dumps([panels(json.loads(text)) for text in without.dashboards.values()])
    assert "redis_up" in asked and "elasticsearch_" not in asked


def test_a_new_title_of_a_page_changes_no_release(monkeypatch: pytest.MonkeyPatch) -> None:
    """Alerts link to pages by uid."""
    before, build = build_desired_state(settings()), dashboards.redis.build
    monkeypatch.setattr(dashboards.redis, "build", lambda draw: build(draw).title("The cache"))
    renamed = build_desired_state(settings())
    assert json.loads(renamed.dashboards["redis"])["title"] == "The cache"
    assert renamed.expected.releases == before.expected.releases


def test_the_text_is_the_same_every_time_and_its_keys_are_sorted() -> None:
    first, second = build_desired_state(settings()).dashboards, build_desired_state(settings()).dashboards
    assert first == second
    for text in first.values():
        assert text == json.dumps(json.loads(text), sort_keys=True)


@pytest.mark.parametrize("uid", MODELS)
def test_each_panel_says_what_good_looks_like(uid: str) -> None:
    assert [panel["title"] for panel in panels(MODELS[uid]) if "Good: " not in panel["description"]] == []


@pytest.mark.parametrize("uid", MODELS)
def test_the_ids_of_a_pages_panels_are_unique(uid: str) -> None:
    ids = [panel["id"] for panel in MODELS[uid]["panels"]]
    assert len(set(ids)) == len(ids)
    assert 0 not in ids


def test_an_alert_leads_to_a_page_that_shows_what_fired() -> None:
    """Each of its conditions, on the page of the link in its message."""
    files = COMPLETE.files()
    groups = [group for path, text in files.items() if "/rules/" in path for group in yaml.safe_load(text)["groups"]]
    rules = [rule for group in groups for rule in group["rules"] if "alert" in rule]
    links = {rule["alert"]: rule["annotations"]["dashboard_url"] for rule in rules}
    undrawn = set()
    for alert in ALERTS:
        page = urlsplit(links[alert.name]).path.removeprefix("/d/")
        shown = {query for panel in panels(MODELS[page]) for query in queries(panel)}
        conditions = (
            alert.when,
            *alert.and_conditions,
            *(condition for others in alert.or_conditions for condition in others),
        )
        if not {condition.signal.for_panel() for condition in conditions} <= shown:
            undrawn.add(alert.name)
    assert undrawn == {alert.name for alert in ALERTS if alert.undrawn}, "an exception that is drawn needs none"


@pytest.mark.parametrize("uid", MODELS)
def test_a_page_lets_its_reader_choose_the_instance_and_go_to_the_others(uid: str) -> None:
    model = MODELS[uid]
    (variable,) = model["templating"]["list"]
    assert (variable["name"], variable["multi"], variable["includeAll"]) == ("instance", True, True)
    others, *elsewhere = model["links"]
    assert set(others["tags"]) <= set(model["tags"])
    assert {link["title"]: link["url"] for link in elsewhere} == {
        "Prometheus": "http://127.0.0.1:9090",
        "Alertmanager": "http://127.0.0.1:9093",
    }


@pytest.mark.parametrize("uid", MODELS)
def test_a_page_marks_alerts_and_deployments_with_a_name(uid: str) -> None:
    alerts, deployments = MODELS[uid]["annotations"]["list"]
    assert (alerts["titleFormat"], deployments["textFormat"]) == ("{{alertname}}", "revision {{revision}}")
    if uid != "overview":
        assert re_services(alerts["expr"]) >= {uid}


def re_services(expr: str) -> set[str]:
    return set(expr.partition('service=~"')[2].partition('"')[0].split("|"))


def test_the_overview_asks_for_every_job() -> None:
    queries = [panel["targets"][0]["expr"] for panel in panels(MODELS["overview"]) if panel["type"] == "stat"]
    for job in JOBS:
        assert any(f'up{{job="{job.name}"' in query for query in queries), job.name


def test_the_overview_leads_to_the_page_of_what_is_down() -> None:
    links = {
        panel["title"]: panel["fieldConfig"]["defaults"]["links"][0]["url"]
        for panel in panels(MODELS["overview"])
        if panel["fieldConfig"]["defaults"].get("links")
    }
    assert links["PostgreSQL"] == "/d/postgres?var-instance=${__field.labels.instance}&${__url_time_range}"
    assert links["API availability: budget left"] == "/d/api?${__url_time_range}"
    assert links["Alertmanager"] == "/d/alertmanager?${__url_time_range}"  # an instance would empty half of that page
    assert "Grafana" not in links  # it has no page


# --- panels ----------------------------------------------------------------------------------------------------------


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
    for _, panel in drawn(postgres.CONNECTIONS_USED, {"ConnectionPoolNearMax": AlertOverride(threshold=0.5)}):
        assert thresholds(panel) == [("green", None), ("red", 0.5)]


@pytest.mark.parametrize(
    ("conditions", "steps"),
    [
        # severity and condition of each alert on one signal
        ([("warning", ">", 0.7), ("critical", ">", 0.9)], [("green", None), ("orange", 0.7), ("red", 0.9)]),
        ([("critical", ">", 0.9), ("warning", ">", 0.7)], [("green", None), ("orange", 0.7), ("red", 0.9)]),
        ([("critical", "<", 0.1), ("warning", "<", 0.3)], [("red", None), ("orange", 0.1), ("green", 0.3)]),
        ([("warning", "<", 0.1), ("warning", ">", 0.9)], [("red", None), ("green", 0.1), ("red", 0.9)]),
        ([("warning", ">", 0.9), ("critical", ">", 0.9)], [("green", None), ("red", 0.9)]),
        ([("warning", ">", 0.7), ("warning", ">", 0.9)], [("green", None), ("red", 0.7), ("red", 0.9)]),
    ],
)
def test_the_thresholds_of_all_alerts_on_a_signal_are_drawn(
    conditions: list[tuple[str, str, float]], steps: list[tuple[str, float | None]]
) -> None:
    signal = postgres.CONNECTIONS_USED
    template = next(alert for alert in ALERTS if alert.when.signal == signal)
    alerts = [
        replace(
            template,
            name=f"Alert{number}",
            severity=Severity(severity),
            when=signal.above(bound) if comparison == ">" else signal.below(bound),
        )
        for number, (severity, comparison, bound) in enumerate(conditions)
    ]
    draw = PanelFactory(alerts, {signal.job.name}, pages=(), links={})
    page = draw.page("T", "t", "d").with_panel(draw.stat(signal)).with_panel(draw.timeseries(signal))
    for panel in as_json(page)["panels"]:
        assert thresholds(panel) == steps


def test_the_threshold_of_a_later_signal_is_drawn_too() -> None:
    """The first one has no alert."""
    plain = replace(postgres.CONNECTIONS_USED, title="Other")
    panel = one(drawing().timeseries(plain, postgres.CONNECTIONS_USED))
    assert thresholds(panel) == [("green", None), ("red", 0.8)]
    assert panel["fieldConfig"]["defaults"]["custom"]["thresholdsStyle"]["mode"] == "line"


@pytest.mark.parametrize("tuning", [{"ConnectionPoolNearMax": AlertOverride(enabled=False)}, None])
def test_without_an_alert_nothing_is_good_or_bad(tuning: dict[str, AlertOverride] | None) -> None:
    for kind, panel in drawn(postgres.CONNECTIONS_USED if tuning else api.UPTIME, tuning):
        assert thresholds(panel) == [("text", None)]
        assert kind == "stat" or "thresholdsStyle" not in panel["fieldConfig"]["defaults"]["custom"]


def test_up_and_down_are_words() -> None:
    for _, panel in drawn(api.REACHABLE):
        (mapping,) = panel["fieldConfig"]["defaults"]["mappings"]
        assert {value: result["text"] for value, result in mapping["options"].items()} == {"0": "Down", "1": "Up"}


def test_a_panel_without_a_value_does_not_say_that_all_is_well() -> None:
    """Whether there is no traffic, or nobody measures, it cannot know."""
    for signal in (api.CACHE_HIT_RATIO, api.ERROR_RATIO):
        for _, panel in drawn(signal):
            assert panel["fieldConfig"]["defaults"]["noValue"] == "no value"


def test_an_overspent_budget_is_red() -> None:
    left = api.AVAILABILITY.error_budget_remaining.as_signal
    assert thresholds(one(drawing().stat(left, good_from=0))) == [("red", None), ("green", 0)]


def test_what_shows_only_in_trouble_says_so() -> None:
    for _, panel in drawn(api.ERROR_RATIO):
        assert panel["description"].endswith(ONLY_IN_TROUBLE)
    for _, panel in drawn(api.REQUESTS):
        assert ONLY_IN_TROUBLE not in panel["description"]


def test_two_signals_on_one_graph_are_told_apart() -> None:
    panel = one(drawing().timeseries(redis.RECEIVED, redis.SENT, title="Network"))
    assert panel["title"] == "Network"
    assert [(target["refId"], target["legendFormat"]) for target in panel["targets"]] == [
        ("A", "Received {{instance}}"),
        ("B", "Sent {{instance}}"),
    ]
    assert "Received: Bytes per second that clients send." in panel["description"]
    assert "Sent: Bytes per second that Redis sends." in panel["description"]


@pytest.mark.parametrize("other", [redis.CPU, replace(redis.SENT, empty_when_healthy=True)])
def test_signals_that_cannot_share_a_graph_are_refused(other: Signal) -> None:
    with pytest.raises(ValueError, match=f"'Received', {other.title!r} need panels of their own"):
        drawing().timeseries(redis.RECEIVED, other)


def test_signals_with_other_bounds_cannot_share_a_graph() -> None:
    """One line would be drawn for both."""
    with pytest.raises(ValueError, match="need panels of their own"):
        drawing().timeseries(postgres.CONNECTIONS_USED, postgres.CONNECTIONS_4H_PREDICTION)


def test_a_heatmap_has_the_unit_of_its_buckets_on_its_axis() -> None:
    panel = one(drawing().heatmap(api.RESPONSE_TIMES))
    assert panel["options"]["yAxis"]["unit"] == Unit.SECONDS
    assert (panel["targets"][0]["format"], panel["targets"][0]["legendFormat"]) == ("heatmap", "{{le}}")


def test_an_alert_that_fires_leads_to_its_page_or_to_the_overview() -> None:
    panel = one(drawing().firing(prometheus.FIRING))
    expr = panel["targets"][0]["expr"]
    assert '"page", "overview", "", ""), "page", "$1", "service", "(api|overview)")' in expr
    assert '"chosen", "$1", "chosen", "(?:api);(.+)")' in expr  # not on a page about several jobs
    (links,) = [o["properties"] for o in panel["fieldConfig"]["overrides"] if o["matcher"]["options"] == "alertname"]
    assert links[0]["value"][0]["url"].startswith("/d/${__data.fields.page}?var-instance=${__data.fields.chosen}&")
