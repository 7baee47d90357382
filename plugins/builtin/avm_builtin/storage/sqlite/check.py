"""What `avm doctor` asks of the database: the engine, the journal's chain, and each table against the others."""

from __future__ import annotations

from collections.abc import Iterator

import apsw

from avm_builtin.sqlite_connection import connect
from avm_builtin.storage.sqlite import consistency, contents, forget, retained
from avm_builtin.storage.sqlite.classes import parse
from avm_builtin.storage.sqlite.connection import BUSY_SECONDS, Database, fetch
from avm_builtin.storage.sqlite.place import doubts
from avm_builtin.storage.sqlite.rows import DIRECTORY
from vfs_core import journal
from vfs_core.path import space_of, split
from vfs_core.storage import Finding
from vfs_core.visibility import DirectoryClass, NodeClass


def verify(database: Database) -> Iterator[Finding]:
    """Findings about the database, one for each subject, in one snapshot."""
    connection = (
        database.writer()
        if database.in_memory
        else connect(
            database.path, writable=database.writable, synchronous="NORMAL", busy_seconds=BUSY_SECONDS
        )
    )
    try:
        if not database.in_memory:
            yield from doubts(database.path)
        connection.execute("BEGIN")
        yield engine(connection)
        yield chain(connection)
        yield _names(connection)
        yield _classes(connection)
        yield _contents(connection)
        yield retained.check(connection)
        yield from consistency.check(connection)
        yield from _forgotten(connection)
    except (apsw.Error, UnicodeDecodeError) as error:
        yield Finding("store", "fail", str(database.translate(error)), "restore a backup")
    finally:
        if connection.in_transaction:
            connection.execute("ROLLBACK")
        if not database.in_memory:
            connection.close()


def engine(connection: apsw.Connection) -> Finding:
    """What SQLite itself finds."""
    rows = fetch(connection, "PRAGMA quick_check(5)")
    if rows == [("ok",)]:
        return Finding("database", "ok", "SQLite finds no damage")
    return Finding("database", "fail", "; ".join(str(row[0]) for row in rows), "restore a backup")


def chain(connection: apsw.Connection) -> Finding:
    """Recompute the chain from the first row on."""
    previous, expected = journal.GENESIS, 1
    rows = redacted = 0
    for row in connection.execute("SELECT * FROM journal ORDER BY sequence"):
        (sequence, time_ns, operation, node, path, old_path, version, size, content_hash, agent, actor, door,
         details, salt, commitment, stored) = row  # fmt: skip
        if operation == journal.RESTORED and sequence > expected:
            expected = sequence  # it continues the numbers of the store that it was put back over
        if sequence != expected:
            return Finding("journal", "fail", f"row {expected} is missing", "restore a backup")
        if commitment is not None:
            redacted += 1
        else:
            commitment = journal.commitment(
                salt, node, path, old_path, version, size, content_hash, agent, actor, door, details
            )
        previous = journal.chain(previous, sequence, time_ns, operation, commitment)
        if previous != stored:
            return Finding("journal", "fail", f"the chain breaks at row {sequence}", "restore a backup")
        expected += 1
        rows += 1
    note = f", {redacted:,} redacted" if redacted else ""
    return Finding("journal", "ok", f"{rows:,} rows, the chain is whole{note}")


def _forgotten(connection: apsw.Connection) -> Iterator[Finding]:
    """Whether what was forgotten has been cleaned from free space too."""
    if forget.unscrubbed(connection) is not None:
        yield Finding("forgotten", "warn", "what was forgotten may still stand in free space or the WAL",
                      "avm forget --scrub")  # fmt: skip


