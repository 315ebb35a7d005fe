"""What each policy does to a real task in a real worker, when its key is taken."""

from __future__ import annotations

import datetime
import re
import time
from collections.abc import Callable, Iterator
from contextlib import ExitStack
from dataclasses import dataclass
from types import SimpleNamespace
from typing import Any

import celery
import pytest
from celery.exceptions import Ignore, TaskRevokedError
from celery.result import AsyncResult
from celery.signals import task_prerun
from celery.worker.request import create_request_cls
from redis import Redis

from celery_lock import LockConflict, LockError, is_skipped
from celery_lock.errors import LockWaitTimeout
from celery_lock.task.request import LockedRequest
from tests.integration.apps import policy_app
from tests.integration.keys import Keys, keys_at
from tests.integration.taps import Copy, Tap, tap_redis
from tests.services import RedisServer, Worker, sending, wait_for
from tests.services.fixtures import RedisFactory, WorkerFactory

APP = "tests.integration.apps.policy_app"


@dataclass
class PolicySetup:
    """A Redis that is broker, backend and store, and a worker on it."""

    app: celery.Celery
    tap: Tap
    keys: Keys
    worker: Worker
    redis: Redis
    url: str

    def send(self, policy: str, *args: str, **options: Any) -> AsyncResult[Any]:
        return self.app.tasks[f"policy.{policy}"].apply_async(args, **options)

    def sent_again(self, result: AsyncResult[Any], times: int = 1) -> None:
        """Wait until a message was sent again so often."""
        self.tap.wait_for(result.id, 1 + times)

    def watched(self) -> None:
        """Wait until somebody waits for the release of a key."""
        wait_for(
            lambda: any(client["cmd"] == "blpop" for client in self.redis.client_list()),
            "somebody who waits for a key",
        )

    def lines(self, result: AsyncResult[Any], holder: str) -> list[str]:
        """What the worker logged about the conflicts of a task."""
        found = [line for line in self.worker.logs().splitlines() if result.id in line]
        return [line for line in found if f"is held by task {holder} " in line]


@pytest.fixture(scope="module")
def setup(module_redis: RedisServer, module_worker_factory: WorkerFactory) -> Iterator[PolicySetup]:
    url = module_redis.url
    worker = module_worker_factory(APP, broker=url, backend=url, concurrency=4)
    with (
        sending(policy_app.make_app(broker_url=url, result_backend=url)) as app,
        keys_at(url) as keys,
        tap_redis(module_redis) as tap,
        module_redis.client() as redis,
    ):
        yield PolicySetup(app, tap, keys, worker, redis, url)


@pytest.fixture
def key(request: pytest.FixtureRequest) -> str:
    """A key of the test's own."""
    return str(request.node.name)


# -- skip and fail ------------------------------------------------------------------------------


def test_skip_completes_the_task_with_its_holder(setup: PolicySetup, key: str) -> None:
    with setup.keys.held(key, task_id="nightly"):
        sent = setup.send("skip", key)
        result = sent.get(timeout=20)

    assert result == {"skipped": key, "held_by": "nightly"}
    assert is_skipped(result)
    assert sent.state == "SUCCESS"
    (line,) = setup.lines(sent, "nightly")
    assert re.search(r"INFO.*policy\.skip\[\S+\]: skipped, will not run", line)
    assert "on w1@elsewhere (pid 4711) since 20" in line


def test_skip_completes_the_task_with_a_result_of_its_own(setup: PolicySetup, key: str) -> None:
    with setup.keys.held(key):
        result = setup.send("skip_with", key).get(timeout=20)

    assert result == {"nothing": "to do"}
    assert not is_skipped(result)


def test_fail_raises_the_conflict_where_the_result_is_asked_for(
    setup: PolicySetup, key: str
) -> None:
    with setup.keys.held(key, task_id="nightly"):
        sent = setup.send("fail", key)
        with pytest.raises(LockConflict) as raised:
            sent.get(timeout=20)

    assert (raised.value.key, raised.value.holder) == (key, "nightly")
    assert sent.state == "FAILURE"
    (line,) = setup.lines(sent, "nightly")
    assert re.search(r"INFO.*fails with LockConflict", line)


# -- wait ---------------------------------------------------------------------------------------


def test_a_release_wakes_who_waits(setup: PolicySetup, key: str) -> None:
    with setup.keys.held(key):
        sent = setup.send("wait", key)
        setup.watched()
        released = time.time()
    ran, retries, attempt, at = sent.get(timeout=20)

    assert (ran, retries, attempt) == ("ran", 0, 0)
    assert at - released < 5  # not its 30 s, nor the 10 s after which a watch ends anyway


