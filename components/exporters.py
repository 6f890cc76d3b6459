"""The exporters of an environment: the engine's host, and one for each server that the settings name."""

from collections.abc import Mapping, Sequence

import pulumi
import pulumi_docker as docker

from components.container import SECRETS, ContainerSpec, HealthCheck, place
from components.docker_host import DockerHost
from components.secret_files import Secrets, stage
from rules import elasticsearch, node, postgres, redis
from stacks.settings import ElasticsearchExporterSettings, PostgresExporterSettings, RedisExporterSettings

NOBODY = "65534:65534"
REDIS_EXPORTER = "59000:59000"  # as in the official image


class ExportersArgs:
    """`secrets` are Pulumi secrets by name. `servers` are what the exporters ask, where they are containers of ours."""

    def __init__(
        self, *, engine: DockerHost, secrets: Mapping[str, pulumi.Input[str]], servers: Sequence[pulumi.Resource] = ()
    ) -> None:
        self.engine = engine
        self.secrets = secrets
        self.servers = servers


class Exporters(pulumi.ComponentResource):
    """`containers` are made once each answers; `ready` resolves to their ids then."""

    containers: Sequence[docker.Container]
    ready: pulumi.Output[Sequence[str]]

    def __init__(self, name: str, args: ExportersArgs, opts: pulumi.ResourceOptions | None = None) -> None:
        super().__init__("softfactory:monitoring:Exporters", name, None, opts)
        self._args = args
        servers = args.engine.settings.servers
        made = [place(_node(), args.engine, self)]
        if servers.postgres:
            made.append(self._postgres(servers.postgres))
        if servers.redis:
            made.append(self._redis(servers.redis))
        if servers.elasticsearch:
            made.append(place(_elasticsearch(servers.elasticsearch), args.engine, self, depends_on=args.servers))
        self.containers = made
        self.ready = pulumi.Output.all(*(container.id for container in made))
        self.register_outputs({"ready": self.ready})

    def _postgres(self, server: PostgresExporterSettings) -> docker.Container:
        password = {"postgres_password": self._args.secrets["postgres_password"]}
        secrets = stage(self._args.engine, "postgres-exporter", NOBODY, password, self)
        service = ContainerSpec(
            name="postgres-exporter",
            image="postgres-exporter",
            user=NOBODY,
            env={
                "DATA_SOURCE_URI": f"{server.address}/{server.database}?sslmode={server.sslmode}",
                "DATA_SOURCE_USER": server.user,
                "DATA_SOURCE_PASS_FILE": f"{SECRETS}/postgres_password",
            },
            health=HealthCheck.http(postgres.JOB.port, "/"),  # /metrics would ask the database each time
            secrets=secrets.volume,
        )
        return self._run_with_secrets(service, secrets)

    def _redis(self, server: RedisExporterSettings) -> docker.Container:
        address = f"redis://{server.address}"
        passwords = pulumi.Output.json_dumps({address: self._args.secrets["redis_password"]})
        secrets = stage(self._args.engine, "redis-exporter", REDIS_EXPORTER, {"redis_passwords.json": passwords}, self)
        service = ContainerSpec(
            name="redis-exporter",
            image="redis-exporter",
            user=REDIS_EXPORTER,
            env={"REDIS_ADDR": address, "REDIS_PASSWORD_FILE": f"{SECRETS}/redis_passwords.json"},
            health=HealthCheck.http(redis.JOB.port, "/health"),
            secrets=secrets.volume,
        )
        return self._run_with_secrets(service, secrets)

    def _run_with_secrets(self, service: ContainerSpec, secrets: Secrets) -> docker.Container:
        # These exporters read their password when they start, so a new one must start them anew.
        return place(
            service,
            self._args.engine,
            self,
            depends_on=[secrets.staged, *self._args.servers],
            labels={"softfactory.secrets": secrets.version},
        )


def _node() -> ContainerSpec:
    return ContainerSpec(
        name="node-exporter",
        image="node-exporter",
        user=NOBODY,
        # The host's root, read-only, and its process ids: the exceptions that this exporter exists for. It stays in the
        # network of the stack, where the host's network cards are not to be seen, so their collectors are off.
        command=(
            "--path.rootfs=/host",
            "--path.procfs=/host/proc",
            "--path.sysfs=/host/sys",
            "--no-collector.arp",
            "--no-collector.netclass",
            "--no-collector.netdev",
            "--no-collector.netstat",
            "--no-collector.sockstat",
        ),
        binds={"/host": "/"},
        pid_mode="host",
        health=HealthCheck.http(node.JOB.port, "/"),
    )


def _elasticsearch(server: ElasticsearchExporterSettings) -> ContainerSpec:
    return ContainerSpec(
        name="elasticsearch-exporter",
        image="elasticsearch-exporter",
        user=NOBODY,
        command=(f"--es.uri={server.url}", "--es.all", "--es.indices"),
        health=HealthCheck.http(elasticsearch.JOB.port, "/healthz"),
    )
