"""Tasks whose key shows a header or the queue of their message: runs, retries, calls by hand."""

from __future__ import annotations

import warnings
from collections.abc import Callable
from typing import Any

import pytest
from celery import Celery
from kombu import Exchange, Queue

from celery_lock import Lock, LockConfigurationError, LockedTask, LockError, Scope, is_skipped, skip
from celery_lock.app.locks import locks_of
from celery_lock.app.outgoing import header_of_call, outgoing
from celery_lock.events import Acquired
from celery_lock.keys import NotInMessage
from celery_lock.message import HEADER
from celery_lock.testing import memory_locks

from .engine import Ended, Engine, deliver, locked

PER_TENANT = Lock("{header[tenant]}:order:{order_id}", on_conflict=skip())
PER_QUEUE = Lock("{queue}:order:{order_id}")


class Shop:
    """A task, the messages that it sends, and what its runs have locked."""

    def __init__(self, lock: Any = PER_TENANT, *, name: str = "ship", **options: Any) -> None:
        self.engine = Engine()
        self.app = self.engine.app()
        self.during: Callable[[Any], Any] = lambda task: task.lease.key

        def body(task: Any, order_id: int = 7) -> Any:
            return self.during(task)

        self.task = locked(self.app, lock, name=name, bind=True, **options)(body)

    def run(self, *args: Any, **request: Any) -> Ended:
        return deliver(self.task, *args, **request)

    def sent(self) -> Any:
        """The message that was published last."""
        with self.app.connection_for_read() as connection:
            queue = connection.SimpleQueue("celery")
            found = [queue.get_nowait() for _ in range(queue.qsize())]
            for message in found:
                message.ack()
            queue.close()
        return found[-1]

    def runs(self, message: Any, *, queue: str = "celery") -> Ended:
        """Run a message that was published, as a worker does."""
        headers, (args, kwargs, _) = message.headers, message.payload
        about = {name: headers[name] for name in ("retries", "replaced_task_nesting")}
        given = {name: value for name, value in headers.items() if name not in about}
        made = {"headers": given, "id": given.pop("id"), "kwargs": kwargs, **about}
        given.pop("task")
        return deliver(self.task, *args, queue=queue, **made)

    def keys(self) -> list[str]:
        return [fact.key for fact in self.engine.facts if isinstance(fact, Acquired)]


# -- on a worker -----------------------------------------------------------------------------


def test_two_tenants_with_one_number_do_not_skip_each_other() -> None:
    shop = Shop()
    ended: list[Ended] = []

    def meets_the_other_tenant(task: Any) -> str:
        shop.during = lambda task: "ran"
        ended.append(shop.run(7, id="id-2", tag="tag-2", headers={"tenant": "blue"}))
        ended.append(shop.run(7, id="id-3", tag="tag-3", headers={"tenant": "red"}))
        return "done"

    shop.during = meets_the_other_tenant
    shop.run(7, headers={"tenant": "red"})

    assert ended[0].result == "ran"
    assert is_skipped(ended[1].result)
    assert shop.keys() == ["red:order:7", "blue:order:7"]


def test_a_header_counts_beside_inner_ones_and_among_them() -> None:
    """Celery shows the task the inner ones alone."""
    shop = Shop()

    for number, headers in enumerate(
        (
            {"headers": {"tenant": "red"}},
            {"tenant": "red", "headers": {"trace": "1"}},
            {"tenant": "red", "headers": {"tenant": "red"}},
        )
    ):
        ended = shop.run(7, id=f"id-{number}", tag=f"tag-{number}", headers=headers)
        assert ended.result == "red:order:7"


def test_a_message_without_the_header_fails_and_its_error_names_it() -> None:
    ended = Shop().run(7, headers={"tennant": "red"})

    assert ended.state == "FAILURE"
    assert isinstance(ended.result, LockConfigurationError)
    assert "has no header 'tenant'" in str(ended.result)


