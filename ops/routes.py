"""Who is told of each alert, in words: the truth table that a person reviews."""

from collections.abc import Mapping
from pathlib import Path
from typing import Final

from desired_state import DesiredState
from ops.columns import aligned
from rules import ALERTS
from rules.model import Alert

ROUTES_MD: Final = Path(__file__).parents[1] / "docs/routes.md"
ABSENT: Final = "-"  # the environment has no such alert
HEAD: Final = """# Who is told of which alert

Alert by alert, and environment by environment: the receivers of `notifications` in `stacks/<stack>.yaml`, and in
brackets the time intervals in which alone they are told. It is what the code does, and what amtool says of the files
that are deployed; tests compare all three. After a change, `make routes WRITE=1` writes it anew: review the difference.

"""


def told(desired: DesiredState, alert: Alert) -> str:
    """The receivers of an alert, as the table has them."""
    ways = dict.fromkeys(
        tuple(f"{route.receiver} ({', '.join(route.active)})" if route.active else route.receiver for route in routes)
        for routes in (desired.routes.taken(labels) for labels in desired.labels[alert])
    )
    return "; ".join(", ".join(way) for way in ways)


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
            cells.append(told(desired, there) if there else ABSENT)
        lines.append(f"| {alert.name} | {alert.severity} | {' | '.join(cells)} |")
    return HEAD + "\n".join(lines) + "\n"


def text(desired: DesiredState) -> str:
    """One stack's alerts, for a terminal: severity, name, receivers, and how soon and how often they are told."""
    rows = []
    for alert in desired.alerts:
        pace = desired.routes.taken(desired.labels[alert][0])[0].pace
        when = f"after {pace.wait}, again after {pace.repeat}"
        rows.append((alert.severity, alert.name, when, told(desired, alert)))
    lines = [aligned(rows)]
    for name, work in sorted(desired.settings.notifications.planned_work.items()):
        span = f"from {work.start} to {work.end} {work.time_zone}"
        lines.append(f"muted    {name}: {', '.join(work.matchers)} {span}: {work.reason}")
    return "\n".join(lines)
