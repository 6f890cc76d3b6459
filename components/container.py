"""What a long-running service is, apart from where it runs; and running it as a container."""

import hashlib
import json
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
from typing import Any

import pulumi
import pulumi_docker as docker

from components.docker_host import DockerHost

SECRETS = "/run/secrets"
TMPFS = "rw,nosuid,nodev,mode=1777"
# Stops a fork bomb. The kernel counts it per user, over all containers and the host: several stacks, and whatever else
# runs as nobody, share it, so it lies far above what one service needs.
NPROC_LIMIT = 4096


@dataclass(frozen=True, kw_only=True)
class HealthCheck:
    """How Docker checks that a service works: a command in the container, exit code 0 for healthy."""

    command: tuple[str, ...]
    interval: str = "5s"
    timeout: str = "5s"
    retries: int = 12
    start_period: str = "5s"

    @classmethod
    def http(cls, port: int, path: str) -> "HealthCheck":
        """Asks the service itself with the wget of its image."""
        return cls(command=("wget", "-q", "-O", "/dev/null", f"http://127.0.0.1:{port}{path}"))


@dataclass(frozen=True, kw_only=True)
class ContainerSpec:
    """A long-running service. The defaults are the least privilege that a service can have.

    `image` is a key of stacks/images.py, or an image's id if it was built here; `user` is the
    official image's own, numeric; `ports` maps a port in the container to the published one; `volumes` maps a path to a
    volume's name; `binds` maps a path to a path of the engine's host, read-only. `memory` is in MiB.
    """

    name: str
    image: str
    user: str
    health: HealthCheck
    image_id: pulumi.Input[str] | None = None
    command: tuple[str, ...] = ()
    entrypoint: tuple[str, ...] = ()
    env: Mapping[str, str] = field(default_factory=dict)
    ports: Mapping[int, int] = field(default_factory=dict)
    volumes: Mapping[str, pulumi.Input[str]] = field(default_factory=dict)
    binds: Mapping[str, str] = field(default_factory=dict)
    tmpfs: tuple[str, ...] = ("/tmp",)
    memory: int = 128
    processes: int | None = NPROC_LIMIT
    pid_mode: str | None = None
    secrets: docker.Volume | None = None

    def replacement_hash(self, image_id: str) -> str:
        """A hash of what makes the engine replace the container: image, command, environment and mounts."""
        parts = [
            image_id,
            self.entrypoint,
            self.command,
            dict(self.env),
            sorted(self.volumes),
            sorted(self.ports.items()),
        ]
        return hashlib.sha256(json.dumps(parts, sort_keys=True).encode()).hexdigest()[:12]


def run_container(
    service: ContainerSpec,
    engine: DockerHost,
    parent: pulumi.Resource,
    depends_on: Sequence[pulumi.Input[pulumi.Resource]] = (),
    labels: Mapping[str, pulumi.Input[str]] | None = None,
) -> docker.Container:
    """The service as one container, which counts as created once Docker reports it healthy.

    `labels` are added to the environment's own. A changed label replaces the container.
    """
    every_label = {**engine.labels(service.name), **(labels or {})}
    return docker.Container(
        service.name,
        name=engine.name(service.name),
        image=service.image_id or engine.image(service.image).image_id,
        entrypoints=list(service.entrypoint) or None,
        command=list(service.command) or None,
        envs=sorted(f"{key}={value}" for key, value in service.env.items()) or None,
        user=service.user,
        ports=[
            docker.ContainerPortArgs(internal=inner, external=outer, ip=str(engine.settings.bind_address))
            for inner, outer in sorted(service.ports.items())
        ]
        or None,
        mounts=_mounts(service),
        tmpfs=dict.fromkeys(sorted(service.tmpfs), TMPFS),
        healthcheck=docker.ContainerHealthcheckArgs(
            tests=["CMD", *service.health.command],
            interval=service.health.interval,
            timeout=service.health.timeout,
            retries=service.health.retries,
            start_period=service.health.start_period,
        ),
        restart="unless-stopped",
        wait=True,
        wait_timeout=180,
        labels=label_args(every_label),
        pid_mode=service.pid_mode,
        read_only=True,
        memory=service.memory,
        memory_swap=service.memory,  # no swap on top
        **{
            **shared_container_args(engine, service.name, service.processes),
            # The engine itself adds this where a service sees the host's processes; unsaid, a refresh would differ.
            **({"security_opts": ["label=disable", "no-new-privileges"]} if service.pid_mode == "host" else {}),
        },
        opts=pulumi.ResourceOptions(
            parent=parent,
            provider=engine.provider,
            depends_on=[*engine.depends_on, *depends_on],
            delete_before_replace=True,
        ),
    )


def shared_container_args(
    engine: DockerHost, service: str, processes: int | None = NPROC_LIMIT, capabilities: tuple[str, ...] = ()
) -> dict[str, Any]:
    """What every container of ours has, the one-shot ones too: network, no privileges, bounded logs and processes."""
    return {
        "network_mode": "bridge",
        "networks_advanced": [docker.ContainerNetworksAdvancedArgs(name=engine.network.name, aliases=[service])],
        "capabilities": docker.ContainerCapabilitiesArgs(drops=["ALL"], adds=list(capabilities) or None),
        "security_opts": ["no-new-privileges"],
        # The provider offers no pids limit.
        "ulimits": [docker.ContainerUlimitArgs(name="nproc", soft=processes, hard=processes)] if processes else None,
        "log_driver": "json-file",
        "log_opts": {"max-file": "3", "max-size": "10m"},
    }


def label_args(labels: Mapping[str, pulumi.Input[str]]) -> list[docker.ContainerLabelArgs]:
    return [docker.ContainerLabelArgs(label=key, value=labels[key]) for key in sorted(labels)]


def _mounts(service: ContainerSpec) -> list[docker.ContainerMountArgs]:
    mounts = [
        docker.ContainerMountArgs(type="volume", source=name, target=path)
        for path, name in sorted(service.volumes.items())
    ]
    mounts += [
        docker.ContainerMountArgs(type="bind", source=source, target=path, read_only=True)
        for path, source in sorted(service.binds.items())
    ]
    if service.secrets is not None:
        mounts.append(
            docker.ContainerMountArgs(type="volume", source=service.secrets.name, target=SECRETS, read_only=True)
        )
    return mounts
