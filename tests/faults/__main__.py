"""Play the matrix of endings and faults, and write docs/fault-matrix.md.

python -m tests.faults                    everything; the page is written
python -m tests.faults prefork killed     only rows with all of these words; nothing is written
python -m tests.faults scopes:            those of publishers and permits; their section is written
python -m tests.faults --controls         without a guard: some row must go wrong for each
"""

from __future__ import annotations

import argparse
import sys
import tempfile
import threading
import time
import traceback
from collections.abc import Callable, Sequence
from concurrent.futures import ThreadPoolExecutor
from contextlib import ExitStack
from functools import partial
from pathlib import Path
from typing import TypeVar

from tests.faults.broken import CONTROLS
from tests.faults.broker_play import BrokerOutcome, brokers, play_broker
from tests.faults.broker_rows import BrokerRow, broker_rows
from tests.faults.page import PAGE, page, with_rows
from tests.faults.plan import Session, sessions
from tests.faults.redelivery import Played, Scale, play_rabbit, play_redis
from tests.faults.rows import Row, rows, why_not
from tests.faults.scenario import Outcome
from tests.faults.scope_page import with_section
from tests.faults.scope_play import ScopeOutcome, play_scope
from tests.faults.scope_rows import ScopeRow, scope_rows
from tests.faults.setup import kind_of, setups
from tests.faults.store_play import StoreOutcome, play_server, play_wire
from tests.faults.store_rows import SERVER_ROWS, WIRE_ROWS
from tests.services import RabbitServer, RedisServer, find_rabbit, find_redis
from tests.services.sqs_server import SqsServer
from tests.services.survivors import end_survivors, mark_this_run

T = TypeVar("T")

AT_ONCE = 2
"""Scenarios side by side. More are sooner over, and later seen: seconds are measured here."""
SCALE = Scale(visibility=3.0, body=11.0)
CONTROL_ROWS = ("paused past its ttl", "body longer than its ttl", "return")

_printing = threading.Lock()


def main(argv: Sequence[str] | None = None) -> int:
    """Return 0 when every row is as promised."""
    parser = argparse.ArgumentParser(description=(__doc__ or "").split("\n\n")[0])
    parser.add_argument("words", nargs="*", help="only rows with all of these")
    parser.add_argument("--controls", action="store_true", help="see it go wrong without a guard")
    parser.add_argument("--jobs", type=int, default=AT_ONCE)
    parser.add_argument("--keep", type=Path, help="a folder for logs and histories")
    options = parser.parse_args(argv)
    binary = find_redis()
    if binary is None:
        parser.error("redis-server is missing")
    mark_this_run()
    began = time.monotonic()
    with tempfile.TemporaryDirectory(prefix="faults-") as temporary:
        run = Run(binary, options.keep or Path(temporary), options.jobs)
        run.folder.mkdir(parents=True, exist_ok=True)
        status = controls(run) if options.controls else everything(run, options.words)
    left = end_survivors()
    if left:
        print("processes outlived their scenario and were killed:", *left, sep="\n")
    print(f"{time.monotonic() - began:.0f} s")
    return status


def everything(run: Run, words: Sequence[str]) -> int:
    """Play all rows, or those with some words; write the page, or its rows of brokers alone."""

    def named(name: str) -> bool:
        return all(word in name for word in words)

    outcomes = run.endings([r for r in rows() if why_not(r) is None and named(r.name)])
    store = run.store(named)
    redelivered = run.redelivery() if not words or named("redelivery") else []
    sent = run.brokers([row for row in broker_rows() if named(row.name)])
    scopes = run.scopes([row for row in scope_rows() if named(row.name)])
    played: list[Outcome | StoreOutcome | Played | BrokerOutcome | ScopeOutcome]
    played = [*outcomes, *store, *redelivered, *sent, *scopes]
    wrong = [one for one in played if one.wrong]
    print(f"{len(played)} rows, {len(wrong)} wrong", end=", ")
    if not words and not run.broken:
        PAGE.write_text(page(outcomes, redelivered, sent, store, scopes), encoding="utf-8")
        print(f"{PAGE.name} is written", end=", ")
    elif len(scopes) == len(scope_rows()) and not run.broken:
        PAGE.write_text(with_section(PAGE.read_text(encoding="utf-8"), scopes), encoding="utf-8")
        print(f"the rows of scopes in {PAGE.name} are written", end=", ")
    elif sent and not run.broken:
        PAGE.write_text(with_rows(PAGE.read_text(encoding="utf-8"), sent), encoding="utf-8")
        print(f"the rows of brokers in {PAGE.name} are written", end=", ")
    return 1 if wrong or run.broken else 0