@pytest.mark.parametrize(
    ("policy", "error"),
    [("wait_then_fail", LockWaitTimeout), ("requeue_twice", LockWaitTimeout)],
)
def test_who_waited_in_vain_fails_with_what_says_so(
    setup: PolicySetup, key: str, policy: str, error: type[Exception]
) -> None:
    with setup.keys.held(key, task_id="nightly"), pytest.raises(error) as raised:
        setup.send(policy, key).get(timeout=20)

    assert (raised.value.key, raised.value.holder) == (key, "nightly")


def test_a_wait_in_vain_can_end_as_skipped(setup: PolicySetup, key: str) -> None:
    with setup.keys.held(key, task_id="nightly"):
        result = setup.send("wait_then_skip", key).get(timeout=20)

    assert result == {"skipped": key, "held_by": "nightly"}


def test_a_wait_in_vain_can_go_on_in_the_queue(setup: PolicySetup, key: str) -> None:
    with setup.keys.held(key):
        sent = setup.send("wait_then_requeue", key)
        setup.sent_again(sent, times=2)

    ran, retries, attempt, _ = sent.get(timeout=20)
    assert (ran, retries) == ("ran", 0)
    assert attempt >= 2


# -- requeue ------------------------------------------------------------------------------------


def test_conflicts_use_up_no_retries(setup: PolicySetup, key: str) -> None:
    with setup.keys.held(key):
        sent = setup.send("requeue", key)
        setup.sent_again(sent, times=3)

    ran, retries, attempt, _ = sent.get(timeout=20)
    assert (ran, retries) == ("ran", 0)
    assert attempt >= 3
    assert sent.state == "SUCCESS"
    first, *_ = setup.lines(sent, "somebody")
    assert re.search(r"INFO.*sent again to run later", first)
    assert len(setup.lines(sent, "somebody")) == 1  # the others are for DEBUG


def test_requeue_is_the_default(setup: PolicySetup, key: str) -> None:
    with setup.keys.held(key):
        sent = setup.send("requeue_by_default", key)
        setup.sent_again(sent)

    assert sent.get(timeout=20)[0] == "ran"


def test_a_message_is_sent_again_as_often_as_it_may_be(setup: PolicySetup, key: str) -> None:
    with setup.keys.held(key, task_id="nightly"):
        sent = setup.send("requeue_twice_then_skip", key)
        result = sent.get(timeout=20)

    assert result == {"skipped": key, "held_by": "nightly"}
    assert len(setup.tap.copies(sent.id)) == 3


def test_a_message_is_sent_again_for_as_long_as_it_may_be(setup: PolicySetup, key: str) -> None:
    with setup.keys.held(key):
        began = time.monotonic()
        sent = setup.send("requeue_for_a_while", key)
        with pytest.raises(LockWaitTimeout):
            sent.get(timeout=20)

    assert time.monotonic() - began > 0.5
    assert len(setup.tap.copies(sent.id)) >= 2


def test_a_requeue_in_vain_can_end_in_a_wait(setup: PolicySetup, key: str) -> None:
    with setup.keys.held(key):
        sent = setup.send("requeue_once_then_wait", key)
        setup.sent_again(sent)
        setup.watched()

    assert sent.get(timeout=20)[0] == "ran"
    assert len(setup.tap.copies(sent.id)) == 2


def test_a_task_that_expires_while_it_waits_is_revoked_for_all_to_see(
    setup: PolicySetup, key: str
) -> None:
    with setup.keys.held(key):
        sent = setup.send("requeue", key, expires=1)
        setup.sent_again(sent)
        with pytest.raises(TaskRevokedError, match="expired"):
            sent.get(timeout=20)

    assert sent.state == "REVOKED"


def test_those_who_wait_in_the_queue_leave_the_worker_to_others(
    setup: PolicySetup, key: str, worker_factory: WorkerFactory
) -> None:
    worker_factory(APP, broker=setup.url, backend=setup.url, queues=["waiting", "other"])

    with ExitStack() as taken:
        keys = [f"{key}-{number}" for number in range(200)]
        for one in keys:
            taken.enter_context(setup.keys.held(one))
        waiting = [setup.send("many", one, queue="waiting") for one in keys]
        setup.sent_again(waiting[-1])  # so all of them wait in the worker
        other = setup.app.tasks["policy.plain"].apply_async(queue="other")

        assert other.get(timeout=20) == "ran"
    assert {one.get(timeout=30)[0] for one in waiting} == {"ran"}


# -- functions of the conflict ------------------------------------------------------------------


