"""Elasticsearch, as elasticsearch_exporter sees it."""

from rules.model import CHECKLIST_GROUP, Alert, ScrapeJob, Severity, Signal, Unit, reachable

TITLE = "Elasticsearch"
JOB = ScrapeJob(name="elasticsearch", service="elasticsearch", port=9114)

# Version 1.10 has no metric of its own for "up"; it goes on answering with cluster health gone when the server is gone.
REACHABLE = reachable(JOB, "elasticsearch_cluster_health_status{$scope} * 0 + 1")

DOCUMENTS = Signal(
    title="Documents",
    unit=Unit.COUNT,
    job=JOB,
    description="Documents in primary shards. Good: grows with what is indexed; a drop is a deletion or a lost index.",
    expr="sum by ($by) (elasticsearch_indices_docs_primary{$scope})",
)

PRIMARIES_ASSIGNED = Signal(
    title="All primary shards are there",
    unit=Unit.UP,
    job=JOB,
    description="0 where the cluster is red: a part of the data can be neither searched nor written. Good: 1.",
    expr='1 - max by ($by) (elasticsearch_cluster_health_status{$scope,color="red"})',
)

REPLICAS_ASSIGNED = Signal(
    title="Not yellow",
    unit=Unit.UP,
    job=JOB,
    description="0 where the cluster is yellow: all data is there, but not in as many copies as its indices ask for. "
    "1 where it is green, and where it is red: see the primary shards. Good: 1.",
    expr='1 - max by ($by) (elasticsearch_cluster_health_status{$scope,color="yellow"})',
)

HEAP_USED = Signal(
    title="Heap in use",
    unit=Unit.RATIO,
    job=JOB,
    by=("instance", "name"),
    description="Share of its heap that a node uses. Good: a saw-tooth under 75 %.",
    expr="""
    sum by ($by) (elasticsearch_jvm_memory_used_bytes{$scope,area="heap"})
    / sum by ($by) (elasticsearch_jvm_memory_max_bytes{$scope,area="heap"})""",
)

DISK_USED = Signal(
    title="Disk of the nodes in use",
    unit=Unit.RATIO,
    job=JOB,
    by=("instance", "name"),
    description="Share of the disks under a node's data. Good: under 85 %, from where it takes no new shards.",
    expr="""
    1 - sum by ($by) (elasticsearch_filesystem_data_available_bytes{$scope})
    / sum by ($by) (elasticsearch_filesystem_data_size_bytes{$scope})""",
)

REJECTED_WORK = Signal(
    title="Rejected work in 5 minutes",
    unit=Unit.COUNT,
    job=JOB,
    by=("instance", "type"),
    panel_window="5m",
    empty_when_healthy=True,
    description="Searches and writes that were refused because a node's queue was full. Good: 0.",
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
    description="Shards, primary and replica, that can be searched. Good: level.",
    expr="max by ($by) (elasticsearch_cluster_health_active_shards{$scope})",
)

UNASSIGNED_SHARDS = Signal(
    title="Unassigned shards",
    unit=Unit.COUNT,
    job=JOB,
    empty_when_healthy=True,
    description="Shards that no node holds: replicas where the cluster is yellow, primaries where it is red. Good: 0.",
    expr="max by ($by) (elasticsearch_cluster_health_unassigned_shards{$scope})",
)

SIZE = Signal(
    title="Size of the indices",
    unit=Unit.BYTES,
    job=JOB,
    description="What all shards take on the disks. Good: grows slowly, and evenly.",
    expr="sum by ($by) (elasticsearch_indices_store_size_bytes{$scope})",
)

SEARCHES = Signal(
    title="Searches",
    unit=Unit.OPERATIONS_PER_SECOND,
    job=JOB,
    by=("instance", "name"),
    description="Searches per second and node, counted once per shard. Good: in step with the API's searches.",
    expr="sum by ($by) (rate(elasticsearch_indices_search_query_total{$scope}[$window]))",
)

SEARCH_TIME = Signal(
    title="Average time of a search",
    unit=Unit.SECONDS,
    job=JOB,
    description="Mean time of a search on one shard. No value without searches. Good: level, under 0.1 s.",
    expr="""
    sum by ($by) (rate(elasticsearch_indices_search_query_time_seconds{$scope}[$window]))
    / (sum by ($by) (rate(elasticsearch_indices_search_query_total{$scope}[$window])) > 0)""",
)

