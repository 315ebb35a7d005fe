"""From a call to the JSON form of its arguments: one form, however the call is spelt."""

from __future__ import annotations

import enum
import inspect
import math
import uuid
from collections import OrderedDict, namedtuple
from collections.abc import Callable
from datetime import date, datetime, time, timedelta, timezone
from decimal import Decimal
from typing import Any

import pytest
from kombu.utils.json import dumps, loads

from celery_lock.errors import LockConfigurationError, LockError
from celery_lock.keys.json_form import canonical, digest, json_form, text_of
from celery_lock.keys.parameters import Parameters


class Colour(str, enum.Enum):
    RED = "red"


class Level(enum.IntEnum):
    HIGH = 3


class Plain(enum.Enum):
    ONE = 1


class Money:
    def __json__(self) -> dict[str, int]:
        return {"cents": 5}


class Label(str):
    pass


Point = namedtuple("Point", "x y")


def parameters(function: Callable[..., Any]) -> Parameters:
    return Parameters("shop.charge", inspect.signature(function))


def nested(depth: int) -> list[Any]:
    value: list[Any] = []
    for _ in range(depth):
        value = [value]
    return value


class TestTheJsonForm:
    @pytest.mark.parametrize(
        ("value", "form"),
        [
            ((1, (2,)), [1, [2]]),
            (Point(1, 2), [1, 2]),
            ({1: "a"}, {"1": "a"}),
            ({None: 1, True: 2, 1.5: 3}, {"null": 1, "true": 2, "1.5": 3}),
            (Colour.RED, "red"),
            ({Colour.RED: Level.HIGH}, {"red": 3}),
            (Label("x"), "x"),
            (OrderedDict(b=1, a=2), {"a": 2, "b": 1}),
            (Money(), {"cents": 5}),
            ([Money()], [{"cents": 5}]),
        ],
    )
    def test_a_value_becomes_what_a_message_makes_of_it(self, value: Any, form: Any) -> None:
        found = json_form(value)

        assert found == form
        assert canonical(found) == canonical(form)

    @pytest.mark.parametrize(
        "value",
        [
            uuid.UUID(int=7),
            datetime(2024, 2, 29, 12, 0, tzinfo=timezone(timedelta(hours=2))),
            datetime(2024, 2, 29, 12, 0, 0, 5),
            date(2024, 2, 29),
            time(12, 30),
            Decimal("1.50"),
            b"text",
            b"\xff\xfe",
            10**300,
            -0.0,
            math.inf,
            "snow \u2603",
        ],
    )
    def test_what_kombu_knows_stays_itself(self, value: Any) -> None:
        found = json_form(value)

        assert found == value
        assert type(found) is type(value)
        assert canonical(found) == canonical(json_form(loads(dumps(value))))

    def test_nan_is_one_value_although_it_does_not_equal_itself(self) -> None:
        assert canonical(json_form([math.nan])) == canonical(json_form((math.nan,))) == "[NaN]"

    def test_of_two_dict_keys_with_one_json_text_the_last_wins_as_in_a_message(self) -> None:
        assert json_form({1: "first", "1": "last"}) == {"1": "last"}
        assert json_form({"1": "first", 1: "last"}) == {"1": "last"}

    def test_two_lone_surrogates_are_the_character_that_a_message_makes_of_them(self) -> None:
        assert json_form("\ud83d\ude00") == "\U0001f600"
        assert json_form("\ud83d") == "\ud83d"

    def test_a_dict_written_as_kombu_writes_bytes_is_those_bytes_in_every_spelling(self) -> None:
        written = {"__type__": "base64", "__value__": "YWJj"}

        assert json_form(written) == b"abc"

    def test_numbers_that_are_equal_in_python_differ_in_json(self) -> None:
        texts = [canonical(json_form(value)) for value in (1, 1.0, True, "1", Decimal(1))]

        assert len(set(texts)) == 5

    def test_the_order_of_a_dict_does_not_matter(self) -> None:
        assert canonical({"a": 1, "b": {"d": 1, "c": 2}}) == canonical(
            {"b": {"c": 2, "d": 1}, "a": 1}
        )

    @pytest.mark.parametrize(
        ("value", "error"),
        [
            ({1, 2}, TypeError),
            (object(), TypeError),
            (Plain.ONE, TypeError),
            ({(1, 2): 3}, TypeError),
            (nested(100_000), RecursionError),
            (10**5000, ValueError),
            ({"__type__": "nobody's", "__value__": 1}, ValueError),
        ],
        ids=["set", "object", "enum", "tuple as key", "depth", "huge int", "unknown marker"],
    )
    def test_what_no_message_can_carry_has_no_form(
        self, value: Any, error: type[Exception]
    ) -> None:
        with pytest.raises(error):
            json_form(value)

    def test_a_circle_has_no_form(self) -> None:
        circle: list[Any] = []
        circle.append(circle)

        with pytest.raises(ValueError, match="Circular"):
            json_form(circle)

    def test_a_lazy_string_of_django_is_its_text(self) -> None:
        functional = pytest.importorskip("django.utils.functional")

        assert json_form(functional.lazystr("later")) == "later"


