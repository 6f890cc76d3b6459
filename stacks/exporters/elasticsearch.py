"""The settings of an Elasticsearch exporter."""

from typing import ClassVar

from stacks.exporters.model import ExporterSettings
from stacks.types import Url


class ElasticsearchExporterSettings(ExporterSettings):
    """An Elasticsearch server for which the stack runs an exporter, which asks it without a login."""

    service: ClassVar[str] = "elasticsearch"
    has_password: ClassVar[bool] = False

    url: Url
    """Where the exporter reaches the server."""

    @property
    def server(self) -> str:
        return f"{self.url.host}:{self.url.port}"
