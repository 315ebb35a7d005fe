"""Each row of the pages for who comes from celery-once or celery-singleton does what it says.

Theirs and ours are played on the same Redis and the same worker.
"""

from __future__ import annotations

import itertools
import re
import time
from collections.abc import Callable, Iterator
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import pytest
from celery import states
from celery_once import AlreadyQueued
from celery_singleton import clear_locks
from celery_singleton.exceptions import DuplicateTaskError
from redis import Redis

from celery_lock import LockConflict
from celery_lock.app.locks import locks_of
from tests.integration.apps import moving_app
from tests.services import RedisServer, Worker, sending, wait_for
from tests.services.fixtures import WorkerFactory

HOW_TO = Path(__file__).parents[2] / "docs" / "how-to"
NOBODY = "nobody"
"""A queue that no worker listens to: what is sent there stays queued."""


_users = itertools.count(100)


@dataclass
class Moving:
    app: Any
    worker: Worker
    redis: Redis

    def task(self, name: str) -> Any:
        return self.app.tasks[name]

    def queue(self, name: str, *args: Any, **kwargs: Any) -> Any:
        """Send one that stays queued."""
        return self.task(name).apply_async(args, kwargs, queue=NOBODY)

    def refuses(self, name: str, *args: Any, **kwargs: Any) -> Any:
        """The error with which a duplicate is refused; `None`: it is sent."""
        try:
            self.queue(name, *args, **kwargs)
        except (AlreadyQueued, DuplicateTaskError, LockConflict) as error:
            return error
        return None


@pytest.fixture(scope="module")
def moving(module_redis: RedisServer, module_worker_factory: WorkerFactory) -> Iterator[Moving]:
    url = module_redis.url
    worker = module_worker_factory(
        "tests.integration.apps.moving_app", broker=url, backend=url, pool="threads", concurrency=4
    )
    app = moving_app.make_app(broker_url=url, result_backend=url)
    with sending(app), module_redis.client() as redis:
        yield Moving(app, worker, redis)


# -- celery-once -----------------------------------------------------------------------------


def a_second_one_is_refused_until_the_first_has_ended(m: Moving) -> None:
    for who in ("once", "ours"):
        first = m.task(f"{who}.slow").apply_async((0.5,), countdown=0.3)
        with pytest.raises((AlreadyQueued, LockConflict)):
            m.task(f"{who}.slow").delay(0.5)
        first.get(timeout=10)
        wait_for(lambda who=who: _sent(m, f"{who}.slow", 0.5), f"{who}: its key is free")


def _sent(m: Moving, name: str, *args: Any) -> bool:
    try:
        m.task(name).delay(*args)
    except (AlreadyQueued, LockConflict):
        return False
    return True


def all_arguments_are_its_key(m: Moving) -> None:
    for who in ("once", "ours"):
        m.queue(f"{who}.all", 1, "a")
        assert m.refuses(f"{who}.all", 1, reason="a")
        assert not m.refuses(f"{who}.all", 1, "b")


def one_argument_is_its_key(m: Moving) -> None:
    for who in ("once", "ours"):
        m.queue(f"{who}.keys", 1, "a")
        assert m.refuses(f"{who}.keys", 1, "b")
        assert not m.refuses(f"{who}.keys", 2, "a")


def no_argument_is_its_key(m: Moving) -> None:
    for who in ("once", "ours"):
        m.queue(f"{who}.no keys", 1)
        assert m.refuses(f"{who}.no keys", 2)


def a_duplicate_is_an_error_where_it_is_sent(m: Moving) -> None:
    m.queue("once.all", 2)
    m.queue("ours.all", 2)

    assert isinstance(m.refuses("once.all", 2), AlreadyQueued)
    assert isinstance(m.refuses("ours.all", 2), LockConflict)


def the_error_says_when_the_key_is_free_at_last(m: Moving) -> None:
    m.queue("once.keys", 3)
    first = m.queue("ours.keys", 3)

    assert 0 < m.refuses("once.keys", 3).countdown <= 3600
    error = m.refuses("ours.keys", 3)
    assert 3600 < error.expires_in <= 86_400
    assert error.holder == first.id


def a_graceful_one_is_answered(m: Moving) -> None:
    m.queue("once.graceful", 1)
    first = m.queue("ours.graceful", 1)

    assert m.queue("once.graceful", 1).state == states.REJECTED
    assert m.queue("ours.graceful", 1).id == first.id


def one_call_is_graceful(m: Moving) -> None:
    m.queue("once.keys", 4)
    m.queue("ours.keys", 4)

    theirs = m.task("once.keys").apply_async((4,), queue=NOBODY, once={"graceful": True})

    assert theirs.state == states.REJECTED
    assert isinstance(m.refuses("ours.keys", 4), LockConflict)


def its_key_is_free_as_it_starts(m: Moving) -> None:
    for who in ("once", "ours"):
        first = m.task(f"{who}.starts").apply_async((1.5,), countdown=0.7)
        assert not _sent(m, f"{who}.starts", 1.5)
        wait_for(lambda who=who: _sent(m, f"{who}.starts", 1.5), f"{who}: it has started")
        assert not first.ready()  # a body of one and a half seconds


