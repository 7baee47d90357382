"""Dropping the past that need not be kept: contents replaced long ago, and what was deleted long ago.

Runs in a transaction, a bounded number of nodes at a time. What remains of a dropped content is its journal row and
a `gap`; of a purged node its row, without content, metadata or name, so that ids and the audit stay whole.
"""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

import apsw

from avm_builtin.storage.sqlite.connection import Row, fetch

AT_LEAST_NS = 20 * 3600 * 1_000_000_000
"""A purge that drops nothing is noted if the last was so long ago."""

Execute = Callable[[str, tuple[Any, ...]], list[Row]]


def drop_versions(execute: Execute, cutoff: int, keep: int, after: int, limit: int) -> tuple[int, int]:
    """Drop old contents of up to `limit` nodes with ids above `after`; returns (contents, last node or 0).

    Dropped is what had been replaced by the row `cutoff`, but for the newest `keep` versions of a node.
    """
    nodes = execute(
        """SELECT DISTINCT node FROM (
               SELECT j.node AS node FROM old_body o JOIN journal j ON j.sequence = o.sequence
               WHERE o.sequence < ?1 AND j.node > ?2
               UNION SELECT DISTINCT node FROM old_chunk WHERE sequence < ?1 AND node > ?2)
           ORDER BY node LIMIT ?3""",
        (cutoff, after, limit),
    )
    dropped = 0
    for (node,) in nodes:
        bound = execute(
            """SELECT min(
                   ifnull((SELECT max(sequence) FROM journal
                       WHERE node = ?1 AND hash IS NOT NULL AND sequence <= ?2), 0),
                   ifnull((SELECT sequence FROM journal WHERE node = ?1 AND hash IS NOT NULL
                       ORDER BY version DESC LIMIT 1 OFFSET max(?3 - 1, 0)), 0))""",
            (node, cutoff, keep),
        )[0][0]
        dropped += _drop(execute, node, bound)
    return dropped, nodes[-1][0] if nodes else 0


def _drop(execute: Execute, node: int, bound: int) -> int:
    """Drop a node's contents of rows below `bound`."""
    bodies = execute(
        "DELETE FROM old_body WHERE sequence IN (SELECT sequence FROM journal WHERE node = ?1 AND hash IS NOT NULL "
        "AND sequence < ?2) RETURNING 1",
        (node, bound),
    )
    chunks = execute("DELETE FROM old_chunk WHERE node = ? AND sequence < ? RETURNING 1", (node, bound))
    if bodies or chunks:
        execute("DELETE FROM gap WHERE node = ? AND high < ?", (node, bound))
        execute("INSERT OR REPLACE INTO gap (node, low, high) VALUES (?, 0, ?)", (node, bound - 1))
    return max(len(bodies), bool(chunks))


def purge_deleted(execute: Execute, cutoff: int, head: int, limit: int) -> list[int]:
    """Erase up to `limit` nodes that were deleted at or before the row `cutoff`, and return their ids."""
    rows = execute(
        "SELECT n.id FROM node n WHERE n.deleted_sequence <= ? AND EXISTS (SELECT 1 FROM old_name o "
        "WHERE o.node = n.id AND o.until = n.deleted_sequence) ORDER BY n.deleted_sequence LIMIT ?",
        (cutoff, limit),
    )
    for (node,) in rows:
        erase(execute, node, head)
    return [node for (node,) in rows]


def erase(execute: Execute, node: int, head: int) -> None:
    """Erase all that is kept of a node without a name but its row, its rights and its journal."""
    execute(
        "DELETE FROM old_body WHERE sequence IN (SELECT sequence FROM journal WHERE node = ? AND hash IS NOT NULL)",
        (node,),
    )
    for table in ("chunk", "old_chunk", "tag", "xattr", "old_name", "gap"):
        execute(f"DELETE FROM {table} WHERE node = ?", (node,))
    execute("DELETE FROM link WHERE source = ?1 OR target = ?1", (node,))
    execute("INSERT INTO gap (node, low, high) VALUES (?, 0, ?)", (node, head))
    execute(
        "UPDATE node SET body = NULL, hash = NULL, size = 0, meta = '{}', expires_ns = NULL WHERE id = ?",
        (node,),
    )


def expired(execute: Execute, now_ns: int, limit: int) -> list[Row]:
    """Directory path and name of up to `limit` nodes that have expired."""
    return execute(
        "SELECT d.path, m.name FROM node n JOIN name m ON m.node = n.id JOIN directory d ON d.id = m.directory "
        "WHERE n.expires_ns <= ? LIMIT ?",
        (now_ns, limit),
    )


def is_gone(connection: apsw.Connection, node: int, sequence: int) -> bool:
    """Whether the content that a node had at a row has been dropped."""
    gaps = fetch(
        connection,
        "SELECT 1 FROM gap WHERE node = ?1 AND high >= ?2 AND low <= ?2 LIMIT 1",
        (node, sequence),
    )
    return bool(gaps)
