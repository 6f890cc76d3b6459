"""The inbox without its sockets."""

import asyncio
from typing import Any

import pytest
from aiosmtpd.smtp import Envelope
from flask.testing import FlaskClient

from demo.notification_sink import NotificationSink, create_app

NOTIFICATION = {
    "status": "firing",
    "receiver": "inbox",
    "alerts": [{"status": "firing", "labels": {"alertname": "<b>RedisDown"}}],
}


@pytest.fixture
def inbox() -> NotificationSink:
    return NotificationSink(keep=3)


@pytest.fixture
def client(inbox: NotificationSink) -> FlaskClient:
    return create_app(inbox).test_client()


def deliver(inbox: NotificationSink, content: bytes) -> str:
    envelope = Envelope()
    envelope.mail_from, envelope.rcpt_tos = "api@example.org", ["ann@example.org"]
    envelope.original_content = content
    return asyncio.run(inbox.handle_DATA(None, None, envelope))  # type: ignore[arg-type]


def test_mails_are_kept_newest_first(inbox: NotificationSink, client: FlaskClient) -> None:
    deliver(inbox, b"Subject: first\r\n\r\nHello\r\n")
    assert deliver(inbox, b"Subject: second\r\n\r\nHello\r\n") == "250 OK"
    mails = client.get("/api/messages").get_json()["mails"]
    assert [mail["subject"] for mail in mails] == ["second", "first"]
    assert mails[0]["to"] == ["ann@example.org"] and mails[0]["body"].strip() == "Hello" and mails[0]["received"]


def test_a_malformed_mail_is_kept_too(inbox: NotificationSink) -> None:
    deliver(inbox, b"\xff\xfe no header at all")
    deliver(inbox, b"Content-Type: text/plain; charset=invented\r\n\r\n\xff\r\n")
    assert len(inbox.mails) == 2


def test_notifications_are_kept_shown_and_bounded(inbox: NotificationSink, client: FlaskClient) -> None:
    for number in range(5):
        assert client.post("/webhook", json=NOTIFICATION | {"groupKey": str(number)}).status_code == 200
    kept = client.get("/api/messages").get_json()["notifications"]
    assert [one["body"]["groupKey"] for one in kept] == ["4", "3", "2"]
    page = client.get("/").text
    assert "firing" in page and "&lt;b&gt;RedisDown" in page


def test_heartbeats_are_kept_apart_from_what_people_are_told(client: FlaskClient) -> None:
    assert client.post("/heartbeat", json=NOTIFICATION).status_code == 200
    kept = client.get("/api/messages").get_json()
    assert [one["body"] for one in kept["heartbeats"]] == [NOTIFICATION]
    assert kept["notifications"] == []
    assert kept["heartbeats"][0]["received"] in client.get("/").text


@pytest.mark.parametrize("body", [[], {}, {"alerts": "none"}, {"alerts": [1]}])
@pytest.mark.parametrize("path", ["/webhook", "/heartbeat"])
def test_what_is_no_notification_is_refused(client: FlaskClient, path: str, body: object) -> None:
    assert client.post(path, json=body).status_code == 400
    assert client.get("/").status_code == 200


def test_messages_can_be_deleted(inbox: NotificationSink, client: FlaskClient) -> None:
    client.post("/webhook", json=NOTIFICATION)
    client.post("/heartbeat", json=NOTIFICATION)
    deliver(inbox, b"Subject: x\r\n\r\n")
    assert client.delete("/api/messages").status_code == 204
    assert set(client.get("/api/messages").get_json()) >= {"mails", "notifications", "heartbeats", "slack"}
    assert not any(client.get("/api/messages").get_json().values())


# --- in the place of services ----------------------------------------------------------------------------------------

SLACK: dict[str, Any] = {
    "channel": "#a",
    "attachments": [{"title": "[FIRING]", "fallback": "[FIRING]", "text": "redis"}],
}
PAGERDUTY: dict[str, Any] = {
    "routing_key": "planted",
    "event_action": "trigger",
    "dedup_key": "1",
    "payload": {"summary": "redis", "source": "redis", "severity": "critical"},
    "links": [{"href": "https://git.internal/", "text": "Runbook"}],
}
INCIDENT = {
    "status": "firing",
    "groupKey": "{}",
    "alerts": [{"status": "firing", "labels": {"alertname": "RedisDown"}}],
}
TEAMS: dict[str, Any] = {
    "type": "message",
    "attachments": [
        {
            "contentType": "application/vnd.microsoft.card.adaptive",
            "contentUrl": None,
            "content": {"type": "AdaptiveCard", "version": "1.2", "body": [{"type": "TextBlock", "text": "redis"}]},
        }
    ],
}
PLACES = {
    "slack": "/slack",
    "pagerduty": "/pagerduty/v2/enqueue",
    "incidentio": "/incidentio/v2/alert_events/alertmanager/1",
    "teams": "/teams",
}
RIGHT: dict[str, dict[str, Any]] = {"slack": SLACK, "pagerduty": PAGERDUTY, "incidentio": INCIDENT, "teams": TEAMS}
TOKEN = {"Authorization": "Bearer planted"}


