"""What a template writes for a call: each field's value, so that none can imitate another.

The separators of the template, and `%`, are percent-escaped in the values. So the first
separator after a field's start is where that field ends, and two calls have one key only if
each of their fields has one text. (An escape counts as one character: it may have a digit in it
that is a separator. A digest has a length of its own, and needs no end.)
"""

from __future__ import annotations

import re
from collections.abc import Callable, Mapping
from typing import Any

from ..errors import LockError, did_you_mean
from .json_form import SHORT_BITS, digest, text_of
from .message_context import (
    BEAT,
    OF_MESSAGES,
    QUEUE,
    SENDERS,
    MessageContext,
    NotInMessage,
    bucket_reader,
    tick_reader,
)
from .parameters import Parameters
from .senders import queue_of, sender_reader
from .template import CONTROL, LONE, Field, Template

__all__ = ["reader_of", "template_over"]

_HAS_CONTROL = re.compile(f"[{CONTROL}]")
_MOST_NAMES = 20  # in a message


def template_over(
    template: Template, parameters: Parameters
) -> Callable[[Mapping[str, Any], MessageContext], str]:
    """Return what writes the key of a call, given its bound arguments and its message's context.

    Raises `LockConfigurationError` for a field that the task does not have.
    """
    last = template.literals[-1]
    if not template.fields:
        return lambda bound, context: last
    separators = re.escape("".join(sorted(template.separators())))
    special = re.compile(f"[%{separators}{CONTROL}{LONE}]")
    values = [
        (_OfMessage if field.head in OF_MESSAGES else _Value)(field, template, parameters, special)
        for field in template.fields
    ]
    pairs = list(zip(template.literals, values))  # noqa: B905 (there is one literal more)
    if len(pairs) == 1:  # the usual template
        ((first, only),) = pairs
        name = only.shows_digits if isinstance(only, _Value) else None

        def write_one(bound: Mapping[str, Any], context: MessageContext) -> str:
            if name is not None:
                value = bound[name]
                if type(value) is int and value.bit_length() < SHORT_BITS:  # as `text` would
                    return f"{first}{value}{last}"
            return f"{first}{only.text(bound, context)}{last}"

        return write_one

    def write(bound: Mapping[str, Any], context: MessageContext) -> str:
        pieces: list[str] = []
        for before, value in pairs:
            pieces += (before, value.text(bound, context))
        pieces.append(last)
        return "".join(pieces)

    return write


def reader_of(field: Field) -> Callable[[MessageContext], str]:
    """Return what reads a field that is no argument from the context of a message."""
    if field.head == SENDERS:
        return sender_reader(field.place, field.path, field.default)
    if field.head == QUEUE:
        return queue_of
    return tick_reader(field.path) if field.every is None else bucket_reader(field.every)


class _Written:
    """How the value of one field is written."""

    __slots__ = ("_field", "_parameters", "_special", "_template")

    def __init__(
        self, field: Field, template: Template, parameters: Parameters, special: re.Pattern[str]
    ) -> None:
        self._field = field
        self._template = template
        self._parameters = parameters
        self._special = special

    def text(self, bound: Mapping[str, Any], context: MessageContext) -> str:
        """Return what the key shows of this field."""
        text = self._value(bound, context)
        if self._field.digested:
            return digest(text)
        if not self._special.search(text):
            return text
        if _HAS_CONTROL.search(text):
            field = self._field.written
            raise LockError(
                f"{self._where()}: the value of {{{field}}} has control characters; write "
                f"{{{field}!h}} for a digest of it, or check the value before the task is sent"
            )
        return self._special.sub(_percent, text)

    def _value(self, bound: Mapping[str, Any], context: MessageContext) -> str:
        raise NotImplementedError

    def _where(self) -> str:
        return f"{self._parameters.whose}, key template {self._template.text!r}"


class _OfMessage(_Written):
    """A field that is no argument: the message itself says it."""

    __slots__ = ("_read",)

    def __init__(
        self, field: Field, template: Template, parameters: Parameters, special: re.Pattern[str]
    ) -> None:
        super().__init__(field, template, parameters, special)
        if field.head in parameters.names:
            raise template.wrong(
                f"has the field {{{field.written}}}, which says something of the message, but"
                f" {parameters.whose} has a parameter named {field.head!r} as well; give that"
                " another name, or write a key function"
            )
        if field.head == BEAT and field.path not in (("entry",), ("due",)):
            raise template.wrong(
                f"has the field {{{field.written}}}, but a tick has {{beat[entry]}} and"
                " {beat[due]} only"
            )
        self._read = reader_of(field)

    def _value(self, bound: Mapping[str, Any], context: MessageContext) -> str:
        try:
            return self._read(context)
        except NotInMessage as error:
            raise NotInMessage(
                f"{self._where()}: {{{self._field.written}}} has no value, since {error}"
            ) from None
        except LockError as error:
            raise LockError(f"{self._where()}: {error}") from error


