"""Importing the package: what it touches, what it pulls in, and which errors it then has."""

from __future__ import annotations

import ast
import copy
import importlib
import importlib.util
import inspect
import os
import pickle
import subprocess
import sys
import textwrap
from pathlib import Path
from zipfile import ZipFile

import pytest
from celery.utils.imports import symbol_by_name
from celery.utils.serialization import get_pickleable_exception

from celery_lock.errors import LockError
from tests.acceptance.blocks import blocks_of, pages
from tests.house import ROOT, files, module, scripts

SHOWN = {
    "celery_lock": {
        "Conflict", "Lease", "LeaseLost", "Lock", "LockConfigurationError", "LockConflict",
        "LockError", "LockedTask", "Scope", "StoreError", "constant", "current_lease",
        "exponential", "fail", "hold", "is_skipped", "peek", "requeue", "skip", "wait",
    },
    "celery_lock.errors": {
        "LeaseLost", "LockConfigurationError", "LockConflict", "LockError", "LockWaitTimeout",
        "StoreError", "StoreUnavailable", "UnsupportedFeature",
    },
    "celery_lock.signals": {
        "lock_acquired", "lock_conflicted", "lock_copy_dropped", "lock_lost", "lock_released",
        "lock_store_failed", "lock_switched_off",
    },
    "celery_lock.events": {
        "Acquired", "Conflicted", "CopyDropped", "Fact", "Lost", "Released", "StoreFailed",
        "Subject", "SwitchedOff",
    },
    "celery_lock.metrics": {"LABELS", "OTHER", "Counters", "counters"},
    "celery_lock.testing": {"FaultyStore", "MemoryLocks", "StoreCall", "memory_locks"},
    "celery_lock.stores": {"GROUP", "StoreFactory", "open_store", "promises"},
    "celery_lock.stores.steps": {"FEATURES", "Entry", "Move", "SteppedStore"},
    "celery_lock.model": {
        "Change", "Changed", "Claim", "Conflict", "Decision", "End", "Feature", "Held",
        "HeldPermit", "Holder", "Lease", "Lock", "LockStore", "LossReason", "Met", "OnConflict",
        "OnStoreError", "Outcome", "Record", "Scope",
    },
    "celery_lock.model.per_process": {"PerProcess"},
    "celery_lock.contract": {"StoreContract"},
    "celery_lock.contract.fuzz": {"StoreMachine", "play"},
    "celery_lock.beat": {"LockedScheduler", "LockedSchedulerMixin"},
    "celery_lock.cli": {"lock"},
}  # fmt: skip
"""What the pages and the examples of some version have shown, by where users import it from: a
name may move inside the package, and stays here."""


def modules() -> list[str]:
    """Name all modules, but the one that needs a Django project to be imported."""
    return [name for name in map(module, files()) if name != "celery_lock.beat.database"]


def python(script: str) -> str:
    """Run a script in a fresh interpreter; return what it prints."""
    done = subprocess.run(
        [sys.executable, "-c", textwrap.dedent(script)],
        env={**os.environ, "PYTHONPATH": str(ROOT), "PYTHONDONTWRITEBYTECODE": "1"},
        capture_output=True,
        text=True,
        check=False,
        timeout=60,
    )
    assert done.returncode == 0, done.stderr
    return done.stdout


def test_importing_touches_nothing_that_one_system_lacks() -> None:
    """Every module is imported on a system made as poor as Windows, and poorer."""
    ours = modules()

    python(
        f"""
        import sys
        import celery.worker.request, celery.contrib.django.task, kombu, redis, pytest
        # (all that is not ours is in; it takes care of itself)
        import mmap, os, select, signal, socket, threading, time

        for place, names in {{
            os: "fork forkpty register_at_fork getuid geteuid getgid getpgid getpgrp setsid killpg"
                " sysconf uname getloadavg sched_getaffinity mkfifo wait3 wait4 WNOHANG",
            signal: "SIGUSR1 SIGUSR2 SIGALRM SIGKILL SIGCHLD SIGQUIT SIGHUP SIGSTOP SIGCONT"
                " pthread_kill setitimer alarm pause sigwait siginterrupt",
            time: "CLOCK_BOOTTIME CLOCK_MONOTONIC clock_gettime clock_gettime_ns tzset",
            mmap: "MAP_SHARED MAP_PRIVATE MAP_ANON MAP_ANONYMOUS PROT_READ PROT_WRITE",
            socket: "AF_UNIX socketpair SO_REUSEPORT",
            select: "poll epoll kqueue",
        }}.items():
            for name in names.split():
                if hasattr(place, name):
                    delattr(place, name)
        for name in ("resource", "fcntl", "pwd", "grp", "termios", "pty", "posix"):
            sys.modules[name] = None

        import importlib
        for name in {ours!r}:
            importlib.import_module(name)
        """
    )


