"""Making a base of what the side file holds, page by page, while others go on writing.

What is written meanwhile is touched after the revision that the base begins with, so whoever reads the base takes it
from the side file again, whichever state of it the base has.
"""

from __future__ import annotations

import json
from collections.abc import Callable, Iterator, Sequence
from typing import TYPE_CHECKING, TypeAlias
from zlib import crc32

import apsw
import numpy as np

from avm_builtin.search.side import SideFile
from avm_builtin.vectors import base
from avm_builtin.vectors.base import ENTRY, Generation
from avm_builtin.vectors.state import STORED
from vfs_core.semantic import SemanticContext

if TYPE_CHECKING:
    from numpy.typing import NDArray

_PAGE = 10_000
_ENTRIES = """
SELECT c.id, c.node, n.directory, o.own, c.start, c.length, c.scale
FROM chunk c JOIN name n ON n.node = c.node JOIN node o ON o.id = c.node
WHERE c.vector IS NOT NULL AND c.node > ? ORDER BY c.node, c.id, n.directory LIMIT ?
"""
_VECTORS = "SELECT id, vector FROM chunk WHERE id IN (SELECT value FROM json_each(?)) AND vector IS NOT NULL"
_Row: TypeAlias = tuple[int, int, int, int, int, int, int]


def build(
    file: SideFile,
    side: str,
    context: SemanticContext,
    backend: str,
    revision: int,
    pause: Callable[[], None],
) -> Generation:
    """Write the files of a generation, not yet under their names. Raises OSError.

    The revision is that of a transaction which has just been committed. `pause` is called now and then; what it
    raises ends this.
    """
    pages = list(_entry_pages(file, pause))
    chunks = [id for _, ids in pages for id in ids]
    entries = np.concatenate([array for array, _ in pages]) if pages else np.empty(0, ENTRY)
    dimensions = context.embedder.dimensions
    blocks = _blocks(file, chunks, dimensions, pause)
    base.write(
        side, revision, context.side.mode, context.backend, dimensions, entries, len(chunks), blocks
    )  # fmt: skip
    return Generation(backend, revision, len(entries), len(chunks), crc32(entries.tobytes()))


def _entry_pages(file: SideFile, pause: Callable[[], None]) -> Iterator[tuple[NDArray[np.void], list[int]]]:
    """Entries in the order of nodes, and the parts that their rows are, in the same order."""
    after = rows = 0
    while True:
        with file.reading() as connection:
            if connection is None:
                return
            found = _rows(connection, after, _PAGE)
            full = len(found) == _PAGE
            if full:  # the last node may have more
                found = [row for row in found if row[1] < found[-1][1]] or _rows(connection, after, -1)
        if not found:
            return
        ids: list[int] = []
        entries = []
        for id, *rest in found:
            if not ids or ids[-1] != id:
                ids.append(id)
            entries.append((rows + len(ids) - 1, *rest, 0))
        rows += len(ids)
        after = found[-1][1]
        yield np.array(entries, ENTRY), ids
        if not full:
            return
        pause()


def _blocks(
    file: SideFile, chunks: Sequence[int], dimensions: int, pause: Callable[[], None]
) -> Iterator[memoryview]:
    """The vectors of these parts; zeros for one that has gone meanwhile."""
    for start in range(0, len(chunks), _PAGE):
        pause()
        ids = chunks[start : start + _PAGE]
        vectors: dict[int, bytes] = {}
        with file.reading() as connection:
            if connection is not None:
                rows: Iterator[tuple[int, bytes]] = connection.execute(_VECTORS, (json.dumps(ids),))
                vectors = dict(rows)
        empty = bytes(dimensions * np.dtype(STORED).itemsize)
        data = b"".join(vectors.get(id, empty) for id in ids)
        yield np.frombuffer(data, STORED).reshape(len(ids), dimensions).astype(np.float32).data


def _rows(connection: apsw.Connection, after: int, limit: int) -> list[_Row]:
    rows: Iterator[_Row] = connection.execute(_ENTRIES, (after, limit))
    return list(rows)
