"""Migrations that statements alone cannot do: what earlier versions did not keep, worked out from the journal."""

from __future__ import annotations

import apsw

from avm_builtin.storage.sqlite.connection import fetch
from vfs_core import journal
from vfs_core.path import is_within, split

ROOT = 1


def names_of_the_past(connection: apsw.Connection) -> None:
    """Fill `old_name` and `name.since` (schema 2) by replaying the journal of schema 1.

    There every node had one name, was made by the row of its own number, and a directory's rename was one row.
    """
    paths: dict[str, int] = {"/": ROOT}
    since: dict[int, int] = {}
    for sequence, operation, node, path, old_path in fetch(
        connection,
        "SELECT sequence, operation, node, path, old_path FROM journal WHERE node <> 0 ORDER BY sequence",
    ):
        if sequence == node:
            paths[path] = node
            since[node] = sequence
        elif operation == journal.DELETE:
            _take_away(connection, paths, since, path, sequence)
        elif operation == journal.RENAME:
            _take_away(connection, paths, since, old_path, sequence, below=path)
            since[node] = sequence
    for node, given in since.items():
        if given != node:
            connection.execute("UPDATE name SET since = ? WHERE node = ?", (given, node))


def _take_away(
    connection: apsw.Connection,
    paths: dict[str, int],
    since: dict[int, int],
    path: str,
    until: int,
    *,
    below: str | None = None,
) -> None:
    """Note that a name has ended, and move what is below it (to `below`) or drop it."""
    node = paths.get(path)
    directory = paths.get(split(path)[0])
    if node is None or directory is None:
        return  # a journal that does not fit: doctor says so
    connection.execute(
        "INSERT OR IGNORE INTO old_name (directory, name, until, node, since) VALUES (?, ?, ?, ?, ?)",
        (directory, split(path)[1], until, node, since.get(node, node)),
    )
    if below is None:
        del paths[path]
        return
    for name in [name for name in paths if is_within(name, path)]:
        paths[below + name[len(path) :]] = paths.pop(name)
