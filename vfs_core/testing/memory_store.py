"""A store in dicts: the storage contract once more, so plain that it can be seen to be right.

It is the oracle of the conformance suite and a quick store for unit tests. What it is not: a place to keep
anything (it ends with its process), or fast. A transaction works on a copy of the state that replaces the
state when it succeeds, so a raise changes nothing and readers never wait.
"""

# ruff: noqa: D102  # the contract (`vfs_core.storage`) documents its methods

from __future__ import annotations

import os
import threading
import uuid as uuids
from collections.abc import Callable, Iterable, Iterator, Sequence
from contextlib import contextmanager

from vfs_core import journal
from vfs_core.bell import Bell
from vfs_core.content import content_hash
from vfs_core.errors import (
    Invalid,
    NotADirectory,
    NotFound,
    ReadOnly,
    StoreError,
)
from vfs_core.meta import tags_of
from vfs_core.past import Purged, Retention
from vfs_core.path import is_within, join, split
from vfs_core.storage import (
    Census,
    Charge,
    Check,
    Finding,
    Found,
    Head,
    LinkRow,
    Listing,
    Store,
    StoreContext,
    TagUsage,
    Transaction,
    Usage,
    allow_all,
    approve_all,
    charge_nobody,
)
from vfs_core.testing.memory_past import MemoryPast
from vfs_core.testing.memory_state import State
from vfs_core.testing.memory_transaction import FIXED, MemoryTransaction
from vfs_core.types import Change, Kind, Origin, User, Version
from vfs_core.visibility import DirectoryClass, NodeClass

FOUNDER = Origin("founder", "founder", "python")


