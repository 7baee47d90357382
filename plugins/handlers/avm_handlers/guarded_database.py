"""Somebody else's SQLite database, opened so that one statement of one kind passes and nothing else does.

Reading connections are opened read-only, and an authorizer lets only what a SELECT does pass; writing ones let INSERT,
UPDATE and DELETE pass too. ATTACH, pragmas, changes of the schema and extensions are refused in both. A statement that
takes too long is interrupted. Databases of AVM itself are refused: whoever reads them passes its permissions by.

apsw, and not Python's sqlite3: two SQLite libraries in one process lose each other's locks.
"""

from __future__ import annotations

import os
import re
import stat
import time
from collections import deque
from collections.abc import Callable, Iterator, Mapping
from contextlib import contextmanager, suppress
from dataclasses import dataclass, field
from typing import NamedTuple

import apsw

from avm_handlers.tables import Value, distinct
from vfs_core.errors import Denied, Invalid, NoSpace, NotFound, ReadOnly, TimedOut, TooLarge, VfsError

_READING = {apsw.SQLITE_SELECT, apsw.SQLITE_READ, apsw.SQLITE_FUNCTION, apsw.SQLITE_RECURSIVE}
_WRITING = _READING | {apsw.SQLITE_INSERT, apsw.SQLITE_UPDATE, apsw.SQLITE_DELETE}
_HARMLESS_PRAGMA = "data_version"
"""FTS5 asks for it whenever one of its tables is read; it gives a number and changes nothing."""
_AVM = 0x41564D
"""The databases of AVM have application ids that begin with these three bytes, `AVM`."""
_STEPS = 1000
"""Instructions of SQLite's machine, some 10 µs, between two looks at the clock."""
_IDLE = 4
"""How many connections are kept open for the next request."""
_NOTHING = re.compile(r"(?:\s|;|--[^\n]*(?:\n|\Z)|/\*(?:[^*]|\*(?!/))*(?:\*/|\Z))*\Z")
"""What may follow the one statement: space and comments."""

_ERRORS: tuple[tuple[type[apsw.Error], type[VfsError], str], ...] = (
    (
        apsw.InterruptError,
        TimedOut,
        "not done within {seconds:g} seconds; an index may help, or config.timeout",
    ),
    (apsw.BusyError, TimedOut, "{path} was locked by others for {seconds:g} seconds"),
    (apsw.LockedError, TimedOut, "{path} was locked by others for {seconds:g} seconds"),
    (apsw.TooBigError, TooLarge, "a value is over config.max_bytes"),
    (apsw.NotADBError, Invalid, "{path} is not an SQLite database"),
    (apsw.CorruptError, Invalid, "{path} is damaged: {error}"),
    (
        apsw.CantOpenError,
        Denied,
        "{path} cannot be opened: {error}; in WAL mode its directory must be writable",
    ),
    (apsw.PermissionsError, Denied, "{path} may not be opened: {error}"),
    (apsw.ReadOnlyError, ReadOnly, "{path} cannot be written: {error}"),
    (apsw.FullError, NoSpace, "the disk with {path} is full"),
    (apsw.ConstraintError, Invalid, "the database refuses the values: {error}"),
    (apsw.IOError, VfsError, "{path}: {error}"),
)
"""What an error of SQLite is in our terms."""

_inherited: list[object] = []
"""Connections that a forked child must neither use nor close."""


class Statement(NamedTuple):
    """A statement that is running: the names of its columns, and the cursor that gives its rows.

    `changes_before` counts what its connection had changed before.
    """

    columns: list[str]
    cursor: apsw.Cursor
    changes_before: int

    def changes(self) -> int:
        """Run it to its end; how many rows it has changed, by triggers too."""
        for _ in self.cursor:
            pass
        return self.cursor.connection.total_changes() - self.changes_before


@dataclass
class _Open:
    connection: apsw.Connection
    file: tuple[int, int]
    process: int
    refused: list[str] = field(default_factory=list)


