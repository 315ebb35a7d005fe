"""Key templates: what they may say, what they write, what they refuse."""

from __future__ import annotations

import inspect
import uuid
from collections.abc import Callable
from datetime import datetime
from typing import Any

import pytest

from celery_lock.errors import LockConfigurationError, LockError
from celery_lock.keys import KeySource, compile_key


def charge(user_id, amount=5): ...


def ship(order): ...


def report(kind, *args, **kwargs): ...


def nightly(): ...


def source(template: str, task: Callable[..., Any] = charge) -> KeySource:
    return compile_key(template, task="shop.charge", signature=inspect.signature(task))


def render(template: str, task: Callable[..., Any], *args: Any, **kwargs: Any) -> str:
    return source(template, task).render(args, kwargs)


def refusal(template: str, task: Callable[..., Any] = charge) -> str:
    with pytest.raises(LockConfigurationError) as caught:
        source(template, task)
    return str(caught.value)


def failure(template: str, task: Callable[..., Any], *args: Any, **kwargs: Any) -> LockError:
    with pytest.raises(LockError) as caught:
        render(template, task, *args, **kwargs)
    return caught.value


class TestAField:
    def test_is_written_as_str_so_that_7_and_its_text_are_one_key(self) -> None:
        assert render("user:{user_id}", charge, 7) == "user:7"
        assert render("user:{user_id}", charge, "7") == "user:7"

    def test_is_the_same_by_position_name_and_default(self) -> None:
        key = source("user:{user_id}:{amount}")

        assert (
            key.render((7,), {})
            == key.render([7, 5], {})
            == key.render((), {"user_id": 7, "amount": 5})
            == "user:7:5"
        )

    @pytest.mark.parametrize(
        ("value", "text"),
        [
            (None, "None"),
            (True, "True"),
            (1.5, "1.5"),
            (uuid.UUID(int=7), "00000000-0000-0000-0000-000000000007"),
            (b"abc", "abc"),
            ((1, 2), "[1,2]"),
            ({2: "b", "a": 1}, '{"2":"b","a":1}'),
            (datetime(2024, 2, 29), "2024-02-29T00:00:00"),
        ],
    )
    def test_shows_its_json_form(self, value: Any, text: str) -> None:
        escaped = text.replace(":", "%3A")  # the template has a ':' of its own

        assert render("user:{user_id}", charge, value) == f"user:{escaped}"

    def test_reads_an_item_with_brackets_and_with_a_dot(self) -> None:
        order = {"customer": {"id": 7}, "lines": [{"sku": "a"}, {"sku": "b"}], "1": "one"}

        assert render("o:{order[customer][id]}", ship, order) == "o:7"
        assert render("o:{order.customer.id}", ship, order) == "o:7"
        assert render("o:{order.lines[1].sku}", ship, order) == "o:b"
        assert render("o:{order[1]}", ship, order) == "o:one"

    def test_reads_items_as_they_are_in_the_message(self) -> None:
        assert render("o:{order[1]}", ship, {1: "one"}) == "o:one"
        assert render("o:{order[0]}", ship, (4, 5)) == "o:4"

    def test_with_h_is_a_digest_of_the_text(self) -> None:
        key = render("mail:{user_id!h}", charge, "ann@example.org")

        assert key == "mail:438c4c7afe600cdf1e455c369bec76dc"
        assert render("mail:{user_id!h}", charge, 7) == render("mail:{user_id!h}", charge, "7")

    def test_with_h_takes_control_characters_and_lone_surrogates(self) -> None:
        assert len(render("mail:{user_id!h}", charge, "a\nb\ud83d")) == len("mail:") + 32

    def test_needs_no_json_form_of_the_arguments_that_it_does_not_name(self) -> None:
        assert render("user:{user_id}", charge, 7, object()) == "user:7"

    def test_never_reads_an_attribute_of_a_live_object(self) -> None:
        class Trap:
            @property
            def customer(self) -> str:
                raise AssertionError("was read")

        error = failure("o:{order.customer}", ship, Trap())

        assert "has no JSON form" in str(error)

    def test_never_reaches_the_class_of_a_value(self) -> None:
        error = failure("o:{order.__class__}", ship, 7)

        assert "it is a int, which has no items" in str(error)

    def test_twice_is_allowed(self) -> None:
        assert render("{user_id}/{user_id}", charge, 7) == "7/7"


