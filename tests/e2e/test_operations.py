"""What people and CI do with a running stack: approve and apply a plan, read what was done, change a secret."""

import json
import re
import secrets
import subprocess
import time
from collections.abc import Iterator
from contextlib import contextmanager
from datetime import UTC, datetime, timedelta
from typing import Any

import pytest

from desired_state import load_desired_state
from tests.e2e import secret_exposure
from tests.e2e.conftest import FULL, NAME, PREFIX, Stack, eventually

pytestmark = pytest.mark.engine

# What a secret must look like where not any text will do: at first nothing listens there, then the inbox.
FIRST = {
    "webhook_url": "http://inbox:1/webhook?token={}",
    "dead_mans_switch_url": "http://inbox:8025/heartbeat?token={}",
    "alerts_slack_webhook_url": "http://inbox:8025/slack?token={}",
    "operations_smtp_password": "{}",
    "oncall_pagerduty_routing_key": "{}",
    "incidents_incidentio_token": "{}",
}
ROTATED = {**FIRST, "webhook_url": "http://inbox:8025/webhook?token={}"}
# Each receiver that has a secret is there and, but for the mail, told of what fires here; the inbox takes the services'
# place, and has no TLS, without which no password is sent.
EMAIL = {
    "smarthost": "inbox:1025",
    "from": "from@softfactory.example",
    "to": ["to@softfactory.example"],
    "auth_username": "alertmanager",
}
RECEIVERS: dict[str, Any] = {
    "webhook": {"webhook": {}},
    "alerts": {"slack": {"channel": "#alerts"}},
    "operations": {"email": EMAIL},
    "oncall": {"pagerduty": {"url": "http://inbox:8025/pagerduty/v2/enqueue"}},
    "incidents": {"incidentio": {"url": "http://inbox:8025/incidentio/v2/alert_events/alertmanager/1"}},
}
NOTIFICATIONS: dict[str, Any] = {
    "receivers": RECEIVERS,
    "routes": [
        {
            "match": {"severity": "critical"},
            "receivers": [name for name in RECEIVERS if name != "operations"],
            "group_wait": "1s",
            "group_interval": "5s",
        },
        {"match": {"severity": "warning"}, "receivers": list(RECEIVERS)},
    ],
}
# One of each kind: kept by Grafana, kept by PostgreSQL, read from its file by a server that starts, by one that runs.
KINDS = ("grafana_admin_password", "postgres_password", "redis_password", "webhook_url")
# The start scripts of these images hand the password of the first start to their server in its environment, which root
# and the server's own user can read.
IN_ENVIRONMENT = {
    ("grafana_admin_password", "environment of grafana"),
    ("postgres_password", "environment of postgres"),
}


def make(stack: Stack, *arguments: str) -> "subprocess.CompletedProcess[str]":
    """The make command of the copy, whose set-up has nothing to do."""
    for path, text in {"supply/setup": "#!/bin/sh\n", ".local/env": ""}.items():
        (stack.folder / path).parent.mkdir(exist_ok=True)
        (stack.folder / path).write_text(text, encoding="utf-8")
        (stack.folder / path).chmod(0o755)
    done = subprocess.run(
        ["make", *arguments, f"STACK={NAME}"],
        cwd=stack.folder,
        env=stack.environment,
        stdin=subprocess.DEVNULL,
        capture_output=True,
        text=True,
        timeout=600,
        check=False,
    )
    stack.said.append(done.stdout + done.stderr)
    return done


def facts(stack: Stack, path: str) -> dict[str, Any]:
    loaded: dict[str, Any] = json.loads((stack.folder / path).read_text(encoding="utf-8"))
    return loaded


