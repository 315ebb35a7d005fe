"""The part of a name by which a cluster chooses the place where it is kept."""

from __future__ import annotations

__all__ = ["hash_tag", "tagged"]

_ESCAPES = str.maketrans({"%": "%25", "{": "%7B", "}": "%7D"})


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
