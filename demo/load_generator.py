"""`python -m demo.load_generator`: a bounded load of sign-ups, logins, reads and searches against a local API."""

import random
import threading
import time
import uuid
from collections import Counter
from concurrent.futures import ThreadPoolExecutor
from ipaddress import ip_address
from typing import Annotated
from urllib.parse import urlsplit

import httpx
import typer

WORKERS = 4  # fewer than the API's eight threads, so that a slow API still answers its scrapes
PASSWORD = "correct horse battery"
NO_ANSWER = "no answer"


def is_loopback(url: str) -> bool:
    """Whether an http URL names this machine, as `localhost` or by a loopback address."""
    parts = urlsplit(url)
    host = parts.hostname or ""
    try:
        return parts.scheme == "http" and (host == "localhost" or ip_address(host).is_loopback)
    except ValueError:
        return False


class LoadGenerator:
    """Makes requests as a mix of visitors would, and counts the answers by action and status."""

    def __init__(self, client: httpx.Client) -> None:
        self.answers: Counter[tuple[str, str]] = Counter()
        self._client, self._lock = client, threading.Lock()
        self._known: list[str] = []

    def visit(self) -> None:
        """One request: 10 % sign-ups, 15 % logins, 55 % reads (the first articles most), 20 % searches."""
        (action,) = random.choices(("signup", "login", "read", "search"), (10, 15, 55, 20))
        try:
            status = str(getattr(self, f"_{action}")().status_code)
        except httpx.HTTPError:
            status = NO_ANSWER
        with self._lock:
            self.answers[action, status] += 1

    def _signup(self) -> httpx.Response:
        email = f"visitor-{uuid.uuid4().hex[:12]}@example.org"
        answer = self._client.post("/api/auth/signup", json={"email": email, "password": PASSWORD})
        if answer.status_code == 201:
            with self._lock:
                self._known.append(email)
        return answer

    def _login(self) -> httpx.Response:
        with self._lock:
            email = random.choice(self._known or ["nobody@example.org"])
        return self._client.post("/api/auth/login", json={"email": email, "password": PASSWORD})

    def _read(self) -> httpx.Response:
        return self._client.get(f"/api/articles/{min(20, 1 + int(random.expovariate(0.3)))}")

    def _search(self) -> httpx.Response:
        words = random.choice(("factory", "software", "article 7", "builds", "nothing at all"))
        return self._client.get("/api/search", params={"q": words})


def main(
    base_url: Annotated[str, typer.Option(help="The API, on this machine.")] = "http://127.0.0.1:8000",
    seconds: Annotated[float, typer.Option(min=1, max=3600, help="How long.")] = 60,
    rate: Annotated[float, typer.Option(min=0.1, max=50, help="Requests a second, at most.")] = 5,
) -> None:
    """Sends requests to the demo's API so that every metric moves."""
    if not is_loopback(base_url):
        raise typer.BadParameter(f"{base_url} is not an http address of this machine")
    limits = httpx.Limits(max_connections=WORKERS)
    with httpx.Client(base_url=base_url, timeout=10, trust_env=False, limits=limits) as client:
        try:
            client.get("/healthz").raise_for_status()
        except httpx.HTTPError as error:
            typer.echo(f"No API at {base_url}/healthz ({error}); start it with `make up`.", err=True)
            raise typer.Exit(1) from None
        visitors = LoadGenerator(client)
        run(visitors, seconds, rate)
    for (action, status), count in sorted(visitors.answers.items()):
        typer.echo(f"{action:7} {status:10} {count:6}")
    total = visitors.answers.total()
    typer.echo(f"{total} requests in {seconds:g} s to {base_url}")
    if total == sum(count for (_, status), count in visitors.answers.items() if status == NO_ANSWER):
        typer.echo(f"The API at {base_url} answered none of the requests.", err=True)
        raise typer.Exit(1)


def run(visitors: LoadGenerator, seconds: float, rate: float) -> None:
    """Paces the visits; a slow API gets fewer of them, never a heap of waiting ones."""
    begin = time.monotonic()
    free = threading.Semaphore(WORKERS)

    def visit() -> None:
        try:
            visitors.visit()
        finally:
            free.release()

    next_report = 10
    with ThreadPoolExecutor(WORKERS) as pool:
        for number in range(int(seconds * rate)):
            time.sleep(max(0.0, begin + number / rate - time.monotonic()))
            free.acquire()
            if (passed := time.monotonic() - begin) >= seconds:
                break
            pool.submit(visit)
            if passed >= next_report:
                typer.echo(f"{passed:4.0f} s: {number} requests sent")
                next_report += 10


if __name__ == "__main__":
    typer.run(main)
