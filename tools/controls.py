"""Take the guards of the package away, one at a time: some test must fail for each.

    python tools/controls.py              all guards
    python tools/controls.py renew undo   those with one of these words in their name
    python tools/controls.py --list       what there is, without running anything

Each guard is removed by an exact-text patch in a copy of the checkout; the checkout itself is
never touched. A guard fails here when no test notices that it is gone, when its text is no longer
found, or when its tests are gone or fail without the patch too.
"""

from __future__ import annotations

import argparse
import contextlib
import os
import re
import shutil
import signal
import subprocess
import sys
import tempfile
import time
from collections.abc import Iterable
from concurrent.futures import ThreadPoolExecutor
from dataclasses import dataclass
from pathlib import Path
from queue import SimpleQueue

sys.path.insert(0, str(Path(__file__).parent))

from guards import GUARDS, Guard

ROOT = Path(__file__).resolve().parent.parent
NEEDED = ("celery_lock", "tests", "examples", "pyproject.toml", "README.md", "docs", "Makefile")
READ = (".py", ".lua")
"""What may hold a guard."""
HANGS = 240
"""Seconds after which a run is ended from outside; a single test ends itself after 60."""


RUNNING: set[subprocess.Popen[str]] = set()
"""Each leads a process group of its own, which ends with this program."""


@dataclass(frozen=True)
class Verdict:
    """What came of taking one guard away."""

    guard: Guard
    noticed_by: str = ""
    wrong: str = ""
    seconds: float = 0.0


def copy_checkout(to: Path) -> Path:
    """Copy what the tests need; compiled files stay behind, since they might hide a patch."""
    to.mkdir(parents=True)
    for name in NEEDED:
        source = ROOT / name
        if source.is_dir():
            ignored = shutil.ignore_patterns("__pycache__", ".*_cache")
            shutil.copytree(source, to / name, ignore=ignored)
        elif source.exists():
            shutil.copy2(source, to / name)
    return to


def run_tests(
    copy: Path, tests: Iterable[str], *, stop: bool, within: float = HANGS
) -> tuple[int, str]:
    """Run these tests in a copy; return pytest's status and output (-1: it hung)."""
    command = [sys.executable, "-m", "pytest", "-q", "--no-header", "-rfE", "--tb=no"]
    command += ["-p", "no:cacheprovider", "--timeout=60", *(["-x"] if stop else []), *tests]
    if not any("integration" in test or "acceptance" in test for test in tests):
        command += ["-p", "pytest_timeout"]  # the one plugin that the small tests need
        more = {"PYTEST_DISABLE_PLUGIN_AUTOLOAD": "1"}
    else:
        more = {}
    env = {
        **os.environ,
        "PYTHONPATH": str(copy),  # before an editable install of the checkout; for workers too
        "PYTHONDONTWRITEBYTECODE": "1",
        **more,
    }
    process = subprocess.Popen(
        command,
        cwd=copy,
        env=env,
        stdout=subprocess.PIPE,
        stderr=subprocess.STDOUT,
        text=True,
        start_new_session=True,
    )
    RUNNING.add(process)
    try:
        out, _ = process.communicate(timeout=within)
    except subprocess.TimeoutExpired:
        end(process)
        out, _ = process.communicate()
        return -1, out
    finally:
        RUNNING.discard(process)
    return process.returncode, out


def end(process: subprocess.Popen[str]) -> None:
    """End a run with all that it started."""
    with contextlib.suppress(ProcessLookupError):
        os.killpg(process.pid, signal.SIGKILL)


def gone(guard: Guard) -> str:
    """Name a file of its tests that is not there; empty when all are."""
    files = (test.split("::")[0] for test in guard.tests)
    return next((file for file in files if not (ROOT / file).exists()), "")


def where(guard: Guard, checkout: Path) -> list[Path]:
    """Name the files of the package that hold a guard's text, each as often as it stands there."""
    sources = (f for f in sorted((checkout / "celery_lock").rglob("*.*")) if f.suffix in READ)
    return [f for f in sources for _ in range(f.read_text(encoding="utf-8").count(guard.old))]


