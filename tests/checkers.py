"""promtool and amtool, from PATH or run in containers of the pinned images, and the images that this checkout uses."""

import io
import json
import logging
import re
import shutil
import subprocess
import tarfile
import tempfile
import uuid
from collections.abc import Mapping
from contextlib import suppress
from dataclasses import dataclass
from itertools import count
from pathlib import Path
from typing import Any, Final, Protocol, cast

import docker
import docker.errors
import requests.exceptions
from docker.models.containers import Container

from desired_state import DesiredState, build_desired_state, scrape_targets
from ops.capture_metrics import plain_version
from rules import JOBS
from stacks.settings import FOLDER, ScrapeTarget, load_settings
from stacks.types import seconds

ROOT: Final = Path(__file__).parents[1]
STACKS: Final = tuple(sorted(path.stem for path in FOLDER.glob("*.yaml") if not path.stem.startswith("Pulumi.")))
PROGRAMS: Final = {"prometheus": "promtool", "alertmanager": "amtool"}
HOME: Final = "/checkout"  # the files of each run lie in a folder of it, as they lie in a checkout
TIME_LIMIT: Final = 300  # seconds, for one run
LIFETIME: Final = 3600  # seconds, after which a container goes even if the tests were killed


class CheckerError(Exception):
    """A checker cannot be run at all; the message says why and what to do."""


@dataclass(frozen=True, kw_only=True)
class Outcome:
    """How a checker ended, with all that it wrote, and what of that was its standard output."""

    exit_code: int
    output: str
    stdout: str


class Checker(Protocol):
    """promtool or amtool."""

    def run(self, *arguments: str, files: Mapping[str, str]) -> Outcome:
        """Runs the program in a folder that holds `files`, relative path to text, and nothing else."""

    def script(self, text: str, files: Mapping[str, str]) -> Outcome:
        """Runs a shell on a script with the program on its PATH: for a program that answers one question at a time."""

    def close(self) -> None: ...


def checker(image: str, stack: str = "dev") -> Checker:
    """The program on PATH if it has the version that the stack runs, else that of the image.

    `image` is a key of stacks/images.py, `prometheus` or `alertmanager`. Raises CheckerError if neither can be had.
    """
    reference = load_settings(stack, images=overrides()).images.reference(image)
    if _version_on_path(PROGRAMS[image]) == plain_version(reference.partition("@")[0].rpartition(":")[2]):
        return LocalChecker(PROGRAMS[image])
    return ContainerChecker(PROGRAMS[image], reference)


def _version_on_path(program: str) -> str:
    """1.2.3, or empty if the program is not on PATH or does not say."""
    if not shutil.which(program):
        return ""
    done = subprocess.run([program, "--version"], capture_output=True, text=True, timeout=TIME_LIMIT, check=False)
    found = re.search(r"version v?(\d+(?:\.\d+)+)", done.stdout + done.stderr)  # which of the two, changed once
    return found[1] if found else ""


class LocalChecker:
    """A program on PATH; each run has a temporary folder of its own."""

    def __init__(self, program: str) -> None:
        self.program = program

    def run(self, *arguments: str, files: Mapping[str, str]) -> Outcome:
        return self._run([self.program, *arguments], files)

    def script(self, text: str, files: Mapping[str, str]) -> Outcome:
        return self._run(["sh", "script.sh"], {**files, "script.sh": text})

    def close(self) -> None: ...

    def _run(self, command: list[str], files: Mapping[str, str]) -> Outcome:
        with tempfile.TemporaryDirectory() as folder:
            for path, text in files.items():
                (Path(folder) / path).parent.mkdir(parents=True, exist_ok=True)
                (Path(folder) / path).write_text(text, encoding="utf-8")
            try:
                done = subprocess.run(
                    command, cwd=folder, capture_output=True, text=True, timeout=TIME_LIMIT, check=False
                )
            except (OSError, subprocess.TimeoutExpired) as error:
                raise CheckerError(f"{self.program} on PATH could not be run: {error}") from error
        return Outcome(exit_code=done.returncode, output=done.stdout + done.stderr, stdout=done.stdout)


