"""A configuration release: files that are staged, checked, switched to and confirmed by a one-shot container.

The files lie by content hash in a named volume of the service, `current` links to the live one. What fails leaves the
service as it was, and the next update tries again, because an `attempt` label changes while the live release is not
the wanted one.
"""

from dataclasses import dataclass
from pathlib import Path
from typing import Final

import pulumi
import pulumi_docker as docker

import plan
from components.engine import Engine
from components.secrets import Secrets
from components.service import SECRETS, TMPFS, Service, common, label_args

SCRIPT: Final = (Path(__file__).parent / "release.sh").read_text(encoding="utf-8")
INBOX: Final = "/release"
TIME_LIMIT: Final = 90  # seconds, for the whole one-shot


@dataclass(frozen=True, kw_only=True)
class Live:
    """What was seen before the program began: the release that the service runs, and the last one-shot's container id.

    Empty strings where there is none or it could not be asked.
    """

    confirmation: str = ""
    last_attempt: str = ""


class ReleaseArgs:
    def __init__(
        self, *, engine: Engine, service: Service, release: plan.Release, home: str, url: str,
        volume: docker.Volume, live: Live, secrets: Secrets | None = None,
    ) -> None:  # fmt: skip
        self.engine = engine
        self.service = service
        self.release = release
        self.home = home
        self.url = url
        self.volume = volume
        self.live = live
        self.secrets = secrets


class Release(pulumi.ComponentResource):
    """One release of one service. `done` resolves to the release's hash once it is live, or staged for a service that
    is about to start; it fails the update with the checker's own words otherwise. `succeeded` is for depends_on.
    """

    done: pulumi.Output[str]
    succeeded: pulumi.Output[docker.Container]

    def __init__(self, name: str, args: ReleaseArgs, opts: pulumi.ResourceOptions | None = None) -> None:
        super().__init__("softfactory:monitoring:Release", name, None, opts)
        service, engine = args.service, args.engine
        image_id = engine.image(service.image).image_id
        is_live = args.live.confirmation == args.release.confirmation
        shot = docker.Container(
            name,
            name=engine.name(name),
            image=image_id,
            entrypoints=["/bin/sh", "-c"],
            command=[f"timeout {TIME_LIMIT} sh {INBOX}/release.sh || {{ code=$?; "
                     f"[ $code -ne 143 ] || echo 'release: FAILED: not done within {TIME_LIMIT} s'; exit $code; }}"],
            user=service.user,
            envs=image_id.apply(lambda image: sorted([
                f"KIND={service.name}",
                f"RELEASE={args.release.hash}",
                f"CONFIRMATION={args.release.confirmation}",
                f"SERVICE_SPEC={service.fingerprint(image)}",
                f"IN={INBOX}/files",
                f"HOME_DIR={args.home}",
                f"URL={args.url}",
            ])),
            uploads=[
                docker.ContainerUploadArgs(file=f"{INBOX}/release.sh", content=SCRIPT),
                *(
                    docker.ContainerUploadArgs(file=f"{INBOX}/files/{path}", content=text)
                    for path, text in sorted(args.release.files.items())
                ),
            ],
            mounts=[
                docker.ContainerMountArgs(type="volume", source=args.volume.name, target=args.home),
                *([docker.ContainerMountArgs(
                    type="volume", source=args.secrets.volume.name, target=SECRETS, read_only=True
                )] if args.secrets else []),
            ],
            labels=label_args({**engine.labels(name), "softfactory.attempt": args.live.last_attempt or "first"}),
            tmpfs={"/tmp": TMPFS}, must_run=False, attach=True, logs=True, restart="no", memory=256, memory_swap=256,
            **common(engine, name),
            opts=pulumi.ResourceOptions(
                parent=self, provider=engine.provider, delete_before_replace=True,
                depends_on=[args.secrets.staged] if args.secrets else None,
                # The label makes a failed attempt happen again; where the release is live there is nothing to repeat.
                ignore_changes=["labels"] if is_live else None,
            ),
        )  # fmt: skip
        self.done = pulumi.Output.all(shot.exit_code, shot.container_logs).apply(
            lambda seen: _result(name, args.release.hash, seen[0], seen[1])
        )
        # depends_on the one-shot itself would let what comes after go on after a failure.
        self.succeeded = self.done.apply(lambda _: shot)
        self.register_outputs({"done": self.done})


def _result(name: str, release: str, exit_code: int | None, logs: str | None) -> str:
    # A failed attempt stays in the state; only a real run may say so, or preview could not show what is pending.
    if exit_code not in (0, None) and not pulumi.runtime.is_dry_run():
        raise pulumi.RunError(
            f"{name}: the configuration was not released (exit code {exit_code}).\n{(logs or '').strip()}"
        )
    return release
