"""Bodies: current content inline or in chunks, and old content as it was.

The current content is stored whole. What a change replaces moves to `old_body` or `old_chunk`, keyed by the
journal row of the last version that had it. An append keeps nothing: the old content is a prefix of the new.
"""

from __future__ import annotations

from typing import NamedTuple

import apsw

from avm_builtin.storage.sqlite.connection import Row, fetch
from vfs_core.content import (
    CHUNK,
    EMPTY_HASH,
    apply_delta,
    content_hash,
    leaf_hash,
    reverse_delta,
    root_hash,
    split_chunks,
)

FULL_EVERY = 16
"""Every so many versions an old body is stored whole, which bounds how many deltas a reader applies."""


class Stored(NamedTuple):
    """The content columns of a node: `body` None means chunks."""

    id: int
    size: int
    version: int
    sequence: int
    body: bytes | None


class Written(NamedTuple):
    """What goes into the node's row after a change of content."""

    size: int
    hash: bytes
    body: bytes | None


def create(connection: apsw.Connection, node: int, data: bytes) -> Written:
    """Store the first content of a node."""
    if len(data) <= CHUNK:
        return Written(len(data), leaf_hash(data) if data else EMPTY_HASH, data)
    leaves = []
    for position, chunk in enumerate(split_chunks(data)):
        leaves.append(leaf_hash(chunk))
        _insert_chunk(connection, node, position, leaves[-1], chunk)
    return Written(len(data), root_hash(leaves), None)


def replace(connection: apsw.Connection, old: Stored, data: bytes) -> Written:
    """Store new content over `old` and keep what it replaces."""
    if old.body is not None:
        fits = len(data) <= CHUNK
        _keep_body(connection, old, data if fits else None)
        return create(connection, old.id, data)
    if len(data) <= CHUNK:
        _keep_chunks(connection, old, 0)
        return create(connection, old.id, data)
    known: dict[int, bytes] = dict(
        fetch(connection, "SELECT position, hash FROM chunk WHERE node = ?", (old.id,))
    )
    leaves = []
    chunks = split_chunks(data)
    for position, chunk in enumerate(chunks):
        leaf = leaf_hash(chunk)
        leaves.append(leaf)
        if position not in known:
            _insert_chunk(connection, old.id, position, leaf, chunk)
        elif known[position] != leaf:
            _keep_chunk(connection, old, position)
            _update_chunk(connection, old.id, position, leaf, chunk)
    _keep_chunks(connection, old, len(chunks))
    return Written(len(data), root_hash(leaves), None)


def append(connection: apsw.Connection, old: Stored, data: bytes) -> Written:
    """Store `data` behind `old`, touching only its last chunk."""
    if old.body is not None:
        whole = old.body + data
        if len(whole) <= CHUNK:
            _keep_body(connection, old, whole)
        return create(connection, old.id, whole)
    position, used = divmod(old.size, CHUNK)
    rest = data
    if used:
        last = fetch(
            connection, "SELECT body FROM chunk WHERE node = ? AND position = ?", (old.id, position)
        )[0][0]
        grown = last + data[: CHUNK - used]
        rest = data[CHUNK - used :]
        _update_chunk(connection, old.id, position, leaf_hash(grown), grown)
        position += 1
    for chunk in split_chunks(rest):
        _insert_chunk(connection, old.id, position, leaf_hash(chunk), chunk)
        position += 1
    leaves = fetch(connection, "SELECT hash FROM chunk WHERE node = ? ORDER BY position", (old.id,))
    return Written(old.size + len(data), root_hash([row[0] for row in leaves]), None)


def assemble(size: int, chunks: list[Row]) -> bytes:
    """The content of `(position, body)` rows; positions that are missing read as zeros."""
    content = bytearray(size)
    for position, body in chunks:
        start = position * CHUNK
        if start < size:
            content[start : start + len(body)] = body[: size - start]
    return bytes(content)


