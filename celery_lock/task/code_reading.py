"""What the code of a user's class reads: names, and the attributes of some of its variables."""

from __future__ import annotations

import dis
from collections.abc import Iterator
from contextlib import suppress
from types import CodeType, FunctionType
from typing import Any

__all__ = ["closed_over", "handed_on_to", "names_in", "reads_of", "words_in"]

_JUMPS = {*dis.hasjrel, *dis.hasjabs}


def names_in(code: CodeType) -> Iterator[str]:
    """Yield each global and attribute that the code names, its inner functions included."""
    yield from code.co_names
    for constant in code.co_consts:
        if isinstance(constant, CodeType):
            yield from names_in(constant)


def words_in(code: CodeType) -> Iterator[str]:
    """Yield what the code names, and each of its texts: `getattr(self, "key")`."""
    yield from code.co_names
    for constant in code.co_consts:
        if isinstance(constant, CodeType):
            yield from words_in(constant)
        elif isinstance(constant, str):
            yield constant


def reads_of(code: CodeType, roots: set[str]) -> Iterator[str]:
    """Yield each attribute of one of these variables that the code reads."""
    before: Any = None
    for step in dis.get_instructions(code):
        if "ATTR" in step.opname or "METHOD" in step.opname:
            yield from [str(step.argval)] if before in roots else []
        before = step.argval if step.opname.startswith("LOAD_") else None
        if isinstance(before, tuple):  # two variables in one step
            before = before[-1]
        before = before if isinstance(before, str) else None
    for constant in code.co_consts:
        if isinstance(constant, CodeType):
            yield from reads_of(constant, roots)
        elif isinstance(constant, str) and "getattr" in code.co_names:
            yield constant


def closed_over(function: FunctionType) -> dict[str, Any]:
    """Return what a function closes over, by name, without what has no value yet."""
    closed = {}
    cells = zip(function.__code__.co_freevars, function.__closure__ or (), strict=True)
    for name, cell in cells:
        with suppress(ValueError):
            closed[name] = cell.cell_contents
    return closed


def handed_on_to(function: FunctionType) -> Iterator[Any]:
    """Yield what a function calls with `*args`, or names in such a call, of what it closes over."""
    closed = closed_over(function)
    for name in dict.fromkeys(_spread_over(function.__code__, set(closed))):
        yield closed[name]


def _spread_over(code: CodeType, roots: set[str]) -> Iterator[str]:
    """Yield each root that is called with `*args`: it is known by its place on the stack."""
    depth = 0
    after_jump: dict[int, int] = {}
    places: dict[int, str] = {}
    for step in dis.get_instructions(code):
        depth = after_jump.get(step.offset, depth)
        after = depth + dis.stack_effect(step.opcode, step.arg, jump=False)
        if step.opcode in _JUMPS:
            jumped = depth + dis.stack_effect(step.opcode, step.arg, jump=True)
            after_jump.setdefault(step.argval, jumped)
        if step.opname == "CALL_FUNCTION_EX":  # its result takes the place of the called, or
            called = places.get(after - 1) or places.get(after)  # of a NULL before that (3.11)
            yield from [called] if called else []
        puts = after >= depth or step.opname.startswith("CALL")
        below = after - 1 if puts else after
        places = {place: name for place, name in places.items() if place < below}
        if step.opname == "LOAD_DEREF" and step.argval in roots:
            places[below] = step.argval
        depth = after
    for constant in code.co_consts:
        if isinstance(constant, CodeType):
            yield from _spread_over(constant, roots)