def a_lost_message_frees_its_key(m: Moving) -> None:
    began = time.monotonic()
    for who in ("once", "ours"):
        m.queue(f"{who}.timeout", 1)
        assert m.refuses(f"{who}.timeout", 1)  # within the second that its key is kept for
    for who in ("once", "ours"):
        wait_for(lambda who=who: not m.refuses(f"{who}.timeout", 1), f"{who}: the time is over")
    assert time.monotonic() - began > 0.9


def the_locks_are_on_a_redis(m: Moving) -> None:
    user_id = next(_users)
    m.queue("once.keys", user_id)
    m.queue("singleton.one", user_id)
    m.queue("ours.keys", user_id)

    assert m.redis.keys(f"qo_once.keys_user_id-{user_id}")
    assert m.redis.keys("SINGLETONLOCK_*")
    assert m.redis.keys(f"celery-lock:*keys:{user_id}*")


def who_waits_is_sent(m: Moving) -> None:
    m.queue("ours.waits", 1)
    second = m.task("ours.waits").apply_async((1,), queue=NOBODY)

    assert _in_queue(m, second.id)


def _in_queue(m: Moving, task_id: str) -> bool:
    return any(task_id.encode() in message for message in m.redis.lrange(NOBODY, 0, -1))


def a_retry_keeps_its_key(m: Moving) -> None:
    for who in ("once", "ours"):
        first = m.task(f"{who}.retries").delay(1)
        wait_for(lambda first=first: first.state == states.RETRY, "the retry")
        assert not _sent(m, f"{who}.retries", 1)
        assert first.get(timeout=10) == 1


def a_direct_call_takes_no_lock(m: Moving) -> None:
    for who in ("once.keys", "ours.keys", "singleton.one", "ours.one"):
        user_id = next(_users)
        m.queue(who, user_id)
        assert m.task(who)(user_id) == f"{user_id} "


ROWS_OF_ONCE: dict[str, Callable[[Moving], None]] = {
    "`base=QueueOnce`": a_second_one_is_refused_until_the_first_has_ended,
    "no `keys`": all_arguments_are_its_key,
    '`once={"keys": ["user_id"]}`': one_argument_is_its_key,
    '`once={"keys": []}`': no_argument_is_its_key,
    "`AlreadyQueued`, raised by `delay()`": a_duplicate_is_an_error_where_it_is_sent,
    "`AlreadyQueued.countdown`": the_error_says_when_the_key_is_free_at_last,
    '`once={"graceful": True}`': a_graceful_one_is_answered,
    '`apply_async(once={"graceful": True})`': one_call_is_graceful,
    '`once={"unlock_before_run": True}`': its_key_is_free_as_it_starts,
    '`once={"timeout": 3600}`': a_lost_message_frees_its_key,
    '`"backend": "celery_once.backends.Redis"`': the_locks_are_on_a_redis,
    '`"blocking": True`, `"blocking_timeout"`': who_waits_is_sent,
    "the lock stays while the task is retried": a_retry_keeps_its_key,
    "`task(...)`, a direct call": a_direct_call_takes_no_lock,
}

SAID_BEFORE = {
    '`"default_timeout"`',
    '`"url"`, in `settings`',
    '`"backend": "celery_once.backends.File"`',
    "a backend class of your own",
    "`singleton_raise_on_duplicate`",
    "`singleton_lock_expiry`",
    "`singleton_backend_kwargs`",
    "`singleton_backend_class`",
}
"""Rows about where a value stands, or what there is not: another row plays the value."""


@pytest.mark.parametrize("row", ROWS_OF_ONCE)
def test_a_row_of_celery_once_does_here_what_it_says(moving: Moving, row: str) -> None:
    ROWS_OF_ONCE[row](moving)


# -- celery-singleton ------------------------------------------------------------------------


def a_duplicate_gives_the_first_ones_result(m: Moving) -> None:
    for who in ("singleton.all", "ours.default"):
        first = m.task(who).apply_async((7,), queue=NOBODY)
        second = m.task(who).apply_async((7,), queue=NOBODY)

        assert second.id == first.id
        assert _count(m, first.id) == 1


def _count(m: Moving, task_id: str) -> int:
    return sum(task_id.encode() in message for message in m.redis.lrange(NOBODY, 0, -1))


def the_lock_is_held_until_it_has_ended(m: Moving) -> None:
    for who in ("singleton.all", "ours.default"):
        first = m.task(who).delay(8)
        assert first.get(timeout=10) == "8 "
        wait_for(lambda who=who, id=first.id: m.queue(who, 8).id != id, f"{who}: its key is free")


def all_arguments_are_the_singletons_key(m: Moving) -> None:
    for who in ("singleton.all", "ours.default"):
        first = m.queue(who, 9, "a")
        assert m.queue(who, 9, "a").id == first.id
        assert m.queue(who, 9, "b").id != first.id


