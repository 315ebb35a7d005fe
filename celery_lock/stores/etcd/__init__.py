"""A store of leases on an etcd cluster, over its JSON gateway: no package is needed for it."""

from .store import EtcdStore, open_etcd

__all__ = ["EtcdStore", "open_etcd"]
