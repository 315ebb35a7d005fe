"""What a task's key is made from: all its arguments, a template, or a function."""

from __future__ import annotations

import inspect
from collections.abc import Callable, Mapping, Sequence
from typing import Any

from ..errors import LockConfigurationError, LockError
from .fields import reader_of, template_over
from .function import check_function, function_name, function_over
from .json_form import canonical, digest
from .message_context import BEAT, OF_MESSAGES, QUEUE, SENDERS, UNKNOWN, MessageContext
from .parameters import Parameters
from .pydantic_models import Model
from .template import UNPRINTABLE, Field, Template

__all__ = [
    "FinishedKey",
    "KeySource",
    "check_declared_key",
    "check_key",
    "compile_key",
    "read_template",
]

_LONGEST = 1024  # bytes
_SURELY_FITS = _LONGEST // 4  # characters: none has more than four bytes
_HEAD = 64  # bytes of a longer key that stay readable
_CUT = "%~"  # no template can write this, for `%` is always followed by two hex digits
_DIGITS = 32

_DIGEST_VERSION = "1"
"""What the digest of all arguments is made of. Another number is another key for every task
without a template, and old and new workers no longer exclude each other."""


class KeySource:
    """The keys of one task; made when the task is bound, asked for each message."""

    __slots__ = (
        "_parameters",
        "_readers",
        "_write",
        "defaults",
        "of_one_tick",
        "shows_message",
        "shows_queue",
        "shows_sender",
        "template",
        "timed",
    )

    def __init__(
        self,
        template: str,
        parameters: Parameters,
        write: Callable[[Mapping[str, Any], MessageContext], str],
        fields: Sequence[Field] = (),
    ) -> None:
        self.template = template
        """What all keys of this task have in common, for messages and metrics: the template,
        `"<task name>:*"` for a digest of the arguments, or the name of the key function."""
        self.timed = any(field.every is not None for field in fields)
        """Its keys show when a message was first published, so the publisher has to say so."""
        self.of_one_tick = any(field.head == BEAT and field.path == ("due",) for field in fields)
        """Its keys show when a tick was due: two ticks of a schedule never have one key."""
        self.shows_queue = any(field.head == QUEUE for field in fields)
        """Its keys show the queue that the message is in."""
        self.defaults = tuple(f"{each.place}|{each.default}" for each in fields if each.default)
        """Its fields that have a default, for a message without the header."""
        self._readers = {
            field.place: reader_of(field) for field in fields if field.head in (SENDERS, QUEUE)
        }
        self.shows_sender = bool(self._readers)
        """Its keys show headers of the message, or its queue."""
        self.shows_message = any(field.head in OF_MESSAGES for field in fields)
        """Its keys show anything of the message: what makes them is asked with a context."""
        self._parameters = parameters
        self._write = write

    def shown(self, context: MessageContext) -> dict[str, str]:
        """Return what a key shows of a message's headers and queue: see `MessageContext.shown`."""
        found = {}
        for place, read in self._readers.items():
            try:
                found[place] = read(context)
            except LockError:  # the message has a key that its sender made
                continue
        return found

    def render(
        self, args: Sequence[Any], kwargs: Mapping[str, Any], context: MessageContext = UNKNOWN
    ) -> str:
        """Return the key of a call with these arguments, whose message has this `context`.

        The same call spelt otherwise (positions, names, defaults) has the same key, before and
        after its journey through a message. A key above 1,024 bytes is its first 64 and a digest.

        Raises `LockConfigurationError` where the declaration does not fit what the task gets
        (a type without a JSON form, a function that returns no string, a message that does not
        say what the template shows of it), and `LockError` for a value that cannot be used (an
        item that is not there, control characters, nothing).
        """
        key = self._write(self._parameters.bind(args, kwargs), context)
        if 0 < len(key) <= _SURELY_FITS and _CUT not in key and not UNPRINTABLE.search(key):
            return key  # nearly every one
        why = _unusable(key)
        if why:
            raise LockError(f"{self._parameters.whose}: the key made by {self.template!r} {why}")
        return _bounded(key)


