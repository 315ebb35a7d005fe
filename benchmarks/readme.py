"""The README's table of numbers: a few ratios of the results, one column for each library."""

from __future__ import annotations

from pathlib import Path

from . import names
from .page import markdown
from .results import Results

__all__ = ["FILE", "put", "quoted", "table", "write"]

FILE = Path(__file__).parents[1] / "README.md"

_HEAD = ("medians of one run", "celery_lock", "redis-py Lock", "celery-once", "celery-singleton")
"""The first row, by which the table is found."""

_LOCKS = (names.STORE, names.REDIS_PY_LOCK, names.ONCE_BACKEND, names.SINGLETON_BACKEND)
_TASKS = (names.TEMPLATE, names.REDIS_PY, names.ONCE, names.SINGLETON)


def table(results: Results) -> str:
    """Return the table."""
    prefork, threads = names.throughput("prefork"), names.throughput("threads")
    cycle = _ratios(results, names.CYCLE, names.MICROSECONDS, _LOCKS)
    rows = {
        "lock and unlock, as time (two plain Redis round trips = 1.00)": cycle,
        "empty tasks a second, prefork worker (plain task = 1.00)": _ratios(
            results, prefork, names.WORKER, _TASKS
        ),
        "empty tasks a second, threads worker (plain task = 1.00)": _ratios(
            results, threads, names.WORKER, _TASKS
        ),
        "tasks sent a second (plain task = 1.00)": _ratios(
            results, prefork, names.PUBLISHER, _TASKS
        ),
        "bytes in Redis for each key that is held": _bytes(results),
        "the lock is taken when the task ...": ("runs", "runs", "is sent", "is sent"),
    }
    return markdown(_HEAD, [(what, *cells) for what, cells in rows.items()])


def quoted(text: str) -> str | None:
    """Return the table that stands in a page; `None` if there is none."""
    found = _place(text.splitlines())
    return None if found is None else "\n".join(text.splitlines()[slice(*found)])


def put(text: str, new: str) -> str:
    """Return a page with the new table in the place of its old one; the same if it has none."""
    lines = text.splitlines()
    found = _place(lines)
    if found is None:
        return text
    lines[slice(*found)] = new.splitlines()
    return "\n".join(lines) + "\n"


def write(results: Results, file: Path = FILE) -> None:
    """Bring the table in the README up to date, if it has one."""
    file.write_text(put(file.read_text(encoding="utf-8"), table(results)), encoding="utf-8")


def _place(lines: list[str]) -> tuple[int, int] | None:
    head = markdown(_HEAD, []).splitlines()[0]
    if head not in lines:
        return None
    first = last = lines.index(head)
    while last < len(lines) and lines[last].startswith("|"):
        last += 1
    return first, last


def _ratios(results: Results, section: str, title: str, rows: tuple[str, ...]) -> tuple[str, ...]:
    cells = [results.section(section).row(name).cells[title] for name in rows]
    return tuple("" if cell.ratio is None else f"{cell.ratio.median:.2f}" for cell in cells)


def _bytes(results: Results) -> tuple[str, ...]:
    section = results.section(names.MEMORY)
    return tuple(f"{section.row(name).cells[names.HELD].value.median:.0f}" for name in _LOCKS)
