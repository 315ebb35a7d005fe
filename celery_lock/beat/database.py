"""The scheduler over django-celery-beat: `celery_lock.beat:LockedDatabaseScheduler`."""

from __future__ import annotations

from typing import Any

from django_celery_beat.schedulers import DatabaseScheduler, ModelEntry

from .mixin import LockedSchedulerMixin

__all__ = ["LockedDatabaseScheduler"]


class _RowEntry(ModelEntry):  # type: ignore[misc]  # the package has no types
    def __init__(self, model: Any, app: Any = None) -> None:
        self.blank_since = model.date_changed if model.last_run_at is None else None
        """When a row without a last run was changed last: the entry counts from there. The row was
        enabled again, or no beat has seen it yet. `None`: the row has a last run."""
        super().__init__(model, app=app)

    def save(self) -> None:
        """Write the last run, unless the row was changed meanwhile: by an admin, or another beat.

        A row that was disabled counts from nothing when it is enabled again. The `save()` of
        django-celery-beat would write the count of the run before into it, and all other fields.
        """
        rows = type(self.model)._default_manager
        unchanged = rows.filter(pk=self.model.pk, date_changed=self.model.date_changed)
        unchanged.update(
            last_run_at=self.model.last_run_at, total_run_count=self.model.total_run_count
        )


class LockedDatabaseScheduler(LockedSchedulerMixin, DatabaseScheduler):  # type: ignore[misc]
    """Runs the periodic tasks of a Django database in as many beats as there are, each tick once.

    `celery -A app beat -S celery_lock.beat:LockedDatabaseScheduler`. The lock store knows the last
    run and the count. The row is written as ever, and where the row is later, since its entry was
    enabled again or changed, the row counts.
    """

    Entry: type[ModelEntry] = _RowEntry

    def __init_subclass__(cls, **options: Any) -> None:
        super().__init_subclass__(**options)
        entry = cls.Entry
        if entry is ModelEntry:  # it is a base of ours
            cls.Entry = _RowEntry
        elif issubclass(entry, ModelEntry) and not issubclass(entry, _RowEntry):
            # an entry class of its author's: its methods come first, and what they call is ours
            bases: tuple[Any, ...] = (entry, _RowEntry)
            body = {"__module__": entry.__module__, "__qualname__": entry.__qualname__}
            cls.Entry = type(entry.__name__, bases, body)

    def populate_heap(self, *args: Any, **options: Any) -> None:
        """Plan all entries again, and write into blank rows where their entries begin.

        The rows are written at once: a row that is still blank when somebody changes it, be it a
        beat that starts with the entry in its `beat_schedule`, would start over with that change.
        """
        super().populate_heap(*args, **options)
        knows = self._deciding.ledger.views.knows
        entries = list(self._schedule.values())
        begun = [e for e in entries if getattr(e, "blank_since", None) and knows(e.name)]
        if begun:
            self._dirty.update(entry.name for entry in begun)
            self.sync()
        for entry in begun:
            entry.blank_since = None

    def confirmed(self, entry: Any) -> None:
        """Have the row written: django-celery-beat looks at the entry before its run moves."""
        self._dirty.add(entry.name)