def test_a_policy_function_sees_the_conflict(setup: PolicySetup, key: str) -> None:
    with setup.keys.held(key, task_id="nightly"):
        sent = setup.send("shown", key)
        seen = sent.get(timeout=20)

    assert seen.pop("since") == pytest.approx(time.time(), abs=30)
    assert 0 < seen.pop("expires_in") <= 60
    assert seen == {
        "key": key,
        "task": "policy.shown",
        "task_id": sent.id,
        "holder": "nightly",
        "node": "w1@elsewhere",
        "pid": 4711,
        "attempt": 1,
        "waited": 0,
        "redelivered": False,
        "in_canvas": False,
    }


def test_a_policy_function_may_count_attempts(setup: PolicySetup, key: str) -> None:
    with setup.keys.held(key):
        sent = setup.send("third_time", key)

        assert is_skipped(sent.get(timeout=20))
    assert len(setup.tap.copies(sent.id)) == 3


def test_a_policy_function_may_ask_whether_somebody_waits_for_the_task(
    setup: PolicySetup, key: str
) -> None:
    with setup.keys.held(key):
        alone = setup.send("canvas_only", key)
        linked = setup.send(
            "canvas_only", key, link=setup.app.signature("policy.plain", immutable=True)
        )
        setup.sent_again(linked)

        assert is_skipped(alone.get(timeout=20))
    assert linked.get(timeout=20)[0] == "ran"


@pytest.mark.parametrize(
    ("policy", "message"),
    [
        ("broken", r"on_conflict function broken raised KeyError: 'tenant'"),
        ("nonsense", r"answered 'skip'.*must return skip\(\), requeue\(\), wait\(seconds\) or"),
    ],
)
def test_a_policy_function_with_a_mistake_fails_the_task_and_says_why(
    setup: PolicySetup, key: str, policy: str, message: str
) -> None:
    with setup.keys.held(key), pytest.raises(LockError, match=message):
        setup.send(policy, key).get(timeout=20)


# -- headers ------------------------------------------------------------------------------------


def test_a_message_may_bring_its_key(setup: PolicySetup, key: str) -> None:
    header = {"celery_lock": {"v": 1, "key": key}}
    with setup.keys.held(key, task_id="nightly"):
        sent = setup.app.send_task("policy.skip", ["another"], headers=header)

        assert sent.get(timeout=20) == {"skipped": key, "held_by": "nightly"}


@pytest.mark.parametrize(
    ("header", "message"),
    [
        ("key", r"message header celery_lock is str, not a dict; send \{"),
        ({"v": 1, "key": 7}, r"field 'key' of the message header celery_lock is 7"),
    ],
)
def test_a_header_that_is_none_of_ours_fails_the_task_and_says_why(
    setup: PolicySetup, key: str, header: Any, message: str
) -> None:
    sent = setup.app.send_task("policy.skip", [key], headers={"celery_lock": header})

    with pytest.raises(LockError, match=message):
        sent.get(timeout=20)


# -- the same task again ------------------------------------------------------------------------


def test_a_retry_that_overtakes_the_run_before_it_waits_for_it(
    setup: PolicySetup, key: str
) -> None:
    sent = setup.send("retried", key)

    assert sent.get(timeout=20) == [1, ["celery_lock"]]
    assert len(setup.tap.copies(sent.id)) == 2  # as sent, and Celery's own retry: no requeue


# -- redelivery -----------------------------------------------------------------------------------

VISIBILITY = 2.0
SHORT = {"POLICY_VISIBILITY": str(VISIBILITY)}


@pytest.fixture
def short(
    redis_factory: RedisFactory, worker_factory: WorkerFactory
) -> Iterator[tuple[PolicySetup, Callable[[], Worker]]]:
    """A setup whose broker gives a message to a second worker after two seconds."""
    server = redis_factory()

    def start() -> Worker:
        return worker_factory(APP, broker=server.url, backend=server.url, env=SHORT)

    with (
        sending(policy_app.make_app(broker_url=server.url, result_backend=server.url)) as app,
        keys_at(server.url) as keys,
        tap_redis(server) as tap,
        server.client() as redis,
    ):
        yield PolicySetup(app, tap, keys, start(), redis, server.url), start


def test_no_pause_is_so_long_that_the_broker_gives_the_message_to_another(short: Any) -> None:
    setup, _ = short
    with setup.keys.held("k"):
        sent = setup.send("requeue_much_later", "k")
        copies = setup.tap.wait_for(sent.id, 7)  # 6 pauses of a quarter: longer than the time-out

    for copy in copies[1:]:
        eta = datetime.datetime.fromisoformat(copy.headers["eta"]).timestamp()
        assert eta - copy.seen <= VISIBILITY / 4
    assert sent.get(timeout=20)[0] == "ran"
    wait_for(lambda: not setup.redis.exists("celery", "unacked"), "an empty broker")
    setup.worker.wait_for_log(rf"\[{sent.id}\] succeeded")
    assert setup.worker.logs().count(f"[{sent.id}] succeeded") == 1


