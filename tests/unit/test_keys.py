"""Keys from all arguments and from functions, and the length of every key."""

from __future__ import annotations

import functools
import hashlib
import inspect
import pickle
from collections.abc import Callable
from enum import Enum
from typing import Any

import pytest

from celery_lock.errors import LockConfigurationError, LockError
from celery_lock.keys import KeySource, check_declared_key, check_key, compile_key


def charge(user_id, amount=5): ...


def nested(depth: int) -> list[Any]:
    value: list[Any] = []
    for _ in range(depth):
        value = [value]
    return value


def source(key: Any, task: Callable[..., Any] = charge, name: str = "shop.charge") -> KeySource:
    return compile_key(key, task=name, signature=inspect.signature(task))


def refusal(key: Any, task: Callable[..., Any] = charge) -> str:
    with pytest.raises(LockConfigurationError) as caught:
        source(key, task)
    return str(caught.value)


def failure(key: Any, *args: Any, task: Callable[..., Any] = charge) -> LockError:
    with pytest.raises(LockError) as caught:
        source(key, task).render(args, {})
    return caught.value


class TestTheDigestOfAllArguments:
    @pytest.mark.parametrize(
        ("args", "key"),
        [
            ((7,), "shop.charge:678100d3dabc7b666c4be54bfcd8b0ee"),
            (
                ("7", {"b": (1, None), "a": "\u00e9"}),
                "shop.charge:d1d021e3363f3c0a2b63e4517b4b183b",
            ),
        ],
    )
    def test_never_changes_for_workers_of_two_versions_must_exclude_each_other(
        self, args: Any, key: str
    ) -> None:
        assert source(None).render(args, {}) == key

    def test_of_no_arguments_never_changes_either(self) -> None:
        def nightly(): ...

        key = source(None, nightly, "nightly").render((), {})

        assert key == "nightly:5b005ea94400c6292bf37723819a2155"

    def test_can_be_made_by_another_language(self) -> None:
        text = '1{"amount":5,"user_id":7}'

        made = hashlib.sha256(text.encode()).hexdigest()[:32]

        assert source(None).render((7,), {}) == f"shop.charge:{made}"

    def test_is_one_for_positions_names_and_defaults(self) -> None:
        key = source(None)

        assert (
            key.render((7,), {})
            == key.render([7, 5], {})
            == key.render((), {"amount": 5, "user_id": 7})
        )

    def test_tells_1_from_its_text_from_a_float_and_from_true(self) -> None:
        key = source(None)

        assert len({key.render((value,), {}) for value in (1, "1", 1.0, True, None, [1])}) == 6

    def test_is_one_for_a_tuple_and_a_list_and_for_int_and_str_dict_keys(self) -> None:
        key = source(None)

        assert key.render(((1, 2),), {}) == key.render(([1, 2],), {})
        assert key.render(({1: 2},), {}) == key.render(({"1": 2},), {})

    def test_tells_tasks_and_parameters_apart(self) -> None:
        def other(user_id, sum=5): ...

        keys = {source(None).render((7,), {}), source(None, other).render((7,), {})}
        keys.add(source(None, name="shop.refund").render((7,), {}))

        assert len(keys) == 3

    def test_does_not_depend_on_the_order_in_which_a_task_lists_its_parameters(self) -> None:
        def reordered(amount=5, user_id=None): ...

        assert source(None).render((7,), {}) == source(None, reordered).render((5, 7), {})

    def test_counts_the_arguments_of_an_open_signature(self) -> None:
        def report(*args, **kwargs): ...

        key = source(None, report)
        keys = [
            key.render((1, 2), {}),
            key.render(([1, 2],), {}),
            key.render((1,), {"x": 2}),
            key.render((), {"x": 2, "y": 1}),
        ]

        assert len(set(keys)) == 4
        assert key.render((), {"y": 1, "x": 2}) == keys[-1]

    def test_takes_parameters_named_like_the_markers_of_kombu(self) -> None:
        def odd(__type__, __value__): ...

        assert source(None, odd).render(("bytes", "x"), {})

    def test_refuses_at_bind_a_default_that_has_no_json_form(self) -> None:
        def task(x, option=object()): ...  # noqa: B008 (the mistake that is tested)

        assert "its argument 'option' (object) has no JSON form" in refusal(None, task)

    def test_does_not_ask_for_the_value_of_a_default_that_is_not_ready(self) -> None:
        class NotReady:
            def __json__(self) -> str:
                raise RuntimeError("apps are not loaded yet")

        def task(x, option=NotReady()): ...  # noqa: B008 (what a lazy string does)

        assert source(None, task).render((1, 2), {})

    def test_names_the_argument_that_has_no_json_form(self) -> None:
        error = failure(None, 7, {1})

        assert isinstance(error, LockConfigurationError)
        assert "its argument 'amount' (set) has no JSON form" in str(error)

    def test_of_arguments_that_are_nested_too_deep_fails_clearly_at_every_depth(self) -> None:
        # The whole call is one level deeper than its arguments: no depth may slip between.
        def outcome(depth: int) -> str:
            try:
                return source(None).render((nested(depth),), {})[:5]
            except LockError as error:
                return "too deep" if "nested too deep" in str(error) else str(error)

        fits, fails = 0, 100_000
        while fails - fits > 1:
            middle = (fits + fails) // 2
            fits, fails = (fits, middle) if outcome(middle) == "too deep" else (middle, fails)

        assert {outcome(fits + step) for step in range(-5, 6)} == {"shop.", "too deep"}

    def test_has_the_task_and_a_star_as_its_template(self) -> None:
        assert source(None).template == "shop.charge:*"


