"""Really forgetting: a node's contents, names and metadata erased, its journal rows redacted, the pages scrubbed.

Redaction keeps of a row what the chain covers (sequence, time, operation, commitment) and the node's number; salt and
fields go, so nothing can be guessed from the commitment. Rows of other nodes that lie below a forgotten directory keep
their fields, but the directory is `@id` in their paths: with the salt gone, the commitment tells nothing of its name.

The transaction erases; `scrub` then rewrites the file, for what was freed by earlier changes still stands in free
pages, and empties the WAL. Until that is done, `info` has a row UNSCRUBBED: what was interrupted can be finished.
"""

from __future__ import annotations

import time
from collections.abc import Callable, Iterator, Sequence
from contextlib import contextmanager
from typing import Any, NamedTuple

import apsw

from avm_builtin.storage.sqlite import retention, trash
from avm_builtin.storage.sqlite.connection import Database, Row, fetch
from avm_builtin.storage.sqlite.rows import DIRECTORY, STAT, STAT_WIDTH
from vfs_core import journal
from vfs_core.errors import Denied, NotFound, NotOwner
from vfs_core.path import join, split

Execute = Callable[[str, tuple[Any, ...]], list[Row]]

UNSCRUBBED = "unscrubbed"
"""The key in `info` that says which journal row was the last to erase what has not been scrubbed yet."""
ROOT = 1
_PATIENCE = 5.0
"""Seconds that scrubbing waits for readers in other processes to let go of the WAL."""
_END = 1 << 62

_DELETED = f"""SELECT {STAT}, j.path, j.sequence, j.time_ns,
    CASE WHEN j.details ->> '$.{journal.EXPIRED}' THEN n.owner ELSE j.agent END, 0, '', NULL FROM node n
    JOIN journal j ON j.sequence = n.deleted_sequence AND j.node = n.id
    WHERE n.links = 0 AND n.deleted_sequence IS NOT NULL AND j.operation = '{journal.DELETE}' AND j.path <> ''"""
"""Nodes that were deleted and not forgotten; retention may have purged them."""


VOCABULARY = """SELECT sql FROM sqlite_schema WHERE sql IS NOT NULL UNION ALL SELECT name FROM sqlite_schema
    UNION ALL SELECT name FROM user UNION ALL SELECT name FROM "group" UNION ALL SELECT key FROM visibility
    UNION ALL SELECT key FROM info UNION ALL SELECT DISTINCT kind FROM link
    UNION ALL SELECT DISTINCT operation FROM journal UNION ALL SELECT DISTINCT door FROM journal
    UNION ALL SELECT DISTINCT each.key FROM journal, json_each(details) AS each WHERE details IS NOT NULL
    UNION ALL SELECT capabilities FROM user WHERE capabilities IS NOT NULL"""
"""What the file says whatever notes there are."""


class _Stay(NamedTuple):
    """Where a directory was, from one journal row up to another."""

    node: int
    path: str
    since: int
    until: int


# --- what is to be forgotten -----------------------------------------------------------------------


def choose(connection: apsw.Connection, node: int, approve: Callable[[trash.Deleted], None]) -> list[int]:
    """A deleted node, what was deleted with it, and what had been deleted from it before, as far as it is approved.

    Raises NotFound, and NotOwner for the node itself and what was deleted with it.
    """
    top = find(connection, node)
    if top is None:
        raise NotFound(f"there is no deleted node @{node} to forget")
    approve(top)
    chosen = {node: None}
    for (inner,) in fetch(
        connection,
        "SELECT n.id FROM node n JOIN journal j ON j.sequence = n.deleted_sequence AND j.node = n.id "
        f"WHERE n.deleted_sequence IS NOT NULL AND n.links = 0 AND j.details ->> '$.{journal.WITHIN}' = ?",
        (node,),
    ):
        found = find(connection, inner)
        if found is not None:
            _approve_inner(top.path, found, approve)
            chosen[inner] = None
    for each in _stays(connection, list(chosen)):
        for (earlier,) in fetch(
            connection,
            "SELECT n.id FROM node n JOIN journal j ON j.sequence = n.deleted_sequence AND j.node = n.id "
            "WHERE n.deleted_sequence >= ?1 AND n.deleted_sequence < ?2 AND n.links = 0 "
            "AND j.path > ?3 AND j.path < ?4",
            (each.since, each.until, f"{each.path}/", f"{each.path}0"),
        ):
            if earlier not in chosen:
                with _unless_refused():
                    chosen.update(dict.fromkeys(choose(connection, earlier, approve)))
    return list(chosen)


