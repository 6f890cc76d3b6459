"""The whole of one environment as data: every file that is deployed and the live state that is expected, checked."""

import hashlib
import json
from collections.abc import Iterable, Mapping
from dataclasses import dataclass
from difflib import get_close_matches
from pathlib import Path
from typing import Any, Final

from dashboards import dashboard_models, full_models, to_text
from routing.alert_labels import label_sets
from routing.render import alertmanager_files, template_problems
from routing.routes import HOST_INSTANCE, RoutingTree, routing_tree
from rules import ALERTS, JOBS, RECORDING_RULES, SLOS, alertmanager, grafana, maintenance, node, prometheus
from rules.maintenance import maintenance_files
from rules.metrics import catalogues
from rules.model import Alert, ScrapeJob
from rules.render import OVERVIEW, digest, rule_files, to_yaml, tune
from rules.slo import retention_shorter_than_slo_window
from stacks.matchers import LabelSet
from stacks.messages import format_key
from stacks.settings import DEMO_SERVICES, FOLDER, ScrapeTarget, Settings, SettingsError, load_settings
from stacks.types import seconds
from validation import production
from validation import routing as routing_checks
from validation.dashboards import problems as dashboard_problems
from validation.dashboards import undrawn_alerts
from validation.rules import problems as rule_problems
from validation.rules import series, validate_overrides, written
from validation.targets import problems as target_problems
from validation.targets import secret_collisions

CURRENT: Final = "/etc/prometheus/current"  # the link to the live release; a release's own path would reset alerts
GRAFANA_ADMIN: Final = "admin"
GRAFANA_PASSWORD: Final = "grafana_admin_password"
GRAFANA_TOKEN: Final = "grafana_token"  # of a service account in a Grafana that is there already
GRAFANA_FOLDER: Final = "softfactory"  # the uid of the folder with the dashboards


class InvalidStackError(Exception):
    """The settings and the model do not fit together; the message lists every problem."""

    def __init__(self, problems: Iterable[str], settings: str = "") -> None:
        self.problems = tuple(problems)
        head = (
            f"the desired state is invalid, with the settings of {settings}:"
            if settings
            else "the desired state is invalid:"
        )
        super().__init__("\n  ".join((head, *self.problems)))


@dataclass(frozen=True, kw_only=True)
class ConfigRevision:
    """One service's configuration: path (relative to the release) to text, the hash of it, and what confirms it live.

    `confirmation` is what the running service says when it has loaded this release: Prometheus the release's hash,
    Alertmanager its `alertmanager_config_hash`.
    """

    files: Mapping[str, str]
    hash: str
    confirmation: str


@dataclass(frozen=True, kw_only=True)
class DataSource:
    """A Grafana data source; `url` is as Grafana sees it."""

    uid: str
    name: str
    type: str
    url: str
    options: Mapping[str, Any]
    default: bool = False


@dataclass(frozen=True, kw_only=True)
class ReadinessSpec:
    """What must be live after a deployment."""

    targets: frozenset[tuple[str, str]]  # (job, instance)
    rules: frozenset[tuple[str, str]]  # (group, alert); the release's hash answers for the recordings
    datasources: frozenset[str]
    dashboards: frozenset[str]
    home: str  # the dashboard on which Grafana opens; empty where Grafana is not the stack's own
    releases: Mapping[str, str]  # service to confirmation
    scrape_interval: float  # seconds
    stack_targets: Mapping[tuple[str, str], str]  # those that are the stack's own parts, to their service
    services: frozenset[str]  # the long-running containers


@dataclass(frozen=True, kw_only=True)
class DesiredState:
    """All of one environment."""

    settings: Settings
    prometheus: ConfigRevision
    alertmanager: ConfigRevision
    alerts: tuple[Alert, ...]  # as the settings tune them; those that are off are not there
    routes: RoutingTree
    labels: Mapping[Alert, tuple[LabelSet, ...]]  # with which each alert may reach Alertmanager
    dashboards: Mapping[str, str]  # uid to JSON
    datasources: tuple[DataSource, ...]
    secrets: Mapping[str, tuple[str, ...]]  # service to the names of the secrets that it reads
    expected: ReadinessSpec

    @property
    def images(self) -> frozenset[str]:
        """The keys of the images that run."""
        return frozenset(_containers(self.settings).values())

    @property
    def grafana_secret(self) -> str:
        """The name of the secret with which this project logs in to Grafana."""
        return _grafana_secret(self.settings)

    def grafana_auth(self, secret: str) -> str:
        """The login in the words of the Grafana provider: `user:password`, or a token."""
        return secret if self.settings.existing_grafana else f"{GRAFANA_ADMIN}:{secret}"

    @property
    def secret_names(self) -> tuple[str, ...]:
        return tuple(sorted({name for names in self.secrets.values() for name in names}))

    def files(self) -> dict[str, str]:
        """Every file that would be deployed, path to text; JSON laid out for a reader."""
        sources = [_datasource_payload(source) for source in self.datasources]
        return {
            **{f"prometheus/{path}": text for path, text in self.prometheus.files.items()},
            **{f"alertmanager/{path}": text for path, text in self.alertmanager.files.items()},
            **{
                f"grafana/dashboards/{uid}.json": _pretty_json(json.loads(text))
                for uid, text in self.dashboards.items()
            },
            "grafana/datasources.json": _pretty_json(sources),
        }


