"""Conformance suites for whoever implements a contract: subclass one, override fixtures, inherit its tests.

    from vfs_core.testing import StoreTests

    class TestMyStore(StoreTests):
        @pytest.fixture
        def store(self, tmp_path):
            store = MyStore(tmp_path / "store.db", founder=FOUNDER)
            yield store
            store.close()

The suites need pytest, SearchTests hypothesis too. Names are imported on first use, since pytest loads this
package wherever AVM is installed.
"""

from __future__ import annotations

import importlib
from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from vfs_core.testing.brute_search import BruteSearch as BruteSearch
    from vfs_core.testing.embedders import EmbedderTests as EmbedderTests
    from vfs_core.testing.handlers import HandlerTests as HandlerTests
    from vfs_core.testing.memory_store import FOUNDER as FOUNDER
    from vfs_core.testing.memory_store import MemoryStore as MemoryStore
    from vfs_core.testing.plain_vectors import PlainVectors as PlainVectors
    from vfs_core.testing.search import SearchTests as SearchTests
    from vfs_core.testing.semantic import SemanticIndexTests as SemanticIndexTests
    from vfs_core.testing.stores import StoreTests as StoreTests
    from vfs_core.testing.suffixes import SuffixTests as SuffixTests
    from vfs_core.testing.summarisers import SummariserTests as SummariserTests
    from vfs_core.testing.vectors import VectorBackendTests as VectorBackendTests
    from vfs_core.testing.word_embedder import WordEmbedder as WordEmbedder

_HOMES = {
    "BruteSearch": "brute_search",
    "EmbedderTests": "embedders",
    "FOUNDER": "memory_store",
    "HandlerTests": "handlers",
    "MemoryStore": "memory_store",
    "PlainVectors": "plain_vectors",
    "SearchTests": "search",
    "SemanticIndexTests": "semantic",
    "StoreTests": "stores",
    "SuffixTests": "suffixes",
    "SummariserTests": "summarisers",
    "VectorBackendTests": "vectors",
    "WordEmbedder": "word_embedder",
}

__all__ = tuple(_HOMES)  # strings, from the table


def __getattr__(name: str) -> object:
    if name not in _HOMES:
        raise AttributeError(f"module {__name__!r} has no attribute {name!r}")
    return getattr(importlib.import_module(f"{__name__}.{_HOMES[name]}"), name)
