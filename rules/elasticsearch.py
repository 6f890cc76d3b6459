"""Elasticsearch, as elasticsearch_exporter sees it."""

from rules.model import CHECKLIST_GROUP, Alert, ScrapeJob, Severity, Signal, Unit, reachable

TITLE = "Elasticsearch"
JOB = ScrapeJob(name="elasticsearch", service="elasticsearch", port=9114)

# Version 1.10 has no "up" metric: if the server is down, the exporter still answers, without cluster health.
REACHABLE = reachable(JOB, "elasticsearch_cluster_health_status{$scope} * 0 + 1")

DOCUMENTS = Signal(
    title="Documents",
    unit=Unit.COUNT,
    job=JOB,
    description="Documents in primary shards. Good: grows as you index; a drop is a deletion or a lost index.",
    expr="sum by ($by) (elasticsearch_indices_docs_primary{$scope})",
)

PRIMARIES_ASSIGNED = Signal(
    title="All primaries assigned",
    unit=Unit.UP,
    job=JOB,
    description="0 if the cluster is red: some of the data can be neither searched nor written. Good: 1.",
    expr='1 - max by ($by) (elasticsearch_cluster_health_status{$scope,color="red"})',
)

REPLICAS_ASSIGNED = Signal(
    title="Cluster not yellow",
    unit=Unit.UP,
    job=JOB,
    description=(
        "0 if the cluster is yellow: all data is available, but with fewer replicas than its indices ask for. "
        "1 if it is green, and also if it is red: see the primary shards. Good: 1."
    ),
    expr='1 - max by ($by) (elasticsearch_cluster_health_status{$scope,color="yellow"})',
)

HEAP_USED = Signal(
    title="Heap in use",
    unit=Unit.RATIO,
    job=JOB,
    by=("instance", "name"),
    description="Percentage of its heap that a node uses. Good: a sawtooth under 75 %.",
    expr="""
    sum by ($by) (elasticsearch_jvm_memory_used_bytes{$scope,area="heap"})
    / sum by ($by) (elasticsearch_jvm_memory_max_bytes{$scope,area="heap"})""",
)

DISK_USED = Signal(
    title="Node disk usage",
    unit=Unit.RATIO,
    job=JOB,
    by=("instance", "name"),
    description="Percentage of a node's data disks in use. Good: under 85 %; above that it takes no new shards.",
    expr="""
    1 - sum by ($by) (elasticsearch_filesystem_data_available_bytes{$scope})
    / sum by ($by) (elasticsearch_filesystem_data_size_bytes{$scope})""",
)

THREAD_POOL_REJECTED = Signal(
    title="Thread pool rejections in 5 minutes",
    unit=Unit.COUNT,
    job=JOB,
    by=("instance", "type"),
    panel_window="5m",
    empty_when_healthy=True,
    description="Searches and writes that were rejected because a node's queue was full. Good: 0.",
    expr='sum by ($by) (increase(elasticsearch_thread_pool_rejected_count{$scope,type=~"search|write"}[$window]))',
)

NODES = Signal(
    title="Nodes",
    unit=Unit.COUNT,
    job=JOB,
    description="Nodes in the cluster. Good: as many as were started.",
    expr="max by ($by) (elasticsearch_cluster_health_number_of_nodes{$scope})",
)

SHARDS = Signal(
    title="Active shards",
    unit=Unit.COUNT,
    job=JOB,
    description="Shards, primary and replica, that can be searched. Good: steady.",
    expr="max by ($by) (elasticsearch_cluster_health_active_shards{$scope})",
)

UNASSIGNED_SHARDS = Signal(
    title="Unassigned shards",
    unit=Unit.COUNT,
    job=JOB,
    empty_when_healthy=True,
    description="Shards that no node holds: replicas if the cluster is yellow, primaries if it is red. Good: 0.",
    expr="max by ($by) (elasticsearch_cluster_health_unassigned_shards{$scope})",
)

SIZE = Signal(
    title="Index size",
    unit=Unit.BYTES,
    job=JOB,
    description="Disk space that all shards use. Good: grows slowly and steadily.",
    expr="sum by ($by) (elasticsearch_indices_store_size_bytes{$scope})",
)

SEARCHES = Signal(
    title="Searches",
    unit=Unit.OPERATIONS_PER_SECOND,
    job=JOB,
    by=("instance", "name"),
    description="Searches per second and node, counted once per shard. Good: follows the API's searches.",
    expr="sum by ($by) (rate(elasticsearch_indices_search_query_total{$scope}[$window]))",
)

SEARCH_TIME = Signal(
    title="Search latency (mean)",
    unit=Unit.SECONDS,
    job=JOB,
    description="Mean time of a search on one shard. No value without searches. Good: steady, under 0.1 s.",
    expr="""
    sum by ($by) (rate(elasticsearch_indices_search_query_time_seconds{$scope}[$window]))
    / (sum by ($by) (rate(elasticsearch_indices_search_query_total{$scope}[$window])) > 0)""",
)

