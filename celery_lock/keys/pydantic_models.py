"""Arguments that are pydantic models: what `pydantic=True` makes of them before a body runs.

`{"a": 1}`, `{"a": 1, "b": "x"}` where "x" is the default of b, and `Order(a=1)` are one argument
to such a task, so they are one key. pydantic is never imported here: a task has models only
where somebody else has.
"""

from __future__ import annotations

import inspect
import sys
import types
import typing
from collections.abc import Callable, Iterator, Mapping
from dataclasses import is_dataclass
from typing import Any

from .json_form import canonical, json_form

__all__ = ["Model", "find_models", "is_celerys"]


class Model:
    """How the value of one parameter becomes an instance of its model, and JSON again."""

    __slots__ = ("_cls", "_context", "name")

    def __init__(self, cls: Any, context: Mapping[str, Any] | None = None) -> None:
        """`cls` is a pydantic `BaseModel` class, `context` what its validators are given."""
        self._cls = cls
        self._context = dict(context or {})
        self.name: str = cls.__name__

    def build(self, value: Any) -> Any:
        """Return `value` as an instance; raises `ValueError` for what does not validate."""
        if value is None or isinstance(value, self._cls):
            return value
        # Not strict, whatever the task says: what is too lax here fails in the body.
        return self._cls.model_validate(value, strict=False, context=self._context)

    def dump(self, value: Any) -> Any:
        """Return `value` as plain data with every default filled in.

        What does not validate is returned as it is: the body will say what is wrong with it.
        """
        try:
            model = self.build(value)
        except ValueError:  # (pydantic.ValidationError is one; what a validator trips over is not)
            return value
        if model is None:
            return None
        return _settled(model, model.model_dump(mode="json", by_alias=False, warnings=False))


def find_models(run: Callable[..., Any]) -> dict[str, Model]:
    """Return the models of a task's parameters by name; empty without `pydantic=True`.

    `run` is the task's `run`, wrapped as Celery wraps it. `Model` and `Optional[Model]` count,
    as they do for Celery.
    """
    pydantic = sys.modules.get("pydantic")
    wrapper = next(filter(is_celerys, _unwrapped(run)), None)
    if pydantic is None or wrapper is None:
        return {}
    body = wrapper.__wrapped__  # what Celery looks at: Python 3.14 lets a wrapper have other hints
    try:
        hints = typing.get_type_hints(body)
    except (AttributeError, NameError, TypeError):
        hints = {}
    models = {}
    context = _context(wrapper)
    for name, parameter in inspect.signature(body).parameters.items():
        cls = _without_none(hints.get(name, parameter.annotation))
        if isinstance(cls, type) and _is_subclass(cls, pydantic.BaseModel):
            models[name] = Model(cls, context)
    return models


def _unwrapped(run: Any) -> Iterator[Any]:
    while run is not None:
        yield run
        run = getattr(run, "__wrapped__", None)


def is_celerys(function: Any) -> bool:
    """The function is Celery's own wrapper around a body, which stands for the body's arguments."""
    # Celery keeps no note of `pydantic=True` on the task (5.5, 5.6); its wrapper is the trace.
    return bool(getattr(function, "__globals__", {}).get("__name__") == "celery.app.base")


def _context(wrapper: Any) -> dict[str, Any]:
    """Return the validation context that Celery's wrapper closes over."""
    found = inspect.getclosurevars(wrapper).nonlocals
    inner = found.get("validate_argument")  # since 5.7 one function further in
    if inner is not None:
        found = {**found, **inspect.getclosurevars(inner).nonlocals}
    context = {"celery_app": found.get("app"), "celery_task_name": found.get("task_name")}
    return {**(found.get("context") or {}), **context}


def _without_none(annotation: Any) -> Any:
    if typing.get_origin(annotation) in (typing.Union, types.UnionType):
        kinds = typing.get_args(annotation)
        if len(kinds) == 2 and type(None) in kinds:
            return kinds[0] if kinds[1] is type(None) else kinds[1]
    return annotation


def _is_subclass(cls: type, base: type) -> bool:
    try:
        return issubclass(cls, base)
    except TypeError:  # `list[int]` passes for a type on Python 3.10
        return False


def _settled(live: Any, dumped: Any) -> Any:
    """Return `dumped` with what was a set in an order that does not change between processes."""
    while getattr(type(live), "__pydantic_root_model__", False):
        live = live.root
    if isinstance(dumped, list):
        if not isinstance(live, (list, tuple, set, frozenset)) or len(live) != len(dumped):
            return dumped  # (a serializer of the user's own)
        items = [_settled(*pair) for pair in zip(live, dumped, strict=True)]
        if isinstance(live, (set, frozenset)):
            items.sort(key=lambda item: canonical(json_form(item)))
        return items
    if isinstance(dumped, dict):
        if isinstance(live, dict) and len(live) == len(dumped):
            inside = dict(zip(dumped, live.values(), strict=True))
        elif hasattr(type(live), "__pydantic_validator__") or is_dataclass(live):
            inside = {name: getattr(live, name, None) for name in dumped}
        else:
            return dumped
        return {name: _settled(inside[name], value) for name, value in dumped.items()}
    return dumped
