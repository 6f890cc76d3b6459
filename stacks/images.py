"""The official container images, pinned, and how a setting points them elsewhere.

Each pin stands in the newest version line that Debian's packages can also represent, so that a closed network
runs the same line; where the two differ in the last digits, set-up reports it.
"""

from collections.abc import Mapping
from typing import Annotated, Final

from pydantic import BaseModel, ConfigDict, Field, StringConstraints, model_validator

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

_REFERENCE: Final = (
    r"^[a-z0-9][a-zA-Z0-9._-]*(:[0-9]+)?(/[a-zA-Z0-9._-]+)*"  # registry and repository; no scheme
    r"(:[a-zA-Z0-9._-]+)?(@sha256:[0-9a-f]{64})?/?$"  # version, digest; a registry may end in a slash
)
Reference = Annotated[str, StringConstraints(pattern=_REFERENCE, max_length=300)]


class Images(BaseModel):
    """Where images come from instead of their official place: one registry for all, or single references.

    `registry` is put before every official reference (`registry.internal/prom/prometheus:v3.5.5`).
    `overrides` maps an image's key (see OFFICIAL) to a whole reference, and wins over `registry`.
    """

    model_config = ConfigDict(frozen=True, extra="forbid")

    registry: Reference | None = None
    overrides: Mapping[str, Reference] = Field(default_factory=dict)

    @model_validator(mode="after")
    def _known_and_pinned(self) -> "Images":
        unknown = sorted(set(self.overrides) - set(OFFICIAL))
        if unknown:
            raise ValueError(f"no such image: {', '.join(unknown)} (known: {', '.join(sorted(OFFICIAL))})")
        floating = sorted(key for key, ref in self.overrides.items() if not _is_pinned(ref))
        if floating:
            raise ValueError(f"not pinned to a version or digest: {', '.join(floating)}")
        return self

    def reference(self, key: str) -> str:
        """The reference to run for an image's key; KeyError where the key is unknown."""
        official = OFFICIAL[key]
        if key in self.overrides:
            return self.overrides[key]
        return f"{self.registry.rstrip('/')}/{official}" if self.registry else official


def _is_pinned(reference: str) -> bool:
    tag = reference.rpartition("/")[2].partition(":")[2]
    return "@sha256:" in reference or tag not in ("", "latest")
