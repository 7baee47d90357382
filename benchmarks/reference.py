"""The reference for the store: raw apsw that does the same work on the same tables, and nothing else.

The same statements in the same transactions: find the note, append a journal row (salt, commitment, chain),
keep the old body as a reverse delta, update the node, announce on the bell, commit, ring. No policy, no
sessions, no errors, no objects; every value is where the statement needs it. This is what ratios are against.

`python -m benchmarks.reference DB WRITES` writes so many notes to a copy of a store of ours and prints the rate.
"""

from __future__ import annotations

import fcntl
import mmap
import os
import random
import sys
import time
from hashlib import blake2b
from pathlib import Path
from typing import Any

import apsw

from avm_builtin.storage.sqlite import schema
from vfs_core.content import reverse_delta

_RESOLVE = """SELECT n.id, n.kind, n.mode, n.owner, n."group", n.size, n.version, n.modified_ns, n.changed_ns,
    n.created_ns, n.uid, n.gid, n.links, n.expires_ns, ifnull(n.accessed_ns, n.modified_ns), ifnull(n.device, 0),
    n.visibility, n.meta, d.id, d.visibility, n.body, n.content_sequence
    FROM directory d JOIN name m ON m.directory = d.id AND m.name = ?
    JOIN node n ON n.id = m.node WHERE d.path = ?"""
_READ = """SELECT n.id, n.kind, n.mode, n.owner, n."group", n.size, n.version, n.modified_ns, n.changed_ns,
    n.created_ns, n.uid, n.gid, n.links, n.expires_ns, ifnull(n.accessed_ns, n.modified_ns), ifnull(n.device, 0),
    n.visibility, n.meta, d.id, d.visibility, (SELECT max(sequence) FROM journal), n.body FROM directory d
    JOIN name m ON m.directory = d.id AND m.name = ? JOIN node n ON n.id = m.node WHERE d.path = ?"""
_HEAD = "SELECT sequence, chain FROM journal ORDER BY sequence DESC LIMIT 1"
_JOURNAL = "INSERT INTO journal VALUES (?, ?, ?, ?, ?, ?, ?, ?, ?, ?, ?, ?, ?, ?, NULL, ?)"
_OLD = "INSERT INTO old_body (sequence, prefix, suffix, body) VALUES (?, ?, ?, ?)"
_UPDATE = """UPDATE node SET size = ?, version = ?, modified_ns = ?, changed_ns = ?, content_sequence = ?,
    hash = ?, meta = ?, body = ? WHERE id = ?"""
_HEAD_WORD, _RING_BYTE, _FIRST_SLOT, _SLOTS = 4, 64, 64, 4096
_BUSY_SECONDS = 60


