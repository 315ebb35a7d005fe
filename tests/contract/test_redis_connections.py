"""A connection sends a command and reads its reply later: whose reply is it, and until when?"""

from __future__ import annotations

import signal
import socket
from collections.abc import Iterator
from contextlib import contextmanager
from time import monotonic

import pytest

from celery_lock.stores.link.deadline_socket import ConnectionLost, DeadlineExceeded
from celery_lock.stores.redis.link.address import Address
from celery_lock.stores.redis.link.connection import Connection
from celery_lock.stores.redis.link.discovery import FixedAddress
from celery_lock.stores.redis.link.pool import Pool
from celery_lock.stores.redis.link.resp import ErrorReply, ProtocolError, command
from tests.contract.fake_server import FakeServer, always
from tests.services.redis_server import RedisServer
from tests.unit.forking import holds_in_a_child

pytestmark = pytest.mark.contract


def soon(seconds: float = 5.0) -> float:
    return monotonic() + seconds


def echo(word: str) -> bytes:
    return command("ECHO", word)


@contextmanager
def connected(url: str) -> Iterator[Connection]:
    connection = Connection(FixedAddress(Address.parse(url)))
    try:
        yield connection
    finally:
        connection.close()


@pytest.fixture
def connection(redis_url: str) -> Iterator[Connection]:
    with connected(redis_url) as connection:
        yield connection


def never(connection: socket.socket) -> None:
    """Answer nothing."""
    while connection.recv(65536):
        pass


def identity(connection: Connection) -> object:
    return connection.exchange(command("CLIENT", "ID"), soon())


# -- whose reply -----------------------------------------------------------------------------


def test_a_reply_is_read_when_somebody_asks_for_it(connection: Connection) -> None:
    connection.begin(echo("a"), soon())

    assert connection.unread == 1
    assert connection.finish() == b"a"
    assert connection.unread == 0


def test_several_commands_in_one_piece_have_a_reply_each(connection: Connection) -> None:
    connection.begin(echo("a") + command("NONSENSE") + echo("c"), soon(), 3)

    assert connection.finish() == b"a"
    with pytest.raises(ErrorReply, match="unknown command"):
        connection.finish()
    assert connection.finish() == b"c"
    assert identity(connection) == identity(connection)


def test_a_reply_that_nobody_read_is_not_taken_for_the_next_one(connection: Connection) -> None:
    before = identity(connection)
    connection.begin(echo("a"), soon())

    assert connection.exchange(echo("b"), soon()) == b"b"

    assert identity(connection) != before


def test_one_reply_of_two_that_nobody_read_is_not_taken_for_the_next_one(
    connection: Connection,
) -> None:
    connection.begin(echo("a") + echo("b"), soon(), 2)
    connection.finish()

    assert connection.exchange(echo("c"), soon()) == b"c"


def test_a_connection_with_a_reply_that_nobody_read_is_not_lent_to_the_next_one(
    redis_url: str, redis_server: RedisServer
) -> None:
    pool = Pool(FixedAddress(Address.parse(redis_url)), 1)
    connection = pool.take(soon())
    connection.begin(echo("a"), soon())  # and then the caller is interrupted
    pool.give(connection)

    lent = pool.take(soon())

    assert not lent.connected
    assert lent.exchange(echo("b"), soon()) == b"b"
    pool.give(lent)
    pool.close()


def test_a_reply_that_is_not_due_is_not_waited_for(connection: Connection) -> None:
    with pytest.raises(ConnectionLost, match="no reply is due"):
        connection.finish()

    identity(connection)
    with pytest.raises(ConnectionLost, match="no reply is due"):
        connection.finish()


def test_a_reply_that_was_due_is_lost_when_the_connection_is_closed(
    connection: Connection,
) -> None:
    connection.begin(echo("a"), soon())
    connection.close()

    with pytest.raises(ConnectionLost, match="no reply is due"):
        connection.finish()


