"""What one environment may say: every value of stacks/<stack>.yaml, validated, with all problems reported at once."""

import re
from collections.abc import Mapping
from datetime import timedelta
from enum import StrEnum
from ipaddress import IPv4Address
from pathlib import Path
from typing import Annotated, Any, Final

import yaml
from pydantic import (
    AfterValidator,
    BaseModel,
    ConfigDict,
    Field,
    HttpUrl,
    StringConstraints,
    ValidationError,
    model_validator,
)

from stacks.images import Images

FOLDER: Final = Path(__file__).parent
_UNITS: Final = {
    "ms": 1,
    "s": 1000,
    "m": 60_000,
    "h": 3_600_000,
    "d": 86_400_000,
    "w": 604_800_000,
    "y": 31_536_000_000,
}
_DURATION: Final = re.compile(
    r"(?:(\d+)(y))?(?:(\d+)(w))?(?:(\d+)(d))?(?:(\d+)(h))?(?:(\d+)(m(?!s)))?(?:(\d+)(s))?(?:(\d+)(ms))?"
)


class SettingsError(Exception):
    """The settings of a stack cannot be used; the message says what, where and what to do."""


def seconds(duration: str) -> float:
    """The length of a Prometheus duration (`15d`, `1h30m`, `500ms`) in seconds; ValueError where it is none."""
    match = _DURATION.fullmatch(duration)
    if not duration or match is None:
        raise ValueError(f"{duration!r} is not a Prometheus duration such as 30s, 5m or 15d")
    parts = match.groups()
    milliseconds = sum(int(n) * _UNITS[unit] for n, unit in zip(parts[::2], parts[1::2], strict=True) if n)
    return timedelta(milliseconds=milliseconds).total_seconds()


def _positive(duration: str) -> str:
    if not 0 < seconds(duration) <= seconds("10y"):
        raise ValueError("must be longer than 0 and at most 10y")
    return duration


Duration = Annotated[str, AfterValidator(_positive)]
Port = Annotated[int, Field(ge=1, le=65535, strict=True)]
Name = Annotated[str, StringConstraints(pattern=r"^[a-z][a-z0-9-]*[a-z0-9]$", max_length=40)]
Role = Annotated[str, StringConstraints(pattern=r"^[A-Za-z_][A-Za-z0-9_-]*$", max_length=63)]  # PostgreSQL's limit


def _port_exists(address: str) -> str:
    if not 1 <= int(address.rpartition(":")[2]) <= 65535:
        raise ValueError("the port must lie between 1 and 65535")
    return address


Address = Annotated[
    str,
    StringConstraints(pattern=r"^[A-Za-z0-9]([A-Za-z0-9.-]*[A-Za-z0-9])?:[0-9]{1,5}$", max_length=260),
    AfterValidator(_port_exists),
]


class _Values(BaseModel):
    model_config = ConfigDict(frozen=True, extra="forbid")


class Environment(StrEnum):
    DEV = "dev"
    STAGING = "staging"
    PROD = "prod"


class Fate(StrEnum):
    """What `pulumi destroy` does with the volumes that hold samples, silences and Grafana's database."""

    KEEP = "keep"
    DELETE = "delete"


class Strictness(StrEnum):
    """What fails an update at its end: everything, the stack's own parts, or nothing (problems are only told)."""

    STRICT = "strict"
    OWN = "own"
    REPORT = "report"


class Ports(_Values):
    """Published ports on `bind_address`; each may be given once."""

    prometheus: Port = 9090
    alertmanager: Port = 9093
    grafana: Port = 3000
    api: Port = 8000
    inbox: Port = 8025

    @model_validator(mode="after")
    def _each_once(self) -> "Ports":
        taken: dict[int, str] = {}
        for name, port in self:
            if port in taken:
                raise ValueError(f"port {port} is given to both {taken[port]} and {name}")
            taken[port] = name
        return self


class Target(_Values):
    """One address that Prometheus scrapes; `instance` names what is watched there, not its exporter."""

    address: Address
    instance: Name


class PostgresServer(Target):
    """A PostgreSQL server for which the stack runs an exporter; its password is the secret `postgres_password`."""

    user: Role
    database: Role
    sslmode: Annotated[str, StringConstraints(pattern="^(disable|require|verify-ca|verify-full)$")] = "require"


