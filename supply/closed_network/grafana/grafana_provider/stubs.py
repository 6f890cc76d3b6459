"""The gRPC stubs that come with the pulumi package, without the rest of it.

Importing `pulumi` takes 0.3 s of a start that happens at each preview, and the plugin needs nothing of it: where
it is not loaded yet, only its folders are made known, so that the stubs' own imports are found.
"""

from __future__ import annotations

import importlib.util
import sys
from pathlib import Path
from types import ModuleType

if "pulumi" not in sys.modules:
    found = importlib.util.find_spec("pulumi")
    if found is None or found.origin is None:
        sys.exit(
            f"pulumi-resource-grafana (stand-in): {sys.executable} has no package pulumi."
            " Put the checkout's .venv/bin first on PATH (make up does)."
        )
    for name, folder in (
        ("pulumi", Path(found.origin).parent),
        ("pulumi.runtime", Path(found.origin).parent / "runtime"),
    ):
        module = ModuleType(name)
        module.__path__ = [str(folder)]
        sys.modules[name] = module

from pulumi.runtime.proto import plugin_pb2, provider_pb2, provider_pb2_grpc, status_pb2

__all__ = ["plugin_pb2", "provider_pb2", "provider_pb2_grpc", "status_pb2"]
