"""The set-up's own decisions, without Docker or a network beyond this machine's loopback."""

import hashlib
import io
import json
import os
import re
import shutil
import subprocess
import tarfile
import threading
from collections.abc import Callable, Iterator
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


@pytest.fixture
def compiled(tmp_path: Path) -> Callable[..., str]:
    """Calls the CLI compiled for a closed network with a backend's address and arguments; what it complains of."""
    supply = json.loads((CHECKOUT / ".local" / "supply.json").read_text(encoding="utf-8"))
    if supply["supply"] != "closed":
        pytest.skip("the CLI is the official one, of which nothing is left out")
    (tmp_path / "Pulumi.yaml").write_text("name: any\nruntime: python\n", encoding="utf-8")
    once = {
        "AWS_ACCESS_KEY_ID": "a",
        "AWS_SECRET_ACCESS_KEY": "a",
        "AWS_MAX_ATTEMPTS": "1",
        "PULUMI_HOME": str(tmp_path),
    }

    def call(backend: str, *arguments: str) -> str:
        environ = os.environ | once | {"PULUMI_BACKEND_URL": backend, "PULUMI_SKIP_UPDATE_CHECK": "1"}
        command = [str(CHECKOUT / ".local" / "bin" / "pulumi"), *arguments, "--non-interactive"]
        done = subprocess.run(command, cwd=tmp_path, env=environ, capture_output=True, text=True, timeout=60)
        assert done.returncode != 0
        return done.stderr

    return call


def test_the_compiled_cli_has_s3_backends(compiled: Callable[..., str]) -> None:
    backend = "s3://state?region=eu-1&endpoint=http://127.0.0.1:9&use_path_style=true"
    assert "127.0.0.1:9: connect: connection refused" in compiled(backend, "stack", "ls")


@pytest.mark.parametrize("scheme", ["gs", "azblob"])
def test_the_compiled_cli_says_which_backends_it_lacks(compiled: Callable[..., str], scheme: str) -> None:
    assert f"the driver of {scheme}:// was left out" in compiled(f"{scheme}://state", "stack", "ls")


def test_the_compiled_cli_says_which_commands_it_lacks(compiled: Callable[..., str]) -> None:
    assert "`pulumi org` was left out when this CLI was compiled" in compiled("file://~", "org", "member", "list")


@pytest.fixture
def module(tmp_path: Path) -> Path:
    """A folder for closed_network/trimmed: a program, the module that it needs, and what leaves out half of that."""
    if shutil.which("go") is None:
        pytest.skip("there is no go on PATH")
    folder = tmp_path / "from"
    upstream, trim = folder / "upstream" / "heavy", folder / "trim" / "example.test" / "upstream" / "heavy"
    upstream.mkdir(parents=True)
    trim.mkdir(parents=True)
    (folder / "go.mod").write_text(
        "module example.test/tool\n\ngo 1.25\n\nrequire (\n\texample.test/upstream v1.0.0\n)\n\n"
        "replace example.test/upstream => ./upstream\n",
        encoding="utf-8",
    )
    (upstream.parent / "go.mod").write_text("module example.test/upstream\n\ngo 1.25\n", encoding="utf-8")
    (upstream / "kept.go").write_text("package heavy\n", encoding="utf-8")
    (upstream / "dropped.go").write_text('package heavy\n\nfunc Do() string { return "whole" }\n', encoding="utf-8")
    (trim / "left_out.go").write_text(
        '// Replaces: dropped.go\npackage heavy\n\nfunc Do() string { return "left out" }\n', encoding="utf-8"
    )
    (folder / "main.go").write_text(
        'package main\n\nimport "example.test/upstream/heavy"\n\nfunc main() { print(heavy.Do()) }\n', encoding="utf-8"
    )
    return folder


def trimmed(folder: Path) -> subprocess.CompletedProcess[str]:
    command = [CHECKOUT / "supply" / "closed_network" / "trimmed", folder, folder.parent / "to"]
    return subprocess.run(command, capture_output=True, text=True)


def test_what_is_left_out_is_replaced(module: Path) -> None:
    assert trimmed(module).returncode == 0
    copy = module.parent / "to" / "modules" / "example.test" / "upstream" / "heavy"
    assert {file.name for file in copy.iterdir()} == {"kept.go", "left_out.go"}
    ran = subprocess.run(["go", "run", "."], cwd=module.parent / "to", capture_output=True, text=True)
    assert (ran.returncode, ran.stderr) == (0, "left out")


@pytest.mark.parametrize("replaced", ["renamed.go", "all"])
def test_what_upstream_no_longer_has_is_not_left_out_in_silence(module: Path, replaced: str) -> None:
    trim = module / "trim" / "example.test" / "upstream" / "gone" / "left_out.go"
    trim.parent.mkdir()
    trim.write_text(f"// Replaces: {replaced}\npackage gone\n", encoding="utf-8")
    done = trimmed(module)
    assert done.returncode != 0
    assert "upstream no longer has" in done.stderr
