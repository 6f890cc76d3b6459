"""The route tree: which severity goes to whom and when, what holds back what, and when nobody is told."""

from collections.abc import Iterable, Iterator, Mapping
from dataclasses import dataclass
from datetime import datetime, time, timedelta
from typing import Any, Final

from rules.model import Severity
from stacks.matchers import LabelSet, Matcher, all_hold, matcher
from stacks.notifications import HEARTBEAT, HEARTBEAT_SECRET, MaintenanceWindow, Way
from stacks.receivers import Receiver, Webhook
from stacks.settings import Settings


@dataclass(frozen=True, kw_only=True)
class GroupTiming:
    """`wait` gathers what breaks together, `interval` what joins it later; `repeat` tells an unsolved alert again."""

    wait: str
    interval: str
    repeat: str


NULL: Final = "null"  # the receiver that tells nobody
OFFICE_HOURS: Final = "office-hours"
# Alerts of one name about one service are one message: ten disks that fill up are one piece of news.
GROUP_BY: Final = ("alertname", "service")
# Ten seconds gather what breaks together; an hour reminds without wearing out.
CRITICAL: Final = GroupTiming(wait="10s", interval="1m", repeat="1h")
# A warning waits for working hours, so half a day is soon enough to be told again.
WARNING: Final = GroupTiming(wait="1m", interval="5m", repeat="12h")
# Told again every five minutes: what waits for it may miss one, and still call within a quarter of an hour.
BEAT: Final = GroupTiming(wait="0s", interval="1m", repeat="5m")
# Where these fire, the figures of what they measure are old or missing, and so is what would be said of them.
EXPORTER_ALERTS: Final = ("TargetDown", "PostgresExporterFailing")
HOST: Final = "engine-host"  # the instance of the node under the engine
COMPONENTS_ON_HOST: Final = ("alertmanager", "grafana", "prometheus")  # the services that always run there
MAX_OVERLAPPING_WINDOWS: Final = 6  # with different matchers about one alert: 63 routes for each receiver
Planned = tuple[tuple[tuple[str, ...], tuple[Matcher, ...]], ...]  # the names of works, and what they are about


@dataclass(frozen=True, kw_only=True)
class Route:
    """Alerts that fit all `matchers` go to `receiver`, and further routes are asked too where `more`.

    `active` and `mute` name time intervals: told in those alone, and never in these. `routes` are special cases, of
    which the first that fits counts instead.
    """

    matchers: tuple[Matcher, ...]
    receiver: str
    pace: GroupTiming
    more: bool = False
    active: tuple[str, ...] = ()
    mute: tuple[str, ...] = ()
    routes: tuple["Route", ...] = ()


@dataclass(frozen=True, kw_only=True)
class InhibitRule:
    """An alert that fits `source` holds back those that fit `target` and have the same values in `equal`."""

    source: tuple[Matcher, ...]
    target: tuple[Matcher, ...]
    equal: tuple[str, ...]

    def __str__(self) -> str:
        return f"{{{', '.join(map(str, self.source))}}} over {{{', '.join(map(str, self.target))}}}"


@dataclass(frozen=True, kw_only=True)
class RoutingTree:
    """`default` takes what no route does: an alert that is not of this project. `intervals` are Alertmanager's time
    intervals, by name.
    """

    receivers: Mapping[str, Receiver | None]  # None tells nobody
    default: str
    routes: tuple[Route, ...]
    inhibitions: tuple[InhibitRule, ...]
    intervals: Mapping[str, list[dict[str, Any]]]

    @property
    def secrets(self) -> tuple[str, ...]:
        """The names of the secrets that the receivers read, sorted."""
        return tuple(
            sorted({secret for receiver in self.receivers.values() if receiver for secret in receiver.secrets})
        )

    @property
    def addresses(self) -> tuple[str, ...]:
        """The names of those secrets that hold a URL, sorted."""
        return tuple(sorted({name for receiver in self.receivers.values() if receiver for name in receiver.addresses}))

    def taken(self, labels: LabelSet) -> tuple[Route, ...]:
        """The routes that an alert with these labels takes, as Alertmanager finds them; none where the default does."""
        return tuple(_taken(self.routes, labels))

    def told(self, labels: LabelSet) -> tuple[str, ...]:
        """The receivers of an alert with these labels."""
        return tuple(route.receiver for route in self.taken(labels)) or (self.default,)


def _taken(routes: Iterable[Route], labels: LabelSet) -> Iterator[Route]:
    for route in routes:
        if all_hold(route.matchers, labels):
            yield from tuple(_taken(route.routes, labels)) or (route,)
            if not route.more:
                return


def tree(settings: Settings, alerts: Iterable[LabelSet]) -> RoutingTree:
    """One environment's tree; `alerts` are the labels of those that it has."""
    notifications = settings.notifications
    people = notifications.receivers
    # The end of a heartbeat is its silence: a message about it would pass for one more.
    heart = Webhook(url=notifications.heartbeat_url, secret=HEARTBEAT_SECRET, send_resolved=False)
    beat = HEARTBEAT if notifications.heartbeat else NULL
    about = tuple(alerts)
    office = (OFFICE_HOURS,) if notifications.office_hours else ()
    ways = notifications.ways
    planned = together(notifications.planned_work)
    return RoutingTree(
        receivers={**people, beat: heart if notifications.heartbeat else None},
        default=next(iter(ways.critical.to or people)),
        routes=(
            *_routes(Severity.CRITICAL, ways.critical, CRITICAL, people, (), planned, about),
            *_routes(Severity.WARNING, ways.warning, WARNING, people, office, planned, about),
            Route(matchers=(_severity(Severity.NONE),), receiver=beat, pace=BEAT),
        ),
        inhibitions=_inhibitions(settings),
        intervals=_intervals(settings),
    )


