"""The section `notifications` of stacks/<stack>.yaml: receivers, routes, time intervals and maintenance windows.

The keys are Alertmanager's own, wherever it has a word for it.
"""

from collections.abc import Mapping
from datetime import datetime, timedelta
from typing import Annotated, Any, Final, Literal, Self
from zoneinfo import ZoneInfo, available_timezones

from pydantic import AfterValidator, Discriminator, Field, StringConstraints, Tag, model_validator

from stacks.matchers import Matcher, parse_matcher, require_selective_matchers
from stacks.receivers import DeadMansSwitch, Receiver, ReceiverSettings, Webhook
from stacks.types import SOME, GroupInterval, GroupWait, Key, Name, RepeatInterval, SettingsModel, Switch, expect

DEAD_MANS_SWITCH: Final = "dead-mans-switch"  # the receiver of the Watchdog
MAX_WINDOW: Final = timedelta(days=14)
SUPPORTED_YEARS: Final = range(2000, 2101)
DAYS: Final = ("monday", "tuesday", "wednesday", "thursday", "friday", "saturday", "sunday")
_DATETIME: Final = "%Y-%m-%d %H:%M"


def _valid_timezone(name: str) -> str:
    if name not in available_timezones() - {"localtime"}:  # which is another one in a container
        raise ValueError("unknown")
    return name


def _valid_datetime(text: str) -> str:
    if datetime.strptime(text, _DATETIME).year not in SUPPORTED_YEARS:  # its zone stands beside it
        raise ValueError("a slip")
    return text


def _matcher(text: str) -> str:
    return str(parse_matcher(text))


TimeZone = Annotated[
    str,
    StringConstraints(pattern=r"^[A-Za-z0-9_+-]+(/[A-Za-z0-9_+-]+)*$", max_length=60),
    AfterValidator(_valid_timezone),
    expect("a time zone", "its name in the IANA database, such as Europe/Berlin or UTC"),
]
TimeOfDay = Annotated[
    str,
    StringConstraints(pattern=r"^(([01][0-9]|2[0-3]):[0-5][0-9]|24:00)$"),
    expect("a time of day", "HH:MM in quotes, such as '09:00'"),
]
_DAY: Final = f"({'|'.join(DAYS)})"
Weekdays = Annotated[
    str,
    StringConstraints(pattern=f"^{_DAY}(:{_DAY})?$"),
    expect("a day of the week", "its English name in small letters, or a range such as monday:friday"),
]
LocalDateTime = Annotated[
    str,
    StringConstraints(pattern=r"^[0-9]{4}-[0-9]{2}-[0-9]{2} [0-9]{2}:[0-9]{2}$"),
    AfterValidator(_valid_datetime),
    expect(
        "a date and time",
        f"YYYY-MM-DD HH:MM in quotes, from {SUPPORTED_YEARS[0]} to {SUPPORTED_YEARS[-1]}, such as '2027-01-16 22:00'",
    ),
]
Comment = Annotated[
    str, StringConstraints(pattern=r"\S", max_length=200), expect("a comment", "a few words for whoever is on call")
]
MatcherText = Annotated[str, AfterValidator(_matcher)]
LabelName = Annotated[
    str,
    StringConstraints(pattern=r"^[a-zA-Z_][a-zA-Z0-9_]*$", max_length=60),
    expect("a label's name", "letters, digits and underscores, a letter first, such as service"),
]
IntervalName = Annotated[
    str,
    StringConstraints(pattern=r"^[a-z][a-z0-9_-]*$", max_length=40),
    expect("a time interval's name", "up to 40 small letters, digits, _ and -, a letter first, such as business_hours"),
]


class RouteSettings(SettingsModel):
    """One route: alerts with all these labels go to these receivers.

    Alertmanager asks the routes in their order, and the first that matches counts, unless it has `continue: true`.
    """

    match: Mapping[LabelName, Key] = Field(default_factory=dict)
    """Labels and their values, all of which an alert must have; empty, the route matches every alert."""

    matchers: tuple[MatcherText, ...] = ()
    """Further conditions as amtool writes them, such as 'instance=~"prod-.*"'."""

    receivers: Annotated[tuple[Key, ...], SOME]
    """Names of `receivers`; each is notified."""

    group_wait: GroupWait | None = None
    """How long the first notification waits for alerts of its group; 10s, or 1m if the route has no critical alerts."""

    group_interval: GroupInterval | None = None
    """How long alerts that join a group later wait; 1m, or 5m if the route has no critical alerts."""

    repeat_interval: RepeatInterval | None = None
    """After how long a firing alert is notified again; 1h, or 12h if the route has no critical alerts."""

    active_time_intervals: tuple[Key, ...] = ()
    """Names of `time_intervals`: the route notifies in these alone; none, at any time."""

    mute_time_intervals: tuple[Key, ...] = ()
    """Names of `time_intervals` in which the route does not notify."""

    continue_: Switch = Field(default=False, alias="continue")
    """Whether the routes after this one are asked too."""

    @property
    def all_matchers(self) -> tuple[Matcher, ...]:
        """`match` and `matchers` together."""
        equal = (Matcher(label, "=", value) for label, value in self.match.items())
        return (*equal, *map(parse_matcher, self.matchers))