def test_a_message_without_the_header_may_have_a_default() -> None:
    shop = Shop(Lock("{header[tenant]|public}:order:{order_id}"))

    assert shop.run(7).result == "public:order:7"
    assert shop.run(7, id="id-2", headers={"tenant": "red"}).result == "red:order:7"


def test_a_key_in_our_header_counts_before_all_that_a_template_shows() -> None:
    headers = {"tenant": "red", HEADER: {"v": 1, "key": "blue:order:9"}}

    assert Shop().run(7, headers=headers).result == "blue:order:9"


def test_a_message_that_is_sent_again_keeps_its_key() -> None:
    shop = Shop(Lock("{header[tenant]}:{queue}"))
    taken = shop.engine.hold("red:high")

    assert shop.run(7, headers={"tenant": "red"}, queue="high").state == "IGNORED"
    shop.engine.free(taken)
    again = {HEADER: shop.engine.sent[-1].header}

    assert shop.run(7, headers=again, queue="slow").result == "red:high"


def test_a_queue_is_the_one_that_the_message_was_taken_from() -> None:
    shop = Shop(PER_QUEUE)

    assert shop.run(7, queue="high").result == "high:order:7"
    assert shop.run(7, queue="a:b", id="id-2").result == "a%3Ab:order:7"
    assert "not known which queue" in str(shop.run(7, raw=False, id="id-3").result)


def test_a_request_of_somebody_elses_class_has_its_headers_too() -> None:
    shop = Shop()

    assert shop.run(7, raw=False, headers={"tenant": "red"}).result == "red:order:7"
    inner = {"tenant": "red", "headers": {"x": 1}}
    assert shop.run(7, raw=False, id="id-2", headers=inner).result == "red:order:7"


# -- retries and replacements ----------------------------------------------------------------


def test_a_retry_keeps_its_key_in_another_queue_and_where_a_tool_took_its_headers() -> None:
    shop = Shop(Lock("{header[tenant]}:{queue}:{order_id}"))
    retried = []

    def retries(task: Any) -> Any:
        retried.append(task.lease.key)
        if task.request.retries < 2:
            raise task.retry(countdown=0, headers={"traceparent": "00"}, throw=True)
        return "done"

    shop.during = retries
    shop.task.apply_async((7,), headers={"tenant": "red"})
    first = shop.sent()
    shop.runs(first, queue="high")
    second = shop.sent()
    shop.runs(second, queue="slow")
    shop.runs(shop.sent(), queue="slow")

    assert "tenant" not in second.headers
    assert second.headers[HEADER]["shown"] == {"header[tenant]": "red", "queue": "high"}
    assert retried == ["red:high:7"] * 3


def test_a_retry_that_says_another_tenant_is_that_ones() -> None:
    shop = Shop()

    def retries(task: Any) -> Any:
        if not task.request.retries:
            raise task.retry(countdown=0, headers={"tenant": "blue"})
        return task.lease.key

    shop.during = retries
    shop.run(7, headers={"tenant": "red"})

    assert shop.runs(shop.sent()).result == "blue:order:7"


def test_a_replacement_in_the_same_task_keeps_the_tenant() -> None:
    shop = Shop()

    def replaces(task: Any) -> Any:
        if not task.request.replaced_task_nesting:
            return task.replace(task.s(8))
        return task.lease.key

    shop.during = replaces
    shop.run(7, headers={"tenant": "red"})

    assert shop.runs(shop.sent()).result == "red:order:8"


@pytest.mark.parametrize(("headers", "heirs"), [(None, 1), ({"x": 1}, 1), ({"tenant": "blue"}, 0)])
def test_a_key_across_retries_is_left_to_a_retry_that_asks_for_the_same(
    headers: Any, heirs: int
) -> None:
    shop = Shop(Lock("{header[tenant]}:{queue}", scope=Scope.ACROSS_RETRIES))

    def retries(task: Any) -> Any:
        given = {} if headers is None else {"headers": headers}
        raise task.retry(countdown=0, **given)

    shop.during = retries
    shop.run(7, headers={"tenant": "red"}, queue="high")

    assert (shop.engine.holder_of("red:high") is not None) == bool(heirs)


