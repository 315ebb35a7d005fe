"""Whom a lost lease names: who has the key now, or who released it by hand, as far as is known."""

from __future__ import annotations

from dataclasses import replace
from typing import Any

import pytest

from celery_lock.app.by_hand import free_by
from celery_lock.engine.grant import Ask, Grant
from celery_lock.errors import LeaseLost, StoreUnavailable
from celery_lock.events import Lost
from celery_lock.model import Held

from .engine import SUBJECT, Engine

DOWN = StoreUnavailable("memory://", "no answer")


def taken_away(engine: Engine, key: str = "k", by: str | None = None) -> None:
    """Somebody takes a key from its holder: by hand, or as if it had been deleted."""
    held = engine.store.inner.peek(key)
    assert isinstance(held, Held)
    if by is None:
        engine.store.inner.free(key, held.holder)
    else:
        free_by(engine.store.inner, held, by)


def by(engine: Engine, grant: Grant) -> Any:
    """What the next renewal tells, which is what the lease says of itself."""
    engine.move(10.1)
    with pytest.raises(LeaseLost) as raised:
        grant.lease.check()
    (lost,) = [fact for fact in engine.told(Lost) if fact.holder == grant.lease.holder]
    assert (lost.reason, lost.by) == (raised.value.reason, raised.value.by) == ("taken", lost.by)
    return lost.by


def test_an_operator_is_named(engine: Engine) -> None:
    grant = engine.take()

    taken_away(engine, by="ada@web-1")

    assert by(engine, grant) == "ada@web-1"


def test_an_operator_is_named_though_somebody_else_has_the_key_by_now(engine: Engine) -> None:
    grant = engine.take()
    taken_away(engine, by="ada@web-1")

    engine.hold(task_id="id-2")

    assert by(engine, grant) == "ada@web-1"


def test_who_has_the_key_now_is_named(engine: Engine) -> None:
    grant = engine.take()
    taken_away(engine)

    engine.hold(task_id="id-2", ttl=60)

    assert by(engine, grant) == "task id-2"


def test_where_the_key_was_deleted_nobody_is_named(engine: Engine) -> None:
    grant = engine.take()

    taken_away(engine)

    assert by(engine, grant) is None


@pytest.mark.parametrize("call", ["records", "peek"])
def test_a_loss_is_told_though_the_store_does_not_say_who(engine: Engine, call: Any) -> None:
    grant = engine.take()
    taken_away(engine)
    engine.hold(task_id="id-2", ttl=60)
    engine.store.refuse(call, error=DOWN)

    assert by(engine, grant) is None


def test_each_of_many_leases_names_its_own(engine: Engine) -> None:
    grants = [engine.take(str(number)) for number in range(5)]
    taken_away(engine, "1", by="ada@web-1")
    taken_away(engine, "3")
    engine.hold("3", task_id="id-2", ttl=60)

    assert by(engine, grants[1]) == "ada@web-1"
    assert by(engine, grants[3]) == "task id-2"
    assert [grant.lease.lost for grant in grants] == [False, True, False, True, False]


def test_a_slow_store_is_not_asked_for_each_of_many(engine: Engine) -> None:
    grants = [engine.take(str(number)) for number in range(50)]
    for number in range(50):
        taken_away(engine, str(number))
    peek, asked = engine.store.peek, []

    def slow(key: str) -> Any:
        asked.append(key)
        engine.clock.move(0.3)
        return peek(key)

    engine.store.peek = slow  # type: ignore[method-assign]
    engine.move(10.1)

    assert all(grant.lease.lost for grant in grants)
    assert len(asked) == 2


def test_a_key_is_freed_though_the_record_of_it_cannot_be_written(engine: Engine) -> None:
    grant = engine.take()
    held = engine.store.inner.peek("k")
    assert held is not None
    engine.store.refuse("change", error=DOWN)

    assert free_by(engine.store, held, "ada@web-1") is not None

    assert engine.store.inner.peek("k") is None
    assert by(engine, grant) is None


def test_with_several_permits_who_has_another_one_is_not_blamed(engine: Engine) -> None:
    grant = engine.take(limit=3)
    engine.hold(task_id="beside", limit=3)
    taken_away_by_slot(engine, 0)

    assert by(engine, grant) is None


def test_with_several_permits_who_has_the_same_one_by_now_is_named(engine: Engine) -> None:
    grant = engine.take(limit=3)
    engine.hold(task_id="beside", limit=3)
    taken_away_by_slot(engine, 0)
    engine.hold(task_id="id-2", limit=3)

    assert by(engine, grant) == "task id-2"


def taken_away_by_slot(engine: Engine, slot: int) -> None:
    held = engine.store.inner.peek("k")
    assert isinstance(held, Held)
    engine.store.inner.free("k", held.holders[slot].holder)


def test_of_several_keys_of_one_holder_each_is_told_by_whom_it_was_taken(engine: Engine) -> None:
    claims = [engine.claim(key, ttl=30.0) for key in "abc"]
    claims = [replace(claim, holder=claims[0].holder) for claim in claims]
    grants = engine.locker.claim_all([Ask(claim, SUBJECT) for claim in claims])
    assert isinstance(grants, list)

    taken_away(engine, "a", by="ada@web-1")
    taken_away(engine, "b", by="bob@web-2")
    taken_away(engine, "c")
    engine.move(10.1)

    told = {lost.key: lost.by for lost in engine.told(Lost)}
    assert told == {"a": "ada@web-1", "b": "bob@web-2", "c": None}
