"""Bodies: current content inline or in chunks, and old content as it was.

The current content is stored whole. What a change replaces moves to `old_body` or `old_chunk`, keyed by the
journal row of the last version that had it. An append keeps nothing: the old content is a prefix of the new.

Of an old chunk only the part that was replaced is kept where that is a small one; the rest is as in the next old
chunk of that position, or in the present one, which then must not change without one more being kept.

A chunk of zeros is not stored: positions without a row are holes. Where a chunk comes to a position without one that
an older version may have had as a hole, an empty old chunk says so: at positions of the content before, and at all up
to the highest that an old chunk has (whoever cuts a content leaves one at its last position).
"""

from __future__ import annotations

from collections.abc import Iterable
from typing import NamedTuple

from avm_builtin.storage.sqlite.connection import Row, Runner, fetch
from avm_builtin.storage.sqlite.trees import ZERO_LEAF, Trees, root_of
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

ZERO_CHUNK = bytes(CHUNK)

FULL_EVERY = 16
"""Every so many versions an old body or chunk is stored whole, which bounds how many deltas a reader applies."""
_FOREVER = 2**63 - 1


class Stored(NamedTuple):
    """The content columns of a node: `body` None means chunks."""

    id: int
    size: int
    version: int
    sequence: int
    body: bytes | None


class Part(NamedTuple):
    """What a change replaces in a chunk that is otherwise, and in its size, as before."""

    start: int
    before: bytes


class Written(NamedTuple):
    """What goes into the node's row after a change of content."""

    size: int
    hash: bytes
    body: bytes | None


def create(connection: Runner, node: int, data: bytes) -> Written:
    """Store the first content of a node."""
    if len(data) <= CHUNK:
        return tuple.__new__(Written, (len(data), leaf_hash(data) if data else EMPTY_HASH, data))
    return pour(connection, Stored(node, 0, 0, 0, b""), split_chunks(data))


def replace(connection: Runner, old: Stored, data: bytes) -> Written:
    """Store new content over `old` and keep what it replaces."""
    if len(data) > CHUNK:
        return pour(connection, old, split_chunks(data))
    if old.body is not None:
        keep_body(connection, old, data)
    else:
        keep_chunks(connection, old, 0)
    return create(connection, old.id, data)


def pour(connection: Runner, old: Stored, chunks: Iterable[bytes]) -> Written:
    """Store a content given in chunks, all of CHUNK bytes but the last, over `old`: one chunk in memory at a time.

    `old.version` 0 is a node that is being made.
    """
    known: dict[int, bytes] = {}
    if old.body is None:
        known = dict(fetch(connection, "SELECT position, hash FROM chunk WHERE node = ?", (old.id,)))
    elif old.version:
        keep_body(connection, old, None)
    leaves: list[bytes] = []
    size = 0
    for position, chunk in enumerate(chunks):
        leaf = ZERO_LEAF if chunk == ZERO_CHUNK else leaf_hash(chunk)
        leaves.append(leaf)
        size += len(chunk)
        if known.get(position, ZERO_LEAF) != leaf:
            put_chunk(connection, old, position, leaf, chunk, known=position in known)
    if old.body is None:
        keep_chunks(connection, old, len(leaves))
    if size <= CHUNK:  # it was not known beforehand
        if old.body is None and known.get(0, b"") == (leaves[0] if leaves else None):
            _keep_chunk(connection, old, 0, True)
        rows = fetch(connection, "DELETE FROM chunk WHERE node = ? RETURNING body", (old.id,))
        body = rows[0][0] if rows else bytes(size)
        return Written(size, leaf_hash(body) if size else EMPTY_HASH, body)
    return Written(size, root_hash(leaves), None)


