"""A new value for a secret: who takes it, in which order, and what nobody may see."""

import hashlib
import hmac
import io
import sys
from base64 import b64decode

import pytest

from clients.probes import ClientError
from desired_state import GRAFANA_PASSWORD, build_desired_state
from ops import rotate_secret
from stacks.settings import load_settings
from tests.checkers import STACKS
from tests.unit.factories import planned
from tests.unit.fake_stack import Call, FakeCommands, main

POSTGRES_PASSWORD, REDIS_PASSWORD = "postgres_password", "redis_password"  # of dev, whose servers are the demo's
NEW = "planted-new-value"
OLD = "planted-old-value"
FIRST_STEPS = ["pulumi config get {name} {stack}", "pulumi config set {name} {stack}"]


class Rotation:
    """`python -m ops rotate-secret`, run where pulumi and docker are fakes."""

    def __init__(self, patch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]) -> None:
        self._patch, self._capsys = patch, capsys
        self.commands = FakeCommands()
        self.commands.install(patch)
        self.commands.config = {name: OLD for stack in STACKS for name in planned(stack).secret_names}
        self.shown = ""  # on both streams
        self.standard_input = io.StringIO()

    def run(self, name: str, stack: str = "dev", given: str | None = None) -> int:
        """The exit code; `given` is what stands on standard input, None without --from-stdin."""
        self._patch.setattr(sys, "stdin", self.standard_input if given is None else io.StringIO(given))
        source = [] if given is None else ["--from-stdin"]
        code = main(self._patch, "rotate-secret", name, "--stack", stack, *source)
        self.shown = "".join(self._capsys.readouterr())
        return code

    def seen(self) -> str:
        """All that others on the machine can see: command lines, and what was printed."""
        return self.shown + " ".join(" ".join(call.words) for call in self.commands.calls)

    def told_docker(self) -> Call:
        (call,) = self.commands.of("docker")
        return call


@pytest.fixture
def rotation(monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]) -> Rotation:
    return Rotation(monkeypatch, capsys)


# What is refused, before anything is touched


def test_a_secret_that_the_stack_does_not_have_is_refused_with_those_that_it_has(rotation: Rotation) -> None:
    assert rotation.run("webhook_url") == 2  # dev sends to its own inbox
    assert rotation.shown == (
        "stack dev has no secret 'webhook_url'; it has: grafana_admin_password, postgres_password, redis_password\n"
    )
    assert rotation.commands.calls == []


@pytest.mark.parametrize(
    ("name", "stack"),
    [("dead_mans_switch_url", "prod"), ("prod_redis_password", "prod"), ("staging_postgres_password", "staging")],
)
def test_a_secret_of_a_server_elsewhere_is_not_made_up(name: str, stack: str, rotation: Rotation) -> None:
    assert rotation.run(name, stack) == 2
    assert rotation.shown.startswith(f"{name} belongs to a server that is not of stack {stack}: change it there")
    assert rotation.shown.endswith("the new value is empty; give it on standard input\n")
    assert rotation.commands.calls == []


@pytest.mark.parametrize("given", ["", "\n", "\nsecond line\n"])
def test_an_empty_value_is_refused(given: str, rotation: Rotation) -> None:
    assert rotation.run(GRAFANA_PASSWORD, given=given) == 2
    assert rotation.shown.startswith("the new value is empty") and rotation.commands.calls == []


def test_a_stack_that_is_unknown_is_refused(rotation: Rotation) -> None:
    assert rotation.run(GRAFANA_PASSWORD, "qa") == 2
    assert "expected one of: dev, prod, staging" in rotation.shown and rotation.commands.calls == []


def test_a_secret_that_was_never_set_is_told_in_pulumis_words(rotation: Rotation) -> None:
    del rotation.commands.config[GRAFANA_PASSWORD]
    assert rotation.run(GRAFANA_PASSWORD) == 2
    assert "configuration key 'grafana_admin_password' not found" in rotation.shown
    assert not rotation.commands.of("docker") and not rotation.commands.of("pulumi", "config", "set")


# What is done, and in which order


