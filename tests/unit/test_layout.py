"""The order of imports, and that what the texts for people name is there."""

import ast
import re
import subprocess
import sys
from pathlib import Path

import pytest

from tests.checkers import ROOT

MAKEFILE = (ROOT / "Makefile").read_text(encoding="utf-8")
TARGETS = set(re.findall(r"^([a-z0-9-]+):", MAKEFILE, flags=re.MULTILINE))
TEXTS = [
    ROOT / "README.md",
    ROOT / "CONTRIBUTING.md",
    *(ROOT / "supply").glob("README.md"),  # the product stands without it
    *sorted((ROOT / "docs").rglob("*.md")),
]
COMMANDS = {"up", "preview", "down", "health", "test", "unit", "e2e", "render", "password", "traffic"}


def anchors(page: Path) -> set[str]:
    """The anchors of a page's headings, as GitHub makes them."""
    headings = re.findall(r"^#+ (.+)$", page.read_text(encoding="utf-8"), flags=re.MULTILINE)
    return {re.sub(r"[^\w\- ]", "", heading.strip().lower()).replace(" ", "-") for heading in headings}


def without_code(text: str) -> str:
    return re.sub(r"^```.*?^```", "", text, flags=re.MULTILINE | re.DOTALL)


def test_nothing_imports_upwards_and_only_components_know_pulumi() -> None:
    command = Path(sys.executable).with_name("lint-imports")
    done = subprocess.run([command, "--no-cache"], cwd=ROOT, capture_output=True, text=True, timeout=60, check=False)
    assert done.returncode == 0, done.stdout + done.stderr


def test_the_commands_are_there() -> None:
    assert COMMANDS <= TARGETS
    assert set(re.findall(r"^\.PHONY: (.+)$", MAKEFILE, flags=re.MULTILINE)[0].split()) == TARGETS


@pytest.mark.parametrize("page", TEXTS, ids=lambda page: str(page.relative_to(ROOT)))
def test_every_make_command_in_the_texts_exists(page: Path) -> None:
    text = page.read_text(encoding="utf-8")
    code = "\n".join(re.findall(r"```.*?```|`[^`\n]+`", text, flags=re.DOTALL))
    named = {word for call in re.findall(r"\bmake((?: [a-zA-Z0-9=./_-]+)+)", code) for word in call.split()}
    targets = {word for word in named if "=" not in word and not word.startswith("-")}
    assert targets <= TARGETS
    stacks = {word.partition("=")[2] for word in named if word.startswith("STACK=")}
    assert all((ROOT / "stacks" / f"{stack}.yaml").is_file() for stack in stacks)


@pytest.mark.parametrize("page", TEXTS, ids=lambda page: str(page.relative_to(ROOT)))
def test_every_link_in_the_texts_leads_somewhere(page: Path) -> None:
    links = re.findall(r"\[[^\]]*\]\(([^)\s]+)\)", without_code(page.read_text(encoding="utf-8")))
    for link in links:
        if re.match(r"[a-z]+:", link):
            continue
        path, _, anchor = link.partition("#")
        target = (page.parent / path).resolve() if path else page
        if target.is_relative_to(ROOT / "supply") and not (ROOT / "supply").exists():
            continue
        assert target.exists(), f"{page.name}: {link}"
        assert not anchor or anchor in anchors(target), f"{page.name}: {link}"


def test_the_readmes_code_blocks_are_commands_of_the_makefile() -> None:
    text = (ROOT / "README.md").read_text(encoding="utf-8")
    blocks = re.findall(r"^```(?:console|sh|bash)\n(.*?)^```", text, flags=re.MULTILINE | re.DOTALL)
    lines = [line.removeprefix("$ ").strip() for block in blocks for line in block.splitlines() if line.strip()]
    assert "make up" in lines
    assert "make test" in lines
    assert {line.split()[0] for line in lines} <= {"make", "pulumi", "git", "cd", "export", "eval"}


def test_the_plan_knows_only_the_model() -> None:
    """desired_state.py is one module, which import-linter cannot hold to a layer."""
    tree = ast.parse((ROOT / "desired_state.py").read_text(encoding="utf-8"))
    named = {alias.name for node in ast.walk(tree) if isinstance(node, ast.Import) for alias in node.names}
    named |= {node.module or "" for node in ast.walk(tree) if isinstance(node, ast.ImportFrom)}
    packages = {name.partition(".")[0] for name in named} - set(sys.stdlib_module_names)
    assert packages <= {"promql_parser", "stacks", "rules", "routing", "dashboards", "validation"}
