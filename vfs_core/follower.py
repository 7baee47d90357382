"""Followers: everything that is derived from the journal, and how it is kept up with it.

A follower keeps its own data beside the store and commits with it the cursor it has come to. It can
therefore be stopped at any point, or thrown away and rebuilt. One process at a time works on it,
holding its lease; the others watch the lease's cursor until their deadline.
"""

from __future__ import annotations

import fcntl
import mmap
import os
import threading
import time
import weakref
from abc import ABC, abstractmethod
from collections.abc import Callable, Iterator, Sequence
from contextlib import contextmanager
from typing import Generic, TypeVar

from vfs_core.errors import ReadOnly
from vfs_core.journal import Cursor
from vfs_core.storage import Store
from vfs_core.types import Change

BATCH = 1000
"""Journal rows handed to a follower at a time."""
_POLL = 0.0005
"""Seconds between two looks at the cursor of whoever holds the lease."""

_SCRUB_SECONDS = 10.0
_SCRUB_ROWS = 50_000
"""A follower that needs longer, or is further behind, is thrown away instead of cleaned."""

Progress = Callable[[int, int], None]
"""Called with (done, total) while a rebuild runs."""


class Follower(ABC):
    """Data derived from the journal."""

    name: str = ""
    """Names its lease and its lines in `avm stats` and `avm doctor`."""

    writable: bool = True
    """Whether this process can write the follower's files."""

    @abstractmethod
    def cursor(self) -> Cursor | None:
        """What was last committed, or None if there is nothing yet."""

    @abstractmethod
    def apply(self, changes: Sequence[Change], store: Store, cursor: Cursor) -> None:
        """Take in the changes and commit them together with `cursor`.

        A change says which node to look at, not how it looked: read the store's present state, which may
        already be past `cursor`. Applying a change again must change nothing.
        """

    @abstractmethod
    def rebuild(self, store: Store, cursor: Cursor, progress: Progress | None = None) -> None:
        """Throw everything away, derive it from the store's present state, commit it with `cursor`."""

    @abstractmethod
    def discard(self) -> None:
        """Throw all data and files away; what is indexed next is derived anew."""

    def scrub(self) -> bool:
        """Remove from the files whatever is not derived from what the store says now; False if that is not possible.

        The follower is up to date when this is called. Where it cannot, it is thrown away.
        """
        return False

    def files(self) -> list[str]:
        """The files of this follower, as far as there are any."""
        return []

    def vocabulary(self) -> str:
        """What the files say whatever notes there are: the words of the schema."""
        return ""

    @abstractmethod
    def close(self) -> None:
        """Release files and connections."""


class Lease:
    """The right to work on a follower: an exclusive lock on a small file, and its cursor in shared memory.

    The first word of the file is the sequence that the follower has committed; it is a hint for those who
    wait, the truth is in the follower's own data. A forked child has none of its parent's leases.
    """

    def __init__(self, path: str | None, mode: int = 0o600) -> None:
        self._fd: int | None = None
        _leases.add(self)
        if path is None:
            self._words = memoryview(bytearray(8)).cast("Q")
            return
        self._fd = os.open(path, os.O_RDWR | os.O_CREAT | os.O_CLOEXEC, mode)
        if os.fstat(self._fd).st_size < 8:
            os.ftruncate(self._fd, 8)
            if os.fstat(self._fd).st_mode & 0o7777 != mode:
                os.fchmod(self._fd, mode)
        self._words = memoryview(mmap.mmap(self._fd, 8)).cast("Q")

    @property
    def sequence(self) -> int:
        """What the follower has committed, as last announced."""
        return self._words[0]

    @sequence.setter
    def sequence(self, value: int) -> None:
        self._words[0] = value

    def acquire(self) -> bool:
        """Take the lease if nobody holds it."""
        if self._fd is None:
            return True
        try:
            fcntl.flock(self._fd, fcntl.LOCK_EX | fcntl.LOCK_NB)
        except BlockingIOError:
            return False
        return True

    def release(self) -> None:
        """Give it back."""
        if self._fd is not None:
            fcntl.flock(self._fd, fcntl.LOCK_UN)

    def close(self) -> None:
        """Let go of the file and its map."""
        if self._fd is not None:
            os.close(self._fd)
            self._fd = None
            self._words = memoryview(bytearray(self._words)).cast("Q")


_leases: weakref.WeakSet[Lease] = weakref.WeakSet()


def _let_go() -> None:
    """In a forked child: a lock belongs to all who have the file open, and would outlive the parent that held it."""
    for lease in list(_leases):
        lease.close()


os.register_at_fork(after_in_child=_let_go)


AnyFollower = TypeVar("AnyFollower", bound=Follower, covariant=True)


