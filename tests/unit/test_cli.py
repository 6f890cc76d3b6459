"""How the commands for people use the Pulumi CLI."""

import json
import subprocess
from typing import Any

import pytest

from clients import pulumi_cli
from clients.pulumi_cli import PulumiCliError
from tests.unit.fake_stack import FakeCommands

VALUE = "planted-value"


@pytest.fixture
def commands(monkeypatch: pytest.MonkeyPatch) -> FakeCommands:
    made = FakeCommands()
    made.install(monkeypatch)
    return made


def finishing(monkeypatch: pytest.MonkeyPatch, code: int, stdout: str = "", stderr: str = "") -> None:
    done = subprocess.CompletedProcess([], code, stdout=stdout, stderr=stderr)
    monkeypatch.setattr(subprocess, "run", lambda *_, **__: done)


def test_a_secret_is_read_without_its_line_end(commands: FakeCommands) -> None:
    commands.config = {"redis_password": " spaces and all "}
    assert pulumi_cli.secret("prod", "redis_password") == " spaces and all "
    (call,) = commands.calls
    assert call.words == ("pulumi", "config", "get", "redis_password", "--stack", "prod", "--non-interactive")


def test_a_value_goes_over_standard_input_alone(commands: FakeCommands) -> None:
    pulumi_cli.run("config", "set", "--secret", "redis_password", "--stack", "dev", stdin=VALUE)
    (call,) = commands.calls
    assert call.stdin == VALUE and VALUE not in " ".join(call.words)


def test_a_refusal_is_told_in_pulumis_words_and_without_the_value(
    commands: FakeCommands, monkeypatch: pytest.MonkeyPatch
) -> None:
    finishing(monkeypatch, 255, stderr="error: no stack named 'dev' found\n")
    with pytest.raises(PulumiCliError) as caught:
        pulumi_cli.run("config", "set", "--secret", "redis_password", stdin=VALUE)
    assert str(caught.value) == "pulumi config set --secret redis_password: error: no stack named 'dev' found"

    finishing(monkeypatch, 255, stdout="only on standard output\n")
    with pytest.raises(PulumiCliError, match="only on standard output"):
        pulumi_cli.run("stack", "export")


@pytest.mark.parametrize("use", [lambda: pulumi_cli.run("version"), lambda: pulumi_cli.show("up")])
def test_a_missing_cli_is_told_with_what_to_do(use: Any, commands: FakeCommands) -> None:
    commands.absent = {"pulumi"}
    with pytest.raises(PulumiCliError, match="pulumi is not on PATH: use the make command"):
        use()
    assert commands.calls == []


def test_the_exit_code_is_pulumis(commands: FakeCommands) -> None:
    commands.ups = [255]
    assert (pulumi_cli.show("up"), pulumi_cli.show("up")) == (255, 0)


@pytest.mark.parametrize("export", [{"version": 3}, {"deployment": None}, {"deployment": {"resources": None}}])
def test_a_stack_that_was_never_deployed_has_no_resources(
    export: dict[str, Any], commands: FakeCommands, monkeypatch: pytest.MonkeyPatch
) -> None:
    finishing(monkeypatch, 0, stdout=json.dumps(export))
    assert pulumi_cli.resources("dev") == []


def test_the_resources_are_those_of_the_state(commands: FakeCommands) -> None:
    commands.state = [{"type": "docker:index/network:Network", "id": "0a1b"}]
    assert pulumi_cli.resources("dev") == commands.state
