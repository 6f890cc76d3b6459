"""A new value for one secret, at the server that keeps it itself."""

import hashlib
import hmac
import os
import shutil
import subprocess
from base64 import b64encode

from clients.probes import ClientError
from desired_state import GRAFANA_PASSWORD, GRAFANA_TOKEN, DesiredState
from stacks.exporters.postgres import PostgresExporterSettings


def can_be_generated(desired: DesiredState, name: str) -> bool:
    """Whether any value will do, because the servers that take this secret are all the stack's own."""
    return name in (GRAFANA_PASSWORD, *(server.secret for server in desired.settings.demo_servers.values()))


def apply_to_server(desired: DesiredState, name: str, value: str) -> str:
    """Tells the server that keeps this secret itself, if it is one of ours; says what was done.

    Grafana keeps the password of its first start, and so does the demo's PostgreSQL: neither reads the file again.
    ClientError where the engine or the server refuses.
    """
    if name == GRAFANA_PASSWORD:
        command = ["grafana", "cli", "admin", "reset-admin-password", "--password-from-stdin"]
        _execute(desired, "grafana", command, stdin=value)
        return "Grafana takes the new password"
    server = desired.settings.demo_servers.get("postgres")
    if isinstance(server, PostgresExporterSettings) and name == server.secret:
        # By the local socket, which needs no password; the verifier keeps the new one off the command line.
        statement = f"ALTER ROLE \"{server.username}\" PASSWORD '{scram_verifier(value)}'"
        _execute(desired, "postgres", ["psql", "-q", "-U", server.username, "-d", server.database, "-c", statement])
        return "PostgreSQL takes the new password"
    if name == GRAFANA_TOKEN:
        return f"{name} is what the next update logs in to Grafana with"
    return f"{name} is read from its file alone"


def scram_verifier(password: str, salt: bytes | None = None, iterations: int = 4096) -> str:
    """What PostgreSQL stores of a password for SCRAM-SHA-256 (RFC 5803)."""
    salt = salt or os.urandom(16)
    salted = hashlib.pbkdf2_hmac("sha256", password.encode(), salt, iterations)
    stored = hashlib.sha256(hmac.digest(salted, b"Client Key", "sha256")).digest()
    server = hmac.digest(salted, b"Server Key", "sha256")
    parts = [b64encode(part).decode() for part in (salt, stored, server)]
    return f"SCRAM-SHA-256${iterations}:{parts[0]}${parts[1]}:{parts[2]}"


def _execute(desired: DesiredState, service: str, command: list[str], stdin: str = "") -> None:
    """Runs a command in a service's container; ClientError with what it printed where it fails.

    By the docker command: docker-py cannot write to a command's standard input on an engine reached by ssh.
    """
    name = f"{desired.settings.name_prefix}-{service}"
    docker = shutil.which("docker")
    if docker is None:
        raise ClientError("the docker command is not on PATH; it is needed to give a running server a new password")
    host = ["--host", desired.settings.docker_host] if desired.settings.docker_host else []
    done = subprocess.run(
        [docker, *host, "exec", "-i", name, *command], input=f"{stdin}\n", capture_output=True, text=True, check=False
    )
    if done.returncode:
        raise ClientError(f"{name}: {command[0]} failed: {(done.stderr or done.stdout).strip()[-500:]}")