class TestOpenSignatures:
    def test_args_and_kwargs_are_what_is_left_over(self) -> None:
        assert render("r:{kind}:{args[1]}", report, "k", "a", "b") == "r:k:b"
        assert render("r:{kwargs[x]}", report, "k", x=3) == "r:3"
        assert render("r:{kwargs.x}", report, "k", x=3) == "r:3"

    def test_other_names_work_and_so_do_the_usual_ones(self) -> None:
        def task(*rest, **options): ...

        for template in ("r:{rest[0]}", "r:{args[0]}"):
            assert render(template, task, "a") == "r:a"
        for template in ("r:{options[x]}", "r:{kwargs[x]}"):
            assert render(template, task, x=1) == "r:1"

    def test_whole_they_are_their_json(self) -> None:
        assert render("r/{args}/{kwargs}", report, "k", 1, b=2, a=1) == 'r/[1]/{"a":1,"b":2}'

    def test_only_the_item_asked_for_needs_a_json_form(self) -> None:
        assert render("r:{args[0]}:{kwargs[x]}", report, "k", 1, object(), x=2, y={3}) == "r:1:2"
        assert "'args[1]' (object)" in str(failure("r:{args[1]}", report, "k", 1, object()))

    def test_a_parameter_with_such_a_name_comes_first(self) -> None:
        def task(args, *rest): ...

        assert render("r:{args}", task, "own", "left") == "r:own"

    def test_a_task_without_them_has_no_such_field(self) -> None:
        assert "has no 'args'; it has user_id, amount" in refusal("r:{args[0]}")
        assert "has no 'kwargs'" in refusal("r:{kwargs[x]}")

    def test_args_takes_numbers(self) -> None:
        assert "*args takes numbers; write {args[0]}" in refusal("r:{args.x}", report)
        assert "*args takes numbers" in refusal("r:{args[-1]}", report)

    def test_an_unknown_field_is_told_about_kwargs(self) -> None:
        assert "write {kwargs[colour]} for what **kwargs takes" in refusal("r:{colour}", report)


class TestNoValueImitatesAnotherField:
    def test_the_characters_next_to_a_field_are_escaped_in_values(self) -> None:
        assert render("user:{user_id}:{amount}", charge, "1:2", "3") == "user:1%3A2:3"
        assert render("user:{user_id}:{amount}", charge, "1", "2:3") == "user:1:2%3A3"

    def test_a_letter_is_escaped_only_where_an_earlier_value_ends_with_it(self) -> None:
        assert render("{user_id}and{amount}", charge, "bandb", "c") == "b%61ndbandc"
        assert render("user{user_id}end", charge, "reed") == "userreedend"

    def test_other_text_of_the_template_may_appear_in_values(self) -> None:
        key = render("nightly-report:{user_id}", charge, "a-b_c:d")

        assert key == "nightly-report:a-b_c%3Ad"

    def test_the_value_of_one_template_does_not_look_like_another_template(self) -> None:
        assert render("o:{user_id}", charge, "7:items") != render("o:{user_id}:items", charge, 7)

    def test_a_digit_between_fields_is_told_from_the_digits_of_an_escape(self) -> None:
        assert render("{user_id}2{amount}", charge, "2", "") == "%322"
        assert render("{user_id}2{amount}", charge, "", "2") == "2%32"
        assert render("{user_id}2{amount}", charge, "%", "") == "%252"

    def test_the_escape_sign_is_escaped(self) -> None:
        assert render("user:{user_id}", charge, "1%3A2") == "user:1%253A2"

    def test_other_characters_are_left_readable(self) -> None:
        assert render("user:{user_id}", charge, "a/b c-\u00e9") == "user:a/b c-\u00e9"

    def test_a_separator_outside_ascii_is_escaped_by_its_bytes(self) -> None:
        key = render("{user_id}\u2192{amount}", charge, "a\u2192", "b")

        assert key == "a%E2%86%92\u2192b"

    def test_a_lone_surrogate_is_escaped_for_it_is_no_utf_8(self) -> None:
        key = render("user:{user_id}", charge, "a\ud83d")

        assert key == "user:a%ED%A0%BD"
        assert key.encode()

    def test_braces_of_the_template_are_separators(self) -> None:
        assert render("{{{user_id}}}", charge, "a}b") == "{a%7Db}"


class TestAConstantKey:
    def test_needs_no_field(self) -> None:
        assert render("nightly-report", nightly) == "nightly-report"
        assert render("100%", nightly) == "100%"

    def test_does_not_look_at_the_arguments(self) -> None:
        assert render("nightly-report", charge, object()) == "nightly-report"


