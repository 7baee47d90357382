"""The tables of the side file, and how documents get into them and out.

One document for each *name* of a file, and the visibility class of each directory. A document says which directory it
is in, so a share or a chmod of a directory changes rows of directories and not one document. Its id is never used
again. The words of a document are in a contentless FTS5 table that is fed ready-made tokens, or, where the id is not
above `Held.upto`, in the engine (engine.py); of what the engine still has and is no more, `gone` has the ids.
Every function here works in the transaction of its caller. Not here: searching.
"""

from __future__ import annotations

import json
from collections.abc import Callable, Iterable, Iterator, Mapping, Sequence
from typing import NamedTuple, TypeAlias

import apsw

from avm_builtin.search import documents
from avm_builtin.search import text as analyser
from avm_builtin.search.contents import by_node, with_contents
from avm_builtin.search.documents import Document
from avm_builtin.search.following import CURSOR, NODES, pages
from avm_builtin.search.following import commit_cursor as commit_cursor
from avm_builtin.search.following import cursor as cursor
from vfs_core.errors import NotADirectory
from vfs_core.path import is_within, split
from vfs_core.storage import Found, Store

APPLICATION = 0x41564D49  # "AVMI"
_LAYOUT = 3
VERSION = _LAYOUT << 16 | analyser.VERSION

SCHEMA = (
    CURSOR
    + """
-- The directories that hold documents, with the class of what is in them.
CREATE TABLE directory (id INTEGER PRIMARY KEY, within INTEGER NOT NULL);
-- One row for each name of a file; its id is what its words are kept by.
CREATE TABLE document (
    id INTEGER PRIMARY KEY AUTOINCREMENT, node INTEGER NOT NULL, directory INTEGER NOT NULL, name TEXT NOT NULL,
    own INTEGER NOT NULL, stamp INTEGER NOT NULL, labels TEXT NOT NULL,
    length INTEGER NOT NULL, -- tokens of the body
    size INTEGER NOT NULL, -- tokens as they are indexed
    UNIQUE (node, directory, name));
-- The tokenizer `ascii` takes every byte above 127 as part of a token and folds ASCII only:
-- it leaves our tokens as they are, which no version of `unicode61` and its tables promises.
CREATE VIRTUAL TABLE words USING fts5 (
    tokens, content='', contentless_delete=1, tokenize="ascii tokenchars '_'");
-- Merging whenever a tenth is deleted, the default, was 100 of the 160 us of an update among 10,000 notes.
INSERT INTO words(words, rank) VALUES ('deletemerge', 40);
-- Each token, one by one.
CREATE VIRTUAL TABLE instance USING fts5vocab (words, instance);
-- What is in the engine: where it is, the last document, its last commit, its documents and their tokens.
CREATE TABLE held (
    id INTEGER PRIMARY KEY CHECK (id = 1), place TEXT NOT NULL, upto INTEGER NOT NULL, stamp INTEGER NOT NULL,
    documents INTEGER NOT NULL, tokens INTEGER NOT NULL);
INSERT INTO held VALUES (1, '', 0, 0, 0, 0);
CREATE TABLE gone (id INTEGER PRIMARY KEY)
"""
)


Put: TypeAlias = Callable[[int, int, Document], object]
"""Keeps the words of a new document: its id, its directory, and what it is."""


class Held(NamedTuple):
    """What the engine holds: documents up to the id `upto`, in the directory `place` ('': there is no engine).

    `stamp` tells its commits apart. `documents` and `tokens` count what was put in, also what is gone since.
    """

    place: str = ""
    upto: int = 0
    stamp: int = 0
    documents: int = 0
    tokens: int = 0


def held(connection: apsw.Connection) -> Held:
    """What the engine holds."""
    rows: Iterator[tuple[str, int, int, int, int]] = connection.execute(
        "SELECT place, upto, stamp, documents, tokens FROM held"
    )
    return Held(*next(rows))


def hold(connection: apsw.Connection, holding: Held) -> None:
    """Say what the engine holds; nothing of it is in `words` or `gone` any more."""
    if connection.execute("SELECT EXISTS (SELECT 1 FROM document WHERE id > ?)", (holding.upto,)).get:
        connection.execute("DELETE FROM words WHERE rowid <= ?", (holding.upto,))
    else:
        connection.execute("INSERT INTO words(words) VALUES ('delete-all')")
    connection.execute("DELETE FROM gone")
    connection.execute("REPLACE INTO held VALUES (1, ?, ?, ?, ?, ?)", holding)


def all_held(connection: apsw.Connection, place: str, stamp: int) -> Held:
    """What it is if the engine holds every document."""
    rows: Iterator[tuple[int, int, int]] = connection.execute(
        "SELECT coalesce(max(id), 0), count(*), coalesce(sum(size), 0) FROM document"
    )
    upto, count, tokens = next(rows)
    return Held(place, upto, stamp, count, tokens)


def indexed(connection: apsw.Connection, nodes: Sequence[int]) -> set[int]:
    """Which of the nodes have a document."""
    rows: Iterator[tuple[int]] = connection.execute(
        "SELECT DISTINCT node FROM document WHERE node IN (SELECT value FROM json_each(?))",
        (json.dumps(list(nodes)),),
    )
    return {node for (node,) in rows}


def waiting(connection: apsw.Connection) -> int:
    """How many documents are not in the engine."""
    count: int = connection.execute("SELECT count(*) FROM words_docsize").get
    return count


def gone(connection: apsw.Connection) -> list[int]:
    """The documents that the engine has and that are no more."""
    return [id for (id,) in connection.execute("SELECT id FROM gone")]


