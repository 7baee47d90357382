"""Really forgetting: a node's contents, names and metadata erased, its journal rows redacted, the pages scrubbed.

Redaction keeps of a row what the chain covers (sequence, time, operation, commitment) and the node's number; salt and
fields go, so nothing can be guessed from the commitment. The transaction erases; `scrub` then rewrites the file, for
what was freed by earlier changes still stands in free pages, and empties the WAL.
"""

from __future__ import annotations

import time
from collections.abc import Callable
from typing import Any

import apsw

from avm_builtin.storage.sqlite import retention
from avm_builtin.storage.sqlite.connection import Database, Row
from vfs_core import journal

Execute = Callable[[str, tuple[Any, ...]], list[Row]]

_PATIENCE = 5.0
"""Seconds that scrubbing waits for readers in other processes to let go of the WAL."""


def erase(execute: Execute, node: int, sequence: int) -> int:
    """Erase what is kept of a node that has no name any more, and redact its rows; returns how many rows."""
    retention.erase(execute, node, sequence)
    execute("DELETE FROM directory WHERE id = ?", (node,))
    execute(
        "UPDATE node SET links = 0, deleted_sequence = ?, modified_ns = 0, changed_ns = 0, created_ns = 0, "
        "uid = 0, gid = 0 WHERE id = ?",
        (sequence, node),
    )
    rows = execute(
        "SELECT sequence, salt, path, old_path, version, size, hash, agent, actor, door, details FROM journal "
        "WHERE node = ? AND commitment IS NULL",
        (node,),
    )
    for row, salt, path, old_path, version, size, content_hash, agent, actor, door, details in rows:
        kept = journal.commitment(
            salt, node, path, old_path, version, size, content_hash, agent, actor, door, details
        )
        execute(
            "UPDATE journal SET commitment = ?, salt = NULL, path = '', old_path = NULL, version = 0, size = 0, "
            "hash = NULL, agent = 0, actor = 0, door = '', details = NULL WHERE sequence = ?",
            (kept, row),
        )
    return len(rows)


def scrub(database: Database) -> bool:
    """Rewrite the file without what was freed, and empty its WAL; whether nothing of the old bytes can be left.

    False where a reader in another process held on to the WAL for too long: scrub again. Only with `mutex` held.
    """
    if database.in_memory:
        return True
    connection = database.writer()
    with database.exclusive(lambda: connection.execute("VACUUM")):
        deadline = time.monotonic() + _PATIENCE
        while True:
            try:
                busy = connection.execute("PRAGMA wal_checkpoint(TRUNCATE)").fetchall()[0][0]
            except apsw.BusyError:
                busy = 1
            if not busy:
                return True
            if time.monotonic() > deadline:
                return False
            time.sleep(0.02)
