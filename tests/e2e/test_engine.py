"""The Docker engine ends and is started again: the stack comes back by itself.

Only an engine that set-up itself started is ended (supply/engine): on another one, others may be at work.
"""

import subprocess
import time

import docker.errors
import psutil
import pytest
import requests

from tests.e2e import data_loss, persisted_state
from tests.e2e.conftest import NAME, PREFIX, ROOT, Stack, Survived, eventually
from tests.e2e.data_loss import Outage

pytestmark = pytest.mark.engine

ENGINE = ROOT / "supply" / "engine"


@pytest.fixture
def process() -> psutil.Process:
    """The engine's own process."""
    found = subprocess.run([ENGINE, "pid"], capture_output=True, text=True, check=False) if ENGINE.exists() else None
    if found is None or found.returncode:
        pytest.skip("the Docker engine of this machine was not started by supply/engine: it is not ours to end")
    return psutil.Process(int(found.stdout))


def test_all_comes_back_by_itself_when_the_engine_does(
    stack: Stack, survived: Survived, process: psutil.Process
) -> None:
    is_kept = [persisted_state.saved_silence(stack), persisted_state.dashboard(stack), persisted_state.user(stack)]
    before, containers = data_loss.samples(stack), _containers(stack)
    began = time.time()
    process.terminate()
    eventually(lambda: not _runs(process), "the engine has ended", seconds=60)
    subprocess.run([ENGINE, "start"], check=True, capture_output=True, text=True, timeout=120)
    eventually(lambda: _containers(stack) == containers, "the same containers are healthy again", seconds=180)
    outage = Outage(began, time.time())
    stack.becomes_healthy(60)
    assert [question() for question in is_kept] == [True] * len(is_kept)
    lost = data_loss.lost(stack, before, outage)
    survived("engine ended and started again", outage.seconds, len(lost))
    assert data_loss.beyond_start(lost) == []
    stack.pulumi("preview", "--stack", NAME, "--expect-no-changes")


def _runs(process: psutil.Process) -> bool:
    return process.is_running() and process.status() != psutil.STATUS_ZOMBIE


def _containers(stack: Stack) -> dict[str, str]:
    """Id to health of the stack's running containers; none while the engine does not answer."""
    try:
        there = stack.engine.containers.list(filters={"label": f"softfactory.prefix={PREFIX}"}, ignore_removed=True)
    except (docker.errors.DockerException, requests.RequestException):
        return {}
    return {str(container.id): container.attrs["State"]["Health"]["Status"] for container in there}
