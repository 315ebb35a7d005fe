"""The classes that a locked task is made of: what in them would keep its lock from being taken."""

from __future__ import annotations

import inspect
import warnings
import weakref
from typing import Any

from celery import Task

from ..errors import LockConfigurationError
from .body import is_coroutine, to_its_end
from .code_reading import closed_over, names_in, reads_of
from .fitting import DJANGO_TASK, is_ours, show_as

__all__ = [
    "lock_outside",
    "refuse_strategy",
    "use_own_lock",
    "warn_if_left_out",
    "warn_if_sent_past",
]

_STRATEGIES = ("celery.worker.strategy:default", "celery.worker.strategy.default")

_OF_NO_CLASS = {
    "__annotations__",
    "__classcell__",
    "__doc__",
    "__firstlineno__",
    "__module__",
    "__reduce__",
    "__static_attributes__",
    "_app",
    "abstract",
}
"""What is in a class that adds nothing to its bases, also in one that Celery makes for an app."""

_warned: weakref.WeakKeyDictionary[Any, set[tuple[str, str]]] = weakref.WeakKeyDictionary()
"""By app: which base classes have been warned of, and without which class they are."""


def refuse_strategy(cls: Any, name: str) -> None:
    """Refuse a class whose worker does not run each message as a task of its own.

    Such a class gives its body a list of messages, say. Then there is no one message to be sent
    again, skipped or acknowledged, and no lock is taken at all.
    """
    where = _is_of(cls, "start_strategy", Task.start_strategy)
    if where is None and cls.Strategy not in _STRATEGIES:
        where = _owner(cls, "Strategy")
    if where is not None:
        whose = "it" if where is cls and "_decorated" in vars(cls) else where.__name__
        raise LockConfigurationError(
            f"task {name} cannot be locked: {whose} has a Strategy of its own, which says"
            " how the worker runs its messages, and which takes no lock. Write lock=None on this"
            " task, and let its body send a task with base=LockedTask (that_task.delay(...)),"
            " which does the work that must not run twice at once"
        )


def use_own_lock(cls: Any, app: Any, name: str) -> None:
    """Take a lock that was put on the task itself, by its `__init__` or later, for its class's.

    Celery makes one task of a class, and binds it once more as the app is finalized. Where it is
    taken off the task again, as pytest's `monkeypatch` does, the class has its own once more.
    """
    task = app._tasks.get(name)
    if type(task) is cls and "lock" in vars(task):
        if "_class_lock" not in vars(cls):
            cls._class_lock = cls.lock
        cls.lock = vars(task)["lock"]
    elif "_class_lock" in vars(cls):
        cls.lock = cls._class_lock
        del cls._class_lock


def warn_if_left_out(cls: Any, app: Any, name: str, locked_task: type) -> None:
    """Warn of a task whose base class leaves the app's own task class out.

    Celery makes a task of its base class alone, so that what the app's class does around each
    task (a context, a tenant's schema, an audit) is not done for this one.
    """
    left_out = next((each for each in app.Task.__mro__ if _adds(each)), None)
    if left_out is None or issubclass(cls, left_out):
        return
    decorated = "_decorated" in vars(cls)
    base = cls.__bases__[0] if decorated else cls
    pair = (f"{base.__module__}.{base.__qualname__}", left_out.__qualname__)
    known = _warned.setdefault(app, set())
    if pair in known:
        return
    known.add(pair)
    mine = left_out.__name__
    if issubclass(left_out, locked_task) and decorated:
        write = f"leave base= out, or write base={mine}"
    elif decorated:
        write = f"write class Both({base.__name__}, {mine}): abstract = True, and base=Both"
    else:
        bases = ", ".join(each.__name__ for each in cls.__bases__ if each not in left_out.__mro__)
        write = f"write class {cls.__name__}({bases}, {mine})".replace("(, ", "(")
    warnings.warn(
        f"task {name} is made of {base.__name__} alone, without {mine}, the task class of its app:"
        f" what {mine} does around each task is not done for this one; {write}",
        stacklevel=3,
    )


def warn_if_sent_past(cls: Any, name: str, locked_task: type) -> None:
    """Warn of a class whose `apply_async` calls Celery's own by name: it sends without a lease."""
    for klass in cls.__mro__[: cls.__mro__.index(locked_task)]:
        send = vars(klass).get("apply_async")
        if send is None or not _calls_celerys(send, locked_task):
            continue
        whose = klass.__name__
        has_ours = issubclass(klass, locked_task)
        other = "" if has_ours else f", or write class Both(LockedTask, {whose})"
        warnings.warn(
            f"task {name}: {whose}.apply_async calls Celery's own by its name, past ours, so no"
            " lease is taken as a message is sent, and a duplicate is sent too; let it call"
            f" super().apply_async(...){other}",
            stacklevel=3,
        )
        return


