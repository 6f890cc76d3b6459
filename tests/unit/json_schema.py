"""As much of JSON Schema (draft 07) as the settings' schema uses."""

import re
from collections.abc import Iterator, Mapping, Sequence
from typing import Any, Final

TYPES: Final[Mapping[str, tuple[type, ...]]] = {
    "object": (dict,),
    "array": (list,),
    "string": (str,),
    "boolean": (bool,),
    "integer": (int,),
    "number": (int, float),
    "null": (type(None),),
}
ANNOTATIONS: Final = {"title", "description", "examples", "default", "format", "errorMessage", "$schema", "$defs"}


def violations(schema: Mapping[str, Any], value: Any, root: Mapping[str, Any], place: str = "") -> Iterator[str]:
    """The places of a value, or of its keys, that the schema rejects. NotImplementedError for an unknown keyword."""
    for keyword, wanted in schema.items():
        match keyword:
            case "$ref":
                yield from violations(root["$defs"][wanted.rpartition("/")[2]], value, root, place)
            case "anyOf" | "oneOf":
                if all(list(violations(choice, value, root)) for choice in wanted):
                    yield from violations(_meant(wanted, value, root), value, root, place)
            case "type":
                if not isinstance(value, TYPES[wanted]) or (isinstance(value, bool) and wanted != "boolean"):
                    yield place
            case "enum" | "const":
                if value not in (wanted if keyword == "enum" else [wanted]):
                    yield place
            case "pattern" if isinstance(value, str):
                if not re.search(wanted.removesuffix("$") + r"\Z" if wanted.endswith("$") else wanted, value):
                    yield place
            case "minLength" | "maxLength" if isinstance(value, str):
                if (len(value) < wanted) if keyword == "minLength" else (len(value) > wanted):
                    yield place
            case "minimum" | "maximum" if isinstance(value, int | float):
                if not (value >= wanted if keyword == "minimum" else value <= wanted):
                    yield place
            case "minItems" if isinstance(value, list):
                if len(value) < wanted:
                    yield place
            case "minProperties" if isinstance(value, dict):
                if len(value) < wanted:
                    yield place
            case "items" if isinstance(value, list):
                for number, item in enumerate(value):
                    yield from violations(wanted, item, root, f"{place}.{number}")
            case "required" if isinstance(value, dict):
                yield from (f"{place}.{name}" for name in wanted if name not in value)
            case "properties" if isinstance(value, dict):
                for name in value.keys() & wanted.keys():
                    yield from violations(wanted[name], value[name], root, f"{place}.{name}")
            case "propertyNames" if isinstance(value, dict):
                for name in value:
                    yield from violations(wanted, name, root, f"{place}.{name}")
            case "additionalProperties" if isinstance(value, dict):
                for name in value.keys() - schema.get("properties", {}).keys():
                    if wanted is False:
                        yield f"{place}.{name}"
                    else:
                        yield from violations(wanted, value[name], root, f"{place}.{name}")
            case _ if keyword not in ANNOTATIONS and keyword not in KEYWORDS:
                raise NotImplementedError(keyword)


KEYWORDS: Final = {
    "pattern",
    "minLength",
    "maxLength",
    "minimum",
    "maximum",
    "minItems",
    "minProperties",
    "items",
    "required",
    "properties",
    "propertyNames",
    "additionalProperties",
}  # which say nothing of values of another type


def _meant(choices: Sequence[Mapping[str, Any]], value: Any, root: Mapping[str, Any]) -> Mapping[str, Any]:
    """The alternative that a value, which none accepts, is nearest to: one of the value's own type if there is one."""
    others = [choice for choice in choices if choice != {"type": "null"}]
    return next((choice for choice in others if "" not in violations(choice, value, root)), others[0])
