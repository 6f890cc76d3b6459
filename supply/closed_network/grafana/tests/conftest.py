"""Tests of the Grafana stand-in itself: server, plugin, and that each contract test can fail.

    pytest supply/closed_network/grafana/tests

They need no Docker and no network but loopback; the packages are those of the groups `dev`, `demo` (Flask, waitress,
prometheus-client) and the plugin's own. The server runs in a thread of the test process. What drives the plugin is
skipped where there is no `pulumi` on PATH.
"""

from __future__ import annotations

import sys
import threading
from collections.abc import Iterator
from http.server import ThreadingHTTPServer
from pathlib import Path
from typing import Any
from wsgiref.types import StartResponse, WSGIEnvironment

import pulumi  # noqa: F401  whole, before the plugin puts only the part that it needs in its place
import pytest
import waitress.server

sys.path.insert(0, str(Path(__file__).resolve().parents[1]))

from grafana_stand_in import store
from grafana_stand_in.app import create_app
from grafana_stand_in.web import Settings
from running import PASSWORD, Prometheus, Running


@pytest.fixture(scope="session")
def stand_in(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Running]:
    settings = Settings(data=tmp_path_factory.mktemp("grafana"))
    store.prepare(settings.database, "admin", PASSWORD)
    application = create_app(settings)
    running = Running(settings)

    def entry(environ: WSGIEnvironment, start: StartResponse) -> Any:
        wrap = running.wrap
        return wrap(application, environ, start) if wrap else application(environ, start)

    server = waitress.server.create_server(entry, host="127.0.0.1", port=0, threads=4)
    running.url = f"http://127.0.0.1:{server.effective_port}"  # type: ignore[union-attr]  # a server of one socket has it
    thread = threading.Thread(target=server.run, daemon=True)
    thread.start()
    yield running
    server.close()


@pytest.fixture(scope="session")
def prometheus() -> Iterator[str]:
    server = ThreadingHTTPServer(("127.0.0.1", 0), Prometheus)
    thread = threading.Thread(target=server.serve_forever, daemon=True)
    thread.start()
    yield f"http://127.0.0.1:{server.server_address[1]}"
    server.shutdown()
    server.server_close()
