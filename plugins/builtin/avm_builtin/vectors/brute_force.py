"""`sqlite`: every vector is compared, by numpy: exact, and the quickest up to some 20,000.

The file is a line that says what it is, and the bare matrix, mapped into memory and shared by processes.
"""

from __future__ import annotations

import os
from collections.abc import Iterable
from pathlib import Path
from typing import TYPE_CHECKING

import numpy as np

from avm_builtin.vectors.products import products
from vfs_core.vectors import BadVectors, VectorBackend, Vectors

if TYPE_CHECKING:
    from numpy.typing import NDArray

_PRECISION = np.dtype("<f4")
_HEAD = 64
"""Bytes before the matrix; vectors are compared faster where they begin at multiples of this."""


class MappedMatrix(Vectors):
    """An open matrix."""

    def __init__(self, matrix: NDArray[np.float32]) -> None:
        self._matrix = matrix
        self.count = len(matrix)

    def scores(self, query: memoryview, rows: memoryview | None) -> memoryview:
        """As the contract says."""
        matrix = self._matrix if rows is None else self._matrix[np.frombuffer(rows, np.int64)]
        return products(matrix, np.frombuffer(query, np.float32)).data

    def rows(self, numbers: memoryview) -> memoryview:
        """As the contract says."""
        return self._matrix[np.frombuffer(numbers, np.int64)].data

    def close(self) -> None:
        """The map goes with the last array that is made of it."""
        self._matrix = np.empty((0, self._matrix.shape[1]), np.float32)


class BruteForce(VectorBackend):
    """Writes and maps matrices."""

    def write(self, path: str, count: int, dimensions: int, blocks: Iterable[memoryview]) -> None:
        """As the contract says."""
        with Path(path).open("wb") as file:
            file.write(_head(count, dimensions))
            for block in blocks:
                file.write(np.asarray(block, _PRECISION).data)

    def open(self, path: str, count: int, dimensions: int) -> Vectors:
        """As the contract says."""
        with Path(path).open("rb") as file:
            head, size = file.read(_HEAD), os.fstat(file.fileno()).st_size
            if head != _head(count, dimensions):
                raise BadVectors(f"{path} is no matrix of {count:,} vectors of {dimensions}")
            expected = _HEAD + count * dimensions * _PRECISION.itemsize
            if size != expected:
                raise BadVectors(f"{path} has {size:,} bytes, not {expected:,}")
            if not count:
                return MappedMatrix(np.empty((0, dimensions), np.float32))
            return MappedMatrix(np.memmap(file, _PRECISION, "r", _HEAD, (count, dimensions)))


def _head(count: int, dimensions: int) -> bytes:
    return f"AVM matrix of {count} x {dimensions} floats\n".encode().ljust(_HEAD, b"\0")
