"""Keys that show the headers of a message, and its queue."""

from __future__ import annotations

import inspect
import pickle
import uuid
from collections.abc import Callable
from datetime import datetime, timezone
from decimal import Decimal
from typing import Any

import pytest

from celery_lock.errors import LockConfigurationError, LockError
from celery_lock.keys import KeySource, MessageContext, NotInMessage, compile_key


def ship(order_id: int = 7) -> None: ...


def source(template: str, task: Callable[..., Any] = ship) -> KeySource:
    return compile_key(template, task="shop.ship", signature=inspect.signature(task))


def render(template: str, **facts: Any) -> str:
    return source(template).render((), {}, MessageContext(**facts))


def failure(template: str, **facts: Any) -> str:
    with pytest.raises(LockError) as caught:
        render(template, **facts)
    return str(caught.value)


def refusal(template: str, task: Callable[..., Any] = ship) -> str:
    with pytest.raises(LockConfigurationError) as caught:
        source(template, task)
    return str(caught.value)


class TestAHeader:
    def test_is_shown_with_brackets_and_with_a_dot(self) -> None:
        headers = {"tenant": "red"}

        assert render("{header[tenant]}:order:{order_id}", headers=headers) == "red:order:7"
        assert render("{header.tenant}:order:{order_id}", headers=headers) == "red:order:7"

    @pytest.mark.parametrize(
        ("value", "text"),
        [
            ("red", "red"),
            (b"red", "red"),
            (7, "7"),
            ("7", "7"),
            (0, "0"),
            (False, "False"),
            (1.5, "1.5"),
            (Decimal("1.50"), "1.50"),
            (uuid.UUID(int=7), "00000000-0000-0000-0000-000000000007"),
            (datetime(2024, 2, 29, tzinfo=timezone.utc), "2024-02-29T00:00:00+00:00"),
            (["a", 1], '["a",1]'),
            (("a", 1), '["a",1]'),
            ([], "[]"),
            ({"b": 1, "a": None}, '{"a":null,"b":1}'),
            ({1: "x"}, '{"1":"x"}'),
            (" ", " "),
            (b"\xff\xfe", "//4="),
        ],
    )
    def test_of_any_type_is_shown_by_its_json_form(self, value: Any, text: str) -> None:
        assert render("{header[tenant]}", headers={"tenant": value}) == text

    @pytest.mark.parametrize("value", [None, "", b""])
    def test_that_says_nothing_is_none(self, value: Any) -> None:
        headers = {"tenant": value}

        said = failure("{header[tenant]}:{order_id}", headers=headers)

        assert "the header 'tenant' of the message is empty, or not there" in said
        assert render("{header[tenant]|public}:{order_id}", headers=headers) == "public:7"

    def test_may_have_items(self) -> None:
        headers = {"user": {"tenant": "red", "roles": ["a", {"of": "b"}]}, "1": "one"}

        assert render("{header[user][tenant]}", headers=headers) == "red"
        assert render("{header.user.tenant}", headers=headers) == "red"
        assert render("{header[user][roles][1][of]}", headers=headers) == "b"
        assert render("{header[1]}", headers=headers) == "one"

    def test_without_the_item_is_none(self) -> None:
        headers = {"user": {"name": "ann"}, "roles": ["a"], "nobody": None}

        assert "has no header 'user'[tenant]" in failure("{header[user][tenant]}", headers={})
        for field in ("user][tenant", "roles][3", "nobody][tenant"):
            said = failure(f"{{header[{field}]}}", headers=headers)
            assert "is empty, or not there" in said
            assert render(f"{{header[{field}]|x}}", headers=headers) == "x"

    def test_of_a_text_has_no_items_and_no_default_hides_that(self) -> None:
        said = failure("{header[user][tenant]|public}", headers={"user": "ann"})

        assert "the header 'user' of the message is a str, which has no item 'tenant'" in said

    def test_without_a_json_form_is_refused_without_its_value(self) -> None:
        class Secret:
            def __repr__(self) -> str:
                return "s3cret"

        said = failure("{header[tenant]}", headers={"tenant": Secret()})

        assert "the header 'tenant' of the message (Secret) has no JSON form" in said
        assert "s3cret" not in said

    def test_that_is_nested_without_end_is_refused(self) -> None:
        circle: dict[str, Any] = {}
        circle["x"] = circle

        assert "has no JSON form" in failure("{header[tenant]}", headers={"tenant": circle})

    def test_with_control_characters_is_refused_unless_it_is_a_digest(self) -> None:
        headers = {"tenant": "red\n"}

        assert "has control characters" in failure("{header[tenant]}", headers=headers)
        assert len(render("{header[tenant]!h}", headers=headers)) == 32

    def test_cannot_imitate_another_field(self) -> None:
        template = "{header[tenant]}:{header[shop]}:{order_id}"
        keys = {
            render(template, headers={"tenant": one, "shop": other})
            for one, other in [("a:b", "c"), ("a", "b:c"), ("a%3Ab", "c"), ("a", "b%3Ac")]
        }

        assert len(keys) == 4
        assert "a%3Ab:c:7" in keys

    @pytest.mark.parametrize(
        "name", ["X-Tenant-ID", "x.tenant", "a|b", "a:b", "a!h", "a b", "Mandant-ä", "0", "|"]
    )
    def test_may_have_an_odd_name(self, name: str) -> None:
        assert render(f"{{header[{name}]}}:x", headers={name: "red"}) == "red:x"
        assert render(f"{{header[{name}]|none}}:x", headers={}) == "none:x"

    def test_is_not_found_under_another_case(self) -> None:
        said = failure("{header[tenant]}", headers={"Tenant": "red"})

        assert "has no header 'tenant'; did you mean 'Tenant'" in said or "'Tenant'" in said

    @pytest.mark.parametrize("headers", [{"Tenant": "red"}, {"headers": {"TENANT": "red"}}])
    def test_under_another_case_is_no_reason_for_the_default(self, headers: Any) -> None:
        """Each tenant would have the key of the default."""
        said = failure("{header[tenant]|public}", headers=headers)

        assert "has no header 'tenant'" in said
        assert render("{header[tenant]|public}", headers={**headers, "tenant": "blue"}) == "blue"

    def test_of_a_stamp_says_where_stamps_are(self) -> None:
        headers = {"stamps": {"tenant": ["red"]}, "stamped_headers": ["tenant"]}

        said = failure("{header[tenant]}", headers=headers)

        assert "it is a stamp, so write {header[stamps][tenant]}" in said
        assert failure("{header[tenant]|public}", headers=headers).endswith(said[-60:])
        assert render("{header[stamps][tenant]}", headers=headers) == "red"
        assert render("{header[stamps][tenant][0]}", headers=headers) == "red"

    def test_of_several_stamps_shows_all(self) -> None:
        stamps = {"one": "red", "same": ["red"], "two": ["red", "blue"], "none": []}

        shown = [
            render(f"{{header[stamps][{name}]}}", headers={"stamps": stamps}) for name in stamps
        ]

        assert shown == ["red", "red", '["red","blue"]', "[]"]


