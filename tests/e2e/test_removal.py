"""What stays and what goes: kept data, a lost state, and the end."""

import secrets
import time

import pytest

from desired_state import GRAFANA_PASSWORD
from tests.e2e import data_loss, persisted_state
from tests.e2e.conftest import NAME, PREFIX, Stack, Survived, leftovers
from tests.e2e.data_loss import Outage

pytestmark = pytest.mark.engine


def test_down_says_that_a_changed_fate_needs_an_update_first(stack: Stack) -> None:
    assert "are removed" in stack.ops("volume-policy", "--stack", NAME).stdout
    stack.change(volume_policy="retain")
    told = stack.ops("volume-policy", "--stack", NAME)  # what `make down` asks before it does anything
    assert told.returncode == 2
    assert f"`make up STACK={NAME}` first" in told.stderr
    stack.up()
    told = stack.ops("volume-policy", "--stack", NAME)
    assert told.returncode == 0
    assert "stay" in told.stdout


def test_kept_data_is_there_after_destroy_and_up_and_takes_another_password_by_one_command(
    stack: Stack, survived: Survived
) -> None:
    before, is_kept = data_loss.samples(stack), _marks(stack)
    began = time.time()
    stack.pulumi("destroy", "--stack", NAME, "--yes", "--skip-preview")
    kept = {item.removeprefix(f"volume {PREFIX}-") for item in leftovers(stack.engine)}
    assert kept == {"prometheus-data", "alertmanager-data", "grafana-data", "postgres-data", "elasticsearch-data"}
    stack.pulumi("config", "set", "--secret", GRAFANA_PASSWORD, "--stack", NAME, stdin=secrets.token_urlsafe(24))
    assert stack.up(check=False).returncode != 0
    refused = stack.up(check=False)
    assert refused.returncode != 0
    assert "its password is not the stack's secret" in refused.stdout
    done = stack.ops("rotate-secret", GRAFANA_PASSWORD, "--stack", NAME)
    assert done.returncode == 0, done.stdout + done.stderr
    stack.passwords[GRAFANA_PASSWORD] = stack.pulumi("config", "get", GRAFANA_PASSWORD, "--stack", NAME).stdout.strip()
    fault = "destroy with data kept, then up with another password"
    _is_all_there(stack, before, is_kept, Outage(began, time.time()), fault, survived)


def test_a_lost_state_is_adopted_by_one_command_with_the_settings_of_now(stack: Stack, survived: Survived) -> None:
    before, is_kept = data_loss.samples(stack), _marks(stack)
    stack.pulumi("stack", "rm", NAME, "--yes", "--force", "--preserve-config")
    stack.pulumi("stack", "init", NAME)
    stack.change(volume_policy="delete")
    began = time.time()
    done = stack.ops("recover", "--stack", NAME)
    assert done.returncode == 0, done.stdout + done.stderr
    _is_all_there(stack, before, is_kept, Outage(began, time.time()), "state lost, then recover", survived)
    stack.pulumi("preview", "--stack", NAME, "--expect-no-changes")


def _marks(stack: Stack) -> list[persisted_state.Question]:
    return [persisted_state.silence(stack), persisted_state.dashboard(stack), persisted_state.user(stack)]


def _is_all_there(
    stack: Stack,
    before: data_loss.Samples,
    is_kept: list[persisted_state.Question],
    outage: Outage,
    fault: str,
    survived: Survived,
) -> None:
    stack.becomes_healthy()
    assert [question() for question in is_kept] == [True] * len(is_kept)
    lost = data_loss.lost(stack, before, outage)
    survived(fault, outage.seconds, len(lost))
    assert data_loss.beyond_start(lost) == []


def test_down_leaves_nothing_on_the_engine(stack: Stack) -> None:
    assert "are removed" in stack.ops("volume-policy", "--stack", NAME).stdout
    # Volumes that an image asks for have no name and no label; none may be left either.
    mine = stack.engine.containers.list(all=True, filters={"label": f"softfactory.prefix={PREFIX}"})
    mounts = [mount for container in mine for mount in container.attrs["Mounts"] if mount["Type"] == "volume"]
    nameless = {mount["Name"] for mount in mounts if not mount["Name"].startswith(PREFIX)}
    assert nameless, "Prometheus' image asks for one, also where it only checks a release"
    stack.pulumi("destroy", "--stack", NAME, "--yes", "--skip-preview")
    assert leftovers(stack.engine) == []
    assert nameless & {volume.name for volume in stack.engine.volumes.list()} == set()
