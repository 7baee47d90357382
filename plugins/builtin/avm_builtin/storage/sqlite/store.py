"""The embedded store: reading, opening, and the contract as a whole."""

from __future__ import annotations

import os
import threading
import time
import uuid
from collections.abc import Callable, Iterable, Iterator, Sequence
from pathlib import Path
from typing import Any

import apsw

from avm_builtin.sqlite_connection import NO_SPACE
from avm_builtin.storage.sqlite import backup, check, contents, forget, ranges, schema
from avm_builtin.storage.sqlite import retention as keeping
from avm_builtin.storage.sqlite.classes import Classes, parse
from avm_builtin.storage.sqlite.connection import (
    Database,
    can_write,
    fetch,
    read_only_reason,
)
from avm_builtin.storage.sqlite.marks import Marks
from avm_builtin.storage.sqlite.past import SqlitePast
from avm_builtin.storage.sqlite.place import check_place
from avm_builtin.storage.sqlite.rows import (
    DIRECTORY,
    FILE,
    JOURNAL,
    STAT,
    STAT_WIDTH,
    Names,
    absent,
    change_from,
    user_from,
    version_from,
)
from avm_builtin.storage.sqlite.transaction import SqliteTransaction
from vfs_core import journal
from vfs_core.bell import HEAD, Bell
from vfs_core.errors import (
    CorruptStore,
    ForeignStore,
    Invalid,
    NewerStore,
    NoSpace,
    NotADirectory,
    NotFound,
    ReadOnly,
    StoreError,
    StoreReplaced,
    VfsError,
)
from vfs_core.past import Purged, Retention
from vfs_core.path import join, split
from vfs_core.storage import (
    Census,
    Charge,
    Check,
    Copy,
    Finding,
    Found,
    Head,
    LinkRow,
    Listing,
    Store,
    StoreContext,
    TagUsage,
    Usage,
    allow_all,
    approve_all,
    charge_nobody,
    side_base,
)
from vfs_core.types import Change, Origin, User, Version
from vfs_core.visibility import DirectoryClass, NodeClass

_HEAL_AFTER = 0.02
"""Seconds that the bell may be ahead of the journal before its announcer is taken for dead."""

_NO_VERSION = 2**62
"""Above every version."""
_HEAD = "(SELECT max(sequence) FROM journal)"
_NAMED = """FROM (SELECT max(sequence) AS head FROM journal) AS j LEFT JOIN directory d ON d.path = ?
    LEFT JOIN name m ON m.directory = d.id AND m.name = ? LEFT JOIN node n ON n.id = m.node"""
_FIND = f"SELECT {STAT}, d.id, d.visibility, j.head {_NAMED}"
_READ = f"SELECT {STAT}, d.id, d.visibility, j.head, n.body {_NAMED}"
_READ_PART = f"SELECT {STAT}, d.id, d.visibility, j.head, n.body IS NULL AND n.size > 0 {_NAMED}"
_META, _OWN, _EXPIRES = STAT_WIDTH - 1, STAT_WIDTH - 2, 13
_LIVES = "(n.expires_ns IS NULL OR n.expires_ns > ?)"
_SHARED_NODE = "CASE WHEN n.links > 1 THEN n.id END"
"""Groups the names of a node that has several, apart from all others."""
_PARENT, _WITHIN, _SEQUENCE, _BODY = STAT_WIDTH, STAT_WIDTH + 1, STAT_WIDTH + 2, STAT_WIDTH + 3


