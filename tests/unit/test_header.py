"""The header: what another program may send, what is kept, and what is refused."""

from __future__ import annotations

import json
from dataclasses import fields, replace
from typing import Any

import pytest
from celery.app.task import Context

from celery_lock import LockError
from celery_lock.message import HEADER, Header
from celery_lock.message.carried import Survives, name_its_task, put


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


SENT_AGAIN, ANEW, CARRIED = "sent again", "published anew", "carried to another task"
WRITTEN = Header(
    id="id-1",
    key="k",
    publication="n-1",
    attempt=5,
    first_conflict=100.0,
    first_mark="m-1",
    outages=2,
    turns=3,
    deliveries=4,
    waited=6.5,
    kept="k",
    all_kept=["k", "l"],
    given=True,
    beat={"entry": "nightly", "due": "2026-11-23T14:00:00+00:00"},
    first_published=90.0,
    keys=["k", "l"],
    had=True,
    unlocked=True,
    lease={"names": ["k", "l"], "store": "s-1"},
    verdict="skip",
    met={"key": "k", "by": "id-2", "expires_in": 1.5},
    wait=True,
    shown={"header[tenant]": "red"},
    published={"exchange": "news", "routing_key": "news.rain", "queue": "rain"},
    extra={"theirs": 1},
)
TABLE = {
    # field: what it comes through
    "id": {SENT_AGAIN, ANEW},
    "key": {SENT_AGAIN, ANEW},
    "given": {SENT_AGAIN, ANEW},
    "first_published": {SENT_AGAIN, ANEW},
    "beat": {SENT_AGAIN, ANEW},
    "extra": {SENT_AGAIN, ANEW},
    "publication": {SENT_AGAIN},
    "attempt": {SENT_AGAIN},
    "first_conflict": {SENT_AGAIN},
    "first_mark": {SENT_AGAIN},
    "turns": {SENT_AGAIN},
    "outages": {SENT_AGAIN},
    "deliveries": {SENT_AGAIN},
    "waited": {SENT_AGAIN},
    "kept": {SENT_AGAIN},
    "all_kept": {SENT_AGAIN},
    "keys": {SENT_AGAIN, ANEW},
    "had": {SENT_AGAIN, ANEW},
    "unlocked": {SENT_AGAIN, ANEW},
    "lease": {SENT_AGAIN, ANEW},
    "verdict": {SENT_AGAIN},
    "met": {SENT_AGAIN},
    "wait": {SENT_AGAIN},
    "shown": {SENT_AGAIN, ANEW},
    "published": {SENT_AGAIN},
}
NOT_WRITTEN = {"retries", "nesting", "others", "queue"}
WAYS = {
    SENT_AGAIN: {"id": "id-1", "retries": 0, "nesting": 0},
    "a retry": {"id": "id-1", "retries": 1, "nesting": 0},
    "a replacement": {"id": "id-1", "retries": 0, "nesting": 1},
    "a retry of a replacement": {"id": "id-1", "retries": 1, "nesting": 2},
    CARRIED: {"id": "id-2", "retries": 0, "nesting": 0},
    "carried to a retry": {"id": "id-2", "retries": 1, "nesting": 0},
}


@pytest.mark.parametrize("place", ["outer", "inner", "both"])
@pytest.mark.parametrize("way", WAYS)
@pytest.mark.parametrize("field", TABLE)
def test_a_field_survives_what_the_table_says(field: str, way: str, place: str) -> None:
    written, at = WRITTEN.write(), WAYS[way]
    headers = {
        "outer": {HEADER: written},
        "inner": {"headers": {"x": 1, HEADER: written}},
        "both": {HEADER: written, "headers": {"x": 1, HEADER: written}},
    }[place]

    found = Header.read(json.loads(json.dumps(headers)), **at)  # type: ignore[arg-type]

    kind = way if way in (SENT_AGAIN, CARRIED) else CARRIED if "carried" in way else ANEW
    expected = WRITTEN if kind in TABLE[field] else Header()
    assert getattr(found, field) == getattr(expected, field)
    assert (found.retries, found.nesting) == (at["retries"], at["nesting"])