def lock_outside(cls: Any, name: str, locked_task: type, *, has_functions: bool) -> None:
    """Let the key be taken before a `__call__` that runs the body itself, past ours.

    One that calls `super().__call__` comes to ours by itself, and is left where it is: then the
    key is made within what it sets up. Where nobody can tell, it is taken outside, which is
    right in any case: who has it passes ours.

    Outside of all of them where the body is a coroutine function: what `run` returns has not run.

    `has_functions`: the lock has a function of its user's, which may ask for what is set up.
    """
    awaits = is_coroutine(cls)
    for klass in cls.__mro__:
        if klass is locked_task:
            if awaits:
                break
            return
        call = vars(klass).get("__call__")
        if call is not None and is_ours(call):
            return
        if inspect.iscoroutinefunction(call) or inspect.isgeneratorfunction(call):
            raise LockConfigurationError(
                f"task {name} cannot be locked: {klass.__name__}.__call__ runs nothing yet when it"
                " is called, and Celery awaits nothing; make it a plain function"
                " (asyncio.run(...) inside it is fine)"
            )
        if call is not None and (awaits or not _hands_on(call, locked_task)):
            break
    else:  # pragma: no cover - a locked task has our class
        return
    outer = inspect.getattr_static(cls, "__call__")
    cls.__call__ = _taking_the_key(outer, awaits=awaits)
    if has_functions and klass is not locked_task:
        instead = "; let it call super().__call__(*args, **kwargs) instead"
        warnings.warn(
            f"task {name}: {klass.__name__}.__call__ runs the body itself, so the key is taken"
            " before it, and the functions of the lock do not see what it sets up"
            f"{'' if awaits else instead}",
            stacklevel=3,
        )


def _taking_the_key(call: Any, *, awaits: bool) -> Any:
    def __call__(self: Any, *args: Any, **kwargs: Any) -> Any:
        own = call.__get__(self, type(self)) if hasattr(call, "__get__") else call
        return self._call_locked(to_its_end(self, own) if awaits else own, args, kwargs)

    ours = show_as(__call__, call)
    ours._celery_lock = True
    return ours


def _hands_on(call: Any, locked_task: type) -> bool:
    """Whether a `__call__` surely comes to ours: by `super()`, or by one of our classes' name."""
    function, names = _read(call)
    if "run" in names:
        return False
    if "super" in names:
        return True
    return "__call__" in names and any(
        isinstance(value, type) and issubclass(value, locked_task)
        for value in _named(function, names).values()
    )


def _calls_celerys(send: Any, locked_task: type) -> bool:
    """Whether an `apply_async` calls that of Celery's class by name, and never ours."""
    function, names = _read(send)
    if "super" in names or "apply_async" not in names:
        return False
    known = _named(function, names)
    for module in [each for each in known.values() if inspect.ismodule(each)]:  # celery.Task
        known.update({name: vars(module)[name] for name in names & set(vars(module))})
    classes = {name: each for name, each in known.items() if isinstance(each, type)}
    ours = {name for name, each in classes.items() if issubclass(each, locked_task)}
    own = Task.apply_async
    celerys = {name for name, each in classes.items() if getattr(each, "apply_async", 0) is own}
    code, send_by = function.__code__, "apply_async"
    return send_by in reads_of(code, celerys) and send_by not in reads_of(code, ours)


def _read(call: Any) -> tuple[Any, set[str]]:
    """Return the function behind a method's wrappers, and the names in its code; none: it has no
    code to be read."""
    function = inspect.unwrap(call)
    code = getattr(function, "__code__", None)
    return function, set() if code is None else set(names_in(code))


def _named(function: Any, names: set[str]) -> dict[str, Any]:
    """Return what a function closes over, and what its globals have for these names."""
    return {**{each: function.__globals__.get(each) for each in names}, **closed_over(function)}


def _adds(klass: type) -> bool:
    """Whether a class of an app's task class is its author's, and does something."""
    if klass is object or klass.__module__ == DJANGO_TASK or issubclass(Task, klass):
        return False
    return bool(set(vars(klass)) - _OF_NO_CLASS)


def _is_of(cls: Any, name: str, celerys: Any) -> type | None:
    """Return the class whose method `name` is not Celery's; `None`: it is Celery's."""
    owner = _owner(cls, name)
    return None if vars(owner)[name] is celerys else owner


def _owner(cls: Any, name: str) -> type:
    owner: type = next(klass for klass in cls.__mro__ if name in vars(klass))
    return owner
