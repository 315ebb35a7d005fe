"""Publish tasks whose lease the publisher takes: in a script, threads, greenlets, children.

It writes the ids of what it was given, a line each: key and id.
"""

from __future__ import annotations

import sys

if "greenlets" in sys.argv[1:]:
    from gevent import monkey

    monkey.patch_all()

import asyncio
import os
import threading
from multiprocessing import get_context
from typing import Any

from celery import Celery

from celery_lock import Lock, LockedTask

how, url = sys.argv[1:3]
app = Celery("publishers", broker=url, backend=url, set_as_current=False)
app.conf.update(lock_store=sys.argv[3] if len(sys.argv) > 3 else url)


@app.task(base=LockedTask, name="report", lock=Lock("report:{n}", scope="until_finished"))
def report(n: int) -> None: ...


def send(n: int) -> None:
    os.write(1, f"{n} {report.delay(n).id}\n".encode())


def script() -> None:
    """Publish one, and leave."""
    send(1)


def threads() -> None:
    """Publish in eight threads, four keys of each in all of them."""
    every = [threading.Thread(target=lambda: [send(n) for n in range(4)]) for _ in range(8)]
    for each in every:
        each.start()
    for each in every:
        each.join()


def greenlets() -> None:
    """Publish in fifty greenlets."""
    import gevent

    gevent.joinall([gevent.spawn(send, n) for n in range(50)], raise_error=True)


def coroutines() -> None:
    """Publish from handlers of an event loop, as a web framework does."""

    async def handler(n: int) -> None:
        await asyncio.to_thread(send, n)
        send(100 + n)

    async def serve() -> None:
        await asyncio.gather(*(handler(n) for n in range(5)))

    asyncio.run(serve())


def forks() -> None:
    """Publish, and then in two children, one of which leaves without any clean-up, and again."""
    send(1)
    for leaves in (True, False):
        child = os.fork()
        if not child:
            send(2 + leaves)
            os._exit(0)
        os.waitpid(child, 0)
    children = [get_context("fork").Process(target=send, args=(n,)) for n in (4, 5)]
    for each in children:
        each.start()
    for each in children:
        each.join()
    send(6)


programs: dict[str, Any] = {
    each.__name__: each for each in (script, threads, greenlets, coroutines, forks)
}
programs[how]()
