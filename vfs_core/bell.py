"""The bell: a small shared file that tells every process what is no longer fresh.

It keeps the caches of all processes coherent for some 20 ns a read and wakes followers. It is a row
of 64-bit words: a header and SLOTS slots, each holding the sequence of the last change that touched
one of its nodes. It *announces*: a writer stores the words before its commit can be seen, so a word
is never behind what can be read, and a cached value is fresh while its slot is not above the
sequence at which it was read.

    writer:  BEGIN IMMEDIATE; journal rows up to n; announce(n, nodes); COMMIT; ring()
    cold:    read value and max(sequence) = t in one statement; keep (value, t)
    hot:     fresh while words[slot] <= t and words[EPOCH] <= t

A writer that died after announcing leaves words above the journal; `heal` lowers them under the
store's write lock. The file is never truncated or replaced while anybody may have it mapped.
"""

from __future__ import annotations

import fcntl
import mmap
import os
import uuid as uuids
from collections.abc import Collection
from contextlib import suppress

MAGIC = 0x4C4C45424D5641  # "AVMBELL"
LAYOUT = 1
SLOTS = 4096
_MAGIC, _LAYOUT, UUID, HEAD, EPOCH, _RING, _FLOOR = 0, 1, 2, 4, 5, 8, 9
FIRST_SLOT = 64
SILENT = (1 << 64) - 1
"""The epoch of a bell that nothing is ever fresh by."""
WORDS = FIRST_SLOT + SLOTS
SIZE = WORDS * 8
EPOCH_THRESHOLD = 256
"""A change of more nodes than this moves the epoch instead of their slots."""


def slot_of(node: int) -> int:
    """The index of a node's word; the same in every process."""
    return FIRST_SLOT + (node & (SLOTS - 1))


