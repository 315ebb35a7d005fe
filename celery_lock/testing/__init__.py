"""What users test with: locks in memory with a clock of their own, and a store that fails to order.

    from celery_lock.testing import memory_locks

    def test_a_second_order_is_skipped():
        with memory_locks(app) as locks:
            locks.hold("order:7")

            result = ship.apply(args=[7])

            assert is_skipped(result.get())

Use it with tasks that run where they are called: `task.apply()`, or `task_always_eager`. No
server is needed and nothing sleeps; `advance()` moves the clock instead. This does not test what a
broker does: in eager mode nothing is ever sent, so `requeue()` raises `LockConflict` at once.
"""

from .faults import Fault, StoreCall
from .faulty_store import FaultyStore
from .memory_locks import MemoryLocks, memory_locks

__all__ = ["Fault", "FaultyStore", "MemoryLocks", "StoreCall", "memory_locks"]
