"""docs/settings.md and the JSON Schema of the settings: as the models are, complete, and as strict as the program."""

import copy
import re
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest
import yaml
from typer.testing import CliRunner

import ops.__main__ as commands
from ops import settings_reference
from stacks.schema import resolved, schema_at
from stacks.settings import FOLDER, SettingsError, load_settings
from tests.checkers import STACKS
from tests.unit.factories import values
from tests.unit.json_schema import violations

SCHEMA = settings_reference.editor_schema()
ROWS = [
    [cell.strip() for cell in line.strip("| ").split(" | ")]
    for line in settings_reference.reference().splitlines()
    if line.startswith("| `")
]


def rejected_by_schema(tree: Any) -> set[str]:
    return {place.removeprefix(".") for place in violations(SCHEMA, tree, SCHEMA)}


def rejected_by_program(folder: Path, tree: Any) -> set[str]:
    (folder / "mine.yaml").write_text(yaml.safe_dump(tree), encoding="utf-8")
    try:
        load_settings("mine", folder=folder)
    except SettingsError as error:
        return {line.strip().partition(": ")[0] for line in str(error).splitlines()[1:]}
    return set()


def put(tree: dict[str, Any], place: str, value: Any) -> dict[str, Any]:
    """The values with another one at a key path, and with the mappings on the way to it."""
    changed: dict[str, Any] = copy.deepcopy(tree)
    *way, last = place.split(".")
    here: Any = changed
    for key in way:
        here = here[int(key)] if isinstance(here, list) else here.setdefault(key, {})
    here[int(last) if isinstance(here, list) else last] = value
    return changed


@pytest.mark.parametrize("path", settings_reference.files(), ids=lambda path: str(path.name))
def test_the_files_are_as_the_models_say(path: Path) -> None:
    text = settings_reference.files()[path]
    assert path.read_text(encoding="utf-8") == text, f"run `make settings-reference` and commit {path.name}"


