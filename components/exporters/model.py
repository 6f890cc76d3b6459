"""What an exporter is: its container, and the files with secrets that it reads."""

from collections.abc import Mapping
from dataclasses import dataclass, field

import pulumi

from components.container import ContainerSpec

NOBODY = "65534:65534"


@dataclass(frozen=True, kw_only=True)
class ExporterSpec:
    """`secret_files` maps the name of a file in /run/secrets to its content; the exporter reads them as it starts."""

    container: ContainerSpec
    secret_files: Mapping[str, pulumi.Input[str]] = field(default_factory=dict)