class SqliteStore(Store):
    """A store in one SQLite file. Made by `open`."""

    def __init__(self, database: Database, uuid: str, bell: Bell) -> None:
        self._database = database
        self._classes = Classes(database)
        self._names = Names(database)
        self._ahead_since: float | None = None
        self._heal_mutex = threading.Lock()
        self.past = SqlitePast(database, self._names)
        self.bell = bell
        self.uuid = uuid
        self.location = database.path
        self.writable = database.writable
        self.read_only_reason = "" if database.writable else read_only_reason(database.path)
        self._refusal: type[VfsError] = ReadOnly
        self._marks = Marks(None if database.in_memory else f"{side_base(database.path)}.marks.db", uuid)

    @classmethod
    def open(cls, context: StoreContext) -> SqliteStore:
        """Open the database at `context.location`, making or migrating it where it can be written.

        A directory that is made gets mode 0700, the file 0600; a directory that was there keeps its mode.
        Raises NotFound, ForeignStore, NewerStore, CorruptStore, ReadOnly, and StoreError on a network file system.
        """
        path = context.location
        if path != ":memory:":
            check_place(path)
        exists = path != ":memory:" and _exists(path)
        if exists and Path(path).is_dir():
            raise ForeignStore(f"{path} is a directory, not an AVM store; name a file in it with --db")
        if exists and not os.access(path, os.R_OK):
            raise StoreError(
                f"{path} cannot be read by this process: its owner must allow it (chmod, setfacl)"
            )
        if not exists and not context.create:
            raise NotFound(f"there is no store at {path} yet; write something, or type: avm init")
        if not exists and path != ":memory:":
            _make_file(path)
        writable = path == ":memory:" or can_write(path)
        database = Database(path, durability=context.durability, writable=writable)
        try:
            store_uuid = _prepare(database, context.founder)
        except BaseException:
            database.close()
            raise
        if path == ":memory:":
            return cls(database, store_uuid, Bell.private())
        where, mode = f"{side_base(path)}.bell", os.stat(path).st_mode & 0o666
        bell = Bell.open(where, _bell_identity(store_uuid, database), writable=writable, mode=mode)
        store = cls(database, store_uuid, bell)
        database.when_moved = bell.let_go
        if writable and not bell.writable:
            store._refuse_changes(where, bell.refused)
        store._heal()
        return store

    def _refuse_changes(self, bell: str, refused: OSError | None) -> None:
        """A change that is not announced would leave others with stale reads: without a bell there are none."""
        self.writable = False
        if refused is not None and refused.errno in NO_SPACE:
            self._refusal = NoSpace
            self.read_only_reason = (
                f"no space left for {bell}, where changes are announced: free some space and retry"
            )
        else:
            self.read_only_reason = (
                f"{bell} cannot be written by this process, and changes are announced there"
            )

    # --- reading ---------------------------------------------------------------------------------

    def find(self, path: str) -> Found:
        row = self._database.rows(_FIND, split(path))[0]
        if self.bell.words[HEAD] > row[_SEQUENCE]:
            self._suspect()
        if row[0] is None or (row[_EXPIRES] is not None and self._expired(row[_EXPIRES])):
            return absent(path, row[_SEQUENCE], row[_WITHIN] or 0, row[_PARENT] or 0)
        return Found(
            path, self._names.stat(row), row[_WITHIN], row[_OWN], row[_PARENT], row[_SEQUENCE], 0, row[_META]
        )

    def read(self, path: str, approve: Callable[[Found], None] = approve_all) -> Found:
        parent, _, name = path.rpartition("/")
        row = self._database.rows(_READ, (parent or "/", name))[0]
        if self.bell.words[HEAD] > row[_SEQUENCE]:
            self._suspect()
        if row[0] is None or (row[_EXPIRES] is not None and self._expired(row[_EXPIRES])):
            found = absent(path, row[_SEQUENCE], row[_WITHIN] or 0, row[_PARENT] or 0)
            approve(found)
            return found
        stat = self._names.stat(row)
        own, meta, parent, within, sequence, body = row[_OWN:]
        # As in `Names.stat`: a plain tuple's constructor is twice as fast as the named one's.
        found = tuple.__new__(Found, (path, stat, within, own, parent, sequence, 0, meta, body or b""))
        approve(found)
        if body is None and stat.size:
            body = self._chunked(stat.id, stat.version, stat.size)
            if body is None:
                return self.read(path, approve)  # changed between the two statements
            return found._replace(data=body)
        return found

    def read_range(
        self, path: str, offset: int, size: int, approve: Callable[[Found], None] = approve_all
    ) -> Found:
        if offset < 0 or size < 0:
            raise Invalid(f"{path}: an offset and a size are not negative")
        with self._database.snapshot() as connection:
            row = fetch(connection, _READ_PART, split(path))[0]
            if self.bell.words[HEAD] > row[_SEQUENCE]:
                self._suspect()
            if row[0] is None or (row[_EXPIRES] is not None and self._expired(row[_EXPIRES])):
                found = absent(path, row[_SEQUENCE], row[_WITHIN] or 0, row[_PARENT] or 0)
                approve(found)
                return found
            found = Found(
                path,
                self._names.stat(row),
                row[_WITHIN],
                row[_OWN],
                row[_PARENT],
                row[_SEQUENCE],
                0,
                row[_META],
            )
            approve(found)
            body = None
            if not row[_BODY]:
                body = fetch(connection, "SELECT body FROM node WHERE id = ?", (row[0],))[0][0]
            stored = contents.Stored(row[0], row[5], row[6], 0, body)
            return found._replace(data=ranges.read(connection, stored, offset, size))

    def attributes(self, node: int) -> dict[str, bytes]:
        return dict(
            self._database.rows("SELECT name, value FROM xattr WHERE node = ? ORDER BY name", (node,))
        )

    def _expired(self, expires_ns: object) -> bool:
        if not isinstance(expires_ns, int):  # no STRICT table holds anything else, a damaged page may
            raise CorruptStore(f"{self.location} is damaged (an expiry is no number); type: avm doctor")
        return expires_ns <= time.time_ns()

    def _chunked(self, node: int, version: int, size: int) -> bytes | None:
        """The content of a node's chunks, or None if it is not at `version` any more."""
        rows = self._database.rows(
            "SELECT n.version, c.position, c.body FROM node n LEFT JOIN chunk c ON c.node = n.id WHERE n.id = ?",
            (node,),
        )
        if not rows or rows[0][0] != version:
            return None
        return contents.assemble(size, [row[1:] for row in rows if row[1] is not None])

    def children(self, path: str, after: str = "", limit: int = 1000) -> Listing:
        directory = self.find(path)
        if directory.stat is None:
            return Listing(directory, 0, (), False)
        if not directory.stat.is_directory:
            raise NotADirectory(f"{path} is not a directory")
        rows = self._database.rows(
            f"SELECT {STAT}, m.name, d.visibility, {_HEAD} FROM directory d JOIN name m ON m.directory = d.id "
            f"JOIN node n ON n.id = m.node WHERE d.id = ? AND m.name > ? AND {_LIVES} ORDER BY m.name LIMIT ?",
            (directory.stat.id, after, time.time_ns(), limit + 1),
        )
        contents_class = self._database.rows(
            "SELECT visibility FROM directory WHERE id = ?", (directory.stat.id,)
        )
        entries = [
            Found(
                join(path, row[STAT_WIDTH]), self._names.stat(row), row[STAT_WIDTH + 1], row[_OWN],
                directory.stat.id, row[STAT_WIDTH + 2], 0, row[_META],
            )
            for row in rows[:limit]
        ]  # fmt: skip
        return Listing(directory, contents_class[0][0] if contents_class else 0, entries, len(rows) > limit)

    def nodes(self, ids: Sequence[int], *, content: bool = False) -> list[Found]:
        found: list[Found] = []
        for start in range(0, len(ids), 500):
            part = ids[start : start + 500]
            found += self._named(f"n.id IN ({', '.join('?' * len(part))})", tuple(part), content)
        return found

    def scan(self, after: int = 0, limit: int = 1000, *, content: bool = False) -> list[Found]:
        while True:
            bounds = self._database.rows(
                "SELECT max(id) FROM (SELECT id FROM node WHERE id > ? AND links > 0 ORDER BY id LIMIT ?)",
                (after, limit),
            )
            if bounds[0][0] is None:
                return []
            found = self._named("n.id > ? AND n.id <= ?", (after, bounds[0][0]), content)
            if found:
                return found
            after = bounds[0][0]  # all of them have expired

    def _named(self, condition: str, arguments: tuple[int, ...], content: bool) -> list[Found]:
        """Every name of the nodes that a condition on `n` picks, in order of id and path."""
        body = "n.body" if content else "NULL"
        rows = self._database.rows(
            f"SELECT {STAT}, d.id, d.visibility, {_HEAD}, {body}, d.path, m.name FROM node n "
            f"CROSS JOIN name m ON m.node = n.id CROSS JOIN directory d ON d.id = m.directory "
            f"WHERE {condition} AND {_LIVES} ORDER BY n.id, d.path, m.name",
            (*arguments, time.time_ns()),
        )
        found = []
        for row in rows:
            path = join(row[_BODY + 1], row[_BODY + 2]) if row[_BODY + 2] else "/"
            data = row[_BODY]
            if content and data is None and row[5] and row[1] != DIRECTORY:
                data = self._chunked(row[0], row[6], row[5])
                if data is None:  # it has changed since: what there is now is as good
                    data = self.read(path).data
            found.append(
                Found(
                    path, self._names.stat(row), row[_WITHIN], row[_OWN], row[_PARENT], row[_SEQUENCE], 0,
                    row[_META], data or b"",
                )
            )  # fmt: skip
        return found

    def version_content(self, node: int, version: int) -> bytes | None:
        with self._database.mutex:
            connection = self._database.writer()
            try:
                with connection:  # one snapshot over several statements
                    content = self._version_content(connection, node, version)
            except apsw.Error as error:
                raise self._database.translate(error) from error
        return content

    @staticmethod
    def _version_content(connection: apsw.Connection, node: int, version: int) -> bytes | None:
        rows = fetch(
            connection, "SELECT id, size, version, content_sequence, body FROM node WHERE id = ?", (node,)
        )
        wanted = fetch(
            connection,
            "SELECT sequence, size FROM journal WHERE node = ? AND version = ? AND hash IS NOT NULL",
            (node, version),
        )
        if not rows or not wanted:
            return None
        if keeping.is_gone(connection, node, wanted[0][0]):
            return None
        return contents.at_sequence(connection, contents.Stored(*rows[0]), version, *wanted[0])

    def versions(self, node: int, before: int | None = None, limit: int = 100) -> list[Version]:
        rows = self._database.rows(
            f"SELECT {JOURNAL} FROM journal WHERE node = ?1 AND hash IS NOT NULL "
            "AND version < ?2 ORDER BY version DESC LIMIT ?3",  # not `?2 IS NULL OR`: no index would bound that
            (node, _NO_VERSION if before is None else before, limit),
        )
        return [version_from(row, self._names) for row in rows]

    def links(self, node: int) -> list[LinkRow]:
        rows = self._database.rows(
            "SELECT source, kind, target, weight FROM link WHERE source = ?1 "
            "UNION SELECT source, kind, target, weight FROM link WHERE target = ?1",
            (node,),
        )
        return [LinkRow(*row) for row in rows]

    def usage(self) -> list[Usage]:
        rows = self._database.rows(
            f"SELECT d.visibility, n.visibility, count(*), sum(n.size), {_SHARED_NODE} FROM node n "
            "JOIN name m ON m.node = n.id JOIN directory d ON d.id = m.directory "
            f"WHERE n.kind = ? AND {_LIVES} GROUP BY 1, 2, 5",
            (FILE, time.time_ns()),
        )
        return [
            Usage(places[0], own, files, size, places[1:])
            for (own,), places, files, size in _by_places(((row[1],), *row) for row in rows)
        ]

    def census(self, path: str) -> list[Census]:
        below = "/" if path == "/" else f"{path}/"
        rows = self._database.rows(
            "SELECT d.path, d.visibility, n.visibility, count(*) FROM directory d "
            "JOIN name m ON m.directory = d.id JOIN node n ON n.id = m.node "
            f"WHERE (d.path = ? OR d.path >= ? AND d.path < ?) AND n.kind = ? AND {_LIVES} GROUP BY 1, 3 ORDER BY 1, 3",
            (path, below, f"{below[:-1]}0", FILE, time.time_ns()),
        )
        return [Census(*row) for row in rows]

    def tag_usage(self) -> list[TagUsage]:
        rows = self._database.rows(
            f"SELECT t.name, d.visibility, n.visibility, count(*), 0, {_SHARED_NODE} FROM tag t "
            "JOIN node n ON n.id = t.node JOIN name m ON m.node = n.id JOIN directory d ON d.id = m.directory "
            f"WHERE {_LIVES} GROUP BY 1, 2, 3, 6",
            (time.time_ns(),),
        )
        return [
            TagUsage(tag, places[0], own, nodes, places[1:])
            for (own, tag), places, nodes, _ in _by_places(((row[2], row[0]), *row[1:]) for row in rows)
        ]

    # --- who -------------------------------------------------------------------------------------

    def users(self) -> dict[str, User]:
        groups: dict[str, list[str]] = {}
        for user, group in self._database.rows(
            'SELECT u.name, g.name FROM membership m JOIN user u ON u.id = m.user JOIN "group" g ON g.id = m."group"'
        ):
            groups.setdefault(user, []).append(group)
        rows = self._database.rows("SELECT name, capabilities FROM user")
        return {name: user_from(name, held, groups.get(name, [])) for name, held in rows}

    def shared_with(self, agent: str) -> list[str]:
        rows = self._database.rows(
            "SELECT d.path, m.name FROM user u JOIN share s ON s.user = u.id JOIN name m ON m.node = s.node "
            "JOIN directory d ON d.id = m.directory WHERE u.name = ? ORDER BY 1, 2",
            (agent,),
        )
        return [join(directory, name) if name else "/" for directory, name in rows]

    def directory_class(self, id: int) -> DirectoryClass:
        return self._classes.directory(id, self._own_transaction())

    def node_class(self, id: int) -> NodeClass:
        return self._classes.node(id, self._own_transaction())

    def classes(self, after: int = 0) -> list[tuple[int, DirectoryClass | NodeClass]]:
        rows = self._database.rows("SELECT id, kind, key FROM visibility WHERE id > ? ORDER BY id", (after,))
        return [(id, parse(kind, key)) for id, kind, key in rows]

    def _own_transaction(self) -> apsw.Connection | None:
        """The writer's connection, where a check runs inside this thread's transaction."""
        connection = self._database._writer
        if connection is not None and self._database.mutex._is_owned() and connection.in_transaction:  # type: ignore[attr-defined]
            return connection
        return None

    # --- the journal -----------------------------------------------------------------------------

    def head(self) -> Head:
        rows = self._database.rows("SELECT sequence, chain FROM journal ORDER BY sequence DESC LIMIT 1")
        return Head(*rows[0])

    def chain_at(self, sequence: int) -> bytes | None:
        rows = self._database.rows("SELECT chain FROM journal WHERE sequence = ?", (sequence,))
        return rows[0][0] if rows else None

    def changes(self, after: int = 0, limit: int = 1000) -> list[Change]:
        rows = self._database.rows(
            f"SELECT {JOURNAL} FROM journal WHERE sequence > ? ORDER BY sequence LIMIT ?", (after, limit)
        )
        return [change_from(row, self._names) for row in rows]

    # --- how far somebody has read -----------------------------------------------------------------

    def mark(self, reader: str, node: int) -> int:
        return self._marks.get(reader, node)

    def set_mark(self, reader: str, node: int, version: int, *, forward: bool = False) -> None:
        if not self.writable:
            raise self._refusal(self.read_only_reason)
        mode = 0o600 if self._database.in_memory else os.stat(self.location).st_mode & 0o666
        self._marks.put(reader, node, version, mode, forward=forward)

    # --- changing --------------------------------------------------------------------------------

    def transaction(self, origin: Origin, check: Check, charge: Charge = charge_nobody) -> SqliteTransaction:
        if not self.writable:
            raise self._refusal(self.read_only_reason)
        return SqliteTransaction(self._database, self.bell, self._classes, self._names, origin, check, charge)

    # --- care ------------------------------------------------------------------------------------

    def _suspect(self) -> None:
        """The bell is ahead of what was read: heal it once it has been so for a while."""
        if self.bell.replaced:
            raise StoreReplaced(f"{self.location} was restored from a backup meanwhile; ask again")
        now = time.monotonic()
        if self._ahead_since is None:
            self._ahead_since = now
        elif now - self._ahead_since > _HEAL_AFTER:
            self._ahead_since = None
            if self.head().sequence < self.bell.head:
                self._heal()

    def _heal(self) -> None:
        """Lower what a writer announced and never committed, if nobody is writing."""
        if not self.bell.writable or not self.writable:
            return
        with self._database.mutex:
            if self._database.writer().in_transaction or not self._database.try_begin():
                return
            try:
                rows = fetch(self._database.writer(), "SELECT max(sequence) FROM journal")
                self.bell.heal(rows[0][0] or 0)
            except apsw.Error as error:
                raise self._database.translate(error) from error
            finally:
                self._database.rollback()

    def backup(self, target: Path, step: Callable[[int, int], None] | None = None) -> Head:
        return backup.copy(self._database, target, step)

    def restore_backup(self, source: Path, origin: Origin, keep: Path) -> Head:
        if not self.writable or self._database.in_memory:
            raise ReadOnly(self.read_only_reason or "a store in memory cannot be restored")
        version, _ = backup.examine(source)
        with backup.working_copy(source, self.location) as copy:
            if version < schema.VERSION:
                database = Database(str(copy), durability="full", writable=True)
                try:
                    _migrate(database, origin, keep=False)
                finally:
                    database.close()
            with self._database.mutex:
                kept = backup.put_back(self._database, copy, origin, self._announce_replacement, keep)
        self.bell.ring()
        return kept

    def _announce_replacement(self, uuid: str, sequence: int) -> None:
        self.bell.replace(_bell_identity(uuid, self._database), sequence)

    def scrub(self) -> bool:
        with self._database.mutex:
            try:
                return forget.scrub(self._database)
            except apsw.Error as error:
                raise self._database.translate(error) from error

    def files(self) -> list[str]:
        if self._database.in_memory:
            return []
        base = self.location
        beside = (f"{side_base(base)}.{name}" for name in ("bell", "lock", "marks.db"))
        return [base, f"{base}-wal", f"{base}-shm", *beside]

    def vocabulary(self) -> str:
        return "\n".join(str(row[0]) for row in self._database.rows(forget.VOCABULARY))

    def copies(self) -> list[Copy]:
        rows = self._database.rows("SELECT kind, location, time_ns, sequence FROM copy ORDER BY id DESC")
        return [Copy(*row) for row in rows]

    def mend(self, origin: Origin) -> dict[str, int]:
        with self.transaction(origin, allow_all) as transaction:
            return transaction.mend()

    def purge(self, origin: Origin, retention: Retention, limit: int = 1000, after: int = 0) -> Purged:
        with self.transaction(origin, allow_all) as transaction:
            return transaction.purge(retention, limit, after)

    def verify(self) -> Iterable[Finding]:
        return check.verify(self._database)

    def close(self) -> None:
        self._database.close()
        self.bell.close()