def take_away(guard: Guard, copy: Path) -> Verdict:
    """Patch, run, put back."""
    began = time.monotonic()
    files = where(guard, copy)
    if len(files) != 1:
        found = ", ".join(str(file.relative_to(copy)) for file in files) or "nowhere"
        return Verdict(guard, wrong=f"out of date: its text is found in: {found}")
    file, text = files[0], files[0].read_text(encoding="utf-8")
    file.write_text(text.replace(guard.old, guard.new), encoding="utf-8")
    try:
        status, out = run_tests(copy, guard.tests, stop=True)
    finally:
        file.write_text(text, encoding="utf-8")
    seconds = time.monotonic() - began
    failed = re.findall(r"^(?:FAILED|ERROR) ([^[\s]+)", out, re.MULTILINE)
    if status == 1 and failed:
        return Verdict(guard, noticed_by=failed[0].rpartition("/")[2], seconds=seconds)
    if status in (-1, 1):  # pytest-timeout ended the process, or we did
        return Verdict(guard, noticed_by="a test that hung", seconds=seconds)
    if status == 0:
        return Verdict(guard, wrong="NOT NOTICED: its tests pass without it", seconds=seconds)
    last = " ".join(out.strip().splitlines()[-1:])
    return Verdict(guard, wrong=f"its tests do not run: {last}", seconds=seconds)


def main(argv: list[str] | None = None) -> int:
    """Return 0 when every guard was missed by a test."""
    parser = argparse.ArgumentParser(description=(__doc__ or "").split("\n\n")[0])
    parser.add_argument("words", nargs="*", help="only guards with one of these in their name")
    parser.add_argument("--list", action="store_true", help="only say what there is")
    parser.add_argument("--jobs", type=int, default=min(4, os.cpu_count() or 1))
    options = parser.parse_args(argv)
    chosen = [
        guard
        for guard in GUARDS
        if not options.words or any(word in guard.name for word in options.words)
    ]
    if options.list:
        for guard in chosen:
            files = [str(file.relative_to(ROOT)) for file in where(guard, ROOT)]
            print(f"{guard.name:48} {', '.join(files)}")
        return 0
    if not chosen:
        parser.error("no guard has such a name; see --list")

    began = time.monotonic()
    with tempfile.TemporaryDirectory(prefix="controls-") as folder:
        copies: SimpleQueue[Path] = SimpleQueue()
        for number in range(options.jobs):
            copies.put(copy_checkout(Path(folder, str(number))))

        first = copies.get()
        tests = sorted({test for guard in chosen for test in guard.tests if not gone(guard)})
        print(
            f"{len(chosen)} guards; first all {len(tests)} test selections with them in place",
            flush=True,
        )
        status, out = run_tests(first, tests, stop=False, within=5 * HANGS)
        copies.put(first)
        if status != 0:
            print(out)
            print("the tests fail (or are gone) with every guard in place: nothing can be said")
            return 1

        def one(guard: Guard) -> Verdict:
            if gone(guard):
                return Verdict(guard, wrong=f"out of date: there is no {gone(guard)}")
            copy = copies.get()
            try:
                verdict = take_away(guard, copy)
            finally:
                copies.put(copy)
            said = verdict.wrong or f"noticed by {verdict.noticed_by}"
            print(f"  {guard.name}: {said} ({verdict.seconds:.1f} s)", flush=True)
            return verdict

        pool = ThreadPoolExecutor(options.jobs)
        try:
            verdicts = list(pool.map(one, chosen))
        finally:  # on Ctrl-C as well
            pool.shutdown(wait=False, cancel_futures=True)
            for process in list(RUNNING):
                end(process)
            pool.shutdown()
    return report(verdicts, time.monotonic() - began)


def report(verdicts: list[Verdict], seconds: float) -> int:
    """Print the table; return the exit status."""
    wrong = [verdict for verdict in verdicts if verdict.wrong]
    wide = max(len(verdict.guard.name) for verdict in verdicts)
    print(f"\n{'guard':{wide}}  noticed by")
    print("-" * (wide + 60))
    for verdict in verdicts:
        print(f"{verdict.guard.name:{wide}}  {verdict.wrong or verdict.noticed_by}")
    print("-" * (wide + 60))
    print(
        f"{len(verdicts) - len(wrong)} of {len(verdicts)} guards are missed when they are gone,"
        f" {seconds:.0f} s"
    )
    return 1 if wrong else 0


if __name__ == "__main__":
    sys.exit(main())
