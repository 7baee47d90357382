"""The embedded store keeps the storage contract."""

from pathlib import Path

import pytest

from avm_builtin.storage.sqlite.store import SqliteStore
from vfs_core.storage import StoreContext
from vfs_core.testing import StoreTests
from vfs_core.types import Origin


class TestSqliteStore(StoreTests):
    durability = "normal"

    @pytest.fixture
    def store(self, tmp_path: Path):
        origin = Origin("founder", "founder", "test")
        store = SqliteStore.open(StoreContext(str(tmp_path / "data" / "avm.db"), origin, self.durability))
        yield store
        store.close()

    @pytest.fixture
    def second(self, store: SqliteStore):
        origin = Origin("founder", "founder", "test")
        second = SqliteStore.open(StoreContext(store.location, origin, self.durability))
        yield second
        second.close()


class TestSqliteStoreAtFullDurability(TestSqliteStore):
    durability = "full"
