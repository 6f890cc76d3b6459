"""Runs a Pulumi program without an engine and records everything that it registers.

Pulumi's own mocks hide the resource options and see no duplicate names; the monitor here sits where the engine would
and keeps the whole request. Assertions are for the record, after the program has finished: inside `apply` they would
pass unheard.
"""

import asyncio
import contextvars
import hashlib
import threading
from collections.abc import Callable, Iterator, Mapping
from dataclasses import dataclass, field
from types import SimpleNamespace
from typing import Any, Final
from unittest.mock import patch

from google.protobuf.struct_pb2 import Struct, Value
from pulumi.runtime import mocks, rpc
from pulumi.runtime import resource as pulumi_resource
from pulumi.runtime import stack as pulumi_stack
from pulumi.runtime.config import set_all_config
from pulumi.runtime.proto import resource_pb2, source_pb2
from pulumi.runtime.settings import configure

STACK: Final = "pulumi:pulumi:Stack"
PROJECT: Final = "softfactory-monitoring"
IMAGE: Final = "docker:index/remoteImage:RemoteImage"
CONTAINER: Final = "docker:index/container:Container"
VOLUME: Final = "docker:index/volume:Volume"
NETWORK: Final = "docker:index/network:Network"
DATASOURCE: Final = "grafana:oss/dataSource:DataSource"
DASHBOARD: Final = "grafana:oss/dashboard:Dashboard"
PREFERENCES: Final = "grafana:oss/organizationPreferences:OrganizationPreferences"
STASH: Final = "pulumi:index:Stash"
FOLDER: Final = "grafana:oss/folder:Folder"


@dataclass(frozen=True)
class Secret:
    """A value that Pulumi keeps encrypted in its state."""

    value: Any


class _Unknown:
    def __repr__(self) -> str:
        return "UNKNOWN"


UNKNOWN: Final = _Unknown()  # what a preview cannot know yet


@dataclass(frozen=True, kw_only=True)
class Recorded:
    """One registered resource. Resources that it refers to are given by name; `inputs` has Secret and UNKNOWN in it.

    `depends_on` holds what it waits for ("Container redis-secrets"): given as an option, or because an input comes from
    there.
    """

    type: str
    name: str
    urn: str
    inputs: Mapping[str, Any]
    custom: bool
    parent: str
    provider: str
    depends_on: frozenset[str]
    delete_before_replace: bool
    retain_on_delete: bool
    ignore_changes: tuple[str, ...]
    deleted_with: str


Computed = Callable[[Recorded], Mapping[str, Any]]


@dataclass
class Run:
    """What one run of a program did. `error` is what it failed with, `log` what it told its user (level, text)."""

    preview: bool
    resources: list[Recorded] = field(default_factory=list)
    outputs: dict[str, Any] = field(default_factory=dict)
    log: list[tuple[str, str]] = field(default_factory=list)
    error: BaseException | None = None

    def of(self, type_: str) -> list[Recorded]:
        return [resource for resource in self.resources if resource.type == type_]

    def one(self, type_: str, name: str) -> Recorded:
        """The resource of that type and name; AssertionError with what is there instead."""
        found = [resource for resource in self.of(type_) if resource.name == name]
        assert len(found) == 1, f"{len(found)} x {type_} {name}; there are: {sorted(r.name for r in self.of(type_))}"
        return found[0]

    def has(self, type_: str, name: str) -> bool:
        return any(resource.name == name for resource in self.of(type_))

    def succeeded(self) -> "Run":
        """This run; AssertionError with the program's own error where it failed."""
        assert self.error is None, f"the program failed: {self.error!r}"
        return self


