"""Opening SQLite connections the way that all of AVM's own files need them, in one place."""

from __future__ import annotations

import errno
from array import array
from collections.abc import Iterable

import apsw

IN_MEMORY = ":memory:"
NO_SPACE = (errno.ENOSPC, errno.EDQUOT)
"""What the system says where nothing more fits: the disk is full, or this user's part of it."""


def connect(
    path: str, *, writable: bool, synchronous: str, busy_seconds: float, cache_kib: int = 8192
) -> apsw.Connection:
    """A connection to an existing database, or to a new one in memory. Raises apsw.Error.

    `synchronous` is `FULL` or `NORMAL`, `busy_seconds` how long statements wait for another's lock.
    """
    access = apsw.SQLITE_OPEN_READWRITE if writable else apsw.SQLITE_OPEN_READONLY
    connection = apsw.Connection(path, flags=access)
    # SQLite built with STAT4 would plan joins anew for each binding: 18 µs instead of 2 for a read by path.
    connection.config(apsw.SQLITE_DBCONFIG_ENABLE_QPSG, 1)
    connection.set_busy_timeout(int(busy_seconds * 1000))
    connection.execute(f"PRAGMA cache_size = -{cache_kib}")
    connection.execute("PRAGMA temp_store = MEMORY")
    if writable:
        connection.execute(f"PRAGMA synchronous = {synchronous}")
        if path != IN_MEMORY:
            # Without its WAL files a database cannot be read where the reader may not make them.
            keep = array("i", [1])
            connection.file_control("main", apsw.SQLITE_FCNTL_PERSIST_WAL, keep.buffer_info()[0])
    return connection


def cause(error: BaseException, connections: Iterable[apsw.Connection]) -> int:
    """What the system said (an errno) when a file could not be read or written, else 0.

    SQLite tells a full disk from other failures, a used up quota it does not.
    """
    if isinstance(error, OSError):
        return error.errno or 0
    if not isinstance(error, apsw.IOError):
        return 0
    return next((code for each in connections if (code := each.system_errno)), 0)
