"""Messages about values that may be written in several forms, which pydantic puts into the place of an error."""

from collections.abc import Mapping
from typing import Annotated, Any, Literal

import pytest
from pydantic import Discriminator, Field, Tag, ValidationError

from stacks.messages import key_path, message
from stacks.schema import json_schema
from stacks.types import NonEmpty, Port, SettingsModel


class Hours(SettingsModel):
    """When."""

    start: Port
    """From."""


Switch = Annotated[
    Annotated[Hours, Tag("[one]")]
    | Annotated[NonEmpty[Hours], Tag("[list]")]
    | Annotated[Literal["disabled"], Tag("[text]")],
    Discriminator(lambda value: {list: "[list]", str: "[text]"}.get(type(value), "[one]")),
]


class Section(SettingsModel):
    """Everything."""

    hours: Switch | None = None
    """One, several, or none."""
    named: Mapping[str, Switch] = Field(default_factory=dict)
    """By name."""


@pytest.mark.parametrize(
    ("values", "said"),
    [
        ({"hours": {"start": 0}}, "hours.start: 0 is not a port; write a whole number from 1 to 65535, such as 9090"),
        ({"hours": {"stop": 1, "start": 1}}, "hours.stop: no such setting; expected one of: start"),
        ({"hours": [{"start": 1}, {"start": 0}]}, "hours.1.start: 0 is not a port; write a whole number from 1 to"),
        ({"hours": []}, "hours: is empty; write at least one"),
        ({"hours": "off"}, "hours: 'off' is not allowed; expected one of: disabled"),
        ({"named": {"x": {"start": 0}}}, "named.x.start: 0 is not a port; write a whole number from 1 to 65535"),
        ({"named": {"x": [{}]}}, "named.x.0.start: is missing"),
        ({"named": {"[one]": {}}}, "named.[one].start: is missing"),
        ({"named": {5: {"start": 1}}}, "named: the key 5 must be text; put it in quotes"),
    ],
    ids=str,
)
def test_a_message_is_about_what_was_written_and_not_about_its_form(values: dict[str, Any], said: str) -> None:
    root = json_schema(Section)
    with pytest.raises(ValidationError) as caught:
        Section.model_validate(values)
    (error,) = caught.value.errors()
    assert f"{'.'.join(map(str, key_path(error, root)))}: {message(error, root)}".startswith(said)
