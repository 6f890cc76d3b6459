"""Says where this machine can take tools and images from: `official` or `closed`, and why.

`official` needs both the Pulumi CLI's download host and an image registry, the latter as the Docker Engine sees it,
because it is the engine that pulls. Prints two lines, the choice and its reason; the causes go to stderr.
"""

import sys
import threading
from collections.abc import Callable, Mapping

import docker
import httpx

from stacks.images import OFFICIAL
from supply.official import cli

SECONDS = 5.0


def downloads_answer() -> None:
    """Raises where the host of the CLI's downloads does not answer; any HTTP answer is one."""
    httpx.head(cli.releases_url(), timeout=SECONDS)


def registry_answers() -> None:
    """Raises where the engine cannot ask the registry for an image that the stack needs."""
    docker.from_env(timeout=int(SECONDS)).images.get_registry_data(OFFICIAL["node-exporter"])


def failures(probes: Mapping[str, Callable[[], None]], seconds: float) -> dict[str, str]:
    """Runs the probes side by side; what failed or did not end in time, with the cause.

    The threads are daemons: looking up a host's name has no time limit of its own, and must not hold set-up back.
    """
    found: dict[str, str] = dict.fromkeys(probes, f"no answer in {seconds:.0f} s")

    def run(what: str, probe: Callable[[], None]) -> None:
        try:
            probe()
        except Exception as error:  # whatever it is, it means no answer
            found[what] = " ".join((str(error) or type(error).__name__).split())
        else:
            del found[what]

    threads = [threading.Thread(target=run, args=item, daemon=True) for item in probes.items()]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join(seconds)
    return dict(found)


def main() -> None:
    failed = failures({"the CLI's downloads": downloads_answer, "the image registry": registry_answers}, SECONDS + 1)
    for what, cause in failed.items():
        sys.stderr.write(f"set-up: {what}: {cause}\n")
    if failed:
        sys.stdout.write(f"closed\nno answer from {' and '.join(failed)}\n")
    else:
        sys.stdout.write("official\nthe CLI's downloads and the image registry answer\n")


if __name__ == "__main__":
    main()
