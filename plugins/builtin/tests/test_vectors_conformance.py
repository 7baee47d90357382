"""The backends of vectors keep their contract, and so does a plain one."""

import pytest

from avm_builtin.vectors import by_size
from avm_builtin.vectors.brute_force import BruteForce
from avm_builtin.vectors.by_size import BySize
from avm_builtin.vectors.faiss_index import Faiss
from vfs_core.testing import PlainVectors, VectorBackendTests


class TestPlainVectors(VectorBackendTests):
    @pytest.fixture
    def backend(self):
        return PlainVectors()


class TestBruteForce(VectorBackendTests):
    @pytest.fixture
    def backend(self):
        return BruteForce()


class TestBySize(VectorBackendTests):
    """On both sides of the size from which on another backend is taken."""

    @pytest.fixture
    def backend(self, monkeypatch):
        monkeypatch.setattr(by_size, "MOST", 200)
        return BySize()


class TestFlat(VectorBackendTests):
    @pytest.fixture
    def backend(self):
        return Faiss({"index": "flat"})


class TestQuantized(VectorBackendTests):
    tolerance = 0.02
    recall = 0.95

    @pytest.fixture
    def backend(self):
        return Faiss({"index": "sq8"})


class TestGraph(VectorBackendTests):
    recall = 0.9

    @pytest.fixture
    def backend(self):
        return Faiss({"index": "hnsw"})
