"""Let several beats run one schedule under fire, and judge what they fired.

python -m tests.beats                              three locked beats, 180 s
python -m tests.beats --scheduler persistent --seconds 45 --calm
"""

from __future__ import annotations

import argparse
import sys
import tempfile
import time
from collections.abc import Collection, Sequence
from contextlib import ExitStack
from pathlib import Path

from tests.beats.beats import Beats
from tests.beats.book import read
from tests.beats.database import make_database
from tests.beats.entries import ENTRIES, Entry
from tests.beats.history import history_of
from tests.beats.kinds import KINDS, Kind
from tests.beats.plan import ALL, BEATS, CALM_LAST, plan
from tests.beats.play import play
from tests.beats.report import report
from tests.beats.setup import running_setup
from tests.beats.verdict import Verdict, judge
from tests.services import RedisServer, find_redis
from tests.services.survivors import end_survivors, mark_this_run

__all__ = ["main", "run"]


def main(argv: Sequence[str] | None = None) -> int:
    """Return 0 when all is as promised."""
    parser = argparse.ArgumentParser(description=(__doc__ or "").split("\n\n")[0])
    parser.add_argument("--seconds", type=float, default=180.0)
    parser.add_argument("--scheduler", choices=KINDS, default="locked")
    parser.add_argument("--seed", type=int, default=1)
    parser.add_argument("--beats", type=int, default=BEATS)
    parser.add_argument("--calm", action="store_true", help="no faults at all")
    parser.add_argument("--keep", type=Path, help="a folder for logs and the book")
    options = parser.parse_args(argv)
    binary = find_redis()
    if binary is None:
        parser.error("redis-server is missing")
    mark_this_run()
    began = time.monotonic()
    with tempfile.TemporaryDirectory(prefix="beats-") as temporary:
        verdict = run(
            binary,
            KINDS[options.scheduler],
            options.keep or Path(temporary),
            seconds=options.seconds,
            seed=options.seed,
            beats=options.beats,
            only=() if options.calm else ALL,
        )
    print(
        f"{options.scheduler}, seed {options.seed}, {options.seconds:g} s",
        *report(verdict),
        sep="\n",
    )
    left = end_survivors()
    if left:
        print("processes outlived the run and were killed:", *left, sep="\n")
    print(f"{time.monotonic() - began:.0f} s")
    return 1 if verdict.wrong else 0


def run(
    binary: str,
    kind: Kind,
    folder: Path,
    *,
    seconds: float,
    seed: int,
    beats: int = BEATS,
    only: Collection[str] = ALL,
    entries: Sequence[Entry] = ENTRIES,
    calm: float = CALM_LAST,
) -> Verdict:
    """Play a plan with beats of this kind, and judge it."""
    folder.mkdir(parents=True, exist_ok=True)
    database = folder / "schedule.sqlite3" if kind.database else None
    if database:
        make_database(database, entries)
    with ExitStack() as stack:
        broker = stack.enter_context(RedisServer(binary, folder / "broker"))
        store = stack.enter_context(RedisServer(binary, folder / "store", appendonly=True))
        made = Beats(
            kind,
            folder,
            store=store.url,
            broker=broker.url,
            entries=entries,
            database=database,
        )
        setup = stack.enter_context(running_setup(store, broker, made))
        made.start(beats)
        made.wait_up()
        faults = [one for one in plan(seed, seconds, only, calm) if (one.beat or 0) < beats]
        play(setup, faults, seconds)
        setup.drain()
    return judge(history_of(read(made.book)), entries)


if __name__ == "__main__":
    sys.exit(main())
