"""The semantic index: follows the journal, keeps what is embedded, and answers by what notes mean.

Each model has a side file of its own, so that two environments with different models do not undo each other's work,
and a new model is embedded beside the old.
"""

from __future__ import annotations

import threading
from collections import OrderedDict
from collections.abc import Iterator, Sequence
from contextlib import suppress
from hashlib import blake2b
from typing import TYPE_CHECKING

import apsw
import numpy as np

from avm_builtin.search import following
from avm_builtin.search.side import Damaged, SideFile
from avm_builtin.vectors import base, others, renewing, tables
from avm_builtin.vectors.answer import Compared
from avm_builtin.vectors.base import Generation
from avm_builtin.vectors.renewing import Renewal
from avm_builtin.vectors.state import State
from avm_builtin.vectors.work import embed_waiting
from vfs_core.errors import NoSpace, StoreBusy
from vfs_core.follower import Follower, Lease, Progress, Runner
from vfs_core.journal import Cursor
from vfs_core.semantic import KIND, Answer, Embedded, Model, SemanticContext, SemanticIndex
from vfs_core.storage import Store
from vfs_core.types import Change
from vfs_core.visibility import Visible

if TYPE_CHECKING:
    from numpy.typing import NDArray

_QUICK, _HURRY = 20_000, 2.0
"""Vectors up to which a base is made in less than half a second, and seconds for which whoever asks for so few cannot
wait for more: the background and `avm reindex` can."""
_QUERIES = 128
"""Queries whose vectors are remembered."""


