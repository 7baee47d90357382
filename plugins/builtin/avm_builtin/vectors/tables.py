"""The tables of the side file of vectors, and how parts of notes get into them and out.

The vectors are kept here, half as precise as they were made; everything else that holds vectors can be made from
these tables. The texts are not: a part is known by the hash of its text, so that the same text is never embedded
twice. Every function here works in the transaction of its caller.
"""

from __future__ import annotations

import json
from collections.abc import Iterable, Iterator, Mapping, Sequence

import apsw

from avm_builtin.search import documents
from avm_builtin.search.contents import by_node, with_contents
from avm_builtin.search.tables import reclassify as reclassify
from avm_builtin.vectors.base import Generation
from avm_builtin.vectors.chunks import VERSION as CHUNKS
from avm_builtin.vectors.chunks import Chunk, chunks_of
from vfs_core.journal import Cursor
from vfs_core.semantic import Model
from vfs_core.storage import Found, Store

APPLICATION = 0x41564D56  # "AVMV"
_LAYOUT = 2
VERSION = _LAYOUT << 16 | CHUNKS

SCHEMA = """
CREATE TABLE cursor (id INTEGER PRIMARY KEY CHECK (id = 1), store_uuid TEXT, sequence INTEGER, chain BLOB);
CREATE TABLE model (id INTEGER PRIMARY KEY CHECK (id = 1), fingerprint TEXT, name TEXT, config TEXT);
-- One row: grows with every transaction; processes look for what has been touched since the one that they know.
CREATE TABLE revision (id INTEGER PRIMARY KEY CHECK (id = 1), number INTEGER NOT NULL, kept INTEGER NOT NULL);
INSERT INTO revision VALUES (1, 1, 0); -- `kept`: what was touched up to this one is no longer told
CREATE TABLE touched (node INTEGER PRIMARY KEY, revision INTEGER NOT NULL);
CREATE INDEX touched_revision ON touched (revision);
-- The directories that hold notes, with the class of what is in them.
CREATE TABLE directory (id INTEGER PRIMARY KEY, within INTEGER NOT NULL);
CREATE TABLE node (id INTEGER PRIMARY KEY, own INTEGER NOT NULL, stamp INTEGER NOT NULL);
CREATE TABLE name (node INTEGER NOT NULL, directory INTEGER NOT NULL, PRIMARY KEY (node, directory)) WITHOUT ROWID;
CREATE TABLE scale (id INTEGER PRIMARY KEY, name TEXT NOT NULL UNIQUE);
-- A part of a note. Its vector is of 16-bit floats; without one it waits. An id is never used again.
CREATE TABLE chunk (
    id INTEGER PRIMARY KEY AUTOINCREMENT, node INTEGER NOT NULL, start INTEGER NOT NULL, length INTEGER NOT NULL,
    key BLOB NOT NULL, scale INTEGER, vector BLOB);
CREATE INDEX chunk_node ON chunk (node);
CREATE INDEX chunk_key ON chunk (key);
CREATE INDEX chunk_waiting ON chunk (id) WHERE vector IS NULL;
-- The files made of the vectors that are shared by processes.
CREATE TABLE base (
    id INTEGER PRIMARY KEY CHECK (id = 1), generation INTEGER NOT NULL, backend TEXT NOT NULL,
    entries INTEGER NOT NULL, rows INTEGER NOT NULL, revision INTEGER NOT NULL)
"""
_NODES = 500
"""Nodes looked up at a time."""


def cursor(connection: apsw.Connection) -> Cursor | None:
    """The position of the journal that the parts are of, or None."""
    row = connection.execute("SELECT store_uuid, sequence, chain FROM cursor").fetchone()
    return None if row is None else Cursor(*row)


def commit_cursor(connection: apsw.Connection, position: Cursor) -> None:
    """Write that position."""
    connection.execute("REPLACE INTO cursor VALUES (1, ?, ?, ?)", position)


def put_model(connection: apsw.Connection, model: Model) -> None:
    """Say whose vectors these are."""
    connection.execute(
        "REPLACE INTO model VALUES (1, ?, ?, ?)",
        (model.fingerprint, model.name, json.dumps(dict(model.config))),
    )


def complete_model(connection: apsw.Connection, store_uuid: str) -> Model | None:
    """Whose vectors these are, if they are of this store and nothing waits."""
    present = cursor(connection)
    row = connection.execute("SELECT fingerprint, name, config FROM model").fetchone()
    if row is None or present is None or present.store_uuid != store_uuid or waiting(connection):
        return None
    return Model(str(row[0]), str(row[1]), json.loads(str(row[2])))


