"""The stand-in's server beyond the contract: start and restart, password, pages, what it says of itself."""

from __future__ import annotations

import json
import os
import subprocess
import sys
from collections.abc import Iterator
from pathlib import Path

import httpx
import pytest
from grafana_stand_in import NOTICE, store
from grafana_stand_in.app import create_app
from grafana_stand_in.sources import interpolate
from grafana_stand_in.web import Settings
from running import HERE, PASSWORD, Running

RUN_SH = HERE.parent / "container" / "run.sh"


@pytest.fixture
def browser(stand_in: Running) -> Iterator[httpx.Client]:
    with httpx.Client(base_url=stand_in.url) as client:
        answer = client.post("/login", data={"user": "admin", "password": PASSWORD})
        assert answer.status_code == 302
        yield client


def grafana(data: Path, *arguments: str, given: str = "", **env: str) -> subprocess.CompletedProcess[str]:
    return subprocess.run(
        [sys.executable, "-m", "grafana_stand_in", *arguments],
        cwd=HERE.parent,
        env={**os.environ, "GF_PATHS_DATA": str(data), **env},
        input=given,
        capture_output=True,
        text=True,
        timeout=30,
        check=False,
    )


def test_every_answer_says_that_it_is_the_stand_in(stand_in: Running) -> None:
    for path in ("/api/health", "/api/org", "/login", "/metrics", "/nothing"):
        assert httpx.get(f"{stand_in.url}{path}").headers["X-Grafana-Stand-In"] == "1"
    assert httpx.get(f"{stand_in.url}/api/health").json()["commit"] == "stand-in"
    assert NOTICE in httpx.get(f"{stand_in.url}/login").text


def test_the_configured_password_counts_only_for_a_new_database(tmp_path: Path) -> None:
    settings = Settings(data=tmp_path)
    assert store.prepare(settings.database, "boss", "first")
    assert not store.prepare(settings.database, "boss", "second")
    client = create_app(settings).test_client()
    assert client.get("/api/org", auth=("boss", "first")).status_code == 200
    assert client.get("/api/org", auth=("boss", "second")).status_code == 401


@pytest.mark.parametrize("stdin", [False, True])
def test_the_reset_command_sets_the_administrators_password(tmp_path: Path, stdin: bool) -> None:
    settings = Settings(data=tmp_path)
    store.prepare(settings.database, "admin", "first")
    argument, given = ("--password-from-stdin", "second\n") if stdin else ("second", "")
    done = grafana(tmp_path, "cli", "admin", "reset-admin-password", argument, given=given)
    assert done.returncode == 0, done.stderr
    assert "second" not in done.stdout
    assert create_app(settings).test_client().get("/api/org", auth=("admin", "second")).status_code == 200


def test_the_reset_command_needs_a_database(tmp_path: Path) -> None:
    done = grafana(tmp_path, "cli", "admin", "reset-admin-password", "second")
    assert done.returncode == 1
    assert "no database" in done.stderr


def test_a_folder_that_is_not_writable_is_named(tmp_path: Path) -> None:
    done = grafana(tmp_path / "none", "server")
    assert done.returncode == 1
    assert f"{tmp_path / 'none'} is not writable" in done.stderr


def test_the_lockout_can_be_switched_off(tmp_path: Path) -> None:
    settings = Settings(data=tmp_path, lockout=False)
    store.prepare(settings.database, "admin", "right")
    client = create_app(settings).test_client()
    for _ in range(6):
        assert client.get("/api/org", auth=("admin", "wrong")).status_code == 401
    assert client.get("/api/org", auth=("admin", "right")).status_code == 200


def test_settings_come_from_files_and_both_forms_are_an_error(tmp_path: Path) -> None:
    """The start script puts the file's content into the variable before it runs `grafana server`."""
    (tmp_path / "secret").write_text("from the file\n")
    (tmp_path / "grafana").write_text(
        '#!/bin/sh\necho "$*:$GF_SECURITY_ADMIN_PASSWORD:${GF_SECURITY_ADMIN_PASSWORD__FILE-}"\n'
    )
    (tmp_path / "grafana").chmod(0o755)
    env = {"PATH": f"{tmp_path}:{os.environ['PATH']}", "GF_SECURITY_ADMIN_PASSWORD__FILE": str(tmp_path / "secret")}

    def run(**more: str) -> subprocess.CompletedProcess[str]:
        return subprocess.run([RUN_SH], env=env | more, capture_output=True, text=True, timeout=10, check=False)

    assert run().stdout == "server:from the file:\n"
    both = run(GF_SECURITY_ADMIN_PASSWORD="too")
    assert both.returncode == 1
    assert "both GF_SECURITY_ADMIN_PASSWORD and" in both.stderr


