"""The alarm: a thread that takes a step when it is asked for, and never goes round for nothing."""

from __future__ import annotations

import math
import sys
import threading
from types import FrameType
from typing import Any

import pytest
from billiard.exceptions import SoftTimeLimitExceeded

from celery_lock.engine import alarm as module
from celery_lock.engine.alarm import Alarm
from celery_lock.model.clock import steady
from celery_lock.stores.manual_clock import ManualClock

PATIENCE = 10.0
"""Seconds after which a thread that should have done something counts as hung."""


class Steps:
    """Steps that are counted, and what each of them says about the next one."""

    def __init__(self) -> None:
        self.taken = threading.Semaphore(0)
        self.next_time = math.inf
        self.raises: BaseException | None = None

    def __call__(self) -> float:
        self.taken.release()
        if self.raises is not None:
            error, self.raises = self.raises, None
            raise error
        return self.next_time


@pytest.fixture
def steps() -> Steps:
    return Steps()


def was_taken(steps: Steps) -> bool:
    return steps.taken.acquire(timeout=PATIENCE)


def is_quiet(alarm: Alarm) -> bool:
    """Return once the thread waits."""
    until = steady() + PATIENCE
    while steady() < until:
        with alarm._mutex:
            if alarm._changed._waiters:  # type: ignore[attr-defined]
                return True
    return False


def test_no_thread_begins_before_the_first_need() -> None:
    before = threading.active_count()

    Alarm("test", lambda: math.inf, steady)

    assert threading.active_count() == before


def test_a_step_is_taken_at_the_time_that_was_asked_for(steps: Steps) -> None:
    clock = ManualClock(1000.0)
    alarm = Alarm("test", steps, clock)
    alarm.set(1000.05)
    assert is_quiet(alarm)
    assert not steps.taken.acquire(blocking=False)

    clock.move(0.05)

    assert was_taken(steps)


def test_a_sooner_time_is_kept_though_the_thread_awaits_a_later_one(steps: Steps) -> None:
    alarm = Alarm("test", steps, steady)
    alarm.set(steady() + 3600)
    assert is_quiet(alarm)

    alarm.set(steady() + 0.01)

    assert was_taken(steps)


def test_a_step_is_taken_at_the_time_that_the_one_before_named(steps: Steps) -> None:
    steps.next_time = -math.inf

    Alarm("test", steps, steady).set(steady())

    assert all(was_taken(steps) for _ in range(5))
    steps.next_time = math.inf


def test_the_time_of_the_next_step_is_known_to_whoever_needs_none_before(steps: Steps) -> None:
    clock = ManualClock(1000.0)
    alarm = Alarm("test", steps, clock)
    assert alarm.time == math.inf

    alarm.set(1030.0)
    assert is_quiet(alarm)
    assert alarm.time == 1030.0
    alarm.set(1010.0)
    assert is_quiet(alarm)

    assert alarm.time == 1010.0
    alarm.set(1020.0)
    assert alarm.time == 1010.0
    assert not steps.taken.acquire(blocking=False)


def test_a_need_that_comes_while_a_step_is_taken_is_not_forgotten(steps: Steps) -> None:
    def step() -> float:
        time = steps()
        if alarm.time == math.inf and not needed:
            needed.append(True)
            alarm.set(steady() + 0.01)
        return time

    needed: list[bool] = []
    alarm = Alarm("test", step, steady)

    alarm.set(steady())

    assert was_taken(steps)
    assert was_taken(steps)


def test_what_is_over_before_its_time_wakes_the_thread_once_for_all_that_came_until_then(
    steps: Steps,
) -> None:
    """Short bodies leave nothing behind; a thread that looked at once would sleep for ever then,
    and each next claim would have to wake it."""
    alarm = Alarm("test", steps, steady)
    woken = 0

    until = steady() + 0.2
    while steady() < until:
        time = steady() + 0.1
        if time < alarm.time:
            woken += 1
            alarm.set(time)

    assert was_taken(steps)
    assert woken <= 3


def test_a_step_that_fails_is_logged_and_the_thread_goes_on(
    steps: Steps, monkeypatch: pytest.MonkeyPatch
) -> None:
    logged = threading.Event()
    monkeypatch.setattr(module, "write", lambda *args, **options: logged.set())
    clock = ManualClock(1000.0)
    steps.raises = ValueError("garbage")
    alarm = Alarm("test", steps, clock)

    alarm.set(clock())
    assert was_taken(steps)
    assert logged.wait(PATIENCE)
    assert is_quiet(alarm)
    alarm.set(clock())

    assert was_taken(steps)


def test_a_step_whose_failure_cannot_be_logged_does_not_end_the_thread(
    steps: Steps, no_line_can_be_written: None
) -> None:
    clock = ManualClock(1000.0)
    steps.raises = ValueError("garbage")
    alarm = Alarm("test", steps, clock)

    alarm.set(clock())
    assert was_taken(steps)
    assert is_quiet(alarm)
    first = alarm._thread
    clock.move(1.0)
    alarm.set(clock())

    assert was_taken(steps)
    assert alarm._thread is first


@pytest.mark.filterwarnings("ignore::pytest.PytestUnhandledThreadExceptionWarning")
def test_a_thread_that_has_ended_is_followed_by_another(steps: Steps) -> None:
    alarm = Alarm("test", steps, steady)
    steps.raises = SystemExit()  # what ends a thread without a word
    alarm.set(steady() + 0.01)
    assert was_taken(steps)
    first = alarm._thread
    assert first is not None
    first.join(PATIENCE)

    alarm.set(steady() + 0.01)

    assert was_taken(steps)
    assert alarm._thread is not first