def test_a_reply_too_many_ends_the_connection() -> None:
    with FakeServer(always(b"+a\r\n+b\r\n+c\r\n")) as server, connected(server.url) as connection:
        connection.begin(echo("a") + echo("b"), soon(), 2)
        connection.finish()

        with pytest.raises(ProtocolError):
            connection.finish()

        assert not connection.connected


# -- a reply that is left --------------------------------------------------------------------


class Failures(list[Exception]):
    """What callers hear of replies that were left."""

    def hear(self, error: Exception, ends: float) -> None:
        self.append(error)


def test_a_reply_that_is_left_is_read_before_the_next_one(connection: Connection) -> None:
    before, failures = identity(connection), Failures()

    connection.send_unheard(echo("a"), soon(), failures.hear)
    connection.send_unheard(echo("b"), soon(), failures.hear)

    assert connection.exchange(echo("c"), soon()) == b"c"
    assert identity(connection) == before
    assert failures == []


def test_an_error_that_is_left_is_heard_once_and_not_by_the_next_caller(
    connection: Connection,
) -> None:
    failures = Failures()
    connection.send_unheard(command("NONSENSE"), soon(), failures.hear)
    assert failures == []

    assert connection.exchange(echo("b"), soon()) == b"b"

    assert [type(error) for error in failures] == [ErrorReply]


def test_a_reply_that_is_left_on_a_connection_that_dies_is_heard_as_lost() -> None:
    failures = Failures()
    with Dying(b"", b"+b\r\n") as server, connected(server.url) as connection:
        connection.send_unheard(echo("a"), soon(), failures.hear)

        assert connection.exchange(echo("b"), soon()) == b"b"

        assert [type(error) for error in failures] == [ConnectionLost]
        assert server.heard == [echo("a"), echo("b")]


def test_a_reply_that_is_left_and_comes_too_late_is_not_taken_for_the_next_one(
    fresh_redis: RedisServer,
) -> None:
    failures = Failures()
    with connected(fresh_redis.url) as connection:
        identity(connection)
        fresh_redis.pause()
        connection.send_unheard(echo("a"), soon(), failures.hear)

        connection.hear(soon(0.1))
        fresh_redis.resume()

        assert [type(error) for error in failures] == [DeadlineExceeded]
        assert connection.exchange(echo("b"), soon()) == b"b"


def test_a_reply_that_is_left_is_not_waited_for_once_the_server_is_in_doubt() -> None:
    failures = Failures()
    with FakeServer(never) as server:
        directory = FixedAddress(Address.parse(server.url))
        connection = Connection(directory)
        connection.send_unheard(echo("a"), soon(), failures.hear)
        directory.doubts = 1

        started = monotonic()
        connection.hear(soon())

        assert monotonic() - started < 2.0
        assert [type(error) for error in failures] == [ConnectionLost]
        assert not connection.connected


def test_a_stop_that_falls_into_a_reply_that_is_left_is_heard_and_raised() -> None:
    def stop(*_: object) -> None:
        raise KeyboardInterrupt

    failures = Failures()
    before = signal.signal(signal.SIGALRM, stop)
    try:
        with FakeServer(never) as server, connected(server.url) as connection:
            connection.send_unheard(echo("a"), soon(), failures.hear)
            signal.setitimer(signal.ITIMER_REAL, 0.05)

            with pytest.raises(KeyboardInterrupt):
                connection.hear(soon())

            assert len(failures) == 1
            assert not connection.connected
    finally:
        signal.signal(signal.SIGALRM, before)


def test_a_child_leaves_the_reply_to_its_parent(connection: Connection) -> None:
    failures = Failures()
    before = identity(connection)
    connection.send_unheard(echo("a"), soon(), failures.hear)

    def uses_another() -> bool:
        return connection.exchange(echo("b"), soon()) == b"b" and not failures

    assert holds_in_a_child(uses_another)
    assert connection.exchange(echo("c"), soon()) == b"c"
    assert (identity(connection), failures) == (before, [])


