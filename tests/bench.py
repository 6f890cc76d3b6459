"""`make bench`: how long the loop takes, each row a ratio of two things that are measured in one run.

A row that needs minutes runs only if it is named: `make bench ROWS="ci ci-cold"`. Every command is one that a user
types; it runs in a clean clone of HEAD or in this checkout, as the row says.
"""

import json
import os
import platform
import re
import statistics
import subprocess
import tempfile
import time
from collections.abc import Callable, Iterator, Mapping
from contextlib import contextmanager
from dataclasses import asdict, dataclass
from pathlib import Path
from typing import Annotated, Final

import typer

ROOT: Final = Path(__file__).parent.parent
EMPTY_PROGRAM: Final = {
    "Pulumi.yaml": "name: empty\nruntime: python\n",
    "__main__.py": "import pulumi\n\npulumi.export('nothing', 0)\n",
}

QUICK: Final = ("preview", "check-unit")  # the rows that run if none is named
ROUNDS: Final = 5  # of which the median counts
MIRRORS: Final = (".pip", ".config/pip", ".config/uv", ".config/go", ".m2/settings.xml")  # where packages come from


class BenchError(Exception):
    """A command that is measured fails; the message ends with what it printed."""


@dataclass(frozen=True, kw_only=True)
class Figure:
    """One row. `measured` and `reference` are seconds, `ratio` is the one over the other, which must be below
    `target`.
    """

    row: str
    what: str
    measured: float
    reference: float
    ratio: float
    target: float

    def __str__(self) -> str:
        verdict = "✓" if self.ratio < self.target else "✗"
        seconds = f"{self.measured:.1f} s / {self.reference:.1f} s"
        return f"{verdict} {self.row:12} {self.ratio:5.2f}  (below {self.target:g})  {seconds:>18}  {self.what}"


def progress(text: str) -> None:
    typer.echo(f"bench: {text}", err=True)


def run(*command: str, folder: Path = ROOT, env: Mapping[str, str] | None = None) -> float:
    """The wall-clock seconds of a command that succeeds.

    Raises BenchError if it fails.
    """
    began = time.monotonic()
    done = subprocess.run(
        command, cwd=folder, env=env, stdin=subprocess.DEVNULL, capture_output=True, text=True, check=False
    )
    seconds = time.monotonic() - began
    if done.returncode:
        end = "\n".join((done.stdout + done.stderr).splitlines()[-30:])
        raise BenchError(f"{' '.join(command)} failed (exit code {done.returncode}):\n{end}")
    return seconds


def preview() -> Iterator[Figure]:
    """`pulumi preview` of the dev stack without a change over that of an empty program, and `make up` over it. The
    commands take turns, so that whatever else the machine does slows all of them.
    """
    progress("bringing the dev stack up")
    run("make", "up", "STACK=dev")
    with _empty_stack() as (folder, env):
        rounds = []
        for number in range(1, ROUNDS + 1):
            progress(f"preview and up, round {number} of {ROUNDS}")
            rounds.append(
                (
                    run("pulumi", "preview", "--non-interactive", folder=folder, env=env),
                    run("pulumi", "preview", "--stack", "dev", "--expect-no-changes", "--non-interactive"),
                    run("make", "up", "STACK=dev"),
                )
            )
    empty, full, up = (statistics.median(times) for times in zip(*rounds, strict=True))
    # The plugin of Grafana's mock is one more Python program that starts.
    bound = 2.5 if supply() == "closed" else 2
    yield figure("preview", "pulumi preview without a change / of an empty program", full, empty, bound)
    yield figure("up", "make up without a change / that preview", up, full, 1.5)


def check_unit() -> Iterator[Figure]:
    """`make check unit` in a clean clone, whose caches of mypy and ruff are empty."""
    with _clone() as folder:
        progress("setting the clone up")
        run("supply/setup", "python", folder=folder)
        progress("make check unit")
        yield budget("check-unit", "make check unit in a clean clone", run("make", "check", "unit", folder=folder), 40)


def ci() -> Iterator[Figure]:
    """`.ci/run` in a clean clone; tools, images and packages come from this machine's caches."""
    with _clone() as folder:
        progress(".ci/run in a clean clone, with this machine's caches")
        seconds = run(".ci/run", folder=folder, env=environment(but=("PULUMI_",)))
        yield budget("ci", ".ci/run, engine and images cached", seconds, 25 * 60)