class Raw:
    """A connection and a bell. `wait` is how a writer comes by the write lock among others:

    `alone` (there are none), `queue` (a file lock around the transaction), `jitter` (BEGIN IMMEDIATE again after
    up to 2 ms), `busy` (SQLite's own busy timeout).
    """

    def __init__(self, path: Path, durability: str, wait: str = "alone") -> None:
        self._connection = apsw.Connection(str(path))
        self._execute = self._connection.execute
        self._execute("PRAGMA journal_mode = WAL")
        self._execute(f"PRAGMA synchronous = {durability}")
        self._execute("PRAGMA cache_size = -8192")
        # As the store does: without it SQLite plans the join anew for each binding.
        self._connection.config(apsw.SQLITE_DBCONFIG_ENABLE_QPSG, 1)
        if self._connection.pragma("application_id") == 0:
            for statements, _ in schema.MIGRATIONS:
                self._execute(statements)
        self._connection.set_busy_timeout(_BUSY_SECONDS * 1000 if wait == "busy" else 0)
        self._wait = wait
        self._lock = os.open(f"{path}.raw-lock", os.O_RDWR | os.O_CREAT | os.O_CLOEXEC)
        self._bell = os.open(f"{path}.raw-bell", os.O_RDWR | os.O_CREAT | os.O_CLOEXEC)
        os.posix_fallocate(self._bell, 0, (_FIRST_SLOT + _SLOTS) * 8)
        self._words = memoryview(mmap.mmap(self._bell, 0)).cast("Q")

    def _begin(self) -> None:
        if self._wait == "queue":
            fcntl.flock(self._lock, fcntl.LOCK_EX)
        while True:
            try:
                self._execute("BEGIN IMMEDIATE")
                return
            except apsw.BusyError:
                if self._wait != "busy":
                    time.sleep(random.random() * 0.002)

    def write_many(self, notes: list[tuple[str, bytes]]) -> None:
        """Replace the contents of notes in one transaction."""
        execute, words = self._execute, self._words
        self._begin()
        sequence, chain = execute(_HEAD).fetchone()  # type: ignore[misc]
        touched = []
        for path, data in notes:
            directory, _, name = path.rpartition("/")
            row: Any = execute(_RESOLVE, (name, directory)).fetchone()
            node, version, old = row[0], row[6] + 1, row[20]
            digest = blake2b(data, digest_size=32, person=b"avm.leaf").digest()
            sequence += 1
            now, salt, size = time.time_ns(), os.urandom(16), len(data)
            fields = f"{node}\0{path}\0\0{version}\0{size}\0{1}\0{1}\0python\0\0"
            commitment = blake2b(salt + fields.encode() + digest, digest_size=32).digest()
            header = f"{sequence}\0{now}\0write\0".encode()
            chain = blake2b(chain + header + commitment, digest_size=32).digest()
            execute(
                _JOURNAL,
                (sequence, now, "write", node, path, None, version, size, digest, 1, 1, "python", None, salt, chain),
            )  # fmt: skip
            if (version - 1) % 16 == 0:
                execute(_OLD, (row[21], None, None, old))
            else:
                execute(_OLD, (row[21], *reverse_delta(old, data)))
            execute(_UPDATE, (size, version, now, now, sequence, digest, row[17], data, node))
            touched.append(node)
        for node in touched:
            words[_FIRST_SLOT + node % _SLOTS] = sequence
        words[_HEAD_WORD] = sequence
        execute("COMMIT")
        if self._wait == "queue":
            fcntl.flock(self._lock, fcntl.LOCK_UN)
        os.pwrite(self._bell, b"\1", _RING_BYTE)

    def write(self, path: str, data: bytes) -> None:
        """Replace the content of a note."""
        self.write_many([(path, data)])

    def read(self, path: str) -> bytes:
        """The content of a note, and the row that says who may read it and when it was read."""
        directory, _, name = path.rpartition("/")
        # To the end, as the store does: a statement left open would go on seeing its old snapshot.
        row: Any = self._execute(_READ, (name, directory)).fetchall()[0]
        return row[21]  # type: ignore[no-any-return]

    def close(self) -> None:
        self._connection.close()
        os.close(self._lock)
        os.close(self._bell)


def checkpoint(path: Path) -> None:
    """Bring everything into the database file itself, so that it can be copied."""
    connection = apsw.Connection(str(path))
    connection.execute("PRAGMA wal_checkpoint(TRUNCATE)")
    connection.close()


def _main() -> None:
    path, count = Path(sys.argv[1]), int(sys.argv[2])
    for durability in ("FULL", "NORMAL"):
        raw = Raw(path, durability)
        paths = [
            f"{directory}/{name}"
            for directory, name in raw._execute(
                "SELECT d.path, m.name FROM name m JOIN directory d ON d.id = m.directory "
                "JOIN node n ON n.id = m.node WHERE n.kind = 0 AND n.body IS NOT NULL LIMIT 1000"
            )
        ]
        start = time.perf_counter()
        for number in range(count):
            raw.write(paths[number % len(paths)], b"%x" % random.getrandbits(2000))
        print(f"{durability}: {count / (time.perf_counter() - start):,.0f} writes/s")
        raw.close()


if __name__ == "__main__":
    _main()
