"""What can be found wrong before anything is touched: a container is deleted before it is replaced, so a taken port or
a missing image must not be met half-way.
"""

import errno
import socket
from collections.abc import Iterable, Mapping
from contextlib import closing
from typing import Any
from urllib.parse import urlsplit

import docker
import docker.errors
import httpx

from clients import probes
from clients.probes import AuthenticationError, ClientError, DatasourceState, GrafanaAuth, NotFoundError
from desired_state import GRAFANA_FOLDER, GRAFANA_PASSWORD, DesiredState
from stacks.settings import Settings


def problems(desired: DesiredState, login: GrafanaAuth, http: httpx.Client) -> list[str]:
    """Every obstacle, a line each; `login` is the one to Grafana."""
    settings = desired.settings
    try:
        with closing(probes.engine(settings.docker_host)) as engine:
            bound = settings.bind_address
            if (bound.is_loopback or bound.is_unspecified) and not _is_local(engine):
                what = "the loopback" if bound.is_loopback else "all addresses"
                return [
                    f"bind_address: {bound} is {what} of the engine's own host, by which this machine cannot reach it; "
                    "give one address of that host, or run the update there"
                ]
            # As the listing has them: what a container says of itself may take long, and most are not ours.
            containers = [item.attrs for item in engine.containers.list(all=True, sparse=True)]
            holders = _port_owners(settings, containers)
            found = [
                *_ports(settings, engine, holders),
                *_names(desired, containers),
                *_images(desired, engine),
                *_volumes(desired, engine),
            ]
            if settings.existing_grafana:
                found += _existing_grafana(desired, login, http)
            # The password goes to our own Grafana only, not to whatever else may listen there.
            elif settings.name_prefix in holders.get(settings.ports.grafana, {}).values():
                found += _own_grafana(settings, login, http, containers)
            return found
    except ClientError as error:
        return [f"{error}; start it, or give its address (docker_host in the settings, or DOCKER_HOST)"]
    except (docker.errors.DockerException, OSError) as error:
        return [f"the Docker engine answers no longer: {error}"]


Container = Mapping[str, Any]  # as the engine's list of containers has it (GET /containers/json)
Holders = Mapping[int, Mapping[str, str]]  # published port to its containers, and those to their environment's prefix


def _ports(settings: Settings, engine: docker.DockerClient, holders: Holders) -> Iterable[str]:
    """A port that something else holds."""
    for part, port in settings.parts.items():
        where = f"{port} on {settings.bind_address}"
        there = holders.get(port, {})
        strangers = sorted(name for name, prefix in there.items() if prefix != settings.name_prefix)
        if strangers:
            holder = f"the container {strangers[0]}"
        elif not there and _is_local(engine) and not _is_free(str(settings.bind_address), port):
            holder = f"another program (`lsof -nP -iTCP:{port} -sTCP:LISTEN` names it)"
        else:
            continue
        yield f"ports.{part}: {where} is taken by {holder}; stop it or choose another port"


def _port_owners(settings: Settings, containers: Iterable[Container]) -> Holders:
    """Who holds which TCP port on an address that is, or covers, ours."""
    ours = str(settings.bind_address)
    holders: dict[int, dict[str, str]] = {}
    for container in containers:
        for port in container["Ports"] or ():  # a stopped container has none
            covers = port.get("IP") in ("0.0.0.0", ours) or ours == "0.0.0.0"
            if port["Type"] == "tcp" and "PublicPort" in port and covers:
                holders.setdefault(int(port["PublicPort"]), {})[_name(container)] = _prefix(container)
    # A container that starts again and again is listed without its port at times, which the engine may hold already.
    restarting = {_name(item): _prefix(item) for item in containers if item["State"] == "restarting"}
    for part, port in settings.parts.items():
        name = f"{settings.name_prefix}-{part}"
        if restarting.get(name) == settings.name_prefix:
            holders.setdefault(port, {})[name] = settings.name_prefix
    return holders


def _name(container: Container) -> str:
    return str(container["Names"][0]).lstrip("/")


def _prefix(container: Container) -> str:
    return str((container["Labels"] or {}).get("softfactory.prefix", ""))


def _names(desired: DesiredState, containers: Iterable[Container]) -> Iterable[str]:
    """A container that bears one of our names but is not ours; and a Grafana that was stopped by hand, because the
    update would talk to it without starting it.
    """
    prefix = desired.settings.name_prefix
    ours = {f"{prefix}-{service}" for service in desired.expected.services}
    undo = {"exited": "start", "paused": "unpause"}
    for container in containers:
        name = _name(container)
        if name in ours and _prefix(container) != prefix:
            yield (
                f"name_prefix: the container {name} is not of this stack; choose another name_prefix, or remove the"
                " container"
            )
        elif name == f"{prefix}-grafana" and container["State"] in undo:
            yield (
                f"grafana: its container is {container['State']}, so its dashboards could not be updated; "
                f"run `docker {undo[container['State']]} {name}`"
            )


def _is_local(engine: docker.DockerClient) -> bool:
    """Whether the engine's loopback is this machine's; docker-py calls an ssh engine http+docker://ssh."""
    host = urlsplit(str(engine.api.base_url)).hostname
    return host in ("localhost", "localnpipe", "127.0.0.1", "::1")


