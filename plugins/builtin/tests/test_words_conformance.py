"""The full-text backend keeps the search contract, wherever the words are."""

from __future__ import annotations

import pytest

from avm_builtin.search.words import Sizes, WordSearch, auto, fts5_alone, tantivy
from vfs_core.search import SideContext
from vfs_core.testing import SearchTests
from vfs_core.testing.search import MakeBackend


class TestAuto(SearchTests):
    @pytest.fixture
    def make_backend(self) -> MakeBackend:
        return auto


class TestFts5Alone(SearchTests):
    @pytest.fixture
    def make_backend(self) -> MakeBackend:
        return fts5_alone


class TestTantivy(SearchTests):
    @pytest.fixture
    def make_backend(self) -> MakeBackend:
        return tantivy


class TestBothTiers(SearchTests):
    """So few documents wait that most tests hand over again and again."""

    @pytest.fixture
    def make_backend(self) -> MakeBackend:
        def make(context: SideContext) -> WordSearch:
            return WordSearch(context, Sizes(alone=1, waiting=2))

        return make
