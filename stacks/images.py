"""The official container images, pinned, and how a setting points them elsewhere.

Each pin stands in the newest version line that Debian's packages can also represent, so that a closed network
runs the same line; where the two differ in the last digits, set-up reports it.
"""

from collections.abc import Mapping
from typing import Annotated, Final

from pydantic import AfterValidator, Field, StrictStr

from stacks.messages import format_value
from stacks.types import SettingsModel, must, text

OFFICIAL: Final[Mapping[str, str]] = {
    "prometheus": "prom/prometheus:v3.5.5",  # the long-term line
    "alertmanager": "prom/alertmanager:v0.33.1",
    "grafana": "grafana/grafana:12.4.3",  # tested by the Grafana provider's own CI
    "node-exporter": "prom/node-exporter:v1.11.1",
    "postgres-exporter": "quay.io/prometheuscommunity/postgres-exporter:v0.19.1",
    "redis-exporter": "oliver006/redis_exporter:v1.86.0-alpine",  # the plain tag has no shell for a health check
    "elasticsearch-exporter": "quay.io/prometheuscommunity/elasticsearch-exporter:v1.10.0",
    # The demo's servers. OpenSearch answers Elasticsearch's API, and the closed network can run the same engine.
    "postgres": "postgres:18.6",
    "redis": "redis:8.0.6",
    "elasticsearch": "opensearchproject/opensearch:3.8.0",
    "python": "python:3.13.15-slim",
}

# The grammar of references (distribution/reference, regexp.go), with a version where it is one.
_HOST: Final = r"[A-Za-z0-9]([A-Za-z0-9.-]*[A-Za-z0-9])?(:[0-9]{1,5})?"
_PART: Final = r"[a-z0-9]+((\.|_|__|-+)[a-z0-9]+)*"
_REGISTRY: Final = rf"^{_HOST}(/{_PART})*/?$"
_REFERENCE: Final = rf"^({_HOST}/)?{_PART}(/{_PART})*(:[A-Za-z0-9_][A-Za-z0-9_.-]{{0,127}})?(@sha256:[0-9a-f]{{64}})?$"


def _pinned(reference: str) -> str:
    tag = reference.rpartition("/")[2].partition(":")[2]
    if "@sha256:" not in reference and tag in ("", "latest"):
        raise ValueError(f"{format_value(reference)} is not pinned to a version or digest; add one, such as :1.2.3")
    return reference


ImageKey = Annotated[
    StrictStr,
    AfterValidator(must(OFFICIAL.__contains__)),
    Field(title="an image", examples=["redis"], json_schema_extra={"enum": sorted(OFFICIAL)}),
]
Registry = Annotated[
    StrictStr,
    text("a registry", "its address without https://", "registry.internal:5000", pattern=_REGISTRY, max_length=200),
]
Reference = Annotated[
    StrictStr,
    text(
        "an image reference",
        "[registry/]name:version without https://",
        "registry.internal/redis:8.0.6",
        pattern=_REFERENCE,
        max_length=300,
    ),
    AfterValidator(_pinned),
]


class Images(SettingsModel):
    """Where images come from instead of their official registries: one registry for all, or single references."""

    registry: Registry | None = None
    """Put before every official reference: `registry.internal:5000/prom/prometheus:v3.5.5`."""
    overrides: Mapping[ImageKey, Reference] = Field(default_factory=dict)
    """References by image, pinned to a version or a digest; they win over `registry`."""

    def reference(self, key: str) -> str:
        """The reference to run for an image's key; KeyError where the key is unknown."""
        official = OFFICIAL[key]
        if key in self.overrides:
            return self.overrides[key]
        return f"{self.registry.rstrip('/')}/{official}" if self.registry else official
