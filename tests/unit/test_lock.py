"""The lock: every address in it is neutral, because which index serves a machine is that machine's own business."""

import re
from pathlib import Path

ROOT = Path(__file__).parents[2]


def test_the_lock_names_no_package_index() -> None:
    text = (ROOT / "uv.lock").read_text(encoding="utf-8")
    hosts = set(re.findall(r"https?://([^/\"]+)", text))
    assert hosts == {"index.invalid"}


def test_the_demos_requirements_are_pinned_by_hash_and_name_no_package_index() -> None:
    text = (ROOT / "demo" / "requirements.txt").read_text(encoding="utf-8")
    assert "http" not in re.sub(r"^(httpx|httpcore)", "", text, flags=re.MULTILINE)
    packages = re.findall(r"^([a-z0-9._-]+(?:\[[a-z,]+\])?)==", text, flags=re.MULTILINE)
    assert len(packages) > 10
    assert text.count("--hash=sha256:") >= len(packages)


def test_the_demos_requirements_are_those_of_the_lock() -> None:
    lock = (ROOT / "uv.lock").read_text(encoding="utf-8")
    locked = dict(re.findall(r'^name = "([^"]+)"\nversion = "([^"]+)"', lock, flags=re.MULTILINE))
    text = (ROOT / "demo" / "requirements.txt").read_text(encoding="utf-8")
    pinned = re.findall(r"^([a-z0-9._-]+)(?:\[[a-z,]+\])?==([^ ;\\]+)", text, flags=re.MULTILINE)
    assert dict(pinned) == {name: locked[name] for name, _ in pinned}