def card(**changes: Any) -> dict[str, Any]:
    """The attachments of a Teams message with a changed card."""
    (attachment,) = TEAMS["attachments"]
    return {"attachments": [{**attachment, "content": {**attachment["content"], **changes}}]}


@pytest.mark.parametrize(("name", "status"), [("slack", 200), ("pagerduty", 202), ("incidentio", 202), ("teams", 202)])
def test_a_service_takes_what_is_right_and_keeps_no_secret(client: FlaskClient, name: str, status: int) -> None:
    answer = client.post(PLACES[name], json=RIGHT[name], headers=TOKEN)
    assert answer.status_code == status
    assert (answer.text == "ok") is (name == "slack")  # by which Alertmanager knows that Slack took it
    kept = client.get("/api/messages")
    assert len(kept.get_json()[name]) == 1 and kept.get_json()["refused"] == []
    assert "planted" not in kept.text


@pytest.mark.parametrize(
    ("name", "wrong", "fault"),
    [
        ("slack", {"attachments": []}, "neither text nor attachments"),
        ("slack", {"attachments": SLACK["attachments"] * 101}, "attachments is no list of at most 100"),
        ("slack", {"attachments": [{"text": "x" * 40_001, "fallback": "x"}]}, "a text is none, or longer than 40,000"),
        ("slack", {"attachments": [{"text": "x"}]}, "an attachment without fallback"),
        ("slack", {"attachments": [{"fallback": "x", "title_link": "x"}]}, "title_link is no address"),
        ("pagerduty", {"routing_key": ""}, "no routing_key"),
        ("pagerduty", {"event_action": "fire"}, "event_action is none"),
        ("pagerduty", {"dedup_key": "x" * 256}, "dedup_key is missing or longer"),
        ("pagerduty", {"payload": {**PAGERDUTY["payload"], "summary": "x" * 1025}}, "payload.summary is missing or"),
        ("pagerduty", {"payload": {**PAGERDUTY["payload"], "source": ""}}, "no payload.source"),
        ("pagerduty", {"payload": {**PAGERDUTY["payload"], "severity": "high"}}, "payload.severity is none"),
        ("pagerduty", {"links": [{"href": "docs/x.md", "text": "x"}]}, "a link's href is no address"),
        ("incidentio", {"status": "open"}, "status is none"),
        ("incidentio", {"groupKey": ""}, "no groupKey"),
        ("incidentio", {"alerts": [{"status": "firing"}]}, "no alerts with labels and status"),
        ("teams", {"type": "text"}, "type is not message"),
        ("teams", {"attachments": []}, "not one adaptive card"),
        ("teams", card(type="Card"), "content is no AdaptiveCard with a version"),
        ("teams", card(version=""), "content is no AdaptiveCard with a version"),
        ("teams", card(body=[]), "a block of the card is none of text"),
        ("teams", card(body=[{"type": "TextBlock", "text": ""}]), "a block of the card is none of text"),
        ("teams", card(body=[{"type": "TextBlock", "text": "x" * 30_000}]), "longer than 28 KB"),
    ],
)
def test_a_service_refuses_what_is_not_of_its_shape(
    client: FlaskClient, name: str, wrong: dict[str, Any], fault: str
) -> None:
    assert client.post(PLACES[name], json={**RIGHT[name], **wrong}, headers=TOKEN).status_code == 400
    kept = client.get("/api/messages").get_json()
    (refused,) = kept["refused"]
    assert kept[name] == [] and refused["service"] == name
    assert any(one.startswith(fault) for one in refused["faults"]), refused


@pytest.mark.parametrize("name", PLACES)
def test_a_service_takes_nothing_without_json_or_token(client: FlaskClient, name: str) -> None:
    assert client.post(PLACES[name], data="no json", headers=TOKEN).status_code == 400
    if name == "incidentio":
        assert client.post(PLACES[name], json=INCIDENT).status_code == 400


@pytest.mark.parametrize("name", PLACES)
def test_a_service_can_be_made_to_fail(client: FlaskClient, name: str) -> None:
    assert client.put("/api/answers", json={name: 500}).get_json() == {name: 500}
    assert client.post(PLACES[name], json=RIGHT[name], headers=TOKEN).status_code == 500
    assert client.get("/api/messages").get_json()[name] == []
    client.put("/api/answers", json={})
    assert client.post(PLACES[name], json=RIGHT[name], headers=TOKEN).status_code in (200, 202)
