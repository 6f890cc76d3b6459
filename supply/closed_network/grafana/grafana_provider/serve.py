"""The gRPC service that Pulumi's engine talks to."""

from __future__ import annotations

import contextlib
import hashlib
import json
import os
import secrets
import signal
import sys
import threading
from collections.abc import Iterator
from concurrent import futures
from types import FrameType
from typing import Any

import grpc
from google.protobuf.empty_pb2 import Empty

from . import VERSION
from .client import Api, Config, PluginError
from .resources import KINDS, Kind, State
from .stubs import plugin_pb2, provider_pb2, provider_pb2_grpc, status_pb2
from .wire import UNKNOWN, from_struct, has_unknown, to_struct

CONFIG_SECRETS = frozenset(("auth", "httpHeaders", "tlsKey"))
BOOKKEEPING = ("id", "__defaults", "__meta", "__pulumi_raw_state_delta")
MESSAGE_BYTES = 400 * 1024 * 1024  # the engine's own limit
PARENT_CHECK_SECONDS = 2


def _type_of(urn: str) -> str:
    return urn.split("::")[2].split("$")[-1]


def _name_of(urn: str) -> str:
    return urn.split("::", 3)[3]


class Provider(provider_pb2_grpc.ResourceProviderServicer):
    """One provider; the engine configures it once, then calls from several threads."""

    def __init__(self) -> None:
        self.stopping = threading.Event()
        self.api = Api(Config(), self.stopping)

    # The provider itself

    def Handshake(self, request: Any, context: Any) -> Any:  # noqa: N802  # gRPC's names, here and below
        return provider_pb2.ProviderHandshakeResponse(supports_autonaming_configuration=True)

    def GetPluginInfo(self, request: Any, context: Any) -> Any:  # noqa: N802
        return plugin_pb2.PluginInfo(version=VERSION)

    def GetSchema(self, request: Any, context: Any) -> Any:  # noqa: N802
        resources = {
            token: {
                "description": "Stand-in",
                "inputProperties": {name: {"type": "string"} for name in kind.properties},
                "properties": {name: {"type": "string"} for name in (*kind.properties, *kind.outputs)},
            }
            for token, kind in KINDS.items()
        }
        schema = {"name": "grafana", "version": VERSION, "resources": resources}
        return provider_pb2.GetSchemaResponse(schema=json.dumps(schema))

    def CheckConfig(self, request: Any, context: Any) -> Any:  # noqa: N802
        news = from_struct(request.news)
        failures = []
        try:
            Config.of({key: value for key, value in news.items() if not has_unknown(value)})
        except ValueError as error:
            failures.append(provider_pb2.CheckFailure(reason=str(error)))
        return provider_pb2.CheckResponse(inputs=to_struct(news, CONFIG_SECRETS), failures=failures)

    def DiffConfig(self, request: Any, context: Any) -> Any:  # noqa: N802
        olds, news = from_struct(request.olds), from_struct(request.news)
        return _diff([key for key in {**olds, **news} if olds.get(key) != news.get(key)], [])

    def Configure(self, request: Any, context: Any) -> Any:  # noqa: N802
        given = {key.split(":")[-1]: value for key, value in request.variables.items()} | from_struct(request.args)
        with self._errors(context):
            config = Config.of({key: value for key, value in given.items() if not has_unknown(value)})
            self.api = Api(config, self.stopping)
        return provider_pb2.ConfigureResponse(supportsPreview=True, supports_autonaming_configuration=True)

    def Cancel(self, request: Any, context: Any) -> Any:  # noqa: N802
        self.stopping.set()
        return Empty()

    # Resources

    def Check(self, request: Any, context: Any) -> Any:  # noqa: N802
        kind = self._kind(request.urn, context)
        olds, news = from_struct(request.olds), from_struct(request.news)
        failures = [
            provider_pb2.CheckFailure(property=name, reason=f"the resource has no property {name!r}")
            for name in news
            if name not in kind.properties and not name.startswith("__")
        ]
        failures += [provider_pb2.CheckFailure(property=name, reason=why) for name, why in kind.check(news)]
        defaults = []
        if kind.auto_named and "name" not in news:
            old = olds.get("name") if "name" in olds.get("__defaults", []) else None
            news["name"] = old or _auto_name(request)
            defaults.append("name")
        if "accessMode" in kind.properties and "accessMode" not in news:
            news["accessMode"] = kind.properties["accessMode"].default
            defaults.append("accessMode")
        inputs = news | {"__defaults": sorted(defaults)}
        return provider_pb2.CheckResponse(inputs=to_struct(inputs, _secrets(kind)), failures=failures)

    def Diff(self, request: Any, context: Any) -> Any:  # noqa: N802
        kind = self._kind(request.urn, context)
        news = from_struct(request.news)
        olds = kind.normal(from_struct(request.olds), self.api)
        wanted = kind.normal(news, self.api)
        changed = [
            name for name in kind.properties if name not in request.ignoreChanges and kind.differs(name, olds, wanted)
        ]
        replaced = [name for name in changed if kind.replaces(name, olds, wanted)]
        # Two data sources cannot have one name: a new one with the program's own name must wait for the old to go.
        named = kind.auto_named and "name" not in news.get("__defaults", [])
        return _diff(
            changed, replaced, stables=kind.stable, delete_first=bool(replaced) and named, olds=olds, news=news
        )

    def Create(self, request: Any, context: Any) -> Any:  # noqa: N802
        kind = self._kind(request.urn, context)
        news = _plain(from_struct(request.properties))
        if request.preview:
            computed = [name for name, wanted in kind.properties.items() if wanted.computed]
            planned = dict.fromkeys((*computed, *kind.outputs), UNKNOWN) | kind.normal(news, self.api)
            return provider_pb2.CreateResponse(properties=to_struct(planned, _secrets(kind)))
        with self._errors(context), kind.writing:
            made = kind.create(self.api, news)
            try:
                made, state = kind.reread(self.api, made, news)  # a data source's id has the organization answered
            except PluginError as error:
                planned = kind.normal(news, self.api)
                _made_but_unread(context, made, to_struct({"id": made} | planned, _secrets(kind)), error)
        return provider_pb2.CreateResponse(id=made, properties=to_struct({"id": made} | state, _secrets(kind)))

    def Read(self, request: Any, context: Any) -> Any:  # noqa: N802
        kind = self._kind(request.urn, context)
        before, inputs = from_struct(request.properties), from_struct(request.inputs)
        with self._errors(context):
            found = kind.read(self.api, request.id, before)
        if found is None:
            return provider_pb2.ReadResponse()
        made, state = found
        kept = _inputs(kind, state, inputs if before else None, self.api)
        return provider_pb2.ReadResponse(
            id=made,
            properties=to_struct({"id": made} | state, _secrets(kind)),
            inputs=to_struct(kept, _secrets(kind)),
        )

    def Update(self, request: Any, context: Any) -> Any:  # noqa: N802
        kind = self._kind(request.urn, context)
        olds, news = from_struct(request.olds), _plain(from_struct(request.news))
        if request.preview:
            planned = _plain(olds) | kind.normal(news, self.api)
            return provider_pb2.UpdateResponse(properties=to_struct(planned, _secrets(kind)))
        with self._errors(context), kind.writing:
            state = kind.update(self.api, request.id, kind.normal(_plain(olds), self.api), news)
        if "__meta" in olds:
            state = {"__meta": olds["__meta"]} | state
        return provider_pb2.UpdateResponse(properties=to_struct({"id": request.id} | state, _secrets(kind)))

    def Delete(self, request: Any, context: Any) -> Any:  # noqa: N802
        kind = self._kind(request.urn, context)
        with self._errors(context), kind.writing:
            kind.delete(self.api, request.id, from_struct(request.properties))
        return Empty()

    def Invoke(self, request: Any, context: Any) -> Any:  # noqa: N802
        context.abort(grpc.StatusCode.UNIMPLEMENTED, f"the stand-in plugin for Grafana has no function {request.tok}")

    # Helpers

    def _kind(self, urn: str, context: Any) -> Kind:
        token = _type_of(urn)
        kind = KINDS.get(token) or KINDS.get(token.replace("grafana:index/", "grafana:oss/"))
        if kind is None:
            there = ", ".join(KINDS)
            context.abort(
                grpc.StatusCode.UNIMPLEMENTED,
                f"the stand-in plugin for Grafana has no resource {token}; it has {there}",
            )
            raise AssertionError  # abort raises
        return kind

    @contextlib.contextmanager
    def _errors(self, context: Any) -> Iterator[None]:
        """Give the engine one clear message instead of a traceback."""
        try:
            yield
        except (PluginError, ValueError) as error:
            context.abort(grpc.StatusCode.UNKNOWN, str(error))


