"""What a person leaves in a running stack: each is made through the API, and returns the question whether it is still
there.
"""

import secrets
import time
from collections.abc import Callable
from datetime import UTC, datetime, timedelta

from tests.e2e.conftest import Stack, eventually

Question = Callable[[], bool]


def silence(stack: Stack) -> Question:
    """A silence in Alertmanager."""
    url, now = stack.url("alertmanager") + "/api/v2/silences", datetime.now(UTC)
    answer = stack.http.post(
        url,
        json={
            "matchers": [{"name": "alertname", "value": "Nothing", "isRegex": False, "isEqual": True}],
            "startsAt": now.isoformat(),
            "endsAt": (now + timedelta(hours=1)).isoformat(),
            "createdBy": "end-to-end test",
            "comment": "is it kept?",
        },
    ).raise_for_status()
    made = answer.json()["silenceID"]
    return lambda: made in {found["id"] for found in stack.http.get(url).json()}


def saved_silence(stack: Stack) -> Question:
    """A silence that Alertmanager has written to its volume, which it does every 15 seconds."""
    asked = silence(stack)
    snapshot(stack, "silences")
    return asked


def snapshot(stack: Stack, *what: str) -> None:
    """Waits until Alertmanager has written `silences` or `nflog` (what it has told) to its volume."""

    def written() -> dict[str, float]:
        text = stack.http.get(stack.url("alertmanager") + "/metrics").text
        fields = (line.split() for line in text.splitlines())
        return {name: float(value) for name, value, *_ in fields if name in series}

    series = {f"alertmanager_{name}_maintenance_total" for name in what}
    before = written()
    eventually(lambda: all(now > before[name] for name, now in written().items()), f"{series} rise")


def dashboard(stack: Stack) -> Question:
    """A dashboard that nobody but a person made, in no folder."""
    url, uid = stack.url("grafana") + "/api/dashboards", f"by-hand-{time.time_ns()}"
    stack.http.post(
        url + "/db",
        auth=stack.grafana_auth,
        json={"dashboard": {"uid": uid, "title": f"By hand {uid}", "panels": []}, "overwrite": False},
    ).raise_for_status()
    return lambda: stack.http.get(f"{url}/uid/{uid}", auth=stack.grafana_auth).is_success


def user(stack: Stack) -> Question:
    """A user of the demo's API, in PostgreSQL."""
    api = stack.url("api") + "/api/auth"
    account = {"email": f"kept-{time.time_ns()}@softfactory.invalid", "password": secrets.token_urlsafe(9)}
    stack.http.post(api + "/signup", json=account).raise_for_status()
    return lambda: stack.http.post(api + "/login", json=account).is_success
