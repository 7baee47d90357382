"""A session's cache of hot reads: bounded, approximately least-recently-used, coherent through the bell."""

from __future__ import annotations

from typing import NamedTuple

from vfs_core.bell import EPOCH, slot_of
from vfs_core.types import Node

LARGEST = 64 * 1024
"""Bytes of content above which a node is not cached."""


class Cached(NamedTuple):
    """A node with what tells whether it is fresh: while `words[slot] <= tag and words[EPOCH] <= tag`."""

    node: Node
    slot: int
    tag: int
    words: memoryview


class HotCache:
    """Two generations of entries: what is hit in the old one moves to the young one, which ages as a whole.

    A node is kept when it is read for the second time: who walks over everything once pushes nothing out, and does
    not pay for what is never asked for again. Both generations are public so that a session's hot read is one
    dictionary lookup, and a cold one calls nothing in vain.
    """

    def __init__(self, entries: int, size: int) -> None:
        self.young: dict[str, Cached] = {}
        self.old: dict[str, Cached] = {}
        self._met: set[str] = set()
        self._entries = max(1, entries // 2)
        self._bytes = size // 2
        self._held = 0

    def promote(self, path: str) -> Node | None:
        """A fresh node from the old generation, moved to the young one; None if there is none."""
        entry = self.old.pop(path, None)
        if entry is None:
            return None
        words = entry.words
        if words[entry.slot] <= entry.tag and words[EPOCH] <= entry.tag:
            if len(self.young) >= self._entries or self._held > self._bytes:
                self._age()
            self.young[path] = entry
            self._held += len(entry.node.data) + 256
            return entry.node
        return None

    def meet(self, path: str) -> bool:
        """Whether this was read before, and so is worth keeping."""
        met = self._met
        if path in met:
            return True
        if len(met) >= self._entries:
            met.clear()
        met.add(path)
        return False

    def put(self, path: str, node: Node, tag: int, words: memoryview) -> None:
        """Keep a node that was read when the journal stood at `tag`."""
        size = len(node.data)
        if size <= LARGEST:
            if len(self.young) >= self._entries or self._held > self._bytes:
                self._age()
            # A plain tuple's constructor: this is on the path of every cold read.
            self.young[path] = tuple.__new__(Cached, (node, slot_of(node.stat.id), tag, words))
            self._held += size + 256

    def _age(self) -> None:
        self.old, self.young, self._held = self.young, {}, 0

    def clear(self) -> None:
        """Forget everything."""
        self.old, self._held = {}, 0
        self.young.clear()
        self._met.clear()