class RedisServer(Target):
    """A Redis server for which the stack runs an exporter; its password is the secret `redis_password`."""


class ElasticsearchServer(_Values):
    """An Elasticsearch server for which the stack runs an exporter."""

    url: HttpUrl
    instance: Name


class Servers(_Values):
    """The servers that the stack's own exporters ask; none where an environment has no such server."""

    postgres: PostgresServer | None = None
    redis: RedisServer | None = None
    elasticsearch: ElasticsearchServer | None = None


class Tuning(_Values):
    """What an environment changes of one alert: threshold (in the signal's unit), hold time, or whether it is on."""

    threshold: float | None = None
    for_: Duration | None = Field(default=None, alias="for")
    enabled: bool = True


class Notifications(_Values):
    """Where alerts go. Without `webhook_url` the address is the secret `webhook_url`, read from a file."""

    webhook_url: HttpUrl | None = None


class Settings(_Values):
    """All values of one environment."""

    environment: Environment
    prefix: Name = "softfactory"
    engine_host: str | None = None  # e.g. ssh://user@host; unset: DOCKER_HOST or the local engine
    bind_address: IPv4Address = IPv4Address("127.0.0.1")
    ports: Ports = Ports()
    retention: Duration = "15d"
    scrape_interval: Duration = "15s"
    data: Fate = Fate.KEEP
    verification: Strictness = Strictness.STRICT
    demo: bool = False
    servers: Servers = Servers()
    targets: Mapping[str, tuple[Target, ...]] = Field(default_factory=dict)
    notifications: Notifications = Notifications()
    alerts: Mapping[str, Tuning] = Field(default_factory=dict)
    images: Images = Images()
    runbooks: HttpUrl | None = None  # where docs/runbooks is readable for the person on call

    @model_validator(mode="after")
    def _fits_together(self) -> "Settings":
        if seconds(self.scrape_interval) > 60:
            raise ValueError("scrape_interval: at most 1m, or the alerts' windows hold too few samples")
        if self.demo and self.environment is not Environment.DEV:
            raise ValueError("demo: only a dev environment runs the demo system")
        return self


def load_settings(stack: str, images: Mapping[str, str] | None = None, folder: Path = FOLDER) -> Settings:
    """The validated settings of a stack, from `<folder>/<stack>.yaml`.

    `images` are overrides from Pulumi's configuration (key to reference), over the file's own.
    Raises SettingsError, which lists every problem of the file.
    """
    if not re.fullmatch(r"[A-Za-z0-9_.-]+", stack) or not (folder / f"{stack}.yaml").is_file():
        known = ", ".join(sorted(path.stem for path in folder.glob("*.yaml") if not path.stem.startswith("Pulumi.")))
        raise SettingsError(f"stack {stack!r} has no settings file stacks/{stack}.yaml; there are: {known}")
    where = f"stacks/{stack}.yaml"
    try:
        values = yaml.load((folder / f"{stack}.yaml").read_text(encoding="utf-8"), Loader=yaml.CSafeLoader)
    except (yaml.YAMLError, UnicodeDecodeError) as error:
        raise SettingsError(f"{where} is not YAML: {error}") from error
    if not isinstance(values, dict):
        raise SettingsError(f"{where} must hold a mapping of settings, not {type(values).__name__}")
    try:
        return Settings.model_validate(_with_images(values, images or {}))
    except ValidationError as error:
        problems = "\n".join(f"  {_place(e['loc'])}: {e['msg'].removeprefix('Value error, ')}" for e in error.errors())
        raise SettingsError(f"{where} cannot be used:\n{problems}") from error


def _with_images(values: dict[Any, Any], overrides: Mapping[str, str]) -> dict[Any, Any]:
    images = values.get("images") or {}
    own = (images.get("overrides") or {}) if isinstance(images, dict) else None
    if not overrides or not isinstance(own, dict):
        return values  # nothing to add, or something that validation will name
    return {**values, "images": {**images, "overrides": {**own, **overrides}}}


def _place(location: tuple[int | str, ...]) -> str:
    return ".".join(str(part) for part in location) or "settings"
