"""Each contract test fails against a server, or with a plugin, that is broken where the test looks.

    pytest supply/closed_network/grafana/tests/test_every_contract_test_can_fail.py

The server's defects are made here, around the stand-in's application, the plugin's in broken_plugin.py: their own
code knows nothing of them. A contract test without a defect, and a defect without a contract test, is an error.
The plugin's tests need `pulumi` on PATH (`. .local/env`).
"""

from __future__ import annotations

import base64
import os
import shutil
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Any
from wsgiref.types import StartResponse, WSGIApplication, WSGIEnvironment

import broken_plugin
import pytest
from broken import Answer, Wrap, changes, does_nothing, matches, misreads, send, sets, turns
from grafana_provider.resources import Kind
from grafana_stand_in import store
from running import HERE, PASSWORD, Running

CONTRACT = HERE.parents[3] / "tests" / "grafana_contract"


def forgets(method: str, path: str, sql: str) -> Wrap:
    """A server that loses something in its database before it handles a call."""

    def wrap(application: WSGIApplication, environ: WSGIEnvironment, start: StartResponse) -> Any:
        if matches(environ, method, path):
            opened = store.Store(_running[0].settings.database)
            opened.run(sql)
            opened.close()
        return application(environ, start)

    return wrap


def trusts(method: str, path: str, when: Callable[[WSGIEnvironment], bool]) -> Wrap:
    """A server that takes anybody for the administrator."""
    basic = base64.b64encode(f"admin:{PASSWORD}".encode()).decode()

    def wrap(application: WSGIApplication, environ: WSGIEnvironment, start: StartResponse) -> Any:
        if matches(environ, method, path) and when(environ):
            environ["HTTP_AUTHORIZATION"] = f"Basic {basic}"
        return application(environ, start)

    return wrap


def refuses_the_organization_header(
    application: WSGIApplication, environ: WSGIEnvironment, start: StartResponse
) -> Any:
    if "HTTP_X_GRAFANA_ORG_ID" in environ:
        return send(Answer(403, {"message": "no"}), start)
    return application(environ, start)


def _without(key: str) -> Callable[[Answer], object]:
    def change(answer: Answer) -> None:
        for each in answer.data if isinstance(answer.data, list) else [answer.data]:
            if isinstance(each, dict):
                each.pop(key, None)

    return change


def _no_cookie(answer: Answer) -> None:
    answer.headers = [each for each in answer.headers if each[0] != "Set-Cookie"]


def _leak(answer: Answer) -> None:
    answer.data["secureJsonData"] = {"basicAuthPassword": "secret"}


def _backwards(answer: Answer) -> None:
    answer.data["results"]["A"]["frames"][0]["data"]["values"][0].reverse()


def _off_by_one(answer: Answer) -> None:
    answer.data["results"]["A"]["frames"][0]["data"]["values"][1] = [8]


def _no_request_histogram(answer: Answer) -> None:
    answer.data = "\n".join(line for line in answer.data.splitlines() if "http_request_duration" not in line)


def _drop(key: str) -> Callable[[dict[str, Any]], object]:
    return lambda sent: sent.pop(key, None)


def _overwrite(sent: dict[str, Any]) -> None:
    sent["overwrite"] = True


FOLDER, FOLDERS = r"/api/folders/[^/]+", r"/api/folders"
DASHBOARD, SAVE = r"/api/dashboards/uid/[^/]+", r"/api/dashboards/db"
SOURCE, SOURCES = r"/api/datasources/uid/[^/]+", r"/api/datasources"
HEALTH, PROXY, QUERY = rf"{SOURCE}/health", r"/api/datasources/proxy/.*", r"/api/ds/query"
ACCOUNT = r"/api/serviceaccounts/\d+"
PREFERENCES, NO_PREFERENCES = "/api/org/preferences", "DELETE FROM preference"

