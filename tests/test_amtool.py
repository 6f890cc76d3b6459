"""What amtool says of the rendered routing, and where an alert of each severity goes."""

import pytest

from rules.model import Severity
from tests.checkers import STACKS, Checker, rendered

pytestmark = pytest.mark.engine


def _configuration(stack: str) -> tuple[str, dict[str, str]]:
    """The path of a stack's Alertmanager configuration, and all files with the templates where it then finds them."""
    path = f"out/{stack}/alertmanager/alertmanager.yml"
    files = {path: text for path, text in rendered(stack).items() if "/alertmanager/" in path}
    files[path] = files[path].replace("/etc/alertmanager/current/", "")
    return path, files


@pytest.mark.parametrize("stack", STACKS)
def test_amtool_accepts_the_configuration_and_finds_the_templates(amtool: Checker, stack: str) -> None:
    path, files = _configuration(stack)
    result = amtool.run("check-config", path, files=files)
    assert result.exit_code == 0, result.output
    assert "1 templates" in result.output


def test_amtool_refuses_a_configuration_that_is_wrong(amtool: Checker) -> None:
    path, files = _configuration("dev")
    wrong = {**files, path: files[path].replace("receiver: on-call", "receiver: nobody")}
    result = amtool.run("check-config", path, files=wrong)
    assert result.exit_code != 0
    assert "nobody" in result.output


@pytest.mark.parametrize("stack", STACKS)
@pytest.mark.parametrize("severity", Severity)
def test_every_severity_reaches_a_person_and_the_watchdog_what_waits_for_it(
    amtool: Checker, stack: str, severity: Severity
) -> None:
    receiver = "heartbeat" if severity is Severity.NONE else "on-call"
    path, files = _configuration(stack)
    labels = (f"severity={severity.value}", "subject=api", "alertname=ApiDown")
    arguments = ("config", "routes", "test", f"--config.file={path}")
    result = amtool.run(*arguments, f"--verify.receivers={receiver}", *labels, files=files)
    assert result.exit_code == 0, result.output
    # By a route of its own, not only by the tree's default.
    shown = amtool.run(*arguments, "--tree", *labels, files=files)
    assert f'severity="{severity.value}"' in shown.output


@pytest.mark.parametrize("template", ["softfactory.title", "softfactory.text"])
def test_the_words_of_a_message_can_be_rendered(amtool: Checker, template: str) -> None:
    path, files = _configuration("dev")
    templates = path.replace("alertmanager.yml", "templates/*.tmpl")
    text = f'{{{{ template "{template}" . }}}}'
    result = amtool.run("template", "render", f"--template.glob={templates}", f"--template.text={text}", files=files)
    assert result.exit_code == 0, result.output
    assert result.output.strip()
