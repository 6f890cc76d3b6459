"""The JSON Schema of the settings, of which messages, the editor's file and docs/settings.md are made."""

from collections.abc import Mapping, Sequence
from typing import Any, Final

from pydantic import BaseModel
from pydantic.json_schema import GenerateJsonSchema, JsonSchemaValue
from pydantic_core import core_schema

_ALTERNATIVES: Final = ("anyOf", "oneOf")


class _Generator(GenerateJsonSchema):
    """No titles but those of stacks/types.py, and a mapping's keys always have a schema."""

    def field_title_should_be_set(self, schema: Any) -> bool:
        return False

    def dict_schema(self, schema: core_schema.DictSchema) -> JsonSchemaValue:
        keys, values = self.generate_inner(schema["keys_schema"]), self.generate_inner(schema["values_schema"])
        return {"type": "object", "propertyNames": keys, "additionalProperties": values}


def json_schema(model: type[BaseModel]) -> dict[str, Any]:
    """The schema of what a person writes. Text has a `form` beside its pattern, in words (see types.py)."""
    schema = model.model_json_schema(schema_generator=_Generator)
    for part in (schema, *schema.get("$defs", {}).values()):
        part.pop("title", None)  # the name of a class
    return schema


def schema_at(root: Mapping[str, Any], location: Sequence[int | str]) -> dict[str, Any]:
    """The schema of the value at a location that pydantic gives, without references; empty if no setting is there."""
    return _walk(root, location)[0]


def without_tags(root: Mapping[str, Any], location: Sequence[int | str]) -> tuple[int | str, ...]:
    """A location as a person knows it: of a value with alternatives, pydantic names the one that it took, too."""
    return _walk(root, location)[1]


def _walk(root: Mapping[str, Any], location: Sequence[int | str]) -> tuple[dict[str, Any], tuple[int | str, ...]]:
    schema, steps = resolved(root, root), []
    for part in location:
        if len(_choices(schema)) > 1:
            schema = {key: value for key, value in schema.items() if key not in _ALTERNATIVES}
            continue
        inner = schema.get("items") if isinstance(part, int) else schema.get("properties", {}).get(part)
        schema = resolved(root, inner or schema.get("additionalProperties") or {})
        steps.append(part)
    return schema, tuple(steps)


def resolved(root: Mapping[str, Any], schema: Mapping[str, Any]) -> dict[str, Any]:
    """A schema with what it refers to, and with what each of its alternatives says; null is none."""
    own = {key: value for key, value in schema.items() if key != "$ref"}
    if "$ref" in schema:
        return {**resolved(root, root["$defs"][schema["$ref"].rpartition("/")[2]]), **own}
    choices = _choices(schema)
    if len(choices) == 1:
        own = {key: value for key, value in own.items() if key not in _ALTERNATIVES}
    for choice in reversed(choices):
        own = {**resolved(root, choice), **own}
    return own


def _choices(schema: Mapping[str, Any]) -> list[Mapping[str, Any]]:
    return [choice for kind in _ALTERNATIVES for choice in schema.get(kind, ()) if choice != {"type": "null"}]
