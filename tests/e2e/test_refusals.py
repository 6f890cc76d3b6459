"""What cannot succeed is refused before it touches anything, in one message that says what to do; what the checkers
refuse leaves everything as it was, and the next good update repairs it.
"""

import json
import re
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from dataclasses import replace
from pathlib import Path
from typing import Any

import pytest

from ops import probes
from tests.e2e.conftest import NAME, PORTS, PREFIX, Stack, eventually
from tests.e2e.refused import assert_refused, nothing_changes

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


# Releases


def test_a_refused_rule_holds_everything_back_and_the_next_good_update_brings_it(stack: Stack) -> None:
    services = ("prometheus", "alertmanager", "grafana", "redis-exporter", "inbox")
    before, live = {service: stack.identity(service) for service in services}, stack.release()
    with (
        another_image(stack, "alertmanager") as alertmanager,
        another_image(stack, "grafana") as grafana,
        another_image(stack, "redis-exporter") as exporter,
    ):
        with with_images(stack, alertmanager=alertmanager, grafana=grafana, redis_exporter=exporter):
            with stack.changed("rules/redis.py", "{{ $labels.instance }}: Redis", "{{ $labels.instance }: Redis"):
                refused = stack.up(check=False)
                assert_refused(refused, "prometheus-release failed", "unexpected", "what was live before is still live")
                assert {service: stack.identity(service) for service in services} == before
                assert stack.release() == live
                pending = stack.pulumi("preview", "--stack", NAME).stdout
                for part in ("prometheus-release", "alertmanager", "grafana", "redis-exporter"):
                    assert re.search(rf"Container {part} +replace\b", pending), pending
            stack.up()
            for service, reference in (
                ("alertmanager", alertmanager),
                ("grafana", grafana),
                ("redis-exporter", exporter),
            ):
                assert stack.container(service).attrs["Image"] == stack.engine.images.get(reference).id
            assert stack.identity("prometheus") == before["prometheus"]
        stack.up()  # the images as they were: nothing holds the others when they are removed
    stack.pulumi("preview", "--stack", NAME, "--expect-no-changes")


def test_a_refused_alertmanager_configuration_leaves_the_old_one(stack: Stack) -> None:
    before = stack.identity("alertmanager"), probes.alertmanager_hash(stack.http, stack.url("alertmanager"))
    with stack.changed("routing/render.py", '"receiver": tree.default', '"reciever": tree.default'):
        # amtool's own words
        assert_refused(stack.up(check=False), "alertmanager-release failed", "field reciever not found")
        assert "alertmanager-release" in stack.pulumi("preview", "--stack", NAME).stdout
    assert (stack.identity("alertmanager"), probes.alertmanager_hash(stack.http, stack.url("alertmanager"))) == before
    stack.up()
    assert stack.identity("alertmanager") == before[0]
    stack.pulumi("preview", "--stack", NAME, "--expect-no-changes")


@pytest.fixture(scope="module")
def webhook(stack: Stack) -> Iterator[str]:
    """The address of the webhook, as a secret that Alertmanager reads from a file instead of a setting."""
    settings, address = stack.settings(), "http://inbox:8025/webhook"
    with configured(stack, "webhook_url", address, "--secret"):
        rest = {key: value for key, value in settings["notifications"].items() if key != "webhook_url"}
        stack.change(notifications=rest)
        try:
            stack.up()
            yield address
        finally:
            stack.write_settings(settings)
            stack.up()


