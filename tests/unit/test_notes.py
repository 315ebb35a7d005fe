"""What a pool process notes of its claims, and what is read of it after its death."""

from __future__ import annotations

import mmap
import os
from collections.abc import Callable, Iterator

import pytest
from billiard.process import current_process

from celery_lock import LockError
from celery_lock.app import notes
from celery_lock.app.notes import Noted
from celery_lock.model import Holder

from .forking import holds_in_a_child


@pytest.fixture(autouse=True)
def _a_map() -> Iterator[None]:
    notes.begin(mmap.mmap(-1, notes.size_for(2)))
    yield
    notes._notes = None
    notes._own.drop()


def noting(index: int | None, *claims: str) -> int:
    """Let a pool process note claims of these keys, and die; its pid."""
    return dying(index, lambda: [claim(key) for key in claims] and None)


def dying(index: int | None, does: Callable[[], None]) -> int:
    child = os.fork()
    if child == 0:  # pragma: no cover - runs in the child
        try:
            if index is not None:
                current_process().index = index
            notes.sign_in()
            does()
        finally:
            os._exit(0)
    os.waitpid(child, 0)
    return child


def claim(key: str, task: str = "t") -> None:
    notes.note(task, f"holder of {key}.", [key], f"publication of {key}")


def noted(key: str) -> Noted:
    return Noted("t", f"holder of {key}.", [key], f"publication of {key}")


@pytest.mark.parametrize("key", ["k:7", "user:\N{SNOWMAN}", "a\nb\0c", "k" * 1024, "\ud800"])
def test_the_main_process_reads_what_its_pool_process_noted(key: str) -> None:
    assert notes.claims_of(noting(0, key)) == [noted(key)]


def test_each_pool_process_has_its_own_place() -> None:
    first, second = noting(0, "one"), noting(1, "two")

    assert notes.claims_of(first) == [noted("one")]
    assert notes.claims_of(second) == [noted("two")]


def test_the_next_process_leaves_the_note_of_the_one_before() -> None:
    """The main process may hear of a death only after that."""
    first = noting(0, "one")
    second = noting(0, "two")

    assert notes.claims_of(first) == [noted("one")]
    assert notes.claims_of(second) == [noted("two")]

    noting(0, "three")
    assert has_no_place(first)


def test_the_next_task_of_a_process_takes_the_place_of_the_one_before() -> None:
    def two() -> None:
        claim("one")
        notes.given_back("holder of one.")
        claim("two")

    assert notes.claims_of(dying(0, two)) == [noted("two")]


def test_a_claim_within_another_is_noted_beside_it_for_as_long_as_it_lasts() -> None:
    def inside() -> None:
        claim("outer")
        claim("inner")

    def after() -> None:
        inside()
        notes.given_back("holder of inner.")

    assert notes.claims_of(dying(0, inside)) == [noted("outer"), noted("inner")]
    assert notes.claims_of(dying(1, after)) == [noted("outer")]


def has_no_place(pid: int) -> bool:
    with pytest.raises(LockError, match="no place where this process reads"):
        notes.claims_of(pid)
    return True


def test_a_process_that_noted_nothing_has_nothing() -> None:
    assert notes.claims_of(noting(0)) == []


def test_the_next_process_of_a_place_has_not_what_the_one_before_noted() -> None:
    noting(0, "one")

    assert notes.claims_of(noting(0)) == []


def test_a_process_that_has_not_signed_in_has_no_place() -> None:
    """It was spawned, and has not found the map."""
    assert has_no_place(4711)


def test_a_key_that_is_too_long_is_told_as_such() -> None:
    """And so is what belongs to a task whose id or name fills the place."""
    holder = f"{'id' * 25_000}#w1@host#1#Ab3_-91f."
    first = dying(0, lambda: notes.note("t", holder, ["k"], ""))
    second = dying(1, lambda: notes.note("t", "id-1#w1@host#2#Ab3_-91f.", ["k" * 25_000], ""))

    for pid in (first, second):
        (one,) = notes.claims_of(pid)
        assert (Holder.parse(one.holder).nonce, one.keys) == ("Ab3_-91f.", None)


def test_all_keys_of_a_task_have_room_in_a_note() -> None:
    """Sixteen of the longest, in whatever letters."""
    keys = [f"{number:x}" + "\N{SNOWMAN}" * 341 for number in range(16)]
    child = dying(0, lambda: notes.note("t", "h.", keys, "p"))

    assert notes.claims_of(child) == [Noted("t", "h.", keys, "p")]


def test_a_process_beyond_the_map_says_that_it_is() -> None:
    assert has_no_place(noting(64, "one"))


def test_a_note_that_its_process_did_not_bring_to_its_end_is_none() -> None:
    pid = noting(0, "one")
    assert notes._notes is not None
    notes._notes.write(0, notes._notes.raw(0)[:12] + b"x")

    with pytest.raises(LockError, match="died as it noted"):
        notes.claims_of(pid)


def test_a_process_that_a_body_has_forked_notes_nothing_in_its_parents_place() -> None:
    def forks() -> None:
        claim("one")
        assert holds_in_a_child(lambda: claim("two") is None)
        claim("three")

    assert notes.claims_of(dying(0, forks)) == [noted("one"), noted("three")]


def test_a_process_that_is_in_no_pool_notes_nothing() -> None:
    claim("one")

    assert has_no_place(os.getpid())
    assert has_no_place(noting(None, "two"))


def test_without_a_map_nothing_is_noted_and_that_is_known() -> None:
    notes.begin(None)

    assert has_no_place(noting(0, "one"))


def test_an_autoscaled_pool_has_a_place_for_each_process() -> None:
    notes.begin(mmap.mmap(-1, notes.size_for(500)))

    assert notes.claims_of(noting(999, "one")) == [noted("one")]
