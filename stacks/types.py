"""The kinds of single values in a settings file, each with one sentence for the person who writes a wrong one."""

import re
from ipaddress import IPv4Address
from typing import Annotated, Any, Final

from pydantic import (
    AfterValidator,
    BaseModel,
    BeforeValidator,
    ConfigDict,
    Field,
    HttpUrl,
    Strict,
    StringConstraints,
    ValidationError,
    ValidatorFunctionWrapHandler,
    WrapValidator,
)

_UNITS: Final = {
    "y": 31_536_000_000,
    "w": 604_800_000,
    "d": 86_400_000,
    "h": 3_600_000,
    "m": 60_000,
    "s": 1000,
    "ms": 1,
}
_DURATION: Final = re.compile("".join(rf"(?:([0-9]{{1,9}}){unit}(?![a-z]))?" for unit in _UNITS))


class SettingsModel(BaseModel):
    """A section of the settings: it does not change once read, and a key that it does not know is an error."""

    model_config = ConfigDict(frozen=True, extra="forbid")


def expect(kind: str, write: str, of: type = str, *, show: bool = True) -> WrapValidator:
    """Says `VALUE is not KIND; write WRITE` of whatever the checks before it refuse.

    Nothing is converted: a value must be `of` that type, as YAML reads it; `of=float` takes whole numbers too. Without
    `show` the value is not repeated, because it may hold a password.
    """

    def check(value: Any, handler: ValidatorFunctionWrapHandler) -> Any:
        if isinstance(value, (int, float) if of is float else of) and isinstance(value, bool) == (of is bool):
            try:
                return handler(value)
            except ValidationError:
                pass  # its words tell what the pattern is, not what to write
        raise ValueError(f"{shown(value) if show else 'this'} is not {kind}; write {write}")

    return WrapValidator(check)


def shown(value: Any) -> str:
    """A value as a message repeats it: short, on one line, and nearly as YAML writes it."""
    match value:
        case None:
            return "nothing"
        case bool():
            return str(value).lower()
        case dict():
            return "a mapping"
        case str() | float():
            text = repr(str(value)) if isinstance(value, str) else str(value)
            return text if len(text) <= 60 else f"{text[:57]}..."
        case int():
            return str(value) if abs(value) < 10**20 else "a number of more than 20 digits"
        case list():
            return "a list"
        case _:
            return "binary data" if isinstance(value, bytes) else f"a {type(value).__name__}"  # a date, a set


def printable(key: int | str) -> str:
    """A mapping's key as a message names it: on one line, and not endless."""
    text = str(key)
    return (text if text.isprintable() and text.strip() else ascii(text))[:60]


def seconds(duration: str) -> float:
    """The length of a Prometheus duration (`15d`, `1h30m`, `500ms`) in seconds; ValueError where it is none."""
    match = _DURATION.fullmatch(duration)
    if not duration or match is None:
        raise ValueError(f"{shown(duration)} is not a Prometheus duration such as 30s, 5m or 15d")
    return sum(int(n) * length for n, length in zip(match.groups(), _UNITS.values(), strict=True) if n) / 1000


def _between(least: str, most: str) -> AfterValidator:
    def check(duration: str) -> str:
        if not seconds(least) <= seconds(duration) <= seconds(most):
            raise ValueError(f"not between {least} and {most}")
        return duration

    return AfterValidator(check)


def _exists(address: str) -> str:
    host, _, port = address.rpartition(":")
    if not 1 <= int(port) <= 65535:
        raise ValueError("no such port")
    if host.replace(".", "").isdecimal():
        IPv4Address(host)
    return address


def _plain(url: Any) -> Any:
    # Pydantic would repair what is no URL (`http:a`), and a password here would stand readable in a rendered file.
    if not re.fullmatch(r"https?://[^\s\\/?#@]+([/?#][^\s\\]*)?", str(url)):
        raise ValueError("no plain URL")
    return url


def _folder(url: HttpUrl) -> HttpUrl:
    if url.query is not None or url.fragment is not None:
        raise ValueError("nothing can follow a query")
    return url


def _some(items: tuple[Any, ...]) -> tuple[Any, ...]:
    if not items:
        raise ValueError("is empty; write at least one")
    return items


