"""A SQLite file of derived data beside the store: never repaired, thrown away and made anew.

It keeps one connection that writes and one that reads, so that a search goes on while an index is
rebuilt. Only who writes (the holder of a follower's lease) makes or discards the file; who reads
finds a usable one or finds nothing. After a fork the child opens its own connections and lets the
parent's be: closing them would drop locks that are not its own. Not here: what the tables mean.
"""

from __future__ import annotations

import os
import threading
import weakref
from collections.abc import Iterator
from contextlib import contextmanager, suppress
from dataclasses import dataclass, field
from pathlib import Path
from typing import TypeAlias

import apsw

from avm_builtin.sqlite_connection import NO_SPACE, cause, connect
from vfs_core.errors import CorruptStore, NoSpace, ReadOnly, StoreBusy, StoreError

_BUSY_SECONDS = 5
_FORK_SECONDS = 2.0
"""How long a fork waits for what other threads are doing."""
_CACHE_KIB = 16 * 1024
_WAL_BYTES = 4 << 20
"""What a WAL is cut back to when it starts over; a rebuild makes it as large as the index."""


class Damaged(CorruptStore):
    """The side file is damaged; the store is not."""


AnyLock: TypeAlias = "threading.RLock"


@dataclass
class _Connections:
    """What one process has open. A file's identity is its device and inode."""

    pid: int = field(default_factory=os.getpid)
    read_lock: AnyLock = field(default_factory=threading.RLock)
    write_lock: AnyLock = field(default_factory=threading.RLock)
    reader: apsw.Connection | None = None
    reader_file: tuple[int, int] | None = None
    writer: apsw.Connection | None = None
    writer_file: tuple[int, int] | None = None


_leaked: list[_Connections] = []
"""Connections of a parent process, kept so that the child never closes them."""


