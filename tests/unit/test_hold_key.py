"""The key of a hold is that of a Lock with the same template; what cannot be one is refused."""

from __future__ import annotations

import re
from datetime import timedelta
from functools import partial
from typing import Any

import pytest
from celery import Celery

from celery_lock import (
    Lock,
    LockConfigurationError,
    LockedTask,
    LockError,
    current_lease,
    hold,
    peek,
)
from celery_lock.declaring import WrongCall
from celery_lock.testing import memory_locks

from .engine import Engine, locked

pytestmark = pytest.mark.unit


@pytest.fixture
def app() -> Celery:
    return Engine().app()


@pytest.fixture
def held(app: Celery) -> Any:
    return partial(hold, app=app, max_wait=0)


def body(name: Any) -> None:
    """Do nothing."""


def key_of(held: hold) -> str:
    with held as lease:
        return lease.key


VALUES = [7, "7", "a:b", "a%3Ab", "", "x/y", None, 1.5, True, ["a", 1], {"b": 1}, "\u00e9", "{x}"]


@pytest.mark.parametrize("value", VALUES, ids=repr)
@pytest.mark.parametrize("template", ["shop:{name}", "shop:{name}:items", "{name!h}"])
def test_block_function_and_task_have_one_key(
    app: Celery, held: Any, template: str, value: Any
) -> None:
    def function(name: Any) -> str:
        return current_lease().key

    task = locked(app, Lock(template), name="t")(body)

    with memory_locks(app) as locks:
        keys = {key_of(held(template, fields={"name": value})), held(template)(function)(value)}
        assert keys == {locks.key_of(task, value)}


def test_items_are_read_as_in_a_lock(held: Any) -> None:
    order = {"customer": {"id": "a:b"}, "lines": [3, 4]}

    template = "order:{order[customer][id]}:{order.lines[1]}"

    assert key_of(held(template, fields={"order": order})) == "order:a%3Ab:4"


def test_open_parameters_are_fields_too(held: Any) -> None:
    @held("{args[0]}-{kwargs[x]}")
    def ship(*args: Any, **kwargs: Any) -> str:
        return current_lease().key

    assert ship("a", x=1) == "a-1"


def test_the_key_of_a_call_is_taken_as_it_is_with_braces_too(app: Celery, held: Any) -> None:
    """What a user has typed is no template."""
    task = locked(app, Lock("shop:{name}"), name="t")(body)

    finished = task.key_of("{x}")

    assert key_of(held(finished)) == "shop:{x}"
    assert peek(finished, app) is None


def test_a_template_is_no_key_to_ask_about(app: Celery) -> None:
    wrong(lambda: peek("shop:{name}", app), "takes a finished key, and this is a template")


def test_a_key_with_braces_may_be_asked_about(app: Celery, held: Any) -> None:
    with held("shop:{name}", fields={"name": "{x}"}) as lease:
        there = peek(lease.key, app)

    assert there is not None


@pytest.mark.parametrize("value", ["a:b", "x" * 2000, "%~" + "0" * 32, 7])
def test_the_finished_key_of_a_call_is_that_key(app: Celery, held: Any, value: Any) -> None:
    """Above all one that was cut: cut again it would be another key, which keeps nobody out."""
    task = locked(app, Lock("shop:{name}"), name="t")(body)
    with memory_locks(app) as locks:
        finished = locks.key_of(task, value)

        assert key_of(held(finished)) == finished


def test_a_key_that_is_too_long_is_cut_as_in_a_lock(app: Celery, held: Any) -> None:
    long = "x" * 2000
    task = locked(app, Lock(long), name="t")(body)

    with memory_locks(app) as locks:
        assert key_of(held(long)) == locks.key_of(task, 1)


def test_a_brace_is_written_twice(held: Any) -> None:
    assert key_of(held("a{{b}}")) == "a{b}"


def test_the_fields_of_a_function_may_be_given_beforehand(held: Any) -> None:
    @held("user:{user_id}", fields={"user_id": 7})
    def charge(amount: int) -> str:
        return current_lease().key

    assert charge(3) == "user:7"


# -- bad input -------------------------------------------------------------------------------


def wrong(make: Any, said: str, kind: type[LockError] = LockConfigurationError) -> None:
    with pytest.raises(kind, match=re.escape(said)):
        make()


