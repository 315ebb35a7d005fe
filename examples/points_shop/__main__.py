"""`python -m examples.points_shop`: two web processes and a worker charge the same points."""

from __future__ import annotations

import os
import socket
import sys
import time
from functools import partial
from typing import Any

from examples.demo import Demo, play

from .books import Books
from .client import buy, make_purchases

USERS = range(1, 4)
POINTS = 10_000
PURCHASES = 180
CUSTOMERS = 12


def story(demo: Demo) -> bool:
    books = Books(demo.folder / "books.sqlite")
    books.begin(USERS, POINTS)
    os.environ["POINTS_SHOP_BOOKS"] = str(books.path)  # for the processes, and for this one
    ports = [_free_port(), _free_port()]
    for name, port in zip(("web 1", "web 2"), ports, strict=True):
        argv = ["--app", "examples.points_shop.shop", "run", "--port", str(port)]
        demo.start(name, argv, program="flask")
    demo.workers("examples.points_shop.make_celery", "worker", concurrency=2)
    for port in ports:
        demo.wait_for(f"the web process at port {port}", partial(_answers, port))
    print(
        f"{PURCHASES} purchases of {len(USERS)} users by {CUSTOMERS} customers at once, over HTTP;"
    )
    print("two in three are charged in the view, the others by a task.\n", flush=True)

    missing = [_play(demo, books, ports, path) for path in ("/unlocked", "")]
    print(f"without a lock       {missing[0]:5} points are wrong")
    print(f"with hold and Lock   {missing[1]:5} points are wrong")
    return missing[0] > 0 and missing[1] == 0


def _play(demo: Demo, books: Books, ports: list[int], path: str) -> int:
    """Let all customers buy; return how many points are wrong afterwards."""
    from .make_celery import celery_app

    celery_app.conf.update(broker_url=demo.url, result_backend=demo.url)
    books.begin(USERS, POINTS)
    purchases = make_purchases(ports, USERS, PURCHASES)
    began = time.monotonic()
    sent: list[Any] = [celery_app.AsyncResult(id) for id in buy(purchases, path, CUSTOMERS)]
    failed = [result for result in demo.results(*sent) if isinstance(result, BaseException)]
    assert not failed, failed
    what = "without a lock" if path else "with hold and Lock"
    print(f"{what:19} took {time.monotonic() - began:.1f} s", flush=True)
    wrong = 0
    for user_id in USERS:
        charged = sum(purchase.amount for purchase in purchases if purchase.user_id == user_id)
        wrong += abs(books.points(user_id) - (POINTS - charged))
    return wrong


def _free_port() -> int:
    with socket.socket() as probe:
        probe.bind(("127.0.0.1", 0))
        return int(probe.getsockname()[1])


def _answers(port: int) -> bool:
    try:
        socket.create_connection(("127.0.0.1", port), timeout=1).close()
    except OSError:
        return False
    return True


if __name__ == "__main__":
    sys.exit(play(story))
