"""The tables of the side file of vectors, and how parts of notes get into them and out.

The vectors are kept here, half as precise as they were made; everything else that holds vectors can be made from
these tables. The texts are not: a part is known by the hash of its text, so that the same text is never embedded
twice. Every function here works in the transaction of its caller.
"""

from __future__ import annotations

import json
from collections.abc import Iterable, Iterator, Mapping, Sequence
from typing import NamedTuple

import apsw

from avm_builtin.search import documents
from avm_builtin.search.contents import by_node, with_contents
from avm_builtin.search.following import CURSOR, NODES, pages
from avm_builtin.search.following import commit_cursor as commit_cursor
from avm_builtin.search.following import cursor as cursor
from avm_builtin.search.tables import reclassify as reclassify
from avm_builtin.vectors.base import Generation
from avm_builtin.vectors.chunks import VERSION as CHUNKS
from avm_builtin.vectors.chunks import Chunk, chunks_of
from vfs_core.semantic import Model
from vfs_core.storage import Found, Store

APPLICATION = 0x41564D56  # "AVMV"
_LAYOUT = 3
VERSION = _LAYOUT << 16 | CHUNKS

SCHEMA = (
    CURSOR
    + """
CREATE TABLE model (id INTEGER PRIMARY KEY CHECK (id = 1), fingerprint TEXT, name TEXT, config TEXT);
-- One row: grows with every transaction; processes look for what has been touched since the one that they know.
-- `kept`: what was touched up to this one is no longer told. `file` tells this file from its successors.
CREATE TABLE revision (
    id INTEGER PRIMARY KEY CHECK (id = 1), number INTEGER NOT NULL, kept INTEGER NOT NULL, file BLOB NOT NULL);
INSERT INTO revision VALUES (1, 1, 0, randomblob(16));
CREATE TABLE touched (node INTEGER PRIMARY KEY, revision INTEGER NOT NULL);
CREATE INDEX touched_revision ON touched (revision);
-- The directories that hold notes, with the class of what is in them.
CREATE TABLE directory (id INTEGER PRIMARY KEY, within INTEGER NOT NULL, revision INTEGER NOT NULL DEFAULT 0);
CREATE INDEX directory_revision ON directory (revision);
CREATE TRIGGER directory_new AFTER INSERT ON directory BEGIN
    UPDATE directory SET revision = (SELECT number FROM revision) WHERE id = new.id; END;
CREATE TRIGGER directory_changed AFTER UPDATE OF within ON directory WHEN new.within != old.within BEGIN
    UPDATE directory SET revision = (SELECT number FROM revision) WHERE id = new.id; END;
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
-- The files made of the vectors that are shared by processes, of each backend that is in use.
CREATE TABLE base (
    backend TEXT PRIMARY KEY, revision INTEGER NOT NULL, entries INTEGER NOT NULL, rows INTEGER NOT NULL,
    checksum INTEGER NOT NULL)
"""
)
_LAST = 2**63 - 1


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
    _forget_touched(connection)
    connection.execute("CREATE TEMP TABLE present (node INTEGER PRIMARY KEY)")
    try:
        done = after = 0
        while page := by_node(store.scan(after, NODES)):
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
    for page in pages(store, nodes):
        _remove(connection, [node for node in page.wanted if node not in page.files], revision)
        _take(connection, store, page.files, revision)
        directories |= page.directories
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
            "INSERT INTO directory (id, within) VALUES (?, ?) ON CONFLICT DO UPDATE SET within = excluded.within"
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
    """Take out nodes that are there."""
    rows: Iterator[tuple[int]] = connection.execute(
        "DELETE FROM node WHERE id IN (SELECT value FROM json_each(?)) RETURNING id", (json.dumps(nodes),)
    )
    for (node,) in list(rows):
        connection.execute("DELETE FROM name WHERE node = ?", (node,))
        connection.execute("DELETE FROM chunk WHERE node = ?", (node,))
        _touch(connection, node, revision)