def test_ci_is_told_by_exit_code_and_in_json_what_there_is_to_change(stack: Stack) -> None:
    settings = stack.settings()
    same = make(stack, "preview", "EXPECT=no-changes", "JSON=out/same.json")
    assert same.returncode == 0, same.stdout + same.stderr
    told = facts(stack, "out/same.json")
    assert (told["command"], told["result"], list(told["changes"])) == ("preview", "succeeded", ["same"])
    stack.tune(SlowQueries={"threshold": 21})
    try:
        changed = make(stack, "preview", "EXPECT=no-changes", "JSON=out/change.json")
        assert changed.returncode != 0
        assert re.search(r"^make: \*\*\* .*Error 7$", changed.stderr, re.MULTILINE)  # pulumi's code, as the guide says
        assert facts(stack, "out/change.json")["changes"]["replace"] == 1  # the release
        stack.change(retention="-1d")
        failed = make(stack, "preview", "JSON=out/failed.json")
        assert failed.returncode != 0
        assert "retention: '-1d' is not a duration from 2h to 10y" in facts(stack, "out/failed.json")["errors"][0]
    finally:
        stack.write_settings(settings)


def test_an_approved_plan_is_applied_and_nothing_else(stack: Stack) -> None:
    settings, live = stack.settings(), stack.release()
    try:
        stack.tune(SlowQueries={"threshold": 21})
        assert make(stack, "preview", "PLAN=out/stale.plan").returncode == 0
        stack.tune(SlowQueries={"threshold": 22})
        assert make(stack, "preview", "PLAN=out/approved.plan").returncode == 0
        for plan in ("out/stale.plan", _plan_of_a_stranger(stack, "out/approved.plan")):
            refused = make(stack, "up", f"PLAN={plan}", "JSON=out/refused.json")
            assert refused.returncode != 0, plan
            told = facts(stack, "out/refused.json")
            assert (told["result"], told["readiness"]) == ("failed", None)
            assert any("violates plan" in error or "no plan for resource" in error for error in told["errors"]), told
        assert stack.release() == live
        applied = make(stack, "up", "PLAN=out/approved.plan", "JSON=out/applied.json")
        assert applied.returncode == 0, applied.stdout + applied.stderr
        told = facts(stack, "out/applied.json")
        assert (told["command"], told["result"], told["changes"]["replace"]) == ("up", "succeeded", 1)
        assert told["readiness"].endswith(": live")
        assert told["health"]["healthy"] is True
        live = stack.release()
        stack.tune(SlowQueries={"threshold": 21})
        assert make(stack, "up", "PLAN=out/stale.plan").returncode != 0  # the update in between was not in the plan
        assert stack.release() == live
    finally:
        stack.write_settings(settings)  # the next update brings them


def _plan_of_a_stranger(stack: Stack, approved: str) -> str:
    """The same plan, as it is saved for another stack: it names that one's resources."""
    text, mine = (stack.folder / approved).read_text(encoding="utf-8"), f"urn:pulumi:{NAME}::"
    assert mine in text
    (stack.folder / "out" / "stranger.plan").write_text(text.replace(mine, "urn:pulumi:stranger::"), encoding="utf-8")
    return "out/stranger.plan"


@pytest.fixture(scope="module")
def values(stack: Stack) -> Iterator[dict[str, list[str]]]:
    """The values that each secret of the stack has had, in a stack in which all that can be a secret is one."""
    settings = stack.settings()
    stack.change(notifications=NOTIFICATIONS)
    names = load_desired_state(NAME, folder=stack.folder / "stacks").secret_names
    try:
        had = {name: [stack.passwords.get(name) or secrets.token_urlsafe(24)] for name in names}
        _set(stack, {name: FIRST.get(name, "{}").format(had[name][0]) for name in names})
        stack.up()
        yield had
    finally:  # or no test after this one could update
        stack.write_settings(settings)
        stack.pulumi("config", "rm-all", *(set(names) - set(stack.passwords)), "--stack", NAME)
    stack.up()


