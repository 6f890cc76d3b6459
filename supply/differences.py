"""Writes supply.json: the chosen supply and, a line each, in what its images differ from the official ones.

usage: python -m supply.differences SUPPLY REASON <images.json
"""

import json
import re
import sys
from collections.abc import Mapping

from stacks.images import OFFICIAL


def version(reference: str) -> str:
    """The version in an image's tag, such as 3.5.5 of prom/prometheus:v3.5.5; the whole tag where it has none."""
    tag = reference.rpartition(":")[2]
    found = re.match(r"v?(\d+(?:\.\d+)*)", tag)
    return found[1] if found else tag


def notes(images: Mapping[str, str]) -> list[str]:
    """What a person should know who compares this stack with one of official images."""
    lines = []
    for key, reference in sorted(images.items()):
        if "stand-in" in reference:
            lines.append(f"{key}: a stand-in ({reference}) with the calls that this project makes, not the real server")
        elif version(reference) != version(OFFICIAL[key]):
            lines.append(f"{key}: {version(reference)} instead of {version(OFFICIAL[key])}")
    return lines


if __name__ == "__main__":
    supply, reason = sys.argv[1:]
    summary = {"supply": supply, "reason": reason, "notes": notes(json.load(sys.stdin))}
    sys.stdout.write(json.dumps(summary, indent=2, ensure_ascii=False) + "\n")
