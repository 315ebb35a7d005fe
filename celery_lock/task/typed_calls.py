"""What type checkers know of the calls of a locked task: those of Celery, and `lock=None`."""

from __future__ import annotations

from typing import TYPE_CHECKING, ParamSpec, TypeVar

__all__ = ["TypedTask"]

_P = ParamSpec("_P")
_R = TypeVar("_R", covariant=True)

if TYPE_CHECKING:
    from collections.abc import Mapping
    from datetime import datetime
    from typing import Any

    import kombu
    from celery import Signature, Task
    from celery.result import AsyncResult, EagerResult

    class TypedTask(Task[_P, _R]):
        """A task, for type checkers alone."""

        def apply_async(
            self,
            args: tuple[Any, ...] | None = ...,
            kwargs: dict[str, Any] | None = ...,
            task_id: str | None = ...,
            producer: kombu.Producer | None = ...,
            link: Signature[Any] | list[Signature[Any]] | None = ...,
            link_error: Signature[Any] | list[Signature[Any]] | None = ...,
            shadow: str | None = ...,
            *,
            lock: None = ...,
            countdown: float = ...,
            eta: datetime = ...,
            expires: float | datetime = ...,
            retry: bool = ...,
            retry_policy: Mapping[str, Any] = ...,
            queue: str | kombu.Queue = ...,
            exchange: str | kombu.Exchange = ...,
            routing_key: str = ...,
            priority: int = ...,
            serializer: str = ...,
            compression: str = ...,
            add_to_parent: bool = ...,
            publisher: kombu.Producer = ...,
            headers: dict[str, Any] = ...,
            ignore_result: bool = ...,
            time_limit: int = ...,
            soft_time_limit: int = ...,
        ) -> AsyncResult[_R]: ...

        def apply(
            self,
            args: tuple[Any, ...] | None = ...,
            kwargs: dict[str, Any] | None = ...,
            link: Signature[Any] | list[Signature[Any]] | None = ...,
            link_error: Signature[Any] | list[Signature[Any]] | None = ...,
            task_id: str | None = ...,
            retries: int | None = ...,
            throw: bool | None = ...,
            logfile: str | None = ...,
            loglevel: str | None = ...,
            headers: Mapping[str, Any] | None = ...,
            *,
            lock: None = ...,
            ignore_result: bool = ...,
            exchange: str = ...,
            routing_key: str = ...,
            priority: int = ...,
        ) -> EagerResult[_R]: ...
