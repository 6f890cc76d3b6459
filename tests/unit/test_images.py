"""Images: pinned, and taken from elsewhere by one setting."""

import re

import pytest
from pydantic import ValidationError

from stacks.exporters import Exporters
from stacks.images import OFFICIAL, Images
from tests.checkers import STACKS
from tests.unit.factories import planned, problems

KEYS = set(OFFICIAL)
DIGEST = "sha256:" + "0123456789abcdef" * 4


def test_the_official_images_are_those_that_the_environments_run() -> None:
    assert set().union(*(planned(stack).images for stack in STACKS)) == KEYS


def test_each_kind_of_server_has_an_exporters_image() -> None:
    assert {f"{service}-exporter" for service in Exporters.model_fields} <= KEYS


@pytest.mark.parametrize("key", sorted(KEYS))
def test_every_official_image_passes_the_check_that_overrides_pass(key: str) -> None:
    assert Images(overrides={key: OFFICIAL[key]}).reference(key) == OFFICIAL[key]


def test_without_settings_the_official_image_runs() -> None:
    assert {key: Images().reference(key) for key in KEYS} == dict(OFFICIAL)


@pytest.mark.parametrize("registry", ["registry.internal:5000", "registry.internal:5000/"])
def test_a_registry_stands_before_every_official_reference(registry: str) -> None:
    images = Images(registry=registry)
    assert images.reference("prometheus") == f"registry.internal:5000/{OFFICIAL['prometheus']}"
    assert images.reference("postgres-exporter") == f"registry.internal:5000/{OFFICIAL['postgres-exporter']}"


def test_an_override_wins_over_the_registry_and_is_taken_as_it_stands() -> None:
    images = Images(registry="registry.internal", overrides={"redis": "mine/redis:8.0.6"})
    assert images.reference("redis") == "mine/redis:8.0.6"
    assert images.reference("postgres") == f"registry.internal/{OFFICIAL['postgres']}"


def test_an_unknown_image_is_told_with_those_that_there_are() -> None:
    for key, said in zip(
        ("traefik", "nginx"), problems(Images, overrides={"traefik": "a:3", "nginx": "a:1"}), strict=True
    ):
        assert re.match(rf"'{key}' is not an image; expected one of: alertmanager, .*redis-exporter", said)
    with pytest.raises(KeyError):
        Images().reference("nginx")


@pytest.mark.parametrize("reference", ["redis", "redis:latest", "registry.internal:5000/redis", "library/redis"])
def test_a_reference_that_may_change_its_content_is_refused(reference: str) -> None:
    with pytest.raises(ValidationError, match=f"'{reference}' is not pinned to a version or digest"):
        Images(overrides={"redis": reference})


@pytest.mark.parametrize(
    "reference", ["redis:8.0.6", "registry.internal:5000/redis:8", f"redis@{DIGEST}", f"a/redis:latest@{DIGEST}"]
)
def test_a_version_or_a_digest_pins(reference: str) -> None:
    assert Images(overrides={"redis": reference}).reference("redis") == reference


@pytest.mark.parametrize(
    "reference",
    [
        "https://registry.internal/redis:8",
        "redis:8 --privileged",
        "Redis:8",
        "$(id):8",
        "redis:",
        "a//redis:8",
        "registry.internal/Redis:8",
        f"redis@{DIGEST}/",
        "redis:8\n",
        "../redis:8",
        "",
    ],
)
def test_what_is_no_image_reference_is_refused(reference: str) -> None:
    (said,) = problems(Images, overrides={"redis": reference})
    assert "is not an image reference; write [registry/]name:version without https://, such as registry.int" in said


@pytest.mark.parametrize(
    "registry", ["https://registry.internal", "registry.internal/redis:8", f"r@{DIGEST}", "a b", ""]
)
def test_what_is_no_registry_is_refused(registry: str) -> None:
    (said,) = problems(Images, registry=registry)
    assert "is not a registry; write its address without https://, such as registry.internal:5000" in said