class TestAnInnerHeader:
    def test_counts_as_well(self) -> None:
        headers = {"id": "id-1", "headers": {"tenant": "red"}}

        assert render("{header[tenant]}", headers=headers) == "red"

    def test_may_be_the_same_as_the_outer_one(self) -> None:
        headers = {"tenant": 7, "headers": {"tenant": "7"}}

        assert render("{header[tenant]}", headers=headers) == "7"

    def test_that_differs_is_refused_for_two_tenants_could_share_a_key(self) -> None:
        headers = {"tenant": "red", "headers": {"tenant": "blue"}}

        said = failure("{header[tenant]|public}", headers=headers)

        assert "twice, once in an inner dict 'headers', and they differ" in said

    @pytest.mark.parametrize("inner", [None, 7, "x", []])
    def test_is_none_where_there_is_no_dict(self, inner: Any) -> None:
        assert render("{header[tenant]}", headers={"tenant": "red", "headers": inner}) == "red"


class TestAMissingHeader:
    def test_is_named_with_what_is_there_and_what_to_do(self) -> None:
        headers = {"id": "i", "task": "t", "celery_lock": {}, "tennant": "red", "headers": {"b": 1}}

        with pytest.raises(NotInMessage) as caught:
            render("{header[tenant]}:{order_id}", headers=headers)

        said = str(caught.value)
        assert "task 'shop.ship', key template '{header[tenant]}:{order_id}'" in said
        assert "has no header 'tenant' (did you mean 'tennant'?); it has 'b', 'tennant'" in said
        assert "apply_async(..., headers={'tenant': ...})" in said
        assert "{header[tenant]|public}" in said
        assert str(pickle.loads(pickle.dumps(caught.value))) == said

    def test_has_its_default_which_is_written_as_a_value_is(self) -> None:
        assert render("{header[tenant]|public}:{order_id}") == "public:7"
        assert render("{header[tenant]|a/b}/{order_id}") == "a%2Fb/7"
        assert render("{header[a]|x|y}") == "x|y"
        assert len(render("{header[tenant]|public!h}")) == 32

    def test_is_what_the_run_before_has_shown(self) -> None:
        shown = {"header[tenant]": "red"}

        assert render("{header[tenant]|public}", shown=shown) == "red"
        assert render("{header.tenant}", shown=shown) == "red"
        assert render("{header[tenant]}", shown=shown, headers={"tenant": "blue"}) == "blue"


