"""The verdict on a play of a store's fault: overlaps, tasks lost, time without a grant."""

from __future__ import annotations

from typing import Any

from tests.stores.rows import Promise
from tests.stores.verdict import Moments, Play, judge

MOMENTS = Moments(begun=0.0, struck=2.0, healed=4.0, over=8.0)
AS_USUAL = Promise()
NEVER_MIND = Promise(overlap=None, back_within=0.4)
"""Whoever is inside at once: it is about the next grant."""
REGULAR = [(float(second), second + 0.5) for second in range(8)]
"""One body a second."""


def lines(*bodies: tuple[float, float], **more: Any) -> list[dict[str, Any]]:
    """What bodies of one key record that begin and end at these times."""
    found: list[dict[str, Any]] = []
    for number, (start, end) in enumerate(bodies):
        known = {"run": f"r{number}", "key": "k", "pid": 1, "task_id": f"t{number}"}
        known |= {"publication": f"p{number}", "retry_no": 0}
        found.append({"what": "start", "at": start, "token": number, **known, **more})
        found.append({"what": "end", "at": end, "how": "done", "lost": False, **known})
    return found


def judged(book: list[dict[str, Any]], promise: Promise = AS_USUAL, **more: Any) -> Play:
    sent = {line["task_id"] for line in book if line["what"] == "start"}
    return judge(book, sent, MOMENTS, promise, **more)


def test_bodies_one_after_the_other_are_as_promised() -> None:
    play = judged(lines(*REGULAR))

    assert (play.wrong, play.overlaps, play.quiet, play.back) == ((), 0, 1.0, 0.0)


def test_two_at_once_are_an_overlap_with_its_length() -> None:
    play = judged(lines(*REGULAR[:-1], (6.25, 8.0)))

    assert (play.overlaps, play.worst) == (1, 0.25)
    assert play.wrong == ("1 overlaps of at most 0.25 s",)


def test_an_overlap_may_be_as_long_as_is_promised() -> None:
    book = lines(*REGULAR[:-1], (6.25, 8.0))

    assert judged(book, Promise(overlap=0.3)).wrong == ()
    assert judged(book, Promise(overlap=None)).wrong == ()


def test_a_body_that_never_ended_is_inside_for_ever() -> None:
    book = [line for line in lines(*REGULAR) if (line["what"], line["at"]) != ("end", 3.5)]

    play = judged(book)

    assert play.overlaps == 4
    assert play.lost == 1


def test_a_load_without_a_lock_that_never_overlaps_shows_nothing() -> None:
    play = judged(lines(*REGULAR), locked=False)

    assert play.wrong == ("without a lock nothing overlapped: the load shows nothing",)


def test_tokens_have_to_grow_where_there_are_any() -> None:
    book = lines(*REGULAR, token=7)

    assert judged(book).wrong == ("7 tokens did not grow",)
    assert judged(book, Promise(tokens=False)).wrong == ()


def test_the_longest_time_without_a_grant_ends_with_the_load() -> None:
    play = judged(lines((0.0, 0.5), (1.0, 1.5), (5.0, 5.5)))

    assert (play.quiet, play.back) == (4.0, 1.0)


def test_a_grant_has_to_come_soon_after_the_fault() -> None:
    late = judged(lines((0.0, 0.5), (6.0, 6.5)), Promise(back_within=0.4))
    never = judged(lines((0.0, 0.5), (1.0, 1.5)))

    assert late.wrong == ("the next grant came 2.0 s after it",)
    assert never.wrong == ("there was no grant after it",)


def test_a_grant_is_not_late_for_which_the_load_had_no_process() -> None:
    inside = [(1.0 + number / 10, 7.0) for number in range(6)]
    few = judged(lines(*inside[1:], (7.5, 8.0)), NEVER_MIND)
    many = judged(lines(*inside, (7.5, 8.0)), NEVER_MIND)

    assert few.wrong == ("the next grant came 3.5 s after it",)
    assert many.wrong == ()
    assert (few.back, many.back) == (3.5, 3.5)


def test_a_load_that_never_had_a_process_for_a_grant_shows_nothing() -> None:
    play = judged(lines(*[(1.0 + number / 10, 7.0) for number in range(6)]), NEVER_MIND)

    assert play.wrong == ("it shows nothing: the load had no process for a grant after it",)


def test_each_task_has_to_come_to_its_end() -> None:
    play = judge(lines(*REGULAR), {"t0", "another"}, MOMENTS, Promise())

    assert (play.lost, play.wrong) == (1, ("1 tasks did not come to their end",))


def test_errors_of_the_store_are_counted_and_those_of_tasks_are_wrong() -> None:
    book = lines(*REGULAR)
    book += [{"what": "failed", "at": 3.0, "call": call} for call in ("renew", "renew", "acquire")]
    book += [{"what": "error", "at": 3.0, "task_id": "t1", "error": "StoreError()"}]

    play = judged(book)

    assert play.errors == {"renew": 2, "acquire": 1}
    assert play.wrong == ("1 tasks failed, such as StoreError()",)


def test_a_fault_that_comes_before_the_load_shows_nothing() -> None:
    play = judged(lines(*REGULAR[3:]))

    assert play.wrong == ("it shows nothing: nothing ran before the fault",)
    assert play.is_void


def test_a_play_in_which_more_happened_than_its_row_says_shows_nothing() -> None:
    late = judged(lines((0.0, 0.5)), by_itself="the sentinels replaced a primary that was well")

    assert late.wrong[0] == "it shows nothing: the sentinels replaced a primary that was well"
    assert late.is_void
    assert not judge(lines((0.0, 0.5)), {"t0", "t1"}, MOMENTS, AS_USUAL, by_itself="more").is_void
    assert not judged(lines((0.0, 0.5))).is_void
