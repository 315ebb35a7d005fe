"""The list of guards: each is there to be taken away."""

from __future__ import annotations

import sys
from pathlib import Path

import pytest

ROOT = Path(__file__).parents[2]
sys.path.append(str(ROOT / "tools"))

from controls import READ  # noqa: E402  (tools are no package)
from guards import GUARDS, Guard  # noqa: E402

pytestmark = pytest.mark.unit


SOURCES = [
    file.read_text(encoding="utf-8")
    for file in sorted((ROOT / "celery_lock").rglob("*.*"))
    if file.suffix in READ
]


@pytest.mark.parametrize("guard", GUARDS, ids=lambda guard: guard.name)
def test_a_guard_is_found_once_and_its_tests_exist(guard: Guard) -> None:
    assert sum(text.count(guard.old) for text in SOURCES) == 1
    assert [one for one in guard.tests if not (ROOT / one.partition("::")[0]).exists()] == []
