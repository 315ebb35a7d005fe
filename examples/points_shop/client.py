"""The customers: many at once, over HTTP."""

from __future__ import annotations

import json
import random
from collections.abc import Sequence
from concurrent.futures import ThreadPoolExecutor
from dataclasses import dataclass
from http.client import HTTPConnection
from typing import Any


@dataclass(frozen=True)
class Purchase:
    """So many points of a user, taken in the view or by a task."""

    port: int
    """Of the web process that is asked."""
    user_id: int
    amount: int
    later: bool


def make_purchases(ports: Sequence[int], users: Sequence[int], count: int) -> list[Purchase]:
    """Return the load: the same for each run."""
    chance = random.Random(7)
    return [
        Purchase(ports[n % len(ports)], chance.choice(users), chance.randint(1, 9), n % 3 == 0)
        for n in range(count)
    ]


def buy(purchases: Sequence[Purchase], path: str, customers: int) -> list[str]:
    """Make all purchases, so many at once; return the ids of the tasks that were sent.

    Raises `RuntimeError` for an answer that is none of success.
    """
    with ThreadPoolExecutor(customers) as pool:
        answers = pool.map(lambda purchase: _post(purchase, path), purchases)
        return [answer["task"] for answer in answers if "task" in answer]


def _post(purchase: Purchase, path: str) -> dict[str, Any]:
    what = "charge-later" if purchase.later else "charge"
    connection = HTTPConnection("127.0.0.1", purchase.port, timeout=60)
    try:
        connection.request(
            "POST",
            f"{path}/users/{purchase.user_id}/{what}",
            json.dumps({"amount": purchase.amount}),
            {"Content-Type": "application/json"},
        )
        answer = connection.getresponse()
        said = answer.read()
    finally:
        connection.close()
    if answer.status >= 300:
        raise RuntimeError(f"{answer.status}: {said.decode(errors='replace')}")
    read: dict[str, Any] = json.loads(said)
    return read
