"""What went wrong, in one sentence that says what to do.

The one place where errors of the network, of TLS and of the server become ours. What may pass by
itself is a `StoreUnavailable`, the rest a plain `StoreError`.
"""

from __future__ import annotations

import socket
import ssl
from collections.abc import Mapping
from typing import Any

from ....errors import StoreError, StoreUnavailable
from ...link.deadline_socket import ConnectionLost, DeadlineExceeded
from ...link.dialling import Unreachable
from ...link.tls import ENDED, unreadable_file, untrusted
from .address import Address
from .care import TooFewReplicas, Unacknowledged
from .guard import Guarded
from .login import NoCredentials
from .pool import PoolExhausted
from .resp import ErrorReply, ProtocolError

__all__ = ["CLUSTER_PERMISSIONS", "FAILURES", "PERMISSIONS", "besides", "translated"]

FAILURES = (
    ConnectionLost,
    DeadlineExceeded,
    ErrorReply,
    Guarded,
    NoCredentials,
    PoolExhausted,
    ProtocolError,
    TooFewReplicas,
    Unreachable,
)
"""All that a call can end with but our own errors; nothing else is translated."""

PERMISSIONS = (
    "+evalsha +eval +time +hmget +hset +hdel +pexpire +pttl +lpush +ltrim +blpop"
    " +zadd +zrange +zremrangebyscore +scan +ping +select +info"
)
"""The least ACL rule, without its keys. `+zadd`, `+zrange` and `+zremrangebyscore` only for
records; `+scan` only to find the keys of a template; `+select` only where the database is not 0;
`+info` only for the warnings at start, and for `restart_guard`. Besides, `+wait` for `replicas`,
and `+role` where sentinels name the server."""

CLUSTER_PERMISSIONS = "+cluster|slots +asking"
"""What a cluster needs besides: to see who keeps which slot, and to follow a slot on its way."""

_NAMING = "+client|setname"
"""What a `client_name` needs besides."""


def besides(url: str, options: Mapping[str, Any]) -> str:
    """Return what a URL and its options need beside `PERMISSIONS`, as an ACL rule goes on."""
    named = options.get("client_name") or "client_name=" in url.partition("?")[2]
    return f" {_NAMING}" if named else ""


_PASSING = {
    "BUSY": "a script blocks it; SCRIPT KILL ends that one",
    "CLUSTERDOWN": "its cluster is down, or has no node for this key; CLUSTER INFO says more",
    "LOADING": "it is loading its data and will answer when it has done so",
    "MASTERDOWN": "it is a replica that has lost its primary; name the primary, or its sentinels"
    " (sentinel://)",
    "MISCONF": "it cannot save its data to disk and takes no writes until it can; its log says why",
    "NOREPLICAS": "it has fewer replicas than min-replicas-to-write and takes no writes",
    "OOM": "its memory is full and it takes no new locks; give it more (maxmemory), or a server"
    " of their own to the locks",
    "READONLY": "it is a read-only replica; name the primary, or the sentinels that know it after a"
    " fail-over (sentinel://)",
    "TRYAGAIN": "its cluster is moving keys",
}
_CLIENT_CERTIFICATE = "does it ask for a client certificate (?ssl_certfile=...&ssl_keyfile=...)?"


def translated(error: Exception, address: Address, seconds: float) -> StoreError:
    """Return our error for one of `FAILURES`; `seconds` is what the call had."""
    if isinstance(error, ErrorReply):
        return _refused(error, address)
    if isinstance(error, ProtocolError):
        return StoreError(
            f"{address.shown} is no Redis or Valkey server: it answered {error.args[0]!r};"
            " is the port right?"
        )
    if isinstance(error, Unreachable):
        return _unreachable(error.__cause__, address, seconds)
    if isinstance(error, TooFewReplicas):
        some, wanted = error.args
        who = "none of its replicas has" if not some else f"only {some} of its replicas have"
        why = f"{who} acknowledged what was written, and replicas={wanted} asks for {wanted}"
        return Unacknowledged(address.shown, why)
    if isinstance(error, Guarded):
        cause = (
            f"it began, or became the primary, {error.ago:.3g} s ago and may have forgotten who"
            f" holds a key: for {error.left:.3g} s more it gives none (restart_guard, with"
            f" longest_ttl={error.longest:g})"
        )
    elif isinstance(error, PoolExhausted):
        cause = f"all connections of this process stayed in use for {seconds:.3g} s"
    elif isinstance(error, NoCredentials):
        # the error's text stays in its cause: it may have a piece of a secret
        cause = f"its credential provider failed ({type(error.__cause__).__name__})"
    elif isinstance(error, ConnectionLost):
        if isinstance(error.__cause__, ssl.SSLError):
            return _unreachable(error.__cause__, address, seconds)
        cause = f"the connection broke, and the one after it as well ({error})"
    else:
        cause = f"it gave no answer within {seconds:.3g} s"
    return StoreUnavailable(address.shown, cause)


