"""A record is not written before its time, and lives for as long as its last change said."""

from __future__ import annotations

from dataclasses import replace

from ..model import LockStore
from .records import Records

__all__ = ["RecordLives"]


class RecordLives(Records):
    """When records begin and end."""

    def test_nothing_is_written_before_its_time(self, store: LockStore, space: str) -> None:
        _, now = store.records(space, [])
        early = replace(self.a_change(space, "first"), not_before=now + 3600)

        answer = self.not_done(store, early)

        assert answer.record is None
        assert now <= answer.now < now + 3600
        assert store.names(space) == []

    def test_nothing_is_changed_before_its_time(self, store: LockStore, space: str) -> None:
        first = self.done(store, self.a_change(space, "first"))
        early = self.a_change(space, "second", after="first")

        answer = self.not_done(store, replace(early, not_before=first.written + 3600))

        assert answer.record == first
        assert self.standing(store, space) == first

    def test_a_change_is_done_when_its_time_has_come(self, store: LockStore, space: str) -> None:
        first = self.done(store, self.a_change(space, "first"))
        change = self.a_change(space, "second", after="first")
        soon = replace(change, not_before=first.written + self.short)

        early = store.change(soon)
        assert early.done == (early.now >= soon.not_before)  # this machine may have paused
        self.outlast(self.short)

        assert self.done(store, soon).written >= soon.not_before

    def test_a_change_that_was_done_is_done_again_before_its_time(
        self, store: LockStore, space: str
    ) -> None:
        change = self.a_change(space, "first")
        once = self.done(store, change)

        assert self.done(store, replace(change, not_before=once.written + 3600)) == once

    def test_a_record_ends_when_nobody_changes_it(self, store: LockStore, space: str) -> None:
        self.done(store, replace(self.a_change(space, "first"), ttl=self.short))

        self.outlast(self.short)

        assert self.standing(store, space) is None
        answer = self.not_done(store, self.a_change(space, "second", after="first"))
        assert answer.record is None
        self.done(store, self.a_change(space, "anew"))

    def test_a_change_says_anew_how_long_the_record_lives(
        self, store: LockStore, space: str
    ) -> None:
        ttl = self.short
        second = replace(self.a_change(space, "second", after="first"), ttl=60)
        self.done(store, replace(self.a_change(space, "first"), ttl=ttl))
        while not store.change(second).done:  # this machine has paused for as long
            ttl *= 2
            self.done(store, replace(self.a_change(space, "first"), ttl=ttl))
        self.outlast(ttl)
        assert self.standing(store, space) is not None

        change = self.a_change(space, "third", after="second")
        self.done(store, replace(change, ttl=self.short))
        self.outlast(self.short)

        assert self.standing(store, space) is None
        assert store.names(space) == []

    def test_asking_again_prolongs_the_record(self, store: LockStore, space: str) -> None:
        change = self.a_change(space, "first")
        self.done(store, replace(change, ttl=self.short))

        self.done(store, change)
        self.outlast(self.short)

        assert self.standing(store, space) is not None
        assert store.names(space) == ["nightly"]

    def test_asking_again_for_less_does_not_shorten_the_record(
        self, store: LockStore, space: str
    ) -> None:
        change = self.a_change(space, "first")
        self.done(store, change)

        self.done(store, replace(change, ttl=self.short))
        self.outlast(self.short)

        assert self.standing(store, space) is not None
        assert store.names(space) == ["nightly"]

    def test_a_record_that_lives_for_no_time_is_gone(self, store: LockStore, space: str) -> None:
        self.done(store, self.a_change(space, "first"))

        self.done(store, replace(self.a_change(space, "second", after="first"), ttl=0.0))

        assert self.standing(store, space) is None
        assert store.names(space) == []
