"""The packages as somebody gets them: what is in them, what they say, and whether they work."""

from __future__ import annotations

import os
import re
import subprocess
import sys
import tarfile
from email import message_from_string
from email.message import Message
from pathlib import Path
from zipfile import ZipFile

import pytest

from tests.house import PACKAGE, ROOT, own_files
from tools.archives import unpack
from tools.index_page import index_page

pytestmark = pytest.mark.acceptance


def run(folder: Path, *command: str) -> str:
    """Run a command as somebody does who has nothing but what is in this folder."""
    done = subprocess.run(
        command,
        cwd=folder,
        env={**os.environ, "PYTHONPATH": str(folder), "GIT_DIR": str(folder / "none")},
        capture_output=True,
        text=True,
        timeout=110,
        check=False,
    )
    assert done.returncode == 0, done.stdout + done.stderr
    return done.stdout


def build(folder: Path, kind: str, out: Path) -> Path:
    run(folder, sys.executable, "-c", f"import hatchling.build as b; b.build_{kind}({str(out)!r})")
    (built,) = out.iterdir()
    return built


@pytest.fixture(scope="module")
def unpacked(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """The source distribution, unpacked."""
    folder = tmp_path_factory.mktemp("source")
    with tarfile.open(build(ROOT, "sdist", tmp_path_factory.mktemp("sdist"))) as archive:
        unpack(archive, folder)
    (top,) = folder.iterdir()
    return top


@pytest.fixture(scope="module")
def wheel(unpacked: Path, tmp_path_factory: pytest.TempPathFactory) -> Path:
    """The wheel, made from the source distribution as pip makes it."""
    return build(unpacked, "wheel", tmp_path_factory.mktemp("wheel"))


@pytest.fixture(scope="module")
def metadata(wheel: Path) -> Message:
    with ZipFile(wheel) as packed:
        (name,) = (name for name in packed.namelist() if name.endswith("/METADATA"))
        return message_from_string(packed.read(name).decode("utf-8"))


def test_the_source_distribution_has_every_file_of_the_repository(unpacked: Path) -> None:
    packed = {p.relative_to(unpacked).as_posix() for p in unpacked.rglob("*") if p.is_file()}

    assert packed - {"PKG-INFO"} == {p.relative_to(ROOT).as_posix() for p in own_files()}


def test_the_wheel_has_the_package_and_nothing_else(wheel: Path) -> None:
    own = {path for path in own_files() if PACKAGE in path.parents}
    with ZipFile(wheel) as packed:
        names = {name for name in packed.namelist() if ".dist-info/" not in name}
        information = {name.split("/", 1)[1] for name in packed.namelist() if name not in names}

    assert names == {path.relative_to(ROOT).as_posix() for path in own}
    assert "celery_lock/py.typed" in names
    assert information == {
        "METADATA", "RECORD", "WHEEL", "entry_points.txt", "licenses/LICENSE",
    }  # fmt: skip


def test_the_unpacked_sources_pass_their_own_tests(unpacked: Path) -> None:
    """Those of the map, which look at every file: all of them would take a quarter of an hour."""
    said = run(
        unpacked,
        *(sys.executable, "-m", "pytest", "-q", "-p", "no:cacheprovider", "-p", "no:xdist"),
        "tests/test_map.py",
    )

    assert re.search(r"\d+ passed", said)


def test_the_unpacked_sources_know_what_make_shall_do(unpacked: Path) -> None:
    for goal in ("test", "demo", "docs", "pairs", "beside"):
        said = run(unpacked, "make", "--dry-run", goal)

        for script in re.findall(r"\b(?:tools|tests)/[\w/]+\.(?:sh|py)\b", said):
            assert (unpacked / script).exists(), script


def test_no_newer_python_is_shut_out(metadata: Message) -> None:
    assert metadata["Requires-Python"] == ">=3.10"


def test_the_metadata_says_who_made_it_and_what_it_is_for(metadata: Message) -> None:
    classifiers = metadata.get_all("Classifier", [])

    assert metadata["Author"] == "The celery-lock contributors"
    assert metadata["License-Expression"] == "BSD-3-Clause"
    assert {"Framework :: Celery", "Typing :: Typed"} <= set(classifiers)
    assert not metadata.get_all("Project-URL")  # there is no public place yet


def test_the_description_on_an_index_has_no_link_into_a_folder(metadata: Message) -> None:
    page = metadata.get_payload()

    assert isinstance(page, str)
    assert metadata["Description-Content-Type"] == "text/markdown"
    assert page.startswith("# celery-lock")
    assert "pip install 'celery-lock[redis]'" in page
    assert all("://" in target for target in re.findall(r"\]\(([^)\s]+)\)", page))


def test_a_page_that_is_named_on_an_index_is_in_the_sources(
    metadata: Message, unpacked: Path
) -> None:
    named = re.findall(r"\(`([\w/.-]+\.md)`\)", str(metadata.get_payload()))

    assert "docs/tutorial.md" in named
    assert [name for name in named if not (unpacked / name).exists()] == []


@pytest.mark.parametrize(
    ("written", "shown"),
    [
        ("see [the site](https://example.org/a) now", "see [the site](https://example.org/a) now"),
        ("see [the\ntutorial](docs/tutorial.md#x).", "see the\ntutorial (`docs/tutorial.md`)."),
        ("the [token](#inside-the-task) and [examples](examples)", "the token and examples"),
        ("code `[a](b.md)`\n```\n[a](b.md)\n```\n", "code `[a](b.md)`\n```\n[a](b.md)\n```\n"),
    ],
)
def test_each_kind_of_link_becomes_what_an_index_can_show(written: str, shown: str) -> None:
    assert index_page(written).startswith(shown)
