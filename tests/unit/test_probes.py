"""What is read from the answers of engine, Prometheus, Alertmanager and Grafana."""

from collections.abc import Callable
from datetime import UTC, datetime
from typing import Any

import docker.errors
import httpx
import pytest
import requests

from clients import probes
from clients.probes import AuthenticationError, ClientError, GrafanaAuth
from rules.prometheus import CONFIG_INFO
from tests.unit.factories import planned
from tests.unit.fake_stack import FakeStack

AUTH = GrafanaAuth("admin:planted")
TOKEN = GrafanaAuth("glsa_planted")
URL = "http://part.invalid"
PROBES: dict[str, Callable[[httpx.Client], object]] = {
    "targets": lambda http: probes.targets(http, URL),
    "rules": lambda http: probes.rules(http, URL),
    "clock": lambda http: probes.clock(http, URL),
    "release": lambda http: probes.prometheus_revision(http, URL, CONFIG_INFO),
    "alertmanagers": lambda http: probes.alertmanagers(http, URL),
    "query": lambda http: probes.query(http, URL, "up"),
    "metadata": lambda http: probes.metadata(http, URL, "redis"),
    "series": lambda http: probes.series(http, URL, "redis"),
    "alertmanager hash": lambda http: probes.alertmanager_hash(http, URL),
    "alerts": lambda http: probes.alerts(http, URL),
    "data sources": lambda http: probes.datasources(http, URL, AUTH),
    "dashboards": lambda http: probes.dashboards(http, URL, AUTH),
    "strangers": lambda http: probes.strangers(http, URL, TOKEN, "f", frozenset()),
    "organization": lambda http: probes.organization(http, URL, TOKEN),
    "permissions": lambda http: probes.permissions(http, URL, TOKEN),
    "folder of a dashboard": lambda http: probes.folder_of(http, URL, TOKEN, "d"),
    "folder": lambda http: probes.has_folder(http, URL, TOKEN, "f"),
    "home dashboard": lambda http: probes.home_dashboard(http, URL, AUTH),
}
OF_GRAFANA = {
    "data sources",
    "dashboards",
    "strangers",
    "organization",
    "permissions",
    "folder of a dashboard",
    "folder",
    "home dashboard",
}
GARBAGE: dict[str, bytes] = {
    "a page": b"<html><body>Log in</body></html>",
    "nothing": b"",
    "cut JSON": b'{"status":"success","data":{"activeTargets":[{"labels"',
    "no text": b"\xff\xfe\x00\x80",
    "null": b"null",
    "a number": b"7",
    "a text": b'"ok"',
    "a list of numbers": b"[7]",
    "an error": b'{"status":"error","error":"x"}',
    "no data": b'{"data":null}',
    "data of a text": b'{"data":"x"}',
    "entries of another kind": b'{"data":{"activeTargets":[1],"groups":[1],"activeAlertmanagers":[1],"result":1}}',
    "entries without fields": b'{"data":{"activeTargets":[{}],"groups":[{}],"activeAlertmanagers":[{}]}}',
    "a rule without fields": b'{"data":{"groups":[{"name":"g","rules":[{}]}],"activeTargets":{}}}',
    "a metric without a value": b"alertmanager_config_hash \n",
    "a metric of no number": b"alertmanager_config_hash x\n",
    "an infinite metric": b"alertmanager_config_hash +Inf\n",
    "a metric that is not a number": b"alertmanager_config_hash NaN\n",
}


def answering(answer: httpx.Response | Exception) -> tuple[httpx.Client, list[httpx.Request]]:
    asked: list[httpx.Request] = []

    def handle(request: httpx.Request) -> httpx.Response:
        asked.append(request)
        if isinstance(answer, Exception):
            raise answer
        return answer

    return httpx.Client(transport=httpx.MockTransport(handle)), asked


def data(value: Any) -> httpx.Response:
    return httpx.Response(200, json={"status": "success", "data": value})


def refusal(probe: str, answer: httpx.Response | Exception, what: str) -> str:
    """What a probe says of an answer that it must not take."""
    http, _ = answering(answer)
    try:
        taken = PROBES[probe](http)
    except ClientError as error:
        return str(error)
    raise AssertionError(f"{probe} takes {what} for an answer: {taken!r}")


