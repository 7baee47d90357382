"""Removing, restoring, expiring and forgetting: what a deletion leaves, and what brings it back or ends it."""

from __future__ import annotations

from collections.abc import Callable
from functools import partial

from avm_builtin.storage.sqlite import forget as erasing
from avm_builtin.storage.sqlite import (
    making,
    rights,
    trash,
)
from avm_builtin.storage.sqlite import retention as keeping
from avm_builtin.storage.sqlite.connection import Row
from avm_builtin.storage.sqlite.rows import DIRECTORY
from avm_builtin.storage.sqlite.unit import EXPIRES, OWN, PARENT, UNREAD, WITHIN, Unit
from vfs_core import journal
from vfs_core.errors import (
    Exists,
    IsADirectory,
    NotEmpty,
    NotFound,
)
from vfs_core.past import Purged, Retention, Trashed
from vfs_core.path import join, space_of, split
from vfs_core.storage import (
    Found,
    Moved,
    Operation,
)
from vfs_core.types import JSON


def delete(unit: Unit, path: str, *, recursive: bool = False) -> int:
    """See `Transaction.delete`."""
    row = unit.require(path)
    place = unit.nearest(split(path)[0])
    unit.check(Operation.DELETE, unit.as_found(path, row, place.own))
    unit.refuse_fixed(path, "removed")
    with unit.whole():
        return remove(unit, path, row, recursive, row[0])


def remove(unit: Unit, path: str, row: Row, recursive: bool, top: int, *, expired: bool = False) -> int:
    """Take a name away, with `recursive` all below it first. `top` is the node that is being deleted."""
    removed = 0
    unit.everything |= bool(unit.classes.node(row[OWN], unit.cursor).shares)
    if row[1] == DIRECTORY:
        while True:
            names = unit.execute("SELECT name FROM name WHERE directory = ? LIMIT 1000", (row[0],))
            if not names:
                break
            for (name,) in names:
                child = join(path, name)
                found = unit.locate(child)
                if found is None:
                    continue  # it had expired, and is gone now
                if not recursive:
                    raise NotEmpty(f"{path} is not empty")
                _judge_inner(unit, path, child, found, row[OWN])
                removed += remove(unit, child, found, True, top)
        unit.execute("DELETE FROM directory WHERE id = ?", (row[0],))
        unit.forget_directories()
    details: dict[str, JSON] = {journal.CLASS: row[WITHIN]}
    if expired:
        details[journal.EXPIRED] = True
    if row[0] != top:
        details[journal.WITHIN] = top
    now, sequence = unit.journal(journal.DELETE, row[0], path, row[6], row[5], details=details)
    trash.keep_name(unit.cursor, row[PARENT], split(path)[1], sequence)
    rights.carry_widened(unit, row[0], path)
    unit.execute("DELETE FROM name WHERE directory = ? AND name = ?", (row[PARENT], split(path)[1]))
    unit.execute(
        "UPDATE node SET links = links - 1, changed_ns = ?1, "
        "deleted_sequence = CASE WHEN links = 1 THEN ?2 ELSE NULL END WHERE id = ?3",
        (now, sequence, row[0]),
    )
    unit.execute("UPDATE node SET modified_ns = ?1, changed_ns = ?1 WHERE id = ?2", (now, row[PARENT]))
    unit.touched += (row[0], row[PARENT])
    return removed + 1


def expire(unit: Unit, path: str, row: Row) -> None:
    """Take a name away whose node has expired."""
    remove(unit, path, row, False, row[0], expired=True)


def _judge_inner(unit: Unit, path: str, child: str, row: Row, directory: int) -> None:
    """Judge removing what is in a directory, without naming what may not be known."""
    try:
        unit.check(Operation.DELETE, unit.as_found(child, row, directory))
    except NotFound:
        raise NotEmpty(f"{path} holds more than you may remove") from None


def trashed(unit: Unit, node: int) -> Trashed | None:
    """See `Transaction.trashed`."""
    _come_upon(unit, node)
    found = trash.find(unit.cursor, node)
    return None if found is None else _trashed(unit, found)


def _come_upon(unit: Unit, node: int) -> None:
    """Take its names away from a node that has expired."""
    if unit.sequence == UNREAD:
        unit.start()
    if unit.execute("SELECT 1 FROM node WHERE id = ? AND links > 0 AND expires_ns <= ?", (node, unit.now)):
        for path in unit.names(node):
            unit.locate(path)


def _trashed(unit: Unit, found: trash.Deleted) -> Trashed:
    stat, by = unit.users.stat(found.row), unit.users.user(found.agent)
    return Trashed(found.path, stat, found.row[OWN], found.sequence, found.time_ns, by)


def restore(unit: Unit, node: int, to: str | None = None) -> Moved:
    """See `Transaction.restore`."""
    _come_upon(unit, node)
    found = trash.find(unit.cursor, node)
    if found is None:
        raise NotFound(f"there is no deleted node @{node} to restore")
    with unit.whole():
        restored: list[tuple[str, str]] = []
        _restore(unit, found, to, node, restored)
    return Moved(len(restored), unit.sequence, tuple(restored))


