"""What the tests run against: a stand-in server in this process, and a Prometheus with a few answers."""

from __future__ import annotations

import dataclasses
import json
from http.server import BaseHTTPRequestHandler
from pathlib import Path
from typing import Any
from urllib.parse import parse_qs, urlsplit

from broken import Wrap
from grafana_stand_in.web import Settings

HERE = Path(__file__).resolve().parent
PASSWORD = "the-administrators"


@dataclasses.dataclass
class Running:
    """A stand-in server in this process. `wrap`, where set, sees every call instead of the application."""

    settings: Settings
    url: str = ""
    wrap: Wrap | None = None

    @property
    def auth(self) -> tuple[str, str]:
        return ("admin", PASSWORD)


ANSWERS: dict[str, Any] = {
    "1+1": {"resultType": "scalar", "result": [0, "2"]},
    "vector(7)": {"resultType": "vector", "result": [{"metric": {}, "value": [1700000000, "7"]}]},
    "up": {
        "resultType": "vector",
        "result": [
            {"metric": {"__name__": "up", "instance": "a:1"}, "value": [1700000000, "1"]},
            {"metric": {"__name__": "up", "instance": "<b>"}, "value": [1700000000, "NaN"]},
        ],
    },
}


class Prometheus(BaseHTTPRequestHandler):
    """Prometheus' query API with the few answers that the tests ask for; other queries do not parse."""

    def do_GET(self) -> None:  # the base class' name
        size = int(self.headers.get("Content-Length", 0))
        address = urlsplit(self.path)
        asked = {
            key: values[0] for key, values in parse_qs(address.query + "&" + self.rfile.read(size).decode()).items()
        }
        data: Any = ANSWERS.get(asked.get("query", "").partition("{")[0])
        if "/label/" in address.path:
            data = ["a:1", "<b>"]
        if data and address.path.endswith("query_range"):
            times = range(int(float(asked["start"])), int(float(asked["end"])), int(float(asked["step"])))
            data = {"resultType": "matrix", "result": [{"metric": {}, "values": [[each, "7"] for each in times]}]}
        status = 200 if data else 400
        body = (
            {"status": "success", "data": data} if data else {"status": "error", "errorType": "bad_data", "error": "no"}
        )
        self.send_response(status)
        self.send_header("Content-Type", "application/json")
        self.end_headers()
        self.wfile.write(json.dumps(body).encode())

    do_POST = do_GET  # noqa: N815

    def log_message(self, format: str, *args: Any) -> None:
        """Say nothing."""