def _plain(values: State) -> State:
    return {key: value for key, value in values.items() if key not in BOOKKEEPING}


def _secrets(kind: Kind) -> frozenset[str]:
    return frozenset(name for name, wanted in kind.properties.items() if wanted.secret)


def _auto_name(request: Any) -> str:
    """`<logical name>-<7 hex digits>`, or what the engine's autonaming settings propose."""
    if request.HasField("autonaming") and request.autonaming.proposed_name:
        return str(request.autonaming.proposed_name)
    seed = request.randomSeed or secrets.token_bytes(16)
    return f"{_name_of(request.urn)}-{hashlib.sha256(seed).hexdigest()[:7]}"


def _inputs(kind: Kind, state: State, before: State | None, api: Api) -> State:
    """Inputs that fit the state: on refresh those before, with what changed; on import all that say something."""
    if before is None:
        given = {name: state.get(name) for name, wanted in kind.properties.items() if state.get(name) != wanted.default}
        return given | {"__defaults": []}
    normal = kind.normal(before, api)
    return {
        name: state.get(name, value) if name in kind.properties and kind.differs(name, state, normal) else value
        for name, value in before.items()
    }


def _diff(
    changed: list[str],
    replaced: list[str],
    *,
    stables: tuple[str, ...] = (),
    delete_first: bool = False,
    olds: State | None = None,
    news: State | None = None,
) -> Any:
    shape = provider_pb2.PropertyDiff

    def how(name: str) -> Any:
        if name not in (olds or {}):
            kind = shape.ADD_REPLACE if name in replaced else shape.ADD
        elif name not in (news or {}):
            kind = shape.DELETE_REPLACE if name in replaced else shape.DELETE
        else:
            kind = shape.UPDATE_REPLACE if name in replaced else shape.UPDATE
        return shape(kind=kind)

    return provider_pb2.DiffResponse(
        changes=provider_pb2.DiffResponse.DIFF_SOME if changed else provider_pb2.DiffResponse.DIFF_NONE,
        diffs=changed,
        replaces=replaced,
        stables=stables,
        deleteBeforeReplace=delete_first,
        hasDetailedDiff=olds is not None,
        detailedDiff={name: how(name) for name in changed} if olds is not None else {},
    )


