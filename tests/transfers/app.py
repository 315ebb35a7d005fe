"""Tasks that take money from one account and put it into another, and lock both meanwhile."""

from __future__ import annotations

import os
import time
from typing import Any

import redis
from celery import Celery

from celery_lock import Lock, LockedTask, Scope, constant, requeue, wait

KINDS = ("while_running", "across_retries")
"""The scopes, each with accounts of its own: a key has one scope in all tasks."""


def make_app(**conf: Any) -> Celery:
    """One app for the workers (by environment) and one for whoever sends."""
    app = Celery("transfers", set_as_current=False)
    app.conf.update(
        broker_connection_retry_on_startup=True,
        task_acks_late=True,
        task_ignore_result=True,
        **conf,
    )
    for kind in KINDS:
        for word, policy in (
            ("requeue", requeue(constant(0.3))),
            ("wait", wait(1, then=requeue(constant(0.3)))),
        ):
            _declare(app, kind, word, policy)
    return app


def _declare(app: Celery, kind: str, word: str, policy: Any) -> None:
    locks = [
        Lock(f"{kind}:{{{side}}}", scope=Scope(kind), on_conflict=policy)
        for side in ("source", "target")
    ]

    @app.task(
        base=LockedTask, shared=False, name=f"{kind}.{word}", bind=True, lock=locks, max_retries=9
    )
    def transfer(self: Any, number: int, source: int, target: int, amount: int, tries: int) -> None:
        """Do it in steps that lose money if another one runs beside them; retry a few times."""
        bank = _bank()
        accounts = {f"{kind}:account:{source}", f"{kind}:account:{target}"}
        for account in accounts:
            if bank.incr(f"{account}:inside") != 1:
                bank.rpush("overlaps", f"{account} in {number}")
        try:
            balances = {account: int(bank.get(account) or 0) for account in accounts}
            time.sleep(0.002)
            if self.request.retries >= tries:
                if source != target:
                    balances[f"{kind}:account:{source}"] -= amount
                    balances[f"{kind}:account:{target}"] += amount
                for account, balance in balances.items():
                    bank.set(account, balance)
                bank.rpush("done", number)
                return
        finally:
            for account in accounts:
                bank.decr(f"{account}:inside")
        raise self.retry(countdown=0.05 * number % 0.2)


_banks: dict[int, Any] = {}


def _bank() -> Any:
    pid = os.getpid()
    if pid not in _banks:
        _banks[pid] = redis.Redis.from_url(os.environ["CELERY_BROKER_URL"], decode_responses=True)
    return _banks[pid]


app = make_app()