@pytest.mark.parametrize("stack", ["dev", "staging", "prod"])
def test_grafanas_password_can_be_made_up_on_every_stack(stack: str, rotation: Rotation) -> None:
    assert rotation.run(GRAFANA_PASSWORD, stack) == 0
    made_up = rotation.commands.config[GRAFANA_PASSWORD]
    assert len(made_up) >= 32 and made_up not in rotation.seen() and OLD not in rotation.seen()
    call = rotation.told_docker()
    assert call.words[1:4] == ("exec", "-i", "softfactory-grafana") and "--password-from-stdin" in call.words
    assert call.stdin == f"{made_up}\n"


def test_each_made_up_value_is_another(rotation: Rotation) -> None:
    made_up = set()
    for _ in range(3):
        assert rotation.run(REDIS_PASSWORD) == 0
        made_up.add(rotation.commands.config[REDIS_PASSWORD])
    assert len(made_up) == 3


@pytest.mark.parametrize(
    ("name", "server"), [(GRAFANA_PASSWORD, "softfactory-grafana"), (POSTGRES_PASSWORD, "softfactory-postgres")]
)
def test_the_configuration_comes_first_then_the_server_then_the_update(
    name: str, server: str, rotation: Rotation
) -> None:
    assert rotation.run(name, given=f"{NEW}\n") == 0
    get, configure, tell, update = rotation.commands.told()
    assert [get, configure] == [step.format(name=name, stack="dev") for step in FIRST_STEPS]
    assert tell.startswith(f"docker exec {server} ") and update == "pulumi up dev"
    assert rotation.commands.config[name] == NEW and NEW not in rotation.seen()


def test_postgresql_gets_a_verifier_of_the_new_password(rotation: Rotation) -> None:
    assert rotation.run(POSTGRES_PASSWORD, given=f"{NEW}\n") == 0
    words = rotation.told_docker().words
    assert words[words.index("-U") + 1] == words[words.index("-d") + 1] == "softfactory"
    head, verifier, tail = words[-1].split("'")
    assert (head, tail) == ('ALTER ROLE "softfactory" PASSWORD ', "")
    salt = b64decode(verifier.split("$")[1].partition(":")[2])
    assert verifier == rotate_secret.scram_verifier(NEW, salt) and len(salt) == 16


@pytest.mark.parametrize(
    ("name", "stack"),
    [
        (REDIS_PASSWORD, "dev"),
        ("staging_postgres_password", "staging"),
        ("prod_redis_password", "prod"),
        ("dead_mans_switch_url", "prod"),
    ],
)
def test_a_secret_that_no_server_of_ours_keeps_only_changes_in_the_stack(
    name: str, stack: str, rotation: Rotation
) -> None:
    assert rotation.run(name, stack, given=NEW) == 0
    assert rotation.commands.told() == [
        *(step.format(name=name, stack=stack) for step in FIRST_STEPS),
        *([f"pulumi up {stack}"] if stack == "dev" else []),
    ]
    assert rotation.commands.config[name] == NEW and NEW not in rotation.seen()
    assert f"{name} is read from its file alone" in rotation.shown


@pytest.mark.parametrize("stack", ["staging", "prod"])
def test_a_stack_that_is_not_dev_is_left_to_an_update_of_its_own(stack: str, rotation: Rotation) -> None:
    assert rotation.run(GRAFANA_PASSWORD, stack) == 0
    assert rotation.commands.of("pulumi", "up") == []
    assert f"now: make up STACK={stack}" in rotation.shown


@pytest.mark.parametrize(("name", "stack"), [("webhook_url", "staging"), ("staging_postgres_password", "staging")])
def test_what_cannot_be_made_up_is_read_without_being_asked_to(name: str, stack: str, rotation: Rotation) -> None:
    rotation.standard_input = io.StringIO(f"{NEW}\n")
    assert rotation.run(name, stack) == 0
    assert rotation.commands.config[name] == NEW and NEW not in rotation.seen()