# -- between the two -------------------------------------------------------------------------


def test_a_connection_that_dies_before_its_reply_was_read_says_so() -> None:
    def hang_up(connection: socket.socket) -> None:
        connection.recv(65536)

    with FakeServer(hang_up) as server, connected(server.url) as connection:
        connection.begin(echo("a"), soon())

        with pytest.raises(ConnectionLost):
            connection.finish()

        assert server.connections == 1, "a command of begin() is not sent again by itself"


def test_the_deadline_holds_over_both() -> None:
    with FakeServer(never) as server, connected(server.url) as connection:
        started = monotonic()
        connection.begin(echo("a"), started + 0.2)

        with pytest.raises(DeadlineExceeded):
            connection.finish()

        assert 0.19 < monotonic() - started < 2.0
        assert not connection.connected


def test_a_reply_that_comes_after_the_deadline_is_not_taken_for_the_next_one(
    fresh_redis: RedisServer,
) -> None:
    with connected(fresh_redis.url) as connection:
        identity(connection)
        fresh_redis.pause()
        started = monotonic()
        connection.begin(echo("a"), started + 0.1)
        with pytest.raises(DeadlineExceeded):
            connection.finish()
        waited = monotonic() - started

        fresh_redis.resume()

        assert waited < 2.0
        assert connection.exchange(echo("b"), soon()) == b"b"


# -- several outcomes ------------------------------------------------------------------------


def test_each_command_of_several_has_its_own_outcome(connection: Connection) -> None:
    commands = [echo("a"), command("NONSENSE"), echo("c")]

    first, second, third = connection.exchange_each(commands, soon())

    assert (first, third) == (b"a", b"c")
    assert isinstance(second, ErrorReply)


class Dying(FakeServer):
    """Each of its connections answers once, as told, and dies."""

    def __init__(self, *answers: bytes) -> None:
        self._answers = list(answers)
        self.heard: list[bytes] = []
        super().__init__(self._answer_once)

    def _answer_once(self, connection: socket.socket) -> None:
        self.heard.append(connection.recv(65536))
        connection.sendall(self._answers.pop(0))


def test_what_had_no_reply_when_the_connection_died_is_sent_once_more() -> None:
    with Dying(b"+1\r\n", b"+2\r\n+3\r\n") as server, connected(server.url) as connection:
        outcomes = connection.exchange_each([echo("1"), echo("2"), echo("3")], soon())

    assert server.heard == [echo("1") + echo("2") + echo("3"), echo("2") + echo("3")]
    assert outcomes == [b"1", b"2", b"3"]


def test_a_reply_that_came_before_the_connection_died_twice_counts() -> None:
    answers = b"+1\r\n", b"+2\r\n", b"+3\r\n"
    with Dying(*answers) as server, connected(server.url) as connection:
        outcomes = connection.exchange_each([echo("1"), echo("2"), echo("3")], soon())

        assert server.connections == 2

    assert outcomes[:2] == [b"1", b"2"]
    assert isinstance(outcomes[2], ConnectionLost)


def test_replies_that_are_out_of_step_count_for_no_command() -> None:
    with FakeServer(always(b"+1\r\n+2\r\n+3\r\n")) as server, connected(server.url) as connection:
        outcomes = connection.exchange_each([echo("1"), echo("2")], soon())

    assert [type(outcome) for outcome in outcomes] == [ProtocolError] * 2


def test_a_refused_login_refuses_each_command() -> None:
    denied = always(b"-WRONGPASS invalid username-password pair\r\n")
    with FakeServer(denied) as server, connected(server.url.replace("//", "//:s3cret@")) as link:
        outcomes = link.exchange_each([echo("1"), echo("2")], soon())

    assert [type(outcome) for outcome in outcomes] == [ErrorReply] * 2
