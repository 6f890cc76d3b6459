"""A container that runs to completion as one step of an update."""

from collections.abc import Sequence
from dataclasses import dataclass

import pulumi
import pulumi_docker as docker

from components.container import TMPFS, label_args, shared_container_args
from components.docker_host import DockerHost


@dataclass(frozen=True, kw_only=True)
class JobSpec:
    """What runs once. `uploads` are copied into the container before it starts; each of `mounts` is a path, a volume
    and whether it is read-only. `always_run` runs it even if nothing about it changed.
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
    always_run: bool = False


def run_job(
    spec: JobSpec, engine: DockerHost, parent: pulumi.Resource, depends_on: Sequence[pulumi.Input[pulumi.Resource]] = ()
) -> pulumi.Output[docker.Container]:
    """Runs the job; the output is its container once it has succeeded. If it fails in a real run, the update fails with
    what it printed, and whatever depends on the output is left unchanged.

    Pulumi records a failed run as created. To make the next update retry it with unchanged inputs, a label holds the
    previous container's id; changes to that label are ignored unless the previous run failed or `always_run` is set.
    """
    name = engine.name(spec.name)
    previous = engine.existing_containers.get(name)
    failed = previous is not None and not previous.running and previous.exit_code != 0
    container = docker.Container(
        spec.name,
        name=name,
        image=engine.image(spec.image).image_id,
        entrypoints=["/bin/sh", "-c"],
        command=[spec.command],
        envs=spec.env,
        user=spec.user,
        uploads=list(spec.uploads),
        mounts=[
            docker.ContainerMountArgs(type="volume", source=volume.name, target=path, read_only=read_only)
            for path, volume, read_only in spec.mounts
        ],
        tmpfs={"/tmp": TMPFS},
        labels=label_args(
            {**engine.labels(spec.name), "softfactory.previous-run": previous.id[:12] if previous else "first"}
        ),
        must_run=False,
        attach=True,
        logs=True,
        restart="no",
        memory=spec.memory,
        memory_swap=spec.memory,
        **shared_container_args(engine, spec.name, capabilities=spec.capabilities),
        opts=pulumi.ResourceOptions(
            parent=parent,
            provider=engine.provider,
            depends_on=[*engine.depends_on, *depends_on],
            delete_before_replace=True,
            ignore_changes=None if failed or spec.always_run else ["labels"],
        ),
    )

    def fail_on_nonzero_exit(result: Sequence[object]) -> docker.Container:
        exit_code, logs = result
        # Preview shows what is pending; an attempt that failed before must not end it.
        if exit_code not in (0, None) and not pulumi.runtime.is_dry_run():
            raise pulumi.RunError(f"{spec.name} failed (exit code {exit_code}):\n{str(logs or '').strip()}")
        return container

    # The engine calls the container made however it ended: depending on it alone would let everything go on.
    return pulumi.Output.all(container.exit_code, container.container_logs).apply(fail_on_nonzero_exit)
