"""What one environment may say: every value of stacks/<stack>.yaml, validated, with all problems reported at once."""

from collections.abc import Iterable, Mapping
from enum import StrEnum
from ipaddress import IPv4Address
from pathlib import Path
from typing import Annotated, Any, Final

import yaml
from pydantic import ConfigDict, Field, StrictBool, StrictStr, ValidationError, ValidationInfo, field_validator
from pydantic_core import ErrorDetails

from stacks.exporters import Exporters
from stacks.exporters.model import ExporterSettings
from stacks.images import Images
from stacks.messages import NO_MAPPING, format_key, format_value, key_path, message, without_password
from stacks.notifications import Notifications
from stacks.schema import json_schema
from stacks.types import (
    Address,
    BaseUrl,
    BindAddress,
    DnsLabel,
    DockerHostUrl,
    ForDuration,
    Port,
    Retention,
    ScrapeInterval,
    SettingsModel,
    Threshold,
)

FOLDER: Final = Path(__file__).parent
DEMO_SERVICES: Final = ("api", "inbox")  # what only a demo publishes
# The servers that a demo can run, by service, and where its containers listen.
DEMO_SERVERS: Final = {"postgres": "postgres:5432", "redis": "redis:6379", "elasticsearch": "elasticsearch:9200"}


class SettingsError(Exception):
    """The settings of a stack cannot be used; the message says what, where and what to do.

    `rest` is the valid part of them, if it makes settings: validation finds further problems there.
    """

    def __init__(self, message: str, rest: "Settings | None" = None) -> None:
        self.rest = rest
        super().__init__(message)


class VolumePolicy(StrEnum):
    """What `pulumi destroy` does with the volumes that hold samples, silences and Grafana's database."""

    RETAIN = "retain"
    DELETE = "delete"


class ReadinessGate(StrEnum):
    """What fails an update at its end: everything, the stack's own parts, or nothing (problems are only told)."""

    ALL = "all"
    STACK = "stack"
    WARN = "warn"


class Ports(SettingsModel):
    """The ports on which the stack is published, on `bind_address`; each may be given once."""

    model_config = ConfigDict(validate_default=True)  # a port that is given may be another's default

    prometheus: Port = Field(default=9090, examples=[9090])
    """Prometheus: queries, targets, rules."""
    alertmanager: Port = Field(default=9093, examples=[9093])
    """Alertmanager: alerts, silences."""
    grafana: Port = Field(default=3000, examples=[3000])
    """Grafana; not used with `existing_grafana`."""
    api: Port = Field(default=8000, examples=[8000])
    """The demo's API; used with `demo` only."""
    inbox: Port = Field(default=8025, examples=[8025])
    """The demo's inbox, which takes notifications; used with `demo` only."""

    @field_validator("*")
    @classmethod
    def _each_once(cls, port: int, info: ValidationInfo) -> int:
        for name, taken in info.data.items():
            if port == taken:
                raise ValueError(f"port {port} is given to both {name} and {info.field_name}; choose another for one")
        return port


class ScrapeTarget(SettingsModel):
    """An address that Prometheus scrapes, by its job (a job of `rules/`)."""

    address: Address
    """Host and port, as the stack reaches them."""
    instance: DnsLabel
    """The label `instance`: the name of what is watched there, not of its exporter."""


class AlertOverride(SettingsModel):
    """What this environment changes of one alert, by the alert's name."""

    threshold: Threshold | None = None
    """Fires beyond this, in the unit of the alert's signal: a ratio is 0 to 1, a time is in seconds."""
    for_: ForDuration | None = Field(default=None, alias="for")
    """How long the condition must hold before the alert fires."""
    enabled: StrictBool = True
    """`false` leaves the alert out of this environment."""


class ExternalUrls(SettingsModel):
    """Where people reach the stack: the links in notifications and dashboards."""

    prometheus: BaseUrl | None = Field(default=None, examples=["https://prometheus.example.com"])
    """Prometheus; unset: where it is published."""
    alertmanager: BaseUrl | None = Field(default=None, examples=["https://alerts.example.com"])
    """Alertmanager; unset: where it is published."""
    grafana: BaseUrl | None = Field(default=None, examples=["https://grafana.example.com"])
    """Grafana; unset: where it is published, or `existing_grafana.url`."""


class ExistingGrafana(SettingsModel):
    """A Grafana to use instead of one of the stack's own; its token is the secret `grafana_token`."""

    url: BaseUrl = Field(examples=["https://grafana.example.com"])
    """Its address, as this machine reaches it."""


AlertName = Annotated[StrictStr, Field(title="an alert", examples=["SlowQueries"])]
JobName = Annotated[StrictStr, Field(title="a job", examples=["softfactory-api"])]


