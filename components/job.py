"""A container that runs once, to its end, as a step of an update."""

from collections.abc import Sequence
from dataclasses import dataclass

import pulumi
import pulumi_docker as docker

from components.container import TMPFS, common, label_args
from components.docker_host import DockerHost


@dataclass(frozen=True, kw_only=True)
class JobSpec:
    """What runs once. `uploads` are put into the container before it starts; `mounts` map a path to a volume and
    whether it is read-only. `again` runs it even where nothing of it changed.
    """

    name: str
    image: str
    user: str
    command: str  # for sh -c
    env: pulumi.Input[Sequence[str]]
    uploads: Sequence[docker.ContainerUploadArgs]
    mounts: Sequence[tuple[str, docker.Volume, bool]]
    capabilities: tuple[str, ...] = ()
    memory: int = 128  # MiB
    again: bool = False


def run(
    shot: JobSpec, engine: DockerHost, parent: pulumi.Resource, depends_on: Sequence[pulumi.Input[pulumi.Resource]] = ()
) -> pulumi.Output[docker.Container]:
    """Runs it; the output is its container once it ended well. In a real run the update fails with what it printed
    where it ended otherwise; whatever depends on the output is then left as it is.

    A failed attempt stays in Pulumi's state as made. So that the next update tries again with unchanged input, a label
    names the attempt before, and counts only where that attempt failed or `again` says so.
    """
    name = engine.name(shot.name)
    before = engine.seen.get(name)
    failed = before is not None and not before.running and before.exit_code != 0
    container = docker.Container(
        shot.name,
        name=name,
        image=engine.image(shot.image).image_id,
        entrypoints=["/bin/sh", "-c"],
        command=[shot.command],
        envs=shot.env,
        user=shot.user,
        uploads=list(shot.uploads),
        mounts=[
            docker.ContainerMountArgs(type="volume", source=volume.name, target=path, read_only=read_only)
            for path, volume, read_only in shot.mounts
        ],
        tmpfs={"/tmp": TMPFS},
        labels=label_args(
            {**engine.labels(shot.name), "softfactory.previous-run": before.id[:12] if before else "first"}
        ),
        must_run=False,
        attach=True,
        logs=True,
        restart="no",
        memory=shot.memory,
        memory_swap=shot.memory,
        **common(engine, shot.name, capabilities=shot.capabilities),
        opts=pulumi.ResourceOptions(
            parent=parent,
            provider=engine.provider,
            depends_on=[*engine.waits_for, *depends_on],
            delete_before_replace=True,
            ignore_changes=None if failed or shot.again else ["labels"],
        ),
    )

    def judge(seen: Sequence[object]) -> docker.Container:
        exit_code, logs = seen
        # Preview shows what is pending; an attempt that failed before must not end it.
        if exit_code not in (0, None) and not pulumi.runtime.is_dry_run():
            raise pulumi.RunError(f"{shot.name} failed (exit code {exit_code}):\n{str(logs or '').strip()}")
        return container

    # The engine calls the container made however it ended: depending on it alone would let everything go on.
    return pulumi.Output.all(container.exit_code, container.container_logs).apply(judge)
