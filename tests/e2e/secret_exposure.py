"""Where somebody could read a secret: all that the engine, the services, Pulumi and the files of a stack show.

A place has a name and a text; bytes are read as Latin-1, which fits any.
"""

import io
import json
import tarfile
from base64 import b64encode
from collections.abc import Iterable, Iterator, Mapping
from pathlib import Path
from typing import Any
from urllib.parse import quote

from docker.models.containers import Container

from tests.e2e.conftest import NAME, PREFIX, Stack

Place = tuple[str, str]

# Runs as root with the host's process ids: what each process was started with, and the files in its memory.
NPROC_LIMIT = """
import errno, json, os, sys

def show(place, path):
    try:
        with open(path, "rb") as file:
            json.dump([place, file.read().decode("latin-1")], sys.stdout)
        print()
    except OSError as error:
        if error.errno not in (errno.ENOENT, errno.ESRCH, errno.ENXIO):  # ended by now; a socket
            raise

for service, pids, folders in json.loads(sys.argv[1]):
    for pid in pids:
        show(f"environment of {service}", f"/proc/{pid}/environ")
        show(f"command line of {service}", f"/proc/{pid}/cmdline")
    for folder in folders:
        for at, _, files in os.walk(f"/proc/{pids[0]}/root{folder}"):
            for file in files:
                show(f"memory of {service}: {folder}", os.path.join(at, file))
"""


def found(secrets: Mapping[str, Iterable[str]], places: Iterable[Place]) -> set[tuple[str, str]]:
    """(secret, place) wherever one of the values of a secret can be read, as it is, quoted or in Base64."""
    forms = {name: {form for value in values for form in _forms(value)} for name, values in secrets.items()}
    return {
        (name, place)
        for place, text in places
        for name, desired in forms.items()
        if any(form in text for form in desired)
    }


def _forms(value: str) -> Iterator[str]:
    yield from (value, quote(value, safe=""), json.dumps(value)[1:-1])
    for offset in range(3):  # in something longer, such as user:password, Base64 depends on where the value begins
        padded = b64encode(b"\0" * offset + value.encode()).decode()
        yield padded[4 if offset else 0 : -4]


def places(stack: Stack) -> Iterator[Place]:
    """Everything that can be read with the rights of the person who runs the stack, those on the engine included."""
    mine = stack.engine.containers.list(all=True, filters={"label": f"softfactory.prefix={PREFIX}"})
    yield from _engine(stack, mine)
    yield from _processes(stack, mine)
    yield from _volumes(stack)
    yield from _apis(stack)
    yield from _pulumi(stack)


def _engine(stack: Stack, containers: list[Container]) -> Iterator[Place]:
    """Inspection, logs, and what was written into containers; the images that they run and how those were built."""
    for container in containers:
        yield f"inspection of {container.name}", json.dumps(container.attrs)
        yield f"log of {container.name}", container.logs().decode("latin-1")
        for path in _written(container):
            yield from _files(container, path, f"files of {container.name}")
    for image in {container.image.id: container.image for container in containers if container.image}.values():
        yield f"inspection of image {image.tags}", json.dumps([image.attrs, image.history()])
    label: dict[str, str | list[str] | bool] = {"label": f"softfactory.prefix={PREFIX}"}
    yield "inspection of volumes", json.dumps([volume.attrs for volume in stack.engine.volumes.list(filters=label)])
    yield "inspection of networks", json.dumps([net.attrs for net in stack.engine.networks.list(filters=label)])


def _written(container: Container) -> list[str]:
    """The paths of what was written into a container itself, without the folders above them and what is mounted."""
    if any(mount["Type"] == "bind" for mount in container.attrs["Mounts"]):
        # To read a file the engine mounts everything once more. With the host's / among it (the node exporter), Docker
        # 20.10 cannot remove a container until that has gone. Its root is read-only.
        return []
    changed = {str(change["Path"]): change["Kind"] for change in container.diff() or ()}
    above = {str(folder) for path in changed for folder in Path(path).parents}
    mounted = {mount["Destination"] for mount in container.attrs["Mounts"]} | _memory(container)
    return [path for path, kind in changed.items() if path not in above | mounted and kind != 2]  # 2: removed


