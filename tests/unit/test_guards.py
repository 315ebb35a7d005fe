"""The list of guards: each is there to be taken away."""

from __future__ import annotations

import sys
from pathlib import Path

import pytest

ROOT = Path(__file__).parents[2]
sys.path.append(str(ROOT / "tools"))

from guards import GUARDS, Guard  # noqa: E402  (tools are no package)

pytestmark = pytest.mark.unit


@pytest.mark.parametrize("guard", GUARDS, ids=lambda guard: guard.name)
def test_a_guard_is_found_once_and_its_tests_exist(guard: Guard) -> None:
    text = (ROOT / "celery_lock" / guard.file).read_text(encoding="utf-8")

    assert text.count(guard.old) == 1
    assert [one for one in guard.tests if not (ROOT / one.partition("::")[0]).exists()] == []
