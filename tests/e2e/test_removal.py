"""What stays and what goes: kept data, a lost state, a neighbour on the same engine, and the end."""

from datetime import UTC, datetime, timedelta

import pytest

from ops import probes
from tests.e2e.conftest import NAME, NEIGHBOUR, PREFIX, Stack, eventually, leftovers

pytestmark = pytest.mark.engine


def test_two_stacks_live_side_by_side_and_one_goes_without_touching_the_other(stack: Stack) -> None:
    settings = stack.settings()
    servers = {key: value for key, value in settings["servers"].items() if key != "elasticsearch"}
    before = {service: stack.identity(service) for service in ("prometheus", "grafana", "api")}
    with stack.neighbour({**settings, "servers": servers}) as other:
        up = other.up()
        assert "7 targets, 8 rules, 2 data sources, 2 dashboards: live" in up.stdout
        stack.assert_healthy()
    assert leftovers(stack.engine, NEIGHBOUR) == []
    assert {service: stack.identity(service) for service in before} == before
    stack.assert_healthy()


def test_kept_data_is_there_after_destroy_and_up(stack: Stack) -> None:
    stack.change(data="keep")
    stack.up()  # a changed fate counts only after an update
    silence = _silence(stack)
    stack.pulumi("destroy", "--stack", NAME, "--yes", "--skip-preview")
    kept = {item.removeprefix(f"volume {PREFIX}-") for item in leftovers(stack.engine)}
    assert kept == {"prometheus-data", "alertmanager-data", "grafana-data", "postgres-data", "elasticsearch-data"}
    began = datetime.now(UTC)
    stack.up()
    _is_all_there(stack, silence, began)


def test_a_lost_state_is_adopted_by_one_command(stack: Stack) -> None:
    silence = _silence(stack)
    began = datetime.now(UTC)
    stack.pulumi("stack", "rm", NAME, "--yes", "--force", "--preserve-config")
    stack.pulumi("stack", "init", NAME)
    done = stack.ops("recover", "--stack", NAME)
    assert done.returncode == 0, done.stdout + done.stderr
    _is_all_there(stack, silence, began)
    stack.pulumi("preview", "--stack", NAME, "--expect-no-changes")


def _silence(stack: Stack) -> str:
    now = datetime.now(UTC)
    answer = stack.http.post(
        stack.url("alertmanager") + "/api/v2/silences",
        json={
            "matchers": [{"name": "alertname", "value": "ApiDown", "isRegex": False, "isEqual": True}],
            "startsAt": now.isoformat(), "endsAt": (now + timedelta(hours=1)).isoformat(),
            "createdBy": "end-to-end test", "comment": "kept data",
        },
    )  # fmt: skip
    return str(answer.json()["silenceID"])


def _is_all_there(stack: Stack, silence: str, before: datetime) -> None:
    """The silence, samples of before, and a Grafana that takes the same password and has its objects."""
    silences = stack.http.get(stack.url("alertmanager") + "/api/v2/silences").json()
    assert silence in {found["id"] for found in silences}
    old = f'count_over_time(up{{job="prometheus"}}[5m] @ {before.timestamp():.0f})'
    assert stack.query(old) > 0
    assert set(probes.dashboards(stack.http, stack.url("grafana"), stack.grafana_auth)) == {"overview", "api"}
    eventually(lambda: stack.ops("health", "--stack", NAME).returncode == 0, "health says that all is well")


def test_down_leaves_nothing_on_the_engine(stack: Stack) -> None:
    stack.change(data="delete")
    stack.up()
    stack.pulumi("destroy", "--stack", NAME, "--yes", "--skip-preview")
    assert leftovers(stack.engine) == []
    # Volumes without a name carry no label; none may be left either.
    assert {volume.name for volume in stack.engine.volumes.list()} <= stack.volumes_before
