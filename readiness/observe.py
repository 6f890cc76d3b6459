"""What runs before the program begins, as far as it answers: it decides what an update retries."""

from collections.abc import Callable, Mapping
from dataclasses import dataclass, field

import httpx

from clients import probes
from clients.probes import ContainerState
from rules.prometheus import CONFIG_INFO
from stacks.settings import Settings


@dataclass(frozen=True, kw_only=True)
class ObservedState:
    """`releases` maps prometheus and alertmanager to what each says of its configuration (empty if it does not
    answer); `containers` maps a container's name to its state.
    """

    releases: Mapping[str, str] = field(default_factory=dict)
    containers: Mapping[str, ContainerState] = field(default_factory=dict)


def observe(settings: Settings, client: Callable[[], httpx.Client]) -> ObservedState:
    """What the environment's Docker host and services report now; never fails."""
    prometheus, alertmanager = settings.published("prometheus"), settings.published("alertmanager")
    with client() as http:
        releases = {
            "prometheus": _ask(lambda: probes.prometheus_revision(http, prometheus, CONFIG_INFO)),
            "alertmanager": _ask(lambda: probes.alertmanager_hash(http, alertmanager)),
        }
    try:
        containers = {state.name: state for state in probes.containers(settings.name_prefix, settings.docker_host)}
    except probes.ClientError:
        containers = {}
    return ObservedState(releases=releases, containers=containers)


def _ask(question: Callable[[], str]) -> str:
    try:
        return question()
    except probes.ClientError:
        return ""
