"""`sqlite`: every vector is compared, by numpy: exact, and the quickest up to some 20,000.

The file is the bare matrix, mapped into memory and shared by processes.
"""

from __future__ import annotations

import os
from collections.abc import Iterable
from pathlib import Path
from typing import TYPE_CHECKING

import numpy as np

from vfs_core.vectors import BadVectors, VectorBackend, Vectors

if TYPE_CHECKING:
    from numpy.typing import NDArray

_PRECISION = np.dtype("<f4")


class MappedMatrix(Vectors):
    """An open matrix."""

    def __init__(self, matrix: NDArray[np.float32]) -> None:
        self._matrix = matrix
        self.count = len(matrix)

    def scores(self, query: memoryview, rows: memoryview | None) -> memoryview:
        """As the contract says."""
        asked = np.frombuffer(query, np.float32)
        matrix = self._matrix if rows is None else self._matrix[np.frombuffer(rows, np.int64)]
        products: NDArray[np.float32] = matrix @ asked
        return products.data

    def close(self) -> None:
        """The map goes with the last array that is made of it."""
        self._matrix = np.empty((0, self._matrix.shape[1]), np.float32)


class BruteForce(VectorBackend):
    """Writes and maps matrices."""

    def write(self, path: str, count: int, dimensions: int, blocks: Iterable[memoryview]) -> None:
        """As the contract says."""
        with Path(path).open("wb") as file:
            for block in blocks:
                file.write(np.asarray(block, _PRECISION).data)

    def open(self, path: str, count: int, dimensions: int) -> Vectors:
        """As the contract says."""
        size = count * dimensions * _PRECISION.itemsize
        if os.stat(path).st_size != size:
            raise BadVectors(f"{path} has {os.stat(path).st_size:,} bytes, not {size:,}")
        if not count:
            return MappedMatrix(np.empty((0, dimensions), np.float32))
        return MappedMatrix(np.memmap(path, _PRECISION, "r", shape=(count, dimensions)))
