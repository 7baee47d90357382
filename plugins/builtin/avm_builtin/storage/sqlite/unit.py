"""One unit of change: the write lock, the journal, who acts, what is touched; resolving and judging names."""

from __future__ import annotations

import json
import os
import time
from collections.abc import Callable, Iterator, Mapping
from contextlib import contextmanager
from types import TracebackType
from typing import Any, NamedTuple

import apsw

from avm_builtin.storage.sqlite.classes import Classes
from avm_builtin.storage.sqlite.connection import Database, Row
from avm_builtin.storage.sqlite.rows import STAT, STAT_WIDTH, Names
from vfs_core import journal
from vfs_core.bell import Bell
from vfs_core.errors import (
    CorruptStore,
    InUse,
    Invalid,
    NotFound,
    StoreReplaced,
)
from vfs_core.path import MEMORY, NAME_MAX, PATH_MAX, PRIVATE, SHARED, join, split
from vfs_core.storage import Charge, Check, Found, Operation, Transaction
from vfs_core.types import JSON, Origin

FIXED = frozenset({"/", MEMORY, PRIVATE, SHARED})
"""Directories that every store has and keeps."""
_HEAD = "SELECT sequence, chain FROM journal ORDER BY sequence DESC LIMIT 1"
_LOCATE = f"""SELECT {STAT}, d.id, d.visibility, n.body, n.content_sequence, j.sequence, j.chain
    FROM ({_HEAD}) AS j LEFT JOIN directory d ON d.path = ?
    LEFT JOIN name m ON m.directory = d.id AND m.name = ? LEFT JOIN node n ON n.id = m.node"""
"""One row always: the name (NULLs if it is absent) and the journal's head."""
_LOCATE_NEXT = f"""SELECT {STAT}, d.id, d.visibility, n.body, n.content_sequence FROM directory d
    JOIN name m ON m.directory = d.id AND m.name = ?2 JOIN node n ON n.id = m.node WHERE d.path = ?1"""
"""The same without the head, which a transaction reads once; no row if the name is absent."""
_LOCATE_IN = f"""SELECT {STAT}, m.directory, ?3, n.body, n.content_sequence FROM name m
    JOIN node n ON n.id = m.node WHERE m.directory = ?1 AND m.name = ?2"""
"""The same in a directory whose id and class the transaction has met."""
META, PARENT, WITHIN, BODY, CONTENT = (
    STAT_WIDTH - 1,
    STAT_WIDTH,
    STAT_WIDTH + 1,
    STAT_WIDTH + 2,
    STAT_WIDTH + 3,
)
OWN = STAT_WIDTH - 2
EXPIRES = 13
_SALTS = 64
"""Salts that are fetched at a time."""
UNREAD = -1
"""The sequence before the journal's head has been read."""


class Place(NamedTuple):
    """The nearest directory that exists on the way to a name."""

    id: int
    path: str
    within: int
    own: int