@pytest.mark.parametrize(
    ("path", "old", "new", "said"),
    [
        (
            "stacks/receivers.py", '{"url_file": f"{SECRETS}/{self.secret}"}', '{"url_file": f"{SECRETS}/nowhere"}',
            "/run/secrets/nowhere, named in alertmanager.yml, does not exist or cannot be read",
        ),
        (
            "__main__.py", 'secrets={name: secrets[name] for name in wanted.secrets["alertmanager"]},', "secrets={},",
            "/run/secrets/webhook_url, named in alertmanager.yml, is left from before: not staged any more",
        ),
        (
            "components/alertmanager.py", '"alertmanager", USER, args.secrets', '"alertmanager", "0:0", args.secrets',
            "/run/secrets/webhook_url, named in alertmanager.yml, does not exist or cannot be read",
        ),
    ],
    ids=["missing", "not staged any more", "of another owner"],
)  # fmt: skip
def test_a_secret_file_that_alertmanager_could_not_read_is_named(
    stack: Stack, webhook: str, path: str, old: str, new: str, said: str
) -> None:
    before = stack.identity("alertmanager"), probes.alertmanager_hash(stack.http, stack.url("alertmanager"))
    with stack.changed(path, old, new):
        assert_refused(stack.up(check=False), "alertmanager-release failed", said)
        assert "alertmanager-release" in stack.pulumi("preview", "--stack", NAME).stdout
        assert probes.alertmanager_hash(stack.http, stack.url("alertmanager")) == before[1]
        if "0:0" not in new:
            assert _secret(stack) == webhook, "what runs has lost its secret"
    stack.up()
    assert (stack.identity("alertmanager"), probes.alertmanager_hash(stack.http, stack.url("alertmanager"))) == before
    assert _secret(stack) == webhook
    stack.pulumi("preview", "--stack", NAME, "--expect-no-changes")


def _secret(stack: Stack) -> str:
    """The webhook's address as Alertmanager itself reads it."""
    done = stack.container("alertmanager").exec_run(["cat", "/run/secrets/webhook_url"])
    return str(done.output.decode())


def test_a_release_that_failed_for_a_passing_reason_succeeds_with_unchanged_input(stack: Stack) -> None:
    settings, before, live = stack.settings(), stack.identity("prometheus"), stack.release()
    stack.tune(SlowQueries={"threshold": 8})
    stack.container("prometheus").pause()
    try:
        failed = stack.up(check=False)
    finally:
        stack.container("prometheus").unpause()
    assert_refused(failed, "what was live before was put back")
    assert eventually(stack.release, "Prometheus answers again") == live
    stack.up()
    assert stack.release() != live
    assert stack.identity("prometheus") == before
    stack.pulumi("preview", "--stack", NAME, "--expect-no-changes")
    stack.write_settings(settings)
    stack.up()


# Before anything is registered


def test_a_taken_port_is_found_before_anything_is_touched(stack: Stack) -> None:
    settings = stack.settings()
    taken = int(stack.container("inbox").attrs["HostConfig"]["PortBindings"]["8025/tcp"][0]["HostPort"])
    stack.change(prefix=f"{PREFIX}-other", ports={**settings["ports"], "grafana": taken, "inbox": taken + 1})
    try:
        with nothing_changes(stack):
            refused = stack.up(check=False)
    finally:
        stack.write_settings(settings)
    assert_refused(refused, f"ports.grafana: {taken} on 127.0.0.1 is taken by the container {PREFIX}-inbox")


def test_images_that_are_nowhere_are_found_before_anything_is_touched(stack: Stack) -> None:
    absent = {"alertmanager": f"{PREFIX}-absent:1", "redis_exporter": "127.0.0.1:1/absent:2"}
    with with_images(stack, **absent), nothing_changes(stack):
        refused = stack.up(check=False)
    assert_refused(
        refused,
        *(
            f"images: {reference} ({key.replace('_', '-')}) is neither on the engine"
            for key, reference in absent.items()
        ),
        "set images.registry or images.overrides",
    )


@pytest.mark.parametrize("by", ["DOCKER_HOST", "engine_host"])
def test_without_an_engine_nothing_is_touched(stack: Stack, by: str, tmp_path: Path) -> None:
    settings, nowhere = stack.settings(), f"unix://{tmp_path}/none.sock"
    environment = {**stack.environment, "DOCKER_HOST": nowhere} if by == "DOCKER_HOST" else stack.environment
    if by == "engine_host":
        stack.change(engine_host="unix:///nowhere/docker.sock")
    try:
        with nothing_changes(stack):
            refused = replace(stack, environment=environment).up(check=False)
    finally:
        stack.write_settings(settings)
    assert_refused(refused, "the Docker engine does not answer at", "start it, or give its address")


