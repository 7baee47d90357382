"""The semantic index: follows the journal, keeps what is embedded, and answers by what notes mean.

Each model has a side file of its own, so that two environments with different models do not undo each other's work,
and a new model is embedded beside the old.
"""

from __future__ import annotations

import json
import os
import threading
import time
from collections import OrderedDict
from collections.abc import Iterator, Sequence
from contextlib import suppress
from hashlib import blake2b
from pathlib import Path
from typing import TYPE_CHECKING

import apsw
import numpy as np

from avm_builtin.search.side import Damaged, SideFile
from avm_builtin.vectors import base, building, tables
from avm_builtin.vectors.answer import Compared
from avm_builtin.vectors.base import Generation, Opened, open_generation
from avm_builtin.vectors.state import State
from avm_builtin.vectors.work import embed_waiting
from vfs_core import journal
from vfs_core.errors import NoSpace, StoreBusy, VfsError
from vfs_core.follower import Lease, Progress, Runner
from vfs_core.journal import Cursor
from vfs_core.search import SideContext
from vfs_core.semantic import Answer, Embedded, Model, SemanticContext, SemanticIndex
from vfs_core.storage import Store
from vfs_core.types import Change
from vfs_core.visibility import Visible

if TYPE_CHECKING:
    from numpy.typing import NDArray

_TAIL_MOST = 2_000
"""Vectors beside the base, or a fifth of what is in it, from which on it is made anew."""
_TAIL_SHARE = 0.2
_ABANDONED_SECONDS = 7 * 86_400
_QUERIES = 128
"""Queries whose vectors are remembered."""


