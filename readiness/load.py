"""What happens before the first resource is registered: everything that can be found wrong is found here."""

import os
from collections.abc import Callable, Set
from difflib import get_close_matches
from pathlib import Path
from shlex import quote
from typing import Final

import httpx
import pulumi
from pulumi.runtime.config import CONFIG
from pydantic import TypeAdapter, ValidationError

from clients.probes import GrafanaAuth
from desired_state import GRAFANA_PASSWORD, GRAFANA_TOKEN, DesiredState, InvalidStackError, load_desired_state
from readiness import preflight
from stacks.messages import format_key, format_value
from stacks.settings import Settings, SettingsError
from stacks.types import Url

# Set-up makes these for every dev stack, and a stack may change to a Grafana that exists already, and back.
OPTIONAL: Final = frozenset({GRAFANA_PASSWORD, GRAFANA_TOKEN, "postgres_password", "redis_password"})
GENERATED: Final = Path(__file__).parent.parent / ".local"  # where set-up keeps dev's state and passphrase


def load_and_validate(
    stack: str, config: pulumi.Config, client: Callable[[], httpx.Client]
) -> tuple[DesiredState, dict[str, pulumi.Output[str]]]:
    """The stack's desired state, and its secrets by name.

    Raises RunError, whose message says what, where and what to do, one line for each problem.
    """
    try:
        desired = load_desired_state(stack, images=config.get_object("images"))
    except pulumi.ConfigTypeError as problem:
        raise pulumi.RunError(
            f"images (in Pulumi's configuration): {format_value(problem.value)} is not JSON; write a mapping such as "
            '{"redis": "registry.internal/redis:8.0.6"}, or remove it with `pulumi config rm images`'
        ) from None
    except (SettingsError, InvalidStackError) as problem:
        raise pulumi.RunError(str(problem)) from None  # a message, not a traceback
    if desired.settings.production and _uses_local_backend():
        raise pulumi.RunError(
            f"stack {stack} is a production environment: set PULUMI_BACKEND_URL (or "
            "PULUMI_ACCESS_TOKEN) and PULUMI_CONFIG_PASSPHRASE_FILE to its own; the generated ones in .local/ are for "
            "trying things out and are gone with this folder"
        )
    problems = []
    missing = [name for name in desired.secret_names if not config.get(name)]
    if missing:
        lines = "\n".join(f"  pulumi config set --stack {stack} --secret {name}" for name in missing)
        problems.append(f"stack {stack} lacks secrets; set each with:\n{lines}")
    if unread := _unread(stack, config.name, {"images", *desired.secret_names}):
        lines = "\n".join(f"  {line}" for line in unread)
        problems.append(
            f"stack {stack} has keys in Pulumi's configuration that nothing reads; remove each with:\n{lines}"
        )
    if problems:
        raise pulumi.RunError("\n".join(problems))
    wrong = [name for name in desired.routes.url_secrets if not _is_url(config.require(name))]
    if wrong:
        lines = "\n".join(f"  pulumi config set --stack {stack} --secret {name}" for name in wrong)
        raise pulumi.RunError(
            "nothing was changed, because these secrets are not addresses (http:// or https:// and a host, without "
            f"user and password; the values are not shown); set each with:\n{lines}"
        )
    with client() as http:
        login = GrafanaAuth(desired.grafana_auth(config.require(desired.grafana_secret)))
        found = preflight.problems(desired, login, http)
    if found:
        lines = "\n".join(f"  {problem}" for problem in found)
        raise pulumi.RunError(f"nothing was changed, because the update could not succeed:\n{lines}")
    return desired, {name: config.require_secret(name) for name in desired.secret_names}


def _unread(stack: str, project: str, read: Set[str]) -> list[str]:
    """For each of the project's keys in Pulumi's configuration that is not in `read`: how to remove it, and a hint."""
    lines = []
    for key in sorted(CONFIG.get()):  # pulumi.Config has no list of its keys
        namespace, _, name = key.partition(":")
        if namespace != project or name in read | OPTIONAL:
            continue
        hint = "".join(f"  (did you mean {near}?)" for near in get_close_matches(name, sorted(read), n=1))
        if name in Settings.model_fields:
            hint = f"  (write it in stacks/{stack}.yaml)"
        lines.append(f"pulumi config rm --stack {stack} {quote(format_key(name))}{hint}")
    return lines


def _uses_local_backend() -> bool:
    """Whether the state, or the key to the secrets in it, is one of those that set-up generated in this folder."""
    backend = os.environ.get("PULUMI_BACKEND_URL", "")  # none for Pulumi's own service, which keeps the key
    key = os.environ.get("PULUMI_CONFIG_PASSPHRASE_FILE", "") if backend else ""
    return any(path.startswith(f"{GENERATED}/") for path in (backend.removeprefix("file://"), key))


def _is_url(value: str) -> bool:
    try:
        TypeAdapter[object](Url).validate_python(value)
    except ValidationError:
        return False
    return True
