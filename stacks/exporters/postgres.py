"""The settings of a PostgreSQL exporter."""

from typing import ClassVar

from stacks.exporters.model import ExporterSettings
from stacks.types import Address, Role, Sslmode


class PostgresExporterSettings(ExporterSettings):
    """A PostgreSQL server for which the stack runs an exporter; its password is the secret `<instance>_password`."""

    service: ClassVar[str] = "postgres"

    address: Address
    """Where the exporter reaches the server, as `host:port`."""

    username: Role
    """The role with which the exporter logs in; `pg_monitor` is enough."""

    database: Role
    """The database to which the exporter connects; it reads the statistics of all."""

    sslmode: Sslmode = "require"
    """How the connection is encrypted, in PostgreSQL's own words. By default encrypted, whoever answers."""

    @property
    def server(self) -> str:
        return self.address
