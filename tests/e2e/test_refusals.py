"""What cannot succeed is refused before it touches anything, in one message that says what to do; what the checkers
refuse leaves everything as it was, and the next good update repairs it.
"""

import json
import re
from collections.abc import Callable, Iterator
from contextlib import ExitStack, contextmanager
from dataclasses import replace
from pathlib import Path
from typing import Any

import pytest

from clients import probes
from tests.e2e.conftest import NAME, PORTS, PREFIX, Stack, eventually
from tests.e2e.rejected_update import assert_refused, nothing_changes

pytestmark = pytest.mark.engine


@contextmanager
def configured(stack: Stack, name: str, value: str | None, *flags: str) -> Iterator[None]:
    """A value of Pulumi's configuration, or none, for a while."""
    there = stack.pulumi("config", "get", name, "--stack", NAME, check=False)
    if value is None:
        stack.pulumi("config", "rm", name, "--stack", NAME)
    else:
        stack.pulumi("config", "set", *flags, name, "--stack", NAME, stdin=value)
    try:
        yield
    finally:
        if there.returncode:
            stack.pulumi("config", "rm", name, "--stack", NAME)
        else:
            stack.pulumi("config", "set", *flags, name, "--stack", NAME, stdin=there.stdout.rstrip("\n"))


@contextmanager
def with_images(stack: Stack, **references: str) -> Iterator[None]:
    """Other images, by key (with _ for -), for a while."""
    there = stack.pulumi("config", "get", "images", "--stack", NAME, check=False)
    own = json.loads(there.stdout) if there.returncode == 0 else {}
    changed = {**own, **{key.replace("_", "-"): reference for key, reference in references.items()}}
    with configured(stack, "images", json.dumps(changed)):
        yield


@contextmanager
def another_image(stack: Stack, service: str) -> Iterator[str]:
    """The service's image again, the same but for a label: a new version, as the engine sees it."""
    made = stack.engine.containers.create(stack.container(service).attrs["Config"]["Image"])
    try:
        reference = f"{PREFIX}-another:{service}"
        made.commit(repository=f"{PREFIX}-another", tag=service, changes="LABEL softfactory.test=another")
    finally:
        made.remove(v=True)
    try:
        yield reference
    finally:
        stack.engine.images.remove(reference, force=True)


# Releases: what one refused update leaves to be put right, the first good one after it brings


RENEWED = {"alertmanager": "alertmanager", "grafana": "grafana", "redis-exporter": "redis-exporter-redis"}  # by image


@pytest.fixture(scope="module")
def others(stack: Stack) -> Iterator[dict[str, str]]:
    """Other images of a service that has a release, of Grafana and of an exporter, by the image's key."""
    with ExitStack() as made:
        yield {key: made.enter_context(another_image(stack, container)) for key, container in RENEWED.items()}


def test_a_refused_release_holds_everything_back_and_the_next_good_update_brings_it(
    stack: Stack, others: dict[str, str]
) -> None:
    services = ("prometheus", "alertmanager", "grafana", "redis-exporter-redis", "inbox")

    def seen() -> tuple[Any, ...]:
        return (*(stack.identity(service) for service in services), stack.release(), _routing(stack))

    before = seen()
    with with_images(stack, **others):
        with stack.changed("rules/redis.py", "{{ $labels.instance }}: Redis", "{{ $labels.instance }: Redis"):
            refused = stack.up(check=False)
            assert_refused(refused, "prometheus-release failed", "unexpected", "the previous revision stays active")
            assert seen() == before
            pending = stack.pulumi("preview", "--stack", NAME).stdout
            for part in ("prometheus-release", "alertmanager", "grafana", "redis-exporter-redis"):
                assert re.search(rf"Container {part} +replace\b", pending), pending
        with stack.changed("routing/render.py", '"receiver": tree.default', '"reciever": tree.default'):
            refused = stack.up(check=False)  # in amtool's own words
            assert_refused(refused, "alertmanager-release failed", "field reciever not found")
            assert seen() == before
        stack.up()
    for key, reference in others.items():
        assert stack.container(RENEWED[key]).attrs["Image"] == stack.engine.images.get(reference).id
    assert stack.identity("prometheus") == before[0]


