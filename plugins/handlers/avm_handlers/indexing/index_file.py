"""One project's index: a small SQLite file beside the default store, which can be made anew at any time.

It holds what each file was when it was last read, and its signatures. Several processes may use it at once.
"""

from __future__ import annotations

import re
from collections.abc import Iterable, Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import NamedTuple

import apsw

from avm_handlers.indexing.files import Mark
from avm_handlers.indexing.signatures import Signature
from vfs_core.config_places import default_store_path
from vfs_core.errors import Denied, Invalid, NotFound, TimedOut, VfsError

APPLICATION = 0x41564D43  # "AVMC"
VERSION = 2
"""Of the tables and of what is a signature: an index of another version is made anew."""
_NAME = re.compile(r"\w[\w.-]{0,99}")
_BUSY_MS = 10_000
_SCHEMA = """
    CREATE TABLE project (root TEXT NOT NULL);
    CREATE TABLE file (
        path TEXT PRIMARY KEY, size INTEGER, mtime_ns INTEGER, ctime_ns INTEGER, inode INTEGER, digest BLOB,
        language TEXT
    );
    CREATE TABLE signature (
        path TEXT, position INTEGER, line INTEGER, kind TEXT, name TEXT, text TEXT, PRIMARY KEY (path, position)
    ) WITHOUT ROWID;
"""


class Known(NamedTuple):
    """What the index knows of a file: its mark, the hash of its content, and its language."""

    mark: Mark
    digest: bytes | None
    language: str | None


class Entry(NamedTuple):
    """A file that has been read, for the index."""

    path: str
    known: Known
    signatures: list[Signature] | None
    """None: as they were."""


def directory() -> Path:
    """Where indexes are kept."""
    return default_store_path().parent / "index"


def names() -> list[str]:
    """The projects that have an index."""
    try:
        return sorted(
            each.stem for each in directory().iterdir() if each.suffix == ".db" and _NAME.fullmatch(each.stem)
        )
    except (FileNotFoundError, NotADirectoryError):
        return []


class IndexFile:
    """The index of one project, open. Use it through `reading` and `writing`."""

    def __init__(self, connection: apsw.Connection) -> None:
        self._connection = connection

    def root(self) -> Path | None:
        """Where the project is."""
        row = self._connection.execute("SELECT root FROM project").fetchone()
        return None if row is None else Path(row[0])

    def move(self, root: Path) -> None:
        """Say where the project is; what was known of another place is forgotten."""
        if self.root() != root:
            with self._connection:
                for table in ("project", "file", "signature"):
                    self._connection.execute(f"DELETE FROM {table}")
                self._connection.execute("INSERT INTO project VALUES (?)", (str(root),))

    def files(self) -> dict[str, Known]:
        """What is known, by path."""
        rows = self._connection.execute(
            "SELECT path, size, mtime_ns, ctime_ns, inode, digest, language FROM file"
        )
        return {path: Known(Mark(*mark), digest, language) for path, *mark, digest, language in rows}

    def signatures(self, path: str) -> list[Signature] | None:
        """What a file defines; None if it is not there, or in a language that is not understood."""
        query = "SELECT 1 FROM file WHERE path = ? AND language IS NOT NULL"
        if self._connection.execute(query, (path,)).fetchone() is None:
            return None
        query = "SELECT line, kind, name, text FROM signature WHERE path = ? ORDER BY position"
        return [Signature(*row) for row in self._connection.execute(query, (path,))]

    def all_signatures(self) -> dict[str, list[Signature]]:
        """What each file defines, of those in a language that is understood."""
        query = "SELECT path FROM file WHERE language IS NOT NULL ORDER BY path"
        found: dict[str, list[Signature]] = {path: [] for (path,) in self._connection.execute(query)}
        rows = self._connection.execute(
            "SELECT path, line, kind, name, text FROM signature ORDER BY path, position"
        )
        for path, *signature in rows:
            found.setdefault(path, []).append(Signature(*signature))
        return found

    def put(self, entries: Iterable[Entry], removed: Iterable[str]) -> None:
        """Take in what has been read, and forget what is gone, in one transaction."""
        with self._connection:
            for path in removed:
                self._connection.execute("DELETE FROM file WHERE path = ?", (path,))
                self._connection.execute("DELETE FROM signature WHERE path = ?", (path,))
            for path, known, signatures in entries:
                row = (path, *known.mark, known.digest, known.language)
                self._connection.execute("INSERT OR REPLACE INTO file VALUES (?, ?, ?, ?, ?, ?, ?)", row)
                if signatures is not None:
                    self._connection.execute("DELETE FROM signature WHERE path = ?", (path,))
                    self._connection.executemany(
                        "INSERT INTO signature VALUES (?, ?, ?, ?, ?, ?)",
                        [(path, position, *each) for position, each in enumerate(signatures)],
                    )


@contextmanager
def reading(name: str) -> Iterator[IndexFile]:
    """The index of a project. Raises NotFound if there is none."""
    with _opened(name, apsw.SQLITE_OPEN_READONLY) as connection:
        if _identity(connection) != (APPLICATION, VERSION):
            raise NotFound(
                f"the index {name!r} is of another version: `avm index scan {name} PATH` makes it anew"
            )
        yield IndexFile(connection)


@contextmanager
def writing(name: str) -> Iterator[IndexFile]:
    """The index of a project, made if there is none, or one of another version."""
    _path(name).parent.mkdir(parents=True, exist_ok=True, mode=0o700)
    with _opened(name, apsw.SQLITE_OPEN_READWRITE | apsw.SQLITE_OPEN_CREATE) as connection:
        connection.execute("BEGIN IMMEDIATE")
        if _identity(connection) != (APPLICATION, VERSION):
            for table in ("project", "file", "signature"):
                connection.execute(f"DROP TABLE IF EXISTS {table}")
            connection.execute(
                f"{_SCHEMA} PRAGMA application_id = {APPLICATION}; PRAGMA user_version = {VERSION}"
            )
        connection.execute("COMMIT")
        yield IndexFile(connection)


@contextmanager
def _opened(name: str, flags: int) -> Iterator[apsw.Connection]:
    path = _path(name)
    if not flags & apsw.SQLITE_OPEN_CREATE and not path.is_file():
        known = ", ".join(names()) or "none"
        raise NotFound(
            f"there is no index {name!r} (there are: {known}); `avm index scan {name} PATH` makes it"
        )
    try:
        connection = apsw.Connection(str(path), flags=flags)
        try:
            connection.set_busy_timeout(_BUSY_MS)
            yield connection
        finally:
            connection.close()
    except (apsw.BusyError, apsw.LockedError) as error:
        raise TimedOut(
            f"another process has been writing the index {name!r} for {_BUSY_MS // 1000} seconds"
        ) from error
    except (apsw.CantOpenError, apsw.ReadOnlyError, apsw.PermissionsError) as error:
        raise Denied(f"the index {path} cannot be opened or written: {error}") from error
    except (apsw.NotADBError, apsw.CorruptError) as error:
        raise Invalid(f"{path} is damaged or no index; remove it and scan again") from error
    except apsw.Error as error:
        raise VfsError(f"the index {path}: {error}") from error


def _path(name: str) -> Path:
    if not _NAME.fullmatch(name):
        raise Invalid(f"{name!r} is not a name for an index: letters, digits, '_', '-' and '.', at most 100")
    return directory() / f"{name}.db"


def _identity(connection: apsw.Connection) -> tuple[object, object]:
    return connection.pragma("application_id"), connection.pragma("user_version")
