"""A stack whose Grafana is there already: what it does not make, what it asks before, and what it leaves alone."""

import io
import sys
from collections.abc import Callable
from pathlib import Path
from typing import Any

import httpx
import pytest

from clients.probes import ClientError, GrafanaAuth
from desired_state import DesiredState, build_desired_state, load_desired_state
from ops import recover
from readiness import checks, preflight
from stacks.settings import ExistingGrafana, Settings, SettingsError, load_settings
from tests.unit.factories import planned, values
from tests.unit.fake_stack import TOKEN, FakeCommands, FakeStack, main
from tests.unit.pulumi_program import SECRETS, Program, deployed
from tests.unit.pulumi_recorder import (
    CONTAINER,
    DASHBOARD,
    DATASOURCE,
    FOLDER,
    IMAGE,
    PREFERENCES,
    VOLUME,
    Recorded,
    Run,
    plain,
    texts,
)

URL = "https://grafana.example.com/team"
OWN_ORGANIZATION = "give this stack an organization of its own"


def existing(environment: str = "staging") -> Settings:
    return load_settings(environment).model_copy(
        update={"existing_grafana": ExistingGrafana.model_validate({"url": URL})}
    )


@pytest.fixture(scope="module")
def desired() -> DesiredState:
    return build_desired_state(existing())


@pytest.fixture
def stack(desired: DesiredState, monkeypatch: pytest.MonkeyPatch) -> FakeStack:
    made = FakeStack(desired)
    made.install(monkeypatch)
    return made


@pytest.fixture(scope="module")
def done() -> Run:
    """A real run, of a stack that is as it should be."""
    with pytest.MonkeyPatch.context() as patch:
        return Program("staging", patch, existing_grafana=existing().existing_grafana).run().succeeded()


@pytest.fixture
def program(monkeypatch: pytest.MonkeyPatch) -> Program:
    return Program("staging", monkeypatch, existing_grafana=existing().existing_grafana)


# The plan


def test_nothing_of_an_own_grafana_is_planned(desired: DesiredState) -> None:
    own = planned("staging")
    assert own.expected.services - desired.expected.services == {"grafana"} == own.images - desired.images
    assert own.expected.targets - desired.expected.targets == {("grafana", "grafana")}
    assert "grafana" not in desired.settings.parts
    assert set(own.secret_names) ^ set(desired.secret_names) == {"grafana_admin_password", "grafana_token"}


def test_its_metrics_are_watched_where_the_settings_say_so() -> None:
    target = {"address": "grafana.internal:3000", "instance": "team-grafana"}
    made = build_desired_state(
        Settings.model_validate(values("staging", existing_grafana={"url": URL}, scrape_targets={"grafana": [target]}))
    )
    assert ("grafana", "team-grafana") in made.expected.targets
    assert ("grafana", "team-grafana") not in made.expected.stack_targets
    assert "GrafanaRequestsFailing" in {alert.name for alert in made.alerts}


def test_its_data_sources_lead_where_people_reach_the_stack_and_leave_its_default_alone() -> None:
    links = {"prometheus": "https://prometheus.example.com/"}
    made = build_desired_state(
        Settings.model_validate(values("staging", existing_grafana={"url": URL}, external_urls=links))
    )
    assert {source.uid: source.url for source in made.datasources} == {
        "prometheus": "https://prometheus.example.com",
        "alertmanager": "http://127.0.0.1:9093",
    }
    assert not any(source.default for source in made.datasources)


@pytest.mark.parametrize("url", ["https://grafana.example.com", "https://grafana.example.com/team/"])
def test_its_address_ends_without_a_slash(url: str) -> None:
    settings = Settings.model_validate(values("staging", existing_grafana={"url": url}))
    assert settings.published("grafana") == settings.link("grafana") == url.rstrip("/")


def test_alerts_link_to_it(desired: DesiredState) -> None:
    assert any(f"{URL}/d/overview" in text for text in desired.files().values())
    assert not any("127.0.0.1:3000" in text for text in desired.files().values())


@pytest.mark.parametrize(
    "wrong",
    [
        "grafana.example.com",
        "ftp://grafana.example.com",
        "https://user:planted@grafana.example.com",
        "https://",
        "https://grafana.example.com/?orgId=2",
        "https://grafana.example.com/#x",
        3000,
        None,
        ["https://g"],
    ],
)
def test_an_address_that_is_none_is_one_clear_message(wrong: Any, tmp_path: Path) -> None:
    (tmp_path / "mine.yaml").write_text(
        f"environment: dev\nexisting_grafana: {{url: {wrong!r}}}\n".replace("None", "null"), encoding="utf-8"
    )
    with pytest.raises(SettingsError) as caught:
        load_desired_state("mine", folder=tmp_path)
    assert (
        str(caught.value)
        == "stacks/mine.yaml cannot be used:\n  existing_grafana.url: this is not Grafana's address; write http:// or"
        " https:// and a host, without user and password, such as https://grafana.internal, and without ? and #"
    )


