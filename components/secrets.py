"""Secrets as files: a one-shot container puts them into a volume of their own, readable by the service's user alone."""

from collections.abc import Mapping

import pulumi
import pulumi_docker as docker

from components.engine import Engine
from components.service import SECRETS, TMPFS, common, label_args
from stacks.settings import Fate

STAGE = "/stage"
# An upload cannot name an owner (the engine looks it up in the image's passwd), and a service's own read-only container
# refuses uploads: so root, with nothing but CHOWN, hands the files over. A rename leaves no moment without a secret.
SCRIPT = f"""set -eu
for file in {STAGE}/*; do
    name=${{file##*/}}
    cp "$file" "{SECRETS}/.$name"
    chmod 0400 "{SECRETS}/.$name"
    chown "$OWNER" "{SECRETS}/.$name"
    mv -f "{SECRETS}/.$name" "{SECRETS}/$name"
done
for file in {SECRETS}/*; do
    [ -e "{STAGE}/${{file##*/}}" ] || rm -f "$file"
done
"""


class SecretsArgs:
    """`image` is a key of stacks/images.py whose image has a shell, `user` the numeric `uid:gid` that reads the files,
    `files` maps a file's name to its content.
    """

    def __init__(
        self, *, engine: Engine, service: str, image: str, user: str, files: Mapping[str, pulumi.Input[str]]
    ) -> None:
        if not files:
            raise ValueError(f"{service}: no secrets to stage")
        self.engine = engine
        self.service = service
        self.image = image
        self.user = user
        self.files = files


class Secrets(pulumi.ComponentResource):
    """The files under /run/secrets of one service (mode 0400, in `<prefix>-<service>-secrets`, removed on destroy)."""

    volume: docker.Volume
    staged: docker.Container

    def __init__(self, name: str, args: SecretsArgs, opts: pulumi.ResourceOptions | None = None) -> None:
        super().__init__("softfactory:monitoring:Secrets", name, None, opts)
        engine = args.engine
        self.volume = engine.volume(args.service, "secrets", self, fate=Fate.DELETE)
        self.staged = docker.Container(
            name,
            name=engine.name(name),
            image=engine.image(args.image).image_id,
            entrypoints=["/bin/sh", "-c"],
            command=[SCRIPT],
            user="0:0",
            uploads=[
                docker.ContainerUploadArgs(
                    file=f"{STAGE}/{file}", content=pulumi.Output.secret(content), permissions="0400"
                )
                for file, content in sorted(args.files.items())
            ],
            mounts=[docker.ContainerMountArgs(type="volume", source=self.volume.name, target=SECRETS)],
            envs=[f"OWNER={args.user}"],
            labels=label_args(engine.labels(name)),
            tmpfs={"/tmp": TMPFS}, must_run=False, attach=True, restart="no", memory=64, memory_swap=64,
            **common(engine, name, capabilities=("CAP_CHOWN",)),
            opts=pulumi.ResourceOptions(parent=self, provider=engine.provider, delete_before_replace=True),
        )  # fmt: skip
        self.register_outputs({"volume": self.volume.name})
