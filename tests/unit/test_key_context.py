"""Keys that show the message itself: its tick, and a bucket of time."""

from __future__ import annotations

import inspect
from collections.abc import Callable
from datetime import datetime, timedelta, timezone
from typing import Any

import pytest

from celery_lock import Lock
from celery_lock.errors import LockConfigurationError
from celery_lock.keys import KeySource, MessageContext, compile_key

AT = datetime(2026, 11, 23, 14, 37, 5, tzinfo=timezone.utc)
TICK = MessageContext("nightly", AT, AT.timestamp())


def report(kind: str = "all") -> None: ...


def source(template: str, task: Callable[..., Any] = report) -> KeySource:
    return compile_key(template, task="shop.report", signature=inspect.signature(task))


def render(template: str, context: MessageContext = TICK) -> str:
    return source(template).render((), {}, context)


def refusal(template: str, task: Callable[..., Any] = report) -> str:
    with pytest.raises(LockConfigurationError) as caught:
        source(template, task)
    return str(caught.value)


class TestATick:
    def test_is_shown_by_entry_and_time(self) -> None:
        assert render("r:{beat[entry]}") == render("r:{beat.entry}") == "r:nightly"
        assert render("r:{beat[due]}") == render("r:{beat.due}") == "r:20261123T143705Z"

    def test_shows_its_microseconds_where_there_are_any(self) -> None:
        quarter = MessageContext("nightly", AT + timedelta(milliseconds=250))

        assert render("r:{beat[due]}", quarter) == "r:20261123T143705.250000Z"

    def test_shows_its_time_in_utc(self) -> None:
        berlin = AT.astimezone(timezone(timedelta(hours=1)))

        assert render("r:{beat[due]}", MessageContext("nightly", berlin)) == "r:20261123T143705Z"

    def test_cannot_imitate_another_field(self) -> None:
        odd = MessageContext("a:b", AT)

        assert render("{beat[entry]}:{kind}", odd) == "a%3Ab:all"

    def test_may_be_a_digest(self) -> None:
        assert len(render("r:{beat[entry]!h}")) == 2 + 32

    @pytest.mark.parametrize(
        "field", ["beat", "beat[id]", "beat.name", "beat[entry][0]", "beat.due.hour"]
    )
    def test_has_nothing_else(self, field: str) -> None:
        said = refusal(f"r:{{{field}}}")

        assert f"has the field {{{field}}}" in said
        assert "a tick has {beat[entry]} and {beat[due]} only" in said

    @pytest.mark.parametrize("field", ["beat[entry]", "beat[due]"])
    def test_is_missed_with_what_to_write_instead(self, field: str) -> None:
        with pytest.raises(LockConfigurationError) as caught:
            render(f"r:{{{field}}}", MessageContext(first_published=5.0))

        assert "task 'shop.report'" in str(caught.value)
        assert f"{{{field}}} has no value" in str(caught.value)
        assert "write {bucket:1h}" in str(caught.value)


class TestABucket:
    @pytest.mark.parametrize(
        ("every", "text"),
        [
            ("30s", "20261123T143700Z"),
            ("15m", "20261123T143000Z"),
            ("1h", "20261123T140000Z"),
            ("6h", "20261123T120000Z"),
            ("1d", "20261123T000000Z"),
            ("86400s", "20261123T000000Z"),
        ],
    )
    def test_is_the_time_of_publication_rounded_down(self, every: str, text: str) -> None:
        assert render(f"r:{{bucket:{every}}}") == f"r:{text}"

    def test_begins_at_its_boundary_and_ends_before_the_next(self) -> None:
        hour = datetime(2026, 11, 23, 14, tzinfo=timezone.utc).timestamp()
        times = [hour - 0.001, hour, hour + 3599.999, hour + 3600]

        keys = [render("{bucket:1h}", MessageContext(first_published=time)) for time in times]

        assert keys == [
            "20261123T130000Z",
            "20261123T140000Z",
            "20261123T140000Z",
            "20261123T150000Z",
        ]

    def test_counts_from_1970_before_it_too(self) -> None:
        assert render("{bucket:1h}", MessageContext(first_published=-0.5)) == "19691231T230000Z"

    @pytest.mark.parametrize(
        "field",
        ["bucket", "bucket:", "bucket!h", "bucket:1h!h", "bucket[1h]", "bucket.1h", "bucket:h",
         "bucket:0s", "bucket:-1h", "bucket:1.5h", "bucket:01h", "bucket:1 h", "bucket:1w",
         "bucket:1H", "bucket:1h30m", "bucket:3600", "bucket:\u0661h"],
    )  # fmt: skip
    def test_of_another_form_is_refused_where_it_is_declared(self, field: str) -> None:
        with pytest.raises(LockConfigurationError) as caught:
            Lock(f"r:{{{field}}}")

        assert "write {bucket:1h}, with a whole number" in str(caught.value)

    def test_is_missed_with_what_to_do(self) -> None:
        with pytest.raises(LockConfigurationError) as caught:
            render("r:{bucket:1h}", MessageContext("nightly", AT))

        assert "task 'shop.report', key template 'r:{bucket:1h}'" in str(caught.value)
        assert "import the task where the message is published" in str(caught.value)
        assert '{"v": 1, "first_published": time.time()}' in str(caught.value)

    def test_makes_the_publisher_say_the_time(self) -> None:
        assert source("r:{bucket:1h}").timed
        assert not source("r:{beat[due]}").timed
        assert not source("r:{kind}").timed

    def test_of_another_field_is_a_format_and_refused(self) -> None:
        assert "formats {kind} with ':1h'" in refusal("r:{kind:1h}")


class TestANameThatATaskHasToo:
    @pytest.mark.parametrize("template", ["r:{beat[entry]}", "r:{beat.x}", "r:{beat}"])
    def test_a_tick_is_refused_beside_a_parameter_of_that_name(self, template: str) -> None:
        def task(beat: Any) -> None: ...

        assert "has a parameter named 'beat' as well" in refusal(template, task)

    def test_a_bucket_is_refused_beside_a_parameter_of_that_name(self) -> None:
        def task(bucket: str) -> None: ...

        assert "has a parameter named 'bucket' as well" in refusal("r:{bucket:1h}", task)

    def test_other_templates_do_not_mind(self) -> None:
        def task(beat: Any, bucket: str, kind: str) -> None: ...

        key = compile_key("r:{kind}", task="t", signature=inspect.signature(task))
        whole = compile_key(None, task="t", signature=inspect.signature(task))

        assert key.render((1, "b", "all"), {}) == "r:all"
        assert whole.render((1, "b", "all"), {}).startswith("t:")

    def test_a_function_gets_the_arguments_alone(self) -> None:
        def task(beat: str, bucket: str) -> None: ...

        key = compile_key(
            lambda beat, bucket: f"{beat}/{bucket}", task="t", signature=inspect.signature(task)
        )

        assert key.render(("a", "b"), {}, TICK) == "a/b"
