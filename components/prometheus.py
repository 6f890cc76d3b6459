"""Prometheus with its data volume and the rollout of its configuration."""

import pulumi
import pulumi_docker as docker

from components.config_rollout import ConfigRollout, ConfigRolloutArgs
from components.container import ContainerSpec, HealthCheck, run_container
from components.docker_host import DockerHost
from desired_state import ConfigRevision
from rules.prometheus import JOB
from stacks.settings import VolumePolicy

CONFIG_DIR = "/etc/prometheus"
DATA = "/prometheus"
USER = "65534:65534"  # nobody, as in the official image


class PrometheusArgs:
    """`loaded` is the revision that the running Prometheus reports."""

    def __init__(self, *, engine: DockerHost, release: ConfigRevision, loaded: str) -> None:
        self.engine = engine
        self.release = release
        self.loaded = loaded


class Prometheus(pulumi.ComponentResource):
    """The constructor rolls the configuration out; `start` runs the container, once all rollouts have completed.

    `released` resolves once the revision is loaded, or staged for a container that is about to start. `url` is the
    published URL; it resolves once the container is healthy and runs the desired revision.
    """

    released: pulumi.Output[docker.Container]
    url: pulumi.Output[str]

    def __init__(self, name: str, args: PrometheusArgs, opts: pulumi.ResourceOptions | None = None) -> None:
        super().__init__("softfactory:monitoring:Prometheus", name, None, opts)
        engine, settings = args.engine, args.engine.settings
        configuration = engine.volume("prometheus", "config", self, policy=VolumePolicy.DELETE)
        data = engine.volume("prometheus", "data", self)
        self._service = ContainerSpec(
            name="prometheus",
            image="prometheus",
            user=USER,
            # Arguments replace the image's own: what is left out here would be unset.
            command=(
                f"--config.file={CONFIG_DIR}/current/prometheus.yml",
                f"--storage.tsdb.path={DATA}",
                f"--storage.tsdb.retention.time={settings.retention}",
                "--web.enable-lifecycle",
                f"--web.external-url={settings.link('prometheus')}",  # what links in messages begin with
                "--web.route-prefix=/",  # whatever path that has
            ),
            ports={JOB.port: settings.ports.prometheus},
            volumes={CONFIG_DIR: configuration.name, DATA: data.name},
            health=HealthCheck.http(JOB.port, "/-/ready"),
            memory=1024,
        )
        self.released = ConfigRollout(
            "prometheus-release",
            ConfigRolloutArgs(
                engine=engine,
                service=self._service,
                release=args.release,
                home=CONFIG_DIR,
                url=f"http://prometheus:{JOB.port}",
                volume=configuration,
                loaded=args.loaded,
            ),
            pulumi.ResourceOptions(parent=self),
        ).completed

    def start(self, engine: DockerHost) -> None:
        container = run_container(self._service, engine, self)
        self.url = pulumi.Output.all(container.id, self.released).apply(
            lambda _: engine.settings.published("prometheus")
        )
        self.register_outputs({"url": self.url})
