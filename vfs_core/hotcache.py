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

    `young` is public so that a session's hot read is one dictionary lookup.
    """

    def __init__(self, entries: int, size: int) -> None:
        self.young: dict[str, Cached] = {}
        self._old: dict[str, Cached] = {}
        self._entries = max(1, entries // 2)
        self._bytes = size // 2
        self._held = 0

    def promote(self, path: str) -> Node | None:
        """A fresh node from the old generation, moved to the young one; None if there is none."""
        entry = self._old.pop(path, None)
        if entry is None:
            return None
        words = entry.words
        if words[entry.slot] <= entry.tag and words[EPOCH] <= entry.tag:
            self._keep(path, entry)
            return entry.node
        return None

    def put(self, path: str, node: Node, tag: int, words: memoryview) -> None:
        """Keep a node that was read when the journal stood at `tag`."""
        size = len(node.data)
        if size <= LARGEST:
            # Not Cached(...), and _keep once more: every cold read comes through here.
            if len(self.young) >= self._entries or self._held > self._bytes:
                self._old, self.young, self._held = self.young, {}, 0
            self.young[path] = tuple.__new__(Cached, (node, slot_of(node.stat.id), tag, words))
            self._held += size + 256

    def _keep(self, path: str, entry: Cached) -> None:
        if len(self.young) >= self._entries or self._held > self._bytes:
            self._old, self.young, self._held = self.young, {}, 0
        self.young[path] = entry
        self._held += len(entry.node.data) + 256

    def clear(self) -> None:
        """Forget everything."""
        self._old, self._held = {}, 0
        self.young.clear()
