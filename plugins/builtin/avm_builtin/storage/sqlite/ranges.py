"""Reading and changing parts of a content: only the chunks concerned are touched.

A writer that commits again and again (a file held open) may name a snapshot: the version that was current when it
began, and the one that it committed last. As long as nobody else wrote in between, what it replaces of its own is
not kept, and those versions become a gap in the history; what was there before it began is kept.
"""

from __future__ import annotations

from collections.abc import Iterable, Iterator

from avm_builtin.storage.sqlite import contents
from avm_builtin.storage.sqlite.connection import Runner, fetch
from avm_builtin.storage.sqlite.contents import Part, Stored, Written
from avm_builtin.storage.sqlite.trees import ZERO_LEAF, Trees
from vfs_core.content import CHUNK, leaf_hash
from vfs_core.storage import Snapshot

_SMALL = CHUNK // 2
"""Bytes up to which a change of a chunk keeps only what it replaces."""


def read(connection: Runner, stored: Stored, offset: int, size: int) -> bytes:
    """At most `size` bytes from `offset` on; fewer at the end, none behind it."""
    end = min(offset + size, stored.size)
    if offset >= end:
        return b""
    if stored.body is not None:
        return stored.body[offset:end]
    first, last = offset // CHUNK, (end - 1) // CHUNK
    start = first * CHUNK
    found = bytearray(end - start)
    for position, body in connection.execute(
        "SELECT position, body FROM chunk WHERE node = ? AND position BETWEEN ? AND ?",
        (stored.id, first, last),
    ):
        at = position * CHUNK - start
        part = body[: len(found) - at]
        found[at : at + len(part)] = part
    return bytes(found[offset - start :])


def write(
    connection: Runner,
    trees: Trees,
    old: Stored,
    offset: int,
    data: bytes,
    snapshot: Snapshot | None,
) -> Written:
    """Put `data` at `offset`, with zeros before it where the content was shorter."""
    size = max(old.size, offset + len(data))
    if old.body is not None and size <= CHUNK:
        body = old.body.ljust(offset, b"\0")
        return _inline(connection, old, body[:offset] + data + body[offset + len(data) :], snapshot)
    keeping = _Keeping(connection, old, snapshot)
    _as_chunks(connection, old, size, keeping)
    done = 0
    while done < len(data):
        position, at = divmod(offset + done, CHUNK)
        part = data[done : done + CHUNK - at]
        before = contents.chunk_at(connection, old.id, position)
        whole = (before or b"").ljust(min(CHUNK, size - position * CHUNK), b"\0")
        replaced = None
        if before is not None and len(before) == len(whole) and len(part) <= _SMALL:
            replaced = Part(at, before[at : at + len(part)])
        after = whole[:at] + part + whole[at + len(part) :]
        keeping.put(position, after, known=before is not None, part=replaced)
        done += len(part)
    first, last = offset // CHUNK, max(offset, offset + len(data) - 1) // CHUNK
    return Written(size, trees.root(connection, old.id, old.size, size, first, last), None)


def truncate(connection: Runner, trees: Trees, old: Stored, size: int, snapshot: Snapshot | None) -> Written:
    """Cut the content, or let it grow by a hole."""
    if old.body is not None and size <= CHUNK:
        return _inline(connection, old, old.body[:size].ljust(size, b"\0"), snapshot)
    keeping = _Keeping(connection, old, snapshot)
    if old.body is None and size <= CHUNK:
        body = read(connection, old, 0, size).ljust(size, b"\0")
        keeping.cut(0)
        return contents.create(connection, old.id, body)
    _as_chunks(connection, old, size, keeping)
    if size < old.size:
        position, rest = divmod(size, CHUNK)
        last = contents.chunk_at(connection, old.id, position) if rest else None
        if last is not None:
            keeping.put(position, last[:rest], known=True)
        keeping.cut(position + bool(rest))
    end = (size - 1) // CHUNK
    return Written(size, trees.root(connection, old.id, old.size, size, end, end), None)


def rechunk(blocks: Iterable[bytes]) -> Iterator[bytes]:
    """The same bytes in chunks of CHUNK, the last one shorter."""
    waiting = bytearray()
    for block in blocks:
        waiting += block
        whole = len(waiting) - len(waiting) % CHUNK
        for start in range(0, whole, CHUNK):
            yield bytes(waiting[start : start + CHUNK])
        del waiting[:whole]
    if waiting:
        yield bytes(waiting)


