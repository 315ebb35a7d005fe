"""A key template as its author wrote it: parsed, and checked for what no task could mend."""

from __future__ import annotations

import re
import string
from dataclasses import dataclass

from ..errors import LockConfigurationError
from .message_context import BUCKET, QUEUE, SENDERS, bucket_seconds

__all__ = ["CONTROL", "LONE", "UNPRINTABLE", "Field", "Template"]

CONTROL = "\x00-\x1f\x7f-\x9f\u2028\u2029"
"""What breaks a line of a log, as the inside of a character class."""
LONE = "\ud800-\udfff"
"""Lone surrogates, which are no UTF-8."""
UNPRINTABLE = re.compile(f"[{CONTROL}{LONE}]")

_FIELD = re.compile(r"([^.\[\]]*)((?:\.[^.\[\]]+|\[[^\]]+\])*)")
_DEFAULT = re.compile(r"((?:\[[^\]]*\]|[^|\[])*)\|(.*)", re.DOTALL)
"""A field and its default: a `|` between brackets belongs to a name."""
_CONVERSION = re.compile(r"\{[^{}!:]*!([^{}:]*)[:}]")
_AROUND = "'\"` "
_LONGEST_PLACE = 200  # AMQP takes names of 255 bytes
_STEP = re.compile(r"\.([^.\[\]]+)|\[([^\]]+)\]")


@dataclass(frozen=True)
class Field:
    """One `{...}` of a template."""

    written: str
    """What stands between the braces, without a conversion."""
    head: str
    """The argument's name."""
    path: tuple[str, ...]
    """The items to go through from there; `.name` and `[name]` are the same."""
    digested: bool
    """It ends in `!h`: a digest is written instead of the value."""
    every: int | None = None
    """The length in seconds, where the field is a bucket of time."""
    default: str | None = None
    """What is written where the message has no such header."""

    @property
    def place(self) -> str:
        """What the field reads, always in one spelling: `header[tenant]`."""
        return self.head + "".join(f"[{step}]" for step in self.path)


