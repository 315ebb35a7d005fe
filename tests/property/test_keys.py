"""Keys over all values: one call is one key, and two calls are never one key by accident."""

from __future__ import annotations

import inspect
import math
import unicodedata
from collections.abc import Callable
from datetime import timezone
from typing import Any

import pytest
from hypothesis import HealthCheck, example, given, settings
from hypothesis import strategies as st
from kombu.utils.json import JSONEncoder, dumps, loads

from celery_lock.errors import LockError
from celery_lock.keys import KeySource, compile_key
from celery_lock.keys.json_form import canonical, json_form, text_of
from celery_lock.keys.parameters import Parameters

# derandomized: the same examples on every machine; no deadline: a slow machine is no fault
steadily = settings(
    derandomize=True,
    deadline=None,
    max_examples=300,
    suppress_health_check=[HealthCheck.too_slow],
)

any_text = st.text(st.characters(codec=None, exclude_categories=()), max_size=8)
printable = st.text(
    st.characters(exclude_categories=("Cc", "Zl", "Zp", "Cs")), max_size=6
) | st.text(":%-/2A3", max_size=6)
scalars = (
    st.none()
    | st.booleans()
    | st.integers()
    | st.floats()
    | any_text
    | st.uuids()
    | st.decimals(allow_nan=False)
    | st.dates()
    | st.datetimes(timezones=st.none() | st.just(timezone.utc))
    | st.times()
    | st.binary(max_size=6)
)
dict_keys = any_text | st.integers() | st.booleans() | st.none() | st.floats(allow_nan=False)
values = st.recursive(
    scalars,
    lambda inner: (
        st.lists(inner, max_size=3)
        | st.lists(inner, max_size=3).map(tuple)
        | st.dictionaries(dict_keys, inner, max_size=3)
    ),
    max_leaves=6,
)
few = st.sampled_from([0, 1, 1.0, True, "1", "", None, (1,), [1], {1: 1}, {"1": 1}, -0.0, "[1]"])


def charge(a, b=5, *, c="x"): ...


def source(key: Any, task: Callable[..., Any] = charge) -> KeySource:
    return compile_key(key, task="t", signature=inspect.signature(task))


digests = source(None)


def in_json(*arguments: Any) -> str:
    """The JSON of arguments after their journey, written down in another way than the keys do."""
    return JSONEncoder(sort_keys=True).encode(loads(dumps(arguments)))


@steadily
@given(value=values)
@example({"__type__": "base64", "__value__": "YWJj"})
@example("\ud83d\ude00")
def test_a_journey_through_a_message_changes_nothing_any_more(value: Any) -> None:
    form = json_form(value)

    again = loads(dumps(value))

    assert canonical(json_form(again)) == canonical(form)
    assert text_of(json_form(again)) == text_of(form)


@steadily
@given(values, values, values)
def test_a_digest_is_one_before_and_after_a_message_and_in_every_spelling(
    a: Any, b: Any, c: Any
) -> None:
    key = digests.render((a, b), {"c": c})

    args, kwargs = loads(dumps([(a, b), {"c": c}]))

    assert digests.render(args, kwargs) == key
    assert digests.render((), {"c": c, "b": b, "a": a}) == key
    assert digests.render((a,), {"c": c, "b": b}) == key


@steadily
@given(few | values)
def test_a_default_is_one_with_the_same_value_given(a: Any) -> None:
    assert digests.render((a,), {}) == digests.render((a, 5), {"c": "x"})


@steadily
@given(st.tuples(few | values, few | values), st.tuples(few | values, few | values))
@example((1, 1.0), (1.0, 1))
@example(({"a": 1, "b": 2}, 1), ({"b": 2, "a": 1}, 1))
def test_two_calls_have_one_digest_only_if_their_json_is_one(
    one: tuple[Any, Any], two: tuple[Any, Any]
) -> None:
    same_key = digests.render(one, {}) == digests.render(two, {})

    assert same_key == (in_json(*one) == in_json(*two))


separators = st.text(
    st.characters(exclude_categories=("Cc", "Zl", "Zp", "Cs"), exclude_characters="%"),
    min_size=1,
    max_size=3,
)
edges = st.just("") | separators
numbers_and_texts = printable | st.integers(-20, 20) | st.booleans() | st.none()


def three(a, b, c): ...


@st.composite
def templates(draw: st.DrawFn) -> tuple[str, int]:
    """A template with its first two or three parameters as fields, and how many they are."""
    count = draw(st.integers(2, 3))
    literals = [draw(edges), *[draw(separators) for _ in range(count - 1)], draw(edges)]
    written = [literal.replace("{", "{{").replace("}", "}}") for literal in literals]
    fields = ["{a}", "{b}", "{c}"][:count]
    return "".join(map("".join, zip(written, [*fields, ""], strict=True))), count


