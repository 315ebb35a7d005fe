"""One performance: the server and the workers, both runs, and what is said about them."""

from __future__ import annotations

from pathlib import Path
from tempfile import TemporaryDirectory
from typing import Any

from . import show
from .app import app, charge_locked, charge_plain
from .points import Points
from .server import Server
from .story import FIRST_BALANCE, USERS, Charge, Run, make_charges, play
from .verdict import Verdict, judge
from .workers import CONCURRENCY, SERVERS, Workers


def perform(count: int, *, broken: bool = False) -> bool:
    """Play `count` charges without a lock and with one; return whether the locked run is right.

    `broken` plays the second run without its lock too. Raises `DemoError` when something is
    missing or dies, `Stopped` when told to stop; all that it started has ended by then.
    """
    # ignore: a process that was killed a moment ago may still be closing a file
    temporary = TemporaryDirectory(prefix="points-", ignore_cleanup_errors=True)
    with temporary as name, Server(Path(name)) as server:
        print(f"{count} charges for {len(USERS)} users, by servers {', '.join(SERVERS)}")
        print(f"({CONCURRENCY} processes each; broker and locks: {server.program})\n", flush=True)
        app.conf.update(broker_url=server.url, result_backend=server.url)
        points = Points(Path(name, "points.sqlite"))
        points.create()
        charges = make_charges(count)
        with Workers(Path(name), server.url, points.path) as workers:

            def check() -> None:
                server.check()
                workers.check()

            with show.Bar("without a lock", count) as bar:
                plain = play(charge_plain, charges, points, check=check, progress=bar.show)
            task: Any = charge_plain if broken else charge_locked
            with show.Bar("with LockedTask", count) as bar:
                locked = play(
                    task,
                    charges,
                    points,
                    check=check,
                    progress=bar.show,
                    finish=workers.finish,
                )
    return _tell(charges, plain, locked)


def _tell(charges: list[Charge], plain: Run, locked: Run) -> bool:
    without = judge(charges, FIRST_BALANCE, plain.balances, plain.history)
    with_lock = judge(charges, FIRST_BALANCE, locked.balances, locked.history)
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
        f"Right: with the lock the sums are exact, and each of the {len(charges)} charges ran"
        " once, alone."
    )
    return True


def _tell_plain(verdict: Verdict) -> None:
    if not verdict.lost:
        print("Warning: the run without a lock lost nothing this time, so it shows nothing.")
        return
    print(f"Without a lock {len(verdict.overlaps)} charges began while another of that user ran.")
    print(show.lost_update(verdict))
