"""What an environment with `production: true` must have besides. Each check says in its docstring what must hold."""

import re
from collections.abc import Iterator
from typing import Final

from stacks.images import OFFICIAL
from stacks.settings import Settings, VolumePolicy

_VERSION: Final = re.compile(r"v?([0-9]+(?:\.[0-9]+)*)")


def problems(settings: Settings) -> list[str]:
    """A line for each thing that production lacks; nothing in other environments.

    Further rules that only production has lie with what they are about: the dead man's switch in validation/routing.py,
    `for` in validation/rules.py, the backend of Pulumi's state in readiness/load.py.
    """
    if not settings.production:
        return []
    return [*_external_urls(settings), *_runbooks(settings), *_volumes(settings), *_exact_tags(settings)]


def _external_urls(settings: Settings) -> Iterator[str]:
    """The links in alerts must lead somewhere from wherever they are read; 127.0.0.1 leads to the reader's machine."""
    for name, url in settings.external_urls:
        if url is None and not (name == "grafana" and settings.existing_grafana):
            yield (
                f"external_urls.{name}: is missing, and production needs it for the links in alerts; write the address "
                f"at which people open it, such as https://{name}.example.com"
            )


def _runbooks(settings: Settings) -> Iterator[str]:
    """Whoever is paged must get from the alert to its runbook, from wherever they are."""
    if settings.runbook_base_url is None:
        yield (
            "runbook_base_url: is missing, and production needs it for the links in alerts; write the address under "
            "which docs/runbooks is served, such as https://git.example.com/monitoring"
        )


def _volumes(settings: Settings) -> Iterator[str]:
    """What was measured must outlive a `make down`."""
    if settings.volume_policy is not VolumePolicy.RETAIN:
        yield f"volume_policy: {settings.volume_policy} would delete production's data; write retain"


def _exact_tags(settings: Settings) -> Iterator[str]:
    """An image must be the same tomorrow: a digest, or a tag with as many numbers as the official version has, because
    a shorter one such as redis:8 moves on with each release.
    """
    for key, reference in sorted(settings.images.overrides.items()):
        official = OFFICIAL[key].rpartition(":")[2]
        if "@sha256:" not in reference and _numbers(reference.rpartition(":")[2]) < _numbers(official):
            yield (
                f"images.overrides.{key}: {reference} is no exact version, and production needs one; write all its "
                f"numbers, such as :{official}, or a digest"
            )


def _numbers(tag: str) -> int:
    """How many numbers a tag's version has: 3 for v1.86.0-alpine."""
    found = _VERSION.match(tag)
    return found[1].count(".") + 1 if found else 0
