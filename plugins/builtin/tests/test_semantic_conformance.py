"""The semantic index keeps its contract, with each backend, with and without a base."""

import pytest

from avm_builtin.vectors import answer, by_size, renewing
from avm_builtin.vectors.brute_force import BruteForce
from avm_builtin.vectors.by_size import BySize
from avm_builtin.vectors.faiss_index import Faiss
from avm_builtin.vectors.index import VectorIndex
from vfs_core.testing import SemanticIndexTests


class VectorIndexTests(SemanticIndexTests):
    @pytest.fixture
    def make_index(self):
        return VectorIndex


class BasedTests(VectorIndexTests):
    """The base is made anew whenever something is embedded, and backends are asked to pick."""

    @pytest.fixture(autouse=True)
    def _small(self, monkeypatch):
        monkeypatch.setattr(renewing, "TAIL_MOST", 3)
        monkeypatch.setattr(answer, "_FEW", 10)
        monkeypatch.setattr(answer, "_FIRST", 20)


class TestWithoutBase(VectorIndexTests):
    pass


class TestPlainBase(BasedTests):
    pass


class TestNumpyBase(BasedTests):
    @pytest.fixture
    def backend(self):
        return BruteForce()


class TestBySizeBase(BasedTests):
    @pytest.fixture
    def backend(self, monkeypatch):
        monkeypatch.setattr(by_size, "MOST", 30)
        return BySize()


class TestFlatBase(BasedTests):
    @pytest.fixture
    def backend(self):
        return Faiss({"index": "flat"})


class TestQuantizedBase(BasedTests):
    tolerance = shift = 0.3  # of a standard deviation

    @pytest.fixture
    def backend(self):
        return Faiss({"index": "sq8"})


class TestGraphBase(BasedTests):
    @pytest.fixture
    def backend(self):
        return Faiss({"index": "hnsw"})