class MemoryStore(Store):
    """A store in this process's memory.

    `founder` owns the fixed directories. Set `writable` false to see what a read-only store does.
    """

    def __init__(self, founder: Origin = FOUNDER) -> None:
        self.bell = Bell.private()
        self.uuid = str(uuids.uuid4())
        self.location = ":memory:"
        self.writable = True
        self._pending: State | None = None
        self._closed = False
        self._marks: dict[tuple[str, int], int] = {}
        self._lock, self._pid = threading.RLock(), os.getpid()
        state = State(users={founder.agent: User(founder.agent)})
        made = MemoryTransaction(state, founder, allow_all, charge_nobody)
        made._put_new("/", made._append(journal.INIT, "/", None), Kind.DIRECTORY)
        for path in FIXED[1:]:
            made._mkdir(path)
        self.bell.announce(len(state.journal), (), everything=True)
        self._committed = state
        self.past = self._past = MemoryPast(lambda: self._state)
        self._past.keep(state)

    @classmethod
    def open(cls, context: StoreContext) -> MemoryStore:
        """A fresh store, whatever the location."""
        return cls(context.founder)

    @property
    def _state(self) -> State:
        if self._closed:
            raise StoreError("the store is closed")
        return self._committed

    # --- reading ---------------------------------------------------------------------------------

    def find(self, path: str) -> Found:
        return self._state.find(path)

    def read(self, path: str, approve: Callable[[Found], None] = approve_all) -> Found:
        found = self._state.find(path, content=True)
        approve(found)
        return found

    def read_range(
        self, path: str, offset: int, size: int, approve: Callable[[Found], None] = approve_all
    ) -> Found:
        if offset < 0 or size < 0:
            raise Invalid(f"{path}: an offset and a size are not negative")
        found = self.read(path, approve)
        return found._replace(data=found.data[offset : offset + size])

    def attributes(self, node: int) -> dict[str, bytes]:
        found = self._state.nodes.get(node)
        return dict(sorted(found.xattrs.items())) if found else {}

    def children(self, path: str, after: str = "", limit: int = 1000) -> Listing:
        state = self._state
        node = state.at(path)
        if node is None:
            return Listing(state.find(path), 0, (), False)
        if node.kind is not Kind.DIRECTORY:
            raise NotADirectory(f"{path}: is not a directory")
        # Python compares text by code point, which is the binary order of UTF-8.
        names = sorted(
            name for directory, name in map(split, state.names) if directory == path and name > after and name
        )
        living = [found for name in names if (found := state.find(join(path, name))).stat is not None]
        return Listing(state.find(path), node.inside, living[:limit], len(living) > limit)

    def nodes(self, ids: Sequence[int], *, content: bool = False) -> list[Found]:
        state = self._state
        found = [state.find(path, content=content) for id in ids for path in state.names_of(id)]
        return [each for each in found if each.stat is not None]

    def scan(self, after: int = 0, limit: int = 1000, *, content: bool = False) -> list[Found]:
        state = self._state
        found = [state.find(path, content=content) for path in state.names]
        living = sorted(
            (each.stat.id, each.path, each) for each in found if each.stat and each.stat.id > after
        )
        ids = sorted({id for id, _, _ in living})[:limit]
        return [each for id, _, each in living if id in ids]

    def version_content(self, node: int, version: int) -> bytes | None:
        kept = self._state.versions.get((node, version))
        return None if kept is None else kept[1]

    def versions(self, node: int, before: int | None = None, limit: int = 100) -> list[Version]:
        mine = [version for (id, _), (version, _) in self._state.versions.items() if id == node]
        mine = [version for version in mine if before is None or version.version < before]
        return sorted(mine, key=lambda version: version.version, reverse=True)[:limit]

    def links(self, node: int) -> list[LinkRow]:
        rows = (LinkRow(*key, weight) for key, weight in self._state.links.items())
        return sorted(row for row in rows if node in (row.source, row.target))

    def usage(self) -> list[Usage]:
        sums: dict[tuple[int, tuple[int, ...]], list[int]] = {}
        for places, found in self._counted():
            if found.stat is not None and found.stat.kind is Kind.FILE:
                sums.setdefault((found.own, places), []).append(len(found.data))
        return [
            Usage(places[0], own, len(sizes), sum(sizes), places[1:])
            for (own, places), sizes in sorted(sums.items())
        ]

    def census(self, path: str) -> list[Census]:
        counts: dict[tuple[str, int, int], int] = {}
        state = self._state
        for id in set(state.names.values()):
            for name in state.names_of(id):
                found = state.find(name)
                directory = split(name)[0]
                if found.stat is not None and found.stat.kind is Kind.FILE and is_within(directory, path):
                    key = directory, found.within, found.own
                    counts[key] = counts.get(key, 0) + 1
        return [Census(*key, count) for key, count in sorted(counts.items())]

    def tag_usage(self) -> list[TagUsage]:
        counts: dict[tuple[str, int, tuple[int, ...]], int] = {}
        for places, found in self._counted():
            for tag in tags_of(found.meta_json):
                key = tag, found.own, places
                counts[key] = counts.get(key, 0) + 1
        return [
            TagUsage(tag, places[0], own, count, places[1:])
            for (tag, own, places), count in sorted(counts.items())
        ]

    def _counted(self) -> Iterator[tuple[tuple[int, ...], Found]]:
        """Each node that has a name, with the classes of the directories in which it has one."""
        state = self._state
        for id in set(state.names.values()):
            found = [state.find(path, content=True) for path in state.names_of(id)]
            if found[0].stat is not None:
                yield tuple(sorted({each.within for each in found})), found[0]

    # --- who -------------------------------------------------------------------------------------

    def users(self) -> dict[str, User]:
        return dict(self._state.users)

    def shared_with(self, agent: str) -> list[str]:
        state = self._state
        return sorted(path for path, id in state.names.items() if agent in state.nodes[id].who.shares)

    def directory_class(self, id: int) -> DirectoryClass:
        value = self._class(id)
        if not isinstance(value, DirectoryClass):
            raise NotFound(f"there is no directory class {id}")
        return value

    def node_class(self, id: int) -> NodeClass:
        value = self._class(id)
        if not isinstance(value, NodeClass):
            raise NotFound(f"there is no node class {id}")
        return value

    def _class(self, id: int) -> DirectoryClass | NodeClass | None:
        known = (self._pending or self._state).classes
        return known[id - 1] if 0 < id <= len(known) else None

    def classes(self, after: int = 0) -> list[tuple[int, DirectoryClass | NodeClass]]:
        return list(enumerate(self._state.classes, start=1))[after:]

    # --- the journal -----------------------------------------------------------------------------

    def head(self) -> Head:
        rows = self._state.journal
        return Head(len(rows), rows[-1].chain)

    def chain_at(self, sequence: int) -> bytes | None:
        rows = self._state.journal
        return rows[sequence - 1].chain if 0 < sequence <= len(rows) else None

    def changes(self, after: int = 0, limit: int = 1000) -> list[Change]:
        return [row.change for row in self._state.journal[after : after + limit]]

    # --- how far somebody has read -----------------------------------------------------------------

    def mark(self, reader: str, node: int) -> int:
        return self._marks.get((reader, node), 0)

    def set_mark(self, reader: str, node: int, version: int, *, forward: bool = False) -> None:
        if not self.writable:
            raise ReadOnly(f"the store cannot be written: {self.read_only_reason or self.location}")
        self._marks[reader, node] = max(version, self.mark(reader, node)) if forward else version

    # --- changing --------------------------------------------------------------------------------

    @contextmanager
    def transaction(
        self, origin: Origin, check: Check, charge: Charge = charge_nobody
    ) -> Iterator[Transaction]:
        if not self.writable:
            raise ReadOnly(f"the store cannot be written: {self.read_only_reason or self.location}")
        with self._write_lock():
            if self._pending is not None:
                raise StoreError("a transaction is already running in this thread")
            self._pending = state = self._state.copy()
            work = MemoryTransaction(state, origin, check, charge)
            try:
                yield work
                if len(state.journal) > len(self._committed.journal):
                    self.bell.announce(len(state.journal), sorted(work.touched), work.everything)
                    self._committed = state
                    self._past.keep(state)
                    self.bell.ring()
            finally:
                work.open = False
                self._pending = None

    def _write_lock(self) -> threading.RLock:
        """The lock of this process: after a fork, the parent's threads are gone and cannot release theirs."""
        if self._pid != os.getpid():
            self._lock, self._pid, self._pending = threading.RLock(), os.getpid(), None
        return self._lock

    # --- care ------------------------------------------------------------------------------------

    def purge(self, origin: Origin, retention: Retention, limit: int = 1000, after: int = 0) -> Purged:
        with self.transaction(origin, allow_all) as transaction:
            assert isinstance(transaction, MemoryTransaction)
            return transaction.purge(retention)

    def verify(self) -> Iterable[Finding]:
        state = self._state
        yield _finding("journal", _broken_rows(state), f"{len(state.journal)} rows, chain unbroken")
        yield _finding("names", _broken_names(state), f"{len(state.names)} names")
        yield _finding("classes", _broken_classes(state), f"{len(state.classes)} classes")
        yield _finding("contents", _broken_contents(state), f"{len(state.versions)} versions")

    def close(self) -> None:
        self._closed = True