@pytest.mark.parametrize("probe", PROBES)
def test_an_answer_that_is_not_the_parts_own_is_one_error_of_one_line(probe: str) -> None:
    for what, content in GARBAGE.items():
        # Some have the right shape, and say that there is none.
        if (probe, what) == ("targets", "a rule without fields"):
            assert PROBES[probe](answering(httpx.Response(200, content=content))[0]) == []
        elif probe in ("permissions", "home dashboard") and content.startswith(b"{") and what != "cut JSON":
            PROBES[probe](answering(httpx.Response(200, content=content))[0])
        else:
            said = refusal(probe, httpx.Response(200, content=content), what)
            assert URL in said and "\n" not in said, what


@pytest.mark.parametrize("probe", PROBES)
def test_silence_and_errors_are_one_error_that_names_part_address_and_cause(probe: str) -> None:
    for answer, cause in (
        (httpx.ConnectError("[Errno 111] Connection refused"), "Connection refused"),
        (httpx.ConnectTimeout(""), "ConnectTimeout"),
        (httpx.ReadTimeout("timed out"), "timed out"),
        (httpx.RemoteProtocolError("Server disconnected"), "Server disconnected"),
        (httpx.DecodingError("bad gzip"), "bad gzip"),
        (httpx.Response(500, text="first line\n\tsecond line"), "500"),
        (httpx.Response(404, content=b"\xff\xff"), "404"),
        (httpx.Response(302, headers={"Location": "/login"}), "302"),
    ):
        if cause == "404" and probe.startswith("folder"):
            assert not PROBES[probe](answering(answer)[0])
            continue
        said = refusal(probe, answer, cause)
        assert cause in said and URL in said and "\n" not in said
        assert said.split()[0] in ("Prometheus", "Alertmanager", "Grafana")


@pytest.mark.parametrize(
    ("auth", "status", "told"),
    [
        (AUTH, 401, 'the credentials (401): its password is not the stack\'s secret; see "Rotating secrets"'),
        (AUTH, 403, "the credentials (403): admin is no administrator; log in as one"),
        (TOKEN, 401, "the token (401): it has expired, was deleted, or is for another Grafana; make a new one there"),
        (TOKEN, 403, "the token (403): its service account has not the role Admin; give it that there"),
    ],
)
def test_refused_logins_are_told_apart_and_not_told(auth: GrafanaAuth, status: int, told: str) -> None:
    http, asked = answering(httpx.Response(status, json={"message": "Invalid username or password"}))
    with pytest.raises(AuthenticationError) as caught:
        probes.datasources(http, URL, auth)
    assert str(caught.value).startswith(f"Grafana refuses {told}")
    assert "planted" not in str(caught.value) + repr(auth)
    assert len(asked) == 1


@pytest.mark.parametrize(
    ("text", "header"),
    [
        ("admin:pass:word ü", httpx.BasicAuth("admin", "pass:word ü")._auth_header),
        ("glsa_token", "Bearer glsa_token"),
        (" glsa_token\r\n", "Bearer glsa_token"),  # as it comes out of a file
        ("glsa_tökén", "Bearer glsa_tkn"),  # an error of the header would repeat it
    ],
)
def test_a_login_is_a_password_or_a_token(text: str, header: str) -> None:
    http, asked = answering(httpx.Response(200, json=[]))
    probes.datasources(http, URL, GrafanaAuth(text))
    assert asked[0].headers["Authorization"] == header


def test_a_dashboard_outside_of_any_folder_is_told_from_one_that_is_not_there() -> None:
    http, _ = answering(httpx.Response(404, json={"message": "not found"}))
    assert probes.folder_of(http, URL, TOKEN, "d") is None
    http, _ = answering(httpx.Response(200, json={"dashboard": {}, "meta": {"folderUid": ""}}))
    assert probes.folder_of(http, URL, TOKEN, "d") == ""


def test_an_address_that_is_none_is_an_error_of_ours() -> None:
    http, _ = answering(httpx.Response(200))
    with pytest.raises(ClientError, match="does not answer"):
        probes.get(http, "Grafana", "http://[::1")


def test_a_target_is_read_with_its_nanoseconds() -> None:
    target = {
        "labels": {"job": "redis", "instance": "cache"},
        "health": "down",
        "lastError": "refused",
        "lastScrape": "2030-01-02T03:04:05.123456789+01:00",
        "scrapeUrl": "http://exporter:9121/metrics",
    }
    http, asked = answering(data({"activeTargets": [target]}))
    (state,) = probes.targets(http, URL)
    assert (state.job, state.instance, state.up, state.error) == ("redis", "cache", False, "refused")
    assert state.last_scrape == datetime(2030, 1, 2, 2, 4, 5, 123456, tzinfo=UTC)
    assert state.url == "http://exporter:9121/metrics"
    assert asked[0].url.params["state"] == "active"


