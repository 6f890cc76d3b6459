"""Alertmanager with its data volume (silences, notification log) and the rollout of its configuration."""

from collections.abc import Mapping

import pulumi
import pulumi_docker as docker

from components.config_rollout import ConfigRollout, ConfigRolloutArgs
from components.container import ContainerSpec, HealthCheck, run_container
from components.docker_host import DockerHost
from components.secret_files import secret_files
from desired_state import ConfigRevision
from rules.alertmanager import JOB
from stacks.settings import VolumePolicy

CONFIG_DIR = "/etc/alertmanager"
DATA = "/alertmanager"
USER = "65534:65534"  # nobody, as in the official image


class AlertmanagerArgs:
    """`loaded` is the revision that the running Alertmanager reports; `secrets` are the receivers' files, by name."""

    def __init__(
        self,
        *,
        engine: DockerHost,
        release: ConfigRevision,
        loaded: str,
        secrets: Mapping[str, pulumi.Input[str]],
    ) -> None:
        self.engine = engine
        self.release = release
        self.loaded = loaded
        self.secrets = secrets


class Alertmanager(pulumi.ComponentResource):
    """The constructor rolls the configuration out; `start` runs the container, once all rollouts have completed.

    `released` resolves once the revision is loaded, or staged for a container that is about to start. `url` is the
    published URL; it resolves once the container is healthy and runs the desired revision.
    """

    released: pulumi.Output[docker.Container]
    url: pulumi.Output[str]

    def __init__(self, name: str, args: AlertmanagerArgs, opts: pulumi.ResourceOptions | None = None) -> None:
        super().__init__("softfactory:monitoring:Alertmanager", name, None, opts)
        engine, settings = args.engine, args.engine.settings
        own = pulumi.ResourceOptions(parent=self)
        configuration = engine.volume("alertmanager", "config", self, policy=VolumePolicy.DELETE)
        data = engine.volume("alertmanager", "data", self)
        # Mounted even if nothing is secret: a mount that came and went with a receiver would replace the container.
        secrets = secret_files(engine, "alertmanager", USER, args.secrets, self)
        self._service = ContainerSpec(
            name="alertmanager",
            image="alertmanager",
            user=USER,
            command=(
                f"--config.file={CONFIG_DIR}/current/alertmanager.yml",
                f"--storage.path={DATA}",
                # Between two snapshots silences, and what was told already, are in memory only: a kill would lose them.
                "--data.maintenance-interval=15s",
                f"--web.external-url={settings.link('alertmanager')}",  # what links in messages begin with
                "--enable-feature=receiver-name-in-metrics",  # which of several receivers fails
                "--web.route-prefix=/",  # whatever path that has
                "--cluster.listen-address=",  # a single one: without this it wants a private address to gossip on
            ),
            ports={JOB.port: settings.ports.alertmanager},
            volumes={CONFIG_DIR: configuration.name, DATA: data.name},
            health=HealthCheck.http(JOB.port, "/-/ready"),
            secrets=secrets.volume,
        )
        self.released = ConfigRollout(
            "alertmanager-release",
            ConfigRolloutArgs(
                engine=engine,
                service=self._service,
                release=args.release,
                home=CONFIG_DIR,
                url=f"http://alertmanager:{JOB.port}",
                volume=configuration,
                loaded=args.loaded,
                secrets=secrets,
            ),
            own,
        ).completed

    def start(self, engine: DockerHost) -> None:
        container = run_container(self._service, engine, self)
        self.url = pulumi.Output.all(container.id, self.released).apply(
            lambda _: engine.settings.published("alertmanager")
        )
        self.register_outputs({"url": self.url})
