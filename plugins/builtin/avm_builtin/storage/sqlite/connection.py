"""Opening the database, sharing it between threads and processes, and naming what goes wrong.

SQLite's rules that this module exists to keep: one SQLite library per file and process, never `open()`
on the database or its WAL, connections never cross a fork, the WAL files persist so that a reader
without write permission can open the database.
"""

from __future__ import annotations

import errno
import fcntl
import os
import random
import struct
import threading
import time
import weakref
from collections.abc import Callable, Iterator, Sequence
from contextlib import contextmanager, suppress
from pathlib import Path
from typing import Any, SupportsIndex

import apsw

from avm_builtin.sqlite_connection import IN_MEMORY, cause, connect
from avm_builtin.storage.sqlite.trees import Trees
from vfs_core.errors import (
    CorruptStore,
    ForeignStore,
    Invalid,
    NewerStore,
    NoSpace,
    ReadOnly,
    StoreBusy,
    StoreError,
    StoreReplaced,
    VfsError,
)
from vfs_core.storage import side_base

MINIMUM_SQLITE = 3_051_003
"""Older ones can lose commits when several connections write and checkpoint (the WAL-reset bug)."""
BUSY_SECONDS = 30.0
"""How long a writer waits for the write lock before it gives up."""
_FORK_SECONDS = 5.0
"""How long a fork waits for other threads' statements to end."""
_JITTER = 0.002
_POLL = 0.0001
"""Seconds between tries of the one writer at the head of the queue, at most."""
_TURN = 0.004
"""Seconds for which a writer may take the lock back before it queues behind others."""
_LOOK = 0.0003
"""Seconds between two looks at the lock of the one who waits for it, while its holder's turn lasts."""
_GLANCE = 0.00005
"""Seconds between the first two looks at it once that turn is over."""
_TURN_ENDS = struct.Struct("d")
"""What the lock file says: when its holder's turn ends, by the clock that all processes share."""
_CROWDED = 1.0
"""Seconds for which a writer queues after it has met another."""

Row = tuple[Any, ...]
Runner = apsw.Connection | apsw.Cursor
"""Runs statements. A cursor that is kept saves half a microsecond for each, and ends one where the next begins."""

_forked: list[object] = []
"""Connections that a forked child inherited: never used, never closed there, kept from the collector."""
_databases: weakref.WeakSet[Database] = weakref.WeakSet()