class TestAKeyFunction:
    def test_gets_the_arguments_by_the_names_of_the_task(self) -> None:
        key = source(lambda amount, user_id: f"user-{user_id}-{amount}")

        assert key.render((7,), {}) == key.render((), {"amount": 5, "user_id": 7}) == "user-7-5"

    def test_may_take_all_that_it_does_not_name(self) -> None:
        assert source(lambda user_id, **_: f"u{user_id}").render((7,), {}) == "u7"

    def test_gets_arguments_as_a_message_brings_them(self) -> None:
        key = source(lambda user_id, amount: repr(user_id))

        assert key.render(((1, 2),), {}) == key.render(([1, 2],), {}) == "[1, 2]"

    def test_gets_a_live_object_where_there_is_no_json_form(self) -> None:
        class Order:
            number = 12

        assert source(lambda user_id, **_: f"o{user_id.number}").render((Order(),), {}) == "o12"

    def test_gets_what_the_task_takes_by_position(self) -> None:
        def task(a, /, b, *rest, c=3, **options): ...

        def key(a, b, *rest, c, **options):
            return f"{a}{b}{rest}{c}{options}"

        assert source(key, task).render((1, 2, "x"), {"d": 4}) == "12('x',)3{'d': 4}"

    def test_names_itself_as_its_template(self) -> None:
        class Keys:
            def of(self, user_id, amount): ...

            def __call__(self, user_id, amount): ...

        here = f"{__name__}.TestAKeyFunction.test_names_itself_as_its_template.<locals>"

        assert source(Keys().of).template == f"{here}.Keys.of"
        assert source(functools.partial(Keys().of)).template == f"{here}.Keys.of"
        assert source(Keys()).template == f"{here}.Keys"

    def test_that_returns_a_str_enum_gives_the_text_and_not_the_name(self) -> None:
        class Kind(str, Enum):
            BULK = "bulk"

        key = source(lambda **_: Kind.BULK).render((7,), {})

        assert key == "bulk"
        assert type(key) is str

    @pytest.mark.parametrize(
        ("returned", "said"),
        [(None, "None"), (7, "a value of type int"), (b"x", "a value of type bytes")],
    )
    def test_that_returns_no_string_is_a_fault_of_the_declaration(
        self, returned: Any, said: str
    ) -> None:
        error = failure(lambda **_: returned, 7)

        assert isinstance(error, LockConfigurationError)
        assert f"<lambda> returned {said}; it must return a string" in str(error)

    def test_that_returns_nothing_or_unprintable_text_is_told(self) -> None:
        assert "<lambda>' is empty" in str(failure(lambda **_: "", 7))
        assert "<lambda>' has control characters" in str(failure(lambda **_: "a\nb", 7))
        assert "lone surrogates" in str(failure(lambda **_: "\ud83d", 7))

    def test_that_raises_is_named_with_the_cause_kept(self) -> None:
        error = failure(lambda user_id, amount: user_id["x"], {})

        assert "<lambda> raised KeyError: 'x'" in str(error)
        assert isinstance(error.__cause__, KeyError)
        assert not isinstance(error, LockConfigurationError)

    @pytest.mark.parametrize(
        ("key", "why"),
        [
            (lambda user_id: "", "got an unexpected keyword argument 'amount'"),
            (lambda user_id, amount, more: "", "missing a required argument: 'more'"),
            (lambda uid, amount: "", "missing a required argument: 'uid'"),
        ],
    )
    def test_that_cannot_take_the_parameters_is_refused(self, key: Any, why: str) -> None:
        message = refusal(key)

        assert "cannot be called with the parameters of task 'shop.charge'" in message
        assert "(user_id, amount=5)" in message
        assert why in message

    def test_that_takes_positions_in_another_order_is_refused(self) -> None:
        def task(a, b, /): ...

        assert "it calls 'a' by the name 'b'" in refusal(lambda b, a: "", task)

    def test_that_takes_less_than_an_open_signature_is_refused(self) -> None:
        def task(*args, **kwargs): ...

        assert "it takes no *args" in refusal(lambda **kwargs: "", task)
        assert "it takes no **kwargs" in refusal(lambda *args: "", task)

    def test_that_does_not_tell_its_parameters_is_refused(self) -> None:
        class Hidden:
            __signature__ = "none of your business"

            def __call__(self, user_id, amount): ...

        assert "does not tell its parameters" in refusal(Hidden())

    def test_that_is_a_method_written_in_c_is_named_as_it_is_written(self) -> None:
        assert refusal(str.upper).startswith("key function builtins.str.upper")
        assert refusal([].append).startswith("key function list.append(object, /) cannot")

    def test_that_runs_later_is_refused(self) -> None:
        async def later(user_id, amount): ...

        async def many_later(user_id, amount):
            yield ""

        def many(user_id, amount):
            yield ""

        class Caller:
            async def __call__(self, user_id, amount): ...

        assert "later is a coroutine function" in refusal(later)
        assert "is a coroutine function" in refusal(functools.partial(later))
        assert "is a coroutine function" in refusal(Caller())
        assert "many is a generator function" in refusal(many)
        assert "is an asynchronous generator function" in refusal(many_later)