DEFECTS: dict[str, Wrap] = {
    "test_health_needs_no_credentials_and_says_the_version": turns("GET", "/api/health", 200, 401),
    "test_a_call_without_credentials_is_401": trusts("GET", "/api/org", lambda call: "HTTP_AUTHORIZATION" not in call),
    "test_a_wrong_password_is_401_with_its_message_id": changes("GET", "/api/org", _without("messageId")),
    "test_five_wrong_passwords_lock_the_user_out": forgets("GET", "/api/user", "DELETE FROM login_attempt"),
    "test_the_organization_is_told": sets("GET", "/api/org", "id", to=2),
    "test_the_organization_header_of_the_plugin_is_accepted": refuses_the_organization_header,
    "test_the_user_is_told": sets("GET", "/api/user", "isGrafanaAdmin", to=False),
    "test_an_administrator_changes_a_users_password": does_nothing("PUT", r"/api/admin/users/\d+/password"),
    "test_a_viewer_may_read_but_not_write": trusts("POST", FOLDERS, lambda call: True),
    "test_the_login_form_opens_a_session": changes("POST", "/login", _no_cookie),
    "test_a_service_account_token_is_a_credential": does_nothing("DELETE", rf"{ACCOUNT}/tokens/\d+"),
    "test_a_tokens_role_says_what_it_may_make": trusts("POST", f"{FOLDERS}|{SOURCES}", lambda call: True),
    "test_a_token_tells_what_it_may_do": trusts("GET", "/api/access-control/user/permissions", lambda call: True),
    "test_a_wrong_token_is_401_and_no_failed_login_of_anybody": trusts("GET", "/api/org", lambda call: True),
    "test_an_expired_token_is_401": forgets("GET", "/api/org", "UPDATE token SET expires = NULL"),
    "test_a_service_account_is_read_changed_and_deleted": does_nothing("PATCH", ACCOUNT),
    "test_unknown_calls_are_404": turns("GET", "/api/there.*", 404, 200),
    "test_a_folder_is_created_with_its_uid_and_read_back": sets("GET", FOLDER, "title", to="Another"),
    "test_a_folder_without_uid_gets_one": sets("POST", FOLDERS, "uid", to=""),
    "test_a_taken_folder_uid_is_409": turns("POST", FOLDERS, 409, 200, {"uid": "x"}),
    "test_a_folder_without_title_is_400": turns("POST", FOLDERS, 400, 200),
    "test_a_missing_folder_is_404": turns("GET", FOLDER, 404, 200),
    "test_a_folder_is_renamed_with_overwrite": does_nothing("PUT", FOLDER),
    "test_an_old_folder_version_is_412": misreads("PUT", FOLDER, _overwrite),
    "test_a_folder_is_nested_and_moved": does_nothing("POST", rf"{FOLDER}/move"),
    "test_folders_are_listed_page_by_page": changes("GET", FOLDERS, _without("id")),
    "test_deleting_a_folder_deletes_its_dashboards": forgets("DELETE", FOLDER, "UPDATE dashboard SET folder = ''"),
    "test_a_dashboard_is_saved_and_read_back_unchanged": sets("GET", DASHBOARD, "dashboard", "schemaVersion", to=42),
    "test_a_dashboard_without_uid_gets_one": sets("POST", SAVE, "uid", to=""),
    "test_an_existing_dashboard_without_overwrite_is_412": misreads("POST", SAVE, _overwrite),
    "test_overwrite_replaces_a_dashboard_and_counts_its_version": sets("POST", SAVE, "version", to=1),
    "test_a_dashboard_moves_to_another_folder": misreads("POST", SAVE, _drop("folderUid")),
    "test_a_dashboard_without_title_is_400": turns("POST", SAVE, 400, 200),
    "test_a_dashboard_uid_that_fits_no_address_is_400": turns("POST", SAVE, 400, 200, {"uid": "x"}),
    "test_a_request_that_is_no_json_is_400": turns("POST", SAVE, 400, 500),
    "test_a_dashboard_that_is_no_object_is_400": turns("POST", SAVE, 400, 500),
    "test_a_dashboard_in_a_missing_folder_is_refused": misreads("POST", SAVE, _drop("folderUid")),
    "test_a_missing_dashboard_is_404": turns("GET", DASHBOARD, 404, 200),
    "test_a_dashboard_is_deleted": does_nothing("DELETE", DASHBOARD, data={"title": "any"}),
    "test_search_finds_dashboards_by_type_query_tag_and_folder": sets("GET", "/api/search", "folderTitle", to="X"),
    "test_a_data_source_is_added_and_read_back": changes("GET", SOURCE, _leak),
    "test_a_taken_data_source_name_or_uid_is_409": turns("POST", SOURCES, 409, 500),
    "test_a_data_source_without_type_is_400": turns("POST", SOURCES, 400, 200),
    "test_a_data_source_is_found_by_name_and_in_the_list": changes("GET", SOURCES, _without("typeName")),
    "test_updating_a_data_source_keeps_unnamed_secrets": forgets("PUT", SOURCE, "UPDATE data_source SET secure = '{}'"),
    "test_a_missing_data_source_is_404": turns("GET", SOURCE, 404, 500),
    "test_a_data_source_is_deleted": does_nothing("DELETE", SOURCE, data={"id": 0}),
    "test_an_unreachable_prometheus_is_unhealthy_with_400": turns("GET", HEALTH, 400, 200),
    "test_an_alertmanager_source_has_no_health_call": turns("GET", HEALTH, 500, 200),
    "test_a_real_prometheus_is_healthy": turns("GET", HEALTH, 200, 400),
    "test_the_proxy_reaches_the_real_prometheus": does_nothing("POST", PROXY, status=502),
    "test_the_proxy_passes_an_error_on": turns("GET", PROXY, 400, 502),
    "test_an_instant_query_gives_one_value_per_series": changes("POST", QUERY, _off_by_one),
    "test_a_range_query_gives_a_row_per_step": changes("POST", QUERY, _backwards),
    "test_a_broken_query_says_why": turns("POST", QUERY, 400, 200),
    "test_an_annotation_is_added_listed_and_deleted": does_nothing("DELETE", r"/api/annotations/\d+"),
    "test_an_annotation_without_text_is_400": turns("POST", "/api/annotations", 400, 200),
    "test_the_home_dashboard_is_a_preference_of_the_organization": does_nothing("PUT", PREFERENCES),
    "test_the_start_page_leads_to_the_home_dashboard": sets("GET", "/api/dashboards/home", "redirectUri", to="/d/x"),
    "test_put_replaces_all_preferences_and_patch_only_those_named": forgets("PATCH", PREFERENCES, NO_PREFERENCES),
    "test_a_home_dashboard_that_does_not_exist_is_404": turns("PUT", PREFERENCES, 404, 200),
    "test_a_home_dashboard_that_is_deleted_is_none": sets("GET", PREFERENCES, "homeDashboardUID", to="gone"),
    "test_the_organizations_preferences_are_its_administrators_business": trusts("GET", PREFERENCES, lambda call: True),
    "test_totals_count_what_was_made": sets("GET", "/api/admin/stats", "datasources", to=0),
    "test_metrics_are_prometheus_text_with_grafanas_names": changes("GET", "/metrics", _no_request_histogram),
}


