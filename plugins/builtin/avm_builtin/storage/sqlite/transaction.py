"""Every change: resolved, judged, made and journalled inside one `BEGIN IMMEDIATE`."""

from __future__ import annotations

import json
import os
import time
from collections.abc import Callable, Iterable, Iterator, Mapping
from contextlib import contextmanager
from types import TracebackType
from typing import Any, NamedTuple

import apsw

from avm_builtin.storage.sqlite import attributes, contents, forget, mending, ranges, trash
from avm_builtin.storage.sqlite import retention as keeping
from avm_builtin.storage.sqlite.classes import Classes, refresh_tree
from avm_builtin.storage.sqlite.connection import Database, Row, fetch
from avm_builtin.storage.sqlite.rows import DIRECTORY, FILE, KINDS, STAT, STAT_WIDTH, Names
from vfs_core import journal
from vfs_core.bell import Bell
from vfs_core.errors import (
    Conflict,
    CorruptStore,
    Denied,
    Exists,
    InUse,
    Invalid,
    IsADirectory,
    NameTooLong,
    NotADirectory,
    NotEmpty,
    NotFound,
    NotOwner,
    StoreReplaced,
)
from vfs_core.meta import EMPTY, merge, reverse_patch, tags_of
from vfs_core.past import Purged, Retention, Trashed
from vfs_core.path import MEMORY, NAME_MAX, PATH_MAX, PRIVATE, SHARED, is_within, join, space_of, split
from vfs_core.storage import (
    Charge,
    Check,
    Found,
    Moved,
    Operation,
    Snapshot,
    Transaction,
    charge_nobody,
)
from vfs_core.types import JSON, Access, Kind, Origin, Stat, User, Version
from vfs_core.visibility import DirectoryClass, NodeClass

SIZE_MAX = 2**40
"""Bytes that a file may have: positions of chunks, and what a walk over them takes, are bounded by it."""
_SETGID = 0o2000

FIXED = frozenset({"/", MEMORY, PRIVATE, SHARED})
"""Directories that every store has and keeps."""

_HEAD = "SELECT sequence, chain FROM journal ORDER BY sequence DESC LIMIT 1"
_LOCATE = f"""SELECT {STAT}, d.id, d.visibility, n.body, n.content_sequence, j.sequence, j.chain
    FROM ({_HEAD}) AS j LEFT JOIN directory d ON d.path = ?
    LEFT JOIN name m ON m.directory = d.id AND m.name = ? LEFT JOIN node n ON n.id = m.node"""
"""One row always: the name (NULLs if it is absent) and the journal's head."""
_META, _PARENT, _WITHIN, _BODY, _CONTENT = (
    STAT_WIDTH - 1,
    STAT_WIDTH,
    STAT_WIDTH + 1,
    STAT_WIDTH + 2,
    STAT_WIDTH + 3,
)
_OWN = STAT_WIDTH - 2
_EXPIRES = 13


_UNREAD = -1
"""The sequence before the journal's head has been read."""


class _Place(NamedTuple):
    """The nearest directory that exists on the way to a name."""

    id: int
    path: str
    within: int
    own: int


