"""A Lock meets its task and its app: what must be known before the first message, is checked here.

Binding opens no connection and needs no server.
"""

from __future__ import annotations

import inspect
import warnings
from collections.abc import Iterator
from typing import Any

from celery import Celery, Task

from ..app.bound import BoundLock
from ..app.limit_checks import cut_short, longest_wait, never_comes
from ..app.locks import AppLocks
from ..errors import LockConfigurationError, duration
from ..keys import compile_key, find_models
from ..model import Decision, Lock, Scope
from ..policies import default_for
from .body import behind_celerys, function_of, own_call
from .code_reading import handed_on_to
from .lists import checked_list, is_declared
from .option_words import LIST
from .queue_life import ends_early

__all__ = ["LONG_WAIT", "bind", "declared_locks", "name_of"]

QUEUE_TTL = 86_400.0
"""Seconds that a retry may be on its way: a day."""

LONG_WAIT = 30.0
"""Seconds of `wait` from which on a warning is given: the process does nothing else meanwhile."""


_BY_CLASS = (
    ", or give the task a class whose __call__ returns asyncio.run(self.run(*args, **kwargs))"
)


def name_of(cls: Any, app: Any) -> str | None:
    """Return the name of a task class, `None` for a base class that is no task.

    A class-based task without a name gets one as it is registered, on its instance alone.
    """
    if cls.name or cls.run is Task.run:
        return cls.name  # type: ignore[no-any-return]  # celery has no types
    return app.gen_task_name(cls.__name__, cls.__module__)  # type: ignore[no-any-return]


def declared_locks(cls: Any, name: str, locked_task: type, default: type) -> tuple[Lock, ...]:
    """Return the locks of a task class in the order in which it declares them; none if it has none.

    A task is locked if it says `lock=` (or `task_annotations` does), or if it names
    `locked_task` or a subclass as its base. One that has it only as the app's default class
    (`task_cls`, which builtin and other people's tasks have too) is not.
    """
    given = cls.lock
    if name.startswith("celery.") and is_declared(given):
        given = _given_by_name(cls, name)
    if is_declared(given):
        owner = next(klass for klass in cls.__mro__ if "lock" in vars(klass))
        if owner in default.__mro__:
            raise LockConfigurationError(
                f"{owner.__name__} declares a lock and is the app's default task class, so task"
                f" {name} and all others would be locked; declare the lock on the tasks that"
                f" need it, or let them say base={owner.__name__} and leave task_cls alone"
            )
        return checked_list(given, name)
    if given is not None and given is not locked_task.lock:  # type: ignore[attr-defined]
        raise LockConfigurationError(
            f"task {name}: lock={given!r} is no Lock; write {_meant_by(given)}"
        )
    if given is None or not _names_its_base(cls, locked_task, default):
        return ()
    return (Lock(),)


def _meant_by(given: Any) -> str:
    """Return what to write instead of something that is no lock."""
    if isinstance(given, str):
        return f'lock=Lock("{given}")'
    if isinstance(given, Decision):
        return f"lock=Lock(..., on_conflict={given.written})"
    if isinstance(given, set):
        return f"{LIST}, a list: its order is that of self.leases"
    if isinstance(given, (list, tuple)):
        return f"{LIST}, or lock=None for a task without a lock"
    if isinstance(given, dict):
        return "lock=Lock(**{...}), with the options of a Lock as names"
    if inspect.isroutine(given):
        return "lock=Lock(the function): it makes the key"
    if isinstance(given, (int, float)) and not isinstance(given, bool):
        return "lock=Lock(..., ttl=...)"
    return "lock=Lock()"


def _given_by_name(cls: Any, name: str) -> Any:
    """Return the lock, or the locks, of one of Celery's own tasks.

    `"*"` of `task_annotations` means these as little as it means `celery.*` elsewhere: a lock that
    keeps others out could hold up a chord.
    """
    for annotation in cls.app.annotations:
        by_name = getattr(annotation, "annotate", lambda _: None)(_Named(name)) or {}
        if is_declared(by_name.get("lock")):
            return by_name["lock"]
    return None


class _Named:
    """A task, as far as an annotation asks it: a class-based one may have no name yet."""

    def __init__(self, name: str) -> None:
        self.name = name


def _names_its_base(cls: Any, locked_task: type, default: type) -> bool:
    """The task has `locked_task` by its own choice, not only as an app's default class.

    As that of any app: two that share their tasks bind those to both.
    """
    defaults = {default, *(klass for klass in cls.__mro__ if _is_default(klass))}
    by_default = {klass for each in defaults for klass in each.__mro__}
    for klass in cls.__mro__:
        if klass in by_default:
            continue
        for base in klass.__bases__:
            if issubclass(base, locked_task) and base not in defaults:
                return True
    return False


def _is_default(klass: type) -> bool:
    """Whether an app has made this class of its `task_cls`."""
    app = vars(klass).get("_app")
    return isinstance(app, Celery) and app.Task is klass  # else it is something of its author's