# --- opening -------------------------------------------------------------------------------------


def _by_places(
    rows: Iterable[tuple[tuple[Any, ...], int, int, int, int, int | None]],
) -> Iterator[tuple[tuple[Any, ...], tuple[int, ...], int, int]]:
    """From counts of names to counts of nodes: (key, directory classes, nodes, bytes).

    A row is (key, directory class, node class, names, bytes of them, node), the node None for all that have one name.
    """
    counts: dict[tuple[tuple[Any, ...], tuple[int, ...]], list[int]] = {}
    shared: dict[tuple[tuple[Any, ...], int], tuple[set[int], int]] = {}
    for key, within, _, names, size, node in rows:
        if node is None:
            count = counts.setdefault((key, (within,)), [0, 0])
            count[0] += names
            count[1] += size
        else:
            shared.setdefault((key, node), (set(), size // names))[0].add(within)
    for (key, _), (places, size) in shared.items():
        count = counts.setdefault((key, tuple(sorted(places))), [0, 0])
        count[0] += 1
        count[1] += size
    for (key, where), (nodes, total) in counts.items():
        yield key, where, nodes, total


def _exists(path: str) -> bool:
    try:
        return Path(path).exists()
    except PermissionError:
        raise ReadOnly(f"{path} cannot be looked at: its directory must be open to this process") from None


def _make_file(path: str) -> None:
    """Make the directory (0700) and the empty file (0600) of a new store."""
    parent = Path(path).parent
    try:
        missing = [each for each in (parent, *parent.parents) if not each.exists()]
        if missing:
            parent.mkdir(parents=True, mode=0o700, exist_ok=True)
            for (
                made
            ) in missing:  # SQLite sees to the names in its own directory, and not to that of the directory
                backup.flush(made.parent)
        os.close(os.open(path, os.O_RDWR | os.O_CREAT | os.O_CLOEXEC, 0o600))
    except PermissionError:
        raise ReadOnly(f"{path} cannot be made: the directory {parent} must be writable") from None
    except OSError as error:
        raise ReadOnly(f"{path} cannot be made: {error.strerror}") from error


def _bell_identity(store: str, database: Database) -> str:
    """What the bell tells stores apart by, as a uuid: the store, the version of its tables, and its file.

    So whoever opens a migrated store, or another file in the old one's place, announces it to all who have the old.
    (The inode without the device: that of one file may differ between containers.)
    """
    return str(uuid.uuid5(uuid.UUID(store), f"{schema.VERSION} {database.inode}"))


def _prepare(database: Database, founder: Origin) -> str:
    """Check that the file is ours, make or migrate the tables, and return the store's uuid."""
    version = _version(database)
    if version < schema.VERSION:
        if not database.writable:
            if version == 0:
                raise ForeignStore(f"{database.path} is empty and cannot be written")
            raise ReadOnly(
                f"{database.path} was made by an older AVM and must be migrated: {read_only_reason(database.path)}"
            )
        _migrate(database, founder)
    database.schema = schema.VERSION
    return str(database.rows("SELECT value FROM info WHERE key = 'uuid'")[0][0])


def _version(database: Database) -> int:
    """The schema version, 0 for an empty file."""
    application, version, tables = database.rows(
        "SELECT (SELECT application_id FROM pragma_application_id), "
        "(SELECT user_version FROM pragma_user_version), (SELECT count(*) FROM sqlite_schema)"
    )[0]
    if tables == 0 and application == 0:
        return 0
    if application != schema.APPLICATION_ID:
        raise ForeignStore(
            f"{database.path} is an SQLite database but not an AVM store; name another with --db"
        )
    if version > schema.VERSION:
        raise NewerStore(
            f"{database.path} was made by a newer AVM (schema {version}, this one knows {schema.VERSION}): "
            f"upgrade this one, and restart programs that still run the old one"
        )
    return int(version)


def _migrate(database: Database, founder: Origin, *, keep: bool = True) -> None:
    """Bring the tables to the present version in one transaction, after a copy has been made if `keep`."""
    with database.mutex:
        connection = database.writer()
        if not database.in_memory:
            database.use_wal()
        database.begin()
        try:
            version = connection.pragma("user_version")
            kept = None
            if keep and 0 < version < schema.VERSION and not database.in_memory:
                kept = _keep_before_migration(database, version)
            for statements, work in schema.MIGRATIONS[version:]:
                connection.execute(statements)
                if work is not None:
                    work(connection)
            connection.execute(f"PRAGMA application_id = {schema.APPLICATION_ID}")
            connection.execute(f"PRAGMA user_version = {schema.VERSION}")
            if version == 0:
                _found(database, founder)
            if kept is not None:
                connection.execute(
                    "INSERT INTO copy (kind, location, time_ns, sequence) VALUES (?, ?, ?, ?)",
                    (journal.BACKUP, str(kept[0]), time.time_ns(), kept[1].sequence),
                )
        except apsw.Error as error:
            database.rollback()
            raise database.translate(error) from error
        except BaseException:
            database.rollback()
            raise
        database.commit()


def _keep_before_migration(database: Database, version: int) -> tuple[Path, Head]:
    """A whole copy of a store beside it, before its tables change: where, and the head of the journal in it."""
    head = Head(
        *fetch(database.writer(), "SELECT sequence, chain FROM journal ORDER BY sequence DESC LIMIT 1")[0]
    )
    number, ending = 1, ""
    while (target := Path(f"{side_base(database.path)}.before-schema-{version + 1}{ending}.db")).exists():
        try:
            if backup.examine(target) == (version, head):
                return target, head  # another try has made it
        except (StoreError, NotFound):
            pass  # nothing that we could go back to
        number += 1
        ending = f"-{number}"  # of another time, before an older store was put back by hand
    return target, backup.copy(database, target)


def _found(database: Database, founder: Origin) -> None:
    """The first rows: identity, the founder, and the fixed directories."""
    connection = database.writer()
    connection.execute(
        "INSERT INTO info (key, value) VALUES ('uuid', ?), ('created_ns', ?)",
        (str(uuid.uuid4()), str(time.time_ns())),
    )
    for name in dict.fromkeys((founder.agent, founder.actor)):
        connection.execute("INSERT INTO user (name) VALUES (?)", (name,))
        connection.execute('INSERT INTO "group" (name) VALUES (?)', (name,))
    transaction = SqliteTransaction(
        database, Bell.private(), Classes(database), Names(database), founder, allow_all
    )
    transaction.make_first_directories()
