"""Installs the pinned Pulumi CLI from its publisher's downloads, and prints the path of each executable.

The version and the checksums are SHA256SUMS beside this file: those that the publisher's own Homebrew formula names.
A new version is a new SHA256SUMS. Plugins are not installed here: Pulumi fetches those that the locked packages name.
PULUMI_RELEASES_URL names another place with the same files, such as a company's mirror.
"""

import hashlib
import os
import platform
import shutil
import sys
import tarfile
import tempfile
import time
from pathlib import Path

import httpx

SUMS = Path(__file__).with_name("SHA256SUMS")
SYSTEMS = {"Linux": "linux", "Darwin": "darwin"}
MACHINES = {"x86_64": "x64", "amd64": "x64", "aarch64": "arm64", "arm64": "arm64"}


def releases_url() -> str:
    """The folder that holds the files of SHA256SUMS."""
    return (os.environ.get("PULUMI_RELEASES_URL") or "https://get.pulumi.com/releases/sdk").rstrip("/")


def wanted(system: str, machine: str) -> tuple[str, str]:
    """File name and SHA-256 for a platform (as `platform` spells it); LookupError where none is pinned."""
    ending = f"-{SYSTEMS.get(system, system)}-{MACHINES.get(machine, machine)}.tar.gz"
    for line in SUMS.read_text(encoding="ascii").splitlines():
        digest, name = line.split()
        if name.endswith(ending):
            return name, digest
    raise LookupError(f"no Pulumi CLI is pinned for {system} on {machine} (see {SUMS})")


def download(url: str, into: Path, digest: str) -> None:
    """Fetches a file, saying every few seconds how far it is; ValueError where its SHA-256 is another."""
    seen = hashlib.sha256()
    told = time.monotonic()
    timeout = httpx.Timeout(30, connect=10)
    with into.open("wb") as file, httpx.stream("GET", url, follow_redirects=True, timeout=timeout) as answer:
        answer.raise_for_status()
        total = int(answer.headers.get("content-length", 0))
        for chunk in answer.iter_bytes(1 << 20):
            file.write(chunk)
            seen.update(chunk)
            if time.monotonic() - told > 10:
                told = time.monotonic()
                say(f"{file.tell() >> 20} of {total >> 20 or '?'} MB")
    if seen.hexdigest() != digest:
        raise ValueError(f"{url} has SHA-256 {seen.hexdigest()}, but {digest} is pinned: it is not used")


def install(cache: Path) -> Path:
    """The folder with the CLI's executables, downloaded where it is not there yet."""
    name, digest = wanted(platform.system(), platform.machine())
    folder = cache / "pulumi-official" / digest[:16]
    if folder.is_dir():
        return folder
    folder.parent.mkdir(parents=True, exist_ok=True)
    url = f"{releases_url()}/{name}"
    say(f"downloading {url} (about 100 MB)")
    with tempfile.TemporaryDirectory(dir=folder.parent) as temporary:
        archive = Path(temporary) / name
        download(url, archive, digest)
        with tarfile.open(archive) as tar:
            # Python before 3.11.4 has no filters; what is extracted has been compared with its checksum either way.
            tar.extraction_filter = getattr(tarfile, "data_filter", lambda member, _: member)
            tar.extractall(temporary)
        try:
            (Path(temporary) / "pulumi").rename(folder)
        except OSError:  # another clone has put it there meanwhile
            if not folder.is_dir():
                raise
    return folder


def say(text: str) -> None:
    sys.stderr.write(f"set-up: Pulumi CLI: {text}\n")


def main() -> int:
    cache = Path(os.environ.get("XDG_CACHE_HOME") or Path.home() / ".cache") / "softfactory-monitoring"
    try:
        folder = install(cache)
    except (httpx.HTTPError, ValueError, LookupError, OSError, tarfile.TarError) as error:
        say(f"{error}. SUPPLY=closed builds it from Go modules instead; PULUMI_RELEASES_URL names a mirror")
        return 1
    for path in sorted(folder.iterdir()):
        if shutil.which(path):
            sys.stdout.write(f"{path}\n")
    return 0


if __name__ == "__main__":
    sys.exit(main())
