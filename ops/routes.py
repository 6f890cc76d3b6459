"""The receivers of each alert, in words: the alert routing table that a person reviews."""

from collections.abc import Mapping
from pathlib import Path
from typing import Final

from desired_state import DesiredState
from ops.columns import aligned
from routing.routes import Route
from rules import ALERTS
from rules.model import Alert

ROUTES_MD: Final = Path(__file__).parents[1] / "docs/routes.md"
NOT_DEPLOYED: Final = "-"  # the environment has no such alert
HEAD: Final = """# Alert routing table

For each alert and each environment: the receivers that `notifications` in `stacks/<stack>.yaml` routes it to, and in
parentheses the time intervals in which alone they are notified; `time_intervals` in that file says when these are.
Tests compare this table with the routing tree and with amtool's answers on the deployed files. After a change,
`make routes WRITE=1` writes it again: review the diff.

"""


def receivers_cell(desired: DesiredState, alert: Alert) -> str:
    """The receivers of an alert, as the table has them: by target, if they differ."""
    cells = dict.fromkeys(
        ", ".join(map(_receiver, desired.routes.match(labels))) or desired.routes.default_receiver
        for labels in desired.labels[alert]
    )
    return "; ".join(cells)


def _receiver(route: Route) -> str:
    times = [
        *route.active_time_intervals,
        *(f"not {name}" for name in route.mute_time_intervals),
    ]
    return f"{route.receiver} ({', '.join(times)})" if times else route.receiver


def table(stacks: Mapping[str, DesiredState]) -> str:
    """All alerts of all stacks as a page of Markdown."""
    lines = [
        f"| alert | severity | {' | '.join(stacks)} |",
        f"|---|---|{'---|' * len(stacks)}",
    ]
    for alert in ALERTS:
        cells = []
        for desired in stacks.values():
            # By its name: the settings tune it, so it is not the same object.
            there = next((one for one in desired.alerts if one.name == alert.name), None)
            cells.append(receivers_cell(desired, there) if there else NOT_DEPLOYED)
        lines.append(f"| {alert.name} | {alert.severity} | {' | '.join(cells)} |")
    return HEAD + "\n".join(lines) + "\n"


def text(desired: DesiredState) -> str:
    """One stack's alerts, for a terminal: severity, name, receivers, and how soon and how often they are notified."""
    rows = []
    for alert in desired.alerts:
        timing = desired.routes.match(desired.labels[alert][0])[0].timing
        when = f"after {timing.group_wait}, repeated after {timing.repeat_interval}"
        rows.append((alert.severity, alert.name, when, receivers_cell(desired, alert)))
    lines = [aligned(rows)]
    for name, window in sorted(desired.settings.notifications.maintenance_windows.items()):
        span = f"from {window.starts_at} to {window.ends_at} {window.time_zone}"
        lines.append(f"inhibited {name}: {', '.join(window.matchers)} {span}: {window.comment}")
    return "\n".join(lines)
