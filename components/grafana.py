"""The Grafana server with its database."""

import pulumi
import pulumi_docker as docker

from components.container import SECRETS, ContainerSpec, HealthCheck, run_container
from components.docker_host import DockerHost
from components.secret_files import secret_files
from desired_state import GRAFANA_ADMIN, GRAFANA_PASSWORD
from rules.grafana import JOB

USER = "472:0"  # as in the official image


class GrafanaArgs:
    def __init__(self, *, engine: DockerHost, admin_password: pulumi.Input[str]) -> None:
        self.engine = engine
        self.admin_password = admin_password


class Grafana(pulumi.ComponentResource):
    """`container` is healthy once made."""

    container: docker.Container

    def __init__(self, name: str, args: GrafanaArgs, opts: pulumi.ResourceOptions | None = None) -> None:
        super().__init__("softfactory:monitoring:Grafana", name, None, opts)
        engine, settings = args.engine, args.engine.settings
        data = engine.volume("grafana", "data", self)
        secrets = secret_files(engine, "grafana", USER, {GRAFANA_PASSWORD: args.admin_password}, self)
        service = ContainerSpec(
            name="grafana",
            image="grafana",
            user=USER,
            env={
                "GF_SECURITY_ADMIN_USER": GRAFANA_ADMIN,
                "GF_SECURITY_ADMIN_PASSWORD__FILE": f"{SECRETS}/{GRAFANA_PASSWORD}",  # read at the first start only
                "GF_SERVER_ROOT_URL": settings.link("grafana"),
                # Nothing is to leave the machine, and no bundled plugin is to be replaced while it starts.
                "GF_ANALYTICS_REPORTING_ENABLED": "false",
                "GF_ANALYTICS_CHECK_FOR_UPDATES": "false",
                "GF_ANALYTICS_CHECK_FOR_PLUGIN_UPDATES": "false",
                "GF_NEWS_NEWS_FEED_ENABLED": "false",
                "GF_PLUGINS_PREINSTALL_DISABLED": "true",
                "GF_USERS_DEFAULT_THEME": "system",
            },
            ports={JOB.port: settings.ports.grafana},
            volumes={"/var/lib/grafana": data.name},
            tmpfs=("/tmp", "/var/log/grafana"),
            health=HealthCheck(
                command=("wget", "-q", "-O", "/dev/null", f"http://127.0.0.1:{JOB.port}/api/health"),
                retries=24,  # its first start migrates a database
            ),
            memory=512,
            secrets=secrets.volume,
        )
        self.container = run_container(service, engine, self, depends_on=[secrets.written])
        self.register_outputs({"url": settings.published("grafana")})
