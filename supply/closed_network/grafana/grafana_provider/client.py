"""Calls to Grafana's HTTP API: authentication, organization header, retries, errors."""

from __future__ import annotations

import dataclasses
import functools
import json
import os
import ssl
import tempfile
import threading
from collections.abc import Mapping
from typing import TYPE_CHECKING, Any
from urllib.parse import quote, urlsplit

if TYPE_CHECKING:
    import httpx

ENVIRONMENT = {
    "url": "GRAFANA_URL",
    "auth": "GRAFANA_AUTH",
    "retries": "GRAFANA_RETRIES",
    "retryWait": "GRAFANA_RETRY_WAIT",
    "retryStatusCodes": "GRAFANA_RETRY_STATUS_CODES",
    "httpHeaders": "GRAFANA_HTTP_HEADERS",
    "caCert": "GRAFANA_CA_CERT",
    "tlsCert": "GRAFANA_TLS_CERT",
    "tlsKey": "GRAFANA_TLS_KEY",
    "insecureSkipVerify": "GRAFANA_INSECURE_SKIP_VERIFY",
    "storeDashboardSha256": "GRAFANA_STORE_DASHBOARD_SHA256",
}
TEXTS = frozenset(("url", "auth", "caCert", "tlsCert", "tlsKey"))
DEFAULT_RETRY_CODES = ("429", "5xx", "401", "412")
DEFAULT_RETRIES = 3
TIMEOUT_SECONDS = 30


class PluginError(Exception):
    """An operation that could not be done; its text goes to the user."""


class ApiError(PluginError):
    """Grafana's answer was an error; the text is `[METHOD /path][status] body`, as the official plugin's."""

    def __init__(self, call: str, status: int, body: str) -> None:
        super().__init__(f"[{call}][{status}] {body}")
        self.status = status


@dataclasses.dataclass(frozen=True, kw_only=True)
class Config:
    """The provider's settings. `retry_wait` is in seconds, 0 means 2, 4, 8."""

    url: str = ""
    auth: str = ""
    retries: int = DEFAULT_RETRIES
    retry_wait: int = 0
    retry_codes: tuple[str, ...] = DEFAULT_RETRY_CODES
    headers: Mapping[str, str] = dataclasses.field(default_factory=dict)
    ca_cert: str = ""
    tls_cert: str = ""
    tls_key: str = ""
    insecure: bool = False
    sha256: bool = False

    @classmethod
    def of(cls, given: Mapping[str, Any], env: Mapping[str, str] = os.environ) -> Config:
        """Read the provider's inputs, and the environment where they are silent.

        Values that are no strings arrive as JSON text. Raises ValueError naming the setting.
        """
        raw = {key: env[name] for key, name in ENVIRONMENT.items() if env.get(name)} | dict(given)
        values: dict[str, Any] = {}
        for key in ENVIRONMENT:
            if raw.get(key) in (None, ""):
                continue
            values[key] = raw[key]
            if key in TEXTS or not isinstance(raw[key], str):
                continue
            if key == "retryStatusCodes" and not raw[key].startswith("["):
                values[key] = raw[key].split(",")
                continue
            try:
                values[key] = json.loads(raw[key].lower() if raw[key] in ("True", "False") else raw[key])
            except ValueError:
                raise ValueError(f"{key} (or {ENVIRONMENT[key]}) is {raw[key]!r}, which cannot be read") from None
        codes = tuple(map(str, values.get("retryStatusCodes") or DEFAULT_RETRY_CODES))
        for code in codes:
            if len(code) != 3:
                raise ValueError(f"invalid retry status code: {code}; write three characters, x for any digit")
        return cls(
            url=str(values.get("url", "")),
            auth=str(values.get("auth", "")),
            retries=int(values.get("retries") or DEFAULT_RETRIES),  # as in the official plugin, 0 counts as unset
            retry_wait=int(values.get("retryWait") or 0),
            retry_codes=codes,
            headers={key: str(value) for key, value in (values.get("httpHeaders") or {}).items()},
            ca_cert=str(values.get("caCert", "")),
            tls_cert=str(values.get("tlsCert", "")),
            tls_key=str(values.get("tlsKey", "")),
            insecure=bool(values.get("insecureSkipVerify")),
            sha256=bool(values.get("storeDashboardSha256")),
        )

    @property
    def org(self) -> int:
        """The organization of resources that name none: 1 with a password, 0 (the token's own) otherwise."""
        return 1 if ":" in self.auth else 0

    def retried(self, status: int) -> bool:
        return any(
            all(want in ("x", got) for want, got in zip(code, str(status), strict=True)) for code in self.retry_codes
        )