class Template:
    """A key template such as `"order:{order[customer]}"`."""

    __slots__ = ("fields", "literals", "text")

    def __init__(self, text: str) -> None:
        """Parse `text`; what is wrong with it raises `LockConfigurationError`."""
        self.text = text
        if not text.strip():
            raise LockConfigurationError(
                f"key template {text!r} is empty; write a name, or leave the key out to lock "
                "on the task and all its arguments"
            )
        self.literals: list[str] = [""]  # the texts before, between and behind the fields
        self.fields: list[Field] = []
        self._parse()
        self._check_literals()

    def separators(self) -> set[str]:
        """Return the characters that no value may show as they are.

        Between two fields the first one of the text there, at which the earlier value ends; and
        whatever else stands next to a field, other than letters and digits, so that
        `"order:{id}"` cannot look like `"order:{id}:items"`.
        """
        found = {between[0] for between in self.literals[1:-1]}
        before = (literal[-1:] for literal in self.literals[:-1])
        behind = (literal[:1] for literal in self.literals[1:])
        return found.union(char for char in (*before, *behind) if char and not char.isalnum())

    def wrong(self, what: str) -> LockConfigurationError:
        """Return the error that says what is wrong with this template."""
        return LockConfigurationError(f"key template {self.text!r} {what}")

    def _parse(self) -> None:
        try:
            for literal, name, spec, conversion in string.Formatter().parse(self.text):
                self.literals[-1] += literal
                if name is not None:
                    self.fields.append(self._field(name, spec, conversion))
                    self.literals.append("")
        except ValueError as exc:
            # Python's parser takes a conversion of one letter, and says of others what misleads
            found = _CONVERSION.search(self.text.replace("{{", "").replace("}}", ""))
            if found is not None and len(found[1]) != 1:
                raise self._unknown_conversion(found[1]) from exc
            raise self.wrong(f"is malformed ({exc}); a brace itself is written twice") from exc

    def _field(self, name: str, spec: str | None, conversion: str | None) -> Field:
        if re.split(r"[.\[]", name, maxsplit=1)[0] == BUCKET:
            return self._bucket(name, spec, conversion)
        name, default = self._without_default(name, spec)
        if spec:
            raise self.wrong(
                f"formats {{{name}}} with {':' + spec!r}, which keys do not do; write {{{name}}}"
            )
        if conversion not in (None, "h"):
            raise self._unknown_conversion(conversion)
        found = _FIELD.fullmatch(name)
        if found is None:
            raise self.wrong(
                f"has the field {{{name}}}, which cannot be read; write {{order.customer}} or "
                "{order[customer]}"
            )
        head, steps = found.groups()
        if not head or head.isdecimal():
            raise self.wrong(
                f"has the field {{{name}}}, which counts positions; write the parameter's name, "
                "or {args[0]} where the task takes *args"
            )
        path = tuple(dotted or bracketed for dotted, bracketed in _STEP.findall(steps))
        self._check_what_is_read(name, head, path)
        return Field(name, head, path, conversion == "h", default=default)

    def _without_default(self, name: str, spec: str | None) -> tuple[str, str | None]:
        """Return a field and its default apart."""
        found = _DEFAULT.fullmatch(name)
        if found is None:
            return name, None
        before, default = found.groups()
        if re.split(r"[.\[]", before, maxsplit=1)[0] != SENDERS:
            raise self.wrong(
                f"has a default in {{{name}}}, but only a header may be missing: write"
                f" {{{before or 'order_id'}}}; a parameter of the task has its default there"
            )
        if spec or not default or default != default.strip():
            raise self.wrong(
                f"has the default {default + ':' + spec if spec else default!r} in"
                f" {{{before}|...}}; write a word without ':', '!' and braces, as in"
                f" {{{before}|public}}"
            )
        return before, default

    def _check_what_is_read(self, name: str, head: str, path: tuple[str, ...]) -> None:
        """Refuse a field of the message that reads nothing, or what no message can have."""
        if head == QUEUE and path:
            raise self.wrong(f"has the field {{{name}}}, but a queue is its name: write {{queue}}")
        if head != SENDERS:
            return
        if not path:
            raise self.wrong(
                "has the field {header}, but a key shows one header of a message: write"
                " {header[tenant]}; a parameter of that name needs another one, or a key function"
            )
        if any(step != step.strip(_AROUND) for step in path):
            raise self.wrong(
                f"has the field {{{name}}}, but no header has quotes or spaces around its name:"
                f" write {{header[{path[0].strip(_AROUND)}]}}"
            )
        if len(name) > _LONGEST_PLACE:
            raise self.wrong(f"has the field {{{name}}}, which is longer than a header's name is")

    def _unknown_conversion(self, conversion: str) -> LockConfigurationError:
        return self.wrong(
            f"has the conversion '!{conversion}'; only '!h' is known, which writes a digest "
            "instead of the value"
        )

    def _bucket(self, name: str, spec: str | None, conversion: str | None) -> Field:
        every = bucket_seconds(spec)
        if name == BUCKET and every is not None and conversion is None:
            return Field(f"{name}:{spec}", name, (), False, every)
        written = f"{name}{'!' + conversion if conversion else ''}{':' + spec if spec else ''}"
        raise self.wrong(
            f"has the field {{{written}}}, but a bucket is the time of publication, rounded down:"
            " write {bucket:1h}, with a whole number of 1 or more and one of s, m, h, d; a"
            " parameter of that name needs another one, or a key function"
        )

    def _check_literals(self) -> None:
        whole = "".join(self.literals)
        found = UNPRINTABLE.search(whole)
        if found:
            raise self.wrong(f"has the character {found.group()!a} in it; write one that prints")
        if self.fields and "%" in whole:
            raise self.wrong(
                "has a '%', which marks escaped characters in the values; "
                "use another separator, such as ':'"
            )
        for place, between in enumerate(self.literals[1:-1]):
            if not between:
                one, two = self.fields[place : place + 2]
                raise self.wrong(
                    f"has nothing between {{{one.written}}} and {{{two.written}}}, so that "
                    "'1' and '23' would be '12' and '3'; put a separator there"
                )
