"""Settings files as nobody would write them on purpose: each loads, or is refused in words, and never with a traceback.

Hypothesis makes the files. In CI it makes the same ones each time, so that a red run is about the change that it
tests; elsewhere it makes others in each run, which is how a fault is found that no run has met yet.
"""

import os
from collections.abc import Callable, Iterable
from datetime import date
from functools import partial
from itertools import pairwise
from pathlib import Path
from typing import Any

import pytest
import yaml
from hypothesis import HealthCheck, example, given, settings
from hypothesis import strategies as st
from typer.testing import CliRunner

import ops.__main__ as commands
from desired_state import DesiredState, InvalidStackError, load_desired_state
from stacks.settings import Settings, SettingsError
from stacks.types import seconds
from tests.unit.factories import values

TRACKED = ("dev", "staging", "prod")
Place = tuple[str | int, ...]


def bounded(examples: int) -> Callable[[Callable[..., None]], Callable[..., None]]:
    """Some examples, without a deadline (a busy machine is no fault) and without a database of earlier failures."""
    return settings(
        max_examples=examples,
        deadline=None,
        database=None,
        derandomize="CI" in os.environ,
        suppress_health_check=[HealthCheck.too_slow],
    )


# --- what may stand in a file ----------------------------------------------------------------------------------------

STRANGE = (
    "",
    " ",
    "0",
    "~",
    "no",
    "0s",
    "-1d",
    "99999y",
    "1.5d",
    "15 d",
    "1y1w1d",
    "9" * 5000,
    "x" * 10_000,
    "a\nb",
    "\x00",
    "\x1b[31m",
    "\ud800",
    "\u202e",
    "\u0661\u0665d",
    "💥",
    "http://",
    "http:a",
    "https://u:p@h",
    "//h",
    "h:0",
    ":1",
    "h:99999",
    "[::1]:80",
    "256.1.1.1",
    "$(id)",
    "{{ . }}",
    "${x}",
    "../..",
    "a:b@sha256:0",
    "-v",
    "latest",
    "[key]",
)
SCALARS: st.SearchStrategy[Any] = st.one_of(
    st.sampled_from(STRANGE),
    st.none(),
    st.booleans(),
    st.integers(-(10**30), 10**30) | st.integers(-5, 70_000),
    st.floats(),
    st.text(max_size=20),
    st.binary(max_size=8),
    st.dates(),
)
KEYS: st.SearchStrategy[Any] = st.one_of(
    st.sampled_from([*Settings.model_fields, "redis", "postgres", "node", "ApiDown", "threshold", "for", "overrides"]),
    st.text(max_size=5),
    st.sampled_from(STRANGE),
    st.integers() | st.booleans() | st.none() | st.floats(allow_nan=False) | st.dates() | st.binary(max_size=3),
)
ANYTHING = st.recursive(
    SCALARS, lambda inner: st.lists(inner, max_size=4) | st.dictionaries(KEYS, inner, max_size=4), max_leaves=8
)
FRAGMENTS = (
    "environment: dev",
    "demo: true",
    "ports: ",
    "scrape_targets: ",
    "a",
    "1",
    "- ",
    "  ",
    "\n",
    "\n",
    "\n  ",
    ": ",
    "? ",
    "[",
    "]",
    "{",
    "}",
    ", ",
    "&a ",
    "*a",
    "<<: ",
    "!!int ",
    "!!float ",
    "!!bool ",
    "!!binary ",
    "!!timestamp ",
    "!!set ",
    "!!omap ",
    "!!null ",
    "!!str ",
    "!x ",
    "!!python/name:os.system ",
    "|\n",
    ">-\n",
    "'",
    '"',
    "\\",
    "#",
    "---\n",
    "...\n",
    "%YAML 9.9\n",
    "\t",
    "\r",
    "\x00",
    "\ufeff",
    "2026-02-30",
    "0x_",
    "0b_",
    "1:60",
    ".nan",
    "=",
    "0x" + "f" * 4000,
)
YAML_LIKE = st.lists(st.sampled_from(FRAGMENTS), max_size=15).map("".join)


