"""Who is the primary of a service: its sentinels are asked all at once, and never just believed.

A sentinel that was cut off from the others names the primary of before, and a server that comes
back does not know at once that it is none any more. So of several answers the one of the latest
fail-over counts, and the server that it names is asked whether it is a primary.
"""

from __future__ import annotations

import ssl
from collections.abc import Callable, Mapping, Sequence
from contextlib import closing, suppress
from dataclasses import replace
from functools import partial
from typing import Any

from ....errors import StoreError, StoreUnavailable
from ....model.clock import monotonic
from ....model.mutex import new_mutex, take
from ....model.per_process import PerProcess
from ...link.tls import context_of
from .address import Address
from .at_once import Answer, ask_at_once
from .connection import Connection
from .discovery import FixedAddress
from .errors import FAILURES, translated
from .hearsay import Hearsay, Named
from .login import login_of
from .resp import ErrorReply, command
from .sentinel_url import SentinelUrl
from .talk import Question

__all__ = ["Sentinels"]

SHARE = 0.25
"""The part of a call's time that the sentinels have which are late, once one has named a primary.
More leaves less for the server itself; less may miss the only one that knows."""
NOBODY = 0.75
"""The part that they have while nobody has named one: without a name the rest is of no use. More
leaves too little for the server; less gives up on sentinels far away, and on a busy machine."""
GRACE = 0.02
"""Seconds in which the others are still heard when most sentinels agree: one of them may know of a
later fail-over. More is lost at each search while one of them hangs."""
FRESH = 2.0
"""Seconds after which the sentinels are asked again, though nothing is wrong. A primary that was
replaced while it was well, or frozen, goes on for eight seconds more, since a sentinel waits for so
long before it makes a replica of it. Longer lets two servers give one key away for longer; shorter
asks sentinels more often, with a connection to each."""
GLANCE = 0.05
"""Seconds that such a question takes at most, of a call for which nothing is wrong."""


class _Known:
    """What this process knows."""

    def __init__(self) -> None:
        self.asking = new_mutex()
        self.address: Address | None = None
        self.epoch = -1
        """The number of the fail-over that made it the primary."""
        self.fresh_until = 0.0
        self.doubts = 0
        self.context: ssl.SSLContext | None = None
        """Of TLS; each search for a new primary reads the files again, which may be others."""