def _pretty_json(value: Any) -> str:
    return json.dumps(value, indent=2, sort_keys=True) + "\n"


def load_desired_state(stack: str, images: Mapping[str, str] | None = None, folder: Path = FOLDER) -> DesiredState:
    """The desired state of the settings in `<folder>/<stack>.yaml`; `images` as for `load_settings`.

    Raises SettingsError or InvalidStackError, which lists every problem: of the file's values, and of how they fit the
    model.
    """
    try:
        return build_desired_state(load_settings(stack, images, folder))
    except InvalidStackError as error:
        raise InvalidStackError(error.problems, f"stacks/{stack}.yaml") from None
    except SettingsError as error:
        try:
            if error.rest:
                _resolve_and_validate(error.rest)
        except InvalidStackError as more:
            raise SettingsError("\n  ".join((str(error), *more.problems))) from None
        raise


def build_desired_state(settings: Settings) -> DesiredState:
    """Everything that one environment's settings ask for.

    Raises InvalidStackError, which lists every problem found.
    """
    targets, alerts, labels, routes = _resolve_and_validate(settings)
    sources = _datasources(settings)
    pages = _pages(settings, targets, alerts, sources)
    prometheus_release = _prometheus_release(settings, targets, alerts, frozenset(pages))
    alertmanager_release = _alertmanager_release(routes)
    return DesiredState(
        settings=settings,
        prometheus=prometheus_release,
        alertmanager=alertmanager_release,
        alerts=alerts,
        routes=routes,
        labels=labels,
        dashboards=pages,
        datasources=sources,
        secrets={
            **_exporter_secrets(settings),
            "alertmanager": routes.secrets,
            "grafana": (_grafana_secret(settings),),
        },
        expected=ReadinessSpec(
            targets=frozenset((job, target.instance) for job, there in targets.items() for target in there),
            rules=frozenset(
                {
                    *((alert.group or alert.service, alert.name) for alert in alerts),
                    *((maintenance.GROUP, maintenance.ALERT_NAME) for _ in settings.notifications.maintenance_windows),
                }
            ),
            datasources=frozenset(source.uid for source in sources),
            dashboards=frozenset(pages),
            home="" if settings.existing_grafana else OVERVIEW,
            releases={
                "prometheus": prometheus_release.confirmation,
                "alertmanager": alertmanager_release.confirmation,
            },
            scrape_interval=seconds(settings.scrape_interval),
            stack_targets={
                (job, target.instance): _host(target)
                for job, there in _stack_targets(settings).items()
                for target in there
            },
            services=frozenset(_containers(settings)),
        ),
    )


Fitting = tuple[dict[str, tuple[ScrapeTarget, ...]], tuple[Alert, ...], dict[Alert, tuple[LabelSet, ...]], RoutingTree]


