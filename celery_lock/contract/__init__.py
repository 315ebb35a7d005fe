"""The suite that every store must pass: subclass `StoreContract` in a pytest module.

    class TestMyStore(StoreContract):
        def open_store(self, prefix):
            return MyStore("my://localhost", prefix=prefix)

Ask pytest to explain its asserts: `pytest.register_assert_rewrite("celery_lock.contract")` in a
`conftest.py`, before anything imports it. The tests of a feature that the store does not promise
are skipped. One that is passed once is no proof: run them often, and several at a time.
"""

from .copies import Copies
from .ending import Ending
from .floors import Floors
from .freeing import Freeing
from .granting import Granting
from .ground import Ground
from .inheriting import Inheriting
from .keeping import Keeping
from .records import Records
from .renewing import Renewing
from .spaces import Spaces
from .tokens import Tokens
from .undoing import Undoing
from .watching import Watching

__all__ = ["StoreContract"]


class StoreContract(
    Granting,
    Ending,
    Freeing,
    Inheriting,
    Copies,
    Renewing,
    Undoing,
    Floors,
    Tokens,
    Watching,
    Keeping,
    Spaces,
    Records,
    Ground,
):
    """All that a store must do. A subclass says how one is opened; see `Ground`."""