def test_a_secret_file_that_alertmanager_could_not_read_is_named(stack: Stack) -> None:
    settings, address = stack.settings(), "http://inbox:8025/webhook"
    # A secret that Alertmanager reads from a file, instead of a setting.
    notifications = {**settings["notifications"], "receivers": {"inbox": {"webhook": {}}}}
    with configured(stack, "inbox_url", address, "--secret"):
        stack.change(notifications=notifications)
        try:
            stack.up()  # and the images are those of before: nothing holds the others when they are removed
            before = stack.identity("alertmanager"), _routing(stack)
            with stack.changed(
                "__main__.py",
                'secrets={name: secrets[name] for name in desired.secrets["alertmanager"]},',
                "secrets={},",
            ):
                refused = stack.up(check=False)
            said = (
                "/run/secrets/inbox_url, named in alertmanager.yml, is left over from an earlier update: not staged any"
                " more"
            )
            assert_refused(refused, "alertmanager-release failed", said)
            assert _routing(stack) == before[1]
            assert _secret(stack) == address, "what runs has lost its secret"
            with stack.changed(
                "components/alertmanager.py",
                '"alertmanager", USER, args.secrets',
                '"alertmanager", "0:0", args.secrets',
            ):
                refused = stack.up(check=False)
            said = "/run/secrets/inbox_url, named in alertmanager.yml, does not exist or cannot be read"
            assert_refused(refused, "alertmanager-release failed", said)
            assert _routing(stack) == before[1]
            stack.up()
            assert (stack.identity("alertmanager"), _routing(stack)) == before
            assert _secret(stack) == address
        finally:
            stack.write_settings(settings)


def _routing(stack: Stack) -> str:
    """The hash of the configuration that Alertmanager has loaded."""
    return probes.alertmanager_hash(stack.http, stack.url("alertmanager"))


def _secret(stack: Stack) -> str:
    """The webhook's address as Alertmanager itself reads it."""
    done = stack.container("alertmanager").exec_run(["cat", "/run/secrets/inbox_url"])
    return str(done.output.decode())


def test_a_release_that_failed_for_a_passing_reason_succeeds_with_unchanged_input(stack: Stack) -> None:
    settings, before, live = stack.settings(), stack.identity("prometheus"), stack.release()
    stack.tune(SlowQueries={"threshold": 8})
    try:
        stack.container("prometheus").pause()
        try:
            failed = stack.up(check=False)
        finally:
            stack.container("prometheus").unpause()
        assert_refused(failed, "rolled back to the previous revision")
        assert eventually(stack.release, "Prometheus answers again") == live
        stack.up()
        assert stack.release() != live
        assert stack.identity("prometheus") == before
        stack.pulumi("preview", "--stack", NAME, "--expect-no-changes")
    finally:
        stack.write_settings(settings)


# Before anything is registered


def test_all_that_is_in_the_way_is_found_before_anything_is_touched_and_told_at_once(stack: Stack) -> None:
    settings, other = stack.settings(), f"{PREFIX}-other"
    taken = int(stack.container("inbox").attrs["HostConfig"]["PortBindings"]["8025/tcp"][0]["HostPort"])
    absent = {"alertmanager": f"{PREFIX}-absent:1", "redis-exporter": "127.0.0.1:1/absent:2"}
    volume = stack.engine.volumes.create(
        f"{other}-grafana-data",
        labels={
            "softfactory.prefix": other,
            "softfactory.environment": "prod",
        },
    )
    container = stack.engine.containers.create(stack.container("inbox").attrs["Config"]["Image"], name=f"{other}-api")
    try:
        stack.change(name_prefix=other, ports={**{part: port + 50 for part, port in PORTS.items()}, "grafana": taken})
        with with_images(stack, **absent), nothing_changes(stack):
            refused = stack.up(check=False)
    finally:
        stack.write_settings(settings)
        container.remove(v=True)
        volume.remove()
    assert_refused(
        refused,
        f"ports.grafana: {taken} on 127.0.0.1 is taken by the container {PREFIX}-inbox",
        *(f"images: {reference} ({key}) is neither on the engine" for key, reference in absent.items()),
        "set images.registry or images.overrides",
        f"name_prefix: the volume {other}-grafana-data belongs to the prod environment {other}; choose another"
        " name_prefix",
        f"name_prefix: the container {other}-api is not of this stack; choose another name_prefix",
    )


