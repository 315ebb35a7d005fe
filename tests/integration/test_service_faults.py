"""The services of the tests break to order: wires, servers, whole process groups."""

from __future__ import annotations

import socket
import sys
import time
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path
from subprocess import Popen

import kombu
import psutil
import pytest
import redis
from amqp.exceptions import NotFound

from tests.services import (
    Certificates,
    Process,
    RabbitServer,
    RedisServer,
    SharedRabbit,
    WaitedTooLong,
    find_rabbit,
    find_redis,
    missing,
    wait_for,
)
from tests.services.binaries import GET_RABBIT
from tests.services.fixtures import ProxyFactory, RedisFactory


@pytest.fixture
def behind(fresh_redis: RedisServer, proxy_factory: ProxyFactory):
    proxy = proxy_factory(fresh_redis.port)
    client = redis.Redis(port=proxy.port, socket_timeout=1, retry=None, protocol=2)
    with client:
        client.set("counter", 0)
        yield proxy, client


def test_a_lost_reply_leaves_the_work_done(behind) -> None:
    proxy, client = behind

    proxy.lose_reply(b"INCR")
    with pytest.raises(redis.ConnectionError):
        client.incr("counter")
    proxy.wait_lost()

    assert client.get("counter") == b"1"


def test_a_reply_can_be_lost_on_a_connection_that_stays(behind, fresh_redis) -> None:
    proxy, client = behind

    proxy.spoil_reply(b"INCR", "lost")
    with pytest.raises(redis.TimeoutError):
        client.incr("counter")
    proxy.wait_lost()

    assert client.get("counter") == b"1"  # over a new connection


def test_one_reply_can_be_slow(behind) -> None:
    proxy, client = behind

    proxy.spoil_reply(b"INCR", "slow", delay=0.3)
    began = time.monotonic()
    assert client.incr("counter") == 1
    took = time.monotonic() - began
    for _ in range(10):
        client.incr("counter")
    others = time.monotonic() - began - took

    assert took >= 0.3
    assert others < 10 * 0.3


def test_a_connection_can_end_before_a_request_arrives(behind) -> None:
    proxy, client = behind

    proxy.spoil_reply(b"INCR", "cut")
    with pytest.raises(redis.ConnectionError):
        client.incr("counter")
    proxy.wait_lost()

    assert client.get("counter") == b"0"


def test_a_wire_that_drops_replies_still_carries_requests(behind, fresh_redis) -> None:
    proxy, client = behind

    proxy.drop_replies()
    with pytest.raises(redis.TimeoutError):
        client.incr("counter")

    with fresh_redis.client() as direct:
        assert direct.get("counter") == b"1"


def test_a_black_hole_carries_nothing_until_it_is_healed(behind) -> None:
    proxy, client = behind

    proxy.swallow()
    with pytest.raises(redis.TimeoutError):
        client.incr("counter")
    proxy.forward()

    assert client.get("counter") == b"0"


def test_a_slow_wire_is_slow_in_each_direction(behind) -> None:
    proxy, client = behind

    proxy.delay = 0.1
    began = time.monotonic()
    client.ping()

    assert time.monotonic() - began >= 0.2


def test_what_a_wire_holds_arrives_when_it_is_let_go_and_not_before(behind) -> None:
    proxy, client = behind
    with socket.create_connection((proxy.host, proxy.port)) as connected:
        proxy.hold()
        connected.sendall(b"INCR counter\r\n")
        wait_for(lambda: proxy.kept, "a piece that is held")
        proxy.forward()
        assert client.get("counter") == b"0"

        proxy.let_go()

        assert connected.recv(64) == b":1\r\n"
    assert client.get("counter") == b"1"


def test_a_cut_wire_resets_who_is_connected_and_welcomes_others(behind) -> None:
    proxy, client = behind
    with socket.create_connection((proxy.host, proxy.port)) as connected:
        connected.sendall(b"PING\r\n")
        assert connected.recv(64) == b"+PONG\r\n"

        proxy.cut()

        with pytest.raises(ConnectionResetError):
            connected.recv(64)
    assert client.ping()


def test_a_refusing_wire_lets_nobody_in(behind) -> None:
    proxy, client = behind

    proxy.refuse()
    with pytest.raises(redis.ConnectionError):
        client.ping()
    proxy.forward()

    assert client.ping()


def test_a_frozen_server_answers_when_it_goes_on(fresh_redis: RedisServer) -> None:
    with fresh_redis.client(socket_timeout=0.2, retry=None) as client:
        fresh_redis.pause()
        with pytest.raises(redis.TimeoutError):
            client.ping()
        fresh_redis.resume()

        assert client.ping()


@pytest.mark.parametrize("on_disk", [True, False])
def test_only_a_server_with_a_file_remembers_after_kill_9(
    redis_factory: RedisFactory, on_disk: bool
) -> None:
    server = redis_factory(appendonly=on_disk)
    with server.client() as client:
        client.set("key", "value")
    port = server.port

    server.kill()
    server.start()

    assert server.port == port
    with server.client() as client:
        assert client.exists("key") == on_disk


def test_servers_speak_tls_ask_for_passwords_and_listen_on_files(
    redis_factory: RedisFactory, certificates: Certificates
) -> None:
    odd = "p@ss:/w rd#%?"
    servers = [
        redis_factory(tls=certificates),
        redis_factory(tls=certificates, tls_clients=True),
        redis_factory(password=odd, unix_socket=True),
    ]

    for url in [*(server.url for server in servers), servers[-1].unix_url]:
        with redis.Redis.from_url(url) as client:
            assert client.ping(), url
    with (
        redis.Redis(port=servers[-1].port, retry=None) as stranger,
        pytest.raises(redis.AuthenticationError),
    ):
        stranger.ping()