class Bell:
    """The words of one store. `words` is what hot paths read; everything else goes through methods."""

    def __init__(self, words: memoryview, fd: int | None, writable: bool) -> None:
        self.words = words
        self.writable = writable
        self._fd = fd
        self.identity = words[UUID]
        """What `words[UUID]` is for as long as no backup has been put in the store's place."""
        self.refused: OSError | None = None
        """Why this process cannot ring it, where it was to be able to and the system said why not."""

    @classmethod
    def private(cls) -> Bell:
        """A bell of this process alone, for stores that nobody else can open."""
        return cls(memoryview(bytearray(SIZE)).cast("Q"), None, True)

    @classmethod
    def silent(cls) -> Bell:
        """A bell that nothing is ever fresh by: for a process that can neither map nor make the file."""
        words = memoryview(bytearray(SIZE)).cast("Q")
        words[EPOCH] = SILENT
        return cls(words.toreadonly(), None, False)

    @classmethod
    def open(cls, path: str, uuid: str, *, writable: bool, mode: int = 0o600) -> Bell:
        """Map the bell file of a store, making it if it is not there.

        A file that cannot be made or mapped, or that belongs to a store of another uuid and cannot
        be taken over, gives a silent bell. `mode` is that of the database.
        """
        try:
            fd = _open_file(path, writable, mode)
        except OSError as error:
            bell = cls.open(path, uuid, writable=False, mode=mode) if writable else cls.silent()
            bell.refused = error
            return bell
        access = mmap.ACCESS_WRITE if writable else mmap.ACCESS_READ
        if os.fstat(fd).st_size < SIZE:
            os.close(fd)
            return cls.silent()
        try:
            words = memoryview(mmap.mmap(fd, SIZE, access=access)).cast("Q")
        except OSError:
            os.close(fd)
            return cls.silent()
        bell = cls(words, fd, writable)
        bell.identity = _halves(uuid)[0]
        if bell._is_of(uuid):
            return bell
        if not writable:
            return cls.silent()
        fcntl.flock(fd, fcntl.LOCK_EX)  # one of those who open a new store together sets it up
        try:
            if not bell._is_of(uuid):
                bell._take_over(uuid)
        finally:
            fcntl.flock(fd, fcntl.LOCK_UN)
        return bell

    def _is_of(self, uuid: str) -> bool:
        words = self.words
        return (words[_MAGIC], words[_LAYOUT], words[UUID], words[UUID + 1]) == (
            MAGIC,
            LAYOUT,
            *_halves(uuid),
        )

    def _take_over(self, uuid: str) -> None:
        """Set up a new file, or one left by another store: everything cached by it is stale, for good.

        That store's sequences may have been higher than this one's ever were: until the journal has passed them, the
        floor keeps the epoch above them, and reads are cold.
        """
        words = self.words
        words[_FLOOR] = words[EPOCH] = max(words[HEAD:]) + 1 if words[_MAGIC] == MAGIC else 1
        words[UUID], words[UUID + 1] = _halves(uuid)
        words[_LAYOUT] = LAYOUT
        words[_MAGIC] = MAGIC

    @property
    def replaced(self) -> bool:
        """Whether a backup has been put in the place of the store that this bell was opened for."""
        return self.words[UUID] != self.identity

    def let_go(self) -> None:
        """Count the store as replaced from now on, for this process, whatever the file says."""
        self.identity = -1

    def replace(self, uuid: str, sequence: int) -> None:
        """Announce, inside the write lock and before the commit, that another store takes this one's place.

        Its rows go on from `sequence`, so whatever was cached before is stale for good.
        """
        self.words[EPOCH] = max(sequence, self.words[_FLOOR])
        self.words[HEAD] = sequence
        self.words[UUID], self.words[UUID + 1] = _halves(uuid)

    @property
    def head(self) -> int:
        """The last sequence announced."""
        return self.words[HEAD]

    def announce(self, sequence: int, nodes: Collection[int], everything: bool = False) -> None:
        """Say, inside the write lock and before the commit, that these nodes change at `sequence`.

        With `everything`, or for more than EPOCH_THRESHOLD nodes, all that is cached is stale.
        """
        words = self.words
        if everything or len(nodes) > EPOCH_THRESHOLD:
            words[EPOCH] = max(sequence, words[_FLOOR])
        else:
            for node in nodes:
                words[FIRST_SLOT + (node & (SLOTS - 1))] = sequence
        words[HEAD] = sequence

    def ring(self) -> None:
        """Wake whoever watches the file. After the commit; a store through the map wakes nobody."""
        if self._fd is not None:
            # The change is there, and its announcement with it: who is not woken sees it when it next looks.
            with suppress(OSError):
                os.pwrite(self._fd, b"\1", _RING * 8)

    def is_ahead(self, sequence: int) -> bool:
        """Whether some word is above the journal's last sequence (a writer at work, or one that died)."""
        return self.words[HEAD] > sequence

    def heal(self, sequence: int) -> None:
        """Lower every word above `sequence`. Only under the store's write lock, with no change pending."""
        words = self.words
        words[EPOCH] = max(min(words[EPOCH], sequence), words[_FLOOR])
        for index in (HEAD, *range(FIRST_SLOT, WORDS)):
            if words[index] > sequence:
                words[index] = sequence

    def close(self) -> None:
        """Let go of the file and its map. What still asks finds its words as they were, and nothing fresh."""
        if self._fd is not None:
            os.close(self._fd)
            self._fd = None
            words = memoryview(bytearray(self.words)).cast("Q")
            words[EPOCH] = SILENT
            self.words = words


def _halves(uuid: str) -> tuple[int, int]:
    whole = uuids.UUID(uuid).int
    return whole & (1 << 64) - 1, whole >> 64


def _open_file(path: str, writable: bool, mode: int) -> int:
    """Open the file, at its full size where it may be written."""
    if not writable:
        return os.open(path, os.O_RDONLY | os.O_CLOEXEC)
    fd = os.open(path, os.O_RDWR | os.O_CREAT | os.O_CLOEXEC, mode)
    try:
        if os.fstat(fd).st_size < SIZE:
            fcntl.flock(fd, fcntl.LOCK_EX)
            if os.fstat(fd).st_size < SIZE:
                os.posix_fallocate(fd, 0, SIZE) if hasattr(os, "posix_fallocate") else os.ftruncate(fd, SIZE)
                if os.fstat(fd).st_mode & 0o7777 != mode:
                    os.fchmod(fd, mode)
            fcntl.flock(fd, fcntl.LOCK_UN)
    except OSError:
        os.close(fd)
        raise
    return fd
