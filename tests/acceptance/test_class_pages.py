"""The pages on base classes keep their word: the context and the tenant are there, and the key."""

from __future__ import annotations

from pathlib import Path

import pytest

from tests.acceptance.blocks import ROOT, blocks_of, python_files, run_python

pytestmark = pytest.mark.acceptance

FLASK = """
import warnings
warnings.simplefilter("error")
from celery import shared_task
from celery_lock import Lock, LockedTask, is_skipped
from celery_lock.testing import memory_locks
from flask import current_app
import shop

@shared_task
def plain(): return current_app.name

with memory_locks(shop.celery_app) as locks:
    assert shop.ship.apply([7]).get() == "shop ships 7"
    assert plain.apply().get() == "shop"
    assert locks.key_of(shop.ship, 7) == "order:7"
    locks.hold("order:7")
    assert is_skipped(shop.ship.apply([7]).get())

with warnings.catch_warnings(record=True) as said:
    warnings.simplefilter("always")
    shop.celery_app.task(base=LockedTask, name="without", lazy=False)(shop.celery_init_app)
assert "without FlaskTask" in str(said[0].message), said
"""

AUDIT = """
import threading, warnings
warnings.simplefilter("error")
from celery_lock.testing import memory_locks
import audit

with memory_locks(audit.app):
    assert audit.close_book.apply([2026]).state == "SUCCESS"
    assert isinstance(audit.close_book, audit.Audited)
"""

TENANT = """
from celery_lock.testing import memory_locks
import shop

with memory_locks(shop.app):
    for name in ("red", "blue"):
        assert shop.print_bill.apply([7], headers={"tenant": name}).get() == f"{name}:bill:7"
"""


@pytest.mark.parametrize(
    ("page", "file", "says"),
    [("flask", "shop.py", FLASK), ("flask", "audit.py", AUDIT), ("tenants", "shop.py", TENANT)],
)
def test_a_page_on_base_classes_does_what_it_says(
    page: str, file: str, says: str, tmp_path: Path
) -> None:
    files = python_files(blocks_of(ROOT / "docs" / "how-to" / f"{page}.md"))
    (tmp_path / file).write_text(files[file], encoding="utf-8")

    run_python(tmp_path, "-c", says)