def put_chunk(
    connection: Runner,
    old: Stored,
    position: int,
    leaf: bytes,
    chunk: bytes,
    *,
    known: bool,
    keep: bool = True,
    part: Part | None = None,
) -> None:
    """Store a chunk of the present content, and keep what `old` had there if it had something else.

    `known`: there is a row at this position. `keep` False: what was there is kept already. `part`: what alone changes.
    """
    within = old.body is None and position * CHUNK < old.size
    if known:
        if keep and within and part is not None and chunk != ZERO_CHUNK and old.version % FULL_EVERY:
            _keep_part(connection, old, position, part)
        elif keep and within:
            _keep_chunk(connection, old, position, True)
    elif keep and (within or position <= _highest(connection, old.id)):
        _keep_chunk(connection, old, position, False)
    if chunk == ZERO_CHUNK:
        connection.execute("DELETE FROM chunk WHERE node = ? AND position = ?", (old.id, position))
    elif known:
        _update_chunk(connection, old.id, position, leaf, chunk)
    else:
        _insert_chunk(connection, old.id, position, leaf, chunk)


def _highest(connection: Runner, node: int) -> int:
    """The highest position at which an old chunk is kept; -1 if none is."""
    rows = fetch(connection, "SELECT max(position) FROM old_chunk WHERE node = ?", (node,))
    return -1 if rows[0][0] is None else int(rows[0][0])


def append(connection: Runner, trees: Trees, old: Stored, data: bytes) -> Written:
    """Store `data` behind `old`, touching only its last chunk."""
    if old.body is not None:
        whole = old.body + data
        if len(whole) > CHUNK and _highest(connection, old.id) < 0:
            return create(connection, old.id, whole)  # nothing is kept: the old content is a part of the new
        return replace(connection, old, whole)
    position, used = divmod(old.size, CHUNK)
    last = chunk_at(connection, old.id, position) if used else None
    grown = (last or b"").ljust(used, b"\0")[:used] + data
    for number, chunk in enumerate(split_chunks(grown), position):
        known = number == position and last is not None
        # Of a chunk nothing is kept: what was there is a part of what is there now, cut at the size that it had.
        put_chunk(connection, old, number, leaf_hash(chunk), chunk, known=known, keep=not known)
    size = old.size + len(data)
    end = (size - 1) // CHUNK
    return Written(size, trees.root(connection, old.id, old.size, size, position, end), None)


def chunk_at(connection: Runner, node: int, position: int) -> bytes | None:
    """The present chunk at a position; None for a hole."""
    rows = fetch(connection, "SELECT body FROM chunk WHERE node = ? AND position = ?", (node, position))
    return rows[0][0] if rows else None


def assemble(size: int, chunks: list[Row]) -> bytes:
    """The content of `(position, body)` rows; positions that are missing read as zeros."""
    content = bytearray(size)
    for position, body in chunks:
        start = position * CHUNK
        if start < size:
            content[start : start + len(body)] = body[: size - start]
    return bytes(content)


def at_sequence(connection: Runner, current: Stored, version: int, sequence: int, size: int) -> bytes | None:
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
    present = fetch(
        connection,
        """SELECT position, body FROM chunk AS c WHERE node = ?1 AND NOT EXISTS (
               SELECT 1 FROM old_chunk AS o
               WHERE o.node = ?1 AND o.position = c.position AND o.sequence >= ?2 AND o.start IS NULL)""",
        (current.id, sequence),
    )
    content = bytearray(assemble(size, present))
    for position, start, body in fetch(
        connection,
        f"""SELECT position, ifnull(start, 0), body FROM old_chunk AS o
            WHERE node = ?1 AND sequence BETWEEN ?2 AND ifnull((
                SELECT min(sequence) FROM old_chunk AS p
                WHERE p.node = ?1 AND p.position = o.position AND p.sequence >= ?2 AND p.start IS NULL), {_FOREVER})
            ORDER BY sequence DESC""",
        (current.id, sequence),
    ):
        at = position * CHUNK + start
        if at < size:
            content[at : at + len(body)] = body[: size - at]
    return bytes(content)


def old_chunk(connection: Runner, node: int, position: int, sequence: int) -> bytes:
    """The chunk that was at a position when the row `sequence` was the last to have it."""
    rows = fetch(
        connection,
        f"""SELECT start, body FROM old_chunk WHERE node = ?1 AND position = ?2 AND sequence BETWEEN ?3 AND ifnull((
                SELECT min(sequence) FROM old_chunk
                WHERE node = ?1 AND position = ?2 AND sequence >= ?3 AND start IS NULL), {_FOREVER})
            ORDER BY sequence DESC""",
        (node, position, sequence),
    )
    whole = bytearray(b"" if rows and rows[0][0] is None else chunk_at(connection, node, position) or b"")
    for start, body in rows:
        if start is None:
            whole[:] = body
        else:
            whole[start : start + len(body)] = body
    return bytes(whole)


