"""What a run of several beats is judged by: planted faults are found, allowed ones are not."""

from __future__ import annotations

from typing import Any

import pytest

from tests.beats.entries import Entry
from tests.beats.history import history_of
from tests.beats.report import report
from tests.beats.verdict import OfEntry, Verdict, judge

LOCKED = Entry("e1", 1.0, locked=True)
PLAIN = Entry("e1", 1.0, locked=False)
CRON = Entry("e1", 60.0, locked=False, by_the_clock=True)

A, B, C = 11, 12, 13
"""Process ids of beats."""
BEGAN = 1000.5
"""Half a second after the first due time of an interval: all beats are up."""


class Book:
    """Lines as the processes write them."""

    def __init__(self, seconds: float = 30.0) -> None:
        self.lines: list[dict[str, Any]] = []
        self.seconds = seconds
        self.note("began", BEGAN)

    def note(self, what: str, at: float, **more: Any) -> None:
        self.lines.append({"what": what, "at": at, **more})

    def ran(self, due: float | None, task_id: str = "", sent: float | None = None) -> None:
        when = sent if sent is not None else (due or 0.0) + 0.01
        self.note("ran", when, entry="e1", due=due, task_id=task_id or f"{due}", sent=when)

    def fired(self, *, but: tuple[float, ...] = (), every: float = 1.0) -> None:
        """A run for each due time, but for some."""
        for number in range(round(self.seconds / every)):
            due = 1000.0 + number * every
            if due not in but:
                self.ran(due)

    def took(
        self, pid: int, due: float, at: float, *steps: str, after: float | None = None
    ) -> None:
        """What a beat did at a tick, to which its entry had counted from `after`."""
        self.note("claimed", at, entry="e1", due=due, after=after, pid=pid)
        for number, step in enumerate(steps, 1):
            self.note(step, at + number / 1000, entry="e1", due=due, pid=pid)

    def judge(self, entry: Entry = PLAIN) -> Verdict:
        self.note("ended", 1000.0 + self.seconds)
        return judge(history_of(sorted(self.lines, key=lambda line: line["at"])), (entry,))

    def of(self, entry: Entry = PLAIN) -> OfEntry:
        return self.judge(entry).entries[0]


@pytest.fixture
def book() -> Book:
    return Book()


def test_a_run_for_each_due_time_is_as_promised(book: Book) -> None:
    book.fired()

    verdict = book.judge(LOCKED)

    assert verdict.wrong == ()
    assert verdict.entries[0].fired == verdict.entries[0].due_times == 28
    assert verdict.entries[0].drift == 0.0


@pytest.fixture
def taken_over(book: Book) -> Book:
    """A beat stands still with the machine before it confirms, and another one takes over."""
    book.fired()
    book.took(A, 1005.0, 1005.01, "publishing", "published")
    book.note("stood still", 1005.02, until=1006.8)
    book.took(B, 1005.0, 1006.81, "publishing", "published", "confirmed")
    book.ran(1005.0, task_id="1005.0", sent=1006.82)
    return book


def test_who_stood_still_with_the_machine_may_send_what_was_taken_over(taken_over: Book) -> None:
    assert taken_over.judge(PLAIN).wrong == ()


def test_a_locked_task_runs_once_though_the_machine_stood_still(taken_over: Book) -> None:
    assert taken_over.judge(LOCKED).wrong == ("e1: a locked task ran twice for 1005.000",)


def test_what_was_due_in_a_standstill_may_be_left_to_the_next(book: Book) -> None:
    book.fired(but=(1005.0,))
    book.note("stood still", 1004.9, until=1006.1)

    verdict = book.judge(PLAIN)

    assert verdict.wrong == ()
    assert verdict.entries[0].collapsed == (1005.0,)


def test_due_times_that_had_no_time_to_come_are_not_counted() -> None:
    book = Book(seconds=30)
    book.fired(but=(1029.0,))

    assert book.judge().wrong == ()


def test_an_entry_that_never_fires_is_wrong(book: Book) -> None:
    assert "e1: 28 due times missed" in " ".join(book.judge().wrong)


# -- duplicates ---------------------------------------------------------------------------------


def test_a_locked_task_that_ran_twice_is_wrong_whatever_died(book: Book) -> None:
    book.fired()
    book.took(A, 1010.0, 1010.0, "publishing", "published")
    book.note("injected", 1010.003, pid=A, point="published")
    book.ran(1010.0, "1010.0", 1011.0)

    assert book.judge(LOCKED).wrong == ("e1: a locked task ran twice for 1010.000",)


@pytest.mark.parametrize("end", ["injected", "killed"])
def test_a_copy_after_a_death_between_publish_and_confirm_is_allowed(book: Book, end: str) -> None:
    book.fired()
    book.took(A, 1010.0, 1010.0, "publishing", "published")
    book.note(end, 1010.003, pid=A)
    book.ran(1010.0, "1010.0", 1011.0)

    verdict = book.judge()

    assert verdict.wrong == ()
    (duplicate,) = verdict.entries[0].duplicates
    assert duplicate.same_id
    assert duplicate.why == end


