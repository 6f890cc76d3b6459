"""components/config_rollout.sh, run by a POSIX shell against a service, checkers and a clock that are small scripts."""

import os
import shutil
import subprocess
from dataclasses import dataclass, field
from pathlib import Path

import pytest

from components.config_rollout import SCRIPT

SHELLS = [shell for shell in (("dash",), ("busybox", "sh")) if shutil.which(shell[0])] or [("sh",)]
CONFIG = {"prometheus": "prometheus.yml", "alertmanager": "alertmanager.yml"}

TIMED_OUT = "echo 'wget: download timed out' >&2; exit 1"
REFUSED = 'echo "wget: can\'t connect to remote host (172.18.0.2): Connection refused" >&2; exit 1'
UNKNOWN_HOST = "echo \"wget: bad address 'prometheus:9090'\" >&2; exit 1"
ERROR_500 = "echo 'wget: server returned error: HTTP/1.1 500 Internal Server Error' >&2; exit 1"
LOAD = 'basename "$(readlink "$VOLUME/current")" > "$FAKE/loaded"; echo reload >> "$FAKE/events"'

# The last argument is the address; each path is answered by a script of its own.
WGET = """#!/bin/sh
for url; do :; done
path=/${url#http://*/}
echo "$path" >> "$FAKE/asked"
case $path in
/-/healthy) . "$FAKE/healthy" ;;
/-/reload)
    case "$*" in *--post-data=*) ;; *) echo 'wget: server returned error: HTTP/1.1 405' >&2; exit 1 ;; esac
    . "$FAKE/reload" ;;
"/api/v1/rules?type=record" | /metrics) . "$FAKE/facts" ;;
*) echo 'wget: server returned error: HTTP/1.1 404 Not Found' >&2; exit 1 ;;
esac
"""
FACTS = {
    "prometheus": """revision=$(cat "$FAKE/loaded")
echo "{\\"data\\":{\\"groups\\":[{\\"rules\\":[{\\"labels\\":{\\"revision\\":\\"$revision\\"}}]}]}}"
""",
    # A number of that size is written with an exponent; the metric stands among others.
    "alertmanager": """echo "# TYPE alertmanager_config_hash gauge"
echo "alertmanager_config_hash_of_another 1"
echo "alertmanager_config_hash $(cat "$FAKE/metric.$(cat "$FAKE/loaded")")"
echo "alertmanager_config_hash_of_another 2"
""",
}


@dataclass
class Machine:
    """A volume, a running service, and what they are told. `release` runs the script for one release."""

    folder: Path
    kind: str
    shell: tuple[str, ...]
    spec: str = "spec-1"
    extra: str = ""
    secrets: str = ""
    output: str = ""
    numbers: dict[str, int] = field(default_factory=dict)

    def __post_init__(self) -> None:
        for name in ("bin", "fake", "volume"):
            (self.folder / name).mkdir()
        self.tool("wget", WGET)
        self.tool("sleep", '#!/bin/sh\necho "$1" >> "$FAKE/slept"\n')
        for checker in ("promtool", "amtool"):
            # Its last argument is the file to check.
            self.tool(checker, '#!/bin/sh\nfor file; do :; done\necho "$0 $*" >> "$FAKE/checked"\n. "$FAKE/check"\n')
        self.answer("check", 'cat "$file" > "$FAKE/seen"; echo SUCCESS')
        self.answer("healthy", ":")
        self.answer("reload", LOAD)
        self.answer("facts", FACTS[self.kind])

    def tool(self, name: str, text: str) -> None:
        path = self.folder / "bin" / name
        path.write_text(text, encoding="utf-8")
        path.chmod(0o755)

    def answer(self, what: str, script: str) -> None:
        (self.folder / "fake" / what).write_text(script + "\n", encoding="utf-8")

    def release(self, name: str) -> int:
        """The exit code."""
        files = self.folder / "in" / "files"
        shutil.rmtree(files, ignore_errors=True)
        (files / "rules").mkdir(parents=True)
        (files / CONFIG[self.kind]).write_text(
            f"rule_files:\n  - {self.volume}/current/rules/*.yml\n{self.extra}", encoding="utf-8"
        )
        (files / "rules" / "a.yml").write_text(f"# {name}\n", encoding="utf-8")
        number = self.numbers.setdefault(name, 247_288_712_345_000 + len(self.numbers))
        confirmation = {"prometheus": name, "alertmanager": str(number)}[self.kind]
        self.answer(f"metric.{name}", f"{number:.14e}")
        script = SCRIPT.replace("/tmp/", f"{self.folder}/")
        done = subprocess.run(
            [*self.shell, "-c", script.replace("/run/secrets", f"{self.folder}/secrets")],
            env={
                "PATH": f"{self.folder}/bin:{os.environ['PATH']}",
                "FAKE": f"{self.folder}/fake",
                "VOLUME": str(self.volume),
                "SERVICE": self.kind,
                "REVISION": name,
                "LOADED_MARKER": confirmation,
                "SERVICE_SPEC": self.spec,
                "IN": str(files),
                "HOME_DIR": str(self.volume),
                "SECRETS": self.secrets,
                "URL": f"http://{self.kind}:9090",
            },
            capture_output=True,
            text=True,
            timeout=20,
            check=False,
        )
        self.output = done.stdout + done.stderr
        return done.returncode

    def started(self, *names: str) -> None:
        """The service was started with the first release, and the others were released to it since."""
        for position, name in enumerate(names):
            assert self.release(name) == 0, self.output
            if position == 0:
                self.answer("loaded", name)
        self.clear()

    def clear(self) -> None:
        for name in ("events", "slept", "asked", "checked"):
            (self.folder / "fake" / name).unlink(missing_ok=True)

    @property
    def volume(self) -> Path:
        return self.folder / "volume"

    @property
    def current(self) -> str | None:
        """The release that the link leads to, and which is whole."""
        link = self.volume / "current"
        if not link.is_symlink():
            return None
        assert (link / CONFIG[self.kind]).is_file(), "the link leads to nothing"
        return link.readlink().name

    @property
    def kept(self) -> set[str]:
        return {path.name for path in (self.volume / "releases").iterdir()}

    def told(self, name: str) -> list[str]:
        """What happened: `events` (reloads), `slept`, `asked` (paths), `checked`."""
        path = self.folder / "fake" / name
        return path.read_text(encoding="utf-8").splitlines() if path.exists() else []


