"""The section `notifications` of stacks/<stack>.yaml: receivers, routes, time intervals and maintenance windows.

The keys are Alertmanager's own, wherever it has a word for it.
"""

from collections.abc import Mapping
from datetime import datetime, timedelta
from typing import Annotated, Any, Final, Literal, Self
from zoneinfo import ZoneInfo, available_timezones

from pydantic import AfterValidator, Discriminator, Field, StrictBool, StrictStr, Tag, model_validator

from stacks.matchers import Matcher, parse_matcher, require_selective_matchers
from stacks.receivers import DeadMansSwitch, Receiver, ReceiverSettings, Webhook
from stacks.types import DnsLabel, GroupInterval, GroupWait, NonEmpty, RepeatInterval, SettingsModel, must, text

DEAD_MANS_SWITCH: Final = "dead-mans-switch"  # the receiver of the Watchdog
MAX_WINDOW: Final = timedelta(days=14)
SUPPORTED_YEARS: Final = range(2000, 2101)
DAYS: Final = ("monday", "tuesday", "wednesday", "thursday", "friday", "saturday", "sunday")
_DATETIME: Final = "%Y-%m-%d %H:%M"


def _matcher(text: str) -> str:
    return str(parse_matcher(text))


TimeZone = Annotated[
    StrictStr,
    text("a time zone", "its name in the IANA database", "Europe/Berlin", max_length=60),
    # "localtime" is another one in a container.
    AfterValidator(must(lambda name: name in available_timezones() - {"localtime"})),
]
TimeOfDay = Annotated[
    StrictStr, text("a time of day", "HH:MM in quotes", "09:00", pattern=r"^(([01][0-9]|2[0-3]):[0-5][0-9]|24:00)$")
]
_DAY: Final = f"({'|'.join(DAYS)})"
Weekdays = Annotated[
    StrictStr,
    text(
        "a day of the week",
        "its English name in small letters, or a range",
        "monday:friday",
        pattern=f"^{_DAY}(:{_DAY})?$",
    ),
]
LocalDateTime = Annotated[
    StrictStr,
    text(
        "a date and time",
        f"YYYY-MM-DD HH:MM in quotes, from {SUPPORTED_YEARS[0]} to {SUPPORTED_YEARS[-1]}",
        "2027-01-16 22:00",
        pattern=r"^[0-9]{4}-[0-9]{2}-[0-9]{2} [0-9]{2}:[0-9]{2}$",
    ),
    AfterValidator(must(lambda moment: datetime.strptime(moment, _DATETIME).year in SUPPORTED_YEARS)),
]
Comment = Annotated[
    StrictStr,
    text("a comment", "a few words for whoever is on call", "PostgreSQL 19", pattern=r"\S", max_length=200),
]
MatcherText = Annotated[
    StrictStr,
    text("a matcher", "a label, =, !=, =~ or !~, and a value", 'service="postgres"'),
    AfterValidator(_matcher),
]
LabelName = Annotated[
    StrictStr,
    text(
        "a label",
        "letters, digits and underscores, a letter first",
        "service",
        pattern=r"^[a-zA-Z_][a-zA-Z0-9_]*$",
        max_length=60,
    ),
]
LabelValue = Annotated[StrictStr, text("a label's value", "text, in quotes", "critical")]
IntervalName = Annotated[
    StrictStr,
    text(
        "a name",
        "up to 40 small letters, digits, _ and -, a letter first",
        "business_hours",
        pattern=r"^[a-z][a-z0-9_-]*$",
        max_length=40,
    ),
]
# Validation says of these whether they exist, and which ones do.
ReceiverKey = Annotated[StrictStr, text("a receiver", "its key under notifications.receivers", "oncall")]
IntervalKey = Annotated[
    StrictStr, text("a time interval", "its key under notifications.time_intervals", "business_hours")
]