class VectorIndex(SemanticIndex):
    """See the module."""

    def __init__(self, context: SemanticContext) -> None:
        super().__init__(context)
        side, embedder = context.side, context.embedder
        self._model = blake2b(embedder.fingerprint.encode(), digest_size=6).hexdigest()
        self.name = f"vectors.{self._model}"
        self.writable = side.writable
        path = None if side.path is None else f"{side.path}.{self.name}.db"
        self._file = SideFile(
            path, tables.SCHEMA, tables.APPLICATION, tables.VERSION, writable=side.writable, mode=side.mode
        )
        self._lock = threading.RLock()
        self._state: State | None = None
        self._place: tuple[int, int] | None = None
        backend = context.backend
        self._backend = (
            f"{type(backend).__module__}.{type(backend).__qualname__} {json.dumps(dict(backend.config))}"
        )
        self._queries: OrderedDict[str, NDArray[np.float32]] = OrderedDict()
        self._working = threading.Lock()

    # --- asking ----------------------------------------------------------------------------------

    def ask(self, text: str, visible: Visible) -> Answer:
        """As the contract says."""
        query = self._encoded(text)
        with self._lock:
            state = self._present()
            return Compared(state, query, state.visible(visible))

    def embedded(self, visible: Visible) -> Embedded:
        """As the contract says."""
        with self._lock:
            state = self._present()
            mask = state.visible(visible)
            done = set(np.unique(state.column("node")[mask]).tolist())
        with self._file.reading() as connection:
            if connection is None:
                return Embedded(0, 0)
            rows: Iterator[tuple[int, int, int]] = connection.execute(
                "SELECT DISTINCT c.node, d.within, o.own FROM chunk c JOIN name n ON n.node = c.node"
                " JOIN directory d ON d.id = n.directory JOIN node o ON o.id = c.node WHERE c.vector IS NULL"
            )
            waiting = {node for node, within, own in rows if (within, own) in visible}
        return Embedded(len(done - waiting), len(done | waiting))

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
        dimensions = self.context.embedder.dimensions
        with self._file.reading() as connection:
            if connection is None or tables.cursor(connection) is None:
                self._state = None
                return State(dimensions)
            state, place = self._state, self._file.identity
            if state is None or self._place != place or not state.catch_up(connection):
                state = State.loaded(dimensions, connection, *self._opened_base(connection))
                self._state, self._place = state, place
            return state

    # --- embedding -------------------------------------------------------------------------------

    def embed(self, runner: Runner, seconds: float, progress: Progress | None = None) -> int:
        """As the contract says."""
        if not self.waiting():
            return 0
        if not self.writable or not self._working.acquire(blocking=False):
            return self.waiting()
        try:
            lease = self._embedding_lease()
            if lease is None or not lease.acquire():
                return self.waiting()
            try:
                left = embed_waiting(
                    self._file, runner.store, self.context.embedder, runner, seconds, progress
                )
                self._renew_base(runner)
                if not left:
                    self._remove_abandoned()
                return left
            finally:
                lease.release()
                lease.close()
        finally:
            self._working.release()

    def waiting(self) -> int:
        """As the contract says."""
        with self._file.reading() as connection:
            return 0 if connection is None else tables.waiting(connection)

    def _remove_abandoned(self) -> None:
        """Remove the files of models that nothing has been embedded by for a while, now that all is by this one."""
        for path in self.strangers():
            with suppress(FileNotFoundError):
                if os.stat(path).st_mtime < time.time() - _ABANDONED_SECONDS:
                    Path(path).unlink()

    def _embedding_lease(self) -> Lease | None:
        side = self.context.side
        try:
            return Lease(None if side.path is None else f"{side.path}.{self.name}.embedding.lease", side.mode)
        except OSError:
            return None

    # --- the base --------------------------------------------------------------------------------

    def _opened_base(self, connection: apsw.Connection) -> tuple[Generation | None, Opened | None]:
        """The base, if there is one that holds all that the side file no longer tells."""
        path, context = self._file.path, self.context
        generation = tables.base(connection)
        if path is None or generation is None or generation.backend != self._backend:
            return None, None
        opened = open_generation(path, generation, context.backend, context.embedder.dimensions)
        return (generation, opened) if opened is not None else (None, None)

    def settle(self, runner: Runner) -> None:
        """As the contract says: make the base anew."""
        self._renew_base(runner, least=0)

    def _renew_base(self, runner: Runner, least: int = _TAIL_MOST) -> None:
        """Make the base anew where much has been embedded since. Where there is no space, things go on without."""
        path = self._file.path
        if path is None:
            return
        with self._lock:
            state = self._present()
            late, known = len(state.tail), state.base_rows
            number = 1 + (state.generation.number if state.generation is not None else 0)
        if late <= max(least, _TAIL_SHARE * known if least else 0):
            return
        try:
            generation = building.build(
                self._file, path, self.context, self._backend, max(number, base.newest(path) + 1)
            )
        except OSError:
            return
        if generation is not None:
            with runner.holding(), self._file.writing() as connection:
                tables.set_base(connection, generation)
            base.remove_others(path, generation.number)

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
                    touched = [change for change in changes if change.operation not in journal.INERT]
                    if touched:
                        revision = tables.next_revision(connection)
                        nodes = list(dict.fromkeys(change.node for change in touched))
                        directories = tables.refresh(connection, store, nodes, revision)
                        # Metadata of a directory concerns nothing below it; all else may.
                        changed = {change.node for change in touched if change.operation != journal.META}
                        tables.reclassify(
                            connection, store, [directories[n] for n in directories.keys() & changed]
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
            base.remove_others(self._file.path, None)

    def scrub(self) -> bool:
        """Rewrite the side file without what was freed in it, and remove the base, which may hold it.

        Files of other models, which nobody may ever bring up to date, go altogether.
        """
        for path in self.strangers():
            with suppress(FileNotFoundError):
                Path(path).unlink()
        try:
            with self._file.writing() as connection:
                tables.drop_base(connection)
            if self._file.path is not None:
                base.remove_others(self._file.path, None)
            return self._file.scrub()
        except (Damaged, StoreBusy, NoSpace):
            return False

    def indexed(self, nodes: Sequence[int]) -> set[int]:
        """As the contract says."""
        with self._file.reading() as connection:
            return set() if connection is None else tables.known(connection, nodes)

    def files(self) -> list[str]:
        """The side file, its WAL files, and the base."""
        path = self._file.path
        return [] if path is None else [path, f"{path}-wal", f"{path}-shm", *base.files(path)]

    def strangers(self) -> list[str]:
        """As the contract says."""
        path = self.context.side.path
        if path is None or self._file.path is None:
            return []
        mine = Path(self._file.path).name
        place = Path(path)
        return [
            str(each)
            for each in sorted(place.parent.glob(f"{place.name}.vectors.*"))
            if not each.name.startswith(mine) and not each.name.endswith(".lease")
        ]

    def former(self) -> list[Model]:
        """As the contract says."""
        found = []
        for path in self.strangers():
            if path.endswith(".db"):
                model = _complete_model(path, self.context.side)
                if model is not None:
                    found.append((os.stat(path).st_mtime, model))
        return [model for _, model in sorted(found, key=lambda each: -each[0])]

    def vocabulary(self) -> str:
        """The words of the schema."""
        with self._file.reading() as connection:
            rows = (
                [] if connection is None else connection.execute("SELECT sql FROM sqlite_schema").fetchall()
            )
        return "\n".join(str(sql) for (sql,) in rows if sql)

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


def _complete_model(path: str, side: SideContext) -> Model | None:
    """The model of a side file, if that is of this store and complete."""
    file = SideFile(path, tables.SCHEMA, tables.APPLICATION, tables.VERSION, writable=False, mode=side.mode)
    try:
        with file.reading() as connection:
            return None if connection is None else tables.complete_model(connection, side.store_uuid)
    except VfsError:
        return None
    finally:
        file.close()