def complete(connection: Runner, node: int, position: int, since: int) -> None:
    """Keep whole what is kept in part since a row, from a position on: the chunks that it rests on are about to go."""
    for each, sequence in fetch(
        connection,
        "SELECT position, sequence FROM old_chunk WHERE node = ? AND position >= ? AND sequence >= ? "
        "AND start IS NOT NULL",
        (node, position, since),
    ):
        connection.execute(
            "UPDATE old_chunk SET start = NULL, body = ? WHERE node = ? AND position = ? AND sequence = ?",
            (old_chunk(connection, node, each, sequence), node, each, sequence),
        )


def is_intact(connection: Runner, stored: Stored, expected: bytes | None) -> bool:
    """Whether the current content has the hash that its row says. Holds one chunk at a time."""
    if stored.body is not None:
        return len(stored.body) == stored.size and content_hash(stored.body) == expected
    for position, leaf, body in connection.execute(
        "SELECT position, hash, body FROM chunk WHERE node = ?", (stored.id,)
    ):
        left = stored.size - position * CHUNK
        if len(body) != min(left, CHUNK) or leaf_hash(body) != leaf:
            return False
    return root_of(connection, stored.id, stored.size) == expected


def _has_chunks(connection: Runner, node: int, sequence: int) -> bool:
    return bool(
        fetch(
            connection, "SELECT 1 FROM old_chunk WHERE node = ? AND sequence >= ? LIMIT 1", (node, sequence)
        )
    )


def keep_body(connection: Runner, old: Stored, new: bytes | None) -> None:
    """Keep an inline body, as a delta against the content that follows it where that is inline too."""
    assert old.body is not None
    if new is None or old.version % FULL_EVERY == 0:
        row: Row = (old.sequence, None, None, old.body)
    else:
        row = (old.sequence, *reverse_delta(old.body, new))
    connection.execute("INSERT INTO old_body (sequence, prefix, suffix, body) VALUES (?, ?, ?, ?)", row)


def _keep_chunk(connection: Runner, old: Stored, position: int, known: bool) -> None:
    """Keep the chunk at a position, or that there was a hole."""
    if known:
        connection.execute(
            "INSERT INTO old_chunk (node, position, sequence, body) "
            "SELECT node, position, ?, body FROM chunk WHERE node = ? AND position = ?",
            (old.sequence, old.id, position),
        )
    else:
        connection.execute(
            "INSERT INTO old_chunk (node, position, sequence, body) VALUES (?, ?, ?, x'')",
            (old.id, position, old.sequence),
        )


def _keep_part(connection: Runner, old: Stored, position: int, part: Part) -> None:
    connection.execute(
        "INSERT INTO old_chunk (node, position, sequence, start, body) VALUES (?, ?, ?, ?, ?)",
        (old.id, position, old.sequence, part.start, part.before),
    )


def keep_chunks(connection: Runner, old: Stored, start: int) -> None:
    """Move the chunks from position `start` on to the old ones, and mark a hole at the last position."""
    connection.execute(
        "INSERT INTO old_chunk (node, position, sequence, body) "
        "SELECT node, position, ?, body FROM chunk WHERE node = ? AND position >= ?",
        (old.sequence, old.id, start),
    )
    connection.execute("DELETE FROM chunk WHERE node = ? AND position >= ?", (old.id, start))
    last = -(-old.size // CHUNK) - 1
    if last >= start and last > _highest(connection, old.id):
        _keep_chunk(connection, old, last, False)


def _insert_chunk(connection: Runner, node: int, position: int, leaf: bytes, body: bytes) -> None:
    connection.execute(
        "INSERT INTO chunk (node, position, hash, body) VALUES (?, ?, ?, ?)", (node, position, leaf, body)
    )


def _update_chunk(connection: Runner, node: int, position: int, leaf: bytes, body: bytes) -> None:
    connection.execute(
        "UPDATE chunk SET hash = ?, body = ? WHERE node = ? AND position = ?", (leaf, body, node, position)
    )
