"""A configuration rollout: a job stages the files, checks them, activates them and confirms that they are loaded.

A named volume of the service holds revisions by content hash, and the link `current` points to the active one. If a
rollout fails, the service stays as it was, and the next update retries it.
"""

from collections.abc import Mapping
from pathlib import Path
from typing import Final

import pulumi
import pulumi_docker as docker

from components.container import SECRETS, ContainerSpec
from components.docker_host import DockerHost
from components.job import JobSpec, run_job
from components.secret_files import SecretFiles
from desired_state import ConfigRevision

SCRIPT: Final = (Path(__file__).parent / "config_rollout.sh").read_text(encoding="utf-8")
UPLOADED: Final = "/release"
TIME_LIMIT: Final = 90  # seconds for all of it; a service that hangs ends here, before the script's 20 tries are over


class ConfigRolloutArgs:
    """`home` is the path of the configuration `volume` in the service, `url` the service as its network sees it, and
    `loaded` the revision that the running service reports (empty if it does not answer).
    """

    def __init__(
        self,
        *,
        engine: DockerHost,
        service: ContainerSpec,
        release: ConfigRevision,
        home: str,
        url: str,
        volume: docker.Volume,
        loaded: str,
        secrets: SecretFiles | None = None,
    ) -> None:
        self.engine = engine
        self.service = service
        self.release = release
        self.home = home
        self.url = url
        self.volume = volume
        self.loaded = loaded
        self.secrets = secrets


class ConfigRollout(pulumi.ComponentResource):
    """The rollout of one service's configuration. `completed` resolves once the revision is loaded, or staged for a
    service that is about to start; otherwise the update fails with the checker's own message.
    """

    completed: pulumi.Output[docker.Container]

    def __init__(self, name: str, args: ConfigRolloutArgs, opts: pulumi.ResourceOptions | None = None) -> None:
        super().__init__("softfactory:monitoring:Release", name, None, opts)
        service, release = args.service, args.release
        variables = {
            "SERVICE": service.name,
            "REVISION": release.hash,
            "LOADED_MARKER": release.confirmation,
            "IN": f"{UPLOADED}/files",
            "HOME_DIR": args.home,
            "URL": args.url,
            "SECRETS": " ".join(args.secrets.names) if args.secrets else "",
        }
        shot = JobSpec(
            name=name,
            image=service.image,
            user=service.user,
            command=f"exec timeout {TIME_LIMIT} sh {UPLOADED}/config_rollout.sh",
            env=pulumi.Output.all(
                args.engine.image(service.image).image_id, args.secrets.revision if args.secrets else "never"
            ).apply(
                lambda seen: _environment(
                    variables, SERVICE_SPEC=service.replacement_hash(seen[0]), SECRETS_REVISION=seen[1]
                )
            ),
            uploads=[
                docker.ContainerUploadArgs(file=f"{UPLOADED}/config_rollout.sh", content=SCRIPT),
                *(
                    docker.ContainerUploadArgs(file=f"{UPLOADED}/files/{path}", content=text)
                    for path, text in sorted(release.files.items())
                ),
            ],
            mounts=[
                (args.home, args.volume, False),
                *([(SECRETS, args.secrets.volume, True)] if args.secrets else []),
            ],
            memory=256,
            always_run=args.loaded != release.confirmation,
        )
        staged = [args.secrets.written] if args.secrets else []
        self.completed = run_job(shot, args.engine, self, depends_on=staged)
        self.register_outputs({"release": release.hash})


def _environment(variables: Mapping[str, str], **more: str) -> list[str]:
    return sorted(f"{key}={value}" for key, value in {**variables, **more}.items())
