"""Hash trees over the chunks of large contents: worked out from the stored leaves, and remembered between changes.

Without that, each small write into a file of a gibibyte would hash 65,536 leaves (80 ms). What is remembered is used
only if its root is the hash that the node's row has: so it does not matter what was rolled back or written by others.
"""

from __future__ import annotations

from collections import OrderedDict
from collections.abc import Mapping
from hashlib import blake2b
from typing import TYPE_CHECKING

from vfs_core.content import CHUNK, leaf_hash, sparse_root

if TYPE_CHECKING:
    from avm_builtin.storage.sqlite.connection import Runner

ZERO_LEAF = leaf_hash(bytes(CHUNK))
_HASH = 32
_FEWEST, _MOST = 64, 2**18
"""Leaves of the trees that are remembered: smaller ones are quick, larger ones take more than 16 MiB."""
_REMEMBERED = 4


def root_of(connection: Runner, node: int, size: int) -> bytes:
    """The hash of the present content, worked out from those of its chunks; holes cost nothing."""
    return sparse_root(_count(size), _leaves(connection, node, size), ZERO_LEAF)


class Trees:
    """The trees of the contents that were changed last. Used by the one writer of a process at a time."""

    def __init__(self) -> None:
        self._trees: OrderedDict[int, _Tree] = OrderedDict()

    def root(self, connection: Runner, node: int, old_size: int, size: int, first: int, last: int) -> bytes:
        """The hash of the present content, of which the chunks from `first` to `last` have been changed.

        What is between the ends of the content before (`old_size`) and now may have changed too.
        """
        count = _count(size)
        if not _FEWEST <= count <= _MOST:
            return root_of(connection, node, size)
        tree = self._trees.pop(node, None)
        before = connection.execute("SELECT hash FROM node WHERE id = ?", (node,)).fetchall()
        if tree is not None and before and tree.root == before[0][0] and tree.count == _count(old_size):
            if size != old_size:
                first = min(first, tree.count - 1, count - 1)
                last = count - 1
            leaves = dict.fromkeys(range(first, min(last + 1, count)), ZERO_LEAF)
            leaves.update(_leaves(connection, node, size, first, last))
        else:
            tree, stored = _Tree(), _leaves(connection, node, size)
            if count > 2 * len(stored):
                return sparse_root(count, stored, ZERO_LEAF)
            leaves = {**dict.fromkeys(range(count), ZERO_LEAF), **stored}
        tree.update(count, leaves)
        self._trees[node] = tree
        if len(self._trees) > _REMEMBERED:
            self._trees.popitem(last=False)
        return tree.root


class _Tree:
    """All levels of one tree, the leaves first; an odd last one goes up as it is (RFC 6962)."""

    def __init__(self) -> None:
        self.levels = [bytearray()]

    @property
    def root(self) -> bytes:
        """The hash of the whole."""
        return bytes(self.levels[-1])

    @property
    def count(self) -> int:
        """How many leaves there are."""
        return len(self.levels[0]) // _HASH

    def update(self, count: int, leaves: Mapping[int, bytes]) -> None:
        """Take over `leaves`, and a new number of them: all that are new are among those given, and the last."""
        level = self.levels[0]
        _resize(level, count)
        for position, leaf in leaves.items():
            level[position * _HASH : (position + 1) * _HASH] = leaf
        dirty, height = set(leaves), 0
        while count > 1:
            height += 1
            count = (count + 1) // 2
            if len(self.levels) == height:
                self.levels.append(bytearray())
            above = self.levels[height]
            held = len(above) // _HASH
            dirty = {position // 2 for position in dirty}
            if held != count:
                dirty.update((count - 1, *range(max(0, min(held, count) - 1), count)))
            _resize(above, count)
            for position in dirty:
                pair = level[2 * position * _HASH : 2 * (position + 1) * _HASH]
                above[position * _HASH : (position + 1) * _HASH] = (
                    blake2b(pair, digest_size=_HASH, person=b"avm.inner").digest()
                    if len(pair) > _HASH
                    else pair
                )
            level = above
        del self.levels[height + 1 :]


def _resize(level: bytearray, count: int) -> None:
    del level[count * _HASH :]
    level.extend(bytes(count * _HASH - len(level)))


def _count(size: int) -> int:
    return -(-size // CHUNK)


def _leaves(connection: Runner, node: int, size: int, first: int = 0, last: int = 2**62) -> dict[int, bytes]:
    """The hashes of the chunks from `first` to `last` that are no whole holes."""
    end, leaves = _count(size) - 1, {}
    if size % CHUNK and first <= end <= last:
        leaves[end] = leaf_hash(bytes(size % CHUNK))
    leaves.update(
        connection.execute(
            "SELECT position, hash FROM chunk WHERE node = ? AND position BETWEEN ? AND ?",
            (node, first, last),
        )
    )
    return leaves
