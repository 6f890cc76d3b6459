"""The machine under the engine, as node_exporter sees it."""

from rules.model import Alert, ScrapeJob, Severity, Signal, Unit, reachable

TITLE = "Node"
JOB = ScrapeJob(name="node", service="node", port=9100)

REACHABLE = reachable(JOB)

# What keeps data on a disk of this machine: no memory, no network, no image that is always full. A device that is
# mounted in several places counts once.
DISKS = '$scope,fstype=~"ext[2-4]|xfs|btrfs|zfs"'
BY_DEVICE = ("instance", "device")

CPU_USED = Signal(
    title="CPU in use",
    unit=Unit.RATIO,
    job=JOB,
    description="Share of all cores that is not idle. Good: under 80 %.",
    expr='1 - avg by ($by) (rate(node_cpu_seconds_total{$scope,mode="idle"}[$window]))',
)

MEMORY_USED = Signal(
    title="Memory in use",
    unit=Unit.RATIO,
    job=JOB,
    description="Share of the memory that programs cannot get any more. Good: under 90 %.",
    expr="""
    1 - sum by ($by) (node_memory_MemAvailable_bytes{$scope})
    / sum by ($by) (node_memory_MemTotal_bytes{$scope})""",
)

MEMORY_KILLS = Signal(
    title="Processes killed for memory in 10 minutes",
    unit=Unit.COUNT,
    job=JOB,
    window="10m",
    panel_window="10m",
    empty_when_healthy=True,
    description="Processes that the kernel killed because the machine or a container's limit was exhausted. Good: 0.",
    expr="sum by ($by) (increase(node_vmstat_oom_kill{$scope}[$window]))",
)

DISK_USED = Signal(
    title="Disk in use",
    unit=Unit.RATIO,
    job=JOB,
    by=BY_DEVICE,
    description="Share of a disk that ordinary programs cannot write to any more. Good: under 80 %.",
    expr=f"""
    1 - min by ($by) (node_filesystem_avail_bytes{{{DISKS}}})
    / min by ($by) (node_filesystem_size_bytes{{{DISKS}}})""",
)

DISK_TOMORROW = Signal(
    title="Disk in use tomorrow",
    unit=Unit.RATIO,
    job=JOB,
    by=BY_DEVICE,
    window="6h",
    panel_window="6h",
    description="Share of a disk in use in 24 hours, at the pace of the last six. Good: under 100 %.",
    expr=f"""
    1 - min by ($by) (predict_linear(node_filesystem_avail_bytes{{{DISKS}}}[$window], 24 * 3600))
    / min by ($by) (node_filesystem_size_bytes{{{DISKS}}})""",
)

INODES_USED = Signal(
    title="Inodes in use",
    unit=Unit.RATIO,
    job=JOB,
    by=BY_DEVICE,
    description="Share of the files that a disk can hold. No value where it has no such limit. Good: under 80 %.",
    expr=f"""
    1 - min by ($by) (node_filesystem_files_free{{{DISKS}}})
    / (min by ($by) (node_filesystem_files{{{DISKS}}}) > 0)""",
)

# Some systems mount a disk read-only on purpose, and have done so all day.
WRITABLE = Signal(
    title="Disk can still be written",
    unit=Unit.UP,
    job=JOB,
    by=BY_DEVICE,
    window="1d",
    panel_window="1d",
    description="0 where a disk that could be written within the last day is read-only: the kernel met an error on it. "
    "Good: 1.",
    expr=f"""
    1 - (min by ($by) (node_filesystem_readonly{{{DISKS}}})
         - min by ($by) (min_over_time(node_filesystem_readonly{{{DISKS}}}[$window])))""",
)

CPU_BY_MODE = Signal(
    title="CPU by mode",
    unit=Unit.RATIO,
    job=JOB,
    by=("instance", "mode"),
    description="Share of all cores by what they do. Good: mostly user; iowait is a slow disk, steal a busy host.",
    expr='avg by ($by) (rate(node_cpu_seconds_total{$scope,mode!="idle"}[$window])) > 0',
)

LOAD_PER_CORE = Signal(
    title="Load per core",
    unit=Unit.COUNT,
    job=JOB,
    description="Processes that run or wait, on average of five minutes, per core. Good: under 1.",
    expr='max by ($by) (node_load5{$scope}) / count by ($by) (node_cpu_seconds_total{$scope,mode="idle"})',
)