def bind(cls: Any, name: str, lock: Lock, locks: AppLocks) -> BoundLock:
    """Bind `lock` to the task class `cls`; raises `LockConfigurationError` for what cannot be."""
    function, gets_task = function_of(cls)
    _check_body(cls, name, function, lock)
    settings = locks.settings
    signature = inspect.signature(function)
    if gets_task:
        parameters = list(signature.parameters.values())
        if not parameters:
            raise LockConfigurationError(
                f"the body of task {name} takes no argument at all, but is bound: it needs self"
            )
        if parameters[0].kind is not inspect.Parameter.VAR_POSITIONAL:  # that is self too
            signature = signature.replace(parameters=parameters[1:])
    scope = Scope(lock.scope)
    on_conflict = lock.on_conflict or default_for(scope, settings.on_conflict)
    waits, limits = longest_wait(on_conflict), (cls.time_limit, cls.soft_time_limit)
    limit = min((float(limit) for limit in limits if limit), default=waits + 1)
    if waits >= limit:
        warnings.warn(
            f"task {name} waits for its lock for up to {duration(waits)}, but its time limit is"
            f" {duration(limit)}: where it waits so long it is ended before its body begins; let it"
            " wait for less, or write requeue()",
            stacklevel=2,
        )
    elif isinstance(on_conflict, Decision) and on_conflict.blocks > LONG_WAIT:
        warnings.warn(
            f"task {name} waits for its lock for up to {duration(on_conflict.blocks)}, and its"
            " process of the pool does nothing else meanwhile; requeue() leaves it free",
            stacklevel=2,
        )
    queue_ttl = _seconds(lock.queue_ttl, QUEUE_TTL)
    early = ends_early(cls, queue_ttl) if scope.lasts else None
    for said in (
        *(_hidden(function, signature) if lock.key is None else ()),
        *never_comes(on_conflict),
        *cut_short(lock.at_most, cls.time_limit),
        *([] if early is None else [early]),
    ):
        warnings.warn(f"task {name}: {said}", stacklevel=2)
    key = compile_key(lock.key, task=name, signature=signature, models=find_models(function))
    if scope.is_publishers and key.defaults:
        raise LockConfigurationError(
            f"task {name}: key template {key.template!r} has a default, {{{key.defaults[0]}}}, but"
            f" with Scope.{scope.name} the publisher takes the key, and headers that receivers of"
            " signals write come later: all messages could get the default. Leave it out (a message"
            " without the header is then sent without a lease), or write a scope that the worker"
            " takes, such as Scope.ACROSS_RETRIES"
        )
    return BoundLock(
        lock=lock,
        key=key,
        ttl=_seconds(lock.ttl, settings.ttl),
        at_least=_seconds(lock.at_least, 0.0) if lock.at_least_on_failure else 0.0,
        at_most=None if lock.at_most is None else _seconds(lock.at_most, 0.0),
        on_conflict=on_conflict,
        on_store_error=lock.on_store_error or settings.on_store_error,
        across_retries=scope.lasts,
        queue_ttl=queue_ttl,
        interrupts=lock.on_lost == "interrupt",
        scope=scope,
        limit=lock.limit,
        floor=0.0 if lock.at_least_on_failure else _seconds(lock.at_least, 0.0),
    )


def _seconds(value: Any, default: float) -> float:
    return default if value is None else float(value)  # Lock has made seconds of it


def _hidden(function: Any, signature: inspect.Signature) -> Iterator[str]:
    """Say which function a wrapper hides: of `f(*args, **kwargs)` nobody knows the parameters."""
    kinds = {parameter.kind for parameter in signature.parameters.values()}
    hides = kinds == {inspect.Parameter.VAR_POSITIONAL, inspect.Parameter.VAR_KEYWORD}
    if not (hides and inspect.isfunction(function)):
        return
    for inner in handed_on_to(function):
        if inspect.isfunction(inner) and inner.__code__.co_argcount:
            names = ", ".join(inspect.signature(inner).parameters)
            yield (
                f"its body is {function.__qualname__}(*args, **kwargs) around"
                f" {inner.__qualname__}({names}), whose parameters it hides: a"
                " call by position and the same call by name have two keys, so both run at once;"
                f" write @functools.wraps({inner.__name__}) over the wrapper, or Lock(key=...) with"
                " a function"
            )


def _check_body(cls: Any, name: str, function: Any, lock: Lock) -> None:
    body = behind_celerys(function)
    if inspect.iscoroutinefunction(body) and own_call(cls) is not None:
        if lock.on_lost != "interrupt":
            return
        raise LockConfigurationError(
            f"the body of task {name} is a coroutine function, which no interrupt reaches: leave"
            ' on_lost="interrupt" out, and let the body ask self.lease.check()'
        )
    for kind, is_one in (
        ("a coroutine function", inspect.iscoroutinefunction),
        ("an async generator", inspect.isasyncgenfunction),
        ("a generator function", inspect.isgeneratorfunction),
    ):
        if is_one(body):
            raise LockConfigurationError(
                f"the body of task {name} is {kind}: calling it runs nothing yet, so the lock"
                " would be given back before the body runs; make it a plain function"
                " (asyncio.run(...) inside it is fine)"
                f"{_BY_CLASS if inspect.iscoroutinefunction(body) else ''}"
            )
