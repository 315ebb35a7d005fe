"""The part of a name by which a cluster chooses the place where it is kept."""

from __future__ import annotations

from ...errors import LockConfigurationError

__all__ = ["before_tags", "hash_tag", "tagged"]

_ESCAPES = str.maketrans({"%": "%25", "{": "%7B", "}": "%7D"})


def before_tags(prefix: str) -> str:
    """Return what the names of all keys of a store begin with, before their hash tags.

    Raises `LockConfigurationError` for a prefix that a server would take for one.
    """
    if "{" in prefix or "}" in prefix:
        raise LockConfigurationError(
            f"lock_key_prefix={prefix!r} must have no braces: the part of a name in braces"
            " decides where a server keeps it, and that part is the lock's key"
        )
    return f"{prefix}2:"  # 2 is the layout of what follows


def hash_tag(text: str, before: str = "") -> str:
    """Return the text in braces, with no other braces in it: names that share it are together.

    `before` is what a name has before that.
    """
    if "%" in text or "{" in text or "}" in text:  # hardly any
        text = text.translate(_ESCAPES)
    return f"{before}{{{text}}}"


def tagged(tag: str) -> str:
    """Return the text that has this hash tag."""
    text = tag[1:-1]
    return text.replace("%7B", "{").replace("%7D", "}").replace("%25", "%")
