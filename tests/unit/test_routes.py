"""The alert routing table: what docs/routes.md says of each alert is how the stacks route it."""

from pathlib import Path

import pytest
from typer.testing import CliRunner

import ops.__main__ as commands
from desired_state import DesiredState, build_desired_state
from ops import routes
from rules import ALERTS
from stacks.settings import stacks
from tests.unit.factories import planned, settings, values


def plans() -> dict[str, DesiredState]:
    return {name: planned(name) for name in stacks()}


def test_the_table_is_the_one_that_was_reviewed() -> None:
    assert routes.ROUTES_MD.read_text(encoding="utf-8") == routes.table(plans()), (
        "the routing has changed: `make routes WRITE=1`, and review the difference of docs/routes.md"
    )


def test_every_alert_has_its_line_and_every_line_names_receivers() -> None:
    rows = [line.strip("| ").split(" | ") for line in routes.table(plans()).splitlines() if line.startswith("| ")]
    assert [row[0] for row in rows[1:]] == [alert.name for alert in ALERTS]
    assert rows[0][2:] == stacks()
    assert [row for row in rows[1:] for cell in row if not cell.strip() or "null" in cell] == []


def test_an_alert_that_an_environment_does_not_have_is_shown_as_missing() -> None:
    text = routes.table({"dev": build_desired_state(settings(alert_overrides={"SlowQueries": {"enabled": False}}))})
    assert f"| SlowQueries | warning | {routes.NOT_DEPLOYED} |" in text
    assert "| HighResponseTime | warning | inbox |" in text


def test_time_intervals_and_maintenance_windows_are_listed() -> None:
    window = {
        "matchers": ["service=redis"],
        "starts_at": "2027-01-16 22:00",
        "ends_at": "2027-01-16 23:00",
        "time_zone": "UTC",
        "comment": "a new Redis",
    }
    hours = {"start_time": "09:00", "end_time": "17:00", "time_zone": "UTC"}
    warning = {
        "match": {"severity": "warning"},
        "receivers": ["inbox"],
        "active_time_intervals": ["hours"],
        "mute_time_intervals": ["noon"],
    }
    notifications = {
        "receivers": values()["notifications"]["receivers"],
        "routes": [{"match": {"severity": "critical"}, "receivers": ["inbox"]}, warning],
        "time_intervals": {"hours": hours, "noon": {**hours, "start_time": "12:00", "end_time": "13:00"}},
        "maintenance_windows": {"upgrade": window},
    }
    text = routes.text(build_desired_state(settings(notifications=notifications)))
    assert "inbox (hours, not noon)" in text
    assert 'upgrade: service="redis" from 2027-01-16 22:00 to 2027-01-16 23:00 UTC: a new Redis' in text
    (line,) = (line for line in text.splitlines() if " ApiDown " in line)
    assert line.split() == ["critical", "ApiDown", "after", "10s,", "repeated", "after", "1h", "inbox"]


def test_one_command_prints_a_stacks_and_one_renews_the_table(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    shown = CliRunner().invoke(commands.app, ["routes", "--stack", "prod"])
    assert shown.exit_code == 0 and "oncall, alerts" in shown.output
    monkeypatch.setattr(routes, "ROUTES_MD", tmp_path / "routes.md")
    done = CliRunner().invoke(commands.app, ["routes", "--write"])
    assert done.exit_code == 0
    assert (tmp_path / "routes.md").read_text(encoding="utf-8") == routes.table(plans())
