"""Amazon SQS, played by moto, as a program that notes its requests and refuses what it is told to.

`python -m tests.services.sqs_program PORT`. Requests to /_tests are the tests' own, in JSON: a POST
sets what is refused, `{"SendMessage": [403, "AccessDenied"]}`; a GET returns each request of SQS
since the last POST, with the time at which it came.
"""

from __future__ import annotations

import io
import json
import sys
import threading
import time
from collections.abc import Callable, Iterable
from typing import Any

from moto.moto_server.werkzeug_app import DomainDispatcherApplication, create_backend_app
from werkzeug.serving import WSGIRequestHandler, run_simple

Environ = dict[str, Any]
Start = Callable[[str, list[tuple[str, str]]], object]


class Recorded:
    """A WSGI application that stands before moto's."""

    def __init__(self) -> None:
        self._moto: Any = DomainDispatcherApplication(create_backend_app)
        self._refused: dict[str, list[Any]] = {}
        self._seen: list[dict[str, Any]] = []
        self._lock = threading.Lock()

    def __call__(self, environ: Environ, start: Start) -> Iterable[bytes]:
        length = int(environ.get("CONTENT_LENGTH") or 0)
        body: bytes = environ["wsgi.input"].read(length)
        if environ["PATH_INFO"] == "/_tests":
            return self._told(environ["REQUEST_METHOD"], body, start)
        action = environ.get("HTTP_X_AMZ_TARGET", "").rpartition(".")[2]
        if action:
            with self._lock:
                seen = {"action": action, "at": time.time(), **json.loads(body or b"{}")}
                self._seen.append(seen)
            if action in self._refused:
                status, code = self._refused[action]
                said = {"__type": f"com.amazonaws.sqs#{code}", "message": "as the test asked"}
                return _answer(start, status, said)
        environ["wsgi.input"] = io.BytesIO(body)
        answer: Iterable[bytes] = self._moto(environ, start)
        return answer

    def _told(self, method: str, body: bytes, start: Start) -> list[bytes]:
        with self._lock:
            if method == "POST":
                self._refused, self._seen = json.loads(body), []
            return _answer(start, 200, self._seen)


def _answer(start: Start, status: int, said: object) -> list[bytes]:
    written = json.dumps(said).encode()
    start(
        f"{status} Test",
        [("Content-Type", "application/x-amz-json-1.0"), ("Content-Length", str(len(written)))],
    )
    return [written]


class Handler(WSGIRequestHandler):
    """Keeps a connection open for the next request, as Amazon does, and writes no log of them."""

    protocol_version = "HTTP/1.1"

    def log_request(self, *args: object, **options: object) -> None:
        pass


if __name__ == "__main__":
    run_simple("127.0.0.1", int(sys.argv[1]), Recorded(), threaded=True, request_handler=Handler)
