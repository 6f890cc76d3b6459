"""node_exporter, which measures Docker's host."""

from components.container import ContainerSpec, HealthCheck
from components.exporters.model import NOBODY, ExporterSpec
from rules.node import JOB


def spec() -> ExporterSpec:
    return ExporterSpec(
        container=ContainerSpec(
            name="node-exporter",
            image="node-exporter",
            user=NOBODY,
            # The host's root, read-only, and its process ids: the exceptions that this exporter exists for. It stays in
            # the network of the stack, where the host's network cards are not to be seen, so their collectors are off.
            command=(
                "--path.rootfs=/host",
                "--path.procfs=/host/proc",
                "--path.sysfs=/host/sys",
                "--no-collector.arp",
                "--no-collector.netclass",
                "--no-collector.netdev",
                "--no-collector.netstat",
                "--no-collector.sockstat",
            ),
            binds={"/host": "/"},
            pid_mode="host",
            health=HealthCheck.http(JOB.port, "/"),
        )
    )
