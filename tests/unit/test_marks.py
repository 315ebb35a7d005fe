"""The mark in a publication's name: of which task a message is."""

from __future__ import annotations

import pytest

from celery_lock.message import is_mark_of, mark_in, mark_of, marked, new_publication, shown_mark
from celery_lock.message.delivery import in_queue

MARK = mark_of("shop", "report")


@pytest.mark.parametrize("queue", ["celery", "a-queue-with-a-name-that-is-too-long-for-a-name"])
def test_a_mark_is_found_again_in_a_queue(queue: str) -> None:
    name = marked(new_publication(), MARK)

    assert mark_in(name) == mark_in(in_queue(name, queue)) == mark_in(shown_mark(name)) == MARK


@pytest.mark.parametrize(
    "name", ["", "VrQrFLr139Fv", "6f1a.0.1", "abc@my.queue12", "6f1.0.0.0123456789abcdef@q", "@"]
)
def test_a_name_without_a_mark_has_none(name: str) -> None:
    assert (mark_in(name), shown_mark(name)) == ("", "")


def test_no_other_task_has_it() -> None:
    others = [mark_of("depot", "report"), mark_of("shop", "report2"), mark_of("", "shop.report")]

    assert is_mark_of(MARK, "shop", "report") is True
    assert [is_mark_of(each, "shop", "report") for each in ["", *others]] == [None] * 4


def test_it_says_that_nobody_stores_the_result() -> None:
    assert is_mark_of(mark_of("shop", "report", stored=False), "shop", "report") is False


def test_a_name_is_marked_once() -> None:
    once = marked("abc", mark_of("shop", "other"))

    assert marked(once, MARK) == f"abc.{MARK}"
    assert marked("abc", "") == "abc"


def test_long_names_that_differ_at_their_end_stay_apart() -> None:
    one, other = (marked(f"beat:shop:nightly:2026-11-23T14%3A0{n}", MARK) for n in (0, 1))

    assert one != other
    assert len(one) == len(other) == 23
