"""What is wrong with a value of the settings, for the person who wrote it: the value, and what to write instead."""

import re
from collections.abc import Mapping
from typing import Any, Final

import yaml
from pydantic_core import ErrorDetails

from stacks.schema import schema_at, without_tags

Schema = Mapping[str, Any]
NO_MAPPING: Final = "must be a mapping (key: value)"


def without_password(text: str) -> str:
    """A text with what stands before the host of a URL left out."""
    return re.sub(r"(?<=://).*@", "...@", text, flags=re.DOTALL)


def format_value(value: Any) -> str:
    """A value as a message repeats it: short, on one line, nearly as YAML writes it, and without a URL's password."""
    match value:
        case None:
            return "nothing"
        case bool():
            return str(value).lower()
        case dict():
            return "a mapping"
        case str() | float():
            text = repr(without_password(value)) if isinstance(value, str) else str(value)
            return text if len(text) <= 60 else f"{text[:57]}..."
        case int():
            return str(value) if abs(value) < 10**20 else "a number of more than 20 digits"
        case list():
            return "a list"
        case _:
            return "binary data" if isinstance(value, bytes) else f"a {type(value).__name__}"  # a date, a set


def format_key(key: int | str) -> str:
    """A mapping's key as a message names it: on one line, and not endless."""
    text = without_password(str(key))
    return (text if text.isprintable() and text.strip() else ascii(text))[:60]


def key_path(error: ErrorDetails, root: Schema) -> tuple[int | str, ...]:
    """Where the value is, or the mapping with the key, that an error is about; `root` is the settings' schema."""
    location = error["loc"]
    if error["type"] == "invalid_key":
        return without_tags(root, location[:-1])  # pydantic gives the key not as it is there
    if _is_about_a_key(location, root):
        location = location[:-2] if error["type"] == "string_type" else location[:-1]
    return without_tags(root, location)


def message(error: ErrorDetails, root: Schema) -> str:
    """What is wrong, to be read after the key path; `root` is the settings' schema."""
    value, location = error["input"], error["loc"]
    is_key = _is_about_a_key(location, root)
    schema = schema_at(root, location[:-2])["propertyNames"] if is_key else schema_at(root, location)
    match error["type"]:
        case "missing":
            return "is missing"
        case "invalid_key":
            return _no_text(value)
        case "extra_forbidden":
            return f"no such setting; expected one of: {', '.join(schema_at(root, location[:-1])['properties'])}"
        case "model_type" | "dict_type" | "mapping_type":
            return f"{NO_MAPPING}, not {format_value(value)}"
        case "tuple_type":
            return f"must be a list (- item), not {format_value(value)}"
        case "string_type" if is_key:
            return _no_text(value)
        case "value_error":
            return error["msg"].removeprefix("Value error, ")
        case "string_type" if "title" not in schema:
            return f"must be text, not {format_value(value)}; put it in quotes"
        case _:
            shown = "this" if schema.get("format") == "uri" else format_value(value)  # it may hold a password
            quoted = isinstance(value, str) and schema.get("type") in ("boolean", "integer", "number")
            return f"{shown} is {expectation(schema)}{', without quotes' if quoted else ''}"


def _no_text(key: Any) -> str:
    return f"the key {format_value(key)} must be text; put it in quotes"


def _is_about_a_key(location: tuple[int | str, ...], root: Schema) -> bool:
    # A mapping may have the key "[key]" as well.
    return location[-1:] == ("[key]",) and "propertyNames" in schema_at(root, location[:-2])


def expectation(schema: Schema) -> str:
    """What a value is not, and what to write: `not a port; write a whole number from 1 to 65535, such as 9090`."""
    if choices := allowed_values(schema):
        choices += ["a mapping (key: value)"] if "properties" in schema else []  # the other alternative
        return f"not {schema.get('title', 'allowed')}; expected one of: {', '.join(map(str, choices))}"
    example = "".join(f", such as {as_yaml(example)}" for example in schema.get("examples", ())[:1])
    kind = "a boolean" if schema.get("type") == "boolean" else schema.get("title", "allowed")
    return f"not {kind}; write {form(schema)}{example}"


def allowed_values(schema: Schema) -> list[Any]:
    """The only values, if they are few."""
    return [schema["const"]] if "const" in schema else list(schema.get("enum", ()))


def form(schema: Schema) -> str:
    """What a value of that schema looks like, in words: `host:port without http://`, `a number of at least 0`."""
    match schema:
        case {"form": str(words)}:
            return words
        case {"type": "boolean"}:
            return "true or false"
        case {"type": "integer", "minimum": least, "maximum": most}:
            return f"a whole number from {least} to {most}"
        case {"type": "number", "minimum": least}:
            return f"a number of at least {least:g}"
        case {"type": "string"}:
            return "text"
        case _:
            return "another value"


def as_yaml(value: Any) -> str:
    """A value on one line, with the quotes that YAML needs, or that a person would not dare to leave out."""
    if isinstance(value, str) and re.match(r"\d+[:-]", value):
        return f"'{value}'"  # a time: PyYAML knows that some are text without quotes
    return yaml.safe_dump(value, default_flow_style=True, width=1000).partition("\n")[0]