def ci_cold() -> Iterator[Figure]:
    """`.ci/run` in a clean clone with a home folder of its own, so without any cache of ours, Go's, uv's or Maven's.
    The replacement images, and those made from them, are removed from the engine first.
    """
    # By name: an image that another is made from can only be removed together with that.
    listed = ("docker", "image", "ls", "--format", "{{.Repository}}:{{.Tag}}")
    names = subprocess.run(listed, capture_output=True, text=True, check=True).stdout.split()
    ours = [name for name in names if re.match(r"closed/|softfactory[a-z0-9-]*-demo:", name)]
    if ours:
        run("docker", "image", "rm", "--force", *ours)
    run("docker", "image", "prune", "--force")
    with _clone() as folder, tempfile.TemporaryDirectory(prefix="bench-home-") as home:
        for file in MIRRORS:
            there = Path.home() / file
            if there.exists():
                (Path(home) / file).parent.mkdir(parents=True, exist_ok=True)
                (Path(home) / file).symlink_to(there)
        env = environment(but=("PULUMI_", "XDG_", "GOCACHE", "GOMODCACHE", "GOPATH", "UV_CACHE_DIR"))
        progress(".ci/run in a clean clone, without any cache")
        seconds = run(".ci/run", folder=folder, env={**env, "HOME": home})
        yield budget("ci-cold", ".ci/run, nothing cached", seconds, 40 * 60)


def first_setup() -> Iterator[Figure]:
    """CPU seconds of compiling the closed network's tools without any cache, over those if nothing is left out."""
    progress("compiling the closed network's tools twice, without any cache; a quarter of an hour")
    done = subprocess.run(["supply/bench-compile"], cwd=ROOT, stdout=subprocess.PIPE, text=True, check=False)
    if done.returncode:
        raise BenchError("supply/bench-compile failed (lines above)")
    found = json.loads(done.stdout)
    what = "CPU of the first set-up's compilations / with nothing left out"
    yield figure("first-setup", what, found["cpu_seconds"], found["whole_cpu_seconds"], found["target"])


ROWS: Final[Mapping[str, Callable[[], Iterator[Figure]]]] = {
    "preview": preview,  # and up
    "check-unit": check_unit,
    "ci": ci,
    "ci-cold": ci_cold,
    "first-setup": first_setup,
}


def figure(row: str, what: str, measured: float, reference: float, target: float) -> Figure:
    return Figure(row=row, what=what, measured=measured, reference=reference, ratio=measured / reference, target=target)


def budget(row: str, what: str, measured: float, seconds: float) -> Figure:
    """A row whose reference is the time that it may take."""
    return figure(row, what, measured, seconds, 1)


def environment(but: tuple[str, ...]) -> dict[str, str]:
    """This process' variables, but those that begin so."""
    return {name: value for name, value in os.environ.items() if not name.startswith(but)}


def supply() -> str:
    """Where this checkout's tools come from: official or closed."""
    return str(json.loads((ROOT / ".local" / "supply.json").read_text(encoding="utf-8"))["supply"])


@contextmanager
def _empty_stack() -> Iterator[tuple[Path, dict[str, str]]]:
    """A folder with a program that registers nothing, deployed, and the environment in which pulumi runs it."""
    with tempfile.TemporaryDirectory(prefix="bench-") as name:
        folder = Path(name)
        for file, text in EMPTY_PROGRAM.items():
            (folder / file).write_text(text, encoding="utf-8")
        (folder / "state").mkdir()
        env = {**os.environ, "PULUMI_BACKEND_URL": f"file://{folder}/state", "PULUMI_CONFIG_PASSPHRASE": "bench"}
        env.pop("PULUMI_CONFIG_PASSPHRASE_FILE", None)
        run("pulumi", "stack", "init", "bench", folder=folder, env=env)
        run("pulumi", "up", "--yes", "--skip-preview", "--non-interactive", folder=folder, env=env)
        yield folder, env


@contextmanager
def _clone() -> Iterator[Path]:
    """A clean clone of HEAD."""
    with tempfile.TemporaryDirectory(prefix="bench-") as name:
        folder = Path(name) / "clone"
        run("git", "clone", "--quiet", str(ROOT), str(folder))
        yield folder


def machine() -> str:
    """What the figures were measured on."""
    memory = os.sysconf("SC_PAGE_SIZE") * os.sysconf("SC_PHYS_PAGES") / 2**30
    return f"{os.cpu_count()} cores, {memory:.0f} GiB, {platform.system()} {platform.machine()}, supply {supply()}"


def main(
    rows: Annotated[
        list[str] | None, typer.Argument(help=f"Of {', '.join(ROWS)}; {' and '.join(QUICK)} if none.")
    ] = None,
    to: Annotated[Path | None, typer.Option("--json", help="A file for the figures.")] = None,
) -> None:
    """Print each row as a ratio, whether it is below its target, and how it came about; exit code 1 if one is not."""
    unknown = sorted(set(rows or ()) - set(ROWS))
    if unknown:
        progress(f"unknown row {unknown[0]}; expected one of: {', '.join(ROWS)}")
        raise typer.Exit(2)
    figures: list[Figure] = []
    try:
        for row in rows or QUICK:
            for found in ROWS[row]():
                figures.append(found)
                typer.echo(str(found))
    except BenchError as error:
        progress(str(error))
        raise typer.Exit(2) from None
    if to:
        facts = {"machine": machine(), "rows": [asdict(found) for found in figures]}
        to.write_text(json.dumps(facts, indent=2) + "\n", encoding="utf-8")
    raise typer.Exit(0 if all(found.ratio < found.target for found in figures) else 1)


if __name__ == "__main__":
    typer.run(main)
