"""The settings of a Redis exporter."""

from typing import ClassVar

from pydantic import Field

from stacks.exporters.model import ExporterSettings
from stacks.types import Address, RedisUser


class RedisExporterSettings(ExporterSettings):
    """A Redis server for which the stack runs an exporter; its password is the secret `<instance>_password`."""

    service: ClassVar[str] = "redis"

    address: Address = Field(examples=["redis.internal:6379"])
    """Where the exporter reaches the server, as `host:port`."""

    username: RedisUser | None = None
    """The ACL user with which the exporter logs in. By default Redis's own, `default`."""

    @property
    def server(self) -> str:
        return self.address
