"""What all unit tests share."""

import gc

import pytest


@pytest.fixture(autouse=True)
def _no_command_plans_anew(monkeypatch: pytest.MonkeyPatch) -> None:
    """The commands take the plans of the project's own environments as they were made once."""
    from tests.unit.factories import remembered  # not above: the process that hands the tests out needs none of it

    monkeypatch.setattr("desired_state.load_desired_state", remembered)
    monkeypatch.setattr("ops.__main__.load_desired_state", remembered)


def pytest_collection_finish() -> None:
    """What the imports made stays: looking through it again and again would be a third of the tests' time."""
    gc.collect()
    gc.freeze()
