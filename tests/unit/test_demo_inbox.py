"""The inbox without its sockets."""

import asyncio

import pytest
from aiosmtpd.smtp import Envelope
from flask.testing import FlaskClient

from demo.inbox import Inbox, create_app

NOTIFICATION = {
    "status": "firing",
    "receiver": "inbox",
    "alerts": [{"status": "firing", "labels": {"alertname": "<b>RedisDown"}}],
}


@pytest.fixture
def inbox() -> Inbox:
    return Inbox(keep=3)


@pytest.fixture
def client(inbox: Inbox) -> FlaskClient:
    return create_app(inbox).test_client()


def deliver(inbox: Inbox, content: bytes) -> str:
    envelope = Envelope()
    envelope.mail_from, envelope.rcpt_tos = "api@example.org", ["ann@example.org"]
    envelope.original_content = content
    return asyncio.run(inbox.handle_DATA(None, None, envelope))  # type: ignore[arg-type]


def test_mails_are_kept_newest_first(inbox: Inbox, client: FlaskClient) -> None:
    deliver(inbox, b"Subject: first\r\n\r\nHello\r\n")
    assert deliver(inbox, b"Subject: second\r\n\r\nHello\r\n") == "250 OK"
    mails = client.get("/api/messages").get_json()["mails"]
    assert [mail["subject"] for mail in mails] == ["second", "first"]
    assert mails[0]["to"] == ["ann@example.org"] and mails[0]["body"].strip() == "Hello" and mails[0]["received"]


def test_a_malformed_mail_is_kept_too(inbox: Inbox) -> None:
    deliver(inbox, b"\xff\xfe no header at all")
    deliver(inbox, b"Content-Type: text/plain; charset=invented\r\n\r\n\xff\r\n")
    assert len(inbox.mails) == 2


def test_notifications_are_kept_shown_and_bounded(inbox: Inbox, client: FlaskClient) -> None:
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


def test_messages_can_be_deleted(inbox: Inbox, client: FlaskClient) -> None:
    client.post("/webhook", json=NOTIFICATION)
    client.post("/heartbeat", json=NOTIFICATION)
    deliver(inbox, b"Subject: x\r\n\r\n")
    assert client.delete("/api/messages").status_code == 204
    assert client.get("/api/messages").get_json() == {"mails": [], "notifications": [], "heartbeats": []}
