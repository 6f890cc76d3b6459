"""postgres_exporter for one PostgreSQL server."""

import pulumi

from components.container import SECRETS, ContainerSpec, HealthCheck
from components.exporters.model import NOBODY, ExporterSpec
from rules.postgres import JOB
from stacks.exporters.postgres import PostgresExporterSettings


def spec(server: PostgresExporterSettings, password: pulumi.Input[str]) -> ExporterSpec:
    """`password` is the one of the server's user."""
    return ExporterSpec(
        container=ContainerSpec(
            name=server.container,
            image=server.image,
            user=NOBODY,
            env={
                "DATA_SOURCE_URI": f"{server.address}/{server.database}?sslmode={server.sslmode}",
                "DATA_SOURCE_USER": server.username,
                "DATA_SOURCE_PASS_FILE": f"{SECRETS}/{server.secret}",
            },
            health=HealthCheck.http(JOB.port, "/"),  # /metrics would ask the database each time
        ),
        secret_files={f"{server.secret}": password},
    )
