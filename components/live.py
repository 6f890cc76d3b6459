"""What runs before the program begins, as far as it can be asked: it decides whether a release is tried again."""

from collections.abc import Callable

import httpx

from components.release import Live
from ops import probes
from plan import RELEASE_INFO
from stacks.settings import Settings


def live_releases(settings: Settings, client: Callable[[], httpx.Client]) -> dict[str, Live]:
    """Service to what it runs, for Prometheus and Alertmanager; empty where it does not answer."""
    address = str(settings.bind_address)
    with client() as http:
        confirmations = {
            "prometheus": _ask(lambda: probes.prometheus_release(
                http, f"http://{address}:{settings.ports.prometheus}", RELEASE_INFO
            )),
            "alertmanager": _ask(lambda: probes.alertmanager_hash(
                http, f"http://{address}:{settings.ports.alertmanager}"
            )),
        }  # fmt: skip
    try:
        attempts = {state.name: state.id[:12] for state in probes.containers(settings.prefix, settings.engine_host)}
    except probes.ProbeError:
        attempts = {}
    return {
        service: Live(confirmation=confirmation, last_attempt=attempts.get(f"{settings.prefix}-{service}-release", ""))
        for service, confirmation in confirmations.items()
    }


def _ask(question: Callable[[], str]) -> str:
    try:
        return question()
    except probes.ProbeError:
        return ""