def controls(run: Run) -> int:
    """Take a guard of the store away: some row must go wrong."""
    chosen = [
        row
        for row in rows()
        if row.pool == "prefork" and row.acks.name == "early" and row.ending.name in CONTROL_ROWS
    ]
    unseen = []
    for control in ("", *CONTROLS):
        outcomes = run.endings(chosen, control)
        wrong = [one.row.ending.name for one in outcomes if one.wrong]
        print(f"{control or 'with every guard'}: wrong are {', '.join(wrong) or 'none'}")
        if bool(wrong) != bool(control):
            unseen.append(control or "nothing")
    print("not noticed: " + ", ".join(unseen) if unseen else "each is noticed", end=", ")
    return 1 if unseen or run.broken else 0


class Run:
    """One run of the program: its servers, its folder, and what broke."""

    def __init__(self, binary: str, folder: Path, jobs: int) -> None:
        self.binary = binary
        self.folder = folder
        self.jobs = jobs
        self.broken: list[str] = []

    def endings(self, chosen: Sequence[Row], control: str = "") -> list[Outcome]:
        """Play rows of the first table."""
        if not chosen:
            return []
        kinds = list(dict.fromkeys(kind_of(row.ending) for row in chosen))
        folder = self.folder / (control.replace(" ", "-") or "endings")
        with setups(self.binary, folder, kinds, control) as made:

            def one(session: Session) -> list[Outcome]:
                outcomes = list(session.play(made[session.kind.name]))
                for outcome in outcomes:
                    say(outcome)
                return outcomes

            played = self._all([(s.name, partial(one, s)) for s in sessions(chosen)])
        return [outcome for outcomes in played for outcome in outcomes]

    def store(self, named: Callable[[str], bool]) -> list[StoreOutcome]:
        """Play the faults of wire and server."""
        with RedisServer(self.binary, self.folder / "wire-redis") as server:
            wire = [(row.name, partial(play_wire, row, server, self.folder)) for row in WIRE_ROWS]
            whole = [
                (row.name, partial(play_server, row, self.binary, self.folder))
                for row in SERVER_ROWS
            ]

            def one(play: Callable[[], StoreOutcome]) -> StoreOutcome:
                outcome = play()
                overlaps = len(outcome.found.overlaps)
                _print(f"{outcome.name:72} overlaps {overlaps}  {outcome.verdict}")
                return outcome

            chosen = [(name, play) for name, play in (*wire, *whole) if named(name)]
            return self._all([(name, partial(one, play)) for name, play in chosen])

    def redelivery(self) -> list[Played]:
        """Play the copies, at the times that were asked for."""
        with RedisServer(self.binary, self.folder / "redelivery-redis") as server:

            def redis() -> list[Played]:
                return play_redis(server, 0, self.folder, SCALE)

            def rabbit() -> list[Played]:
                binary = find_rabbit()
                if binary is None:
                    _print("RabbitMQ is missing: its rows are not played")
                    return []
                with RabbitServer(binary, self.folder / "rabbit") as broker:
                    vhost = broker.new_vhost()
                    return play_rabbit(broker, vhost, server, 1, self.folder, SCALE)

            both = self._all([("redelivery on Redis", redis), ("on RabbitMQ", rabbit)])
        played = [one for some in both for one in some]
        for one in played:
            verdict = "; ".join(one.wrong) or "ok"
            _print(f"{one.case.name:72} {one.ends} runs came to their end  {verdict}")
        return played

    def scopes(self, chosen: Sequence[ScopeRow]) -> list[ScopeOutcome]:
        """Play what befalls a publisher's lease, and permits."""
        if not chosen:
            return []
        with ExitStack() as stack:
            found, rabbit = find_rabbit(), None
            if found is None:
                _print("RabbitMQ is missing: its rows are not played")
                chosen = [row for row in chosen if row.broker != "rabbit"]
            elif any(row.broker == "rabbit" for row in chosen):
                rabbit = stack.enter_context(RabbitServer(found, self.folder / "scopes-rabbit"))
            sqs = SqsServer(self.folder / "scopes-sqs")
            if any(row.broker == "sqs" for row in chosen):
                stack.enter_context(sqs)

            def one(row: ScopeRow) -> ScopeOutcome:
                outcome = play_scope(row, self.binary, self.folder, rabbit, sqs)
                seconds = f"free after {outcome.seconds:.1f} s"
                _print(f"{row.name:90} lost {outcome.lost}  {seconds}  {outcome.verdict}")
                return outcome

            others = [row for row in chosen if row.broker != "sqs"]
            played = self._all([(row.name, partial(one, row)) for row in others])
            for row in chosen:  # SQS is emptied for each row: these one after the other
                if row.broker == "sqs":
                    played += self._all([(row.name, partial(one, row))])
            return played

    def brokers(self, chosen: Sequence[BrokerRow]) -> list[BrokerOutcome]:
        """Play messages of one key on each broker, beside a plain task and one with SET NX."""
        if not chosen:
            return []
        rabbit = find_rabbit()
        if rabbit is None:
            _print("RabbitMQ is missing: its rows are not played")
            chosen = [row for row in chosen if row.broker in ("redis", "sqs")]
        with brokers(self.binary, rabbit, self.folder) as made:

            def one(row: BrokerRow) -> BrokerOutcome:
                outcome = play_broker(row, made, self.binary, self.folder)
                lost = ", ".join(f"{name} {twin.lost}" for name, twin in outcome.twins.items())
                _print(f"{row.name:72} lost: {lost}  {outcome.verdict}")
                return outcome

            # SQS is emptied for each row: these one after the other
            alone = [row for row in chosen if row.broker == "sqs"]
            others = [row for row in chosen if row.broker != "sqs"]
            played = self._all([(row.name, partial(one, row)) for row in others])
            for row in alone:
                played += self._all([(row.name, partial(one, row))])
            return played

    def _all(self, work: Sequence[tuple[str, Callable[[], T]]]) -> list[T]:
        """Some at once; who breaks is named and left out."""

        def one(named: tuple[str, Callable[[], T]]) -> list[T]:
            name, play = named
            try:
                return [play()]
            except Exception as error:
                self.broken.append(name)
                where = "".join(traceback.format_tb(error.__traceback__)[-2:])
                _print(f"BROKEN {name}\n{where}{type(error).__name__}: {str(error)[-2000:]}")
                return []

        with ThreadPoolExecutor(self.jobs) as pool:
            return [made for some in pool.map(one, work) for made in some]


def say(out: Outcome) -> None:
    """Print a row."""
    taken = "never" if out.seconds is None else f"{out.seconds:.2f} s"
    if out.unnoticed:
        taken += f" ({out.unnoticed:.2f} s unnoticed)"
    lost = f"lost {len(out.locked.lost)} ({len(out.plain.lost)})"
    if any(out.waiting):
        lost += f" waiting {out.waiting[0]} ({out.waiting[1]})"
    overlaps = f"overlaps {len(out.locked.overlaps)} ({len(out.plain.overlaps)})"
    _print(f"{out.row.name:72} {overlaps}  {lost}  {taken:28} {out.verdict}")


def _print(line: str) -> None:
    with _printing:
        print(line, flush=True)


if __name__ == "__main__":
    sys.exit(main())
