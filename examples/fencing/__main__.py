"""`python -m examples.fencing`: pauses a worker past its lease, without the token and with it."""

from __future__ import annotations

import os
import signal
import sys
from typing import Any

from examples.demo import Demo, play

from .app import app, spend, spend_without_token
from .books import Books, Write
from .provider import Provider

USER = 1
BALANCE = 1000
PAUSED, OTHER = 100, 10
"""What is spent by the process that is paused, and by another one meanwhile."""
RIGHT = BALANCE - PAUSED - OTHER


def story(demo: Demo) -> bool:
    app.conf.update(broker_url=demo.url, result_backend=demo.url)
    books = Books(demo.folder / "books.sqlite")
    books.create()
    demo.workers("examples.fencing.app", "A", "B", FENCING_FOLDER=str(demo.folder))
    print(f"{BALANCE} points; {PAUSED} and {OTHER} are spent at once, so {RIGHT} should be left.")
    print(f"The worker that spends {PAUSED} is stopped after its read, for longer than its lease.")

    without = spend_both(demo, books, spend_without_token)
    wrong = tell("Without the token", books, without)
    fenced = spend_both(demo, books, spend)
    right = tell("With the token in the WHERE clause", books, fenced)

    refused = [write for write in fenced if not write.accepted]
    return wrong == BALANCE - PAUSED and right == RIGHT and len(refused) == 1


def spend_both(demo: Demo, books: Books, task: Any) -> list[Write]:
    """Spend twice, the first time by a process that is paused; return who wrote what."""
    provider = Provider(demo.folder)
    provider.forget()
    books.begin(USER, BALANCE)

    paused = task.delay(USER, PAUSED)
    process = demo.wait_for("the first payment", lambda: provider.waiting(PAUSED))
    os.kill(process, signal.SIGSTOP)
    try:
        provider.answer(OTHER)
        demo.results(task.delay(USER, OTHER))  # runs when the lease of the first has ended
        provider.answer(PAUSED)
    finally:
        os.kill(process, signal.SIGCONT)
    demo.results(paused)
    return books.writes()


def tell(title: str, books: Books, writes: list[Write]) -> int:
    """Print what happened, and return what is left."""
    print(f"\n{title}:")
    late = min(write.token for write in writes)  # the first lease was that of the paused one
    for write in writes:
        who = "paused process" if write.token == late else "another lease"
        done = f"writes {write.after}" if write.accepted else f"writes {write.after}: REFUSED"
        print(f"  token {write.token}, {who:14}: has read {write.before:4}, {done}")
    left = books.balance(USER)
    print(f"  left: {left}, " + ("right" if left == RIGHT else f"{left - RIGHT} points too many"))
    return left


if __name__ == "__main__":
    sys.exit(play(story))