def run(
    program: Callable[[], object],
    *,
    stack: str = "dev",
    config: Mapping[str, str] | None = None,
    secrets: Mapping[str, str] | None = None,
    preview: bool = False,
    computed: Computed | None = None,
) -> Run:
    """Runs the program to its end, as the engine would, in settings of its own.

    `computed` gives what the engine adds to a resource's inputs. In a real run it stands over what `answer` gives; in a
    preview it is all that is known, as of a resource that does not change. Fails where two resources have the same URN,
    which the engine would refuse.
    """
    recorded = Run(preview=preview)
    contextvars.copy_context().run(_run, program, recorded, stack, config or {}, secrets or {}, computed)
    urns = [resource.urn for resource in recorded.resources]
    twice = sorted({urn for urn in urns if urns.count(urn) > 1})
    assert not twice, f"registered twice: {twice}"
    return recorded


def answer(resource: Recorded) -> dict[str, Any]:
    """What a healthy engine and Grafana would add to that resource's inputs."""
    if resource.type == IMAGE:
        return {"imageId": f"sha256:{_hex(plain(resource.inputs['name']))}"}
    if resource.type == CONTAINER:
        return {"exitCode": 0, "containerLogs": ""}
    if resource.type == DASHBOARD:
        return {"uid": resource.name.removeprefix("dashboard-")}
    return {}


def identity(resource: Recorded) -> str:
    """The id that the engine gives it."""
    return _hex(resource.urn)


def plain(value: Any) -> Any:
    """The value without its marks of secrecy."""
    if isinstance(value, Secret):
        return plain(value.value)
    if isinstance(value, list):
        return [plain(item) for item in value]
    if isinstance(value, Mapping):
        return {key: plain(item) for key, item in value.items()}
    return value


def texts(value: Any, path: str = "", secret: bool = False) -> Iterator[tuple[str, str, bool]]:
    """Every text in a tree of inputs, the keys too: (path, text, whether it is marked secret)."""
    if isinstance(value, Secret):
        yield from texts(value.value, path, True)
    elif isinstance(value, list):
        for number, item in enumerate(value):
            yield from texts(item, f"{path}[{number}]", secret)
    elif isinstance(value, Mapping):
        for key, item in value.items():
            yield f"{path}.{key}", key, secret
            yield from texts(item, f"{path}.{key}", secret)
    elif isinstance(value, str):
        yield path, value, secret


class _Monitor(mocks.MockMonitor):
    """Stands where the engine's resource monitor would, and is called from several threads."""

    def __init__(self, recorded: Run, computed: Computed | None) -> None:
        super().__init__(_NoMocks())
        self._run = recorded
        self._computed = computed
        self._lock = threading.Lock()

    def RegisterResource(self, request: Any) -> Any:  # noqa: N802  # the engine's own name for it
        urn = self.make_urn(request.parent, request.type, request.name)
        if request.type == STACK:
            return resource_pb2.RegisterResourceResponse(urn=urn)
        resource = Recorded(
            type=request.type,
            name=request.name,
            urn=urn,
            inputs=_read(request.object),
            custom=request.custom,
            parent=_name(request.parent),
            provider=_name(request.provider.rpartition("::")[0]),
            depends_on=frozenset(f"{_kind(urn)} {_name(urn)}" for urn in request.dependencies),
            delete_before_replace=request.deleteBeforeReplace,
            retain_on_delete=request.retainOnDelete,
            ignore_changes=tuple(request.ignoreChanges),
            deleted_with=_name(request.deletedWith),
        )
        with self._lock:
            self._run.resources.append(resource)
        state = Struct()
        state.CopyFrom(request.object)
        state.update({} if self._run.preview else answer(resource))
        state.update(self._computed(resource) if self._computed else {})
        made = request.custom and not self._run.preview
        return resource_pb2.RegisterResourceResponse(urn=urn, id=_hex(urn) if made else "", object=state)

    def RegisterResourceOutputs(self, request: Any) -> Any:  # noqa: N802
        if request.urn.split("::")[2] == STACK:
            self._run.outputs.update(_read(request.outputs))
        return super().RegisterResourceOutputs(request)  # type: ignore[no-untyped-call]


