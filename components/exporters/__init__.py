"""The exporters of an environment, one file per service: one for Docker's host, and one for each server that the
settings name.
"""

from collections.abc import Mapping, Sequence
from dataclasses import replace
from types import ModuleType
from typing import Final

import pulumi
import pulumi_docker as docker

from components.container import run_container
from components.docker_host import DockerHost
from components.exporters import elasticsearch, node, postgres, redis
from components.exporters.model import ExporterSpec
from components.secret_files import secret_files
from stacks.exporters import Exporters as ExportersSettings

# Each has `spec(server, password)`, for the settings of its list in `exporters`.
SERVICES: Final[Mapping[str, ModuleType]] = {"postgres": postgres, "redis": redis, "elasticsearch": elasticsearch}


class ExportersArgs:
    """`secrets` are the servers' passwords by the names of their secrets. `upstreams` are the servers that are
    containers of this stack: an exporter starts when they are healthy.
    """

    def __init__(
        self,
        *,
        engine: DockerHost,
        exporters: ExportersSettings,
        secrets: Mapping[str, pulumi.Input[str]],
        upstreams: Sequence[pulumi.Resource] = (),
    ) -> None:
        self.engine = engine
        self.exporters = exporters
        self.secrets = secrets
        self.upstreams = upstreams


class Exporters(pulumi.ComponentResource):
    """`containers` exist once each answers; `ready` resolves to their ids then."""

    containers: Sequence[docker.Container]
    ready: pulumi.Output[Sequence[str]]

    def __init__(self, name: str, args: ExportersArgs, opts: pulumi.ResourceOptions | None = None) -> None:
        super().__init__("softfactory:monitoring:Exporters", name, None, opts)
        self.containers = [
            _run(node.spec(), args.engine, self, ()),
            *(
                _run(
                    SERVICES[server.service].spec(server, args.secrets[server.secret] if server.secret else None),
                    args.engine,
                    self,
                    args.upstreams,
                )
                for server in args.exporters.servers()
            ),
        ]
        self.ready = pulumi.Output.all(*(container.id for container in self.containers))
        self.register_outputs({"ready": self.ready})


def _run(
    spec: ExporterSpec, engine: DockerHost, parent: pulumi.Resource, upstreams: Sequence[pulumi.Resource]
) -> docker.Container:
    service = spec.container
    if not spec.secret_files:
        return run_container(service, engine, parent, depends_on=upstreams)
    secrets = secret_files(engine, service.name, service.user, spec.secret_files, parent, image=service.image)
    # An exporter reads its password when it starts, so a new one must restart it.
    return run_container(
        replace(service, secrets=secrets.volume),
        engine,
        parent,
        depends_on=[secrets.written, *upstreams],
        labels={"softfactory.secrets-revision": secrets.revision},
    )