@pytest.fixture(params=SHELLS, ids=lambda shell: shell[0])
def shell(request: pytest.FixtureRequest) -> tuple[str, ...]:
    found: tuple[str, ...] = request.param
    return found


@pytest.fixture
def machine(shell: tuple[str, ...], tmp_path: Path) -> Machine:
    return Machine(folder=tmp_path, kind="prometheus", shell=shell)


@pytest.fixture(params=["prometheus", "alertmanager"])
def each_kind(request: pytest.FixtureRequest, shell: tuple[str, ...], tmp_path: Path) -> Machine:
    return Machine(folder=tmp_path, kind=request.param, shell=shell)


def test_the_first_release_waits_for_the_service_to_start(each_kind: Machine) -> None:
    each_kind.answer("healthy", UNKNOWN_HOST)
    assert each_kind.release("one") == 0, each_kind.output
    assert each_kind.current == "one"
    assert (each_kind.volume / "current" / "rules" / "a.yml").read_text(encoding="utf-8") == "# one\n"
    assert "ready" in each_kind.output and each_kind.told("events") == []
    assert (each_kind.volume / "spec").read_text(encoding="utf-8") == "spec-1"


def test_the_checker_sees_the_rules_of_the_release_that_it_checks(each_kind: Machine) -> None:
    each_kind.started("one")
    each_kind.release("two")
    seen = (each_kind.folder / "fake" / "seen").read_text(encoding="utf-8")
    assert f"{each_kind.volume}/current/" not in seen
    assert "/rules/*.yml" in seen and len(each_kind.told("checked")) == 1
    checker = {"prometheus": "promtool check config", "alertmanager": "amtool check-config"}[each_kind.kind]
    assert checker in each_kind.told("checked")[0]


def test_a_running_service_is_reloaded_and_confirms(each_kind: Machine) -> None:
    each_kind.started("one")
    assert each_kind.release("two") == 0, each_kind.output
    assert each_kind.current == "two"
    assert each_kind.told("events") == ["reload"] and "loaded" in each_kind.output
    assert each_kind.told("slept") == []


def test_a_service_that_takes_a_moment_is_waited_for(machine: Machine) -> None:
    machine.started("one")
    machine.answer("reload", "echo reload >> $FAKE/events")
    machine.tool(
        "sleep", f'#!/bin/sh\necho "$1" >> "$FAKE/slept"\n[ $(wc -l < "$FAKE/slept") -lt 3 ] || {{ {LOAD}; }}\n'
    )
    assert machine.release("two") == 0, machine.output
    assert machine.current == "two"
    assert machine.told("slept") == ["1", "1", "1"]


def test_what_the_checker_refuses_changes_nothing_and_is_told_in_its_words(each_kind: Machine) -> None:
    each_kind.started("one")
    each_kind.answer("check", "echo 'FAILED: rules/a.yml: group \"x\", rule 1: parse error' >&2; exit 1")
    assert each_kind.release("two") == 1
    assert each_kind.current == "one"
    assert 'group "x", rule 1: parse error' in each_kind.output
    assert "two: FAILED: the checker rejected it" in each_kind.output
    assert each_kind.told("asked") == []


