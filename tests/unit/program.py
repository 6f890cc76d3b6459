"""Runs the real program on the real stack files, in a fake stack."""

import runpy
from collections.abc import Mapping
from pathlib import Path
from typing import Any, Final

import pytest

import components.prepare
from plan import Plan, plan
from stacks.settings import Settings, load_settings
from tests.unit.fake_stack import PASSWORD, TOKEN, FakeStack
from tests.unit.recorder import Computed, Run, run

ROOT: Final = Path(__file__).parents[2]
SECRETS: Final = {
    "grafana_admin_password": PASSWORD,
    "grafana_token": TOKEN,
    "postgres_password": "planted-postgres-password",
    "redis_password": "planted-redis-password",
    "webhook_url": "https://hooks.invalid/planted-token",
    "heartbeat_url": "https://heartbeats.invalid/planted-check",
    "slack_url": "https://slack.invalid/planted-hook",
    "smtp_password": "planted-smtp-password",
    "pagerduty_routing_key": "planted-routing-key",
}


class Program:
    """The program of one environment. `stack` is what it finds deployed; `run` runs it."""

    def __init__(self, environment: str, patch: pytest.MonkeyPatch, **changed: Any) -> None:
        self.environment = environment
        self.settings: Settings = load_settings(environment).model_copy(update=changed)
        self.wanted: Plan = plan(self.settings)
        self.stack = FakeStack(self.wanted)
        self.stack.install(patch)
        patch.chdir(ROOT)
        patch.delenv("PULUMI_BACKEND_URL", raising=False)  # where the tests run in a shell of `make env`
        if changed:
            patch.setattr(components.prepare, "load_plan", lambda *_, **__: self.wanted)

    def run(
        self, *, preview: bool = False, config: Mapping[str, str] | None = None, computed: Computed | None = None
    ) -> Run:
        return run(
            lambda: runpy.run_path("__main__.py", run_name="__main__"),
            stack=self.environment, config=config, secrets=SECRETS, preview=preview, computed=computed,
        )  # fmt: skip
