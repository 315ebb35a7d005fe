"""The page on Django works from the web process too, which imports what Django imports."""

from __future__ import annotations

from pathlib import Path

import pytest

from tests.acceptance.blocks import ROOT, blocks_of, python_files, run_python

pytestmark = pytest.mark.acceptance

FILES = python_files(blocks_of(ROOT / "docs" / "how-to" / "django.md"))
WEB_PROCESS = """
import os
os.environ["DJANGO_SETTINGS_MODULE"] = "mysite.settings"
import django
django.setup()
from points.tasks import top_up
print(top_up.app.main, top_up.app.conf.broker_url, top_up.app.conf.get("lock_ttl"))
"""


def write(folder: Path, *left_out: str) -> None:
    for name, text in FILES.items():
        if name not in left_out:
            (folder / name).parent.mkdir(parents=True, exist_ok=True)
            (folder / name).write_text(text, encoding="utf-8")


def test_a_web_process_sends_to_the_app_of_the_page(tmp_path: Path) -> None:
    write(tmp_path)

    said = run_python(tmp_path, "-c", WEB_PROCESS)

    assert said == "mysite redis://localhost:6379/0 20\n"


def test_without_the_line_of_the_page_it_would_not(tmp_path: Path) -> None:
    write(tmp_path, "mysite/__init__.py")

    said = run_python(tmp_path, "-c", WEB_PROCESS)

    assert not said.startswith("mysite ")
