"""Secrets as files: a job writes them into a volume of their own, which only the service's user can read."""

from collections.abc import Mapping
from typing import Final

import pulumi
import pulumi_docker as docker

from components.container import SECRETS
from components.docker_host import DockerHost
from components.job import JobSpec, run_job
from stacks.settings import VolumePolicy

STAGING_DIR: Final = "/stage"
# An upload cannot name an owner (the engine looks it up in the image's passwd), and a service's own read-only container
# refuses uploads: so root, with nothing but CHOWN, hands the files over. A rename leaves no moment without a secret.
# A file that is no longer wanted stays: the configuration that is live may name it, and the next one may be refused.
SCRIPT: Final = f"""set -eu
rm -f {SECRETS}/.new.*
for file in {STAGING_DIR}/*; do
    [ -e "$file" ] || continue
    name=${{file##*/}}
    cp "$file" "{SECRETS}/.new.$name"
    chmod 0400 "{SECRETS}/.new.$name"
    chown "$OWNER" "{SECRETS}/.new.$name"
    mv -f "{SECRETS}/.new.$name" "{SECRETS}/$name"
done
rm -f {STAGING_DIR}/*
"""


class SecretFilesArgs:
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


class SecretFiles(pulumi.ComponentResource):
    """One service's files under /run/secrets: mode 0400, in `<name_prefix>-<service>-secrets`, removed on destroy.

    `written` resolves once they exist. `revision` changes whenever they do: a service that reads its secrets only when
    it starts has it as a label, so that it is replaced.
    """

    names: tuple[str, ...]
    volume: docker.Volume
    written: pulumi.Output[docker.Container]
    revision: pulumi.Output[str]

    def __init__(self, name: str, args: SecretFilesArgs, opts: pulumi.ResourceOptions | None = None) -> None:
        super().__init__("softfactory:monitoring:Secrets", name, None, opts)
        self.names = tuple(sorted(args.files))
        self.volume = args.engine.volume(args.service, "secrets", self, policy=VolumePolicy.DELETE)
        shot = JobSpec(
            name=name,
            image=args.image,
            user="0:0",
            command=SCRIPT,
            env=[f"OWNER={args.user}"],
            uploads=[
                docker.ContainerUploadArgs(
                    file=f"{STAGING_DIR}/{file}", content=pulumi.Output.secret(content), permissions="0400"
                )
                for file, content in sorted(args.files.items())
            ],
            mounts=[(SECRETS, self.volume, False)],
            capabilities=("CAP_CHOWN",),
        )
        self.written = run_job(shot, args.engine, self)
        self.revision = self.written.apply(lambda container: container.id)
        self.register_outputs({"volume": self.volume.name})


def secret_files(
    engine: DockerHost,
    service: str,
    user: str,
    files: Mapping[str, pulumi.Input[str]],
    parent: pulumi.Resource,
    image: str | None = None,
) -> SecretFiles:
    """The secret files of one service; `image` is the key of its image if that is not the service's name."""
    args = SecretFilesArgs(engine=engine, service=service, image=image or service, user=user, files=files)
    return SecretFiles(f"{service}-secrets", args, pulumi.ResourceOptions(parent=parent))