def _made_but_unread(context: Any, made: str, properties: Any, error: PluginError) -> None:
    """Fail a create whose object exists: the engine keeps it in the state, and the next `up` mends it."""
    detail = provider_pb2.ErrorResourceInitFailed(id=made, properties=properties, reasons=[str(error)])
    status = status_pb2.Status(code=grpc.StatusCode.UNKNOWN.value[0], message=str(error))
    status.details.add().Pack(detail)
    context.set_trailing_metadata((("grpc-status-details-bin", status.SerializeToString()),))
    context.abort(grpc.StatusCode.UNKNOWN, str(error))


def main() -> None:
    """Serve on a free loopback port, whose number goes to stdout, until the engine ends this process or itself."""
    options = [("grpc.max_receive_message_length", MESSAGE_BYTES), ("grpc.max_send_message_length", MESSAGE_BYTES)]
    server = grpc.server(futures.ThreadPoolExecutor(max_workers=16), options=options)
    provider_pb2_grpc.add_ResourceProviderServicer_to_server(Provider(), server)
    port = server.add_insecure_port("127.0.0.1:0")
    parent = os.getppid()
    server.start()
    sys.stdout.write(f"{port}\n")
    sys.stdout.flush()

    def stop(_signal: int, _frame: FrameType | None) -> None:
        raise SystemExit(0)

    signal.signal(signal.SIGTERM, stop)
    signal.signal(signal.SIGINT, stop)  # how the engine ends its plugins; it waits five seconds for those that stay
    while os.getppid() == parent:
        server.wait_for_termination(timeout=PARENT_CHECK_SECONDS)
    sys.exit("the engine is gone")
