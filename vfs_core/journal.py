"""The journal: what its rows say, and the hash chain that proves they are whole.

The chain covers (previous hash, sequence, time, operation, commitment), where the commitment hides
the remaining fields behind a salt. Forgetting a row erases salt and fields and keeps the commitment:
the chain still verifies, and nothing can be guessed from it.
"""

from __future__ import annotations

from hashlib import blake2b
from typing import NamedTuple

SALT_SIZE = 16
HASH_SIZE = 32
_EMPTY = blake2b(digest_size=HASH_SIZE)
"""Copied for each hash, which takes two thirds of the time of setting up another."""
GENESIS = bytes(HASH_SIZE)
"""The chain hash before the first row."""

# The operations that rows carry. Later features add theirs; a row's operation is never renamed.
INIT = "init"
USER = "user"
MKDIR = "mkdir"
WRITE = "write"
APPEND = "append"
META = "meta"
DELETE = "delete"
RENAME = "rename"
MODE = "mode"
OWNER = "owner"
SHARE = "share"
LINK = "link"
UNLINK = "unlink"
SUDO = "sudo"
RESTORE = "restore"
EXPIRY = "expiry"
TRUNCATE = "truncate"
SYMLINK = "symlink"
HARD_LINK = "hardlink"
MKNOD = "mknod"
TIMES = "times"
CHOWN = "chown"
XATTR = "xattr"
PURGE = "purge"
MEND = "mend"
BACKUP = "backup"
EXPORT = "export"
FORGET = "forget"
RESTORED = "restored"
"""The first row of a store that was put back from a backup; the only one whose sequence may leave a gap before it."""

CONTENT_OPERATIONS = (WRITE, APPEND, TRUNCATE)
"""Operations that commit a new version of a node's content."""


INERT = frozenset({INIT, USER, MKDIR, LINK, UNLINK, SUDO, PURGE, BACKUP, FORGET, MEND})
"""Operations that change nothing an index knows: a new directory is empty, and what comes into it has its own rows."""

# What the details of rows tell of the state before, so that it can be looked at and undone.
META_BEFORE = "meta_before"
"""A patch that takes the metadata back to what it was."""
BEFORE = "before"
"""The former mode, owner, group, access, weight or expiry."""
WITHIN = "within"
"""The node whose recursive deletion deleted this one."""
CLASS = "class"
"""The visibility class of the directory in which a deleted node was."""
EXPIRED = "expired"
"""Set where time deleted a node and not the agent whose write came upon it."""
ATTRIBUTED = "attributed"
"""What an import said of who wrote a version, and when."""
UNDOES = "undoes"
"""The row that this one takes back."""
RUN = "run"
"""The run of something longer (a consolidation) that this row is part of, in one of its transactions."""


class Cursor(NamedTuple):
    """How far a follower has come: which store, which row, and the chain hash at that row.

    Where it does not match the store (a restored backup, a lost tail), the follower rebuilds.
    """

    store_uuid: str
    sequence: int
    chain: bytes


def commitment(
    salt: bytes,
    node: int,
    path: str,
    old_path: str | None,
    version: int,
    size: int,
    content_hash: bytes | None,
    agent: int,
    actor: int,
    door: str,
    details: str | None,
) -> bytes:
    """BLAKE2b-256 over the salt and the row's fields.

    `agent` and `actor` are the store's user ids, `details` the row's JSON text. The fields are joined by NUL,
    which no path, name or JSON text contains, so no two rows share an encoding.
    """
    text = f"{node}\0{path}\0{old_path or ''}\0{version}\0{size}\0{agent}\0{actor}\0{door}\0{details or ''}\0"
    hashing = _EMPTY.copy()
    hashing.update(salt + text.encode() + (content_hash or b""))
    return hashing.digest()


def chain(previous: bytes, sequence: int, time_ns: int, operation: str, commitment: bytes) -> bytes:
    """The chain hash of a row: BLAKE2b-256 over the previous one and what is never forgotten."""
    hashing = _EMPTY.copy()
    hashing.update(previous + f"{sequence}\0{time_ns}\0{operation}\0".encode() + commitment)
    return hashing.digest()