class FinishedKey(str):
    """The key of a call: whoever gets it takes it as it is, a brace in it too."""

    __slots__ = ()


def check_key(key: object) -> None:
    """Refuse a finished key, made elsewhere, that cannot be one. Raises `LockError`."""
    if not isinstance(key, str):
        raise LockError(f"a key must be a string, not a value of type {type(key).__name__}")
    why = _unusable(key)
    if why is None and len(key.encode()) > _LONGEST:
        why = f"has more than {_LONGEST} bytes; send a digest instead"
    if why:
        raise LockError(f"the key {key[:_HEAD]!a} {why}")


def check_declared_key(key: object) -> None:
    """Refuse a key declaration that fits no task. Raises `LockConfigurationError`."""
    if isinstance(key, str):
        Template(key)
    elif callable(key):
        check_function(key)
    elif key is not None:
        raise LockConfigurationError(
            f"key={key!r} is no key; write a template such as 'order:{{order_id}}', a function "
            "of the task's parameters, or leave it out to lock on all arguments"
        )


def read_template(text: str) -> tuple[list[str], str]:
    """Return the fields that a template names, each once, and its text where it has none.

    Raises `LockConfigurationError` for what fits nowhere.
    """
    template = Template(text)
    return list(dict.fromkeys(field.head for field in template.fields)), "".join(template.literals)


def compile_key(
    key: str | Callable[..., str] | None,
    *,
    task: str,
    signature: inspect.Signature,
    models: Mapping[str, Model] | None = None,
    whose: str = "",
) -> KeySource:
    """Return the source of keys for the task named `task`.

    `signature` is the one of the task's `run` without `self`, `models` what `find_models` says,
    and `whose` what messages call it where it is no task.
    Needs no server. Raises `LockConfigurationError` for whatever can be known to be wrong
    before the first message.
    """
    check_declared_key(key)
    parameters = Parameters(task, signature, models, whose)
    if key is None:
        return KeySource(f"{task}:*", parameters, _digest_over(parameters))
    if isinstance(key, str):
        template = Template(key)
        return KeySource(key, parameters, template_over(template, parameters), template.fields)
    return KeySource(function_name(key), parameters, function_over(key, parameters))


def _digest_over(parameters: Parameters) -> Callable[[Mapping[str, Any], MessageContext], str]:
    """Return what writes the task's name and a digest of the JSON form of all its arguments.

    Injective: two calls have one key only if the canonical JSON of their arguments is one.
    """
    _check_defaults(parameters)
    task, form = parameters.task, parameters.form

    def write(bound: Mapping[str, Any], context: MessageContext) -> str:
        forms = {name: form(name, value) for name, value in bound.items()}
        try:
            text = canonical(forms)
        except RecursionError as exc:  # (each argument had just been shallow enough)
            raise LockError(f"task {task!r}: its arguments are nested too deep for a key") from exc
        return f"{task}:{digest(_DIGEST_VERSION + text)}"

    return write


def _check_defaults(parameters: Parameters) -> None:
    """Refuse a default without a JSON form now: nearly every call would fail on it."""
    for name, parameter in parameters.signature.parameters.items():
        if parameter.default is not parameter.empty:
            try:
                parameters.form(name, parameter.default)
            except LockConfigurationError:
                raise
            except LockError:
                # (a lazy string may not be ready while modules are being imported)
                continue


def _unusable(key: str) -> str | None:
    if not key:
        return "is empty; put a name in front, such as 'order:{order_id}'"
    if UNPRINTABLE.search(key):
        return "has control characters or lone surrogates; use a digest of such a value"
    return None


def _bounded(key: str) -> str:
    fits = len(key) * 4 <= _LONGEST or len(key.encode()) <= _LONGEST
    # A key that looks as if it had been cut is cut, so that no short key is a long one's.
    if fits and key[-_DIGITS - len(_CUT) : -_DIGITS] != _CUT:
        return key
    head = key.encode()[:_HEAD].decode("utf-8", "ignore")
    return f"{head}{_CUT}{digest(key)}"