SOME: Final = AfterValidator(_some)  # unlike min_length it does not count wrong items as missing ones
Key = Annotated[str, Strict()]  # of a mapping; else binary data would be taken for text
_LENGTH: Final = "whole numbers with their units (y w d h m s)"
# Prometheus deletes whole blocks of two hours, so less could not be kept to.
Retention = Annotated[str, _between("2h", "10y"), expect("a retention", f"{_LENGTH} from 2h to 10y, such as 15d")]
# With longer gaps the alerts' windows of five minutes would hold too few samples.
Interval = Annotated[str, _between("1s", "1m"), expect("a scrape interval", f"{_LENGTH} from 1s to 1m, such as 15s")]
Hold = Annotated[str, _between("1s", "1w"), expect("a hold time", f"{_LENGTH} from 1s to 1w, such as 5m")]
# An alert is notified after these two, so neither is longer than anybody may be left waiting.
GroupWait = Annotated[str, _between("1s", "5m"), expect("a group_wait", f"{_LENGTH} from 1s to 5m, such as 30s")]
# Alertmanager counts a failed notification once in an interval, and AlertmanagerFailedToSendAlerts must not miss it.
GroupInterval = Annotated[
    str, _between("1s", "10m"), expect("a group_interval", f"{_LENGTH} from 1s to 10m, such as 5m")
]
# Alertmanager forgets what it has notified after five days.
RepeatInterval = Annotated[
    str, _between("1s", "4d"), expect("a repeat_interval", f"{_LENGTH} from 1s to 4d, such as 12h")
]
Switch = Annotated[bool, expect("a switch", "true or false, without quotes", of=bool)]
Port = Annotated[
    int,
    Field(ge=1, le=65535),
    expect("a port", "a whole number from 1 to 65535, without quotes, such as 9090", of=int),
]
Threshold = Annotated[
    float,
    Field(ge=0, allow_inf_nan=False),  # nothing that is measured here is ever negative
    expect("a threshold", "a number, at least 0, in the unit of the alert's signal, without quotes", of=float),
]
Name = Annotated[
    str,
    StringConstraints(pattern=r"^[a-z][a-z0-9-]*[a-z0-9]$", max_length=40),
    expect("a name", "2 to 40 small letters, digits and hyphens, a letter first, such as prod-api-1"),
]
Role = Annotated[
    str,
    StringConstraints(pattern=r"^[A-Za-z_][A-Za-z0-9_-]*$", max_length=63),  # PostgreSQL's limit
    expect("a PostgreSQL name", "up to 63 letters, digits, _ and -, a letter first, such as monitoring"),
]
RedisUser = Annotated[
    str,
    StringConstraints(pattern=r"^[A-Za-z0-9_.-]+$", max_length=63),
    expect("a Redis user", "up to 63 letters, digits, _, . and -, such as monitoring"),
]
Sslmode = Annotated[
    str,
    StringConstraints(pattern="^(disable|require|verify-ca|verify-full)$"),
    expect("an sslmode", "disable, require, verify-ca or verify-full"),
]
_LABEL: Final = "[A-Za-z0-9]([A-Za-z0-9-]*[A-Za-z0-9])?"
Address = Annotated[
    str,
    StringConstraints(pattern=rf"^{_LABEL}(\.{_LABEL})*:[0-9]{{1,5}}$", max_length=260),
    AfterValidator(_exists),
    expect("an address", "host:port without http://, such as postgres.internal:5432"),
]
_URL: Final = "http:// or https:// and a host, without user and password, such as"
Url = Annotated[
    HttpUrl,
    BeforeValidator(_plain),
    expect("an address", f"{_URL} https://search.internal:9200", of=object, show=False),
]
Folder = Annotated[
    Url,
    AfterValidator(_folder),
    expect("a folder's address", f"{_URL} https://git.internal/monitoring, and without ? and #", of=object, show=False),
]
Site = Annotated[
    Url,
    AfterValidator(_folder),
    expect("Grafana's address", f"{_URL} https://grafana.internal, and without ? and #", of=object, show=False),
]
BindAddress = Annotated[IPv4Address, expect("an IPv4 address", "one of the engine's host, such as 127.0.0.1")]
EngineHost = Annotated[
    str,
    StringConstraints(pattern=r"^((ssh|tcp)://[A-Za-z0-9_@.:\[\]-]+(/[A-Za-z0-9_./-]*)?|unix:///[A-Za-z0-9_./-]+)$"),
    expect("an engine's address", "ssh://user@host, tcp://host:2376 or unix:///run/docker.sock"),
]
