"""What is on the engine but not in Pulumi's state: a killed update or a lost state leaves it there, in the next
update's way.
"""

from collections.abc import Iterable, Mapping
from contextlib import closing
from typing import Any

import httpx

from ops import probes
from plan import Plan

CONTAINER = "docker:index/container:Container"
NETWORK = "docker:index/network:Network"
GRAFANA_PATHS = {  # type of a resource to the API's path of the object with its uid
    "grafana:oss/folder:Folder": "/api/folders/{uid}",
    "grafana:oss/dataSource:DataSource": "/api/datasources/uid/{uid}",
}
FOLDER = "softfactory"


def remove_strays(wanted: Plan, state: Iterable[Mapping[str, Any]]) -> list[str]:
    """Removes this environment's containers and network that the state does not know; volumes stay, and are used again.

    Returns what was removed. Everything that is removed comes back with the next update.
    """
    prefix = wanted.settings.prefix
    known = {(resource["type"], resource.get("id", "")) for resource in state}
    removed = []
    with closing(probes.engine(wanted.settings.engine_host)) as engine:
        mine: dict[str, str | list[str] | bool] = {"label": f"softfactory.prefix={prefix}"}
        for container in engine.containers.list(all=True, filters=mine, ignore_removed=True):
            if (CONTAINER, container.id) not in known:
                container.remove(force=True)
                removed.append(f"container {container.name}")
        for network in engine.networks.list(filters=mine):
            if (NETWORK, network.id) not in known:
                network.remove()
                removed.append(f"network {network.name}")
    return removed


def clear_grafana(
    wanted: Plan, state: Iterable[Mapping[str, Any]], url: str, auth: tuple[str, str], http: httpx.Client
) -> list[str]:
    """Takes out of Grafana's kept database the folder and data sources that the state does not know, by uid.

    A create would meet 409. Dashboards go with their folder; all comes back with the next update.
    """
    known = {(resource["type"], resource.get("outputs", {}).get("uid", "")) for resource in state}
    ours = {
        "grafana:oss/folder:Folder": [FOLDER],
        "grafana:oss/dataSource:DataSource": sorted(wanted.expected.datasources),
    }
    removed = []
    for kind, uids in ours.items():
        for uid in uids:
            path = GRAFANA_PATHS[kind].format(uid=uid)
            if (kind, uid) not in known and http.delete(url + path, auth=auth).is_success:
                removed.append(f"{path} of Grafana")
    return removed
