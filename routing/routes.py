"""The routing tree: which alerts go to which receivers and when, and which alerts inhibit which."""

from collections.abc import Iterable, Iterator, Mapping
from dataclasses import dataclass
from typing import Any, Final

from rules import maintenance
from rules.model import Severity
from stacks.matchers import LabelSet, Matcher, all_match, parse_matcher
from stacks.notifications import DEAD_MANS_SWITCH, Notifications, RouteSettings
from stacks.receivers import DeadMansSwitch, Receiver
from stacks.settings import Settings


@dataclass(frozen=True, kw_only=True)
class GroupTiming:
    """Alertmanager's three durations of a route: `group_wait` collects the alerts that fire at once into one
    notification, `group_interval` those that join the group later, and a firing alert is repeated after
    `repeat_interval`.
    """

    group_wait: str
    group_interval: str
    repeat_interval: str


NULL: Final = "null"  # the receiver that notifies nobody
WATCHDOG: Final = "Watchdog"
# Alerts of one name about one service are one notification: ten disks that fill up are one piece of news.
GROUP_BY: Final = ("alertname", "service")
# Ten seconds collect what one failure sets off; an hour reminds without wearing out.
CRITICAL_TIMING: Final = GroupTiming(group_wait="10s", group_interval="1m", repeat_interval="1h")
# A warning is for working hours, so half a day is soon enough to repeat it.
WARNING_TIMING: Final = GroupTiming(group_wait="1m", group_interval="5m", repeat_interval="12h")
# Every five minutes: the dead man's switch may miss one, and still page within a quarter of an hour.
WATCHDOG_TIMING: Final = GroupTiming(group_wait="0s", group_interval="1m", repeat_interval="5m")
# If one of these fires, the metrics that the exporter gives are old or missing, and so are the warnings about them.
EXPORTER_ALERTS: Final = ("TargetDown", "PostgresExporterFailing")
HOST_INSTANCE: Final = "docker-host"  # the instance of the node under the Docker engine
COMPONENTS_ON_HOST: Final = ("alertmanager", "grafana", "prometheus")  # the services that always run there


@dataclass(frozen=True, kw_only=True)
class Route:
    """Alerts that match all `matchers` go to `receiver`; with `continue_` the routes after it are asked too.

    `active_time_intervals` and `mute_time_intervals` name time intervals: it notifies in the former alone, and not in
    the latter.
    """

    matchers: tuple[Matcher, ...]
    receiver: str
    timing: GroupTiming
    continue_: bool = False
    active_time_intervals: tuple[str, ...] = ()
    mute_time_intervals: tuple[str, ...] = ()

    def is_certain(self, labels: LabelSet) -> bool:
        """Whether an alert with these labels, if it matches, does so whatever the values are that are not known."""
        return all(labels.get(matcher.label, "") is not None for matcher in self.matchers)


@dataclass(frozen=True, kw_only=True)
class InhibitRule:
    """An alert that matches `source_matchers` inhibits those that match `target_matchers` and have the same values in
    `equal`.
    """

    source_matchers: tuple[Matcher, ...]
    target_matchers: tuple[Matcher, ...]
    equal: tuple[str, ...]

    def __str__(self) -> str:
        return f"{{{', '.join(map(str, self.source_matchers))}}} over {{{', '.join(map(str, self.target_matchers))}}}"


@dataclass(frozen=True, kw_only=True)
class RoutingTree:
    """Alertmanager's routing. `default_receiver` takes what no route matches: an alert that is not of this project. The
    first `internal` routes are the stack's own, the others are those of the settings. `time_intervals` are
    Alertmanager's, by name. `maintenance` are the inhibit rules of the maintenance windows.
    """

    receivers: Mapping[str, Receiver | None]  # None notifies nobody
    default_receiver: str
    routes: tuple[Route, ...]
    internal: int
    inhibit_rules: tuple[InhibitRule, ...]
    maintenance: tuple[InhibitRule, ...]
    time_intervals: Mapping[str, list[dict[str, Any]]]

    @property
    def secrets(self) -> tuple[str, ...]:
        """The names of the secrets that the receivers read, sorted."""
        return tuple(
            sorted(secret for name, receiver in self.receivers.items() if receiver for secret in receiver.secrets(name))
        )

    @property
    def url_secrets(self) -> tuple[str, ...]:
        """The names of those secrets that hold a URL, sorted."""
        return tuple(
            sorted(
                secret for name, receiver in self.receivers.items() if receiver for secret in receiver.url_secrets(name)
            )
        )

    @property
    def default_route(self) -> Route:
        """The route of what no other one matches."""
        return Route(matchers=(), receiver=self.default_receiver, timing=CRITICAL_TIMING)

    def match(self, labels: LabelSet) -> tuple[Route, ...]:
        """The routes that an alert with these labels takes, as Alertmanager finds them; none if it is left to the
        default receiver. If the value of a label decides and is not known, the routes of either case.
        """
        return tuple(_match(self.routes, labels))

    def receivers_for(self, labels: LabelSet) -> tuple[str, ...]:
        """The receivers of an alert with these labels."""
        return tuple(route.receiver for route in self.match(labels)) or (self.default_receiver,)