@contextmanager
def _unless_refused() -> Iterator[None]:
    """What is not for the agent to forget stays; its rows do not keep the directory's name."""
    try:
        yield
    except (NotFound, Denied):
        return


def _approve_inner(path: str, found: trash.Deleted, approve: Callable[[trash.Deleted], None]) -> None:
    try:
        approve(found)
    except (NotFound, Denied):  # without naming what the agent may not know of
        raise NotOwner(f"{path} holds notes of others, who alone may have them forgotten") from None


def find(connection: apsw.Connection, node: int) -> trash.Deleted | None:
    """A deleted node, also where retention has purged it, unless it was forgotten."""
    rows = fetch(connection, f"{_DELETED} AND n.id = ?", (node,))
    if not rows:
        return None
    path, sequence, time_ns, agent, directory, name, _ = rows[0][STAT_WIDTH:]
    return trash.Deleted(rows[0][:STAT_WIDTH], path, sequence, time_ns, agent, directory, name, None)


def deleted_at(path: str) -> tuple[str, tuple[str]]:
    """The statement for what was deleted at a path, in the columns of `Past.trash`."""
    return f"{_DELETED} AND j.path = ? ORDER BY j.sequence DESC", (path,)


def _stays(connection: apsw.Connection, nodes: Sequence[int]) -> list[_Stay]:
    """All places in which the directories among the nodes ever were, the deepest first."""
    stays: list[_Stay] = []
    for node in nodes:
        if fetch(connection, "SELECT 1 FROM node WHERE id = ? AND kind = ?", (node, DIRECTORY)):
            stays += [_Stay(node, *each) for each in _lived(connection, node, 0, _END)]
    return sorted(stays, key=lambda stay: -stay.path.count("/"))


def _lived(connection: apsw.Connection, node: int, since: int, until: int) -> Iterator[tuple[str, int, int]]:
    """The paths of a directory between two journal rows; by its names and those of the directories above it."""
    if node == ROOT:
        yield "/", since, until
        return
    names = fetch(
        connection,
        "SELECT directory, name, CASE since WHEN 0 THEN node ELSE since END, NULL FROM name WHERE node = ?1 "
        "UNION ALL SELECT directory, name, since, until FROM old_name WHERE node = ?1",
        (node,),
    )
    for directory, name, start, end in names:
        low, high = max(since, start), min(until, end or _END)
        if low < high:
            for above, first, last in _lived(connection, directory, low, high):
                yield join(above, name), first, last
    if not names:  # purged: its own rows tell, unless a directory above it was moved
        rows = fetch(
            connection,
            "SELECT sequence, path FROM journal WHERE node = ? AND path <> '' ORDER BY sequence",
            (node,),
        )
        for (start, path), (end, _) in zip(rows, [*rows[1:], (_END, "")], strict=True):
            if max(since, start) < min(until, end):
                yield path, max(since, start), min(until, end)


# --- erasing ---------------------------------------------------------------------------------------


def erase(
    execute: Execute,
    connection: apsw.Connection,
    nodes: Sequence[int],
    sequence: int,
    plain: Callable[[Row], int],
) -> int:
    """Erase what is kept of nodes that have no name any more, and redact their rows; returns how many rows.

    `plain` gives the class without shares for (owner, group, mode). Freed pages are zeroed at once.
    """
    secure = fetch(connection, "PRAGMA secure_delete")[0][0]
    execute("PRAGMA secure_delete = ON", ())
    try:
        rows = 0
        for stay in _stays(connection, nodes):
            rows += _rename_in_rows(execute, stay)
        for node in nodes:
            rows += _erase(execute, node, sequence, plain)
        execute("INSERT OR REPLACE INTO info (key, value) VALUES (?, ?)", (UNSCRUBBED, str(sequence)))
    finally:
        execute(f"PRAGMA secure_delete = {secure}", ())
    return rows