@steadily
@given(st.data(), templates())
def test_two_calls_have_one_key_only_if_every_field_has_one_text(
    data: st.DataObject, template: tuple[str, int]
) -> None:
    text, count = template
    # values made of the separators, so that imitation is what is tried
    tempting = st.text(sorted(set(text) | set("%2aA")), max_size=4)
    arguments = st.tuples(*[tempting | numbers_and_texts] * 3)
    key = source(text, three)
    one, two = data.draw(arguments), data.draw(arguments)

    same_key = key.render(one, {}) == key.render(two, {})

    assert same_key == (list(map(str, one[:count])) == list(map(str, two[:count])))


@pytest.mark.parametrize("template", ["{a}:{b}", "{a}2{b}", "{a}A{b}", "{a}a{b}", "x{a}:a{b}:"])
def test_no_short_value_imitates_another_field(template: str) -> None:
    pool = ["", *":2Aax%", *(one + two for one in ":2Aa%3" for two in ":2Aa%3")]
    key = source(template, three)

    keys = {key.render((a, b, 0), {}) for a in pool for b in pool}

    assert len(keys) == len(pool) ** 2


@steadily
@given(any_text)
def test_a_key_is_always_utf_8_without_control_characters_and_short(value: str) -> None:
    key = source("user:{a}")
    if any(unicodedata.category(char) in ("Cc", "Zl", "Zp") for char in value):
        with pytest.raises(LockError, match="has control characters"):
            key.render((value * 300,), {})
        return

    found = key.render((value * 300,), {})

    assert len(found.encode()) <= 1024
    assert not any(unicodedata.category(char) in ("Cc", "Zl", "Zp") for char in found)


@steadily
@given(st.integers(0, 1200), st.integers(0, 1200), st.sampled_from(["x", "\u00e9", "\u20ac"]))
def test_long_keys_differ_where_their_values_do(one: int, two: int, char: str) -> None:
    key = source("{a}:{b}")

    same = key.render((char * one, ""), {}) == key.render((char * two, ""), {})

    assert same == (one == two)


names = st.text("ab1-_ \u00e9", min_size=1, max_size=3)
documents = st.recursive(
    scalars,
    lambda inner: (
        st.lists(inner, min_size=1, max_size=3)
        | st.dictionaries(names | st.integers(0, 9), inner, min_size=1, max_size=3)
    ),
    max_leaves=8,
)


@steadily
@given(documents, st.data())
def test_an_item_is_read_as_from_the_message(document: Any, data: st.DataObject) -> None:
    path, found = "", loads(dumps(document))
    while isinstance(found, (dict, list)):
        steps = sorted(found) if isinstance(found, dict) else range(len(found))
        step = data.draw(st.sampled_from(steps))
        path += data.draw(st.sampled_from([f"[{step}]", f".{step}"]))
        found = found[step]

    key = source(f"{{a{path}!h}}").render((document,), {})

    assert key == source("{a!h}").render((found,), {})


def one_default(a, b=5): ...
def by_position(a, b=5, /, c=6): ...
def by_name(a, *, b, c=6): ...
def open_ended(a, *rest, b=5, **extra): ...
def anything(*args, **kwargs): ...
def nothing(): ...


@steadily
@given(
    st.sampled_from([one_default, by_position, by_name, open_ended, anything, nothing]),
    st.lists(st.integers(), max_size=4),
    st.dictionaries(st.sampled_from(["a", "b", "c", "d"]), st.integers(), max_size=3),
)
def test_binding_is_what_python_does_with_a_call(
    task: Callable[..., Any], args: list[int], kwargs: dict[str, int]
) -> None:
    signature = inspect.signature(task)
    parameters = Parameters("t", signature)
    try:
        expected = signature.bind(*args, **kwargs)
    except TypeError:
        with pytest.raises(LockError):
            parameters.bind(args, kwargs)
        return
    expected.apply_defaults()

    assert parameters.bind(args, kwargs) == expected.arguments


def test_nan_is_one_key_in_a_template_and_in_a_digest() -> None:
    key = source("user:{a}")

    assert key.render((math.nan,), {}) == key.render((float("nan"),), {}) == "user:nan"
    assert digests.render((math.nan,), {}) == digests.render((float("nan"),), {})


def whole(value): ...


def item(values): ...


@steadily
@given(value=values, template=st.sampled_from(["k:{}", "k-{}-1", "{}", "k1{}2:{}"]))
@example(-1, "k-{}-1")
@example("a\ud800", "{}")
@example("", "{}")
@example("%~" + 32 * "a", "{}")
def test_an_argument_is_written_as_an_item_of_one_would_be(value: Any, template: str) -> None:
    """A whole argument that is a `str` or an `int` takes a way of its own."""

    def written(field: str, task: Callable[..., Any], argument: Any) -> object:
        try:
            return source(template.replace("{}", f"{{{field}}}"), task).render((argument,), {})
        except LockError as error:
            return type(error)

    assert written("value", whole, value) == written("values[x]", item, {"x": value})
