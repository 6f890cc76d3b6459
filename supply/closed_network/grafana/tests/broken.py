"""Ways in which a server can be broken: wrappers around the stand-in's WSGI application (see Running.wrap)."""

from __future__ import annotations

import contextlib
import dataclasses
import io
import json
import re
from collections.abc import Callable
from typing import Any
from wsgiref.types import StartResponse, WSGIApplication, WSGIEnvironment

Wrap = Callable[[WSGIApplication, WSGIEnvironment, StartResponse], Any]


@dataclasses.dataclass
class Answer:
    """An answer on its way to the client; `data` is its JSON, or its text."""

    status: int
    data: Any
    headers: list[tuple[str, str]] = dataclasses.field(default_factory=lambda: [("Content-Type", "application/json")])


def matches(environ: WSGIEnvironment, method: str, path: str) -> bool:
    return re.fullmatch(method, environ["REQUEST_METHOD"]) is not None and (
        re.fullmatch(path, environ["PATH_INFO"]) is not None
    )


def send(answer: Answer, start: StartResponse) -> list[bytes]:
    text = answer.data if isinstance(answer.data, str) else json.dumps(answer.data)
    headers = [each for each in answer.headers if each[0].lower() != "content-length"]
    start(f"{answer.status} Status", [*headers, ("Content-Length", str(len(text.encode())))])
    return [text.encode()]


def ask(application: WSGIApplication, environ: WSGIEnvironment) -> Answer:
    seen: dict[str, Any] = {}

    def start(status: str, headers: list[tuple[str, str]], _error: Any = None) -> Callable[[bytes], object]:
        seen.update(status=int(status.split()[0]), headers=headers)
        return lambda data: None

    parts = application(environ, start)
    text = b"".join(parts).decode()
    close = getattr(parts, "close", None)
    if close:
        close()
    data: Any = text
    with contextlib.suppress(ValueError):
        data = json.loads(text)
    return Answer(seen["status"], data, seen["headers"])


def changes(method: str, path: str, change: Callable[[Answer], object]) -> Wrap:
    """A server whose answers to some calls are wrong."""

    def wrap(application: WSGIApplication, environ: WSGIEnvironment, start: StartResponse) -> Any:
        if not matches(environ, method, path):
            return application(environ, start)
        answer = ask(application, environ)
        change(answer)
        return send(answer, start)

    return wrap


def turns(method: str, path: str, old: int, new: int, data: Any = None) -> Wrap:
    """A server that answers with another status."""

    def change(answer: Answer) -> None:
        if answer.status == old:
            answer.status = new
            answer.data = data if data is not None else answer.data

    return changes(method, path, change)


def sets(method: str, path: str, *keys: str, to: Any) -> Wrap:
    """A server with a wrong value somewhere in its answers."""

    def change(answer: Answer) -> None:
        found = answer.data
        for key in keys[:-1]:
            found = found[key]
        for each in found if isinstance(found, list) else [found]:
            each[keys[-1]] = to

    return changes(method, path, change)


def does_nothing(method: str, path: str, status: int = 200, data: Any = None, seen: list[str] | None = None) -> Wrap:
    """A server that answers without doing anything; `seen` collects the calls."""

    def wrap(application: WSGIApplication, environ: WSGIEnvironment, start: StartResponse) -> Any:
        if not matches(environ, method, path):
            return application(environ, start)
        environ["wsgi.input"].read()
        if seen is not None:
            seen.append(environ["PATH_INFO"])
        return send(Answer(status, data or {"message": "done"}), start)

    return wrap


def misreads(method: str, path: str, change: Callable[[dict[str, Any]], object]) -> Wrap:
    """A server that reads something else than what was sent."""

    def wrap(application: WSGIApplication, environ: WSGIEnvironment, start: StartResponse) -> Any:
        if matches(environ, method, path):
            sent = json.loads(environ["wsgi.input"].read())
            change(sent)
            text = json.dumps(sent).encode()
            environ["wsgi.input"], environ["CONTENT_LENGTH"] = io.BytesIO(text), str(len(text))
        return application(environ, start)

    return wrap