class Unit:
    """What the changes of one transaction share. Used as a context manager; ends with commit or rollback."""

    def __init__(
        self,
        database: Database,
        bell: Bell,
        classes: Classes,
        names: Names,
        origin: Origin,
        check: Check,
        charge: Charge,
        marks: Transaction,
        expire: Callable[[Unit, str, Row], object],
    ) -> None:
        """`marks` says what journal rows are marked with; `expire` takes a name away whose node has expired."""
        self.database = database
        self.bell = bell
        self.classes = classes
        self.users = names
        self.origin = origin
        self.check = check
        self.charge = charge
        self.marks = marks
        self._expire = expire
        self.touched: list[int] = []
        self._salts: list[bytes] = []
        # Directories that the transaction has met, by path, until it changes one.
        self.homes: dict[str, tuple[int, int]] = {}
        self.places: dict[str, Place] = {}
        self.everything = False

    def __enter__(self) -> Unit:
        self.database.mutex.acquire()
        try:
            self.cursor = self.database.begin()
            self.run = self.cursor.execute
            if self.bell.replaced:
                self.database.rollback()
                raise StoreReplaced(f"{self.database.path} was restored from a backup meanwhile; ask again")
        except BaseException:
            self.database.mutex.release()
            raise
        self._first = self.sequence = UNREAD
        return self

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        try:
            if kind is not None or self.sequence == self._first:
                self._undo()
                if isinstance(error, (apsw.Error, UnicodeDecodeError)):
                    raise self.database.translate(error) from error
                return
            everything = self.everything or self.classes.has_pending
            try:
                self.bell.announce(self.sequence, self.touched, everything)
                self.database.commit()
            except BaseException:
                self.database.rollback()
                self.classes.rolled_back()
                self.users.refresh()
                raise
            self.classes.committed()
            self.bell.ring()
        finally:
            self.database.mutex.release()

    def start(self, sequence: int | None = None, chain: bytes | None = None) -> None:
        """Take the journal's head, from the first statement that reads it."""
        if sequence is None or chain is None:
            sequence, chain = self.execute(_HEAD)[0]
        self._first = self.sequence = sequence
        self._chain = chain
        self.now = time.time_ns()
        if self.bell.head > sequence:  # announced by a writer that never committed; nobody is writing now
            self.bell.heal(sequence)

    def _undo(self) -> None:
        self.database.rollback()
        self.classes.rolled_back()
        if self.everything:
            self.users.refresh()

    @contextmanager
    def whole(self) -> Iterator[None]:
        """What happens inside happens wholly or not at all, even if the caller catches the error and goes on."""
        if self.sequence == UNREAD:
            self.start()
        before = self.sequence, self._chain, len(self.touched)
        self.execute("SAVEPOINT operation")
        try:
            yield
        except BaseException:
            self.execute("ROLLBACK TO operation")
            self.sequence, self._chain, touched = before
            del self.touched[touched:]
            self.forget_directories()
            self.classes.rolled_back()
            self.users.refresh(self.execute)
            raise
        finally:
            self.execute("RELEASE operation")

    def forget_directories(self) -> None:
        """After a change to what a directory is called, or to who may enter it."""
        self.homes.clear()
        self.places.clear()

    def execute(self, sql: str, arguments: tuple[Any, ...] = ()) -> list[Row]:
        """Run a statement to its end."""
        return self.run(sql, arguments).fetchall()

    def judge_creation(self, path: str) -> Place:
        """Ask whether the absent `path` may be made, and return the nearest directory that exists."""
        place = self.nearest(split(path)[0])
        self.check(Operation.CREATE, Found(path, None, place.within, 0, place.id, self.sequence, place.own))
        name = split(path)[1]
        if len(name.encode()) > NAME_MAX or len(path.encode()) > PATH_MAX:
            raise Invalid(f"{path!r} is too long")
        return place

    def judge_taken(self, operation: Operation, path: str, row: Row, directory: int = 0) -> None:
        """Judge what would make `path` if it were not taken: to whom it does not exist, as if it were absent."""
        try:
            self.check(operation, self.as_found(path, row, directory))
        except NotFound:
            self.judge_creation(path)
            raise

    def nearest(self, path: str) -> Place:
        """The nearest directory that exists at or above a path."""
        asked = path
        place = self.places.get(path)
        if place is not None:
            return place
        while True:
            rows = self.execute(
                "SELECT d.id, d.path, d.visibility, n.visibility FROM directory d JOIN node n ON n.id = d.id "
                "WHERE d.path = ?",
                (path,),
            )
            if rows:
                place = Place(*rows[0])
                if path == asked:
                    self.places[path] = place
                return place
            if path == "/":
                raise CorruptStore(f"{self.database.path} has no root directory; type: avm doctor")
            path = split(path)[0]

    def find(self, path: str) -> Found:
        """See `Transaction.find`."""
        row = self.locate(path)
        if row is not None:
            return self.as_found(path, row)
        place = self.nearest(split(path)[0])
        return Found(path, None, place.within, 0, place.id, self.sequence, place.own)

    def names(self, node: int) -> list[str]:
        """See `Transaction.names`."""
        rows = self.execute(
            "SELECT d.path, m.name FROM name m JOIN directory d ON d.id = m.directory WHERE m.node = ?",
            (node,),
        )
        return sorted(join(directory, name) if name else "/" for directory, name in rows)

    def locate(self, path: str) -> Row | None:
        """The row of a name as this transaction sees it, None if it is absent or has expired."""
        parent, _, name = path.rpartition("/")
        home = self.homes.get(parent)
        if home is not None:
            rows: list[Row] = self.run(_LOCATE_IN, (home[0], name, home[1])).fetchall()
        elif self.sequence != UNREAD:
            rows = self.run(_LOCATE_NEXT, (parent or "/", name)).fetchall()
        else:
            rows = self.run(_LOCATE, (parent or "/", name)).fetchall()
            self.start(rows[0][-2], rows[0][-1])
        if not rows or rows[0][0] is None:
            return None
        row = rows[0]
        if home is None:
            self.homes[parent] = row[PARENT], row[WITHIN]
        if row[EXPIRES] is not None and row[EXPIRES] <= self.now:
            self._expire(self, path, row)  # it blocks nothing
            return self.locate(path)
        return row

    def require(self, path: str) -> Row:
        """The row of a name. Raises NotFound, after asking whether it may be looked for."""
        row = self.locate(path)
        if row is None:
            place = self.nearest(split(path)[0])
            self.check(Operation.STAT, Found(path, None, place.within, 0, place.id, self.sequence, place.own))
            raise NotFound.at(path)
        return row

    def as_found(self, path: str, row: Row, directory: int = 0) -> Found:
        """What a check is given of a row of `locate`."""
        stat = self.users.stat(row)
        # As in `Names.stat`: a plain tuple's constructor is twice as fast as the named one's.
        return tuple.__new__(
            Found,
            (path, stat, row[WITHIN], row[OWN], row[PARENT], self.sequence, directory, row[META], b""),
        )

    def journal(
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
        if self.sequence == UNREAD:
            self.start()
        origin, ids = self.origin, self.users.user_ids
        agent, actor = ids.get(origin.agent), ids.get(origin.actor)
        if agent is None or actor is None:
            agent, actor = self.agent(origin.agent), self.agent(origin.actor)
        if self.marks.undoing is not None:
            details = {**(details or {}), journal.UNDOES: self.marks.undoing}
        if self.marks.attributed is not None:
            details = {**(details or {}), journal.ATTRIBUTED: dict(self.marks.attributed)}
        if self.marks.part_of is not None:
            details = {**(details or {}), journal.RUN: self.marks.part_of}
        text = None if details is None else json.dumps(details, sort_keys=True, ensure_ascii=False)
        sequence, now = self.sequence + 1, self.now
        salt, door = self._salt(), origin.door
        commitment = journal.commitment(
            salt, node, path, old_path, version, size, content_hash, agent, actor, door, text
        )
        chain = journal.chain(self._chain, sequence, now, operation, commitment)
        self.run(
            "INSERT INTO journal VALUES (?, ?, ?, ?, ?, ?, ?, ?, ?, ?, ?, ?, ?, ?, NULL, ?)",
            (
                sequence, now, operation, node, path, old_path, version, size, content_hash, agent, actor, door,
                text, salt, chain,
            ),
        )  # fmt: skip
        self.sequence, self._chain = sequence, chain
        return now, sequence

    def _salt(self) -> bytes:
        """Random bytes for a row: fetched for one row at first, for many where there are many."""
        if not self._salts:
            count = 1 if self.sequence == self._first else _SALTS
            random = os.urandom(journal.SALT_SIZE * count)
            self._salts = [
                random[at : at + journal.SALT_SIZE] for at in range(0, len(random), journal.SALT_SIZE)
            ]
        return self._salts.pop()

    def agent(self, name: str) -> int:
        """The id of an agent, stored (and journalled) at its first write."""
        id = self.users.user_ids.get(name)
        if id is not None:
            return id
        self.users.refresh(self.execute)
        if name in self.users.user_ids:
            return self.users.user_ids[name]
        self.everything = True
        self.execute("INSERT INTO user (name) VALUES (?)", (name,))
        self.group(name)
        self.users.refresh(self.execute)
        self.journal(journal.USER, 0, "", 0, 0, details={"name": name})
        return self.users.user_ids[name]

    def group(self, name: str) -> int:
        """The id of a group, stored if it is new."""
        if name not in self.users.group_ids:
            self.execute('INSERT OR IGNORE INTO "group" (name) VALUES (?)', (name,))
            self.everything = True
            self.users.refresh(self.execute)
        return self.users.group_ids[name]

    def sequence_at(self, time_ns: int) -> int:
        """The last row written at or before a time."""
        rows = self.execute(
            "SELECT sequence FROM journal WHERE time_ns <= ? ORDER BY sequence DESC LIMIT 1", (time_ns,)
        )
        return int(rows[0][0]) if rows else 0

    @staticmethod
    def refuse_fixed(path: str, what: str) -> None:
        """Refuse to do something to a directory that every store keeps."""
        if path in FIXED:
            raise InUse(f"{path} is a fixed place of the store and cannot be {what}")