class TestTheTextOfAForm:
    @pytest.mark.parametrize(
        ("form", "text"),
        [
            ("x", "x"),
            (7, "7"),
            (1.5, "1.5"),
            (-0.0, "-0.0"),
            (True, "True"),
            (None, "None"),
            (uuid.UUID(int=7), "00000000-0000-0000-0000-000000000007"),
            (Decimal("1.50"), "1.50"),
            (datetime(2024, 2, 29, 12, 0), "2024-02-29T12:00:00"),
            (date(2024, 2, 29), "2024-02-29"),
            (time(12, 30), "12:30:00"),
            (b"abc", "abc"),
            (b"\xff", "/w=="),
            ([1, "a"], '[1,"a"]'),
            ({"b": 1, "a": None}, '{"a":null,"b":1}'),
        ],
    )
    def test_each_kind_has_one_text(self, form: Any, text: str) -> None:
        assert text_of(form) == text

    def test_a_digest_takes_text_that_is_no_utf_8(self) -> None:
        assert len(digest("\ud83d")) == 32
        assert digest("\ud83d") != digest("\ud83e")


class TestBinding:
    def test_positions_names_and_defaults_are_one_call(self) -> None:
        def charge(user_id, amount=5, *, currency="EUR"): ...

        bind = parameters(charge).bind

        assert (
            bind((7,), {})
            == bind([7, 5], {})
            == bind((), {"amount": 5, "user_id": 7})
            == bind((7,), {"currency": "EUR"})
            == {"user_id": 7, "amount": 5, "currency": "EUR"}
        )

    def test_open_parameters_keep_what_is_left_under_their_own_names(self) -> None:
        def report(kind, *rest, **options): ...

        bind = parameters(report).bind

        assert bind(("a",), {}) == {"kind": "a", "rest": (), "options": {}}
        assert bind(("a", 1, 2), {"x": 3}) == {"kind": "a", "rest": (1, 2), "options": {"x": 3}}

    def test_a_parameter_by_position_only_is_bound(self) -> None:
        def charge(user_id, /, amount): ...

        assert parameters(charge).bind((7,), {"amount": 1}) == {"user_id": 7, "amount": 1}

    def test_a_call_does_not_change_the_defaults_of_the_next(self) -> None:
        def charge(user_id=1, **options): ...

        bind = parameters(charge).bind
        bind((2,), {"x": 1})

        assert bind((), {}) == {"user_id": 1, "options": {}}

    @pytest.mark.parametrize(
        ("args", "kwargs", "why"),
        [
            ((), {}, "missing a required argument: 'user_id'"),
            ((1, 2, 3), {}, "too many positional arguments"),
            ((1,), {"user_id": 1}, "multiple values for argument 'user_id'"),
            ((1,), {"nobody": 1}, "unexpected keyword argument 'nobody'"),
        ],
    )
    def test_arguments_that_do_not_fit_say_why_and_what_would(
        self, args: Any, kwargs: Any, why: str
    ) -> None:
        def charge(user_id, amount=5): ...

        with pytest.raises(LockError) as caught:
            parameters(charge).bind(args, kwargs)

        assert "'shop.charge' cannot be called with these arguments" in str(caught.value)
        assert why in str(caught.value)
        assert "it takes (user_id, amount=5)" in str(caught.value)
        assert isinstance(caught.value.__cause__, TypeError)


class TestAnArgumentWithoutAForm:
    def form(self, value: Any) -> LockError:
        def charge(items): ...

        with pytest.raises(LockError) as caught:
            parameters(charge).form("items", value)
        return caught.value

    def test_a_type_that_json_does_not_know_is_a_fault_of_the_declaration(self) -> None:
        error = self.form([{1, 2}])

        assert isinstance(error, LockConfigurationError)
        assert str(error) == (
            "task 'shop.charge': its argument 'items' (list) has no JSON form, which the key "
            "needs: Object of type set is not JSON serializable. Use a key template that names "
            "other arguments, or a key function: it gets this one as it came"
        )
        assert isinstance(error.__cause__, TypeError)

    def test_a_value_that_is_nested_too_deep_is_a_fault_of_the_data(self) -> None:
        error = self.form(nested(100_000))

        assert not isinstance(error, LockConfigurationError)
        assert "it is nested too deep" in str(error)

    def test_a_value_that_contains_itself_is_a_fault_of_the_data(self) -> None:
        circle: list[Any] = []
        circle.append(circle)

        error = self.form(circle)

        assert not isinstance(error, LockConfigurationError)
        assert "it contains itself" in str(error)

    def test_the_value_itself_is_not_told(self) -> None:
        error = self.form({"__type__": "nobody's", "__value__": "secret"})

        assert "secret" not in str(error)
        assert "ValueError" in str(error)

    def test_a_json_method_that_fails_is_named_by_its_error(self) -> None:
        class Broken:
            def __json__(self) -> Any:
                raise KeyError("secret")

        error = self.form(Broken())

        assert "KeyError" in str(error)
        assert "secret" not in str(error)
        assert isinstance(error.__cause__, KeyError)
