"""elasticsearch_exporter for one Elasticsearch server."""

from components.container import ContainerSpec, HealthCheck
from components.exporters.model import NOBODY, ExporterSpec
from rules.elasticsearch import JOB
from stacks.exporters.elasticsearch import ElasticsearchExporterSettings


def spec(server: ElasticsearchExporterSettings, password: None) -> ExporterSpec:
    """There is no `password`: the exporter could only take one from its environment or its command line."""
    return ExporterSpec(
        container=ContainerSpec(
            name=server.container,
            image=server.image,
            user=NOBODY,
            command=(f"--es.uri={server.url}", "--es.all", "--es.indices"),
            health=HealthCheck.http(JOB.port, "/healthz"),
        )
    )
