"""The route tree: which severity goes to whom, how it is grouped, and what silences what."""

from dataclasses import dataclass

from routing.receivers import Webhook
from rules.model import Severity
from stacks.settings import Notifications


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
    address = str(notifications.webhook_url) if notifications.webhook_url else ""
    on_call = Webhook(name="on-call", url=address, url_secret="" if address else "webhook_url")
    return Tree(
        receivers=(on_call,),
        default=on_call.name,
        routes=(
            # Ten seconds gather what breaks together; an hour reminds without wearing out.
            Route(severity=Severity.CRITICAL, receiver=on_call.name, wait="10s", interval="1m", repeat="1h"),
            # A warning waits for working hours, so half a day is soon enough to be told again.
            Route(severity=Severity.WARNING, receiver=on_call.name, wait="1m", interval="5m", repeat="12h"),
        ),
    )