def every_place(tree: Any, place: Place = ()) -> Iterable[Place]:
    """The places of all keys and items of nested values."""
    inner = tree.items() if isinstance(tree, dict) else enumerate(tree) if isinstance(tree, list) else ()
    for key, value in inner:
        yield (*place, key)
        yield from every_place(value, (*place, key))


def put(tree: dict[Any, Any], place: Place, value: Any) -> None:
    """Sets a value, with the mappings and lists on the way to it."""
    here: Any = tree
    for key, following in pairwise(place):
        if isinstance(here, list):
            here = here[int(key)]
        else:
            here = here.setdefault(key, [{}] if isinstance(following, int) else {})
    here[place[-1]] = value


def dumped(tree: Any) -> bytes:
    return yaml.safe_dump(tree).encode()


@st.composite
def mutated(draw: st.DrawFn) -> bytes:
    """The values of a real stack with one to three keys dropped, added or replaced."""
    tree = values(draw(st.sampled_from(TRACKED)))
    for _ in range(draw(st.integers(1, 3))):
        place = draw(st.sampled_from(list(every_place(tree))))
        here: Any = tree
        for key in place[:-1]:
            here = here[key]
        match draw(st.sampled_from(["drop", "add", "replace", "replace"])):
            case "drop" if len(tree) > 1:
                del here[place[-1]]
            case "add" if isinstance(here, dict):
                here[draw(KEYS)] = draw(ANYTHING)
            case _:
                here[place[-1]] = draw(ANYTHING)
    return dumped(tree)


# --- what is done with a file ----------------------------------------------------------------------------------------


@pytest.fixture(scope="module")
def folder(tmp_path_factory: pytest.TempPathFactory) -> Path:
    return tmp_path_factory.mktemp("stacks")


def outcome(folder: Path, content: bytes, images: Any = None) -> DesiredState | str:
    """The plan of a file, or what is said of it; any other error is the fault that is looked for."""
    (folder / "mine.yaml").write_bytes(content)
    try:
        made = load_desired_state("mine", images=images, folder=folder)
    except (SettingsError, InvalidStackError) as error:
        message = str(error)
        assert_is_for_people(message)
        return message
    assert made.files()
    return made


def assert_is_for_people(message: str) -> None:
    head, *problems = message.splitlines()
    assert "stacks/mine.yaml" in head or " is not YAML: " in head
    assert message.replace("\n", "").replace("\t", "").isprintable() or " is not YAML: " in head
    assert not any(words in message for words in ("validation error", "nput should", "[type=", "Traceback"))
    if head.endswith("cannot be used:") or head.startswith("the desired state is invalid"):
        assert problems
        for problem in problems:
            assert problem.startswith("  ") and ": " in problem
            assert len(problem) < 500


@bounded(30)
@given(tree=st.dictionaries(KEYS, ANYTHING, max_size=5) | ANYTHING, images=st.none() | ANYTHING)
@example(tree={"environment": "dev"}, images={"redis": "r:1"})
@example(tree={"environment": "dev", "images": {"overrides": 0}}, images={"redis": "r:1"})
@example(tree={"environment": "dev", "scrape_targets": {"\ud800": []}, "retention": date(2026, 1, 1)}, images=[1])
def test_any_values_are_a_plan_or_a_message(folder: Path, tree: Any, images: Any) -> None:
    outcome(folder, dumped(tree), images)


@bounded(60)
@given(content=YAML_LIKE.map(str.encode) | st.binary(max_size=50) | st.text(max_size=50).map(str.encode))
@example(content=b"")
@example(content=b"a: &a [*a]\nenvironment: *a")
@example(content=b"&a {environment: dev, targets: *a, ports: *a, alerts: *a}")
@example(content=b"\xff\xfe\x00")
def test_any_text_or_bytes_are_a_plan_or_a_message(folder: Path, content: bytes) -> None:
    outcome(folder, content)


@bounded(25)
@given(content=mutated())
def test_real_values_with_a_change_anywhere_are_a_plan_or_a_message(folder: Path, content: bytes) -> None:
    outcome(folder, content)


