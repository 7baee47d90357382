"""`faiss`: FAISS finds the nearest: exactly (flat), in a quarter of the memory (sq8), or by a graph (hnsw).

Who may be found is a bitmap that FAISS looks at before it compares. A graph with few to be found in it loses some,
so there the caller compares all of them, which are few. FAISS trusts what it reads, and crashes on a file that is cut
off: each ends with a seal that is looked at before.
"""

from __future__ import annotations

import os
from collections.abc import Iterable, Iterator, Mapping
from contextlib import contextmanager
from pathlib import Path
from typing import TYPE_CHECKING, Any, BinaryIO
from zlib import crc32

import numpy as np

from avm_builtin.embedders.processes import patient_threads
from avm_builtin.vectors.products import products
from vfs_core.types import JSON
from vfs_core.vectors import BadVectors, VectorBackend, Vectors

with patient_threads():
    import faiss

if TYPE_CHECKING:
    from numpy.typing import NDArray

FLAT, SQ8, HNSW, AUTO = "flat", "sq8", "hnsw", "auto"
_FLAT_MOST = 100_000
"""Vectors from which on those of a quarter of the size are chosen."""
_TRAINED = 50_000
_AT_ONCE = 2_000
"""Vectors taken out at a time, so that they stay in the processor's cache."""
_LINKS = 32
_BUILD_EFFORT = 80
_LEAST_EFFORT = 128
LIST, GRAPH = b"AVM FAISS list ", b"AVM FAISS graph "
_SEAL = 96
"""Bytes of the seal."""
_PART = 1 << 20


class FaissVectors(Vectors):
    """An open FAISS index."""

    def __init__(self, index: Any) -> None:
        self._index = index
        self.count = int(index.ntotal)
        self._graph = isinstance(index, faiss.IndexHNSW)

    def scores(self, query: memoryview, rows: memoryview | None) -> memoryview:
        """As the contract says; of codes they are as exact as those."""
        asked = np.frombuffer(query, np.float32)
        numbers = np.arange(self.count) if rows is None else np.frombuffer(rows, np.int64)
        result = np.empty(len(numbers), np.float32)
        with _one_thread():
            for start in range(0, len(numbers), _AT_ONCE):
                some = numbers[start : start + _AT_ONCE]
                result[start : start + len(some)] = products(self._index.reconstruct_batch(some), asked)
        return result.data

    def nearest(
        self, query: memoryview, count: int, among: memoryview
    ) -> tuple[memoryview, memoryview] | None:
        """As the contract says; None where a graph would lose too many, or be asked for much of it."""
        allowed = np.frombuffer(among, np.uint8)
        many = int(np.count_nonzero(allowed))
        if not many:
            return np.empty(0, np.int64).data, np.empty(0, np.float32).data
        if self._graph and (many * 4 < self.count or count * 10 > self.count):
            return None
        library: Any = faiss  # its annotations lack some of it
        parameters = library.SearchParametersHNSW() if self._graph else library.SearchParameters()
        if self._graph:
            parameters.efSearch = max(_LEAST_EFFORT, 2 * count)
        bits = np.packbits(allowed, bitorder="little")
        if many < self.count:
            parameters.sel = faiss.IDSelectorBitmap(self.count, faiss.swig_ptr(bits))
        asked = np.frombuffer(query, np.float32).reshape(1, -1)
        with _one_thread():
            scores, rows = self._index.search(asked, min(count, many), params=parameters)
        found: NDArray[np.bool_] = rows[0] >= 0
        return rows[0][found].astype(np.int64).data, scores[0][found].astype(np.float32).data

    def close(self) -> None:
        """Let go of the index."""
        self._index = None


class Faiss(VectorBackend):
    """Options: `index`: auto (flat up to 100,000 vectors, above that sq8), flat, sq8 or hnsw."""

    def __init__(self, config: Mapping[str, JSON] | None = None) -> None:
        super().__init__(config)
        self._kind = self.config.get("index", AUTO)

    def write(self, path: str, count: int, dimensions: int, blocks: Iterable[memoryview]) -> None:
        """As the contract says."""
        index = self._made(count, dimensions)
        waiting: list[NDArray[np.float32]] = []
        for block in blocks:
            vectors = np.asarray(block, np.float32)
            if not index.is_trained:
                waiting.append(vectors)
                if sum(map(len, waiting)) < min(count, _TRAINED):
                    continue
                vectors = np.concatenate(waiting)
                index.train(vectors)
            index.add(vectors)
        if not index.is_trained and waiting:
            index.train(np.concatenate(waiting))
            index.add(np.concatenate(waiting))
        try:
            faiss.write_index(index, path)
        except RuntimeError as error:
            raise OSError(f"{path} cannot be written: {error}") from error
        kind = GRAPH if isinstance(index, faiss.IndexHNSW) else LIST
        with Path(path).open("r+b") as file:
            size = file.seek(0, os.SEEK_END)
            file.write(_seal(file, size, kind, count, dimensions))

    def open(self, path: str, count: int, dimensions: int) -> Vectors:
        """As the contract says."""
        with Path(path).open("rb") as file:
            size = os.fstat(file.fileno()).st_size - _SEAL
            found = os.pread(file.fileno(), _SEAL, max(0, size))
            kind = next((each for each in (LIST, GRAPH) if found.startswith(each)), None)
            if size < 0 or kind is None or found != _seal(file, size, kind, count, dimensions):
                raise BadVectors(f"{path} is no whole FAISS index of {count:,} vectors of {dimensions}")
        try:
            try:
                index = faiss.read_index(path, faiss.IO_FLAG_MMAP_IFC)
            except RuntimeError:
                index = faiss.read_index(path)
        except (RuntimeError, MemoryError) as error:
            raise BadVectors(f"{path} is no whole FAISS index: {error}") from error
        return FaissVectors(index)

    def _made(self, count: int, dimensions: int) -> Any:
        kind = self._kind
        if kind == AUTO:
            kind = FLAT if count <= _FLAT_MOST else SQ8
        if kind == FLAT:
            return faiss.IndexFlatIP(dimensions)
        if kind == SQ8:
            return faiss.IndexScalarQuantizer(
                dimensions, faiss.ScalarQuantizer.QT_8bit, faiss.METRIC_INNER_PRODUCT
            )
        index = faiss.IndexHNSWFlat(dimensions, _LINKS, faiss.METRIC_INNER_PRODUCT)
        index.hnsw.efConstruction = _BUILD_EFFORT
        return index


@contextmanager
def _one_thread() -> Iterator[None]:
    """One query has nothing to divide: to wake and await other threads takes longer, on a busy machine four times."""
    before = faiss.omp_get_max_threads()
    faiss.omp_set_num_threads(1)
    try:
        yield
    finally:
        faiss.omp_set_num_threads(before)


def _seal(file: BinaryIO, size: int, kind: bytes, count: int, dimensions: int) -> bytes:
    """What must stand after the first `size` bytes of a file. Raises OSError.

    A wrong number in a vector is a wrong score, one in a graph leads anywhere: of graphs all is summed up, of the rest
    the beginning, which says how to read it, and the end.
    """
    starts = range(0, size, _PART) if kind == GRAPH else (0, max(0, size - _PART))
    checksum = 0
    for start in starts:
        checksum = crc32(os.pread(file.fileno(), min(_PART, size - start), start), checksum)
    return kind + f"{count} x {dimensions}, {size} {checksum:08x}\n".encode().rjust(_SEAL - len(kind))