class GuardedDatabase:
    """One database for statements of one kind. For several threads, and usable after a fork.

    `longest` bounds a single text, blob or row, in bytes.
    """

    def __init__(self, path: str, *, writes: bool, longest: int) -> None:
        self._path = path
        self._writes = writes
        self._allowed = _WRITING if writes else _READING
        self._longest = longest
        self._idle: deque[_Open] = deque()

    @contextmanager
    def run(self, what: str, sql: str, bindings: Mapping[str, Value], seconds: float) -> Iterator[Statement]:
        """Run the one statement in `sql` and read its rows within the time. `what` begins every error.

        Raises Invalid (not the one statement that may be), NotFound (no such file), TimedOut, TooLarge, Denied,
        ReadOnly, NoSpace.
        """
        until = time.monotonic() + seconds
        opened: _Open | None = None
        try:
            opened = self._take(what, seconds)
            opened.connection.set_busy_timeout(int(seconds * 1000))
            opened.connection.set_progress_handler(lambda: time.monotonic() > until, _STEPS)
            statement = self._started(what, opened.connection, sql, bindings)
            try:
                yield statement
            finally:
                statement.cursor.close(True)
        except apsw.Error as error:
            raise self._told(what, error, opened, seconds) from error
        except UnicodeDecodeError as error:
            raise Invalid(
                f"{what} gives text that is not UTF-8: CAST(... AS BLOB) gives its bytes"
            ) from error
        finally:
            if opened is not None:
                self._give_back(opened)

    def close(self) -> None:
        """Close the connections that nobody uses."""
        while self._idle:
            self._close(self._idle.pop())

    # --- connections -----------------------------------------------------------------------------

    def _take(self, what: str, seconds: float) -> _Open:
        file = self._file(what)
        while True:
            try:
                opened = self._idle.pop()
            except IndexError:
                return self._open(what, file, seconds)
            if (opened.file, opened.process) == (file, os.getpid()):
                return opened
            self._close(opened)

    def _give_back(self, opened: _Open) -> None:
        opened.connection.set_progress_handler(None)
        opened.refused.clear()
        if len(self._idle) < _IDLE:
            self._idle.append(opened)
        else:
            self._close(opened)

    @staticmethod
    def _close(opened: _Open) -> None:
        if opened.process == os.getpid():
            opened.connection.close()
        else:
            _inherited.append(opened)

    def _file(self, what: str) -> tuple[int, int]:
        """Which file is there now; another one by the same name is opened anew."""
        try:
            found = os.stat(self._path)
        except (FileNotFoundError, NotADirectoryError) as error:
            raise NotFound(f"{what}: there is no file {self._path}") from error
        except PermissionError as error:
            raise Denied(f"{what}: {self._path} may not be looked at by this user") from error
        except OSError as error:
            raise Invalid(f"{what}: {self._path}: {error.strerror}") from error
        if not stat.S_ISREG(found.st_mode):
            raise Invalid(f"{what}: {self._path} is not a file")
        return found.st_dev, found.st_ino

    def _open(self, what: str, file: tuple[int, int], seconds: float) -> _Open:
        connection = self._connected(apsw.SQLITE_OPEN_READONLY, seconds)
        try:
            self._refuse_our_own(what, connection)
            if self._writes:  # only now: the last writer to close a database changes its files
                connection.close()
                connection = self._connected(apsw.SQLITE_OPEN_READWRITE, seconds)
            connection.config(apsw.SQLITE_DBCONFIG_DEFENSIVE, 1)
            connection.config(apsw.SQLITE_DBCONFIG_TRUSTED_SCHEMA, 0)
            connection.enable_load_extension(False)
            connection.limit(apsw.SQLITE_LIMIT_ATTACHED, 0)
            connection.limit(apsw.SQLITE_LIMIT_LENGTH, self._longest)
            opened = _Open(connection, file, os.getpid())
            connection.authorizer = self._guard(opened.refused)
        except BaseException:
            connection.close()
            raise
        return opened

    def _connected(self, flags: int, seconds: float) -> apsw.Connection:
        connection = apsw.Connection(self._path, flags=flags)
        connection.set_busy_timeout(int(seconds * 1000))
        return connection

    def _refuse_our_own(self, what: str, connection: apsw.Connection) -> None:
        application = connection.pragma("application_id")
        if isinstance(application, int) and application >> 8 == _AVM:
            raise Denied(
                f"{what}: {self._path} is a database of AVM, which is read through AVM alone; "
                "the handler 'memory' shows a part of the store under another name"
            )

    # --- statements ------------------------------------------------------------------------------

    def _guard(
        self, refused: list[str]
    ) -> Callable[[int, str | None, str | None, str | None, str | None], int]:
        def authorize(action: int, first: str | None, second: str | None, *_: str | None) -> int:
            if action in self._allowed:
                return apsw.SQLITE_OK
            if action == apsw.SQLITE_PRAGMA and first == _HARMLESS_PRAGMA and second is None:
                return apsw.SQLITE_OK
            known = apsw.mapping_authorizer_function.get(action, str(action))
            name = str(known).removeprefix("SQLITE_").replace("_", " ")
            refused.append(f"{name} {first}" if first else name)
            return apsw.SQLITE_DENY

        return authorize

    def _started(
        self, what: str, connection: apsw.Connection, sql: str, bindings: Mapping[str, Value]
    ) -> Statement:
        described: list[str] = []
        passed: list[str] = []

        def look(cursor: apsw.Cursor, first: str, _: object) -> bool:
            if passed and not cursor.has_vdbe:
                return True  # comments after it
            if not _NOTHING.match(sql, len(first)):
                raise Invalid(f"{what} is more than one statement")
            if not cursor.has_vdbe or cursor.is_explain or cursor.is_readonly is self._writes:
                raise Invalid(f"{what} is not {self._kind()}")
            passed.append(first)
            described[:] = (column[0] for column in cursor.description)
            return True

        cursor, before = connection.cursor(), connection.total_changes()
        cursor.exec_trace = look
        try:
            cursor.execute(sql, dict(bindings))
        except KeyError as error:
            known = ", ".join(f":{name}" for name in bindings) or "none"
            raise Invalid(
                f"{what} has a parameter :{error.args[0]}, which neither the pattern nor config.params gives; "
                f"there are: {known}"
            ) from error
        except apsw.BindingsError as error:
            raise Invalid(f"{what}: parameters are written :name") from error
        except (OverflowError, UnicodeEncodeError) as error:
            raise Invalid(f"{what}: a value cannot be bound: {error}") from error
        # With the first row SQLite may have learned of new columns. `description` has been kept as it was before.
        with suppress(apsw.ExecutionCompleteError):  # there is no row
            described[:] = (column[0] for column in cursor.get_description())
        return Statement(distinct(described), cursor, before)

    def _told(self, what: str, error: apsw.Error, opened: _Open | None, seconds: float) -> VfsError:
        """An error of SQLite in our terms."""
        if opened is not None and opened.refused:
            return Invalid(f"{what} is not {self._kind()}: {opened.refused[-1]} is refused")
        for kind, make, text in _ERRORS:
            if isinstance(error, kind):
                return make(f"{what}: {text.format(path=self._path, error=error, seconds=seconds)}")
        return Invalid(f"{what} cannot be run: {error}")

    def _kind(self) -> str:
        return "an INSERT, UPDATE or DELETE" if self._writes else "a SELECT"
