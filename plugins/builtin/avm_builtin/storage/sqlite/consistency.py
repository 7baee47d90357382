"""Each table against those that it refers to, or is derived from: the past, chunks, tags, links.

What is derived says in its cure that `avm doctor --mend` makes it anew; what is not can only come from a backup.
"""

from __future__ import annotations

from collections.abc import Iterator

import apsw

from avm_builtin.storage.sqlite.connection import fetch
from vfs_core.content import CHUNK
from vfs_core.meta import tags_of
from vfs_core.storage import Finding

BACKUP = "restore a backup"
MEND = "avm doctor --mend"

_PAST = {
    "names taken away before they were given": "SELECT count(*) FROM old_name WHERE since >= until",
    "former names of nothing": "SELECT count(*) FROM old_name o LEFT JOIN node n ON n.id = o.node WHERE n.id IS NULL",
    "former names of no journal row": "SELECT count(*) FROM old_name o LEFT JOIN journal j ON j.sequence = o.until "
    "WHERE j.sequence IS NULL",
    "names given by no journal row": "SELECT count(*) FROM name m LEFT JOIN journal j ON j.sequence = m.since "
    "WHERE m.since <> 0 AND j.sequence IS NULL",
    "gaps that end before they begin": "SELECT count(*) FROM gap WHERE low > high",
    "old contents of no journal row": "SELECT count(*) FROM old_body o LEFT JOIN journal j ON j.sequence = o.sequence "
    "WHERE j.sequence IS NULL",
    "deleted nodes that are not kept under a former name": "SELECT count(*) FROM node n WHERE n.links = 0 "
    "AND n.hash IS NOT NULL AND NOT EXISTS "
    "(SELECT 1 FROM old_name o WHERE o.node = n.id AND o.until = n.deleted_sequence)",
}
_CHUNKS = {
    "chunks of nothing": "SELECT count(*) FROM chunk c LEFT JOIN node n ON n.id = c.node WHERE n.id IS NULL",
    "old chunks of nothing": "SELECT count(*) FROM old_chunk c LEFT JOIN node n ON n.id = c.node WHERE n.id IS NULL",
    "chunks behind the end": "SELECT count(*) FROM chunk c JOIN node n ON n.id = c.node "
    f"WHERE c.position * {CHUNK} >= n.size",
    "chunks of a content that is inline": "SELECT count(*) FROM chunk c JOIN node n ON n.id = c.node "
    "WHERE n.body IS NOT NULL",
    "chunks over their size": f"SELECT count(*) FROM chunk WHERE length(body) > {CHUNK}",
}
_LINKS = {
    table: f"SELECT count(*) FROM {table} t LEFT JOIN node n ON n.id = t.{column} WHERE n.id IS NULL"
    for table, column in (("link", "source"), ("share", "node"), ("xattr", "node"), ("gap", "node"))
} | {"link target": "SELECT count(*) FROM link t LEFT JOIN node n ON n.id = t.target WHERE n.id IS NULL"}


def check(connection: apsw.Connection) -> Iterator[Finding]:
    """A finding for each subject."""
    yield _counted(connection, "past", _PAST, "former names and gaps fit the journal", BACKUP)
    yield _counted(connection, "chunks", _CHUNKS, "chunks belong to contents", BACKUP)
    dangling = {f"rows of {name} for nothing": sql for name, sql in _LINKS.items()}
    yield _counted(connection, "links", dangling, "links, shares and attributes belong to nodes", BACKUP)
    yield _tags(connection)


def wrong_tags(connection: apsw.Connection) -> dict[int, set[str]]:
    """The nodes whose tag rows differ from their metadata, and the tags that they should have."""
    stored: dict[int, set[str]] = {}
    for node, name in connection.execute("SELECT node, name FROM tag"):
        stored.setdefault(node, set()).add(name)
    wrong: dict[int, set[str]] = {}
    for node, meta in connection.execute("SELECT id, meta FROM node WHERE meta LIKE '%\"tags\"%'"):
        said = set(tags_of(meta))
        if said != stored.pop(node, set()):
            wrong[node] = said
    return wrong | {node: set() for node in stored}


def wrong_link_counts(connection: apsw.Connection) -> list[tuple[int, int]]:
    """The nodes whose count of names is wrong, and the right one."""
    rows = fetch(
        connection,
        "SELECT n.id, (SELECT count(*) FROM name m WHERE m.node = n.id) FROM node n "
        "WHERE n.links <> (SELECT count(*) FROM name m WHERE m.node = n.id)",
    )
    return [(node, count) for node, count in rows]


def _tags(connection: apsw.Connection) -> Finding:
    wrong = wrong_tags(connection)
    if wrong:
        return Finding(
            "tags", "fail", f"{len(wrong):,} nodes have other tag rows than their metadata says", MEND
        )
    count = fetch(connection, "SELECT count(*) FROM tag")[0][0]
    return Finding("tags", "ok", f"{count:,} tags as the metadata says")


def _counted(
    connection: apsw.Connection, subject: str, queries: dict[str, str], well: str, cure: str
) -> Finding:
    found = []
    for what, sql in queries.items():
        count = fetch(connection, sql)[0][0]
        if count:
            found.append(f"{count:,} {what}")
    return Finding(subject, "fail", ", ".join(found), cure) if found else Finding(subject, "ok", well)
