"""`auto`: numpy while comparing with every vector is quick, FAISS's codes above that where it is installed.

At 100,000 vectors of 384 dimensions numpy takes 20 ms, exactly and without loading FAISS; at a million 130 ms and
1.5 GB of the page cache, where codes take 40 ms and 0.4 GB.
"""

from __future__ import annotations

from collections.abc import Iterable, Mapping
from importlib import util

from avm_builtin.vectors.brute_force import BruteForce
from vfs_core.types import JSON
from vfs_core.vectors import VectorBackend, Vectors

MOST = 100_000
"""Vectors up to which numpy compares with all of them."""


class BySize(VectorBackend):
    """Chooses for each file anew; what it has chosen shows in the count."""

    def __init__(self, config: Mapping[str, JSON] | None = None) -> None:
        super().__init__(config)
        self.format = "numpy" if util.find_spec("faiss") is None else "faiss"

    def write(self, path: str, count: int, dimensions: int, blocks: Iterable[memoryview]) -> None:
        """As the contract says."""
        self._backend(count).write(path, count, dimensions, blocks)

    def open(self, path: str, count: int, dimensions: int) -> Vectors:
        """As the contract says."""
        return self._backend(count).open(path, count, dimensions)

    def _backend(self, count: int) -> VectorBackend:
        if count <= MOST or self.format == "numpy":
            return BruteForce()
        from avm_builtin.vectors.faiss_index import Faiss

        return Faiss()
