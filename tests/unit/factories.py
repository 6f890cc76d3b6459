"""Settings for unit tests: the dev stack's, with changes."""

import json
from functools import cache
from typing import Any

import pytest
import yaml
from pydantic import BaseModel, ValidationError

from desired_state import DesiredState, build_desired_state, load_desired_state
from stacks.messages import message
from stacks.schema import json_schema
from stacks.settings import FOLDER, Settings
from tests.checkers import STACKS


def values(stack: str = "dev", **changes: Any) -> dict[str, Any]:
    """The values of a stack's file, with some replaced."""
    loaded: dict[str, Any] = yaml.safe_load((FOLDER / f"{stack}.yaml").read_text(encoding="utf-8"))
    return {**loaded, **changes}


def settings(stack: str = "dev", **changes: Any) -> Settings:
    return Settings.model_validate(values(stack, **changes))


def problems(model: type[BaseModel], **values: Any) -> list[str]:
    """What is said of a section's values, without the places."""
    with pytest.raises(ValidationError) as caught:
        model.model_validate(values)
    return [message(error, json_schema(model)) for error in caught.value.errors()]


def planned(stack: str = "dev", **changes: Any) -> DesiredState:
    """The plan of `settings(...)`; each is made once, so this is not for tests that change the model."""
    return _planned(stack, json.dumps(changes))


def remembered(stack: str, *given: Any, **named: Any) -> DesiredState:
    """`load_desired_state`, which makes the plans of the project's own environments once."""
    return planned(stack) if stack in STACKS and not (given or named) else load_desired_state(stack, *given, **named)


@cache
def _planned(stack: str, changes: str) -> DesiredState:
    return build_desired_state(settings(stack, **json.loads(changes))) if changes != "{}" else load_desired_state(stack)