# Running the contract tests in this process

_running: list[Running] = []


class Outcome:
    """One run of the contract tests, as a pytest plugin: what came of each test function.

    While a test runs, the server has the defect that `defects` names for it.
    """

    def __init__(self, server: Running, defects: dict[str, Wrap]) -> None:
        self.server = server
        self.defects = defects
        self.failed: dict[str, str] = {}
        self.skipped: set[str] = set()
        self.collected: set[str] = set()

    def pytest_collection_modifyitems(self, items: list[pytest.Item]) -> None:
        self.collected = {item.name.partition("[")[0] for item in items}

    def pytest_runtest_logstart(self, nodeid: str) -> None:
        self.server.wrap = self.defects.get(_function(nodeid))

    def pytest_runtest_logfinish(self) -> None:
        self.server.wrap = None

    def pytest_runtest_logreport(self, report: pytest.TestReport) -> None:
        if report.failed:
            crash = report.longrepr.reprcrash  # type: ignore[union-attr]  # pytest's own form
            self.failed.setdefault(_function(report.nodeid), crash.message)  # not what its clean-up says
        elif report.skipped:
            self.skipped.add(_function(report.nodeid))


def _function(nodeid: str) -> str:
    return nodeid.rpartition("::")[2].partition("[")[0]


@pytest.fixture(scope="module")
def run(stand_in: Running, prometheus: str) -> Iterator[Callable[..., Outcome]]:
    """Run a file of contract tests, or one of them, in this process against its server."""

    def once(tests: str, defects: dict[str, Wrap], *options: str) -> Outcome:
        outcome = Outcome(stand_in, defects)
        pytest.main([str(CONTRACT / tests), "-q", "-p", "no:cacheprovider", *options], plugins=[outcome])
        return outcome

    with pytest.MonkeyPatch.context() as patch:
        patch.setenv("GRAFANA_URL", stand_in.url)
        patch.setenv("GRAFANA_AUTH", ":".join(stand_in.auth))
        patch.setenv("GRAFANA_CONTRACT_LOCKOUT", "1")
        patch.setenv("PROMETHEUS_URL_FOR_GRAFANA", prometheus)
        _running[:] = [stand_in]
        yield once


