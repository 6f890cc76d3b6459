"""The ways in which an alert reaches a person: one class each, with what the settings say of it, the secrets that it
needs, and what Alertmanager is told.

A secret is read from its file at each message, so a rotated one counts at once. Words come from routing/templates/.
"""

from typing import Annotated, Any, Final, Literal, Self

from pydantic import Field, StrictBool, StrictStr, model_validator

from stacks.messages import format_value
from stacks.types import Address, NonEmpty, SettingsModel, Url, text

SECRETS: Final = "/run/secrets"  # where every service finds its secrets, one file each
TITLE: Final = '{{ template "softfactory.title" . }}'

SlackChannel = Annotated[
    StrictStr,
    text(
        "a Slack channel",
        "#name in quotes, or the channel's ID",
        "#alerts",
        pattern=r"^(#[^\s#@{}]{1,80}|[CG][A-Z0-9]{6,20})$",
    ),
]
_MAIL: Final = r"[A-Za-z0-9.!#$%&'*+/=?^_`{|}~-]{1,64}@[A-Za-z0-9](?:[A-Za-z0-9.-]{0,200}[A-Za-z0-9])?"
MailAddress = Annotated[
    StrictStr, text("an e-mail address", "name@host alone", "oncall@softfactory.example", pattern=rf"^{_MAIL}$")
]
MailUser = Annotated[
    StrictStr, text("a user", "the mail server's, without blanks", "alertmanager", pattern=r"^\S{1,200}$")
]


class Receiver(SettingsModel):
    """`secrets` are the names of those that it reads, `addresses` those of them that hold a URL."""

    @property
    def secrets(self) -> tuple[str, ...]:
        return ()

    @property
    def addresses(self) -> tuple[str, ...]:
        return ()

    def render(self) -> dict[str, Any]:
        """Alertmanager's configuration of it, without the name."""
        raise NotImplementedError


class Webhook(Receiver):
    """A POST of Alertmanager's own JSON to `url`, or to the address in the secret `secret` where there is none.

    `send_resolved` says whether an alert's end is told too.
    """

    url: Url | None = None
    secret: str
    send_resolved: bool = True

    @property
    def secrets(self) -> tuple[str, ...]:
        return () if self.url else (self.secret,)

    @property
    def addresses(self) -> tuple[str, ...]:
        return self.secrets

    def render(self) -> dict[str, Any]:
        address = {"url": str(self.url)} if self.url else {"url_file": f"{SECRETS}/{self.secret}"}
        return {"webhook_configs": [{**address, "send_resolved": self.send_resolved}]}


class Slack(Receiver):
    """A message in a channel, by an incoming webhook (its address is the secret `slack_url`), or by a bot (its token is
    the secret `slack_bot_token`).
    """

    channel: SlackChannel
    """The channel; with an incoming webhook, that of the webhook."""
    bot: StrictBool = False
    """Posts as a bot (secret `slack_bot_token`) instead of through an incoming webhook (secret `slack_url`)."""

    @property
    def secrets(self) -> tuple[str, ...]:
        return ("slack_bot_token",) if self.bot else ("slack_url",)

    @property
    def addresses(self) -> tuple[str, ...]:
        return () if self.bot else self.secrets

    def render(self) -> dict[str, Any]:
        (secret,) = self.secrets
        return {
            "slack_configs": [
                {
                    "app_token_file" if self.bot else "api_url_file": f"{SECRETS}/{secret}",
                    "channel": self.channel,
                    "send_resolved": True,
                    "color": '{{ template "softfactory.slack.color" . }}',
                    "title": TITLE,
                    "title_link": '{{ template "softfactory.group" . }}',
                    "fallback": TITLE,
                    "text": '{{ template "softfactory.slack.text" . }}',
                }
            ]
        }


