"""What people read of a page: its sentences and its table cells, without code and addresses."""

from __future__ import annotations

import re
from pathlib import Path

_CODE = re.compile(r"(?ms)^ *```.*?^ *```$")
_COMMENT = re.compile(r"(?s)<!--.*?-->")
_LINK = re.compile(r"!?\[([^]]*)\]\([^)]*\)")
_NAMES = re.compile(r"`[^`]*`|https?://\S+")
_MARKS = re.compile(r"[*_#>|]")
_POINTS = re.compile(r"(?<=\d)[.,](?=\d)|(?<=\w)\.(?=\w)")
"""Points within numbers and names, which end no sentence."""
_ITEM = re.compile(r"^ *(?:[-*] |\d+\. )")


def sentences_of(page: Path) -> str:
    """Return the running text of a page: no code, headings, tables or addresses.

    An item of a list, and a line before one, ends as a sentence does.
    """
    kept: list[str] = []
    for paragraph in re.split(r"\n\s*\n", _plain(page)):
        if paragraph.lstrip().startswith(":::"):  # what a generated part is made of
            continue
        lines: list[str] = []
        for line in paragraph.splitlines():
            if line.lstrip().startswith(("#", "|", ":::", "--8<--")):
                continue
            if _ITEM.match(line) and lines:
                lines[-1] = _ended(lines[-1])
            lines.append(_ITEM.sub("", line))
        if lines:
            lines[-1] = _ended(lines[-1])
            kept += lines
    text = _NAMES.sub("", "\n".join(kept))
    return _MARKS.sub("", _POINTS.sub("", text))


def cells_of(page: Path) -> list[str]:
    """Return the cells of all tables of a page, links as they are shown."""
    rows = [line for line in _plain(page).splitlines() if line.lstrip().startswith("|")]
    cells = [cell.strip() for row in rows for cell in re.split(r"(?<!\\)\|", row.strip())[1:-1]]
    return [cell for cell in cells if cell.strip("-: ")]


def _plain(page: Path) -> str:
    text = _COMMENT.sub("", _CODE.sub("", page.read_text(encoding="utf-8")))
    return _LINK.sub(r"\1", text)


def _ended(line: str) -> str:
    line = line.rstrip(" ;,:")
    return line if line.endswith((".", "!", "?")) else f"{line}."
