"""Where leases live: the stores, and how one is opened by its URL."""

from .choose import choose_store
from .registry import GROUP, StoreFactory, open_store, promises, stores_with

__all__ = ["GROUP", "StoreFactory", "choose_store", "open_store", "promises", "stores_with"]
