"""Values as they travel: protobuf structures, secrets, unknowns, and JSON as Go writes it."""

from __future__ import annotations

import json
from collections.abc import Mapping
from decimal import Decimal
from typing import Any

from google.protobuf.struct_pb2 import NULL_VALUE, ListValue, Struct, Value

SIGNATURE = "4dabf18193072939515e22adb298388d"
SECRET = "1b47061264138c4ac30d75fd1eb44270"
UNKNOWN = "04da6b54-80e4-46f7-96ec-b56ff0331ba9"
"""Constants of Pulumi's wire format: how an object says that it is a secret, and what stands for a value
that is not known before `up` (pulumi/sdk/go/common/resource/plugin/rpc.go)."""


def from_struct(struct: Struct) -> dict[str, Any]:
    """A message's properties as plain values, secrets unwrapped, nulls left out."""
    found = {key: from_value(value) for key, value in struct.fields.items()}
    return {key: value for key, value in found.items() if value is not None}


def from_value(value: Value) -> Any:
    kind = value.WhichOneof("kind")
    if kind == "struct_value":
        fields = value.struct_value.fields
        if SIGNATURE in fields and fields[SIGNATURE].string_value == SECRET:
            return from_value(fields["value"])
        return from_struct(value.struct_value)
    if kind == "list_value":
        return [from_value(each) for each in value.list_value.values]
    if kind == "number_value":
        return int(value.number_value) if value.number_value.is_integer() else value.number_value
    return None if kind in (None, "null_value") else getattr(value, kind)


def to_struct(values: Mapping[str, Any], secrets: frozenset[str] = frozenset()) -> Struct:
    """Plain values as a message; those named in `secrets` are wrapped, None is left out."""
    struct = Struct()
    for key, value in values.items():
        if value is None:
            continue
        wrapped = {SIGNATURE: SECRET, "value": value} if key in secrets and value != UNKNOWN else value
        struct.fields[key].CopyFrom(to_value(wrapped))
    return struct


def to_value(value: Any) -> Value:
    if value is None:
        return Value(null_value=NULL_VALUE)
    if isinstance(value, bool):
        return Value(bool_value=value)
    if isinstance(value, (int, float)):
        return Value(number_value=value)
    if isinstance(value, str):
        return Value(string_value=value)
    if isinstance(value, Mapping):
        return Value(struct_value=to_struct(value))
    return Value(list_value=ListValue(values=[to_value(each) for each in value]))


def has_unknown(value: Any) -> bool:
    if isinstance(value, Mapping):
        return any(map(has_unknown, value.values()))
    return any(map(has_unknown, value)) if isinstance(value, list) else value == UNKNOWN


def go_json(value: Any) -> str:
    """Compact JSON, byte for byte as Go's json.Marshal writes a decoded value.

    Keys are sorted, `<`, `>`, `&` and two line separators escaped, and every number is a float64. State written
    by the official plugin holds this form, so another one would be a difference.
    """
    if isinstance(value, Mapping):
        return "{" + ",".join(f"{go_json(key)}:{go_json(value[key])}" for key in sorted(value)) + "}"
    if isinstance(value, list):
        return "[" + ",".join(map(go_json, value)) + "]"
    if isinstance(value, str):
        text = json.dumps(value, ensure_ascii=False)
        for char in "<>&\u2028\u2029":
            text = text.replace(char, f"\\u{ord(char):04x}")
        return text
    if isinstance(value, (int, float)) and not isinstance(value, bool):
        return _go_number(float(value))
    return json.dumps(value)


def _go_number(number: float) -> str:
    """The shortest digits that read back the same; an exponent only below 1e-6 and from 1e21 on."""
    if number == 0 or 1e-6 <= abs(number) < 1e21:
        return f"{Decimal(repr(number)):f}".removesuffix(".0")
    return repr(number).replace("e-0", "e-")
