"""docs/settings.md and stacks/settings.schema.json, generated from the settings' models: every key and its values."""

import json
from collections.abc import Iterator, Mapping
from pathlib import Path
from typing import Any, Final

from stacks.messages import allowed_values, as_yaml, expectation, form
from stacks.schema import json_schema, resolved
from stacks.settings import FOLDER, Settings

SCHEMA: Final = FOLDER / "settings.schema.json"
REFERENCE: Final = Path(__file__).parents[1] / "docs/settings.md"
MODELINE: Final = f"# yaml-language-server: $schema={SCHEMA.name}"
HEAD: Final = f"""# Settings

`stacks/<stack>.yaml` describes one environment; these are its keys. Its first line,
`{MODELINE}`, makes editors with the YAML language server complete and
check them. If anything in the file is wrong, `make preview` and `make up` list every mistake and change nothing.

`make settings-reference` generates this page from the models in `stacks/`.
"""
TABLE: Final = "| key | value | default | meaning | example |\n|---|---|---|---|---|"
Node = Mapping[str, Any]


def files() -> dict[Path, str]:
    """Both files as they should be."""
    return {SCHEMA: json.dumps(editor_schema(), indent=2) + "\n", REFERENCE: reference()}


def editor_schema() -> dict[str, Any]:
    """The JSON Schema for editors, in the draft that all versions of the YAML language server know.

    `errorMessage`, which they show if a pattern does not match, is what the program says.
    """
    root = json_schema(Settings)
    for node in _nodes(root):
        if "title" in node:
            node["errorMessage"] = expectation(node)
        node.pop("form", None)
    return {"$schema": "http://json-schema.org/draft-07/schema#", **root}


def _nodes(tree: Any) -> Iterator[dict[str, Any]]:
    for inner in tree.values() if isinstance(tree, dict) else tree if isinstance(tree, list) else ():
        yield from _nodes(inner)
    if isinstance(tree, dict):
        yield tree


def reference() -> str:
    """The page for people: a table for each section, with full key paths."""
    root = json_schema(Settings)
    return "\n".join((HEAD.rstrip(), *_section(root, root, ""))) + "\n"


def _section(root: Node, node: Node, path: str) -> Iterator[str]:
    rows, sections = [], []
    for name, field in node["properties"].items():
        key, inner = _innermost(root, field, f"{path}.{name}" if path else name)
        if "properties" in inner:
            meaning = " ".join(dict.fromkeys(filter(None, (_meaning(field), _meaning(inner)))))
            sections += ["", f"## `{key}`", "", meaning, *_section(root, inner, key)]
        else:
            rows.append(_row(root, field, key, required=name in node.get("required", ())))
    if rows:
        yield from ("", TABLE, *rows)
    yield from sections


def _innermost(root: Node, field: Node, key: str) -> tuple[str, Node]:
    """The model of a section, or the value of a mapping, with its key path: `scrape_targets.<job>[]`."""
    node = resolved(root, {name: value for name, value in field.items() if name != "description"})
    if node.get("additionalProperties"):
        names = resolved(root, node["propertyNames"])
        return _innermost(root, node["additionalProperties"], f"{key}.<{_kind(names)}>")
    if "properties" in resolved(root, node.get("items", {})):
        return _innermost(root, node["items"], f"{key}[]")
    return key, node


def _row(root: Node, field: Node, key: str, *, required: bool) -> str:
    node = resolved(root, field)
    value = _innermost(root, field, key)[1]
    default = "required" if required else _code(node["default"]) if node.get("default") is not None else "unset"
    cells = (f"`{key}`", _value(root, value), default, _meaning(field), _code(_example(root, value)))
    return f"| {' | '.join(cell.replace('|', chr(92) + '|') for cell in cells)} |"


def _value(root: Node, node: Node) -> str:
    """What can be written, with its bounds."""
    if "items" in node:
        return f"list of: {_value(root, resolved(root, node['items']))}"
    if choices := allowed_values(node):
        return " or ".join(f"`{choice}`" for choice in choices)
    if node["type"] == "boolean":
        return "`true` or `false`"
    return f"{_kind(node)}: {form(node)}" if "title" in node else form(node)


def _example(root: Node, node: Node) -> Any:
    """A valid value, and not the default if there is another."""
    if "items" in node:
        return [_example(root, resolved(root, node["items"]))]
    if node["type"] == "boolean":
        return not node.get("default", False)
    choices = [*node.get("examples", ()), *allowed_values(node)]
    return next((choice for choice in choices if choice != node.get("default")), choices[0])


def _kind(node: Node) -> str:
    return str(node.get("title", "name")).removeprefix("a ").removeprefix("an ")


def _meaning(node: Node) -> str:
    return " ".join(str(node.get("description", "")).split())


def _code(value: Any) -> str:
    return f"`{as_yaml(value)}`"
