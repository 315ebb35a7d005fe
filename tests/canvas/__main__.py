"""Run random canvases with plain tasks and with locked ones, and compare what comes out.

python -m tests.canvas --count 200 --seed 1
python -m tests.canvas --only 1234567                one canvas, by its own seed
python -m tests.canvas --named --locks until_started canvases that have names, with these locks
"""

from __future__ import annotations

import argparse
import gc
import json
import random
import sys
import tempfile
import time
import traceback
from collections.abc import Iterator, Sequence
from concurrent.futures import ThreadPoolExecutor
from contextlib import ExitStack, contextmanager
from pathlib import Path

from celery import _state

from tests.canvas import app as canvas_app
from tests.canvas.board import Board
from tests.canvas.named import named_plans
from tests.canvas.plans import Plan, draw, nodes_of
from tests.canvas.playing import Verdict, play
from tests.canvas.running import Runner
from tests.canvas.variants import VARIANTS
from tests.integration.taps import tap_rabbit, tap_redis
from tests.services import RabbitServer, RedisServer, Worker, find_rabbit, find_redis, sending
from tests.services.survivors import end_survivors, mark_this_run

APP = "tests.canvas.app"
AT_ONCE = 6


def main(argv: Sequence[str] | None = None) -> int:
    """Return 0 where no canvas differs from its plain one."""
    parser = argparse.ArgumentParser(description=(__doc__ or "").split("\n\n")[0])
    parser.add_argument("--count", type=int, default=200)
    parser.add_argument("--seed", type=int, default=None)
    parser.add_argument("--only", type=int, nargs="*", help="seeds of single canvases")
    parser.add_argument("--named", nargs="*", help="canvases with names; only with these words")
    parser.add_argument("--locks", default="", help="only variants with these words")
    parser.add_argument("--vague", action="store_true", help="show how plain runs differ")
    parser.add_argument("--pool", default="prefork")
    parser.add_argument("--broker", choices=("redis", "rabbitmq"), default="redis")
    parser.add_argument("--keep", type=Path, help="a folder for logs")
    options = parser.parse_args(argv)
    binary = find_redis()
    if binary is None:
        parser.error("redis-server is missing")
    rabbit = find_rabbit() if options.broker == "rabbitmq" else None
    if rabbit is None and options.broker == "rabbitmq":
        parser.error("rabbitmq-server is missing")
    mark_this_run()
    seed = options.seed if options.seed is not None else random.randrange(10**6)
    seeds = options.only or [seed * 1000 + number for number in range(options.count)]
    variants = [one for one in VARIANTS if all(w in one for w in options.locks.split())]
    plans: list[tuple[int | str, Plan]] = [(one, draw(one, variants)) for one in seeds]
    if options.named is not None:
        words = options.named
        plans = [one for one in named_plans(variants) if all(w in one[0] for w in words)]
    print(f"{len(plans)} canvases, seed {seed}, {len(variants)} locks", flush=True)
    began = time.monotonic()
    with tempfile.TemporaryDirectory(prefix="canvas-") as temporary:
        folder = options.keep or Path(temporary)
        with running(binary, folder, pool=options.pool, rabbit=rabbit) as runner:
            verdicts = list(play_all(runner, plans))
    for one in verdicts if options.vague else ():
        if not one.vague:
            continue
        print("vague", one.name, json.dumps(one.plan), *one.vague, sep="\n  ")
    wrong = [one for one in verdicts if one.wrong]
    for one in wrong:
        print(f"--- {one.name}", json.dumps(one.plan), *one.wrong, sep="\n  ")
    nodes = sum(len(nodes_of(one.plan)) for one in verdicts)
    print(
        f"{len(verdicts)} canvases of {nodes} tasks in {time.monotonic() - began:.0f} s:"
        f" {len(wrong)} differ, {sum(bool(one.vague) for one in verdicts)} whose plain runs differ,"
        f" {sum(one.instead for one in verdicts)} tasks ended without a body,"
        f" {sum(one.resent for one in verdicts)} messages were sent again"
    )
    left = end_survivors()
    if left:
        print("processes outlived the run and were killed:", *left, sep="\n")
    return 1 if wrong else 0


@contextmanager
def running(
    binary: str, folder: Path, *, pool: str = "prefork", rabbit: str | None = None
) -> Iterator[Runner]:
    """A Redis that is backend and store, and broker unless there is a RabbitMQ; a worker on it,
    and who runs canvases there."""
    with ExitStack() as stack:
        server = stack.enter_context(RedisServer(binary, folder / "redis"))
        url = server.url
        broker, tapping = url, tap_redis(server)
        if rabbit is not None:
            other = stack.enter_context(RabbitServer(rabbit, folder / "rabbit"))
            broker, tapping = other.url, tap_rabbit(other, "/")
        worker = Worker(APP, folder, broker=broker, backend=url, pool=pool, concurrency=8)  # type: ignore[arg-type]
        stack.enter_context(worker)
        _state._set_task_join_will_block(True)  # results are read, and nobody subscribes to them
        app = canvas_app.make_app(broker_url=broker, result_backend=url)
        stack.enter_context(sending(app))
        tap = stack.enter_context(tapping)
        redis = stack.enter_context(server.client())
        try:
            yield Runner(app, Board(tap), redis)
        finally:
            _state._set_task_join_will_block(False)
            gc.collect()  # a result that is collected later would ask its server, which is gone


def play_all(runner: Runner, plans: Sequence[tuple[int | str, Plan]]) -> Iterator[Verdict]:
    """Play all plans, several at once."""
    with ThreadPoolExecutor(AT_ONCE) as pool:
        yield from pool.map(lambda each: _play(runner, *each), plans)


def _play(runner: Runner, name: int | str, plan: Plan) -> Verdict:
    try:
        return play(runner, name, plan)
    except Exception:  # the others are played all the same
        return Verdict(name, plan, [traceback.format_exc()])


if __name__ == "__main__":
    sys.exit(main())
