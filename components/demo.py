"""The monitored system of the dev stack: the demo's API with PostgreSQL, Redis, a search engine and an inbox."""

import hashlib
import os
from collections.abc import Mapping, Sequence
from pathlib import Path

import pulumi
import pulumi_docker as docker

from components.container import SECRETS, ContainerSpec, HealthCheck, run_container
from components.docker_host import DockerHost
from components.secret_files import secret_files
from stacks.exporters.postgres import PostgresExporterSettings
from stacks.settings import VolumePolicy

SOURCE = Path(__file__).parent.parent / "demo"
BUILD_FILES = ("Dockerfile", ".dockerignore")
POSTGRES_USER = "999:999"
REDIS_USER = "999:999"
SEARCH_USER = "1000:1000"
DEMO_USER = "10001:10001"


class DemoArgs:
    """`secrets` are Pulumi secrets by name: the demo's servers have the passwords with which the exporters log in.

    Raises ValueError where the settings lack an exporter for the demo's PostgreSQL or Redis.
    """

    def __init__(self, *, engine: DockerHost, secrets: Mapping[str, pulumi.Input[str]]) -> None:
        servers = engine.settings.demo_servers
        postgres, redis = servers.get("postgres"), servers.get("redis")
        if not (isinstance(postgres, PostgresExporterSettings) and postgres.secret and redis and redis.secret):
            raise ValueError("demo: exporters.postgres and exporters.redis must each have an entry for its own server")
        self.engine = engine
        self.postgres = postgres
        self.redis = redis
        self.postgres_password = {postgres.secret: secrets[postgres.secret]}
        self.redis_password = {redis.secret: secrets[redis.secret]}
        self.elasticsearch = "elasticsearch" in servers


