"""The servers of a row are killed, frozen, emptied, and one worker is cut off from them."""

from __future__ import annotations

import os
import socket
import subprocess
import sys
from collections.abc import Iterator
from pathlib import Path

import pytest
import redis

from tests.services import RedisServer
from tests.stores.group import Group
from tests.stores.kinds.redis import servers
from tests.stores.stage import Stage


@pytest.fixture
def group(tmp_path: Path) -> Iterator[Group]:
    with servers(tmp_path / "redis", appendonly=False) as made:
        yield made


def client(group: Group, **options: float) -> redis.Redis:
    server = group.servers[0]
    assert isinstance(server, RedisServer)
    return server.client(retry=None, **options)


def test_what_is_restarted_empty_has_forgotten_all(group: Group) -> None:
    with client(group) as before:
        before.set("x", "y")

    group.restart_empty(0)

    with client(group) as after:
        assert after.get("x") is None


def test_what_is_frozen_answers_when_it_is_resumed(group: Group) -> None:
    group.pause(0)
    with client(group, socket_timeout=0.1) as hasty, pytest.raises(redis.TimeoutError):
        hasty.ping()

    group.resume(0)

    with client(group) as patient:
        assert patient.ping()


PROBE = """
import socket, sys
from tests.stores.app import go_through
go_through({int(sys.argv[1]): int(sys.argv[2])})
sock = socket.create_connection(("127.0.0.1", int(sys.argv[1])), timeout=5)
sock.settimeout(0.3)
sock.sendall(b"PING\\r\\n")
try:
    print(sock.recv(64))
except TimeoutError:
    print("nothing")
"""


def test_one_worker_can_be_cut_off_whoever_told_it_the_address(group: Group) -> None:
    port = group.servers[0].port
    with Stage(group) as stage:

        def said() -> str:
            argv = [sys.executable, "-c", PROBE, str(port), str(stage.ways[port])]
            root = str(Path(__file__).parents[2])
            done = subprocess.run(
                argv, capture_output=True, text=True, env={**os.environ, "PYTHONPATH": root}
            )
            return done.stdout.strip() or done.stderr

        stage.cut_off(0)
        cut, others = said(), socket.create_connection(("127.0.0.1", port), timeout=5)
        others.sendall(b"PING\r\n")
        heard = others.recv(64)
        others.close()
        stage.join(0)
        joined = said()

    assert (cut, heard, joined) == ("nothing", b"+PONG\r\n", "b'+PONG\\r\\n'")
