"""Which schedulers the mixin lies over, and with which stores: said before the first tick."""

from __future__ import annotations

import subprocess
import sys
from pathlib import Path
from typing import Any

import pytest
from celery import Celery
from celery.beat import PersistentScheduler, Scheduler
from celery.schedules import schedule

import celery_lock.beat
from celery_lock.beat import LockedScheduler, LockedSchedulerMixin
from celery_lock.errors import LockConfigurationError, UnsupportedFeature
from celery_lock.model import Feature
from celery_lock.stores.memory import MemoryStore

pytestmark = pytest.mark.unit


class OwnTick(Scheduler):
    """Publishes by a loop of its own, as RedBeat does."""

    def tick(self, *args: Any, **options: Any) -> float:
        for entry in self.schedule.values():
            self.apply_entry(entry)
        return 1.0


class Beating(Scheduler):
    """Shows a sign of life, and leaves the rest to Celery."""

    def tick(self, *args: Any, **options: Any) -> Any:
        self.turns = getattr(self, "turns", 0) + 1
        return super().tick(*args, **options)


class Stopping(schedule):
    """Its beat is asked to stop while it is asked whether it is due."""

    close: Any = None

    def is_due(self, last_run_at: Any) -> Any:
        type(self).close()  # as the handler of SIGTERM does
        raise SystemExit


def test_a_scheduler_with_a_tick_of_its_own_is_refused_as_its_class_is_made() -> None:
    with pytest.raises(
        LockConfigurationError, match=r"OwnTick has a tick\(\) of its own"
    ) as raised:

        class Ours(LockedSchedulerMixin, OwnTick):
            pass

    assert "celery_lock.beat:LockedScheduler" in str(raised.value)


def test_a_scheduler_whose_tick_ends_in_celerys_is_taken() -> None:
    class Ours(LockedSchedulerMixin, Beating):
        pass

    assert Ours.tick is LockedSchedulerMixin.tick


def test_a_subclass_of_ours_may_have_a_tick_that_calls_ours() -> None:
    class Ours(LockedScheduler):
        def tick(self, *args: Any, **options: Any) -> Any:
            return super().tick(*args, **options)

    assert issubclass(Ours, Scheduler)


def test_a_subclass_of_ours_with_a_tick_that_never_calls_ours_is_refused() -> None:
    with pytest.raises(LockConfigurationError, match="Ours"):

        class Ours(LockedScheduler):
            def tick(self, *args: Any, **options: Any) -> float:
                return 1.0


def test_a_mixin_behind_its_scheduler_is_refused() -> None:
    with pytest.raises(LockConfigurationError, match=r"class Ours\(LockedSchedulerMixin, Pers"):

        class Ours(PersistentScheduler, LockedSchedulerMixin):
            pass


def test_a_mixin_over_nothing_is_refused() -> None:
    with pytest.raises(LockConfigurationError, match="no scheduler of Celery's"):

        class Ours(LockedSchedulerMixin):
            pass


def test_a_store_without_records_is_refused_as_the_beat_starts(
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    monkeypatch.setattr(MemoryStore, "features", frozenset({Feature.WATCH}))
    app = Celery("shop", broker="memory://", set_as_current=False)
    app.conf.update(lock_store="memory://", beat_schedule={})

    with pytest.raises(UnsupportedFeature, match="'records', which memory:// has not"):
        LockedScheduler(app=app).tick()


def test_a_wrong_setting_is_refused_as_the_beat_starts() -> None:
    app = Celery("shop", broker="memory://", set_as_current=False)
    app.conf.update(lock_store="memory://", lock_beat_on_store_error="explode", beat_schedule={})

    with pytest.raises(LockConfigurationError, match=r"'wait'.*or 'fire'"):
        LockedScheduler(app=app).tick()


def test_without_a_schedule_file_celerys_own_entries_are_kept(tmp_path: Path) -> None:
    app = Celery("shop", broker="memory://", backend=f"file://{tmp_path}", set_as_current=False)
    app.conf.beat_schedule = {"mine": {"task": "t", "schedule": 10}}

    scheduler = LockedScheduler(app=app)

    assert set(scheduler.schedule) == {"mine", "celery.backend_cleanup"}


def test_the_banner_names_the_store_without_its_password() -> None:
    app = Celery("shop", broker="memory://", set_as_current=False)
    app.conf.lock_store = "redis://user:secret@nowhere.invalid:6379/3"

    info = LockedScheduler(app=app, lazy=True).info

    assert "redis://nowhere.invalid:6379/3" in info
    assert "secret" not in info


def test_the_scheduler_over_a_database_is_imported_only_when_asked_for() -> None:
    code = "import sys, celery_lock.beat; print(sorted(m for m in sys.modules if 'django' in m))"

    done = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True, check=True)

    assert "django_celery_beat" not in done.stdout


def test_a_missing_package_is_named_with_its_command(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setitem(sys.modules, "django_celery_beat", None)
    monkeypatch.setitem(sys.modules, "django_celery_beat.schedulers", None)
    monkeypatch.delitem(sys.modules, "celery_lock.beat.database", raising=False)

    with pytest.raises(LockConfigurationError, match="pip install django-celery-beat"):
        _ = celery_lock.beat.LockedDatabaseScheduler


def test_a_name_that_is_not_there_is_an_attribute_error() -> None:
    with pytest.raises(AttributeError, match="no attribute 'LockedDatabaseSchedular'"):
        celery_lock.beat.LockedDatabaseSchedular  # noqa: B018  # type: ignore[attr-defined]


def test_a_beat_with_a_schedule_file_stops_though_it_is_asked_to_in_the_middle_of_an_entry(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    class Ours(LockedSchedulerMixin, PersistentScheduler):
        pass

    app = Celery("shop", broker="memory://", set_as_current=False)
    app.conf.update(
        lock_store="memory://", beat_schedule={"e": {"task": "t", "schedule": Stopping(1)}}
    )
    scheduler = Ours(app=app, schedule_filename=str(tmp_path / "schedule"))
    monkeypatch.setattr(Stopping, "close", scheduler.close)

    with pytest.raises(SystemExit):
        scheduler.tick()
