"""What each scope says of itself: who takes its lease, what it keeps, and what it is called."""

from __future__ import annotations

import inspect

import pytest

from celery_lock import Scope
from celery_lock.keys import compile_key
from celery_lock.model.scope import is_queue_place


def ship(name: str) -> None:
    """Do nothing."""


def test_a_queue_place_has_a_name_of_its_own_and_all_else_that_of_its_key() -> None:
    names = {scope: scope.name_of("order:7") for scope in Scope}

    place = names.pop(Scope.UNTIL_STARTED)

    assert place == "order:7%queued"
    assert is_queue_place(place)
    assert set(names.values()) == {"order:7"}
    assert not is_queue_place("order:7")


@pytest.mark.parametrize("value", ["%queued", "a%queued", "%", "queued"])
def test_no_template_makes_the_name_of_a_queue_place(value: str) -> None:
    key = compile_key("order:{name}", task="t", signature=inspect.signature(ship))

    assert not is_queue_place(key.render((value,), {}))


@pytest.mark.parametrize("value", ["%queued", "a%queued", "queued"])
def test_no_field_alone_makes_the_name_of_a_queue_place(value: str) -> None:
    key = compile_key("{name}", task="t", signature=inspect.signature(ship))

    assert not is_queue_place(key.render((value,), {}))
