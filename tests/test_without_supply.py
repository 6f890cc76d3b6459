"""The product stands without supply/, an engine and the CLI: its unit tests pass in a copy that has none of them."""

import subprocess
import sys
from pathlib import Path

from tests.e2e.conftest import copy_project


def test_the_unit_tests_pass_without_supply_engine_and_cli(tmp_path: Path) -> None:
    folder = tmp_path / "softfactory"
    copy_project(folder)
    assert not (folder / "supply").exists()
    done = subprocess.run(
        [sys.executable, "-m", "pytest", "-q", "-p", "no:cacheprovider", "tests/unit"],
        cwd=folder,
        env={"PATH": "/usr/bin:/bin", "DOCKER_HOST": "unix:///nonexistent", "HOME": str(tmp_path)},
        capture_output=True,
        text=True,
        timeout=300,
        check=False,
    )
    assert done.returncode == 0, done.stdout[-4000:] + done.stderr[-1000:]
