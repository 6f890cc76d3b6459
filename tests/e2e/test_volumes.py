"""What goes wrong in a volume is named, costs nothing that was stored before, and is put right as the guide says; it
touches no other stack on the same engine.
"""

import subprocess
import time
from collections.abc import Iterator
from contextlib import contextmanager
from typing import Any

import pytest

from desired_state import load_desired_state
from tests.e2e import data_loss
from tests.e2e.conftest import NEIGHBOUR, ROOT, Stack, Survived, eventually, leftovers
from tests.e2e.data_loss import Outage

pytestmark = pytest.mark.engine

SIZE = "24m"  # of the data volume that is filled


def _as_root(stack: Stack, volume: str, command: str) -> None:
    """Runs a shell command where a volume of Prometheus or Alertmanager lies at /volume."""
    image = stack.container("prometheus").attrs["Config"]["Image"]
    mounted = {f"{stack.prefix}-{volume}": {"bind": "/volume", "mode": "rw"}}
    stack.engine.containers.run(image, ["-c", command], entrypoint="sh", user="0", volumes=mounted, remove=True)


def _as_documented(stack: Stack, heading: str) -> None:
    """Runs the commands of a section of the guide, for this stack."""
    guide = (ROOT / "docs" / "guide.md").read_text(encoding="utf-8")
    section = guide.partition(f"### {heading}\n")[2].partition("\n#")[0]
    commands = [line.removeprefix("$ ") for line in section.splitlines() if line.startswith("$ ")]
    assert commands, f"the guide has no commands under {heading}"
    script = "\n".join(commands).replace("softfactory-", f"{stack.prefix}-")
    done = subprocess.run(["bash", "-euc", script], env=stack.environment, capture_output=True, text=True, check=False)
    assert done.returncode == 0, done.stderr


def _told(stack: Stack, *words: str) -> None:
    """Health comes to say so."""

    def is_said() -> bool:
        report = stack.ops("health", "--stack", stack.name)
        return report.returncode == 1 and all(word in report.stdout for word in words)

    eventually(is_said, f"health says {words}")


def test_a_volume_of_another_owner_is_named_and_given_back_and_a_broken_routing_put_right(
    stack: Stack, survived: Survived
) -> None:
    """Two faults at once, of two services that then cannot start. Nothing of the input changes."""
    before, alertmanager = data_loss.samples(stack), stack.container("alertmanager").id
    began = time.time()
    stack.container("prometheus").stop()
    _as_root(stack, "prometheus-data", "chown -R 0:0 /volume")
    _as_root(stack, "alertmanager-config", ": > /volume/current/alertmanager.yml")
    stack.container("alertmanager").restart()
    try:
        stack.container("prometheus").start()
        log = f"docker logs {stack.prefix}-prometheus"
        _told(stack, "prometheus: its container", log, "alertmanager: its container")
        assert "permission denied" in stack.container("prometheus").logs().decode()
        failed = stack.up(check=False)
        assert failed.returncode != 0
        assert "prometheus: its container" in failed.stdout
    finally:
        _as_documented(stack, "A volume with the wrong owner")
    # What cannot start is started again after a while, a minute at most; until then an update fails, and says so.
    deadline = time.monotonic() + 300
    while stack.up(check=time.monotonic() > deadline).returncode:
        pass
    stack.becomes_healthy(120)
    assert stack.container("alertmanager").id == alertmanager
    _assert_survived(stack, before, Outage(began, time.time()), "data volume of another owner, routing cut", survived)


def test_a_broken_configuration_in_the_volume_is_put_right_by_an_update(stack: Stack, survived: Survived) -> None:
    """Nothing of the input changes; the update sees that what runs is not what is wanted."""
    before, container = data_loss.samples(stack), stack.container("prometheus").id
    began = time.time()
    _as_root(stack, "prometheus-config", ": > /volume/current/prometheus.yml")
    stack.container("prometheus").restart()
    _told(stack, "Prometheus: runs release none")
    stack.up()
    outage = Outage(began, time.time())
    assert stack.container("prometheus").id == container
    stack.pulumi("preview", "--stack", stack.name, "--expect-no-changes")
    _assert_survived(stack, before, outage, "configuration of Prometheus cut", survived)


