"""The points of the contract all at once, for a store that measures in seconds.

    @side_by_side
    class TestMyStore(StoreContract):
        def open_store(self, prefix):
            return MyStore("my://localhost", prefix=prefix)

What waits for the end of a lease would otherwise wait one after the other, for minutes. Each test
reports its own point, as ever; the server has to be one that lives as long as the class. A class
whose points share something beside the store says `alone = True`: they are played as ever.
"""

from __future__ import annotations

import copy
import inspect
import threading
from collections.abc import Callable, Mapping
from concurrent.futures import Future
from typing import Any, TypeVar

import pytest

from . import StoreContract

__all__ = ["side_by_side"]

C = TypeVar("C", bound=type[StoreContract])

PATIENCE = 300.0
"""Seconds, on this machine's clock, after which a point is taken for one that hangs."""

Point = Callable[..., Any]


def side_by_side(contract: C) -> C:
    """Let a class of pytest play its points in threads, as its first test begins."""
    play = _Play()
    for name in dir(contract):
        point: Any = getattr(contract, name)
        owner = next((one for one in contract.__mro__ if name in vars(one)), contract)
        if name.startswith("test_") and callable(point) and not vars(owner).get("alone"):
            play.points[name] = point
            setattr(contract, name, _reporting(play, name, point))
    return contract


class _Play:
    """All points of one class that pytest has collected, each in a thread of its own."""

    AT_ONCE = 80
    """Most points wait for nothing: more at once would only keep each other from the machine."""

    def __init__(self) -> None:
        self.points: dict[str, Point] = {}
        self._free = threading.Semaphore(self.AT_ONCE)
        self.answers: dict[str, Future[None]] = {}

    def begin(self, fixture: StoreContract, request: pytest.FixtureRequest) -> None:
        """Start the points of this class that were asked for."""
        for item in request.session.items:
            if not isinstance(item, pytest.Function) or item.cls is not type(fixture):
                continue
            point = self.points.get(item.originalname)
            if point is not None:
                params = item.callspec.params if hasattr(item, "callspec") else {}
                answer = self.answers[item.nodeid] = Future[None]()
                threading.Thread(
                    target=_play,
                    args=(self._free, copy.copy(fixture), point, params, answer),
                    daemon=True,
                ).start()


def _reporting(play: _Play, name: str, point: Point) -> Point:
    """Return the test that stands for a point: it has its name, its marks and its parameters."""

    def report(self: StoreContract, request: pytest.FixtureRequest, **params: Any) -> None:
        if not play.answers:
            play.begin(self, request)
        play.answers[request.node.nodeid].result(PATIENCE)

    signature = inspect.signature(point)
    own = [one for one in signature.parameters.values() if one.name not in _PROVIDED]
    asks = inspect.Parameter("request", inspect.Parameter.POSITIONAL_OR_KEYWORD)
    report.__signature__ = signature.replace(  # type: ignore[attr-defined]  # pytest reads it
        parameters=[own[0], asks, *own[1:]]
    )
    report.__name__, report.__doc__ = name, point.__doc__
    if hasattr(point, "pytestmark"):
        report.pytestmark = point.pytestmark  # type: ignore[attr-defined]  # as on any test
    return report


_PROVIDED = ("store", "key", "space")


def _play(
    free: threading.Semaphore,
    fixture: StoreContract,
    point: Point,
    params: Mapping[str, Any],
    answer: Future[None],
) -> None:
    free.acquire()
    try:
        store = fixture.a_store()
        try:
            named = dict(params)
            asked = inspect.signature(point).parameters
            if "store" in asked:
                named["store"] = store
            if "key" in asked:
                named["key"] = fixture.a_key()
            if "space" in asked:
                named["space"] = fixture.a_space(store)
            point(fixture, **named)
        finally:
            store.close()
    except BaseException as error:  # a test that is skipped is one, too
        answer.set_exception(error)
    else:
        answer.set_result(None)
    finally:
        free.release()
