"""What is on the engine but not in Pulumi's state: a killed update or a lost state leaves it there, in the next
update's way.
"""

from collections.abc import Iterable, Mapping
from contextlib import closing
from typing import Any

import docker.errors
import httpx

from clients import probes
from clients.probes import ClientError, GrafanaAuth
from desired_state import GRAFANA_FOLDER, DesiredState
from readiness.preflight import conflicting_datasources

CONTAINER = "docker:index/container:Container"
NETWORK = "docker:index/network:Network"
FOLDER_TYPE = "grafana:oss/folder:Folder"
DATASOURCE_TYPE = "grafana:oss/dataSource:DataSource"


def remove_orphans(desired: DesiredState, state: Iterable[Mapping[str, Any]]) -> list[str]:
    """Removes this environment's containers and network that the state does not know; named volumes stay, and are used
    again. Returns what was removed; all of it comes back with the next update.
    """
    prefix = desired.settings.name_prefix
    known = {(resource["type"], resource.get("id", "")) for resource in state}
    removed = []
    mine: dict[str, str | list[str] | bool] = {"label": f"softfactory.prefix={prefix}"}
    try:
        with closing(probes.engine(desired.settings.docker_host)) as engine:
            for container in engine.containers.list(all=True, filters=mine, ignore_removed=True):
                if (CONTAINER, container.id) not in known:
                    container.stop()  # a service that is only removed loses what it has not written yet
                    container.remove(force=True, v=True)  # volumes without a name go with it, no others
                    removed.append(f"container {container.name}")
            for network in engine.networks.list(filters=mine):
                if (NETWORK, network.id) not in known:
                    network.remove()
                    removed.append(f"network {network.name}")
    except (docker.errors.DockerException, OSError) as error:
        raise ClientError(f"the engine could not be cleared of what the state does not know: {error}") from error
    return removed


def delete_untracked_grafana_objects(
    desired: DesiredState, state: Iterable[Mapping[str, Any]], url: str, auth: GrafanaAuth, http: httpx.Client
) -> list[str]:
    """Takes out of a kept Grafana the folder and data sources that the state does not know: a create would meet 409.

    Dashboards go with their folder; the next update makes all of it again. ClientError where the folder holds what this
    project did not make, where a Grafana that is not the stack's own has another stack's data sources, or where it does
    not answer.
    """
    known = {(resource["type"], resource.get("outputs", {}).get("uid", "")) for resource in state}
    paths = []
    sources = sorted(uid for uid in desired.expected.datasources if (DATASOURCE_TYPE, uid) not in known)
    if desired.settings.existing_grafana and sources:
        others = set(sources) & {
            source.uid for source in conflicting_datasources(desired, probes.sources(http, url, auth))
        }
        if others:
            raise ClientError(
                f"Grafana's data sources {', '.join(sorted(others))} lead elsewhere, so they are another stack's; "
                "give this stack an organization of its own, or delete them if they are this one's"
            )
    if (FOLDER_TYPE, GRAFANA_FOLDER) not in known:
        strangers = probes.strangers(http, url, auth, GRAFANA_FOLDER, desired.expected.dashboards)
        if strangers:
            raise ClientError(
                f"Grafana's folder {GRAFANA_FOLDER} holds what this project did not make: {', '.join(strangers)}; "
                "move it to another folder, then run this again"
            )
        paths.append(f"/api/folders/{GRAFANA_FOLDER}")
    paths += [f"/api/datasources/uid/{uid}" for uid in sources]
    removed = []
    for path in paths:
        try:
            answer = http.delete(url + path, auth=auth)
        except httpx.HTTPError as error:
            raise ClientError(f"Grafana does not answer at {url}: {str(error) or type(error).__name__}") from error
        if answer.is_success:
            removed.append(f"{path} of Grafana")
        elif answer.status_code != httpx.codes.NOT_FOUND:
            raise ClientError(f"Grafana answers {answer.status_code} where {path} should be taken out of it")
    return removed
