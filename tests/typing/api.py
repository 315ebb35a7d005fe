"""Users' code for type checkers: never run.

What is right here must pass without a word. What is wrong is marked with the error that it must
give: a mark that nothing needs is an error itself.
"""

from __future__ import annotations

from datetime import timedelta

from celery import Celery, shared_task
from celery.result import AsyncResult  # noqa: F401  (named in quoted types: mypy reads those)
from typing_extensions import assert_type

from celery_lock import (
    Conflict,
    Lease,
    Lock,
    LockedTask,
    constant,
    current_lease,
    exponential,
    fail,
    hold,
    is_skipped,
    peek,
    requeue,
    skip,
    wait,
)

app = Celery("shop")


# -- tasks -----------------------------------------------------------------------------------


@app.task(base=LockedTask, lock=Lock("points:{user_id}"))
def charge_point(user_id: int, amount: int) -> str:
    return f"{user_id}: {amount}"


@shared_task(base=LockedTask)
def reindex(shop_id: int) -> None:
    assert_type(current_lease(), Lease)


@app.task(bind=True, base=LockedTask, lock=Lock("order:{order_id}"))
def ship(self: LockedTask[[int], str], order_id: int) -> str:
    assert_type(self.lease, Lease)
    assert_type(self.lease.token, int)
    assert_type(self.lease.key, str)
    assert_type(self.lease.holder, str)
    assert_type(self.lease.lost, bool)
    assert_type(self.lease.remaining(), float)
    self.lease.check()
    self.lease.renew()  # type: ignore[attr-defined]
    return "shipped"


class Ship(LockedTask[[int], str]):
    name = "ship"
    lock = Lock("order:{order_id}")

    def run(self, order_id: int) -> str:
        assert_type(self.lease.token, int)
        return "shipped"


class Unlocked(LockedTask[[int], str]):
    lock = None


class Misdeclared(LockedTask[[int], str]):
    lock = "order:{order_id}"  # type: ignore[assignment]


# -- outside a task --------------------------------------------------------------------------


@hold("user:{user_id}", max_wait=2)
def charge(user_id: int, amount: int = 1) -> str:
    return f"{user_id}: {amount}"


class Shop:
    @hold("order:{order_id}", max_wait=timedelta(seconds=2))
    def pack(self, order_id: int) -> int:
        return order_id


def hold_them() -> None:
    with hold("user:{user_id}", fields={"user_id": 7}, max_wait=0, limit=2) as lease:
        assert_type(lease, Lease)
    assert_type(charge(7, amount=3), str)
    assert_type(Shop().pack(7), int)
    charge("7")  # type: ignore[arg-type]
    hold("user:7")  # type: ignore[call-arg]
    hold("user:7", max_wait=2, timeout=2)  # type: ignore[call-arg]
    there = peek("user:7", app)
    if there is not None:
        assert_type(there.holder.task_id, str)
        assert_type(there.expires_in, float)


def call_them() -> None:
    ship_it: LockedTask[[int], str] = app.register_task(Ship())

    assert_type(ship_it.delay(7), "AsyncResult[str]")
    assert_type(ship_it.delay(7).get(), str)
    assert_type(ship_it.apply_async((7,), countdown=3), "AsyncResult[str]")
    assert_type(ship_it.apply_async((7,), lock=None), "AsyncResult[str]")
    assert_type(ship_it.apply((7,), lock=None).get(), str)
    ship_it.apply_async((7,), lock=Lock("a"))  # type: ignore[arg-type]
    ship_it.apply_async((7,), tll=5)  # type: ignore[call-arg]
    ship_it.delay("seven")  # type: ignore[arg-type]
    ship_it.delay()  # type: ignore[call-arg]

    # a decorated function has the types that Celery's own stubs give it
    charge_point.delay(7, 100).get()
    reindex.s(7).apply_async()


# -- locks and policies ----------------------------------------------------------------------


def by_attempt(conflict: Conflict) -> skip | requeue:
    assert_type(conflict.attempt, int)
    assert_type(conflict.waited, float)
    assert_type(conflict.holder.task_id, str)
    assert_type([holder.task_id for holder in conflict.holders], list[str])
    return skip() if conflict.attempt > 3 else requeue()


Lock()
Lock(None)
Lock("a", ttl=30, at_least=timedelta(minutes=2), at_most=3600.0, scope="while_running")
Lock(lambda order_id: f"order:{order_id}")
Lock("a", on_conflict=by_attempt)
Lock("a", on_conflict=lambda c: skip() if c.redelivered else wait(5))
Lock("a", on_conflict=skip(result={"done": False}), on_store_error="run", on_lost="flag")
Lock("a", on_lost="interrupt")
Lock("a", limit=3, at_least=3600, at_least_on_failure=False)
Lock("a", on_conflict=requeue(exponential(first=2, cap=60), max_attempts=8, then=skip()))
Lock("a", on_conflict=requeue(constant(timedelta(seconds=5)), max_wait=600))
Lock("a", on_conflict=wait(5, then=requeue()))
Lock("a", on_conflict=fail())
assert_type(is_skipped({"skipped": "a"}), bool)

Lock(7)  # type: ignore[arg-type]
Lock("a", 30)  # type: ignore[call-arg, arg-type]
Lock("a", tll=30)  # type: ignore[call-arg]
Lock("a", ttl="30")  # type: ignore[arg-type]
Lock("a", limit="3")  # type: ignore[arg-type]
Lock("a", limit=2.5)  # type: ignore[arg-type]
Lock("a", on_conflict=skip)  # type: ignore[arg-type]
Lock("a", on_conflict="skip")  # type: ignore[arg-type]
Lock("a", on_conflict=lambda c: c.attempt)  # type: ignore[arg-type, return-value]
Lock("a", on_conflict=lambda c: skip() if c.attmept else fail())  # type: ignore[attr-defined]
Lock("a", on_store_error="ignore")  # type: ignore[arg-type]
Lock("a", on_lost="stop")  # type: ignore[arg-type]
Lock("a").ttl = 30  # type: ignore[misc]
wait()  # type: ignore[call-arg]
wait(5, fail())  # type: ignore[call-arg]
requeue(5)  # type: ignore[arg-type]
requeue(max_attempts="8")  # type: ignore[arg-type]
skip("nothing")  # type: ignore[call-arg]
