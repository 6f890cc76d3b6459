"""The settings of a PostgreSQL exporter."""

from typing import ClassVar, Literal

from pydantic import Field

from stacks.exporters.model import ExporterSettings
from stacks.types import Address, PostgresIdentifier


class PostgresExporterSettings(ExporterSettings):
    """A PostgreSQL server for which the stack runs an exporter; its password is the secret `<instance>_password`."""

    service: ClassVar[str] = "postgres"

    address: Address
    """Where the exporter reaches the server, as `host:port`."""

    username: PostgresIdentifier
    """The role with which the exporter logs in; `pg_monitor` is enough."""

    database: PostgresIdentifier = Field(examples=["softfactory"])
    """The database to which the exporter connects; it reads the statistics of all."""

    sslmode: Literal["disable", "require", "verify-ca", "verify-full"] = Field(
        default="require", examples=["verify-full"]
    )
    """How the connection is encrypted, in PostgreSQL's own words. `require` does not check who answers."""

    @property
    def server(self) -> str:
        return self.address