def next_revision(connection: apsw.Connection) -> int:
    """The number of this transaction: to be called once in each, first."""
    number: int = connection.execute("UPDATE revision SET number = number + 1 RETURNING number").get
    return number


def fill(connection: apsw.Connection, store: Store) -> Iterator[int]:
    """Take in every file of the store; yields now and then how many are done.

    What is there already is kept where the same text is: a rebuild embeds nothing again.
    """
    revision = next_revision(connection)
    connection.execute("UPDATE revision SET kept = number; DELETE FROM touched")
    connection.execute("CREATE TEMP TABLE present (node INTEGER PRIMARY KEY)")
    try:
        done = after = 0
        while page := by_node(store.scan(after, _NODES)):
            after = max(page)
            files = {node: names for node, names in page.items() if documents.is_file(names[0])}
            connection.executemany("INSERT INTO present VALUES (?)", [(node,) for node in files])
            _take(connection, store, files, revision)
            done += len(files)
            yield done
        for table, column in (("node", "id"), ("name", "node"), ("chunk", "node")):
            connection.execute(f"DELETE FROM {table} WHERE {column} NOT IN (SELECT node FROM present)")
        connection.execute("DELETE FROM directory WHERE id NOT IN (SELECT directory FROM name)")
    finally:
        connection.execute("DROP TABLE present")


def refresh(connection: apsw.Connection, store: Store, nodes: Sequence[int], revision: int) -> dict[int, str]:
    """Make the parts of these nodes what the nodes are now; the paths of those that are directories."""
    directories: dict[int, str] = {}
    for start in range(0, len(nodes), _NODES):
        chunk = nodes[start : start + _NODES]
        present = by_node(store.nodes(chunk))
        files = {node: names for node, names in present.items() if documents.is_file(names[0])}
        _remove(connection, [node for node in chunk if node not in files], revision)
        _take(connection, store, files, revision)
        for node, names in present.items():
            if names[0].stat is not None and names[0].stat.is_directory:
                directories[node] = names[0].path
    return directories


def _take(
    connection: apsw.Connection, store: Store, files: Mapping[int, Sequence[Found]], revision: int
) -> None:
    """Names and classes of these files, and their parts where content or metadata have changed."""
    changed = {}
    for node, names in files.items():
        stamp = documents.stamp(names[0])
        row = connection.execute("SELECT own, stamp FROM node WHERE id = ?", (node,)).fetchone()
        if _set_names(connection, node, names) or row is None or row[0] != names[0].own:
            _touch(connection, node, revision)
        if row != (names[0].own, stamp):
            connection.execute("REPLACE INTO node VALUES (?, ?, ?)", (node, names[0].own, stamp))
        if row is None or row[1] != stamp:
            changed[node] = names
    for batch in with_contents(store, changed):
        for node, names in batch.items():
            _set_chunks(connection, node, chunks_of(names[0]), revision)
            # Perhaps newer than what was looked up before.
            connection.execute("UPDATE node SET stamp = ? WHERE id = ?", (documents.stamp(names[0]), node))


def _set_names(connection: apsw.Connection, node: int, names: Sequence[Found]) -> bool:
    """Write the directories of a node's names, and their classes; whether they are others than before."""
    for found in names:
        connection.execute(
            "INSERT INTO directory VALUES (?, ?) ON CONFLICT DO UPDATE SET within = excluded.within"
            " WHERE within != excluded.within",
            (found.parent, found.within),
        )
    present = {found.parent for found in names}
    rows: Iterator[tuple[int]] = connection.execute("SELECT directory FROM name WHERE node = ?", (node,))
    known = {directory for (directory,) in rows}
    for directory in present - known:
        connection.execute("INSERT INTO name VALUES (?, ?)", (node, directory))
    for directory in known - present:
        connection.execute("DELETE FROM name WHERE node = ? AND directory = ?", (node, directory))
    return present != known


