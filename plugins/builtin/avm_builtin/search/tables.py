"""The tables of the FTS5 side file, and how documents get into them and out.

A contentless FTS5 table that is fed ready-made tokens, one document for each *name* of a file, and
the visibility class of each directory. A document says which directory it is in, so a share or a
chmod of a directory changes rows of directories and not one document. Every function here works in
the transaction of its caller.
"""

from __future__ import annotations

import json
from collections.abc import Iterable, Iterator, Mapping, Sequence

import apsw

from avm_builtin.search import documents
from avm_builtin.search import text as analyser
from vfs_core.errors import NotADirectory
from vfs_core.journal import Cursor
from vfs_core.path import is_within, split
from vfs_core.storage import Found, Store

APPLICATION = 0x41564D49  # "AVMI"
_LAYOUT = 2
VERSION = _LAYOUT << 16 | analyser.VERSION

SCHEMA = """
CREATE TABLE cursor (id INTEGER PRIMARY KEY CHECK (id = 1), store_uuid TEXT, sequence INTEGER, chain BLOB);
-- The directories that hold documents, with the class of what is in them.
CREATE TABLE directory (id INTEGER PRIMARY KEY, within INTEGER NOT NULL);
-- One row for each name of a file; its id is the rowid in `words`.
CREATE TABLE document (
    id INTEGER PRIMARY KEY, node INTEGER NOT NULL, directory INTEGER NOT NULL, name TEXT NOT NULL,
    own INTEGER NOT NULL, stamp INTEGER NOT NULL, labels TEXT NOT NULL,
    length INTEGER NOT NULL, -- tokens of the body
    UNIQUE (node, directory, name));
-- The tokenizer `ascii` takes every byte above 127 as part of a token and folds ASCII only:
-- it leaves our tokens as they are, which no version of `unicode61` and its tables promises.
CREATE VIRTUAL TABLE words USING fts5 (
    title, body, tags, content='', contentless_delete=1, tokenize="ascii tokenchars '_'");
-- Merging whenever a tenth is deleted, the default, was 100 of the 160 us of an update among 10,000 notes.
INSERT INTO words(words, rank) VALUES ('deletemerge', 40)
"""

_NODES = 500
"""Nodes looked up at a time."""
_BATCH_BYTES = 8 << 20
"""Content held in memory at a time, unless one file is larger."""
_MAX_FILE = 64 << 20
"""Bytes of a file above which its name and tags are indexed and its content is not even read."""


def cursor(connection: apsw.Connection) -> Cursor | None:
    """The position of the journal that the documents are of, or None."""
    row = connection.execute("SELECT store_uuid, sequence, chain FROM cursor").fetchone()
    return None if row is None else Cursor(*row)


def commit_cursor(connection: apsw.Connection, position: Cursor) -> None:
    """Write that position."""
    connection.execute("REPLACE INTO cursor VALUES (1, ?, ?, ?)", position)


def fill(connection: apsw.Connection, store: Store) -> Iterator[int]:
    """Index every file of the store from nothing; yields now and then how many are done."""
    connection.execute("INSERT INTO words(words) VALUES ('delete-all')")
    connection.execute("DELETE FROM document; DELETE FROM directory")
    done = after = 0
    while page := _by_node(store.scan(after, _NODES)):
        after = max(page)
        files = {node: names for node, names in page.items() if documents.is_file(names[0])}
        _index(connection, store, files)
        done += len(files)
        yield done
    connection.execute("INSERT INTO words(words) VALUES ('optimize')")


def refresh(connection: apsw.Connection, store: Store, nodes: Sequence[int]) -> dict[int, str]:
    """Make the documents of these nodes what the nodes are now; the paths of those that are directories."""
    directories: dict[int, str] = {}
    for start in range(0, len(nodes), _NODES):
        chunk = nodes[start : start + _NODES]
        present = _by_node(store.nodes(chunk))
        files = {node: names for node, names in present.items() if documents.is_file(names[0])}
        _remove(connection, [node for node in chunk if node not in files])
        _index(
            connection, store, {n: names for n, names in files.items() if not _settle(connection, n, names)}
        )
        for node, names in present.items():
            if names[0].stat is not None and names[0].stat.is_directory:
                directories[node] = names[0].path
    return directories