def test_a_person_at_a_terminal_is_asked_and_the_value_is_not_shown(
    rotation: Rotation, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr("getpass.getpass", lambda *_, **__: NEW)  # reads from a terminal, without echo
    monkeypatch.setattr(rotation.standard_input, "isatty", lambda: True)
    assert rotation.run("webhook_url", "staging") == 0
    assert rotation.commands.config["webhook_url"] == NEW and NEW not in rotation.seen()
    assert "The new webhook_url (it is not shown):" in rotation.shown


def test_an_update_that_fails_is_the_commands_own_failure(rotation: Rotation) -> None:
    rotation.commands.ups = [255]
    assert rotation.run(REDIS_PASSWORD, given=NEW) == 255
    assert rotation.commands.config[REDIS_PASSWORD] == NEW  # the server may have it: the next update goes on with it


# A server that refuses


@pytest.mark.parametrize("name", [GRAFANA_PASSWORD, POSTGRES_PASSWORD])
@pytest.mark.parametrize("given", [NEW, None])
def test_where_the_server_refuses_the_old_value_is_put_back(name: str, given: str | None, rotation: Rotation) -> None:
    rotation.commands.docker_error = "Error response from daemon: No such container\n"
    assert rotation.run(name, given=given) == 2
    assert rotation.commands.config[name] == OLD
    assert not rotation.commands.of("pulumi", "up")
    assert "failed: Error response from daemon: No such container;" in rotation.shown
    assert rotation.shown.count("\n") == 1 and NEW not in rotation.seen() and OLD not in rotation.seen()


def test_without_the_docker_command_the_old_value_is_put_back(rotation: Rotation) -> None:
    rotation.commands.absent = {"docker"}
    assert rotation.run(GRAFANA_PASSWORD) == 2
    assert rotation.commands.config[GRAFANA_PASSWORD] == OLD
    assert rotation.shown.startswith("the docker command is not on PATH")


def test_the_server_is_told_on_the_stacks_own_engine(rotation: Rotation) -> None:
    settings = load_settings("prod").model_copy(
        update={"docker_host": "ssh://ops@engine.invalid", "name_prefix": "other"}
    )
    assert (
        rotate_secret.apply_to_server(build_desired_state(settings), GRAFANA_PASSWORD, NEW)
        == "Grafana takes the new password"
    )
    words = rotation.told_docker().words
    assert words[:6] == ("docker", "--host", "ssh://ops@engine.invalid", "exec", "-i", "other-grafana")


def test_a_long_complaint_of_a_server_is_cut(rotation: Rotation) -> None:
    rotation.commands.docker_error = "x" * 10_000 + "the end"
    with pytest.raises(ClientError, match="the end") as caught:
        rotate_secret.apply_to_server(planned("dev"), GRAFANA_PASSWORD, NEW)
    assert len(str(caught.value)) < 600


# The verifier


def test_the_verifier_proves_the_exchange_of_rfc_7677() -> None:
    """As a server proves it: with StoredKey and ServerKey alone."""
    salt = b64decode("W22ZaJ0SNY7soEsUEjb6gQ==")
    nonce = "rOprNGfwEbeRWgbNEkqO%hvYDpWUa2RaTCAfuxFIlj)hNlF$k0"
    exchange = (f"n=user,r=rOprNGfwEbeRWgbNEkqO,r={nonce},s=W22ZaJ0SNY7soEsUEjb6gQ==,i=4096,c=biws,r={nonce}").encode()
    proof = b64decode("dHzbZapWIk4jUhN+Ute9ytag9zjfMHgsqmmiz7AndVQ=")
    server_signature = b64decode("6rriTRBi23WpRR/wtup+mMhUZUn/dB5nLTJRsjl95G4=")

    scheme, parameters, keys = rotate_secret.scram_verifier("pencil", salt).split("$")
    stored, server = (b64decode(key) for key in keys.split(":"))
    assert (scheme, parameters) == ("SCRAM-SHA-256", "4096:W22ZaJ0SNY7soEsUEjb6gQ==")
    signature = hmac.digest(stored, exchange, "sha256")
    client = bytes(a ^ b for a, b in zip(proof, signature, strict=True))
    assert hashlib.sha256(client).digest() == stored
    assert hmac.digest(server, exchange, "sha256") == server_signature


def test_each_verifier_has_a_salt_of_its_own() -> None:
    assert rotate_secret.scram_verifier("pencil") != rotate_secret.scram_verifier("pencil")