class TimeInterval(SettingsModel):
    """A time that comes again every week, by the clock of `time_zone`."""

    weekdays: Annotated[tuple[Weekdays, ...], SOME] = DAYS
    """Days, or ranges such as monday:friday; every day unless given."""

    start_time: TimeOfDay = "00:00"
    """HH:MM."""

    end_time: TimeOfDay = "24:00"
    """HH:MM, after start_time; a night is two time intervals."""

    time_zone: TimeZone
    """The IANA name of the clock, such as Europe/Berlin."""

    @property
    def days(self) -> tuple[str, ...]:
        """The weekdays one by one; a range may go over the end of the week."""
        days: list[str] = []
        for text in self.weekdays:
            first, _, last = text.partition(":")
            start = DAYS.index(first)
            length = (DAYS.index(last or first) - start) % len(DAYS) + 1
            days += (DAYS[(start + number) % len(DAYS)] for number in range(length))
        return tuple(dict.fromkeys(days))

    @model_validator(mode="after")
    def _start_before_end(self) -> Self:
        if self.start_time >= self.end_time:
            raise ValueError(
                f"start_time {self.start_time} is not before end_time {self.end_time}; for a night write a list of "
                "two intervals, one to '24:00' and one from '00:00'"
            )
        return self


class MaintenanceWindow(SettingsModel):
    """A span of time in which the alerts that all `matchers` match notify nobody; they are inhibited."""

    matchers: Annotated[tuple[MatcherText, ...], SOME]
    """Which alerts, as amtool writes it, such as service="postgres"."""

    starts_at: LocalDateTime
    """YYYY-MM-DD HH:MM, by the clock of time_zone."""

    ends_at: LocalDateTime
    """YYYY-MM-DD HH:MM, by the clock of time_zone; at most two weeks after starts_at."""

    time_zone: TimeZone
    """The IANA name of the clock, such as Europe/Berlin."""

    comment: Comment
    """Why, for whoever is on call."""

    @property
    def bounds(self) -> tuple[int, int]:
        """Start and end as Unix times, in seconds."""
        zone = ZoneInfo(self.time_zone)
        first, last = (
            int(datetime.strptime(text, _DATETIME).replace(tzinfo=zone).timestamp())
            for text in (self.starts_at, self.ends_at)
        )
        return first, last

    @model_validator(mode="after")
    def _matchers_are_selective(self) -> Self:
        require_selective_matchers([parse_matcher(text) for text in self.matchers])
        return self

    @model_validator(mode="after")
    def _bounded(self) -> Self:
        first, last = self.bounds
        if first >= last:
            raise ValueError(f"ends_at {self.ends_at} is not after starts_at {self.starts_at}")
        length = timedelta(seconds=last - first)
        if length > MAX_WINDOW + timedelta(hours=1):  # two weeks in which the clocks go back
            raise ValueError(
                f"lasts {length.days} days; a maintenance window lasts at most {MAX_WINDOW.days}, and an alert that is "
                "not wanted is turned off under `alert_overrides`"
            )
        return self


# Which form of a value was written; pydantic puts these into the place of an error, and a message leaves them out.
UNION_TAGS: Final = ("[one]", "[list]", "[text]")


def _is_list(value: Any) -> str:
    return "[list]" if isinstance(value, list | tuple) else "[one]"


def _is_switch(value: Any) -> str:
    return "[one]" if isinstance(value, dict | DeadMansSwitch) else "[text]"


TimeIntervals = Annotated[
    Annotated[TimeInterval, Tag("[one]")] | Annotated[tuple[TimeInterval, ...], SOME, Tag("[list]")],
    Discriminator(_is_list),
]
Disabled = Annotated[
    Literal["disabled"],
    expect("a dead man's switch", "{} (its URL is the secret dead_mans_switch_url), { url: ... }, or disabled"),
]


class Notifications(SettingsModel):
    """Who is notified of which alerts, and when."""

    receivers: Annotated[Mapping[Name, ReceiverSettings], SOME] = Field(
        default_factory=lambda: {"webhook": ReceiverSettings(webhook=Webhook())}
    )
    """Receivers by name, any number of each kind; a webhook with the URL in the secret `webhook_url` unless given."""

    routes: Annotated[tuple[RouteSettings, ...], SOME] | None = None
    """Which alerts go to which receivers, in Alertmanager's order; unless given, each receiver gets every alert."""

    time_intervals: Mapping[IntervalName, TimeIntervals] = Field(default_factory=dict)
    """Times by name, for the routes' active_time_intervals and mute_time_intervals; one, or a list of them."""

    dead_mans_switch: Annotated[
        Annotated[DeadMansSwitch, Tag("[one]")] | Annotated[Disabled, Tag("[text]")], Discriminator(_is_switch)
    ] = Field(default_factory=DeadMansSwitch)
    """What receives the Watchdog every five minutes, and pages if it stops arriving; `disabled` if there is none."""

    maintenance_windows: Mapping[Name, MaintenanceWindow] = Field(default_factory=dict)
    """Spans of time, by name, in which some alerts notify nobody."""

    @property
    def kinds(self) -> dict[str, Receiver]:
        """The receivers that the settings describe, by name."""
        return {name: receiver.kind for name, receiver in self.receivers.items()}

    @property
    def effective_routes(self) -> tuple[RouteSettings, ...]:
        """The routes as given, or one for each severity to all receivers."""
        if self.routes is not None:
            return self.routes
        return tuple(
            RouteSettings(match={"severity": severity}, receivers=tuple(self.receivers))
            for severity in ("critical", "warning")
        )

    def intervals(self, name: str) -> tuple[TimeInterval, ...]:
        """The time intervals of one name."""
        intervals = self.time_intervals[name]
        return (intervals,) if isinstance(intervals, TimeInterval) else intervals

    @model_validator(mode="after")
    def _dead_mans_switch_is_separate(self) -> Self:
        url = self.dead_mans_switch.url if isinstance(self.dead_mans_switch, DeadMansSwitch) else None
        for name, kind in self.kinds.items():
            if url and isinstance(kind, Webhook) and kind.url == url:
                raise ValueError(
                    f"dead_mans_switch.url: is the URL of the receiver {name} too, so any message would pass for the "
                    "Watchdog; give each a URL of its own"
                )
        return self