# -- eager mode ------------------------------------------------------------------------------


def test_an_eager_call_has_its_headers_and_the_queue_that_it_would_go_to() -> None:
    shop = Shop(Lock("{header[tenant]}:{queue}:{order_id}"))
    shop.app.conf.task_always_eager = True

    plain = shop.task.apply_async((7,), headers={"tenant": "red"})
    inner = shop.task.apply_async((8,), headers={"headers": {"tenant": "red"}}, queue="high")
    applied = shop.task.apply((9,), headers={"tenant": "red"})
    named = shop.task.s(10).set(headers={"tenant": "red"}, queue="low").apply()

    assert [each.get() for each in (plain, inner, applied, named)] == [
        "red:celery:7",
        "red:high:8",
        "red:celery:9",
        "red:low:10",
    ]
    with pytest.raises(LockConfigurationError, match="has no header 'tenant'"):
        shop.task.apply_async((7,)).get()


def test_an_eager_retry_keeps_its_key() -> None:
    shop = Shop(Lock("{header[tenant]}:{queue}"))
    keys = []

    def retries(task: Any) -> Any:
        keys.append(task.lease.key)
        if not task.request.retries:
            raise task.retry(countdown=0)

    shop.during = retries
    shop.task.apply((7,), headers={"tenant": "red"}, queue="high")

    assert keys == ["red:high"] * 2


def test_an_eager_replacement_in_the_same_task_keeps_its_key() -> None:
    shop = Shop(Lock("{header[tenant]}:{queue}:{order_id}"))
    keys = []

    def replaces(task: Any) -> Any:
        keys.append(task.lease.key)
        return task.replace(task.s(8)) if len(keys) == 1 else "done"

    shop.during = replaces

    assert shop.task.apply((7,), headers={"tenant": "red"}, queue="high").get() == "done"
    assert keys == ["red:high:7", "red:high:8"]


# -- before a message is published -----------------------------------------------------------


def keys(shop: Shop, *args: Any, **options: Any) -> tuple[list[str], dict[str, Any]]:
    """The keys of a call, and the options with which its message is to be published."""
    bound, now = shop.task._bound_locks, locks_of(shop.app).now
    header = header_of_call(options, "id-1")
    header, given = outgoing(shop.task, bound, args, {}, options, header, now)
    return [lock.key_of(header, args, {}) for lock in bound], given


def test_a_call_has_the_headers_that_are_given_with_it() -> None:
    shop = Shop()

    assert keys(shop, 7, headers={"tenant": "red"})[0] == ["red:order:7"]
    assert keys(shop, 7, headers={"headers": {"tenant": "red"}})[0] == ["red:order:7"]
    for nothing in ({}, {"headers": None}, {"headers": {"tenant": None}}, {"headers": "x"}):
        with pytest.raises(NotInMessage, match="header 'tenant'"):
            keys(shop, 7, **nothing)


def test_a_call_has_its_stamps() -> None:
    shop = Shop(Lock("{header[stamps][tenant]}"))

    got, _ = keys(shop, 7, stamped_headers=["tenant"], tenant="red")

    assert got == ["red"]


