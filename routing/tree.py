"""The route tree: which severity goes to whom, how it is grouped, and what silences what."""

from dataclasses import dataclass

from routing.receivers import Webhook
from rules.model import Severity
from stacks.settings import Notifications
from stacks.values import Url


@dataclass(frozen=True, kw_only=True)
class Route:
    """One severity's way: alerts of one subject travel together; `repeat` is when an unsolved one is told again."""

    severity: Severity
    receiver: str
    wait: str
    interval: str
    repeat: str


@dataclass(frozen=True, kw_only=True)
class Tree:
    receivers: tuple[Webhook, ...]
    default: str
    routes: tuple[Route, ...]

    @property
    def secrets(self) -> tuple[str, ...]:
        """The names of the secrets that the receivers read, sorted."""
        return tuple(sorted({secret for receiver in self.receivers for secret in receiver.secrets}))


def tree(notifications: Notifications) -> Tree:
    """One environment's tree."""
    on_call = _webhook("on-call", notifications.webhook_url, "webhook_url")
    # The end of a heartbeat is its silence: a message about it would pass for one more.
    heartbeat = _webhook("heartbeat", notifications.heartbeat_url, "heartbeat_url", send_resolved=False)
    return Tree(
        receivers=(on_call, heartbeat),
        default=on_call.name,
        routes=(
            # Ten seconds gather what breaks together; an hour reminds without wearing out.
            Route(severity=Severity.CRITICAL, receiver=on_call.name, wait="10s", interval="1m", repeat="1h"),
            # A warning waits for working hours, so half a day is soon enough to be told again.
            Route(severity=Severity.WARNING, receiver=on_call.name, wait="1m", interval="5m", repeat="12h"),
            # Told again every five minutes: what waits for it may miss one, and still call within a quarter of an hour.
            Route(severity=Severity.NONE, receiver=heartbeat.name, wait="0s", interval="1m", repeat="5m"),
        ),
    )


def _webhook(name: str, url: Url | None, secret: str, send_resolved: bool = True) -> Webhook:
    """To the address of the settings, or to that in the secret where they give none."""
    return Webhook(
        name=name, url=str(url) if url else "", url_secret="" if url else secret, send_resolved=send_resolved
    )
