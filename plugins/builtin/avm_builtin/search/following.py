"""What side files that follow the journal have in common: the position they are at, and which nodes changes concern."""

from __future__ import annotations

from collections.abc import Callable, Iterator, Sequence
from typing import NamedTuple

import apsw

from avm_builtin.search.contents import by_node
from avm_builtin.search.documents import is_file
from vfs_core.journal import INERT, META, Cursor
from vfs_core.storage import Found, Store
from vfs_core.types import Change

CURSOR = """
CREATE TABLE cursor (id INTEGER PRIMARY KEY CHECK (id = 1), store_uuid TEXT, sequence INTEGER, chain BLOB);
"""
"""The table that a schema begins with."""
NODES = 500
"""Nodes looked up at a time."""


def cursor(connection: apsw.Connection) -> Cursor | None:
    """The position of the journal that the tables are of, or None."""
    row = connection.execute("SELECT store_uuid, sequence, chain FROM cursor").fetchone()
    return None if row is None else Cursor(*row)


def commit_cursor(connection: apsw.Connection, position: Cursor) -> None:
    """Write that position."""
    connection.execute("REPLACE INTO cursor VALUES (1, ?, ?, ?)", position)


def concerning(changes: Sequence[Change]) -> list[Change]:
    """Those of the changes that an index has to look at."""
    return [change for change in changes if change.operation not in INERT]


def take_in(
    changes: Sequence[Change],
    refresh: Callable[[Sequence[int]], dict[int, str]],
    reclassify: Callable[[Sequence[str]], None],
) -> None:
    """Have the nodes of such changes looked at: `refresh` gives the paths of those that are directories.

    Those below which other agents may see things now are given to `reclassify`.
    """
    directories = refresh(list(dict.fromkeys(change.node for change in changes)))
    # Metadata of a directory concerns nothing below it; all else may.
    changed = {change.node for change in changes if change.operation != META}
    reclassify([directories[node] for node in directories.keys() & changed])


class Page(NamedTuple):
    """Some of the nodes that are looked at, and what they are now; those that are neither are gone."""

    wanted: Sequence[int]
    files: dict[int, list[Found]]
    directories: dict[int, str]


def pages(store: Store, nodes: Sequence[int]) -> Iterator[Page]:
    """These nodes as they are now, page by page, without contents."""
    for start in range(0, len(nodes), NODES):
        wanted = nodes[start : start + NODES]
        present = by_node(store.nodes(wanted))
        yield Page(
            wanted,
            {node: names for node, names in present.items() if is_file(names[0])},
            {
                node: names[0].path
                for node, names in present.items()
                if names[0].stat is not None and names[0].stat.is_directory
            },
        )
