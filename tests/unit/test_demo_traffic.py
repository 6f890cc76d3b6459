"""The bounds of the traffic generator; no request leaves the process."""

from collections import Counter

import httpx
import pytest
import typer
from typer.testing import CliRunner

from demo import load_generator

app = typer.Typer()
app.command()(load_generator.main)


@pytest.mark.parametrize("url", ["http://127.0.0.1:8000", "http://localhost", "http://[::1]:1", "http://127.9.9.9"])
def test_this_machine_is_accepted(url: str) -> None:
    assert load_generator.is_loopback(url)


@pytest.mark.parametrize(
    "url",
    [
        "http://10.0.0.1",
        "http://example.org",
        "http://127.0.0.1.example.org",
        "http://localhost@example.org",
        "http://0.0.0.0",
        "https://127.0.0.1",
        "127.0.0.1:8000",
        "",
    ],
)
def test_other_machines_are_refused(url: str) -> None:
    assert not load_generator.is_loopback(url)
    assert CliRunner().invoke(app, ["--base-url", url]).exit_code == 2


@pytest.mark.parametrize("option", [["--rate", "51"], ["--seconds", "3601"], ["--rate", "0"]])
def test_load_is_bounded(option: list[str]) -> None:
    assert CliRunner().invoke(app, option).exit_code == 2


def test_visits_are_mixed_and_counted() -> None:
    paths: Counter[str] = Counter()

    def answer(request: httpx.Request) -> httpx.Response:
        paths[request.url.path] += 1
        return httpx.Response(201 if request.url.path.endswith("signup") else 200)

    visitors = load_generator.LoadGenerator(
        httpx.Client(transport=httpx.MockTransport(answer), base_url="http://127.0.0.1")
    )
    for _ in range(400):
        visitors.visit()
    assert visitors.answers.total() == 400
    assert {"signup", "login", "read", "search"} == {action for action, _ in visitors.answers}
    assert paths.most_common(1)[0][1] > 1  # repeats, so that the cache hits


def test_an_outage_is_counted_and_survived() -> None:
    def refuse(request: httpx.Request) -> httpx.Response:
        raise httpx.ConnectError("refused", request=request)

    visitors = load_generator.LoadGenerator(
        httpx.Client(transport=httpx.MockTransport(refuse), base_url="http://127.0.0.1")
    )
    load_generator.run(visitors, seconds=1, rate=20)
    assert {status for _, status in visitors.answers} == {load_generator.NO_ANSWER}
    assert visitors.answers.total() <= 20
