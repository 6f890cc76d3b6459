"""Runs the real program on the real stack files, in a fake stack."""

import runpy
from collections.abc import Mapping
from functools import cache
from pathlib import Path
from typing import Any, Final

import pulumi
import pytest

import readiness.load
from clients import probes
from desired_state import DesiredState, build_desired_state, load_desired_state
from readiness.load import load_and_validate
from stacks.settings import Settings, load_settings
from tests.checkers import STACKS
from tests.unit.factories import planned
from tests.unit.fake_stack import PASSWORD, TOKEN, FakeStack
from tests.unit.pulumi_recorder import Computed, Run, run

ROOT: Final = Path(__file__).parents[2]
# One for each secret of each environment, so that a new one needs no line here.
SECRETS: Final = {
    **{
        name: f"https://{name.replace('_', '-')}.invalid/planted" if name.endswith("url") else f"planted-{name}"
        for stack in STACKS
        for name in planned(stack).secret_names
    },
    "grafana_admin_password": PASSWORD,
    "grafana_token": TOKEN,
}


class Program:
    """The program of one environment. `stack` is what it finds deployed; `run` runs it."""

    def __init__(self, environment: str, patch: pytest.MonkeyPatch, /, **changed: Any) -> None:
        self.environment = environment
        self.settings: Settings = load_settings(environment).model_copy(update=changed)
        self.desired: DesiredState = build_desired_state(self.settings) if changed else planned(environment)
        self.stack = FakeStack(self.desired)
        self.stack.haste = 10  # of what stays wrong the program is told after a few looks
        self.stack.install(patch)
        patch.chdir(ROOT)
        patch.delenv("PULUMI_BACKEND_URL", raising=False)  # where the tests run in a shell of `make env`

        def load(stack: str, images: Mapping[str, str] | None = None) -> DesiredState:
            return self.desired if stack == environment and images is None else load_desired_state(stack, images)

        patch.setattr(readiness.load, "load_desired_state", load)  # once is enough

    def run(
        self, *, preview: bool = False, config: Mapping[str, str] | None = None, computed: Computed | None = None
    ) -> Run:
        return run(
            lambda: runpy.run_path("__main__.py", run_name="__main__"),
            stack=self.environment,
            config=config,
            secrets=SECRETS,
            preview=preview,
            computed=computed,
        )

    def load_and_validate(self) -> Run:
        """Runs what comes before the first resource, and no more."""
        return run(
            lambda: load_and_validate(self.environment, pulumi.Config(), probes.client),
            stack=self.environment,
            secrets=SECRETS,
        )


@cache
def deployed(environment: str) -> Run:
    """A real run of an environment's program, in a stack that is as it should be; made once."""
    with pytest.MonkeyPatch.context() as patch:
        return Program(environment, patch).run().succeeded()
