"""What the suite is run with: a broker, when messages are acknowledged, and which lock."""

from __future__ import annotations

from dataclasses import dataclass

__all__ = ["BROKERS", "LOCKS", "PLAIN", "Setting", "all_settings"]

BROKERS = ("redis", "rabbit")
ACKS = ("early", "late")
PLAIN = "plain"
LOCKS = (PLAIN, "request", "arguments")
"""No task is locked; each by a key of its own for each request; each by `Lock()`."""


@dataclass(frozen=True)
class Setting:
    """One way to run the suite."""

    broker: str
    acks: str
    lock: str

    def __str__(self) -> str:
        return f"{self.broker}, acks {self.acks}, {self.lock}"

    @property
    def plain(self) -> Setting:
        """The same without a lock."""
        return Setting(self.broker, self.acks, PLAIN)


def all_settings() -> list[Setting]:
    """Each broker, each acks mode, each lock; the plain one of a pair comes first."""
    return [Setting(broker, acks, lock) for broker in BROKERS for acks in ACKS for lock in LOCKS]