def test_a_wrong_address_is_not_blamed_on_its_target(tmp_path: Path) -> None:
    text = (
        "environment: dev\nexisting_grafana: {url: no}\nscrape_targets: {grafana: [{address: 'g:3000', instance:"
        " grafana}]}\n"
    )
    (tmp_path / "mine.yaml").write_text(text, encoding="utf-8")
    with pytest.raises(SettingsError) as caught:
        load_desired_state("mine", folder=tmp_path)
    assert str(caught.value).count("\n") == 1


# The program


def content(run: Run) -> list[Recorded]:
    return [resource for kind in (FOLDER, DATASOURCE, DASHBOARD, PREFERENCES) for resource in run.of(kind)]


def test_no_container_volume_port_image_or_preference_is_made(done: Run, desired: DesiredState) -> None:
    for kind in (CONTAINER, VOLUME, IMAGE, PREFERENCES):
        assert not [resource.name for resource in done.of(kind) if "grafana" in resource.name or kind == PREFERENCES]
    assert {resource.name for resource in content(done)} == {
        "folder",
        "datasource-prometheus",
        "datasource-alertmanager",
        *(f"dashboard-{uid}" for uid in desired.dashboards),
    }
    assert done.outputs["readiness"].endswith(": live")
    assert done.outputs["grafana_url"] == URL


def test_its_content_is_really_deleted_with_the_stack_and_what_others_put_there_is_not(done: Run) -> None:
    assert {resource.deleted_with for resource in content(done)} == {""}
    assert not any(resource.retain_on_delete for resource in content(done))
    assert done.one(FOLDER, "folder").inputs["preventDestroyIfNotEmpty"] is True


def test_nothing_of_it_is_taken_for_what_is_in_an_own_one(done: Run) -> None:
    """Who changes from the one to the other has everything made there, and removed here."""
    own = deployed("staging")
    (provider,) = done.of("pulumi:providers:grafana")
    assert provider.inputs["url"] == URL and plain(provider.inputs["auth"]) == TOKEN
    assert {r.name for r in content(done)} < {r.name for r in content(own)}
    assert not {r.urn for r in content(done)} & {r.urn for r in content(own)}
    assert provider.urn not in {r.urn for r in own.resources}


def test_the_token_is_nowhere_but_in_the_provider(done: Run) -> None:
    found = [(r.name, path, secret) for r in done.resources for path, text, secret in texts(r.inputs) if TOKEN in text]
    assert found == [("grafana-api", ".auth", True)]
    shown = [text for value in done.outputs.values() for _, text, secret in texts(value) if not secret]
    assert not any(TOKEN in text for text in [*shown, *(text for _, text in done.log)])
    assert "grafana_admin_password" not in done.outputs


