"""`python -m examples.custom_policy`: one worker, one holder, and two who meet it."""

from __future__ import annotations

import sys
from typing import Any

from celery import chain

from celery_lock import is_skipped
from examples.demo import Demo, play

from .app import announce, app, fetch


def story(demo: Demo) -> bool:
    app.conf.update(broker_url=demo.url, result_backend=demo.url)
    folder = str(demo.folder)
    demo.workers("examples.custom_policy.app", "A", concurrency=2, CUSTOM_POLICY_FOLDER=folder)

    holder = fetch.delay(7)
    demo.wait_for("the first fetch", lambda: str(holder.state) == "FETCHING")
    print("A fetch of shop 7 is running. Two more come: one alone, one at the head of a chain.")
    alone = fetch.delay(7)
    chained: Any = chain(fetch.s(7), announce.s()).delay()

    (skipped,) = demo.results(alone)
    print(f"  alone:   sent again twice, then {skipped}")
    waits = not chained.parent.ready()
    (demo.folder / "sent").touch()
    first, said = demo.results(holder, chained)
    print(f"  holder:  {first}")
    print(f"  chained: waited until the holder was done, and then: {said}")

    attempts = [line for line in demo.log("A") if f"{alone.id}]: skipped" in line]
    return (
        is_skipped(skipped)
        and skipped["held_by"] == holder.id
        and len(attempts) == 1
        and attempts[0].endswith("attempt 3")
        and waits
        and (first, said) == (700, "700 articles are in the shop")
    )


if __name__ == "__main__":
    sys.exit(play(story))