def test_a_second_copy_needs_a_second_death(book: Book) -> None:
    book.fired()
    book.took(A, 1010.0, 1010.0, "publishing", "published")
    book.note("killed", 1010.003, pid=A)
    book.ran(1010.0, "1010.0", 1011.0)
    book.ran(1010.0, "1010.0", 1012.0)

    assert "no beat was lost there" in " ".join(book.judge().wrong)


@pytest.mark.parametrize(
    ("steps", "died"),
    [
        (("publishing", "published", "confirmed"), 1010.5),
        ((), 1010.001),
        (("publishing", "published"), 1015.0),
    ],
    ids=["after the confirm", "before the publishing", "later than the claim"],
)
def test_a_copy_is_wrong_where_no_death_was_in_between(
    book: Book, steps: tuple[str, ...], died: float
) -> None:
    book.fired()
    book.took(A, 1010.0, 1010.0, *steps)
    book.note("killed", died, pid=A)
    book.ran(1010.0, "1010.0", 1011.0)

    assert "no beat was lost there" in " ".join(book.judge().wrong)


def test_another_beats_death_allows_nothing(book: Book) -> None:
    book.fired()
    book.took(A, 1010.0, 1010.0, "publishing", "published")
    book.note("killed", 1010.003, pid=B)
    book.ran(1010.0, "1010.0", 1011.0)

    assert "no beat was lost there" in " ".join(book.judge().wrong)


def test_a_copy_with_another_id_is_wrong_whatever_died(book: Book) -> None:
    book.fired()
    book.took(A, 1010.0, 1010.0, "publishing", "published")
    book.note("killed", 1010.003, pid=A)
    book.ran(1010.0, "another", 1011.0)

    assert book.judge().wrong == ("e1: 2 ids for 1010.000",)


def test_two_beats_out_of_phase_fire_one_due_time_twice(book: Book) -> None:
    """Their messages name different moments, and it is one due time all the same."""
    book.fired()
    book.ran(1010.4, "another")

    assert len(book.of().duplicates) == 1


def test_the_due_time_of_a_message_that_does_not_say_so_is_when_it_was_sent(book: Book) -> None:
    for second in range(30):
        book.ran(None, f"a{second}", 1000.0 + second)
        book.ran(None, f"b{second}", 1000.1 + second)

    found = book.of()

    assert found.fired == found.due_times
    assert len(found.duplicates) == 30


# -- due times that were not fired --------------------------------------------------------------


def test_a_gap_is_missed(book: Book) -> None:
    book.fired(but=(1010.0, 1011.0))

    verdict = book.judge()

    assert verdict.entries[0].missed == (1010.0, 1011.0)
    assert verdict.wrong == ("e1: 2 due times missed: 1010.000, 1011.000",)


def test_a_minute_is_missed_by_the_clock() -> None:
    book = Book(seconds=200)
    book.ran(1020.0)
    book.ran(1140.0)

    assert book.of(CRON).missed == (1080.0,)


def test_due_times_of_an_outage_collapse() -> None:
    book = Book()
    book.note("outage", 1010.2)
    book.note("outage over", 1013.2)
    book.fired(but=(1011.0, 1012.0, 1013.0))

    found = book.of()

    assert (found.missed, found.collapsed) == ((), (1011.0, 1012.0, 1013.0))


def test_an_outage_excuses_for_one_claims_life_and_no_longer() -> None:
    book = Book()
    book.note("outage", 1010.2)
    book.note("outage over", 1013.2)
    book.fired(but=(1014.0, 1015.0))

    found = book.of()

    assert (found.missed, found.collapsed) == ((1015.0,), (1014.0,))


def test_a_tick_whose_takers_were_lost_twice_merges_with_the_next(book: Book) -> None:
    book.took(A, 1010.0, 1010.0)
    book.note("killed", 1010.5, pid=A)
    book.took(B, 1010.0, 1011.0, "publishing", "failed")
    book.took(C, 1010.0, 1012.0, "publishing", "published", "confirmed")
    book.fired(but=(1011.0,))

    found = book.of()

    assert (found.missed, found.merged) == ((), (1011.0,))


def test_a_tick_is_open_until_it_is_confirmed_and_not_until_it_is_published(book: Book) -> None:
    book.took(A, 1010.0, 1010.0, "publishing", "published")
    book.note("injected", 1010.01, pid=A)
    book.took(B, 1010.0, 1010.9)
    book.note("killed", 1010.95, pid=B)
    book.took(C, 1010.0, 1012.0, "publishing", "published", "confirmed")
    book.fired(but=(1011.0,))

    found = book.of()

    assert (found.missed, found.merged) == ((), (1011.0,))


def test_a_tick_whose_taker_was_lost_once_merges_with_nothing(book: Book) -> None:
    book.took(A, 1010.0, 1010.0)
    book.note("killed", 1010.5, pid=A)
    book.took(C, 1010.0, 1011.0, "publishing", "published", "confirmed")
    book.fired(but=(1011.0,))

    assert book.of().missed == (1011.0,)


# -- times --------------------------------------------------------------------------------------


