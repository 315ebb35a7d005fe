"""What a beat under test does to itself, as it is ordered to from outside."""

from __future__ import annotations

import contextlib
import json
import os
import time
from collections.abc import Mapping
from datetime import datetime, timedelta
from pathlib import Path
from typing import Any

from celery import Celery

from celery_lock.model import Change, Changed
from celery_lock.stores.redis import RedisStore
from tests.beats.book import note

__all__ = [
    "BOOK",
    "CLAIMED",
    "CLOCK",
    "CONF",
    "FAIL",
    "HOME",
    "INJECTED",
    "NOTES",
    "ORDER",
    "PUBLISHED",
    "STORE",
    "WatchedApp",
    "order",
    "step_clock",
    "watch_store",
]

BOOK = "TEST_BOOK"
"""The file that all processes append to."""
HOME = "TEST_BEAT"
"""The folder of a beat, in which it looks for orders; no variable, no beat."""
STORE = "TEST_STORE"
"""The URL of the store."""
CONF = "TEST_CONF"
"""More settings, as JSON."""

ORDER = "order"
CLOCK = "clock"
"""Seconds that the clock of this beat is off."""

CLAIMED, PUBLISHED, FAIL = "claimed", "published", "fail"
"""Die with the next tick that was claimed and is not published; was published and is not
confirmed. Or: let the next publishing fail."""
INJECTED = 86
"""The status of a beat that died as ordered."""


def order(home: Path, *words: str) -> None:
    """Order a beat to do this with its next ticks, one word each; none takes the order back."""
    _write(home / ORDER, " ".join(words))


def step_clock(home: Path, seconds: float) -> None:
    """Step the clock of a beat."""
    _write(home / CLOCK, str(seconds))


def _write(file: Path, text: str) -> None:
    new = file.with_suffix(".new")
    new.write_text(text)
    new.replace(file)  # the beat never reads half of it


NOTES = "x-request-id"
"""The header with what is noted of a message; its name is one of those that tools write anew."""


class WatchedApp(Celery):
    """An app that says what it publishes, and whose clock can be wrong."""

    book = os.environ.get(BOOK, "")
    home = Path(os.environ[HOME]) if HOME in os.environ else None

    def now(self) -> datetime:
        """The time by this beat's clock."""
        now: datetime = super().now()
        with contextlib.suppress(OSError, ValueError):
            if self.home is not None:
                now += timedelta(seconds=float((self.home / CLOCK).read_text()))
        return now

    def send_task(self, name: str, args: Any = None, *rest: Any, **options: Any) -> Any:
        """Publish, unless this is where it was to die or to fail."""
        if self.home is None or not name.startswith("beats."):
            return super().send_task(name, args, *rest, **options)
        headers = dict(options.pop("headers", None) or {})
        known = {
            "entry": args[0],
            "due": due_of(headers),
            "task_id": options.get("task_id"),
            "pid": os.getpid(),
            "beat": self.home.name,
        }
        ordered = take_order(self.home)
        note(self.book, "publishing", **known)
        if ordered == CLAIMED:
            _die(self.book, CLAIMED)
        if ordered == FAIL:
            note(self.book, "failed", **known)
            raise ConnectionError("the broker does not answer, as ordered")
        headers[NOTES] = {"sent": time.time(), "beat": self.home.name}
        sent = super().send_task(name, args, *rest, headers=headers, **options)
        note(self.book, "published", **{**known, "task_id": sent.id})
        if ordered == PUBLISHED:
            _die(self.book, PUBLISHED)
        return sent


def due_of(headers: Mapping[str, Any] | None) -> float | None:
    """When a message was due, in seconds since 1970; `None`: it does not say."""
    ours = (headers or {}).get("celery_lock") or {}
    due = (ours.get("beat") or {}).get("due")
    return None if due is None else datetime.fromisoformat(due).timestamp()


def take_order(home: Path) -> str | None:
    """The next word of the order, which is then done with."""
    try:
        words = (home / ORDER).read_text().split()
    except OSError:
        return None
    if not words:
        return None
    order(home, *words[1:])
    return words[0]


def watch_store(book: str) -> None:
    """Say which ticks this process claims and confirms, when the store has answered."""
    ask = RedisStore.change

    def change(store: RedisStore, change: Change) -> Changed:
        answer = ask(store, change)
        record = json.loads(change.value)
        claim = record.get("claim")
        if answer.done and (claim is None or claim["by"]):  # by nobody: it is given up
            what, due = ("confirmed", None) if claim is None else ("claimed", claim["due"])
            after = record["last"]
            note(book, what, entry=change.name, due=due, after=after, pid=os.getpid())
        return answer

    RedisStore.change = change  # type: ignore[assignment, method-assign]  # in this process alone


def _die(book: str, point: str) -> None:
    note(book, "injected", pid=os.getpid(), point=point)
    os._exit(INJECTED)