DISK_READ = Signal(
    title="Read from disk",
    unit=Unit.BYTES_PER_SECOND,
    job=JOB,
    by=BY_DEVICE,
    description="What is read from a disk. Good: little; steady reading is memory that is missing for caches.",
    expr="sum by ($by) (rate(node_disk_read_bytes_total{$scope}[$window]))",
)

DISK_WRITTEN = Signal(
    title="Written to disk",
    unit=Unit.BYTES_PER_SECOND,
    job=JOB,
    by=BY_DEVICE,
    description="What is written to a disk. Good: level.",
    expr="sum by ($by) (rate(node_disk_written_bytes_total{$scope}[$window]))",
)

DISK_BUSY = Signal(
    title="Disk busy",
    unit=Unit.RATIO,
    job=JOB,
    by=BY_DEVICE,
    description="Share of the time in which a disk works on at least one request. Good: under 80 %.",
    expr="sum by ($by) (rate(node_disk_io_time_seconds_total{$scope}[$window]))",
)

WAITING_FOR_CPU = Signal(
    title="Waiting for CPU",
    unit=Unit.RATIO,
    job=JOB,
    description="Share of the time in which some process waits for a core. Good: under 20 %. Needs Linux 4.20.",
    expr="sum by ($by) (rate(node_pressure_cpu_waiting_seconds_total{$scope}[$window]))",
)

OPEN_FILES = Signal(
    title="Open files",
    unit=Unit.RATIO,
    job=JOB,
    description="Share of the files that the machine may open. Good: under 10 %.",
    expr="max by ($by) (node_filefd_allocated{$scope}) / max by ($by) (node_filefd_maximum{$scope})",
)

UPTIME = Signal(
    title="Time since start",
    unit=Unit.SECONDS,
    job=JOB,
    description="Time since the machine started. Good: as long as you know of.",
    expr="time() - max by ($by) (node_boot_time_seconds{$scope})",
)

SATURATION = (CPU_USED, MEMORY_USED, DISK_USED)

ALERTS = (
    Alert(
        name="NodeMemoryHighUtilization",
        severity=Severity.WARNING,
        for_="15m",  # a build or a backup passes
        when=MEMORY_USED.above(0.90),  # what is left goes to the first container that starts
        summary="{{ $labels.instance }} uses {{ $value | humanizePercentage }} of its memory",
        description="Under a tenth of the memory is left; when it is gone, the kernel kills a process.",
    ),
    Alert(
        name="NodeOOMKill",
        severity=Severity.WARNING,
        for_="1m",
        when=MEMORY_KILLS.above(0),
        summary='{{ $labels.instance }}: processes killed for memory in 10 minutes: {{ $value | printf "%.0f" }}',
        description="A container met its memory limit, or the machine ran out: the kernel killed a process.",
    ),
    Alert(
        name="NodeFilesystemAlmostOutOfSpace",
        severity=Severity.WARNING,
        for_="15m",
        when=DISK_USED.above(0.90),  # 10 % hold an image or two, or days of samples
        summary="{{ $labels.instance }} uses {{ $value | humanizePercentage }} of {{ $labels.device }}",
        description="Under a tenth of the disk is left; when it is full, databases and Prometheus stop.",
    ),
    Alert(
        name="NodeFilesystemSpaceFillingUp",
        severity=Severity.WARNING,
        for_="1h",  # longer than a download or a copy
        when=DISK_TOMORROW.above(0.95),
        and_conditions=(DISK_USED.above(0.80),),  # with room left, a steep hour means nothing
        summary="{{ $labels.instance }}: {{ $labels.device }} is full within a day, at this pace",
        description="Over 80 % of the disk are in use, and the pace of the last six hours fills the rest in a day.",
    ),
    Alert(
        name="NodeFilesystemAlmostOutOfFiles",
        severity=Severity.WARNING,
        for_="15m",
        when=INODES_USED.above(0.90),
        summary="{{ $labels.instance }} uses {{ $value | humanizePercentage }} of the inodes of {{ $labels.device }}",
        description="The disk can hold few further files, however much room there is; then nothing can be created.",
    ),
    Alert(
        name="NodeFilesystemReadOnly",
        severity=Severity.CRITICAL,
        for_="5m",
        when=WRITABLE.below(1),
        summary="{{ $labels.instance }}: {{ $labels.device }} has turned read-only",
        description="The kernel met an error on the disk and forbade writing: what stores data there fails now.",
    ),
)
