"""Amazon SQS as a process of the test: moto's, on a loopback port of its own."""

from __future__ import annotations

import json
import os
import sys
import urllib.request
from collections.abc import Mapping
from pathlib import Path
from typing import Any

from tests.services.ports import LOOPBACK
from tests.services.process import Process
from tests.services.server import Server

REGION = "us-east-1"
KEY, SECRET = "key", "secret"


class SqsServer(Server):
    """One server. It keeps nothing over `stop` and `start`; its port stays the same."""

    STARTED = 60.0

    def __init__(self, directory: Path) -> None:
        directory.mkdir(parents=True, exist_ok=True)
        checkout = Path(__file__).parents[2]
        env = {**os.environ, "PYTHONDONTWRITEBYTECODE": "1"}
        super().__init__(Process([], cwd=checkout, log=directory / "sqs.log", env=env))

    # -- life ---------------------------------------------------------------------------------

    def begin(self) -> None:
        self.choose_ports()
        self.process.argv = [sys.executable, "-m", "tests.services.sqs_program", str(self.port)]
        self.process.start()

    def empty(self) -> None:
        """Forget all queues and requests, and refuse nothing."""
        self._ask("/moto-api/reset", {})
        self.refuse()

    # -- addresses ----------------------------------------------------------------------------

    @property
    def url(self) -> str:
        """For Celery."""
        return self.url_for()

    def url_for(self, *, port: int | None = None) -> str:
        """The same at another port (a `Proxy`'s)."""
        return f"sqs://{KEY}:{SECRET}@{LOOPBACK}:{port or self.port}"

    @staticmethod
    def options(**more: Any) -> dict[str, Any]:
        """Transport options with which Celery finds it, and asks it often."""
        quick = {"polling_interval": 0.05, "wait_time_seconds": 0}
        return {"is_secure": False, "region": REGION, **quick, **more}

    # -- what it does and has seen --------------------------------------------------------------

    def refuse(self, **actions: tuple[int, str]) -> None:
        """Answer these actions with an error, `SendMessage=(403, "AccessDenied")`, and no others;
        forget the requests so far."""
        self._ask("/_tests", actions)

    def requests(self, action: str) -> list[dict[str, Any]]:
        """Return the requests of one action since `refuse` or `empty`: parameters, and `at`."""
        seen: list[dict[str, Any]] = self._ask("/_tests")
        return [one for one in seen if one["action"] == action]

    def create(self, name: str, **attributes: object) -> str:
        """Make a queue by hand, as with the AWS console, and return its URL."""
        written = {attribute: str(value) for attribute, value in attributes.items()}
        url: str = self.call("CreateQueue", QueueName=name, Attributes=written)["QueueUrl"]
        return url

    def attributes(self, url: str) -> dict[str, str]:
        """Return what SQS says of a queue."""
        asked = self.call("GetQueueAttributes", QueueUrl=url, AttributeNames=["All"])
        attributes: dict[str, str] = asked["Attributes"]
        return attributes

    def call(self, action: str, **parameters: Any) -> dict[str, Any]:
        """Do one action of SQS."""
        signed = f"Credential={KEY}/20260101/{REGION}/sqs/aws4_request"
        headers = {
            "X-Amz-Target": f"AmazonSQS.{action}",
            "Content-Type": "application/x-amz-json-1.0",
            "Authorization": f"AWS4-HMAC-SHA256 {signed}",
        }
        answer: dict[str, Any] = self._ask("/", parameters, headers)
        return answer

    # -- inside -------------------------------------------------------------------------------

    def answers(self) -> bool:
        try:
            self._ask("/_tests")
        except OSError:
            return False
        return True

    def _ask(self, path: str, sent: object = None, headers: Mapping[str, str] | None = None) -> Any:
        body = None if sent is None else json.dumps(sent).encode()
        url = f"http://{LOOPBACK}:{self.port}{path}"
        request = urllib.request.Request(url, body, dict(headers or {}))
        with urllib.request.urlopen(request, timeout=10) as answer:
            return json.loads(answer.read() or b"null")


def has_moto() -> bool:
    """Whether moto's server and kombu's transport for SQS can be imported here."""
    from importlib.util import find_spec

    return all(find_spec(name) for name in ("moto", "flask", "boto3"))
