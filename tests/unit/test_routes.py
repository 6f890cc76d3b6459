"""The truth table: what docs/routes.md says of each alert is what the plans do."""

from pathlib import Path

import pytest
from typer.testing import CliRunner

import ops.__main__ as commands
from desired_state import DesiredState, build_desired_state
from ops import routes
from rules import ALERTS
from stacks.settings import Environment
from tests.unit.factories import planned, settings


def plans() -> dict[str, DesiredState]:
    return {environment.value: planned(environment.value) for environment in Environment}


def test_the_table_is_the_one_that_was_reviewed() -> None:
    assert routes.ROUTES_MD.read_text(encoding="utf-8") == routes.table(plans()), (
        "who is told has changed: `make routes WRITE=1`, and review the difference of docs/routes.md"
    )


def test_every_alert_has_its_line_and_every_line_names_receivers() -> None:
    rows = [line.strip("| ").split(" | ") for line in routes.table(plans()).splitlines() if line.startswith("| ")]
    assert [row[0] for row in rows[1:]] == [alert.name for alert in ALERTS]
    assert rows[0][2:] == ["dev", "staging", "prod"]
    assert [row for row in rows[1:] for cell in row if not cell.strip() or "null" in cell] == []


def test_an_alert_that_an_environment_does_not_have_is_shown_as_missing() -> None:
    text = routes.table({"dev": build_desired_state(settings(alert_overrides={"SlowQueries": {"enabled": False}}))})
    assert f"| SlowQueries | warning | {routes.ABSENT} |" in text
    assert "| HighResponseTime | warning | webhook |" in text


def test_office_hours_and_planned_work_are_told() -> None:
    work = {
        "matchers": ["service=redis"],
        "start": "2027-01-16 22:00",
        "end": "2027-01-16 23:00",
        "time_zone": "UTC",
        "reason": "a new Redis",
    }
    made = build_desired_state(
        settings(
            notifications={
                "office_hours": {"start": "09:00", "end": "17:00", "time_zone": "UTC"},
                "planned_work": {"upgrade": work},
            }
        )
    )
    said = routes.text(made)
    assert "webhook (office-hours)" in said
    assert 'upgrade: service="redis" from 2027-01-16 22:00 to 2027-01-16 23:00 UTC: a new Redis' in said
    (line,) = (line for line in said.splitlines() if " ApiDown " in line)
    assert line.split() == ["critical", "ApiDown", "after", "10s,", "again", "after", "1h", "webhook"]


def test_one_command_prints_a_stacks_and_one_renews_the_table(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    shown = CliRunner().invoke(commands.app, ["routes", "--stack", "prod"])
    assert shown.exit_code == 0 and "pagerduty, slack" in shown.output
    monkeypatch.setattr(routes, "ROUTES_MD", tmp_path / "routes.md")
    done = CliRunner().invoke(commands.app, ["routes", "--write"])
    assert done.exit_code == 0
    assert (tmp_path / "routes.md").read_text(encoding="utf-8") == routes.table(plans())
