"""Looking back: names from `name` and `old_name`, metadata from the reverse patches in the journal."""

# the contract (`vfs_core.past`) documents its methods

from __future__ import annotations

import json
import time

from avm_builtin.storage.sqlite import forget
from avm_builtin.storage.sqlite.connection import Database, Row
from avm_builtin.storage.sqlite.rows import (
    JOURNAL,
    STAT,
    STAT_WIDTH,
    Names,
    change_from,
    version_from,
)
from vfs_core import journal
from vfs_core.meta import merge
from vfs_core.past import EXPIRED_UNSEEN, NameThen, Past, Trashed
from vfs_core.path import split
from vfs_core.types import Change, Stat, Version

_SINCE = "CASE m.since WHEN 0 THEN m.node ELSE m.since END"


class SqlitePast(Past):
    """The past of one database."""

    def __init__(self, database: Database, names: Names) -> None:
        self._database = database
        self._names = names

    def sequence_at(self, time_ns: int) -> int:
        rows = self._database.rows(
            "SELECT sequence FROM journal WHERE time_ns <= ? ORDER BY sequence DESC LIMIT 1", (time_ns,)
        )
        return int(rows[0][0]) if rows else 0

    def name_at(self, directory: int, name: str, sequence: int) -> NameThen | None:
        rows = self._database.rows(
            f"""SELECT m.name, m.node, {_SINCE} AS since, NULL FROM name m
                WHERE m.directory = ?1 AND m.name = ?2 AND {_SINCE} <= ?3
                UNION ALL SELECT name, node, since, until FROM old_name
                WHERE directory = ?1 AND name = ?2 AND since <= ?3 AND until > ?3
                ORDER BY since DESC LIMIT 1""",
            (directory, name, sequence),
        )
        return NameThen(*rows[0]) if rows else None

    def names_at(self, directory: int, sequence: int, after: str = "", limit: int = 1000) -> list[NameThen]:
        rows = self._database.rows(
            f"""SELECT * FROM (
                  SELECT m.name AS name, m.node, {_SINCE}, NULL FROM name m
                  WHERE m.directory = ?1 AND m.name > ?3 AND {_SINCE} <= ?2 ORDER BY m.name LIMIT ?4)
                UNION ALL SELECT * FROM (
                  SELECT name, node, since, until FROM old_name
                  WHERE directory = ?1 AND name > ?3 AND since <= ?2 AND until > ?2 ORDER BY name LIMIT ?4)
                ORDER BY name LIMIT ?4""",
            (directory, sequence, after, limit),
        )
        return [NameThen(*row) for row in rows]

    def version_at(self, node: int, sequence: int) -> Version | None:
        rows = self._database.rows(
            f"SELECT {JOURNAL} FROM journal WHERE node = ? AND hash IS NOT NULL AND sequence <= ? "
            "ORDER BY version DESC LIMIT 1",
            (node, sequence),
        )
        return version_from(rows[0], self._names) if rows else None

    def superseded(self, node: int, version: int) -> int | None:
        rows = self._database.rows(
            "SELECT sequence FROM journal WHERE node = ? AND version > ? AND hash IS NOT NULL "
            "ORDER BY version LIMIT 1",
            (node, version),
        )
        return int(rows[0][0]) if rows else None

    def meta_at(self, node: int, sequence: int) -> str:
        rows = self._database.rows(
            """SELECT n.meta, NULL, 0 FROM node n WHERE n.id = ?1
               UNION ALL SELECT NULL, details, sequence FROM journal
               WHERE node = ?1 AND sequence > ?2 AND details IS NOT NULL AND operation IN (?3, ?4, ?5)
               ORDER BY 3 DESC""",
            (node, sequence, journal.META, journal.WRITE, journal.APPEND),
        )
        if not rows:
            return "{}"
        meta: str = rows[-1][0]
        for _, details, _ in rows[:-1]:
            meta = merge(meta, json.loads(details).get(journal.META_BEFORE, {}))
        return meta

    def stat(self, node: int) -> Stat | None:
        rows = self._database.rows(f"SELECT {STAT} FROM node n WHERE n.id = ?", (node,))
        return self._names.stat(rows[0]) if rows else None

    def widened(self, node: int, path: str | None) -> int:
        above = [] if path is None else _above(path)
        rows = self._database.rows(
            "SELECT max(widened_sequence) FROM (SELECT widened_sequence FROM node WHERE id = ? UNION ALL "
            f"SELECT widened_sequence FROM directory WHERE path IN ({', '.join('?' * len(above))}))",
            (node, *above),
        )
        return int(rows[0][0] or 0)

    def purged_ns(self) -> int:
        rows = self._database.rows(
            "SELECT value FROM info WHERE key IN ('purged_ns', 'created_ns') ORDER BY key DESC LIMIT 1"
        )
        return int(rows[0][0]) if rows else 0

    def trash(self, before: int | None = None, limit: int = 100, *, node: int | None = None) -> list[Trashed]:
        rows = self._database.rows(
            f"""SELECT {STAT}, j.path, j.sequence, j.time_ns,
                CASE WHEN json_extract(j.details, '$.{journal.EXPIRED}') THEN n.owner ELSE j.agent END
                FROM node n JOIN journal j ON j.sequence = n.deleted_sequence
                WHERE n.deleted_sequence IS NOT NULL AND (?1 IS NULL OR n.deleted_sequence < ?1)
                AND (?3 IS NULL OR n.id = ?3) AND EXISTS (SELECT 1 FROM old_name o
                    WHERE o.node = n.id AND o.until = n.deleted_sequence)
                ORDER BY n.deleted_sequence DESC LIMIT ?2""",
            (before, limit, node),
        )
        expired = self._expired(before, limit, node)
        return [*expired, *(self._trashed(row) for row in rows)][:limit]

    def _expired(self, before: int | None, limit: int, node: int | None) -> list[Trashed]:
        """What has expired and still has its names, since nobody has come upon it."""
        highest = None if before is None else before - EXPIRED_UNSEEN
        if highest is not None and highest <= 0:
            return []
        rows = self._database.rows(
            f"""SELECT {STAT}, min(CASE d.path WHEN '/' THEN '' ELSE d.path END || '/' || m.name) FROM node n
                JOIN name m ON m.node = n.id JOIN directory d ON d.id = m.directory
                WHERE n.expires_ns <= ?1 AND (?2 IS NULL OR n.id < ?2) AND (?4 IS NULL OR n.id = ?4)
                GROUP BY n.id ORDER BY n.id DESC LIMIT ?3""",
            (time.time_ns(), highest, limit, node),
        )
        found = []
        for *columns, path in rows:
            stat = self._names.stat(tuple(columns))
            expired = stat.expires_ns or 0
            found.append(
                Trashed(path, stat, columns[STAT_WIDTH - 2], EXPIRED_UNSEEN + stat.id, expired, stat.owner)
            )
        return found

    def deleted_at(self, path: str) -> list[Trashed]:
        rows = self._database.rows(*forget.deleted_at(path))
        return [self._trashed(row[: STAT_WIDTH + 4]) for row in rows]

    def _trashed(self, row: Row) -> Trashed:
        path, sequence, time_ns, agent = row[STAT_WIDTH:]
        return Trashed(
            path, self._names.stat(row), row[STAT_WIDTH - 2], sequence, time_ns, self._names.user(agent)
        )

    def changes(
        self,
        before: int | None = None,
        limit: int = 1000,
        *,
        since: int = 0,
        node: int | None = None,
        agent: str | None = None,
    ) -> list[Change]:
        wanted = ["sequence > ?1", "(?2 IS NULL OR sequence < ?2)"]
        if node is not None:
            wanted.append("node = ?4")
        if agent is not None:
            wanted.append("agent = (SELECT id FROM user WHERE name = ?5)")
        rows = self._database.rows(
            f"SELECT {JOURNAL}, ?4, ?5 FROM journal WHERE {' AND '.join(wanted)} ORDER BY sequence DESC LIMIT ?3",
            (since, before, limit, node, agent),
        )
        return [change_from(row, self._names) for row in rows]


def _above(path: str) -> list[str]:
    """The directories above a path, and the path itself."""
    above = [path]
    while path != "/":
        path = split(path)[0]
        above.append(path)
    return above
