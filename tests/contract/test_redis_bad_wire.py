"""A wire that cuts, delays and drops at random: no caller ever reads another's reply."""

from __future__ import annotations

import random
import re
import socket
import threading
import time
from itertools import count
from time import monotonic

import pytest

from celery_lock.stores.link.deadline_socket import ConnectionLost, DeadlineExceeded
from celery_lock.stores.redis.link.address import Address
from celery_lock.stores.redis.link.connection import Connection
from celery_lock.stores.redis.link.discovery import FixedAddress
from celery_lock.stores.redis.link.pool import Pool, PoolExhausted
from celery_lock.stores.redis.link.resp import command
from tests.contract.fake_server import FakeServer

pytestmark = pytest.mark.contract

CALLERS = 4
STEPS = 250
WORD = re.compile(rb"\$4\r\nECHO\r\n\$\d+\r\n(\S+)\r\n")
LATE = 0.005
"""Seconds of the shorter deadline; a late reply takes twice that."""


def unreliable(chance: random.Random) -> FakeServer:
    """A server that says back what it is told, mostly."""

    def talk(connection: socket.socket) -> None:
        while heard := connection.recv(65536):
            for word in WORD.findall(heard):
                reply = b"$%d\r\n%b\r\n" % (len(word), word)
                what = chance.random()
                cut = chance.randrange(len(reply))
                if what < 0.05:
                    return
                if what < 0.1:
                    connection.sendall(reply[:cut])
                    return
                if what < 0.15:
                    time.sleep(LATE * 2)
                connection.sendall(reply[:cut])
                connection.sendall(reply[cut:])

    return FakeServer(talk)


class Caller(threading.Thread):
    """Asks for words of its own, one or several at a time, and at times leaves before the reply."""

    def __init__(self, pool: Pool, number: int) -> None:
        super().__init__(daemon=True)
        self.pool = pool
        self.chance = random.Random(number)
        self.words = (f"{number}-{n}" for n in count())
        self.right = self.unknown = 0
        self.wrong: list[object] = []

    def run(self) -> None:
        for _ in range(STEPS):
            try:
                connection = self.pool.take(monotonic() + 5)
            except PoolExhausted:
                continue
            try:
                self.step(connection)
            except (ConnectionLost, DeadlineExceeded):
                self.unknown += 1
            finally:
                self.pool.give(connection)

    def step(self, connection: Connection) -> None:
        ends = monotonic() + self.chance.choice((LATE, 5.0))
        words = [next(self.words) for _ in range(self.chance.choice((1, 1, 2, 3)))]
        commands = [command("ECHO", word) for word in words]
        if self.chance.random() < 0.2:
            connection.begin(b"".join(commands), ends, len(words))
            for word in words[: self.chance.randrange(len(words) + 1)]:
                self.judge(word, connection.finish())
            return  # as an interrupt would have it: the rest is not read
        for word, reply in zip(words, connection.exchange_each(commands, ends), strict=True):
            self.judge(word, reply)

    def judge(self, word: str, reply: object) -> None:
        if isinstance(reply, (ConnectionLost, DeadlineExceeded)):
            self.unknown += 1
        elif reply == word.encode():
            self.right += 1
        else:
            self.wrong.append((word, reply))


def test_a_caller_reads_its_own_reply_or_none() -> None:
    with unreliable(random.Random(7)) as server:
        pool = Pool(FixedAddress(Address.parse(server.url)), 3)
        callers = [Caller(pool, number) for number in range(CALLERS)]
        for caller in callers:
            caller.start()
        for caller in callers:
            caller.join(60)
        pool.close()

    assert [caller.wrong for caller in callers] == [[]] * CALLERS
    for caller in callers:
        assert caller.right > STEPS / 4
        assert caller.unknown > 0