@pytest.mark.parametrize(
    ("action", "undo", "state"),
    [("stop", "start", "exited"), ("pause", "unpause", "paused")],
    ids=["stopped", "paused"],
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
    stack.up()


def test_a_wrong_grafana_password_is_found_before_anything_is_touched_and_locks_nobody_out(stack: Stack) -> None:
    asked = stack.url("grafana") + "/api/org"
    with configured(stack, "grafana_admin_password", "not the password", "--secret"), nothing_changes(stack):
        for _ in range(4):  # the fifth refusal within five minutes would lock the account
            refused = stack.up(check=False)
            assert_refused(
                refused, "Grafana refuses the credentials", "pulumi config set --secret grafana_admin_password",
                "make rotate SECRET=grafana_admin_password",
            )  # fmt: skip
            assert "not the password" not in refused.stdout + refused.stderr
    assert stack.http.get(asked, auth=stack.grafana_auth).status_code == 200
    stack.up()


def test_what_belongs_to_somebody_else_is_not_taken_over(stack: Stack) -> None:
    settings, other = stack.settings(), f"{PREFIX}-other"
    volume = stack.engine.volumes.create(f"{other}-grafana-data", labels={
        "softfactory.prefix": other, "softfactory.environment": "prod",
    })  # fmt: skip
    container = stack.engine.containers.create(stack.container("inbox").attrs["Config"]["Image"], name=f"{other}-api")
    try:
        stack.change(prefix=other, ports={part: port + 50 for part, port in PORTS.items()})
        with nothing_changes(stack):
            refused = stack.up(check=False)
    finally:
        stack.write_settings(settings)
        container.remove(v=True)
        volume.remove()
    assert_refused(
        refused,
        f"prefix: the volume {other}-grafana-data belongs to the prod environment {other}; choose another prefix",
        f"prefix: the container {other}-api is not of this stack; choose another prefix",
    )


# Bad input: a preview reads it as an update does, and cannot touch anything if it should be taken

API = {"address": "api:8000", "instance": "api"}
BAD_SETTINGS: dict[str, tuple[dict[str, Any], str]] = {
    "an unknown key": ({"colour": "blue"}, "colour: no such setting; there are: environment, "),
    "an unknown key inside": ({"ports": {**PORTS, "loki": 3100}}, "ports.loki: no such setting; there are: "),
    "a text for a switch": ({"demo": "yes"}, "demo: 'yes' is not a switch; write true or false"),
    "a mapping for a list": ({"targets": {"softfactory-api": API}}, "targets.softfactory-api: must be a list"),
    "a negative retention": ({"retention": "-1d"}, "retention: '-1d' is not a retention; write"),
    "an absurd retention": ({"retention": "300y"}, "retention: '300y' is not a retention; write"),
    "a port out of range": ({"ports": {**PORTS, "grafana": 70000}}, "ports.grafana: 70000 is not a port; write"),
    "a port twice": (
        {"ports": {**PORTS, "inbox": PORTS["api"]}}, f"ports.inbox: port {PORTS['api']} is given to both api and inbox",
    ),
    "a malformed address": (
        {"targets": {"softfactory-api": [{**API, "address": "http://api:8000"}]}},
        "targets.softfactory-api.0.address: 'http://api:8000' is not an address; write host:port",
    ),
    "an unknown job": ({"targets": {"softfactory-ap": [API]}}, "targets.softfactory-ap: no such job; there are: "),
    "an unknown alert": ({"alerts": {"RedisDwon": {}}}, "alerts.RedisDwon: no such alert; there is RedisDown"),
    "an impossible threshold": (
        {"alerts": {"CacheHitRatioDegraded": {"threshold": 80}}},
        "alerts.CacheHitRatioDegraded.threshold: 80 is not a share from 0 to 1; write 0.8 for 80 %",
    ),
    "an unknown receiver": (
        {"notifications": {"opsgenie": {}}}, "notifications.opsgenie: no such setting; there are: webhook_url",
    ),
    "a way to a receiver that is not there": (
        {"notifications": {"ways": {"critical": {"to": ["pagerduty"]}}}},
        "notifications.ways.critical.to: there is no receiver pagerduty under notifications; there are: webhook",
    ),
    "a webhook that is no address": (
        {"notifications": {"webhook_url": "on-call"}}, "notifications.webhook_url: this is not an address; write http",
    ),
    "an unknown environment": (
        {"environment": "production"}, "environment: 'production' is not an environment; write dev, staging or prod",
    ),
    "an unknown image": (
        {"images": {"overrides": {"nginx": "nginx:1.29"}}}, "images.overrides.nginx: no such image: nginx (there are: ",
    ),
    "many problems at once": (
        {"retention": "-1d", "colour": "blue", "alerts": {"RedisDwon": {}}, "targets": {"softfactory-ap": [API]}}, "",
    ),
}  # fmt: skip


@pytest.mark.parametrize(("values", "said"), BAD_SETTINGS.values(), ids=BAD_SETTINGS)
def test_a_bad_setting_is_one_message_and_changes_nothing(stack: Stack, values: dict[str, Any], said: str) -> None:
    settings = stack.settings()
    stack.change(**values)
    words = (
        [said] if said else [f"  {name}" for name in ("retention: ", "colour: ", "alerts.RedisDwon: ", "targets.soft")]
    )
    _assert_preview_refused(stack, lambda: stack.write_settings(settings), f"stacks/{NAME}.yaml", *words)


BAD_FILES = {
    "broken YAML": (b"environment: dev\n\tdemo: true\n", f"stacks/{NAME}.yaml is not YAML: "),
    "a key twice": (b"environment: dev\nenvironment: prod\n", "environment: line 2 gives it a second time"),
    "no mapping": (b"- dev\n", f"stacks/{NAME}.yaml must hold settings, a mapping (key: value), not a list"),
    "nothing": (b"", f"stacks/{NAME}.yaml must hold settings, a mapping (key: value), not nothing"),
    "no text": (b"environment: \xff\n", f"stacks/{NAME}.yaml is not YAML: byte 13 is not UTF-8 text"),
    "no file": (None, f"stack '{NAME}' has no settings file stacks/{NAME}.yaml; there are: dev, prod, staging"),
}


@pytest.mark.parametrize(("text", "said"), BAD_FILES.values(), ids=BAD_FILES)
def test_a_file_that_is_no_settings_is_one_message_and_changes_nothing(
    stack: Stack, text: bytes | None, said: str
) -> None:
    file = stack.folder / "stacks" / f"{NAME}.yaml"
    there = file.read_bytes()
    if text is None:
        file.unlink()
    else:
        file.write_bytes(text)
    _assert_preview_refused(stack, lambda: file.write_bytes(there), said)


def _assert_preview_refused(stack: Stack, undo: Callable[[], Any], *said: str) -> None:
    try:
        with nothing_changes(stack):
            refused = stack.pulumi("preview", "--stack", NAME, check=False)
    finally:
        undo()
    assert_refused(refused, *said)


@pytest.mark.parametrize(
    ("name", "value", "flags", "said"),
    [
        ("redis_password", None, ["--secret"], f"pulumi config set --stack {NAME} --secret redis_password"),
        ("images", '["redis:8"]', [], "images (in Pulumi's configuration): must be a mapping (key: value), not a list"),
        ("images", "{redis", [], "images (in Pulumi's configuration): '{redis' is not JSON; write a mapping such as"),
    ],
    ids=["a missing secret", "images that are no mapping", "images that are no JSON"],
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
