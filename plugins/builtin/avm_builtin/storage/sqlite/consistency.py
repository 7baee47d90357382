"""Each table against those that it refers to, or is derived from: the past, chunks, tags, links.

What is derived says in its cure that `avm doctor --mend` makes it anew; what is not can only come from a backup.
"""

from __future__ import annotations

from collections import Counter
from collections.abc import Iterator

import apsw

from avm_builtin.storage.sqlite.connection import fetch
from avm_builtin.storage.sqlite.rows import DIRECTORY
from vfs_core.content import CHUNK
from vfs_core.meta import tags_of
from vfs_core.storage import Finding

BACKUP = "restore a backup"
MEND = "avm doctor --mend"

_SPANS = """SELECT directory, name, node, CASE since WHEN 0 THEN node ELSE since END AS since, NULL AS until FROM name
    UNION ALL SELECT directory, name, node, since, until FROM old_name"""
_PAST = {
    "names taken away before they were given": "SELECT count(*) FROM old_name WHERE since >= until",
    "former names of nothing": "SELECT count(*) FROM old_name o LEFT JOIN node n ON n.id = o.node WHERE n.id IS NULL",
    "former names in no directory": "SELECT count(*) FROM old_name o LEFT JOIN node n ON n.id = o.directory "
    f"WHERE n.kind IS NOT {DIRECTORY}",
    "names given by no row of their node": f"SELECT count(*) FROM ({_SPANS}) s LEFT JOIN journal j "
    "ON j.sequence = s.since WHERE j.node IS NOT s.node",
    "names taken away by no row of their node": "SELECT count(*) FROM old_name o LEFT JOIN journal j "
    "ON j.sequence = o.until WHERE j.node IS NOT o.node",
    "names that two nodes had at once": "SELECT count(*) FROM (SELECT since, lag(until) OVER "
    f"(PARTITION BY directory, name ORDER BY until NULLS LAST) AS before FROM ({_SPANS})) WHERE since < before",
    "gaps that end before they begin": "SELECT count(*) FROM gap WHERE low > high",
    "gaps beyond the journal": "SELECT count(*) FROM gap WHERE low < 0 OR high > (SELECT max(sequence) FROM journal)",
    "old contents of no journal row": "SELECT count(*) FROM old_body o LEFT JOIN journal j ON j.sequence = o.sequence "
    "WHERE j.hash IS NULL",
    "old chunks of no journal row": "SELECT count(*) FROM old_chunk o LEFT JOIN journal j ON j.sequence = o.sequence "
    "WHERE j.node IS NOT o.node",
    "contents of no journal row": "SELECT count(*) FROM node n LEFT JOIN journal j ON j.sequence = n.content_sequence "
    "WHERE n.hash IS NOT NULL AND (j.node, j.version, j.size, j.hash) IS NOT (n.id, n.version, n.size, n.hash)",
    "deleted nodes that are not kept under a former name": "SELECT count(*) FROM node n WHERE n.links = 0 "
    "AND n.hash IS NOT NULL AND NOT EXISTS "
    "(SELECT 1 FROM old_name o WHERE o.node = n.id AND o.until = n.deleted_sequence)",
}
_CHUNKS = {
    "chunks behind the end": "SELECT count(*) FROM chunk c JOIN node n ON n.id = c.node "
    f"WHERE c.position < 0 OR c.position * {CHUNK} >= n.size",
    "chunks of a content that is inline": "SELECT count(*) FROM chunk c JOIN node n ON n.id = c.node "
    "WHERE n.body IS NOT NULL",
    "chunks over their size": f"SELECT count(*) FROM chunk WHERE length(body) > {CHUNK}",
    "old chunks over their size": "SELECT count(*) FROM old_chunk "
    f"WHERE start < 0 OR ifnull(start, 0) + length(body) > {CHUNK}",
    "parts of old chunks that nothing follows": "SELECT count(*) FROM old_chunk o WHERE o.start IS NOT NULL "
    "AND NOT EXISTS (SELECT 1 FROM chunk c WHERE c.node = o.node AND c.position = o.position) "
    "AND NOT EXISTS (SELECT 1 FROM old_chunk p "
    "WHERE p.node = o.node AND p.position = o.position AND p.sequence > o.sequence)",
}


def check(connection: apsw.Connection) -> Iterator[Finding]:
    """A finding for each subject."""
    yield _counted(connection, "past", _PAST, "former names and gaps fit the journal", BACKUP)
    yield _counted(connection, "chunks", _CHUNKS, "chunks belong to contents", BACKUP)
    yield _references(connection)
    yield _tags(connection)


def _references(connection: apsw.Connection) -> Finding:
    """What a row names in another table must be there. Classes are left out: they are derived."""
    dangling = Counter(
        f"{table} for no {parent}"
        for table, _, parent, _ in connection.execute("PRAGMA foreign_key_check")
        if parent != "visibility"
    )
    unknown = fetch(
        connection,
        "SELECT count(*) FROM journal WHERE commitment IS NULL "
        "AND (agent NOT IN (SELECT id FROM user) OR actor NOT IN (SELECT id FROM user))",
    )[0][0]
    found = [f"{count:,} rows of {what}" for what, count in dangling.items()]
    found += [f"{unknown:,} rows of journal for no user"] if unknown else []
    if found:
        return Finding("references", "fail", ", ".join(found), BACKUP)
    return Finding("references", "ok", "what a row names is there")


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
    """The nodes whose count of names is wrong, and the right one. What has lost its name is no matter of counting."""
    rows = fetch(
        connection,
        "SELECT n.id, (SELECT count(*) FROM name m WHERE m.node = n.id) AS names FROM node n "
        "WHERE n.links <> names AND (names > 0 OR n.deleted_sequence IS NOT NULL)",
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
