"""The store that a command looks into, and how a command ends that cannot do what it should."""

from __future__ import annotations

from collections.abc import Callable, Iterator
from contextlib import contextmanager

import click

from ..errors import LockConfigurationError, StoreError
from ..model import LockStore

__all__ = ["NotDone", "Wrong", "opened"]


class NotDone(click.ClickException):
    """What was asked for is not so, or nobody can say: a message on stderr, without a traceback."""

    exit_code = 1


class Wrong(click.ClickException):
    """The call or the settings must change first."""

    exit_code = 2  # as click has it for wrong usage


@contextmanager
def opened(open_store: Callable[[], LockStore], *, app_given: bool = True) -> Iterator[LockStore]:
    """Give the store; an error of the store ends the command with its words."""
    try:
        store = open_store()
        if store.url.startswith("memory:"):
            click.echo(f"note: {store.url} is seen by one process alone: this one", err=True)
        try:
            yield store
        finally:
            store.close()
    except LockConfigurationError as error:
        if not app_given:
            raise Wrong(f"no app was given: write celery -A APP lock ... ({error})") from error
        raise Wrong(str(error)) from error
    except StoreError as error:
        raise NotDone(str(error)) from error
