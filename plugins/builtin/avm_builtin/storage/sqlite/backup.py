"""Copying the database while it is in use, and putting a copy back, both through SQLite's backup API.

A copy is one file (no WAL), whole or not there at all. Putting it back is one transaction on the live database, so
that other processes go on reading what was there until it commits, and no file changes under their connections. What
is put back is another store than the one that was: it gets a new uuid, and a RESTORED row that continues the numbers
of the store that it replaces, so that no id and no sequence is ever used twice and every cache and follower notices.
"""

from __future__ import annotations

import json
import os
import time
import uuid
from collections.abc import Callable, Iterator
from contextlib import ExitStack, contextmanager
from pathlib import Path

import apsw

from avm_builtin.sqlite_connection import NO_SPACE, connect
from avm_builtin.storage.sqlite import check, schema
from avm_builtin.storage.sqlite.connection import BUSY_SECONDS, Database, Row, fetch
from vfs_core import journal
from vfs_core.errors import CorruptStore, Exists, ForeignStore, NewerStore, NoSpace, NotFound, StoreError
from vfs_core.storage import Head
from vfs_core.types import Origin

PAGES = 1000
"""Pages that are copied at a time: some milliseconds, between which an interrupt is heard."""

_HEAD = "SELECT sequence, chain FROM journal ORDER BY sequence DESC LIMIT 1"

Step = Callable[[int, int], None]
"""Called with (pages done, pages in all)."""


def copy(database: Database, target: Path, step: Step | None = None) -> Head:
    """Write a whole copy to `target`, which must not be there; returns the head of the journal in it.

    The copy is of one moment, whatever others write meanwhile, and is verified before it gets its name. Raises
    Exists, NoSpace, StoreError.
    """
    if target.exists() or target.is_symlink():
        raise Exists(f"{target} exists already; a backup replaces nothing")
    partial = target.with_name(f".{target.name}.{os.getpid()}.partial")
    try:
        os.close(os.open(partial, os.O_RDWR | os.O_CREAT | os.O_EXCL | os.O_CLOEXEC, 0o600))
        source = _reader(database)
        try:
            source.execute("BEGIN")
            source.execute("SELECT count(*) FROM sqlite_schema").fetchall()  # takes the snapshot
            with _opened(partial) as destination:
                _pour(source, destination, step)
                destination.execute("PRAGMA journal_mode = DELETE")
                head = Head(*fetch(destination, _HEAD)[0])
        finally:
            source.close()
        flush(partial)
        examine(partial)
        try:
            os.link(partial, target)
        except FileExistsError:
            raise Exists(f"{target} exists already; a backup replaces nothing") from None
        except OSError:  # a file system without hard links
            partial.rename(target)
        flush(target.parent)
        return head
    except apsw.Error as error:
        raise database.translate(error) from error
    except OSError as error:
        raise _failed(target, error) from error
    finally:
        partial.unlink(missing_ok=True)


def examine(path: Path) -> tuple[int, Head]:
    """Check that a file is a whole AVM store; returns its schema version and head.

    Raises NotFound, ForeignStore, NewerStore, CorruptStore.
    """
    if not path.is_file():
        raise NotFound(f"there is no file {path}")
    try:
        with _opened(path, writable=False) as connection:
            application = connection.pragma("application_id")
            version = connection.pragma("user_version")
            if application != schema.APPLICATION_ID:
                raise ForeignStore(f"{path} is not a backup of an AVM store")
            if version > schema.VERSION:
                raise NewerStore(f"{path} was made by a newer AVM (schema {version}): upgrade this one first")
            for finding in (check.engine(connection), check.chain(connection)):
                if finding.level == "fail":
                    raise CorruptStore(f"{path} is damaged: {finding.message}")
            return int(version), Head(*fetch(connection, _HEAD)[0])
    except apsw.NotADBError:
        raise ForeignStore(f"{path} is not a backup of an AVM store") from None
    except apsw.Error as error:
        raise CorruptStore(f"{path} is damaged: {error}") from error


@contextmanager
def working_copy(source: Path, beside: str) -> Iterator[Path]:
    """A private copy of a backup in the store's directory, which goes away at the end."""
    import shutil
    import tempfile

    directory = Path(tempfile.mkdtemp(prefix=".restoring-", dir=Path(beside).parent))
    try:
        path = directory / "copy.db"
        shutil.copyfile(source, path)
        path.chmod(0o600)
        yield path
    except OSError as error:
        raise _failed(path, error) from error
    finally:
        shutil.rmtree(directory, ignore_errors=True)


