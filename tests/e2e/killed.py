"""Signals to services from outside; after SIGKILL they come back by themselves, as after a crash."""

import signal
import time
from datetime import datetime
from functools import partial

from tests.e2e.conftest import Stack, eventually
from tests.e2e.data_loss import Outage


def send(stack: Stack, number: signal.Signals, *services: str) -> None:
    """Signals the services' first processes from outside, as the kernel would: the engine takes a signal that it sends
    itself for a wish to end the container, and never starts it again.
    """
    pids = [stack.container(service).attrs["State"]["Pid"] for service in services]
    command = f"import os; [os.kill(pid, {int(number)}) for pid in {pids}]"
    image = stack.container("api").attrs["Config"]["Image"]
    stack.engine.containers.run(image, ["python", "-c", command], pid_mode="host", user="0", remove=True)


def kill(stack: Stack, *services: str) -> Outage:
    """Ends services with SIGKILL and waits until the engine calls each healthy again; from the first one's end."""
    before = {service: stack.container(service).attrs["State"] for service in services}
    send(stack, signal.SIGKILL, *services)

    def ended(service: str) -> str:
        """When it ended, once it is back."""
        state = stack.container(service).attrs["State"]
        is_back = state["StartedAt"] != before[service]["StartedAt"] and state["Health"]["Status"] == "healthy"
        return str(state["FinishedAt"]) if is_back else ""

    ends = [eventually(partial(ended, name), f"{name} is healthy again", seconds=180) for name in services]
    return Outage(min(datetime.fromisoformat(end).timestamp() for end in ends), time.time())