def test_an_acl_user_may_do_what_its_rules_say(redis_factory: RedisFactory) -> None:
    server = redis_factory(users={"alice": "on >secret ~mine:* +@all"})

    with redis.Redis.from_url(server.url_for(user="alice", password="secret")) as alice:
        assert alice.set("mine:1", 1)
        with pytest.raises(redis.exceptions.NoPermissionError):
            alice.set("yours:1", 1)


def test_a_server_with_a_taken_port_takes_another(
    redis_factory: RedisFactory, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    taken = redis_factory().port
    ports = iter([taken, taken, 0])
    free_port = "tests.services.server.free_port"
    real = sys.modules["tests.services.ports"].free_port
    monkeypatch.setattr(free_port, lambda: next(ports) or real())

    with RedisServer(find_redis() or "", tmp_path / "late") as late:
        assert late.port != taken


def test_a_server_that_cannot_start_says_why(redis_factory: RedisFactory) -> None:
    with pytest.raises(WaitedTooLong, match="no-such-option"):
        redis_factory(args=["--no-such-option", "1"])


def test_a_broker_with_taken_ports_takes_others(
    redis_factory: RedisFactory, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    taken, free = redis_factory().port, sys.modules["tests.services.ports"].free_port
    # its own port, its port mapper's (until one is free), that of Erlang's distribution
    given = iter([free(), taken, free(), taken])
    for module in ("server", "rabbit_server"):
        monkeypatch.setattr(
            f"tests.services.{module}.free_port", lambda: next(given, None) or free()
        )

    with RabbitServer(find_rabbit() or missing("RabbitMQ", GET_RABBIT), tmp_path / "late") as late:
        assert late.port != taken
        late.empty()
        with kombu.Connection(late.url) as connection:
            connection.connect()


def test_the_session_s_rabbitmq_is_lent_empty_even_if_it_came_back_dead(
    shared_rabbit: SharedRabbit,
) -> None:
    lent = shared_rabbit.lend()
    with kombu.Connection(lent.url) as connection:
        connection.SimpleQueue("left-over").put("a durable message")
    lent.kill()
    shared_rabbit.give_back(lent)

    lent = shared_rabbit.lend()

    with kombu.Connection(lent.url) as connection, pytest.raises(NotFound):
        kombu.Queue("left-over", channel=connection.channel()).queue_declare(passive=True)
    shared_rabbit.give_back(lent)


def test_virtual_hosts_are_made_by_many_at_once(rabbit_server: RabbitServer) -> None:
    with ThreadPoolExecutor(4) as at_once:
        made = list(at_once.map(lambda _: rabbit_server.new_vhost(), range(12)))

    assert len(set(made)) == 12
    for vhost in made:
        rabbit_server.delete_vhost(vhost)


def test_the_end_of_a_process_is_the_end_of_its_group(tmp_path: Path) -> None:
    script = "import subprocess, sys, time; subprocess.Popen(['sleep', '100']);print('up')"
    process = Process(
        [sys.executable, "-uc", script + "; time.sleep(100)"], cwd=tmp_path, log=tmp_path / "log"
    )
    process.start()
    process.wait_for_log("up")
    assert len(process.members()) == 2

    process.stop()

    assert process.members() == []


def test_a_frozen_process_runs_in_none_of_its_threads(tmp_path: Path) -> None:
    """The signal comes to the first thread, which sleeps; what answers is another one."""
    counter = tmp_path / "counter"
    code = f"""
import threading, time
def count():
    with open({str(counter)!r}, "ab", buffering=0) as file:
        while True:
            file.write(b"1")
threading.Thread(target=count, daemon=True).start()
time.sleep(600)
"""
    process = Process([sys.executable, "-c", code], cwd=tmp_path, log=tmp_path / "log")
    process.start()
    wait_for(lambda: counter.exists() and counter.stat().st_size, "the other thread")
    try:
        for _ in range(50):
            process.pause()

            there = counter.stat().st_size
            time.sleep(0.005)
            assert counter.stat().st_size == there

            process.resume()
    finally:
        process.kill()


def test_a_machine_that_stands_still_stops_all_but_who_had_been_stopped_before(
    tmp_path: Path,
) -> None:
    counter = tmp_path / "counter"
    code = f"""
import time
with open({str(counter)!r}, "ab", buffering=0) as file:
    while True:
        file.write(b"1")
        time.sleep(0.001)
"""
    runs, rests = (
        Process([sys.executable, "-c", each], cwd=tmp_path, log=tmp_path / f"log{number}")
        for number, each in enumerate((code, "import time; time.sleep(600)"))
    )
    runs.start()
    rests.start()
    try:
        wait_for(lambda: counter.exists() and counter.stat().st_size, "the other process")
        rests.pause()

        standstill = Popen([sys.executable, "-c", _STANDS_STILL.format(runs.pid, rests.pid)])
        wait_for(lambda: psutil.Process(runs.pid).status() == psutil.STATUS_STOPPED, "a standstill")
        there = counter.stat().st_size
        assert standstill.wait() == 0

        wait_for(lambda: counter.stat().st_size > there, "its end")
        assert psutil.Process(rests.pid).status() == psutil.STATUS_STOPPED
    finally:
        runs.kill()
        rests.kill()


_STANDS_STILL = """
from tools.standstill import stand_still
for pid in ({}, {}):
    stand_still(pid, 0.5)
"""
