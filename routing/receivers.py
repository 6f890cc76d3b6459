"""The ways in which an alert reaches a person."""

from dataclasses import dataclass
from typing import Any, Final

SECRETS: Final = "/run/secrets"  # where every service finds its secrets, one file each


@dataclass(frozen=True, kw_only=True)
class Webhook:
    """A POST of Alertmanager's JSON to one address, given as `url`, or as the file of the secret `url_secret`.

    `send_resolved` says whether an alert's end is told too.
    """

    name: str
    url: str = ""
    url_secret: str = ""
    send_resolved: bool = True

    def __post_init__(self) -> None:
        if bool(self.url) == bool(self.url_secret):
            raise ValueError(f"receiver {self.name}: give either a url or the name of a secret that holds it")

    @property
    def secrets(self) -> tuple[str, ...]:
        return (self.url_secret,) if self.url_secret else ()

    def render(self) -> dict[str, Any]:
        address = {"url": self.url} if self.url else {"url_file": f"{SECRETS}/{self.url_secret}"}
        return {"name": self.name, "webhook_configs": [{**address, "send_resolved": self.send_resolved}]}