def _assert_survived(stack: Stack, before: data_loss.Samples, outage: Outage, fault: str, survived: Survived) -> None:
    lost = data_loss.lost(stack, before, outage)
    survived(f"{fault}, then put right", outage.seconds, len(lost))
    assert data_loss.beyond_start(lost) == []


def test_a_full_data_volume_is_named_and_costs_nothing_that_was_stored_nor_another_stack_anything(
    stack: Stack, survived: Survived
) -> None:
    settings, services = stack.settings(), ("prometheus", "grafana", "node-exporter", "api")
    neighbours = {service: stack.identity(service) for service in services}
    values = {key: settings[key] for key in ("environment", "volume_policy", "scrape_interval", "notifications")}
    # Nothing but the stack itself is watched: it is up in seconds. Its samples go to a small file system in memory.
    with stack.neighbour(values) as small, _small_volume(stack) as holder:
        expected = load_desired_state(small.name, folder=small.folder / "stacks").expected
        counts = f"{len(expected.targets)} targets, {len(expected.rules)} rules, 2 data sources, "
        assert f"{counts}{len(expected.dashboards)} dashboards: live" in small.up().stdout
        stack.becomes_healthy()
        before = data_loss.samples(small)
        began = time.time()
        assert holder.exec_run(["dd", "if=/dev/zero", "of=/volume/fill", "bs=4096"]).exit_code != 0
        _told(small, "Prometheus: stores nothing", "no space left on device", f"docker restart {NEIGHBOUR}-prometheus")
        failed = small.up(check=False)
        assert failed.returncode != 0
        assert "no space left on device" in failed.stdout
        kept = data_loss.samples(small, min(min(times) for times in before.values()))
        gone = {target: times - kept[target] for target, times in before.items() if not times <= kept[target]}
        assert gone == {}, "queries are answered from what is there"

        assert holder.exec_run(["rm", "/volume/fill"]).exit_code == 0
        _told(small, "its next start drops what it stored since", f"docker restart {NEIGHBOUR}-prometheus")
        _as_documented(small, "A full data volume")
        small.becomes_healthy()
        outage = Outage(began, time.time())
        lost = data_loss.lost(small, before, outage)
        survived("full data volume, made room in", outage.seconds, len(lost))
        assert data_loss.beyond_start(lost) == []

        before, began = data_loss.samples(small), time.time()
        small.container("prometheus").restart()
        small.becomes_healthy()
        lost = data_loss.lost(small, before, Outage(began, time.time()))
        assert data_loss.beyond_start(lost) == [], "what was stored since is there to stay"
    assert leftovers(stack.engine, NEIGHBOUR) == []
    assert {service: stack.identity(service) for service in services} == neighbours
    stack.becomes_healthy(120)


@contextmanager
def _small_volume(stack: Stack) -> Iterator[Any]:
    """The neighbour's data volume for Prometheus, made before its first update, with a container that writes to it and
    keeps it in memory while Prometheus is restarted.
    """
    labels = {
        "softfactory.project": "softfactory-monitoring",
        "softfactory.prefix": NEIGHBOUR,
        "softfactory.environment": "dev",
        "softfactory.service": "prometheus",
    }
    options = {"type": "tmpfs", "device": "tmpfs", "o": f"size={SIZE},uid=65534,mode=0755"}
    volume = stack.engine.volumes.create(f"{NEIGHBOUR}-prometheus-data", driver_opts=options, labels=labels)
    holder = stack.engine.containers.run(
        stack.container("prometheus").attrs["Config"]["Image"],
        ["-c", "sleep 1000"],
        entrypoint="sh",
        user="65534",
        volumes={volume.name: {"bind": "/volume", "mode": "rw"}},
        labels=labels,
        detach=True,
    )
    try:
        yield holder
    finally:
        holder.remove(force=True, v=True)
