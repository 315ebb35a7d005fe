"""One run of a canvas, from its publication until nothing of it moves any more."""

from __future__ import annotations

import base64
import json
import pickle
import re
import time
import uuid
from collections import Counter, defaultdict
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass, field
from typing import Any

import celery
from celery import states
from celery.result import GroupResult
from redis import Redis

from celery_lock.model import Claim
from celery_lock.stores import open_store
from tests.canvas.app import INSTEAD, LOCKED, NOTES, in_order
from tests.canvas.board import Board, written
from tests.canvas.building import build
from tests.canvas.plans import Plan, nodes_of
from tests.canvas.variants import keys_of, running_keys

__all__ = ["Outcome", "Runner"]

LONGEST = 90.0
"""Seconds after which a canvas that still moves is given up."""


@dataclass
class Outcome:
    """All that can be seen of a run."""

    run: str
    hangs: str = ""
    result: Any = None
    bodies: Counter[str] = field(default_factory=Counter)
    """Each run of a body and each call of an errback, with what it was given; how often."""
    instead: dict[str, str] = field(default_factory=dict)
    """What nodes came to whose bodies did not run."""
    messages: dict[str, list[Any]] = field(default_factory=dict)
    notes: list[dict[str, Any]] = field(default_factory=list)

    def compared(self) -> dict[str, Any]:
        """Return what has to be the same in each run."""
        return {
            "hangs": self.hangs,
            "result": self.result,
            "bodies": dict(self.bodies),
            "messages": self.messages,
        }


class Runner:
    """Runs canvases on a worker that is there."""

    def __init__(self, app: celery.Celery, board: Board, redis: Redis) -> None:
        self.app, self.board, self.redis = app, board, redis
        self.store = open_store(app.conf.result_backend)

    def run(self, plan: Plan, *, locked: bool, instead: dict[str, str] | None = None) -> Outcome:
        """Run a canvas to its end."""
        run = str(uuid.uuid4())
        outcome = Outcome(run)
        mapping = {LOCKED: "1"} if locked else instead
        if mapping:
            self.redis.hset(INSTEAD + run, mapping=mapping)  # type: ignore[arg-type]
        with self._held(plan, run, plan.get("held", 0) if locked else 0):
            result = build(self.app, plan, run, locked=locked).apply_async()
        outcome.hangs = self._wait(run)
        outcome.notes = self._notes(run)
        self._right(outcome.notes)
        outcome.result = _seen(result, is_split=_is_split(plan))
        messages = self.board.messages(run)
        _read(outcome, {(message.task_id, message.node) for message in messages})
        outcome.messages = written(messages, run, is_split=_is_split(plan))
        return outcome

    def taken(self, plan: Plan, run: str) -> list[str]:
        """Return the keys of a run that somebody still has."""
        keys = {key for node in nodes_of(plan) for key in keys_of(node, run)}
        return [f"{key} by {held.holder}" for key in sorted(keys) if (held := self.store.peek(key))]

    @contextmanager
    def _held(self, plan: Plan, run: str, seconds: float) -> Iterator[None]:
        """Somebody who is no task has all keys at first, for so long."""
        keys = {key for node in nodes_of(plan) for key in keys_of(node, run)}
        holder = f"somebody#elsewhere#1#{run[:8]}.1"
        leases = [self.store.acquire(Claim(key, holder, 30.0)) for key in keys if seconds]
        until = time.monotonic() + seconds
        yield
        time.sleep(max(0.0, until - time.monotonic()))
        for lease in leases:
            self.store.release(lease)

    def _wait(self, run: str) -> str:
        """Wait until each message that was sent has come to its end, and none is new."""
        until = time.monotonic() + LONGEST
        pause = 0.02
        while True:
            sent = len(self.board.messages(run))
            ended = self._ended(run)
            if sent and sent == ended and sent == len(self.board.messages(run)):
                return ""
            if time.monotonic() > until:
                return f"{sent} messages were sent, {ended} have ended"
            time.sleep(pause)
            pause = min(0.2, pause * 1.3)

    def _right(self, notes: list[dict[str, Any]]) -> None:
        """Write the last states again: a slow process writes RETRY over what its retry came to.

        That is Celery's own race: it sends a retry first, and then says so.
        """
        for one in notes:
            if one["what"] == "end" and one["retries"] and one["state"] in ("SUCCESS", "FAILURE"):
                backend: Any = self.app.backend
                if backend.get_state(one["task_id"]) == states.RETRY:
                    said = one.get("result")
                    if "error" in one:
                        said = pickle.loads(base64.b64decode(one["error"]))
                    backend.store_result(one["task_id"], said, one["state"])

    def _ended(self, run: str) -> int:
        return sum(one["what"] == "end" for one in self._notes(run))

    def _notes(self, run: str) -> list[dict[str, Any]]:
        roots = {m.headers.get("root_id") for m in self.board.messages(run)}
        names = [NOTES + run, *(f"{NOTES}root-{root}" for root in sorted(filter(None, roots)))]
        with self.redis.pipeline(transaction=False) as pipeline:
            for name in names:
                pipeline.lrange(name, 0, -1)
            return [json.loads(one) for each in pipeline.execute() for one in each]


