"""What `make down` says of the data before it takes the stack down."""

from typing import Any

import pytest
from typer.testing import CliRunner

from ops import __main__ as commands
from ops import volume_policy
from stacks.settings import VolumePolicy
from tests.unit.fake_stack import FakeCommands


def volumes(*kept: bool) -> list[dict[str, Any]]:
    """A state with data volumes that are kept or not; configuration never is."""
    state: list[dict[str, Any]] = [
        {"type": "pulumi:pulumi:Stack"},
        {"type": volume_policy.VOLUME, "id": "softfactory-x-config"},
    ]
    for number, keep in enumerate(kept):
        # Pulumi leaves the key out where it is false.
        state.append(
            {
                "type": volume_policy.VOLUME,
                "id": f"softfactory-{number}-data",
                **({"retainOnDelete": True} if keep else {}),
            }
        )
    return state


@pytest.fixture
def pulumi(monkeypatch: pytest.MonkeyPatch) -> FakeCommands:
    made = FakeCommands()
    made.install(monkeypatch)
    return made


def test_the_state_says_what_becomes_of_the_data() -> None:
    assert volume_policy.deployed_policies([]) == volume_policy.deployed_policies(volumes()) == frozenset()
    assert volume_policy.deployed_policies(volumes(True, True)) == {VolumePolicy.RETAIN}
    assert volume_policy.deployed_policies(volumes(False)) == {VolumePolicy.DELETE}
    assert volume_policy.deployed_policies(volumes(False, True)) == {VolumePolicy.RETAIN, VolumePolicy.DELETE}


@pytest.mark.parametrize(
    ("stack", "state", "words"),
    [
        ("dev", volumes(False, False), "are removed"),
        ("prod", volumes(True, True), "stay"),
        ("dev", [], "are removed"),
        ("prod", [], "stay"),
    ],
)
def test_the_fate_of_data_is_told_before_it_happens(
    pulumi: FakeCommands, stack: str, state: list[dict[str, Any]], words: str
) -> None:
    pulumi.state = state
    done = CliRunner().invoke(commands.app, ["volume-policy", "--stack", stack])
    assert done.exit_code == 0 and words in done.output


@pytest.mark.parametrize(
    ("stack", "state", "order"),
    [
        ("dev", volumes(True, True), "`make up` first"),
        ("prod", volumes(False, False), "`make up STACK=prod` first"),
        ("prod", volumes(True, False), "`make up STACK=prod` first"),
    ],
)
def test_a_fate_that_was_changed_but_not_deployed_holds_the_removal_up(
    pulumi: FakeCommands, stack: str, state: list[dict[str, Any]], order: str
) -> None:
    pulumi.state = state
    done = CliRunner().invoke(commands.app, ["volume-policy", "--stack", stack])
    assert done.exit_code == 2
    assert f"stacks/{stack}.yaml says volume_policy: " in done.output and order in done.output
