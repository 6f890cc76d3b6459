"""The kinds of receivers, one class each: its settings, the secrets that it reads, and its Alertmanager configuration.

A receiver's secrets are named `<receiver>_<what>`, with hyphens as underscores, so that two receivers of one kind have
one each: the Slack receiver `dba` reads `dba_slack_webhook_url`. Alertmanager reads the secret's file for each
notification, so a rotated secret counts at once. The text of a message comes from routing/templates/.
"""

from typing import Annotated, Any, ClassVar, Final, Literal, Self

from pydantic import Field, StrictStr, model_validator

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
    StrictStr, text("a user name", "the mail server's, without blanks", "alertmanager", pattern=r"^\S{1,200}$")
]


def secret_name(receiver: str, what: str) -> str:
    """The name of a receiver's secret: `<receiver>_<what>`, such as dba_slack_webhook_url."""
    return f"{receiver}_{what}".replace("-", "_")


def _file(secret: str) -> str:
    return f"{SECRETS}/{secret}"


class Receiver(SettingsModel):
    """One kind of receiver. Its methods take the receiver's own name, which its secrets carry."""

    def secrets(self, name: str) -> tuple[str, ...]:
        """The names of the secrets that it reads."""
        return ()

    def url_secrets(self, name: str) -> tuple[str, ...]:
        """Those of its secrets that hold a URL; they are checked to be one before anything is deployed."""
        return ()

    def render(self, name: str) -> dict[str, Any]:
        """Its Alertmanager configuration, without the name."""
        raise NotImplementedError


class Webhook(Receiver):
    """A POST of Alertmanager's own JSON to a URL; without `url` that is the secret `<receiver>_url`."""

    send_resolved: ClassVar[bool] = True

    url: Url | None = Field(default=None, examples=["https://hooks.internal/alerts"])
    """Where to post; unset, the URL is the secret `<receiver>_url`, because most webhook URLs hold a token."""

    def secrets(self, name: str) -> tuple[str, ...]:
        return () if self.url else (secret_name(name, "url"),)

    def url_secrets(self, name: str) -> tuple[str, ...]:
        return self.secrets(name)

    def render(self, name: str) -> dict[str, Any]:
        url = {"url": str(self.url)} if self.url else {"url_file": _file(secret_name(name, "url"))}
        return {"webhook_configs": [{**url, "send_resolved": self.send_resolved}]}


class DeadMansSwitch(Webhook):
    """The external service that receives the Watchdog every five minutes and pages if it stops arriving.

    It gets no resolved notification: that would pass for one more sign of life.
    """

    send_resolved: ClassVar[bool] = False

    url: Url | None = Field(default=None, examples=["https://watchdog.internal/softfactory"])
    """Where to post the Watchdog; unset, the URL is the secret `dead_mans_switch_url`."""


class Slack(Receiver):
    """A message in a Slack channel, by an incoming webhook or as a bot."""

    channel: SlackChannel
    """The channel's #name in quotes, or its ID."""

    auth: Literal["webhook", "bot_token"] = "webhook"
    """How it posts: through an incoming webhook, whose URL is the secret `<receiver>_slack_webhook_url`, or as a bot,
    whose token is the secret `<receiver>_slack_bot_token`."""

    def secrets(self, name: str) -> tuple[str, ...]:
        return (secret_name(name, "slack_bot_token" if self.auth == "bot_token" else "slack_webhook_url"),)

    def url_secrets(self, name: str) -> tuple[str, ...]:
        return self.secrets(name) if self.auth == "webhook" else ()

    def render(self, name: str) -> dict[str, Any]:
        (secret,) = self.secrets(name)
        return {
            "slack_configs": [
                {
                    "api_url_file" if self.auth == "webhook" else "app_token_file": _file(secret),
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
    """A mail, plain text. With `auth_username` it logs in; the password is the secret `<receiver>_smtp_password`."""

    smarthost: Address = Field(examples=["smtp.internal:587"])
    """The mail server, with its port."""

    from_: MailAddress = Field(alias="from", examples=["alertmanager@softfactory.example"])
    """The sender's address."""

    to: NonEmpty[MailAddress]
    """The recipients' addresses."""

    auth_username: MailUser | None = None
    """The user name on the mail server; unset, Alertmanager does not log in."""

    tls: Literal["starttls", "implicit", "none"] = "starttls"
    """How the connection is encrypted: by STARTTLS (usually port 587), from its first byte (port 465), or not at all,
    which excludes a login."""

    @model_validator(mode="after")
    def _no_plaintext_password(self) -> Self:
        if self.auth_username and self.tls == "none":
            raise ValueError(
                f"the password of user {format_value(self.auth_username)} would be sent unencrypted; write tls: "
                "starttls or implicit, or remove auth_username"
            )
        return self

    def secrets(self, name: str) -> tuple[str, ...]:
        return (secret_name(name, "smtp_password"),) if self.auth_username else ()

    def render(self, name: str) -> dict[str, Any]:
        password_file = [_file(secret) for secret in self.secrets(name)]
        login = {"auth_username": self.auth_username, "auth_password_file": password_file[0]} if password_file else {}
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
                    "html": "",  # plain text reads the same on every phone
                    "text": '{{ template "softfactory.text" . }}',
                }
            ]
        }