def _is_split(plan: Plan) -> bool:
    """Parts of it run side by side: who calls a chord's body is another one each time."""
    kinds = json.dumps(plan)
    return '"group"' in kinds or '"chord"' in kinds or "add_to_chord" in kinds


def _read(outcome: Outcome, sent: set[tuple[str, str]]) -> None:
    ran = set()
    for one in outcome.notes:
        if one["what"] == "body":
            ran.add((one["node"], one["retries"]))
            inputs = json.dumps(in_order(one["inputs"]), sort_keys=True)
            outcome.bodies[f"{one['node']}/{one['retries']} {inputs}"] += 1
        elif one["what"] == "errback":
            outcome.bodies[f"{one['node']} {one['error']}"] += 1
        elif (
            one["what"] == "end" and one["task"].endswith(".errback") and one["state"] != "IGNORED"
        ):
            outcome.bodies[f"{one['node']} by message"] += 1  # also where its own key was taken
    for one in outcome.notes:
        if one["what"] == "sent" and (one["task_id"], one["node"]) not in sent:
            outcome.instead[f"send:{one['by']}"] = "nothing"
        if one["what"] != "end" or one["state"] not in ("SUCCESS", "FAILURE"):
            continue
        if (one["node"], one["retries"]) not in ran and one["task"].endswith(".node"):
            said = {name: one[name] for name in ("result", "error") if name in one}
            outcome.instead[f"{one['node']}:{one['retries']}"] = json.dumps(said)


def overlaps(plan: Plan, outcome: Outcome) -> list[str]:
    """Return the keys under which more bodies ran at once than their limit."""
    by_key: dict[tuple[str, int], list[tuple[float, int, str]]] = defaultdict(list)
    nodes = {node["id"]: node for node in nodes_of(plan)}
    for one in outcome.notes:
        if one["what"] == "body" and one["node"] in nodes:
            moves = [(one["began"], 1, one["node"]), (one["ended"], -1, one["node"])]
            for key in running_keys(nodes[one["node"]]):
                by_key[key] += moves
    wrong = []
    for key, steps in by_key.items():
        running: set[str] = set()
        for _, step, node in sorted(steps):
            running = running | {node} if step > 0 else running - {node}
            if len(running) > key[1]:
                wrong.append(f"{sorted(running)} at once under {key}")
    return wrong


def _seen(result: Any, *, is_split: bool) -> Any:
    """A result with all that hangs on it, without what is another each time."""
    parent = _seen(result.parent, is_split=is_split) if result.parent else None
    if isinstance(result, GroupResult):
        each = [_seen(one, is_split=is_split) for one in result.results]
        return {"group": each, "parent": parent}
    value = result.result
    if isinstance(value, BaseException):
        value = _without_ids(f"{type(value).__name__}: {value}")
    seen = {"state": result.state, "value": in_order(value), "parent": parent}
    if not is_split:  # else they are those of whoever was the last to end
        seen["children"] = sorted((_states(one) for one in result.children or []), key=repr)
    return seen


def _states(result: Any) -> Any:
    if isinstance(result, GroupResult):  # several call-backs are sent as one group
        return {"group": [_states(one) for one in result.results]}
    children = sorted((_states(one) for one in result.children or []), key=repr)
    return {"state": result.state, "children": children}


def _without_ids(text: str) -> str:
    return re.sub(r"[0-9a-f-]{36}", "<?>", text)
