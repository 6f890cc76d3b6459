"""Settings for unit tests: the dev stack's, with changes."""

from typing import Any

import yaml

from stacks.settings import FOLDER, Settings


def values(stack: str = "dev", **changes: Any) -> dict[str, Any]:
    """The values of a stack's file, with some replaced."""
    loaded: dict[str, Any] = yaml.safe_load((FOLDER / f"{stack}.yaml").read_text(encoding="utf-8"))
    return {**loaded, **changes}


def settings(stack: str = "dev", **changes: Any) -> Settings:
    return Settings.model_validate(values(stack, **changes))
