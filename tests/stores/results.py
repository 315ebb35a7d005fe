"""The results of plays, kept in the repository: a kind's rows are played apart from the others'."""

from __future__ import annotations

import json
from collections.abc import Sequence
from dataclasses import asdict
from datetime import date
from pathlib import Path
from typing import Any

from tests.stores.rows import Row
from tests.stores.verdict import Play

__all__ = ["FOLDER", "keep", "kept"]

FOLDER = Path(__file__).parent / "results"


def keep(kind: str, row: Row, plays: Sequence[Play]) -> None:
    """Put the plays of a row in the place of those before."""
    rows = kept(kind)
    rows[row.name] = {"played": date.today().isoformat(), "plays": [asdict(one) for one in plays]}
    text = json.dumps(rows, indent=1) + "\n"
    FOLDER.mkdir(exist_ok=True)
    _file(kind).write_text(text, encoding="utf-8")


def kept(kind: str) -> dict[str, Any]:
    """Return what was kept, by the names of the rows; a play is the fields of a `Play`."""
    file = _file(kind)
    found: dict[str, Any] = json.loads(file.read_text("utf-8")) if file.exists() else {}
    return found


def _file(kind: str) -> Path:
    return FOLDER / f"{kind}.json"
