"""The store suite on forgetting: what is gone, what stays, and that the chain still proves what it can."""

# ruff: noqa: D102  # the tests' names are sentences

from __future__ import annotations

import pytest

from vfs_core import journal
from vfs_core.errors import NotFound, NotOwner
from vfs_core.past import Retention, Trashed
from vfs_core.storage import Store, allow_all
from vfs_core.testing.store_help import AKASHI, KURO, StoreFixtures, id_of, put, share
from vfs_core.types import Origin

_NOW = Retention(0, 1, 0)


def anybody(trashed: Trashed) -> None:
    """Approves."""


def akashis(trashed: Trashed) -> None:
    """Approves of what akashi owns."""
    if trashed.stat.owner != "akashi":
        raise NotOwner(f"{trashed.path} is {trashed.stat.owner}'s")


class StoreForgetTests(StoreFixtures):
    """A forgotten node leaves a number, and rows that say that something was."""

    def delete(self, store: Store, path: str, origin: Origin = AKASHI) -> int:
        node = id_of(store, path)
        with store.transaction(origin, allow_all) as transaction:
            transaction.delete(path, recursive=True)
        return node

    def forget(self, store: Store, node: int) -> int:
        with store.transaction(AKASHI, allow_all) as transaction:
            return transaction.forget(node, akashis)

    def said(self, store: Store) -> str:
        """All that the journal says."""
        return str([(row.path, row.old_path, row.details) for row in store.changes(limit=100_000)])

    def failed(self, store: Store) -> list[str]:
        return [each.message for each in store.verify() if each.level == "fail"]

    def test_forgetting_redacts_the_rows_of_a_node_and_the_chain_still_verifies(self, store: Store) -> None:
        put(store, "/memory/other")
        put(store, "/memory/secret", b"one", patch={"title": "geheim", "tags": ["etikett"]})
        put(store, "/memory/secret", b"two", patch={"title": "anders"})
        share(store, "/memory/secret", "kuro")
        with store.transaction(AKASHI, allow_all) as transaction:
            transaction.rename("/memory/secret", "/memory/hidden")
            transaction.link("/memory/other", "/memory/hidden", "related")
        node = self.delete(store, "/memory/hidden")
        head = store.head()
        rows = self.forget(store, node)
        assert rows == len([row for row in store.changes() if row.node == node]) >= 5
        said = self.said(store)
        assert not any(word in said for word in ("secret", "hidden", "geheim", "anders", "etikett"))
        assert store.chain_at(head.sequence) == head.chain
        assert self.failed(store) == []
        assert store.versions(node) == [] and store.version_content(node, 1) is None
        assert store.links(id_of(store, "/memory/other")) == []
        assert store.past.trash() == store.past.deleted_at("/memory/hidden") == []
        assert store.changes(limit=100_000)[-1].details == {"nodes": 1}

    def test_what_is_not_deleted_or_was_forgotten_is_not_found(self, store: Store) -> None:
        put(store, "/memory/a")
        for node in (id_of(store, "/memory/a"), 10**9):
            with pytest.raises(NotFound):
                self.forget(store, node)
        node = self.delete(store, "/memory/a")
        self.forget(store, node)
        with pytest.raises(NotFound):
            self.forget(store, node)

    def test_what_retention_has_purged_can_still_be_forgotten(self, store: Store) -> None:
        put(store, "/memory/d/secret", patch={"title": "geheim"})
        put(store, "/memory/d/secret", b"2", patch={"title": "anders"})
        node = self.delete(store, "/memory/d")
        store.purge(AKASHI, _NOW)
        assert store.past.trash() == []
        assert [each.stat.id for each in store.past.deleted_at("/memory/d")] == [node]
        assert "geheim" in self.said(store)
        self.forget(store, node)
        assert not any(word in self.said(store) for word in ("secret", "geheim", "/d"))
        assert self.failed(store) == []

    def test_what_was_moved_out_of_a_forgotten_directory_keeps_its_past_and_not_the_directorys_name(
        self, store: Store
    ) -> None:
        put(store, "/memory/secret/inner/a", b"one")
        put(store, "/memory/secret/inner/a", b"two")
        put(store, "/memory/secretive", b"another")
        node, directory = id_of(store, "/memory/secret/inner/a"), id_of(store, "/memory/secret")
        with store.transaction(AKASHI, allow_all) as transaction:
            transaction.rename("/memory/secret/inner/a", "/memory/b")
        self.forget(store, self.delete(store, "/memory/secret"))
        said = self.said(store)
        assert "/secret/" not in said and "inner" not in said and "/memory/secretive" in said
        assert f"/memory/@{directory}/@" in said
        assert [version.version for version in store.versions(node)] == [2, 1]
        assert [store.version_content(node, version) for version in (1, 2)] == [b"one", b"two"]
        assert self.failed(store) == []
        self.forget(store, self.delete(store, "/memory/b"))
        assert "/memory/@" not in self.said(store)
        assert self.failed(store) == []

    def test_what_had_been_deleted_from_a_forgotten_directory_goes_too_if_it_is_ones_own(
        self, store: Store
    ) -> None:
        put(store, "/memory/secret/mine", b"x")
        put(store, "/memory/secret/theirs", b"y", KURO)
        put(store, "/memory/secret/last", b"z")
        mine = self.delete(store, "/memory/secret/mine")
        theirs = self.delete(store, "/memory/secret/theirs", KURO)
        self.forget(store, self.delete(store, "/memory/secret"))
        assert [each.stat.id for each in store.past.trash()] == [theirs]
        assert store.version_content(theirs, 1) == b"y" and store.version_content(mine, 1) is None
        said = self.said(store)
        assert "secret" not in said and "mine" not in said and "theirs" in said
        assert self.failed(store) == []

    def test_what_others_own_in_a_directory_keeps_all_of_it_and_is_not_named(self, store: Store) -> None:
        put(store, "/memory/d/mine")
        put(store, "/memory/d/theirs", b"y", KURO)
        node = self.delete(store, "/memory/d")
        before = store.head()
        with pytest.raises(NotOwner) as refused:
            self.forget(store, node)
        assert "theirs" not in str(refused.value) and "kuro" not in str(refused.value)
        assert store.head() == before and len(store.past.trash()) == 3

    def test_the_number_of_a_forgotten_node_is_not_used_again(self, store: Store) -> None:
        put(store, "/memory/a")
        node = self.delete(store, "/memory/a")
        self.forget(store, node)
        put(store, "/memory/a")
        assert id_of(store, "/memory/a") > node

    def test_what_has_expired_is_for_its_owner_to_forget_and_nobody_else_knows_of_it(
        self, store: Store
    ) -> None:
        put(store, "/memory/a")
        node = id_of(store, "/memory/a")
        with store.transaction(AKASHI, allow_all) as transaction:
            transaction.set_expiry("/memory/a", 1)
        put(store, "/memory/a", b"new", KURO)
        assert [(each.stat.id, each.by) for each in store.past.deleted_at("/memory/a")] == [(node, "akashi")]
        self.forget(store, node)
        assert store.read("/memory/a").data == b"new"
        assert [row.operation for row in store.changes() if row.node == node][-1] == journal.DELETE
