"""From a call to its arguments, by the names that the task has for them."""

from __future__ import annotations

import inspect
from collections.abc import Mapping, Sequence
from typing import Any, NoReturn

from ..errors import LockConfigurationError, LockError
from .json_form import json_form
from .pydantic_models import Model

__all__ = ["Parameters", "WrongArguments"]

_BY_NAME_ONLY = 1 << 30  # the position of a parameter that has none


class WrongArguments(LockError):
    """A call has arguments that its task does not take, so there is no key for it."""

    def __init__(self, said: str, error: Exception) -> None:
        """`error` is what a call of the task raises."""
        super().__init__(said, error)
        self.said = said
        self.error = error

    def __str__(self) -> str:
        return self.said


class Parameters:
    """What a task takes: read once from its signature, used for each message.

    `signature` is the task's without `self`; `models` says which parameters are pydantic models.
    """

    __slots__ = (
        "_by_name",
        "_count",
        "_defaults",
        "_models",
        "_positions",
        "extra",
        "names",
        "rest",
        "signature",
        "task",
        "whose",
    )

    def __init__(
        self,
        task: str,
        signature: inspect.Signature,
        models: Mapping[str, Model] | None = None,
        whose: str = "",
    ) -> None:
        self.task = task
        self.whose = whose or f"task {task!r}"
        """Whose key it is, for messages."""
        self.signature = signature
        self.rest: str | None = None  # the name of `*args`, if any
        self.extra: str | None = None  # the name of `**kwargs`, if any
        self._models = dict(models or {})
        self._positions: list[str] = []
        self._by_name: dict[str, int] = {}
        self._defaults: dict[str, Any] = {}
        for name, parameter in signature.parameters.items():
            if parameter.kind is parameter.VAR_POSITIONAL:
                self.rest = name
                self._defaults[name] = ()
                continue
            if parameter.kind is parameter.VAR_KEYWORD:
                self.extra = name
                self._defaults[name] = {}
                continue
            if parameter.kind is not parameter.POSITIONAL_ONLY:
                named = parameter.kind is parameter.KEYWORD_ONLY
                self._by_name[name] = _BY_NAME_ONLY if named else len(self._positions)
            if parameter.kind is not parameter.KEYWORD_ONLY:
                self._positions.append(name)
            if parameter.default is not parameter.empty:
                self._defaults[name] = parameter.default
        self.names = tuple(signature.parameters)
        self._count = len(self.names)

    def bind(self, args: Sequence[Any], kwargs: Mapping[str, Any]) -> dict[str, Any]:
        """Return every parameter's value by name, defaults filled in.

        `*args` is a tuple and `**kwargs` a dict under their own names. Raises `WrongArguments`
        where a call with these arguments would be a `TypeError`.
        """
        # This is `signature.bind` for the everyday call, at a fifth of its cost. Whatever is
        # not everyday is left to `signature.bind`, and so is finding the words for a mistake.
        given = len(args)
        if given == self._count == len(self._positions) and not kwargs:
            return dict(zip(self._positions, args, strict=True))
        if given > len(self._positions):
            return self._bind_slowly(args, kwargs)
        bound = self._defaults.copy()
        for name, value in zip(self._positions, args):  # noqa: B905 (args may be shorter)
            bound[name] = value
        for name, value in kwargs.items():
            if self._by_name.get(name, -1) < given:
                return self._bind_slowly(args, kwargs)
            bound[name] = value
        if len(bound) < self._count:
            return self._bind_slowly(args, kwargs)
        return bound

    def _bind_slowly(self, args: Sequence[Any], kwargs: Mapping[str, Any]) -> dict[str, Any]:
        try:
            found = self.signature.bind(*args, **kwargs)
        except TypeError as exc:
            raise WrongArguments(
                f"{self.whose} cannot be called with these arguments: {exc}; "
                f"it takes {self.signature}",
                exc,
            ) from exc
        found.apply_defaults()
        return dict(found.arguments)

    def has_model(self, name: str) -> bool:
        """Whether the argument `name` is a pydantic one."""
        return self._models.get(name) is not None

    def form(self, name: str, value: Any, shown: str = "") -> Any:
        """Return the JSON form of the argument `name`, a pydantic one through its model.

        `shown` is what an error calls it, when that is not its name. Raises
        `LockConfigurationError` for a type without a JSON form, and `LockError` for a value
        without one (a circle, too deep, a `__json__` that fails).
        """
        try:
            model = self._models.get(name)
            return json_form(value if model is None else model.dump(value))
        except Exception as exc:
            self._refuse(shown or name, value, exc)

    def check_model(self, name: str, value: Any) -> None:
        """Raise `WrongArguments` for a pydantic argument that is not valid, as the body does."""
        if self.has_model(name):
            self.live(name, value)

    def live(self, name: str, value: Any) -> Any:
        """Return the argument `name` as a key function gets it.

        That is the JSON form where there is one, so that it is the same wherever it is asked
        for; else the object as it came. A pydantic argument is an instance of its model.
        """
        model = self._models.get(name)
        try:
            return json_form(value) if model is None else model.build(value)
        except Exception as exc:
            if model is None:
                return value
            raise WrongArguments(
                f"{self.whose}: its argument {name!r} is no valid {model.name}, "
                "so its key cannot be made",
                exc,
            ) from exc

    def _refuse(self, shown: str, value: Any, exc: Exception) -> NoReturn:
        kind: type[LockError] = LockError
        if isinstance(exc, TypeError):
            kind, why = LockConfigurationError, str(exc)
        elif isinstance(exc, RecursionError):
            why = "it is nested too deep"
        elif str(exc) == "Circular reference detected":
            why = "it contains itself"
        else:  # (the text of this exception may hold the value, and keys are no place for that)
            why = type(exc).__name__
        raise kind(
            f"{self.whose}: its argument {shown!r} ({type(value).__name__}) has no JSON "
            f"form, which the key needs: {why}. Use a key template that names other arguments, "
            "or a key function: it gets this one as it came"
        ) from exc
