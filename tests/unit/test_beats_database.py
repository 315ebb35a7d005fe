"""Several beats over one table of django-celery-beat, in a time that the test moves."""

from __future__ import annotations

from collections.abc import Callable, Iterator
from datetime import datetime, timezone
from typing import Any

import django  # type: ignore[import-untyped]  # it has no types
import pytest
from django.conf import settings  # type: ignore[import-untyped]  # the same

from tests.unit.beat_world import NOON, Beat, World
from tests.unit.test_beats import gaps

pytestmark = pytest.mark.unit

DAY = 86_400


class Table:
    """The rows, as an admin sees them."""

    def __init__(self, monkeypatch: pytest.MonkeyPatch) -> None:
        from django_celery_beat import models, schedulers

        self.models = models
        # or it would close the database, which is in memory
        monkeypatch.setattr(schedulers, "close_old_connections", lambda: None)
        self._monkeypatch = monkeypatch

    def world(self, entries: dict[str, Any] | None = None) -> World:
        """Make a world whose time is Django's too."""
        world = World(entries or {})
        self._monkeypatch.setattr("django.utils.timezone.now", lambda: moment(world.now))
        return world

    def beat(self, world: World, name: str, longest: float = 5, kind: Any = None) -> Beat:
        """Start a beat that looks at the table so often."""
        from celery_lock.beat import LockedDatabaseScheduler

        beat = world.beat(name, kind=kind or LockedDatabaseScheduler)
        beat.scheduler.max_interval = longest
        return beat

    def add(self, name: str, every: int, **fields: Any) -> None:
        """Add a row with an interval of seconds."""
        kind = self.models.IntervalSchedule.objects
        interval = kind.get_or_create(every=every, period="seconds")[0]
        self.models.PeriodicTask.objects.create(
            name=name, task=f"t:{name}", interval=interval, **fields
        )

    def edit(self, name: str) -> None:
        """Save a row with another description."""
        row = self.models.PeriodicTask.objects.get(name=name)
        row.description = "it is of no account to a beat"
        row.save()


@pytest.fixture
def table(monkeypatch: pytest.MonkeyPatch) -> Iterator[Table]:
    if not settings.configured:
        settings.configure(
            SECRET_KEY="of tests",
            INSTALLED_APPS=["django_celery_beat"],
            DATABASES={"default": {"ENGINE": "django.db.backends.sqlite3", "NAME": ":memory:"}},
            DEFAULT_AUTO_FIELD="django.db.models.BigAutoField",
            USE_TZ=True,
        )
        django.setup()
    from django.core.management import call_command  # type: ignore[import-untyped]  # the same

    call_command("migrate", verbosity=0)
    yield Table(monkeypatch)
    call_command("flush", interactive=False, verbosity=0)


def moment(seconds: float) -> datetime:
    return datetime.fromtimestamp(NOON + seconds, timezone.utc)


def edited(table: Table, world: World) -> None:
    table.edit("e")


def started(table: Table, world: World) -> None:
    table.beat(world, "c")


@pytest.mark.parametrize("happens", [edited, started])
def test_an_entry_keeps_its_phase_when_its_row_is_saved(
    table: Table, happens: Callable[[Table, World], None]
) -> None:
    # the first entry has had the rows written, and they are written again minutes later
    world = table.world(
        {name: {"task": f"t:{name}", "schedule": s} for name, s in (("first", 1), ("e", 30))}
    )
    table.beat(world, "a")
    table.beat(world, "b")
    world.run(105)

    happens(table, world)
    world.run(100)

    assert len(world.dues("e")) == 6
    assert gaps(world.dues("e")) == {30}


def test_a_clocked_entry_whose_row_is_saved_after_its_run_is_not_run_again(table: Table) -> None:
    world = table.world()
    table.add("first", 1)
    table.beat(world, "a")
    table.beat(world, "b")
    world.run(5)
    clocked = table.models.ClockedSchedule.objects.create(clocked_time=moment(20))
    table.models.PeriodicTask.objects.create(name="e", task="t:e", clocked=clocked, one_off=True)
    world.run(25)

    table.edit("e")
    world.run(60)

    assert len(world.dues("e")) == 1
    assert not table.models.PeriodicTask.objects.get(name="e").enabled


