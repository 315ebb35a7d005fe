"""What the sentinels of a service have said: whom they name, and why the others name nobody."""

from __future__ import annotations

from dataclasses import dataclass, field

from ....errors import StoreError, StoreUnavailable, did_you_mean
from ...link.deadline_socket import ConnectionLost
from ...link.dialling import Unreachable
from ...link.urls import written
from .address import Address
from .at_once import Answer
from .errors import FAILURES, translated
from .resp import ErrorReply, Reply
from .sentinel_url import SentinelUrl

__all__ = ["Hearsay", "Named"]


@dataclass
class Named:
    """A server that is said to be the primary."""

    host: str
    port: int
    epoch: int
    """The number of the fail-over that made it one; -1 where no sentinel says so."""
    is_down: bool = False
    """Whether a sentinel thinks that it does not answer."""
    by: list[str] = field(default_factory=list)
    """The sentinels that name it."""

    @property
    def shown(self) -> str:
        """Where it is, for messages."""
        return written(self.host, self.port)


class Hearsay:
    """The answers of one search."""

    def __init__(self, url: SentinelUrl) -> None:
        self._url = url
        self._named: dict[tuple[str, int], Named] = {}
        self._complaints: dict[int, str] = {}
        self._strangers = 0
        self._passing = False

    def add(self, number: int, answer: Answer, seconds: float) -> None:
        """Hear what a sentinel says that had so many seconds."""
        sentinel = self._url.sentinels[number]
        if isinstance(answer, Exception):
            self._complain(number, _failure(answer, sentinel, seconds))
            return
        *login, where, about = answer
        refusal = next((one for one in (*login, where) if isinstance(one, ErrorReply)), None)
        if refusal is not None:
            self._complain(number, _refused(refusal, sentinel))
        elif not isinstance(where, list) or len(where) != 2:
            self._strangers += 1
            self._complain(number, StoreError("it knows no such service"))
        else:
            self._hear(number, _text(where[0]), int(_text(where[1])), _facts(about))

    @property
    def agreed(self) -> bool:
        """Most of all sentinels name one server."""
        best = self.best()
        return best is not None and 2 * len(best.by) > len(self._url.sentinels)

    @property
    def nobody_knows(self) -> bool:
        """Some have answered, and all of these know no such service."""
        return self._strangers > 0 and not self._named

    def best(self) -> Named | None:
        """Return who became the primary last, as far as anybody knows; `None`: nobody is named."""
        return max(
            self._named.values(), key=lambda named: (named.epoch, len(named.by)), default=None
        )

    def complaints(self) -> list[str]:
        """Say of each sentinel that has named nobody why."""
        answered = {one for named in self._named.values() for one in named.by}
        return [
            f"{sentinel.shown}: {self._complaints.get(number, 'it gave no answer in time')}"
            for number, sentinel in enumerate(self._url.sentinels)
            if sentinel.shown not in answered
        ]

    def failure(self, names: list[str]) -> StoreError:
        """Say why nobody is named; `names` are the services that there are, where one was asked."""
        url, heard = self._url, "; ".join(self.complaints())
        if names:
            return StoreError(
                f"no sentinel of {url.shown} knows a service {url.service!r}"
                f"{did_you_mean(url.service, names)}; they know {', '.join(names)}"
            )
        cause = f"none of its sentinels names a primary of {url.service!r} ({heard})"
        if self._passing or len(self._complaints) < len(url.sentinels):
            return StoreUnavailable(url.shown, cause)
        return StoreError(f"the lock store {url.shown}: {cause}")

    def _hear(self, number: int, host: str, port: int, facts: dict[str, str]) -> None:
        others = facts.get("num-other-sentinels", "")
        if others.isdigit() and int(others) < self._url.others:
            what = f"it knows of {others} others, and min_other_sentinels={self._url.others}"
            self._complain(number, StoreUnavailable("", what))
            return
        epoch = facts.get("config-epoch", "")
        named = self._named.setdefault((host, port), Named(host, port, -1))
        named.by.append(self._url.sentinels[number].shown)
        named.epoch = max(named.epoch, int(epoch) if epoch.isdigit() else -1)
        named.is_down = named.is_down or "_down" in facts.get("flags", "")

    def _complain(self, number: int, error: StoreError) -> None:
        if isinstance(error, StoreUnavailable):
            self._passing = True
            self._complaints[number] = error.cause
        else:
            self._complaints[number] = str(error)


def _failure(error: Exception, sentinel: Address, seconds: float) -> StoreError:
    if isinstance(error, (ConnectionLost, ConnectionResetError, BrokenPipeError)):
        hint = "" if sentinel.tls else "; does it want TLS (ssl in sentinel_kwargs)?"
        return StoreUnavailable("", f"it broke the connection off{hint}")
    if isinstance(error, OSError):  # those of TLS and of the look-up of a name are such, too
        unreachable = Unreachable()
        unreachable.__cause__ = error
        error = unreachable
    if not isinstance(error, FAILURES):
        raise error
    return translated(error, sentinel, seconds)


def _refused(refusal: ErrorReply, sentinel: Address) -> StoreError:
    text = str(refusal)
    if refusal.code == "NOAUTH":
        return StoreError("it wants a password: set one in sentinel_kwargs, {'password': ...}")
    if refusal.code == "WRONGPASS" or "without any password configured" in text:
        return StoreError(
            f"it does not accept the password of sentinel_kwargs (user {sentinel.user!r})"
        )
    if refusal.code == "NOPERM":
        return StoreError(
            f"it does not permit user {sentinel.user!r} to ask; give it"
            " +sentinel|get-master-addr-by-name +sentinel|master"
        )
    if "unknown command" in text:
        return StoreError("it is no sentinel; is the port right (26379, mostly)?")
    secret = sentinel.login[-1] if sentinel.login else ""
    return StoreUnavailable("", f"it refused: {text.replace(secret, '***') if secret else text}")


def _facts(about: Reply | ErrorReply) -> dict[str, str]:
    """Read what a sentinel knows of a primary; nothing where it may not say so."""
    if not isinstance(about, list):
        return {}
    words = [_text(word) for word in about]
    return dict(zip(words[::2], words[1::2], strict=False))


def _text(said: Reply) -> str:
    return said.decode("utf-8", "replace") if isinstance(said, bytes) else str(said)