def _is_free(address: str, port: int) -> bool:
    with socket.socket(socket.AF_INET, socket.SOCK_STREAM) as probe:
        probe.setsockopt(socket.SOL_SOCKET, socket.SO_REUSEADDR, 1)  # a port in TIME_WAIT is free for the engine too
        try:
            probe.bind((address, port))
        except OSError as error:
            # The engine may bind where this user may not, and to addresses that only its host has.
            return error.errno != errno.EADDRINUSE
    return True


def _images(desired: DesiredState, engine: docker.DockerClient) -> Iterable[str]:
    """An image that is neither on the engine nor in its registry."""
    for key in sorted(desired.images):
        reference = desired.settings.images.reference(key)
        try:
            engine.images.get(reference)
        except docker.errors.ImageNotFound:
            try:
                engine.images.get_registry_data(reference)
            except (docker.errors.DockerException, OSError) as error:
                cause = getattr(error, "explanation", None) or error
                yield (
                    f"images: {reference} ({key}) is neither on the engine nor to be had from its registry: {cause}; "
                    "set images.registry or images.overrides, or run set-up again"
                )


def _volumes(desired: DesiredState, engine: docker.DockerClient) -> Iterable[str]:
    """A volume that bears one of our names but belongs to something else: its data would be taken over."""
    settings = desired.settings
    ours = {
        f"{settings.name_prefix}-{service}-{role}"
        for service in desired.expected.services
        for role in ("config", "data", "secrets")
    }
    for volume in engine.volumes.list():
        if volume.name not in ours:
            continue
        labels = volume.attrs.get("Labels") or {}
        prefix, environment = labels.get("softfactory.prefix"), labels.get("softfactory.environment")
        if (prefix, environment) != (settings.name_prefix, settings.environment):
            yield (
                f"name_prefix: the volume {volume.name} belongs to {_owner(prefix, environment)}; choose another"
                f" name_prefix, or remove it with `docker volume rm {volume.name}` if its data may go"
            )


def _owner(prefix: str | None, environment: str | None) -> str:
    return f"the {environment} environment {prefix}" if prefix else "something that is not this project"


def _own_grafana(
    settings: Settings, login: GrafanaAuth, http: httpx.Client, containers: Iterable[Container]
) -> Iterable[str]:
    """A running Grafana that does not take the password (one question, so that the account is not locked out), or is
    not well.
    """
    name = f"{settings.name_prefix}-grafana"
    try:
        probes.organization(http, settings.published("grafana"), login)
    except AuthenticationError as error:
        yield (
            f"{error}; put back the one that Grafana knows (`pulumi config set --secret {GRAFANA_PASSWORD}`), "
            f"or give it a new one (`make rotate-secret SECRET={GRAFANA_PASSWORD}`)"
        )
    except ClientError as error:
        # One that is stopped has a line of its own, and one that is just starting is the update's business.
        if any(_name(item) == name and _is_settled(item) for item in containers):
            yield f"grafana: {error}; see `docker logs {name}`, then `docker restart {name}`"


def _is_settled(container: Container) -> bool:
    """Whether a container runs, and its health is known."""
    return container["State"] == "running" and "health: starting" not in container.get("Status", "")


NEEDED = frozenset({"folders:create", "dashboards:create", "datasources:create"})


def _existing_grafana(desired: DesiredState, login: GrafanaAuth, http: httpx.Client) -> Iterable[str]:
    """A Grafana of somebody else that would refuse what the update makes, or lose something by it."""
    url, own = desired.settings.published("grafana"), "give this stack an organization of its own"
    try:
        probes.organization(http, url, login)
        lacking = NEEDED - _permissions(http, url, login)
        if lacking:
            yield (
                f"existing_grafana: {url} does not allow {', '.join(sorted(lacking))} to the service account of the"
                " token; give it the role Admin there"
            )
        for uid in sorted(desired.expected.dashboards):
            folder = probes.folder_of(http, url, login, uid)
            if folder not in (None, GRAFANA_FOLDER):
                where = f"in the folder {folder}" if folder else "outside of any folder"
                yield (
                    f"existing_grafana: the update would overwrite the dashboard {uid}, which lies {where} at {url}; "
                    f"move it to the folder {GRAFANA_FOLDER} if it is this stack's, or else {own}"
                )
        there = probes.sources(http, url, login)
        names = {source.name: source.uid for source in desired.datasources}
        for source in there:
            if names.get(source.name, source.uid) != source.uid:
                yield (
                    f"existing_grafana: {url} has a data source {source.name} already (uid {source.uid}); "
                    f"rename it there, or {own}"
                )
        if not probes.has_folder(http, url, login, GRAFANA_FOLDER):
            for source in conflicting_datasources(desired, there):
                yield (
                    f"existing_grafana: {url} has a data source with the uid {source.uid} already, {source.name}, which"
                    f" is not this stack's; {own}"
                )
    except AuthenticationError as error:
        yield f"existing_grafana: {error}"
    except ClientError as error:
        yield f"existing_grafana: {error}; see that it is well, or correct existing_grafana.url in the settings"


def _permissions(http: httpx.Client, url: str, login: GrafanaAuth) -> frozenset[str]:
    try:
        return probes.permissions(http, url, login)
    except NotFoundError:
        return NEEDED  # an old Grafana: the update will tell


def conflicting_datasources(desired: DesiredState, there: Iterable[DatasourceState]) -> list[DatasourceState]:
    """The data sources with a uid of ours that are not what this stack would make: of another type, or elsewhere."""
    ours = {source.uid: (source.type, source.url) for source in desired.datasources}
    return [source for source in there if source.uid in ours and (source.type, source.url) != ours[source.uid]]
