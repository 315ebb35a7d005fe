"""The suite that every store must pass: subclass `StoreContract` in a pytest module.

    class TestMyStore(StoreContract):
        def open_store(self, prefix):
            return MyStore("my://localhost", prefix=prefix)

Ask pytest to explain its asserts: `pytest.register_assert_rewrite("celery_lock.contract")` in a
`conftest.py`, before anything imports it. The tests of a feature that the store does not promise
are skipped. One that is passed once is no proof: run them often, and several at a time.
"""

from .adopting import Adopting
from .copies import Copies
from .durations import Durations
from .ending import Ending
from .fixture import StoreFixture
from .floors import Floors
from .freeing import Freeing
from .granting import Granting
from .inheriting import Inheriting
from .limits import Limits
from .listing import Listing
from .publishing import Publishing
from .record_lives import RecordLives
from .record_spaces import RecordSpaces
from .records import Records
from .renewing import Renewing
from .several import Several
from .sharing import Sharing
from .tokens import Tokens
from .undoing import Undoing
from .watching import Watching

__all__ = ["StoreContract"]


class StoreContract(
    Granting,
    Ending,
    Freeing,
    Inheriting,
    Publishing,
    Adopting,
    Copies,
    Renewing,
    Undoing,
    Floors,
    Tokens,
    Limits,
    Several,
    Sharing,
    Durations,
    Watching,
    Listing,
    RecordLives,
    RecordSpaces,
    Records,
    StoreFixture,
):
    """All that a store must do. A subclass says how one is opened; see `StoreFixture`."""
