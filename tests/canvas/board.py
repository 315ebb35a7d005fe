"""All messages that a broker got, by the run that they belong to, and without accidents."""

from __future__ import annotations

import base64
import json
import re
import threading
from collections import defaultdict
from typing import Any

from tests.canvas.app import in_order
from tests.integration.taps import Copy, Tap

__all__ = ["Board", "Message", "written"]

_UUID = re.compile(r"[0-9a-f]{8}-[0-9a-f]{4}-[0-9a-f]{4}-[0-9a-f]{4}-[0-9a-f]{12}")
_KIND = re.compile(r"canvas\.[a-z_0-9-]+\.(node|errback)")
_PARENT = re.compile(r'"([a-z.]*(?:root|parent)_id)": "<[^"]*"')
_OURS = "celery_lock"
_TIMES = ("eta", "expires")
_ACCIDENTS = ("origin", "delivery_tag", "reply_to", _OURS)


class Message:
    """One copy of a message."""

    def __init__(self, copy: Copy) -> None:
        self.headers = copy.headers
        self.ours: dict[str, Any] | None = self.headers.get(_OURS)
        self.task_id, self.task = copy.task_id, copy.task
        self.parts = dict(copy.parts)
        body = self.parts["body"]  # Redis keeps it as text, RabbitMQ as it is
        body = body if isinstance(body, bytes) else base64.b64decode(body)
        self.args, self.kwargs, self.embed = json.loads(body)
        spec = self.kwargs.get("spec") or {}
        self.run: str | None = spec.get("run")
        self.node: str = spec.get("id") or self.task
        self.retries: int = self.headers["retries"]

    @property
    def label(self) -> str:
        """Which act of publishing it is, in words that are the same in each run."""
        nesting = self.headers.get("replaced_task_nesting") or 0
        return f"{self.node}/{self.retries}/{nesting}"


class Board:
    """Sorts what a tap has heard."""

    def __init__(self, tap: Tap) -> None:
        self._tap = tap
        self._lock = threading.Lock()
        self._seen = 0
        self._runs: dict[str, list[Message]] = defaultdict(list)
        self._of_root: dict[str, str] = {}

    def messages(self, run: str) -> list[Message]:
        """Return all messages of a run so far."""
        with self._lock:
            everything = self._tap.everything()
            for copy in everything[self._seen :]:
                message = Message(copy)
                root = message.headers.get("root_id") or message.task_id
                owner = message.run or self._of_root.get(root)
                if owner is None:
                    raise AssertionError(f"nobody's message: {copy}")
                self._of_root.setdefault(root, owner)
                self._runs[owner].append(message)
            self._seen = len(everything)
            return list(self._runs[run])

    def run_of_root(self, root: str) -> str | None:
        """Return the run that a root id belongs to."""
        return self._of_root.get(root)


def written(messages: list[Message], run: str, *, is_split: bool) -> dict[str, list[Any]]:
    """Return the messages by label, each once for each act of publishing, without accidents.

    A message that was sent again has to be equal to the one that it goes back to.
    """
    names = _names_of(messages, run)
    forms: dict[str, list[Any]] = defaultdict(list)
    known: dict[tuple[str, str], Any] = {}
    for message in messages:
        form = _form_of(message, names, is_split)
        publication = (message.ours or {}).get("publication")
        if publication:
            first = known.setdefault((message.label, publication), form)
            if first is not form:
                differ = {
                    k: (first.get(k), form.get(k))
                    for k in {*first, *form}
                    if first.get(k) != form.get(k)
                }
                differ.pop("headers.eta", None)
                if differ:
                    forms["changed as it was sent again"].append((message.label, differ))
                continue
        forms[message.label].append(form)
    return {label: sorted(each, key=repr) for label, each in forms.items()}


def _names_of(messages: list[Message], run: str) -> dict[str, str]:
    names = {run: "RUN"}
    for message in messages:
        names.setdefault(message.task_id, f"<{message.node}>")
    groups: dict[str, set[str]] = defaultdict(set)
    for message in messages:
        if message.headers.get("group"):
            groups[message.headers["group"]].add(message.node)
    names |= {group: f"<group of {min(nodes)}>" for group, nodes in groups.items()}
    return names


def _form_of(message: Message, names: dict[str, str], is_split: bool) -> dict[str, Any]:
    headers = {k: v for k, v in message.headers.items() if k not in _ACCIDENTS}
    inner = headers.get("headers")
    if isinstance(inner, dict):
        headers["headers"] = {k: v for k, v in inner.items() if k != _OURS}
    for name in _TIMES:
        headers[name] = headers.get(name) is not None
    if message.args:
        headers.pop("argsrepr", None)
    properties = {k: v for k, v in message.parts["properties"].items() if k not in _ACCIDENTS}
    properties.pop("body_encoding", None)
    # Celery computes it again for a retry; ours leaves it to the header, which says the same
    properties.pop("expiration", None)
    properties.pop("immutable", None)  # an option of a signature, which is no property of AMQP
    form: dict[str, Any] = {f"headers.{k}": v for k, v in headers.items()}
    form |= {f"properties.{k}": v for k, v in properties.items()}
    form |= {"args": in_order(message.args), "kwargs": message.kwargs, "embed": message.embed}
    form["content-type"] = message.parts.get("content-type")
    text = json.dumps(form, sort_keys=True)
    text = _UUID.sub(lambda found: names.get(found[0], "<?>"), text)
    text = _KIND.sub(r"canvas.\1", text)
    if is_split:
        text = _PARENT.sub(r'"\1": "..."', text)
    answer: dict[str, Any] = json.loads(text)
    return answer
