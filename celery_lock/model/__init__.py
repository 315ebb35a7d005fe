"""The shapes that everything else speaks in; they decide nothing and reach nothing."""

from .claim import ENDED_FOR, MET_FOR, Claim, Completion, End, Held, HeldPermit, Met, Refused
from .conflict import Conflict
from .decision import Decision, OnConflict, checked_policy, written
from .holder import Holder
from .lease import Lease, LossReason, ttl_to_ask
from .limit import MOST_PERMITS, checked_limit
from .lock import Lock, OnStoreError, checked_on_store_error
from .records import Change, Changed, Record
from .scope import Scope
from .store import (
    Feature,
    LeaseStore,
    ListingStore,
    LockStore,
    Outcome,
    RecordStore,
    Release,
    SeveralStore,
)

__all__ = [
    "ENDED_FOR",
    "MET_FOR",
    "MOST_PERMITS",
    "Change",
    "Changed",
    "Claim",
    "Completion",
    "Conflict",
    "Decision",
    "End",
    "Feature",
    "Held",
    "HeldPermit",
    "Holder",
    "Lease",
    "LeaseStore",
    "ListingStore",
    "Lock",
    "LockStore",
    "LossReason",
    "Met",
    "OnConflict",
    "OnStoreError",
    "Outcome",
    "Record",
    "RecordStore",
    "Refused",
    "Release",
    "Scope",
    "SeveralStore",
    "checked_limit",
    "checked_on_store_error",
    "checked_policy",
    "ttl_to_ask",
    "written",
]
