"""redis_exporter for one Redis server."""

import pulumi

from components.container import SECRETS, ContainerSpec, HealthCheck
from components.exporters.model import ExporterSpec
from rules.redis import JOB
from stacks.exporters.redis import RedisExporterSettings

USER = "59000:59000"  # as in the official image
PASSWORDS = "redis_passwords.json"


def spec(server: RedisExporterSettings, password: pulumi.Input[str]) -> ExporterSpec:
    """`password` is the one of the server's user."""
    # With a user the exporter looks the password up by the address that has the user in it (oliver006/redis_exporter,
    # exporter/redis.go); REDIS_ADDR must not have it, because a user without a password is taken for the password.
    user, key = ({"REDIS_USER": server.username}, f"{server.username}@") if server.username else ({}, "")
    return ExporterSpec(
        container=ContainerSpec(
            name=server.container,
            image=server.image,
            user=USER,
            env={
                "REDIS_ADDR": f"redis://{server.address}",
                "REDIS_PASSWORD_FILE": f"{SECRETS}/{PASSWORDS}",
                **user,
            },
            health=HealthCheck.http(JOB.port, "/health"),
        ),
        secret_files={PASSWORDS: pulumi.Output.json_dumps({f"redis://{key}{server.address}": password})},
    )
