"""The set-up's own decisions, without Docker or a network beyond this machine's loopback."""

import hashlib
import io
import re
import tarfile
import threading
from collections.abc import Iterator
from functools import partial
from http.server import SimpleHTTPRequestHandler, ThreadingHTTPServer
from pathlib import Path

import pytest

from stacks.images import OFFICIAL
from supply import choose, differences, pip_settings
from supply.official import cli

CHECKOUT = Path(__file__).resolve().parents[2]
ARCHIVE = "pulumi-v3.259.0-linux-x64.tar.gz"


@pytest.fixture
def downloads(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Iterator[Path]:
    """A folder that is served as the place of the CLI's downloads; it holds an archive with one executable."""
    folder = tmp_path / "downloads"
    folder.mkdir()
    with tarfile.open(folder / ARCHIVE, "w:gz") as tar:
        content = b"#!/bin/sh\n"
        member = tarfile.TarInfo("pulumi/pulumi")
        member.size, member.mode = len(content), 0o755
        tar.addfile(member, io.BytesIO(content))
    monkeypatch.setattr(SimpleHTTPRequestHandler, "log_message", lambda *_: None)
    server = ThreadingHTTPServer(("127.0.0.1", 0), partial(SimpleHTTPRequestHandler, directory=str(folder)))
    threading.Thread(target=server.serve_forever, daemon=True).start()
    monkeypatch.setenv("PULUMI_RELEASES_URL", f"http://127.0.0.1:{server.server_port}")
    monkeypatch.setattr("platform.system", lambda: "Linux")
    monkeypatch.setattr("platform.machine", lambda: "x86_64")
    yield folder
    server.shutdown()
    server.server_close()


def test_a_cli_is_pinned_for_every_platform() -> None:
    names = {cli.wanted(system, machine)[0] for system in ("Linux", "Darwin") for machine in ("x86_64", "arm64")}
    assert len(names) == 4


def test_a_platform_without_a_pinned_cli_is_named() -> None:
    with pytest.raises(LookupError, match="Linux on riscv64"):
        cli.wanted("Linux", "riscv64")


def test_a_download_with_the_pinned_sum_is_installed_once(
    downloads: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    sums = tmp_path / "SHA256SUMS"
    sums.write_text(f"{hashlib.sha256((downloads / ARCHIVE).read_bytes()).hexdigest()}  {ARCHIVE}\n", encoding="ascii")
    monkeypatch.setattr(cli, "SUMS", sums)
    folder = cli.install(tmp_path / "cache")
    assert (folder / "pulumi").stat().st_mode & 0o100
    (downloads / ARCHIVE).unlink()
    assert cli.install(tmp_path / "cache") == folder


def test_a_download_with_another_sum_is_refused(downloads: Path, tmp_path: Path) -> None:
    with pytest.raises(ValueError, match=r"has SHA-256 .* is pinned: it is not used"):
        cli.install(tmp_path / "cache")
    assert not list((tmp_path / "cache" / "pulumi-official").iterdir())


def test_both_probes_must_answer_in_time_and_the_causes_are_told() -> None:
    def refused() -> None:
        raise ConnectionError("connection refused")

    end = threading.Event()

    def slow() -> None:
        end.wait()

    found = choose.failures({"fast": lambda: None, "refused": refused, "slow": slow}, 0.2)
    end.set()
    assert found == {"refused": "connection refused", "slow": "no answer in 0 s"}


def test_differences_from_the_official_images_are_told() -> None:
    version = differences.version(OFFICIAL["prometheus"])
    notes = differences.notes(
        {
            "prometheus": "closed/prometheus:1.2.3",
            "redis-exporter": f"closed/redis-exporter:{differences.version(OFFICIAL['redis-exporter'])}",
            "grafana": "closed/grafana-stand-in:1.0.0",
        }
    )
    assert notes[1:] == [f"prometheus: 1.2.3 instead of {version}"]
    assert notes[0].startswith("grafana: a stand-in")


def test_uv_is_told_what_pip_is_configured_with(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(pip_settings, "MACHINE_FILES", ())
    file = tmp_path / "pip.conf"
    file.write_text("[global]\nindex-url = http://one.test/simple\nfind_links = /a\n  /b\n", encoding="utf-8")
    environ = {"PIP_CONFIG_FILE": str(file), "PIP_INDEX_URL": "http://two.test/simple"}
    assert pip_settings.exports(environ) == [
        "export UV_DEFAULT_INDEX=http://two.test/simple",
        "export UV_FIND_LINKS=/a,/b",
    ]


def test_an_index_of_uvs_own_wins_over_pips(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(Path, "home", lambda: tmp_path)
    environ = {"PIP_CONFIG_FILE": "/dev/null", "PIP_INDEX_URL": "http://pip.test", "UV_DEFAULT_INDEX": "http://uv.test"}
    assert pip_settings.exports(environ) == []


def test_the_lock_names_no_index_of_its_maker() -> None:
    hosts = set(re.findall(r"https?://([^/\"]+)", (CHECKOUT / "uv.lock").read_text(encoding="utf-8")))
    assert hosts == {"index.invalid"}


def test_the_plugins_that_are_built_have_the_versions_of_the_locked_packages() -> None:
    lock = (CHECKOUT / "uv.lock").read_text(encoding="utf-8")
    wanted = re.search(r'name = "pulumi-docker"\nversion = "([^"]+)"', lock)
    built = re.search(
        r"^plugin_version=(\S+)$", (CHECKOUT / "supply" / "closed_network" / "tools").read_text(encoding="utf-8"), re.M
    )
    assert wanted is not None
    assert built is not None
    assert built[1] == wanted[1]


def test_both_supplies_have_the_same_cli() -> None:
    tools = (CHECKOUT / "supply" / "closed_network" / "tools").read_text(encoding="utf-8")
    version = re.search(r"^cli_version=(\S+)$", tools, re.M)
    assert version is not None
    assert set(re.findall(r"pulumi-(v[\d.]+)-", cli.SUMS.read_text(encoding="ascii"))) == {version[1]}