class Sentinels:
    """The directory of one service. Threads ask it at the same time."""

    def __init__(self, url: SentinelUrl) -> None:
        self.shown = url.shown
        self._url = url
        self._own = PerProcess(_Known)

    @property
    def doubts(self) -> int:
        """How many doubts have changed its mind."""
        return self._own.value.doubts

    def find(self, ends: float) -> Address:
        """Say where the primary is; the sentinels are asked only after a doubt."""
        known = self._own.value
        if known.address is not None:
            return known.address
        seconds = max(ends - monotonic(), 0.0)
        if not take(known.asking, seconds):
            why = f"its sentinels were being asked by another thread for {seconds:.3g} s"
            raise StoreUnavailable(self.shown, why)
        try:
            if known.address is None:
                known.address = self._search(ends)
            return known.address
        finally:
            known.asking.release()

    def doubt(self, address: Address) -> None:
        """Ask again before the next connection, unless that was done since."""
        known = self._own.value
        if address is known.address:
            known.doubts += 1
            known.address = None

    def demote(self, address: Address) -> None:
        """Doubt it: another one is the primary."""
        self.doubt(address)

    def warnings(self, ends: float) -> list[str]:
        """Ask each sentinel, and say what is wrong with those that would be missed one day."""
        heard, found = Hearsay(self._url), list[str]()
        self._ask(self._about(), ends, heard.add, lambda: False)
        found += [f"the sentinel {said}" for said in heard.complaints()]

        def hear(number: int, answer: Answer, seconds: float) -> None:
            refusal = answer[-1] if isinstance(answer, list) and answer else None
            if isinstance(refusal, ErrorReply) and refusal.code == "NOQUORUM":
                who = self._url.sentinels[number].shown
                found.append(f"no fail-over is possible now, says {who}: {refusal}")

        ask = (command("SENTINEL", "CKQUORUM", self._url.service),)
        self._ask(ask, ends, hear, lambda: len(found) > 0)
        return found

    def _about(self) -> tuple[bytes, bytes]:
        """Return what the sentinels are asked: who is the primary, and since which fail-over."""
        service = self._url.service
        where = command("SENTINEL", "get-master-addr-by-name", service)
        return where, command("SENTINEL", "MASTER", service)

    changes = True

    def look(self, ends: float) -> None:
        """Ask whether there was a fail-over, if that was not asked of late; one thread does so."""
        known = self._own.value
        now = monotonic()
        if now < known.fresh_until or known.address is None or not take(known.asking, 0):
            return
        try:
            before = known.address
            known.fresh_until = now + FRESH
            heard = Hearsay(self._url)
            share = min(GLANCE / SHARE, ends - now)
            self._ask(self._about(), now + share, heard.add, lambda: heard.agreed)
            named = heard.best()
            if (
                named is not None
                and (named.host, named.port) != (before.host, before.port)
                and (named.epoch > known.epoch or (named.epoch < 0 and heard.agreed))
            ):
                self.doubt(before)
        finally:
            known.asking.release()

    def suspect(self) -> None:
        """Ask whether there was a fail-over before the next use."""
        self._own.value.fresh_until = 0.0

    def _search(self, ends: float) -> Address:
        heard = Hearsay(self._url)
        self._own.value.context = None
        self._ask(
            self._about(), ends, heard.add, lambda: heard.agreed, lambda: heard.best() is not None
        )
        named = heard.best()
        if named is None:
            raise heard.failure(self._services(ends) if heard.nobody_knows else [])
        address = self._url.server
        scheme = "redis" if address.tls is None else "rediss"
        shown = f"{scheme}://{named.shown}/{address.db}"
        address = replace(address, host=named.host, port=named.port, shown=shown)
        self._verify(address, named, ends)
        known = self._own.value
        known.epoch, known.fresh_until = named.epoch, monotonic() + FRESH
        return address

    def _ask(
        self,
        commands: Sequence[bytes],
        ends: float,
        hear: Callable[[int, Answer, float], None],
        enough: Callable[[], bool],
        of_use: Callable[[], bool] = lambda: True,
    ) -> None:
        """Ask all sentinels at once, until it is enough, or all have answered, or time is short.

        Those that are late have longer as long as nothing is `of_use` that was heard.
        """
        begun = monotonic()
        needed = not of_use()
        until = begun + SHARE * (ends - begun)
        latest = begun + (NOBODY if needed else SHARE) * (ends - begun)
        questions = [self._question(sentinel, commands) for sentinel in self._url.sentinels]
        with closing(ask_at_once(questions, lambda: latest if needed else until)) as answers:
            for number, answer in answers:
                hear(number, answer, latest - begun)
                if needed and of_use():  # others who needed as long are about to answer too
                    needed, until = False, max(until, monotonic() + GRACE)
                if enough():
                    until = min(until, monotonic() + GRACE)

    def _question(self, sentinel: Address, commands: Sequence[bytes]) -> Question:
        def all_of_them() -> Sequence[bytes]:
            login = login_of(sentinel)
            return [command("AUTH", *login), *commands] if login else commands

        tls = None if sentinel.tls is None else partial(self._context, sentinel.tls)
        return Question(sentinel.host, sentinel.port, all_of_them, tls)

    def _context(self, tls: Mapping[str, Any]) -> ssl.SSLContext:
        """Return the context of all sentinels: to read the authorities takes milliseconds."""
        known = self._own.value
        if known.context is None:
            known.context = context_of(tls)
        return known.context

    def _services(self, ends: float) -> list[str]:
        """Name the services that there are, for who has asked for one that there is not."""
        names: set[str] = set()

        def hear(number: int, answer: Any, seconds: float) -> None:
            for facts in answer[-1] if isinstance(answer, list) and answer else ():
                with suppress(ValueError, IndexError, AttributeError):
                    names.add(facts[facts.index(b"name") + 1].decode("utf-8", "replace"))

        self._ask((command("SENTINEL", "MASTERS"),), ends, hear, lambda: bool(names))
        return sorted(names)

    def _verify(self, address: Address, named: Named, ends: float) -> None:
        """Ask the server itself whether it is a primary; raise `StoreError` if it is not."""
        begun = monotonic()
        connection = Connection(FixedAddress(address))
        try:
            reply = connection.exchange(command("ROLE"), ends)
        except FAILURES as error:
            if isinstance(error, ErrorReply) and error.code in ("NOPERM", "ERR"):
                return  # it may not say so: the first write will tell
            failure = translated(error, address, ends - begun)
            if isinstance(failure, StoreUnavailable):
                failure = self._not_there(named, failure.cause)
            raise failure from error
        finally:
            connection.close()
        role = reply[0] if isinstance(reply, list) and reply else reply
        if role != b"master":
            said = role.decode("utf-8", "replace") if isinstance(role, bytes) else role
            raise self._not_there(named, f"it says that it is no primary (ROLE: {said})")

    def _not_there(self, named: Named, why: str) -> StoreError:
        down = ", which does not answer them either" if named.is_down else ""
        who = ", ".join(named.by)
        return StoreUnavailable(
            self.shown, f"its sentinels ({who}) name {named.shown} as the primary{down}: {why}"
        )
