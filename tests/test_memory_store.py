"""The store in memory keeps the storage contract."""

from collections.abc import Iterator
from dataclasses import replace

import pytest

from vfs_core.content import content_hash
from vfs_core.errors import ReadOnly, StoreError
from vfs_core.storage import Store, StoreContext, allow_all
from vfs_core.testing.memory_store import FOUNDER, MemoryStore
from vfs_core.testing.store_help import AKASHI, picture, put
from vfs_core.testing.stores import StoreTests


class TestMemoryStore(StoreTests):
    @pytest.fixture
    def store(self) -> Iterator[Store]:
        store = MemoryStore(FOUNDER)
        yield store
        store.close()


def test_a_store_that_cannot_be_written_says_so():
    store = MemoryStore()
    put(store, "/memory/a")
    store.writable, store.read_only_reason = False, "/data must be writable"
    before = picture(store)
    with pytest.raises(ReadOnly, match="/data must be writable"):
        store.transaction(AKASHI, allow_all).__enter__()
    assert picture(store) == before


def test_a_transaction_cannot_be_used_after_its_end_nor_inside_another():
    store = MemoryStore()
    with store.transaction(AKASHI, allow_all) as transaction:
        transaction.write("/memory/a", b"x")
        with pytest.raises(StoreError), store.transaction(AKASHI, allow_all):
            pass
        transaction.write("/memory/b", b"x")
    with pytest.raises(StoreError):
        transaction.write("/memory/c", b"x")
    assert len(store.children("/memory").entries) == 4


def test_a_store_is_opened_like_any_engine():
    store = MemoryStore.open(StoreContext("ignored", AKASHI))
    stat = store.find("/memory").stat
    assert stat is not None
    assert stat.owner == "akashi"


def break_journal(store):
    row = store._committed.journal[5]
    store._committed.journal[5] = row._replace(change=row.change._replace(path="/memory/forged"))


def break_name(store):
    store._committed.names["/memory/a/below"] = 1


def break_class(store):
    node = store._committed.at("/memory/a")
    store._committed.nodes[node.id] = replace(node, who=replace(node.who, mode=0o777))


def break_content(store):
    key, (version, _) = next(iter(store._committed.versions.items()))
    store._committed.versions[key] = version, b"tampered"


@pytest.mark.parametrize(
    ("break_it", "subject"),
    [
        (break_journal, "journal"),
        (break_name, "names"),
        (break_class, "classes"),
        (break_content, "contents"),
    ],
)
def test_verify_finds_what_is_broken(break_it, subject):
    store = MemoryStore()
    put(store, "/memory/a", b"text")
    assert {finding.level for finding in store.verify()} == {"ok"}
    assert store.versions(6)[0].content_hash == content_hash(b"text")
    break_it(store)
    assert subject in [finding.subject for finding in store.verify() if finding.level == "fail"]
