"""The README keeps its word: its commands as they are typed, its code as it stands."""

from __future__ import annotations

import os
import re
import shutil
import sqlite3
import subprocess
from collections.abc import Iterator
from itertools import islice
from pathlib import Path

import pytest
from celery import Celery
from celery.result import AsyncResult

from celery_lock import Lease, LockConflict, is_skipped
from celery_lock.keys.json_form import digest
from celery_lock.model import Claim
from celery_lock.stores import open_store
from tests.acceptance.blocks import (
    ROOT,
    blocks_of,
    check_other,
    commands,
    python_files,
    user_environment,
)
from tests.house import own_files
from tests.services import Process, missing
from tests.services.fixtures import WorkerFactory

pytestmark = pytest.mark.acceptance

README = blocks_of(ROOT / "README.md")
FILES = python_files(README)
SLEEP, SHORTER = "time.sleep(2)", "time.sleep(0.01)"


# -- the page --------------------------------------------------------------------------------


def test_its_first_screen_says_what_it_is_and_is_not_and_shows_one_task() -> None:
    lines = (ROOT / "README.md").read_text(encoding="utf-8").splitlines()

    screen = "\n".join(lines[:45])

    marks = ["## Install", "pip install 'celery-lock[redis]'", "**What it is not.**", "lock=Lock("]
    places = [screen.find(mark) for mark in [*marks, "## What happens to the second one"]]
    assert -1 not in places
    assert places == sorted(places)
    assert all(len(line) <= 100 for line in lines[2:4]), "two lines say what it is"


@pytest.mark.parametrize("policy", ["requeue(", "skip(", "wait(", "fail(", "lambda"])
def test_it_has_an_example_of_each_policy(policy: str) -> None:
    assert f"on_conflict={policy}" in FILES["shop.py"]


# -- the code --------------------------------------------------------------------------------


def test_every_block_belongs_to_a_file_that_is_run_here() -> None:
    for block in README:
        check_other(block)

    assert set(FILES) == {"shop.py"}


@pytest.fixture
def shop(tmp_path: Path) -> Path:
    """A folder with the README's files and the database that they speak of.

    A task takes a moment to pay, and not two seconds.
    """
    for name, text in FILES.items():
        assert SLEEP in text
        (tmp_path / name).write_text(text.replace(SLEEP, SHORTER), encoding="utf-8")
    with sqlite3.connect(tmp_path / "shop.db") as db:
        db.execute("CREATE TABLE orders (id INTEGER PRIMARY KEY, label TEXT, token INTEGER)")
        db.execute("INSERT INTO orders VALUES (7, '', 0)")
    db.close()
    return tmp_path


def rows(shop: Path, query: str) -> list[tuple[object, ...]]:
    db = sqlite3.connect(shop / "shop.db")
    try:
        return db.execute(query).fetchall()
    finally:
        db.close()


@pytest.fixture
def client(shop: Path, redis_url: str, worker_factory: WorkerFactory) -> Iterator[Celery]:
    """An app that sends tasks by name to two workers that run shop.py."""
    env = {"PYTHONPATH": os.pathsep.join([str(shop), str(ROOT)])}
    started = [
        worker_factory("shop", ready=False, broker=redis_url, backend=redis_url, env=env)
        for _ in range(2)
    ]
    for worker in started:
        worker.wait_ready()
    app = Celery("client", broker=redis_url, backend=redis_url, set_as_current=False)
    yield app
    app.close()


def send(client: Celery, task: str, *args: object) -> AsyncResult[object]:
    return client.send_task(f"shop.{task}", args)


def test_the_tasks_in_the_readme_do_what_it_says(shop: Path, client: Celery) -> None:
    top_ups = [send(client, "top_up", 1 + n % 2, 5) for n in range(20)]
    first = send(client, "nightly_report")
    assert first.get(timeout=30) is None
    second = send(client, "nightly_report")
    others = [
        send(client, "reindex", 3),
        send(client, "count_stock", "a"),
        send(client, "import_file", "/a"),
        send(client, "send_mail", 1),
        send(client, "ship", 7),
    ]

    # at_least keeps the next report out, though the first one has long ended
    assert second.get(timeout=30) == {"skipped": "nightly-report", "held_by": first.id}
    assert [result.get(timeout=30) for result in others] == [None] * 5
    assert [result.get(timeout=60) for result in top_ups] == [None] * 20
    assert [(shop / f"points-{user}.txt").read_text(encoding="utf-8") for user in (1, 2)] == [
        "50", "50",
    ]  # fmt: skip
    (label, token), *_ = rows(shop, "SELECT label, token FROM orders")
    assert label == "a label for 7"
    assert isinstance(token, int)
    assert token > 0


def test_a_holder_that_comes_too_late_changes_nothing(shop: Path, client: Celery) -> None:
    db = sqlite3.connect(shop / "shop.db")
    with db:  # somebody with a later token was there already
        db.execute("UPDATE orders SET label = 'theirs', token = ?", (2**62,))
    db.close()

    send(client, "ship", 7).get(timeout=30)

    assert rows(shop, "SELECT label FROM orders") == [("theirs",)]