def test_an_entry_of_a_day_fires_though_its_beats_write_its_row_every_few_hours(
    table: Table,
) -> None:
    world = table.world({"e": {"task": "t:e", "schedule": DAY}})

    for n in range(9):
        beat = table.beat(world, f"a{n}", longest=300)
        world.run(6 * 3600)
        beat.scheduler.close()
        world.kill(beat)

    assert len(world.dues("e")) == 2
    assert gaps(world.dues("e")) == {DAY}


def test_an_entry_with_a_start_time_fires_at_that_time_and_goes_on_from_there(
    table: Table,
) -> None:
    world = table.world()
    table.add("e", 30, start_time=moment(100))
    table.beat(world, "a")
    world.run(3)
    table.beat(world, "b")

    world.run(200)

    # django-celery-beat waits for whole seconds
    assert world.dues("e")[0] == pytest.approx(100, abs=1.01)
    assert len(world.dues("e")) == 4
    assert gaps(world.dues("e")) == {30}


def test_an_entry_with_a_start_time_does_not_wait_for_its_interval_first(table: Table) -> None:
    world = table.world()
    table.add("e", 3600, start_time=moment(100))
    table.beat(world, "a")
    table.beat(world, "b")

    world.run(200)

    assert world.dues("e") == [pytest.approx(100, abs=1.01)]


def test_an_entry_for_once_with_a_start_time_fires_again_when_it_is_enabled_again(
    table: Table,
) -> None:
    world = table.world()
    table.add("first", 1)
    table.beat(world, "a")
    table.beat(world, "b")
    world.run(5)
    table.add("e", 30, one_off=True, start_time=moment(20))
    world.run(400)
    row = table.models.PeriodicTask.objects.get(name="e")
    assert (len(world.dues("e")), row.enabled) == (1, False)

    row.enabled = True
    row.save()
    world.run(400)

    assert len(world.dues("e")) == 2
    assert not table.models.PeriodicTask.objects.get(name="e").enabled


def test_a_scheduler_with_an_entry_class_of_its_own_runs_and_keeps_its_phase(
    table: Table,
) -> None:
    from django_celery_beat.schedulers import ModelEntry

    from celery_lock.beat import LockedDatabaseScheduler

    saved = []

    class Audited(ModelEntry):  # type: ignore[misc]  # the package has no types
        def save(self) -> None:
            saved.append(self.name)
            super().save()

    class Auditing(LockedDatabaseScheduler):
        Entry = Audited

    class Further(Auditing):
        """It adds nothing."""

    world = table.world()
    table.add("first", 1)
    table.add("e", 30)
    table.beat(world, "a", kind=Auditing)
    table.beat(world, "b", kind=Further)
    world.run(105)
    table.edit("e")  # a row that was written back whole would undo this, or begin anew
    world.run(100)

    assert len(world.dues("e")) == 6
    assert gaps(world.dues("e")) == {30}
    assert "e" in saved
    assert Further.Entry is Auditing.Entry
    assert issubclass(Auditing.Entry, Audited)


def test_an_entry_class_that_calls_the_packages_init_by_name_runs_all_the_same(
    table: Table,
) -> None:
    from django_celery_beat.schedulers import ModelEntry

    from celery_lock.beat import LockedDatabaseScheduler

    class Bare(ModelEntry):  # type: ignore[misc]  # the package has no types
        def __init__(self, model: Any, app: Any = None) -> None:
            ModelEntry.__init__(self, model, app=app)

    class Barely(LockedDatabaseScheduler):
        Entry = Bare

    world = table.world()
    table.add("e", 30)
    table.beat(world, "a", kind=Barely)
    world.run(100)

    assert len(world.dues("e")) == 3
    assert gaps(world.dues("e")) == {30}


def test_a_scheduler_that_names_the_packages_entry_class_has_ours(table: Table) -> None:
    """As the one of the package does, whose body is copied."""
    from django_celery_beat.schedulers import ModelEntry

    from celery_lock.beat import LockedDatabaseScheduler

    class Copied(LockedDatabaseScheduler):
        Entry = ModelEntry

    class Further(Copied):
        """It adds nothing."""

    assert Copied.Entry is Further.Entry is LockedDatabaseScheduler.Entry
