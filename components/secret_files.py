"""Secrets as files: a one-shot container puts them into a volume of their own, readable by the service's user alone."""

from collections.abc import Mapping
from typing import Final

import pulumi
import pulumi_docker as docker

from components import job
from components.container import SECRETS
from components.docker_host import DockerHost
from components.job import JobSpec
from stacks.settings import VolumePolicy

STAGE: Final = "/stage"
# An upload cannot name an owner (the engine looks it up in the image's passwd), and a service's own read-only container
# refuses uploads: so root, with nothing but CHOWN, hands the files over. A rename leaves no moment without a secret.
# A file that is no longer wanted stays: the configuration that is live may name it, and the next one may be refused.
SCRIPT: Final = f"""set -eu
rm -f {SECRETS}/.new.*
for file in {STAGE}/*; do
    [ -e "$file" ] || continue
    name=${{file##*/}}
    cp "$file" "{SECRETS}/.new.$name"
    chmod 0400 "{SECRETS}/.new.$name"
    chown "$OWNER" "{SECRETS}/.new.$name"
    mv -f "{SECRETS}/.new.$name" "{SECRETS}/$name"
done
rm -f {STAGE}/*
"""


class SecretsArgs:
    """`image` is a key of stacks/images.py whose image has a shell, `user` the numeric `uid:gid` that reads the files,
    `files` maps a file's name to its content; there may be none.
    """

    def __init__(
        self, *, engine: DockerHost, service: str, image: str, user: str, files: Mapping[str, pulumi.Input[str]]
    ) -> None:
        self.engine = engine
        self.service = service
        self.image = image
        self.user = user
        self.files = files


class Secrets(pulumi.ComponentResource):
    """The files under /run/secrets of one service (mode 0400, in `<prefix>-<service>-secrets`, removed on destroy).

    `staged` resolves once they are there. `version` is new whenever they are: a service that reads its secrets only as
    it starts takes it as a label, and is replaced.
    """

    names: tuple[str, ...]
    volume: docker.Volume
    staged: pulumi.Output[docker.Container]
    version: pulumi.Output[str]

    def __init__(self, name: str, args: SecretsArgs, opts: pulumi.ResourceOptions | None = None) -> None:
        super().__init__("softfactory:monitoring:Secrets", name, None, opts)
        self.names = tuple(sorted(args.files))
        self.volume = args.engine.volume(args.service, "secrets", self, fate=VolumePolicy.DELETE)
        shot = JobSpec(
            name=name,
            image=args.image,
            user="0:0",
            command=SCRIPT,
            env=[f"OWNER={args.user}"],
            uploads=[
                docker.ContainerUploadArgs(
                    file=f"{STAGE}/{file}", content=pulumi.Output.secret(content), permissions="0400"
                )
                for file, content in sorted(args.files.items())
            ],
            mounts=[(SECRETS, self.volume, False)],
            capabilities=("CAP_CHOWN",),
        )
        self.staged = job.run(shot, args.engine, self)
        self.version = self.staged.apply(lambda container: container.id)
        self.register_outputs({"volume": self.volume.name})


def stage(
    engine: DockerHost,
    service: str,
    user: str,
    files: Mapping[str, pulumi.Input[str]],
    parent: pulumi.Resource,
    image: str | None = None,
) -> Secrets:
    """The secrets of one service, named after it; `image` is its image's key where that is not its name."""
    args = SecretsArgs(engine=engine, service=service, image=image or service, user=user, files=files)
    return Secrets(f"{service}-secrets", args, pulumi.ResourceOptions(parent=parent))