def test_a_redelivered_copy_is_never_dropped_whatever_the_policy_says(short: Any) -> None:
    setup, start = short
    done, lost = setup.send("late", "k1", "gate1"), setup.send("late", "k2", "gate2")
    runs = ("gate1:runs", "gate2:runs")
    wait_for(lambda: setup.redis.mget(runs) == [b"1", b"1"], "the start of both bodies")
    wait_for(
        lambda: (
            setup.redis.zcount("unacked_index", 0, time.time() - VISIBILITY)
            or setup.tap.copies(done.id)[1:]
        ),
        "the visibility time-out",
    )

    start()
    for sent in (done, lost):
        again = wait_for(lambda sent=sent: _sent_again(setup, sent), "the copy, sent again")
        assert "redelivered" not in again.headers
        assert sent.state == "PENDING"

    # the first one ends: it was alone all the time
    setup.redis.set("gate1", "open")
    inside, headers = done.get(timeout=20)
    assert (inside, headers) == (1, ["celery_lock"])

    # the other is lost with its worker: the copy runs
    setup.worker.kill()
    setup.worker.process.kill()
    wait_for(lambda: setup.redis.get("gate2:runs") == b"2", "the copy's run")
    setup.redis.set("gate2", "open")
    _, headers = lost.get(timeout=20)
    assert "celery_lock" in headers


def _sent_again(setup: PolicySetup, sent: AsyncResult[Any]) -> Copy | None:
    """The first copy that we sent."""
    counts = {"attempt", "turns", "outages"}
    copies = setup.tap.copies(sent.id)
    return next((copy for copy in copies if counts & {*copy.headers["celery_lock"]}), None)


# -- eager ----------------------------------------------------------------------------------------


@pytest.mark.parametrize(
    "policy", [name for name in policy_app.POLICIES if "requeue" in name or name == "third_time"]
)
def test_in_eager_mode_nothing_is_sent_and_the_conflict_is_raised(
    fresh_redis: RedisServer, policy: str
) -> None:
    conf = {"broker_url": fresh_redis.url, "result_backend": fresh_redis.url}
    with (
        policy_app.make_app(**conf, task_always_eager=True) as app,
        keys_at(fresh_redis.url) as keys,
    ):
        keys.take("k", task_id="nightly")
        result = app.tasks[f"policy.{policy}"].delay("k")

        with pytest.raises(LockConflict, match="nightly"):
            result.get()
        with fresh_redis.client() as redis:
            assert not redis.exists("celery")


def test_in_eager_mode_the_other_policies_do_what_they_always_do(fresh_redis: RedisServer) -> None:
    conf = {"broker_url": fresh_redis.url, "result_backend": fresh_redis.url}
    with (
        policy_app.make_app(**conf, task_always_eager=True) as app,
        keys_at(fresh_redis.url) as keys,
    ):
        keys.take("k", task_id="nightly")
        ran = {name: app.tasks[f"policy.{name}"].delay("k") for name in ("skip", "wait_then_fail")}

        assert ran["skip"].get() == {"skipped": "k", "held_by": "nightly"}
        with pytest.raises(LockWaitTimeout):
            ran["wait_then_fail"].get()


# -- why it is done in __call__ and in Request.__init__ -------------------------------------------


def test_a_receiver_of_task_prerun_cannot_keep_a_body_from_running() -> None:
    app = policy_app.make_app(task_always_eager=True)

    def veto(**_: Any) -> None:
        raise Ignore("do not run")

    task_prerun.connect(veto, sender=app.tasks["policy.plain"], weak=False)
    try:
        assert app.tasks["policy.plain"].delay().get() == "ran"
    finally:
        task_prerun.disconnect(veto, sender=app.tasks["policy.plain"])


def test_a_request_of_our_own_is_heard_when_it_is_made_and_not_when_it_runs() -> None:
    class Ours(LockedRequest):
        def execute_using_pool(self, pool: Any, **options: Any) -> None: ...
        def on_success(self, *args: Any, **options: Any) -> None: ...

    app = policy_app.make_app()
    pool = SimpleNamespace(apply_async=None)
    made = create_request_cls(Ours, app.tasks["policy.skip"], pool, "here", None, app=app)

    assert made.execute_using_pool is not Ours.execute_using_pool
    assert made.on_success is not Ours.on_success
    assert made.__init__ is Ours.__init__
