"""Several of each: two PostgreSQL servers, each with exporter and secret; two Slack channels, routed by service."""

import secrets
from collections.abc import Iterator
from typing import Any

import pytest

from clients import probes
from tests.e2e.conftest import NAME, PREFIX, Stack, eventually

pytestmark = pytest.mark.engine

INSTANCE = "postgres-2"
SERVER = f"{PREFIX}-{INSTANCE}"
SLACK = "http://inbox:8025/slack?token={}"
NOTIFICATIONS: dict[str, Any] = {
    "receivers": {
        "inbox": {"webhook": {"url": "http://inbox:8025/webhook"}},
        "alerts": {"slack": {"channel": "#alerts"}},
        "dba": {"slack": {"channel": "#dba"}},
    },
    "routes": [
        {"match": {"severity": "critical", "service": "postgres"}, "receivers": ["dba"], "group_interval": "5s"},
        {"match": {"severity": "critical"}, "receivers": ["alerts"], "group_interval": "5s"},
        {"match": {"severity": "warning"}, "receivers": ["inbox"]},
    ],
    "dead_mans_switch": {"url": "http://inbox:8025/heartbeat"},
}


@pytest.fixture
def second(stack: Stack) -> Iterator[Stack]:
    """The stack, up with a second PostgreSQL server, which is a container of its own in the stack's network."""
    settings, password = stack.settings(), secrets.token_urlsafe(24)
    names = {f"{INSTANCE}_password".replace("-", "_"): password}
    names |= {f"{name}_slack_webhook_url": SLACK.format(secrets.token_urlsafe(24)) for name in ("alerts", "dba")}
    container = stack.engine.containers.run(
        stack.container("postgres").attrs["Config"]["Image"],
        name=SERVER,
        network=PREFIX,
        user="999:999",
        environment={"POSTGRES_USER": "softfactory", "POSTGRES_DB": "softfactory", "POSTGRES_PASSWORD": password},
        tmpfs={"/var/lib/postgresql": "uid=999,gid=999", "/var/run/postgresql": "uid=999,gid=999"},
        labels={"softfactory.prefix": PREFIX},
        detach=True,
    )
    try:
        ready = ["pg_isready", "-q", "-h", "127.0.0.1"]
        eventually(lambda: container.exec_run(ready).exit_code == 0, "the second server accepts connections")
        given = [word for name, value in names.items() for word in ("--secret", f"{name}={value}")]
        stack.pulumi("config", "set-all", "--stack", NAME, *given)
        servers = settings["exporters"]
        other = {**servers["postgres"][0], "address": f"{SERVER}:5432", "instance": INSTANCE}
        stack.change(
            exporters={**servers, "postgres": [*servers["postgres"], other]},
            notifications=NOTIFICATIONS,
            alert_overrides={**settings["alert_overrides"], "DatabaseDown": {"for": "10s"}},
        )
        stack.up()
        yield stack
    finally:
        container.remove(force=True, v=True)
        stack.write_settings(settings)
        stack.pulumi("config", "rm-all", *names, "--stack", NAME)
        stack.up()


def channels(stack: Stack, alert: str) -> set[str]:
    """The Slack channels that were notified of an alert."""
    kept = stack.http.get(stack.url("inbox") + "/api/messages").json()["slack"]
    return {one["body"]["channel"] for one in kept if alert in str(one["body"])}


def test_each_server_is_watched_by_itself_and_its_outage_goes_to_the_channel_of_its_service(second: Stack) -> None:
    up = {row["metric"]["instance"] for row in probes.query(second.http, second.url("prometheus"), "pg_up == 1")}
    assert up == {"postgres", INSTANCE}
    second.http.delete(second.url("inbox") + "/api/messages")
    second.engine.containers.get(SERVER).stop(timeout=5)
    eventually(lambda: channels(second, "DatabaseDown"), "the outage is notified")
    firing = 'ALERTS{alertname="DatabaseDown",alertstate="firing"}'
    rows = probes.query(second.http, second.url("prometheus"), firing)
    assert [row["metric"]["instance"] for row in rows] == [INSTANCE]
    assert channels(second, "DatabaseDown") == {"#dba"}
    assert second.query('pg_up{instance="postgres"}') == 1
    second.engine.containers.get(SERVER).start()
    eventually(lambda: second.query(f'pg_up{{instance="{INSTANCE}"}}') == 1, "the second server is back")
    eventually(lambda: second.query(f"count({firing}) or vector(0)") == 0, "the alert is resolved")
