"""One performance: the server and the workers, both runs, and what is said about them."""

from __future__ import annotations

from pathlib import Path
from tempfile import TemporaryDirectory
from typing import Any

from . import show
from .app import app, top_up_locked, top_up_plain
from .points import Points
from .server import Server
from .story import FIRST_BALANCE, USERS, Run, TopUp, make_top_ups, play
from .verdict import Verdict, judge
from .workers import CONCURRENCY, SERVERS, Workers


def perform(count: int, *, broken: bool = False) -> bool:
    """Play `count` top-ups without a lock and with one; return whether the locked run is right.

    `broken` plays the second run without its lock too. Raises `DemoError` when something is
    missing or dies, `Stopped` when told to stop; all that it started has ended by then.
    """
    # ignore: a process that was killed a moment ago may still be closing a file
    temporary = TemporaryDirectory(prefix="points-", ignore_cleanup_errors=True)
    with temporary as name, Server(Path(name)) as server:
        print(f"{count} top-ups for {len(USERS)} users, by servers {', '.join(SERVERS)}")
        print(f"({CONCURRENCY} processes each; broker and locks: {server.program})\n", flush=True)
        app.conf.update(broker_url=server.url, result_backend=server.url)
        points = Points(Path(name, "points.sqlite"))
        points.create()
        top_ups = make_top_ups(count)
        with Workers(Path(name), server.url, points.path) as workers:

            def check() -> None:
                server.check()
                workers.check()

            with show.Bar("without a lock", count) as bar:
                plain = play(top_up_plain, top_ups, points, check=check, progress=bar.show)
            task: Any = top_up_plain if broken else top_up_locked
            with show.Bar("with LockedTask", count) as bar:
                locked = play(
                    task,
                    top_ups,
                    points,
                    check=check,
                    progress=bar.show,
                    finish=workers.finish,
                )
    return _tell(top_ups, plain, locked)


def _tell(top_ups: list[TopUp], plain: Run, locked: Run) -> bool:
    without = judge(top_ups, FIRST_BALANCE, plain.balances, plain.history)
    with_lock = judge(top_ups, FIRST_BALANCE, locked.balances, locked.history)
    print(f"\n{show.table(without, with_lock)}\n")
    _tell_plain(without)
    user_id = USERS[0]
    print(f"\nWho held user:point:{user_id}, in the locked run, where it was busiest:")
    print(f"{show.timeline(locked.history, user_id)}\n")
    if with_lock.faults:
        print("WRONG, with the lock:")
        for fault in with_lock.faults:
            print(f"  {fault}")
        return False
    print(
        f"Right: with the lock the sums are exact, and each of the {len(top_ups)} top-ups ran"
        " once, alone."
    )
    return True


def _tell_plain(verdict: Verdict) -> None:
    if not verdict.lost:
        print("Warning: the run without a lock lost nothing this time, so it shows nothing.")
        return
    print(f"Without a lock {len(verdict.overlaps)} top-ups began while another of that user ran.")
    print(show.lost_update(verdict))
