"""A new value for one secret: where a server of ours keeps it, there first; then in the stack's configuration."""

import hashlib
import hmac
import os
import socket
from base64 import b64encode
from contextlib import closing
from typing import Any

from ops import probes
from plan import Plan

GRAFANA = "grafana_admin_password"
POSTGRES = "postgres_password"


def set_at_server(wanted: Plan, name: str, value: str) -> str:
    """Tells the server that keeps this secret itself, if it is one of ours; says what was done.

    Grafana keeps the password of its first start, and the demo's PostgreSQL that of its first: neither reads the file
    again. ProbeError where the engine or the server refuses.
    """
    settings = wanted.settings
    if name == GRAFANA:
        command = ["grafana", "cli", "admin", "reset-admin-password", "--password-from-stdin"]
        _execute(wanted, "grafana", command, stdin=value)
        return "Grafana takes the new password"
    if name == POSTGRES and settings.demo and settings.servers.postgres:
        server = settings.servers.postgres
        # By the local socket, which needs no password; the verifier keeps the new one off the command line.
        statement = f"ALTER ROLE \"{server.user}\" PASSWORD '{scram_verifier(value)}'"
        _execute(wanted, "postgres", ["psql", "-q", "-U", server.user, "-d", server.database, "-c", statement])
        return "PostgreSQL takes the new password"
    return "no server of this stack keeps it"


def scram_verifier(password: str, salt: bytes | None = None, iterations: int = 4096) -> str:
    """What PostgreSQL stores of a password for SCRAM-SHA-256 (RFC 5803)."""
    salt = salt or os.urandom(16)
    salted = hashlib.pbkdf2_hmac("sha256", password.encode(), salt, iterations)
    stored = hashlib.sha256(hmac.digest(salted, b"Client Key", "sha256")).digest()
    server = hmac.digest(salted, b"Server Key", "sha256")
    parts = [b64encode(part).decode() for part in (salt, stored, server)]
    return f"SCRAM-SHA-256${iterations}:{parts[0]}${parts[1]}:{parts[2]}"


def _execute(wanted: Plan, service: str, command: list[str], stdin: str = "") -> None:
    """Runs a command in a service's container; ProbeError with what it printed where it fails."""
    name = f"{wanted.settings.prefix}-{service}"
    with closing(probes.engine(wanted.settings.engine_host)) as engine:
        api: Any = engine.api
        made = api.exec_create(name, command, stdin=True)
        stream = api.exec_start(made["Id"], socket=True)
        raw = getattr(stream, "_sock", stream)  # docker-py wraps a unix socket
        raw.sendall(f"{stdin}\n".encode() if stdin else b"")
        raw.shutdown(socket.SHUT_WR)
        output = b"".join(iter(lambda: raw.recv(65536), b""))
        if api.exec_inspect(made["Id"])["ExitCode"] != 0:
            raise probes.ProbeError(f"{name}: {command[0]} failed: {output.decode(errors='replace').strip()[-500:]}")
