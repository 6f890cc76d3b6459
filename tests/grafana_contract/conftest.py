"""The Grafana contract: what this project asks of a Grafana, tested against whatever GRAFANA_URL names.

    GRAFANA_URL=http://127.0.0.1:3000 GRAFANA_AUTH=admin:PASSWORD pytest tests/grafana_contract

GRAFANA_AUTH is a server administrator's `user:password`. Each test makes objects under uids of its own and removes
them, so a Grafana in use may be tested too. More is tested with:

- PROMETHEUS_URL_FOR_GRAFANA: a Prometheus' URL as the Grafana server sees it (data source health, proxy, queries).
- GRAFANA_CONTRACT_LOCKOUT=1: five wrong passwords for a user that the test makes and removes.
- `pulumi`, `pulumi-language-python` and `pulumi-resource-grafana` on PATH: test_plugin.py drives the plugin.
"""

from __future__ import annotations

import dataclasses
import os
import secrets
import ssl
from collections.abc import Callable, Iterator
from typing import Any

import httpx
import pytest

NEEDED = "GRAFANA_URL"
TRUST = ssl.create_default_context()  # made once: each client would read the certificates again


def pytest_configure(config: pytest.Config) -> None:
    config.addinivalue_line("markers", "pulumi: drives the Grafana plugin through the real Pulumi CLI")


@dataclasses.dataclass(frozen=True, kw_only=True)
class Server:
    """The Grafana under test. `user` and `password` are a server administrator's."""

    url: str
    user: str
    password: str

    def client(self, user: str | None = None, password: str | None = None) -> httpx.Client:
        """A client with the administrator's credentials, or others."""
        auth = (user or self.user, self.password if password is None else password)
        return httpx.Client(base_url=self.url, auth=auth, timeout=30, verify=TRUST)

    def stranger(self, **headers: str) -> httpx.Client:
        """A client without credentials."""
        return httpx.Client(base_url=self.url, headers=headers, timeout=30, verify=TRUST)


@pytest.fixture(scope="session")
def server() -> Server:
    url, auth = os.environ.get(NEEDED), os.environ.get("GRAFANA_AUTH", "")
    if not url:
        pytest.skip(f"{NEEDED} is not set: there is no Grafana to test (see tests/grafana_contract/conftest.py)")
    user, colon, password = auth.partition(":")
    assert colon, "GRAFANA_AUTH must be user:password of a server administrator"
    return Server(url=url.rstrip("/"), user=user, password=password)


@pytest.fixture
def grafana(server: Server) -> Iterator[httpx.Client]:
    """A client with the administrator's credentials."""
    with server.client() as client:
        yield client


@pytest.fixture
def uid() -> str:
    """A uid, and a unique part of names, that nothing else has; it has letters, because digits alone are special."""
    return f"contract-{secrets.token_hex(6)}"


@pytest.fixture
def later(grafana: httpx.Client) -> Iterator[Callable[[str], None]]:
    """Delete paths after the test, the last named first; what is gone already is fine."""
    paths: list[str] = []
    yield paths.append
    for path in reversed(paths):
        grafana.delete(path)


@pytest.fixture
def folder(grafana: httpx.Client, uid: str, later: Callable[[str], None]) -> dict[str, Any]:
    """A folder of the test's own."""
    later(f"/api/folders/{uid}-f")
    made = grafana.post("/api/folders", json={"uid": f"{uid}-f", "title": f"Contract {uid}"})
    assert made.status_code == 200, made.text
    found: dict[str, Any] = made.json()
    return found


@pytest.fixture
def prometheus_url() -> str:
    url = os.environ.get("PROMETHEUS_URL_FOR_GRAFANA")
    if not url:
        pytest.skip("PROMETHEUS_URL_FOR_GRAFANA is not set: there is no Prometheus that this Grafana could ask")
    return url


@pytest.fixture
def source(grafana: httpx.Client, uid: str, later: Callable[[str], None], prometheus_url: str) -> str:
    """The uid of a data source that points to the real Prometheus."""
    later(f"/api/datasources/uid/{uid}")
    made = grafana.post("/api/datasources", json=prometheus_source(uid, prometheus_url))
    assert made.status_code == 200, made.text
    return uid


def prometheus_source(uid: str, url: str) -> dict[str, Any]:
    """The body of a data source of the type prometheus."""
    return {
        "uid": uid,
        "name": f"Contract {uid}",
        "type": "prometheus",
        "access": "proxy",
        "url": url,
        "jsonData": {"httpMethod": "POST", "timeInterval": "15s"},
    }


def dashboard(uid: str, **more: Any) -> dict[str, Any]:
    """A small dashboard model."""
    panel = {"type": "timeseries", "title": "Up", "targets": [{"refId": "A", "expr": "up"}]}
    return {"uid": uid, "title": f"Contract {uid}", "tags": ["contract", uid], "panels": [panel], **more}
