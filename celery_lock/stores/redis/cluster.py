"""Leases and records on a Redis Cluster: the keys of each script lie in one slot."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from typing import Any

from ...errors import StoreError, StoreUnavailable
from ...model import Claim, Completion, End, Feature, Lease, Refused, Release
from ...model.clock import monotonic
from ..registry import promises
from .asking import micro, record
from .checkup import checkup
from .link.care import Care
from .link.cluster import Cluster
from .link.cluster_url import ClusterUrl
from .link.errors import CLUSTER_PERMISSIONS
from .link.linking import Link
from .link.slots import SLOTS
from .scripts import COMPLETE
from .store import RedisStore

__all__ = ["ClusterStore", "open_cluster"]

_FEATURES = frozenset(Feature) - {Feature.SEVERAL}

APART = 1.0
"""Seconds by which the clocks of masters may differ before a worker warns as it starts."""


class ClusterStore(RedisStore):
    """Leases on the masters of a cluster, each where the slot of its key is.

    Args:
        url: `redis+cluster://host:port,host:port`, or `rediss+cluster://`: some of the nodes.
        options: as for `RedisStore`; login and TLS are the same for all nodes.
        deadline: seconds that one call may take, with all that it is sent on to.
        prefix: as for `RedisStore`.
    """

    BATCH = 1  # two keys are in two slots

    def _commands(self, care: Care) -> str:
        guard = "" if care.guard is None else " +cluster|nodes"
        return f"{super()._commands(care)} {CLUSTER_PERMISSIONS}{guard}"

    def _linked(self, url: str, options: Mapping[str, Any], deadline: float, care: Care) -> Link:
        return Cluster(
            ClusterUrl.parse(url, options),
            deadline=deadline,
            connections=self.CONNECTIONS,
            watchers=self.WATCHERS,
            care=care,
        )

    @property
    def features(self) -> frozenset[Feature]:
        """What it promises. Two keys lie in two slots, so several are claimed one by one."""
        return _FEATURES

    def part_of(self, key: str) -> str:
        """Name the node that keeps a key, as far as is known: who breaks off the calls to one that
        hangs goes on with the others."""
        return self._cluster.place_of(self._state(key))

    @property
    def _cluster(self) -> Cluster:
        link = self._server
        assert isinstance(link, Cluster)
        return link

    def check(self) -> list[str]:
        """Try each master once: warnings for the log."""
        try:
            warnings = checkup(self, self._server, as_cluster=True)
        except StoreUnavailable as error:
            raise self._cluster.named(error) from error
        servers = self._server.servers()
        unserved = self._cluster.unserved()
        if unserved:
            warnings.append(
                f"{self.url}: no node has {unserved} of its {SLOTS} slots, and no key of these"
                " can be taken; redis-cli --cluster fix gives them to one"
            )
        apart = _apart([(server.say("TIME"), monotonic()) for server in servers])
        if apart > APART:
            warnings.append(
                f"{self.url}: the clocks of its masters differ by {apart:.1f} s. A replica goes by"
                " its own clock when it takes over, and then leases end early or late by as much:"
                " set them by NTP"
            )
        return warnings

    def complete(self, completions: Sequence[Completion]) -> None:
        """Let these publications be completed from now on, in one round trip to each node."""
        answers = self._server.run_each(
            [
                (COMPLETE, [record(self._state(one.key), one.publication)], [micro(one.remember)])
                for one in completions
            ]
        )
        for answer in answers:
            if isinstance(answer, StoreError):
                raise answer

    def acquire_all(self, claims: Sequence[Claim]) -> list[Lease] | Refused:
        """Not promised: see `features`."""
        raise NotImplementedError("the keys of a list may lie on several nodes of the cluster")

    def release_all(
        self, releases: Sequence[tuple[Lease, End | None]]
    ) -> list[Release | StoreError]:
        """Not promised: see `features`."""
        raise NotImplementedError("the keys of a list may lie on several nodes of the cluster")


def _apart(asked: Sequence[tuple[Any, float]]) -> float:
    """Return how far apart clocks are that were asked one after another, in seconds."""
    ahead = [int(said[0]) + int(said[1]) / 1e6 - now for said, now in asked]
    return max(ahead, default=0.0) - min(ahead, default=0.0)


@promises(*_FEATURES)
def open_cluster(
    url: str, *, options: Mapping[str, Any], deadline: float, prefix: str
) -> ClusterStore:
    """Open a store on the cluster at `url`; see `ClusterStore`."""
    return ClusterStore(url, options=options, deadline=deadline, prefix=prefix)
