"""Play faults of stores under real workers, and write docs/store-faults.md.

python -m tests.stores                          every kind, each row once; nothing is written
python -m tests.stores redis etcd               these kinds alone
python -m tests.stores redis --only "restarted" rows with these words
python -m tests.stores --times 5                results of five plays or more are kept, and written
python -m tests.stores --missing 1/2            each second row of those that nothing was kept of
python -m tests.stores --page                   the page alone, from what was kept
"""

from __future__ import annotations

import argparse
import sys
import tempfile
import time
import traceback
from collections.abc import Sequence
from pathlib import Path

from tests.services import find_redis
from tests.services.survivors import end_survivors, mark_this_run
from tests.stores import page, results
from tests.stores.kinds import kinds, rows_of
from tests.stores.play import play
from tests.stores.rows import Row
from tests.stores.verdict import Play

ENOUGH = 5
"""Plays of a row that make a result."""


def main(argv: Sequence[str] | None = None) -> int:
    """Return 0 when every play is as promised."""
    parser = argparse.ArgumentParser(description=(__doc__ or "").split("\n\n")[0])
    parser.add_argument("kinds", nargs="*", help=f"of {', '.join(kinds())}; default: all")
    parser.add_argument("--only", default="", help="rows whose name contains this")
    parser.add_argument("--times", type=int, default=1, help="how often each row is played")
    parser.add_argument("--keep", type=Path, help="a folder for logs and histories")
    parser.add_argument("--missing", metavar="PART/PARTS", help="rows that nothing was kept of")
    parser.add_argument("--page", action="store_true", help="write the page, and play nothing")
    options = parser.parse_args(argv)
    unknown = [kind for kind in options.kinds if kind not in kinds()]
    if unknown:
        parser.error(f"there is no kind {unknown[0]!r}; there are {', '.join(kinds())}")
    binary = find_redis()
    if binary is None:
        parser.error("redis-server is missing: it is the broker")
    if options.page:
        page.write()
        return 0
    mark_this_run()
    began, bad = time.monotonic(), 0
    for kind in options.kinds or kinds():
        rows = [row for row in rows_of(kind) if options.only in row.name]
        if options.missing:
            part, parts = map(int, options.missing.split("/"))
            rows = [row for row in rows if row.name not in results.kept(kind)][part - 1 :: parts]
        for row in rows:
            plays = _plays(kind, row, binary, options.times, options.keep)
            bad += len(plays) < options.times or any(one.wrong for one in plays)
            if len(plays) >= ENOUGH:
                results.keep(kind, row, plays)
                page.write()
    for line in end_survivors():
        print(f"outlived its row and was killed: {line}")
    print(f"{bad} rows are not as promised, {time.monotonic() - began:.0f} s")
    return 1 if bad else 0


def _plays(kind: str, row: Row, binary: str, times: int, keep: Path | None) -> list[Play]:
    done: list[Play] = []
    rounds = [[n] for n in range(1, 2 * times + 1)]
    if row.heals:
        rounds = [[*range(1, times + 1)], [*range(times + 1, 2 * times + 1)]]
    for numbers in rounds:
        if len(done) >= times:
            break
        with tempfile.TemporaryDirectory(prefix="stores-") as temporary:
            words = "-".join(row.name.replace(",", "").replace("/", "").split())
            folder = (keep or Path(temporary)) / kind / words / str(numbers[0])
            try:
                for one in play(row, binary, folder, numbers):
                    print(f"{kind}: {row.name:60} {_told(one)}", flush=True)
                    if not one.is_void:  # else another one is played
                        done.append(one)
            except Exception as error:
                where = "".join(traceback.format_tb(error.__traceback__)[-3:])
                print(f"BROKEN {kind}: {row.name}\n{where}{error!r}"[-4000:], flush=True)
    return done


def _told(one: Play) -> str:
    errors = ", ".join(f"{times} {call}" for call, times in one.errors.items()) or "none"
    return (
        f"grants {one.grants}  overlaps {one.overlaps} ({one.worst:.2f} s)  backward {one.backward}"
        f"  leases lost {one.leases_lost}  quiet {one.quiet:.1f} s  back {one.back:.1f} s"
        f"  lost {one.lost}  errors {errors}  {'; '.join(one.wrong) or 'ok'}"
    )


if __name__ == "__main__":
    sys.exit(main())