@pytest.mark.parametrize(
    ("text", "expected"),
    [
        ("2030-01-02T03:04:05Z", datetime(2030, 1, 2, 3, 4, 5, tzinfo=UTC)),
        ("2030-01-02T03:04:05.1Z", datetime(2030, 1, 2, 3, 4, 5, 100000, tzinfo=UTC)),
        ("2030-01-02T03:04:05.12345678Z", datetime(2030, 1, 2, 3, 4, 5, 123456, tzinfo=UTC)),
        ("0001-01-01T00:00:00Z", datetime(1, 1, 1, tzinfo=UTC)),
    ],
)
def test_times_are_read_as_go_writes_them(text: str, expected: datetime) -> None:
    target = {"labels": {"job": "j", "instance": "i"}, "health": "up", "lastError": "", "scrapeUrl": ""}
    http, _ = answering(data({"activeTargets": [{**target, "lastScrape": text}]}))
    assert probes.targets(http, URL)[0].last_scrape == expected


def test_prometheus_clock_is_read_with_its_fraction() -> None:
    http, asked = answering(data({"resultType": "vector", "result": [{"metric": {}, "value": [1, "1893553445.25"]}]}))
    assert probes.clock(http, URL) == datetime(2030, 1, 2, 3, 4, 5, 250000, tzinfo=UTC)
    assert asked[0].url.params["query"] == "vector(time())"


def test_rules_are_read_with_their_group_and_fault() -> None:
    alert = {"name": "Down", "type": "alerting", "health": "err", "lastError": "many-to-many", "state": "firing"}
    record = {"name": "ratio", "type": "recording", "health": "ok"}
    groups = [{"name": "g", "interval": 60, "rules": [alert, record]}, {"name": "empty", "rules": []}]
    http, _ = answering(data({"groups": groups}))
    down, ratio = probes.rules(http, URL)
    assert (down.group, down.name, down.kind, down.health, down.error, down.state) == (
        "g",
        "Down",
        "alerting",
        "err",
        "many-to-many",
        "firing",
    )
    assert (ratio.name, ratio.error, ratio.state, ratio.interval) == ("ratio", "", "", 60)


def test_the_release_is_that_of_its_own_rule() -> None:
    other = {"name": "other", "labels": {"revision": "no"}}
    info = {"name": CONFIG_INFO, "labels": {"revision": "0a1b2c"}}
    http, _ = answering(data({"groups": [{"name": "a", "rules": [other]}, {"name": "b", "rules": [info]}]}))
    assert probes.prometheus_revision(http, URL, CONFIG_INFO) == "0a1b2c"
    http, _ = answering(data({"groups": [{"name": "a", "rules": [other]}]}))
    assert probes.prometheus_revision(http, URL, CONFIG_INFO) == ""


@pytest.mark.parametrize("written", ["2.47288712345678e+14", "247288712345678", "2.47288712345678e14"])
def test_alertmanagers_hash_is_a_whole_number(written: str) -> None:
    text = f"# HELP alertmanager_config_hash x\nalertmanager_config_hash_2 1\nalertmanager_config_hash {written}\n"
    http, _ = answering(httpx.Response(200, text=text))
    assert probes.alertmanager_hash(http, URL) == "247288712345678"


def test_the_largest_hash_survives_the_metrics_number() -> None:
    largest = 2**48 - 1
    http, _ = answering(httpx.Response(200, text=f"alertmanager_config_hash {float(largest)!r}\n"))
    assert probes.alertmanager_hash(http, URL) == str(largest)


def test_a_query_is_sent_whole() -> None:
    series = {"metric": {"job": "api"}, "value": [1.0, "2"]}
    http, asked = answering(data({"resultType": "vector", "result": [series]}))
    assert probes.query(http, URL, 'sum(rate(x{a="b"}[5m])) + 1') == [series]
    assert asked[0].url.params["query"] == 'sum(rate(x{a="b"}[5m])) + 1'


def test_credentials_go_to_grafana_alone() -> None:
    for name, probe in PROBES.items():
        http, asked = answering(httpx.ConnectError("refused"))
        with pytest.raises(ClientError):
            probe(http)
        assert ("Authorization" in asked[0].headers) is (name in OF_GRAFANA), name


