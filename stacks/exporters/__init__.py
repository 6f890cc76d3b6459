"""The servers for which the stack runs exporters, one file per service. `Exporters` has a list for each."""

from stacks.exporters.elasticsearch import ElasticsearchExporterSettings
from stacks.exporters.model import ExporterSettings
from stacks.exporters.postgres import PostgresExporterSettings
from stacks.exporters.redis import RedisExporterSettings
from stacks.types import SettingsModel


class Exporters(SettingsModel):
    """The servers that the stack's own exporters ask: any number of a kind. A list is named after its service."""

    postgres: tuple[PostgresExporterSettings, ...] = ()
    """PostgreSQL servers; by default none."""

    redis: tuple[RedisExporterSettings, ...] = ()
    """Redis servers; by default none."""

    elasticsearch: tuple[ElasticsearchExporterSettings, ...] = ()
    """Elasticsearch servers; by default none."""

    def servers(self) -> tuple[ExporterSettings, ...]:
        """All servers, in the order of the lists."""
        return tuple(server for _, servers in self for server in servers)