def put_words(connection: apsw.Connection) -> Put:
    """What keeps words in the FTS5 table."""

    def put(id: int, directory: int, document: Document) -> None:
        connection.execute("INSERT INTO words (rowid, tokens) VALUES (?, ?)", (id, document.words))

    return put


def clear(connection: apsw.Connection) -> None:
    """Take everything out."""
    connection.execute("INSERT INTO words(words) VALUES ('delete-all')")
    connection.execute("DELETE FROM document; DELETE FROM directory")
    hold(connection, Held())


def fill(connection: apsw.Connection, store: Store, put: Put) -> Iterator[int]:
    """Index every file of the store into empty tables; yields now and then how many are done."""
    done = after = 0
    while page := by_node(store.scan(after, NODES)):
        after = max(page)
        files = {node: names for node, names in page.items() if documents.is_file(names[0])}
        for present in with_contents(store, files):
            _add(connection, present, put)
        done += len(files)
        yield done


def refresh(connection: apsw.Connection, store: Store, nodes: Sequence[int]) -> dict[int, str]:
    """Make the documents of these nodes what the nodes are now; the paths of those that are directories."""
    directories: dict[int, str] = {}
    put = put_words(connection)
    for page in pages(store, nodes):
        changed = {n: names for n, names in page.files.items() if not _settle(connection, n, names)}
        # First all that go, then all that come: FTS5 writes a segment whenever a row id is below the last one.
        _remove(connection, [node for node in page.wanted if node in changed or node not in page.files])
        for named in with_contents(store, changed):
            _add(connection, named, put)
        directories |= page.directories
    return directories


def hand_over(connection: apsw.Connection, store: Store, put: Put) -> Held:
    """Put the words of all documents that are not in the engine, as they were indexed; what it then holds.

    A node that is not any more what was indexed is indexed anew instead, into the FTS5 table.
    """
    before = held(connection)
    expected: dict[int, dict[tuple[int, str, int], int]] = {}
    upto = before.upto
    rows: Iterator[tuple[int, int, int, str, int]] = connection.execute(
        "SELECT id, node, directory, name, stamp FROM document WHERE id > ? ORDER BY id", (before.upto,)
    )
    for upto, node, directory, name, stamp in rows:
        expected.setdefault(node, {})[directory, name, stamp] = upto
    count, tokens, other = before.documents, before.tokens, []
    for start in range(0, len(nodes := list(expected)), NODES):
        chunk = nodes[start : start + NODES]
        files = by_node(store.nodes(chunk))
        other += [node for node in chunk if node not in files]
        for present in with_contents(store, files):
            for node, names in present.items():
                ids = expected[node]
                if ids.keys() != {_key(found) for found in names}:
                    other.append(node)
                    continue
                body = documents.body_tokens(names[0].data)
                for found in names:
                    document = documents.document(found, body)
                    put(ids[_key(found)], found.parent, document)
                    count, tokens = count + 1, tokens + document.size
    refresh(connection, store, other)
    return Held(before.place, upto, before.stamp, count, tokens)


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


def _key(found: Found) -> tuple[int, str, int]:
    """What tells a name as it is from others, and from what it was."""
    return found.parent, split(found.path)[1], documents.stamp(found)


def _settle(connection: apsw.Connection, node: int, names: Sequence[Found]) -> bool:
    """Whether nothing that is indexed of a node has changed but its class, which is then set."""
    rows = connection.execute(
        "SELECT directory, name, stamp FROM document WHERE node = ?", (node,)
    ).fetchall()
    if set(rows) != {_key(found) for found in names}:
        return False
    own = names[0].own
    connection.execute("UPDATE document SET own = ? WHERE node = ? AND own != ?", (own, node, own))
    return True


# --- documents -----------------------------------------------------------------------------------


def _add(connection: apsw.Connection, present: Mapping[int, Sequence[Found]], put: Put) -> None:
    """Add a document for each of these names."""
    for node, names in present.items():
        body = documents.body_tokens(names[0].data)
        for found in names:
            _set_class(connection, found)
            document = documents.document(found, body)
            connection.execute(
                "INSERT INTO document (node, directory, name, own, stamp, labels, length, size)"
                " VALUES (?, ?, ?, ?, ?, ?, ?, ?)",
                (
                    node,
                    found.parent,
                    split(found.path)[1],
                    found.own,
                    documents.stamp(found),
                    document.labels,
                    document.length,
                    document.size,
                ),
            )
            put(connection.last_insert_rowid(), found.parent, document)


def _remove(connection: apsw.Connection, nodes: Sequence[int]) -> None:
    if not nodes:
        return
    rows: Iterator[tuple[int]] = connection.execute(
        "DELETE FROM document WHERE node IN (SELECT value FROM json_each(?)) RETURNING id",
        (json.dumps(nodes),),
    )
    removed = [id for (id,) in rows]
    if removed:
        upto = held(connection).upto
        # What is in the engine is a row of neither, and the other way round.
        connection.execute(
            "DELETE FROM words WHERE rowid IN (SELECT value FROM json_each(?))",
            (json.dumps([id for id in removed if id > upto]),),
        )
        connection.executemany("INSERT INTO gone VALUES (?)", [(id,) for id in removed if id <= upto])


def _set_class(connection: apsw.Connection, found: Found) -> None:
    """Set the class of the directory that a name is in."""
    connection.execute(
        "INSERT INTO directory VALUES (?, ?) ON CONFLICT DO UPDATE SET within = excluded.within"
        " WHERE within != excluded.within",
        (found.parent, found.within),
    )
