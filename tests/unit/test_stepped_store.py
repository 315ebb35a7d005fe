"""What a stepped store asks of the place below it: names that any place keeps, and its time."""

from __future__ import annotations

from collections.abc import Callable, Mapping, Sequence
from typing import Any, TypeVar

import pytest

from celery_lock.errors import StoreUnavailable
from celery_lock.model import Change, Claim, Completion, End, Lease
from celery_lock.stores.entry_names import EntryNames
from celery_lock.stores.key_state import Interval
from celery_lock.stores.manual_clock import ManualClock
from celery_lock.stores.memory import MemoryServer, MemoryStore
from celery_lock.stores.steps import FEATURES, Entry, Move, SteppedStore

pytestmark = pytest.mark.unit

T = TypeVar("T")
HOLDER = "task-1#node@host#4711#1"
ODD = ["", "order:7", "line\nbreak", "nul\0", "k\u00e4se", "half a pair \ud83d", "x" * 8192]


class Place(SteppedStore):
    """A place that remembers what it was asked."""

    def __init__(self) -> None:
        super().__init__("place://user:secret@host/7?login=secret", deadline=2.0, prefix="test:")
        self.server = MemoryServer(ManualClock(1000.0))
        self.named: list[str] = []
        self.written: list[str] = []
        self.within: list[float] = []

    def step(self, names: Sequence[str], move: Move[T], within: float) -> T:
        def watched(texts: Sequence[str | None], clock: Interval) -> tuple[T, Mapping[str, Entry]]:
            answer, writes = move(texts, clock)
            assert set(writes) <= set(names)
            assert all(entry.text.isascii() for entry in writes.values())
            self.written += writes
            return answer, writes

        assert len(set(names)) == len(names)
        self.named += names
        self.within.append(within)
        return self.server.step(names, watched)


@pytest.fixture
def place() -> Place:
    return Place()


def granted(place: Place, key: str = "order:7", **options: Any) -> Lease:
    lease = place.acquire(Claim(key, HOLDER, 30.0, publication="message", **options))
    assert isinstance(lease, Lease)
    return lease


@pytest.mark.parametrize("key", ODD)
def test_a_place_is_asked_for_short_lines_of_ascii_and_writes_only_what_it_was_asked_for(
    place: Place, key: str
) -> None:
    lease = granted(place, key, copy_since="")
    place.renew([(lease, 30.0), (lease, 60.0)])
    place.acquire(Claim(key, f"{HOLDER}1", 30.0, publication="message", copy_since=""))
    place.release(lease, End(publication="message", remember=30.0))
    place.complete([Completion(key, "message", 30.0)] * 2)
    place.undo(Claim(key, HOLDER, 30.0))
    place.free(key, HOLDER)
    place.change(Change(key, key, None, "first", key, 30.0))
    place.records(key, [key, key])
    place.names(key)

    assert all(name.isascii() and "\n" not in name for name in place.named)
    assert all(0 < len(name) <= 1000 for name in place.named)
    assert set(place.written) <= set(place.named)


def test_names_that_differ_stay_different() -> None:
    names = EntryNames("test:")
    keys = [*ODD, "nul\\u0000", "x" * 8193, "digest", "7:order"]

    written = [name for key in keys for name in (names.state(key), names.tombstone(key, "1"))]
    written += [names.record(key, "") for key in keys] + [names.record("", key) for key in keys[1:]]
    written += [name for key in keys for name in names.indexes(key)]

    assert len(set(written)) == len(written)
    assert names.index("order", "entry") in names.indexes("order")


def test_stores_with_different_prefixes_do_not_meet() -> None:
    server = MemoryServer()

    for prefix in ("one:", "other:"):
        claim = Claim("k" * 2000, f"task-{prefix}#node@host#4711#1", 30.0)
        assert isinstance(MemoryStore(server, prefix=prefix).acquire(claim), Lease)


CALLS: list[Callable[[Place, Lease], Any]] = [
    lambda place, lease: place.release(lease),
    lambda place, lease: place.free("order:7", HOLDER),
    lambda place, lease: place.undo(Claim("order:7", HOLDER, 30.0)),
    lambda place, lease: place.peek("order:7"),
    lambda place, lease: place.change(Change("s", "n", None, "first", "", 30.0)),
    lambda place, lease: place.records("s", ["n"]),
    lambda place, lease: place.names("s"),
    lambda place, lease: place.renew([(lease, 30.0)]),
    lambda place, lease: place.renew([(lease, 30.0)], within=5.0),
]


@pytest.mark.parametrize("call", CALLS)
def test_a_step_has_the_time_of_the_deadline(place: Place, call: Callable[..., Any]) -> None:
    call(place, granted(place))

    assert place.within == [2.0, 2.0]


def test_a_renewal_has_the_time_that_is_left(place: Place) -> None:
    lease = granted(place)

    place.renew([(lease, 30.0)], within=0.3)
    with pytest.raises(StoreUnavailable, match="no time left"):
        place.renew([(lease, 30.0)], within=0.0)

    assert place.within == [2.0, 0.3]


def test_a_stepped_store_shows_no_login_and_promises_all_but_a_watch(place: Place) -> None:
    assert place.url == "place://host/7"
    assert "secret" not in repr(place)
    assert place.features == FEATURES
    with pytest.raises(NotImplementedError):
        place.watch("order:7", 1.0)
