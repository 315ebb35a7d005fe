"""The store keeps to the contract, on the server that POSTGRES_URL names."""

import os

from celery_lock.contract import StoreContract
from celery_lock.contract.fuzz import StoreMachine, play

from .store import PostgresStore, open_postgres


def opened(prefix: str, deadline: float) -> PostgresStore:
    url = os.environ["POSTGRES_URL"]
    return open_postgres(url, options={}, deadline=deadline, prefix=prefix)


class TestPostgresStore(StoreContract):
    def open_store(self, prefix: str) -> PostgresStore:
        return opened(prefix, 2.0)


class OnPostgres(StoreMachine):
    def open_store(self) -> PostgresStore:
        return opened(f"play:{self.number}:", 10.0)


def test_random_plays() -> None:
    play(OnPostgres, examples=10, steps=30)