@pytest.mark.parametrize("by", ["DOCKER_HOST", "docker_host"])
def test_without_an_engine_nothing_is_touched(stack: Stack, by: str, tmp_path: Path) -> None:
    settings, nowhere = stack.settings(), f"unix://{tmp_path}/none.sock"
    environment = {**stack.environment, "DOCKER_HOST": nowhere} if by == "DOCKER_HOST" else stack.environment
    if by == "docker_host":
        stack.change(docker_host="unix:///nowhere/docker.sock")
    try:
        with nothing_changes(stack):
            refused = replace(stack, environment=environment).up(check=False)
    finally:
        stack.write_settings(settings)
    assert_refused(refused, "the Docker engine does not answer at", "start it, or give its address")


@pytest.mark.parametrize(
    ("action", "undo", "state"),
    [("pause", "unpause", "paused"), ("stop", "start", "exited")],
    ids=["paused", "stopped"],
)
def test_a_grafana_that_cannot_be_reached_is_found_before_anything_is_touched(
    stack: Stack, action: str, undo: str, state: str
) -> None:
    settings, live = stack.settings(), stack.release()
    getattr(stack.container("grafana"), action)()
    try:
        # A threshold is a rule of Prometheus and a line on Grafana's pages: neither without the other.
        stack.tune(SlowQueries={"threshold": 9})
        with nothing_changes(stack):
            refused = stack.up(check=False)
    finally:
        getattr(stack.container("grafana"), undo)()
        stack.write_settings(settings)
    assert_refused(refused, f"grafana: its container is {state}", f"run `docker {undo} {PREFIX}-grafana`")
    assert stack.release() == live
    eventually(lambda: stack.is_healthy("grafana"), "Grafana is healthy")


def test_a_wrong_grafana_password_is_found_before_anything_is_touched_and_locks_nobody_out(stack: Stack) -> None:
    with configured(stack, "grafana_admin_password", "not the password", "--secret"), nothing_changes(stack):
        refused = stack.up(check=False)
    assert_refused(
        refused,
        "Grafana refuses the credentials",
        "pulumi config set --secret grafana_admin_password",
        "make rotate-secret SECRET=grafana_admin_password",
    )
    assert "not the password" not in refused.stdout + refused.stderr
    assert stack.http.get(stack.url("grafana") + "/api/org", auth=stack.grafana_auth).status_code == 200


# Bad input: a preview reads it as an update does, and cannot touch anything if it should be taken