def test_a_thread_that_waits_for_nothing_ends_and_the_next_need_begins_another(
    steps: Steps, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(module, "IDLE", 0.01)
    clock = ManualClock(1000.0)
    alarm = Alarm("test", steps, clock)
    alarm.set(1000.05)
    first = alarm._thread
    assert first is not None
    clock.move(0.05)
    assert was_taken(steps)

    first.join(PATIENCE)

    assert not first.is_alive()
    assert (alarm.time, alarm._thread) == (math.inf, None)
    alarm.set(clock())
    assert was_taken(steps)


def test_a_nudge_takes_the_step_now(steps: Steps) -> None:
    alarm = Alarm("test", steps, steady)
    alarm.set(steady() + 3600)
    assert is_quiet(alarm)

    alarm.nudge()

    assert was_taken(steps)


def test_a_nudge_waits_for_nobody_and_begins_no_thread(steps: Steps) -> None:
    alarm = Alarm("test", steps, steady)
    alarm.nudge()
    assert (alarm.time, alarm._thread) == (math.inf, None)

    held, done = threading.Event(), threading.Event()

    def hold_it() -> None:
        with alarm._mutex:
            held.set()
            done.wait(PATIENCE)

    other = threading.Thread(target=hold_it)
    other.start()
    held.wait(PATIENCE)
    alarm.nudge()
    done.set()
    other.join()


@pytest.mark.filterwarnings("ignore::pytest.PytestUnhandledThreadExceptionWarning")
def test_a_nudge_does_not_hide_that_the_thread_has_ended(steps: Steps) -> None:
    """Who reads a time there takes it for one that a thread waits for."""
    alarm = Alarm("test", steps, steady)
    steps.raises = SystemExit()
    alarm.set(steady())
    assert was_taken(steps)
    thread = alarm._thread
    assert thread is not None
    thread.join(PATIENCE)

    alarm.nudge()

    assert alarm.time == math.inf


def test_a_thread_that_cannot_begin_is_tried_again_at_the_next_need(
    steps: Steps, monkeypatch: pytest.MonkeyPatch
) -> None:
    def refuse(self: threading.Thread) -> None:
        raise RuntimeError("can't start new thread")

    alarm = Alarm("test", steps, steady)
    with monkeypatch.context() as patch:
        patch.setattr(threading.Thread, "start", refuse)
        with pytest.raises(RuntimeError):
            alarm.set(steady() + 0.01)

    alarm.set(steady() + 0.01)

    assert was_taken(steps)


def test_a_thread_whose_begin_was_stopped_ends_and_another_one_begins(
    steps: Steps, monkeypatch: pytest.MonkeyPatch
) -> None:
    begun: list[threading.Thread] = []
    start = threading.Thread.start

    def stop(thread: threading.Thread) -> None:
        begun.append(thread)
        start(thread)
        raise SoftTimeLimitExceeded

    alarm = Alarm("test", steps, steady)
    with monkeypatch.context() as patch:
        patch.setattr(threading.Thread, "start", stop)
        with pytest.raises(SoftTimeLimitExceeded):
            alarm.set(steady())
    alarm.set(steady())

    begun[0].join(PATIENCE)
    assert not begun[0].is_alive()
    assert alarm._thread is not None
    assert alarm._thread.is_alive()


@pytest.mark.filterwarnings("ignore::pytest.PytestUnraisableExceptionWarning")  # half begun
def test_at_no_moment_does_a_stop_leave_the_lock_held() -> None:
    """A time limit that fell between the taking of a lock and its block would leave it so."""
    moment = 0
    hit = True
    while hit:
        moment += 1
        steps = Steps()
        alarm = Alarm("test", steps, steady)

        hit = _stopped(moment, alarm)

        assert _is_free(alarm), moment
        alarm.set(steady())
        assert was_taken(steps), moment
    assert moment > 10


def _stopped(moment: int, alarm: Alarm) -> bool:
    """Ask for a step, and be stopped at that moment; `False`: it came to its end before."""
    left = moment

    def profile(frame: FrameType, event: str, arg: Any) -> None:
        nonlocal left
        # Python's own threads take their locks by `with`, which 3.14 lets an error fall into
        of_python = frame.f_code.co_filename == threading.__file__
        enters = of_python and getattr(arg, "__name__", "") == "__enter__"
        if event in ("call", "c_return") and not enters and _is_the_alarms(frame):
            left -= 1
            if left == 0:
                sys.setprofile(None)
                raise SoftTimeLimitExceeded

    sys.setprofile(profile)
    try:
        alarm.set(steady())
    except (SoftTimeLimitExceeded, RuntimeError):  # the latter of a condition that was left early
        pass
    finally:
        sys.setprofile(None)
    return left == 0


def _is_the_alarms(frame: FrameType | None) -> bool:
    """In the alarm, or in what it calls of `threading`."""
    while frame is not None and frame.f_code.co_filename == threading.__file__:
        frame = frame.f_back
    return frame is not None and frame.f_code.co_filename == module.__file__


def _is_free(alarm: Alarm) -> bool:
    """Another thread can take its lock."""
    free: list[bool] = []

    def take() -> None:
        free.append(alarm._mutex.acquire(timeout=PATIENCE))
        if free[0]:
            alarm._mutex.release()

    thread = threading.Thread(target=take)
    thread.start()
    thread.join()
    return free[0]
