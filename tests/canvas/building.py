"""A plan, which is data, becomes a canvas of Celery: of plain tasks, or of locked ones."""

from __future__ import annotations

import uuid
from typing import Any

from celery import Celery, chain, chord, group

__all__ = ["build", "id_of"]

_ALWAYS = ("id", "key", "other", "do")
_FOR_THE_BODY = (*_ALWAYS, "times", "sleep", "with")


def id_of(run: str, node: str) -> str:
    """Return the task id that a node with a preset one has."""
    return str(uuid.uuid5(uuid.UUID(run), node))


def build(app: Celery, plan: dict[str, Any], run: str, *, locked: bool) -> Any:
    """Return the canvas of a plan."""
    kind = plan["kind"]
    if kind == "task":
        return _node(app, plan, run, locked)
    parts = [build(app, one, run, locked=locked) for one in plan["of"]]
    made: Any
    if kind == "chain":
        made = chain(*parts, app=app)
    elif kind == "group":
        made = group(parts, app=app)
    else:
        made = chord(parts, build(app, plan["body"], run, locked=locked), app=app)
    for each in plan.get("errbacks", ()):
        made.link_error(_errback(app, each, run, locked))
    if plan.get("stamp"):
        made.stamp(tenant=plan["stamp"])
    return made


def _node(app: Celery, plan: dict[str, Any], run: str, locked: bool) -> Any:
    spec = {name: plan[name] for name in _FOR_THE_BODY if name in plan} | {"run": run}
    kind = plan["variant"] if locked and plan["variant"] else "plain"
    made = app.signature(f"canvas.{kind}.node", kwargs={"spec": spec})
    options = dict(plan.get("options", {}))
    if plan.get("preset"):
        options["task_id"] = id_of(run, plan["id"])
    made.set(immutable=bool(plan.get("immutable")), **options)
    for each in plan.get("link", ()):
        made.link(build(app, each, run, locked=locked))
    for each in plan.get("errbacks", ()):
        made.link_error(_errback(app, each, run, locked))
    return made


def _errback(app: Celery, plan: dict[str, Any], run: str, locked: bool) -> Any:
    spec = {name: plan[name] for name in _ALWAYS if name in plan} | {"run": run}
    if not plan["by_message"]:
        return app.signature("canvas.errback", kwargs={"spec": spec})
    kind = plan["variant"] if locked and plan["variant"] else "plain"
    return app.signature(f"canvas.{kind}.errback", kwargs={"spec": spec})
