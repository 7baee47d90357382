"""How far agents have read: versions of nodes in a file beside the store, which holds numbers and names of agents.

Not in the store: reading would be a change then, with a journal row, and nothing derives from a mark. A connection
lives for one call, so there is nothing to mind in forks. Marks are of one store: they end where a backup is put in
its place, since what was read is not what the same numbers say then.
"""

from __future__ import annotations

import os
import tempfile
import threading
from collections.abc import Iterator
from contextlib import contextmanager, suppress
from pathlib import Path

import apsw

from avm_builtin.sqlite_connection import NO_SPACE, cause, connect
from vfs_core.errors import CorruptStore, NoSpace, ReadOnly, StoreBusy, StoreError, VfsError

_APPLICATION_ID = 0x41564D4D
"""'AVMM', in the database header."""
_BUSY_SECONDS = 5
_SCHEMA = """
CREATE TABLE IF NOT EXISTS store (uuid TEXT NOT NULL) STRICT;
CREATE TABLE IF NOT EXISTS mark (
    reader TEXT NOT NULL,
    node INTEGER NOT NULL,
    version INTEGER NOT NULL,
    PRIMARY KEY (reader, node)
) STRICT, WITHOUT ROWID;
"""
_GET = """SELECT version FROM mark WHERE reader = ? AND node = ? AND (SELECT uuid FROM store) = ?"""
_PUT = """INSERT INTO mark VALUES (?1, ?2, ?3) ON CONFLICT DO
    UPDATE SET version = CASE WHEN ?4 THEN max(version, excluded.version) ELSE excluded.version END"""


class Marks:
    """The marks of one store; `path` None keeps them in this process."""

    def __init__(self, path: str | None, store: str) -> None:
        self._path = path
        self._store = store
        self._here: dict[tuple[str, int], int] = {}
        self._mutex = threading.Lock()

    def get(self, reader: str, node: int) -> int:
        """A mark, or 0."""
        if self._path is None:
            return self._here.get((reader, node), 0)
        if not Path(self._path).exists():
            return 0
        with self._open(self._path, writable=False) as connection:
            if not connection.execute("SELECT 1 FROM sqlite_schema WHERE name = 'mark'").fetchall():
                return 0  # made by a process that has come no further
            version = connection.execute(_GET, (reader, node, self._store)).get
            return version if isinstance(version, int) else 0

    def put(self, reader: str, node: int, version: int, mode: int, *, forward: bool) -> None:
        """Keep a mark; `mode` is that of the file if it is made."""
        if self._path is None:
            with self._mutex:
                before = self._here.get((reader, node), 0) if forward else 0
                self._here[reader, node] = max(version, before)
            return
        _make(self._path, mode)
        with self._open(self._path, writable=True) as connection:
            connection.execute("BEGIN IMMEDIATE")
            connection.execute(_SCHEMA)
            if connection.execute("SELECT uuid FROM store").fetchall() != [(self._store,)]:
                connection.execute(
                    f"PRAGMA application_id = {_APPLICATION_ID}; DELETE FROM mark; DELETE FROM store"
                )
                connection.execute("INSERT INTO store VALUES (?)", (self._store,))
            if version or forward:
                connection.execute(_PUT, (reader, node, version, forward))
            else:
                connection.execute("DELETE FROM mark WHERE reader = ? AND node = ?", (reader, node))
            connection.execute("COMMIT")

    @contextmanager
    def _open(self, path: str, *, writable: bool) -> Iterator[apsw.Connection]:
        connection: apsw.Connection | None = None
        try:
            connection = connect(
                path, writable=writable, synchronous="FULL", busy_seconds=_BUSY_SECONDS, cache_kib=64
            )
            yield connection
        except apsw.Error as error:
            raise _translated(path, error, [] if connection is None else [connection]) from error
        finally:
            if connection is not None:
                connection.close()


def _make(path: str, mode: int) -> None:
    """Make the empty file, if it is not there, with its mode from the first moment on.

    Under another name first: to open and close a file that SQLite has open in this process would drop its locks.
    """
    if Path(path).exists():
        return
    try:
        handle, fresh = tempfile.mkstemp(prefix=f"{Path(path).name}.", dir=Path(path).parent)
        try:
            os.fchmod(handle, mode)
            os.close(handle)
            with suppress(FileExistsError):
                os.link(fresh, path)
        finally:
            Path(fresh).unlink()
    except OSError as error:
        kind = NoSpace if error.errno in NO_SPACE else ReadOnly
        raise kind(
            f"{path}, where it is kept how far agents have read, cannot be made: {error.strerror}"
        ) from None


def _translated(path: str, error: apsw.Error, connections: list[apsw.Connection]) -> VfsError:
    if isinstance(error, (apsw.CorruptError, apsw.NotADBError)):
        return CorruptStore(
            f"{path} is damaged ({error}); remove it, and all agents begin to read changes anew"
        )
    if isinstance(error, apsw.FullError) or cause(error, connections) in NO_SPACE:
        return NoSpace(f"{path} cannot grow ({error}); free some space")
    if isinstance(error, (apsw.BusyError, apsw.LockedError)):
        return StoreBusy(f"{path} was locked for over {_BUSY_SECONDS} s; try again")
    if isinstance(error, (apsw.ReadOnlyError, apsw.CantOpenError, apsw.PermissionsError)):
        return ReadOnly(f"{path} must be open to this process ({error})")
    return StoreError(f"{path} cannot be used ({error})")
