"""Messages whose publisher took a lease, made by hand: what it leaves in store and header."""

from __future__ import annotations

from dataclasses import replace
from typing import Any

from celery_lock.app.locks import locks_of
from celery_lock.message import HEADER
from celery_lock.message.transports import AMQP
from celery_lock.model import Claim, End, Holder, Lease

from .engine import Engine

QUEUE_TTL = 86_400.0


def queued(task_id: str = "id-1", retry_no: int = 0) -> str:
    """The holder of a lease that is kept for a message."""
    return str(Holder.for_retry(task_id, retry_no))


def published(
    engine: Engine,
    *names: str,
    id: str = "id-1",
    retry_no: int = 0,
    confirmed: bool = True,
    store: str | None = None,
    **fields: Any,
) -> dict[str, Any]:
    """Take what a publisher takes under these names; return the headers of its message."""
    for name in names:
        holder = str(Holder(id, "web", 99, f"p-{id}.1"))
        lease = engine.store.inner.acquire(Claim(name, holder, 30.0, unconfirmed=True))
        assert isinstance(lease, Lease)
        if confirmed:
            end = End(heir=queued(id, retry_no), heir_ttl=QUEUE_TTL)
            assert engine.store.inner.release(lease, end)
    own = engine.locker.store_id.get() if store is None else store
    header = {"v": 1, "id": id, "publication": f"p-{id}", "had": True}
    return {HEADER: {**header, "lease": {"names": list(names), "store": own}, **fields}}


def drop_what_goes_back(app: Any) -> None:
    """Let each message be one that its queue gives out no more if it goes back there."""
    locks_of(app).__dict__["transport"] = replace(AMQP, is_last=lambda request: True)


def holder_of(engine: Engine, name: str) -> str | None:
    """Who has it in the store; `None`: it is free."""
    held = engine.store.inner.peek(name)
    return None if held is None else held.holder
