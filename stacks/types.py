"""The kinds of single values in a settings file: pydantic's strict types, bounded.

A type's `title` is its kind ("a port"), its `form` what to write where a pattern says too little, and its `examples`
are valid. Messages (messages.py), the JSON Schema and docs/settings.md (schema.py) are made of these and of the bounds.
"""

import re
from collections.abc import Callable
from ipaddress import IPv4Address
from typing import Annotated, Any, Final, TypeVar

from pydantic import (
    AfterValidator,
    BaseModel,
    BeforeValidator,
    ConfigDict,
    Field,
    HttpUrl,
    StrictFloat,
    StrictInt,
    StrictStr,
)
from pydantic_core import PydanticCustomError

from stacks.messages import format_value

_UNITS: Final = {
    "y": 31_536_000_000,
    "w": 604_800_000,
    "d": 86_400_000,
    "h": 3_600_000,
    "m": 60_000,
    "s": 1000,
    "ms": 1,
}
_DURATION: Final = "^" + "".join(f"(?:([0-9]{{1,9}}){unit})?" for unit in _UNITS) + "$"
T = TypeVar("T")


class SettingsModel(BaseModel):
    """A section of the settings: it does not change once read, and a key that it does not know is an error.

    The docstring below a field is its meaning in the schema and in docs/settings.md.
    """

    model_config = ConfigDict(frozen=True, extra="forbid", use_attribute_docstrings=True)


def seconds(duration: str) -> float:
    """The length of a Prometheus duration (`15d`, `1h30m`, `500ms`) in seconds; ValueError if it is invalid."""
    match = re.fullmatch(_DURATION, duration)
    if not duration or match is None:
        raise ValueError(f"{format_value(duration)} is not a Prometheus duration such as 30s, 5m or 15d")
    return sum(int(n) * length for n, length in zip(match.groups(), _UNITS.values(), strict=True) if n) / 1000


def must(check: Callable[[Any], object]) -> Callable[[Any], Any]:
    """A validator that passes on a value for which `check` is true; a ValueError of it counts as false.

    The message is made of the type's title, form and examples. A validator that knows better raises ValueError itself.
    """

    def validate(value: Any) -> Any:
        try:
            if check(value):
                return value
        except ValueError:
            pass
        raise PydanticCustomError("form", "not of the form of its type")

    return validate


def text(title: str, form: str, *examples: str, **constraints: Any) -> Any:
    """A `Field` for text: its kind, what to write, and valid examples."""
    return Field(title=title, examples=list(examples), json_schema_extra={"form": form}, **constraints)


def duration(least: str, most: str, example: str) -> tuple[Any, Any]:
    """The annotations of a Prometheus duration that is neither shorter nor longer."""
    within = must(lambda value: seconds(least) <= seconds(value) <= seconds(most))
    form = f"whole numbers with their units ({' '.join(_UNITS)})"
    # The field first: what comes after a validator is not in the JSON Schema.
    return text(f"a duration from {least} to {most}", form, example, pattern=_DURATION), AfterValidator(within)


def _url(rest: str, form: str, example: str) -> tuple[Any, Any]:
    # Pydantic would repair an invalid URL (`http:a`), and a password here would be readable in a rendered file.
    pattern = rf"^https?://[^\s\\/?#@]+({rest})?$"
    form = f"http:// or https:// and a host, without user and password{form}"
    extra: dict[str, Any] = {"form": form, "pattern": pattern}
    field = Field(title="an address", examples=[example], json_schema_extra=extra)
    return BeforeValidator(must(lambda url: re.fullmatch(pattern, str(url)))), field


def _is_host_and_port(address: str) -> bool:
    host, _, port = address.rpartition(":")
    if host.replace(".", "").isdecimal():
        IPv4Address(host)
    return 1 <= int(port) <= 65535


def _not_empty(items: tuple[T, ...]) -> tuple[T, ...]:
    if not items:
        raise ValueError("is empty; write at least one")
    return items


_LABEL: Final = "[A-Za-z0-9]([A-Za-z0-9-]*[A-Za-z0-9])?"
# Checked by a validator, because min_length would count an invalid item as a missing one.
NonEmpty = Annotated[tuple[T, ...], AfterValidator(_not_empty), Field(json_schema_extra={"minItems": 1})]
# Prometheus deletes whole blocks of two hours, so it cannot keep to less.
Retention = Annotated[StrictStr, *duration("2h", "10y", "15d")]
# With longer gaps the alerts' windows of five minutes would hold too few samples.
ScrapeInterval = Annotated[StrictStr, *duration("1s", "1m", "15s")]
ForDuration = Annotated[StrictStr, *duration("1s", "1w", "5m")]
# Notifications are sent after these, so neither is longer than anybody may be left waiting.
GroupWait = Annotated[StrictStr, *duration("1s", "5m", "30s")]
# A failed notification is counted once in an interval, and AlertmanagerFailedToSendAlerts must not lose sight of it.
GroupInterval = Annotated[StrictStr, *duration("1s", "10m", "5m")]
# After five days Alertmanager forgets which notifications it has sent.
RepeatInterval = Annotated[StrictStr, *duration("1s", "4d", "12h")]
Port = Annotated[StrictInt, Field(title="a port", ge=1, le=65535, examples=[9090])]
# Nothing that is measured here is ever negative.
Threshold = Annotated[StrictFloat, Field(title="a threshold", ge=0, allow_inf_nan=False, examples=[0.8])]
DnsLabel = Annotated[
    StrictStr,
    text(
        "a name",
        "2 to 40 small letters, digits and hyphens, a letter first",
        "prod-api-1",
        pattern=r"^[a-z][a-z0-9-]*[a-z0-9]$",
        max_length=40,
    ),
]
PostgresIdentifier = Annotated[
    StrictStr,
    text(
        "a PostgreSQL name",
        "up to 63 letters, digits, _ and -, a letter first",
        "monitoring",
        pattern=r"^[A-Za-z_][A-Za-z0-9_-]*$",
        max_length=63,  # PostgreSQL's limit
    ),
]
RedisUser = Annotated[
    StrictStr,
    text(
        "a Redis user",
        "up to 63 letters, digits, _, . and -",
        "monitoring",
        pattern=r"^[A-Za-z0-9_.-]+$",
        max_length=63,
    ),
]
Address = Annotated[
    StrictStr,
    text(
        "an address",
        "host:port without http://",
        "postgres.internal:5432",
        pattern=rf"^{_LABEL}(\.{_LABEL})*:[0-9]{{1,5}}$",
        max_length=260,
    ),
    AfterValidator(must(_is_host_and_port)),
]
Url = Annotated[HttpUrl, *_url(r"[/?#][^\s\\]*", "", "https://search.internal:9200")]
BaseUrl = Annotated[HttpUrl, *_url(r"/[^\s\\?#]*", ", and without ? and #", "https://git.internal/monitoring")]
BindAddress = Annotated[
    IPv4Address,
    BeforeValidator(must(lambda value: isinstance(value, str | IPv4Address))),  # or a number would be one
    text("an IPv4 address", "one of the Docker host's", "127.0.0.1"),
]
DockerHostUrl = Annotated[
    StrictStr,
    text(
        "a Docker host",
        "ssh://user@host, tcp://host:port or unix:///path",
        "ssh://ops@docker.internal",
        pattern=r"^((ssh|tcp)://[A-Za-z0-9_@.:\[\]-]+(/[A-Za-z0-9_./-]*)?|unix:///[A-Za-z0-9_./-]+)$",
    ),
]
