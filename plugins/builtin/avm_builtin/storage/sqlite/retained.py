"""Whether every old content that should be there is, with the hash that its journal row has: so the chain proves it.

Looked at is each version that later changes had to keep something for. Those that were only appended to are beginnings
of what came after them. Of a large content one chunk is in memory at a time.
"""

from __future__ import annotations

from collections.abc import Iterator
from typing import NamedTuple

import apsw

from avm_builtin.storage.sqlite import contents, retention
from avm_builtin.storage.sqlite.connection import Row, fetch
from avm_builtin.storage.sqlite.trees import ZERO_LEAF
from vfs_core import journal
from vfs_core.content import CHUNK, content_hash, leaf_hash, sparse_root
from vfs_core.storage import Finding

_VERSIONS = """SELECT j.version, j.sequence, j.size, j.hash, (
        SELECT f.operation FROM journal f WHERE f.node = j.node AND f.version > j.version AND f.hash IS NOT NULL
        ORDER BY f.version LIMIT 1)
    FROM journal j WHERE j.node = ? AND j.hash IS NOT NULL ORDER BY j.version"""

_CHUNKS = """SELECT position, length(body), NULL, NULL, hash FROM chunk AS c
    WHERE node = ?1 AND position <= ?3 AND NOT EXISTS (
        SELECT 1 FROM old_chunk AS o WHERE o.node = ?1 AND o.position = c.position AND o.sequence >= ?2)
    UNION ALL
    SELECT position, iif(start IS NULL, length(body), NULL), rowid, sequence, NULL FROM old_chunk AS o
    WHERE node = ?1 AND position <= ?3 AND sequence = (
        SELECT min(sequence) FROM old_chunk AS p
        WHERE p.node = ?1 AND p.position = o.position AND p.sequence >= ?2)"""
"""The chunks of a content as `contents.at_sequence` takes them: of present ones the hash, of old ones the row."""


class _Kept(NamedTuple):
    """A version of a node."""

    version: int
    sequence: int
    size: int
    hash: bytes
    followed_by: str | None
    """The operation that made the next version; None for the present one."""


def check(connection: apsw.Connection) -> Finding:
    """One finding for all old contents."""
    looked_at, missing, damaged = 0, [], []
    for current in _nodes(connection):
        leaves: dict[int, tuple[int, bytes]] = {}
        for version in map(_Kept._make, fetch(connection, _VERSIONS, (current.id,))):
            if not _has_to_be_kept(version) or retention.is_gone(connection, current.id, version.sequence):
                continue
            looked_at += 1
            found = _hash(connection, current, version, leaves)
            if found is None:
                missing.append(f"@{current.id} version {version.version}")
            elif found != version.hash:
                damaged.append(f"@{current.id} version {version.version}")
    wrong = [
        f"{len(versions):,} {what} (first: {versions[0]})"
        for what, versions in (("old contents are missing", missing), ("differ from their hash", damaged))
        if versions
    ]
    if wrong:
        return Finding("versions", "fail", ", ".join(wrong), "restore a backup")
    return Finding("versions", "ok", f"{looked_at:,} old contents match the journal")


def _nodes(connection: apsw.Connection) -> Iterator[contents.Stored]:
    """The nodes with more than one version whose content has not been erased."""
    for row in connection.execute(
        "SELECT id, size, version, content_sequence, body FROM node WHERE hash IS NOT NULL AND version > 1"
    ):
        yield contents.Stored(*row)


def _has_to_be_kept(version: _Kept) -> bool:
    if version.followed_by is None:
        return False
    return version.followed_by != journal.APPEND or version.size <= CHUNK


def _hash(
    connection: apsw.Connection,
    current: contents.Stored,
    version: _Kept,
    leaves: dict[int, tuple[int, bytes]],
) -> bytes | None:
    """The hash of a version as it would be read; `leaves` remembers those of the node's old chunks."""
    if version.size <= CHUNK:
        data = contents.at_sequence(connection, current, version.version, version.sequence, version.size)
        return None if data is None else content_hash(data)
    last = -(-version.size // CHUNK) - 1
    tail = version.size - last * CHUNK
    found: dict[int, bytes] = {last: leaf_hash(bytes(tail))}
    for row in fetch(connection, _CHUNKS, (current.id, version.sequence, last)):
        found[row[0]] = _leaf(connection, current.id, row, tail if row[0] == last else CHUNK, leaves)
    return sparse_root(last + 1, found, ZERO_LEAF)


def _leaf(
    connection: apsw.Connection, node: int, row: Row, size: int, leaves: dict[int, tuple[int, bytes]]
) -> bytes:
    """The hash of a chunk that is cut, or filled with zeros, to `size`."""
    position, length, old, sequence, known = row
    if length == size and known is not None:
        return bytes(known)  # that it is right is for the present content to show
    if old in leaves and leaves[old][0] == size:
        return leaves[old][1]
    if old is None:
        body = contents.chunk_at(connection, node, position) or b""
    else:
        body = contents.old_chunk(connection, node, position, sequence)
    leaf = leaf_hash(body[:size].ljust(size, b"\0"))
    if old is not None and len(body) == size:
        leaves[old] = size, leaf
    return leaf