class Settings(SettingsModel):
    """One environment."""

    environment: DnsLabel = Field(examples=["production"])
    """The environment's name, free to choose: a label on every series, alert, container and volume."""
    production: StrictBool = False
    """Whether people are paged for this environment: `true` turns on the rules in `validation/production.py`."""
    name_prefix: DnsLabel = Field(default="softfactory", examples=["softfactory"])
    """The first word of container and volume names, so that two environments can share a Docker host."""
    docker_host: DockerHostUrl | None = None
    """The Docker host that runs the stack; unset: the variable `DOCKER_HOST`, or the local one."""
    bind_address: BindAddress = IPv4Address("127.0.0.1")
    """The address of the Docker host on which ports are published."""
    ports: Ports = Ports()
    retention: Retention = "15d"
    """How long Prometheus keeps samples."""
    scrape_interval: ScrapeInterval = "15s"
    """How often Prometheus scrapes each target and evaluates rules."""
    volume_policy: VolumePolicy = VolumePolicy.RETAIN
    """What `make down` does with the volumes of samples, silences and Grafana's database."""
    verification: ReadinessGate = ReadinessGate.ALL
    """What fails an update at its end: any problem, those of the stack's own services, or none (they are warnings)."""
    demo: StrictBool = False
    """Runs the demo system that is monitored in dev."""
    exporters: Exporters = Exporters()
    scrape_targets: Mapping[JobName, tuple[ScrapeTarget, ...]] = Field(default_factory=dict)
    notifications: Notifications = Notifications()
    alert_overrides: Mapping[AlertName, AlertOverride] = Field(default_factory=dict)
    images: Images = Images()
    external_urls: ExternalUrls = ExternalUrls()
    runbook_base_url: BaseUrl | None = Field(
        default=None, examples=["https://git.example.com/monitoring/docs/runbooks"]
    )
    """Where `docs/runbooks` can be read; unset: an alert's `runbook_url` is the path in this repository."""
    existing_grafana: ExistingGrafana | None = None

    @property
    def parts(self) -> dict[str, int]:
        """The parts that this environment publishes, and their ports."""
        elsewhere = {*(() if self.demo else DEMO_SERVICES), *(("grafana",) if self.existing_grafana else ())}
        return {part: port for part, port in self.ports if part not in elsewhere}

    def published(self, part: str) -> str:
        """The address of a part (a name in `ports`): where it is published, as the engine's host sees it, or where an
        existing Grafana is.
        """
        if part == "grafana" and self.existing_grafana:
            return str(self.existing_grafana.url).rstrip("/")
        address = "127.0.0.1" if self.bind_address.is_unspecified else self.bind_address
        return f"http://{address}:{getattr(self.ports, part)}"

    def link(self, part: str) -> str:
        """The address at which people reach Prometheus, Alertmanager or Grafana."""
        return str(getattr(self.external_urls, part) or self.published(part)).rstrip("/")

    @property
    def demo_servers(self) -> dict[str, ExporterSettings]:
        """The servers that the demo runs, by service: those that an entry of `exporters` has at the demo's address."""
        if not self.demo:
            return {}
        at_demo = [one for one in self.exporters.servers() if DEMO_SERVERS.get(one.service) == one.server]
        return {server.service: server for server in reversed(at_demo)}

    @field_validator("demo")
    @classmethod
    def _not_in_production(cls, demo: bool, info: ValidationInfo) -> bool:
        if demo and info.data.get("production"):
            raise ValueError("production does not run the demo system; remove it, or write false")
        return demo


def stacks(folder: Path = FOLDER) -> list[str]:
    """The names of the stacks that have a settings file in the folder, sorted."""
    files = (path for path in folder.glob("*.yaml") if path.is_file() and not path.stem.startswith("Pulumi."))
    return sorted(path.stem for path in files)


def load_settings(stack: str, images: Mapping[str, str] | None = None, folder: Path = FOLDER) -> Settings:
    """The validated settings of a stack, from `<folder>/<stack>.yaml`.

    `images` are overrides from Pulumi's configuration (key to reference), over the file's own.
    Raises SettingsError, which lists every problem of the file.
    """
    where = f"stacks/{format_key(stack)}.yaml"
    known = stacks(folder)
    if stack not in known:
        raise SettingsError(
            f"stack {format_value(stack)} has no settings file {where}; expected one of: {', '.join(known)}"
        )
    values, problems = _read(folder / f"{stack}.yaml", where)
    if not isinstance(images, Mapping | None):
        problems.append(f"images (in Pulumi's configuration): {NO_MAPPING}, not {format_value(images)}")
        images = None
    overrides = {format_key(key): reference for key, reference in (images or {}).items()}
    errors: list[ErrorDetails] = []
    try:
        settings = Settings.model_validate(_with_images(values, overrides))
    except ValidationError as error:
        errors = error.errors(include_url=False)
    root = json_schema(Settings) if errors else {}
    problems += [f"{_key_path(error, root, overrides)}: {message(error, root)}" for error in errors]
    if problems:
        lines = "".join(f"\n  {problem}" for problem in problems)
        raise SettingsError(
            f"{where} cannot be used:{lines}", _valid_subset(values, [error["loc"] for error in errors])
        )
    return settings