def test_the_token_is_asked_for_and_the_password_is_not(program: Program, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.delitem(SECRETS, "grafana_admin_password")
    program.load_and_validate().succeeded()
    monkeypatch.delitem(SECRETS, "grafana_token")
    done = program.run(preview=True)
    assert str(done.error).endswith("set each with:\n  pulumi config set --stack staging --secret grafana_token")


# What is asked before


def problems(stack: FakeStack, desired: DesiredState) -> list[str]:
    with stack.client() as http:
        return preflight.problems(desired, GrafanaAuth(TOKEN), http)


def test_what_an_earlier_update_made_is_no_obstacle(stack: FakeStack, desired: DesiredState) -> None:
    assert problems(stack, desired) == []
    assert {request.method for request in stack.requests} == {"GET"}


def test_an_empty_grafana_and_one_with_things_of_others_are_no_obstacle(
    stack: FakeStack, desired: DesiredState
) -> None:
    stack.folders.clear()
    stack.dashboards, stack.datasources = ["theirs"], {}
    stack.elsewhere = {"theirs": ""}
    stack.datasources = {"theirs": {"uid": "theirs", "name": "Mimir", "type": "prometheus", "url": "http://m"}}
    assert problems(stack, desired) == []


def test_data_sources_that_are_as_we_make_them_outlive_a_folder_deleted_by_hand(
    stack: FakeStack, desired: DesiredState
) -> None:
    stack.folders.clear()
    stack.dashboards.clear()
    assert problems(stack, desired) == []


@pytest.mark.parametrize(("folder", "where"), [("", "outside of any folder"), ("theirs", "in the folder theirs")])
def test_a_dashboard_of_somebody_else_with_one_of_our_uids_is_not_overwritten(
    folder: str, where: str, stack: FakeStack, desired: DesiredState
) -> None:
    stack.elsewhere = {"api": folder}
    assert problems(stack, desired) == [
        f"existing_grafana: the update would overwrite the dashboard api, which lies {where} at {URL}; move it to the"
        f" folder softfactory if it is this stack's, or else {OWN_ORGANIZATION}"
    ]


def test_a_data_source_of_our_name_is_named_with_its_uid(stack: FakeStack, desired: DesiredState) -> None:
    stack.datasources = {"x1": {"uid": "x1", "name": "Prometheus", "type": "prometheus", "url": "http://p"}}
    assert problems(stack, desired) == [
        f"existing_grafana: {URL} has a data source Prometheus already (uid x1); rename it there, or {OWN_ORGANIZATION}"
    ]


@pytest.mark.parametrize("changed", [{"url": "http://theirs"}, {"type": "loki"}])
def test_a_data_source_of_our_uid_is_theirs_where_our_folder_is_not_there(
    changed: dict[str, str], stack: FakeStack, desired: DesiredState
) -> None:
    stack.datasources["prometheus"].update(changed)
    assert problems(stack, desired) == []  # our own, which the update puts right
    stack.folders.clear()
    (problem,) = problems(stack, desired)
    assert problem.startswith(
        f"existing_grafana: {URL} has a data source with the uid prometheus already, Prometheus, which is"
    )
    assert problem.endswith(OWN_ORGANIZATION)


def test_a_token_that_may_not_make_data_sources_is_refused(stack: FakeStack, desired: DesiredState) -> None:
    stack.permissions = {"folders:create", "dashboards:create"}
    (problem,) = problems(stack, desired)
    assert "does not allow datasources:create to the service account" in problem
    assert problem.endswith("give it the role Admin there")


def test_a_grafana_that_cannot_tell_permissions_is_tried(stack: FakeStack, desired: DesiredState) -> None:
    stack.broken["/team/api/access-control/user/permissions"] = httpx.Response(404, json={"message": "Not found"})
    assert problems(stack, desired) == []


WELL = "see that it is well, or correct existing_grafana.url in the settings"


@pytest.mark.parametrize(
    ("answer", "told"),
    [
        (httpx.Response(401), "Grafana refuses the token (401): it has expired, was deleted, or is for another"),
        (httpx.Response(403), "Grafana refuses the token (403): its service account has not the role Admin; give it"),
        (httpx.Response(412, text="no"), f"Grafana answers 412 at {URL}/api/org: no; {WELL}"),
        (httpx.Response(500, text="no"), f"Grafana answers 500 at {URL}/api/org: no; {WELL}"),
        (httpx.Response(302), f"Grafana answers 302 at {URL}/api/org: ; {WELL}"),
        (httpx.Response(200, text="<html>"), f"what answers at {URL}/api/org is not Grafana: its answer cannot be"),
        (httpx.ConnectError("refused"), f"Grafana does not answer at {URL}/api/org: refused; {WELL}"),
    ],
)
def test_a_bad_answer_ends_the_update_before_anything_is_registered(
    answer: httpx.Response | Exception, told: str, program: Program
) -> None:
    program.stack.broken["/team/api/org"] = answer
    done = program.run()
    head, line = str(done.error).splitlines()
    assert head.startswith("nothing was changed") and line.startswith(f"  existing_grafana: {told}")
    assert done.resources == []
    assert len([path for path in program.stack.paths("grafana") if path == "/team/api/org"]) == 1


# The end of an update, and health


@pytest.mark.parametrize(
    ("path", "answer", "part", "told"),
    [
        ("/team/api/search", httpx.Response(500), "Grafana", "see that it is well, or correct existing_grafana.url"),
        (
            "/team/api/datasources/uid/prometheus/health",
            httpx.Response(400, text="refused"),
            "data source prometheus",
            "or correct external_urls.prometheus in the settings: Grafana must reach it there",
        ),
    ],
)
def test_what_is_wrong_in_it_is_told_with_what_to_do(
    path: str, answer: httpx.Response, part: str, told: str, stack: FakeStack, desired: DesiredState
) -> None:
    stack.broken[path] = answer
    with stack.client() as http:
        (problem,) = checks.find_problems(desired.expected, stack.endpoints(), http)
    assert str(problem).startswith(f"{part}: ") and told in str(problem)


# The commands


@pytest.fixture
def ops(
    program: Program, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> Callable[..., tuple[int, str]]:
    """Runs `python -m ops ARGUMENTS`; its exit code, and what it printed on both streams."""
    monkeypatch.delenv("GRAFANA_AUTH", raising=False)
    monkeypatch.setattr("desired_state.load_desired_state", lambda *_, **__: program.desired)

    def run(*arguments: str) -> tuple[int, str]:
        code = main(monkeypatch, *arguments, "--stack", "staging")
        return code, "".join(capsys.readouterr())

    return run


def test_health_logs_in_with_the_token(
    ops: Callable[..., tuple[int, str]], program: Program, monkeypatch: pytest.MonkeyPatch
) -> None:
    commands = FakeCommands()
    commands.install(monkeypatch)
    commands.config = {"grafana_token": TOKEN}
    code, shown = ops("health")
    assert code == 0, shown
    assert "Checking Grafana... ✓ OK" in shown
    program.stack.token = "another"
    code, shown = ops("health")
    assert code == 1 and "refuses the token (401)" in shown and TOKEN not in shown


def test_links_names_it_and_no_password(ops: Callable[..., tuple[int, str]]) -> None:
    code, shown = ops("urls")
    assert code == 0 and f"Grafana       {URL}\n" in shown and "password" not in shown


def test_down_does_not_speak_of_a_database_of_grafana(
    ops: Callable[..., tuple[int, str]], monkeypatch: pytest.MonkeyPatch
) -> None:
    FakeCommands().install(monkeypatch)
    assert "(samples, silences) stay" in ops("volume-policy")[1]


def test_a_new_token_is_asked_for_and_told_to_nobody_else(
    ops: Callable[..., tuple[int, str]], monkeypatch: pytest.MonkeyPatch
) -> None:
    commands = FakeCommands()
    commands.install(monkeypatch)
    commands.config = {"grafana_token": TOKEN}
    monkeypatch.setattr(sys, "stdin", io.StringIO("glsa_new\n"))
    code, shown = ops("rotate-secret", "grafana_token")
    assert code == 0 and "belongs to a server that is not of stack staging" in shown
    assert "what the next update logs in to Grafana with" in shown and "glsa_new" not in shown
    assert commands.config == {"grafana_token": "glsa_new"}


# Recovery


def clear(stack: FakeStack, desired: DesiredState, state: list[dict[str, Any]]) -> list[str]:
    with stack.client() as http:
        return recover.delete_untracked_grafana_objects(desired, state, URL, GrafanaAuth(TOKEN), http)


def test_ids_of_a_token_are_as_well_known_as_those_of_a_password(stack: FakeStack, desired: DesiredState) -> None:
    """The organization in them is 0 for folder and dashboards, and 1 for data sources."""
    state = [
        {"type": FOLDER, "id": "0:softfactory", "outputs": {"uid": "softfactory"}},
        *({"type": DATASOURCE, "id": f"1:{uid}", "outputs": {"uid": uid}} for uid in stack.datasources),
    ]
    assert clear(stack, desired, state) == [] and stack.removed == []


def test_after_a_lost_state_only_our_own_goes(stack: FakeStack, desired: DesiredState) -> None:
    stack.datasources["theirs"] = {"uid": "theirs", "name": "Mimir", "type": "prometheus", "url": "http://m"}
    clear(stack, desired, [])
    assert stack.removed == [
        "/team/api/folders/softfactory",
        "/team/api/datasources/uid/alertmanager",
        "/team/api/datasources/uid/prometheus",
    ]


def test_what_another_stack_made_is_left_to_it(stack: FakeStack, desired: DesiredState) -> None:
    stack.datasources["prometheus"]["url"] = "http://prometheus.other-stack"
    with pytest.raises(ClientError, match="data sources prometheus lead elsewhere, so they are another stack's"):
        clear(stack, desired, [])
    assert stack.removed == []


@pytest.mark.parametrize("kind", ["dashboards", "subfolders"])
def test_a_folder_with_something_of_others_in_it_stays(kind: str, stack: FakeStack, desired: DesiredState) -> None:
    getattr(stack, kind).append("theirs")
    with pytest.raises(ClientError, match="holds what this project did not make: theirs; move it to another folder"):
        clear(stack, desired, [])
    assert stack.removed == []