def test_pages_need_a_login(stand_in: Running) -> None:
    for path in ("/", "/dashboards", "/d/any"):
        answer = httpx.get(f"{stand_in.url}{path}")
        assert (answer.status_code, answer.headers["location"]) == (302, "/login")
    wrong = httpx.post(f"{stand_in.url}/login", data={"user": "nobody", "password": "wrong"})
    assert wrong.status_code == 401
    assert "Invalid username or password" in wrong.text


def test_a_dashboards_page_shows_values_choices_and_links(
    stand_in: Running, prometheus: str, browser: httpx.Client
) -> None:
    with httpx.Client(base_url=stand_in.url, auth=stand_in.auth) as api:
        api.post(
            "/api/datasources",
            json={"name": "P", "uid": "p", "type": "prometheus", "access": "proxy", "url": prometheus},
        )
        choice = {
            "name": "instance",
            "type": "query",
            "datasource": {"uid": "p"},
            "query": {"query": "label_values(up, instance)", "refId": "A"},
            "includeAll": True,
            "current": {"text": "All", "value": "$__all"},
        }
        target = {"refId": "A", "expr": 'up{instance=~"$instance"}', "legendFormat": "{{instance}}"}
        model = {
            "uid": "page",
            "title": "Page <1>",
            "templating": {"list": [choice]},
            "links": [
                {"type": "link", "title": "Back to $instance", "url": "/d/other?var-instance=${instance}"},
                {"type": "link", "title": "Bad", "url": "javascript:alert(1)"},
            ],
            "panels": [
                {"type": "row", "title": "A row"},
                {
                    "type": "stat",
                    "title": "Reachable",
                    "description": "Whether it answers",
                    "datasource": {"uid": "p"},
                    "fieldConfig": {"defaults": {"unit": "percentunit"}},
                    "targets": [target, {"refId": "B", "expr": "sum(", "datasource": {"uid": "none"}}],
                },
            ],
        }
        assert api.post("/api/dashboards/db", json={"dashboard": model}).status_code == 200
        page = browser.get("/d/page/any", params={"var-instance": "a:1"})
        api.delete("/api/dashboards/uid/page")
        api.delete("/api/datasources/uid/p")
    assert page.status_code == 200
    for text in ("Page &lt;1&gt;", "A row", "Reachable", "Whether it answers", "percentunit", NOTICE):
        assert text in page.text
    assert "up{instance=~&#34;a:1&#34;}" in page.text
    assert "<td>a:1</td>" in page.text
    assert "not a number" in page.text
    assert '<option value="a:1" selected>a:1</option>' in page.text
    assert '<a href="/d/other?var-instance=a:1">Back to a:1</a>' in page.text
    assert "no data source none" in page.text
    assert "javascript:" not in page.text
    assert "<b>" not in page.text


def test_the_first_page_is_the_home_dashboard(stand_in: Running, browser: httpx.Client) -> None:
    with httpx.Client(base_url=stand_in.url, auth=stand_in.auth) as api:
        api.post("/api/dashboards/db", json={"dashboard": {"uid": "home", "title": "Home"}})
        assert "/d/home/home" in browser.get("/").text
        api.put("/api/org/preferences", json={"homeDashboardUID": "home"})
        assert browser.get("/").headers["location"] == "/d/home/home"
        api.put("/api/org/preferences", json={})
        api.delete("/api/dashboards/uid/home")
    assert browser.get("/d/home").status_code == 404


def test_panels_that_are_no_list_are_refused(stand_in: Running) -> None:
    with httpx.Client(base_url=stand_in.url, auth=stand_in.auth) as api:
        for panels in ("text", ["text"], {"a": 1}):
            answer = api.post("/api/dashboards/db", json={"dashboard": {"title": "T", "panels": panels}})
            assert answer.status_code == 400
            assert "panels must be a list of objects" in answer.json()["message"]


def test_data_survives_a_restart(tmp_path: Path) -> None:
    settings = Settings(data=tmp_path)
    store.prepare(settings.database, "admin", "pass")
    first = create_app(settings).test_client()
    assert first.post("/api/folders", json={"uid": "f", "title": "F"}, auth=("admin", "pass")).status_code == 200
    second = create_app(settings).test_client()
    assert json.loads(second.get("/api/folders/f", auth=("admin", "pass")).data)["title"] == "F"


@pytest.mark.parametrize(
    ("step", "scrape", "rate"),
    [(15, 15, "60s"), (120, 15, "135s"), (15, 30, "120s")],
)
def test_intervals_are_filled_in_as_grafana_does(step: float, scrape: float, rate: str) -> None:
    expr = "rate(a[$__rate_interval]) + ${__interval} + $__range + $__range_s + $__rate_intervals"
    filled = interpolate(expr, 1000, 4600, step, scrape)
    assert filled == f"rate(a[{rate}]) + {step}s + 3600s + 3600 + $__rate_intervals"
