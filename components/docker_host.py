"""The Docker engine of one environment: provider, network, images, volumes, and everything's names and labels."""

from collections.abc import Mapping
from dataclasses import dataclass, field, replace

import pulumi
import pulumi_docker as docker

from clients.probes import ContainerState
from stacks.settings import Settings, VolumePolicy

PROJECT = "softfactory-monitoring"


@dataclass(frozen=True, kw_only=True)
class DockerHost:
    """Where containers are placed, and what was `seen` there before. Make it with `DockerHost.of`, once per program.

    `waits_for` comes before every container that is placed here, see `after`.
    """

    settings: Settings
    provider: docker.Provider
    network: docker.Network
    seen: Mapping[str, ContainerState]
    waits_for: tuple[pulumi.Input[docker.Container], ...] = ()
    _images: dict[str, docker.RemoteImage] = field(default_factory=dict, repr=False)

    @classmethod
    def of(cls, settings: Settings, seen: Mapping[str, ContainerState]) -> "DockerHost":
        """The engine that the settings name, with the environment's own network on it."""
        provider = docker.Provider("engine", host=settings.docker_host)
        network = docker.Network(
            "network",
            name=settings.name_prefix,
            labels=[docker.NetworkLabelArgs(label=k, value=v) for k, v in _labels(settings, "network").items()],
            opts=pulumi.ResourceOptions(provider=provider),
        )
        return cls(settings=settings, provider=provider, network=network, seen=seen)

    def after(self, *steps: pulumi.Input[docker.Container]) -> "DockerHost":
        """The same engine for what may only be touched once these steps of the update have ended well."""
        return replace(self, waits_for=(*self.waits_for, *steps))

    def name(self, service: str) -> str:
        """The name of a service's container, e.g. `softfactory-prometheus`."""
        return f"{self.settings.name_prefix}-{service}"

    def labels(self, service: str) -> dict[str, str]:
        return _labels(self.settings, service)

    def image(self, key: str) -> docker.RemoteImage:
        """The pinned image of that key, pulled once; it stays on the engine, where another stack may use it."""
        if key not in self._images:
            self._images[key] = docker.RemoteImage(
                f"image-{key}",
                name=self.settings.images.reference(key),
                keep_locally=True,
                opts=pulumi.ResourceOptions(provider=self.provider),
            )
        return self._images[key]

    def volume(
        self, service: str, role: str, parent: pulumi.Resource, fate: VolumePolicy | None = None
    ) -> docker.Volume:
        """The volume `<prefix>-<service>-<role>`; its fate on destroy is the environment's unless given."""
        kept = (fate or self.settings.volume_policy) is VolumePolicy.RETAIN
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