def test_importing_brings_nothing_that_celery_has_not_brought() -> None:
    """No driver, no framework: a store imports its own when it is opened."""
    out = python(
        """
        import sys
        import celery, celery.worker
        from celery import Celery, Task, shared_task

        before = set(sys.modules)
        import celery_lock

        print(*sorted({name.split(".")[0] for name in set(sys.modules) - before}))
        """
    )

    known = {"celery", "celery_lock", "kombu", "_uuid"}  # Celery's own, where it is lazy
    assert set(out.split()) - set(sys.stdlib_module_names) <= known


def test_a_process_that_only_sends_tasks_loads_no_store_and_starts_no_thread() -> None:
    out = python(
        """
        import sys, threading
        import celery, celery_lock

        app = celery.Celery("shop", broker="memory://")
        app.conf.lock_store = "redis://nowhere.invalid"

        @app.task(base=celery_lock.LockedTask)
        def charge(user_id): ...

        charge.delay(7)
        print(threading.active_count())
        print(*[name for name in sys.modules if name.startswith("celery_lock.stores.redis.")])
        print(*[name for name in sys.modules if name == "celery_lock.stores.memory"])
        print(*[name for name in sys.modules if name == "celery.worker.request"])
        """
    )

    assert out.split() == ["1"]


def test_an_application_in_one_file_finds_its_stores_and_their_scripts(tmp_path: Path) -> None:
    """As packers make it: an archive, and no metadata of what is installed."""
    archive = tmp_path / "app.zip"
    with ZipFile(archive, "w") as packed:
        for file in (*files(), *scripts()):
            packed.write(file, file.relative_to(ROOT).as_posix())

    out = python(
        f"""
        import importlib.metadata, sys
        sys.path.insert(0, {str(archive)!r})
        importlib.metadata.entry_points = lambda **_: importlib.metadata.EntryPoints([])
        import celery_lock
        from celery_lock.stores import open_store

        print(celery_lock.__file__.startswith({str(archive)!r}))
        print(open_store("memory://").url, open_store("redis://").url)
        """
    )

    assert out.split() == ["True", "memory://", "redis://localhost:6379/0"]


@pytest.mark.parametrize(
    "path", [f"{place}:{name}" for place, names in SHOWN.items() for name in sorted(names)]
)
def test_what_users_import_stays_where_it_is(path: str) -> None:
    assert symbol_by_name(path) is not None


def test_pages_and_examples_import_what_stays() -> None:
    """What they show is a promise from then on: it belongs into the list."""
    blocks = [block for page in pages() for block in blocks_of(page)]
    texts = [block.text for block in blocks if block.language == "python"]
    texts += [file.read_text(encoding="utf-8") for file in (ROOT / "examples").rglob("*.py")]

    shown = {
        f"{node.module}:{alias.name}"
        for text in texts
        for node in ast.walk(ast.parse(text))
        if isinstance(node, ast.ImportFrom) and (node.module or "").startswith("celery_lock")
        for alias in node.names
    }

    assert shown - {f"{place}:{name}" for place, names in SHOWN.items() for name in names} == set()


def test_the_scheduler_that_needs_django_is_named_where_it_was() -> None:
    """Only a Django project can import it; there its own tests do."""
    import celery_lock.beat

    assert "LockedDatabaseScheduler" in celery_lock.beat.__all__
    assert importlib.util.find_spec("celery_lock.beat.database") is not None


def errors() -> list[type[LockError]]:
    """Every error of the package, wherever it is defined."""
    for name in modules():
        importlib.import_module(name)
    found: list[type[LockError]] = [LockError]
    for kind in found:
        found += [k for k in kind.__subclasses__() if k.__module__.startswith("celery_lock")]
    return found


@pytest.mark.parametrize("kind", errors(), ids=lambda kind: kind.__name__)
def test_an_error_travels_with_its_arguments(kind: type[LockError]) -> None:
    """Over the pipe of a prefork pool, and into a result backend."""
    own = kind.__init__ is not Exception.__init__
    named = [*inspect.signature(kind).parameters] if own else ["what was wrong"]
    error = kind(*(f"<{name}>" for name in named))

    for again in (
        *(pickle.loads(pickle.dumps(error, p)) for p in range(pickle.HIGHEST_PROTOCOL + 1)),
        copy.copy(error),
    ):
        assert type(again) is kind
        assert str(again) == str(error)
        assert again.args == error.args
        assert vars(again) == vars(error)
    assert get_pickleable_exception(error) is error


@pytest.mark.parametrize("kind", errors(), ids=lambda kind: kind.__name__)
def test_an_error_is_an_exception_that_except_clauses_catch(kind: type[LockError]) -> None:
    """A BaseException wedges a threads pool and stops a solo worker."""
    assert issubclass(kind, Exception)