DOCUMENTS_READ = Signal(
    title="Documents fetched",
    unit=Unit.OPERATIONS_PER_SECOND,
    job=JOB,
    by=("instance", "name"),
    description="Fetches per second: a search's second phase, which loads the hits. Good: follows the searches.",
    expr="sum by ($by) (rate(elasticsearch_indices_search_fetch_total{$scope}[$window]))",
)

CIRCUIT_BREAKER_USED = Signal(
    title="Parent circuit breaker usage",
    unit=Unit.RATIO,
    job=JOB,
    by=("instance", "name"),
    description=(
        "Percentage of the parent circuit breaker's limit. At 100 % a node rejects requests, so that it does not run"
        " out of heap. Good: under 70 %."
    ),
    expr="""
    max by ($by) (elasticsearch_breakers_estimated_size_bytes{$scope,breaker="parent"})
    / (max by ($by) (elasticsearch_breakers_limit_size_bytes{$scope,breaker="parent"}) > 0)""",
)

CPU = Signal(
    title="Node CPU",
    unit=Unit.RATIO,
    job=JOB,
    by=("instance", "name"),
    description="Percentage of its machine's CPU that a node's process uses. Good: under 70 %.",
    expr="max by ($by) (elasticsearch_process_cpu_percent{$scope}) / 100",
)

OPEN_FILES = Signal(
    title="File descriptors",
    unit=Unit.RATIO,
    job=JOB,
    by=("instance", "name"),
    description=(
        "Percentage of a node's file descriptors in use. Good: under 50 %; each segment of an index needs several."
    ),
    expr="""
    max by ($by) (elasticsearch_process_open_files_count{$scope})
    / (max by ($by) (elasticsearch_process_max_files_descriptors{$scope}) > 0)""",
)

THREAD_POOL_COMPLETED = Signal(
    title="Thread pool tasks completed",
    unit=Unit.OPERATIONS_PER_SECOND,
    job=JOB,
    by=("instance", "type"),
    description="Tasks per second that the thread pools completed, by pool. Good: search and write follow the API.",
    expr="sum by ($by) (rate(elasticsearch_thread_pool_completed_count{$scope}[$window])) > 0",
)

SATURATION = (HEAP_USED,)

ALERTS = (
    Alert(
        name="ElasticsearchDown",
        group=CHECKLIST_GROUP,
        severity=Severity.CRITICAL,
        for_="1m",  # four scrapes
        when=REACHABLE.below(1),
        fire_if_absent=True,
        summary="{{ $labels.instance }}: Elasticsearch is unreachable",
        description="The exporter cannot read Elasticsearch's cluster health, cannot be scraped, or is gone.",
    ),
    Alert(
        name="ElasticsearchClusterRed",
        severity=Severity.CRITICAL,
        for_="5m",  # a restarting node has loaded its shards by then
        when=PRIMARIES_ASSIGNED.below(1),
        summary="{{ $labels.instance }}: the cluster is red",
        description="A primary shard is unassigned: some of the data can be neither searched nor written.",
    ),
    Alert(
        name="ElasticsearchClusterYellow",
        severity=Severity.WARNING,
        for_="30m",  # a rolling restart has copied its replicas by then
        when=REPLICAS_ASSIGNED.below(1),
        summary="{{ $labels.instance }}: the cluster is yellow",
        description="A replica is unassigned: if another node fails, data is lost.",
    ),
    Alert(
        name="ElasticsearchHeapUsageTooHigh",
        severity=Severity.WARNING,
        for_="15m",
        when=HEAP_USED.above(0.90),  # garbage collection brings a healthy heap back under 75 % within minutes
        summary="{{ $labels.instance }}: node {{ $labels.name }} uses {{ $value | humanizePercentage }} of its heap",
        description="Garbage collection cannot free the heap: the node slows down and is about to fail.",
    ),
    Alert(
        name="ElasticsearchDiskOutOfSpace",
        severity=Severity.WARNING,
        for_="10m",
        when=DISK_USED.above(0.90),  # the high watermark: shards move away; at 95 % indices turn read-only
        summary="{{ $labels.instance }}: node {{ $labels.name }} uses {{ $value | humanizePercentage }} of its disk",
        description="The node moves its shards away, and at 95 % disk usage its indices become read-only.",
    ),
    Alert(
        name="ElasticsearchThreadPoolRejections",
        severity=Severity.WARNING,
        for_="5m",
        when=THREAD_POOL_REJECTED.above(0),
        summary='{{ $labels.instance }}: {{ $labels.type }} tasks rejected in 5 minutes: {{ $value | printf "%.0f" }}',
        description="A node's queue is full: the cluster gets more requests than it can process, and users see errors.",
    ),
)