class _Value(_Written):
    """A field that is an argument of the call."""

    __slots__ = ("_digits", "_name", "_open", "_whole")

    def __init__(
        self, field: Field, template: Template, parameters: Parameters, special: re.Pattern[str]
    ) -> None:
        super().__init__(field, template, parameters, special)
        self._name = self._resolve()
        self._open = self._name in (parameters.rest, parameters.extra)
        self._whole = not (field.path or field.digested or parameters.has_model(self._name))
        """It shows the argument as it is: a `str` is itself in JSON, and an `int` too."""
        self._digits = not special.search("-0123456789")
        """No `int` has a character that must not be shown as it is."""
        if self._name == parameters.rest and field.path and not field.path[0].isdecimal():
            raise template.wrong(
                f"has the field {{{field.written}}} for {parameters.whose}, but "
                f"*{self._name} takes numbers; write {{{field.head}[0]}}"
            )

    def _resolve(self) -> str:
        """Return the parameter that the field names."""
        head, has = self._field.head, self._parameters
        if head in has.names:
            return head
        if head == "args" and has.rest:
            return has.rest
        if head == "kwargs" and has.extra:
            return has.extra
        hint = did_you_mean(head, has.names) or did_you_mean(head, OF_MESSAGES)
        if has.extra and not hint:
            hint = f" (write {{{has.extra}[{head}]}} for what **{has.extra} takes)"
        raise self._template.wrong(
            f"has the field {{{self._field.written}}}, but {has.whose} has no {head!r}"
            f"{hint}; it has {', '.join(has.names) or 'no parameters'}"
        )

    @property
    def shows_digits(self) -> str | None:
        """The name of an argument that it shows in its own digits where that is an `int`; `None`:
        it shows none so."""
        return self._name if self._whole and self._digits else None

    def text(self, bound: Mapping[str, Any], context: MessageContext) -> str:
        """Return what the key shows of this argument."""
        if self._whole:  # the usual field: the rest would come to the same
            value = bound[self._name]
            kind = type(value)
            if kind is int and self._digits and value.bit_length() < SHORT_BITS:
                return str(value)
            if kind is str and not self._special.search(value):
                return value  # type: ignore[no-any-return]  # a `str`
        return super().text(bound, context)

    def _value(self, bound: Mapping[str, Any], context: MessageContext) -> str:
        return text_of(self._form(bound))

    def _form(self, bound: Mapping[str, Any]) -> Any:
        """Return the JSON form of the field's value."""
        value, path, start = bound[self._name], self._field.path, 0
        shown = self._name
        if self._open and path:  # of *args and **kwargs only the item asked for needs a JSON form
            value, shown, start = self._step(value, 0), f"{self._name}[{path[0]}]", 1
        form = self._parameters.form(self._name, value, shown)
        for place in range(start, len(path)):
            try:
                form = self._step(form, place)
            except LockError:
                if not self._open:
                    self._parameters.check_model(self._name, value)
                raise
        return form

    def _step(self, form: Any, place: int) -> Any:
        """Return one item of a dict or a list; never an attribute."""
        step = self._field.path[place]
        if isinstance(form, dict):
            if step in form:
                return form[step]
            names = ", ".join(map(repr, list(form)[:_MOST_NAMES]))
            more = ", ..." if len(form) > _MOST_NAMES else ""
            there = f"it has {names}{more}" if form else "it is empty"
        elif isinstance(form, (list, tuple)):
            if step.isdecimal() and int(step) < len(form):
                return form[int(step)]
            there = f"it is a list of {len(form)}"
        else:
            there = f"it is a {type(form).__name__}, which has no items"
        inside = self._field.head + "".join(f"[{name}]" for name in self._field.path[:place])
        raise LockError(f"{self._where()}: {inside!r} has no item {step!r}; {there}")


def _percent(found: re.Match[str]) -> str:
    data = found.group().encode("utf-8", "surrogatepass")
    return "".join(f"%{byte:02X}" for byte in data)
