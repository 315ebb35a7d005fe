"""What a store is not asked that has no one place where all is decided."""

from __future__ import annotations

from collections.abc import Sequence
from typing import NoReturn

from ...errors import StoreError
from ...model import Change, Changed, Claim, End, Feature, Lease, Record, Refused, Release

__all__ = ["Unpromised"]


class Unpromised:
    """The calls of features that it does not promise."""

    def watch(self, key: str, timeout: float) -> None:
        """Only with `Feature.WATCH`."""
        self._has_no(Feature.WATCH)

    def keys(self, beginning: str) -> list[str]:
        """Only with `Feature.LISTING`."""
        self._has_no(Feature.LISTING)

    def acquire_all(self, claims: Sequence[Claim]) -> list[Lease] | Refused:
        """Only with `Feature.SEVERAL`."""
        self._has_no(Feature.SEVERAL)

    def release_all(
        self, releases: Sequence[tuple[Lease, End | None]]
    ) -> list[Release | StoreError]:
        """Only with `Feature.SEVERAL`."""
        self._has_no(Feature.SEVERAL)

    def change(self, change: Change) -> Changed:
        """Only with `Feature.RECORDS`."""
        self._has_no(Feature.RECORDS)

    def records(self, space: str, names: Sequence[str]) -> tuple[list[Record | None], float]:
        """Only with `Feature.RECORDS`."""
        self._has_no(Feature.RECORDS)

    def names(self, space: str) -> list[str]:
        """Only with `Feature.RECORDS`."""
        self._has_no(Feature.RECORDS)

    def _has_no(self, feature: Feature) -> NoReturn:
        raise NotImplementedError(f"{self!r} does not promise {feature.value}")