def test_the_table_has_every_field() -> None:
    assert TABLE.keys() | NOT_WRITTEN == {each.name for each in fields(Header)}
    assert all(getattr(WRITTEN, name) != getattr(Header(), name) for name in TABLE)


@pytest.mark.parametrize("way", ["a retry", "a replacement"])
def test_a_key_that_we_made_is_made_anew_where_the_task_is_published_anew(way: str) -> None:
    """Its arguments may be other ones."""
    made = replace(WRITTEN, given=False).write()

    anew = Header.read({HEADER: made}, **WAYS[way])  # type: ignore[arg-type]

    assert (anew.key, anew.keys) == (None, None)


def test_a_header_is_written_into_both_places_and_no_dict_of_its_caller() -> None:
    inner = {"x": 1}
    headers: dict[str, Any] = {"headers": inner}

    put(headers, {"v": 1})

    assert headers == {HEADER: {"v": 1}, "headers": {"x": 1, HEADER: {"v": 1}}}
    assert inner == {"x": 1}
    put(headers, None)
    assert headers == {"headers": {"x": 1}}


def test_a_header_makes_no_second_place() -> None:
    headers: dict[str, Any] = {"headers": None, "x": 1}

    put(headers, {"v": 1})

    assert headers == {"headers": None, "x": 1, HEADER: {"v": 1}}


def test_a_turn_is_counted_and_no_attempt() -> None:
    assert Header(attempt=2).turned().turned() == Header(attempt=2, turns=2)


def test_what_is_naught_takes_no_bytes() -> None:
    assert Header(id="id-1", publication="n").write() == {"v": 1, "id": "id-1", "publication": "n"}


def test_every_field_survives_that_its_message_is_sent_again() -> None:
    assert all(Survives.MESSAGE in one.metadata["survives"] for one in fields(Header))


# -- the release before this one ---------------------------------------------------------------

OLD = {
    "v": 1,
    "key": "k",
    "publication": "tag-1",
    "attempt": 2,
    "first_conflict": 5.0,
    "outages": 0,
    "retries": 0,
    "nesting": 0,
}
"""What it writes: it names no task."""


def test_what_the_release_before_sent_again_is_counted_on() -> None:
    header = Header.read({HEADER: OLD}, id="id-1", retries=0, nesting=0)

    assert header == Header("k", "tag-1", 2, 5.0)
    assert header.was_sent_again


def test_a_key_that_the_release_before_made_is_made_anew_for_a_retry() -> None:
    retry = Header.read({HEADER: OLD}, id="id-1", retries=1, nesting=0)

    assert retry == Header(retries=1)
    assert Header.read({HEADER: {**OLD, "given": True}}, retries=1, nesting=0).key == "k"


# -- two places ------------------------------------------------------------------------------


def two(outer: Any, inner: Any, id: str = "id-1") -> Header:
    return Header.read({HEADER: outer, "headers": {HEADER: inner}}, id=id, retries=0, nesting=0)


def test_where_both_count_the_higher_attempt_wins() -> None:
    low = Header(id="id-1", publication="n", key="a", attempt=1)
    high = replace(low, key="b", attempt=2)

    assert two(low.write(), high.write()) == two(high.write(), low.write()) == high


def test_what_only_the_other_place_says_counts_too() -> None:
    first, second = Header(id="id-1", publication="n-1"), {"v": 1, "key": "order:7"}

    for found in (two(first.write(), second), two(second, first.write())):
        assert (found.key, found.given, found.publication) == ("order:7", True, "n-1")


def test_a_header_of_another_task_hides_none_of_ours() -> None:
    ours = Header(id="id-1", publication="n", key="a")
    theirs = replace(ours, id="id-2", key="b", attempt=9)

    assert two(ours.write(), theirs.write()) == two(theirs.write(), ours.write()) == ours
    assert two(theirs.write(), None) == two(None, theirs.write()) == Header()


