"""Silences for unplanned work: added, listed and expired over Alertmanager's API, so that Grafana may be down."""

import re
from collections.abc import Iterable
from dataclasses import dataclass
from datetime import UTC, datetime, timedelta
from typing import Any, Final
from urllib.parse import urlsplit

import httpx

from clients import probes
from clients.probes import ClientError
from stacks.matchers import Matcher, parse_matcher, require_selective_matchers
from stacks.messages import format_value
from stacks.types import seconds

MAX_DURATION: Final = timedelta(days=31)  # what lasts longer is no accident: turn the alert off in the settings
SERVICE_NAME: Final = "Alertmanager"


@dataclass(frozen=True, kw_only=True)
class Silence:
    """One silence; `state` is active, pending or expired."""

    id: str
    matchers: tuple[Matcher, ...]
    start: datetime
    end: datetime
    author: str
    comment: str
    state: str

    def __str__(self) -> str:
        about = ", ".join(map(str, self.matchers))
        span = f"{self.start:%Y-%m-%d %H:%M} to {self.end:%Y-%m-%d %H:%M} UTC"
        return f"{self.id}  {self.state:8}{span}  {self.author}: {self.comment}  {{{about}}}"


def read_matchers(words: Iterable[str]) -> tuple[Matcher, ...]:
    """Matchers as amtool reads them: a first word without an operator is the value of alertname.

    ValueError if there are none, one is invalid, or they match every alert.
    """
    found = []
    for number, word in enumerate(words):
        plain = number == 0 and not re.search(r"[=~]", word)
        found.append(Matcher("alertname", "=", word) if plain else parse_matcher(word))
    if not found:
        raise ValueError("nothing to silence; write matchers, such as ApiDown or service=redis")
    require_selective_matchers(found)  # Alertmanager refuses it too, in other words
    return tuple(found)


def parse_end(duration: str, end: str, now: datetime) -> datetime:
    """The end of a silence: `duration` from now on (2h), or the moment `end` (ISO 8601 with its zone).

    ValueError if it is neither, in the past, or more than a month away.
    """
    if bool(duration) == bool(end):
        raise ValueError("a silence needs one end: --duration 2h, or --end 2027-01-16T22:00+01:00")
    if duration:
        # Cut to what is refused all the same: no date is later than the year 9999.
        found = now + timedelta(seconds=min(seconds(duration), 2 * MAX_DURATION.total_seconds()))
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
    if found > now + MAX_DURATION:
        raise ValueError(
            f"it would last longer than {MAX_DURATION.days} days; turn the alert off in the settings instead"
        )
    return found


def add(
    http: httpx.Client, alertmanager: str, matchers: Iterable[Matcher], end: datetime, author: str, comment: str
) -> str:
    """Makes a silence from now on; its id. ValueError without author or comment."""
    if not author.strip() or not comment.strip():
        raise ValueError("a silence needs an author and a comment: the next on call reads them")
    body = {
        "matchers": [
            {"name": m.label, "value": m.value, "isRegex": m.is_regex, "isEqual": m.is_equal} for m in matchers
        ],
        "startsAt": datetime.now(UTC).isoformat(),
        "endsAt": end.astimezone(UTC).isoformat(),
        "createdBy": author,
        "comment": comment,
    }
    answer = probes.send(http, SERVICE_NAME, "POST", f"{alertmanager}/api/v2/silences", body)
    with probes.understood(SERVICE_NAME, alertmanager):
        return str(answer.json()["silenceID"])


def check_environment(http: httpx.Client, alertmanager: str, environment: str) -> None:
    """ClientError where the Alertmanager knows alerts of another environment, or does not answer: all environments
    publish theirs at the same address of their own host.
    """
    url = f"{alertmanager}/api/v2/alerts"
    place = urlsplit(alertmanager)
    elsewhere = f"where {environment} runs elsewhere, go through ssh: ssh -L {place.port}:{place.netloc} <host>"
    try:
        answer = probes.get(http, SERVICE_NAME, url)
    except ClientError as error:
        raise ClientError(f"{error}; {elsewhere}") from None
    with probes.understood(SERVICE_NAME, url):
        environments = {alert["labels"].get("environment", environment) for alert in answer.json()}
    if environments - {environment}:
        raise ClientError(f"{SERVICE_NAME} at {alertmanager} is that of {', '.join(sorted(environments))}; {elsewhere}")


def list_silences(http: httpx.Client, alertmanager: str, expired: bool = False) -> list[Silence]:
    """The silences by their end, those that are over only where they are wanted."""
    url = f"{alertmanager}/api/v2/silences"
    with probes.understood(SERVICE_NAME, url):
        silences = [_silence(body) for body in probes.get(http, SERVICE_NAME, url).json()]
    return sorted((s for s in silences if expired or s.state != "expired"), key=lambda silence: silence.end)


def expire(http: httpx.Client, alertmanager: str, name: str) -> None:
    """Expires a silence now. ClientError if no silence has that id."""
    if not re.fullmatch(r"[0-9a-f-]{36}", name):
        raise ClientError(f"{format_value(name)} is not the id of a silence; `python -m ops silence list` shows them")
    probes.send(http, SERVICE_NAME, "DELETE", f"{alertmanager}/api/v2/silence/{name}", None)


def _silence(one: dict[str, Any]) -> Silence:
    return Silence(
        id=one["id"],
        matchers=tuple(_matcher(each) for each in one["matchers"]),
        start=datetime.fromisoformat(one["startsAt"]),
        end=datetime.fromisoformat(one["endsAt"]),
        author=one["createdBy"],
        comment=one["comment"],
        state=one["status"]["state"],
    )


def _matcher(one: dict[str, Any]) -> Matcher:
    operators = {(False, True): "=", (False, False): "!=", (True, True): "=~", (True, False): "!~"}
    return Matcher(one["name"], operators[one["isRegex"], one.get("isEqual", True)], one["value"])