class Api:
    """Grafana's API. `stopping` ends waits between tries, when the engine cancels."""

    def __init__(self, config: Config, stopping: threading.Event) -> None:
        self.config = config
        self.stopping = stopping

    @functools.cached_property
    def _http(self) -> httpx.Client:
        import httpx  # here, because most runs of the plugin change nothing and need no client

        headers = {
            "User-Agent": "pulumi-resource-grafana-stand-in",
            "Accept": "application/json",
            **self.config.headers,
        }
        auth = None
        if ":" in self.config.auth:
            user, password = self.config.auth.split(":", 1)
            auth = httpx.BasicAuth(user.strip(), password.strip())
        elif self.config.auth != "anonymous":
            headers["Authorization"] = f"Bearer {self.config.auth.strip()}"
        host = urlsplit(self.config.url).hostname or ""
        return httpx.Client(
            headers=headers,
            auth=auth,
            timeout=TIMEOUT_SECONDS,
            verify=self._tls(),
            follow_redirects=True,
            trust_env=host not in ("localhost", "::1") and not host.startswith("127."),  # no proxy for loopback
        )

    def _tls(self) -> ssl.SSLContext | bool:
        config = self.config
        if not config.url.startswith("https:"):
            return False
        context = ssl.create_default_context()
        if config.insecure:
            context.check_hostname, context.verify_mode = False, ssl.CERT_NONE
        if config.ca_cert:
            literal = "-----BEGIN" in config.ca_cert
            context.load_verify_locations(**{"cadata" if literal else "cafile": config.ca_cert})
        if config.tls_cert and config.tls_key:
            with tempfile.TemporaryDirectory() as folder:
                context.load_cert_chain(_file(config.tls_cert, folder, "cert"), _file(config.tls_key, folder, "key"))
        return context

    def call(
        self,
        method: str,
        path: str,
        *names: str,
        org: int,
        query: Mapping[str, Any] | None = None,
        body: Mapping[str, Any] | None = None,
    ) -> Any:
        """One call. `path` has a {placeholder} for each of `names`; `org` goes into a header, unless 0.

        Raises ApiError for an error status, PluginError where there was no answer.
        """
        import httpx

        config = self.config
        if not config.url or not config.auth:
            raise PluginError(
                "the Grafana client is required for this resource. Set the auth and url provider attributes"
            )
        filled = path
        for name in names:
            start, end = filled.index("{"), filled.index("}")
            filled = filled[:start] + quote(name, safe="") + filled[end + 1 :]
        url = f"{config.url.rstrip('/')}/api{filled}"
        headers = {"X-Grafana-Org-Id": str(org)} if org > 0 else {}
        for attempt in range(config.retries + 1):
            if attempt and self.stopping.wait(config.retry_wait or 2**attempt):
                raise PluginError(f"[{method} {path}] cancelled between two tries")
            last = attempt == config.retries
            try:
                answer = self._http.request(method, url, headers=headers, params=query, json=body)
            except httpx.TransportError as error:
                if last:
                    raise PluginError(f"{method} {url}: {error or type(error).__name__}") from error
                continue
            if last or not config.retried(answer.status_code):
                break
        if answer.status_code >= 400:
            raise ApiError(f"{method} {path}", answer.status_code, answer.text.strip())
        try:
            return answer.json() if answer.content else {}
        except ValueError as error:
            kind = answer.headers.get("content-type", "no content type")
            raise PluginError(
                f"[{method} {path}][{answer.status_code}] is no JSON ({kind}); is {config.url} Grafana?"
            ) from error

    def address(self, path: str) -> str:
        """The full address of a page whose path Grafana returned; a sub-path of the URL is kept once."""
        url = self.config.url.rstrip("/")
        return url + "/" + path.removeprefix(urlsplit(url).path).lstrip("/")


def _file(given: str, folder: str, name: str) -> str:
    """The path of a PEM that is given as a path or as its text: Python's TLS takes files only."""
    if "-----BEGIN" not in given:
        return given
    path = os.path.join(folder, name)
    with open(os.open(path, os.O_WRONLY | os.O_CREAT, 0o600), "w", encoding="ascii") as file:
        file.write(given)
    return path
