"""What an app may set: the `lock_*` names of `app.conf`, read and checked once.

Read with `conf.get(name)` alone, which finds the names under a namespace too
(`CELERY_LOCK_TTL` in Django); defaults put into the conf would override a user's own values.
"""

from __future__ import annotations

import difflib
import warnings
from collections.abc import Iterator, Mapping
from dataclasses import KW_ONLY, dataclass, field, fields
from types import MappingProxyType
from typing import Any, Literal

from ..errors import LockConfigurationError
from ..model import Lock, OnConflict, OnStoreError, checked_on_store_error, checked_policy
from ..model.durations import seconds

__all__ = ["Settings"]

_ABSENT = object()

_LONGEST_DEADLINE = 86_400.0
"""Seconds: a socket counts in milliseconds, and not beyond some 24 days."""


@dataclass(frozen=True)
class Settings:
    """The settings of one app; each field is `lock_` + its name in `app.conf`.

    Raises `LockConfigurationError` for a value that makes no sense.
    """

    _: KW_ONLY
    # a URL and its options may hold a password: neither is ever printed
    store: str | None = field(default=None, repr=False)
    """URL of the store. Default: the broker, else the result backend, if it is one Redis."""
    store_options: Mapping[str, Any] = field(default_factory=dict, repr=False)
    """What the store's driver is given besides, as Celery's own transport options are."""
    store_deadline: float = 2.0
    """Seconds that one call to the store may take. Shorter: a slow store counts as down sooner.
    Longer: a hung one blocks a pool process or thread for longer. Keep it well below `ttl`."""
    key_prefix: str = "celery-lock:"
    """What all keys in the store begin with. Apps that share a server and a prefix share locks;
    a new prefix is a new set of locks, so old and new workers do not exclude each other."""
    ttl: float = 30.0
    """Seconds that a lease lives when nobody renews it, for a `Lock` without a `ttl`. Longer: a
    lost machine blocks its keys for longer. Shorter: a slow network loses leases; below 5 s is
    unsafe."""
    on_conflict: OnConflict | None = None
    """What is done when the key is taken, for a `Lock` without an `on_conflict`. Default: what
    suits the lock's scope, which is `requeue()`."""
    on_store_error: OnStoreError = "requeue"
    """What is done when the store gives no answer, for a `Lock` without an `on_store_error`."""
    send_events: bool | None = None
    """Send `lock-*` events: one message to the broker for each fact. Default: while
    the worker sends the events of tasks; in other processes `worker_send_task_events`."""

    beat_on_store_error: Literal["wait", "fire"] = "wait"
    """What a beat of `celery_lock.beat` does while the store gives no answer. `wait`: nothing;
    afterwards each entry runs once for all that it missed. `fire`: publishes every tick from
    every beat, with the same task id."""

    def __post_init__(self) -> None:
        put = object.__setattr__
        if self.store is not None and (not isinstance(self.store, str) or not self.store):
            raise LockConfigurationError(
                f"lock_store is {_kind(self.store)} (not shown: it may hold a password); write a"
                " URL such as 'redis://localhost:6379/1', or None for the broker's own server"
            )
        if not isinstance(self.store_options, Mapping) or not all(
            isinstance(name, str) for name in self.store_options
        ):
            raise LockConfigurationError(
                f"lock_store_options is {_kind(self.store_options)} (not shown: it may hold a"
                " password); write a dict with names as keys, such as {'client_name': 'locks'}"
            )
        put(self, "store_options", MappingProxyType(dict(self.store_options)))
        deadline = seconds(self.store_deadline, "lock_store_deadline", longest=_LONGEST_DEADLINE)
        put(self, "store_deadline", deadline)
        _check_prefix(self.key_prefix)
        put(self, "ttl", seconds(self.ttl, "lock_ttl"))
        if self.on_conflict is not None:
            checked_policy(self.on_conflict, "lock_on_conflict")
        checked_on_store_error(self.on_store_error, "lock_on_store_error")
        if self.send_events is not None and not isinstance(self.send_events, bool):
            raise LockConfigurationError(
                f"lock_send_events={self.send_events!r} is not known; write True, False, or None"
                " to follow worker_send_task_events"
            )
        if self.beat_on_store_error not in ("wait", "fire"):
            raise LockConfigurationError(
                f"lock_beat_on_store_error={self.beat_on_store_error!r} is not known; write 'wait'"
                " (entries run late, and once) or 'fire' (every beat publishes every tick)"
            )

    @classmethod
    def read(cls, conf: Mapping[str, Any]) -> Settings:
        """Read an `app.conf`.

        Raises `LockConfigurationError` for a bad value and for a name that is nearly one of
        ours; warns of `lock_*` names that are not, and of ours where Celery does not read them.
        """
        given = {f.name: conf.get(f"lock_{f.name}", _ABSENT) for f in fields(cls)}
        _check_names(conf)  # after the first `get`, which is what loads a lazy conf
        return cls(**{name: value for name, value in given.items() if value is not _ABSENT})