def _memory(container: Container) -> set[str]:
    return set(container.attrs["HostConfig"]["Tmpfs"] or {})


def _processes(stack: Stack, containers: list[Container]) -> Iterator[Place]:
    asked = []
    for container in containers:
        if container.status == "running":
            top = container.top()
            column = top["Titles"].index("PID")
            pids = [row[column] for row in top["Processes"]]
            asked.append((_service(container), pids, sorted(_memory(container))))
    shown = stack.engine.containers.run(
        stack.container("api").attrs["Config"]["Image"],
        ["python", "-c", NPROC_LIMIT, json.dumps(asked)],
        pid_mode="host",
        user="0",
        cap_add=["SYS_PTRACE"],
        network_mode="none",
        remove=True,
    )
    for line in shown.decode().splitlines():
        place, text = json.loads(line)
        yield place, text


def _volumes(stack: Stack) -> Iterator[Place]:
    """Every file in every volume of the stack, read through a container that is never started."""
    names = [
        str(volume.name) for volume in stack.engine.volumes.list(filters={"label": f"softfactory.prefix={PREFIX}"})
    ]
    reader = stack.engine.containers.create(
        stack.container("api").attrs["Config"]["Image"],
        volumes={name: {"bind": f"/volumes/{name}", "mode": "ro"} for name in names},
    )
    try:
        for name in names:
            yield from _files(reader, f"/volumes/{name}", f"volume {name}")
    finally:
        reader.remove(v=True)


def _files(container: Container, path: str, place: str) -> Iterator[Place]:
    archive = io.BytesIO(b"".join(container.get_archive(path)[0]))
    with tarfile.open(fileobj=archive) as files:
        for entry in files:
            file = files.extractfile(entry)
            if file:
                yield place, file.read().decode("latin-1")


def _apis(stack: Stack) -> Iterator[Place]:
    paths = {
        "prometheus": (
            "/api/v1/status/config",
            "/api/v1/status/flags",
            "/api/v1/rules",
            "/api/v1/targets",
            "/metrics",
            '/api/v1/series?match[]={__name__!=""}',  # every label of what was scraped
        ),
        "alertmanager": (
            "/api/v2/status",
            "/api/v2/receivers",
            "/api/v2/alerts",
            "/api/v2/alerts/groups",
            "/api/v2/silences",
            "/metrics",
        ),
        "grafana": (
            "/api/admin/settings",
            "/api/datasources",
            "/api/frontend/settings",
            "/api/search",
            "/metrics",
        ),
        "api": ("/metrics", "/healthz"),
        "inbox": ("/api/messages",),
    }
    for part, there in paths.items():
        for path in there:
            auth = stack.grafana_auth if part == "grafana" else None
            answer = stack.http.get(stack.url(part) + path, auth=auth)
            yield f"{part}'s {path}", f"{answer.headers}\n{answer.text}"


def _pulumi(stack: Stack) -> Iterator[Place]:
    """What the commands print or printed, their state with its history, and every file of the checkout."""
    for command in (
        ("preview", "--diff"),
        ("stack", "output", "--json"),
        ("stack", "export"),
        ("stack", "history", "--json"),
        ("config",),
    ):
        stack.pulumi(*command, "--stack", NAME)
    stack.ops("render", "--stack", NAME, "--out", str(stack.folder / "out" / "rendered"))
    yield from (("printed", text) for text in stack.said)
    for folder in (stack.folder, Path(stack.environment["PULUMI_BACKEND_URL"].removeprefix("file://"))):
        for path in folder.rglob("*"):
            if ".venv" not in path.relative_to(folder).parts and path.is_file():
                yield f"file {path.relative_to(folder)}", path.read_bytes().decode("latin-1")


def _service(container: Any) -> str:
    return str(container.name).removeprefix(f"{PREFIX}-")