def _restore(
    unit: Unit, found: trash.Deleted, to: str | None, top: int, restored: list[tuple[str, str]]
) -> None:
    """Bring back a deleted node, and below it what was deleted with `top`."""
    path = to or join(_restore_directory(unit, found), found.name)
    if unit.locate(path) is not None:
        unit.judge_taken(Operation.STAT, path, unit.require(path))
        raise Exists(f"{path} exists already; restore it to another path")
    place = making.make_parents(unit, path, unit.judge_creation(path), True)
    node, kind = found.row[0], found.row[1]
    own = unit.classes.node(found.row[OWN], unit.cursor)
    after = unit.classes.directory(place.within, unit.cursor)
    readable = kind != DIRECTORY and own.mode & 0o444 == 0o444
    widens = found.within is None or unit.classes.directory(found.within, unit.cursor).widens_to(
        after, readable
    )
    if widens:
        judged = unit.users.stat(found.row)
        unit.check(
            Operation.SHARE,
            Found(path, judged, place.within, found.row[OWN], place.id, unit.sequence, place.own),
        )
    now, sequence = unit.journal(journal.RESTORE, node, path, found.row[6], found.row[5], old_path=found.path)
    unit.execute(
        "INSERT INTO name (directory, name, node, since) VALUES (?, ?, ?, ?)",
        (place.id, split(path)[1], node, sequence),
    )
    unit.execute(
        "UPDATE node SET links = 1, deleted_sequence = NULL, changed_ns = ?1, expires_ns = "
        "CASE WHEN expires_ns <= ?1 THEN NULL ELSE expires_ns END WHERE id = ?2",
        (now, node),
    )
    unit.execute("UPDATE node SET modified_ns = ?1, changed_ns = ?1 WHERE id = ?2", (now, place.id))
    unit.touched += (node, place.id)
    restored.append((found.path, path))
    if kind == DIRECTORY:
        within = unit.classes.intern(unit.cursor, after.enter(space_of(path), own))
        unit.execute(
            "INSERT INTO directory (id, path, visibility, widened_sequence) "
            "SELECT id, ?, ?, widened_sequence FROM node WHERE id = ?",
            (path, within, node),
        )
    if kind == DIRECTORY or own.shares:
        unit.everything = True
    if widens:
        rights.widened(unit, node, kind, sequence)
    if kind == DIRECTORY:
        for child in list(trash.deleted_with(unit.cursor, node, top)):
            inner = trash.find(unit.cursor, child)
            if inner is not None:
                _restore(unit, inner, join(path, inner.name), top, restored)


def _restore_directory(unit: Unit, found: trash.Deleted) -> str:
    """The path of the directory that a deleted node was in, which comes back if it was deleted too."""
    rows = unit.execute("SELECT path FROM directory WHERE id = ?", (found.directory,))
    if rows:
        return str(rows[0][0])
    above = trash.find(unit.cursor, found.directory)
    if above is None:
        return split(found.path)[0]
    restored: list[tuple[str, str]] = []
    _restore(unit, above, None, 0, restored)
    return restored[0][1]


def forget(unit: Unit, node: int, approve: Callable[[Trashed], None]) -> int:
    """See `Transaction.forget`."""
    if unit.sequence == UNREAD:
        unit.start()
    nodes = erasing.choose(unit.cursor.connection, node, lambda found: approve(_trashed(unit, found)))
    with unit.whole():
        unit.journal(journal.FORGET, 0, "", 0, 0, details={"nodes": len(nodes)})
        unit.touched += nodes
        unit.everything = True
        return erasing.erase(
            unit.execute, unit.cursor.connection, nodes, unit.sequence, partial(_plain_class, unit)
        )


def _plain_class(unit: Unit, row: Row) -> int:
    """The class without shares for (owner, group, mode)."""
    owner, group, mode = row
    return unit.classes.plain(unit.cursor, unit.users.users[owner], unit.users.groups[group], mode)


def set_expiry(unit: Unit, path: str, expires_ns: int | None) -> None:
    """See `Transaction.set_expiry`."""
    row = unit.require(path)
    unit.check(Operation.WRITE, unit.as_found(path, row))
    if expires_ns is not None:
        unit.check(Operation.DELETE, unit.as_found(path, row, unit.nearest(split(path)[0]).own))
    if row[1] == DIRECTORY:
        raise IsADirectory(f"{path} is a directory; only a note can expire")
    if expires_ns == row[EXPIRES]:
        return
    details = {"expires_ns": expires_ns, journal.BEFORE: row[EXPIRES]}
    now, _ = unit.journal(journal.EXPIRY, row[0], path, row[6], row[5], details=details)
    unit.execute("UPDATE node SET expires_ns = ?, changed_ns = ? WHERE id = ?", (expires_ns, now, row[0]))
    unit.touched.append(row[0])


def purge(unit: Unit, retention: Retention, limit: int, after: int) -> Purged:
    """Drop what need not be kept, and delete what has expired; journalled if anything was."""
    if unit.sequence == UNREAD:
        unit.start()
    gone = keeping.expired(unit.execute, unit.now, limit)
    for directory, name in gone:
        unit.locate(join(directory, name))  # which takes away what has expired
    cutoff = unit.sequence_at(unit.now - retention.replaced_ns)
    contents_dropped, last = keeping.drop_versions(unit.execute, cutoff, retention.versions, after, limit)
    cutoff = unit.sequence_at(unit.now - retention.deleted_ns)
    nodes = keeping.purge_deleted(unit.execute, cutoff, unit.sequence, limit)
    unit.touched += nodes
    more = last or (after if limit in (len(nodes), len(gone)) else None)
    purged = Purged(contents_dropped, len(nodes), len(gone), more)
    rows = unit.execute(
        "SELECT value FROM info WHERE key IN ('purged_ns', 'created_ns') ORDER BY key DESC LIMIT 1"
    )
    due = more is None and int(rows[0][0]) < unit.now - keeping.AT_LEAST_NS
    if contents_dropped or nodes or due:
        if more is None:
            unit.execute("INSERT OR REPLACE INTO info (key, value) VALUES ('purged_ns', ?)", (str(unit.now),))
        unit.journal(journal.PURGE, 0, "", 0, 0, details={"contents": contents_dropped, "nodes": len(nodes)})
    return purged
