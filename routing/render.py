"""Alertmanager's configuration from a routing tree."""

import re
from collections.abc import Mapping
from pathlib import Path
from typing import Any, Final

from routing.routes import CRITICAL_TIMING, GROUP_BY, GroupTiming, Route, RoutingTree
from rules.render import digest, to_yaml

TEMPLATES: Final = Path(__file__).parent / "templates"
_DEFINED: Final = re.compile(r'\{\{-?\s*define\s+"([^"]+)"')
_USED: Final = re.compile(r'\{\{-?\s*template\s+"([^"]+)"')


def alertmanager_files(tree: RoutingTree) -> dict[str, str]:
    """Path to text: `alertmanager.yml` and the message templates under `templates/`."""
    templates = {
        f"templates/{path.name}": path.read_text(encoding="utf-8") for path in sorted(TEMPLATES.glob("*.tmpl"))
    }
    # Alertmanager reports a hash of this file alone, so a change of a template must show in it.
    head = f"# templates {digest(templates)}\n"
    return {"alertmanager.yml": head + to_yaml(_configuration(tree)), **templates}


def template_problems(files: Mapping[str, str]) -> list[str]:
    """A line for each template that is used and not there; amtool does not look, and the message would fail.

    `files` are those of `alertmanager_files`. Alertmanager's own templates begin with other words than ours.
    """
    defined = {name for text in files.values() for name in _DEFINED.findall(text)}
    used = {(name, path) for path, text in sorted(files.items()) for name in _USED.findall(text)}
    problems = [
        f"routing/{path}: uses the template {name}, and routing/templates/ defines none of that name"
        if path.startswith("templates/")
        else f"a receiver uses the template {name}, and routing/templates/ defines none of that name"
        for name, path in sorted(used)
        if name not in defined
    ]
    for path, text in sorted(files.items()):
        if path.startswith("templates/") and text.count("{{") != text.count("}}"):
            problems.append(f"routing/{path}: {text.count('{{')} times {{{{, but {text.count('}}')} times }}}}")
    return problems


def _configuration(tree: RoutingTree) -> dict[str, Any]:
    intervals = [{"name": name, "time_intervals": interval} for name, interval in tree.time_intervals.items()]
    return {
        "route": {
            "receiver": tree.default_receiver,
            "group_by": list(GROUP_BY),
            **_timing(CRITICAL_TIMING),
            "routes": [_route(route) for route in tree.routes],
        },
        "inhibit_rules": [
            {
                "source_matchers": [str(matcher) for matcher in rule.source_matchers],
                "target_matchers": [str(matcher) for matcher in rule.target_matchers],
                "equal": list(rule.equal),
            }
            for rule in (*tree.inhibit_rules, *tree.maintenance)
        ],
        **({"time_intervals": intervals} if intervals else {}),
        "receivers": [
            {"name": name, **(receiver.render(name) if receiver else {})} for name, receiver in tree.receivers.items()
        ],
        "templates": ["/etc/alertmanager/current/templates/*.tmpl"],
    }


def _timing(timing: GroupTiming) -> dict[str, str]:
    return {
        "group_wait": timing.group_wait,
        "group_interval": timing.group_interval,
        "repeat_interval": timing.repeat_interval,
    }


def _route(route: Route) -> dict[str, Any]:
    return {
        "receiver": route.receiver,
        "matchers": [str(matcher) for matcher in route.matchers],
        **_timing(route.timing),
        **({"continue": True} if route.continue_ else {}),
        **({"active_time_intervals": list(route.active_time_intervals)} if route.active_time_intervals else {}),
        **({"mute_time_intervals": list(route.mute_time_intervals)} if route.mute_time_intervals else {}),
    }