def test_what_the_checker_refuses_at_the_first_start_leaves_no_link(machine: Machine) -> None:
    machine.answer("check", "echo no; exit 1")
    assert machine.release("one") == 1
    assert machine.current is None


def test_a_file_that_the_configuration_names_must_be_there(each_kind: Machine) -> None:
    each_kind.started("one")
    each_kind.extra = "receivers:\n  - webhook_configs:\n      - url_file: /run/secrets/absent_secret\n"
    assert each_kind.release("two") == 1
    assert each_kind.current == "one"
    assert f"/run/secrets/absent_secret, named in {CONFIG[each_kind.kind]}, does not exist" in each_kind.output


@pytest.mark.parametrize("fault", ["", "template: x: can't evaluate field No"])
def test_the_messages_that_alertmanager_would_send_are_tried(tmp_path: Path, fault: str) -> None:
    machine = Machine(tmp_path, "alertmanager", SHELLS[0])
    machine.started("one")
    machine.extra = """      title: '{{ template "a" . }}'\n      text: '{{ template "b" . }} {{ template "a" . }}'\n"""
    refuse = f'case "$*" in *"template render"*) echo "{fault}" >&2; exit 1 ;; esac; ' if fault else ""
    machine.answer("check", f"{refuse}echo SUCCESS")
    assert (machine.release("two") == 0) is not bool(fault)
    asked = (tmp_path / "fake" / "checked").read_text(encoding="utf-8")
    assert asked.count("template render --template.glob=") == (1 if fault else 2)  # firing and resolved
    text = asked.partition("--template.text=")[2].splitlines()[:2]
    assert text == ['{{ template "a" . }}', '{{ template "b" . }}']
    assert fault in machine.output
    if fault:
        assert "the checker rejected it; the previous revision stays active" in machine.output


@pytest.mark.parametrize("line", ["    url_file: '{}'", '  - url_file: "{}"', "credentials_file:   {}"])
def test_a_file_that_is_there_is_found_however_yaml_writes_it(line: str, machine: Machine) -> None:
    secret = machine.folder / "a secret"
    secret.write_text("x", encoding="utf-8")
    machine.extra = line.format(secret) + "\n"
    assert machine.release("one") == 0, machine.output


def test_a_secret_that_is_left_from_before_is_not_one_of_this_update(machine: Machine) -> None:
    (machine.folder / "secrets").mkdir()
    (machine.folder / "secrets" / "webhook_url").write_text("x", encoding="utf-8")
    machine.extra = f"      url_file: {machine.folder}/secrets/webhook_url\n"
    machine.secrets = "redis_password webhook_url_2"
    assert machine.release("one") == 1
    assert "webhook_url, named in prometheus.yml, is left over from an earlier update" in machine.output
    machine.secrets = "redis_password webhook_url"
    assert machine.release("one") == 0, machine.output


def test_a_refused_reload_puts_the_old_release_back(machine: Machine) -> None:
    machine.started("one")
    machine.answer("reload", f"case $(readlink $VOLUME/current) in */two) {ERROR_500} ;; esac; {LOAD}")
    assert machine.release("two") == 1
    assert machine.current == "one"
    assert "500 Internal Server Error" in machine.output and "rejected the reload" in machine.output
    assert machine.told("events") == ["reload"]  # with the old one again


def test_a_release_that_is_never_confirmed_is_taken_back(each_kind: Machine) -> None:
    each_kind.started("one")
    each_kind.answer("reload", "echo reload >> $FAKE/events")
    assert each_kind.release("two") == 1
    assert each_kind.current == "one"
    assert "does not confirm" in each_kind.output
    assert each_kind.told("events") == ["reload", "reload"]
    assert 10 <= len(each_kind.told("slept")) <= 60


def test_the_time_limit_takes_an_unconfirmed_release_back(machine: Machine) -> None:
    machine.started("one")
    machine.answer("reload", "echo reload >> $FAKE/events")
    machine.tool("sleep", '#!/bin/sh\necho "$1" >> "$FAKE/slept"\nkill -TERM $PPID\n')  # as `timeout` does
    assert machine.release("two") not in (0, None)
    assert machine.current == "one"
    assert "not done in time" in machine.output
    assert machine.told("slept") == ["1"], "it must end then and there"


def test_a_volume_that_is_full_takes_the_release_back(machine: Machine) -> None:
    machine.started("one")
    (machine.volume / "spec").unlink()
    (machine.volume / "spec").mkdir()  # cannot be written to, not even by root
    assert machine.release("two") != 0
    assert machine.current == "one"


