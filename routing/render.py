"""Alertmanager's configuration from a route tree."""

from pathlib import Path
from typing import Any, Final

from routing.tree import Tree
from rules.model import Severity
from rules.render import digest, to_yaml

TEMPLATES: Final = Path(__file__).parent / "templates"


def alertmanager_files(tree: Tree) -> dict[str, str]:
    """Path to text: `alertmanager.yml` and the message templates under `templates/`."""
    templates = {
        f"templates/{path.name}": path.read_text(encoding="utf-8") for path in sorted(TEMPLATES.glob("*.tmpl"))
    }
    # Alertmanager reports a hash of this file alone, so a change of a template must show in it.
    head = f"# templates {digest(templates)}\n"
    return {"alertmanager.yml": head + to_yaml(_configuration(tree)), **templates}


def _configuration(tree: Tree) -> dict[str, Any]:
    group_by = ["alertname", "subject"]
    first = tree.routes[0]
    return {
        "route": {
            "receiver": tree.default,
            "group_by": group_by,
            "group_wait": first.wait,
            "group_interval": first.interval,
            "repeat_interval": first.repeat,
            "routes": [
                {
                    "receiver": route.receiver,
                    "matchers": [f'severity="{route.severity.value}"'],
                    "group_wait": route.wait,
                    "group_interval": route.interval,
                    "repeat_interval": route.repeat,
                }
                for route in tree.routes
            ],
        },
        "inhibit_rules": [
            {
                "source_matchers": [f'severity="{Severity.CRITICAL.value}"'],
                "target_matchers": [f'severity="{Severity.WARNING.value}"'],
                "equal": ["subject", "instance"],
            }
        ],
        "receivers": [receiver.render() for receiver in tree.receivers],
        "templates": ["/etc/alertmanager/current/templates/*.tmpl"],
    }
