"""The FTS5 backend keeps the search contract."""

import pytest

from avm_builtin.search.fts5 import Fts5Search
from vfs_core.testing import SearchTests


class TestFts5Search(SearchTests):
    """The suite, on an index file."""

    @pytest.fixture
    def make_backend(self):
        """The backend under test."""
        return Fts5Search