class Database:
    """One database file as this process uses it: a writer's connection and a pool of readers'."""

    def __init__(self, path: str, *, durability: str, writable: bool) -> None:
        if apsw.SQLITE_VERSION_NUMBER < MINIMUM_SQLITE:
            raise StoreError(
                f"apsw brings SQLite {apsw.sqlite_lib_version()}, which can lose commits; "
                f"type: pip install -U 'apsw>=3.51.3'"
            )
        if durability not in ("full", "normal"):
            raise Invalid(f"durability is 'full' or 'normal', not {durability!r}")
        self.path = path
        self.in_memory = path == IN_MEMORY
        self._crowded_until = 0.0
        self._queued = False
        self.durability = durability
        self.writable = writable
        self.mutex = threading.RLock()
        self._writer: apsw.Connection | None = None
        self.trees = Trees()
        self._cursor: apsw.Cursor | None = None
        self._readers: list[apsw.Cursor] = []
        self._open: set[apsw.Connection] = set()
        self._gate = threading.Lock()
        self._forking: list[Any] = []
        self._lock_fd: int | None = None
        self._turn_ends = 0.0
        self._closed = False
        self.schema: int | None = None
        """The version of the tables that writing counts on, once it is known."""
        self.inode = 0 if self.in_memory else os.stat(path).st_ino
        self.when_moved: Callable[[], None] = lambda: None
        """Called when another file is found in the place of this one."""
        _databases.add(self)

    # --- connections -----------------------------------------------------------------------------

    def writer(self) -> apsw.Connection:
        """The connection for changes (for everything, in memory). Only with `mutex` held."""
        if self._writer is None:
            self._writer = self._connect(writable=self.writable)
            self._writer.set_busy_timeout(0)  # `begin` does the waiting
            self._cursor = self._writer.cursor()
        return self._writer

    def cursor(self) -> apsw.Cursor:
        """The one cursor of the writer's connection for statements that run to their end. Only with `mutex` held."""
        if self._cursor is None:
            self._cursor = self.writer().cursor()
        return self._cursor

    def rows(self, sql: str, arguments: Sequence[Any] = ()) -> list[Row]:
        """Run one reading statement to its end on a connection without an open cursor."""
        if self.in_memory:
            with self.mutex:
                try:
                    return self.cursor().execute(sql, arguments).fetchall()
                except (apsw.Error, UnicodeDecodeError) as error:
                    raise self.translate(error) from error
        try:
            cursor = self._readers.pop()
        except IndexError:
            cursor = self._connect(writable=self.writable).cursor()
        try:
            return cursor.execute(sql, arguments).fetchall()
        except (apsw.Error, UnicodeDecodeError) as error:
            raise self.translate(error) from error
        finally:
            self._readers.append(cursor)

    @contextmanager
    def snapshot(self) -> Iterator[apsw.Connection]:
        """A connection that sees one moment over several statements."""
        if self.in_memory:
            with self.mutex:
                yield self.writer()
            return
        try:
            cursor = self._readers.pop()
        except IndexError:
            cursor = self._connect(writable=self.writable).cursor()
        connection = cursor.connection
        try:
            connection.execute("BEGIN")
            yield connection
        except (apsw.Error, UnicodeDecodeError) as error:
            raise self.translate(error) from error
        finally:
            if connection.in_transaction:
                connection.execute("ROLLBACK")
            self._readers.append(cursor)

    def _connect(self, *, writable: bool) -> apsw.Connection:
        if self._closed:
            raise StoreError(f"the store {self.path} has been closed")
        with self._gate:
            try:
                connection = connect(
                    self.path,
                    writable=writable,
                    synchronous=self.durability.upper(),
                    busy_seconds=BUSY_SECONDS,
                )
            except apsw.Error as error:
                raise self.translate(error) from error
            self._open.add(connection)
            return connection

    # --- the write lock --------------------------------------------------------------------------

    def begin(self) -> apsw.Cursor:
        """Take the write lock and begin. Only with `mutex` held; ends with `commit` or `rollback`.

        Once writers have met, they queue on a file lock for turns of some changes, which is fair. (SQLite's own busy
        timeout starves some of them entirely; retrying with jitter polls.) Raises StoreBusy.
        """
        cursor = self._cursor or self.cursor()
        try:
            if self._crowded_until and time.monotonic() < self._crowded_until:
                self._queue()
            else:
                self._crowded_until = 0.0
            try:
                cursor.execute("BEGIN IMMEDIATE")
            except apsw.BusyError:
                if not self._queued and not self.in_memory:
                    self._crowded_until = time.monotonic() + _CROWDED
                    self._queue()
                self._retry(lambda: cursor.execute("BEGIN IMMEDIATE"), _POLL)
            try:
                self._check_present(cursor)
            except BaseException:
                cursor.execute("ROLLBACK")
                raise
            return cursor
        except apsw.Error as error:
            self._unqueue()
            if isinstance(error, apsw.ReadOnlyError):
                self._shut_writer()  # how it opened the WAL it stays; the next may open it for writing
            raise self.translate(error) from error
        except BaseException:
            self._unqueue()
            raise

    def _check_present(self, cursor: apsw.Cursor) -> None:
        """Refuse to write into a file that is not in its place any more, or whose tables have changed since.

        SQLite notices neither: what it commits to a file without a name is gone, and a newer AVM may have given
        the tables another meaning. Under the write lock. Raises StoreReplaced, NewerStore.
        """
        if self.in_memory:
            return
        try:
            present = os.stat(self.path).st_ino == self.inode
        except FileNotFoundError:
            present = False
        if not present:
            self.when_moved()
            raise StoreReplaced(f"{self.path} has been moved away, or replaced, meanwhile; ask again")
        if self.schema is not None and cursor.execute("PRAGMA user_version").get != self.schema:
            self.when_moved()
            raise NewerStore(
                f"{self.path} has been migrated by a newer AVM meanwhile: restart this program with that version"
            )

    def use_wal(self) -> None:
        """Make this a WAL database. Only with `mutex` held.

        SQLite's busy timeout does not hold for this: whoever else looks at the new file makes it fail at once.
        """
        connection = self.writer()
        try:
            self._retry(lambda: connection.execute("PRAGMA journal_mode = WAL"))
        except apsw.Error as error:
            raise self.translate(error) from error

    @staticmethod
    def _retry(action: Callable[[], object], jitter: float = _JITTER) -> None:
        deadline = time.monotonic() + BUSY_SECONDS
        while True:
            time.sleep(random.random() * jitter)
            try:
                action()
                return
            except apsw.BusyError:
                if time.monotonic() > deadline:
                    raise
                jitter = min(jitter * 1.1, _JITTER)  # a change that takes long is not worth many looks

    @contextmanager
    def exclusive(self, take: Callable[[], object]) -> Iterator[None]:
        """Keep other writers away while another connection writes: queue, and `take` its lock.

        Only with `mutex` held.
        """
        try:
            if not self.in_memory:
                self._queue()
            self._retry(take)
            yield
        finally:
            self._unqueue()

    def try_begin(self) -> bool:
        """Begin if nobody else is writing. Only with `mutex` held."""
        try:
            self.writer().execute("BEGIN IMMEDIATE")
        except apsw.Error:
            return False
        return True

    def commit(self) -> None:
        """Commit and give the write lock back. On failure everything is rolled back."""
        try:
            self.cursor().execute("COMMIT")
        except apsw.Error as error:
            self.rollback()
            raise self.translate(error) from error
        self._unqueue()

    def rollback(self) -> None:
        """Undo what was begun and give the write lock back."""
        connection = self.writer()
        try:
            if connection.in_transaction:
                connection.execute("ROLLBACK")
        finally:
            self._unqueue()

    def _queue(self) -> None:
        if self._lock_fd is None:
            where = f"{side_base(self.path)}.lock"
            mode = os.stat(self.path).st_mode & 0o666
            try:
                self._lock_fd = os.open(where, os.O_RDWR | os.O_CREAT | os.O_CLOEXEC, mode)
            except OSError:
                return  # without a queue, who waits only looks again and again
        fd = self._lock_fd
        # A turn: whoever came by the lock may take it back for a while, for handing it over costs more than a write.
        if time.monotonic() >= self._turn_ends or not _try_lock(fd):
            # A turnstile: then it must pass this again, behind those who wait. One at a time waits for the lock.
            deadline = time.monotonic() + BUSY_SECONDS
            fcntl.lockf(fd, fcntl.LOCK_EX, 1)
            try:
                if not _await_turn(fd, deadline):
                    raise StoreBusy(_busy(self.path))
                self._turn_ends = time.monotonic() + _TURN
                with suppress(OSError):  # no space: whoever is next waits for the lock at once
                    os.pwrite(fd, _TURN_ENDS.pack(self._turn_ends), 0)
            finally:
                fcntl.lockf(fd, fcntl.LOCK_UN, 1)
        self._queued = True

    def _unqueue(self) -> None:
        if self._queued and self._lock_fd is not None:
            fcntl.flock(self._lock_fd, fcntl.LOCK_UN)
        self._queued = False

    # --- the end ---------------------------------------------------------------------------------

    def close(self) -> None:
        """Close every connection; later use raises StoreError."""
        with self.mutex:
            self._closed = True
            while self._readers:
                self._shut(self._readers.pop().connection)
            self._shut_writer()
            if self._lock_fd is not None:
                os.close(self._lock_fd)
                self._lock_fd = None

    def before_fork(self) -> None:
        """Close every connection, so that none crosses: both sides open their own when they need them.

        Whatever of SQLite's a child inherits of an open file (which locks the process holds, the mapped WAL index)
        is not true of the child, for as long as one connection is open. A transaction of this very thread stays.
        """
        self._forking = [lock for lock in (self.mutex, self._gate) if lock.acquire(timeout=_FORK_SECONDS)]
        if len(self._forking) < 2:
            return
        if self.in_memory or (self._writer is not None and self._writer.in_transaction):
            return
        idle, self._readers = self._readers, _Paused(self)
        self._shut_writer()
        deadline = time.monotonic() + _FORK_SECONDS
        while True:
            while idle:
                self._shut(idle.pop().connection)
            if not self._open or time.monotonic() > deadline:
                return
            time.sleep(0.0001)

    def after_fork_in_parent(self) -> None:
        """Go on."""
        if isinstance(self._readers, _Paused):
            self._readers = []
        while self._forking:
            self._forking.pop().release()

    def _shut_writer(self) -> None:
        if self._writer is not None:
            self._shut(self._writer)
            self._writer = self._cursor = None

    def _shut(self, connection: apsw.Connection) -> None:
        connection.close()  # first: until it is closed, it must count as open
        self._open.discard(connection)

    def after_fork(self) -> None:
        """In a forked child: forget what of the parent's connections is left without touching it."""
        _forked.append((self._writer, self._cursor, self._readers, self._open))
        self._gate = threading.Lock()
        if not self.in_memory:
            self._writer = self._cursor = None
            self._readers = []
            self._open = set()
        if self._lock_fd is not None:
            os.close(self._lock_fd)  # else the child would keep the parent's lock alive
            self._lock_fd = None
        self._queued = False
        self.mutex = threading.RLock()

    def translate(self, error: apsw.Error | UnicodeDecodeError) -> VfsError:
        """Our error for SQLite's, naming the file and what to do."""
        where = self.path
        reason = cause(error, list(self._open))
        if isinstance(error, apsw.FullError) or reason == errno.ENOSPC:
            return NoSpace(
                f"no space left for {where}; the change was rolled back: free some space and retry"
            )
        if reason == errno.EDQUOT:
            return NoSpace(
                f"the disk quota of this user is used up at {where}; the change was rolled back: delete something, "
                f"or have the quota raised, and retry"
            )
        if reason == errno.EROFS:
            return ReadOnly(
                f"the file system of {where} has become read-only (mostly after a disk error); the change was rolled "
                f"back: see the system's log, and mount it again for writing"
            )
        if isinstance(error, apsw.ReadOnlyError):
            return ReadOnly(read_only_reason(where))
        if isinstance(error, (apsw.BusyError, apsw.LockedError)):
            return StoreBusy(_busy(where))
        if isinstance(error, apsw.NotADBError):
            return ForeignStore(
                f"{where} is not an AVM store (not an SQLite database); name another with --db"
            )
        if isinstance(error, (apsw.CorruptError, UnicodeDecodeError)):
            return CorruptStore(f"{where} is damaged ({error}); type: avm doctor")
        if isinstance(error, apsw.CantOpenError):
            return StoreError(f"{where} cannot be opened ({error}); {read_only_reason(where)}")
        if isinstance(error, apsw.TooBigError):
            return Invalid(f"the value is too big for the store ({error})")
        return StoreError(f"{where}: {error}" + (f" ({os.strerror(reason)})" if reason else ""))


