"""Alertmanager's configuration from a route tree."""

import re
from collections.abc import Mapping
from pathlib import Path
from typing import Any, Final

from routing.routes import GROUP_BY, Route, RoutingTree
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
    first = tree.routes[0].pace
    intervals = [{"name": name, "time_intervals": there} for name, there in tree.intervals.items()]
    return {
        "route": {
            "receiver": tree.default,
            "group_by": list(GROUP_BY),
            "group_wait": first.wait,
            "group_interval": first.interval,
            "repeat_interval": first.repeat,
            "routes": [_route(route) for route in tree.routes],
        },
        "inhibit_rules": [
            {
                "source_matchers": [str(matcher) for matcher in rule.source],
                "target_matchers": [str(matcher) for matcher in rule.target],
                "equal": list(rule.equal),
            }
            for rule in tree.inhibitions
        ],
        **({"time_intervals": intervals} if intervals else {}),
        "receivers": [
            {"name": name, **(receiver.render() if receiver else {})} for name, receiver in tree.receivers.items()
        ],
        "templates": ["/etc/alertmanager/current/templates/*.tmpl"],
    }


def _route(route: Route) -> dict[str, Any]:
    return {
        "receiver": route.receiver,
        "matchers": [str(matcher) for matcher in route.matchers],
        "group_wait": route.pace.wait,
        "group_interval": route.pace.interval,
        "repeat_interval": route.pace.repeat,
        **({"continue": True} if route.more else {}),
        **({"active_time_intervals": list(route.active)} if route.active else {}),
        **({"mute_time_intervals": list(route.mute)} if route.mute else {}),
        **({"routes": [_route(inner) for inner in route.routes]} if route.routes else {}),
    }