def test_due_times_that_leave_their_grid_are_wrong(book: Book) -> None:
    for second in range(30):
        book.ran(1000.0 + second * 1.003)

    verdict = book.judge()

    assert verdict.entries[0].drift == pytest.approx(29 * 0.003)
    assert "spread over 0.087 s" in " ".join(verdict.wrong)


def after_a_tick_that_was_late(base: float, *, sent: float, by: float) -> Book:
    """Ticks from 1000.0 on; that for 1005.0 was sent late, and the entry counts on from `base`.

    `sent`: when the message was sent that ran. `by`: when the beat published that has confirmed it.
    """
    book = Book(seconds=20)
    for second in range(5):
        book.ran(1000.0 + second)
    book.ran(1005.0, sent=sent)
    book.took(A, 1005.0, by - 0.01, "publishing", "published", "confirmed", after=1004.0)
    for second in range(1, 13):
        book.ran(base + second)
        book.took(A, base + second, base + second, "confirmed", after=base + second - 1)
    return book


@pytest.mark.parametrize("late", [0.4, 1.03, 2.04])
def test_an_interval_begins_a_grid_with_a_run_that_was_late(late: float) -> None:
    at = 1005.0 + late

    found = after_a_tick_that_was_late(at, sent=at, by=at).of()

    assert (found.missed, found.drift) == ((), pytest.approx(0.0))


def test_a_grid_begins_with_the_tick_that_was_confirmed_whichever_has_run() -> None:
    """A beat that died has sent it in time, and another one has taken it over late."""
    found = after_a_tick_that_was_late(1006.4, sent=1005.01, by=1006.4).of()

    assert (found.missed, found.drift) == ((), pytest.approx(0.0))


@pytest.mark.parametrize("base", [1005.2, 1005.6])
def test_no_grid_begins_in_time_or_after_the_late_tick_was_sent(base: float) -> None:
    book = after_a_tick_that_was_late(base, sent=1005.4, by=1005.4)

    assert "spread over" in " ".join(book.judge().wrong)


def test_how_late_due_times_were_is_reported() -> None:
    book = Book(seconds=10)
    for second in range(10):
        book.ran(1000.0 + second, sent=1000.0 + second + 0.2)

    assert book.of().lateness == pytest.approx((0.2,) * 10)


def test_a_take_over_is_timed_from_the_loss(book: Book) -> None:
    book.fired()
    book.took(A, 1010.0, 1010.0)
    book.note("killed", 1010.1, pid=A)
    book.took(B, 1010.0, 1011.0, "publishing", "published", "confirmed")

    verdict = book.judge()

    (take,) = verdict.take_overs
    assert take.seconds == pytest.approx(0.902)
    assert verdict.wrong == ()


def test_a_copy_that_nobody_needs_any_more_is_no_take_over(book: Book) -> None:
    """Somebody took over a tick that was published and not confirmed, and died before it did."""
    book.fired()
    book.took(A, 1010.0, 1010.0, "publishing", "published")
    book.note("killed", 1010.003, pid=A)
    book.took(B, 1010.0, 1011.0)
    book.note("killed", 1011.1, pid=B)

    assert book.judge().take_overs == ()


def test_who_took_over_may_be_lost_as_well(book: Book) -> None:
    book.fired()
    book.took(A, 1010.0, 1010.0)
    book.note("killed", 1010.1, pid=A)
    book.took(B, 1010.0, 1011.0)
    book.note("killed", 1011.1, pid=B)
    book.took(C, 1010.0, 1012.5, "publishing", "published", "confirmed")

    verdict = book.judge()

    assert [take.seconds for take in verdict.take_overs] == pytest.approx([2.402, 1.402])
    assert verdict.wrong == ()


def test_a_take_over_that_takes_too_long_is_wrong(book: Book) -> None:
    book.fired()
    book.took(A, 1010.0, 1010.0)
    book.note("killed", 1010.1, pid=A)
    book.took(B, 1010.0, 1013.0, "publishing", "published", "confirmed")

    assert "taken over 2.9 s after" in " ".join(book.judge().wrong)


# -- beats --------------------------------------------------------------------------------------


def test_a_beat_that_ends_by_itself_is_wrong(book: Book) -> None:
    book.fired()
    book.note("ended by itself", 1010.0, pid=A, beat="beat1", status=1, log="boom")

    assert book.judge().wrong == ("beat1 ended by itself: boom",)


def test_what_befell_the_beats_is_counted(book: Book) -> None:
    book.fired()
    book.note("killed", 1010.0, pid=A)
    book.note("injected", 1012.0, pid=B, point="claimed")
    book.note("paused", 1014.0, pid=C)
    book.note("resumed", 1025.0, pid=C)

    verdict = book.judge()

    assert (verdict.kills, verdict.injected, verdict.pauses) == (1, 1, 1)


def test_the_report_names_what_is_wrong(book: Book) -> None:
    book.fired(but=(1010.0,))

    said = "\n".join(report(book.judge()))

    assert "WRONG e1: 1 due times missed: 1010.000" in said
    assert said.endswith("1 wrong")
