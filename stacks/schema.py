"""The JSON Schema of the settings, of which messages, the editor's file and docs/settings.md are made."""

from collections.abc import Mapping, Sequence
from typing import Any

from pydantic import BaseModel
from pydantic.json_schema import GenerateJsonSchema, JsonSchemaValue
from pydantic_core import core_schema


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


def schema_at(root: Mapping[str, Any], place: Sequence[int | str]) -> dict[str, Any]:
    """The schema of the value at a key path of the settings, without references; empty if no setting is there."""
    schema = resolved(root, root)
    for part in place:
        inner = schema.get("properties", {}).get(part) or schema.get("additionalProperties") or schema.get("items")
        schema = resolved(root, inner or {})
    return schema


def resolved(root: Mapping[str, Any], schema: Mapping[str, Any]) -> dict[str, Any]:
    """A schema with what it refers to, and, if it may be null, with what it is else."""
    own = {key: value for key, value in schema.items() if key not in ("$ref", "anyOf")}
    if "$ref" in schema:
        return {**resolved(root, root["$defs"][schema["$ref"].rpartition("/")[2]]), **own}
    if "anyOf" in schema:
        return {**resolved(root, next(one for one in schema["anyOf"] if one != {"type": "null"})), **own}
    return own