DOCUMENTS_READ = Signal(
    title="Documents fetched",
    unit=Unit.OPERATIONS_PER_SECOND,
    job=JOB,
    by=("instance", "name"),
    description="Fetches per second: the second half of a search, for what it found. Good: in step with the searches.",
    expr="sum by ($by) (rate(elasticsearch_indices_search_fetch_total{$scope}[$window]))",
)

BREAKER_USED = Signal(
    title="Memory for requests in use",
    unit=Unit.RATIO,
    job=JOB,
    by=("instance", "name"),
    description="Share of the parent circuit breaker's limit: at its end a node refuses requests, lest it run out of "
    "heap. Good: under 70 %.",
    expr="""
    max by ($by) (elasticsearch_breakers_estimated_size_bytes{$scope,breaker="parent"})
    / (max by ($by) (elasticsearch_breakers_limit_size_bytes{$scope,breaker="parent"}) > 0)""",
)

CPU = Signal(
    title="CPU of the nodes",
    unit=Unit.RATIO,
    job=JOB,
    by=("instance", "name"),
    description="Share of its machine's cores that a node's process uses. Good: under 70 %.",
    expr="max by ($by) (elasticsearch_process_cpu_percent{$scope}) / 100",
)

OPEN_FILES = Signal(
    title="Open files",
    unit=Unit.RATIO,
    job=JOB,
    by=("instance", "name"),
    description="Share of the files that a node may open. Good: under 50 %; each segment of an index needs several.",
    expr="""
    max by ($by) (elasticsearch_process_open_files_count{$scope})
    / (max by ($by) (elasticsearch_process_max_files_descriptors{$scope}) > 0)""",
)

WORK = Signal(
    title="Finished work",
    unit=Unit.OPERATIONS_PER_SECOND,
    job=JOB,
    by=("instance", "type"),
    description="Tasks per second that the thread pools ended, by pool. Good: search and write in step with the API.",
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
        description="The exporter gets no cluster health from Elasticsearch, cannot be scraped, or is gone.",
    ),
    Alert(
        name="ElasticsearchClusterRed",
        severity=Severity.CRITICAL,
        for_="5m",  # a restart reads its shards meanwhile
        when=PRIMARIES_ASSIGNED.below(1),
        summary="{{ $labels.instance }}: the cluster is red",
        description="A primary shard is missing: a part of the data can be neither searched nor written.",
    ),
    Alert(
        name="ElasticsearchClusterYellow",
        severity=Severity.WARNING,
        for_="30m",  # a rolling restart's copying is done
        when=REPLICAS_ASSIGNED.below(1),
        summary="{{ $labels.instance }}: the cluster is yellow",
        description="A replica is missing: the next node that fails takes data with it.",
    ),
    Alert(
        name="ElasticsearchHeapUsageTooHigh",
        severity=Severity.WARNING,
        for_="15m",
        when=HEAP_USED.above(0.90),  # garbage collection brings a healthy heap back under 75 % within minutes
        summary="{{ $labels.instance }}: node {{ $labels.name }} uses {{ $value | humanizePercentage }} of its heap",
        description="Garbage collection does not get the heap free: the node slows down and is about to fail.",
    ),
    Alert(
        name="ElasticsearchDiskOutOfSpace",
        severity=Severity.WARNING,
        for_="10m",
        when=DISK_USED.above(0.90),  # the high watermark: shards move away; at 95 % indices turn read-only
        summary="{{ $labels.instance }}: node {{ $labels.name }} uses {{ $value | humanizePercentage }} of its disk",
        description="The node gives its shards away, and refuses writes when 95 % of its disk are in use.",
    ),
    Alert(
        name="ElasticsearchThreadPoolRejections",
        severity=Severity.WARNING,
        for_="5m",
        when=REJECTED_WORK.above(0),
        summary='{{ $labels.instance }}: {{ $labels.type }} tasks refused in 5 minutes: {{ $value | printf "%.0f" }}',
        description="A queue of the cluster is full: it gets more to do than it can, and users see errors.",
    ),
)