def test_one_command_prints_the_reference_and_writes_both_files(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    printed = CliRunner().invoke(commands.app, ["settings-reference"])
    assert printed.exit_code == 0 and printed.stdout == settings_reference.reference()
    for name in ("SCHEMA", "REFERENCE"):
        monkeypatch.setattr(settings_reference, name, tmp_path / name)
    done = CliRunner().invoke(commands.app, ["settings-reference", "--write"])
    assert done.exit_code == 0
    assert {path.read_text(encoding="utf-8") for path in tmp_path.iterdir()} == {*settings_reference.files().values()}


@pytest.mark.parametrize("stack", STACKS)
def test_every_stacks_file_names_the_schema_and_is_valid_by_it(stack: str) -> None:
    text = (FOLDER / f"{stack}.yaml").read_text(encoding="utf-8")
    assert text.splitlines()[0] == f"# yaml-language-server: $schema={settings_reference.SCHEMA.name}"
    assert rejected_by_schema(yaml.safe_load(text)) == set()


@pytest.mark.parametrize(
    ("place", "value"),
    [
        ("colour", "blue"),
        ("ports.loki", 3100),
        ("scrape_targets.softfactory-api.0.job", "x"),
        ("environment", 5),
        ("volume_policy", "forget"),
        ("exporters.postgres.0.sslmode", "off"),
        ("images.overrides.nginx", "nginx:1"),
        ("images.overrides.redis", "https://registry.internal/redis:1"),
        ("demo", "true"),
        ("ports.grafana", 0),
        ("ports.grafana", 65536),
        ("ports.grafana", "3000"),
        ("ports", 3000),
        ("alert_overrides.SlowQueries.threshold", -1),
        ("alert_overrides.SlowQueries.for", "soon"),
        ("retention", "30s1m"),
        ("name_prefix", "x" * 41),
        ("scrape_targets.softfactory-api.0.address", "http://api:8000"),
        ("scrape_targets.softfactory-api", {}),
        ("notifications.receivers.inbox.webhook.url", "https://me:password@hooks.internal/"),
        ("notifications.receivers.inbox.webhook.send_resolved", True),
        ("notifications.receivers.Inbox", {}),
        ("notifications.receivers", {}),
        ("notifications.dead_mans_switch", "off"),
        ("notifications.dead_mans_switch.url", "beats"),
        ("runbook_base_url", "https://git.internal/docs?branch=main"),
        ("docker_host", "engine"),
        ("notifications.maintenance_windows.No", {}),
        ("notifications.time_intervals.Nights", {"time_zone": "UTC"}),
        ("notifications.time_intervals.nights.start_time", "9:00"),
        ("notifications.time_intervals.nights", []),
    ],
)
def test_what_the_schema_can_express_is_rejected_by_it_and_by_the_program(
    tmp_path: Path, place: str, value: Any
) -> None:
    tree = put(values(), place, value)
    rejected = rejected_by_program(tmp_path, tree)
    assert place in rejected
    assert rejected_by_schema(tree) == rejected


@pytest.mark.parametrize("place", ["environment", "exporters.postgres.0.username", "exporters.elasticsearch.0.url"])
def test_what_is_missing_is_rejected_by_both(tmp_path: Path, place: str) -> None:
    tree = values()
    *way, last = place.split(".")
    here = tree
    for key in way:
        here = here[int(key)] if isinstance(here, list) else here[key]
    del here[last]
    assert rejected_by_schema(tree) == rejected_by_program(tmp_path, tree) == {place}


def test_an_empty_list_is_rejected_by_both(tmp_path: Path) -> None:
    place = "notifications.time_intervals.nights"
    tree = put(values(), place, {"weekdays": [], "time_zone": "UTC"})
    assert rejected_by_schema(tree) == rejected_by_program(tmp_path, tree) == {f"{place}.weekdays"}


def leaves(schema: Any, place: str = "") -> Iterator[str]:
    """The key path of every single value, and of every list of them."""
    node = resolved(SCHEMA, schema)
    items = resolved(SCHEMA, node.get("items", {}))
    if "properties" in items:
        yield from leaves(items, f"{place}[]")
    elif "properties" in node:
        for name, inner in node["properties"].items():
            yield from leaves(inner, f"{place}.{name}")
    elif "propertyNames" in node:
        yield from leaves(node["additionalProperties"], f"{place}.<>")
    else:
        yield place.removeprefix(".")


def test_the_reference_has_a_row_for_every_key_and_every_cell_says_something() -> None:
    assert {re.sub("<.*?>", "<>", row[0].strip("`")) for row in ROWS} == set(leaves(SCHEMA))
    assert [row[0] for row in ROWS if len(row) != 5 or not all(cell.strip("`") for cell in row)] == []


def test_every_section_says_what_it_is_for() -> None:
    sections = {name: part for name, part in SCHEMA["$defs"].items() if "properties" in part}
    assert [name for name, part in sections.items() if not part.get("description")] == []


@pytest.mark.parametrize("row", ROWS, ids=lambda row: str(row[0]).strip("`"))
def test_every_example_and_default_is_valid_in_its_place(row: list[str]) -> None:
    location: list[int | str] = []
    for part in row[0].strip("`").replace("[]", ".0").split("."):
        if schema_at(SCHEMA, location).keys() & {"anyOf", "oneOf"}:
            location.append("[form]")  # pydantic's locations name the alternative
        location.append(0 if part == "0" else part)
    node = schema_at(SCHEMA, location)
    for cell in (row[4], row[2]):
        if cell.startswith("`"):
            assert list(violations(node, yaml.safe_load(cell.strip("`")), SCHEMA)) == [], cell


def test_an_editor_says_what_the_program_says(tmp_path: Path) -> None:
    (tmp_path / "mine.yaml").write_text(yaml.safe_dump(put(values(), "ports.grafana", 0)), encoding="utf-8")
    with pytest.raises(SettingsError) as caught:
        load_settings("mine", folder=tmp_path)
    assert f"  ports.grafana: 0 is {SCHEMA['$defs']['Ports']['properties']['grafana']['errorMessage']}" in str(
        caught.value
    )
