"""The key of a hold: from a template and its fields, from a call of a function, or finished."""

from __future__ import annotations

import inspect
from collections.abc import Callable, Mapping, Sequence
from typing import Any

from ..errors import LockConfigurationError, LockError, did_you_mean
from ..keys import (
    OF_MESSAGES,
    FinishedKey,
    KeySource,
    WrongArguments,
    check_key,
    compile_key,
    read_template,
)
from ..model import Lock

__all__ = ["HeldKey"]

Key = str | Callable[..., str]
KeyOfCall = Callable[[tuple[Any, ...], Mapping[str, Any]], str]


class HeldKey:
    """What a hold was given for its key, checked as far as it can be where it is written."""

    __slots__ = ("_fields", "_heads", "_key", "_literal", "_source", "who")

    def __init__(self, key: Key, fields: Mapping[str, Any] | None) -> None:
        """Raises `LockConfigurationError` for what is wrong however it will be used."""
        self._key = key
        self._fields = fields
        self._heads: list[str] = []
        self._literal = ""
        self._source: KeySource | None = None
        self.who = f"hold({key!r})" if isinstance(key, str) else "hold(<a function>)"
        """What messages call it."""
        if fields is not None and not _is_named(fields):
            raise LockConfigurationError(
                f"{self.who}: fields={fields!r} must name the values of the template, as in"
                " fields={'user_id': 7}"
            )
        if isinstance(key, str):
            self._read(key)
        elif isinstance(key, Lock):
            raise LockConfigurationError(
                f"hold() takes the key alone, and no Lock; write hold({key.key!r}, max_wait=2)"
            )
        elif not callable(key):
            raise LockConfigurationError(
                f"hold() needs a key, and {key!r} is none; write"
                ' hold("user:{user_id}", fields={"user_id": 7}, max_wait=2)'
            )
        elif fields is not None:
            raise LockConfigurationError(
                f"{self.who}: a function makes the key by itself, and has no use for fields"
            )

    @property
    def template(self) -> str:
        """What its keys have in common, for messages and metrics."""
        if self._source is not None:
            return self._source.template
        return self._key if isinstance(self._key, str) else self.who

    def _read(self, key: str) -> None:
        if isinstance(key, FinishedKey):
            self._literal = key
        else:
            self._heads, self._literal = read_template(key)
        of_message = [head for head in self._heads if head in OF_MESSAGES]
        if of_message:
            raise LockConfigurationError(
                f"{self.who} has the field {{{of_message[0]}}}, which says something of a message,"
                " and outside a task there is none; use a field of another name and give its value"
            )
        if self._fields is None:
            return
        unknown = [name for name in self._fields if name not in self._heads]
        if unknown:
            known = ", ".join(f"{{{head}}}" for head in self._heads) or "no field at all"
            raise LockConfigurationError(
                f"{self.who}: fields has {unknown[0]!r}"
                f"{did_you_mean(unknown[0], self._heads)}, and the template has {known}"
            )

    # -- in a block --------------------------------------------------------------------------

    def in_a_block(self) -> str:
        """Return the key where no call gives the fields. Raises `LockError`."""
        if not isinstance(self._key, str):
            raise LockConfigurationError(
                f"{self.who}: in a `with` there is no call whose arguments it could be given; call"
                " the function, and give hold() the key that it returns"
            )
        if not self._heads:
            return self._without_fields()
        given = self._fields or {}
        missing = [head for head in self._heads if head not in given]
        if missing:
            example = ", ".join(f"{head!r}: ..." for head in self._heads)
            raise LockConfigurationError(
                f"{self.who} has the field {{{missing[0]}}}, and no value was given for it; write"
                f" fields={{{example}}}, or let hold() decorate a function that has such a"
                " parameter. A brace itself is written twice"
            )
        if self._source is None:
            self._source = self._compiled(_signature_of(given))
        return self._source.render((), given)

    def _without_fields(self) -> str:
        """Return the text as it is, for it may be the key of a call: one that was cut already must
        not be cut again, or it would be another key."""
        try:
            check_key(self._literal)
        except LockError:
            return self._compiled(inspect.Signature()).render((), {})
        return self._literal

    # -- around a function -------------------------------------------------------------------

    def of_calls(self, function: Callable[..., Any], name: str) -> KeyOfCall:
        """Return what makes the key of a call of `function` from its arguments."""
        if isinstance(self._key, str):
            if not self._heads or (self._fields is not None and self._heads == [*self._fields]):
                key = self.in_a_block()
                return lambda args, kwargs: key
            if self._fields is not None:
                raise LockConfigurationError(
                    f"@{self.who} of {name}: the arguments of the function are the fields; leave"
                    " fields out"
                )
        try:
            signature = inspect.signature(function)
        except (TypeError, ValueError) as error:
            raise LockConfigurationError(
                f"@{self.who} of {name}: it does not tell its parameters; write a function around"
                " it"
            ) from error
        self._source = source = self._compiled(signature, f"@{self.who} of {name}")

        def key_of(args: tuple[Any, ...], kwargs: Mapping[str, Any]) -> str:
            try:
                return source.render(args, kwargs)
            except WrongArguments as wrong:
                said = wrong.said
            raise TypeError(said)  # not within the handler: the error's history is its own

        return key_of

    def _compiled(self, signature: inspect.Signature, whose: str = "") -> KeySource:
        return compile_key(self._key, task=self.who, signature=signature, whose=whose or self.who)


def _signature_of(fields: Mapping[str, Any]) -> inspect.Signature:
    kind = inspect.Parameter.KEYWORD_ONLY
    return inspect.Signature([inspect.Parameter(name, kind) for name in fields])


def _is_named(fields: Any) -> bool:
    names: Sequence[Any] = list(fields) if isinstance(fields, Mapping) else [None]
    return all(isinstance(name, str) and name.isidentifier() for name in names)
