"""The cross-checks of who is told. Each says in its docstring what must hold, and gives a line per problem."""

from collections.abc import Iterable, Iterator, Mapping
from difflib import get_close_matches
from typing import Final

from routing.routes import CRITICAL, MAX_OVERLAPPING_WINDOWS, NULL, WARNING, RoutingTree, paced, together
from rules.model import Alert, Severity
from stacks.matchers import LabelSet, all_hold, matcher
from stacks.messages import format_key
from stacks.settings import AlertOverride, Environment, Settings
from stacks.types import seconds

WATCHDOG: Final = "Watchdog"
About = Mapping[Alert, Iterable[LabelSet]]  # an alert to the labels with which it may reach Alertmanager


def validate_settings(settings: Settings, about: About) -> list[str]:
    """What is wrong before there is a tree to look at; `about` are the alerts that the environment has."""
    return [
        *_missing_receivers(settings),
        *_missing_dead_mans_switch(settings),
        *_repeat_interval_too_short(settings),
        *_too_many_maintenance_windows(settings, about),
    ]


def problems(tree: RoutingTree, settings: Settings, about: About, defined: About) -> list[str]:
    """What is wrong with one environment's tree. `about` are the alerts that the environment has, `defined` all that
    there are, wherever.
    """
    return [
        *_unrouted_alerts(tree, about),
        *_unmatched_maintenance_windows(settings, about),
        *_inhibitions(tree, about, defined),
    ]


def _missing_receivers(settings: Settings) -> Iterator[str]:
    """A way must lead to receivers that the settings describe, to one at least, and each of these must be on one."""
    notifications = settings.notifications
    known = notifications.receivers
    for severity, way in notifications.ways:
        where = f"notifications.ways.{severity}.to"
        if way.to is not None and not way.to:
            yield f"{where}: is empty, so nobody would be told; name receivers, or leave it out for all"
        for name in sorted({name for name in way.to or () if (way.to or ()).count(name) > 1}):
            yield f"{where}: {format_key(name)} is there twice"
        for name in way.to or ():
            if name not in known:
                near = get_close_matches(name, known, n=1)
                hint = f"there is {near[0]}" if near else f"there are: {', '.join(known)}"
                yield f"{where}: there is no receiver {format_key(name)} under notifications; {hint}"
    led = {name for _, way in notifications.ways for name in (known if way.to is None else way.to)}
    for name in sorted(set(known) - led):
        yield f"notifications.{name}: no way leads to it, so it is told nothing; name it in a way's `to`, or remove it"


def _missing_dead_mans_switch(settings: Settings) -> Iterator[str]:
    """In prod the Watchdog must be there and somebody wait for it, or nobody learns that nothing can be told."""
    if settings.environment is Environment.PROD and not settings.notifications.heartbeat:
        yield (
            "notifications.heartbeat: prod needs what waits for the Watchdog; give a heartbeat_url, or remove this "
            "line and set the secret heartbeat_url"
        )
    if settings.environment is Environment.PROD and not settings.alert_overrides.get(WATCHDOG, AlertOverride()).enabled:
        yield (
            f"alert_overrides.{WATCHDOG}.enabled: prod needs it, or nobody learns that nothing can be told; remove this"
            " line"
        )


def _repeat_interval_too_short(settings: Settings) -> Iterator[str]:
    """A group is looked at once in an interval, so it cannot be told again sooner."""
    for severity, usual in (("critical", CRITICAL), ("warning", WARNING)):
        pace = paced(getattr(settings.notifications.ways, severity), usual)
        if seconds(pace.repeat) < seconds(pace.interval):
            yield (
                f"notifications.ways.{severity}.repeat: {pace.repeat} is shorter than its interval {pace.interval}; "
                f"write at least {pace.interval}"
            )


def _too_many_maintenance_windows(settings: Settings, about: About) -> Iterator[str]:
    """Of planned works with different matchers, only so many may be about one alert: each doubles its routes."""
    planned = together(settings.notifications.planned_work)
    if len(planned) <= MAX_OVERLAPPING_WINDOWS:
        return
    counts = {
        alert.name: max((sum(all_hold(matchers, labels) for _, matchers in planned) for labels in sets), default=0)
        for alert, sets in about.items()
        if alert.severity is not Severity.NONE
    }
    name = max(counts, key=lambda name: counts[name], default="")
    if name and counts[name] > MAX_OVERLAPPING_WINDOWS:
        yield (
            f"notifications.planned_work: {counts[name]} works with different matchers are about {name}; at most "
            f"{MAX_OVERLAPPING_WINDOWS} may be: give those on the same thing the same matchers, or remove what is over"
        )


def _unrouted_alerts(tree: RoutingTree, about: About) -> Iterator[str]:
    """Every alert must reach a receiver that tells somebody, by a route of its own; the Watchdog may be without one."""
    for alert, sets in about.items():
        where = f"rules/{alert.service}.py: {alert.name}"
        for labels in sets:
            routes = tree.taken(labels)
            if not routes:
                yield f"{where}: no route takes severity {alert.severity.value}"
                break
            gone = sorted({route.receiver for route in routes} - set(tree.receivers))
            if gone:
                yield f"{where}: its route leads to {gone[0]}, and there is no such receiver"
                break
            nobody = all(tree.receivers[route.receiver] is None for route in routes)
            if nobody and alert.severity is not Severity.NONE:
                yield f"{where}: its route leads to {NULL}, which tells nobody"
                break


def _unmatched_maintenance_windows(settings: Settings, about: About) -> Iterator[str]:
    """Planned work must be about alerts that the environment has; the Watchdog is never muted."""
    every = [labels for alert, sets in about.items() if alert.severity is not Severity.NONE for labels in sets]
    carried = {label for labels in every for label in labels}
    for name, work in sorted(settings.notifications.planned_work.items()):
        where = f"notifications.planned_work.{name}.matchers"
        matchers = [matcher(text) for text in work.matchers]
        strange = sorted({one.label for one in matchers} - carried)
        if strange:
            yield f"{where}: no alert of this environment has a label {strange[0]}"
        elif not any(all_hold(matchers, labels) for labels in every):
            yield f"{where}: no alert of this environment fits {', '.join(work.matchers)}; `make alerts` lists them"


def _inhibitions(tree: RoutingTree, about: About, defined: About) -> Iterator[str]:
    """An inhibition must have alerts on both sides, and they must carry the labels in `equal`: two alerts that both
    lack a label count as equal, so one would hold back what it has nothing to do with.
    """
    for rule in tree.inhibitions:
        for side, matchers in (("source", rule.source), ("target", rule.target)):
            if not any(all_hold(matchers, labels) for sets in defined.values() for labels in sets):
                yield f"routing/routes.py: inhibition {rule}: no alert is a {side}"
            told = set()
            for alert, sets in about.items():
                for labels in sets:
                    lacking = [label for label in rule.equal if label not in labels]
                    if lacking and all_hold(matchers, labels) and alert.name not in told:
                        told.add(alert.name)
                        yield f"routing/routes.py: inhibition {rule}: {side} {alert.name} has no label {lacking[0]}"
