"""Silences for what nobody planned: made, listed and ended over Alertmanager's API, so that Grafana may be down."""

import re
from collections.abc import Iterable
from dataclasses import dataclass
from datetime import UTC, datetime, timedelta
from typing import Any, Final
from urllib.parse import urlsplit

import httpx

from clients import probes
from clients.probes import ClientError
from stacks.matchers import Matcher, check_narrow, matcher
from stacks.messages import format_value
from stacks.types import seconds

LONGEST: Final = timedelta(days=31)  # what lasts longer is no accident: turn the alert off in the settings
PART: Final = "Alertmanager"


@dataclass(frozen=True, kw_only=True)
class Silence:
    """One silence; `state` is active, pending or expired."""

    id: str
    matchers: tuple[Matcher, ...]
    start: datetime
    end: datetime
    author: str
    reason: str
    state: str

    def __str__(self) -> str:
        about = ", ".join(map(str, self.matchers))
        span = f"{self.start:%Y-%m-%d %H:%M} to {self.end:%Y-%m-%d %H:%M} UTC"
        return f"{self.id}  {self.state:8}{span}  {self.author}: {self.reason}  {{{about}}}"


def read_matchers(words: Iterable[str]) -> tuple[Matcher, ...]:
    """Matchers as amtool reads them: a first word without an operator is the value of alertname.

    ValueError where there are none, one is wrong, or they fit every alert that there is.
    """
    found = []
    for number, word in enumerate(words):
        plain = number == 0 and not re.search(r"[=~]", word)
        found.append(Matcher("alertname", "=", word) if plain else matcher(word))
    if not found:
        raise ValueError("nothing to silence; write matchers, such as ApiDown or service=redis")
    check_narrow(found)  # Alertmanager refuses it too, in other words
    return tuple(found)


def until(length: str, end: str, now: datetime) -> datetime:
    """The end of a silence: `length` from now on (2h), or the moment `end` (ISO 8601 with its zone).

    ValueError where it is neither, not ahead, or further away than a month.
    """
    if bool(length) == bool(end):
        raise ValueError("a silence needs one end: --for 2h, or --until 2027-01-16T22:00+01:00")
    if length:
        # Cut to what is refused all the same: no date is later than the year 9999.
        found = now + timedelta(seconds=min(seconds(length), 2 * LONGEST.total_seconds()))
    else:
        try:
            found = datetime.fromisoformat(end)
        except ValueError:
            raise ValueError(f"{format_value(end)} is not a moment; write 2027-01-16T22:00+01:00") from None
        if not re.search(r"[0-9][T ][0-9]", end):  # of 2027-01-16+01:00 Python makes one o'clock
            raise ValueError(f"{format_value(end)} has no time of day; write it as in 2027-01-16T22:00+01:00")
        if found.tzinfo is None:
            raise ValueError(f"{format_value(end)} has no time zone; write {end}Z for UTC, or +01:00 behind it")
    if found <= now:
        raise ValueError(f"it would end at {found.isoformat()}, which is over")
    if found > now + LONGEST:
        raise ValueError(f"it would last longer than {LONGEST.days} days; turn the alert off in the settings instead")
    return found


def add(
    http: httpx.Client, alertmanager: str, matchers: Iterable[Matcher], end: datetime, author: str, reason: str
) -> str:
    """Makes a silence from now on; its id. ValueError without author or reason."""
    if not author.strip() or not reason.strip():
        raise ValueError("a silence needs an author and a reason: the next on call reads them")
    body = {
        "matchers": [
            {"name": one.label, "value": one.value, "isRegex": one.is_regex, "isEqual": one.is_equal}
            for one in matchers
        ],
        "startsAt": datetime.now(UTC).isoformat(),
        "endsAt": end.astimezone(UTC).isoformat(),
        "createdBy": author,
        "comment": reason,
    }
    answer = probes.send(http, PART, "POST", f"{alertmanager}/api/v2/silences", body)
    with probes.understood(PART, alertmanager):
        return str(answer.json()["silenceID"])


def check_environment(http: httpx.Client, alertmanager: str, environment: str) -> None:
    """ClientError where the Alertmanager knows alerts of another environment, or does not answer: all environments
    publish theirs at the same address of their own host.
    """
    url = f"{alertmanager}/api/v2/alerts"
    place = urlsplit(alertmanager)
    elsewhere = f"where {environment} runs elsewhere, go through ssh: ssh -L {place.port}:{place.netloc} <host>"
    try:
        answer = probes.get(http, PART, url)
    except ClientError as error:
        raise ClientError(f"{error}; {elsewhere}") from None
    with probes.understood(PART, url):
        found = {one["labels"].get("environment", environment) for one in answer.json()}
    if found - {environment}:
        raise ClientError(f"{PART} at {alertmanager} is that of {', '.join(sorted(found))}; {elsewhere}")


def listed(http: httpx.Client, alertmanager: str, expired: bool = False) -> list[Silence]:
    """The silences by their end, those that are over only where they are wanted."""
    url = f"{alertmanager}/api/v2/silences"
    with probes.understood(PART, url):
        found = [_silence(one) for one in probes.get(http, PART, url).json()]
    return sorted((one for one in found if expired or one.state != "expired"), key=lambda one: one.end)


def expire(http: httpx.Client, alertmanager: str, name: str) -> None:
    """Ends a silence now. ClientError where there is none with that id."""
    if not re.fullmatch(r"[0-9a-f-]{36}", name):
        raise ClientError(f"{format_value(name)} is not the id of a silence; `python -m ops silence list` shows them")
    probes.send(http, PART, "DELETE", f"{alertmanager}/api/v2/silence/{name}", None)


def _silence(one: dict[str, Any]) -> Silence:
    return Silence(
        id=one["id"],
        matchers=tuple(_matcher(each) for each in one["matchers"]),
        start=datetime.fromisoformat(one["startsAt"]),
        end=datetime.fromisoformat(one["endsAt"]),
        author=one["createdBy"],
        reason=one["comment"],
        state=one["status"]["state"],
    )


def _matcher(one: dict[str, Any]) -> Matcher:
    operators = {(False, True): "=", (False, False): "!=", (True, True): "=~", (True, False): "!~"}
    return Matcher(one["name"], operators[one["isRegex"], one.get("isEqual", True)], one["value"])