def _check_prefix(value: object) -> None:
    # braces would move Redis Cluster's hash tag; the rest cannot be typed or told apart in a log
    if (
        not isinstance(value, str)
        or not value
        or not value.isprintable()
        or any(c.isspace() or c in "{}" for c in value)
    ):
        raise LockConfigurationError(
            f"lock_key_prefix={value!r} is no prefix; write a string of at least one character,"
            " without braces, spaces and control characters, such as 'celery-lock:'"
        )


def _kind(value: object) -> str:
    return "empty" if value == "" else f"of type {type(value).__name__}"


# -- names: a misspelt one must not be ignored in silence ------------------------------------


def _check_names(conf: Mapping[str, Any]) -> None:
    namespace: str = getattr(conf, "prefix", None) or ""  # "CELERY_" in most Django projects
    known = [f"lock_{f.name}" for f in fields(Settings)]
    strangers = []
    for written, meant in sorted(_candidates(conf, namespace)):
        readable = (meant, _spelt(meant, namespace))
        if meant in known:
            if written not in readable:
                warnings.warn(
                    f"Celery does not read the setting {written}; write {_spelt(meant, namespace)}",
                    stacklevel=3,
                )
        elif written in readable:
            hint = _of_a_lock(meant)
            if hint is not None:
                raise LockConfigurationError(
                    f"there is no setting {written}: {hint}; there are {_listed(known, namespace)}"
                )
            in_namespace = "" if written == meant else namespace
            close = _closest(meant, known)
            if close is not None:
                raise LockConfigurationError(
                    f"there is no setting {written}"
                    f" (did you mean {_spelt(close, in_namespace)!r}?);"
                    f" there are {_listed(known, in_namespace)}"
                )
            strangers.append(written)
    _check_outside(conf, namespace, known)
    if strangers:
        warnings.warn(
            f"celery_lock has no setting {', '.join(strangers)}; it has"
            f" {_listed(known, namespace)}",
            stacklevel=3,
        )


def _of_a_lock(meant: str) -> str | None:
    """Return what to write instead of a setting that only a single lock has; `None`: none has."""
    name = meant.removeprefix("lock_")
    if name in _OF_EACH_LOCK:
        return f"each lock says it, Lock(..., {name}=...)"
    if name in ("expiry", "expire", "expires", "timeout", "lifetime"):
        return "here it is lock_ttl"
    return None


_OF_EACH_LOCK = {f.name for f in fields(Lock)}


def _check_outside(conf: Mapping[Any, Any], namespace: str, known: list[str]) -> None:
    """Refuse a setting of ours that is written without the namespace, as Celery reads none.

    One that is written with it as well is another program's.
    """
    if not namespace:
        return
    names = {name for name in conf.keys() if isinstance(name, str)}  # noqa: SIM118 (as below)
    for name in known:
        meant = _spelt(name, namespace)
        if name.upper() in names and not {meant, name} & names:
            raise LockConfigurationError(
                f"the setting {name.upper()} is not read: Celery reads those that begin with"
                f" {namespace}; write {meant}. If {name.upper()} is another program's, write"
                f" {meant} as well"
            )


def _candidates(conf: Mapping[Any, Any], namespace: str) -> Iterator[tuple[str, str]]:
    """Yield each name that may be meant for us, as written and as `lock_...`.

    Only names are looked at: a value may be a property, or cost an import.
    """
    for written in conf.keys():  # noqa: SIM118 (a conf over an object iterates by keys() alone)
        if not isinstance(written, str):
            continue
        name = written.lower()
        if name.startswith("lock_") and (not namespace or written == name):
            # with a namespace, an upper-case name without it is another program's
            yield written, name
            continue
        if namespace:
            name = name.removeprefix(namespace.lower())
        name = name.removeprefix("celery_")  # a fair guess at what we would be called
        if name.startswith("lock_") and name != written.lower():
            yield written, name


def _spelt(name: str, namespace: str) -> str:
    """How Celery wants `name` written under the namespace."""
    if not namespace:
        return name
    whole = namespace + name
    return whole.upper() if namespace.isupper() else whole.lower()


def _closest(name: str, known: list[str]) -> str | None:
    """Return the known name that `name` is nearly; the common `lock_` does not count."""
    rests = {k.removeprefix("lock_"): k for k in known}
    close = difflib.get_close_matches(name.removeprefix("lock_"), rests, n=1, cutoff=0.6)
    return rests[close[0]] if close else None


def _listed(known: list[str], namespace: str) -> str:
    return ", ".join(_spelt(name, namespace) for name in known)