class ContainerChecker:
    """A program as it lies in the image that a stack runs.

    One container serves all runs, as starting one takes longer than most of them. Files go in as an archive, not as a
    mount, so the engine may be on another machine. The container has no network, no privileges, and is removed by
    `close`.
    """

    def __init__(self, program: str, reference: str) -> None:
        """`reference` is the image's. Raises CheckerError if no engine answers, or the image cannot be had."""
        self.program = program
        self.reference = reference
        self._runs = count(1)
        try:
            self._engine = docker.from_env(timeout=TIME_LIMIT, use_ssh_client=True)
            self._engine.ping()
        except (docker.errors.DockerException, requests.exceptions.RequestException) as error:
            raise CheckerError(
                f"{self.program} runs on a Docker engine, and none answers: start one, or run `make test-rules`"
                f" ({error})"
            ) from error
        try:
            self._container = self._start()
        except (docker.errors.DockerException, requests.exceptions.RequestException) as error:
            raise CheckerError(f"{self.reference} could not be started: {error}") from error

    def close(self) -> None:
        with suppress(docker.errors.NotFound):
            self._container.remove(force=True, v=True)
        self._engine.close()

    def run(self, *arguments: str, files: Mapping[str, str]) -> Outcome:
        return self._run([self.program, *arguments], files)

    def script(self, text: str, files: Mapping[str, str]) -> Outcome:
        return self._run(["sh", "script.sh"], {**files, "script.sh": text})

    def _run(self, command: list[str], files: Mapping[str, str]) -> Outcome:
        folder = f"{HOME}/{next(self._runs)}"
        try:
            if not self._container.put_archive("/", _archive(folder, files)):
                raise CheckerError(f"the engine did not take the files for {self.program}")
            done = self._container.exec_run(command, workdir=folder, demux=True)
        except (docker.errors.DockerException, requests.exceptions.RequestException) as error:
            raise CheckerError(f"{self.program} in {self.reference} could not be run: {error}") from error
        if done.exit_code is None:
            raise CheckerError(f"{self.program} in {self.reference} did not end, or its container is gone")
        stdout, stderr = (
            (part or b"").decode("utf-8", "replace") for part in cast(tuple[bytes | None, bytes | None], done.output)
        )
        return Outcome(exit_code=done.exit_code, output=stdout + stderr, stdout=stdout)

    def _start(self) -> Container:
        # /tmp counts as memory, and promtool keeps days of samples in half a gigabyte of it. With little live memory
        # it collects garbage all the time, unless it is told to let the heap grow.
        return self._engine.containers.run(
            self._present(),
            command=[str(LIFETIME)],
            entrypoint=["sleep"],
            detach=True,
            auto_remove=True,
            name=f"softfactory-check-{uuid.uuid4().hex[:12]}",
            network_mode="none",
            cap_drop=["ALL"],
            security_opt=["no-new-privileges"],
            tmpfs={"/tmp": ""},
            mem_limit="1g",
            pids_limit=128,
            environment={"GOGC": "400"},
        )

    def _present(self) -> str:
        try:
            self._engine.images.get(self.reference)
        except docker.errors.ImageNotFound:
            logging.warning("downloading %s", self.reference)
            try:
                self._engine.images.pull(self.reference)
            except docker.errors.DockerException as error:
                raise CheckerError(
                    f"the image {self.reference} is neither on the engine nor to be had; `make test-rules` gets it:"
                    f" {error}"
                ) from error
        return self.reference


def overrides(checkout: Path = ROOT) -> dict[str, str]:
    """Image key to the reference that set-up chose for this checkout; empty where the official pins hold."""
    path = checkout / ".local" / "images.json"
    if not path.is_file():
        return {}
    try:
        found = json.loads(path.read_text(encoding="utf-8"))
    except ValueError as error:
        raise CheckerError(
            f"{path} is not JSON; remove it and run set-up again (`make test-rules`): {error}"
        ) from error
    return {str(key): str(reference) for key, reference in found.items()}


def rendered(stack: str) -> dict[str, str]:
    """What `make render STACK=<stack>` writes, by its path in the checkout."""
    return {f"out/{stack}/{path}": text for path, text in build_desired_state(load_settings(stack)).files().items()}


def complete() -> DesiredState:
    """The dev stack, if it had a target of every job and tuned nothing: it has every alert, as it is written, and every
    dashboard.
    """
    settings = load_settings("dev")
    there = scrape_targets(settings)
    nowhere = {
        j.name: (ScrapeTarget(address=f"nowhere:{j.port}", instance="nowhere"),) for j in JOBS if j.name not in there
    }
    return build_desired_state(
        settings.model_copy(update={"scrape_targets": {**settings.scrape_targets, **nowhere}, "alert_overrides": {}})
    )


def rendered_rules() -> dict[str, str]:
    """The rule files of `make render STACK=dev`, if dev were complete: the cases are about every alert."""
    files = complete().prometheus.files
    return {f"out/dev/prometheus/{path}": text for path, text in files.items() if "rules/" in path}


def evaluation_interval(content: Mapping[str, Any], case: Mapping[str, Any]) -> float:
    """Seconds between the evaluations of a case: those of its file (promtool's YAML), or a minute where its samples are
    a minute apart or more, as cases of hours have them, which are most of the work.
    """
    return max(seconds(content["evaluation_interval"]), min(seconds(case["interval"]), 60))


def _archive(folder: str, files: Mapping[str, str]) -> bytes:
    """A tar archive of the files in a folder, readable by whichever user the image has."""
    buffer = io.BytesIO()
    with tarfile.open(fileobj=buffer, mode="w") as archive:
        for path, text in files.items():
            data = text.encode()
            entry = tarfile.TarInfo(f"{folder.lstrip('/')}/{path}")
            entry.size, entry.mode = len(data), 0o644
            archive.addfile(entry, io.BytesIO(data))
    return buffer.getvalue()
