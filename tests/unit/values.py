"""Settings for unit tests: the dev stack's, with changes."""

from functools import cache
from typing import Any

import yaml

from plan import Plan, load_plan
from stacks.settings import FOLDER, Settings


def values(stack: str = "dev", **changes: Any) -> dict[str, Any]:
    """The values of a stack's file, with some replaced."""
    loaded: dict[str, Any] = yaml.safe_load((FOLDER / f"{stack}.yaml").read_text(encoding="utf-8"))
    return {**loaded, **changes}


def settings(stack: str = "dev", **changes: Any) -> Settings:
    return Settings.model_validate(values(stack, **changes))


@cache
def planned(stack: str) -> Plan:
    """The plan of one of the project's own environments; made once, so not for tests that change the model."""
    return load_plan(stack)
