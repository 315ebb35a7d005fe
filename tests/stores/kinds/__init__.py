"""The rows of each kind of store: one file for a kind, found by its name."""

from __future__ import annotations

from importlib import import_module
from pkgutil import iter_modules

from tests.stores.rows import Row

__all__ = ["kinds", "rows_of", "scheme_of"]


def kinds() -> list[str]:
    """The names of all kinds, in the order of the alphabet."""
    return sorted(module.name for module in iter_modules(__path__))


def scheme_of(kind: str) -> str:
    """What the URLs of a kind begin with: its `SCHEME`, where that is no name of a file."""
    scheme: str = getattr(import_module(f"{__name__}.{kind}"), "SCHEME", kind)
    return scheme


def rows_of(kind: str) -> tuple[Row, ...]:
    """The rows of a kind."""
    rows: tuple[Row, ...] = tuple(import_module(f"{__name__}.{kind}").ROWS)
    assert len({row.name for row in rows}) == len(rows), f"two rows of {kind} have one name"
    return rows
