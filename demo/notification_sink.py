"""`python -m demo.notification_sink`: receives what the stack sends out, so that it can be seen and tested.

Mail by SMTP on port 1025, Alertmanager's webhooks on HTTP port 8025: `/webhook` for people, `/heartbeat` for what waits
for the Watchdog, and what takes the place of Slack, PagerDuty, incident.io and Teams (services.py). Kept in memory, the
last 500 of each.
"""

import signal
import sys
from collections import deque
from datetime import UTC, datetime
from email import message_from_bytes, policy
from typing import Any

import waitress
from aiosmtpd.controller import Controller
from aiosmtpd.smtp import SMTP, Envelope, Session
from flask import Flask, abort, render_template_string, request
from flask.typing import ResponseReturnValue

from demo.services import Services, blueprint

LIMIT_BYTES = 1_000_000
PAGE = """<!doctype html><title>Inbox</title><h1>Inbox</h1>
<h2>Notifications ({{ notifications|length }})</h2><ul>{% for n in notifications %}
<li>{{ n.received }} <b>{{ n.body.status }}</b> to {{ n.body.receiver }}:
{% for a in n.body.alerts or () %}{{ a.labels.alertname }} ({{ a.status }}) {% endfor %}{% endfor %}</ul>
<h2>Heartbeats ({{ heartbeats|length }})</h2><p>{% if heartbeats %}last {{ heartbeats[0].received }}{% endif %}</p>
<h2>Mails ({{ mails|length }})</h2><ul>{% for m in mails %}
<li>{{ m.received }} <b>{{ m.subject }}</b> from {{ m.from }} to {{ m.to|join(", ") }}{% endfor %}</ul>"""


class NotificationSink:
    """The messages received; aiosmtpd calls `handle_DATA` for each mail."""

    def __init__(self, keep: int = 500) -> None:
        self.mails: deque[dict[str, Any]] = deque(maxlen=keep)
        self.notifications: deque[dict[str, Any]] = deque(maxlen=keep)
        self.heartbeats: deque[dict[str, Any]] = deque(maxlen=keep)
        self.services = Services(keep)

    async def handle_DATA(self, _server: SMTP, _session: Session, envelope: Envelope) -> str:  # noqa: N802  # the name that aiosmtpd calls
        mail = message_from_bytes(envelope.original_content or b"", policy=policy.default)
        text = mail.get_body(("plain", "html"))
        try:
            body = str(text.get_content())[:10_000] if text else ""
        except LookupError:
            body = "(in a character set that does not exist)"
        self.mails.appendleft(
            {
                "received": now(),
                "from": envelope.mail_from,
                "to": envelope.rcpt_tos,
                "subject": str(mail["subject"] or ""),
                "body": body,
            }
        )
        return "250 OK"

    def messages(self) -> dict[str, list[dict[str, Any]]]:
        """Newest first: mails {received, from, to, subject, body}, notifications, heartbeats and what the services
        took {received, body}, and what they refused {received, service, faults}.
        """
        return {
            "mails": list(self.mails),
            "notifications": list(self.notifications),
            "heartbeats": list(self.heartbeats),
            **self.services.messages(),
        }


def notification() -> dict[str, Any]:
    """The request's body with the time; 400 where it is not Alertmanager's."""
    body = request.get_json()
    alerts = body.get("alerts") if isinstance(body, dict) else None
    if not isinstance(alerts, list) or not all(isinstance(a, dict) and "labels" in a for a in alerts):
        abort(400, "expected Alertmanager's webhook JSON: an object with the list `alerts`")
    return {"received": now(), "body": body}


def now() -> str:
    return datetime.now(UTC).isoformat(timespec="milliseconds")


def create_app(inbox: NotificationSink) -> Flask:
    app = Flask("inbox", static_folder=None)
    app.config["MAX_CONTENT_LENGTH"] = LIMIT_BYTES
    app.register_blueprint(blueprint(inbox.services, now))

    @app.post("/webhook")
    def webhook() -> ResponseReturnValue:
        inbox.notifications.appendleft(notification())
        return {"status": "stored"}

    @app.post("/heartbeat")
    def heartbeat() -> ResponseReturnValue:
        inbox.heartbeats.appendleft(notification())
        return {"status": "stored"}

    @app.get("/api/messages")
    def messages() -> ResponseReturnValue:
        return dict(inbox.messages())

    @app.delete("/api/messages")
    def clear() -> ResponseReturnValue:
        inbox.mails.clear()
        inbox.notifications.clear()
        inbox.heartbeats.clear()
        inbox.services.clear()
        return "", 204

    @app.get("/healthz")
    def healthy() -> ResponseReturnValue:
        return {"status": "up"}

    @app.get("/")
    def page() -> str:
        return render_template_string(PAGE, **inbox.messages())

    return app


def main() -> None:
    # Process 1 of a container has no default handler for it.
    signal.signal(signal.SIGTERM, lambda *_: sys.exit(0))
    inbox = NotificationSink()
    controller = Controller(inbox, hostname="0.0.0.0", port=1025, data_size_limit=LIMIT_BYTES)
    controller.start()
    print("inbox: SMTP on port 1025, HTTP on port 8025", flush=True)  # noqa: T201  # the container's log
    waitress.serve(create_app(inbox), host="0.0.0.0", port=8025, threads=4)


if __name__ == "__main__":
    main()