def _severity(severity: Severity) -> Matcher:
    return Matcher("severity", "=", severity.value)


def _routes(
    severity: Severity,
    way: Way,
    usual: GroupTiming,
    people: Iterable[str],
    active: tuple[str, ...],
    planned: Planned,
    about: tuple[LabelSet, ...],
) -> Iterator[Route]:
    """One route for each receiver of a severity."""
    mine = tuple(labels for labels in about if labels.get("severity") == severity.value)
    names = tuple(way.to or people)
    pace = paced(way, usual)
    for name in names:
        yield Route(
            matchers=(_severity(severity),),
            receiver=name,
            pace=pace,
            more=name != names[-1],
            active=active,
            routes=_muted(name, pace, active, planned, mine),
        )


def paced(way: Way, usual: GroupTiming) -> GroupTiming:
    """The pace of a way, as usual where it says nothing else."""
    return GroupTiming(
        wait=way.wait or usual.wait, interval=way.interval or usual.interval, repeat=way.repeat or usual.repeat
    )


def together(works: Mapping[str, MaintenanceWindow]) -> Planned:
    """The planned works, sorted by name, those with the same matchers as one."""
    same: dict[frozenset[Matcher], tuple[list[str], tuple[Matcher, ...]]] = {}
    for name, work in sorted(works.items()):
        matchers = tuple(map(matcher, work.matchers))
        same.setdefault(frozenset(matchers), ([], matchers))[0].append(name)
    return tuple((tuple(names), matchers) for names, matchers in same.values())


def _muted(
    receiver: str,
    pace: GroupTiming,
    active: tuple[str, ...],
    planned: Planned,
    about: tuple[LabelSet, ...],
    already: tuple[str, ...] = (),
) -> tuple[Route, ...]:
    """A route for each planned work, and in it one for each later work that is about the same alerts: 2^n for n
    works on one alert, which is why their number has a bound (`MAX_OVERLAPPING_WINDOWS`).

    Of several routes that fit, Alertmanager takes the first, and a route inherits no time intervals.
    """
    made = []
    for number, (names, matchers) in enumerate(planned):
        mine = tuple(labels for labels in about if all_hold(matchers, labels))
        if mine:
            mute = (*already, *map(interval_name, names))
            inner = _muted(receiver, pace, active, planned[number + 1 :], mine, mute)
            made.append(Route(matchers=matchers, receiver=receiver, pace=pace, active=active, mute=mute, routes=inner))
    return tuple(made)


def interval_name(name: str) -> str:
    """A planned work's name among the time intervals."""
    return f"planned-{name}"


def _inhibitions(settings: Settings) -> tuple[InhibitRule, ...]:
    critical, warning = _severity(Severity.CRITICAL), _severity(Severity.WARNING)
    somewhere = Matcher("instance", "!=", "")
    of_a_job = (Matcher("instance", "=", ""), Matcher("job", "!=", ""))
    hosted = (*COMPONENTS_ON_HOST, *(_demo_services(settings) if settings.demo else ()))
    return (
        # Who comes for the outage sees the rest.
        InhibitRule(source=(critical, somewhere), target=(warning, somewhere), equal=("service", "instance")),
        # An objective's alert is about a job as a whole: the fast burn over the slow one.
        InhibitRule(source=(critical, *of_a_job), target=(warning, *of_a_job), equal=("service", "job")),
        InhibitRule(
            source=(Matcher("alertname", "=~", "|".join(EXPORTER_ALERTS)), somewhere),
            target=(warning, somewhere, Matcher("alertname", "!~", "|".join(EXPORTER_ALERTS))),
            equal=("service", "instance"),
        ),
        # Its services fail with the host, and share nothing with it but the environment. What is critical is told
        # nevertheless.
        InhibitRule(
            source=(critical, Matcher("service", "=", "node"), Matcher("instance", "=", HOST)),
            target=(warning, Matcher("service", "=~", "|".join(sorted(hosted)))),
            equal=("environment",),
        ),
    )


def _demo_services(settings: Settings) -> tuple[str, ...]:
    """The services that a demo runs on the engine's host too."""
    return ("api", *settings.demo_servers)


def _intervals(settings: Settings) -> dict[str, list[dict[str, Any]]]:
    notifications = settings.notifications
    hours = notifications.office_hours
    intervals: dict[str, list[dict[str, Any]]] = {}
    if hours:
        times = [{"start_time": hours.start, "end_time": hours.end}]
        intervals[OFFICE_HOURS] = [{"times": times, "weekdays": list(hours.days), "location": hours.time_zone}]
    for name, work in sorted(notifications.planned_work.items()):
        intervals[interval_name(name)] = list(_time_intervals_by_day(work))
    return intervals


def _time_intervals_by_day(work: MaintenanceWindow) -> Iterator[dict[str, Any]]:
    """Alertmanager's intervals come again, so a span of time is written as its days, each of one year."""
    first, last = work.span
    day = first.date()
    while day <= last.date():
        start = first.time() if day == first.date() else time.min
        if datetime.combine(day, start) < last:
            end = work.end.partition(" ")[2] if day == last.date() else "24:00"
            yield {
                "times": [{"start_time": f"{start:%H:%M}", "end_time": end}],
                "days_of_month": [str(day.day)],
                "months": [str(day.month)],
                "years": [str(day.year)],
                "location": work.time_zone,
            }
        day += timedelta(days=1)