def _names(connection: apsw.Connection) -> Finding:
    wrong = {
        "directories without a name of their path": "SELECT count(*) FROM directory d WHERE d.id <> 1 AND NOT EXISTS "
        "(SELECT 1 FROM name m JOIN directory p ON p.id = m.directory WHERE m.node = d.id AND d.path = "
        "CASE p.path WHEN '/' THEN '' ELSE p.path END || '/' || m.name)",
        "directories without their row": f"SELECT count(*) FROM node n WHERE n.kind = {DIRECTORY} "
        "AND n.deleted_sequence IS NULL AND NOT EXISTS (SELECT 1 FROM directory d WHERE d.id = n.id)",
        "nodes that have lost their name": "SELECT count(*) FROM node n WHERE n.deleted_sequence IS NULL "
        "AND NOT EXISTS (SELECT 1 FROM name m WHERE m.node = n.id)",
        "deleted nodes with a name": "SELECT count(*) FROM node n WHERE n.deleted_sequence IS NOT NULL "
        "AND EXISTS (SELECT 1 FROM name m WHERE m.node = n.id)",
        "journal rows of unknown nodes": "SELECT count(*) FROM journal j LEFT JOIN node n ON n.id = j.node "
        "WHERE j.node <> 0 AND n.id IS NULL",
    }
    found = []
    for what, sql in wrong.items():
        count = fetch(connection, sql)[0][0]
        if count:
            found.append(f"{count:,} {what}")
    counts = consistency.wrong_link_counts(connection)
    if found:
        return Finding("names", "fail", ", ".join(found), "restore a backup")
    if counts:
        return Finding(
            "names", "fail", f"{len(counts):,} nodes with a wrong count of names", consistency.MEND
        )
    files, directories = fetch(
        connection, "SELECT (SELECT count(*) FROM name), (SELECT count(*) FROM directory)"
    )[0]
    return Finding("names", "ok", f"{files - 1:,} names in {directories:,} directories")


def _classes(connection: apsw.Connection) -> Finding:
    """Compare every visibility class with what it is derived from."""
    known = {
        id: parse(kind, key) for id, kind, key in connection.execute("SELECT id, kind, key FROM visibility")
    }
    shares: dict[int, dict[str, str]] = {}
    for node, user, access in connection.execute(
        "SELECT s.node, u.name, s.access FROM share s JOIN user u ON u.id = s.user"
    ):
        shares.setdefault(node, {})[user] = access
    wrong = 0
    for id, mode, owner, group, visibility in connection.execute(
        "SELECT n.id, n.mode, u.name, g.name, n.visibility FROM node n JOIN user u ON u.id = n.owner "
        'JOIN "group" g ON g.id = n."group"'
    ):
        own = known.get(visibility)
        wrong += not (
            isinstance(own, NodeClass)
            and (own.owner, own.group, own.mode, dict(own.shares)) == (owner, group, mode, shares.get(id, {}))
        )
    current: dict[str, DirectoryClass] = {}
    for path, visibility, own_id in connection.execute(
        "SELECT d.path, d.visibility, n.visibility FROM directory d JOIN node n ON n.id = d.id ORDER BY d.path"
    ):
        above = DirectoryClass() if path == "/" else current.get(split(path)[0])
        own, stored = known.get(own_id), known.get(visibility)
        if above is None or not isinstance(own, NodeClass) or not isinstance(stored, DirectoryClass):
            wrong += 1
            continue
        current[path] = above.enter(space_of(path), own)
        wrong += current[path].key() != stored.key()
    if wrong:
        return Finding("classes", "fail", f"{wrong:,} visibility classes differ from what they derive from",
                       consistency.MEND)  # fmt: skip
    return Finding("classes", "ok", f"{len(known):,} visibility classes")


def _contents(connection: apsw.Connection) -> Finding:
    damaged = []
    count = 0
    for id, size, version, sequence, body, expected in connection.execute(
        "SELECT id, size, version, content_sequence, body, hash FROM node WHERE hash IS NOT NULL"
    ):
        count += 1
        if not contents.is_intact(connection, contents.Stored(id, size, version, sequence, body), expected):
            damaged.append(id)
    if damaged:
        return Finding("contents", "fail", f"{len(damaged):,} contents differ from their hash (first: @{damaged[0]})",
                       "restore a backup")  # fmt: skip
    return Finding("contents", "ok", f"{count:,} contents match their hash")
