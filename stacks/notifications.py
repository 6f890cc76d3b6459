"""Who is told in one environment, when, and when not: the `notifications` of stacks/<stack>.yaml."""

from collections.abc import Mapping
from datetime import datetime, timedelta
from typing import Annotated, Final, Literal, Self, get_args
from zoneinfo import available_timezones

from pydantic import AfterValidator, Field, StrictBool, StrictStr, model_validator

from stacks.matchers import check_narrow, matcher
from stacks.receivers import Email, IncidentIo, PagerDuty, Receiver, Slack, Webhook
from stacks.types import (
    DnsLabel,
    GroupInterval,
    GroupWait,
    NonEmpty,
    RepeatInterval,
    SettingsModel,
    Url,
    must,
    text,
)

WEBHOOK: Final = "webhook"
HEARTBEAT: Final = "heartbeat"
WEBHOOK_SECRET: Final = "webhook_url"
HEARTBEAT_SECRET: Final = "heartbeat_url"
LONGEST: Final = timedelta(days=14)
YEARS: Final = range(2000, 2101)
Day = Literal["monday", "tuesday", "wednesday", "thursday", "friday", "saturday", "sunday"]
DAYS: Final[tuple[Day, ...]] = get_args(Day)
_MOMENT: Final = "%Y-%m-%d %H:%M"


def _matcher(text: str) -> str:
    return str(matcher(text))


TimeZone = Annotated[
    StrictStr,
    text("a time zone", "its name in the IANA database", "Europe/Berlin", max_length=60),
    # "localtime" is another one in a container.
    AfterValidator(must(lambda name: name in available_timezones() - {"localtime"})),
]
TimeOfDay = Annotated[
    StrictStr, text("a time of day", "HH:MM in quotes", "09:00", pattern=r"^(([01][0-9]|2[0-3]):[0-5][0-9]|24:00)$")
]
Moment = Annotated[
    StrictStr,
    text(
        "a moment",
        f"YYYY-MM-DD HH:MM in quotes, from {YEARS[0]} to {YEARS[-1]}",
        "2027-01-16 22:00",
        pattern=r"^[0-9]{4}-[0-9]{2}-[0-9]{2} [0-9]{2}:[0-9]{2}$",
    ),
    AfterValidator(must(lambda moment: datetime.strptime(moment, _MOMENT).year in YEARS)),
]
Reason = Annotated[
    StrictStr, text("a reason", "a few words for the others", "PostgreSQL 19", pattern=r"\S", max_length=200)
]
MatcherText = Annotated[
    StrictStr,
    text("a matcher", "a label, =, !=, =~ or !~, and a value", 'service="postgres"'),
    AfterValidator(_matcher),
]
ReceiverName = Annotated[StrictStr, text("a receiver", "its key under notifications", "pagerduty")]


class Way(SettingsModel):
    """Which receivers get the alerts of one severity, and how soon."""

    to: tuple[ReceiverName, ...] | None = None
    """The receivers; unset: all of them."""
    wait: GroupWait | None = None
    """How long Alertmanager collects alerts of a new group before it notifies."""
    interval: GroupInterval | None = None
    """How long it waits before it notifies about alerts that joined a group."""
    repeat: RepeatInterval | None = None
    """How long until it notifies again about an alert that still fires."""


class Ways(SettingsModel):
    """Receivers and timing, by severity."""

    critical: Way = Way()
    """Critical alerts."""
    warning: Way = Way()
    """Warnings."""


class BusinessHours(SettingsModel):
    """When warnings are sent; those that come up at other times wait until the next of these hours."""

    days: NonEmpty[Day] = DAYS[:5]
    """The days of the week."""
    start: TimeOfDay
    """When they begin."""
    end: TimeOfDay = Field(examples=["17:00"])
    """When they end."""
    time_zone: TimeZone
    """The time zone of both."""

    @model_validator(mode="after")
    def _forward(self) -> Self:
        if self.start >= self.end:
            raise ValueError(
                f"start {self.start} is not before end {self.end}; hours over midnight are not for warnings"
            )
        return self


class MaintenanceWindow(SettingsModel):
    """A time in which the alerts that all `matchers` match are muted."""

    matchers: NonEmpty[MatcherText]
    """Alertmanager's matchers; an alert is muted if all of them match."""
    start: Moment
    """When it begins."""
    end: Moment = Field(examples=["2027-01-17 02:00"])
    """When it ends, within 14 days."""
    time_zone: TimeZone
    """The time zone of both."""
    reason: Reason
    """Why, for whoever is on call."""

    @property
    def span(self) -> tuple[datetime, datetime]:
        """Start and end, by that clock."""
        first, last = (datetime.strptime(text, _MOMENT) for text in (self.start, self.end))
        return first, last

    @model_validator(mode="after")
    def _narrow(self) -> Self:
        check_narrow([matcher(text) for text in self.matchers])
        return self

    @model_validator(mode="after")
    def _ends(self) -> Self:
        first, last = self.span
        if first >= last:
            raise ValueError(f"ends at {self.end}, which is not after its start {self.start}")
        if last - first > LONGEST:
            raise ValueError(
                f"lasts {(last - first).days} days; planned work ends within {LONGEST.days}, and an alert that is not "
                "wanted is turned off under `alert_overrides`"
            )
        return self


class Notifications(SettingsModel):
    """Who is notified of alerts, and when.

    Without `webhook_url`, the secret of that name is used if a way names `webhook` or there is no other receiver.
    Every five minutes the Watchdog goes to the heartbeat: without `heartbeat_url`, to the secret of that name.
    """

    webhook_url: Url | None = Field(default=None, examples=["https://hooks.internal/alerts"])
    """Receives Alertmanager's own JSON by POST."""
    slack: Slack | None = None
    email: Email | None = None
    pagerduty: PagerDuty | None = None
    incidentio: IncidentIo | None = None
    heartbeat_url: Url | None = Field(default=None, examples=["https://heartbeats.internal/softfactory"])
    """The dead man's switch that the Watchdog goes to."""
    heartbeat: StrictBool = True
    """`false`: no dead man's switch waits for the Watchdog."""
    ways: Ways = Ways()
    office_hours: BusinessHours | None = None
    """Unset: warnings are sent at any time."""
    planned_work: Mapping[DnsLabel, MaintenanceWindow] = Field(default_factory=dict)

    @property
    def receivers(self) -> dict[str, Receiver]:
        """Those for people, by name."""
        there = {name: value for name, value in self if isinstance(value, Receiver)}
        named = {name for _, way in self.ways for name in way.to or ()}
        if self.webhook_url or WEBHOOK in named or not there:
            there = {WEBHOOK: Webhook(url=self.webhook_url, secret=WEBHOOK_SECRET), **there}
        return there

    @model_validator(mode="after")
    def _one_heartbeat(self) -> Self:
        if self.heartbeat_url and not self.heartbeat:
            raise ValueError("heartbeat: false, and yet there is a heartbeat_url; remove one of them")
        if self.heartbeat_url and self.heartbeat_url == self.webhook_url:
            raise ValueError(
                "heartbeat_url: is the webhook_url too, so a message would pass for a heartbeat; give each its own"
            )
        return self
