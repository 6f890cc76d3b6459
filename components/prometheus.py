"""Prometheus with its data and the configuration release that it runs."""

import pulumi
import pulumi_docker as docker

from components.config_rollout import ConfigRollout, ConfigRolloutArgs
from components.container import ContainerSpec, HealthCheck, place
from components.docker_host import DockerHost
from desired_state import ConfigRevision
from rules.prometheus import JOB
from stacks.settings import VolumePolicy

HOME = "/etc/prometheus"
DATA = "/prometheus"
USER = "65534:65534"  # nobody, as in the official image


class PrometheusArgs:
    """`live` is what the running one says of its release."""

    def __init__(self, *, engine: DockerHost, release: ConfigRevision, live: str) -> None:
        self.engine = engine
        self.release = release
        self.live = live


class Prometheus(pulumi.ComponentResource):
    """Making it releases its configuration; `start` places the container, on an engine that waits for all releases.

    `released` resolves once the release is live, or staged for a container that is about to start. `url` is the
    published address; it resolves when the container is healthy and runs the wanted release.
    """

    released: pulumi.Output[docker.Container]
    url: pulumi.Output[str]

    def __init__(self, name: str, args: PrometheusArgs, opts: pulumi.ResourceOptions | None = None) -> None:
        super().__init__("softfactory:monitoring:Prometheus", name, None, opts)
        engine, settings = args.engine, args.engine.settings
        configuration = engine.volume("prometheus", "config", self, fate=VolumePolicy.DELETE)
        data = engine.volume("prometheus", "data", self)
        self._service = ContainerSpec(
            name="prometheus",
            image="prometheus",
            user=USER,
            # Arguments replace the image's own: what is left out here would be unset.
            command=(
                f"--config.file={HOME}/current/prometheus.yml",
                f"--storage.tsdb.path={DATA}",
                f"--storage.tsdb.retention.time={settings.retention}",
                "--web.enable-lifecycle",
                f"--web.external-url={settings.link('prometheus')}",  # what links in messages begin with
                "--web.route-prefix=/",  # whatever path that has
            ),
            ports={JOB.port: settings.ports.prometheus},
            volumes={HOME: configuration.name, DATA: data.name},
            health=HealthCheck.http(JOB.port, "/-/ready"),
            memory=1024,
        )
        self.released = ConfigRollout(
            "prometheus-release",
            ConfigRolloutArgs(
                engine=engine,
                service=self._service,
                release=args.release,
                home=HOME,
                url=f"http://prometheus:{JOB.port}",
                volume=configuration,
                live=args.live,
            ),
            pulumi.ResourceOptions(parent=self),
        ).done

    def start(self, engine: DockerHost) -> None:
        container = place(self._service, engine, self)
        self.url = pulumi.Output.all(container.id, self.released).apply(
            lambda _: engine.settings.published("prometheus")
        )
        self.register_outputs({"url": self.url})
