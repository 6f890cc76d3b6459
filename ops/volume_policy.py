"""What the next `pulumi destroy` does with the data: the last update decided that, not what the settings say by now."""

from collections.abc import Iterable, Mapping
from typing import Any, Final

from stacks.settings import VolumePolicy

VOLUME: Final = "docker:index/volume:Volume"


def deployed_policies(state: Iterable[Mapping[str, Any]]) -> frozenset[VolumePolicy]:
    """The fates of the data volumes in a stack's state: one, both after an update that was not finished, or none where
    nothing is deployed. The other volumes (configuration, secrets) are always removed.
    """
    return frozenset(
        VolumePolicy.RETAIN if resource.get("retainOnDelete") else VolumePolicy.DELETE
        for resource in state
        if resource["type"] == VOLUME and resource.get("id", "").endswith("-data")
    )
