"""Leases on ZooKeeper."""

from .store import ZooKeeperStore, open_zookeeper

__all__ = ["ZooKeeperStore", "open_zookeeper"]