def put_back(
    database: Database, copy_path: Path, origin: Origin, announce: Callable[[str, int], None], keep: Path
) -> Head:
    """Make the live database what the copy is, in one transaction, after copying what is there to `keep`.

    Both happen under the write lock, so nothing that was acknowledged is in neither. `announce` is called with the
    new uuid and the sequence of the RESTORED row, with the write lock held, before anybody can see it. Returns the
    head of what was kept. Only with the database's mutex held.
    """
    new_uuid = str(uuid.uuid4())
    live = connect(database.path, writable=True, synchronous="FULL", busy_seconds=BUSY_SECONDS)
    kept: Head | None = None
    done = False
    try:
        with ExitStack() as stack:
            source = stack.enter_context(_opened(copy_path))
            backup: apsw.Backup = live.backup("main", source, "main")
            stack.callback(backup.close)
            stack.enter_context(database.exclusive(lambda: backup.step(0)))  # nobody else writes from here on
            kept = copy(database, keep)
            sequence = kept.sequence + 1
            copies = database.rows("SELECT kind, location, time_ns, sequence FROM copy ORDER BY id")
            copies.append((journal.BACKUP, str(keep), time.time_ns(), kept.sequence))
            with source:
                sequence = _mark(source, sequence, origin, copies)
                source.execute("UPDATE info SET value = ? WHERE key = 'uuid'", (new_uuid,))
            announce(new_uuid, sequence)
            while not backup.done:
                backup.step(-1)
            done = True
    except apsw.Error as error:
        raise database.translate(error) from error
    finally:
        live.close()
        if kept is not None and not done:
            keep.unlink(missing_ok=True)
    return kept


def _mark(copy: apsw.Connection, sequence: int, origin: Origin, copies: list[Row]) -> int:
    """Append the RESTORED row, numbered after everything in either store, and what is known of other copies."""
    last, previous = fetch(copy, _HEAD)[0]
    sequence, now, salt = max(sequence, last + 1), time.time_ns(), os.urandom(journal.SALT_SIZE)
    users: dict[str, int] = dict(fetch(copy, "SELECT name, id FROM user"))
    founder = min(users.values())
    agent, actor = users.get(origin.agent, founder), users.get(origin.actor, founder)
    details = json.dumps({"agent": origin.agent, "from": last}, sort_keys=True)
    fields = (0, "", None, 0, 0, None, agent, actor, origin.door, details)
    chain = journal.chain(previous, sequence, now, journal.RESTORED, journal.commitment(salt, *fields))
    copy.execute(
        "INSERT INTO journal VALUES (?, ?, ?, ?, ?, ?, ?, ?, ?, ?, ?, ?, ?, ?, NULL, ?)",
        (sequence, now, journal.RESTORED, *fields, salt, chain),
    )
    known = set(fetch(copy, "SELECT kind, location, time_ns, sequence FROM copy"))
    for row in copies:
        if row not in known:
            copy.execute("INSERT INTO copy (kind, location, time_ns, sequence) VALUES (?, ?, ?, ?)", row)
    return sequence


def _pour(source: apsw.Connection, destination: apsw.Connection, step: Step | None) -> None:
    with destination.backup("main", source, "main") as backup:
        while not backup.done:
            backup.step(PAGES)
            if step is not None:
                step(backup.page_count - backup.remaining, backup.page_count)


def _reader(database: Database) -> apsw.Connection:
    return connect(database.path, writable=database.writable, synchronous="NORMAL", busy_seconds=BUSY_SECONDS)


@contextmanager
def _opened(path: Path, *, writable: bool = True) -> Iterator[apsw.Connection]:
    """A plain connection to a file that nobody else has open."""
    flags = apsw.SQLITE_OPEN_READWRITE if writable else apsw.SQLITE_OPEN_READONLY
    connection = apsw.Connection(str(path), flags=flags)
    try:
        connection.execute("PRAGMA synchronous = FULL")
        yield connection
    finally:
        connection.close()


def flush(path: Path) -> None:
    """Bring a file, or the names in a directory, to the disk."""
    fd = os.open(path, os.O_RDONLY | os.O_CLOEXEC)
    try:
        os.fsync(fd)
    finally:
        os.close(fd)


def _failed(path: Path, error: OSError) -> StoreError:
    kind = NoSpace if error.errno in NO_SPACE else StoreError
    return kind(f"{path}: {error.strerror or error}")
