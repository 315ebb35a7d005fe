"""Run Celery's own integration tests plain and with every task locked, and print what differs.

python -m tools.celery_suite                    all: two brokers, acks early and late, two locks
python -m tools.celery_suite --subset           about a minute of it
python -m tools.celery_suite redis early        only settings with all of these words
python -m tools.celery_suite --test '*retry*'   only tests of such names

A test that comes out otherwise with a lock is run once more by itself; if it does so again, and is
not among the known differences, that fails.
"""

from __future__ import annotations

import argparse
import sys
import tempfile
import time
from collections import Counter
from collections.abc import Sequence
from pathlib import Path

from tests.services import RabbitServer, find_rabbit, find_redis
from tests.services.survivors import end_survivors, mark_this_run
from tools.celery_suite.comparing import WELL, compare
from tools.celery_suite.known import LEFT_OUT, SUBSET, is_one_of
from tools.celery_suite.running import CHECKOUT, Outcome, Suite, environment
from tools.celery_suite.settings import PLAIN, Setting, all_settings
from tools.celery_suite.source import collected, unpacked

SUBSET_SETTINGS = {
    Setting("redis", "early", "arguments"),
    Setting("rabbit", "late", "request"),
}


def main(argv: Sequence[str] | None = None) -> int:
    """Return 0 when every difference is a known one."""
    parser = argparse.ArgumentParser(description=(__doc__ or "").split("\n\n")[0])
    parser.add_argument("words", nargs="*", help="only settings with all of these")
    parser.add_argument("--subset", action="store_true", help="about a minute of it")
    parser.add_argument("--test", nargs="+", default=("*",), help="only tests of such names")
    parser.add_argument("--jobs", type=int, default=4, help="workers at the same time")
    parser.add_argument("--keep", type=Path, help="a folder for logs and records")
    options = parser.parse_args(argv)
    redis, rabbit = find_redis(), find_rabbit()
    if redis is None or rabbit is None:
        parser.error("redis-server or rabbitmq-server is missing")
    mark_this_run()
    began = time.monotonic()
    settings = [
        setting
        for setting in all_settings()
        if all(word in str(setting).replace(",", "").split() for word in options.words)
        or (not options.subset and setting.lock == PLAIN and _pair(setting, options.words))
    ]
    if options.subset:
        settings = [setting for setting in settings if setting in SUBSET_SETTINGS]
    root = unpacked(CHECKOUT / "build" / "celery-suite")
    with tempfile.TemporaryDirectory(prefix="celery-suite-") as temporary:
        folder = options.keep or Path(temporary)
        names = collected(root, environment(None, "memory://", None, folder / "none"))
        chosen = SUBSET if options.subset else ("*",)
        tests = [
            name
            for name in names
            if is_one_of(name, options.test)
            and is_one_of(name, chosen)
            and not is_one_of(name, LEFT_OUT)
        ]
        print(f"{len(tests)} of {len(names)} tests")
        with RabbitServer(rabbit, folder / "rabbit") as server:
            suite = Suite(root, folder, redis, server, options.jobs)
            wrong = _run(suite, settings, tests)
    for left in end_survivors():
        print("outlived its run and was killed:", left)
    print(f"{time.monotonic() - began:.0f} s")
    return 1 if wrong else 0


def _run(suite: Suite, settings: Sequence[Setting], tests: Sequence[str]) -> int:
    wrong, plain = 0, dict[Setting, dict[str, Outcome]]()
    for setting in settings:
        began = time.monotonic()
        outcomes = suite.run(setting, tests)
        came = Counter(outcome.came for outcome in outcomes.values())
        words = ", ".join(f"{count} {word}" for word, count in sorted(came.items()))
        print(f"{setting}: {words}, {time.monotonic() - began:.0f} s", flush=True)
        if setting.lock == PLAIN:
            # Celery itself gives the most of them five tries
            bad = [name for name, outcome in outcomes.items() if outcome.came not in WELL]
            plain[setting] = {**outcomes, **suite.run(setting, bad)}
            for name in bad:
                if plain[setting][name].came not in WELL:
                    print(f"    fails plainly: {name}: {plain[setting][name].line}", flush=True)
        else:
            wrong += compare(suite, setting, plain.get(setting.plain), outcomes)
    return wrong


def _pair(setting: Setting, words: Sequence[str]) -> bool:
    said = str(setting).replace(",", "").split()
    return all(word in said for word in words if word not in ("request", "arguments", PLAIN))


if __name__ == "__main__":
    sys.exit(main())
