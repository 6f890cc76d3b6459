"""The checks of the routing. Each says in its docstring what must hold, and gives a line per problem."""

from collections import Counter
from collections.abc import Collection, Iterable, Iterator, Mapping
from difflib import get_close_matches
from typing import Final

from routing.routes import NULL, WATCHDOG, RoutingTree, timing
from rules.model import Alert, Severity
from stacks.matchers import LabelSet, Matcher, all_match, parse_matcher
from stacks.messages import format_key
from stacks.notifications import DEAD_MANS_SWITCH, RouteSettings
from stacks.settings import AlertOverride, Settings
from stacks.types import seconds

RESERVED: Final = (DEAD_MANS_SWITCH, NULL)  # receivers that every environment has
LabelSetsByAlert = Mapping[Alert, Iterable[LabelSet]]  # an alert to the labels with which it may reach Alertmanager


def validate_settings(settings: Settings) -> list[str]:
    """What is wrong with the section `notifications` by itself, before there is a routing tree."""
    return [
        *_reserved_receivers(settings),
        *_shared_secrets(settings),
        *_unknown_receivers(settings),
        *_unused_receivers(settings),
        *_unknown_time_intervals(settings),
        *_unused_time_intervals(settings),
        *_missing_dead_mans_switch(settings),
        *_repeat_interval_too_short(settings),
    ]


def problems(
    tree: RoutingTree, settings: Settings, label_sets: LabelSetsByAlert, all_label_sets: LabelSetsByAlert
) -> list[str]:
    """What is wrong with one environment's routing tree. `label_sets` are of the alerts that the environment has,
    `all_label_sets` of all that exist, whatever the environment.
    """
    return [
        *_unrouted_alerts(tree, label_sets),
        *_unmatched_routes(tree, settings, label_sets),
        *_unmatched_maintenance_windows(settings, label_sets),
        *_inhibit_rules(tree, label_sets, all_label_sets),
    ]


def _did_you_mean(name: str, known: Collection[str]) -> str:
    near = get_close_matches(name, known, n=1)
    if near:
        return f"did you mean {near[0]}?"
    return f"expected one of: {', '.join(known)}" if known else "none is defined"


def _given_routes(settings: Settings) -> Iterator[tuple[str, RouteSettings]]:
    """The routes that the settings have, each with its place; the defaults are right."""
    for number, route in enumerate(settings.notifications.routes or ()):
        yield f"notifications.routes.{number}", route


def _reserved_receivers(settings: Settings) -> Iterator[str]:
    """The receivers of the Watchdog and of nobody are the stack's own."""
    for name in sorted(set(RESERVED) & set(settings.notifications.receivers)):
        yield f"notifications.receivers.{name}: the stack has a receiver of this name itself; choose another name"


def _shared_secrets(settings: Settings) -> Iterator[str]:
    """Two receivers must not read one secret, or rotating the one would break the other."""
    first: dict[str, str] = {}
    for name, kind in settings.notifications.kinds.items():
        for secret in kind.secrets(name):
            if secret in first:
                yield (
                    f"notifications.receivers.{name}: reads the secret {secret}, as the receiver {first[secret]} does; "
                    "rename one of them"
                )
            first.setdefault(secret, name)


def _unknown_receivers(settings: Settings) -> Iterator[str]:
    """A route must name receivers that the settings describe, each once."""
    known = settings.notifications.receivers
    for place, route in _given_routes(settings):
        for name, count in Counter(route.receivers).items():
            if count > 1:
                yield f"{place}.receivers: {format_key(name)} is listed twice; remove one"
            if name not in known:
                yield f"{place}.receivers: no such receiver: {format_key(name)}; {_did_you_mean(name, known)}"


def _unused_receivers(settings: Settings) -> Iterator[str]:
    """A receiver that no route uses would never be notified."""
    notifications = settings.notifications
    used = {name for route in notifications.effective_routes for name in route.receivers}
    for name in sorted(set(notifications.receivers) - used - set(RESERVED)):
        yield f"notifications.receivers.{name}: not used by any route; add it to a route's `receivers`, or remove it"


def _unknown_time_intervals(settings: Settings) -> Iterator[str]:
    """A route must name time intervals that the settings describe."""
    known = settings.notifications.time_intervals
    for place, route in _given_routes(settings):
        for key in ("active_time_intervals", "mute_time_intervals"):
            for name in getattr(route, key):
                if name not in known:
                    yield f"{place}.{key}: no such time interval: {format_key(name)}; {_did_you_mean(name, known)}"


def _unused_time_intervals(settings: Settings) -> Iterator[str]:
    """A time interval that no route names would change nothing."""
    used = {
        name
        for _, route in _given_routes(settings)
        for name in (*route.active_time_intervals, *route.mute_time_intervals)
    }
    for name in sorted(set(settings.notifications.time_intervals) - used):
        yield (
            f"notifications.time_intervals.{name}: not used by any route; add it to a route's `active_time_intervals` "
            "or `mute_time_intervals`, or remove it"
        )


