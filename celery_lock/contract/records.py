"""A small record is written by whoever knows how it stands, and by nobody else."""

from __future__ import annotations

import threading
from dataclasses import replace
from uuid import uuid4

import pytest

from ..model import Change, Changed, Feature, LockStore, Record
from .fixture import StoreFixture

__all__ = ["Records"]

RACERS = 8
ROUNDS = 40
PATIENCE = 30.0
"""Seconds, on this machine's clock, that racers wait for each other."""


class Records(StoreFixture):
    """For stores with `Feature.RECORDS`: the words, and who may write."""

    @pytest.fixture
    def space(self, store: LockStore) -> str:
        """A space that nobody else has ever used."""
        return self.a_space(store)

    # -- the words of the tests --------------------------------------------------------------

    def a_space(self, store: LockStore) -> str:
        """A space that nobody else has ever used."""
        self.need(store, Feature.RECORDS)
        return f"beat:{uuid4().hex}"

    def a_change(self, space: str, stamp: str, *, after: str | None = None) -> Change:
        """The wish that the record `nightly`, which has the stamp `after`, has `stamp`."""
        return Change(space, "nightly", after, stamp, f"value of {stamp}", 30.0)

    def done(self, store: LockStore, change: Change) -> Record:
        """Change, and expect that it is done."""
        answer = store.change(change)
        assert answer.done, f"refused: {answer}"
        assert answer.record is not None
        assert (answer.record.stamp, answer.record.value) == (change.stamp, change.value)
        return answer.record

    def not_done(self, store: LockStore, change: Change) -> Changed:
        """Change, and expect to be refused, and that nothing has changed."""
        before = self.standing(store, change.space, change.name)
        answer = store.change(change)
        assert not answer.done
        assert answer.record == before
        assert self.standing(store, change.space, change.name) == before
        return answer

    def standing(self, store: LockStore, space: str, name: str = "nightly") -> Record | None:
        """How a record stands."""
        [record], _ = store.records(space, [name])
        return record

    # -- compared and set --------------------------------------------------------------------

    def test_a_record_that_is_not_there_is_written(self, store: LockStore, space: str) -> None:
        change = self.a_change(space, "first")

        answer = store.change(change)

        assert answer.done
        assert answer.record is not None
        assert (answer.record.stamp, answer.record.value) == ("first", change.value)
        assert answer.now - 10 < answer.record.written <= answer.now
        assert self.standing(store, space) == answer.record

    def test_only_one_can_be_the_first(self, store: LockStore, space: str) -> None:
        first = self.done(store, self.a_change(space, "first"))

        answer = self.not_done(store, self.a_change(space, "another"))

        assert answer.record == first

    def test_a_record_is_changed_by_who_knows_how_it_stands(
        self, store: LockStore, space: str
    ) -> None:
        first = self.done(store, self.a_change(space, "first"))

        second = self.done(store, self.a_change(space, "second", after="first"))

        assert second.written >= first.written
        assert self.standing(store, space) == second

    def test_who_does_not_know_is_told_how_it_stands(self, store: LockStore, space: str) -> None:
        self.done(store, self.a_change(space, "first"))
        second = self.done(store, self.a_change(space, "second", after="first"))

        answer = self.not_done(store, self.a_change(space, "late", after="first"))

        assert answer.record == second
        assert second.written <= answer.now

    def test_a_record_that_is_not_there_has_no_stamp(self, store: LockStore, space: str) -> None:
        answer = self.not_done(store, self.a_change(space, "second", after="first"))

        assert answer.record is None
        self.not_done(store, self.a_change(space, "second", after=""))

    def test_an_empty_stamp_is_a_stamp(self, store: LockStore, space: str) -> None:
        self.done(store, self.a_change(space, ""))

        self.not_done(store, self.a_change(space, "another"))
        self.done(store, self.a_change(space, "second", after=""))

    # -- asked again -------------------------------------------------------------------------

    def test_a_change_asked_again_is_done_and_writes_nothing(
        self, store: LockStore, space: str
    ) -> None:
        self.done(store, self.a_change(space, "first"))
        change = self.a_change(space, "second", after="first")
        once = self.done(store, change)
        self.elapse(self.short)

        assert self.done(store, change) == once

        assert self.standing(store, space) == once

    def test_a_first_write_asked_again_is_done(self, store: LockStore, space: str) -> None:
        once = self.done(store, self.a_change(space, "first"))

        assert self.done(store, self.a_change(space, "first")) == once

    def test_a_change_asked_again_after_the_next_one_is_refused(
        self, store: LockStore, space: str
    ) -> None:
        self.done(store, self.a_change(space, "first"))
        second = self.done(store, self.a_change(space, "second", after="first"))

        answer = self.not_done(store, self.a_change(space, "first"))

        assert answer.record == second

    def test_the_same_stamp_with_another_value_is_another_change(
        self, store: LockStore, space: str
    ) -> None:
        self.done(store, self.a_change(space, "first"))
        change = self.a_change(space, "second", after="first")
        self.done(store, change)

        self.not_done(store, replace(change, value="another"))

    def test_the_same_value_with_another_stamp_is_another_change(
        self, store: LockStore, space: str
    ) -> None:
        change = self.a_change(space, "first")
        self.done(store, change)

        self.not_done(store, replace(change, stamp="another"))

    # -- a race ------------------------------------------------------------------------------

    def test_of_eight_that_race_for_a_record_one_wins_each_round(
        self, store: LockStore, space: str
    ) -> None:
        answers: list[list[Changed]] = [[] for _ in range(ROUNDS)]
        together = threading.Barrier(RACERS, timeout=PATIENCE)

        def race(number: int) -> None:
            stamp: str | None = None
            for n in range(ROUNDS):
                together.wait()
                answer = store.change(self.a_change(space, f"{n}:{number}", after=stamp))
                answers[n].append(answer)
                stamp = answer.record.stamp if answer.record else None

        racers = [threading.Thread(target=race, args=(n,), daemon=True) for n in range(RACERS)]
        for racer in racers:
            racer.start()
        for racer in racers:
            racer.join(PATIENCE)

        for n, round_ in enumerate(answers):
            assert len(round_) == RACERS
            assert sum(answer.done for answer in round_) == 1, f"round {n}: {round_}"
            assert len({answer.record for answer in round_}) == 1