ROUTES: dict[str, tuple[dict[str, Any], dict[str, Any], str | None]] = {
    "the default": ({}, {}, "celery"),
    "a queue of the call": ({}, {"queue": "high"}, "high"),
    "a queue itself": ({}, {"queue": Queue("own", Exchange("x"), routing_key="y")}, "own"),
    "a default of the app": ({"task_default_queue": "shop"}, {}, "shop"),
    "task_routes": ({"task_routes": {"ship": {"queue": "ships"}}}, {}, "ships"),
    "a pattern": ({"task_routes": {"sh*": "ships"}}, {}, "ships"),
    "the call before task_routes": (
        {"task_routes": {"ship": {"queue": "ships"}}},
        {"queue": "high"},
        "high",
    ),
    "an exchange that leads to one": (
        {
            "task_queues": [
                Queue("celery"),
                Queue("eu", Exchange("places", "topic"), routing_key="eu.#"),
                Queue("us", Exchange("places", "topic"), routing_key="us.#"),
            ]
        },
        {"exchange": "places", "routing_key": "us.east"},
        "us",
    ),
    "an exchange that leads to two": (
        {
            "task_queues": [
                Queue("eu", Exchange("places", "topic"), routing_key="#"),
                Queue("us", Exchange("places", "topic"), routing_key="us.#"),
            ]
        },
        {"exchange": "places", "routing_key": "us.east"},
        None,
    ),
    "an exchange that nobody knows": ({}, {"exchange": "none", "routing_key": "x"}, None),
    "a topic queue": (
        {"task_queues": [Queue("eu", Exchange("places", "topic"), routing_key="eu.any")]},
        {"queue": "eu"},
        "eu",
    ),
}


@pytest.mark.parametrize("way", ROUTES)
def test_a_call_has_the_queue_that_it_is_routed_to(way: str) -> None:
    conf, options, queue = ROUTES[way]
    shop = Shop(PER_QUEUE)
    shop.app.conf.update(conf)

    if queue is None:
        with pytest.raises(NotInMessage, match="not known which queue"):
            keys(shop, 7, **options)
    else:
        assert keys(shop, 7, **options)[0] == [f"{queue}:order:7"]


def test_a_queue_of_the_task_counts() -> None:
    with warnings.catch_warnings():
        warnings.simplefilter("ignore", DeprecationWarning)  # of Celery 5.7
        shop = Shop(PER_QUEUE, queue="bulk")

    assert keys(shop, 7)[0] == ["bulk:order:7"]


def test_the_message_goes_where_its_key_says_though_a_router_changes_its_mind() -> None:
    shop, asked = Shop(PER_QUEUE), []

    def router(name: str, args: Any, kwargs: Any, options: Any, task: Any = None) -> Any:
        asked.append((name, args, task))
        return {"queue": f"shard-{len(asked)}", "priority": 3}

    shop.app.conf.task_routes = (router,)
    got, options = keys(shop, 7, headers={"x": 1}, expires=60)

    shop.task.apply_async((7,), **options)

    with shop.app.connection_for_read() as connection:
        message = connection.SimpleQueue("shard-1").get_nowait()
    assert got == ["shard-1:order:7"]
    assert message.properties["priority"] == 3
    assert message.headers["x"] == 1
    assert asked == [("ship", (7,), shop.task)]


def test_a_queue_that_is_asked_for_after_the_key_was_made_is_routed_to() -> None:
    shop = Shop(PER_QUEUE)
    _, options = keys(shop, 7)

    shop.task.apply_async((7,), **{**options, "queue": "later"})

    with shop.app.connection_for_read() as connection:
        assert connection.SimpleQueue("later").qsize() == 1


def test_a_tick_has_the_headers_and_the_queue_of_its_entry() -> None:
    app = Celery("shop", broker="memory://", set_as_current=False)

    @app.task(base=LockedTask, name="s", shared=False, lock=Lock("{header[tenant]}:{queue}"))
    def sweep() -> None: ...

    assert sweep.keys_of(headers={"tenant": "red"}, queue="high") == ["red:high"]


# -- task.key_of -----------------------------------------------------------------------------


def test_the_key_of_a_call_is_told_by_its_task() -> None:
    shop = Shop(Lock("order:{order_id}"))

    assert shop.task.key_of(9) == shop.task.key_of(order_id=9) == "order:9"
    assert shop.task.key_of() == "order:7"
    assert shop.task.keys_of((9,)) == shop.task.keys_of(kwargs={"order_id": 9}) == ["order:9"]
    assert shop.task.keys_of() == ["order:7"]


def test_the_key_of_a_call_is_the_name_in_the_store() -> None:
    shop = Shop(Lock("order:{order_id}", scope=Scope.UNTIL_STARTED))

    assert shop.task.key_of(9) == "order:9%queued"