@bounded(15)
@given(stack=st.text(max_size=30) | st.sampled_from(STRANGE))
def test_any_name_is_a_stack_or_a_message(folder: Path, stack: str) -> None:
    with pytest.raises(SettingsError, match="has no settings file"):
        load_desired_state(f"{stack}.", folder=folder)


# --- every problem at once -------------------------------------------------------------------------------------------

PORTS = (0, -1, 65536, 10**30, "9090", 9090.5, float("nan"), True, None, [80])
DURATIONS = ("0s", "-1d", "99999y", "1.5d", "d", "", 15, None, "15d\n", "1d1w", {"d": 15})
ADDRESSES = ("host", "host:", ":1", "host:0", "host:70000", "http://host:1", "a b:1", "256.0.0.1:1", 80, None)
URLS = ("host:80", "ftp://host/", "http://", "http://u:p@host/", "http://a b/", "http://host:99999/", 80)
NAMES = ("", "x", "X1", "1x", "a_b", "a" * 41, "a-", "ä1", 5, None, "no\n")
FAULTS: dict[Place, tuple[Any, ...]] = {
    ("environment",): ("DEV", "my qa", "", None, 1, ["dev"]),
    ("production",): ("true", 1, None, {}),
    ("name_prefix",): NAMES,
    ("docker_host",): ("engine", "ssh://", "http//x", 2375, ""),
    ("bind_address",): ("localhost", "::1", "127.0.0.1:80", "1.2.3", 5, True),
    ("retention",): (*DURATIONS, "1h"),
    ("scrape_interval",): (*DURATIONS, "2m", "10ms"),
    ("volume_policy",): ("forget", True, None),
    ("verification",): ("loose", 1, None),
    ("demo",): ("true", 1, None, {}),
    ("notifications", "receivers", "inbox", "webhook", "url"): URLS,
    ("notifications", "receivers", "alerts", "slack", "channel"): ("alerts", "#", "", "# a", 5, None),
    ("notifications", "receivers", "oncall", "pagerduty", "url"): URLS,
    ("notifications", "routes", 0, "group_wait"): ("0s", "soon", 5, "1y"),
    ("notifications", "routes", 0, "match", "severity"): (5, True, ["critical"]),
    ("notifications", "routes", 0, "receiver"): ("inbox", None),
    ("notifications", "dead_mans_switch"): ("no", 0, None, "disable"),
    ("notifications", "time_intervals", "hours", "time_zone"): ("Berlin", 5),
    ("ports", "prometheus"): PORTS,
    ("ports", "grafana"): PORTS,
    ("ports", "inbox"): (8000, *PORTS),  # 8000 is the API's
    ("ports", "loki"): (3100, None),
    ("exporters", "postgres", 0, "address"): ADDRESSES,
    ("exporters", "postgres", 0, "username"): ("", "1a", "a b", "a" * 64, None),
    ("exporters", "postgres", 0, "sslmode"): ("off", True, None),
    ("exporters", "redis", 0, "instance"): NAMES,
    ("exporters", "elasticsearch", 0, "url"): URLS,
    ("exporters", "mysql"): ({}, None),
    ("scrape_targets", "softfactory-api", 0, "address"): ADDRESSES,
    ("scrape_targets", "softfactory-api", 0, "labels"): ({}, 1),
    ("scrape_targets", "node"): ("a:1", {}, None),
    ("scrape_targets", "no-such-job"): ([],),
    ("alert_overrides", "ApiDown", "for"): (*(d for d in DURATIONS if d is not None), "1y"),
    ("alert_overrides", "ApiDown", "limit"): (1,),
    ("alert_overrides", "HighErrorRate", "threshold"): (-1, float("nan"), float("inf"), "5 %", True, 5, 1.01),
    ("alert_overrides", "DatabaseDown", "threshold"): (0, 7, -1),
    ("alert_overrides", "SlowQueries", "enabled"): ("no", 0, None),
    ("alert_overrides", "RedisDown"): ("off", [], None),
    ("alert_overrides", "ApiDwon"): ({}, {"threshold": 1}),
    ("images", "registry"): ("https://r", "r:5000:1", "r/x:1", "", 5),
    ("images", "overrides", "redis"): ("redis", "redis:latest", "https://r/redis:1", "Redis:1", "", 8, None),
    ("images", "overrides", "nginx"): ("nginx:1",),
    ("existing_grafana", "url"): URLS,
    ("colour",): ("blue", None),
}