def test_what_is_wrong_with_another_tasks_header_is_not_asked() -> None:
    assert (
        Header.read({HEADER: {"id": "id-2", "v": 2, "key": 5}}, id="id-1", retries=0, nesting=0)
        == Header()
    )


@pytest.mark.parametrize("inner", [None, "x", 5, ["celery_lock"], {}])
def test_inner_headers_of_any_other_form_say_nothing(inner: Any) -> None:
    headers = {"headers": inner, HEADER: {"v": 1, "key": "k"}}

    assert Header.read(headers, retries=0, nesting=0).key == "k"


def test_celery_shows_both_places_to_a_task() -> None:
    outer, inner = Header(id="id-1", attempt=2).write(), Header(id="id-1", attempt=1).write()
    both = {"id": "id-1", HEADER: outer, "headers": {"x": 1, HEADER: inner}}

    assert Header.of(Context(both)).attempt == 2
    assert Header.of(Context({"id": "id-1", HEADER: outer, "headers": {"x": 1}})).attempt == 2
    assert Header.of(Context({"id": "id-1", HEADER: outer})).attempt == 2
    assert Header.of(Context({"id": "id-1", "headers": {HEADER: outer}})).attempt == 2  # eager
    assert Header.of(Context({"id": "id-2", HEADER: outer})).attempt == 0


# -- in the main process ---------------------------------------------------------------------


SENDERS = {"v": 1, "key": "order:7"}


@pytest.mark.parametrize(
    "about",
    [
        {"id": "id-1", HEADER: SENDERS},
        {"id": "id-1", "headers": {"x": 1, HEADER: SENDERS}},
        {"id": "id-1", HEADER: SENDERS, "headers": {HEADER: SENDERS}},
        {"id": "id-1", HEADER: {**SENDERS, "publication": "n", "given": True, "retries": 0}},
    ],
)
def test_a_senders_header_names_its_task_before_a_body_can_hand_it_on(about: Any) -> None:
    before = json.loads(json.dumps(about))
    arrived = dict(about)

    name_its_task(arrived)

    assert about == before  # the message is sent again as it came
    header = Header.of(Context(arrived))
    assert (header.key, header.given, header.id) == ("order:7", True, "id-1")
    seen = Context(arrived).headers[HEADER]
    assert Header.read({HEADER: seen}, id="id-2", retries=0, nesting=0) == Header()
    assert Header.read({HEADER: seen}, id="id-1", retries=1, nesting=0).key == "order:7"


@pytest.mark.parametrize(
    "about",
    [
        {"id": "id-1"},
        {"id": "id-1", "headers": None},
        {"id": "id-1", HEADER: "order:7", "headers": {HEADER: 5}},
        {"id": "id-1", HEADER: {**SENDERS, "id": "id-0"}},
        {"id": "id-1", HEADER: {**SENDERS, "publication": "n"}},
    ],
)
def test_any_other_header_is_left_to_its_reader(about: Any) -> None:
    arrived = dict(about)

    name_its_task(arrived)

    assert arrived == about


# -- bad input -------------------------------------------------------------------------------


@pytest.mark.parametrize("value", ["k", b"k", 5, 1.5, True, ["k"], [("key", "k")]])
def test_a_header_that_is_no_dict_is_refused_with_what_to_send(value: Any) -> None:
    with pytest.raises(LockError, match=r'celery_lock is \w+, not a dict; send {"v": 1, "key"'):
        read(value)


@pytest.mark.parametrize("field", ["key", "publication"])
@pytest.mark.parametrize("value", ["", 5, b"k", True, ["k"], {"a": 1}])
def test_a_text_field_of_another_type_is_named(field: str, value: Any) -> None:
    with pytest.raises(LockError, match=rf"field '{field}' .* no str; send it right or leave"):
        read({"v": 1, field: value})