def _inline(connection: Runner, old: Stored, body: bytes, snapshot: Snapshot | None) -> Written:
    keeping = _Keeping(connection, old, snapshot)
    keeping.body(None if snapshot else body)
    return contents.create(connection, old.id, body)


def _as_chunks(connection: Runner, old: Stored, size: int, keeping: _Keeping) -> None:
    """Make the content a chunked one of `size` bytes: out of an inline one, or its last chunk filled up."""
    if old.body is not None:
        keeping.body(None)
        body = old.body.ljust(CHUNK, b"\0")
        if body != contents.ZERO_CHUNK:
            contents.put_chunk(connection, old, 0, leaf_hash(body), body, known=False)
    elif size > old.size and old.size % CHUNK:
        position = old.size // CHUNK
        last = contents.chunk_at(connection, old.id, position)
        if last is not None:
            # Nothing is kept: the old one is a part of it, cut at the size that it had.
            last = last.ljust(min(CHUNK, size - position * CHUNK), b"\0")
            contents.put_chunk(connection, old, position, leaf_hash(last), last, known=True, keep=False)


class _Keeping:
    """Keeps of what a change replaces what the snapshot asks for."""

    def __init__(self, connection: Runner, old: Stored, snapshot: Snapshot | None) -> None:
        self._connection = connection
        self._old = old
        own = snapshot is not None and snapshot.version == old.version and old.sequence > snapshot.since
        self._since = snapshot.since if own and snapshot is not None else None
        """Set where the writer replaces what it wrote itself."""
        self._base_size = old.size
        """Of what lies behind it, nothing was there when the writer began."""
        if self._since is not None:
            rows = fetch(connection, "SELECT size FROM journal WHERE sequence = ?", (self._since,))
            self._base_size = rows[0][0] if rows else 0
            low = self._since + 1
            connection.execute("DELETE FROM gap WHERE node = ? AND low = ?", (old.id, low))
            connection.execute(
                "INSERT OR REPLACE INTO gap (node, low, high) VALUES (?, ?, ?)", (old.id, low, old.sequence)
            )

    def body(self, new: bytes | None) -> None:
        """Keep an inline body, as a delta against `new` if that follows it for good."""
        if self._since is None:
            contents.keep_body(self._connection, self._old, new)

    def put(self, position: int, chunk: bytes, *, known: bool, part: Part | None = None) -> None:
        """Store a chunk, and keep the one that was there when the writer began."""
        leaf = ZERO_LEAF if chunk == contents.ZERO_CHUNK else leaf_hash(chunk)
        new = known and position * CHUNK >= self._base_size
        keep = not new and not self._is_kept(position)
        contents.put_chunk(
            self._connection, self._old, position, leaf, chunk, known=known, keep=keep, part=part
        )

    def cut(self, start: int) -> None:
        """Take the chunks from a position on away, and keep those that were there when the writer began."""
        since = self._old.sequence if self._since is None else self._since
        contents.complete(self._connection, self._old.id, start, since)
        self._connection.execute(
            "DELETE FROM chunk WHERE node = ?1 AND position >= ?2 AND position IN "
            "(SELECT position FROM old_chunk WHERE node = ?1 AND position >= ?2 AND sequence >= ?3)",
            (self._old.id, start, since),
        )
        if self._since is not None:
            self._connection.execute(
                "DELETE FROM chunk WHERE node = ? AND position >= ?",
                (self._old.id, max(start, -(-self._base_size // CHUNK))),
            )
        contents.keep_chunks(self._connection, self._old, start)

    def _is_kept(self, position: int) -> bool:
        """Whether what was there when the writer began is kept; from now on it is so whole."""
        if self._since is None:
            return False
        rows = fetch(
            self._connection,
            "SELECT start FROM old_chunk WHERE node = ? AND position = ? AND sequence >= ? ORDER BY sequence LIMIT 1",
            (self._old.id, position, self._since),
        )
        if rows and rows[0][0] is not None:
            contents.complete(self._connection, self._old.id, position, self._since)
        return bool(rows)
