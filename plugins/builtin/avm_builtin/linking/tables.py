"""What the links follower keeps beside the store: which names notes have, and what each note mentions.

Every function works in the transaction of its caller. All of it can be made anew from the store, except one thing: a
link stays with its note when that is renamed, and only `mention.target` knows which one was meant. Where it is made
anew, links that are there and that nothing explains are taken to be those.
"""

from __future__ import annotations

import json
import re
from collections.abc import Collection, Iterable
from typing import NamedTuple
from unicodedata import normalize

import apsw

from avm_builtin.linking.mentions import Mention
from avm_builtin.search.following import CURSOR
from avm_builtin.search.following import commit_cursor as commit_cursor
from avm_builtin.search.following import cursor as cursor
from vfs_core.meta import title_of
from vfs_core.path import split
from vfs_core.storage import Found

APPLICATION = 0x41564D4C  # "AVML"
VERSION = 1

SCHEMA = (
    CURSOR
    + """
-- The notes whose text has been read, and the version that was.
CREATE TABLE note (node INTEGER PRIMARY KEY, version INTEGER NOT NULL);
-- By what a note is found: its file names and its title, folded.
CREATE TABLE name (node INTEGER NOT NULL, key TEXT NOT NULL, PRIMARY KEY (node, key)) WITHOUT ROWID;
CREATE INDEX name_key ON name (key);
-- What a note mentions, for whom it is looked up (who wrote it), and the note that it was found to be.
CREATE TABLE mention (
    source INTEGER NOT NULL, text TEXT NOT NULL, by_name INTEGER NOT NULL, key TEXT NOT NULL,
    author TEXT NOT NULL, target INTEGER, PRIMARY KEY (source, text, by_name)) WITHOUT ROWID;
CREATE INDEX mention_key ON mention (key);
CREATE INDEX mention_target ON mention (target) WHERE target IS NOT NULL
"""
)

ENDINGS = (".md", ".markdown", ".mdx", ".txt")
"""What a mention may leave out of a file's name."""
_BETWEEN = re.compile(r"[\s_-]+")
_LONGEST = 255
_SAID = "source, text, by_name, author, target"


class Said(NamedTuple):
    """A mention as it is kept."""

    source: int
    mention: Mention
    author: str
    target: int | None


def key_of(name: str) -> str:
    """A name or a path's last component as it is compared: without ending, case, and how words are joined."""
    last = name.rstrip("/").rpartition("/")[2]
    for ending in ENDINGS:
        if last.lower().endswith(ending) and len(last) > len(ending):
            last = last[: -len(ending)]
            break
    return _BETWEEN.sub(" ", normalize("NFKC", last).casefold()).strip()[:_LONGEST]


def keys_of(names: Iterable[Found]) -> set[str]:
    """By what a note is found."""
    keys = set()
    for found in names:
        keys.add(key_of(split(found.path)[1]))
        title = title_of(found.meta_json)
        if title is not None:
            keys.add(_BETWEEN.sub(" ", normalize("NFKC", title).casefold()).strip()[:_LONGEST])
    return keys - {""}


def clear(connection: apsw.Connection) -> None:
    """Begin anew."""
    connection.execute("DELETE FROM cursor; DELETE FROM note; DELETE FROM name; DELETE FROM mention")


# --- names ---------------------------------------------------------------------------------------


def set_keys(connection: apsw.Connection, node: int, keys: set[str]) -> bool:
    """Keep by what a note is found; whether that is new."""
    held = {key for (key,) in connection.execute("SELECT key FROM name WHERE node = ?", (node,))}
    if held == keys:
        return False
    connection.execute("DELETE FROM name WHERE node = ?", (node,))
    connection.executemany("INSERT INTO name (node, key) VALUES (?, ?)", [(node, key) for key in keys])
    return True


def named(connection: apsw.Connection, key: str) -> list[int]:
    """The notes that are found by a key."""
    return [node for (node,) in connection.execute("SELECT node FROM name WHERE key = ?", (key,))]


# --- notes and what they mention -----------------------------------------------------------------


def version_read(connection: apsw.Connection, node: int) -> int | None:
    """The version of a note that was read; None if none was."""
    row = connection.execute("SELECT version FROM note WHERE node = ?", (node,)).fetchone()
    return None if row is None else int(row[0])


def mentioned(connection: apsw.Connection, source: int) -> dict[Mention, Said]:
    """What a note mentions."""
    rows = connection.execute(f"SELECT {_SAID} FROM mention WHERE source = ?", (source,))
    return {said.mention: said for said in map(_said, rows)}


def replace(connection: apsw.Connection, source: int, version: int, said: Collection[Said]) -> None:
    """Keep what a version of a note mentions."""
    connection.execute("REPLACE INTO note (node, version) VALUES (?, ?)", (source, version))
    connection.execute("DELETE FROM mention WHERE source = ?", (source,))
    connection.executemany(
        "INSERT INTO mention (source, text, by_name, key, author, target) VALUES (?, ?, ?, ?, ?, ?)",
        [
            (source, each.mention.text, each.mention.by_name, key_of(each.mention.text), each.author, each.target)
            for each in said
        ],
    )  # fmt: skip


def set_target(connection: apsw.Connection, said: Said, target: int | None) -> None:
    """Keep what a mention was found to be."""
    connection.execute(
        "UPDATE mention SET target = ? WHERE source = ? AND text = ? AND by_name = ?",
        (target, said.source, said.mention.text, said.mention.by_name),
    )


def waiting(connection: apsw.Connection) -> list[Said]:
    """Mentions that were found to be nothing."""
    rows = connection.execute(f"SELECT {_SAID} FROM mention WHERE target IS NULL")
    return [_said(row) for row in rows]


def by_key(connection: apsw.Connection, keys: Iterable[str]) -> list[Said]:
    """Mentions that a note which is found by one of these keys may be meant by.

    Those that were found to be nothing; and names, if what they were found to be is still called so: it may be nearer.
    """
    rows = connection.execute(
        f"""SELECT {_SAID} FROM mention m WHERE key IN (SELECT value FROM json_each(?)) AND (target IS NULL
            OR by_name AND EXISTS (SELECT 1 FROM name n WHERE n.node = m.target AND n.key = m.key))""",
        (json.dumps(sorted(keys)),),
    )
    return [_said(row) for row in rows]


def drop(connection: apsw.Connection, node: int) -> set[str]:
    """A note has gone: so have its names and what it mentions; who mentions it waits. Returns the keys of these."""
    connection.execute("DELETE FROM note WHERE node = ?", (node,))
    connection.execute("DELETE FROM name WHERE node = ?", (node,))
    connection.execute("DELETE FROM mention WHERE source = ?", (node,))
    rows = connection.execute(
        "UPDATE mention SET target = NULL WHERE target = ? RETURNING key", (node,)
    ).fetchall()
    return {str(key) for (key,) in rows}


def _said(row: tuple[int, str, int, str, int | None]) -> Said:
    source, text, by_name, author, target = row
    return Said(source, Mention(text, bool(by_name)), author, target)
