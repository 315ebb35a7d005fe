"""Tasks whose publisher takes a key that shows a header, or the queue that they are routed to."""

from __future__ import annotations

from collections.abc import Iterator
from typing import Any

import pytest
from celery import Celery, chain, group, signals
from celery.beat import ScheduleEntry, Scheduler

from celery_lock import Lock, LockedTask, Scope, fail, skip
from celery_lock.errors import LockConflict
from celery_lock.message import HEADER

from .engine import Engine
from .test_tenants import Shop

PER_TENANT = "{header[tenant]}:order:{order_id}"
RED, BLUE = {"tenant": "red"}, {"tenant": "blue"}


def publishing(template: str = PER_TENANT, **options: Any) -> Shop:
    return Shop(Lock(template, **{"scope": Scope.UNTIL_FINISHED, **options}))


def taken_from(app: Celery, queue: str = "celery") -> list[Any]:
    """The messages that were published, oldest first."""
    with app.connection_for_read() as connection:
        simple = connection.SimpleQueue(queue)
        messages = [simple.get_nowait() for _ in range(simple.qsize())]
        for message in messages:
            message.ack()
        simple.close()
    return messages


def keys_in(messages: list[Any]) -> list[str | None]:
    return [message.headers[HEADER].get("key") for message in messages]


@pytest.mark.parametrize("protocol", [1, 2])
@pytest.mark.parametrize("scope", [Scope.UNTIL_STARTED, Scope.UNTIL_FINISHED])
def test_a_duplicate_is_one_of_the_same_tenant(scope: Scope, protocol: int) -> None:
    shop = publishing(scope=scope)
    shop.app.conf.task_protocol = protocol

    first, again, other = (
        shop.task.apply_async((7,), headers=headers) for headers in (RED, dict(RED), BLUE)
    )

    assert first.id == again.id != other.id
    assert keys_in(taken_from(shop.app)) == ["red:order:7", "blue:order:7"]


def test_a_conflict_names_the_tenant() -> None:
    shop = publishing(on_conflict=fail())
    shop.task.apply_async((7,), headers=RED)
    shop.task.apply_async((7,), headers=BLUE)

    with pytest.raises(LockConflict, match="red:order:7"):
        shop.task.apply_async((7,), headers={"headers": RED})


@pytest.mark.parametrize(
    "headers", [None, {}, {"tenant": None}, {"tenant": ""}, {**RED, "headers": BLUE}]
)
def test_a_call_without_the_header_is_sent_without_a_lease_and_a_warning_names_it(
    headers: Any, caplog: pytest.LogCaptureFixture
) -> None:
    shop = publishing()

    for _ in range(2):
        shop.task.apply_async((7,), headers=headers)

    messages = taken_from(shop.app)
    assert len(messages) == 2
    assert all("had" not in message.headers[HEADER] for message in messages)
    assert keys_in(messages) == [None, None]
    assert "is published without its lease" in caplog.text
    assert "'tenant'" in caplog.text


def test_headers_as_pairs_count_for_celery_takes_them_too() -> None:
    shop = publishing()

    shop.task.apply_async((7,), headers=[("tenant", "red")])

    assert keys_in(taken_from(shop.app)) == ["red:order:7"]


@pytest.fixture
def green() -> Iterator[None]:
    def write(headers: Any = None, **_: Any) -> None:
        headers["tenant"] = "green"

    signals.before_task_publish.connect(write)
    yield
    signals.before_task_publish.disconnect(write)


@pytest.mark.usefixtures("green")
def test_a_header_of_a_receiver_comes_too_late_for_the_lease_and_counts_on_the_worker() -> None:
    shop = publishing()

    shop.task.apply_async((7,))
    (message,) = taken_from(shop.app)

    assert "had" not in message.headers[HEADER]
    assert shop.runs(message).result == "green:order:7"


class AddsTheTenant(LockedTask):  # type: ignore[type-arg]
    abstract = True

    def apply_async(self, args: Any = None, kwargs: Any = None, **options: Any) -> Any:
        options["headers"] = {**(options.get("headers") or {}), **RED}
        return super().apply_async(args, kwargs, **options)


def test_a_class_above_ours_may_add_the_header() -> None:
    app = Engine().app()
    lock = Lock("{header[tenant]}", scope=Scope.UNTIL_FINISHED, on_conflict=skip())

    @app.task(base=AddsTheTenant, lock=lock, name="above", shared=False)
    def above() -> None: ...

    first, second = above.delay(), above.delay()

    assert first.id == second.id
    assert keys_in(taken_from(app)) == ["red"]


def test_a_queue_is_the_one_that_the_call_is_routed_to() -> None:
    shop = publishing("{queue}:{order_id}")
    options = {"time_limit": 60, "soft_time_limit": 50, "expires": 600, "priority": 3}

    first, again, other = (
        shop.task.apply_async((7,), queue=queue, **options) for queue in ("high", "high", "low")
    )
    (message,) = taken_from(shop.app, "high")

    assert first.id == again.id != other.id
    assert keys_in([message]) == ["high:7"]
    assert message.headers["timelimit"] == [60, 50]
    assert shop.runs(message, queue="elsewhere").result == "high:7"


def test_a_retry_keeps_the_key_and_its_lease_in_another_queue() -> None:
    shop, keys = publishing("{header[tenant]}:{queue}:{order_id}"), []

    def retries(task: Any) -> Any:
        keys.append(task.lease.key)
        if not task.request.retries:
            raise task.retry(countdown=0, headers={"trace": 1}, queue="slow")

    shop.during = retries
    shop.task.apply_async((7,), headers=RED, queue="high")
    shop.runs(*taken_from(shop.app, "high"), queue="high")
    between = shop.engine.holder_of("red:high:7")
    shop.runs(*taken_from(shop.app, "slow"), queue="slow")

    assert keys == ["red:high:7"] * 2
    assert between is not None
    assert shop.engine.holder_of("red:high:7") is None


def test_a_schedule_has_the_headers_and_the_queue_of_its_entries() -> None:
    shop = publishing("{header[tenant]}:{queue}")
    beat = Scheduler(shop.app)  # type: ignore[no-untyped-call]

    for headers in (RED, RED, BLUE):
        options = {"headers": headers, "queue": "high"}
        entry = ScheduleEntry("e", "ship", schedule=10.0, options=options, app=shop.app)
        beat.apply_async(entry, advance=False)

    assert keys_in(taken_from(shop.app, "high")) == ["red:high", "blue:high"]


def test_a_canvas_has_the_headers_of_each_of_its_steps() -> None:
    shop = publishing()
    first, second = shop.task.si(7).set(headers=RED), shop.task.si(8).set(headers=BLUE)

    chain(first, second).apply_async()
    group(shop.task.si(1), shop.task.si(2)).apply_async(headers=RED)

    assert keys_in(taken_from(shop.app)) == ["red:order:7", "red:order:1", "red:order:2"]