def _erase(execute: Execute, node: int, sequence: int, plain: Callable[[Row], int]) -> int:
    retention.erase(execute, node, sequence)
    execute("DELETE FROM directory WHERE id = ?", (node,))
    if execute("DELETE FROM share WHERE node = ? RETURNING 1", (node,)):
        row = execute('SELECT owner, "group", mode FROM node WHERE id = ?', (node,))[0]
        execute("UPDATE node SET visibility = ? WHERE id = ?", (plain(row), node))
    execute(
        "UPDATE node SET links = 0, deleted_sequence = ?, modified_ns = 0, changed_ns = 0, created_ns = 0, "
        "uid = 0, gid = 0 WHERE id = ?",
        (sequence, node),
    )
    rows = execute("SELECT sequence FROM journal WHERE node = ?", (node,))
    for (row,) in rows:
        _commit(execute, row)
        execute(
            "UPDATE journal SET path = '', old_path = NULL, version = 0, size = 0, hash = NULL, agent = 0, actor = 0, "
            "door = '', details = NULL WHERE sequence = ?",
            (row,),
        )
    return len(rows)


def _commit(execute: Execute, sequence: int) -> None:
    """Keep what the chain needs of a row whose fields will change, and nothing that they could be guessed by."""
    rows = execute(
        "SELECT salt, node, path, old_path, version, size, hash, agent, actor, door, details FROM journal "
        "WHERE sequence = ? AND commitment IS NULL",
        (sequence,),
    )
    for row in rows:
        execute(
            "UPDATE journal SET commitment = ?, salt = NULL WHERE sequence = ?",
            (journal.commitment(*row), sequence),
        )


def _rename_in_rows(execute: Execute, stay: _Stay) -> int:
    """Take the name of a forgotten directory out of the paths of what was in it."""
    below = (f"{stay.path}/", f"{stay.path}0")
    rows = execute(
        "SELECT sequence, path, old_path FROM journal WHERE sequence >= ?1 AND node <> ?5 AND "
        "(sequence < ?2 AND (path > ?3 AND path < ?4 OR old_path > ?3 AND old_path < ?4) "
        f"OR operation = '{journal.RESTORE}' AND old_path > ?3 AND old_path < ?4)",
        (stay.since, stay.until, *below, stay.node),
    )
    instead = join(split(stay.path)[0], f"@{stay.node}")
    for sequence, *paths in rows:
        _commit(execute, sequence)
        changed = [
            instead + path[len(stay.path) :] if path is not None and below[0] < path < below[1] else path
            for path in paths
        ]
        execute("UPDATE journal SET path = ?, old_path = ? WHERE sequence = ?", (*changed, sequence))
    return len(rows)


# --- scrubbing -------------------------------------------------------------------------------------


def unscrubbed(connection: apsw.Connection) -> str | None:
    """The journal row of the last erasure that has not been scrubbed yet."""
    rows = fetch(connection, "SELECT value FROM info WHERE key = ?", (UNSCRUBBED,))
    return str(rows[0][0]) if rows else None


def scrub(database: Database) -> bool:
    """Rewrite the file without what was freed, and empty its WAL; whether nothing of the old bytes can be left.

    False where a reader in another process held on to the WAL for too long: scrub again. Only with `mutex` held.
    """
    if database.in_memory:
        return True
    connection = database.writer()
    mark = unscrubbed(connection)
    secure = fetch(connection, "PRAGMA secure_delete")[0][0]
    connection.execute(
        "PRAGMA secure_delete = ON"
    )  # VACUUM copies pages: none may carry what stood there before
    try:
        with database.exclusive(lambda: connection.execute("VACUUM")):
            if not _empty_wal(connection):
                return False
            # Another process may have erased more after the VACUUM; that is for it to clean.
            connection.execute("DELETE FROM info WHERE key = ? AND value = ?", (UNSCRUBBED, mark))
            return True
    finally:
        connection.execute(f"PRAGMA secure_delete = {secure}")


def _empty_wal(connection: apsw.Connection) -> bool:
    deadline = time.monotonic() + _PATIENCE
    while True:
        try:
            busy = connection.execute("PRAGMA wal_checkpoint(TRUNCATE)").fetchall()[0][0]
        except apsw.BusyError:
            busy = 1
        if not busy:
            return True
        if time.monotonic() > deadline:
            return False
        time.sleep(0.02)
