"""The machine that runs Docker, as node_exporter sees it."""

from rules.model import Alert, ScrapeJob, Severity, Signal, Unit, reachable

TITLE = "Node"
JOB = ScrapeJob(name="node", service="node", port=9100)

REACHABLE = reachable(JOB)

# Filesystems that hold data on this machine's disks: not in memory, not on the network, not read-only images, which
# are always full. A device that is mounted in several places counts once.
DISKS = '$scope,fstype=~"ext[2-4]|xfs|btrfs|zfs"'
BY_DEVICE = ("instance", "device")

CPU_USED = Signal(
    title="CPU in use",
    unit=Unit.RATIO,
    job=JOB,
    description="Percentage of CPU time, over all cores, that is not idle. Good: under 80 %.",
    expr='1 - avg by ($by) (rate(node_cpu_seconds_total{$scope,mode="idle"}[$window]))',
)

MEMORY_USED = Signal(
    title="Memory in use",
    unit=Unit.RATIO,
    job=JOB,
    description="Percentage of the memory that is no longer available to programs. Good: under 90 %.",
    expr="""
    1 - sum by ($by) (node_memory_MemAvailable_bytes{$scope})
    / sum by ($by) (node_memory_MemTotal_bytes{$scope})""",
)

OOM_KILLS = Signal(
    title="OOM kills in 10 minutes",
    unit=Unit.COUNT,
    job=JOB,
    window="10m",
    panel_window="10m",
    empty_when_healthy=True,
    description="Processes that the kernel killed because the machine or a container ran out of memory. Good: 0.",
    expr="sum by ($by) (increase(node_vmstat_oom_kill{$scope}[$window]))",
)

DISK_USED = Signal(
    title="Disk in use",
    unit=Unit.RATIO,
    job=JOB,
    by=BY_DEVICE,
    description="Percentage of a disk that is no longer available to ordinary programs. Good: under 80 %.",
    expr=f"""
    1 - min by ($by) (node_filesystem_avail_bytes{{{DISKS}}})
    / min by ($by) (node_filesystem_size_bytes{{{DISKS}}})""",
)

DISK_USED_24H_PREDICTION = Signal(
    title="Disk usage, 24 h prediction",
    unit=Unit.RATIO,
    job=JOB,
    by=BY_DEVICE,
    window="6h",
    panel_window="6h",
    description="Predicted disk usage in 24 hours, at the rate of the last six. Good: under 100 %.",
    expr=f"""
    1 - min by ($by) (predict_linear(node_filesystem_avail_bytes{{{DISKS}}}[$window], 24 * 3600))
    / min by ($by) (node_filesystem_size_bytes{{{DISKS}}})""",
)

INODES_USED = Signal(
    title="Inodes in use",
    unit=Unit.RATIO,
    job=JOB,
    by=BY_DEVICE,
    description="Percentage of a disk's inodes that are in use. No value if it has no such limit. Good: under 80 %.",
    expr=f"""
    1 - min by ($by) (node_filesystem_files_free{{{DISKS}}})
    / (min by ($by) (node_filesystem_files{{{DISKS}}}) > 0)""",
)

# Some systems mount a disk read-only on purpose; it has then been read-only for the whole window.
WRITABLE = Signal(
    title="Filesystem writable",
    unit=Unit.UP,
    job=JOB,
    by=BY_DEVICE,
    window="1d",
    panel_window="1d",
    description=(
        "0 if a disk that was writable within the last day is now read-only: the kernel hit an error on it. Good: 1."
    ),
    expr=f"""
    1 - (min by ($by) (node_filesystem_readonly{{{DISKS}}})
         - min by ($by) (min_over_time(node_filesystem_readonly{{{DISKS}}}[$window])))""",
)

CPU_BY_MODE = Signal(
    title="CPU by mode",
    unit=Unit.RATIO,
    job=JOB,
    by=("instance", "mode"),
    description=(
        "Percentage of CPU time, over all cores, by mode. Good: mostly user; iowait is a slow disk, steal a busy host."
    ),
    expr='avg by ($by) (rate(node_cpu_seconds_total{$scope,mode!="idle"}[$window])) > 0',
)

LOAD_PER_CORE = Signal(
    title="Load per core",
    unit=Unit.COUNT,
    job=JOB,
    description="Processes that run or wait, per core, averaged over five minutes. Good: under 1.",
    expr='max by ($by) (node_load5{$scope}) / count by ($by) (node_cpu_seconds_total{$scope,mode="idle"})',
)