def faults() -> st.SearchStrategy[dict[Place, Any]]:
    """Up to eight places, each with a value that is wrong there."""
    places = st.sets(st.sampled_from(sorted(FAULTS, key=str)), min_size=1, max_size=8)
    return places.flatmap(
        lambda chosen: st.fixed_dictionaries({p: st.sampled_from(FAULTS[p]) for p in sorted(chosen, key=str)})
    )


@bounded(15)
@given(planted=faults())
@example(planted={place: wrong[0] for place, wrong in FAULTS.items()})
@example(planted={place: wrong[-1] for place, wrong in FAULTS.items()})
def test_every_fault_of_a_file_is_named_at_once_by_its_place_and_nothing_else_is(
    folder: Path, planted: dict[Place, Any]
) -> None:
    tree = values()
    tree["notifications"]["routes"] = [{"receivers": ["inbox"]}]
    for place, value in planted.items():
        put(tree, place, value)
    message = outcome(folder, dumped(tree))
    assert isinstance(message, str)
    told = [line.strip().partition(": ")[0] for line in message.splitlines()[1:]]
    assert sorted(told) == sorted(".".join(map(str, place)) for place in planted)


@pytest.mark.parametrize("lost", ["address", "instance", "username", "database"])
def test_what_is_missing_is_named_by_its_place(folder: Path, lost: str) -> None:
    tree = values()
    del tree["exporters"]["postgres"][0][lost]
    said = f"stacks/mine.yaml cannot be used:\n  exporters.postgres.0.{lost}: is missing"
    assert outcome(folder, dumped(tree)) == said


@bounded(50)
@given(
    parts=st.lists(st.none() | st.integers(0, 10**9 - 1), min_size=7, max_size=7).filter(
        lambda p: any(n is not None for n in p)
    )
)
def test_a_duration_is_as_long_as_its_parts(parts: list[int | None]) -> None:
    units = {"y": 31_536_000, "w": 604_800, "d": 86_400, "h": 3600, "m": 60, "s": 1, "ms": 0.001}
    text = "".join(f"{n}{unit}" for n, unit in zip(parts, units, strict=True) if n is not None)
    length = sum(n * unit for n, unit in zip(parts, units.values(), strict=True) if n is not None)
    assert seconds(text) == pytest.approx(length)


# --- as the commands tell it -----------------------------------------------------------------------------------------


@pytest.mark.parametrize("command", ["health", "render", "urls", "volume-policy"])
@pytest.mark.parametrize(
    "content",
    [
        b"",
        b"\xff",
        b"- " * 1000,
        b"environment: dev\ndemo: !!bool perhaps",
        b"environment: dev\ncolour: blue\nretention: -1d\nports: {grafana: 70000, api: 80, inbox: 80}",
        b"environment: prod\nalert_overrides: {ApiDwon: {}}\nscrape_targets: {none: []}",
        b'environment: "\\e[31m"\n"\\uFFFE": 1',
    ],
    ids=["empty", "no text", "nested", "no bool", "wrong values", "unknown names", "control characters"],
)
def test_a_command_says_it_in_one_message_and_ends_with_2(
    folder: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch, command: str, content: bytes
) -> None:
    said = outcome(folder, content)
    monkeypatch.setattr(commands, "load_desired_state", partial(load_desired_state, folder=folder))
    out = tmp_path / "out"
    done = CliRunner().invoke(
        commands.app, [command, "--stack", "mine", *(["--out", str(out)] if command == "render" else [])]
    )
    assert done.exit_code == 2
    assert isinstance(done.exception, SystemExit)
    assert done.stderr == f"{said}\n"
    assert done.stdout == ""
    assert not out.exists()
