"""Brute force keeps the search contract, and so can a backend with an index of its own."""

import pytest

from vfs_core.testing import BruteSearch, SearchTests


class TestBruteSearch(SearchTests):
    @pytest.fixture
    def make_backend(self):
        return BruteSearch
