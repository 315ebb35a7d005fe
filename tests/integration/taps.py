"""Raw messages as a broker got them: every copy of every task message, in the order of arrival.

Nothing on the way is changed: Redis shows its commands (MONITOR), RabbitMQ publishes what it was
given a second time (its tracer, without a plugin).
"""

from __future__ import annotations

import base64
import json
import re
import socket
import threading
import time
import uuid
from collections.abc import Iterator, Mapping
from contextlib import contextmanager, suppress
from dataclasses import dataclass, field
from typing import Any

import kombu
import redis

from tests.services import RabbitServer, RedisServer, wait_for


@dataclass(frozen=True)
class Copy:
    """One message, as it reached the broker."""

    task_id: str
    task: str
    parts: Mapping[str, Any]
    """All there is to it: body, headers, properties, and the queues that it went to."""
    seen: float = field(default_factory=time.time)

    def flat(self) -> dict[str, Any]:
        """Its parts by dotted name; a field of ours or a header counts as one."""
        flat: dict[str, Any] = {}
        for part, value in self.parts.items():
            if isinstance(value, Mapping):
                for name, inner in value.items():
                    if name == "delivery_info":
                        flat |= {f"{part}.{name}.{key}": one for key, one in inner.items()}
                    else:
                        flat[f"{part}.{name}"] = inner
            else:
                flat[part] = value
        return flat

    @property
    def headers(self) -> dict[str, Any]:
        """The message's headers."""
        return dict(self.parts["headers"])


def differences(one: Copy, other: Copy) -> dict[str, tuple[Any, Any]]:
    """What differs between two copies; `...` stands for what is not there at all."""
    before, after = one.flat(), other.flat()
    return {
        name: (before.get(name, ...), after.get(name, ...))
        for name in sorted({*before, *after})
        if before.get(name, ...) != after.get(name, ...)
    }


class Tap:
    """Listens to a broker."""

    def __init__(self) -> None:
        self._copies: list[Copy] = []

    def copies(self, task_id: str) -> list[Copy]:
        """The copies of one task's message so far."""
        self._read()
        return [copy for copy in self._copies if copy.task_id == task_id]

    def everything(self) -> list[Copy]:
        """All copies of all messages so far."""
        self._read()
        return list(self._copies)

    def wait_for(self, task_id: str, count: int, timeout: float = 20.0) -> list[Copy]:
        """Wait until so many copies have reached the broker, and return all."""
        return wait_for(
            lambda: len(found := self.copies(task_id)) >= count and found,
            f"{count} copies of the message of task {task_id}",
            timeout=timeout,
            explain=lambda: str([c for c in self._copies if c.task_id == task_id]),
        )

    def _read(self) -> None:
        raise NotImplementedError


# -- Redis --------------------------------------------------------------------------------------

_QUOTED = re.compile(r'"(?:[^"\\]|\\.)*"')
_OURS = re.compile(rb'\+\S+ \[.*?\] "(?:echo|[lr]push)" ', re.IGNORECASE)
"""The beginning of a line that is worth a look: a busy worker says a hundred others for each."""


class RedisTap(Tap):
    """Sees what is pushed on any list of a server."""

    def __init__(self, connection: socket.socket, client: redis.Redis) -> None:
        super().__init__()
        self._client = client
        self._echo = ""
        self._thread = threading.Thread(target=self._listen, args=[connection], daemon=True)
        self._thread.start()

    def _read(self) -> None:
        # what the server has done before this echo has been heard when the echo is
        mark = uuid.uuid4().hex
        self._client.echo(mark)
        wait_for(lambda: self._echo == mark, "the tap's own echo", poll=0.001)

    def close(self) -> None:
        """Wait for the thread; its connection is closed."""
        self._thread.join(5)

    def _listen(self, connection: socket.socket) -> None:
        with suppress(OSError, ValueError), connection.makefile("rb") as lines:
            for line in lines:
                if _OURS.match(line):
                    self._take(line.decode())

    def _take(self, line: str) -> None:
        # +1700000000.123456 [0 127.0.0.1:40000] "LPUSH" "queue" "{...}", escaped as in Python
        command, *quoted = _QUOTED.findall(line)
        words = [_unescaped(word) for word in quoted]
        if command.upper() == '"ECHO"':
            self._echo = words[0]
        if not words[-1].startswith("{"):
            return
        message = json.loads(words[-1])
        if "body" not in message or "pidbox" in words[0]:
            return
        headers = message["headers"]
        task, task_id = headers.get("task"), headers.get("id")
        if task is None:  # protocol 1: there is nothing in the headers
            body = json.loads(base64.b64decode(message["body"]))
            task, task_id = body["task"], body["id"]
        parts = {"queue": words[0], **message}
        self._copies.append(Copy(task_id, task, parts, float(line[1:].split()[0])))


def _unescaped(quoted: str) -> str:
    # not ast.literal_eval: two threads must not parse at once (CPython 3.11)
    return quoted[1:-1].encode().decode("unicode_escape").encode("latin-1").decode(errors="replace")


@contextmanager
def tap_redis(server: RedisServer) -> Iterator[Tap]:
    """Listen to a Redis broker."""
    with socket.create_connection((server.host, server.port)) as connection:
        connection.sendall(b"MONITOR\r\n")
        assert connection.recv(5) == b"+OK\r\n"
        with server.client() as client:
            tap = RedisTap(connection, client)
            yield tap
        connection.shutdown(socket.SHUT_RDWR)
        tap.close()


# -- RabbitMQ -----------------------------------------------------------------------------------


class RabbitTap(Tap):
    """Sees what is published in a virtual host, and to which queues it was routed."""

    def __init__(self, queue: Any) -> None:
        super().__init__()
        self._queue = queue

    def _read(self) -> None:
        while (traced := self._queue.get(no_ack=True)) is not None:
            about = traced.headers
            properties = dict(about["properties"])
            headers = properties.pop("headers", {})
            if "task" not in headers and b'"task"' not in traced.body:
                continue  # events, remote control, results
            body = json.loads(traced.body) if "task" not in headers else headers
            parts = {
                "body": traced.body,
                "headers": headers,
                "properties": properties,
                "exchange": about["exchange_name"],
                "routing_key": about["routing_keys"],
                "queues": about["routed_queues"],
            }
            self._copies.append(Copy(body["id"], body["task"], parts))


@contextmanager
def tap_rabbit(server: RabbitServer, vhost: str) -> Iterator[Tap]:
    """Listen to a virtual host of RabbitMQ."""
    server.trace(vhost)
    tracer = kombu.Exchange("amq.rabbitmq.trace", type="topic", passive=True)
    with kombu.Connection(server.url_for(vhost)) as connection:
        queue = kombu.Queue(exchange=tracer, routing_key="publish.#", exclusive=True)
        bound = queue(connection.default_channel)
        bound.declare()
        yield RabbitTap(bound)
