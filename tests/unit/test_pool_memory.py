"""What a worker shares with the processes that it spawns: who finds it, and what is left of it."""

from __future__ import annotations

import logging
import os
import subprocess
import sys
import tempfile
from collections.abc import Callable, Iterator
from pathlib import Path
from types import SimpleNamespace
from typing import Any

import pytest
from billiard.process import current_process
from celery import Celery, signals
from celery.concurrency.prefork import TaskPool

from celery_lock import Lock, LockError
from celery_lock.app import flags, notes, pool_memory, pool_processes, stamping, worker
from celery_lock.app.locks import locks_of
from celery_lock.app.pool_memory import PoolMemory

from .engine import locked

SIZE = notes.size_for(1)
IN_A_POOL = (
    "from billiard.process import current_process\n"
    "from celery_lock.app import pool_memory, notes\n"
    "current_process().index = 0\n"
    "it = pool_memory.inherited()\n"
)


@pytest.fixture(autouse=True)
def folder(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Iterator[Path]:
    folder = tmp_path / "a[1]"  # no pattern
    folder.mkdir()
    monkeypatch.setattr(tempfile, "tempdir", str(folder))
    monkeypatch.setattr(flags, "_flags", flags._flags)
    monkeypatch.setattr(pool_memory, "get_start_method", lambda: "fork")  # macOS has another one
    monkeypatch.setenv(pool_memory._VARIABLE, "")
    yield folder
    notes._notes = None
    notes._own.drop()


@pytest.fixture
def in_a_pool(monkeypatch: pytest.MonkeyPatch) -> None:
    """This process is one that was spawned."""
    monkeypatch.setattr(os, "getppid", os.getpid)
    monkeypatch.setattr(current_process(), "index", 0, raising=False)


def spawned(code: str, begin: str = IN_A_POOL) -> str:
    """Run code in a process that was not forked, which inherited `it`; return what it prints."""
    done = subprocess.run(
        [sys.executable, "-c", begin + code],
        capture_output=True,
        text=True,
        check=False,
        timeout=30,
    )
    assert done.stderr == ""
    return done.stdout.strip()


def made(time_limit: float | None = None) -> PoolMemory:
    memory = pool_memory.make(SIZE)
    pool_memory.let_inherit(time_limit, "w1@host", memory)
    return memory


def files(folder: Path) -> list[str]:
    return sorted(path.name for path in folder.iterdir())


def start(method: str | None, app: Any = None, **options: Any) -> None:
    """Begin a worker with a pool of that kind."""
    app = app or Celery("shop", broker="memory://", set_as_current=False)
    worker.install(app)
    of_the_worker: dict[str, Any] = {} if method is None else {"pool_start_method": method}
    of_the_worker |= {"concurrency": 1, "task_events": False, "time_limit": 7.5}
    worker.WorkerStep(
        SimpleNamespace(app=app, pool_cls=TaskPool, hostname="w1@host", **of_the_worker), **options
    )


def test_a_spawned_process_shares_flags_and_notes_and_knows_of_its_worker() -> None:
    memory = made(7.5)
    memory.flags[2] = 1

    said = spawned(
        "memory = it.memory(); memory.notes[9] = 4; memory.flags[0] = 3\n"
        "print(memory.flags[2], it.time_limit, it.hostname)"
    )

    assert said == "1 7.5 w1@host"
    assert (memory.notes[9], memory.flags[0]) == (4, 3)


def test_the_main_process_reads_what_a_spawned_one_noted() -> None:
    notes.begin(made().notes)

    pid = spawned(
        "import os\n"
        "notes.join(it.memory().notes)\n"
        "notes.note('t', 'holder.', ['k'], 'publication')\n"
        "print(os.getpid())"
    )

    assert notes.claims_of(int(pid)) == [notes.Noted("t", "holder.", ["k"], "publication")]


def test_a_process_of_a_process_is_none_of_the_pool() -> None:
    """A body may start a worker, or what it likes."""
    made()
    code = f"{IN_A_POOL}print(it)"

    assert spawned(f"import subprocess, sys; subprocess.run([sys.executable, '-c', {code!r}])") == (
        "None"
    )


def test_another_child_of_the_main_process_is_none_of_the_pool() -> None:
    """Such as a worker with the solo pool, which sends the same signal as a pool process."""
    made()

    assert spawned(
        "from celery_lock.app import pool_memory; print(pool_memory.inherited())", ""
    ) == ("None")


@pytest.mark.parametrize("pool", [TaskPool, object])
def test_a_worker_that_spawns_nothing_leaves_no_trace_of_one_that_did(pool: Any) -> None:
    made()
    app = Celery("shop", broker="memory://", set_as_current=False)

    worker.WorkerStep(SimpleNamespace(app=app, pool_cls=pool, concurrency=1))

    assert spawned("print(it)") == "None"


def test_the_file_is_removed_as_the_process_ends_and_not_by_one_that_it_forked(
    folder: Path,
) -> None:
    code = (
        "import os, tempfile\n"
        f"tempfile.tempdir = {str(folder)!r}\n"
        f"pool_memory.make({SIZE})\n"
        "if os.fork() == 0: raise SystemExit\n"
        "os.wait(); print(len(os.listdir(tempfile.tempdir)))"
    )

    assert spawned(code) == "1"
    assert files(folder) == []


def test_what_a_killed_process_left_is_removed_by_the_next_and_nothing_else(folder: Path) -> None:
    spawned(
        "import os, tempfile\n"
        f"tempfile.tempdir = {str(folder)!r}\n"
        f"pool_memory.make({SIZE})\n"
        "os._exit(0)"
    )
    (dead,) = files(folder)
    (folder / "celery-lock-pool").touch()
    first = made()
    assert dead not in files(folder)

    second = made()

    assert files(folder) == sorted(
        ["celery-lock-pool", *(os.path.basename(one.path) for one in (first, second))]
    )


def test_a_file_that_another_worker_takes_for_a_dead_ones_is_made_again(
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    """It is another's from its first moment, and locked from the second."""
    make_temporary, taken = tempfile.mkstemp, []

    def lose_the_first(**options: Any) -> tuple[int, str]:
        descriptor, path = make_temporary(**options)
        if not taken:
            taken.append(path)
            os.unlink(path)
        return descriptor, path

    monkeypatch.setattr(tempfile, "mkstemp", lose_the_first)

    assert os.path.exists(made().path)


def no_locks(patch: pytest.MonkeyPatch) -> None:
    patch.setattr("fcntl.flock", fails)


def no_room(patch: pytest.MonkeyPatch) -> None:
    patch.setattr(pool_memory, "bytes", fails, raising=False)


def fails(*_: Any) -> Any:
    raise OSError("no space left on device")


@pytest.mark.parametrize("how", [no_locks, no_room])
def test_what_cannot_be_made_leaves_no_file(
    folder: Path, monkeypatch: pytest.MonkeyPatch, how: Callable[[pytest.MonkeyPatch], None]
) -> None:
    how(monkeypatch)

    with pytest.raises(OSError, match="no space left"):
        made()

    assert files(folder) == []


def loses_locks(patch: pytest.MonkeyPatch) -> None:
    patch.setitem(sys.modules, "fcntl", None)


def loses_folder(patch: pytest.MonkeyPatch) -> None:
    patch.setattr(tempfile, "tempdir", "/nowhere")


@pytest.mark.parametrize("how", [loses_locks, loses_folder])
def test_without_a_file_the_worker_starts_and_says_what_does_not_work(
    caplog: pytest.LogCaptureFixture,
    monkeypatch: pytest.MonkeyPatch,
    in_a_pool: None,
    how: Callable[[pytest.MonkeyPatch], None],
) -> None:
    """On Windows too, which has no such locks."""
    how(monkeypatch)

    with caplog.at_level(logging.WARNING, logger="celery_lock"):
        start("spawn")

    assert "cannot share a file with the processes that this worker will spawn" in caplog.text
    it = pool_memory.inherited()
    assert it is not None
    assert (it.memory(), it.time_limit, it.hostname) == (None, 7.5, "w1@host")
    with pytest.raises(LockError, match="no place"):
        notes.claims_of(os.getpid())


@pytest.mark.parametrize("there", ["all of it", "no file", "half a file"])
def test_a_spawned_process_does_what_a_forked_one_has_from_its_worker(
    monkeypatch: pytest.MonkeyPatch, caplog: pytest.LogCaptureFixture, in_a_pool: None, there: str
) -> None:
    app = Celery("shop", broker="memory://", set_as_current=False)
    locks, given = locks_of(app), {}
    monkeypatch.setattr(locks, "in_worker", lambda **what: given.update(what))
    memory = made(7.5)
    memory.flags[0] = 1
    if there == "no file":
        os.unlink(memory.path)
    elif there == "half a file":
        os.truncate(memory.path, 9)
    signals.before_task_publish.connect(later := lambda **_: None)
    signals.worker_process_shutdown.disconnect(pool_processes.end_child)
    worker.install(app)

    signals.worker_process_init.send(sender=None)  # Celery before 5.7 names no worker

    assert signals.before_task_publish.receivers[-1][1] is stamping._stamp
    signals.before_task_publish.disconnect(later)
    assert pool_processes.end_child in [one for _, one in signals.worker_process_shutdown.receivers]
    assert given == {"events": flags.sends_events, "hostname": "w1@host", "time_limit": 7.5}
    assert flags.stopping() is (there == "all of it")
    assert ("cannot read the file" in caplog.text) is (there != "all of it")
    if there == "all of it":
        assert notes.claims_of(os.getpid()) == []  # it has signed in


@pytest.mark.parametrize(("method", "spawns"), [("spawn", True), ("fork", False)])
def test_a_worker_shares_a_file_only_with_a_pool_that_spawns(
    folder: Path, method: str, spawns: bool
) -> None:
    start(method)

    assert bool(files(folder)) is spawns


def test_a_pool_that_spawns_by_itself_is_one_that_spawns(
    folder: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """As on macOS, with Celery before 5.7 too."""
    monkeypatch.setattr(pool_memory, "get_start_method", lambda: "spawn")

    start(None)

    assert len(files(folder)) == 1


@pytest.mark.parametrize(("method", "warns"), [("spawn", True), ("fork", False)])
def test_a_beat_that_knows_no_tasks_is_warned_of(
    caplog: pytest.LogCaptureFixture, method: str, warns: bool
) -> None:
    app = Celery("shop", broker="memory://", set_as_current=False)
    app.conf.lock_store = "memory://"
    locked(app, Lock("k"), name="t")(fails)

    with caplog.at_level(logging.WARNING, logger="celery_lock"):
        start(method, app, beat=True)
        assert ("the beat in this worker (-B) will be spawned" in caplog.text) is warns
        caplog.clear()
        start(method, app, beat=False)
        assert "beat" not in caplog.text
