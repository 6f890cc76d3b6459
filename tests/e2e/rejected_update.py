"""What holds of an update that is refused: one message, and everything is as it was."""

import json
import re
import subprocess
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import Any

from tests.e2e.conftest import NAME, PREFIX, Stack

Footprint = tuple[list[str], Any]


def footprint(stack: Stack) -> Footprint:
    """The stack's containers, stopped ones included, and the resources of Pulumi's state."""
    mine: dict[str, str | list[str] | bool] = {"label": f"softfactory.prefix={PREFIX}"}
    containers = [str(item.id) for item in stack.engine.containers.list(all=True, sparse=True, filters=mine)]
    backend = Path(stack.environment["PULUMI_BACKEND_URL"].removeprefix("file://"))
    state = json.loads((backend / f".pulumi/stacks/softfactory-monitoring/{NAME}.json").read_text(encoding="utf-8"))
    return sorted(containers), _pretty_json(state["checkpoint"]["latest"]["resources"])


def _pretty_json(value: Any) -> Any:
    """Without what is encrypted: that is written anew, with another salt, each time."""
    if isinstance(value, dict):
        return {key: "" if key == "ciphertext" else _pretty_json(item) for key, item in value.items()}
    return [_pretty_json(item) for item in value] if isinstance(value, list) else value


def assert_refused(done: "subprocess.CompletedProcess[str]", *words: str) -> None:
    """It failed, with one message that has these words."""
    told = done.stdout + done.stderr
    assert done.returncode != 0, told
    for word in words:
        assert word in told
    assert "Traceback" not in told
    # Pulumi adds one of its own, which says nothing, to whatever ends a program.
    errors = re.findall(r"^ *error: (?!an unhandled error occurred: program exited)", told, re.MULTILINE)
    assert len(errors) == 1, told


@contextmanager
def nothing_changes(stack: Stack) -> Iterator[None]:
    before = footprint(stack)
    yield
    assert footprint(stack) == before
