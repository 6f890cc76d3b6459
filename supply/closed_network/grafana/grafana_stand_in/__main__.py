"""The command `grafana` of the stand-in's image: `server`, `cli admin reset-admin-password`, `--version`."""

from __future__ import annotations

import os
import signal
import sys
from collections.abc import Mapping, Sequence
from pathlib import Path
from types import FrameType

import waitress

from . import GRAFANA_API_VERSION, NOTICE, STAND_IN_VERSION, store
from .app import create_app
from .web import Settings

USAGE = """usage: grafana server
       grafana cli admin reset-admin-password (NEW_PASSWORD | --password-from-stdin)
       grafana --version"""


def say(line: str) -> None:
    sys.stdout.write(f"{line}\n")
    sys.stdout.flush()


def fail(message: str) -> int:
    sys.stderr.write(f"grafana (stand-in): {message}\n")
    return 1


def settings_from(env: Mapping[str, str]) -> Settings:
    """Settings from the official image's variables; unknown GF_* ones are ignored, as Grafana does."""
    disabled = env.get("GF_SECURITY_DISABLE_BRUTE_FORCE_LOGIN_PROTECTION", "").lower() in ("true", "1")
    return Settings(data=Path(env.get("GF_PATHS_DATA", "/var/lib/grafana")), lockout=not disabled)


def serve(env: Mapping[str, str]) -> int:
    settings = settings_from(env)
    port = env.get("GF_SERVER_HTTP_PORT", "3000")
    if not port.isdigit():
        return fail(f"GF_SERVER_HTTP_PORT is {port!r}; it must be a port number")
    if not os.access(settings.data, os.W_OK):
        return fail(f"{settings.data} is not writable; the volume there must belong to the user 472")
    admin = env.get("GF_SECURITY_ADMIN_USER", "admin")
    password = env.get("GF_SECURITY_ADMIN_PASSWORD", "admin")
    made = store.prepare(settings.database, admin, password)
    state = "created" if made else "found; it keeps the password that it has"
    say(f"{NOTICE}. Stand-in {STAND_IN_VERSION}, API of {GRAFANA_API_VERSION}; port {port}; database {state}")

    def stop(_signal: int, _frame: FrameType | None) -> None:
        raise SystemExit(0)

    signal.signal(signal.SIGTERM, stop)
    address = env.get("GF_SERVER_HTTP_ADDR") or "0.0.0.0"  # a container publishes it; loopback cannot be published
    waitress.serve(create_app(settings), host=address, port=int(port), threads=8, ident=None, _quiet=True)
    return 0


def reset_admin_password(env: Mapping[str, str], arguments: Sequence[str]) -> int:
    settings = settings_from(env)
    password = sys.stdin.readline().rstrip("\n") if arguments[0] == "--password-from-stdin" else arguments[0]
    if len(password) < 4:
        return fail("the new password needs four characters or more")
    if not settings.database.exists():
        return fail(f"there is no database in {settings.data} yet; start the server once")
    opened = store.Store(settings.database)
    try:
        admin = opened.one("SELECT id FROM user WHERE is_admin ORDER BY id")
        if admin is None:
            return fail("there is no administrator")
        store.set_password(opened, admin["id"], password)
    finally:
        opened.close()
    say("Admin password changed successfully ✔")
    return 0


def main(arguments: Sequence[str], env: Mapping[str, str]) -> int:
    given = [argument for argument in arguments if argument == "--password-from-stdin" or not argument.startswith("--")]
    if "--version" in arguments or "-v" in arguments:
        say(f"grafana stand-in {STAND_IN_VERSION} (API of Grafana {GRAFANA_API_VERSION})")
        return 0
    if given[:1] == ["server"]:
        return serve(env)
    if given[:3] == ["cli", "admin", "reset-admin-password"] and len(given) == 4:
        return reset_admin_password(env, given[3:])
    sys.stderr.write(f"{USAGE}\n")
    return 2


if __name__ == "__main__":
    sys.exit(main(sys.argv[1:], os.environ))
