"""The base of a side file, as one backend has it: whether it can be used, when it is made anew, what is left over.

Another backend has its own base of the same side file, so that environments in which other things are installed do
not make it anew in turn.
"""

from __future__ import annotations

import json
import time
from collections.abc import Callable

import apsw
import numpy as np

from avm_builtin.search.side import SideFile
from avm_builtin.vectors import base, building, tables
from avm_builtin.vectors.base import Generation, Opened
from avm_builtin.vectors.state import STORED, State
from vfs_core.errors import NoSpace
from vfs_core.follower import Follower, Runner
from vfs_core.semantic import SemanticContext

TAIL_MOST = 2_000
"""Vectors beside the base, or a fifth of what is in it, from which on it is made anew."""
_TAIL_SHARE = 0.2
_SAMPLES = 16
"""Vectors of a base that are compared with those of the side file before it is used."""
_PATIENCE = 600.0
"""Seconds until it is tried again to make a base where there was no space for it."""


class Renewal:
    """Finds and makes the base. What writes is for the holder of the lease to embed."""

    def __init__(self, file: SideFile, context: SemanticContext) -> None:
        self._file = file
        self._context = context
        backend = context.backend
        self._backend = (
            f"{type(backend).__module__}.{type(backend).__qualname__} {backend.format}"
            f" {json.dumps(dict(backend.config), sort_keys=True)}"
        )
        self._is_tidy = False
        self._not_before = 0.0

    def present(self, connection: apsw.Connection) -> Generation | None:
        """The generation that counts."""
        return tables.bases(connection).get(self._backend)

    def opened(self, connection: apsw.Connection, generation: Generation) -> Opened | None:
        """Its files, if they say what the side file says."""
        path, dimensions = self._file.path, self._context.embedder.dimensions
        if path is None:
            return None
        opened = base.open_generation(path, generation, self._context.backend, dimensions)
        if opened is None:
            return None
        samples = []
        for entry in opened.entries[:: max(1, len(opened.entries) // _SAMPLES)]:
            place = int(entry["node"]), int(entry["start"]), int(entry["length"])
            vectors = tables.vectors_at(connection, *place, generation.revision)
            if len(vectors) == 1:
                samples.append((int(entry["row"]), np.frombuffer(vectors[0], STORED).astype(np.float32)))
        return opened if base.says(opened, samples) else None

    def is_due(self, state: State) -> bool:
        """Whether much has been embedded since the base was made, and there was space for it when last tried."""
        late = state.tail_rows - state.struck_out
        due = late > max(TAIL_MOST, _TAIL_SHARE * state.base_rows)
        return due and self._file.path is not None and time.monotonic() >= self._not_before

    def renew(self, runner: Runner[Follower], pause: Callable[[], None]) -> None:
        """Make the base anew. Where there is no space things go on without. What `pause` raises ends it."""
        path = self._file.path
        if path is None:
            return
        self._is_tidy = False
        try:
            with runner.holding(), self._file.writing() as connection:
                tables.next_revision(connection)
                begun = tables.position(connection)
            generation = building.build(self._file, path, self._context, self._backend, begun.number, pause)
            with runner.holding(), self._file.writing() as connection:
                if tables.set_base(connection, generation, begun.file, TAIL_MOST, _TAIL_SHARE):
                    base.publish(path, generation.revision)
        except (OSError, NoSpace):
            self._not_before = time.monotonic() + _PATIENCE
        finally:
            self.tidy_up()

    def tidy_up(self) -> None:
        """Remove files of generations that do not count, or were never finished."""
        path = self._file.path
        if path is None or self._is_tidy:
            return
        with self._file.reading() as connection:
            counting = () if connection is None else tables.bases(connection).values()
            keep = [generation.revision for generation in counting]
        base.remove_others(path, keep)
        self._is_tidy = True
