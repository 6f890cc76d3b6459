"""Services that end as a crash ends them, and come back by themselves."""

import time
from datetime import datetime
from functools import partial

from tests.e2e.conftest import Stack, eventually
from tests.e2e.losses import Outage


def kill(stack: Stack, *services: str) -> Outage:
    """Ends services with SIGKILL and waits until the engine calls each healthy again; from the first one's end."""
    before = {service: stack.container(service).attrs["State"] for service in services}
    # From outside, as the kernel would: the engine takes its own kill for a wish and lets the container lie.
    command = f"import os; [os.kill(pid, 9) for pid in {[state['Pid'] for state in before.values()]}]"
    image = stack.container("api").attrs["Config"]["Image"]
    stack.engine.containers.run(image, ["python", "-c", command], pid_mode="host", user="0", remove=True)

    def ended(service: str) -> str:
        """When it ended, once it is back."""
        state = stack.container(service).attrs["State"]
        is_back = state["StartedAt"] != before[service]["StartedAt"] and state["Health"]["Status"] == "healthy"
        return str(state["FinishedAt"]) if is_back else ""

    ends = [eventually(partial(ended, name), f"{name} is healthy again", seconds=180) for name in services]
    return Outage(min(datetime.fromisoformat(end).timestamp() for end in ends), time.time())