class TestOtherThings:
    @pytest.mark.parametrize("key", [7, b"order:{order_id}", ["a"], True])
    def test_are_no_key(self, key: Any) -> None:
        assert f"key={key!r} is no key; write a template such as" in refusal(key)

    @pytest.mark.parametrize("key", [7, "", "{}", "{a}{b}", "a\n"])
    def test_are_found_before_there_is_a_task(self, key: Any) -> None:
        with pytest.raises(LockConfigurationError):
            check_declared_key(key)

    @pytest.mark.parametrize("key", [None, "order:{order_id}", len])
    def test_that_may_fit_some_task_pass_until_then(self, key: Any) -> None:
        check_declared_key(key)

    def test_errors_cross_a_process_boundary(self) -> None:
        error = failure(None, {1})

        again = pickle.loads(pickle.dumps(error))

        assert str(again) == str(error)
        assert type(again) is type(error)


class TestAKeyMadeElsewhere:
    @pytest.mark.parametrize("key", ["order:7", "{", "\u20ac" * 341, 'o:{"a":1}'])
    def test_is_taken_as_it_is(self, key: str) -> None:
        check_key(key)

    @pytest.mark.parametrize(
        ("key", "why"),
        [
            (None, "must be a string, not a value of type NoneType"),
            ({"a": 1}, "not a value of type dict"),
            ("", "is empty"),
            ("a\nb", "the key 'a\\nb' has control characters"),
            ("\ud83d", "lone surrogates"),
            ("x" * 1025, "has more than 1024 bytes; send a digest instead"),
        ],
    )
    def test_that_cannot_be_one_is_refused(self, key: Any, why: str) -> None:
        with pytest.raises(LockError) as caught:
            check_key(key)

        assert why in str(caught.value)

    def test_is_what_render_makes(self) -> None:
        for value in ("x" * 5000, "\u20ac" * 400, "{}%", ["\n"]):
            check_key(source("user:{user_id}").render((value,), {}))


class TestALongKey:
    def test_of_1024_bytes_is_whole(self) -> None:
        value = "x" * (1024 - len("user:"))

        assert source("user:{user_id}").render((value,), {}) == f"user:{value}"

    def test_of_1025_bytes_keeps_64_and_a_digest(self) -> None:
        value = "x" * (1025 - len("user:"))

        key = source("user:{user_id}").render((value,), {})

        assert key == f"user:{'x' * 59}%~ccde269029a31cb82e71ce572bcd62be"

    def test_is_measured_in_bytes_and_cut_between_characters(self) -> None:
        fits, long = "\u20ac" * 341, "\u20ac" * 342  # 3 bytes each
        key = source(lambda user_id, amount: user_id)

        assert key.render((fits,), {}) == fits
        cut = key.render((long,), {})
        assert cut.startswith("\u20ac" * 21 + "%~")  # 63 bytes: 64 would be a third of one
        assert len(cut.encode()) == 63 + 2 + 32

    def test_differs_from_another_with_the_same_beginning(self) -> None:
        key = source("user:{user_id}")

        assert key.render(("x" * 2000 + "a",), {}) != key.render(("x" * 2000 + "b",), {})

    def test_is_never_imitated_by_a_short_one(self) -> None:
        key = source(lambda user_id, amount: user_id)
        cut = key.render(("x" * 2000,), {})

        assert key.render((cut,), {}) != cut

    def test_of_a_template_is_never_imitated_by_a_value(self) -> None:
        key = source("user:{user_id}")
        cut = key.render(("x" * 2000,), {})

        assert key.render((cut[len("user:") :],), {}) != cut

    def test_may_come_from_a_long_task_name(self) -> None:
        assert len(source(None, name="n" * 2000).render((7,), {})) == 64 + 2 + 32