@pytest.mark.parametrize("field", ["attempt", "outages", "retries", "nesting"])
@pytest.mark.parametrize("value", ["", "5", 1.5, True, [5], {}])
def test_a_counting_field_of_another_type_is_named(field: str, value: Any) -> None:
    with pytest.raises(LockError, match=rf"field '{field}' .* no int"):
        read({"v": 1, field: value})


@pytest.mark.parametrize("value", ["", "5", True, [5]])
def test_a_time_of_another_type_is_named(value: Any) -> None:
    with pytest.raises(LockError, match=r"field 'first_conflict' .* no number"):
        read({"v": 1, "first_conflict": value})


@pytest.mark.parametrize(
    ("header", "why"),
    [
        ({"v": 2}, "has the version 2, and this release reads version 1"),
        ({"v": 2, "key": "k"}, "has the version 2"),
        ({"v": "1", "key": "k"}, "has the version '1'"),
        ({"v": True, "key": "k"}, "has the version True"),
        ({"key": "k"}, "has no field 'v', and this release reads version 1"),
        ({}, "has no field 'v'"),
        ({"v": 1, "key": ""}, "the field 'key' .* is empty"),
        ({"v": 1, "Key": "k"}, "has the field 'Key' and no 'key'; did you mean 'key'"),
        ({"v": 1, "kye": "k"}, "did you mean 'key'"),
        ({"v": 1, "key ": "k"}, "did you mean 'key'"),
        ({"v": 1, "lockKey": "k"}, "did you mean 'key'"),
    ],
)
@pytest.mark.parametrize("id", [None, "id-1"])
def test_a_header_that_its_sender_did_not_mean_so_is_refused(
    header: Any, why: str, id: str | None
) -> None:
    with pytest.raises(LockError, match=why):
        Header.read({HEADER: header}, id=id, retries=0, nesting=0)


@pytest.mark.parametrize("names", [("key", "Key"), ("entry", "they")])
def test_a_field_close_to_key_is_kept_where_a_key_stands_or_none_was_meant(
    names: tuple[str, ...],
) -> None:
    assert set(read({"v": 1, **dict.fromkeys(names, "k")}).extra) == {*names} - {"key"}


def test_a_field_close_to_key_is_kept_where_there_are_several_keys() -> None:
    header = read({"v": 1, "keys": ["a", "b"], "kye": "k"})

    assert (header.keys, header.given, header.extra) == (["a", "b"], True, {"kye": "k"})


@pytest.mark.parametrize("value", ["", "a", 5, True, [], {}, {"a": 1}])
def test_several_keys_that_are_no_list_are_refused(value: Any) -> None:
    with pytest.raises(LockError, match=r"field 'keys' .* is no list of str"):
        read({"v": 1, "keys": value})


@pytest.mark.parametrize("value", ["", 5, None, ["a"]])
def test_one_of_several_keys_that_is_no_text_is_refused(value: Any) -> None:
    with pytest.raises(LockError, match=r"field 'keys' .* no str"):
        read({"v": 1, "keys": ["a", value]})


@pytest.mark.parametrize("value", ["k", 5, [], {}, {"names": ["k"]}, {"names": [], "store": "s"}])
def test_a_lease_of_another_form_is_refused(value: Any) -> None:
    with pytest.raises(LockError, match=r"is no lease of a publisher|is no list of str"):
        read({"v": 1, "lease": value})


@pytest.mark.parametrize("value", ["", "Skip", 5, ["skip"], {}])
def test_a_verdict_that_is_not_known_is_refused(value: Any) -> None:
    with pytest.raises(LockError, match=r"field 'verdict' .* is none of 'skip', 'fail'"):
        read({"v": 1, "verdict": value})


def test_a_broken_header_is_refused_also_where_it_is_out_of_date() -> None:
    with pytest.raises(LockError, match="field 'key'"):
        read({"v": 1, "key": 5}, retries=3)