class TestAQueue:
    def test_is_shown_by_its_name(self) -> None:
        assert render("{queue}:{order_id}", queue="high") == "high:7"
        assert render("{queue}:{order_id}", queue="a:b") == "a%3Ab:7"

    def test_of_a_retry_is_that_of_the_first_run(self) -> None:
        assert render("{queue}", queue="slow", shown={"queue": "high"}) == "high"

    def test_that_nobody_knows_is_an_error(self) -> None:
        said = failure("{queue}:{order_id}")

        assert "{queue} has no value, since it is not known which queue the message is in" in said
        assert "queue=..." in said


class TestWhatIsShown:
    def test_is_told_field_by_field(self) -> None:
        key = source("{queue}:{header.tenant}:{header[a][b]|x}:{order_id}:{bucket:1h}")

        shown = key.shown(MessageContext(headers={"tenant": "a:b"}, queue="high"))

        assert shown == {"queue": "high", "header[tenant]": "a:b", "header[a][b]": "x"}

    def test_has_no_field_that_the_message_does_not_say(self) -> None:
        assert source("{queue}:{header.tenant}").shown(MessageContext(queue="high")) == {
            "queue": "high"
        }

    def test_is_known_of_the_template(self) -> None:
        assert source("{header[tenant]}").shows_sender
        assert source("{queue}").shows_sender
        assert source("{queue}").shows_queue
        assert not source("{header[tenant]}").shows_queue
        assert not source("{order_id}:{bucket:1h}:{beat[entry]}").shows_sender


@pytest.mark.parametrize(
    ("template", "said"),
    [
        ("{header}", "write {header[tenant]}"),
        ("{header!h}", "write {header[tenant]}"),
        ("{header[]}", "cannot be read"),
        ("{header[tenant}", "is malformed"),
        ("{header[tenant]|}", "has the default '' in {header[tenant]|...}"),
        ("{header['tenant']|public}", "quotes or spaces around its name: write {header[tenant]}"),
        ('{header["tenant"]}', "quotes or spaces around its name: write {header[tenant]}"),
        ("{header[ tenant]}", "quotes or spaces around its name: write {header[tenant]}"),
        ("{header[tenant]| public}", "has the default ' public' in {header[tenant]|...}"),
        ("{header[tenant] |public}", "cannot be read"),
        ("{header[tenant]|a:b}", "has the default 'a:b' in {header[tenant]|...}"),
        ("{header[tenant]:>3}", "formats {header[tenant]}"),
        ("{header[tenant]!r}", "has the conversion '!r'"),
        ("{header|public}", "write {header[tenant]}"),
        ("{queue[0]}", "a queue is its name: write {queue}"),
        ("{queue.name}", "a queue is its name: write {queue}"),
        ("{queue|celery}", "only a header may be missing: write {queue}"),
        ("{order_id|7}", "only a header may be missing: write {order_id}"),
        ("{|7}", "only a header may be missing"),
        ("{bucket|1h}", "only a header may be missing: write {bucket}"),
        ("{header[tenant]}{queue}", "has nothing between"),
        ("{headers[tenant]}", "has no 'headers' (did you mean 'header'?)"),
        ("{header[" + "x" * 250 + "]}", "longer than a header's name"),
    ],
)
def test_a_field_of_the_message_that_cannot_be_is_refused(template: str, said: str) -> None:
    assert said in refusal(template)


def test_a_parameter_of_the_same_name_is_refused_where_the_template_shows_it() -> None:
    def drain(queue: str, header: str) -> None: ...

    for template in ("{queue}", "{header[tenant]}"):
        assert "a parameter named" in refusal(template, drain)
    assert source("drain", drain).render(("a", "b"), {}) == "drain"
    assert len(source("{kwargs[queue]}", lambda **kwargs: None).render((), {"queue": "a"})) == 1
