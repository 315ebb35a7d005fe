"""The header: what another program may send, what is kept, and what is refused."""

from __future__ import annotations

import json
from dataclasses import fields
from typing import Any

import pytest

from celery_lock import LockError
from celery_lock.message import HEADER, Header
from celery_lock.message.carried import Survives


def read(value: Any, *, retries: int = 0, nesting: int = 0) -> Header:
    return Header.read({HEADER: value}, retries=retries, nesting=nesting)


# -- what it says ----------------------------------------------------------------------------


@pytest.mark.parametrize("headers", [None, {}, {"trace": "abc"}, {HEADER: None}])
def test_a_message_without_a_header_says_nothing(headers: Any) -> None:
    assert Header.read(headers, retries=2, nesting=1) == Header(retries=2, nesting=1)


def test_another_language_names_the_key_and_nothing_else() -> None:
    header = read({"v": 1, "key": "order:7"})

    assert header == Header(key="order:7", given=True)


def test_what_is_written_is_read_back() -> None:
    header = Header("k", "tag-1", 3, 1_700_000_000.5, 2, 1, 4, {"entry": "nightly"})

    assert read(header.write(), retries=1, nesting=4) == header


def test_what_is_written_goes_through_json() -> None:
    written = Header("k", "tag-1", 3, 1_700_000_000.5, extra={"entry": {"a": [1]}}).write()

    assert json.loads(json.dumps(written)) == written


def test_fields_that_are_not_known_are_kept_through_every_hop() -> None:
    sent = {"v": 1, "key": "k", "entry": "nightly", "x": {"deep": [1, None]}}

    again = read(read(sent).conflicted(5.0).write())

    assert again.extra == {"entry": "nightly", "x": {"deep": [1, None]}}
    assert (again.key, again.attempt) == ("k", 1)


def test_a_field_of_another_program_cannot_hide_one_of_ours() -> None:
    header = Header(key="k", attempt=2, extra={"key": "theirs", "attempt": 9, "v": 7})

    assert (header.write()["key"], header.write()["attempt"], header.write()["v"]) == ("k", 2, 1)


def test_null_is_as_good_as_nothing() -> None:
    nothing = dict.fromkeys(("key", "publication", "attempt", "first_conflict", "outages"))

    assert read({"v": 1, **nothing}) == Header()


def test_a_whole_number_is_a_time_as_well() -> None:
    assert read({"v": 1, "first_conflict": 5}).first_conflict == 5


# -- conflicts -------------------------------------------------------------------------------


def test_a_conflict_counts_and_remembers_when_the_first_one_was() -> None:
    once = Header().conflicted(100.0)
    twice = once.conflicted(107.0)

    assert (once.attempt, once.first_conflict) == (1, 100.0)
    assert (twice.attempt, twice.first_conflict) == (2, 100.0)


# -- attempts of the task --------------------------------------------------------------------


@pytest.mark.parametrize(("retries", "nesting"), [(1, 0), (0, 1), (2, 2)])
def test_what_was_written_for_an_earlier_publication_does_not_count(
    retries: int, nesting: int
) -> None:
    written = Header("k", "tag-1", 5, 100.0, 2).write()

    assert read(written, retries=retries, nesting=nesting) == Header(
        retries=retries, nesting=nesting
    )


def test_what_was_written_for_this_publication_counts() -> None:
    header = Header("k", "tag-1", 5, 100.0, retries=2, nesting=1)

    assert read(header.write(), retries=2, nesting=1) == header


@pytest.mark.parametrize(
    ("field", "survives"),
    {
        "key": "MESSAGE, RETRY_IF_GIVEN, TICK",
        "given": "MESSAGE, RETRY_IF_GIVEN, TICK",
        "extra": "MESSAGE, RETRY_IF_GIVEN, TICK",
        "publication": "MESSAGE",
        "attempt": "MESSAGE",
        "first_conflict": "MESSAGE",
        "outages": "MESSAGE",
        "retries": "MESSAGE",
        "nesting": "MESSAGE",
        "beat": "MESSAGE, RETRY",
        "first_published": "MESSAGE, RETRY",
        "first_mark": "MESSAGE",
    }.items(),
)
def test_a_field_declares_what_it_survives(field: str, survives: str) -> None:
    """Another answer here is a decision, not an accident."""
    declared = {one.name: one.metadata["survives"] for one in fields(Header)}[field]

    assert ", ".join(str(act.name) for act in Survives if act in declared) == survives


def test_every_field_survives_that_its_message_is_sent_again() -> None:
    assert all(Survives.MESSAGE in one.metadata["survives"] for one in fields(Header))


# -- bad input -------------------------------------------------------------------------------


@pytest.mark.parametrize("value", ["k", b"k", 5, 1.5, True, ["k"], [("key", "k")]])
def test_a_header_that_is_no_dict_is_refused_with_what_to_send(value: Any) -> None:
    with pytest.raises(LockError, match=r'celery_lock is \w+, not a dict; send {"v": 1, "key"'):
        read(value)


@pytest.mark.parametrize("field", ["key", "publication"])
@pytest.mark.parametrize("value", ["", 5, b"k", True, ["k"], {"a": 1}])
def test_a_text_field_of_another_type_is_named(field: str, value: Any) -> None:
    with pytest.raises(LockError, match=rf"field '{field}' .* is no str; send it right or leave"):
        read({"v": 1, field: value})


@pytest.mark.parametrize("field", ["attempt", "outages", "retries", "nesting"])
@pytest.mark.parametrize("value", ["", "5", 1.5, True, [5], {}])
def test_a_counting_field_of_another_type_is_named(field: str, value: Any) -> None:
    with pytest.raises(LockError, match=rf"field '{field}' .* is no int"):
        read({"v": 1, field: value})


@pytest.mark.parametrize("value", ["", "5", True, [5]])
def test_a_time_of_another_type_is_named(value: Any) -> None:
    with pytest.raises(LockError, match=r"field 'first_conflict' .* is no number"):
        read({"v": 1, "first_conflict": value})


def test_a_broken_header_is_refused_also_where_it_is_out_of_date() -> None:
    with pytest.raises(LockError, match="field 'key'"):
        read({"v": 1, "key": 5}, retries=3)
