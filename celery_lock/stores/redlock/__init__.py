"""A store on several Redis or Valkey servers that know nothing of each other: a majority decides.

`store` says what it promises, `votes` how answers become one, `circle` how all nodes are asked.
"""

from .store import RedlockStore, open_redlock

__all__ = ["RedlockStore", "open_redlock"]