class Runner(Generic[AnyFollower]):
    """Keeps one follower up with one store, for whoever is about to use it."""

    def __init__(self, store: Store, follower: AnyFollower, lease: Lease | None) -> None:
        """`lease` None: this process cannot write the follower's files and only reads them."""
        self.store = store
        self.follower = follower
        self._lease = lease
        self._mutex = threading.Lock()
        self._verified = False

    def catch_up(self, timeout: float = 1.0, progress: Progress | None = None) -> int:
        """Bring the follower to the journal's present head, or wait for who does, for `timeout` seconds.

        Returns how many journal rows it is still behind (0 when it is up to date).
        """
        lease = self._lease
        head = self.store.bell.head
        if lease is None:
            return self.behind()
        if self._is_current(lease, head):
            return 0
        deadline = time.monotonic() + timeout
        while True:
            if self._mutex.acquire(blocking=False):
                try:
                    if lease.acquire():
                        try:
                            self._work(lease, deadline, progress)
                        finally:
                            lease.release()
                        return self.behind()
                finally:
                    self._mutex.release()
            if time.monotonic() >= deadline:
                return self.behind()
            if self._is_current(lease, head):
                return 0
            time.sleep(_POLL)

    def _is_current(self, lease: Lease, head: int) -> bool:
        """Whether somebody has brought the follower to `head`, and its data has not been thrown away since."""
        if not (self._verified and lease.sequence >= head > 0):
            return False
        cursor = self.follower.cursor()  # an older file may have been put back under a running process
        return cursor is not None and cursor.sequence >= head and cursor.store_uuid == self.store.uuid

    def behind(self) -> int:
        """How many journal rows the follower has not seen."""
        cursor = self.follower.cursor()
        if cursor is None or cursor.store_uuid != self.store.uuid:
            return self.store.head().sequence
        return max(0, self.store.head().sequence - cursor.sequence)

    def scrub(self) -> None:
        """Leave nothing in the follower's files of what is not in the store, waiting for whoever holds the lease.

        What is up to date is cleaned where the follower knows how; otherwise it is thrown away, and derived anew when
        it is next used.
        """
        if self.behind() > _SCRUB_ROWS or self.catch_up(_SCRUB_SECONDS):
            self.discard()
            return
        with self.holding() as lease:
            if not self.follower.scrub():
                self.follower.discard()
                lease.sequence = 0

    @contextmanager
    def holding(self) -> Iterator[Lease]:
        """Hold the lease while the follower is written, waiting for whoever has it.

        Raises ReadOnly where this process cannot.
        """
        lease = self._lease
        if lease is None:
            raise ReadOnly(f"the files of {self.follower.name} cannot be written by this process")
        with self._mutex:
            while not lease.acquire():
                time.sleep(_POLL)
            try:
                yield lease
            finally:
                lease.release()

    def discard(self) -> None:
        """Throw the follower's data away, waiting for whoever holds the lease; it is derived anew when next used."""
        with self.holding() as lease:
            self.follower.discard()
            lease.sequence = 0

    def rebuild_anew(self, progress: Progress | None = None) -> None:
        """Throw everything away, and derive it anew, waiting for whoever holds the lease."""
        with self.holding() as lease:
            self.follower.discard()
            lease.sequence = 0
            self._rebuild(lease, progress)

    def rebuild(self, progress: Progress | None = None) -> None:
        """Derive everything anew, waiting for whoever holds the lease."""
        with self.holding() as lease:
            self._rebuild(lease, progress)

    def close(self) -> None:
        """Release the follower and its lease."""
        self.follower.close()
        if self._lease is not None:
            self._lease.close()

    def _work(self, lease: Lease, deadline: float, progress: Progress | None) -> None:
        """With the lease held: verify the cursor, then take in what is new until the head or the deadline."""
        cursor = self.follower.cursor()
        if cursor is None or not self._matches(cursor):
            self._rebuild(lease, progress)
            cursor = self.follower.cursor()
        self._verified = True
        position = cursor.sequence if cursor else 0
        lease.sequence = position
        while True:
            changes = self.store.changes(position, BATCH)
            if not changes:
                return
            position = changes[-1].sequence
            chain = self.store.chain_at(position) or b""
            self.follower.apply(changes, self.store, Cursor(self.store.uuid, position, chain))
            lease.sequence = position
            if time.monotonic() >= deadline:
                return
            if len(changes) < BATCH and self.store.bell.head <= position:  # a reactor has just added rows
                return

    def _matches(self, cursor: Cursor) -> bool:
        """Whether the store is the one that the follower followed, with the history that it saw."""
        if cursor.store_uuid != self.store.uuid:
            return False
        return cursor.sequence == 0 or self.store.chain_at(cursor.sequence) == cursor.chain

    def _rebuild(self, lease: Lease, progress: Progress | None) -> None:
        head = self.store.head()
        self.follower.rebuild(self.store, Cursor(self.store.uuid, head.sequence, head.chain), progress)
        lease.sequence = head.sequence
