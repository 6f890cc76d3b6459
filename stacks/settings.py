"""What one environment may say: every value of stacks/<stack>.yaml, validated, with all problems reported at once."""

from collections.abc import Iterable, Mapping
from enum import StrEnum
from ipaddress import IPv4Address
from pathlib import Path
from typing import Annotated, Any, Final, get_args, get_origin

import yaml
from pydantic import BaseModel, ConfigDict, Field, ValidationError, ValidationInfo, field_validator
from pydantic_core import ErrorDetails

from stacks.exporters import Exporters
from stacks.exporters.model import ExporterSettings
from stacks.images import Images
from stacks.notifications import UNION_TAGS, Notifications
from stacks.types import (
    Address,
    BindAddress,
    EngineHost,
    Folder,
    Hold,
    Interval,
    Key,
    Name,
    Port,
    Retention,
    SettingsModel,
    Site,
    Switch,
    Threshold,
    expect,
    printable,
    shown,
)

FOLDER: Final = Path(__file__).parent
DEMO_SERVICES: Final = ("api", "inbox")  # what only a demo publishes
# The servers that a demo can run, by service, and where its containers listen.
DEMO_SERVERS: Final = {"postgres": "postgres:5432", "redis": "redis:6379", "elasticsearch": "elasticsearch:9200"}
_NO_MAPPING: Final = "must be a mapping (key: value)"


