"""What handlers gave, kept for as long as their rule's `ttl` says: bounded, and asked for once however many wait.

A result belongs to a rule's generation. A change through the rule begins a new one, so that nothing from before it,
or from while it was made, is ever given again.
"""

from __future__ import annotations

import threading
import time
from collections import OrderedDict, defaultdict
from collections.abc import Callable, Hashable
from typing import NamedTuple, TypeAlias

from vfs_core.errors import TimedOut, VfsError
from vfs_core.types import Node

Make: TypeAlias = "Callable[[], tuple[Node, bool]]"

ENTRIES, BYTES = 4096, 32 * 1024 * 1024
_OVERHEAD = 1024
"""Bytes that a result takes beside its content."""
_LARGE = 4
"""A result that takes more than this part of all bytes is not kept."""


class _Kept(NamedTuple):
    node: Node
    monotonic: float
    wall: float
    """Both clocks: one stands still while a laptop sleeps, the other can be set."""


class _Flight:
    """A result that is being asked for."""

    def __init__(self) -> None:
        self.landed = threading.Event()
        self.node: Node | None = None
        self.error: VfsError | None = None


class ResultCache:
    """The results of one kernel's handlers. Thread-safe."""

    def __init__(self, entries: int = ENTRIES, size: int = BYTES) -> None:
        self._entries, self._size = entries, size
        self._mutex = threading.Lock()
        self._kept: OrderedDict[Hashable, _Kept] = OrderedDict()
        self._bytes = 0
        self._flights: dict[Hashable, _Flight] = {}
        self._generations: defaultdict[int, int] = defaultdict(int)

    def get(self, rule: int, request: Hashable, ttl: float, deadline: float, make: Make) -> Node:
        """The result of a request to a rule: kept, being asked for by somebody else, or what `make` gives now.

        `make` also says whether it may be given again, and to others who wait.

        Raises what `make` raises, which is not kept; TimedOut if somebody else has no answer by the deadline.
        """
        with self._mutex:
            key = (rule, self._generations[rule], request)
            kept = self._fresh(key, ttl)
            if kept is not None:
                return kept
            flight = self._flights.get(key)
            mine = flight is None
            if flight is None:
                flight = self._flights[key] = _Flight()
        if mine:
            return self._ask(key, flight, make)
        if not flight.landed.wait(max(0.0, deadline - time.monotonic())):
            raise TimedOut("somebody else asks for the same, and has had no answer yet")
        if flight.error is not None:
            raise flight.error
        if flight.node is not None:
            return flight.node
        return make()[0]  # the other was interrupted, or what it got is for nobody else

    def change(self, rule: int) -> None:
        """Give nothing again that the rule gave before."""
        with self._mutex:
            self._generations[rule] += 1

    def after_fork(self) -> None:
        """In a forked child: nobody there will answer what was asked for."""
        self._mutex = threading.Lock()
        self._flights = {}

    def _ask(self, key: Hashable, flight: _Flight, make: Make) -> Node:
        monotonic, wall = time.monotonic(), time.time()
        try:
            node, may_keep = make()
            if may_keep:
                flight.node = node
                self._keep(key, _Kept(node, monotonic, wall))
            return node
        except VfsError as error:
            flight.error = error
            raise
        finally:
            with self._mutex:
                if self._flights.get(key) is flight:
                    del self._flights[key]
            flight.landed.set()

    def _fresh(self, key: Hashable, ttl: float) -> Node | None:
        kept = self._kept.get(key)
        if kept is None:
            return None
        if time.monotonic() - kept.monotonic < ttl and 0 <= time.time() - kept.wall < ttl:
            self._kept.move_to_end(key)
            return kept.node
        self._drop(key)
        return None

    def _keep(self, key: Hashable, kept: _Kept) -> None:
        size = _size_of(kept)
        if size * _LARGE > self._size:
            return
        with self._mutex:
            self._drop(key)
            self._kept[key] = kept
            self._bytes += size
            while len(self._kept) > self._entries or self._bytes > self._size:
                self._drop(next(iter(self._kept)))

    def _drop(self, key: Hashable) -> None:
        kept = self._kept.pop(key, None)
        if kept is not None:
            self._bytes -= _size_of(kept)


def _size_of(kept: _Kept) -> int:
    return len(kept.node.data) + len(kept.node.meta_json) + _OVERHEAD