def at_sequence(
    connection: apsw.Connection, current: Stored, version: int, sequence: int, size: int
) -> bytes | None:
    """The content that the journal row `sequence` committed as `version`, or None if it is not kept.

    `size` is the row's. Runs in the caller's read transaction.
    """
    if sequence == current.sequence and current.body is not None:
        return current.body
    rows = fetch(connection, "SELECT prefix, suffix, body FROM old_body WHERE sequence = ?", (sequence,))
    if rows:
        prefix, suffix, body = rows[0]
        if prefix is None:
            return bytes(body)
        following = fetch(
            connection,
            "SELECT version, sequence, size FROM journal WHERE node = ? AND version > ? AND hash IS NOT NULL "
            "ORDER BY version LIMIT 1",
            (current.id, version),
        )
        newer = at_sequence(connection, current, *following[0]) if following else None
        return None if newer is None else apply_delta(newer, prefix, suffix, body)
    if (
        sequence != current.sequence
        and current.body is not None
        and size <= CHUNK
        and not _has_chunks(connection, current.id, sequence)
    ):
        return None
    chunks = fetch(
        connection,
        """SELECT position, body FROM chunk AS c WHERE node = ?1 AND NOT EXISTS (
               SELECT 1 FROM old_chunk AS o
               WHERE o.node = ?1 AND o.position = c.position AND o.sequence >= ?2)
           UNION ALL
           SELECT position, body FROM old_chunk AS o WHERE node = ?1 AND sequence = (
               SELECT min(sequence) FROM old_chunk AS p
               WHERE p.node = ?1 AND p.position = o.position AND p.sequence >= ?2)""",
        (current.id, sequence),
    )
    return assemble(size, chunks)


def is_intact(connection: apsw.Connection, stored: Stored, expected: bytes | None) -> bool:
    """Whether the current content has the hash that its row says."""
    data = stored.body
    if data is None:
        rows = fetch(connection, "SELECT position, body FROM chunk WHERE node = ?", (stored.id,))
        data = assemble(stored.size, rows)
    return len(data) == stored.size and content_hash(data) == expected


def _has_chunks(connection: apsw.Connection, node: int, sequence: int) -> bool:
    return bool(
        fetch(
            connection, "SELECT 1 FROM old_chunk WHERE node = ? AND sequence >= ? LIMIT 1", (node, sequence)
        )
    )


def _keep_body(connection: apsw.Connection, old: Stored, new: bytes | None) -> None:
    """Keep an inline body, as a delta against the content that follows it where that is inline too."""
    assert old.body is not None
    if new is None or old.version % FULL_EVERY == 0:
        row: Row = (old.sequence, None, None, old.body)
    else:
        row = (old.sequence, *reverse_delta(old.body, new))
    connection.execute("INSERT INTO old_body (sequence, prefix, suffix, body) VALUES (?, ?, ?, ?)", row)


def _keep_chunk(connection: apsw.Connection, old: Stored, position: int) -> None:
    connection.execute(
        "INSERT INTO old_chunk (node, position, sequence, body) "
        "SELECT node, position, ?, body FROM chunk WHERE node = ? AND position = ?",
        (old.sequence, old.id, position),
    )


def _keep_chunks(connection: apsw.Connection, old: Stored, start: int) -> None:
    """Move the chunks from position `start` on to the old ones."""
    connection.execute(
        "INSERT INTO old_chunk (node, position, sequence, body) "
        "SELECT node, position, ?, body FROM chunk WHERE node = ? AND position >= ?",
        (old.sequence, old.id, start),
    )
    connection.execute("DELETE FROM chunk WHERE node = ? AND position >= ?", (old.id, start))


def _insert_chunk(connection: apsw.Connection, node: int, position: int, leaf: bytes, body: bytes) -> None:
    connection.execute(
        "INSERT INTO chunk (node, position, hash, body) VALUES (?, ?, ?, ?)", (node, position, leaf, body)
    )


def _update_chunk(connection: apsw.Connection, node: int, position: int, leaf: bytes, body: bytes) -> None:
    connection.execute(
        "UPDATE chunk SET hash = ?, body = ? WHERE node = ? AND position = ?", (leaf, body, node, position)
    )
