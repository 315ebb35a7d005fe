"""The app of the canvases: one body under many locks, and without one; it notes all that it does.

What a node does stands in its own arguments, so that a plain task and a locked one are sent the
same. A plain node can be told to do what became of the locked one: to be skipped, or to fail.
"""

from __future__ import annotations

import base64
import json
import pickle
import time
from contextlib import suppress
from hashlib import sha256
from typing import Any

from celery import Celery, signals
from redis import Redis

from celery_lock import LockConflict, LockedTask
from tests.canvas.building import build
from tests.canvas.variants import VARIANTS, lock_of

NOTES = "notes:"
"""List of what happened, by the name of the run."""
INSTEAD = "instead:"
"""Hash of what plain nodes do instead of their own work, by the name of the run."""
LOCKED = "locked"
"""Field of that hash: the run's tasks have their locks."""
LONGEST = 300
"""Letters of a result; of a longer one there is the digest."""

_redis: list[Redis] = []


def redis_of(app: Celery) -> Redis:
    """Return the client for notes, one for each process."""
    if not _redis:
        _redis.append(Redis.from_url(app.conf.result_backend))
    return _redis[0]


@signals.worker_process_init.connect
def _forget_client(**_: Any) -> None:
    _redis.clear()


def make_app(**conf: Any) -> Celery:
    """One app for the worker (by environment) and one for who sends."""
    app = Celery("random-canvas", set_as_current=False)
    app.conf.update(
        broker_connection_retry_on_startup=True,
        task_allow_error_cb_on_chord_header=True,
        broker_pool_limit=40,
        broker_transport_options={"confirm_publish": True},
        worker_prefetch_multiplier=4,
        lock_ttl=20,
        **conf,
    )
    _tasks(app, "plain", {"lock": None})
    for name in VARIANTS:
        _tasks(app, name, {"lock": lock_of(name), "acks_late": VARIANTS[name].acks_late})

    @app.task(name="canvas.errback", bind=True, shared=False)
    def errback(
        self: Any, request: Any, error: Any = None, trace: Any = None, *, spec: dict[str, Any]
    ) -> None:
        """With more than one parameter Celery calls it where the error was."""
        note(app, spec["run"], "errback", node=spec["id"], error=type(error).__name__)

    return app


def note(app: Celery, run: str, what: str, **facts: Any) -> None:
    """Write down what happened."""
    redis_of(app).rpush(NOTES + run, json.dumps({"what": what, **facts}))


def _tasks(app: Celery, kind: str, options: dict[str, Any]) -> None:
    options = {"base": LockedTask, "bind": True, "shared": False, "max_retries": 20, **options}

    @app.task(name=f"canvas.{kind}.node", **options)
    def node(self: Any, *inputs: Any, spec: dict[str, Any]) -> Any:
        return _body(app, self, inputs, spec)

    @app.task(name=f"canvas.{kind}.errback", **options)
    def errback(self: Any, task_id: str, *, spec: dict[str, Any]) -> None:
        """With one parameter it is sent as a message."""


def _body(app: Celery, task: Any, inputs: tuple[Any, ...], spec: dict[str, Any]) -> Any:
    run, retries, began = spec["run"], task.request.retries, time.time()
    locked, instead = redis_of(app).hmget(INSTEAD + run, LOCKED, f"{spec['id']}:{retries}")
    if instead is not None:
        said = json.loads(instead)
        if "error" in said:
            raise pickle.loads(base64.b64decode(said["error"]))
        return said["result"]
    try:
        time.sleep(spec.get("sleep", 0))
        return _do(app, task, inputs, spec, bool(locked))
    finally:
        facts = {"node": spec["id"], "retries": retries, "inputs": inputs}
        facts |= {
            "began": began,
            "ended": time.time(),
            "redo": task.request.delivery_info["redelivered"],
        }
        note(app, run, "body", **facts)


def _do(app: Celery, task: Any, inputs: tuple[Any, ...], spec: dict[str, Any], locked: bool) -> Any:
    do, retries, value = spec["do"], task.request.retries, _value(inputs, spec)
    if do == "fail":
        raise ValueError(spec["id"])
    if do in ("retry", "retry and fail") and retries < spec["times"]:
        raise task.retry(countdown=0.3)
    if do == "retry and fail":
        raise KeyError(spec["id"])
    if do == "replace" or (do == "add_to_chord" and task.request.chord):
        other = build(app, spec["with"], spec["run"], locked=locked)
        if do == "replace":
            raise task.replace(other)
        task.add_to_chord(other)
    if do == "send":
        _send(app, spec, locked)
    if do == "call" and "within" not in spec:
        task(*inputs, spec=spec | {"within": True, "do": "return", "id": f"{spec['id']}+"})
    return value


def _send(app: Celery, spec: dict[str, Any], locked: bool) -> None:
    """Send what a body sends; note what came of it: a duplicate may not be sent at all."""
    run, other = spec["run"], spec["with"]
    if not locked and redis_of(app).hexists(INSTEAD + run, f"send:{spec['id']}"):
        return
    sent = None
    with suppress(LockConflict):
        sent = build(app, other, run, locked=locked).apply_async().id
    if other["kind"] == "task":
        note(app, run, "sent", by=spec["id"], node=other["id"], task_id=sent)


def in_order(value: Any) -> Any:
    """Return inputs without their order: that of nested headers is another in each plain run."""
    if isinstance(value, list | tuple):
        return sorted(
            (in_order(one) for one in value), key=lambda one: json.dumps(one, sort_keys=True)
        )
    if isinstance(value, dict):
        if "skipped" in value:
            return {"skipped": "..."}
        return {name: in_order(one) for name, one in value.items()}
    return value


def _value(inputs: tuple[Any, ...], spec: dict[str, Any]) -> dict[str, Any]:
    """Return what shows which node this is, and what it was given."""
    written = json.dumps(in_order(inputs), sort_keys=True)
    if len(written) > LONGEST:
        return {"node": spec["id"], "digest": sha256(written.encode()).hexdigest()[:12]}
    return {"node": spec["id"], "inputs": list(inputs)}


@signals.task_postrun.connect
def _ended(
    task: Any = None, kwargs: Any = None, state: str | None = None, retval: Any = None, **_: Any
) -> None:
    request = task.request
    if request.is_eager or request.called_directly:
        return
    spec = (kwargs or {}).get("spec") or {}
    facts: dict[str, Any] = {"task_id": request.id, "node": spec.get("id"), "state": state}
    facts |= {"retries": request.retries, "task": task.name}
    if state == "SUCCESS":
        facts["result"] = retval
    elif isinstance(retval, BaseException):
        facts["error"] = base64.b64encode(pickle.dumps(retval)).decode()
        facts["says"] = f"{type(retval).__name__}: {retval}"
    run = spec.get("run") or f"root-{request.root_id}"  # a task of Celery's own has no node
    note(task.app, run, "end", **facts)


app = make_app()