class SqliteTransaction(Transaction):
    """One unit of change. Used as `with store.transaction(origin, check) as tx`."""

    def __init__(
        self,
        database: Database,
        bell: Bell,
        classes: Classes,
        names: Names,
        origin: Origin,
        check: Check,
        charge: Charge = charge_nobody,
    ) -> None:
        self._database = database
        self._bell = bell
        self._classes = classes
        self._names = names
        self._origin = origin
        self._check = check
        self._charge = charge
        self._touched: list[int] = []
        self._everything = False

    # --- begin and end ---------------------------------------------------------------------------

    def __enter__(self) -> SqliteTransaction:
        self._database.mutex.acquire()
        try:
            self._connection = self._database.begin()
            if self._bell.replaced:
                self._database.rollback()
                raise StoreReplaced(f"{self._database.path} was restored from a backup meanwhile; ask again")
        except BaseException:
            self._database.mutex.release()
            raise
        self._first = self._sequence = _UNREAD
        return self

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        try:
            if kind is not None or self._sequence == self._first:
                self._undo()
                if isinstance(error, (apsw.Error, UnicodeDecodeError)):
                    raise self._database.translate(error) from error
                return
            everything = self._everything or self._classes.has_pending
            try:
                self._bell.announce(self._sequence, self._touched, everything)
                self._database.commit()
            except BaseException:
                self._database.rollback()
                self._classes.rolled_back()
                self._names.refresh()
                raise
            self._classes.committed()
            self._bell.ring()
        finally:
            self._database.mutex.release()

    def _start(self, sequence: int | None = None, chain: bytes | None = None) -> None:
        """Take the journal's head, from the first statement that reads it."""
        if sequence is None or chain is None:
            sequence, chain = self._execute(_HEAD)[0]
        self._first = self._sequence = sequence
        self._chain = chain
        self._now = time.time_ns()
        if self._bell.head > sequence:  # announced by a writer that never committed; nobody is writing now
            self._bell.heal(sequence)

    def found(self, connection: apsw.Connection) -> None:
        """Make the root and the fixed directories, in the transaction that makes the tables."""
        self._connection = connection
        self._start(0, journal.GENESIS)
        own = self._classes.plain(connection, self._origin.agent, self._origin.agent, 0o777)
        within = self._classes.intern(connection, DirectoryClass())
        self._insert_node("/", _Place(1, "/", within, own), DIRECTORY, journal.INIT)
        self._execute(
            "INSERT INTO directory (id, path, visibility, widened_sequence) VALUES (1, '/', ?, 1)", (within,)
        )
        for path in (MEMORY, PRIVATE, SHARED):
            self._make_directory(path, self._nearest(split(path)[0]))

    def _undo(self) -> None:
        self._database.rollback()
        self._classes.rolled_back()
        if self._everything:
            self._names.refresh()

    @contextmanager
    def _whole(self) -> Iterator[None]:
        """What happens inside happens wholly or not at all, even if the caller catches the error and goes on."""
        if self._sequence == _UNREAD:
            self._start()
        before = self._sequence, self._chain, len(self._touched)
        self._execute("SAVEPOINT operation")
        try:
            yield
        except BaseException:
            self._execute("ROLLBACK TO operation")
            self._sequence, self._chain, touched = before
            del self._touched[touched:]
            self._classes.rolled_back()
            self._names.refresh(self._execute)
            raise
        finally:
            self._execute("RELEASE operation")

    def _execute(self, sql: str, arguments: tuple[Any, ...] = ()) -> list[Row]:
        return fetch(self._connection, sql, arguments)

    # --- files -----------------------------------------------------------------------------------

    def write(
        self,
        path: str,
        data: bytes,
        *,
        patch: Mapping[str, JSON] | None = None,
        base_version: int | None = None,
        parents: bool = True,
    ) -> Version:
        row = self._locate(path)
        if row is None:
            place = self._judge_creation(path)
            if base_version:
                raise Conflict(f"{path} does not exist, and the write was based on version {base_version}")
            return self._create_file(path, place, self._filled(path, data), journal.WRITE, patch, parents)
        self._judge_taken(Operation.WRITE, path, row)
        if row[1] != FILE:
            raise IsADirectory(f"{path} is a {KINDS[row[1]]}, not a file")
        self._refuse_base(path, row, base_version)
        meta = row[_META] if patch is None else merge(row[_META], patch)
        self._charge(path, len(data) - row[5], 0)
        written = contents.replace(self._connection, _stored(row), data)
        return self._commit_content(path, row, written, journal.WRITE, meta)

    def append(self, path: str, data: bytes) -> Version:
        row = self._locate(path)
        if row is None:
            place = self._judge_creation(path)
            return self._create_file(path, place, self._filled(path, data), journal.APPEND, None, True)
        self._judge_taken(Operation.WRITE, path, row)
        if row[1] != FILE:
            raise IsADirectory(f"{path} is a {KINDS[row[1]]}, not a file")
        self._charge(path, len(data), 0)
        written = contents.append(self._connection, self._database.trees, _stored(row), data)
        return self._commit_content(path, row, written, journal.APPEND, row[_META])

    def write_range(
        self, path: str, offset: int, data: bytes, *, snapshot: Snapshot | None = None
    ) -> Version:
        row = self._require_file(path)
        if offset < 0 or offset + len(data) > SIZE_MAX:
            raise Invalid(f"{path}: a file holds bytes from 0 to {SIZE_MAX:,}, not at {offset:,}")
        self._charge(path, max(0, offset + len(data) - row[5]), 0)
        written = ranges.write(self._connection, self._database.trees, _stored(row), offset, data, snapshot)
        return self._commit_content(path, row, written, journal.WRITE, row[_META])

    def truncate(self, path: str, size: int, *, snapshot: Snapshot | None = None) -> Version:
        row = self._require_file(path)
        if not 0 <= size <= SIZE_MAX:
            raise Invalid(f"{path}: a size is from 0 to {SIZE_MAX:,} bytes, not {size:,}")
        self._charge(path, size - row[5], 0)
        written = ranges.truncate(self._connection, self._database.trees, _stored(row), size, snapshot)
        return self._commit_content(path, row, written, journal.TRUNCATE, row[_META])

    def _require_file(self, path: str) -> Row:
        row = self._require(path)
        self._check(Operation.WRITE, self._found(path, row))
        if row[1] != FILE:
            raise IsADirectory(f"{path} is a {KINDS[row[1]]}, not a file")
        return row

    def write_blocks(
        self,
        path: str,
        blocks: Iterable[bytes],
        *,
        patch: Mapping[str, JSON] | None = None,
        base_version: int | None = None,
        parents: bool = True,
    ) -> Version:
        chunks = ranges.rechunk(blocks)
        with self._whole():
            row = self._locate(path)
            if row is None:
                place = self._judge_creation(path)
                if base_version:
                    raise Conflict(
                        f"{path} does not exist, and the write was based on version {base_version}"
                    )

                def fill(node: int) -> contents.Written:
                    written = contents.pour(self._connection, contents.Stored(node, 0, 0, 0, b""), chunks)
                    self._charge(path, written.size, 1)
                    return written

                return self._create_file(path, place, fill, journal.WRITE, patch, parents)
            self._judge_taken(Operation.WRITE, path, row)
            if row[1] != FILE:
                raise IsADirectory(f"{path} is a {KINDS[row[1]]}, not a file")
            self._refuse_base(path, row, base_version)
            meta = row[_META] if patch is None else merge(row[_META], patch)
            written = contents.pour(self._connection, _stored(row), chunks)
            self._charge(path, written.size - row[5], 0)
            return self._commit_content(path, row, written, journal.WRITE, meta)

    def update_meta(self, path: str, patch: Mapping[str, JSON]) -> dict[str, JSON]:
        row = self._require(path)
        self._check(Operation.WRITE, self._found(path, row))
        meta = merge(row[_META], patch)
        if meta != row[_META]:
            details = {journal.META_BEFORE: reverse_patch(row[_META], meta)}
            now, _ = self._journal(journal.META, row[0], path, row[6], row[5], details=details)
            self._execute("UPDATE node SET meta = ?, changed_ns = ? WHERE id = ?", (meta, now, row[0]))
            self._set_tags(row[0], row[_META], meta)
            self._touched.append(row[0])
        loaded: dict[str, JSON] = json.loads(meta)
        return loaded

    @staticmethod
    def _refuse_base(path: str, row: Row, base_version: int | None) -> None:
        """Refuse a write that was based on another version than the present one."""
        if base_version is not None and base_version != row[6]:
            raise Conflict(
                f"{path} is at version {row[6]}, and the write was based on version {base_version}: "
                f"read it again and merge"
            )

    def _commit_content(
        self,
        path: str,
        row: Row,
        written: contents.Written,
        operation: str,
        meta: str,
    ) -> Version:
        node, version = row[0], row[6] + 1
        details = None
        if meta is not row[_META] and meta != row[_META]:
            details = {journal.META_BEFORE: reverse_patch(row[_META], meta)}
        now, sequence = self._journal(
            operation, node, path, version, written.size, written.hash, details=details
        )
        self._connection.execute(
            "UPDATE node SET size = ?, version = ?, modified_ns = ?, changed_ns = ?, content_sequence = ?, "
            "hash = ?, meta = ?, body = ? WHERE id = ?",
            (written.size, version, now, now, sequence, written.hash, meta, written.body, node),
        )
        if meta is not row[_META]:
            self._set_tags(node, row[_META], meta)
        self._touched.append(node)
        return Version(
            path, version, sequence, now, self._origin.agent, written.size, written.hash, operation
        )

    # --- making ----------------------------------------------------------------------------------

    def mkdir(self, path: str, *, parents: bool = False, exist_ok: bool = False) -> Stat:
        row = self._locate(path)
        if row is not None:
            self._judge_taken(Operation.STAT, path, row)
            if exist_ok and row[1] == DIRECTORY:
                return self._names.stat(row)
            raise Exists(f"{path} exists already")
        place = self._make_parents(path, self._judge_creation(path), parents)
        self._make_directory(path, place)
        return self._names.stat(self._require(path))

    def _judge_creation(self, path: str) -> _Place:
        """Ask whether the absent `path` may be made, and return the nearest directory that exists."""
        place = self._nearest(split(path)[0])
        self._check(Operation.CREATE, Found(path, None, place.within, 0, place.id, self._sequence, place.own))
        name = split(path)[1]
        if len(name.encode()) > NAME_MAX or len(path.encode()) > PATH_MAX:
            raise Invalid(f"{path!r} is too long")
        return place

    def _judge_taken(self, operation: Operation, path: str, row: Row, directory: int = 0) -> None:
        """Judge what would make `path` if it were not taken: to whom it does not exist, as if it were absent."""
        try:
            self._check(operation, self._found(path, row, directory))
        except NotFound:
            self._judge_creation(path)
            raise

    def _nearest(self, path: str) -> _Place:
        while True:
            rows = self._execute(
                "SELECT d.id, d.path, d.visibility, n.visibility FROM directory d JOIN node n ON n.id = d.id "
                "WHERE d.path = ?",
                (path,),
            )
            if rows:
                return _Place(*rows[0])
            if path == "/":
                raise CorruptStore(f"{self._database.path} has no root directory; type: avm doctor")
            path = split(path)[0]

    def _make_parents(self, path: str, place: _Place, allowed: bool) -> _Place:
        """Make the directories that are missing between `place` and `path`."""
        parent = split(path)[0]
        while place.path != parent:
            missing = join(place.path, _first_below(place.path, parent))
            if self._locate(missing) is not None:
                raise NotADirectory(f"{missing} is not a directory")
            if not allowed:
                raise NotFound.at(parent)
            place = self._make_directory(missing, place)
        return place

    def _make_directory(self, path: str, place: _Place) -> _Place:
        node = self._insert_node(path, place, DIRECTORY, journal.MKDIR)
        own = self._classes.node(node.visibility, self._connection)
        above = self._classes.directory(place.within, self._connection)
        within = self._classes.intern(self._connection, above.enter(space_of(path), own))
        self._execute(
            "INSERT INTO directory (id, path, visibility, widened_sequence) VALUES (?, ?, ?, ?)",
            (node.id, path, within, node.id),
        )
        return _Place(node.id, path, within, node.visibility)

    def _filled(self, path: str, data: bytes) -> Callable[[int], contents.Written]:
        """What stores the whole content of a new file."""
        self._charge(path, len(data), 1)
        return lambda node: contents.create(self._connection, node, data)

    def _create_file(
        self,
        path: str,
        place: _Place,
        fill: Callable[[int], contents.Written],
        operation: str,
        patch: Mapping[str, JSON] | None,
        parents: bool,
    ) -> Version:
        """Make a file; `fill` stores its content, given the id that it gets."""
        meta = EMPTY if patch is None else merge(EMPTY, patch)
        place = self._make_parents(path, place, parents)
        self._agent(space_of(path) or self._origin.agent)  # rows of new agents come before the node's
        self._agent(self._origin.agent)
        self._agent(self._origin.actor)
        written = fill(self._sequence + 1)
        node = self._insert_node(path, place, FILE, operation, written, meta)
        if meta is not EMPTY:
            self._set_tags(node.id, EMPTY, meta)
        return Version(
            path, 1, node.id, node.time_ns, self._origin.agent, written.size, written.hash, operation
        )

    class _New(NamedTuple):
        id: int
        visibility: int
        time_ns: int

    def _insert_node(
        self,
        path: str,
        place: _Place,
        kind: int,
        operation: str,
        written: contents.Written | None = None,
        meta: str = EMPTY,
        *,
        details: Mapping[str, JSON] | None = None,
        device: int | None = None,
    ) -> _New:
        """A new node under a name: its id is the sequence of its journal row."""
        name = space_of(path) or self._origin.agent  # what is made in a private space belongs to its agent
        owner = self._agent(name)
        mode, group, gid = _new_mode(path, kind), name, self._origin.gid
        above = self._classes.node(place.own, self._connection)
        if above.mode & _SETGID:
            group = above.group
            gid = self._execute("SELECT gid FROM node WHERE id = ?", (place.id,))[0][0]
            mode |= _SETGID if kind == DIRECTORY else 0
        visibility = self._classes.plain(self._connection, name, group, mode)
        content = written or contents.Written(0, b"", None)
        version = 1 if kind == FILE else 0
        self._agent(self._origin.actor)
        node = self._sequence + 1
        now, _ = self._journal(
            operation, node, path, version, content.size, content.hash or None, details=details
        )
        self._execute(
            f"INSERT INTO node VALUES ({', '.join('?' * 23)})",
            (
                node, kind, mode, owner, self._names.group_ids[group], content.size, version, now, now, now,
                self._origin.uid, gid, 1, None, visibility, node, node, None, None, device,
                content.hash or None, meta, content.body,
            ),
        )  # fmt: skip
        self._execute(
            "INSERT INTO name (directory, name, node) VALUES (?, ?, ?)", (place.id, split(path)[1], node)
        )
        self._execute("UPDATE node SET modified_ns = ?1, changed_ns = ?1 WHERE id = ?2", (now, place.id))
        self._touched += (node, place.id)
        return self._New(node, visibility, now)

    def make_special(self, path: str, kind: Kind, *, target: str = "", device: int = 0) -> Stat:
        row = self._locate(path)
        if row is not None:
            self._judge_taken(Operation.STAT, path, row)
            raise Exists(f"{path} exists already")
        place = self._judge_creation(path)
        if kind in (Kind.FILE, Kind.DIRECTORY):
            raise Invalid(f"{path}: a {kind} is made by writing or mkdir")
        body = target.encode()
        if kind is Kind.SYMLINK and not (0 < len(body) < PATH_MAX and "\0" not in target):
            raise Invalid(f"{path}: the target of a symlink is 1 to {PATH_MAX - 1} bytes without NUL")
        if not 0 <= device < 2**63:
            raise Invalid(f"{path}: {device} is no device number")
        self._charge(path, len(body), 1)
        place = self._make_parents(path, place, False)
        operation = journal.SYMLINK if kind is Kind.SYMLINK else journal.MKNOD
        details: dict[str, JSON] = {"kind": str(kind), "device": device}
        written = contents.Written(len(body), b"", body)
        self._insert_node(path, place, KINDS.index(kind), operation, written, details=details, device=device)
        return self._names.stat(self._require(path))

    def hard_link(self, source: str, new: str) -> Stat:
        row = self._require(source)
        self._check(Operation.WRITE, self._found(source, row))
        taken = self._locate(new)
        if taken is not None:
            self._judge_taken(Operation.STAT, new, taken)
            raise Exists(f"{new} exists already")
        place = self._judge_creation(new)
        if row[1] == DIRECTORY:
            raise IsADirectory(f"{source} is a directory, which has one name")
        with self._whole():
            place = self._make_parents(new, place, False)
            self._judge_widening(source, row, place)
            self._carry_widened(row[0], source)
            now, sequence = self._journal(journal.HARD_LINK, row[0], new, row[6], row[5], old_path=source)
            self._execute(
                "INSERT INTO name (directory, name, node, since) VALUES (?, ?, ?, ?)",
                (place.id, split(new)[1], row[0], sequence),
            )
            self._execute("UPDATE node SET links = links + 1, changed_ns = ? WHERE id = ?", (now, row[0]))
            self._execute("UPDATE node SET modified_ns = ?1, changed_ns = ?1 WHERE id = ?2", (now, place.id))
            if self._widens(row, place):
                self._widened(row[0], row[1], sequence)
            self._everything |= bool(self._classes.node(row[_OWN], self._connection).shares)
            self._touched += (row[0], place.id)
        return self._names.stat(self._require(new))

    # --- removing and moving -----------------------------------------------------------------------

    def delete(self, path: str, *, recursive: bool = False) -> int:
        row = self._require(path)
        place = self._nearest(split(path)[0])
        self._check(Operation.DELETE, self._found(path, row, place.own))
        self._refuse_fixed(path, "removed")
        with self._whole():
            return self._remove(path, row, recursive, row[0])

    def _remove(self, path: str, row: Row, recursive: bool, top: int, *, expired: bool = False) -> int:
        """Take a name away, with `recursive` all below it first. `top` is the node that is being deleted."""
        removed = 0
        self._everything |= bool(self._classes.node(row[_OWN], self._connection).shares)
        if row[1] == DIRECTORY:
            while True:
                names = self._execute("SELECT name FROM name WHERE directory = ? LIMIT 1000", (row[0],))
                if not names:
                    break
                for (name,) in names:
                    child = join(path, name)
                    found = self._locate(child)
                    if found is None:
                        continue  # it had expired, and is gone now
                    if not recursive:
                        raise NotEmpty(f"{path} is not empty")
                    self._judge_inner(path, child, found, row[_OWN])
                    removed += self._remove(child, found, True, top)
            self._execute("DELETE FROM directory WHERE id = ?", (row[0],))
        details: dict[str, JSON] = {journal.CLASS: row[_WITHIN]}
        if expired:
            details[journal.EXPIRED] = True
        if row[0] != top:
            details[journal.WITHIN] = top
        now, sequence = self._journal(journal.DELETE, row[0], path, row[6], row[5], details=details)
        trash.keep_name(self._connection, row[_PARENT], split(path)[1], sequence)
        self._carry_widened(row[0], path)
        self._execute("DELETE FROM name WHERE directory = ? AND name = ?", (row[_PARENT], split(path)[1]))
        self._execute(
            "UPDATE node SET links = links - 1, changed_ns = ?1, "
            "deleted_sequence = CASE WHEN links = 1 THEN ?2 ELSE NULL END WHERE id = ?3",
            (now, sequence, row[0]),
        )
        self._execute("UPDATE node SET modified_ns = ?1, changed_ns = ?1 WHERE id = ?2", (now, row[_PARENT]))
        self._touched += (row[0], row[_PARENT])
        return removed + 1

    def _judge_inner(self, path: str, child: str, row: Row, directory: int) -> None:
        """Judge removing what is in a directory, without naming what may not be known."""
        try:
            self._check(Operation.DELETE, self._found(child, row, directory))
        except NotFound:
            raise NotEmpty(f"{path} holds more than you may remove") from None

    def trashed(self, node: int) -> Trashed | None:
        self._come_upon(node)
        found = trash.find(self._connection, node)
        return None if found is None else self._trashed(found)

    def _come_upon(self, node: int) -> None:
        """Take its names away from a node that has expired."""
        if self._sequence == _UNREAD:
            self._start()
        if self._execute(
            "SELECT 1 FROM node WHERE id = ? AND links > 0 AND expires_ns <= ?", (node, self._now)
        ):
            for path in self.names(node):
                self._locate(path)

    def _trashed(self, found: trash.Deleted) -> Trashed:
        stat, by = self._names.stat(found.row), self._names.user(found.agent)
        return Trashed(found.path, stat, found.row[_OWN], found.sequence, found.time_ns, by)

    def restore(self, node: int, to: str | None = None) -> Moved:
        self._come_upon(node)
        found = trash.find(self._connection, node)
        if found is None:
            raise NotFound(f"there is no deleted node @{node} to restore")
        with self._whole():
            restored: list[tuple[str, str]] = []
            self._restore(found, to, node, restored)
        return Moved(len(restored), self._sequence, tuple(restored))

    def _restore(
        self, found: trash.Deleted, to: str | None, top: int, restored: list[tuple[str, str]]
    ) -> None:
        """Bring back a deleted node, and below it what was deleted with `top`."""
        path = to or join(self._restore_directory(found), found.name)
        if self._locate(path) is not None:
            self._judge_taken(Operation.STAT, path, self._require(path))
            raise Exists(f"{path} exists already; restore it to another path")
        place = self._make_parents(path, self._judge_creation(path), True)
        node, kind = found.row[0], found.row[1]
        own = self._classes.node(found.row[_OWN], self._connection)
        after = self._classes.directory(place.within, self._connection)
        readable = kind != DIRECTORY and own.mode & 0o444 == 0o444
        widens = found.within is None or self._classes.directory(found.within, self._connection).widens_to(
            after, readable
        )
        if widens:
            judged = self._names.stat(found.row)
            self._check(
                Operation.SHARE,
                Found(path, judged, place.within, found.row[_OWN], place.id, self._sequence, place.own),
            )
        now, sequence = self._journal(
            journal.RESTORE, node, path, found.row[6], found.row[5], old_path=found.path
        )
        self._execute(
            "INSERT INTO name (directory, name, node, since) VALUES (?, ?, ?, ?)",
            (place.id, split(path)[1], node, sequence),
        )
        self._execute(
            "UPDATE node SET links = 1, deleted_sequence = NULL, changed_ns = ?1, expires_ns = "
            "CASE WHEN expires_ns <= ?1 THEN NULL ELSE expires_ns END WHERE id = ?2",
            (now, node),
        )
        self._execute("UPDATE node SET modified_ns = ?1, changed_ns = ?1 WHERE id = ?2", (now, place.id))
        self._touched += (node, place.id)
        restored.append((found.path, path))
        if kind == DIRECTORY:
            within = self._classes.intern(self._connection, after.enter(space_of(path), own))
            self._execute(
                "INSERT INTO directory (id, path, visibility, widened_sequence) "
                "SELECT id, ?, ?, widened_sequence FROM node WHERE id = ?",
                (path, within, node),
            )
        if kind == DIRECTORY or own.shares:
            self._everything = True
        if widens:
            self._widened(node, kind, sequence)
        if kind == DIRECTORY:
            for child in list(trash.deleted_with(self._connection, node, top)):
                inner = trash.find(self._connection, child)
                if inner is not None:
                    self._restore(inner, join(path, inner.name), top, restored)

    def _restore_directory(self, found: trash.Deleted) -> str:
        """The path of the directory that a deleted node was in, which comes back if it was deleted too."""
        rows = self._execute("SELECT path FROM directory WHERE id = ?", (found.directory,))
        if rows:
            return str(rows[0][0])
        above = trash.find(self._connection, found.directory)
        if above is None:
            return split(found.path)[0]
        restored: list[tuple[str, str]] = []
        self._restore(above, None, 0, restored)
        return restored[0][1]

    def forget(self, node: int, approve: Callable[[Trashed], None]) -> int:
        if self._sequence == _UNREAD:
            self._start()
        nodes = forget.choose(self._connection, node, lambda found: approve(self._trashed(found)))
        with self._whole():
            self._journal(journal.FORGET, 0, "", 0, 0, details={"nodes": len(nodes)})
            self._touched += nodes
            self._everything = True
            return forget.erase(self._execute, self._connection, nodes, self._sequence, self._plain_class)

    def _plain_class(self, row: Row) -> int:
        """The class without shares for (owner, group, mode)."""
        owner, group, mode = row
        return self._classes.plain(
            self._connection, self._names.users[owner], self._names.groups[group], mode
        )

    def set_expiry(self, path: str, expires_ns: int | None) -> None:
        row = self._require(path)
        self._check(Operation.WRITE, self._found(path, row))
        if expires_ns is not None:
            self._check(Operation.DELETE, self._found(path, row, self._nearest(split(path)[0]).own))
        if row[1] == DIRECTORY:
            raise IsADirectory(f"{path} is a directory; only a note can expire")
        if expires_ns == row[_EXPIRES]:
            return
        details = {"expires_ns": expires_ns, journal.BEFORE: row[_EXPIRES]}
        now, _ = self._journal(journal.EXPIRY, row[0], path, row[6], row[5], details=details)
        self._execute(
            "UPDATE node SET expires_ns = ?, changed_ns = ? WHERE id = ?", (expires_ns, now, row[0])
        )
        self._touched.append(row[0])

    def rename(self, old: str, new: str, *, replace: bool = False) -> Moved:
        row = self._require(old)
        self._check(Operation.DELETE, self._found(old, row, self._nearest(split(old)[0]).own))
        target = None if old == new else self._locate(new)
        place = self._nearest(split(new)[0])
        if target is None:
            self._check(
                Operation.CREATE, Found(new, None, place.within, 0, place.id, self._sequence, place.own)
            )
        else:
            self._judge_taken(Operation.DELETE if replace else Operation.STAT, new, target, place.own)
        self._refuse_fixed(old, "moved")
        if old == new or (target is not None and target[0] == row[0]):
            return Moved(0, self._sequence)  # POSIX: nothing, where both are names of one node
        if is_within(new, old):
            raise Invalid(f"{old} cannot be moved into itself ({new})")
        if row[1] == DIRECTORY and len(new) > len(old):
            self._refuse_too_long(old, new)
        with self._whole():
            if target is not None:
                self._make_way(old, row, new, target, replace)
            place = self._make_parents(new, place, True)
            self._judge_widening(old, row, place)
            self._move(old, row, new, place)
        return Moved(1, self._sequence, ((old, new),))

    def rename_prefix(self, old: str, new: str) -> Moved:
        directory, start = split(old)
        target, new_start = split(new)
        source = self._execute("SELECT id FROM directory WHERE path = ?", (directory,))
        names = (
            self._execute(
                "SELECT name FROM name WHERE directory = ? AND name >= ? AND substr(name, 1, ?) = ? ORDER BY name",
                (source[0][0], start, len(start), start),
            )
            if source
            else []
        )
        if not start:
            names = [row for row in names if row[0]]
        moved: list[tuple[str, str]] = []
        with self._whole():
            for (name,) in names:
                path, to = join(directory, name), join(target, new_start + name[len(start) :])
                try:
                    self._check(Operation.STAT, self._found(path, self._require(path)))
                except NotFound:
                    continue  # it does not exist for this agent
                self.rename(path, to)
                moved.append((path, to))
        return Moved(len(moved), self._sequence, tuple(moved))

    def _refuse_too_long(self, old: str, new: str) -> None:
        """Refuse a move that would push what is below a directory over PATH_MAX."""
        longest = self._execute(
            "SELECT max(octet_length(path)) FROM directory WHERE path = ?1 OR (path > ?2 AND path < ?3)",
            (old, old + "/", old + "0"),
        )[0][0]
        if longest + len(new.encode()) - len(old.encode()) + 1 + NAME_MAX > PATH_MAX:
            raise NameTooLong(f"paths below {new} would be over {PATH_MAX} bytes")

    def _make_way(self, old: str, row: Row, new: str, target: Row, replace: bool) -> None:
        """Remove what stands at the target of a rename, as POSIX allows."""
        if not replace:
            raise Exists(f"{new} exists already")
        self._refuse_fixed(new, "replaced")
        if target[1] == DIRECTORY and row[1] != DIRECTORY:
            raise IsADirectory(f"{new} is a directory and {old} is not")
        if target[1] != DIRECTORY and row[1] == DIRECTORY:
            raise NotADirectory(f"{new} is not a directory and {old} is")
        self._remove(new, target, False, target[0])

    def _widens(self, row: Row, place: _Place) -> bool:
        """Whether somebody new may read the node once it is in `place`."""
        before = self._classes.directory(row[_WITHIN], self._connection)
        after = self._classes.directory(place.within, self._connection)
        mode = self._classes.node(row[_OWN], self._connection).mode
        return before.widens_to(after, row[1] != DIRECTORY and mode & 0o444 == 0o444)

    def _judge_widening(self, old: str, row: Row, place: _Place) -> None:
        """A move that widens who may read is a share: of the node, and of others' nodes below it."""
        if not self._widens(row, place):
            return
        self._check(Operation.SHARE, self._found(old, row))
        if row[1] == DIRECTORY:
            others = self._execute(
                "SELECT d.path, m.name FROM directory d JOIN name m ON m.directory = d.id "
                "JOIN node n ON n.id = m.node WHERE (d.path = ?1 OR (d.path > ?2 AND d.path < ?3)) "
                "AND n.owner <> ?4 AND (n.expires_ns IS NULL OR n.expires_ns > ?5) LIMIT 1",
                (old, old + "/", old + "0", self._agent(self._origin.agent), self._now),
            )
            for directory, name in others:
                path = join(directory, name)
                try:
                    self._check(Operation.SHARE, self._found(path, self._require(path)))
                except (NotFound, Denied):
                    raise NotOwner(
                        f"{old} holds notes of others, whom alone it is for to let more agents read them"
                    ) from None

    def _move(self, old: str, row: Row, new: str, place: _Place) -> None:
        node = row[0]
        widens = self._widens(row, place)
        self._carry_widened(node, old)
        now, sequence = self._journal(journal.RENAME, node, new, row[6], row[5], old_path=old)
        trash.keep_name(self._connection, row[_PARENT], split(old)[1], sequence)
        self._execute(
            "UPDATE name SET directory = ?, name = ?, since = ? WHERE directory = ? AND name = ?",
            (place.id, split(new)[1], sequence, row[_PARENT], split(old)[1]),
        )
        self._execute("UPDATE node SET changed_ns = ? WHERE id = ?", (now, node))
        for parent in {row[_PARENT], place.id}:
            self._execute("UPDATE node SET modified_ns = ?1, changed_ns = ?1 WHERE id = ?2", (now, parent))
        own = self._classes.node(row[_OWN], self._connection)
        if widens:
            self._widened(node, row[1], sequence)
        if row[1] == DIRECTORY:
            self._execute(
                "UPDATE directory SET path = ?1 || substr(path, ?2) "
                "WHERE path = ?3 OR (path > ?4 AND path < ?5)",
                (new, len(old) + 1, old, old + "/", old + "0"),
            )
            refresh_tree(self._connection, self._classes, new)
            self._everything = True
        elif own.shares:
            self._everything = True
        self._touched += (node, row[_PARENT], place.id)

    # --- who may ---------------------------------------------------------------------------------

    def set_mode(self, path: str, mode: int) -> Stat:
        if not 0 <= mode <= 0o7777:
            raise Invalid(f"{mode:o} is not a mode: give 0 to 7777 (octal)")
        row = self._require(path)
        self._check(Operation.MODE, self._found(path, row))
        self._refuse_opening(path, mode)
        own = self._classes.node(row[_OWN], self._connection)
        new = NodeClass(own.owner, own.group, mode, own.shares)
        return self._reclassify(path, row, new, journal.MODE, {"mode": mode, journal.BEFORE: own.mode})

    def set_owner(self, path: str, owner: str | None = None, group: str | None = None) -> Stat:
        row = self._require(path)
        self._check(Operation.MODE, self._found(path, row))
        own = self._classes.node(row[_OWN], self._connection)
        if owner is not None and path == f"{PRIVATE}/{space_of(path)}":
            raise Invalid(f"{path} is a private space and belongs to its agent")
        new = NodeClass(owner or own.owner, group or own.group, own.mode, own.shares)
        self._agent(new.owner)
        self._group(new.group)
        before = {"owner": own.owner, "group": own.group}
        details = {"owner": new.owner, "group": new.group, journal.BEFORE: before}
        return self._reclassify(path, row, new, journal.OWNER, details)

    def set_posix_owner(self, path: str, uid: int | None = None, gid: int | None = None) -> Stat:
        row = self._require(path)
        self._check(Operation.MODE, self._found(path, row))
        new = (row[10] if uid is None else uid, row[11] if gid is None else gid)
        if not all(0 <= number < 2**32 for number in new):
            raise Invalid(f"{path}: uid and gid are from 0 to 4,294,967,295")
        if new != (row[10], row[11]):
            details = {"uid": new[0], "gid": new[1], journal.BEFORE: {"uid": row[10], "gid": row[11]}}
            now, _ = self._journal(journal.CHOWN, row[0], path, row[6], row[5], details=details)
            self._execute(
                "UPDATE node SET uid = ?, gid = ?, changed_ns = ? WHERE id = ?", (*new, now, row[0])
            )
            self._touched += (row[0], row[_PARENT])
        return self._names.stat(self._require(path))

    def set_times(self, path: str, accessed_ns: int | None = None, modified_ns: int | None = None) -> Stat:
        row = self._require(path)
        self._check(Operation.WRITE, self._found(path, row))
        new = (
            row[14] if accessed_ns is None else accessed_ns,
            row[7] if modified_ns is None else modified_ns,
        )
        if not all(-(2**63) <= moment < 2**63 for moment in new):
            raise Invalid(f"{path}: a time is out of what can be kept")
        before = {"accessed_ns": row[14], "modified_ns": row[7]}
        details = {"accessed_ns": new[0], "modified_ns": new[1], journal.BEFORE: before}
        now, _ = self._journal(journal.TIMES, row[0], path, row[6], row[5], details=details)
        self._execute(
            "UPDATE node SET accessed_ns = ?, modified_ns = ?, changed_ns = ? WHERE id = ?",
            (*new, now, row[0]),
        )
        self._touched += (row[0], row[_PARENT])
        return self._names.stat(self._require(path))

    def set_attribute(
        self, path: str, name: str, value: bytes, *, create: bool = False, replace: bool = False
    ) -> None:
        row = self._require(path)
        self._check(Operation.WRITE, self._found(path, row))
        attributes.put(self._connection, row[0], path, name, value, create=create, replace=replace)
        self._attribute_changed(path, row, name)

    def remove_attribute(self, path: str, name: str) -> None:
        row = self._require(path)
        self._check(Operation.WRITE, self._found(path, row))
        attributes.remove(self._connection, row[0], path, name)
        self._attribute_changed(path, row, name)

    def _attribute_changed(self, path: str, row: Row, name: str) -> None:
        now, _ = self._journal(journal.XATTR, row[0], path, row[6], row[5], details={"name": name})
        self._execute("UPDATE node SET changed_ns = ? WHERE id = ?", (now, row[0]))
        self._touched.append(row[0])

    def share(self, path: str, agent: str, access: Access | None) -> None:
        if access not in ("r", "rw", None):
            raise Invalid(f"a share grants 'r' or 'rw', not {access!r}")
        row = self._require(path)
        self._check(Operation.SHARE, self._found(path, row))
        own = self._classes.node(row[_OWN], self._connection)
        shares = {name: held for name, held in own.shares.items() if name != agent}
        user = self._agent(agent)
        if access is None:
            self._execute("DELETE FROM share WHERE node = ? AND user = ?", (row[0], user))
        else:
            shares[agent] = access
            self._execute(
                "INSERT OR REPLACE INTO share (node, user, access) VALUES (?, ?, ?)", (row[0], user, access)
            )
        new = NodeClass(own.owner, own.group, own.mode, shares)
        details = {"agent": agent, "access": access, journal.BEFORE: own.shares.get(agent)}
        self._reclassify(path, row, new, journal.SHARE, details)

    def _reclassify(
        self, path: str, row: Row, new: NodeClass, operation: str, details: Mapping[str, JSON]
    ) -> Stat:
        """Give a node another class, and all below it if it is a directory."""
        old = self._classes.node(row[_OWN], self._connection)
        if new != old:
            own = self._classes.intern(self._connection, new)
            now, sequence = self._journal(operation, row[0], path, row[6], row[5], details=details)
            self._execute(
                'UPDATE node SET mode = ?, owner = ?, "group" = ?, visibility = ?, changed_ns = ? WHERE id = ?',
                (
                    new.mode,
                    self._names.user_ids[new.owner],
                    self._names.group_ids[new.group],
                    own,
                    now,
                    row[0],
                ),
            )
            if operation != journal.MODE or new.mode & ~old.mode & 0o555:
                self._widened(row[0], row[1], sequence)
            if row[1] == DIRECTORY:
                refresh_tree(self._connection, self._classes, path)
            if row[1] == DIRECTORY or operation == journal.SHARE:
                self._everything = True
            self._touched += (row[0], row[_PARENT])
        return self._names.stat(self._require(path))

    def _widened(self, node: int, kind: int, sequence: int) -> None:
        self._execute("UPDATE node SET widened_sequence = ? WHERE id = ?", (sequence, node))
        if kind == DIRECTORY:
            self._execute("UPDATE directory SET widened_sequence = ? WHERE id = ?", (sequence, node))

    def _carry_widened(self, node: int, path: str) -> None:
        """What leaves a directory takes along when it was last opened there, or its drafts would be seen elsewhere."""
        above = [path]
        while above[-1] != "/":
            above.append(split(above[-1])[0])
        self._execute(
            "UPDATE node SET widened_sequence = (SELECT max(widened_sequence) FROM directory WHERE path IN "
            f"({', '.join('?' * len(above))})) WHERE id = ? AND widened_sequence < (SELECT "
            f"max(widened_sequence) FROM directory WHERE path IN ({', '.join('?' * len(above))}))",
            (*above, node, *above),
        )
        self._execute(
            "UPDATE directory SET widened_sequence = (SELECT widened_sequence FROM node WHERE id = ?1) WHERE id = ?1",
            (node,),
        )

    def put_user(self, user: User) -> None:
        id = self._agent(user.name)
        held = None if user.capabilities is None else json.dumps(sorted(user.capabilities))
        self._execute("UPDATE user SET capabilities = ? WHERE id = ?", (held, id))
        self._execute("DELETE FROM membership WHERE user = ?", (id,))
        for group in user.groups:
            self._execute('INSERT INTO membership (user, "group") VALUES (?, ?)', (id, self._group(group)))
        details = {
            "name": user.name,
            "groups": sorted(user.groups),
            "capabilities": None if user.capabilities is None else sorted(user.capabilities),
        }
        self._journal(journal.USER, 0, "", 0, 0, details=details)
        self._everything = True

    # --- links and notes -------------------------------------------------------------------------

    def link(self, source: str, target: str, kind: str, weight: float = 1.0) -> None:
        start, end = self._judge_link(source, target)
        before = self._execute(
            "SELECT weight FROM link WHERE source = ? AND kind = ? AND target = ?", (start[0], kind, end[0])
        )
        self._execute(
            "INSERT OR REPLACE INTO link (source, kind, target, weight) VALUES (?, ?, ?, ?)",
            (start[0], kind, end[0], weight),
        )
        details = {"kind": kind, "target": end[0], "weight": weight}
        if before:
            details[journal.BEFORE] = before[0][0]
        self._journal(journal.LINK, start[0], source, start[6], start[5], details=details)
        self._touched += (start[0], end[0])

    def _judge_link(self, source: str, target: str) -> tuple[Row, Row]:
        """Both ends of a link: the source first, so that nothing is said of the target to who may not write it."""
        start = self._require(source)
        self._check(Operation.LINK, self._found(source, start))
        end = self._require(target)
        self._check(Operation.READ, self._found(target, end))
        return start, end

    def unlink(self, source: str, target: str, kind: str | None = None) -> int:
        start, end = self._judge_link(source, target)
        removed = self._execute(
            "DELETE FROM link WHERE source = ?1 AND target = ?2 AND (?3 IS NULL OR kind = ?3) RETURNING kind, weight",
            (start[0], end[0], kind),
        )
        for gone, weight in removed:
            details = {"kind": gone, "target": end[0], "weight": weight}
            self._journal(journal.UNLINK, start[0], source, start[6], start[5], details=details)
            self._touched += (start[0], end[0])
        return len(removed)

    def record_copy(self, kind: str, location: str, sequence: int) -> None:
        super().record_copy(kind, location, sequence)
        self._execute(
            "INSERT INTO copy (kind, location, time_ns, sequence) VALUES (?, ?, ?, ?)",
            (kind, location, self._now, sequence),
        )

    def note(self, operation: str, details: Mapping[str, JSON]) -> int:
        return self._journal(operation, 0, "", 0, 0, details=details)[1]

    def purge(self, retention: Retention, limit: int, after: int) -> Purged:
        """Drop what need not be kept, and delete what has expired; journalled if anything was."""
        if self._sequence == _UNREAD:
            self._start()
        gone = keeping.expired(self._execute, self._now, limit)
        for directory, name in gone:
            self._locate(join(directory, name))  # which takes away what has expired
        cutoff = self._sequence_at(self._now - retention.replaced_ns)
        contents_dropped, last = keeping.drop_versions(
            self._execute, cutoff, retention.versions, after, limit
        )
        cutoff = self._sequence_at(self._now - retention.deleted_ns)
        nodes = keeping.purge_deleted(self._execute, cutoff, self._sequence, limit)
        self._touched += nodes
        more = last or (after if limit in (len(nodes), len(gone)) else None)
        purged = Purged(contents_dropped, len(nodes), len(gone), more)
        rows = self._execute(
            "SELECT value FROM info WHERE key IN ('purged_ns', 'created_ns') ORDER BY key DESC LIMIT 1"
        )
        due = more is None and int(rows[0][0]) < self._now - keeping.AT_LEAST_NS
        if contents_dropped or nodes or due:
            if more is None:
                self._execute(
                    "INSERT OR REPLACE INTO info (key, value) VALUES ('purged_ns', ?)", (str(self._now),)
                )
            self._journal(
                journal.PURGE, 0, "", 0, 0, details={"contents": contents_dropped, "nodes": len(nodes)}
            )
        return purged

    def mend(self) -> dict[str, int]:
        """Make what is derived anew; what was wrong, and how often."""
        mended = mending.mend(self._connection, self._classes)
        if mended:
            self._journal(journal.MEND, 0, "", 0, 0, details=mended)
            self._everything = True
        return mended

    def _sequence_at(self, time_ns: int) -> int:
        rows = self._execute(
            "SELECT sequence FROM journal WHERE time_ns <= ? ORDER BY sequence DESC LIMIT 1", (time_ns,)
        )
        return int(rows[0][0]) if rows else 0

    # --- looking up ------------------------------------------------------------------------------

    def find(self, path: str) -> Found:
        row = self._locate(path)
        if row is not None:
            return self._found(path, row)
        place = self._nearest(split(path)[0])
        return Found(path, None, place.within, 0, place.id, self._sequence, place.own)

    def names(self, node: int) -> list[str]:
        rows = self._execute(
            "SELECT d.path, m.name FROM name m JOIN directory d ON d.id = m.directory WHERE m.node = ?",
            (node,),
        )
        return sorted(join(directory, name) if name else "/" for directory, name in rows)

    def _locate(self, path: str) -> Row | None:
        row: Row = self._connection.execute(_LOCATE, split(path)).fetchall()[0]
        if self._sequence == _UNREAD:
            self._start(row[-2], row[-1])
        if row[_EXPIRES] is not None and row[_EXPIRES] <= self._now:
            self._remove(path, row, False, row[0], expired=True)  # it blocks nothing
            return self._locate(path)
        return None if row[0] is None else row

    def _require(self, path: str) -> Row:
        row = self._locate(path)
        if row is None:
            place = self._nearest(split(path)[0])
            self._check(
                Operation.STAT, Found(path, None, place.within, 0, place.id, self._sequence, place.own)
            )
            raise NotFound.at(path)
        return row

    def _found(self, path: str, row: Row, directory: int = 0) -> Found:
        return Found(
            path,
            self._names.stat(row),
            row[_WITHIN],
            row[_OWN],
            row[_PARENT],
            self._sequence,
            directory,
            row[_META],
        )

    @staticmethod
    def _refuse_fixed(path: str, what: str) -> None:
        if path in FIXED:
            raise InUse(f"{path} is a fixed place of the store and cannot be {what}")

    @staticmethod
    def _refuse_opening(path: str, mode: int) -> None:
        if mode & 0o077 and path == f"{PRIVATE}/{space_of(path)}":
            raise Invalid(f"{path} is a private space: only a share opens it, no mode does")

    # --- the journal, and who --------------------------------------------------------------------

    def _journal(
        self,
        operation: str,
        node: int,
        path: str,
        version: int,
        size: int,
        content_hash: bytes | None = None,
        *,
        old_path: str | None = None,
        details: Mapping[str, JSON] | None = None,
    ) -> tuple[int, int]:
        """Append a row; returns its time and sequence."""
        if self._sequence == _UNREAD:
            self._start()
        agent, actor = self._agent(self._origin.agent), self._agent(self._origin.actor)
        if self.undoing is not None:
            details = {**(details or {}), journal.UNDOES: self.undoing}
        if self.attributed is not None:
            details = {**(details or {}), journal.ATTRIBUTED: dict(self.attributed)}
        text = None if details is None else json.dumps(details, sort_keys=True, ensure_ascii=False)
        sequence, now = self._sequence + 1, self._now
        salt, door = os.urandom(journal.SALT_SIZE), self._origin.door
        commitment = journal.commitment(
            salt, node, path, old_path, version, size, content_hash, agent, actor, door, text
        )
        chain = journal.chain(self._chain, sequence, now, operation, commitment)
        self._connection.execute(
            "INSERT INTO journal VALUES (?, ?, ?, ?, ?, ?, ?, ?, ?, ?, ?, ?, ?, ?, NULL, ?)",
            (
                sequence, now, operation, node, path, old_path, version, size, content_hash, agent, actor, door,
                text, salt, chain,
            ),
        )  # fmt: skip
        self._sequence, self._chain = sequence, chain
        return now, sequence

    def _agent(self, name: str) -> int:
        """The id of an agent, stored (and journalled) at its first write."""
        id = self._names.user_ids.get(name)
        if id is not None:
            return id
        self._names.refresh(self._execute)
        if name in self._names.user_ids:
            return self._names.user_ids[name]
        self._everything = True
        self._execute("INSERT INTO user (name) VALUES (?)", (name,))
        self._group(name)
        self._names.refresh(self._execute)
        self._journal(journal.USER, 0, "", 0, 0, details={"name": name})
        return self._names.user_ids[name]

    def _group(self, name: str) -> int:
        if name not in self._names.group_ids:
            self._execute('INSERT OR IGNORE INTO "group" (name) VALUES (?)', (name,))
            self._everything = True
            self._names.refresh(self._execute)
        return self._names.group_ids[name]

    def _set_tags(self, node: int, old: str, new: str) -> None:
        before, after = set(tags_of(old)), set(tags_of(new))
        for tag in before - after:
            self._execute("DELETE FROM tag WHERE node = ? AND name = ?", (node, tag))
        for tag in after - before:
            self._execute("INSERT INTO tag (node, name) VALUES (?, ?)", (node, tag))


def _stored(row: Row) -> contents.Stored:
    return contents.Stored(row[0], row[5], row[6], row[_CONTENT], row[_BODY])


def _first_below(directory: str, path: str) -> str:
    """The first name on the way from `directory` to `path` below it."""
    start = 1 if directory == "/" else len(directory) + 1
    return path[start:].partition("/")[0]


def _new_mode(path: str, kind: int) -> int:
    """What a new node gets: open to all in shared places, to its owner in private ones."""
    if space_of(path) is not None:
        return 0o700 if kind == DIRECTORY else 0o600
    return 0o777 if kind == DIRECTORY else 0o666
