"""The shapes that everything else speaks in; they decide nothing and reach nothing."""

from .conflict import Conflict
from .decision import Decision, OnConflict, checked_policy, written
from .holder import Holder
from .lease import Claim, End, Held, Lease, LossReason, ttl_to_ask
from .lock import Lock, OnStoreError, Scope, checked_on_store_error
from .records import Change, Changed, Record
from .store import Feature, LockStore, Outcome

__all__ = [
    "Change",
    "Changed",
    "Claim",
    "Conflict",
    "Decision",
    "End",
    "Feature",
    "Held",
    "Holder",
    "Lease",
    "Lock",
    "LockStore",
    "LossReason",
    "OnConflict",
    "OnStoreError",
    "Outcome",
    "Record",
    "Scope",
    "checked_on_store_error",
    "checked_policy",
    "ttl_to_ask",
    "written",
]