class SideFile:
    """A file with a schema of its own, told from others by an application id and a version."""

    def __init__(
        self, path: str | None, schema: str, application: int, version: int, *, writable: bool, mode: int
    ) -> None:
        """`path` None keeps everything in memory. `schema` is the script of its tables."""
        self._path = path
        self._schema = schema
        self._identity = (application, version)
        self._writable = writable
        self._mode = mode
        self._open = _Connections()
        self._share_if_in_memory()
        self._forking: list[AnyLock] = []
        _files.add(self)

    @property
    def path(self) -> str | None:
        """Where it is; None in memory."""
        return self._path

    def files(self) -> list[str]:
        """The file and its WAL files, as far as there are any; none in memory."""
        return [] if self._path is None else [self._path, f"{self._path}-wal", f"{self._path}-shm"]

    def vocabulary(self) -> str:
        """The words of the schema, those of virtual tables among them."""
        with self.reading() as connection:
            rows = (
                [] if connection is None else connection.execute("SELECT sql FROM sqlite_schema").fetchall()
            )
        return "\n".join(str(sql) for (sql,) in rows if sql)

    def before_fork(self) -> None:
        """Close what is open: nothing of SQLite's may cross a fork. What a thread is still using is left to it."""
        here = self._here()
        self._forking = [
            lock for lock in (here.write_lock, here.read_lock) if lock.acquire(timeout=_FORK_SECONDS)
        ]
        if len(self._forking) < 2 or self._path is None:
            return
        if here.writer is None or not here.writer.in_transaction:
            for connection in (here.reader, here.writer):
                if connection is not None:
                    connection.close()
            here.reader = here.writer = None

    def after_fork_in_parent(self) -> None:
        """Go on."""
        while self._forking:
            self._forking.pop().release()

    @contextmanager
    def reading(self) -> Iterator[apsw.Connection | None]:
        """The connection to read by, for one thread at a time; None while there is no usable file.

        Raises StoreBusy, and Damaged where that shows; the file then counts as unusable for everybody. A Damaged
        from within, of what belongs to the file, is one of the file.
        """
        here = self._here()
        with here.read_lock:
            try:
                yield self._reader(here)
            except Damaged:
                self._condemn(here)
                raise
            except (apsw.CorruptError, apsw.NotADBError) as error:
                self._condemn(here)
                raise self._translated(here, error) from error
            except apsw.Error as error:
                raise self._translated(here, error) from error

    @contextmanager
    def writing(self) -> Iterator[apsw.Connection]:
        """A transaction. Makes the file; anew where it is foreign, damaged or of another version.

        For the holder of the follower's lease. Raises ReadOnly, NoSpace, StoreBusy, and Damaged
        where that shows on the way (`discard` it then).
        """
        if not self._writable:
            raise ReadOnly(f"{self._path} cannot be written by this process")
        here = self._here()
        with here.write_lock:
            try:
                connection = self._writer(here)
            except (apsw.Error, OSError) as error:
                raise self._translated(here, error) from error
            try:
                connection.execute("BEGIN IMMEDIATE")
                yield connection
                connection.execute("COMMIT")
            except apsw.Error as error:
                raise self._translated(here, error) from error
            finally:
                if connection.in_transaction:
                    connection.execute("ROLLBACK")

    def scrub(self) -> bool:
        """Rewrite the file without what was freed in it, and empty its WAL; False where a reader holds on to that.

        For the holder of the follower's lease, outside a transaction.
        """
        here = self._here()
        with here.write_lock:
            try:
                connection = self._writer(here)
                if self._path is None:
                    return True
                connection.execute("PRAGMA secure_delete = ON")
                try:
                    connection.execute("VACUUM")
                    busy = connection.execute("PRAGMA wal_checkpoint(TRUNCATE)").fetchall()[0][0]
                finally:
                    connection.execute("PRAGMA secure_delete = OFF")
                return not busy
            except (apsw.Error, OSError) as error:
                raise self._translated(here, error) from error

    def discard(self) -> None:
        """Throw the file away. For the holder of the follower's lease."""
        self.close()
        if self._path is not None:
            # The main file last: a WAL that outlived it would be replayed into its successor.
            for ending in ("-wal", "-shm", ""):
                with suppress(FileNotFoundError):
                    Path(self._path + ending).unlink()

    def close(self) -> None:
        """Close the connections. The next use opens them again; what was in memory only is gone."""
        here = self._here()
        with here.write_lock, here.read_lock:
            if here.reader is not None:
                here.reader.close()
            if here.writer is not None:
                here.writer.close()
            here.reader = here.writer = None

    # --- connections -----------------------------------------------------------------------------

    def _here(self) -> _Connections:
        """The connections of this process."""
        here = self._open
        if here.pid != os.getpid():
            _leaked.append(here)
            self._open = _Connections()
            if self._path is None:
                self._open.writer = here.writer  # No file, no locks: the child's copy is its own.
            self._share_if_in_memory()
        return self._open

    def _share_if_in_memory(self) -> None:
        """In memory there is one connection for all, so one lock."""
        if self._path is None:
            self._open.read_lock = self._open.write_lock

    def _reader(self, here: _Connections) -> apsw.Connection | None:
        if self._path is None:
            return here.writer
        present = _identity(self._path)
        if here.reader is not None and here.reader_file != present:
            here.reader.close()  # Another process threw the file away.
            here.reader = None
        if here.reader is None and present is not None:
            here.reader, here.reader_file = self._usable(self._path), present
        return here.reader

    def _writer(self, here: _Connections) -> apsw.Connection:
        present = _identity(self._path) if self._path is not None else None
        if here.writer is not None and here.writer_file == present:
            return here.writer
        if here.writer is not None:
            here.writer.close()
            here.writer = None
        if self._path is not None and present is not None:
            here.writer = self._usable(self._path)
        if here.writer is None:
            here.writer = self._made()
        here.writer_file = _identity(self._path) if self._path is not None else None
        return here.writer

    def _usable(self, path: str) -> apsw.Connection | None:
        """A connection to a file that is ours and whole as far as one sees, or None."""
        connection: apsw.Connection | None = None
        try:
            connection = self._connect(path)
            application = connection.pragma("application_id")
            if (application, connection.pragma("user_version")) == self._identity:
                return connection
        except (apsw.CantOpenError, apsw.NotADBError, apsw.CorruptError, apsw.ReadOnlyError):
            # ReadOnly and CantOpen: no permission to read it, or no WAL files and no right to make them.
            pass
        if connection is not None:
            connection.close()
        return None

    def _made(self) -> apsw.Connection:
        """A connection to a new file with empty tables, in the place of whatever was there."""
        self.discard()
        if self._path is not None:
            # Given its mode under another name: to open and close a database beside SQLite drops its locks.
            fresh = f"{self._path}.{os.getpid()}"
            fd = os.open(fresh, os.O_RDWR | os.O_CREAT | os.O_TRUNC | os.O_CLOEXEC, self._mode)
            os.fchmod(fd, self._mode)
            os.close(fd)
            Path(fresh).replace(self._path)
        connection = self._connect(self._path or ":memory:")
        connection.pragma("journal_mode", "wal")
        application, version = self._identity
        identity = f"PRAGMA application_id={application}; PRAGMA user_version={version}"
        connection.execute(f"BEGIN; {self._schema}; {identity}; COMMIT")
        return connection

    def _connect(self, path: str) -> apsw.Connection:
        connection = connect(
            path,
            writable=self._writable,
            synchronous="NORMAL",  # derived: what a power failure takes is indexed again
            busy_seconds=_BUSY_SECONDS,
            cache_kib=_CACHE_KIB,
        )
        connection.pragma("journal_size_limit", _WAL_BYTES)
        return connection

    def _condemn(self, here: _Connections) -> None:
        """Make a damaged file unusable for everybody, so that whoever next holds the lease makes it anew."""
        connection, here.reader = here.reader, None
        if connection is not None:
            # It is damaged: the mark may fail too, and the caller hears of it anyway.
            with suppress(apsw.Error):
                connection.pragma("user_version", 0)
            connection.close()

    def _translated(self, here: _Connections, error: Exception) -> StoreError | ReadOnly:
        """The error of our tree for one of SQLite or the system."""
        path = self._path
        reason = cause(error, [each for each in (here.writer, here.reader) if each is not None])
        if isinstance(error, (apsw.CorruptError, apsw.NotADBError)):
            return Damaged(f"{path} is damaged ({error}); the next command that may write it makes it anew")
        if isinstance(error, apsw.FullError) or reason in NO_SPACE:
            return NoSpace(f"{path} cannot grow ({error}); free some space")
        if isinstance(error, (apsw.BusyError, apsw.LockedError)):
            return StoreBusy(f"{path} was locked for over {_BUSY_SECONDS:g} s ({error}); try again")
        if isinstance(error, apsw.ReadOnlyError):
            return ReadOnly(f"{path} cannot be written ({error})")
        return StoreError(f"{path} cannot be used ({error})")


@contextmanager
def one_moment(connection: apsw.Connection) -> Iterator[None]:
    """Statements in here read the same commit."""
    connection.execute("BEGIN")
    try:
        yield
    finally:
        if connection.in_transaction:
            connection.execute("ROLLBACK")


_files: weakref.WeakSet[SideFile] = weakref.WeakSet()
_forking: list[SideFile] = []


def _before_fork() -> None:
    _forking[:] = list(_files)
    for file in _forking:
        file.before_fork()


def _after_fork_in_parent() -> None:
    for file in _forking:
        file.after_fork_in_parent()
    _forking.clear()


os.register_at_fork(before=_before_fork, after_in_parent=_after_fork_in_parent)


def _identity(path: str) -> tuple[int, int] | None:
    try:
        status = os.stat(path)
    except (FileNotFoundError, PermissionError):
        return None
    return status.st_dev, status.st_ino
