"""Many transfers on real workers: what has to be true of the accounts when all are done."""

from __future__ import annotations

import random
import time
from collections import Counter
from collections.abc import Iterator
from contextlib import ExitStack, contextmanager
from dataclasses import dataclass
from pathlib import Path
from typing import Any, NamedTuple

from tests.integration.keys import Keys
from tests.services import RedisServer, Worker, sending
from tests.services.worker import Pool
from tests.transfers.app import KINDS, make_app

ACCOUNTS = 20
OPENING = 1_000


class Transfer(NamedTuple):
    """One message."""

    task: str
    number: int
    source: int
    target: int
    amount: int
    tries: int


@dataclass
class Bank:
    """The accounts in Redis, and the workers that move money between them."""

    app: Any
    redis: Any
    keys: Keys
    workers: list[Worker]
    _done: int = 0

    def play(self, transfers: list[Transfer], *, patience: float, window: int = 60) -> list[str]:
        """Send these, wait until all are done, and say what is wrong.

        `window`: how many are on their way at once. A retry that keeps its keys stands at the end
        of the queue, and all before it meet these.
        """
        expected = {
            f"{kind}:account:{number}": OPENING for kind in KINDS for number in range(ACCOUNTS)
        }
        self.redis.mset(expected)
        for sent, (task, number, source, target, amount, tries) in enumerate(transfers):
            if not self._wait(sent - window, patience):
                break
            self.app.tasks[task].apply_async((number, source, target, amount, tries))
            kind = task.partition(".")[0]
            expected[f"{kind}:account:{source}"] -= amount
            expected[f"{kind}:account:{target}"] += amount
        self._wait(len(transfers), patience)
        done = Counter(map(int, self.redis.lrange("done", 0, -1)))
        wrong = [f"{number} ran {times} times" for number, times in done.items() if times > 1]
        lost = [each for each in transfers if each.number not in done]
        wrong += [f"{len(lost)} never ran, such as {lost[0]}"] if lost else []
        wrong += self.redis.lrange("overlaps", 0, -1)
        found = {name: int(self.redis.get(name)) for name in expected}
        wrong += [
            f"{name} has {found[name]} and not {balance}"
            for name, balance in expected.items()
            if found[name] != balance
        ]
        return wrong + [f"{key} is taken" for key in self._taken()]

    def _wait(self, count: int, patience: float) -> bool:
        """Wait until so many are done; `False`: for so many seconds not one more was."""
        if self._done >= count:
            return True
        seen, since = -1, time.monotonic()
        while (done := self.redis.llen("done")) < count:
            if done > seen:
                seen, since = done, time.monotonic()
            if time.monotonic() - since > patience:
                return False
            time.sleep(0.02)
        self._done = done
        return True

    def _taken(self) -> list[str]:
        """Accounts whose key is still held, a while after the last body has ended."""
        names = [f"{kind}:{number}" for kind in KINDS for number in range(ACCOUNTS)]
        until = time.monotonic() + 5
        while names and time.monotonic() < until:
            time.sleep(0.1)
            names = [name for name in names if self.keys.holder(name) is not None]
        return names


def draw(seed: int, count: int) -> list[Transfer]:
    """Return so many transfers, most of them between few accounts, in both directions."""
    rng = random.Random(seed)
    return [
        Transfer(
            f"{rng.choice(KINDS)}.{rng.choice(('requeue', 'requeue', 'wait'))}",
            number,
            rng.randrange(ACCOUNTS),
            rng.randrange(ACCOUNTS),
            rng.randint(1, 50),
            rng.choice((0, 0, 0, 0, 0, 0, 0, 0, 1, 2)),
        )
        for number in range(count)
    ]


@contextmanager
def running(
    binary: str, folder: Path, *, workers: int = 2, concurrency: int = 4, pool: Pool = "prefork"
) -> Iterator[Bank]:
    """A Redis that is broker, store and bank, and workers on it."""
    with ExitStack() as stack:
        server = stack.enter_context(RedisServer(binary, folder / "redis"))
        made = [
            Worker(
                "tests.transfers.app",
                folder,
                broker=server.url,
                backend=server.url,
                concurrency=concurrency,
                pool=pool,
            )
            for _ in range(workers)
        ]
        for worker in made:
            stack.enter_context(worker)
        app = make_app(broker_url=server.url, result_backend=server.url)
        stack.enter_context(sending(app))
        redis = stack.enter_context(server.client(decode_responses=True))
        yield Bank(app, redis, Keys(server.url), made)
