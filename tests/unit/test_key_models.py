"""pydantic arguments: a model and the data that it accepts are one key."""

from __future__ import annotations

import inspect
import subprocess
import sys
from collections.abc import Callable
from dataclasses import dataclass
from typing import Any, Optional

import pytest
from celery import Celery

from celery_lock.errors import LockError
from celery_lock.keys import KeySource, WrongArguments, compile_key, find_models

pydantic = pytest.importorskip("pydantic")


class Order(pydantic.BaseModel):  # type: ignore[name-defined, misc]  # (imported at run time)
    a: int
    b: str = "x"
    tags: set[str] = set()  # noqa: RUF012 (pydantic copies defaults)


class Orders(pydantic.RootModel[list[Order]]):  # type: ignore[name-defined, misc]
    pass


class Tenanted(pydantic.BaseModel):  # type: ignore[name-defined, misc]
    a: int

    @pydantic.field_validator("a")
    @classmethod
    def _of_tenant(cls, value: int, info: Any) -> int:
        assert info.context["celery_task_name"] == "ship"
        return value + int(info.context["tenant"])


class Picky(pydantic.BaseModel):  # type: ignore[name-defined, misc]
    a: int

    @pydantic.field_validator("a")
    @classmethod
    def _broken(cls, value: int) -> int:
        raise KeyError("secret")


class Name(pydantic.RootModel[str]):  # type: ignore[name-defined, misc]
    @pydantic.field_validator("root")
    @classmethod
    def _lower(cls, value: str) -> str:
        return value.lower()


@dataclass(frozen=True)
class Line:
    skus: frozenset[str]


class Nested(pydantic.BaseModel):  # type: ignore[name-defined, misc]
    orders: list[Order]
    by_name: dict[str, Order] = {}  # noqa: RUF012 (pydantic copies defaults)
    lines: tuple[Line, ...] = ()
    groups: frozenset[frozenset[str]] = frozenset()
    root: Orders = Orders([])


def task_of(body: Callable[..., Any], **options: Any) -> Any:
    app = Celery("keys", set_as_current=False)
    return app.task(name="ship", pydantic=True, lazy=False, shared=False, **options)(body)


def source(body: Callable[..., Any], key: Any = None, **options: Any) -> KeySource:
    run = task_of(body, **options).run
    return compile_key(key, task="ship", signature=inspect.signature(run), models=find_models(run))


def ship(order: Order, note: str = "") -> None: ...


class TestFindingModels:
    def test_a_model_and_an_optional_one_count(self) -> None:
        def task(
            a: Order,
            b: Optional[Order] = None,  # noqa: UP045 (both ways to write it)
            c: Order | None = None,
            d: int = 0,
            e=None,
        ): ...

        assert sorted(find_models(task_of(task).run)) == ["a", "b", "c"]

    def test_a_union_of_models_and_other_generics_do_not(self) -> None:
        def task(a: Order | Orders, b: list[Order], c: int | Order | None, *d: int): ...

        assert find_models(task_of(task).run) == {}

    def test_a_task_without_pydantic_has_none(self) -> None:
        assert find_models(ship) == {}

    def test_bound_and_autoretried_tasks_have_theirs(self) -> None:
        def bound(self, order: Order): ...

        assert list(find_models(task_of(bound, bind=True).run)) == ["order"]
        assert list(find_models(task_of(ship, autoretry_for=(KeyError,)).run)) == ["order"]

    def test_hints_that_cannot_be_resolved_are_left_aside(self) -> None:
        def task(order: Order, other: "Nowhere"): ...  # type: ignore[name-defined] # noqa: F821, UP037

        assert find_models(task_of(task).run) == {}  # (all are strings, for Celery too)

    def test_pydantic_is_not_imported_for_it(self) -> None:
        program = (
            "import sys; from celery_lock.keys import find_models; find_models(lambda x: x); "
            "assert 'pydantic' not in sys.modules"
        )

        subprocess.run([sys.executable, "-c", program], check=True)