class _Loader(yaml.SafeLoader):
    """YAML in pure Python, because the parser in C crashes on a file that is nested deeply enough.

    `twice` collects the keys that a mapping has twice: YAML would take the last without a word.
    """

    def __init__(self, text: str) -> None:
        super().__init__(text)
        self.twice: list[str] = []

    def compose_mapping_node(self, anchor: Any) -> yaml.MappingNode:
        node = super().compose_mapping_node(anchor)
        there: set[tuple[str, str]] = set()
        for key, _ in node.value:
            if isinstance(key, yaml.ScalarNode):
                if (key.tag, key.value) in there:
                    self.twice.append(f"{format_key(key.value)}: line {key.start_mark.line + 1} gives it a second time")
                there.add((key.tag, key.value))
        return node

    def construct_object(self, node: yaml.Node, deep: bool = False) -> Any:
        try:
            value = super().construct_object(node, deep)
            if isinstance(value, str):
                value.encode()  # "\\ud800" is no character
        except (yaml.YAMLError, RecursionError):
            raise
        except Exception:  # whatever the conversion met: ValueError of 2026-02-30, KeyError of !!bool x
            kind = node.tag.rpartition(":")[2]
            problem = f"{format_value(node.value)} cannot be read as {kind}; put it in quotes if it is text"
            raise yaml.constructor.ConstructorError(None, None, problem, node.start_mark) from None
        return value


def _read(path: Path, where: str) -> tuple[dict[Any, Any], list[str]]:
    """The values of a file, and what is wrong with its keys."""
    try:
        loader = _Loader(path.read_text(encoding="utf-8"))
        values = loader.get_single_data()
    except OSError as error:
        raise SettingsError(f"{where} cannot be read: {error.strerror}") from error
    except UnicodeDecodeError as error:
        raise SettingsError(f"{where} is not YAML: byte {error.start} is not UTF-8 text") from error
    except RecursionError as error:
        raise SettingsError(f"{where} is nested too deeply to be settings") from error
    except yaml.YAMLError as error:
        for mark in (getattr(error, "context_mark", None), getattr(error, "problem_mark", None)):
            if mark:
                mark.buffer = None  # or the line is quoted, and it may hold a password
        text = without_password(str(error)).replace('"<unicode string>"', where)
        raise SettingsError(f"{where} is not YAML: {text}") from None
    if not isinstance(values, dict):
        raise SettingsError(f"{where} must hold settings, a mapping (key: value), not {format_value(values)}")
    return values, loader.twice


def _with_images(values: dict[Any, Any], overrides: Mapping[str, str]) -> dict[Any, Any]:
    images = {} if values.get("images") is None else values["images"]
    if not overrides or not isinstance(images, dict):
        return values  # nothing to add, or something that validation will name
    own = {} if images.get("overrides") is None else images["overrides"]
    return {**values, "images": {**images, "overrides": {**own, **overrides}}} if isinstance(own, dict) else values


def _valid_subset(values: dict[Any, Any], places: Iterable[tuple[int | str, ...]]) -> Settings | None:
    """The settings without what is wrong, made so that nothing else is blamed for what is left out."""
    blameless: dict[str, dict[str, Any]] = {
        "environment": {"environment": "unnamed"},
        "scrape_interval": {"scrape_interval": "1s"},
        "existing_grafana": {"existing_grafana": {"url": "http://grafana.invalid"}},  # an own one would be scraped
    }
    kept = {key: value for key, value in values.items() if key in Settings.model_fields}
    for section, *inner in places:
        if (
            section in ("exporters", "scrape_targets", "alert_overrides")
            and inner
            and isinstance(kept.get(section), dict)
        ):
            kept[section] = {key: value for key, value in kept[section].items() if key != inner[0]}
        else:
            kept.pop(section, None)
        if section == "exporters":
            kept["demo"] = False  # it would miss the server
        if section in ("external_urls", "runbook_base_url", "volume_policy", "images"):
            kept["production"] = False  # it would miss them too
        kept |= blameless.get(str(section), {})
    try:
        return Settings.model_validate(kept)
    except ValidationError:
        return None


def _key_path(error: ErrorDetails, root: Mapping[str, Any], overrides: Mapping[str, str]) -> str:
    location = key_path(error, root)
    if location[:2] == ("images", "overrides") and len(location) > 2 and location[2] in overrides:
        return f"images.{format_key(location[2])} (in Pulumi's configuration)"
    return ".".join(map(format_key, location)) or "settings"
