"""Run all benchmarks: print the tables and the targets, keep the numbers of a full run.

python -m benchmarks                 all of it; writes results.json and what quotes it
BENCH=quick python -m benchmarks     a short run for development; writes nothing
python -m benchmarks cycle growth    those sections alone; writes nothing
python -m benchmarks --keep stores   that section alone, in the place of the one that was kept
"""

from __future__ import annotations

import os
import sys
import tempfile
import time
from collections.abc import Callable
from pathlib import Path

from . import (
    beats,
    cycles,
    growth,
    memory,
    names,
    page,
    pages,
    publishing,
    renewals,
    results,
    stores,
    throughput,
)
from .machine import described
from .processes import BenchError, stop_by_signals
from .results import Results, Section
from .server import Server
from .sizes import FULL, QUICK, Sizes
from .targets import verdicts


def main(wanted: list[str]) -> int:
    """Run the benchmarks; return the exit status."""
    mode, keep = os.environ.get("BENCH", ""), "--keep" in wanted
    wanted = [each for each in wanted if each != "--keep"]
    if mode not in ("", "quick"):
        print(f"BENCH={mode!r} is not known; leave it out, or say BENCH=quick", file=sys.stderr)
        return 2
    sizes = QUICK if mode else FULL
    stop_by_signals()
    with tempfile.TemporaryDirectory() as name:
        directory = Path(name)
        try:
            with Server(directory) as server:
                parts: dict[str, Callable[[], Section]] = {
                    names.CYCLE: lambda: cycles.measure(server, sizes),
                    **{
                        names.throughput(pool): _worker(server, sizes, pool, directory)
                        for pool in sizes.pools
                    },
                    **{
                        names.publishing(broker): _publisher(server, sizes, broker, directory)
                        for broker in (names.REDIS, names.RABBITMQ)
                    },
                    names.RENEWAL: lambda: renewals.measure(server, sizes),
                    names.MEMORY: lambda: memory.measure(server),
                    names.GROWTH: lambda: growth.measure(sizes, directory),
                    names.BEATS: lambda: beats.measure(sizes, directory),
                    names.STORES: lambda: stores.cycles(server, sizes, directory / "cycles"),
                    names.HAND_OFF: lambda: stores.hand_offs(server, sizes, directory / "hands"),
                    names.STORE_RENEWAL: lambda: stores.renewals(sizes, directory / "renewals"),
                }
                unknown = [each for each in wanted if each not in parts]
                if unknown:
                    print(
                        f"there is no {unknown[0]!r}; there are {', '.join(parts)}", file=sys.stderr
                    )
                    return 2
                found = [_told(parts[each]) for each in wanted or parts]
                done = Results(described(server.version()), found)
        except BenchError as error:
            print(error, file=sys.stderr)
            return 1
    if wanted and not keep:
        return 0
    if wanted:
        done = Results.read().with_sections(done)
    print(page.targets_table(verdicts(done)))
    if mode:
        print("\na quick run: nothing is written")
        return 0
    done.write()
    pages.write(done)
    print(f"\nwritten: {results.FILE.name} and {page.FILE.name}")
    return 0


def _worker(server: Server, sizes: Sizes, pool: str, directory: Path) -> Callable[[], Section]:
    return lambda: throughput.measure(server, sizes, pool, directory)


def _publisher(server: Server, sizes: Sizes, broker: str, directory: Path) -> Callable[[], Section]:
    return lambda: publishing.measure(server, sizes, broker, directory)


def _told(measure: Callable[[], Section]) -> Section:
    began = time.monotonic()
    section = measure()
    print(
        f"{section.title} ({time.monotonic() - began:.0f} s)\n\n{page.table(section)}\n", flush=True
    )
    return section


if __name__ == "__main__":
    sys.exit(main(sys.argv[1:]))
