"""promtool and amtool, run in short-lived containers of the pinned images, and the images that this checkout uses."""

import io
import json
import logging
import tarfile
import uuid
from collections.abc import Iterator, Mapping
from contextlib import contextmanager
from dataclasses import dataclass
from pathlib import Path
from typing import Final

import docker
import docker.errors
import requests.exceptions
from docker.models.containers import Container

from plan import plan, scrape_targets
from rules import JOBS
from stacks.settings import FOLDER, Target, load_settings

ROOT: Final = Path(__file__).parents[1]
STACKS: Final = tuple(sorted(path.stem for path in FOLDER.glob("*.yaml") if not path.stem.startswith("Pulumi.")))
PROGRAMS: Final = {"prometheus": "promtool", "alertmanager": "amtool"}
HOME: Final = "/checkout"  # where the files lie in the container, as they lie in a checkout
TIME_LIMIT: Final = 300  # seconds, for one run; the mutants of one alert need up to half a minute of an idle machine


class CheckerError(Exception):
    """A checker cannot be run at all; the message says why and what to do."""


@dataclass(frozen=True, kw_only=True)
class Outcome:
    """How a checker ended, with all that it wrote, and what of that was its standard output."""

    exit_code: int
    output: str
    stdout: str


class Checker:
    """promtool or amtool, as it lies in the image that a stack runs.

    Files go in as an archive, not as a mount, so the engine may be on another machine. The container has no network,
    no privileges, and is always removed.
    """

    def __init__(self, image: str, stack: str = "dev") -> None:
        """`image` is a key of stacks/images.py, `prometheus` or `alertmanager`.

        Raises CheckerError where no engine answers.
        """
        self.program = PROGRAMS[image]
        self.reference = load_settings(stack, images=overrides()).images.reference(image)
        try:
            self._engine = docker.from_env(timeout=TIME_LIMIT, use_ssh_client=True)
            self._engine.ping()
        except (docker.errors.DockerException, requests.exceptions.RequestException) as error:
            raise CheckerError(
                f"{self.program} runs on a Docker engine, and none answers: start one, or run `make tools` ({error})"
            ) from error

    def close(self) -> None:
        self._engine.close()

    def run(self, *arguments: str, files: Mapping[str, str]) -> Outcome:
        """Runs the program in a folder that holds `files`, relative path to text."""
        return self._run([self.program], arguments, files)

    def script(self, text: str, files: Mapping[str, str]) -> Outcome:
        """Runs the shell of the program's image on a script: for a program that answers one question at a time."""
        return self._run(["sh"], ("script.sh",), {**files, "script.sh": text})

    def _run(self, entrypoint: list[str], arguments: tuple[str, ...], files: Mapping[str, str]) -> Outcome:
        try:
            with self._container(entrypoint, arguments) as container:
                if not container.put_archive("/", _archive(files)):
                    raise CheckerError(f"the engine did not take the files for {self.program}")
                container.start()
                exit_code = int(container.wait(timeout=TIME_LIMIT)["StatusCode"])
                output, stdout = container.logs(), container.logs(stderr=False)
                return Outcome(
                    exit_code=exit_code,
                    output=output.decode("utf-8", "replace"),
                    stdout=stdout.decode("utf-8", "replace"),
                )
        except (docker.errors.DockerException, requests.exceptions.RequestException) as error:
            raise CheckerError(f"{self.program} in {self.reference} could not be run: {error}") from error

    @contextmanager
    def _container(self, entrypoint: list[str], arguments: tuple[str, ...]) -> Iterator[Container]:
        # /tmp counts as memory, and promtool keeps days of samples in half a gigabyte of it.
        container = self._engine.containers.create(
            self._present(), command=list(arguments), entrypoint=entrypoint, working_dir=HOME,
            name=f"softfactory-check-{uuid.uuid4().hex[:12]}", network_mode="none", cap_drop=["ALL"],
            security_opt=["no-new-privileges"], tmpfs={"/tmp": ""}, mem_limit="1g", pids_limit=128,
        )  # fmt: skip
        try:
            yield container
        finally:
            container.remove(force=True, v=True)

    def _present(self) -> str:
        try:
            self._engine.images.get(self.reference)
        except docker.errors.ImageNotFound:
            logging.warning("downloading %s", self.reference)
            try:
                self._engine.images.pull(self.reference)
            except docker.errors.DockerException as error:
                raise CheckerError(
                    f"the image {self.reference} is neither on the engine nor to be had; `make tools` gets it: {error}"
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
        raise CheckerError(f"{path} is not JSON; remove it and run set-up again (`make tools`): {error}") from error
    return {str(key): str(reference) for key, reference in found.items()}


def rendered(stack: str) -> dict[str, str]:
    """What `make render STACK=<stack>` writes, by its path in the checkout."""
    return {f"out/{stack}/{path}": text for path, text in plan(load_settings(stack)).files().items()}


def rendered_rules() -> dict[str, str]:
    """The rule files of `make render STACK=dev`, if dev had a target of every job and tuned nothing: the cases are
    about every alert, as it is written.
    """
    settings = load_settings("dev")
    there = scrape_targets(settings)
    nowhere = {j.name: (Target(address=f"nowhere:{j.port}", instance="nowhere"),) for j in JOBS if j.name not in there}
    whole = plan(settings.model_copy(update={"targets": {**settings.targets, **nowhere}, "alerts": {}}))
    return {f"out/dev/prometheus/{path}": text for path, text in whole.prometheus.files.items() if "rules/" in path}


def _archive(files: Mapping[str, str]) -> bytes:
    """A tar archive of the files under HOME, readable by whichever user the image has."""
    buffer = io.BytesIO()
    with tarfile.open(fileobj=buffer, mode="w") as archive:
        for path, text in files.items():
            data = text.encode()
            entry = tarfile.TarInfo(f"{HOME.lstrip('/')}/{path}")
            entry.size, entry.mode = len(data), 0o644
            archive.addfile(entry, io.BytesIO(data))
    return buffer.getvalue()