API = {"address": "api:8000", "instance": "api"}
BAD: dict[str, Any] = {
    "environment": "my qa",
    "colour": "blue",
    "demo": "yes",
    "retention": "-1d",
    "ports": {**PORTS, "grafana": 70000, "inbox": PORTS["api"], "loki": 3100},
    "scrape_targets": {"softfactory-api": [{**API, "address": "http://api:8000"}], "softfactory-ap": [API]},
    "alert_overrides": {"RedisDwon": {}, "CacheHitRatioDegraded": {"threshold": 80}},
    "notifications": {"opsgenie": {}, "receivers": {"inbox": {"webhook": {"url": "on-call"}}}},
    "images": {"overrides": {"nginx": "nginx:1.29"}},
}
SAID = (
    "environment: 'my qa' is not a name; write 2 to 40 small letters",
    "colour: no such setting; there are: environment, ",
    "demo: 'yes' is not a switch; write true or false",
    "retention: '-1d' is not a retention; write",
    "ports.grafana: 70000 is not a port; write",
    f"ports.inbox: port {PORTS['api']} is given to both api and inbox",
    "ports.loki: no such setting; there are: ",
    "scrape_targets.softfactory-api.0.address: 'http://api:8000' is not an address; write host:port",
    "scrape_targets.softfactory-ap: no such job; there are: ",
    "alert_overrides.RedisDwon: no such alert; there is RedisDown",
    "alert_overrides.CacheHitRatioDegraded.threshold: 80 is not a share from 0 to 1; write 0.8 for 80 %",
    "notifications.opsgenie: no such setting; there are: receivers",
    "notifications.receivers.inbox.webhook.url: this is not an address; write http",
    "images.overrides.nginx: no such image: nginx (there are: ",
)


def test_all_bad_settings_are_one_message_and_change_nothing(stack: Stack) -> None:
    settings = stack.settings()
    stack.change(**BAD)
    told = _assert_preview_refused(stack, lambda: stack.write_settings(settings), f"stacks/{NAME}.yaml cannot be used:")
    for line in SAID:
        assert re.search(rf"^ +{re.escape(line)}", told, re.MULTILINE), line


@pytest.mark.parametrize(
    ("text", "said"),
    [
        (b"environment: dev\n\tdemo: true\n", f"stacks/{NAME}.yaml is not YAML: "),
        (None, f"stack '{NAME}' has no settings file stacks/{NAME}.yaml; there are: dev, prod, staging"),
    ],
    ids=["broken YAML", "no file"],
)
def test_a_file_that_is_no_settings_is_one_message_and_changes_nothing(
    stack: Stack, text: bytes | None, said: str
) -> None:
    there = stack.file.read_bytes()
    if text is None:
        stack.file.unlink()
    else:
        stack.file.write_bytes(text)
    _assert_preview_refused(stack, lambda: stack.file.write_bytes(there), said)


def _assert_preview_refused(stack: Stack, undo: Callable[[], Any], *said: str) -> str:
    """What it printed."""
    try:
        with nothing_changes(stack):
            refused = stack.pulumi("preview", "--stack", NAME, check=False)
    finally:
        undo()
    assert_refused(refused, *said)
    return refused.stdout


@pytest.mark.parametrize(
    ("name", "value", "flags", "said"),
    [
        ("redis_password", None, ["--secret"], f"pulumi config set --stack {NAME} --secret redis_password"),
        ("images", "{redis", [], "images (in Pulumi's configuration): '{redis' is not JSON; write a mapping such as"),
    ],
    ids=["a missing secret", "images that are no JSON"],
)
def test_bad_configuration_of_pulumi_is_one_message_and_changes_nothing(
    stack: Stack, name: str, value: str | None, flags: list[str], said: str
) -> None:
    with configured(stack, name, value, *flags):
        _assert_preview_refused(stack, lambda: None, said)


def test_a_wrong_passphrase_changes_nothing(stack: Stack) -> None:
    other = replace(stack, environment={**stack.environment, "PULUMI_CONFIG_PASSPHRASE": "wrong"})
    with nothing_changes(stack):
        refused = other.up(check=False)
    assert_refused(refused, "incorrect passphrase")


def test_a_stack_that_was_never_made_is_refused(stack: Stack) -> None:
    with nothing_changes(stack):
        refused = stack.pulumi("preview", "--stack", "nobodys", check=False)
    assert_refused(refused, "no stack named 'nobodys' found")


def test_after_all_this_the_next_good_update_leaves_a_healthy_stack(stack: Stack) -> None:
    stack.up()
    stack.becomes_healthy(120)
