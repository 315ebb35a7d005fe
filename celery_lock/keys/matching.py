"""Which keys a template may have made: found again by their form, without the calls."""

from __future__ import annotations

import re

from .template import CONTROL, LONE, Template

__all__ = ["KeysOfTemplate"]

_ESCAPE = "%[0-9A-F]{2}"
_DIGEST = "[0-9a-f]{32}"


class KeysOfTemplate:
    """The keys that one template makes, whatever the arguments are.

    Values cannot show the separators of their template, so a key of `order:{id}:items` is none of
    `order:{id}`. A key above 1,024 bytes was cut, and is not known again.
    """

    def __init__(self, template: str) -> None:
        """Raises `LockConfigurationError` for a text that is no template."""
        read = Template(template)
        self.template = template
        self.beginning = read.literals[0]
        """What all of them begin with."""
        separators = re.escape("".join(sorted(read.separators())))
        value = f"(?:[^%{separators}{CONTROL}{LONE}]|{_ESCAPE})*"
        pieces = [re.escape(self.beginning)]
        for field, literal in zip(read.fields, read.literals[1:], strict=True):
            pieces += (_DIGEST if field.digested else value, re.escape(literal))
        self._pattern = re.compile("".join(pieces))

    @classmethod
    def of_task(cls, task: str) -> KeysOfTemplate:
        """Return the keys of a task that has no template: a digest of all arguments."""
        # (the name has no braces in a template)
        keys = cls("{arguments!h}")
        keys.template, keys.beginning = f"{task}:*", f"{task}:"
        keys._pattern = re.compile(re.escape(keys.beginning) + _DIGEST)
        return keys

    def has(self, key: str) -> bool:
        """Whether a key has the form of this template's."""
        return self._pattern.fullmatch(key) is not None
