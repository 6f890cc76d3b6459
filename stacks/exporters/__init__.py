"""The servers for which the stack runs exporters, one file per service. `Exporters` has a list for each."""

from stacks.exporters.elasticsearch import ElasticsearchExporterSettings
from stacks.exporters.model import ExporterSettings
from stacks.exporters.postgres import PostgresExporterSettings
from stacks.exporters.redis import RedisExporterSettings
from stacks.types import SettingsModel


class Exporters(SettingsModel):
    """The servers for which the stack runs exporters: any number of each kind, by default none."""

    # A list is named after its service; the docstring of its model is the text in docs/settings.md.

    postgres: tuple[PostgresExporterSettings, ...] = ()
    redis: tuple[RedisExporterSettings, ...] = ()
    elasticsearch: tuple[ElasticsearchExporterSettings, ...] = ()

    def servers(self) -> tuple[ExporterSettings, ...]:
        """All servers, in the order of the lists."""
        return tuple(server for _, servers in self for server in servers)
