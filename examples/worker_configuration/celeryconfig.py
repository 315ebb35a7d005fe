"""The settings, Celery's and celery_lock's: what a team would change for production is here."""

from __future__ import annotations

from celery_lock import Lock, exponential, requeue, skip

# -- Celery's own: broker and result backend come from the environment ------------------------

imports = ["examples.worker_configuration.newsletter"]
task_acks_late = True  # a killed worker loses nothing; the lock makes that safe
worker_prefetch_multiplier = 1

# -- celery_lock's, for every Lock that does not say otherwise ---------------------------------

lock_key_prefix = "shop-locks:"  # apps that share a server keep out of each other's way
lock_ttl = 20
lock_store_deadline = 1.5
lock_on_conflict = requeue(exponential(first=0.5, cap=10), max_wait=3600)
lock_on_store_error = "requeue"
# lock_store = "redis://locks.internal:6379/0"  # default: the broker's server

# -- a lock for a task that is not ours --------------------------------------------------------

task_annotations = {
    "newsletter.send": {"lock": Lock("newsletter:{list_id}", at_least=3600, on_conflict=skip())},
}
