"""Who is told in one environment, when, and when not: the `notifications` of stacks/<stack>.yaml."""

from collections.abc import Mapping
from datetime import datetime, timedelta
from typing import Annotated, Final, Self
from zoneinfo import available_timezones

from pydantic import AfterValidator, Field, StringConstraints, model_validator

from stacks.matchers import check_narrow, matcher
from stacks.receivers import Email, IncidentIo, PagerDuty, Receiver, Slack, Webhook
from stacks.types import SOME, Gap, Key, Name, Repeat, SettingsModel, Switch, Url, Wait, expect

WEBHOOK: Final = "webhook"
HEARTBEAT: Final = "heartbeat"
WEBHOOK_SECRET: Final = "webhook_url"
HEARTBEAT_SECRET: Final = "heartbeat_url"
LONGEST: Final = timedelta(days=14)
YEARS: Final = range(2000, 2101)
DAYS: Final = ("monday", "tuesday", "wednesday", "thursday", "friday", "saturday", "sunday")
_MOMENT: Final = "%Y-%m-%d %H:%M"


def _zone(name: str) -> str:
    if name not in available_timezones() - {"localtime"}:  # which is another one in a container
        raise ValueError("unknown")
    return name


def _moment(text: str) -> str:
    if datetime.strptime(text, _MOMENT).year not in YEARS:  # its zone stands beside it
        raise ValueError("a slip")
    return text


def _matcher(text: str) -> str:
    return str(matcher(text))


TimeZone = Annotated[
    str,
    StringConstraints(pattern=r"^[A-Za-z0-9_+-]+(/[A-Za-z0-9_+-]+)*$", max_length=60),
    AfterValidator(_zone),
    expect("a time zone", "its name in the IANA database, such as Europe/Berlin or UTC"),
]
TimeOfDay = Annotated[
    str,
    StringConstraints(pattern=r"^(([01][0-9]|2[0-3]):[0-5][0-9]|24:00)$"),
    expect("a time of day", "HH:MM in quotes, such as '09:00'"),
]
Day = Annotated[
    str,
    StringConstraints(pattern=f"^({'|'.join(DAYS)})$"),
    expect("a day of the week", "its English name in small letters, such as monday"),
]
Moment = Annotated[
    str,
    StringConstraints(pattern=r"^[0-9]{4}-[0-9]{2}-[0-9]{2} [0-9]{2}:[0-9]{2}$"),
    AfterValidator(_moment),
    expect(
        "a moment",
        f"YYYY-MM-DD HH:MM in quotes, from {YEARS[0]} to {YEARS[-1]}, such as '2027-01-16 22:00'",
    ),
]
Reason = Annotated[
    str, StringConstraints(pattern=r"\S", max_length=200), expect("a reason", "a few words for the others")
]
MatcherText = Annotated[str, AfterValidator(_matcher)]


class Way(SettingsModel):
    """How alerts of one severity travel: to which receivers (all that there are, unless given), and how soon.

    `wait` gathers what breaks together, `interval` what joins it later; `repeat` is when an unsolved one is told again.
    """

    to: tuple[Key, ...] | None = None
    wait: Wait | None = None
    interval: Gap | None = None
    repeat: Repeat | None = None


class Ways(SettingsModel):
    """One way for each severity of which people are told."""

    critical: Way = Way()
    warning: Way = Way()


class BusinessHours(SettingsModel):
    """When warnings are told; what comes up outside waits for the next of these hours."""

    days: Annotated[tuple[Day, ...], SOME] = DAYS[:5]
    start: TimeOfDay
    end: TimeOfDay
    time_zone: TimeZone

    @model_validator(mode="after")
    def _forward(self) -> Self:
        if self.start >= self.end:
            raise ValueError(
                f"start {self.start} is not before end {self.end}; hours over midnight are not for warnings"
            )
        return self


class MaintenanceWindow(SettingsModel):
    """A time in which alerts that all `matchers` fit are told to nobody, by the clock of `time_zone`."""

    matchers: Annotated[tuple[MatcherText, ...], SOME]
    start: Moment
    end: Moment
    time_zone: TimeZone
    reason: Reason

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
    """Where alerts go, and where the Watchdog does, every five minutes, to whatever calls when it stays away.

    Each receiver that is named here is told. The webhook's address is the secret `webhook_url` where none is given and
    a way names `webhook`, or where there is no other receiver; the heartbeat's is the secret `heartbeat_url`, unless
    `heartbeat: false` says that nothing waits for it.
    """

    webhook_url: Url | None = None
    slack: Slack | None = None
    email: Email | None = None
    pagerduty: PagerDuty | None = None
    incidentio: IncidentIo | None = None
    heartbeat_url: Url | None = None
    heartbeat: Switch = True
    ways: Ways = Ways()
    office_hours: BusinessHours | None = None
    planned_work: Mapping[Name, MaintenanceWindow] = Field(default_factory=dict)

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
