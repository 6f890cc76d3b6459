"""What the tests share: the checkers of configuration, each of the version that the stacks run."""

from collections.abc import Iterator
from typing import TYPE_CHECKING

import pytest

if TYPE_CHECKING:  # the process that hands unit tests out to others need not wait for what they import
    from tests.checkers import Checker


@pytest.fixture(scope="session")
def promtool() -> "Iterator[Checker]":
    yield from _checker("prometheus")


@pytest.fixture(scope="session")
def amtool() -> "Iterator[Checker]":
    yield from _checker("alertmanager")


def pytest_terminal_summary(terminalreporter: pytest.TerminalReporter) -> None:
    """Shows the figures that passed tests recorded (`record_property`), whichever process ran them."""
    for report in terminalreporter.getreports("passed"):
        for name, figures in report.user_properties if report.when == "call" else ():
            terminalreporter.write_line(f"{name}: {figures}")


def _checker(image: str) -> "Iterator[Checker]":
    from tests.checkers import CheckerError, checker

    try:
        program = checker(image)
    except CheckerError as error:
        pytest.fail(str(error), pytrace=False)  # not skipped: an unchecked rule is not a checked one
    yield program
    program.close()