class Demo(pulumi.ComponentResource):
    """`servers` are the containers that the exporters ask; `ready` resolves to the API's address once it is healthy."""

    servers: Sequence[docker.Container]
    api: docker.Container
    ready: pulumi.Output[str]

    def __init__(self, name: str, args: DemoArgs, opts: pulumi.ResourceOptions | None = None) -> None:
        super().__init__("softfactory:monitoring:Demo", name, None, opts)
        self._args = args
        engine, ports = args.engine, args.engine.settings.ports
        image = self._image()
        self.servers = [self._postgres(), self._redis(), *([self._elasticsearch()] if args.elasticsearch else [])]
        inbox = run_container(
            ContainerSpec(
                name="inbox",
                image="python",
                image_id=image.image_id,
                user=DEMO_USER,
                command=("python", "-m", "demo.notification_sink"),
                ports={8025: ports.inbox},
                health=HealthCheck(command=("python", "-m", "demo.healthcheck", "http://127.0.0.1:8025/healthz")),
            ),
            engine,
            self,
        )
        passwords = {**args.postgres_password, **args.redis_password}
        secrets = secret_files(engine, "api", DEMO_USER, passwords, self, image="python")
        self.api = run_container(
            ContainerSpec(
                name="api",
                image="python",
                image_id=image.image_id,
                user=DEMO_USER,
                env={
                    "DATABASE_HOST": "postgres",
                    "DATABASE_NAME": args.postgres.database,
                    "DATABASE_USER": args.postgres.username,
                    "DATABASE_PASSWORD_FILE": f"{SECRETS}/{args.postgres.secret}",
                    "REDIS_HOST": "redis",
                    "REDIS_PASSWORD_FILE": f"{SECRETS}/{args.redis.secret}",
                    "SEARCH_URL": "http://elasticsearch:9200",
                    "SMTP_HOST": "inbox",
                    "SMTP_PORT": "1025",
                    "MAIL_FROM": "api@softfactory.invalid",
                },
                ports={8000: ports.api},
                health=HealthCheck(command=("python", "-m", "demo.healthcheck", "http://127.0.0.1:8000/healthz")),
                memory=512,  # each of its eight threads may hash a password at once
                secrets=secrets.volume,
            ),
            engine,
            self,
            depends_on=[secrets.written, inbox, *self.servers],
            labels={"softfactory.secrets-revision": secrets.revision},
        )
        self.ready = self.api.id.apply(lambda _: engine.settings.published("api"))
        self.register_outputs({"ready": self.ready})

    def _image(self) -> docker.RemoteImage:
        """Built from the demo's folder on the pinned Python image, anew where either changes."""
        base = self._args.engine.settings.images.reference("python")
        digest = hashlib.sha256(base.encode())
        for path in sorted(p for p in SOURCE.iterdir() if p.suffix in (".py", ".txt") or p.name in BUILD_FILES):
            digest.update(f"\0{path.name}\0".encode() + path.read_bytes())
        tag = digest.hexdigest()[:12]
        return docker.RemoteImage(
            "image-demo",
            name=f"{self._args.engine.settings.name_prefix}-demo:{tag}",
            build=docker.RemoteImageBuildArgs(
                context=os.path.relpath(SOURCE),  # another checkout's state must not see another path
                build_args={"BASE": base, **_package_index()},
            ),
            triggers={"source": tag},
            keep_locally=False,  # the tag says all that went in, and the prefix is this environment's: nobody else's
            opts=pulumi.ResourceOptions(
                parent=self, provider=self._args.engine.provider, depends_on=[self._args.engine.image("python")]
            ),
        )

    def _postgres(self) -> docker.Container:
        server = self._args.postgres
        secrets = secret_files(self._args.engine, "postgres", POSTGRES_USER, self._args.postgres_password, self)
        service = ContainerSpec(
            name="postgres",
            image="postgres",
            user=POSTGRES_USER,
            env={
                "POSTGRES_DB": server.database,
                "POSTGRES_USER": server.username,
                "POSTGRES_PASSWORD_FILE": f"{SECRETS}/{server.secret}",  # read at the first start only
            },
            volumes={"/var/lib/postgresql": self._args.engine.volume("postgres", "data", self).name},
            tmpfs=("/tmp", "/var/run/postgresql"),
            # By TCP: the server that runs during initialisation does not listen there.
            health=HealthCheck(
                command=("pg_isready", "-q", "-h", "127.0.0.1", "-U", server.username, "-d", server.database)
            ),
            memory=256,
            secrets=secrets.volume,
        )
        return run_container(service, self._args.engine, self, depends_on=[secrets.written])

    def _redis(self) -> docker.Container:
        # A cache: nothing is written to disk. The password stands in the file, not on the command line.
        configuration = pulumi.Output.concat("requirepass ", *self._args.redis_password.values(), '\nsave ""\n')
        secrets = secret_files(self._args.engine, "redis", REDIS_USER, {"redis.conf": configuration}, self)
        # The client reads the password as a command: its environment and its command line could be read by others.
        ask = f"{{ sed -n 's/^requirepass /AUTH /p' {SECRETS}/redis.conf; echo PING; }} | redis-cli | grep -q PONG"
        service = ContainerSpec(
            name="redis",
            image="redis",
            user=REDIS_USER,
            command=("redis-server", f"{SECRETS}/redis.conf", "--protected-mode", "no", "--maxmemory", "64mb"),
            tmpfs=("/tmp", "/data"),
            health=HealthCheck(command=("sh", "-c", ask)),
            secrets=secrets.volume,
        )
        return run_container(
            service,
            self._args.engine,
            self,
            depends_on=[secrets.written],
            labels={"softfactory.secrets-revision": secrets.revision},
        )

    def _elasticsearch(self) -> docker.Container:
        engine = self._args.engine
        image = hashlib.sha256(engine.settings.images.reference("elasticsearch").encode()).hexdigest()[:8]
        configuration = engine.volume("elasticsearch", f"config-{image}", self, policy=VolumePolicy.DELETE)
        service = ContainerSpec(
            name="elasticsearch",
            image="elasticsearch",
            user=SEARCH_USER,
            env={
                "discovery.type": "single-node",
                "DISABLE_SECURITY_PLUGIN": "true",  # loopback and the stack's network only, demo data only
                "DISABLE_INSTALL_DEMO_CONFIG": "true",
                "DISABLE_PERFORMANCE_ANALYZER_AGENT_CLI": "true",
                "OPENSEARCH_JAVA_OPTS": "-Xms512m -Xmx512m",
            },
            volumes={
                "/usr/share/opensearch/data": engine.volume("elasticsearch", "data", self).name,
                # It writes a keystore beside its configuration. The volume is filled from the image, so another image
                # gets another one.
                "/usr/share/opensearch/config": configuration.name,
            },
            tmpfs=("/tmp", "/usr/share/opensearch/logs"),
            health=HealthCheck(
                command=("curl", "-sf", "-o", "/dev/null", "http://127.0.0.1:9200/_cluster/health"), retries=30
            ),
            memory=2048,  # the heap, and as much again for the plugins of the full distribution
            processes=None,  # uid 1000 is many a desktop's user, whose own threads would count
        )
        return run_container(service, engine, self)


def _package_index() -> dict[str, pulumi.Output[str]]:
    """The machine's own package index, where its environment names one: the build cannot see the machine's settings."""
    index = os.environ.get("PIP_INDEX_URL")
    return {"PIP_INDEX_URL": pulumi.Output.secret(index)} if index else {}  # it may hold a password
