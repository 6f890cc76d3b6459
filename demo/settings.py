"""The API's settings, all from environment variables; passwords from files."""

import os
from collections.abc import Mapping
from dataclasses import dataclass
from pathlib import Path


@dataclass(frozen=True, kw_only=True)
class Settings:
    database_host: str
    database_name: str
    database_user: str
    database_password: str
    redis_host: str
    redis_password: str | None
    search_url: str
    smtp_host: str
    smtp_port: int
    mail_from: str

    @classmethod
    def from_environment(cls, environ: Mapping[str, str] = os.environ) -> "Settings":
        """Reads DATABASE_HOST and so on; SystemExit names the variable that is missing or wrong."""

        def need(name: str) -> str:
            if not environ.get(name):
                raise SystemExit(f"demo: the environment variable {name} is not set")
            return environ[name]

        def secret(name: str) -> str:
            try:
                return Path(need(name)).read_text(encoding="utf-8").strip()
            except OSError as error:
                raise SystemExit(f"demo: cannot read the file that {name} names: {error}") from None

        port = environ.get("SMTP_PORT", "25")
        if not port.isdecimal():
            raise SystemExit(f"demo: SMTP_PORT must be a port number, not {port!r}")
        return cls(
            database_host=need("DATABASE_HOST"),
            database_name=need("DATABASE_NAME"),
            database_user=need("DATABASE_USER"),
            database_password=secret("DATABASE_PASSWORD_FILE"),
            redis_host=need("REDIS_HOST"),
            redis_password=secret("REDIS_PASSWORD_FILE") if environ.get("REDIS_PASSWORD_FILE") else None,
            search_url=need("SEARCH_URL"),
            smtp_host=need("SMTP_HOST"),
            smtp_port=int(port),
            mail_from=need("MAIL_FROM"),
        )
