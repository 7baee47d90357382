"""`auto`: numpy while comparing with every vector is quick, FAISS above that where it is installed."""

from __future__ import annotations

from collections.abc import Iterable, Mapping
from importlib import util

from avm_builtin.vectors.brute_force import BruteForce
from vfs_core.types import JSON
from vfs_core.vectors import VectorBackend, Vectors

MOST = 20_000
"""Vectors up to which numpy takes less time than importing FAISS and asking it."""


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
