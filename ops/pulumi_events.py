"""What a run of Pulumi did, for a program that cannot read its words: from the events that it logs."""

import json
import re
from collections.abc import Iterator, Mapping
from typing import Any, Final

STACK: Final = "pulumi:pulumi:Stack"
PLUGIN_WARNING: Final = "using pulumi-"  # a warning for each plugin that was found on PATH
# A refused plan's message repeats what was planned, a secret that has another value by now included.
REFUSED_PLAN: Final = re.compile(r"(violates plan): .*", re.DOTALL)


def summarize_events(log: str) -> dict[str, Any]:
    """The facts of one run, from its events as JSON, one a line.

    `command` is preview or up, and None where the run ended before it began or was killed, which counts as failed.
    `changes` maps what was done (same, create, update, replace, delete) to the number of resources, `readiness` is the
    line with which a successful update ends.
    """
    events = [json.loads(line) for line in log.splitlines(keepends=True) if line.endswith("\n")]  # a cut line is none
    # An update that asks first ends twice: as a preview, and as what it was told to do.
    ended: dict[str, Any] = next((e["summaryEvent"] for e in reversed(events) if "summaryEvent" in e), {})
    updated = ended.get("result") == "succeeded" and not ended["isPreview"]
    return {
        "command": ("preview" if ended["isPreview"] else "up") if ended else None,
        "result": ended.get("result", "failed"),
        "seconds": ended.get("durationSeconds"),
        "changes": ended.get("resourceChanges", {}),
        "errors": list(_diagnostics(events, "error")),
        "warnings": [text for text in _diagnostics(events, "warning") if not text.startswith(PLUGIN_WARNING)],
        "readiness": _stack_outputs(events).get("readiness") if updated else None,  # a failed one shows that of before
    }


def _diagnostics(events: list[dict[str, Any]], severity: str) -> Iterator[str]:
    for event in events:
        told = event.get("diagnosticEvent", {})
        if told.get("severity") == severity:
            yield REFUSED_PLAN.sub(r"\1", told["message"].strip())


def _stack_outputs(events: list[dict[str, Any]]) -> Mapping[str, Any]:
    """The stack's outputs at the end."""
    for event in reversed(events):
        metadata = event.get("resOutputsEvent", {}).get("metadata", {})
        if metadata.get("type") == STACK:
            return dict(metadata["new"]["outputs"])
    return {}
