"""Migrations that statements alone cannot do: what earlier versions did not keep, worked out from the journal."""

from __future__ import annotations

import apsw

from vfs_core import journal
from vfs_core.path import split

ROOT = 1


def names_of_the_past(connection: apsw.Connection) -> None:
    """Fill `old_name` and `name.since` (schema 2) by replaying the journal of schema 1.

    There every node had one name, was made by the row of its own number, and a directory's rename was one row: what
    is below it keeps its names, for a directory is its node in them.
    """
    names = _Names()
    since: dict[int, int] = {}
    for sequence, operation, node, path in connection.execute(
        "SELECT sequence, operation, node, path FROM journal WHERE node > ? ORDER BY sequence", (ROOT,)
    ):
        given = operation == journal.RENAME or sequence == node
        if given or operation == journal.DELETE:
            taken = names.take(node)
            if taken is not None:
                connection.execute(
                    "INSERT OR IGNORE INTO old_name (directory, name, until, node, since) VALUES (?, ?, ?, ?, ?)",
                    (*taken, sequence, node, since[node]),
                )
        if given:
            names.give(node, path)
            since[node] = sequence
    connection.executemany(
        "UPDATE name SET since = ? WHERE node = ?",
        ((given, node) for node, given in since.items() if given != node),
    )


class _Names:
    """Which name each node has, as directory and name in it. A journal that does not fit is for doctor to tell."""

    def __init__(self) -> None:
        self._of: dict[int, tuple[int, str]] = {}
        self._node: dict[tuple[int, str], int] = {}

    def give(self, node: int, path: str) -> None:
        """Give a node the name that a path says."""
        above, name = split(path)
        directory: int | None = ROOT
        for part in above.split("/")[1:] if above != "/" else ():
            directory = None if directory is None else self._node.get((directory, part))
        if directory is not None:
            self._of[node] = directory, name
            self._node[directory, name] = node

    def take(self, node: int) -> tuple[int, str] | None:
        """Take a node's name away, and return it."""
        name = self._of.pop(node, None)
        if name is not None:
            self._node.pop(name, None)
        return name
