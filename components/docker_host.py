"""The Docker host of one environment: provider, network, images, volumes, and the names and labels of them all."""

from collections.abc import Mapping
from dataclasses import dataclass, field, replace

import pulumi
import pulumi_docker as docker

from clients.probes import ContainerState
from stacks.settings import Settings, VolumePolicy

PROJECT = "softfactory-monitoring"


@dataclass(frozen=True, kw_only=True)
class DockerHost:
    """Where containers run, and the `existing_containers` there before the update. Create one per program, with
    `DockerHost.create`. Every container that runs here waits for `depends_on`; see `with_depends_on`.
    """

    settings: Settings
    provider: docker.Provider
    network: docker.Network
    existing_containers: Mapping[str, ContainerState]
    depends_on: tuple[pulumi.Input[docker.Container], ...] = ()
    _images: dict[str, docker.RemoteImage] = field(default_factory=dict, repr=False)

    @classmethod
    def create(cls, settings: Settings, existing_containers: Mapping[str, ContainerState]) -> "DockerHost":
        """The engine that the settings name, with the environment's own network on it."""
        provider = docker.Provider("engine", host=settings.docker_host)
        network = docker.Network(
            "network",
            name=settings.name_prefix,
            labels=[docker.NetworkLabelArgs(label=k, value=v) for k, v in _labels(settings, "network").items()],
            opts=pulumi.ResourceOptions(provider=provider),
        )
        return cls(settings=settings, provider=provider, network=network, existing_containers=existing_containers)

    def with_depends_on(self, *steps: pulumi.Input[docker.Container]) -> "DockerHost":
        """The same host, for what may only be touched after these steps of the update have succeeded."""
        return replace(self, depends_on=(*self.depends_on, *steps))

    def name(self, service: str) -> str:
        """The name of a service's container, e.g. `softfactory-prometheus`."""
        return f"{self.settings.name_prefix}-{service}"

    def labels(self, service: str) -> dict[str, str]:
        return _labels(self.settings, service)

    def image(self, key: str) -> docker.RemoteImage:
        """The pinned image of that key, pulled once; it stays on the host, because another stack may use it."""
        if key not in self._images:
            self._images[key] = docker.RemoteImage(
                f"image-{key}",
                name=self.settings.images.reference(key),
                keep_locally=True,
                opts=pulumi.ResourceOptions(provider=self.provider),
            )
        return self._images[key]

    def volume(
        self, service: str, role: str, parent: pulumi.Resource, policy: VolumePolicy | None = None
    ) -> docker.Volume:
        """The volume `<name_prefix>-<service>-<role>`; without `policy`, the environment's volume policy applies."""
        kept = (policy or self.settings.volume_policy) is VolumePolicy.RETAIN
        return docker.Volume(
            f"{service}-{role}",
            name=f"{self.name(service)}-{role}",
            labels=[docker.VolumeLabelArgs(label=k, value=v) for k, v in self.labels(service).items()],
            opts=pulumi.ResourceOptions(
                parent=parent,
                provider=self.provider,
                retain_on_delete=kept,
                # A volume cannot be changed without losing what is in it: nothing after its creation may replace it.
                ignore_changes=["labels", "driver", "driverOpts"],
            ),
        )


def _labels(settings: Settings, service: str) -> dict[str, str]:
    return {
        "softfactory.project": PROJECT,
        "softfactory.prefix": settings.name_prefix,
        "softfactory.environment": settings.environment,
        "softfactory.service": service,
    }