# Pulumi looks at all outstanding outputs each time that one of them is done, which takes half of a run's time; it needs
# to know only when all are done or one has failed.
_QUICK: Final = SimpleNamespace(**vars(asyncio))
_QUICK.wait = lambda tasks, return_when: asyncio.wait(tasks, return_when=asyncio.FIRST_EXCEPTION)


class _NoMocks(mocks.Mocks):
    def call(self, args: mocks.MockCallArgs) -> Any:
        raise AssertionError(f"a function of a provider is called: {args.token}")

    def new_resource(self, args: mocks.MockResourceArgs) -> Any:
        raise AssertionError(f"a resource is read: {args.typ} {args.name}")


def _run(
    program: Callable[[], object],
    recorded: Run,
    stack: str,
    config: Mapping[str, str],
    secrets: Mapping[str, str],
    computed: Computed | None,
) -> None:
    levels = {0: "debug", 1: "info", 2: "warning", 3: "error"}
    engine = SimpleNamespace(Log=lambda told: recorded.log.append((levels[told.severity], told.message)))
    settings = mocks.MockSettings(  # type: ignore[no-untyped-call]
        monitor=_Monitor(recorded, computed),
        monitor_features=set(),
        engine=engine,
        project=PROJECT,
        stack=stack,
        dry_run=recorded.preview,
        organization=None,
        callbacks=None,
        # What a run leaves unfinished must not be waited for by the next one.
        outputs=set(),
        lock=threading.Lock(),
        package_refs={},
        base_providers_by_ref={},
    )
    configure(settings)
    keys = {f"{PROJECT}:{key}": value for key, value in {**config, **secrets}.items()}
    set_all_config(keys, [f"{PROJECT}:{key}" for key in secrets])
    loop = asyncio.new_event_loop()
    loop.set_exception_handler(lambda *_: None)  # what fails is in `error`
    asyncio.set_event_loop(loop)
    try:
        # Where in the sources a resource is made is for the engine's messages; to find it takes a sixth of a run.
        unsaid = patch.object(pulumi_resource, "_get_stack_trace", source_pb2.StackTrace)
        with unsaid, patch.object(pulumi_stack, "asyncio", _QUICK):
            loop.run_until_complete(pulumi_stack.run_in_stack(lambda: _nothing(program())))
    except Exception as error:
        recorded.error = error
        # The program stops waiting at its first failure; what would have been registered all the same must show.
        loop.run_until_complete(_drain())
    finally:
        loop.run_until_complete(loop.shutdown_default_executor())
        asyncio.set_event_loop(None)
        loop.close()


async def _drain() -> None:
    for _ in range(50):
        rest = asyncio.all_tasks() - {asyncio.current_task()}
        if not rest:
            return
        await asyncio.wait(rest, timeout=0.02)
    for task in rest:
        task.cancel()
    await asyncio.wait(rest)


def _nothing(_: object) -> None:
    """What the program returns is no coroutine to wait for."""


def _read(struct: Struct) -> dict[str, Any]:
    return {key: _value(value) for key, value in struct.fields.items()}


def _value(value: Value) -> Any:
    kind = value.WhichOneof("kind")
    if kind == "list_value":
        return [_value(item) for item in value.list_value.values]
    if kind == "struct_value":
        fields = _read(value.struct_value)
        if fields.get(rpc._special_sig_key) == rpc._special_secret_sig:
            return Secret(fields.get("value"))
        return fields
    if kind == "string_value":
        return UNKNOWN if value.string_value == rpc.UNKNOWN else value.string_value
    if kind == "number_value":
        number = value.number_value
        return int(number) if number.is_integer() else number
    return value.bool_value if kind == "bool_value" else None


def _name(urn: str) -> str:
    return urn.rpartition("::")[2]


def _kind(urn: str) -> str:
    return urn.split("::")[2].rpartition(":")[2]


def _hex(text: str) -> str:
    return hashlib.sha256(text.encode()).hexdigest()