def _touch(connection: apsw.Connection, node: int, revision: int) -> None:
    connection.execute("REPLACE INTO touched VALUES (?, ?)", (node, revision))


def remove(connection: apsw.Connection, nodes: Sequence[int]) -> None:
    """Take out nodes, in a transaction for nothing else."""
    _remove(connection, nodes, next_revision(connection))


# --- vectors -------------------------------------------------------------------------------------


def waiting(connection: apsw.Connection) -> int:
    """How many parts have no vector."""
    count: int = connection.execute("SELECT count(*) FROM chunk WHERE vector IS NULL").get
    return count


class Waiting(NamedTuple):
    """A part without a vector."""

    id: int
    node: int
    key: bytes


def next_waiting(connection: apsw.Connection, before: int | None, limit: int) -> list[Waiting]:
    """Parts that wait, the newest first; `before` an id: only older ones."""
    rows: Iterator[tuple[int, int, bytes]] = connection.execute(
        "SELECT id, node, key FROM chunk WHERE vector IS NULL AND id < ? ORDER BY id DESC LIMIT ?",
        (_LAST if before is None else before, limit),
    )
    return [Waiting(*row) for row in rows]


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


class Position(NamedTuple):
    """Where the side file is: the number of its last transaction, what it no longer tells, and which file it is."""

    number: int
    kept: int
    file: bytes


def position(connection: apsw.Connection) -> Position:
    """Where it is now."""
    return Position(*connection.execute("SELECT number, kept, file FROM revision").get)


def bases(connection: apsw.Connection) -> dict[str, Generation]:
    """The generations that count, by backend."""
    rows = connection.execute("SELECT backend, revision, entries, rows, checksum FROM base")
    return {row[0]: Generation(*row) for row in rows}


def set_base(
    connection: apsw.Connection, generation: Generation, file: bytes, most: int, share: float
) -> bool:
    """Say that the files of a generation hold all that was touched up to its revision.

    Those of another backend go if more than `most` nodes, and this share of what is in them, were touched since:
    nobody renews them. False if this is not the side file that the generation was made of, or no longer tells what
    was touched since.
    """
    present = position(connection)
    if present.file != file or generation.revision < present.kept:
        return False
    connection.execute("REPLACE INTO base VALUES (?, ?, ?, ?, ?)", generation)
    connection.execute(
        "DELETE FROM base WHERE (SELECT count(*) FROM touched WHERE revision > base.revision) > 2 * max(?, ? * rows)"
        " AND backend != ?",
        (most, share, generation.backend),
    )
    connection.execute("UPDATE revision SET kept = max(kept, (SELECT min(revision) FROM base))")
    connection.execute("DELETE FROM touched WHERE revision <= (SELECT kept FROM revision)")
    return True


def drop_bases(connection: apsw.Connection) -> None:
    """Say that there are no such files, and that whoever knows them has to begin anew."""
    next_revision(connection)
    _forget_touched(connection)


def _forget_touched(connection: apsw.Connection) -> None:
    connection.execute("DELETE FROM base; DELETE FROM touched; UPDATE revision SET kept = number")


def vectors_at(connection: apsw.Connection, node: int, start: int, length: int, revision: int) -> list[bytes]:
    """The vectors of the parts of a node that are there, if it was not touched after a revision."""
    rows: Iterator[tuple[bytes]] = connection.execute(
        "SELECT vector FROM chunk WHERE node = ?1 AND start = ?2 AND length = ?3 AND vector IS NOT NULL"
        " AND NOT EXISTS (SELECT 1 FROM touched WHERE node = ?1 AND revision > ?4)",
        (node, start, length, revision),
    )
    return [vector for (vector,) in rows]


def known(connection: apsw.Connection, nodes: Sequence[int]) -> set[int]:
    """Which of the nodes are there."""
    rows: Iterator[tuple[int]] = connection.execute(
        "SELECT id FROM node WHERE id IN (SELECT value FROM json_each(?))", (json.dumps(list(nodes)),)
    )
    return {node for (node,) in rows}
