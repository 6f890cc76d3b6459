"""Alertmanager with its data (silences, what was notified) and the configuration release that it runs."""

from collections.abc import Mapping

import pulumi
import pulumi_docker as docker

from components.config_rollout import ConfigRollout, ConfigRolloutArgs
from components.container import ContainerSpec, HealthCheck, place
from components.docker_host import DockerHost
from components.secret_files import stage
from desired_state import ConfigRevision
from rules.alertmanager import JOB
from stacks.settings import VolumePolicy

HOME = "/etc/alertmanager"
DATA = "/alertmanager"
USER = "65534:65534"  # nobody, as in the official image


class AlertmanagerArgs:
    """`live` is what the running one says of its release; `secrets` are the files that the receivers read, by name."""

    def __init__(
        self,
        *,
        engine: DockerHost,
        release: ConfigRevision,
        live: str,
        secrets: Mapping[str, pulumi.Input[str]],
    ) -> None:
        self.engine = engine
        self.release = release
        self.live = live
        self.secrets = secrets


class Alertmanager(pulumi.ComponentResource):
    """Making it releases its configuration; `start` places the container, on an engine that waits for all releases.

    `released` resolves once the release is live, or staged for a container that is about to start. `url` is the
    published address; it resolves when the container is healthy and runs the wanted release.
    """

    released: pulumi.Output[docker.Container]
    url: pulumi.Output[str]

    def __init__(self, name: str, args: AlertmanagerArgs, opts: pulumi.ResourceOptions | None = None) -> None:
        super().__init__("softfactory:monitoring:Alertmanager", name, None, opts)
        engine, settings = args.engine, args.engine.settings
        own = pulumi.ResourceOptions(parent=self)
        configuration = engine.volume("alertmanager", "config", self, fate=VolumePolicy.DELETE)
        data = engine.volume("alertmanager", "data", self)
        # There even where nothing is secret: a mount that came and went with a receiver would replace the container.
        secrets = stage(engine, "alertmanager", USER, args.secrets, self)
        self._service = ContainerSpec(
            name="alertmanager",
            image="alertmanager",
            user=USER,
            command=(
                f"--config.file={HOME}/current/alertmanager.yml",
                f"--storage.path={DATA}",
                # Between two snapshots silences, and what was told already, are in memory only: a kill would lose them.
                "--data.maintenance-interval=15s",
                f"--web.external-url={settings.link('alertmanager')}",  # what links in messages begin with
                "--enable-feature=receiver-name-in-metrics",  # which of several receivers fails
                "--web.route-prefix=/",  # whatever path that has
                "--cluster.listen-address=",  # a single one: without this it wants a private address to gossip on
            ),
            ports={JOB.port: settings.ports.alertmanager},
            volumes={HOME: configuration.name, DATA: data.name},
            health=HealthCheck.http(JOB.port, "/-/ready"),
            secrets=secrets.volume,
        )
        self.released = ConfigRollout(
            "alertmanager-release",
            ConfigRolloutArgs(
                engine=engine,
                service=self._service,
                release=args.release,
                home=HOME,
                url=f"http://alertmanager:{JOB.port}",
                volume=configuration,
                live=args.live,
                secrets=secrets,
            ),
            own,
        ).done

    def start(self, engine: DockerHost) -> None:
        container = place(self._service, engine, self)
        self.url = pulumi.Output.all(container.id, self.released).apply(
            lambda _: engine.settings.published("alertmanager")
        )
        self.register_outputs({"url": self.url})