def _resolve_and_validate(settings: Settings) -> Fitting:
    """The targets by job, the alerts, their labels and the routes of an environment.

    InvalidStackError where they do not fit together.
    """
    targets = scrape_targets(settings)
    known = {
        alert.name: settings.alert_overrides[alert.name] for alert in ALERTS if alert.name in settings.alert_overrides
    }
    problems = [
        *production.problems(settings),
        *target_problems(settings, targets, JOBS),
        *_unknown_alerts(settings),
        *rule_problems(ALERTS, RECORDING_RULES, JOBS, catalogues(), written()),
        *undrawn_alerts(ALERTS, full_models()),
    ]
    alerts = tune(ALERTS, known)
    # An alert about something that this environment does not have could only cry wolf.
    alerts = tuple(alert for alert in alerts if alert.job.name in targets and alert.enabled)
    problems += [
        *validate_overrides(alerts, ALERTS, settings),
        *retention_shorter_than_slo_window(SLOS, alerts, settings.retention),
    ]
    labels = _labels(alerts, targets, settings)
    nowhere = routing_checks.validate_settings(settings)
    if nowhere:
        raise InvalidStackError([*problems, *nowhere])
    routes = routing_tree(settings)
    somewhere = {job.name: targets.get(job.name) or (_own(job, "nowhere", "nowhere"),) for job in JOBS}
    problems += secret_collisions(settings, (*routes.secrets, _grafana_secret(settings)))
    problems += routing_checks.problems(routes, settings, labels, _labels(ALERTS, somewhere, settings))
    problems += template_problems(alertmanager_files(routes))
    if problems:
        raise InvalidStackError(problems)
    return targets, alerts, labels, routes


def _labels(
    alerts: Iterable[Alert], targets: Mapping[str, tuple[ScrapeTarget, ...]], settings: Settings
) -> dict[Alert, tuple[LabelSet, ...]]:
    return {alert: tuple(label_sets(alert, targets, JOBS, _external_labels(settings))) for alert in alerts}


def _external_labels(settings: Settings) -> dict[str, str]:
    return {"environment": settings.environment}


def _pages(
    settings: Settings,
    targets: Mapping[str, tuple[ScrapeTarget, ...]],
    alerts: tuple[Alert, ...],
    sources: Iterable[DataSource],
) -> dict[str, str]:
    """The dashboards, uid to JSON; InvalidStackError for what cannot be right in them."""
    links = {"Prometheus": settings.link("prometheus"), "Alertmanager": settings.link("alertmanager")}
    models = dashboard_models(alerts, [job for job in JOBS if job.name in targets], links)
    recorded = {recording.name: frozenset(recording.signal.by) for recording in RECORDING_RULES}
    known = series(JOBS, catalogues(), {**recorded, prometheus.CONFIG_INFO: frozenset({"revision"})})
    problems = dashboard_problems(models, known, {source.uid for source in sources}, links.values())
    if problems:
        raise InvalidStackError(problems)
    return {model["uid"]: to_text(model) for model in models}


def scrape_targets(settings: Settings) -> dict[str, tuple[ScrapeTarget, ...]]:
    """Job name to targets, in the order of the services; a job without targets is left out."""
    own = _stack_targets(settings)
    found = {job.name: (*own.get(job.name, ()), *settings.scrape_targets.get(job.name, ())) for job in JOBS}
    return {name: there for name, there in found.items() if there}


def _stack_targets(settings: Settings) -> dict[str, tuple[ScrapeTarget, ...]]:
    """Job name to the targets that are containers of the stack itself."""
    own: dict[str, tuple[ScrapeTarget, ...]] = {
        prometheus.JOB.name: (_own(prometheus.JOB, "prometheus", "prometheus"),),
        alertmanager.JOB.name: (_own(alertmanager.JOB, "alertmanager", "alertmanager"),),
        node.JOB.name: (_own(node.JOB, "node-exporter", HOST_INSTANCE),),
    }
    if settings.existing_grafana is None:
        own[grafana.JOB.name] = (_own(grafana.JOB, "grafana", "grafana"),)
    jobs = {job.service: job for job in JOBS}
    for server in settings.exporters.servers():
        job = jobs[server.service]
        own[job.name] = (*own.get(job.name, ()), _own(job, server.container, server.instance))
    return own


def _host(target: ScrapeTarget) -> str:
    return target.address.partition(":")[0]


def _containers(settings: Settings) -> dict[str, str]:
    """The long-running containers, without the name prefix, and the keys of their images."""
    own = ("prometheus", "alertmanager", "node-exporter", *(() if settings.existing_grafana else ("grafana",)))
    return {
        **{name: name for name in own},
        **{server.container: server.image for server in settings.exporters.servers()},
        **(
            {**dict.fromkeys(DEMO_SERVICES, "python"), **{s: s for s in settings.demo_servers}} if settings.demo else {}
        ),
    }


def _own(job: ScrapeJob, alias: str, instance: str) -> ScrapeTarget:
    return ScrapeTarget(address=f"{alias}:{job.port}", instance=instance)