def _set_chunks(connection: apsw.Connection, node: int, chunks: Sequence[Chunk], revision: int) -> None:
    """Put these parts in the place of those that a node had; a text that has a vector somewhere is given it."""
    rows: Iterator[tuple[int, int, int, bytes]] = connection.execute(
        "SELECT id, start, length, key FROM chunk WHERE node = ?", (node,)
    )
    known: dict[bytes, list[tuple[int, int, int]]] = {}
    for id, start, length, key in list(rows):
        known.setdefault(key, []).append((id, start, length))
    different = False
    for chunk in chunks:
        key = chunk.key
        same = known.get(key)
        if same:
            id, start, length = same.pop()
            if (start, length) != (chunk.start, chunk.length):
                connection.execute(
                    "UPDATE chunk SET start = ?, length = ? WHERE id = ?", (chunk.start, chunk.length, id)
                )
                different = True
            continue
        different = True
        scale, vector = connection.execute(
            "SELECT scale, vector FROM chunk WHERE key = ? AND vector IS NOT NULL LIMIT 1", (key,)
        ).fetchone() or (None, None)
        connection.execute(
            "INSERT INTO chunk (node, start, length, key, scale, vector) VALUES (?, ?, ?, ?, ?, ?)",
            (node, chunk.start, chunk.length, key, scale, vector),
        )
    for left in known.values():
        for id, _, _ in left:
            connection.execute("DELETE FROM chunk WHERE id = ?", (id,))
            different = True
    if different:
        _touch(connection, node, revision)


def _remove(connection: apsw.Connection, nodes: Sequence[int], revision: int) -> None:
    rows: Iterator[tuple[int]] = connection.execute(
        "DELETE FROM node WHERE id IN (SELECT value FROM json_each(?)) RETURNING id", (json.dumps(nodes),)
    )
    for (node,) in list(rows):
        connection.execute("DELETE FROM name WHERE node = ?", (node,))
        connection.execute("DELETE FROM chunk WHERE node = ?", (node,))
        _touch(connection, node, revision)


def _touch(connection: apsw.Connection, node: int, revision: int) -> None:
    connection.execute("REPLACE INTO touched VALUES (?, ?)", (node, revision))


# --- vectors -------------------------------------------------------------------------------------


def waiting(connection: apsw.Connection) -> int:
    """How many parts have no vector."""
    count: int = connection.execute("SELECT count(*) FROM chunk WHERE vector IS NULL").get
    return count


def next_waiting(connection: apsw.Connection, limit: int) -> list[tuple[int, bytes]]:
    """Node and key of parts that wait, the newest first."""
    rows: Iterator[tuple[int, bytes]] = connection.execute(
        "SELECT node, key FROM chunk WHERE vector IS NULL ORDER BY id DESC LIMIT ?", (limit,)
    )
    return list(rows)


def put_vectors(connection: apsw.Connection, vectors: Iterable[tuple[bytes, str, bytes]]) -> None:
    """Give every part that waits and has one of these keys its scale and vector."""
    revision = next_revision(connection)
    for key, scale, vector in vectors:
        connection.execute("INSERT OR IGNORE INTO scale (name) VALUES (?)", (scale,))
        connection.execute(
            "REPLACE INTO touched SELECT DISTINCT node, ? FROM chunk WHERE key = ? AND vector IS NULL",
            (revision, key),
        )
        connection.execute(
            "UPDATE chunk SET vector = ?, scale = (SELECT id FROM scale WHERE name = ?)"
            " WHERE key = ? AND vector IS NULL",
            (vector, scale, key),
        )


# --- the base ------------------------------------------------------------------------------------


def base(connection: apsw.Connection) -> Generation | None:
    """The files that count, unless more has been touched since than is told."""
    row = connection.execute(
        "SELECT generation, backend, entries, rows, revision FROM base"
        " WHERE revision >= (SELECT kept FROM revision)"
    ).fetchone()
    return None if row is None else Generation(*row)


def set_base(connection: apsw.Connection, generation: Generation) -> None:
    """Say that the files of a generation hold all that was touched up to its revision."""
    connection.execute("REPLACE INTO base VALUES (1, ?, ?, ?, ?, ?)", generation)
    connection.execute("DELETE FROM touched WHERE revision <= ?", (generation.revision,))
    connection.execute("UPDATE revision SET kept = max(kept, ?)", (generation.revision,))


def drop_base(connection: apsw.Connection) -> None:
    """Say that there are no such files, and that whoever knows them has to begin anew."""
    next_revision(connection)
    connection.execute("DELETE FROM base; DELETE FROM touched; UPDATE revision SET kept = number")


def known(connection: apsw.Connection, nodes: Sequence[int]) -> set[int]:
    """Which of the nodes are there."""
    rows: Iterator[tuple[int]] = connection.execute(
        "SELECT id FROM node WHERE id IN (SELECT value FROM json_each(?))", (json.dumps(list(nodes)),)
    )
    return {node for (node,) in rows}
