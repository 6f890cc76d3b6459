"""`python -m ops render`: exactly the files that would be deployed, and nothing secret in them."""

import json
from pathlib import Path

import pytest
import yaml
from typer.testing import CliRunner, Result

from ops.__main__ import app
from tests.unit.factories import planned


def render(out: Path, stack: str = "dev") -> Result:
    return CliRunner().invoke(app, ["render", "--stack", stack, "--out", str(out)])


def written(out: Path) -> dict[str, str]:
    return {str(p.relative_to(out)): p.read_text(encoding="utf-8") for p in out.rglob("*") if p.is_file()}


@pytest.mark.parametrize("stack", ["dev", "staging", "prod"])
def test_the_files_are_exactly_those_of_the_plan(tmp_path: Path, stack: str) -> None:
    result = render(tmp_path / "out", stack)
    assert result.exit_code == 0, result.output
    desired, files = planned(stack), written(tmp_path / "out")
    assert f"{len(files)} files of stack {stack} in " in result.output
    assert files == desired.files()
    groups = {alert.group or alert.service for alert in desired.alerts}
    assert set(files) >= {
        "prometheus/prometheus.yml",
        *(f"prometheus/rules/{group}.yml" for group in groups),
        "alertmanager/alertmanager.yml",
        "alertmanager/templates/message.tmpl",
        *(f"grafana/dashboards/{uid}.json" for uid in desired.dashboards),
        "grafana/datasources.json",
    }


def test_every_file_can_be_read_and_ends_with_a_newline(tmp_path: Path) -> None:
    render(tmp_path)
    for path, text in written(tmp_path).items():
        assert text.endswith("\n"), path
        if path.endswith(".json"):
            json.loads(text)
        if path.endswith(".yml"):
            yaml.safe_load(text)


def test_the_data_sources_are_as_grafanas_api_takes_them(tmp_path: Path) -> None:
    render(tmp_path)
    sources = json.loads((tmp_path / "grafana/datasources.json").read_text(encoding="utf-8"))
    assert [(source["uid"], source["type"], source["url"], source["isDefault"]) for source in sources] == [
        ("prometheus", "prometheus", "http://prometheus:9090", True),
        ("alertmanager", "alertmanager", "http://alertmanager:9093", False),
    ]


def test_the_default_folder_is_rendered_again_whatever_an_older_version_left_in_it(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.chdir(tmp_path)
    gone = tmp_path / "out/dev/prometheus/rules/gone.yml"
    gone.parent.mkdir(parents=True)
    gone.write_text("groups: []\n", encoding="utf-8")
    beside = tmp_path / "out/notes.txt"
    beside.write_text("mine", encoding="utf-8")
    result = CliRunner().invoke(app, ["render", "--stack", "dev"])
    assert result.exit_code == 0, result.output
    assert written(tmp_path / "out/dev") == planned("dev").files()
    assert beside.read_text(encoding="utf-8") == "mine"


def test_rendering_again_changes_nothing(tmp_path: Path) -> None:
    render(tmp_path)
    before = written(tmp_path)
    assert render(tmp_path).exit_code == 0
    assert written(tmp_path) == before


def test_a_secret_is_a_file_to_read_and_not_a_value(tmp_path: Path) -> None:
    render(tmp_path, "prod")
    text = (tmp_path / "alertmanager/alertmanager.yml").read_text(encoding="utf-8")
    assert "api_url_file: /run/secrets/alerts_slack_webhook_url" in text
    assert "routing_key_file: /run/secrets/oncall_pagerduty_routing_key" in text
    assert "auth_password_file: /run/secrets/operations_smtp_password" in text
    assert "url_file: /run/secrets/dead_mans_switch_url" in text
    everything = "".join(written(tmp_path).values()).lower()
    assert (
        everything.count("password")
        == everything.count("auth_password_file: /run/secrets/operations_smtp_password") * 2
    )


def test_a_folder_with_other_files_is_left_alone(tmp_path: Path) -> None:
    (tmp_path / "notes.txt").write_text("mine", encoding="utf-8")
    result = render(tmp_path)
    assert result.exit_code == 2
    assert "notes.txt; give an empty folder" in result.output.replace("\n", "")
    assert written(tmp_path) == {"notes.txt": "mine"}


def test_a_folder_that_cannot_be_written_is_told_in_one_line(tmp_path: Path) -> None:
    (tmp_path / "file").touch()
    result = render(tmp_path / "file" / "out")
    assert result.exit_code == 2
    assert isinstance(result.exception, SystemExit)
    assert "cannot be written: Not a directory; give another folder" in result.output


def test_a_stack_that_does_not_exist_is_told_in_one_line(tmp_path: Path) -> None:
    result = render(tmp_path, "live")
    assert result.exit_code == 2
    assert result.output.startswith("stack 'live' has no settings file")
    assert result.output.count("\n") == 1
    assert written(tmp_path) == {}
