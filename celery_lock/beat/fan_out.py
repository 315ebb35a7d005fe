"""The messages that a scheduler sends for one tick: each has its own name, however it is sent.

A scheduler sends one message for a tick, or one for each tenant, by Celery's `apply_async` or in a
way of its own. What tells two of them apart may be added as late as by an app of one's own, or by
a receiver of `before_task_publish`. So a name is made from what is handed to the broker.
"""

from __future__ import annotations

from collections.abc import Iterator, Mapping
from contextlib import contextmanager
from contextvars import ContextVar
from typing import Any

from celery.beat import BeatLazyFunc, SchedulingError

from ..events.plain_text import moment
from ..message import HEADER, is_handed_to, tick_header
from .entries import message_of
from .ledger import Ledger
from .naming import Names, spelled
from .outgoing import Outgoing
from .own_method import own_method
from .ticks import Tick
from .traces import without_traces

__all__ = ["FanOut", "listen"]

_ORDER = ("countdown", "eta", "task_id", "producer", "connection")
"""What Celery's `send_task` takes by position, behind a task's name and its arguments."""

_LOCAL = frozenset(
    ("add_to_parent", "connection", "headers", "producer", "publisher", "result_cls", "router")
) | {"task_id", "task_type"}
"""Options that stay in this process, and the two that are looked at apart."""

_current: ContextVar[FanOut | None] = ContextVar("celery_lock_fan_out", default=None)


class FanOut:
    """What is sent for one tick.

    Args:
        app: the scheduler's app.
        tick: the tick that this beat was granted.
        ledger: says whether this beat may still publish the tick.
    """

    def __init__(self, app: Any, tick: Tick, ledger: Ledger) -> None:
        self.tick = tick
        self.names = Names(app.main or "", str(tick.name), tick.due)
        self._app = app
        self._ledger = ledger
        self.seen = 0
        """How many of its messages have come to the app."""
        self._own_ids: set[str] = set()
        self._made: list[tuple[Any, BeatLazyFunc]] = []

    @contextmanager
    def active(self) -> Iterator[None]:
        """Let all that this thread sends meanwhile belong to the tick."""
        before = _current.set(self)
        try:
            yield
        finally:
            _current.reset(before)

    # -- an entry, before its scheduler sends it ---------------------------------------------

    def prepare(self, entry: Any) -> tuple[Any, str]:
        """Return a copy of an entry with header and id, and what it says by itself.

        They stay where the message does not come to the app: where it runs at once (eager), and
        where a scheduler has a way of its own to send it.
        """
        options = dict(entry.options or {})
        headers = options.get("headers") or {}
        sent = spelled(
            [entry.task, entry.args, entry.kwargs, _said(options), options.get("task_id")]
        )
        name = self.names.next(sent)
        options["headers"] = {**headers, HEADER: self._header(headers, name)}
        options.setdefault("task_id", self._own_id(name))
        return message_of(entry, options, self._evaluated), sent

    def is_sent(self, sent: str) -> bool:
        """Whether that message was sent by a beat before; the next equal one is another."""
        known = self.tick.has_sent(self.names.next(sent))
        if known:
            self.names.take(sent)
        return known

    def was_sent(self, sent: str) -> None:
        """Note a message that its scheduler has sent, and not by the app."""
        self.tick.note_sent(self.names.take(sent), self._ledger.clock.now())

    def _evaluated(self, value: Any) -> Any:
        if not isinstance(value, BeatLazyFunc):
            return value
        made = value()
        self._made.append((made, value))
        return made

    # -- a message on its way through the app ------------------------------------------------

    def send(self, own: Any, task: str, args: Any, kwargs: Any, options: dict[str, Any]) -> Any:
        """Send a message of the tick as the app does by `own`, under its own name and id."""
        if not self._ledger.may_go_on(self.tick):
            self.tick.failed = True
            raise SchedulingError(
                f"the tick of {self.tick.name!r} due at {moment(self.tick.due)} is too old: another"
                " beat may have published it"
            )
        self.seen += 1
        preset = options.pop("task_id", None)
        # a publisher's lease is taken under its id, and kept for that
        taken_under = preset if is_handed_to(preset) else None
        if preset in self._own_ids or taken_under:
            preset = None
        said = spelled([task, self._asked(args or ()), self._asked(kwargs or {}), _said(options)])
        sent = f"{said}{spelled(preset)}"
        name = self.names.next(sent)
        task_id = taken_under or preset or self._own_id(name)
        message = Outgoing(
            self._app,
            self.tick,
            self.names,
            self._ledger.clock.now,
            sent=sent,
            task_id=task_id,
            preset=preset is not None or taken_under is not None,
        )
        message.take_from(args, kwargs, options)
        headers = options.get("headers") or {}
        options["headers"] = {**headers, HEADER: self._header(headers, name)}
        try:
            result = own(task, args, kwargs, task_id=task_id, producer=message, **options)
        except Exception:
            self.tick.failed = True
            raise
        finally:
            message.release()
        if not message.is_named:  # it was sent without the producer
            self.was_sent(sent)
        if getattr(result, "id", None) == task_id:
            result.id = message.task_id
        return result

    def _header(self, headers: Mapping[str, Any], name: str) -> dict[str, Any]:
        """Return our header for a message of this name; a key that its author gave is kept."""
        tick = self.tick
        given = headers.get(HEADER) or {}
        written = tick_header(self._app.main or "", tick.name, tick.due, given)
        return {**written, "publication": name}

    def _own_id(self, name: str) -> str:
        made = self.names.id_of(name)
        self._own_ids.add(made)
        return made

    def _asked(self, arguments: Any) -> Any:
        """Return arguments with what the entry asked for in place of what was made of that."""
        if not self._made:
            return arguments
        if isinstance(arguments, Mapping):
            return {name: self._source(value) for name, value in arguments.items()}
        return [self._source(value) for value in arguments]

    def _source(self, value: Any) -> Any:
        return next((lazy for made, lazy in self._made if made is value), value)


def _said(options: Mapping[str, Any]) -> dict[str, Any]:
    """Return what options say about a message."""
    said = {n: v for n, v in options.items() if n not in _LOCAL and v is not None}
    return {**said, "headers": without_traces(options.get("headers") or {})}


def listen(app: Any) -> None:
    """Let an app name what it sends within a tick; once for each app."""
    if getattr(vars(app).get("send_task"), "names_ticks", False):
        return
    own = own_method(app, "send_task")

    def send_task(name: str, args: Any = None, kwargs: Any = None, *more: Any, **said: Any) -> Any:
        fan_out = _current.get()
        if fan_out is None:
            return own(name, args, kwargs, *more, **said)
        options = {**dict(zip(_ORDER, more, strict=False)), **said}
        return fan_out.send(own, name, args, kwargs, options)

    send_task.names_ticks = True  # type: ignore[attr-defined]
    app.send_task = send_task
