"""Whatever befalls several beats, each tick is published, and twice only for a reason."""

from __future__ import annotations

import random
from collections import Counter
from collections.abc import Callable
from itertools import pairwise

import pytest

from tests.unit.beat_world import Beat, Sent, World

pytestmark = pytest.mark.property

PERIODS = {"e1": 1.0, "e2": 2.0, "e7": 7.0, "e30": 30.0}
LENGTH = 90.0


class Fire:
    """What befalls several beats, by a seed; and what excuses a tick that came twice or never."""

    def __init__(self, seed: int, *, outages: bool) -> None:
        self.random = random.Random(seed)
        self.outages = outages
        self.world = World({n: {"task": f"t:{n}", "schedule": s} for n, s in PERIODS.items()})
        self.beats = 0
        self.excused: list[tuple[float, float]] = []
        """Spans in which a tick may merge with the next one."""
        self.copied: set[tuple[str, float]] = set()
        """Ticks that may have a copy: their beat died or stood still after publishing."""
        self.taken: Counter[tuple[str, float]] = Counter()
        """By how many beats each tick was taken that then died, or stood still, or failed."""
        self.flushes: list[float] = []
        self.log: list[str] = []

    def play(self) -> None:
        for _ in range(3):
            self.start()
        while self.world.now < LENGTH:
            self.world.run(self.random.uniform(0.05, 2.5))
            self.random.choice(self.faults())()
            while len(self.alive()) < 2:
                self.start()
        self.world.next.clear()
        self.world.refuse = lambda beat: False
        self.world.heal()
        self.world.run(61)

    def faults(self) -> list[Callable[[], None]]:
        faults = [
            self.start,
            self.kill,
            self.stand_still,
            self.nothing,
            *(self.at(point, how) for point in ("claimed", "published") for how in ("die", "stop")),
            self.refuse,
        ]
        if self.outages:
            faults += [self.cut_off, self.lose_answers, self.flush]
        return faults

    # -- faults ------------------------------------------------------------------------------

    def start(self) -> None:
        if len(self.alive()) < 5:
            self.beats += 1
            self.world.beat(f"b{self.beats}", wall=self.random.choice((0, 0, 3, -3, 100)))

    def kill(self) -> None:
        if len(self.alive()) > 2:
            self.world.kill(self.random.choice(self.alive()))

    def nothing(self) -> None:
        self.world.next.clear()

    def stand_still(self) -> None:
        if len(self.alive()) > 2:
            self.world.pause(self.random.choice(self.alive()), self.random.uniform(0.1, 15))

    def at(self, point: str, how: str) -> Callable[[], None]:
        def happens(beat: Beat) -> None:
            self.log.append(f"{self.world.now:.3f} {beat.name} {how} at {point}")
            if point == "published":
                last = self.world.sent[-1]
                self.copied.add((last.entry, last.due))
            if len(self.alive()) < 3:
                return
            self.taken[self.world.claimed] += 1
            if how == "die":
                self.world.die(beat)
            self.world.pause(beat, self.random.uniform(0.1, 15))

        def arm() -> None:
            self.world.next[point] = happens

        return arm

    def refuse(self) -> None:
        """Let the broker refuse one message."""
        left = [1]

        def refuses(beat: str) -> bool:
            left[0] -= 1
            self.taken[self.world.claimed] += left[0] >= 0
            return left[0] >= 0

        self.world.refuse = refuses

    def cut_off(self) -> None:
        seconds = self.random.uniform(0.3, 9)
        self.log.append(f"{self.world.now:.3f} the store is down for {seconds:.1f}")
        self.excuse(seconds + 13)
        self.world.cut()
        self.world.run(seconds)
        self.world.heal()

    def lose_answers(self) -> None:
        beat = self.random.choice(self.alive())
        self.log.append(f"{self.world.now:.3f} {beat.name} loses an answer")
        self.excuse(13)
        beat.store.lose_answer(times=self.random.choice((1, 2)))

    def flush(self) -> None:
        self.log.append(f"{self.world.now:.3f} flush")
        self.excuse(13)
        self.flushes.append(self.world.now)
        self.world.flush()

    def excuse(self, seconds: float) -> None:
        self.excused.append((self.world.now - 1.5, self.world.now + seconds))

    def alive(self) -> list[Beat]:
        return [beat for beat in self.world.beats if beat.alive and not beat.paused]

    # -- what came of it ---------------------------------------------------------------------

    def judge(self) -> list[str]:
        wrong = [f"{beat.name} died of {beat.died!r}" for beat in self.world.beats if beat.died]
        for entry, seconds in PERIODS.items():
            wrong += self._judge(entry, seconds)
        return wrong

    def _judge(self, entry: str, seconds: float) -> list[str]:
        sent = [s for s in self.world.sent if s.entry == entry]
        wrong = []
        for due, times in Counter(s.due for s in sent).items():
            ids = {s.task_id for s in sent if s.due == due}
            if len(ids) > 1:
                wrong.append(f"{entry} {due}: {len(ids)} ids")
            if times > 1 and not self._may_have_copies(entry, due, sent):
                wrong.append(f"{entry} {due}: {times} times, for no reason")
        dues = sorted({s.due for s in sent})
        for one, two in pairwise(dues):
            late = [
                s.at for s in sent if s.due == one and s.at - one > min(1.0, max(0.3, seconds / 10))
            ]
            ticks = min(
                ((two - base) / seconds for base in (one, *late)), key=lambda n: abs(n - round(n))
            )
            stood_still = (entry, one) in self.copied or self.taken[(entry, one)]
            if abs(ticks - round(ticks)) > 5e-3:
                if stood_still or self._lost_memory(one, two):
                    continue  # it is late by as much as its beat stood still after publishing
                wrong.append(f"{entry}: {one} to {two} is out of phase")
            elif ticks > 1.01 and not self._may_merge(entry, one, two):
                wrong.append(f"{entry}: {round(ticks) - 1} missed between {one} and {two}")
        wrong += [
            f"{entry} {s.due}: sent at {s.at}, too early" for s in sent if s.at < s.due - 1e-6
        ]
        return wrong

    def _may_have_copies(self, entry: str, due: float, sent: list[Sent]) -> bool:
        """Its beat died or stood still after publishing; or the store forgot, and so did a beat
        that had stood still."""
        if (entry, due) in self.copied:
            return True
        at = [s.at for s in sent if s.due == due]
        return any(at[0] < flush <= at[-1] for flush in self.flushes)

    def _lost_memory(self, one: float, two: float) -> bool:
        """The store forgot, and a new beat guessed when the entry began: nobody else says better
        until the entry is due, or while the store is down or forgets once more."""
        return any(one - 60 < flush < two for flush in self.flushes)

    def _may_merge(self, entry: str, one: float, two: float) -> bool:
        """Its takers died twice, so that its claim lasted past the next due time; or the store was
        away."""
        if any(n > 1 for (e, due), n in self.taken.items() if e == entry and one <= due < two):
            return True
        return any(start < two and one < end for start, end in self.excused)


@pytest.mark.parametrize("seed", range(20))
def test_beats_under_deaths_and_pauses_publish_every_tick(seed: int) -> None:
    fire = Fire(seed, outages=False)

    fire.play()

    assert fire.judge() == [], "\n".join(fire.log)


@pytest.mark.parametrize("seed", range(20))
def test_beats_whose_store_fails_as_well_publish_no_tick_twice(seed: int) -> None:
    fire = Fire(1000 + seed, outages=True)

    fire.play()

    assert fire.judge() == [], "\n".join(fire.log)
