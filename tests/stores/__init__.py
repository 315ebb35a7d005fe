"""Faults of each store under real workers: who was inside at once, and for how long nobody was.

`python -m tests.stores` plays rows, `make stores` plays all of them and the contract of the stores
that need several servers. A *row* is one fault, with the options of the store and with what is
promised for it. A *kind* is a file in `tests/stores/kinds`, named as the scheme of its store:

    SCHEME = "redis+cluster"         where that is no name of a file
    def servers(folder): ...         makes the servers, a `Group`; they are not started yet
    ROWS = control(servers), Row("its primary is killed", servers, kill_primary, Promise(...))

What happens in a play: a Redis of its own is the broker. Two workers of four pool processes each
run tasks that are contended for by a few keys; each body records its key, its token, its begin and
its end. Some tasks wait for their key and some are sent again. In the midst of it `befall(stage)`
is called: it does something to `stage.group`, such as `kill(0)`, or cuts one of the two workers
off from servers (`stage.cut_off(0, 1)`, `stage.join()`), and returns when all is healed that is to
be healed. Everybody works on for a while, and then all tasks have to come to their end.

A row that `heals` is played five times on the same servers and workers, which is three times as
fast: all servers are as they were when its `befall` returns. Others begin anew each time.

To add a store: a fixture for its servers in `tests/services`, and `tests/stores/kinds/<scheme>.py`
with a subclass of `Group` (`tests/stores/group.py`) and `ROWS`. A worker that is cut off needs no
help by the store: its connections to the ports of `group.ports` go through proxies of its own.
Tests that need several servers lie in `tests/stores/test_*.py`; pytest takes them only with
STORES=1 in the environment, as `make stores` has it.
"""
