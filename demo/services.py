"""Stand-ins for Slack, PagerDuty, incident.io and Teams in the inbox.

Each checks a request against the documented shape of its service, answers as that does, and keeps what it took.
`answers` makes one of them answer otherwise (`{"slack": 500}`), so that a failing receiver can be seen.
"""

from collections import deque
from typing import Any
from urllib.parse import urlsplit

from flask import Blueprint, request
from flask.typing import ResponseReturnValue

SEVERITIES = ("critical", "error", "warning", "info")
ACTIONS = ("trigger", "acknowledge", "resolve")
SLACK_TEXT, SLACK_ATTACHMENTS = 40_000, 100
PAGERDUTY_SUMMARY, PAGERDUTY_EVENT, PAGERDUTY_KEY = 1024, 512_000, 255
INCIDENT_IO_BODY = 512 * 1024
TEAMS_MESSAGE = 28 * 1024
ADAPTIVE_CARD = "application/vnd.microsoft.card.adaptive"


class Services:
    """What they took, newest first, each {received, body}; `refused` says what was wrong with the others."""

    def __init__(self, keep: int = 500) -> None:
        self.kept: dict[str, deque[dict[str, Any]]] = {
            name: deque(maxlen=keep) for name in ("slack", "pagerduty", "incidentio", "teams")
        }
        self.refused: deque[dict[str, Any]] = deque(maxlen=keep)
        self.answers: dict[str, int] = {}

    def messages(self) -> dict[str, list[dict[str, Any]]]:
        return {**{name: list(kept) for name, kept in self.kept.items()}, "refused": list(self.refused)}

    def clear(self) -> None:
        for kept in (*self.kept.values(), self.refused):
            kept.clear()

    def take(self, name: str, received: str, faults: list[str]) -> int | None:
        """Keeps the request's body; the status to answer with where it is not taken."""
        if name in self.answers:
            return self.answers[name]
        if faults:
            self.refused.appendleft({"received": received, "service": name, "faults": faults})
            return 400
        # The key is a secret, and a page shows what is kept.
        body = {key: value for key, value in request.get_json().items() if key != "routing_key"}
        self.kept[name].appendleft({"received": received, "body": body})
        return None


def slack_faults(body: Any) -> list[str]:
    """An incoming webhook takes an object with `text` or `attachments` (Slack's reference of messages)."""
    if not isinstance(body, dict):
        return ["no JSON object"]
    attachments = body.get("attachments", [])
    faults = ["neither text nor attachments"] if not body.get("text") and not attachments else []
    if not isinstance(attachments, list) or len(attachments) > SLACK_ATTACHMENTS:
        return [*faults, "attachments is no list of at most 100"]
    for one in attachments:
        texts = [one.get(part, "") for part in ("title", "text", "fallback")]
        if not all(isinstance(text, str) and len(text) <= SLACK_TEXT for text in texts):
            faults.append("a text is none, or longer than 40,000 characters")
        if not one.get("fallback"):
            faults.append("an attachment without fallback")
        if one.get("title_link") and not _is_url(one["title_link"]):
            faults.append("title_link is no address")
    return faults


def pagerduty_faults(body: Any, length: int) -> list[str]:
    """An event of the Events API v2: routing_key, event_action, dedup_key, and for a trigger a payload."""
    if not isinstance(body, dict):
        return ["no JSON object"]
    payload = body.get("payload") or {}
    faults = []
    if not body.get("routing_key") or not isinstance(body["routing_key"], str):
        faults.append("no routing_key")
    if body.get("event_action") not in ACTIONS:
        faults.append("event_action is none")
    if not body.get("dedup_key") or len(str(body["dedup_key"])) > PAGERDUTY_KEY:
        faults.append("dedup_key is missing or longer than 255 characters")
    if not payload.get("summary") or len(payload["summary"]) > PAGERDUTY_SUMMARY:
        faults.append("payload.summary is missing or longer than 1,024 characters")
    if not payload.get("source"):
        faults.append("no payload.source")
    if payload.get("severity") not in SEVERITIES:
        faults.append("payload.severity is none")
    if not all(_is_url(link.get("href")) for link in body.get("links") or ()):
        faults.append("a link's href is no address")
    if length > PAGERDUTY_EVENT:
        faults.append("longer than 512 KB")
    return faults


