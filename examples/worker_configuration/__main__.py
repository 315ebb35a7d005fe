"""`python -m examples.worker_configuration`: a worker, and what it was set up for."""

from __future__ import annotations

import sys

from celery_lock import is_skipped
from examples.demo import Demo, play

from .app import app, report, thumbnail
from .celeryconfig import lock_ttl
from .newsletter import send


def story(demo: Demo) -> bool:
    app.conf.update(broker_url=demo.url, result_backend=demo.url)
    demo.workers("examples.worker_configuration.app", "A", concurrency=2)

    (first,) = demo.results(send.delay(7))
    second, other = demo.results(send.delay(7), send.delay(8))
    print("newsletter.send, a library's task, locked by task_annotations:")
    print(f"  list 7: {first}\n  list 7: {second}\n  list 8: {other}")

    (told,) = demo.results(report.delay("2030-01-31"))
    print("report, a task of the app, with a lock and the settings' ttl:")
    print(f"  key {told['key']!r}, {told['remaining']:.1f} s left of {lock_ttl} s")

    (small,) = demo.results(thumbnail.delay("cat.png"))
    print(f"thumbnail, without a lock:\n  {small}")

    return (
        (first, other) == ("list 7 has its newsletter", "list 8 has its newsletter")
        and is_skipped(second)
        and told["key"] == "report:2030-01-31"
        and lock_ttl - 10 < told["remaining"] <= lock_ttl
        and small == "cat.png.small"
    )


if __name__ == "__main__":
    sys.exit(play(story))