class VectorIndex(SemanticIndex):
    """See the module."""

    def __init__(self, context: SemanticContext) -> None:
        super().__init__(context)
        side, embedder = context.side, context.embedder
        self.name = f"{KIND}.{blake2b(embedder.fingerprint.encode(), digest_size=6).hexdigest()}"
        self.writable = side.writable
        path = None if side.path is None else f"{side.path}.{self.name}.db"
        self._file = SideFile(
            path, tables.SCHEMA, tables.APPLICATION, tables.VERSION, writable=side.writable, mode=side.mode
        )
        self._base = Renewal(self._file, context)
        self._lock = threading.RLock()
        self._state: State | None = None
        self._known: tuple[bytes, Generation | None] | None = None
        """Which side file the state is of, and the generation that it was offered to begin with."""
        self._queries: OrderedDict[str, NDArray[np.float32]] = OrderedDict()
        self._working = threading.Lock()

    # --- asking ----------------------------------------------------------------------------------

    def ask(self, text: str, visible: Visible) -> Answer:
        """As the contract says."""
        query = self._encoded(text)
        with self._lock:
            state = self._present()
            scale = self.context.embedder.scale(text)
            return Compared(
                state.entries(), query, state.seen(visible), self.context.embedder.fingerprint, scale
            )

    def embedded(self, visible: Visible) -> Embedded:
        """As the contract says."""
        with self._lock:
            done = self._present().seen(visible).nodes()
        with self._file.reading() as connection:
            if connection is None:
                return Embedded(0, 0)
            rows: Iterator[tuple[int, int, int]] = connection.execute(
                "SELECT DISTINCT c.node, d.within, o.own FROM chunk c JOIN name n ON n.node = c.node"
                " JOIN directory d ON d.id = n.directory JOIN node o ON o.id = c.node WHERE c.vector IS NULL"
            )
            waiting = np.array(
                sorted({node for node, within, own in rows if (within, own) in visible}), np.int64
            )
        some = len(np.intersect1d(done, waiting, assume_unique=True))
        return Embedded(len(done) - some, len(done) + len(waiting) - some)

    def _encoded(self, text: str) -> NDArray[np.float32]:
        known = self._queries.get(text)
        if known is None:
            known = np.array(self.context.embedder.encode([text], "query"), np.float32)[0]
            while len(self._queries) >= _QUERIES:
                with suppress(KeyError):
                    self._queries.popitem(last=False)
            self._queries[text] = known
        return known

    def _present(self) -> State:
        """The state as the side file is now. For who holds the lock."""
        state = None
        with self._file.reading() as connection:
            if connection is not None and tables.cursor(connection) is not None:
                with connection:  # one transaction: what is read must be of one moment
                    state = self._brought_up(connection)
        self._state = state
        return State(self.context.embedder.dimensions) if state is None else state

    def _brought_up(self, connection: apsw.Connection) -> State:
        position = tables.position(connection)
        generation = self._base.present(connection)
        known = position.file, generation
        state = self._state
        if (
            state is None
            or self._known != known
            or not position.kept <= state.revision <= position.number
            or state.struck_out > max(renewing.TAIL_MOST, state.tail_rows - state.struck_out)
        ):
            opened = None if generation is None else self._base.opened(connection, generation)
            self._state = state = None  # the old one goes first: there may be no room for two
            state = State.loaded(self.context.embedder.dimensions, connection, opened)
            self._known = known
        state.catch_up(connection, position.number)
        return state

    # --- embedding -------------------------------------------------------------------------------

    def embed(self, runner: Runner[Follower], seconds: float, progress: Progress | None = None) -> int:
        """As the contract says."""
        if not self.waiting() and not self._base_is_due():
            return 0
        lease = self._begin_work()
        if lease is None:
            return self.waiting()
        try:
            self._base.tidy_up()
            embedder = self.context.embedder
            left = embed_waiting(self._file, runner.store, embedder, runner, seconds, progress)
            with self._lock:
                state = self._present()
                quick = state.base_rows + state.tail_rows <= _QUICK
            if self._base.is_due(state) and (quick or seconds > _HURRY):
                self._base.renew(runner, (lambda: None) if progress is None else lambda: progress(0, left))
            if not left:
                others.remove_abandoned(self.context.side, self.name)
            return left
        finally:
            self._end_work(lease)

    def settle(self, runner: Runner[Follower]) -> None:
        """As the contract says: make the base anew."""
        with self._lock:
            late = self._present().tail_rows
        lease = self._begin_work() if late else None
        if lease is not None:
            try:
                self._base.renew(runner, lambda: None)
            finally:
                self._end_work(lease)

    def waiting(self) -> int:
        """As the contract says."""
        with self._file.reading() as connection:
            return 0 if connection is None else tables.waiting(connection)

    def _base_is_due(self) -> bool:
        """As far as is known without loading anything."""
        with self._lock:
            return self._state is not None and self._base.is_due(self._state)

    def _begin_work(self) -> Lease | None:
        """The lease to embed, or None where somebody else has it, or nothing can be written."""
        if not self.writable or not self._working.acquire(blocking=False):
            return None
        side = self.context.side
        lease = None
        try:
            path = None if side.path is None else f"{side.path}.{self.name}.embedding.lease"
            lease = Lease(path, side.mode)
            if lease.acquire():
                return lease
        except OSError:
            pass
        if lease is not None:
            lease.close()
        self._working.release()
        return None

    def _end_work(self, lease: Lease) -> None:
        lease.release()
        lease.close()
        self._working.release()

    # --- following -------------------------------------------------------------------------------

    def cursor(self) -> Cursor | None:
        """What was last committed; None where there is no file, or one that is not ours or damaged."""
        with self._file.reading() as connection:
            return None if connection is None else tables.cursor(connection)

    def apply(self, changes: Sequence[Change], store: Store, cursor: Cursor) -> None:
        """Take in what the changed nodes are now; what is new waits to be embedded."""
        try:
            with self._file.writing() as connection:
                present = tables.cursor(connection)
                if present is not None and present.store_uuid == cursor.store_uuid:
                    touched = following.concerning(changes)
                    if touched:
                        revision = tables.next_revision(connection)
                        following.take_in(
                            touched,
                            lambda nodes: tables.refresh(connection, store, nodes, revision),
                            lambda paths: tables.reclassify(connection, store, paths),
                        )
                    tables.commit_cursor(connection, cursor)
                    return
        except Damaged:
            self.discard()
        # The file was thrown away since the caller looked: the changes alone do not make an index.
        self.rebuild(store, cursor)

    def rebuild(self, store: Store, cursor: Cursor, progress: Progress | None = None) -> None:
        """Go through the whole store in one transaction. A part whose text is there already keeps its vector."""
        try:
            self._rebuild(store, cursor, progress)
        except Damaged:
            self.discard()
            self._rebuild(store, cursor, progress)

    def discard(self) -> None:
        """Throw all files of this model away."""
        self._file.discard()
        if self._file.path is not None:
            base.remove_others(self._file.path, ())

    def scrub(self) -> bool:
        """Rewrite the side file without what was freed in it, and remove the base, which may hold it."""
        try:
            with self._file.writing() as connection:
                tables.drop_bases(connection)
            path = self._file.path
            if path is not None:
                base.remove_others(path, ())
            return self._file.scrub() and (path is None or not base.files(path))
        except (Damaged, StoreBusy, NoSpace):
            return False

    def indexed(self, nodes: Sequence[int]) -> set[int]:
        """As the contract says."""
        with self._file.reading() as connection:
            return set() if connection is None else tables.known(connection, nodes)

    def files(self) -> list[str]:
        """The side file, its WAL files, and the base."""
        path = self._file.path
        return [] if path is None else [*self._file.files(), *base.files(path)]

    def former(self) -> list[Model]:
        """As the contract says."""
        return others.complete(self.context.side, self.name)

    def vocabulary(self) -> str:
        """The words of the schema."""
        return self._file.vocabulary()

    def close(self) -> None:
        """Close the file; the next use opens it again."""
        with self._lock:
            self._state = None
        self._file.close()

    def _rebuild(self, store: Store, cursor: Cursor, progress: Progress | None) -> None:
        with self._file.writing() as connection:
            total = sum(usage.files for usage in store.usage()) if progress is not None else 0
            for done in tables.fill(connection, store):
                if progress is not None:
                    progress(done, max(done, total))
            tables.put_model(connection, self.context.model)
            tables.commit_cursor(connection, cursor)