def _missing_dead_mans_switch(settings: Settings) -> Iterator[str]:
    """Production needs the Watchdog and a dead man's switch that receives it: it is how you learn that alert delivery
    is broken.
    """
    if not settings.production:
        return
    if settings.notifications.dead_mans_switch == "disabled":
        yield (
            "notifications.dead_mans_switch: production must not disable it: it is how you learn that alert delivery "
            "is broken; write { url: ... }, or remove this line and set the secret dead_mans_switch_url"
        )
    if not settings.alert_overrides.get(WATCHDOG, AlertOverride()).enabled:
        yield (
            f"alert_overrides.{WATCHDOG}.enabled: production must keep the Watchdog enabled: it is how you learn that "
            "alert delivery is broken; remove this line"
        )


def _repeat_interval_too_short(settings: Settings) -> Iterator[str]:
    """Alertmanager looks at a group once in a group_interval, so it cannot repeat it sooner."""
    for place, route in _given_routes(settings):
        durations = timing(route)
        if seconds(durations.repeat_interval) < seconds(durations.group_interval):
            yield (
                f"{place}.repeat_interval: {durations.repeat_interval} is shorter than the route's group_interval "
                f"{durations.group_interval}; write at least {durations.group_interval}"
            )


def _notifying(label_sets: LabelSetsByAlert) -> list[tuple[Alert, LabelSet]]:
    """The alerts of which people are notified, with their labels: neither the Watchdog nor a maintenance window."""
    return [
        (alert, labels) for alert, sets in label_sets.items() if alert.severity is not Severity.NONE for labels in sets
    ]


def _unrouted_alerts(tree: RoutingTree, label_sets: LabelSetsByAlert) -> Iterator[str]:
    """Every alert must reach a receiver that notifies somebody, by a route that matches whatever the values of its
    labels are. The default receiver does not count: it is for alerts of others.
    """
    unrouted: dict[str, list[str]] = {}
    for alert, labels in _notifying(label_sets):
        if not any(route.is_certain(labels) and tree.receivers.get(route.receiver) for route in tree.match(labels)):
            names = unrouted.setdefault(alert.severity.value, [])
            if alert.name not in names:
                names.append(alert.name)
    for severity, names in unrouted.items():
        more = f" and {len(names) - 3} more" if len(names) > 3 else ""
        yield (
            f"notifications.routes: no route matches {', '.join(names[:3])}{more} (severity {severity}), so nobody "
            f"would be notified; add a last route {{ match: {{ severity: {severity} }}, receivers: [...] }}"
        )


def _unmatched_routes(tree: RoutingTree, settings: Settings, label_sets: LabelSetsByAlert) -> Iterator[str]:
    """A route must be taken by an alert of the environment: it is a slip if it matches none, or if the routes before
    it take all that it matches.
    """
    every = [labels for _, labels in _notifying(label_sets)]
    taken = {id(route) for labels in every for route in tree.match(labels)}  # two routes may be equal
    routes = iter(tree.routes[tree.internal :])
    for place, route in _given_routes(settings):
        ours = [id(next(routes)) for _ in route.receivers]  # one for each receiver
        if taken.isdisjoint(ours):
            nothing = _no_such_alert(route.all_matchers, every)
            yield f"{place}: {nothing or 'the routes before it take every alert that it matches; move it before them'}"


def _unmatched_maintenance_windows(settings: Settings, label_sets: LabelSetsByAlert) -> Iterator[str]:
    """A maintenance window must match alerts that the environment has; it never mutes the Watchdog."""
    every = [labels for _, labels in _notifying(label_sets)]
    for name, window in sorted(settings.notifications.maintenance_windows.items()):
        nothing = _no_such_alert([parse_matcher(text) for text in window.matchers], every)
        if nothing:
            yield f"notifications.maintenance_windows.{name}.matchers: {nothing}"


def _no_such_alert(matchers: Collection[Matcher], every: Collection[LabelSet]) -> str:
    """What to say of matchers that none of these alerts has all the labels for; empty if one has."""
    labels = sorted({label for labels in every for label in labels})
    for one in matchers:
        if one.label not in labels:
            return f"no alert of this environment has a label {one.label}; {_did_you_mean(one.label, labels)}"
    if any(all_match(matchers, labels) for labels in every):
        return ""
    return f"no alert of this environment matches {', '.join(map(str, matchers))}; `make alerts` lists the alerts"


def _inhibit_rules(tree: RoutingTree, label_sets: LabelSetsByAlert, all_label_sets: LabelSetsByAlert) -> Iterator[str]:
    """An inhibit rule must have alerts on both sides, and they must carry the labels in `equal`: two alerts that both
    lack a label count as equal, so one would inhibit what it has nothing to do with.
    """
    for rule in tree.inhibit_rules:
        for side, matchers in (("source", rule.source_matchers), ("target", rule.target_matchers)):
            if not any(all_match(matchers, labels) for sets in all_label_sets.values() for labels in sets):
                yield f"routing/routes.py: inhibit rule {rule}: no alert is a {side}"
            reported = set()
            for alert, sets in label_sets.items():
                for labels in sets:
                    lacking = [label for label in rule.equal if label not in labels]
                    if lacking and all_match(matchers, labels) and alert.name not in reported:
                        reported.add(alert.name)
                        yield f"routing/routes.py: inhibit rule {rule}: {side} {alert.name} has no label {lacking[0]}"
