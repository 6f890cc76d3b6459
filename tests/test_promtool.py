"""What promtool says of the rendered files, and whether the alerts fire and keep quiet where they must.

tests/promtool/<service>.test.yaml holds the cases. That they can fail is shown in test_mutation.py.
"""

from typing import Any

import pytest
import yaml

from tests.checkers import ROOT, STACKS, Checker, evaluation_interval, rendered, rendered_rules

pytestmark = pytest.mark.engine

RULES = "out/dev/prometheus/rules/softfactory.yml"  # as the cases name it
CASES = {path.name: path.read_text(encoding="utf-8") for path in sorted((ROOT / "tests/promtool").glob("*.test.yaml"))}


@pytest.mark.parametrize("stack", STACKS)
def test_promtool_accepts_the_configuration(promtool: Checker, stack: str) -> None:
    files = rendered(stack)
    configuration = f"out/{stack}/prometheus/prometheus.yml"
    # In the container of a stack the rules lie behind the link to the live release.
    files[configuration] = files[configuration].replace("/etc/prometheus/current/", "")
    result = promtool.run("check", "config", "--lint=all", "--lint-fatal", configuration, files=files)
    assert result.exit_code == 0, result.output
    there = sum("/prometheus/rules/" in path for path in files)
    assert f"{there} rule files found" in result.output


@pytest.mark.parametrize("stack", STACKS)
def test_promtool_accepts_every_rule_file(promtool: Checker, stack: str) -> None:
    files = {path: text for path, text in rendered(stack).items() if "/prometheus/rules/" in path}
    result = promtool.run("check", "rules", "--lint=all", "--lint-fatal", *files, files=files)
    assert result.exit_code == 0, result.output


def test_promtool_refuses_a_configuration_that_is_wrong(promtool: Checker) -> None:
    files = {path: text.replace("(instance)", "(instance") for path, text in rendered("dev").items()}
    result = promtool.run("check", "rules", RULES, files=files)
    assert result.exit_code != 0
    assert "could not parse expression" in result.output


@pytest.mark.parametrize("cases", CASES)
def test_the_alerts_fire_and_keep_quiet_as_the_cases_say(promtool: Checker, cases: str) -> None:
    files = _by_interval(cases)
    result = promtool.run("test", "rules", *files, files={**rendered_rules(), **files})
    assert result.exit_code == 0, result.output


def _by_interval(cases: str) -> dict[str, str]:
    """A file of cases as files by path, one for each interval at which its cases are evaluated."""
    content = yaml.load(CASES[cases], Loader=yaml.CSafeLoader)
    found: dict[float, list[dict[str, Any]]] = {}
    for case in content["tests"]:
        found.setdefault(evaluation_interval(content, case), []).append(case)
    return {
        f"tests/promtool/{interval:.0f}s.{cases}": yaml.dump(
            {**content, "evaluation_interval": f"{interval:.0f}s", "tests": tests}, Dumper=yaml.CSafeDumper
        )
        for interval, tests in found.items()
    }