def _unreachable(cause: BaseException | None, address: Address, seconds: float) -> StoreError:
    if "handshake operation timed out" in str(cause):
        why = f"no TLS handshake came about within {seconds:.3g} s; is that a TLS port?"
        return StoreUnavailable(address.shown, why)
    if isinstance(cause, ssl.SSLCertVerificationError):
        return untrusted(address.shown, cause)
    if isinstance(cause, ENDED) and address.tls is not None:
        why = f"it ended the TLS handshake; {_CLIENT_CERTIFICATE}"
        return StoreUnavailable(address.shown, why)
    if isinstance(cause, ssl.SSLError):
        return StoreError(
            f"no TLS with {address.shown} ({cause.reason or cause}). Is that a TLS port, and"
            f" {_CLIENT_CERTIFICATE}"
        )
    if address.tls is not None and (unread := unreadable_file(address.shown, cause)):
        return unread
    if isinstance(cause, FileNotFoundError):
        why = "there is no such socket file"
    elif isinstance(cause, (socket.gaierror, UnicodeError)):
        why = f"the name {address.host!r} cannot be looked up ({_reason(cause)})"
    elif isinstance(cause, ConnectionRefusedError):
        why = "nobody listens there (connection refused)"
    elif isinstance(cause, TimeoutError):
        why = f"no connection came about within {seconds:.3g} s"
    else:
        why = f"no connection came about ({_reason(cause)})"
    return StoreUnavailable(address.shown, why)


def _reason(cause: BaseException | None) -> str:
    return getattr(cause, "strerror", None) or str(cause) or type(cause).__name__


def _refused(refused: ErrorReply, address: Address) -> StoreError:
    text, code, shown = str(refused), refused.code, address.shown
    if code in _PASSING:
        return StoreUnavailable(shown, _PASSING[code])
    if "max number of clients" in text:
        return StoreUnavailable(shown, "it has as many clients as it takes (maxclients)")
    if code in ("WRONGPASS", "NOAUTH"):
        lacks = "wants a password" if code == "NOAUTH" else "does not know this password"
        return StoreError(
            f"{shown} {lacks} (user {address.user!r}). Correct the login in the URL of lock_store;"
            " without that setting, of the broker or the result backend"
        )
    if "without any password configured" in text:
        return StoreError(
            f"{shown} has no password, and the URL brings one: take it out of lock_store; without"
            " that setting, out of the broker's or the result backend's URL"
        )
    if code == "NOPERM":
        return StoreError(
            f"{shown} does not permit user {address.user!r} what a lock needs ({text})."
            f" Give it: {PERMISSIONS}, and the keys ~<lock_key_prefix>*; in a cluster also"
            f" {CLUSTER_PERMISSIONS}, with replicas +wait, with a client_name {_NAMING}"
        )
    if "unknown command" in text and "EVAL" in text:
        return StoreError(
            f"{shown} knows no scripts, as a Redis Sentinel does not: for one write"
            " sentinel://host:26379/mymaster, with the name of the service"
        )
    if code in ("MOVED", "ASK", "CROSSSLOT"):
        return StoreError(
            f"{shown} belongs to a Redis Cluster ({text}): set lock_store to"
            " redis+cluster://host:port, which finds the node that has a key"
        )
    if code == "WRONGTYPE" or "WRONGTYPE" in text:
        return StoreError(
            f"{shown} keeps something else under the name of a lock: give the locks a prefix of"
            " their own (lock_key_prefix)"
        )
    if code == "CELERYLOCK":
        return StoreError(
            f"{shown} has a key in a {text.partition(' ')[2]} that this release of celery_lock does"
            " not know: a newer release has written it; update this process"
        )
    return StoreError(f"{shown} refused: {text}")
