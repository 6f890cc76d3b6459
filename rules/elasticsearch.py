"""Elasticsearch, as elasticsearch_exporter sees it."""

from rules.model import CHECKLIST, Alert, ScrapeJob, Severity, Signal, Unit, reachable

JOB = ScrapeJob(name="elasticsearch", subject="elasticsearch", port=9114)

# Version 1.10 has no metric of its own for "up"; it goes on answering with cluster health gone when the server is gone.
REACHABLE = reachable(JOB, 'elasticsearch_cluster_health_status{$scope} * 0 + 1')

DOCUMENTS = Signal(
    title="Documents", unit=Unit.COUNT, job=JOB,
    description="Documents in primary shards.",
    expr="sum by ($by) (elasticsearch_indices_docs_primary{$scope})",
)  # fmt: skip

ALERTS = (
    Alert(
        name="ElasticsearchDown", group=CHECKLIST, severity=Severity.CRITICAL, for_="1m",  # four scrapes
        when=REACHABLE.below(1), or_absent=True,
        summary="{{ $labels.instance }}: Elasticsearch is unreachable",
        description="The exporter gets no cluster health from Elasticsearch, cannot be scraped, or is gone.",
    ),
)  # fmt: skip