def _failed_by_assertion(outcome: Outcome, name: str) -> None:
    assert name in outcome.failed, f"{name} passed in spite of its defect"
    assert outcome.failed[name].startswith(("AssertionError", "assert ", "Failed: DID NOT RAISE")), outcome.failed[name]


def test_every_contract_test_has_a_defect_and_passes_without_it(
    run: Callable[..., Outcome],
) -> None:
    outcome = run("test_api.py", {})
    assert not outcome.failed
    assert not outcome.skipped
    assert outcome.collected == set(DEFECTS)


def test_each_contract_test_fails_on_its_defect(run: Callable[..., Outcome]) -> None:
    outcome = run("test_api.py", DEFECTS)
    for name in DEFECTS:
        _failed_by_assertion(outcome, name)


# The plugin, driven by the real CLI

needs_cli = pytest.mark.skipif(
    shutil.which("pulumi") is None, reason="no pulumi on PATH (see `. .local/env`): the plugin cannot be driven"
)


@pytest.fixture
def run_plugin(run: Callable[..., Outcome], tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Callable[..., Outcome]:
    """Run the plugin's contract tests, or one of them, with the plugin's defect of that name, or none."""
    (tmp_path / "pulumi-resource-grafana").symlink_to(broken_plugin.__file__)
    monkeypatch.setenv("PATH", str(tmp_path), prepend=os.pathsep)

    def once(tests: str, defect: str, *options: str) -> Outcome:
        monkeypatch.setenv(broken_plugin.DEFECT, defect)
        return run(tests, {}, *options)

    return once


@needs_cli
def test_every_plugin_test_has_a_defect(run_plugin: Callable[..., Outcome]) -> None:
    assert run_plugin("test_plugin.py", "", "--collect-only").collected == set(broken_plugin.DEFECTS.values())


@needs_cli
@pytest.mark.parametrize("name", sorted(set(broken_plugin.DEFECTS.values())))
def test_the_plugin_test_passes_without_a_defect(run_plugin: Callable[..., Outcome], name: str) -> None:
    outcome = run_plugin(f"test_plugin.py::{name}", "")
    assert (outcome.collected, outcome.failed, outcome.skipped) == ({name}, {}, set())


@needs_cli
@pytest.mark.parametrize("defect", broken_plugin.DEFECTS, ids=lambda defect: defect.__name__)
def test_the_plugin_test_fails_on_its_defect(run_plugin: Callable[..., Outcome], defect: type[Kind]) -> None:
    name = broken_plugin.DEFECTS[defect]
    _failed_by_assertion(run_plugin(f"test_plugin.py::{name}", defect.__name__), name)