def _try_lock(fd: int) -> bool:
    try:
        fcntl.flock(fd, fcntl.LOCK_EX | fcntl.LOCK_NB)
    except BlockingIOError:
        return False
    return True


def _await_turn(fd: int, deadline: float) -> bool:
    """Take the lock: between two changes of its holder, or when its turn is over. False if it was held too long."""
    pause = _GLANCE
    while not _try_lock(fd):
        now = time.monotonic()
        if now > deadline:
            return False
        said = os.pread(fd, _TURN_ENDS.size, 0)
        left = _TURN_ENDS.unpack(said)[0] - now if len(said) == _TURN_ENDS.size else 0.0
        if 0 < left <= _TURN:
            time.sleep(min(left, _LOOK))
        else:
            time.sleep(pause)
            pause = min(pause * 1.3, _JITTER)  # a change that takes long is not worth many looks
    return True


def _busy(path: str) -> str:
    return f"{path} has been locked by another writer for {BUSY_SECONDS:.0f} s; retry"


class _Paused(list[apsw.Cursor]):
    """Stands in for the idle connections while the process forks: nobody gets one, what comes back is closed."""

    def __init__(self, database: Database) -> None:
        super().__init__()
        self._database = database

    def pop(self, index: SupportsIndex = -1) -> apsw.Cursor:
        with self._database._gate:
            raise IndexError

    def append(self, cursor: apsw.Cursor) -> None:
        self._database._shut(cursor.connection)


def fetch(connection: Runner, sql: str, arguments: Sequence[Any] = ()) -> list[Row]:
    """Run one statement to its end and return its rows."""
    return connection.execute(sql, arguments).fetchall()


def can_write(path: str) -> bool:
    """Whether this process can write the database at `path`, its WAL files and its directory's bell."""
    if not os.access(path, os.W_OK):
        return False
    if os.access(Path(path).parent, os.W_OK):
        return True
    return all(os.access(path + ending, os.W_OK) for ending in ("-wal", "-shm"))


def read_only_reason(path: str) -> str:
    """What must be writable for changes to `path`."""
    return (
        f"{path} cannot be written by this process: the file and the directory {Path(path).parent} must be "
        f"writable (in a sandbox, let AVM's MCP tools write instead)"
    )


def _after_fork() -> None:
    for database in list(_databases):
        database.after_fork()


def _before_fork() -> None:
    _forking[:] = list(_databases)
    for database in _forking:
        database.before_fork()


def _after_fork_in_parent() -> None:
    for database in _forking:
        database.after_fork_in_parent()
    _forking.clear()


_forking: list[Database] = []
os.register_at_fork(before=_before_fork, after_in_parent=_after_fork_in_parent, after_in_child=_after_fork)
