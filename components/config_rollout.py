"""A configuration release: files that are staged, checked, switched to and confirmed by a one-shot container.

The files lie by content hash in a named volume of the service, and `current` links to the live one. What fails leaves
the service as it was; the next update tries again.
"""

from collections.abc import Mapping
from pathlib import Path
from typing import Final

import pulumi
import pulumi_docker as docker

from components import job
from components.container import SECRETS, ContainerSpec
from components.docker_host import DockerHost
from components.job import JobSpec
from components.secret_files import Secrets
from desired_state import ConfigRevision

SCRIPT: Final = (Path(__file__).parent / "config_rollout.sh").read_text(encoding="utf-8")
UPLOADED: Final = "/release"
TIME_LIMIT: Final = 90  # seconds for all of it; a service that hangs ends here, before the script's 20 tries are over


class ConfigRolloutArgs:
    """`home` is the path of the configuration `volume` in the service, `url` the service as its network sees it, and
    `live` what the running service says of its release (empty where it does not answer).
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
        live: str,
        secrets: Secrets | None = None,
    ) -> None:
        self.engine = engine
        self.service = service
        self.release = release
        self.home = home
        self.url = url
        self.volume = volume
        self.live = live
        self.secrets = secrets


class ConfigRollout(pulumi.ComponentResource):
    """One release of one service. `done` resolves once it is live, or staged for a service that is about to start; it
    fails the update with the checker's own words otherwise.
    """

    done: pulumi.Output[docker.Container]

    def __init__(self, name: str, args: ConfigRolloutArgs, opts: pulumi.ResourceOptions | None = None) -> None:
        super().__init__("softfactory:monitoring:Release", name, None, opts)
        service, release = args.service, args.release
        variables = {
            "KIND": service.name,
            "RELEASE": release.hash,
            "CONFIRMATION": release.confirmation,
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
                args.engine.image(service.image).image_id, args.secrets.version if args.secrets else "never"
            ).apply(lambda seen: _environment(variables, SERVICE_SPEC=service.fingerprint(seen[0]), STAGED=seen[1])),
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
            again=args.live != release.confirmation,
        )
        staged = [args.secrets.staged] if args.secrets else []
        self.done = job.run(shot, args.engine, self, depends_on=staged)
        self.register_outputs({"release": release.hash})


def _environment(variables: Mapping[str, str], **more: str) -> list[str]:
    return sorted(f"{key}={value}" for key, value in {**variables, **more}.items())