def test_each_policy_in_the_readme_does_what_it_says(client: Celery, redis_url: str) -> None:
    store = open_store(redis_url)
    keys = ("nightly-report", f"import:{digest('/a')}", "stock:a", "mail:1", "points:1")
    leases = [store.acquire(Claim(key, "somebody#there#1#x", ttl=60)) for key in keys]
    assert all(isinstance(lease, Lease) for lease in leases)

    skipped = send(client, "nightly_report")
    failed = send(client, "import_file", "/a")
    others = [
        send(client, "count_stock", "a"),
        send(client, "send_mail", 1),
        send(client, "top_up", 1, 5),
    ]

    assert is_skipped(skipped.get(timeout=30))
    with pytest.raises(LockConflict, match="somebody"):
        failed.get(timeout=30)
    assert not any(result.ready() for result in others)
    for lease in leases:
        assert isinstance(lease, Lease)
        store.release(lease)
    assert [result.get(timeout=30) for result in others] == [None] * 3
    store.close()


# -- the commands ----------------------------------------------------------------------------


@pytest.fixture
def checkout(tmp_path: Path) -> Path:
    """A clean copy of this checkout, as a clone would be."""
    for file in own_files():
        copy = tmp_path / "clone" / file.relative_to(ROOT)
        copy.parent.mkdir(parents=True, exist_ok=True)
        shutil.copy2(file, copy)
    return tmp_path / "clone"


def typed(command: str, folder: Path, *, path: Path | None = None) -> str:
    """Run a command line as a user's shell does; return what it printed."""
    strangers = ("CELERY_", "PYTEST_", "VIRTUAL_ENV", "PYTHONPATH", "MAKE", "CI")
    env = {name: v for name, v in os.environ.items() if not name.startswith(strangers)}
    if path is not None:
        env["PATH"] = os.pathsep.join([str(path), env.get("PATH", "")])
    done = subprocess.run(
        ["sh", "-c", command],
        cwd=folder,
        env=env,
        stdin=subprocess.DEVNULL,
        stdout=subprocess.PIPE,
        stderr=subprocess.STDOUT,
        text=True,
        timeout=280,
        check=False,
    )
    if re.search(
        "No matching distribution|Temporary failure in name|NewConnectionError", done.stdout
    ):
        missing("a package index", "pip needs one to install what the README says")
    assert done.returncode == 0, done.stdout
    return done.stdout


RELEASED, INSTALL, WORKER, SEND = commands(README)
DEMO, TEST = "make demo", "make test"
"""Commands that stand in a sentence."""


def test_every_command_of_the_readme_is_typed_here() -> None:
    assert (RELEASED, INSTALL) == ("pip install 'celery-lock[redis]'", "pip install '.[redis]'")
    text = (ROOT / "README.md").read_text(encoding="utf-8")
    assert all(f"`{command}`" in text for command in (DEMO, TEST))
    assert WORKER.startswith("celery ")
    assert SEND.startswith("python ")


@pytest.mark.timeout(300)
def test_the_demo_runs_in_a_clean_clone_and_pip_installs_what_needs_no_checkout(
    checkout: Path,
) -> None:
    typed(DEMO, checkout)

    # in the environment that the demo has made: it takes what is the same for both from there
    env = checkout / ".venv"
    typed(INSTALL, checkout, path=env / "bin")
    for path in checkout.iterdir():
        if path.is_dir() and path != env:
            shutil.rmtree(path)
    out = typed(
        "python -c 'import celery_lock, redis; from celery_lock.stores import open_store;"
        ' print(open_store("redis://localhost:1/0").url, celery_lock.__file__)\'',
        checkout,
        path=env / "bin",
    )
    assert out.startswith(f"redis://localhost:1/0 {env}")
    said = typed(RELEASED, checkout, path=env / "bin")  # the name and the extra are the right ones
    assert "does not provide" not in said


def test_the_first_conflict_is_in_the_log(tmp_path: Path, redis_url: str) -> None:
    """`shop.py` is the block above the commands, and no more."""
    above = islice((block for block in README if block.language == "python"), 1)
    text = python_files(list(above))["shop.py"]
    text = re.sub(r"redis://localhost:6379/\d", redis_url, text)
    (tmp_path / "shop.py").write_text(text, encoding="utf-8")
    env = user_environment()
    log = tmp_path / "worker.log"
    worker = Process(["sh", "-c", f"exec {WORKER}"], cwd=tmp_path, log=log, env=env)
    worker.start()
    try:
        worker.wait_for_log(r"celery@\S+ ready\.", timeout=60)

        subprocess.run(["sh", "-c", SEND], cwd=tmp_path, env=env, check=True, timeout=60)

        held = r"\[([\w-]+)\]: sent again .* lock 'points:7' is held by task ([\w-]+) on celery@"
        second, first = worker.wait_for_log(held).groups()
        worker.wait_for_log(rf"\[{first}\] succeeded in \S+ None")
        worker.wait_for_log(rf"\[{second}\] succeeded in \S+ None", timeout=60)
        assert (tmp_path / "points-7.txt").read_text(encoding="utf-8") == "20"
    finally:
        worker.kill()


def test_make_test_runs_all_tests(checkout: Path) -> None:
    """Which is what runs this one; so it is only asked what it would do."""
    said = typed("make -n test", checkout)

    assert "-m pytest" in said
    assert not re.search(r"pytest .*(tests/|-k|-m )", said), "all of them"