class TestOneKey:
    @pytest.mark.parametrize("key", [None, "o:{order}", "o:{order.b}:{order[a]}"])
    def test_for_a_model_its_data_and_its_data_without_defaults(self, key: str | None) -> None:
        keys = source(ship, key)

        assert (
            keys.render((Order(a=1),), {})
            == keys.render(({"a": 1},), {})
            == keys.render((), {"order": {"b": "x", "a": 1, "tags": ()}})
            == keys.render(({"a": "1"},), {})  # (not strict: pydantic takes it for a number)
        )
        assert keys.render(({"a": 1, "b": "x"},), {}) != keys.render(({"a": 2, "b": "y"},), {})

    def test_for_what_celery_publishes_and_what_it_was_made_from(self) -> None:
        task = task_of(ship)
        keys = source(ship)
        dump = getattr(task, "_dump_pydantic_arguments", None)
        if dump is None:
            pytest.skip("this Celery does not publish models")

        args, kwargs = dump((Order(a=1, tags={"p", "q"}),), {})

        assert keys.render(args, kwargs) == keys.render((Order(a=1, tags={"q", "p"}),), {})

    def test_for_none_where_the_model_is_optional(self) -> None:
        def task(order: Order | None = None): ...

        keys = source(task)

        assert keys.render((None,), {}) == keys.render((), {}) != keys.render(({"a": 1},), {})

    def test_for_a_default_that_is_a_model(self) -> None:
        def task(order: Order = Order(a=1)): ...  # noqa: B008 (frozen enough here)

        keys = source(task)

        assert keys.render((), {}) == keys.render(({"a": 1},), {})

    def test_for_a_root_model(self) -> None:
        def task(orders: Orders): ...

        keys = source(task)

        assert keys.render(([{"a": 1}],), {}) == keys.render((Orders([Order(a=1)]),), {})

    def test_with_the_validation_context_that_the_task_was_given(self) -> None:
        def task(order: Tenanted): ...

        keys = source(task, "o:{order.a}", pydantic_context={"tenant": 40})

        assert keys.render(({"a": 2},), {}) == "o:42"

    def test_in_every_process_although_sets_have_no_order(self) -> None:
        program = f"""
import inspect, sys
sys.path[:0] = {sys.path!r}
from {__name__} import *
words = [f"w{{n}}" for n in range(20)]
def task(x: Nested): ...
data = dict(orders=[dict(a=1, tags=words)], by_name=dict(k=dict(a=1, tags=words)),
            lines=[dict(skus=words)], groups=[words, words[3:]], root=[dict(a=2, tags=words)])
print(source(task).render((data,), {{}}), source(task).render((Nested(**data),), {{}}))
"""
        keys = set()
        for seed in ("1", "2", "3"):
            done = subprocess.run(
                [sys.executable, "-c", program],
                env={"PYTHONHASHSEED": seed},
                capture_output=True,
                text=True,
                check=True,
            )
            keys.update(done.stdout.split())

        assert len(keys) == 1


class TestDataThatDoesNotValidate:
    def test_is_taken_as_it_is_for_the_body_will_say_what_is_wrong(self) -> None:
        keys = source(ship, "o:{order[b]}")

        assert keys.render(({"a": "no number", "b": "B"},), {}) == "o:B"

    @pytest.mark.parametrize("order", [{"a": "no number"}, {}, 5], ids=repr)
    def test_lacks_what_the_template_shows_and_fails_as_in_the_body(self, order: Any) -> None:
        keys = source(ship, "o:{order.a}:{order.b}")

        with pytest.raises(
            WrongArguments, match="its argument 'order' is no valid Order"
        ) as caught:
            keys.render((order,), {})

        assert isinstance(caught.value.error, pydantic.ValidationError)

    def test_that_is_valid_and_lacks_it_all_the_same_is_an_error_of_the_template(self) -> None:
        keys = source(ship, "o:{order.a}:{order.c}")

        with pytest.raises(LockError, match="'order' has no item 'c'; it has 'a', 'b', 'tags'"):
            keys.render(({"a": 1},), {})

    def test_because_the_validator_is_broken_fails_with_the_cause(self) -> None:
        def task(order: Picky): ...

        with pytest.raises(LockError) as caught:
            source(task).render(({"a": 1},), {})

        assert "'order' (dict) has no JSON form, which the key needs: KeyError" in str(caught.value)
        assert "secret" not in str(caught.value)

    def test_never_reaches_a_key_function(self) -> None:
        keys = source(ship, lambda order, note: f"o{order.a}")

        with pytest.raises(LockError) as caught:
            keys.render(({"a": "no number"},), {})

        assert "its argument 'order' is no valid Order" in str(caught.value)
        assert isinstance(caught.value.__cause__, pydantic.ValidationError)


def test_a_key_function_gets_the_model_whatever_was_sent() -> None:
    keys = source(ship, lambda order, note: f"o{order.a}{order.b}")

    assert keys.render((Order(a=1),), {}) == keys.render(({"a": 1},), {}) == "o1x"


def test_a_key_function_gets_none_for_an_optional_model() -> None:
    def task(order: Order | None = None): ...

    assert source(task, lambda order: f"o{order}").render((), {}) == "oNone"


def test_a_model_of_a_mere_string_is_asked_as_well() -> None:
    def task(name: Name): ...

    keys = source(task, "n:{name}")

    assert keys.render(("ABC",), {}) == keys.render((Name("abc"),), {}) == "n:abc"