def one_argument_is_unique(m: Moving) -> None:
    for who in ("singleton.one", "ours.one"):
        first = m.queue(who, 9, "a")
        assert m.queue(who, 9, "b").id == first.id
        assert m.queue(who, 10, "b").id != first.id


def several_arguments_are_unique(m: Moving) -> None:
    for who in ("singleton.several", "ours.several"):
        first = m.queue(who, 9, reason="a")
        assert m.queue(who, user_id=9, reason="a").id == first.id
        assert m.queue(who, 9, reason="b").id != first.id


def a_duplicate_raises(m: Moving) -> None:
    m.queue("singleton.raises", 1)
    m.queue("ours.all", 11)

    assert isinstance(m.refuses("singleton.raises", 1), DuplicateTaskError)
    assert isinstance(m.refuses("ours.all", 11), LockConflict)


def the_error_names_the_first_one(m: Moving) -> None:
    theirs, ours = m.queue("singleton.raises", 2), m.queue("ours.all", 12)

    assert m.refuses("singleton.raises", 2).task_id == theirs.id
    assert m.refuses("ours.all", 12).holder == ours.id


def a_lost_message_frees_its_lock(m: Moving) -> None:
    theirs, ours = m.queue("singleton.expiry", 1), m.queue("ours.timeout", 2)
    assert m.queue("singleton.expiry", 1).id == theirs.id
    assert m.refuses("ours.timeout", 2).holder == ours.id

    wait_for(lambda: m.queue("singleton.expiry", 1).id != theirs.id, "their time is over")
    wait_for(lambda: not m.refuses("ours.timeout", 2), "our time is over")


def keys_have_a_prefix(m: Moving) -> None:
    m.queue("singleton.one", 13)
    m.queue("ours.one", 13)

    assert m.redis.keys("SINGLETONLOCK_*")
    assert locks_of(m.app).settings.key_prefix == "celery-lock:"
    assert m.redis.keys("celery-lock:*one:13*")


def all_locks_are_cleared(m: Moving) -> None:
    theirs, ours = m.queue("singleton.one", 14), m.queue("ours.one", 14)
    clear_locks(m.app)

    _lock(m, "release", "--queued", "one:{user_id}", "--force")

    assert m.queue("singleton.one", 14).id != theirs.id
    assert m.queue("ours.one", 14).id != ours.id


def _lock(m: Moving, *words: str) -> None:
    from click.testing import CliRunner

    from celery_lock.cli import lock

    class Context:
        app = m.app

    done = CliRunner().invoke(lock, list(words), obj=Context())
    assert not done.exit_code, done.output


def a_retry_is_the_singletons(m: Moving) -> None:
    """Theirs meets its own lock: it is never sent."""
    theirs = m.task("singleton.retries").delay(1)
    wait_for(lambda: theirs.state == states.RETRY, "the retry")

    ours = m.task("ours.retries").delay(2)

    assert ours.get(timeout=10) == 1
    assert theirs.state == states.RETRY


ROWS_OF_SINGLETON: dict[str, Callable[[Moving], None]] = {
    "`base=Singleton`": the_lock_is_held_until_it_has_ended,
    "`delay()` returns the first task's result": a_duplicate_gives_the_first_ones_result,
    "no `unique_on`": all_arguments_are_the_singletons_key,
    '`unique_on="user_id"`': one_argument_is_unique,
    '`unique_on=["user_id", "reason"]`': several_arguments_are_unique,
    "`raise_on_duplicate=True`": a_duplicate_raises,
    "`DuplicateTaskError.task_id`": the_error_names_the_first_one,
    "`lock_expiry=3600`": a_lost_message_frees_its_lock,
    "`singleton_key_prefix`": keys_have_a_prefix,
    "`singleton_backend_url`": the_locks_are_on_a_redis,
    "`clear_locks(app)` as the worker starts": all_locks_are_cleared,
    "the lock stays until success or failure": a_retry_is_the_singletons,
    "`task(...)`, a direct call": a_direct_call_takes_no_lock,
}


@pytest.mark.parametrize("row", ROWS_OF_SINGLETON)
def test_a_row_of_celery_singleton_does_here_what_it_says(moving: Moving, row: str) -> None:
    ROWS_OF_SINGLETON[row](moving)


# -- the pages -------------------------------------------------------------------------------


@pytest.mark.parametrize(
    ("page", "rows"),
    [
        ("move-from-celery-once.md", ROWS_OF_ONCE),
        ("move-from-celery-singleton.md", ROWS_OF_SINGLETON),
    ],
)
def test_each_row_of_a_page_is_played(page: str, rows: dict[str, Any]) -> None:
    if not HOW_TO.exists():
        pytest.skip("the tests run without the documentation")
    text = (HOW_TO / page).read_text(encoding="utf-8")

    written = re.findall(r"^\| (.+?) \| .+ \|$", text, re.MULTILINE)[1:]

    assert set(rows) <= set(written)
    assert set(written) - set(rows) <= SAID_BEFORE