def test_alertmanagers_data_source_is_asked_through_the_proxy() -> None:
    http, asked = answering(httpx.Response(200, json={}))
    assert probes.datasource_problem(http, URL, AUTH, "prometheus", "prometheus") == ""
    assert probes.datasource_problem(http, URL, AUTH, "alertmanager", "alertmanager") == ""
    assert [request.url.path for request in asked] == [
        "/api/datasources/uid/prometheus/health",
        "/api/datasources/proxy/uid/alertmanager/api/v2/status",
    ]


def test_a_stand_in_says_so_itself() -> None:
    http, _ = answering(httpx.Response(200, json={}, headers={"X-Grafana-Stand-In": "1.0.0"}))
    assert probes.is_grafana_mock(http, URL)
    http, _ = answering(httpx.Response(200, json={}))
    assert not probes.is_grafana_mock(http, URL)


def test_no_proxy_of_the_machine_stands_before_loopback(monkeypatch: pytest.MonkeyPatch) -> None:
    for name in ("HTTP_PROXY", "HTTPS_PROXY", "ALL_PROXY"):
        monkeypatch.setenv(name, "http://127.0.0.1:1")
    with probes.client() as http:
        assert http.timeout == httpx.Timeout(probes.TIMEOUT)
        direct = http._transport
        assert http._transport_for_url(httpx.URL("http://127.0.0.1:9090")) is direct
        # A Grafana that is there already may be reached by it alone.
        assert http._transport_for_url(httpx.URL("https://grafana.example.com")) is not direct


# The engine


@pytest.fixture
def stack(monkeypatch: pytest.MonkeyPatch) -> FakeStack:
    fake = FakeStack(planned("dev"))
    fake.install(monkeypatch)
    return fake


def state_of(stack: FakeStack, service: str) -> probes.ContainerState:
    return next(state for state in probes.containers("softfactory") if state.name == f"softfactory-{service}")


def test_a_container_is_read_with_its_state(stack: FakeStack) -> None:
    stack.containers["redis"]["State"].update(Running=False, ExitCode=137, StartedAt="2030-01-02T03:04:05.123456789Z")
    state = state_of(stack, "redis")
    assert (state.running, state.paused, state.exit_code, state.health) == (False, False, 137, "healthy")
    assert state.started == datetime(2030, 1, 2, 3, 4, 5, 123456, tzinfo=UTC)
    assert state.id == "redis-id"


@pytest.mark.parametrize("health", [{}, {"Health": None}])
def test_a_container_without_a_health_check_has_no_health(health: dict[str, None], stack: FakeStack) -> None:
    del stack.containers["redis"]["State"]["Health"]
    stack.containers["redis"]["State"].update(health)
    assert state_of(stack, "redis").health == ""


@pytest.mark.parametrize("started", ["0001-01-01T00:00:00Z", ""])
def test_a_container_that_was_never_started_has_no_start(started: str, stack: FakeStack) -> None:
    stack.containers["redis"]["State"]["StartedAt"] = started
    assert state_of(stack, "redis").started is None


def test_only_one_environments_containers_are_asked_for_the_stopped_ones_too(stack: FakeStack) -> None:
    probes.containers("other", "tcp://engine.invalid:2376")
    assert stack.hosts == ["tcp://engine.invalid:2376"]
    assert stack.listings[0]["filters"] == {"label": "softfactory.prefix=other"}
    assert stack.listings[0]["all"] is True


@pytest.mark.parametrize(
    "error",
    [
        docker.errors.DockerException("version"),
        docker.errors.APIError("500"),
        requests.exceptions.ConnectionError("aborted"),
        requests.exceptions.ReadTimeout("slow"),
        FileNotFoundError("docker.sock"),
    ],
)
def test_an_engine_that_does_not_answer_is_one_error(error: Exception, stack: FakeStack) -> None:
    stack.engine_error = error
    with pytest.raises(ClientError, match="Docker engine"):
        probes.containers("softfactory")


@pytest.mark.parametrize("host", ["tcp://127.0.0.1:1", "unix:///nowhere.sock", "nonsense", "ssh://"])
def test_an_engine_address_that_leads_nowhere_is_one_error(host: str) -> None:
    with pytest.raises(ClientError, match="Docker engine") as caught:
        probes.containers("softfactory", host)
    assert host in str(caught.value)


def test_a_container_of_another_shape_is_one_error(stack: FakeStack) -> None:
    del stack.containers["redis"]["State"]["Running"]
    with pytest.raises(ClientError, match="Docker engine"):
        probes.containers("softfactory")
