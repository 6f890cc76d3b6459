"""What a program is told of a preview or an update: the facts of that run, and nothing of another one's."""

import json
from pathlib import Path
from typing import Any

import pytest

from ops.pulumi_events import summarize_events
from tests.unit.factories import planned
from tests.unit.fake_stack import PASSWORD, FakeStack, main

LIVE = "8 targets, 9 rules, 2 data sources, 2 dashboards: live"


def log(*events: dict[str, Any]) -> str:
    return "".join(f"{json.dumps({'sequence': number, **event})}\n" for number, event in enumerate(events))


def said(severity: str, message: str) -> dict[str, Any]:
    return {"diagnosticEvent": {"severity": severity, "message": f"{message}\n", "prefix": f"{severity}: "}}


def outputs(readiness: str) -> dict[str, Any]:
    new = {"outputs": {"readiness": readiness, "grafana_url": "http://127.0.0.1:3000"}}
    return {"resOutputsEvent": {"metadata": {"op": "same", "type": "pulumi:pulumi:Stack", "new": new}}}


def ended(result: str = "succeeded", preview: bool = False, **changes: int) -> dict[str, Any]:
    return {
        "summaryEvent": {
            "isPreview": preview,
            "result": result,
            "durationSeconds": 6,
            "resourceChanges": changes or {"same": 72},
        }
    }


def test_an_update_tells_what_it_changed_and_that_all_is_live() -> None:
    assert summarize_events(log(outputs(LIVE), ended(same=70, replace=2), {"cancelEvent": {}})) == {
        "command": "up",
        "result": "succeeded",
        "seconds": 6,
        "changes": {"same": 70, "replace": 2},
        "errors": [],
        "warnings": [],
        "readiness": LIVE,
    }


def test_a_preview_verifies_nothing() -> None:
    facts = summarize_events(log(outputs(LIVE), ended(preview=True, create=1)))
    assert (facts["command"], facts["changes"], facts["readiness"]) == ("preview", {"create": 1}, None)


def test_a_failed_update_tells_its_errors_and_not_what_was_verified_before() -> None:
    failed = said("error", "nothing was changed, because the update could not succeed:\n  a port is taken")
    facts = summarize_events(log(failed, outputs(LIVE), ended("failed", same=1)))
    assert (facts["command"], facts["result"], facts["readiness"]) == ("up", "failed", None)
    assert facts["errors"] == ["nothing was changed, because the update could not succeed:\n  a port is taken"]


def test_an_update_that_asks_first_is_told_by_its_end() -> None:
    facts = summarize_events(log(ended(preview=True, replace=2), outputs(LIVE), ended(same=70, replace=2)))
    assert (facts["command"], facts["readiness"]) == ("up", LIVE)


@pytest.mark.parametrize("text", ["", log(outputs(LIVE)), log(outputs(LIVE)) + '{"summaryEvent": {"result": "succ'])
def test_a_run_that_did_not_end_has_failed(text: str) -> None:
    facts = summarize_events(text)
    assert (facts["command"], facts["result"], facts["changes"], facts["readiness"]) == (None, "failed", {}, None)


def test_warnings_of_ours_are_told_and_pulumis_of_plugins_are_not() -> None:
    ours = "deployed, not verified: target softfactory-api/api: down"
    noise = said("warning", "using pulumi-resource-docker from $PATH at /opt/pulumi-resource-docker")
    assert summarize_events(log(noise, said("warning", ours), said("debug", "x"), ended()))["warnings"] == [ours]


def test_a_refused_plan_is_told_without_the_values_that_it_holds() -> None:
    refused = "resource urn:x::api-secrets violates plan: properties changed: ~~uploads[{planted\nvalue}!={[secret]}]"
    assert summarize_events(log(said("error", refused), ended("failed")))["errors"] == [
        "resource urn:x::api-secrets violates plan"
    ]


@pytest.mark.parametrize(("result", "healthy"), [("succeeded", True), ("failed", None)])
def test_the_command_adds_the_health_report_after_a_successful_update(
    result: str,
    healthy: bool | None,
    tmp_path: Path,
    monkeypatch: pytest.MonkeyPatch,
    capsys: pytest.CaptureFixture[str],
) -> None:
    stack = FakeStack(planned("dev"))
    stack.install(monkeypatch)
    monkeypatch.setattr("clients.probes.client", stack.client)
    monkeypatch.setenv("GRAFANA_AUTH", f"admin:{PASSWORD}")
    events = tmp_path / "events.json"
    events.write_text(log(outputs(LIVE), ended(result)), encoding="utf-8")
    assert main(monkeypatch, "summarize-events", str(events), "--stack", "dev") == 0
    facts = json.loads(capsys.readouterr().out)
    assert (facts["stack"], facts["result"]) == ("dev", result)
    assert (facts["health"] or {}).get("healthy") is healthy


def test_the_command_tells_of_a_run_that_never_began(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    assert main(monkeypatch, "summarize-events", str(tmp_path / "none.json"), "--stack", "dev") == 0
    assert json.loads(capsys.readouterr().out)["result"] == "failed"
