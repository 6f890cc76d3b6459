"""What happens before the first resource is registered: everything that can be found wrong is found here."""

import os
from collections.abc import Callable
from pathlib import Path
from typing import Final

import httpx
import pulumi
from pydantic import TypeAdapter, ValidationError

from clients.probes import GrafanaAuth
from desired_state import DesiredState, InvalidStackError, load_desired_state
from readiness import preflight
from stacks.settings import SettingsError
from stacks.types import Url, shown

GENERATED: Final = Path(__file__).parent.parent / ".local"  # where set-up keeps dev's state and passphrase


def load_and_validate(
    stack: str, config: pulumi.Config, client: Callable[[], httpx.Client]
) -> tuple[DesiredState, dict[str, pulumi.Output[str]]]:
    """The stack's plan, and its secrets by name.

    Raises RunError, whose message says what, where and what to do, one line for each problem.
    """
    try:
        desired = load_desired_state(stack, images=config.get_object("images"))
    except pulumi.ConfigTypeError as problem:
        raise pulumi.RunError(
            f"images (in Pulumi's configuration): {shown(problem.value)} is not JSON; write a mapping such as "
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
    missing = [name for name in desired.secret_names if not config.get(name)]
    if missing:
        lines = "\n".join(f"  pulumi config set --stack {stack} --secret {name}" for name in missing)
        raise pulumi.RunError(f"stack {stack} lacks secrets; set each with:\n{lines}")
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
