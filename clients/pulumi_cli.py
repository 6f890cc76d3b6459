"""The Pulumi CLI, as the commands for people use it."""

import json
import shutil
import subprocess
from typing import Any


class PulumiCliError(Exception):
    """The CLI is not there, or refuses; the message has its own words."""


def run(*arguments: str, stdin: str | None = None) -> str:
    """What `pulumi ARGUMENTS` prints; PulumiCliError where it fails. `stdin` keeps a secret off the command line."""
    done = subprocess.run(
        [_pulumi(), *arguments, "--non-interactive"], input=stdin, capture_output=True, text=True, check=False
    )
    if done.returncode:
        raise PulumiCliError(f"pulumi {' '.join(arguments)}: {done.stderr.strip() or done.stdout.strip()}")
    return done.stdout


def show(*arguments: str) -> int:
    """Runs `pulumi ARGUMENTS` with its output shown; its exit code."""
    return subprocess.run([_pulumi(), *arguments, "--non-interactive"], check=False).returncode


def _pulumi() -> str:
    found = shutil.which("pulumi")
    if found is None:
        raise PulumiCliError('pulumi is not on PATH: use the make command, or a shell after eval "$(make -s env)"')
    return found


def secret(stack: str, name: str) -> str:
    """A secret of the stack's configuration."""
    return run("config", "get", name, "--stack", stack).rstrip("\n")


def resources(stack: str) -> list[dict[str, Any]]:
    """The resources in the stack's state; none where it was never deployed."""
    deployment = json.loads(run("stack", "export", "--stack", stack)).get("deployment") or {}
    return list(deployment.get("resources") or ())