DISK_READ = Signal(
    title="Read from disk",
    unit=Unit.BYTES_PER_SECOND,
    job=JOB,
    by=BY_DEVICE,
    description="Bytes per second read from a disk. Good: little; steady reads mean too little memory for caches.",
    expr="sum by ($by) (rate(node_disk_read_bytes_total{$scope}[$window]))",
)

DISK_WRITTEN = Signal(
    title="Written to disk",
    unit=Unit.BYTES_PER_SECOND,
    job=JOB,
    by=BY_DEVICE,
    description="Bytes per second written to a disk. Good: steady.",
    expr="sum by ($by) (rate(node_disk_written_bytes_total{$scope}[$window]))",
)

DISK_BUSY = Signal(
    title="Disk I/O utilization",
    unit=Unit.RATIO,
    job=JOB,
    by=BY_DEVICE,
    description="Percentage of the time in which a disk handles at least one request. Good: under 80 %.",
    expr="sum by ($by) (rate(node_disk_io_time_seconds_total{$scope}[$window]))",
)

WAITING_FOR_CPU = Signal(
    title="CPU pressure (PSI)",
    unit=Unit.RATIO,
    job=JOB,
    description=(
        "Percentage of the time in which at least one process waits for a core. Good: under 20 %. Needs Linux 4.20."
    ),
    expr="sum by ($by) (rate(node_pressure_cpu_waiting_seconds_total{$scope}[$window]))",
)

OPEN_FILES = Signal(
    title="File descriptors",
    unit=Unit.RATIO,
    job=JOB,
    description="Percentage of the machine's file descriptors that are in use. Good: under 10 %.",
    expr="max by ($by) (node_filefd_allocated{$scope}) / max by ($by) (node_filefd_maximum{$scope})",
)

UPTIME = Signal(
    title="Uptime",
    unit=Unit.SECONDS,
    job=JOB,
    description="Time since the machine started. Good: no restart that you do not know of.",
    expr="time() - max by ($by) (node_boot_time_seconds{$scope})",
)

SATURATION = (CPU_USED, MEMORY_USED, DISK_USED)

ALERTS = (
    Alert(
        name="NodeMemoryHighUtilization",
        severity=Severity.WARNING,
        for_="15m",  # a build or a backup is over by then
        when=MEMORY_USED.above(0.90),  # the next container that starts needs what is left
        summary="{{ $labels.instance }} uses {{ $value | humanizePercentage }} of its memory",
        description="Under a tenth of the memory is left. If it runs out, the kernel kills a process.",
    ),
    Alert(
        name="NodeOOMKill",
        severity=Severity.WARNING,
        for_="1m",
        when=OOM_KILLS.above(0),
        summary='{{ $labels.instance }}: OOM kills in 10 minutes: {{ $value | printf "%.0f" }}',
        description=(
            "A container reached its memory limit, or the machine ran out of memory: the kernel killed a process."
        ),
    ),
    Alert(
        name="NodeFilesystemAlmostOutOfSpace",
        severity=Severity.WARNING,
        for_="15m",
        when=DISK_USED.above(0.90),  # 10 % holds an image or two, or days of samples
        summary="{{ $labels.instance }} uses {{ $value | humanizePercentage }} of {{ $labels.device }}",
        description="Under a tenth of the disk is left. If it fills up, databases and Prometheus stop.",
    ),
    Alert(
        name="NodeFilesystemSpaceFillingUp",
        severity=Severity.WARNING,
        for_="1h",  # longer than a download or a copy
        when=DISK_USED_24H_PREDICTION.above(0.95),
        and_conditions=(DISK_USED.above(0.80),),  # while there is space left, a steep hour means nothing
        summary="{{ $labels.instance }}: {{ $labels.device }} will be full within a day",
        description=(
            "Over 80 % of the disk is in use, and at the rate of the last six hours the rest fills up within a day."
        ),
    ),
    Alert(
        name="NodeFilesystemAlmostOutOfFiles",
        severity=Severity.WARNING,
        for_="15m",
        when=INODES_USED.above(0.90),
        summary="{{ $labels.instance }} uses {{ $value | humanizePercentage }} of the inodes of {{ $labels.device }}",
        description="The disk can hold only a few more files, however much space is left. Then no file can be created.",
    ),
    Alert(
        name="NodeFilesystemReadOnly",
        severity=Severity.CRITICAL,
        for_="5m",
        when=WRITABLE.below(1),
        summary="{{ $labels.instance }}: {{ $labels.device }} is now read-only",
        description=(
            "The kernel hit an error on the disk and remounted it read-only: everything that stores data there fails."
        ),
    ),
)