def _match(routes: Iterable[Route], labels: LabelSet) -> Iterator[Route]:
    for route in routes:
        if all_match(route.matchers, labels):
            yield route
            if not route.continue_ and route.is_certain(labels):
                return


def routing_tree(settings: Settings) -> RoutingTree:
    """One environment's routing tree."""
    notifications = settings.notifications
    switch = notifications.dead_mans_switch
    internal = _internal_routes(notifications)
    return RoutingTree(
        receivers={
            **notifications.kinds,
            **({DEAD_MANS_SWITCH: switch} if isinstance(switch, DeadMansSwitch) else {}),
            NULL: None,
        },
        default_receiver=notifications.effective_routes[0].receivers[0],
        routes=(*internal, *_settings_routes(notifications)),
        internal=len(internal),
        inhibit_rules=_inhibit_rules(settings),
        maintenance=_maintenance(notifications),
        time_intervals={
            name: [
                {
                    "times": [{"start_time": interval.start_time, "end_time": interval.end_time}],
                    "weekdays": list(interval.days),
                    "location": interval.time_zone,
                }
                for interval in notifications.intervals(name)
            ]
            for name in notifications.time_intervals
        },
    )


def _internal_routes(notifications: Notifications) -> tuple[Route, ...]:
    """Severity none comes first, so that no route of the settings takes the Watchdog, or a maintenance window."""
    none = _severity(Severity.NONE)
    rest = Route(matchers=(none,), receiver=NULL, timing=WATCHDOG_TIMING)
    if notifications.dead_mans_switch == "disabled":
        return (rest,)
    watchdog = (none, Matcher("alertname", "=", WATCHDOG))
    return (Route(matchers=watchdog, receiver=DEAD_MANS_SWITCH, timing=WATCHDOG_TIMING), rest)


def _settings_routes(notifications: Notifications) -> Iterator[Route]:
    """For each route of the settings one Alertmanager route per receiver, all but the last going on."""
    for route in notifications.effective_routes:
        for number, receiver in enumerate(route.receivers, start=1):
            yield Route(
                matchers=route.all_matchers,
                receiver=receiver,
                timing=timing(route),
                continue_=route.continue_ or number < len(route.receivers),
                active_time_intervals=route.active_time_intervals,
                mute_time_intervals=route.mute_time_intervals,
            )


def timing(route: RouteSettings) -> GroupTiming:
    """The durations of a route: the critical alerts' defaults, unless none of them matches."""
    critical = {"severity": Severity.CRITICAL.value}
    may_be_critical = all_match((one for one in route.all_matchers if one.label == "severity"), critical)
    default = CRITICAL_TIMING if may_be_critical else WARNING_TIMING
    return GroupTiming(
        group_wait=route.group_wait or default.group_wait,
        group_interval=route.group_interval or default.group_interval,
        repeat_interval=route.repeat_interval or default.repeat_interval,
    )


def _severity(severity: Severity) -> Matcher:
    return Matcher("severity", "=", severity.value)


def _inhibit_rules(settings: Settings) -> tuple[InhibitRule, ...]:
    critical, warning = _severity(Severity.CRITICAL), _severity(Severity.WARNING)
    has_instance = Matcher("instance", "!=", "")
    job_level = (Matcher("instance", "=", ""), Matcher("job", "!=", ""))
    hosted = (*COMPONENTS_ON_HOST, *(_demo_services(settings) if settings.demo else ()))
    return (
        # Whoever comes for the outage sees the rest.
        InhibitRule(
            source_matchers=(critical, has_instance),
            target_matchers=(warning, has_instance),
            equal=("service", "instance"),
        ),
        # An SLO's alert is about a job as a whole: the fast burn over the slow one.
        InhibitRule(
            source_matchers=(critical, *job_level), target_matchers=(warning, *job_level), equal=("service", "job")
        ),
        InhibitRule(
            source_matchers=(Matcher("alertname", "=~", "|".join(EXPORTER_ALERTS)), has_instance),
            target_matchers=(warning, has_instance, Matcher("alertname", "!~", "|".join(EXPORTER_ALERTS))),
            equal=("service", "instance"),
        ),
        # The services on a host fail with it, and share no label with it but the environment. Critical alerts notify
        # nevertheless.
        InhibitRule(
            source_matchers=(critical, Matcher("service", "=", "node"), Matcher("instance", "=", HOST_INSTANCE)),
            target_matchers=(warning, Matcher("service", "=~", "|".join(sorted(hosted)))),
            equal=("environment",),
        ),
    )


def _demo_services(settings: Settings) -> tuple[str, ...]:
    """The services that a demo runs on the host of the Docker engine too."""
    return ("api", *settings.demo_servers)


def _maintenance(notifications: Notifications) -> tuple[InhibitRule, ...]:
    """While a window is open, its alert inhibits those that it is about; never the Watchdog, or another window."""
    return tuple(
        InhibitRule(
            source_matchers=(Matcher("alertname", "=", maintenance.ALERT_NAME), Matcher("window", "=", name)),
            target_matchers=(*map(parse_matcher, window.matchers), Matcher("severity", "!=", Severity.NONE.value)),
            equal=(),
        )
        for name, window in sorted(notifications.maintenance_windows.items())
    )