class SettingsError(Exception):
    """The settings of a stack cannot be used; the message says what, where and what to do.

    `rest` is what can be used of them, where that makes settings: the plan finds further problems there.
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
    """Published ports on `bind_address`; each may be given once."""

    model_config = ConfigDict(validate_default=True)  # a port that is given may be another's default

    prometheus: Port = 9090
    alertmanager: Port = 9093
    grafana: Port = 3000
    api: Port = 8000
    inbox: Port = 8025

    @field_validator("*")
    @classmethod
    def _each_once(cls, port: int, info: ValidationInfo) -> int:
        for name, taken in info.data.items():
            if port == taken:
                raise ValueError(f"port {port} is given to both {name} and {info.field_name}; choose another for one")
        return port


class ScrapeTarget(SettingsModel):
    """One address that Prometheus scrapes; `instance` names what is watched there, not its exporter."""

    address: Address
    instance: Name


class AlertOverride(SettingsModel):
    """What an environment changes of one alert: threshold (in the signal's unit), hold time, or whether it is on."""

    threshold: Threshold | None = None
    for_: Hold | None = Field(default=None, alias="for")
    enabled: Switch = True


class ExternalUrls(SettingsModel):
    """Where people reach the stack, for the links in alerts; where it is published unless given."""

    prometheus: Folder | None = None
    alertmanager: Folder | None = None
    grafana: Folder | None = None


class ExistingGrafana(SettingsModel):
    """A Grafana that is there already and takes up the stack's dashboards; its token is the secret `grafana_token`."""

    url: Site


class Settings(SettingsModel):
    """All values of one environment."""

    environment: Name
    """The environment's name, free to choose: a label on every series, alert, container and volume."""

    production: Switch = False
    """Whether people are paged for this environment: true turns on the rules in validation/production.py."""

    name_prefix: Name = "softfactory"
    docker_host: EngineHost | None = None  # unset: DOCKER_HOST or the local engine
    bind_address: BindAddress = IPv4Address("127.0.0.1")
    ports: Ports = Ports()
    retention: Retention = "15d"
    scrape_interval: Interval = "15s"
    volume_policy: Annotated[VolumePolicy, expect("a volume policy", "retain or delete")] = VolumePolicy.RETAIN
    verification: Annotated[ReadinessGate, expect("a readiness gate", "all, stack or warn")] = ReadinessGate.ALL
    demo: Switch = False
    exporters: Exporters = Exporters()
    """The servers for which the stack runs exporters, a list for each kind; by default none."""

    scrape_targets: Mapping[Key, tuple[ScrapeTarget, ...]] = Field(default_factory=dict)
    notifications: Notifications = Notifications()
    alert_overrides: Mapping[Key, AlertOverride] = Field(default_factory=dict)
    images: Images = Images()
    external_urls: ExternalUrls = ExternalUrls()
    runbook_base_url: Folder | None = None  # of docs/runbooks; without it a link is the path in this repository
    existing_grafana: ExistingGrafana | None = None  # unset: the stack runs its own

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
    where = f"stacks/{printable(stack)}.yaml"
    known = stacks(folder)
    if stack not in known:
        raise SettingsError(f"stack {shown(stack)} has no settings file {where}; there are: {', '.join(known)}")
    values, problems = _read(folder / f"{stack}.yaml", where)
    if not isinstance(images, Mapping | None):
        problems.append(f"images (in Pulumi's configuration): {_NO_MAPPING}, not {shown(images)}")
        images = None
    overrides = {printable(key): reference for key, reference in (images or {}).items()}
    errors: list[ErrorDetails] = []
    try:
        settings = Settings.model_validate(_with_images(values, overrides))
    except ValidationError as error:
        errors = error.errors(include_url=False)
    problems += [f"{_place(error, overrides)}: {_message(error)}" for error in errors]
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
                    self.twice.append(f"{printable(key.value)}: line {key.start_mark.line + 1} gives it a second time")
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
            problem = f"{shown(node.value)} cannot be read as {kind}; put it in quotes if it is text"
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
        raise SettingsError(f"{where} is not YAML: {error}".replace('"<unicode string>"', where)) from error
    if not isinstance(values, dict):
        raise SettingsError(f"{where} must hold settings, a mapping (key: value), not {shown(values)}")
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


def _message(error: ErrorDetails) -> str:
    """What is wrong, for the person who wrote it."""
    match error["type"]:
        case "missing":
            return "is missing"
        case "extra_forbidden":
            return f"no such setting; there are: {', '.join(_allowed_keys(error['loc']))}"
        case "string_type" if not _is_about_a_key(error):
            return f"must be text, not {shown(error['input'])}; put it in quotes"
        case "invalid_key" | "string_type":
            return f"the key {shown(error['input'])} must be text; put it in quotes"
        case "model_type" | "dict_type" | "mapping_type":
            return f"{_NO_MAPPING}, not {shown(error['input'])}"
        case "tuple_type":
            return f"must be a list (- item), not {shown(error['input'])}"
        case _:
            return error["msg"].removeprefix("Value error, ")


def _is_about_a_key(error: ErrorDetails) -> bool:
    return error["type"] == "invalid_key" or (error["type"] == "string_type" and error["loc"][-1] == "[key]")


def _allowed_keys(location: tuple[int | str, ...]) -> Iterable[str]:
    """The keys that may stand where an unknown one does."""
    model: type[BaseModel] = Settings
    is_name = False
    for part in location[:-1]:
        # A name in a mapping (of a job, an alert, a receiver) or a number in a list: the model has been found already.
        if is_name or isinstance(part, int) or part in UNION_TAGS:
            is_name = False
            continue
        fields = {field.alias or name: field for name, field in model.model_fields.items()}
        annotation = fields[part].annotation
        is_name = get_origin(annotation) is Mapping
        model = _model(annotation) or model
    return [field.alias or name for name, field in model.model_fields.items()]


def _model(annotation: Any) -> type[BaseModel] | None:
    """The model in an annotation such as `Mapping[Key, tuple[ScrapeTarget, ...]]`."""
    if isinstance(annotation, type) and issubclass(annotation, BaseModel):
        return annotation
    return next(filter(None, map(_model, get_args(annotation))), None)


def _place(error: ErrorDetails, overrides: Mapping[str, str]) -> str:
    location = [part for part in error["loc"] if part not in ("[key]", *UNION_TAGS)]
    if _is_about_a_key(error):
        location.pop()  # the key itself, which pydantic does not give as it stands there
    if location[:2] == ["images", "overrides"] and len(location) > 2 and location[2] in overrides:
        return f"images.{printable(location[2])} (in Pulumi's configuration)"
    return ".".join(map(printable, location)) or "settings"