def test_the_key_of_a_call_may_need_its_headers_and_its_queue() -> None:
    shop = Shop(Lock("{header[tenant]}:{queue}"))

    assert shop.task.keys_of((9,), headers={"tenant": "red"}, queue="high") == ["red:high"]
    with pytest.raises(NotInMessage, match=r"task\.keys_of\(args, kwargs, headers="):
        shop.task.key_of(9)


def test_the_key_of_a_call_in_a_bucket_is_that_of_now() -> None:
    shop = Shop(Lock("r:{bucket:1h}"))
    with memory_locks(shop.app) as locks:
        assert shop.task.key_of() == locks.key_of(shop.task) == "r:20231114T220000Z"


def test_the_key_of_a_call_may_be_named_in_our_header() -> None:
    shop = Shop()

    assert shop.task.keys_of((7,), headers={HEADER: {"v": 1, "key": "mine"}}) == ["mine"]
    with pytest.raises(LockError, match="has no field 'v'"):
        shop.task.keys_of((7,), headers={HEADER: {"key": "mine"}})


def test_the_header_of_the_task_that_asks_is_nobodys() -> None:
    shop = Shop()
    mine = {"tenant": "red", HEADER: {"v": 1, "id": "id-1", "publication": "p", "key": "mine"}}

    assert shop.task.keys_of((7,), headers=mine) == ["red:order:7"]
    assert shop.task.keys_of((7,), headers=mine, task_id="id-1") == ["mine"]


def test_a_call_without_the_lock_has_no_key() -> None:
    with pytest.raises(LockError, match="with lock=None takes no lock, so it has no key"):
        Shop().task.keys_of((7,), headers={"tenant": "red"}, lock=None)


def test_a_task_without_a_lock_has_no_key() -> None:
    app = Celery("shop", broker="memory://", set_as_current=False)

    @app.task(base=LockedTask, name="plain", lock=None, shared=False)
    def plain() -> None: ...

    @app.task(name="other", shared=False)
    def other() -> None: ...

    with pytest.raises(LockError, match="task plain has no lock, so a call of it has no key"):
        plain.key_of()
    with memory_locks(app) as locks, pytest.raises(LockError, match="task other has no lock"):
        locks.key_of(other)


def test_a_call_that_the_task_does_not_take_has_no_key() -> None:
    with pytest.raises(LockError, match="cannot be called with these arguments"):
        Shop(Lock("order:{order_id}")).task.key_of(1, 2, 3)


@pytest.mark.parametrize("scope", [Scope.UNTIL_STARTED, Scope.UNTIL_FINISHED])
def test_a_default_is_refused_where_the_publisher_takes_the_key(scope: Scope) -> None:
    with pytest.raises(LockConfigurationError) as caught:
        Shop(Lock("{header[tenant]|public}:{order_id}", scope=scope))

    said = str(caught.value)
    assert "task ship: key template" in said
    assert "{header[tenant]|public}" in said
    assert f"with Scope.{scope.name} the publisher takes the key" in said
    Shop(Lock("{header[tenant]}:{order_id}", scope=scope))


def test_a_call_of_a_task_with_several_locks_has_a_key_of_each() -> None:
    shop = Shop(
        [
            Lock("{header[tenant]}:{order_id}"),
            Lock("{queue}", scope=Scope.UNTIL_STARTED),
            Lock("order:{order_id}"),
        ]
    )
    named = {HEADER: {"v": 1, "keys": ["a", "b", "c"]}}

    got = shop.task.keys_of((7,), headers={"tenant": "red"}, queue="high")

    assert got == ["red:7", "high%queued", "order:7"]
    assert shop.task.keys_of((7,), headers=named) == ["a", "b%queued", "c"]
    assert shop.run(7, headers={"tenant": "red"}, queue="high").result == "red:7"
    assert "header 'tenant'" in str(shop.run(7, id="id-2", queue="high").result)
