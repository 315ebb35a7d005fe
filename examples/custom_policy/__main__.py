"""`python -m examples.custom_policy`: one worker, one holder, and two who meet it."""

from __future__ import annotations

import sys
from typing import Any

from celery import chain

from celery_lock import is_skipped
from examples.ground import Ground, play

from .app import announce, app, fetch


def story(ground: Ground) -> bool:
    app.conf.update(broker_url=ground.url, result_backend=ground.url)
    folder = str(ground.folder)
    ground.workers("examples.custom_policy.app", "A", concurrency=2, CUSTOM_POLICY_FOLDER=folder)

    holder = fetch.delay(7)
    ground.wait_for("the first fetch", lambda: str(holder.state) == "FETCHING")
    print("A fetch of shop 7 is running. Two more come: one alone, one at the head of a chain.")
    alone = fetch.delay(7)
    chained: Any = chain(fetch.s(7), announce.s()).delay()

    (skipped,) = ground.results(alone)
    print(f"  alone:   sent again twice, then {skipped}")
    waits = not chained.parent.ready()
    (ground.folder / "sent").touch()
    first, said = ground.results(holder, chained)
    print(f"  holder:  {first}")
    print(f"  chained: waited until the holder was done, and then: {said}")

    attempts = [line for line in ground.log("A") if f"{alone.id}]: skipped" in line]
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