def test_a_service_that_is_about_to_be_replaced_is_not_reloaded(machine: Machine) -> None:
    machine.started("one")
    machine.spec = "spec-2"
    assert machine.release("two") == 0, machine.output
    assert machine.current == "two"
    assert machine.told("asked") == []
    machine.clear()
    assert machine.release("three") == 0, machine.output  # and then it is the running one again
    assert machine.told("events") == ["reload"]


@pytest.mark.parametrize("answer", [REFUSED, UNKNOWN_HOST], ids=["refused", "unknown host"])
def test_a_service_that_does_not_run_reads_the_release_when_it_starts(answer: str, machine: Machine) -> None:
    machine.started("one")
    for what in ("healthy", "reload", "facts"):
        machine.answer(what, answer)
    assert machine.release("two") == 0, machine.output
    assert machine.current == "two"


def test_a_service_that_hangs_is_no_stopped_one(machine: Machine) -> None:
    machine.started("one")
    for what in ("healthy", "reload", "facts"):
        machine.answer(what, TIMED_OUT)
    assert machine.release("two") == 1
    assert machine.current == "one"
    assert "timed out" in machine.output


def test_the_same_release_again_keeps_the_live_one_whole_all_the_time(machine: Machine) -> None:
    machine.started("one", "two")
    # Whenever the service or the checker is asked, the link must lead to a whole release.
    machine.answer("reload", f'[ -f "$VOLUME/current/{CONFIG[machine.kind]}" ] || exit 1; {LOAD}')
    before = sorted((machine.volume / "releases" / "two").rglob("*"))
    inode = (machine.volume / "current" / CONFIG[machine.kind]).stat().st_ino
    assert machine.release("two") == 0, machine.output
    assert machine.current == "two"
    assert (machine.volume / "current" / CONFIG[machine.kind]).stat().st_ino == inode
    assert sorted((machine.volume / "releases" / "two").rglob("*")) == before


@pytest.mark.parametrize("damage", ["cut", "removed", "planted", "no link"])
def test_a_live_release_that_was_changed_in_the_volume_is_put_right(damage: str, each_kind: Machine) -> None:
    each_kind.started("one", "two")
    whole = each_kind.volume / "releases" / "one" / CONFIG[each_kind.kind]
    live = each_kind.volume / "releases" / "two"
    if damage == "cut":
        (live / CONFIG[each_kind.kind]).write_text("", encoding="utf-8")
    elif damage == "removed":
        (live / "rules" / "a.yml").unlink()
    elif damage == "planted":
        (live / "rules" / "b.yml").write_text("not ours", encoding="utf-8")
    else:
        (each_kind.volume / "current").unlink()
    assert each_kind.release("two") == 0, each_kind.output
    assert each_kind.current == "two"
    assert (live / CONFIG[each_kind.kind]).read_text(encoding="utf-8") == whole.read_text(encoding="utf-8")
    assert [path.name for path in (live / "rules").iterdir()] == ["a.yml"]
    assert (live / "rules" / "a.yml").read_text(encoding="utf-8") == "# two\n"


def test_the_last_five_releases_are_kept(machine: Machine) -> None:
    machine.answer("loaded", "one")
    for age, name in enumerate(("one", "two", "three", "four", "five", "six", "seven")):
        assert machine.release(name) == 0, machine.output
        os.utime(machine.volume / "releases" / name, (1e9 + age, 1e9 + age))
    assert machine.kept == {"three", "four", "five", "six", "seven"}


def test_an_old_release_that_is_live_again_is_kept_as_a_new_one(machine: Machine) -> None:
    names = ("one", "two", "three", "four", "five")
    machine.started(*names)
    for age, name in enumerate(names):
        os.utime(machine.volume / "releases" / name, (1e9 + age, 1e9 + age))
    assert machine.release("one") == 0, machine.output
    assert machine.release("six") == 0, machine.output
    assert machine.kept == {"six", "one", "five", "four", "three"}


def test_what_a_killed_run_left_behind_is_in_nobodys_way(machine: Machine) -> None:
    machine.started("one")
    (machine.volume / "releases" / ".staged" / "rules").mkdir(parents=True)
    (machine.volume / "releases" / ".staged" / "rules" / "old.yml").write_text("left over", encoding="utf-8")
    (machine.volume / ".next").symlink_to("releases/gone")
    assert machine.release("two") == 0, machine.output
    assert machine.current == "two"
    assert not (machine.volume / "current" / "rules" / "old.yml").exists()
    assert machine.kept == {"one", "two"}
    assert not (machine.volume / ".next").is_symlink()


def test_a_volume_that_cannot_be_written_is_named(machine: Machine) -> None:
    machine.volume.rmdir()
    machine.volume.write_text("a file", encoding="utf-8")
    assert machine.release("one") == 1
    assert f"the volume at {machine.volume} cannot be written by user" in machine.output