def test_each_secret_is_rotated_by_one_command(stack: Stack, values: dict[str, list[str]]) -> None:
    _alert(stack, "BeforeRotation")
    log = stack.container("alertmanager").logs
    eventually(lambda: b"Notify attempt failed" in log(), "the address of before cannot be reached", seconds=90)
    rotated = {name: had for name, had in values.items() if FULL or name in KINDS}
    for name, had in rotated.items():
        token = secrets.token_urlsafe(24)
        # Only what cannot be made up is read.
        done = stack.ops("rotate-secret", name, "--stack", NAME, stdin=ROTATED.get(name, "ignored {}").format(token))
        assert done.returncode == 0, done.stdout + done.stderr
        new = stack.pulumi("config", "get", name, "--stack", NAME).stdout.strip()
        assert (token in new) is (name in ROTATED)
        had.append(token if name in ROTATED else new)
        if name in stack.passwords:
            stack.passwords[name] = new
    assert [name for name, had in rotated.items() if len(set(had)) != 2] == []

    answer = stack.http.post(
        stack.url("api") + "/api/auth/signup",
        json={"email": f"rotated-{time.time_ns()}@softfactory.invalid", "password": secrets.token_urlsafe(9)},
    )
    assert answer.status_code == 201, answer.text
    up = 'min(pg_up{job="postgres"} * on () group_left () min(redis_up{job="redis"}))'
    eventually(lambda: stack.query(up) == 1, "both exporters log in with what is valid now")
    _alert(stack, "AfterRotation")
    inbox = stack.url("inbox") + "/api/messages"
    eventually(lambda: "AfterRotation" in stack.http.get(inbox).text, "the new address is told of an alert", seconds=90)
    stack.calm()
    stack.becomes_healthy(120)


def _alert(stack: Stack, name: str) -> None:
    """Fires for half a minute, which is longer than its group waits."""
    now = datetime.now(UTC)
    alert = {
        "labels": {"alertname": name, "severity": "critical", "service": "end-to-end"},
        "startsAt": now.isoformat(),
        "endsAt": (now + timedelta(seconds=30)).isoformat(),
    }
    answer = stack.http.post(stack.url("alertmanager") + "/api/v2/alerts", json=[alert])
    assert answer.is_success, answer.text


def test_no_secret_can_be_read_but_where_a_service_finds_it(stack: Stack, values: dict[str, list[str]]) -> None:
    _let_updates_fail_with_every_secret(stack, values)
    desired = load_desired_state(NAME, folder=stack.folder / "stacks")
    found = secret_exposure.found(values, secret_exposure.places(stack))
    files = {
        (name, f"volume {PREFIX}-{service}-secrets") for service, names in desired.secrets.items() for name in names
    }
    assert files <= found  # the search does find what is there to be found
    assert found - files - IN_ENVIRONMENT == set()


def _let_updates_fail_with_every_secret(stack: Stack, values: dict[str, list[str]]) -> None:
    """Three updates whose errors are about secrets: refused by Grafana, by a plan, by a step that stages them."""
    right = stack.passwords["grafana_admin_password"]
    with _configured(stack, {"grafana_admin_password": f"{right}-wrong"}):
        assert "refuses the credentials" in stack.up(check=False).stdout
    # A plan with values of which Pulumi does not know, when it refuses it, that they are secret. Grafana's is left out:
    # a preview with a password that Grafana refuses makes no plan.
    planned = {name: secrets.token_urlsafe(24) for name in values if name != "grafana_admin_password"}
    for name, value in planned.items():
        values[name].append(value)
    with _configured(stack, {name: FIRST.get(name, "{}").format(value) for name, value in planned.items()}):
        assert make(stack, "preview", "PLAN=out/secrets.plan").returncode == 0
    assert make(stack, "up", "PLAN=out/secrets.plan", "JSON=out/secrets.json").returncode != 0
    assert any("violates plan" in error for error in facts(stack, "out/secrets.json")["errors"])
    with stack.changed("components/secret_files.py", "set -eu\n", "set -eu\nfalse\n"):
        failed = stack.up(check=False)
        assert "-secrets failed (exit code 1)" in failed.stdout
    stack.up()


@contextmanager
def _configured(stack: Stack, values: dict[str, str]) -> Iterator[None]:
    """Other secrets in Pulumi's configuration, for a while."""
    file = stack.file.with_name(f"Pulumi.{NAME}.yaml")
    text = file.read_bytes()
    try:
        _set(stack, values)
        yield
    finally:
        file.write_bytes(text)


def _set(stack: Stack, values: dict[str, str]) -> None:
    given = [word for name, value in values.items() for word in ("--secret", f"{name}={value}")]
    stack.pulumi("config", "set-all", "--stack", NAME, *given)