class PagerDuty(Receiver):
    """An event of PagerDuty's Events API v2; the routing key is the secret `<receiver>_pagerduty_routing_key`.

    An alert group is one incident, and the group's resolved notification resolves it.
    """

    url: Url = Field(
        default="https://events.pagerduty.com/v2/enqueue",
        examples=["https://events.eu.pagerduty.com/v2/enqueue"],
        validate_default=True,
    )
    """The region's endpoint; the example is the European one."""

    def secrets(self, name: str) -> tuple[str, ...]:
        return (secret_name(name, "pagerduty_routing_key"),)

    def render(self, name: str) -> dict[str, Any]:
        (secret,) = self.secrets(name)
        links = {"runbook_url": "Runbook", "dashboard_url": "Dashboard"}
        return {
            "pagerduty_configs": [
                {
                    "routing_key_file": _file(secret),
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
                    # Alertmanager's defaults for these two grow with the number of alerts, without a bound.
                    "details": {
                        "firing": '{{ template "softfactory.pagerduty.firing" . }}',
                        "resolved": '{{ template "softfactory.pagerduty.resolved" . }}',
                    },
                }
            ]
        }


class IncidentIo(Receiver):
    """An alert in incident.io; the alert source's token is the secret `<receiver>_incidentio_token`.

    incident.io takes Alertmanager's own JSON, so its texts are the alerts' labels and annotations.
    """

    url: Url = Field(examples=["https://api.incident.io/v2/alert_events/alertmanager/01HXYZ"])
    """The URL of the alert source, which is of type Alertmanager."""

    def secrets(self, name: str) -> tuple[str, ...]:
        return (secret_name(name, "incidentio_token"),)

    def render(self, name: str) -> dict[str, Any]:
        (secret,) = self.secrets(name)
        return {
            "incidentio_configs": [
                {
                    "url": str(self.url),
                    "alert_source_token_file": _file(secret),
                    "send_resolved": True,
                    # incident.io takes 512 KB (its documentation); one of our alerts is about 1 KB.
                    "max_alerts": 100,
                }
            ]
        }


class Teams(Receiver):
    """A message in a Microsoft Teams channel, by a workflow; its URL is the secret `<receiver>_teams_webhook_url`."""

    def secrets(self, name: str) -> tuple[str, ...]:
        return (secret_name(name, "teams_webhook_url"),)

    def url_secrets(self, name: str) -> tuple[str, ...]:
        return self.secrets(name)

    def render(self, name: str) -> dict[str, Any]:
        (secret,) = self.secrets(name)
        return {
            "msteamsv2_configs": [
                {
                    "webhook_url_file": _file(secret),
                    "send_resolved": True,
                    "title": TITLE,
                    "text": '{{ template "softfactory.teams.text" . }}',
                }
            ]
        }


class ReceiverSettings(SettingsModel):
    """Each has exactly one kind, with the settings of that kind."""

    # A new kind is one class above and one field here; the docstring of the class is the text in docs/settings.md.
    webhook: Webhook | None = None
    slack: Slack | None = None
    email: Email | None = None
    pagerduty: PagerDuty | None = None
    incidentio: IncidentIo | None = None
    teams: Teams | None = None

    @model_validator(mode="after")
    def _exactly_one_kind(self) -> Self:
        kinds = [name for name, kind in self if kind is not None]
        if len(kinds) != 1:
            raise ValueError(
                f"has {' and '.join(kinds) or 'no kind'}; write exactly one of: {', '.join(type(self).model_fields)}"
            )
        return self

    @property
    def kind(self) -> Receiver:
        """The one kind that is given."""
        return next(kind for _, kind in self if isinstance(kind, Receiver))