@pytest.mark.parametrize(
    ("options", "said"),
    [
        ({"key": "k"}, "hold needs max_wait; it has key, max_wait, fields, ttl, at_most, limit"),
        ({"key": "k", "timeout": 3}, "hold has no option 'timeout': which other libraries use"),
        ({"key": "k", "blocking": False}, "here it is max_wait: 0 does not wait"),
        ({"key": "k", "max_wiat": 3}, "(did you mean 'max_wait'?)"),
        ({"key": "k", "max_wait": -1}, "hold(max_wait)=-1 must be zero or more seconds"),
        ({"key": "k", "max_wait": None}, "hold(max_wait)=None is no duration"),
        ({"key": "k", "max_wait": float("nan")}, "hold(max_wait)=nan must be"),
        ({"key": "k", "max_wait": True}, "hold(max_wait)=True is no duration"),
        ({"key": "k", "max_wait": 1, "ttl": 0}, "hold(ttl)=0 must be more than zero"),
        ({"key": "k", "max_wait": 1, "at_most": 0}, "hold(at_most)=0 must be more than zero"),
        ({"key": "k", "max_wait": 1, "limit": 0}, "hold(limit)=0"),
        ({"key": "k", "max_wait": 1, "limit": 257}, "hold(limit)=257"),
        ({"key": "k", "max_wait": 1, "at_least": 3}, "it belongs to the Lock of a task"),
        ({"key": None, "max_wait": 1}, "hold() needs a key, and None is none"),
        ({"key": 7, "max_wait": 1}, "hold() needs a key, and 7 is none"),
        ({"key": Lock("k"), "max_wait": 1}, "hold() takes the key alone, and no Lock"),
        ({"key": "", "max_wait": 1}, "key template '' is empty"),
        ({"key": "a{", "max_wait": 1}, "is malformed"),
        ({"key": "{a}{b}", "max_wait": 1}, "has nothing between {a} and {b}"),
        ({"key": "k{bucket:1h}", "max_wait": 1}, "says something of a message"),
        ({"key": "k{beat[due]}", "max_wait": 1}, "says something of a message"),
        ({"key": "k{header[tenant]}", "max_wait": 1}, "says something of a message"),
        ({"key": "k{queue}", "max_wait": 1}, "says something of a message"),
        ({"key": "k{x}", "max_wait": 1, "fields": 7}, "fields=7 must name the values"),
        ({"key": "k{x}", "max_wait": 1, "fields": {7: 1}}, "must name the values"),
        ({"key": "k{x}", "max_wait": 1, "fields": {"x": 1, "y": 2}}, "fields has 'y'"),
        ({"key": "k", "max_wait": 1, "fields": {"x": 1}}, "the template has no field at all"),
        ({"key": len, "max_wait": 1, "fields": {"x": 1}}, "has no use for fields"),
    ],
    ids=repr,
)
def test_what_cannot_be_is_refused_where_it_is_written(options: Any, said: str) -> None:
    wrong(lambda: hold(**options), said)


def test_a_decorator_without_its_brackets_is_refused() -> None:
    wrong(lambda: hold(lambda: None), "hold needs max_wait", WrongCall)  # type: ignore[call-arg]


def test_a_block_needs_each_field(held: Any) -> None:
    said = "hold('u:{a}:{b}') has the field {b}, and no value was given for it; write fields="

    wrong(held("u:{a}:{b}", fields={"a": 1}).__enter__, said)
    wrong(held("u:{a}").__enter__, "write fields={'a': ...}, or let hold() decorate a function")


def test_a_block_has_no_arguments_for_a_key_function(held: Any) -> None:
    wrong(held(lambda x: x).__enter__, "there is no call whose arguments it could be given")


def test_a_function_needs_each_field_as_a_parameter(held: Any) -> None:
    def ship(order_id: int) -> None:
        """Send it."""

    wrong(
        lambda: held("order:{order}")(ship),
        "has the field {order}, but @hold('order:{order}') of",
    )
    wrong(
        lambda: held("o:{order_id}:{x}", fields={"x": 1})(ship),
        "the arguments of the function are the fields; leave fields out",
    )


def test_a_value_without_a_json_form_names_the_hold(held: Any) -> None:
    wrong(
        held("k:{x}", fields={"x": object()}).__enter__,
        "hold('k:{x}'): its argument 'x' (object) has no JSON form",
    )


def test_a_value_with_control_characters_is_refused(held: Any) -> None:
    wrong(held("k:{x}", fields={"x": "a\nb"}).__enter__, "has control characters", LockError)


def test_durations_may_be_timedeltas(held: Any) -> None:
    minute = timedelta(minutes=1)

    assert key_of(held("k", max_wait=minute, ttl=minute, at_most=minute)) == "k"


@pytest.mark.parametrize("written", ["with", "async with"])
def test_a_lock_that_is_entered_names_hold(written: str) -> None:
    lock: Any = Lock("user:{user_id}")

    wrong(lock.__enter__, "outside a task write with hold('user:{user_id}', ", WrongCall)


def test_a_lock_that_decorates_names_hold() -> None:
    lock: Any = Lock("user:{user_id}")

    def charge(user_id: int) -> None:
        """Do nothing."""

    wrong(lambda: lock(charge), "@hold('user:{user_id}', max_wait=2)", WrongCall)
    wrong(lambda: lock.acquire, "outside a task write with hold(", WrongCall)


def test_a_locked_task_is_what_it_was() -> None:
    assert LockedTask.lock is not None