class TestWhatIsRefusedAtBind:
    def test_an_unknown_field_names_the_ones_there_are(self) -> None:
        assert refusal("user:{usr_id}") == (
            "key template 'user:{usr_id}' has the field {usr_id}, but task 'shop.charge' has no "
            "'usr_id' (did you mean 'user_id'?); it has user_id, amount"
        )

    def test_a_field_of_a_task_without_parameters(self) -> None:
        assert "it has no parameters" in refusal("n:{x}", nightly)

    @pytest.mark.parametrize("template", ["user:{}", "user:{0}", "user:{0.x}", "user:{!h}"])
    def test_a_field_by_position(self, template: str) -> None:
        assert "counts positions; write the parameter's name, or {args[0]}" in refusal(template)

    @pytest.mark.parametrize(
        "template", ["user:{user_id", "user:user_id}", "{user_id!h", "{{!a}}}"]
    )
    def test_a_malformed_template(self, template: str) -> None:
        assert "is malformed" in refusal(template)
        assert "a brace itself is written twice" in refusal(template)

    @pytest.mark.parametrize("template", ["{user_id.}", "{user_id..x}", "{user_id[]}", "{a]b}"])
    def test_a_field_that_cannot_be_read(self, template: str) -> None:
        assert "cannot be read" in refusal(template) or "is malformed" in refusal(template)

    def test_a_format(self) -> None:
        assert "formats {user_id} with ':>8', which keys do not do" in refusal("{user_id:>8}")

    @pytest.mark.parametrize("conversion", ["r", "s", "a", "x", "lower", "hh", ""])
    def test_another_conversion_than_h(self, conversion: str) -> None:
        message = refusal(f"{{user_id!{conversion}}}")

        assert f"has the conversion '!{conversion}'; only '!h' is known" in message

    @pytest.mark.parametrize("template", ["", "  "])
    def test_an_empty_template(self, template: str) -> None:
        assert "is empty" in refusal(template)

    @pytest.mark.parametrize("character", ["\n", "\t", "\x00", "\x7f", "\x85", "\u2028", "\ud83d"])
    def test_a_character_that_does_not_print(self, character: str) -> None:
        assert "write one that prints" in refusal(f"user{character}:{{user_id}}")
        assert "write one that prints" in refusal(f"constant{character}")

    def test_a_percent_sign_beside_a_field(self) -> None:
        assert "has a '%', which marks escaped characters" in refusal("{user_id}%")

    @pytest.mark.parametrize("template", ["{user_id}{amount}", "u:{user_id!h}{amount}"])
    def test_two_fields_with_nothing_between(self, template: str) -> None:
        assert "has nothing between {user_id} and {amount}" in refusal(template)


class TestWhatFailsWithTheData:
    def test_a_missing_item_is_named_with_what_is_there_but_no_values(self) -> None:
        error = failure("o:{order[customer][id]}", ship, {"customer": {"name": "secret", "x": 1}})

        assert str(error) == (
            "task 'shop.charge', key template 'o:{order[customer][id]}': 'order[customer]' has "
            "no item 'id'; it has 'name', 'x'"
        )
        assert not isinstance(error, LockConfigurationError)

    def test_of_many_names_the_first_are_told(self) -> None:
        error = failure("o:{order[x]}", ship, {f"n{place}": 1 for place in range(100)})

        assert str(error).endswith("'n19', ...")

    def test_an_empty_dict_says_so(self) -> None:
        assert "'order' has no item 'x'; it is empty" in str(failure("o:{order.x}", ship, {}))

    @pytest.mark.parametrize("step", ["2", "-1", "x"])
    def test_a_missing_place_in_a_list(self, step: str) -> None:
        error = failure(f"o:{{order[{step}]}}", ship, [1, 2])

        assert f"has no item '{step}'; it is a list of 2" in str(error)

    def test_an_item_of_a_value_that_has_none(self) -> None:
        error = failure("o:{order.year}", ship, datetime(2024, 1, 1))

        assert "it is a datetime, which has no items" in str(error)

    def test_too_few_args(self) -> None:
        assert "'args' has no item '1'" in str(failure("r:{args[1]}", report, "k", 1))

    @pytest.mark.parametrize("character", ["\n", "\x00", "\x7f", "\x85", "\u2029"])
    def test_control_characters_in_a_value(self, character: str) -> None:
        error = failure("user:{user_id}", charge, f"secret{character}")

        assert str(error) == (
            "task 'shop.charge', key template 'user:{user_id}': the value of {user_id} has "
            "control characters; write {user_id!h} for a digest of it, or check the value "
            "before the task is sent"
        )
        assert not isinstance(error, LockConfigurationError)

    def test_control_characters_inside_a_list_are_escaped_by_json(self) -> None:
        assert render("user:{user_id}", charge, ["a\n"]) == 'user:["a\\n"]'

    def test_an_empty_key(self) -> None:
        error = failure("{user_id}", charge, "")

        assert "the key made by '{user_id}' is empty; put a name in front" in str(error)

    def test_an_empty_value_beside_other_text_is_a_key(self) -> None:
        assert render("user:{user_id}", charge, "") == "user:"