def _finding(subject: str, broken: Sequence[str], well: str) -> Finding:
    if broken:
        return Finding(subject, "fail", "; ".join(broken), "restore a backup")
    return Finding(subject, "ok", well)


def _broken_rows(state: State) -> list[str]:
    previous = journal.GENESIS
    broken = []
    for number, (change, salt, chain) in enumerate(state.journal, start=1):
        commitment = state.commitment(change, salt)
        previous = journal.chain(previous, change.sequence, change.time_ns, change.operation, commitment)
        if chain != previous or change.sequence != number:
            broken.append(f"row {number} does not follow from what is before it")
            previous = chain
    return broken


def _broken_names(state: State) -> list[str]:
    broken = [f"{path}: names no node" for path, id in state.names.items() if id not in state.nodes]
    parents = {split(path)[0] for path in state.names}
    return broken + [
        f"{path}: has entries and is no directory"
        for path in parents
        if (node := state.at(path)) is None or node.kind is not Kind.DIRECTORY
    ]


def _broken_classes(state: State) -> list[str]:
    broken = []
    for path, id in state.names.items():
        node = state.nodes[id]
        inside = state.class_inside(path) if node.kind is Kind.DIRECTORY else None
        if state.classes[node.own - 1] != node.who or (inside and state.classes[node.inside - 1] != inside):
            broken.append(f"{path}: is in the wrong class")
    return broken


def _broken_contents(state: State) -> list[str]:
    return [
        f"node {id} version {number}: its hash is of another content"
        for (id, number), (version, data) in state.versions.items()
        if data is not None and content_hash(data) != version.content_hash
    ]
