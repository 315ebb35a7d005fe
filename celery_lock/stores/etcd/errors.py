"""What went wrong with a cluster, in one sentence that says what to do."""

from __future__ import annotations

import socket
import ssl

from ...errors import StoreError, StoreUnavailable
from ..link.deadline_socket import ConnectionLost, DeadlineExceeded
from ..link.dialling import Unreachable
from ..link.tls import ENDED, unreadable_file, untrusted
from .address import Address
from .connection import NoEtcd

__all__ = ["FAILURES", "Busy", "Refusal", "translated"]

_NOT_FOUND, _PERMISSION, _EXHAUSTED, _OUT_OF_RANGE = 5, 7, 8, 11
_PASSING = {1, 4, 14}
"""Codes of what another member may answer, or this one a little later: canceled, too late,
unavailable."""


class Busy(Exception):
    """All connections of this process stayed in use."""


class Refusal(Exception):
    """The cluster has said no: the code of gRPC, and the text."""

    def __init__(self, code: int, text: str, *, of_login: bool = False) -> None:
        super().__init__(code, text)
        self.code = code
        self.text = text
        self.of_login = of_login

    @property
    def is_passing(self) -> bool:
        """Another member may do it, or this one later."""
        no_leader = "no leader" in self.text or "leader changed" in self.text
        return self.code in _PASSING or no_leader or "timed out" in self.text

    @property
    def is_login(self) -> bool:
        """The token of the login is no longer one."""
        return self.code == 16 or "revision of auth store is old" in self.text

    @property
    def is_lease_gone(self) -> bool:
        """A lease that was named has ended."""
        return self.code == _NOT_FOUND and "lease not found" in self.text

    @property
    def is_compacted(self) -> bool:
        """What was asked for is too long ago."""
        return self.code == _OUT_OF_RANGE or "compacted" in self.text


FAILURES = (ConnectionLost, DeadlineExceeded, NoEtcd, Refusal, Unreachable)
"""How a call to one member can end without an answer."""


def translated(error: Exception, address: Address, member: int, seconds: float) -> StoreError:
    """Return our error; `seconds` is what the call had, `member` who was asked last."""
    shown = address.shown
    scheme = "etcds" if address.tls is not None else "etcd"
    asked = f"{scheme}://{address.endpoints[member]}"
    if isinstance(error, Refusal):
        return _refused(error, address)
    if isinstance(error, NoEtcd):
        said = str(error)
        hint = (
            "it wants TLS: write etcds://"
            if "HTTPS" in said or said == "HTTP status 400"
            else ("is the port right, and is it version 3.4 or later?")
        )
        return StoreError(f"{asked} is no etcd with a JSON gateway: it answered {said!r}; {hint}")
    if isinstance(error, Unreachable):
        return _unreachable(error.__cause__, asked, shown, seconds)
    if isinstance(error, Busy):
        cause = f"all connections of this process stayed in use for {seconds:.3g} s"
    elif isinstance(error, ConnectionLost):
        if isinstance(error.__cause__, ssl.SSLError):
            return _unreachable(error.__cause__, asked, shown, seconds)
        cause = f"{asked} broke the connection, and the one after it as well ({error})"
        if address.tls is None:
            cause += "; is it an etcd, and does it want TLS (etcds://)?"
    else:
        cause = (
            f"no answer within {seconds:.3g} s; the last that was asked is {asked}."
            " Is a majority of its members alive?"
        )
    return StoreUnavailable(shown, cause)


def _unreachable(cause: BaseException | None, asked: str, shown: str, seconds: float) -> StoreError:
    if "handshake operation timed out" in str(cause):
        why = (
            f"no TLS handshake with {asked} came about within {seconds:.3g} s; is that a TLS port?"
        )
        return StoreUnavailable(shown, why)
    if isinstance(cause, ssl.SSLCertVerificationError):
        return untrusted(asked, cause)
    if isinstance(cause, ENDED) and asked.startswith("etcds:"):
        why = f"{asked} ended the TLS handshake; is that a TLS port?"
        return StoreUnavailable(shown, why)
    if isinstance(cause, ssl.SSLError):
        return StoreError(
            f"no TLS with {asked} ({cause.reason or cause}). Is that a TLS port, and does it ask"
            " for a client certificate (?ssl_certfile=...&ssl_keyfile=...)?"
        )
    if asked.startswith("etcds:") and (unread := unreadable_file(shown, cause)):
        return unread
    if isinstance(cause, (socket.gaierror, UnicodeError)):
        why = f"the name of {asked} cannot be looked up ({_reason(cause)})"
    elif isinstance(cause, ConnectionRefusedError):
        why = f"nobody listens at {asked} (connection refused)"
    elif isinstance(cause, TimeoutError):
        why = f"no connection to {asked} came about within {seconds:.3g} s"
    else:
        why = f"no connection to {asked} came about ({_reason(cause)})"
    return StoreUnavailable(shown, why)


def _reason(cause: BaseException | None) -> str:
    return getattr(cause, "strerror", None) or str(cause) or type(cause).__name__


def _refused(refused: Refusal, address: Address) -> StoreError:
    shown, text = address.shown, refused.text
    if refused.is_passing:
        return StoreUnavailable(
            shown, f"{text}; is a majority of its members alive, and do they have a leader?"
        )
    if refused.code == _EXHAUSTED and "space exceeded" in text:
        return StoreUnavailable(
            shown,
            "its database has reached its quota and takes no new locks; compact and defragment it,"
            " then disarm the alarm (etcdctl alarm disarm); a server that compacts by itself has"
            " --auto-compaction-retention",
        )
    if refused.code == _EXHAUSTED:
        return StoreUnavailable(shown, f"it has too much to do ({text})")
    if refused.of_login:
        if "authentication is not enabled" in text:
            return StoreError(
                f"{shown} has no users, and lock_store brings one: leave user and password out"
            )
        return StoreError(
            f"{shown} does not know this password (user {address.user!r}). Correct the login in"
            " the URL of lock_store"
        )
    if "user name is empty" in text:
        return StoreError(
            f"{shown} wants a user and a password: write them in the URL of lock_store,"
            " etcd://user:password@host:2379"
        )
    if refused.code == _PERMISSION:
        return StoreError(
            f"{shown} does not permit user {address.user!r} what a lock needs ({text}). Grant it"
            " the range of its keys: etcdctl role grant-permission ROLE --prefix=true readwrite"
            " <lock_key_prefix>"
        )
    return StoreError(f"{shown} refused: {text}")