def reclassify(connection: apsw.Connection, store: Store, paths: Iterable[str]) -> None:
    """Set the present classes of these directories and of all below them.

    Walks the store: a directory that is new or was moved is not known here with its ancestors.
    """
    walked = ""
    for top in sorted(paths, key=lambda path: path.rstrip("/") + "/"):
        if walked and is_within(top, walked):
            continue
        walked = top
        below = [top]
        while below:
            for entries in _pages(store, below.pop()):
                # What any entry is in is the directory itself.
                connection.execute(
                    "UPDATE directory SET within = ? WHERE id = ?", (entries[0].within, entries[0].parent)
                )
                below += [
                    found.path for found in entries if found.stat is not None and found.stat.is_directory
                ]


# --- nodes and their names -----------------------------------------------------------------------


def _by_node(names: Iterable[Found]) -> dict[int, list[Found]]:
    grouped: dict[int, list[Found]] = {}
    for found in names:
        if found.stat is not None:
            grouped.setdefault(found.stat.id, []).append(found)
    return grouped


def _pages(store: Store, path: str) -> Iterator[Sequence[Found]]:
    """The entries of a directory, by pages; none if it has gone meanwhile (that change is still to come)."""
    after, more = "", True
    while more:
        try:
            _, _, entries, more = store.children(path, after)
        except NotADirectory:
            return
        if not entries:
            return
        yield entries
        after = split(entries[-1].path)[1]


def _settle(connection: apsw.Connection, node: int, names: Sequence[Found]) -> bool:
    """Whether nothing that is indexed of a node has changed but its class, which is then set."""
    rows = connection.execute(
        "SELECT directory, name, stamp FROM document WHERE node = ?", (node,)
    ).fetchall()
    if set(rows) != {(found.parent, split(found.path)[1], documents.stamp(found)) for found in names}:
        return False
    own = names[0].own
    connection.execute("UPDATE document SET own = ? WHERE node = ? AND own != ?", (own, node, own))
    return True


# --- documents -----------------------------------------------------------------------------------


def _index(connection: apsw.Connection, store: Store, files: Mapping[int, Sequence[Found]]) -> None:
    """Replace the documents of these files, reading no more content at a time than memory bears."""
    batch: list[int] = []
    size = 0
    for node, names in files.items():
        length = names[0].stat.size if names[0].stat is not None else 0
        if length > _MAX_FILE:
            _replace(connection, [node], {node: names})
            continue
        if batch and size + length > _BATCH_BYTES:
            _replace(connection, batch, _by_node(store.nodes(batch, content=True)))
            batch, size = [], 0
        batch.append(node)
        size += length
    if batch:
        _replace(connection, batch, _by_node(store.nodes(batch, content=True)))


def _replace(
    connection: apsw.Connection, nodes: Sequence[int], present: Mapping[int, Sequence[Found]]
) -> None:
    """Put one document for each of the present names in the place of all that there are of these nodes.

    First all that go, then all that come: FTS5 writes a segment whenever a row id is below the last one.
    """
    _remove(connection, nodes)
    for node, names in present.items():
        body = documents.body_tokens(names[0].data)
        length = body.count(" ") + 1 if body else 0
        for found in names:
            _set_class(connection, found)
            document = documents.document(found, body)
            connection.execute(
                "INSERT INTO document (node, directory, name, own, stamp, labels, length) VALUES (?, ?, ?, ?, ?, ?, ?)",
                (
                    node,
                    found.parent,
                    split(found.path)[1],
                    found.own,
                    documents.stamp(found),
                    document.labels,
                    length,
                ),
            )
            connection.execute(
                "INSERT INTO words (rowid, title, body, tags) VALUES (?, ?, ?, ?)",
                (connection.last_insert_rowid(), document.title, document.body, document.tags),
            )


def _remove(connection: apsw.Connection, nodes: Sequence[int]) -> None:
    those = "(SELECT id FROM document WHERE node IN (SELECT value FROM json_each(?)))"
    bindings = (json.dumps(nodes),)
    if nodes and connection.execute(f"SELECT EXISTS {those}", bindings).get:
        connection.execute(f"DELETE FROM words WHERE rowid IN {those}", bindings)
        connection.execute(f"DELETE FROM document WHERE id IN {those}", bindings)


def _set_class(connection: apsw.Connection, found: Found) -> None:
    """Set the class of the directory that a name is in."""
    connection.execute(
        "INSERT INTO directory VALUES (?, ?) ON CONFLICT DO UPDATE SET within = excluded.within"
        " WHERE within != excluded.within",
        (found.parent, found.within),
    )