def _prometheus_release(
    settings: Settings,
    targets: Mapping[str, tuple[ScrapeTarget, ...]],
    alerts: tuple[Alert, ...],
    pages: frozenset[str],
) -> ConfigRevision:
    jobs = {job.name: job for job in JOBS}
    configuration = {
        "global": {
            "scrape_interval": settings.scrape_interval,
            "evaluation_interval": settings.scrape_interval,
            "external_labels": _external_labels(settings),
        },
        "rule_files": [f"{CURRENT}/rules/*.yml"],
        "alerting": {"alertmanagers": [{"static_configs": [{"targets": [f"alertmanager:{alertmanager.JOB.port}"]}]}]},
        "scrape_configs": [
            {
                "job_name": name,
                "metrics_path": jobs[name].path,
                "static_configs": [
                    {"targets": [t.address], "labels": {"instance": t.instance, "service": jobs[name].service}}
                    for t in there
                ],
            }
            for name, there in targets.items()
        ],
    }
    recordings = [recording for recording in RECORDING_RULES if recording.job.name in targets]
    runbooks, grafana_url = str(settings.runbook_base_url or ""), settings.link("grafana")
    rules = {
        **rule_files(alerts, runbooks, grafana_url, pages, recordings),
        **maintenance_files(settings.notifications.maintenance_windows, runbooks, grafana_url),
    }
    files = {"prometheus.yml": to_yaml(configuration), **{f"rules/{name}": text for name, text in rules.items()}}
    release = digest(files)
    # Neither of Prometheus' APIs gives the configuration back as written; a rule that names the release does.
    info = {"record": prometheus.CONFIG_INFO, "expr": "vector(1)", "labels": {"revision": release}}
    files["rules/revision.yml"] = to_yaml({"groups": [{"name": "revision", "rules": [info]}]})
    return ConfigRevision(files=files, hash=release, confirmation=release)


def _alertmanager_release(routes: RoutingTree) -> ConfigRevision:
    files = alertmanager_files(routes)
    return ConfigRevision(
        files=files, hash=digest(files), confirmation=alertmanager_config_hash(files["alertmanager.yml"])
    )


def alertmanager_config_hash(text: str) -> str:
    """The value of Alertmanager's metric of that name for a configuration file, as a whole number.

    The first six bytes of the file's MD5 as a little-endian integer (prometheus/alertmanager, config/coordinator.go).
    """
    return str(int.from_bytes(hashlib.md5(text.encode(), usedforsecurity=False).digest()[:6], "little"))


def _datasources(settings: Settings) -> tuple[DataSource, ...]:
    own = (
        settings.existing_grafana is None
    )  # an existing Grafana is not in the stack's network, and has a default of its own
    return (
        DataSource(
            uid="prometheus",
            name="Prometheus",
            type="prometheus",
            default=own,
            url=f"http://prometheus:{prometheus.JOB.port}" if own else settings.link("prometheus"),
            options={"httpMethod": "POST", "timeInterval": settings.scrape_interval},
        ),
        DataSource(
            uid="alertmanager",
            name="Alertmanager",
            type="alertmanager",
            url=f"http://alertmanager:{alertmanager.JOB.port}" if own else settings.link("alertmanager"),
            options={"implementation": "prometheus"},
        ),
    )


def _datasource_payload(source: DataSource) -> dict[str, Any]:
    return {
        "uid": source.uid,
        "name": source.name,
        "type": source.type,
        "url": source.url,
        "access": "proxy",
        "isDefault": source.default,
        "jsonData": dict(source.options),
    }


def _grafana_secret(settings: Settings) -> str:
    return GRAFANA_TOKEN if settings.existing_grafana else GRAFANA_PASSWORD


def _exporter_secrets(settings: Settings) -> dict[str, tuple[str, ...]]:
    """The passwords that the exporters, and in a demo the servers and the API, read."""
    secrets = {server.container: (server.secret,) for server in settings.exporters.servers() if server.secret}
    demo = {name: (server.secret,) for name, server in settings.demo_servers.items() if server.secret}
    return {**secrets, **demo, **({"api": tuple(name for names in demo.values() for name in names)} if demo else {})}


def _unknown_alerts(settings: Settings) -> list[str]:
    """Every alert that the settings tune must exist."""
    known = sorted(alert.name for alert in ALERTS)
    problems = []
    for name in sorted(set(settings.alert_overrides) - set(known)):
        near = get_close_matches(name, known, n=1)
        hint = f"there is {near[0]}" if near else "`make alerts` lists them"
        problems.append(f"alert_overrides.{format_key(name)}: no such alert; {hint}")
    return problems