class Email(Receiver):
    """A mail over the server `smarthost`. With a `user` it logs in; the password is the secret `smtp_password`."""

    smarthost: Address = Field(examples=["smtp.internal:587"])
    """The mail server, with its port."""
    from_: MailAddress = Field(alias="from", examples=["alertmanager@softfactory.example"])
    """The sender."""
    to: NonEmpty[MailAddress]
    """The recipients."""
    user: MailUser | None = None
    """Logs in to the mail server (secret `smtp_password`); unset: no login."""
    tls: Literal["starttls", "implicit", "none"] = "starttls"
    """How the connection is encrypted: STARTTLS (mostly port 587), from the first byte (465), or not at all."""

    @model_validator(mode="after")
    def _covered(self) -> Self:
        if self.user and self.tls == "none":
            raise ValueError(
                f"the password of user {format_value(self.user)} would go in clear; write tls: starttls or implicit, or"
                " remove the user"
            )
        return self

    @property
    def secrets(self) -> tuple[str, ...]:
        return ("smtp_password",) if self.user else ()

    def render(self) -> dict[str, Any]:
        login = {"auth_username": self.user, "auth_password_file": f"{SECRETS}/smtp_password"} if self.user else {}
        return {
            "email_configs": [
                {
                    "smarthost": self.smarthost,
                    "from": self.from_,
                    "to": ", ".join(self.to),
                    **login,
                    "require_tls": self.tls != "none",
                    "force_implicit_tls": self.tls == "implicit",
                    "send_resolved": True,
                    "headers": {"Subject": TITLE},
                    "html": "",  # text alone: it reads the same on every phone
                    "text": '{{ template "softfactory.text" . }}',
                }
            ]
        }


class PagerDuty(Receiver):
    """An event of the Events API v2; the integration's key is the secret `pagerduty_routing_key`.

    An alert group is one incident, and its end resolves it.
    """

    url: Url = Field(
        default="https://events.pagerduty.com/v2/enqueue",
        examples=["https://events.eu.pagerduty.com/v2/enqueue"],
        validate_default=True,
    )
    """The address of the service region; the example is the European one."""

    @property
    def secrets(self) -> tuple[str, ...]:
        return ("pagerduty_routing_key",)

    def render(self) -> dict[str, Any]:
        links = {"runbook_url": "Runbook", "dashboard_url": "Dashboard"}
        return {
            "pagerduty_configs": [
                {
                    "routing_key_file": f"{SECRETS}/pagerduty_routing_key",
                    "url": str(self.url),
                    "send_resolved": True,
                    "description": '{{ template "softfactory.pagerduty.summary" . }}',
                    "severity": '{{ template "softfactory.pagerduty.severity" . }}',
                    "source": '{{ template "softfactory.pagerduty.source" . }}',
                    "class": "{{ .CommonLabels.alertname }}",
                    "component": "{{ .CommonLabels.service }}",
                    "group": "{{ .CommonLabels.environment }}",
                    "client": "SoftFactory Alertmanager",
                    "client_url": '{{ template "softfactory.group" . }}',
                    "links": [
                        *(
                            {
                                "href": f'{{{{ template "softfactory.pagerduty.link" .CommonAnnotations.{name} }}}}',
                                "text": text,
                            }
                            for name, text in links.items()
                        ),
                        {"href": '{{ template "softfactory.pagerduty.silence" . }}', "text": "Silence"},
                    ],
                    # Alertmanager's own two of these names would be as long as the alerts are many.
                    "details": {
                        "firing": '{{ template "softfactory.pagerduty.firing" . }}',
                        "resolved": '{{ template "softfactory.pagerduty.resolved" . }}',
                    },
                }
            ]
        }


class IncidentIo(Receiver):
    """An alert in incident.io; the token of its alert source is the secret `incidentio_token`.

    It takes Alertmanager's own JSON, so its words are the alerts' labels and annotations.
    """

    url: Url = Field(examples=["https://api.incident.io/v2/alert_events/alertmanager/01HXYZ"])
    """The address of the alert source of type Alertmanager."""

    @property
    def secrets(self) -> tuple[str, ...]:
        return ("incidentio_token",)

    def render(self) -> dict[str, Any]:
        return {
            "incidentio_configs": [
                {
                    "url": str(self.url),
                    "alert_source_token_file": f"{SECRETS}/incidentio_token",
                    "send_resolved": True,
                    # It takes 512 KB (its documentation); an alert of ours is about one.
                    "max_alerts": 100,
                }
            ]
        }