def incidentio_faults(body: Any, length: int, token: str) -> list[str]:
    """Alertmanager's own JSON (version 4's alerts with a groupKey), and the source's token as Bearer."""
    if not isinstance(body, dict):
        return ["no JSON object"]
    faults = [] if token.startswith("Bearer ") and len(token) > len("Bearer ") else ["no Bearer token"]
    if body.get("status") not in ("firing", "resolved"):
        faults.append("status is none")
    if not body.get("groupKey"):
        faults.append("no groupKey")
    alerts = body.get("alerts")
    if not isinstance(alerts, list) or not alerts or not all("labels" in a and "status" in a for a in alerts):
        faults.append("no alerts with labels and status")
    if length > INCIDENT_IO_BODY:
        faults.append("longer than 512 KB")
    return faults


def teams_faults(body: Any, length: int) -> list[str]:
    """A message with one adaptive card of text blocks (Microsoft's reference of the Teams webhook connector)."""
    if not isinstance(body, dict):
        return ["no JSON object"]
    faults = [] if body.get("type") == "message" else ["type is not message"]
    cards = [card for card in body.get("attachments") or () if card.get("contentType") == ADAPTIVE_CARD]
    if len(cards) != 1:
        return [*faults, "not one adaptive card"]
    content = cards[0].get("content") or {}
    blocks = content.get("body") or []
    if content.get("type") != "AdaptiveCard" or not content.get("version"):
        faults.append("content is no AdaptiveCard with a version")
    if not blocks or not all(block.get("type") == "TextBlock" and block.get("text") for block in blocks):
        faults.append("a block of the card is none of text")
    if length > TEAMS_MESSAGE:
        faults.append("longer than 28 KB")
    return faults


def _is_url(text: Any) -> bool:
    parts = urlsplit(str(text))
    return parts.scheme in ("http", "https") and bool(parts.netloc)


def blueprint(services: Services, now: Any) -> Blueprint:
    """The services' addresses, and `PUT /api/answers`; `now` gives the time of a request."""
    app = Blueprint("services", __name__)

    @app.post("/slack")
    def slack() -> ResponseReturnValue:
        status = services.take("slack", now(), slack_faults(request.get_json(silent=True)))
        return ("ok", 200) if status is None else ("invalid_payload", status)

    @app.post("/pagerduty/v2/enqueue")
    def pagerduty() -> ResponseReturnValue:
        body = request.get_json(silent=True)
        status = services.take("pagerduty", now(), pagerduty_faults(body, request.content_length or 0))
        if status is not None:
            return {"status": "invalid event", "message": "Event object is invalid", "errors": ["see refused"]}, status
        return {"status": "success", "message": "Event processed", "dedup_key": request.get_json()["dedup_key"]}, 202

    @app.post("/incidentio/v2/alert_events/alertmanager/<source>")
    def incidentio(source: str) -> ResponseReturnValue:
        token = request.headers.get("Authorization", "")
        faults = incidentio_faults(request.get_json(silent=True), request.content_length or 0, token)
        status = services.take("incidentio", now(), faults)
        if status is not None:
            return {"type": "validation_error", "status": status}, status
        return {"status": "success", "message": "Event accepted for processing", "deduplication_key": source}, 202

    @app.post("/teams")
    def teams() -> ResponseReturnValue:
        body = request.get_json(silent=True)
        status = services.take("teams", now(), teams_faults(body, request.content_length or 0))
        return ("", 202) if status is None else ({"error": "see refused"}, status)

    @app.put("/api/answers")
    def answers() -> ResponseReturnValue:
        services.answers = {str(name): int(status) for name, status in request.get_json().items()}
        return services.answers

    return app