class RouteSettings(SettingsModel):
    """A route sends the alerts that it matches to its receivers.

    Alertmanager asks the routes in their order, and the first that matches counts, unless it has `continue: true`.
    """

    match: Mapping[LabelName, LabelValue] = Field(default_factory=dict)
    """Labels and their values, all of which an alert must have; empty, the route matches every alert."""

    matchers: tuple[MatcherText, ...] = ()
    """Further conditions, as amtool writes them."""

    receivers: NonEmpty[ReceiverKey]
    """Names of `receivers`; each is notified."""

    group_wait: GroupWait | None = None
    """How long the first notification waits for its group; unset: 10s, or 1m if the route has no critical alerts."""

    group_interval: GroupInterval | None = None
    """How long alerts that join a group later wait; unset: 1m, or 5m if the route has no critical alerts."""

    repeat_interval: RepeatInterval | None = None
    """After how long a firing alert is notified again; unset: 1h, or 12h if the route has no critical alerts."""

    active_time_intervals: tuple[IntervalKey, ...] = ()
    """Names of `time_intervals`: the route notifies in these alone; none, at any time."""

    mute_time_intervals: tuple[IntervalKey, ...] = ()
    """Names of `time_intervals` in which the route does not notify."""

    continue_: StrictBool = Field(default=False, alias="continue")
    """Whether the routes after this one are asked too."""

    @property
    def all_matchers(self) -> tuple[Matcher, ...]:
        """`match` and `matchers` together."""
        equal = (Matcher(label, "=", value) for label, value in self.match.items())
        return (*equal, *map(parse_matcher, self.matchers))


class TimeInterval(SettingsModel):
    """A time that comes again every week, by the clock of `time_zone`."""

    weekdays: NonEmpty[Weekdays] = DAYS
    """Days, or ranges of days; every day unless given."""

    start_time: TimeOfDay = "00:00"
    """When it begins."""

    end_time: TimeOfDay = Field(default="24:00", examples=["17:00"])
    """When it ends, on the same day; a night is two time intervals."""

    time_zone: TimeZone
    """The time zone of both."""

    @property
    def days(self) -> tuple[str, ...]:
        """The weekdays one by one; a range may go over the end of the week."""
        days: list[str] = []
        for item in self.weekdays:
            first, _, last = item.partition(":")
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

    matchers: NonEmpty[MatcherText]
    """Which alerts, as amtool writes it; all must match."""

    starts_at: LocalDateTime
    """When it begins."""

    ends_at: LocalDateTime = Field(examples=["2027-01-17 02:00"])
    """When it ends, at most two weeks later."""

    time_zone: TimeZone
    """The time zone of both."""

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


def _is_list(value: Any) -> str:
    return "[list]" if isinstance(value, list | tuple) else "[one]"


def _is_text(value: Any) -> str:
    return "[one]" if isinstance(value, dict | DeadMansSwitch) else "[text]"


def _not_empty(receivers: Mapping[str, ReceiverSettings]) -> Mapping[str, ReceiverSettings]:
    if not receivers:
        raise ValueError("is empty; write at least one")
    return receivers


Receivers = Annotated[
    Mapping[DnsLabel, ReceiverSettings], AfterValidator(_not_empty), Field(json_schema_extra={"minProperties": 1})
]
# The tags say which form was written; messages leave them out (see stacks/schema.py).
TimeIntervals = Annotated[
    Annotated[TimeInterval, Tag("[one]")] | Annotated[NonEmpty[TimeInterval], Tag("[list]")], Discriminator(_is_list)
]
DeadMansSwitchOrDisabled = Annotated[
    Annotated[DeadMansSwitch, Tag("[one]")] | Annotated[Literal["disabled"], Tag("[text]")], Discriminator(_is_text)
]


class Notifications(SettingsModel):
    """Who is notified of which alerts, and when."""

    receivers: Receivers = Field(default_factory=lambda: {"webhook": ReceiverSettings(webhook=Webhook())})
    """Receivers by name, any number of each kind; unset: a webhook whose URL is the secret `webhook_url`."""

    routes: NonEmpty[RouteSettings] | None = None
    """Which alerts go to which receivers, in Alertmanager's order; unset: every receiver gets every alert."""

    time_intervals: Mapping[IntervalName, TimeIntervals] = Field(default_factory=dict)
    """Times by name, for the routes' `active_time_intervals` and `mute_time_intervals`; each is one, or a list."""

    dead_mans_switch: DeadMansSwitchOrDisabled = Field(default_factory=DeadMansSwitch)
    """The dead man's switch, or `disabled` if there is none."""

    maintenance_windows: Mapping[DnsLabel, MaintenanceWindow] = Field(default_factory=dict)

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
