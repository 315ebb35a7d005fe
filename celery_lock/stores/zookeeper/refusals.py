"""What went wrong, in one sentence that says what to do."""

from __future__ import annotations

import ssl
from collections.abc import Sequence

from kazoo.exceptions import (
    AuthFailedError,
    NoAuthError,
    QuotaExceededError,
    ThrottledOpError,
    UnimplementedError,
)

from ...errors import StoreError, StoreUnavailable
from ..link.tls import ENDED, unreadable_file, untrusted
from .address import Address

__all__ = ["denied", "hopeless", "refused", "unreachable"]


def hopeless(errors: Sequence[OSError]) -> bool:
    """Whether what a round over all servers met will be met by the next one as well."""
    kinds = (ConnectionRefusedError, ssl.SSLCertVerificationError, FileNotFoundError)
    return all(isinstance(error, kinds) for error in errors)


def unreachable(
    address: Address,
    errors: Sequence[OSError],
    reached: int,
    seconds: float,
) -> StoreError:
    """Return our error for a connection that has not come about.

    `errors`: what the last round over all servers met; `reached`: how many servers have closed a
    connection again.
    """
    shown = address.shown
    for error in errors:
        if isinstance(error, ssl.SSLCertVerificationError):
            return untrusted(shown, error)
        if address.tls is not None and (unread := unreadable_file(shown, error)):
            return unread
        if isinstance(error, ssl.SSLError) and not isinstance(error, ENDED):
            return StoreError(
                f"no TLS with {shown} ({error.reason or error}). Is that a TLS port, and does it"
                " ask for a client certificate (?ssl_certfile=...&ssl_keyfile=...)?"
            )
    if reached or any(isinstance(error, ENDED) for error in errors):
        return StoreUnavailable(
            shown,
            f"no server has taken a session within {seconds:.3g} s: those that were reached hang,"
            " or have closed the connection, since they are too few for a quorum, elect a leader,"
            " or take no more clients (maxClientCnxns)",
        )
    if errors and all(isinstance(error, ConnectionRefusedError) for error in errors):
        return StoreUnavailable(shown, "nobody listens there (connection refused)")
    if errors:
        said = sorted({error.strerror or str(error) or type(error).__name__ for error in errors})
        return StoreUnavailable(
            shown, f"no connection came about within {seconds:.3g} s ({', '.join(said)})"
        )
    return StoreUnavailable(
        shown,
        f"no connection came about within {seconds:.3g} s; can the names be looked up, and do the"
        " ports belong to ZooKeeper (with TLS: to its secure port)?",
    )


def denied(address: Address) -> StoreError:
    """Return our error for a login that the servers do not know."""
    return StoreError(
        f"{address.shown} does not accept this login (user {address.user!r}): correct it in"
        " lock_store"
    )


def refused(error: Exception, address: Address) -> StoreError:
    """Return our error for an answer that is none."""
    shown = address.shown
    if isinstance(error, (NoAuthError, AuthFailedError)):
        who = f"user {address.user!r} of this URL" if address.user else "a URL without a login"
        return StoreError(
            f"{shown} does not permit {who} what a lock needs (read, write, create and delete on"
            " the nodes of the locks): another user or password may have made them. Correct the"
            " login in lock_store, or give this one a path of its own"
        )
    if isinstance(error, QuotaExceededError):
        return StoreUnavailable(shown, "the quota of its path is used up; raise it (setquota)")
    if isinstance(error, ThrottledOpError):
        return StoreUnavailable(shown, "it has more to do than it can, and has refused this")
    if isinstance(error, UnimplementedError):
        return StoreError(f"{shown} is too old: a lock needs ZooKeeper 3.6 or later")
    said = " ".join(filter(None, [type(error).__name__, str(error)]))
    return StoreError(f"{shown} refused: {said}")
